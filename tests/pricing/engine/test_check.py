"""What stops a publication."""

from typing import Any

import msgspec
import pytest

from pricing.engine import BookContent, Finding, LineRequest, QuoteRequest, Severity, check, finding_text, quote
from pricing.engine.book import Bound, Cost, CurrencyPrice, MarginLimit, PriceLimit, QuantityRule, Scope, Side
from pricing.engine.memory import MemoryBook
from pricing.engine.request import RefusedLine
from tests.pricing.engine.cast import CHAIR, NOW, ROPE, STOOL, content, day, layer, only, public, row, rule
from tests.pricing.engine.checking import asked

MARGIN = Bound(code="B", side=Side.FLOOR, scope=Scope(skus=("STOOL",)), limit=MarginLimit(percent="5"))
SOLD = row("1:10"), row("1:30", sku="STOOL"), row("1:1", sku="ROPE")


def found(of: BookContent) -> list[tuple[str, dict[str, str]]]:
    findings = check(of, at=NOW)
    for finding in findings:
        assert finding_text(finding, "en")
        assert finding_text(finding, "es")
    return [(finding.code, finding.params) for finding in findings]


def tie(*lists: Any, rows: Any = None) -> list[Finding]:
    rows = [row("1:10", of=one.code) for one in lists] if rows is None else rows
    of = content(*rows, lists=lists, skus=(CHAIR,))
    return [finding for finding in check(of, at=NOW) if finding.code == "possible_tie"]


def test_a_sound_book_has_no_findings() -> None:
    assert found(content(*SOLD, adjustments=(rule("R", "5"),))) == []


@pytest.mark.parametrize(
    ("more", "code", "params"),
    [
        (
            {"adjustments": (rule("R", "5"), rule("R", "6"))},
            "duplicate_key",
            {"kind": "adjustment", "key": "R"},
        ),
        (
            {"adjustments": (rule("R", "5", scope=Scope(everything=True, excluded_skus=("NONE",))),)},
            "unknown_reference",
            {"kind": "adjustment", "key": "R", "what": "sku", "name": "NONE"},
        ),
        (
            {"costs": (Cost(sku="NONE", currency="EUR", cost="1"),)},
            "unknown_reference",
            {"kind": "cost", "key": "EUR", "what": "sku", "name": "NONE"},
        ),
        (
            {"adjustments": (rule("R", "120"),)},
            "not_loadable",
            {"detail": "Adjustment R: 120 % off is more than everything."},
        ),
        (
            {"layers": (layer("unit", "a", "a"),)},
            "not_loadable",
            {"detail": "Layer unit has two groups of one code."},
        ),
        (
            {"costs": (Cost(sku="STOOL", currency="EUR", cost="-1"),)},
            "not_loadable",
            {"detail": "SKU STOOL: one cost per currency, and none below 0."},
        ),
        (
            {"bounds": (MARGIN,)},
            "bound_not_covered",
            {"bound": "B", "currency": "EUR", "sku": "STOOL"},
        ),
        (
            {"adjustments": (rule("R", "5", scope=Scope(brands=("none",))),)},
            "matches_nothing",
            {"kind": "adjustment", "key": "R"},
        ),
        (
            {"quantity_rules": (QuantityRule(code="Q", scope=Scope(), minimum="1"),)},
            "matches_nothing",
            {"kind": "quantity_rule", "key": "Q"},
        ),
        ({"skus": (CHAIR, ROPE, STOOL, msgspec.structs.replace(STOOL, sku="NEW"))}, "never_priced", {"sku": "NEW"}),
    ],
)  # fmt: skip
def test_each_fault_is_named(more: dict[str, Any], code: str, params: dict[str, str]) -> None:
    assert found(content(*SOLD, **more)) == [(code, params)]


def test_rows_of_unknown_lists_and_skus_are_named() -> None:
    of = content(*SOLD, row("1:1", of="NONE"), row("1:1", sku="NONE"))

    assert found(of) == [
        (
            "unknown_reference",
            {"kind": "row", "key": "NONE / CRUNCHY-ARMCHAIR / each", "what": "list", "name": "NONE"},
        ),
        ("unknown_reference", {"kind": "row", "key": "LIST / NONE / each", "what": "sku", "name": "NONE"}),
    ]


def test_all_faults_are_reported_errors_first() -> None:
    of = content(*SOLD, adjustments=(rule("A", "-5"), rule("B", "500"), rule("C", "5", scope=Scope())))

    findings = check(of, at=NOW)

    assert [finding.code for finding in findings] == ["not_loadable", "not_loadable", "matches_nothing"]
    assert [finding.severity for finding in findings] == [Severity.ERROR, Severity.ERROR, Severity.WARNING]


def test_overlapping_rows_are_shown_with_an_instant() -> None:
    rows = (
        row("1:1", ends_at=day(1, 12)),
        row("1:2", starts_at=day(30), ends_at=day(9, 12)),
        row("1:3", starts_at=day(9, 12)),
    )
    (finding,) = check(content(*rows, skus=(CHAIR,)), at=NOW)

    assert finding.code == "overlapping_windows"
    assert finding.params["at"] == "2026-11-30T00:00:00Z"
    assert finding.witness is not None
    assert (finding.witness.sku, finding.witness.at) == ("CRUNCHY-ARMCHAIR", day(30))


def test_an_overlap_in_the_past_is_shown_at_its_last_instant() -> None:
    rows = row("1:1", ends_at=day(1)), row("1:2", ends_at=day(2)), row("1:2", of="NONE"), row("1:2", of="NONE")
    findings = check(content(*rows, skus=(CHAIR,)), at=NOW)
    shown = [finding.witness.at for finding in findings if finding.witness is not None]

    assert len(shown) == 1
    assert shown[0] < day(1)


@pytest.mark.parametrize(
    "lists",
    [
        (public("A"), public("B")),
        (public("A", audience=only(segments=("x", "y"))), public("B", audience=only(segments=("z",)))),
        (public("A", audience=only(company="acme")), public("B", audience=only(company="acme"))),
        (public("A", audience=only(countries=("DE", "ES"))), public("B", audience=only(countries=("FR", "ES")))),
        (public("A", starts_at=day(1, 12)), public("B", ends_at=day(2, 12))),
    ],
)
def test_lists_one_buyer_could_meet_at_equal_rank_tie_and_the_witness_shows_it(lists: Any) -> None:
    (finding,) = tie(*lists)

    assert finding.params == {"one": "A", "other": "B", "sku": "CRUNCHY-ARMCHAIR"}
    witness = finding.witness
    assert witness is not None
    of = MemoryBook(content(*(row("1:10", of=one.code) for one in lists), lists=lists), root="r")
    request = QuoteRequest(
        buyer=witness.buyer,
        currency=witness.currency,
        lines=(LineRequest(sku=witness.sku, quantity=witness.quantity, unit=witness.unit),),
    )
    (line,) = quote(request, book=of, at=witness.at).lines
    assert isinstance(line, RefusedLine)
    assert line.reason == "ambiguous_price"


@pytest.mark.parametrize(
    "lists",
    [
        (public("A"), public("B", priority=1)),
        (public("A"), public("B", currency="USD")),
        (public("A"), public("B", audience=only(segments=("x",)))),
        (public("A", audience=only(company="acme")), public("B", audience=only(company="globex"))),
        (public("A", audience=only(countries=("DE",))), public("B", audience=only(countries=("ES",)))),
        (public("A", ends_at=NOW), public("B", starts_at=NOW)),
    ],
)
def test_lists_that_never_meet_do_not_tie(lists: Any) -> None:
    assert tie(*lists) == []


def test_lists_tie_by_the_rows_they_share() -> None:
    two = public("A"), public("B")

    assert tie(*two, rows=[row("1:1", of="A"), row("1:1", of="B", starts_at=day(1), ends_at=day(2))])
    assert tie(*two, rows=[row("1:1", of="A", unit="box"), row("5:1", of="B")])[0].witness is not None
    assert not tie(*two, rows=[row("1:1", of="A")])
    assert not tie(*two, rows=[row("1:1", of="A", ends_at=day(1)), row("1:1", of="B", starts_at=day(1))])


def test_the_witness_buys_enough_to_reach_both_rows() -> None:
    (finding,) = tie(public("A"), public("B"), rows=[row("5:1", of="A"), row(">7:1", of="B")])

    assert finding.witness is not None
    assert finding.witness.quantity == "8"


def test_a_floor_above_a_ceiling_is_named() -> None:
    def bound(side: Side, limit: Any) -> Bound:
        return Bound(code=side, side=side, scope=Scope(skus=("STOOL",)), limit=limit)

    low = PriceLimit(prices=(CurrencyPrice(currency="EUR", price="5"),))
    costs = (Cost(sku="STOOL", currency="EUR", cost="3"),)
    floor, ceiling = bound(Side.FLOOR, MarginLimit(percent="50")), bound(Side.CEILING, low)

    assert found(content(*SOLD, bounds=(floor, ceiling), costs=costs)) == [
        ("floor_above_ceiling", {"sku": "STOOL", "currency": "EUR", "floor": "floor", "ceiling": "ceiling"})
    ]
    assert found(content(*SOLD, bounds=(ceiling,), costs=costs)) == []


def test_a_break_group_counts_one_unit() -> None:
    rope, stool = (msgspec.structs.replace(facts, break_group="g") for facts in (ROPE, STOOL))

    chair = msgspec.structs.replace(CHAIR, break_group="alone")

    assert found(content(*SOLD, skus=(chair, rope, stool))) == [
        ("mixed_break_group", {"group": "g", "units": "each, metre"})
    ]


def test_what_stands_beside_a_tie_is_left_alone() -> None:
    lists = public("A"), public("B"), public("C", priority=1)
    (finding,) = tie(*lists)

    assert finding.params["other"] == "B"


def test_errors_of_many_skus_are_told_once_with_a_question_that_is_refused() -> None:
    both = Scope(skus=("STOOL", "ROPE"))
    costs = Cost(sku="STOOL", currency="USD", cost="1"), Cost(sku="ROPE", currency="USD", cost="1")
    margin = msgspec.structs.replace(MARGIN, scope=both)
    (finding,) = check(content(*SOLD, bounds=(margin,), costs=costs), at=NOW)

    assert finding.params == {"bound": "B", "currency": "EUR", "sku": "ROPE", "count": "2", "others": "STOOL"}
    assert finding_text(finding, "es").endswith("En total 2 SKU, entre ellos STOOL.")
    line = asked(content(*SOLD, bounds=(margin,), costs=costs), finding.witness)
    assert isinstance(line, RefusedLine)
    assert line.reason == "bound_not_covered"


def test_skus_without_any_price_are_told_once() -> None:
    skus = (CHAIR, *(msgspec.structs.replace(STOOL, sku=f"NEW-{number}") for number in range(6)))
    (finding,) = check(content(SOLD[0], skus=skus), at=NOW)

    assert finding.params == {"sku": "NEW-0", "count": "6", "others": "NEW-1, NEW-2, NEW-3"}
    assert isinstance(asked(content(SOLD[0], skus=skus), finding.witness), RefusedLine)
