"""The collector rests while anyone wants it to, and wakes after."""

import gc

import pytest

from kernel.collector import collector_at_rest


def test_it_rests_until_the_last_one_is_done_even_one_that_failed() -> None:
    assert gc.isenabled()

    with pytest.raises(ValueError, match="a book"), collector_at_rest():
        with collector_at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ValueError("a book")

    assert gc.isenabled()
