"""Loading a book, naming it, and what may not be in it."""

from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest

from pricing.engine import BookContent, BookError, Buyer, MemoryBook, leaf_digest, leaves, root
from pricing.engine.book import (
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Combine,
    Conditions,
    Cost,
    CurrencyPrice,
    FixedPriceEffect,
    Group,
    Layer,
    Level,
    MarginLimit,
    Package,
    PercentEffect,
    PercentStep,
    PriceLimit,
    QuantityRule,
    QuantityTableEffect,
    Scope,
    Side,
    SkuFacts,
    Tier,
    UnitFact,
)
from pricing.engine.leaves import DuplicateKey, root_of_digests
from pricing.engine.memo import Memo
from pricing.engine.rules import admits
from tests.pricing.engine.cast import (
    CHAIR,
    GLOBEX,
    NOW,
    STOOL,
    book,
    content,
    day,
    in_euro,
    layer,
    only,
    public,
    row,
    rule,
    total,
)

EUROS = (CurrencyPrice(currency="EUR", price="1"),)
ALL = Scope(everything=True)


def floor(limit: Any) -> Bound:
    return Bound(code="B", side=Side.FLOOR, scope=ALL, limit=limit)


def table(*steps: tuple[str, str]) -> QuantityTableEffect:
    return QuantityTableEffect(steps=tuple(PercentStep(from_=begin, percent=off) for begin, off in steps))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"rows": (row("1:10", of="NONE"),)}, "unknown list NONE"),
        ({"rows": (row("1:10", sku="NONE"),)}, "unknown SKU NONE"),
        ({"costs": (Cost(sku="NONE", currency="EUR", cost="1"),)}, "unknown SKU NONE"),
        ({"skus": (CHAIR, CHAIR)}, "declared twice"),
        ({"rows": (row("1:10", unit="pallet"),)}, "has no unit pallet"),
        ({"rows": (row("1:10"), row("1:9"))}, "valid at the same time"),
        ({"rows": (row("1:10", starts_at=day(1)), row("1:9", ends_at=day(2)))}, "valid at the same time"),
        ({"rows": (row("1:10", ends_at=day(3)), row("1:9", starts_at=day(2)))}, "valid at the same time"),
        ({"rows": (row("10:10 1:9"),)}, "tiers must ascend"),
        ({"rows": (row(">1:10 1:9"),)}, "tiers must ascend"),
        ({"rows": (row("1:10 1:9"),)}, "tiers must ascend"),
        ({"rows": (row("-1:10"),)}, "begins below 0"),
        ({"rows": (row("1:-10"),)}, "below 0"),
        ({"rows": (row("1:10+-1"),)}, "below 0"),
        ({"rows": (row("1:10 2:9", model="flat"),)}, "a flat row has one tier"),
        ({"rows": (row(">0:10", model="package"),)}, "says what a package is"),
        ({"rows": (row(">0:10", package=Package(size="1")),)}, "says what a package is"),
        ({"rows": (row(">0:10", model="package", package=Package(size="0")),)}, "more than 0 units"),
        ({"rows": (row(">0:10", model="package", package=Package(size="1", free="-1")),)}, "no fewer than 0"),
        ({"rows": (row("0:10", model="graduated"),)}, "stated by `above`"),
        ({"rows": (row(">1:10", model="graduated"),)}, "stated by `above`"),
        ({"rows": (row(">0:10 5:9", model="graduated"),)}, "stated by `above`"),
        ({"rows": (row("1:10.50"),)}, "malformed"),
        ({"rows": (row("1:1e5"),)}, "malformed"),
        ({"rows": (row("1:10", starts_at=day(2), ends_at=day(2)),)}, "ends before it starts"),
        ({"rows": (row("1:10", starts_at=NOW.astimezone(timezone(timedelta(hours=1)))),)}, "in UTC"),
        ({"skus": (SkuFacts(sku="A", units=(UnitFact(unit="box", factor="12"),)),)}, "has factor 1"),
        ({"skus": (SkuFacts(sku="A", units=(UnitFact(unit="each"), UnitFact(unit="each", factor="2"))),)}, "twice"),
        ({"skus": (SkuFacts(sku="A", units=(UnitFact(unit="each"), UnitFact(unit="box", factor="0"))),)}, "above 0"),
        ({"costs": (Cost(sku="STOOL", currency="EUR", cost="1"),) * 2}, "one cost per currency"),
        ({"costs": (Cost(sku="STOOL", currency="EUR", cost="-1"),)}, "none below 0"),
        ({"lists": (public(), public())}, "LIST is used twice"),
        ({"lists": (public(currency="XXX"),)}, "XXX is no currency"),
        ({"lists": (public(currency="euro"),)}, "malformed"),
        ({"lists": (public(starts_at=day(2), ends_at=day(1)),)}, "ends before it starts"),
        ({"layers": (layer("unit", "a", "a"),)}, "two groups of one code"),
        ({"layers": (layer("unit", *(f"G{number}" for number in range(101))),)}, "more than 100 groups"),
        ({"adjustments": (rule("R", "5", layer="none"),)}, "unknown layer none"),
        ({"adjustments": (rule("R", "5", group="none"),)}, "unknown group none"),
        ({"adjustments": (rule("R", "-5"),)}, "-5 is negative"),
        ({"adjustments": (rule("R", "100.1"),)}, "more than everything"),
        ({"adjustments": (rule("R", PercentEffect(percent="-5", surcharge=True)),)}, "negative"),
        ({"adjustments": (rule("R", AmountEffect(amount="5")),)}, "exactly one currency"),
        ({"adjustments": (rule("R", AmountEffect(amount="-5"), conditions=in_euro()),)}, "negative"),
        ({"adjustments": (rule("R", FixedPriceEffect(price="5")),)}, "exactly one currency"),
        ({"adjustments": (rule("R", FixedPriceEffect(price="5"), layer="line", conditions=in_euro()),)}, "unit level"),
        ({"adjustments": (rule("R", table(("1", "5")), layer="order"),)}, "unit or line level"),
        ({"adjustments": (rule("R", table(("5", "5"), ("5", "6"))),)}, "must ascend"),
        ({"adjustments": (rule("R", BuyGetEffect(buy="1", get="1")),)}, "line level"),
        ({"adjustments": (rule("R", BuyGetEffect(buy="0", get="1"), layer="line"),)}, "above 0"),
        ({"adjustments": (rule("R", "5", conditions=Conditions(currencies=("XXX",))),)}, "XXX is no currency"),
        ({"adjustments": (rule("R", "5", layer="order", conditions=Conditions(min_quantity="1")),)}, "no quantity"),
        ({"adjustments": (rule("R", "5", conditions=in_euro(min_subtotal="1")),)}, "belong to the line level"),
        (
            {"adjustments": (rule("R", "5", layer="order", conditions=in_euro(min_line_amount="1")),)},
            "belong to the line level",
        ),
        ({"adjustments": (rule("R", "5", layer="line", conditions=Conditions(min_subtotal="1")),)}, "exactly one curr"),
        ({"adjustments": (rule("R", "5", starts_at=NOW, ends_at=NOW),)}, "ends before it starts"),
        ({"bounds": (floor(PriceLimit(prices=EUROS * 2)),)}, "EUR is stated twice"),
        ({"bounds": (floor(MarginLimit(percent="100")),)}, "no price has a margin"),
        ({"quantity_rules": (QuantityRule(code="Q", scope=ALL, minimum="-1"),)}, "negative"),
        ({"quantity_rules": (QuantityRule(code="Q", scope=ALL, multiple="0"),)}, "allows no quantity"),
    ],
)
def test_what_cannot_be_priced_is_not_loaded(more: dict[str, Any], says: str) -> None:
    with pytest.raises(BookError, match=says):
        MemoryBook(content(*more.pop("rows", ()), **more), root="sha256:test")


def test_a_fixed_price_cannot_be_summed() -> None:
    summed = Layer(code="unit", level=Level.UNIT, combine=Combine.SUM, groups=(Group(code="first"),))
    with pytest.raises(BookError, match="cannot be summed"):
        book(layers=(summed,), adjustments=(rule("R", FixedPriceEffect(price="5"), conditions=in_euro()),))


@pytest.mark.parametrize("tier", [Tier(unit_price="1"), Tier(unit_price="1", from_="0", above="0")])
def test_a_tier_states_one_lower_bound(tier: Tier) -> None:
    with pytest.raises(BookError, match="either `from` or `above`"):
        book(msgspec.structs.replace(row("0:1"), tiers=(tier,)))


def test_rows_that_follow_each_other_do_not_overlap() -> None:
    rows = row("0:1", ends_at=day(2)), row("0:3", starts_at=day(5)), row("0:2", starts_at=day(2), ends_at=day(5))

    assert book(*rows).entry("CRUNCHY-ARMCHAIR") is not None
    assert book(*rows).entry("NONE") is None


def test_content_survives_json_and_msgpack_unchanged() -> None:
    rich = content(row("1:10 >10:8+1", starts_at=day(1)), adjustments=(rule("R", table(("1", "5"))),))

    assert msgspec.json.decode(msgspec.json.encode(rich), type=BookContent) == rich
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(rich), type=BookContent) == rich


def test_what_content_does_not_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"skus":[{"sku":"A","colour":"red"}]}', type=BookContent)


FULL = content(
    row("1:10"),
    row("1:30", sku="STOOL"),
    adjustments=(rule("R", "5"), rule("S", "6")),
    bounds=(floor(PriceLimit(prices=EUROS)),),
    quantity_rules=(QuantityRule(code="Q", scope=ALL, minimum="1"),),
    costs=(Cost(sku="STOOL", currency="EUR", cost="1"),),
)


def test_the_same_content_has_the_same_root_whatever_its_order() -> None:
    shuffled = msgspec.structs.replace(
        FULL, rows=FULL.rows[::-1], skus=FULL.skus[::-1], adjustments=FULL.adjustments[::-1]
    )

    assert root(FULL, b"house") == root(shuffled, b"house")
    assert root(FULL, b"house").startswith("sha256:")
    assert root(FULL, b"other") != root(FULL, b"house")


def test_a_root_once_published_is_found_again_by_later_versions_of_this_program() -> None:
    """A change here renames every published book: give old content its old bytes instead."""
    assert root(FULL, b"house") == "sha256:8bfe343dd3bbccacbc3bd1511ef86c97b49ba43331caad1a5d7fc49e491985e4"


@pytest.mark.parametrize(
    "more",
    [
        {"rows": (row("1:10.01"), row("1:30", sku="STOOL"))},
        {"skus": (*FULL.skus[:2], msgspec.structs.replace(STOOL, brand="b"))},
        {"layers": FULL.layers[::-1]},
        {"costs": ()},
        {"strategy": "lowest"},
    ],
)
def test_any_change_changes_the_root(more: dict[str, Any]) -> None:
    assert root(msgspec.structs.replace(FULL, **more), b"house") != root(FULL, b"house")


def test_a_reader_of_some_leaves_recomputes_the_root() -> None:
    found = leaves(FULL, b"house")
    seen = [leaf for leaf in found if leaf.kind == "row"]
    bare = [leaf.digest for leaf in found if leaf.kind != "row"]

    shown = [leaf_digest(leaf.kind, leaf.key, leaf.content, leaf.salt) for leaf in seen]

    assert root_of_digests([*bare, *shown]) == root(FULL, b"house")
    assert len({leaf.salt for leaf in found}) == len(found)


def test_equal_keys_have_no_root() -> None:
    with pytest.raises(DuplicateKey, match="LIST / STOOL / each"):
        leaves(content(row("1:10", sku="STOOL"), row("1:9", sku="STOOL")), b"house")


def test_what_is_remembered_is_bounded_and_the_oldest_goes() -> None:
    memo: Memo[str, int] = Memo(limit=2)

    for number, key in enumerate(("a", "b", "a", "c")):
        assert memo.keep(key, number) == number

    assert memo == {"b": 1, "c": 3}


@pytest.mark.parametrize(
    ("audience", "admitted"),
    [
        (only(), True),
        (only(company="globex", segments=("trade", "craft"), countries=("DE",)), True),
        (only(company="acme"), False),
        (only(company="globex", segments=("craft",)), False),
        (only(company="globex", countries=("ES",)), False),
    ],
)
def test_an_audience_admits_whom_everything_it_states_matches(audience: Audience, admitted: bool) -> None:
    lists = public(priority=-1), public("SPECIAL", audience=audience, priority=1)
    of = book(row("1:10"), row("1:5", of="SPECIAL"), lists=lists)

    assert admits(audience, GLOBEX) is admitted
    assert total(of, "1 CRUNCHY-ARMCHAIR", buyer=GLOBEX) == ("5.00" if admitted else "10.00")


def test_a_reader_of_the_rules_meets_the_lists_and_rules_that_admit_a_buyer() -> None:
    one, other = rule("ONE", "5", conditions=in_euro()), rule("OTHER", "5", audience=only(company="acme"))
    rules = book(row("1:10"), adjustments=(one, other)).rules

    unit, line, order = rules.adjustments_for(CHAIR, GLOBEX)

    assert [found.code for _, members in unit for found in members] == ["ONE"]
    assert line == order == ()
    assert rules.adjustments_for(CHAIR, GLOBEX) == (unit, line, order)
    assert set(rules.lists_for("EUR", GLOBEX)) == {"LIST"}
    assert rules.lists_for("USD", GLOBEX) == rules.lists_for("no currency", GLOBEX) == {}


def test_buyers_whom_the_rules_do_not_tell_apart_share_what_was_found_for_one() -> None:
    rules = book(
        row("1:10"),
        lists=(public(), public("PRIVATE", audience=only(company="initech"))),
        adjustments=(
            rule("ONE", "5"),
            rule("OTHER", "5", audience=only(segments=("trade",))),
            rule("SOUTH", "5", conditions=Conditions(countries=("ES",))),
        ),
    ).rules
    acme, other, initech = (rules.view("EUR", Buyer(company=code, country="DE")) for code in ("acme", "x", "initech"))
    trade, abroad = rules.view("EUR", GLOBEX), rules.view("EUR", Buyer(company="acme", country="ES"))

    assert acme.group == other.group != initech.group
    assert acme.group == rules.view("EUR", Buyer(company="acme", country="FR")).group
    assert rules.matched(CHAIR, acme) is rules.matched(CHAIR, initech)
    assert len({view.group for view in (acme, trade, abroad, rules.view("USD", GLOBEX))}) == 4
