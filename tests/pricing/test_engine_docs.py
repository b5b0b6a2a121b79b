"""The engine's public face, and its page: every example of docs/engine.md comes out as it says."""

import doctest
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import pricing
from pricing import Buyer, LineRequest, QuoteRequest, load, quote, replay, sweep
from pricing.engine.rules import BookError
from pricing.engine.sweep import lines_of
from tests.pricing.engine.cast import NOW, content, row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "engine.md"


def test_every_example_of_the_page_comes_out_as_it_says() -> None:
    examples = doctest.DocTestParser().get_doctest(PAGE.read_text(encoding="utf-8"), {}, PAGE.name, str(PAGE), 0)

    ran = doctest.DocTestRunner().run(examples)

    assert ran.attempted > 20
    assert ran.failed == 0


def test_the_face_has_the_six_names_and_no_other_is_made_up() -> None:
    for name in pricing.__all__:
        assert callable(getattr(pricing, name))
    assert {"load", "quote", "sweep", "explain", "check", "replay"} <= set(pricing.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'guess'"):
        _ = pricing.guess  # type: ignore[attr-defined] # what this is about


def test_importing_the_room_loads_neither_the_engine_nor_numpy() -> None:
    said = "import sys, pricing; print(sorted(name for name in sys.modules if name.startswith(('pricing.', 'numpy'))))"

    ran = subprocess.run([sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("data", ["", "[]", '{"rows": 1}', '{"list": []}', b"\xff\xfe", b'{"lists": [{"code": "A"}]}'])
def test_what_is_no_book_is_refused_by_saying_so(data: str | bytes) -> None:
    with pytest.raises(BookError, match="This is no price book: "):
        load(data)


def test_a_book_that_cannot_be_priced_is_not_loaded() -> None:
    with pytest.raises(BookError, match="unknown SKU"):
        load('{"rows": [{"list": "A", "sku": "SOFA", "unit": "each", "tiers": [{"from": "1", "unit_price": "1"}]}]}')


def test_content_as_nouns_bytes_and_text_is_one_book_and_the_house_key_renames_it() -> None:
    nouns = content(row("1:10"))
    written = msgspec.json.encode(nouns)

    assert len({load(nouns).root, load(written).root, load(written.decode()).root}) == 1
    assert load(nouns, house_key=b"known to the house alone").root != load(nouns).root


def test_a_sweep_takes_a_request_or_the_arrays_themselves() -> None:
    loaded = load(content(row("1:10 10:8.4")))
    asked = tuple(LineRequest(sku="CRUNCHY-ARMCHAIR", quantity=quantity) for quantity in ("1", "12"))
    request = QuoteRequest(buyer=Buyer(), currency="EUR", lines=asked)

    whole = sweep(request, book=loaded, at=NOW)
    arrays = sweep(lines_of(loaded.columns, asked, currency="EUR", buyers=(Buyer(),)), book=loaded, at=NOW)

    assert [whole.line(number).subtotal for number in range(2)] == ["10.00", "100.80"]
    assert [arrays.line(number) for number in range(2)] == [whole.line(number) for number in range(2)]


def test_an_answer_is_replayed_as_struct_or_as_bytes() -> None:
    loaded = load(content(row("1:10")), house_key=b"known to the house alone")
    asked = (LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="3"),)
    answer = quote(QuoteRequest(buyer=Buyer(), currency="EUR", lines=asked), book=loaded, at=NOW)
    leaves = loaded.leaves_for(answer)

    found = replay(answer, leaves)

    assert found.findings == ()
    assert found == replay(msgspec.json.encode(answer), msgspec.json.encode(leaves))
