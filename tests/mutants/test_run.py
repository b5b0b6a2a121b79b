"""The judge of the mutants: what is listed, what is not, and how many are enough."""

import pytest

from tests.mutants.run import LISTINGS, Listed, Tried, _change, _function, _judge, _listed, _listed_on

PAGE = """# Do the tests notice?

    no fence, no entry

## Survivors

### A reason

```
a.py one: - x + y
~ a\\.py two: .*
```

## Something else

```
a.py three: - x + y
```
"""


def test_a_page_lists_changes_and_patterns_under_their_reasons() -> None:
    assert list(_listed_on(PAGE)) == [
        Listed("a.py one: - x + y", "A reason"),
        Listed(r"~ a\.py two: .*", "A reason"),
    ]


@pytest.mark.parametrize(
    ("text", "change", "covered"),
    [
        ("a.py one: - x + y", "a.py one: - x + y", True),
        ("a.py one: - x + y", "a.py one: - x + y z", False),
        (r"~ a\.py one: .*", "a.py one: - x + y", True),
        (r"~ a\.py one", "a.py one: - x + y", False),
        ("a.py one: .*", "a.py one: - x + y", False),
    ],
)
def test_a_change_is_covered_as_it_stands_or_by_a_pattern_of_all_of_it(text: str, change: str, covered: bool) -> None:
    assert Listed(text, "").covers(change) is covered


def tried(killed: int, *survivors: str, of: str = "a.py") -> Tried:
    return Tried(of, killed + len(survivors), killed, {str(number): said for number, said in enumerate(survivors)})


def test_enough_killed_and_every_survivor_listed_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    listed = list(_listed_on(PAGE))

    assert _judge([tried(18, "a.py one: - x + y", "a.py two: - x + y")], listed, whole=True) == 0
    assert "20 mutants    18 killed    2 survived   90.0 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (tried(20, "a.py one: - x + z"), "NOT LISTED 0\n  a.py one: - x + z"),
        (tried(20, "a.py one: - x + y", "a.py one: - x + y"), "NOT LISTED 1\n  a.py one: - x + y"),
        (tried(8, "a.py one: - x + y"), "Fewer than 90 %"),
    ],
)
def test_an_unlisted_survivor_or_too_many_are_not(found: Tried, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _judge([found], list(_listed_on(PAGE)), whole=True) == 1
    assert said in capsys.readouterr().out


def test_what_is_listed_but_killed_is_said_where_its_file_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    listed = list(_listed_on(PAGE))

    assert _judge([tried(20, of="b.py")], listed, whole=False) == 0
    assert "KILLED OR GONE" not in capsys.readouterr().out
    assert _judge([tried(20)], listed, whole=False) == 0
    assert "LISTED, BUT KILLED OR GONE: a.py one: - x + y" in capsys.readouterr().out


def test_a_mutant_is_named_by_its_function_and_its_change() -> None:
    diff = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n def one():\n-    return 1\n+    return 2\n"

    assert _change(diff) == "- return 1 + return 2"
    assert _function("kernel.money.xǁMoneyǁparse__mutmut_3") == "Money.parse"
    assert _function("kernel.money.x__same__mutmut_12") == "_same"


def test_the_pages_own_patterns_compile_and_its_reasons_are_said() -> None:
    assert list(_listed(LISTINGS))
    for line in _listed(LISTINGS):
        assert line.reason
        line.covers("")
