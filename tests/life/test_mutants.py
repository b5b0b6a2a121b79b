"""The machine falls over mistakes that somebody could make: a few of them here, all by `make machine-mutants`."""

import pytest

from tests.life.mutants import BEGIN, END, MUTANTS, PAGE, tried, unfit

ALWAYS = ("fresh-key-per-send", "trust-the-events-body", "stock-returned-twice")
"""Those that each test run tries: they fall within a few lives."""


def test_each_mutant_still_fits_the_source() -> None:
    assert [line for mutant in MUTANTS for line in unfit(mutant)] == []


def test_the_table_names_each_mutant_and_none_survived() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = page.split(BEGIN)[1].split(END)[0].splitlines()[3:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [mutant.name for mutant in MUTANTS]
    assert "**survived**" not in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ALWAYS)
def test_the_machine_kills(name: str) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    assert tried(mutant).why is not None
