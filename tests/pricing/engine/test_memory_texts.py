"""What a book that cannot be loaded says: which object, and what is wrong with it."""

from typing import Any

import msgspec
import pytest

from pricing.engine import MemoryBook
from pricing.engine.book import Cost, Package, RowModel, SkuFacts, Tier, UnitFact
from pricing.engine.rules import BookError
from tests.pricing.engine.cast import CHAIR, ROPE, STOOL, content, day, row

PACKAGE = Package(size="3")
CHAIRS = "SKU CRUNCHY-ARMCHAIR"


def units(*said: UnitFact) -> SkuFacts:
    return SkuFacts(sku="STOOL", units=said)


def tiered(*said: Tier, **more: Any) -> Any:
    return msgspec.structs.replace(row("1:10"), tiers=said, model=more.pop("model", "volume"), **more)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (content(skus=(STOOL, STOOL)), "A SKU is declared twice."),
        (content(row("1:10", sku="SOFA")), "A row of list LIST prices the unknown SKU SOFA."),
        (content(row("1:10", of="ATTIC")), "A row of SKU CRUNCHY-ARMCHAIR names the unknown list ATTIC."),
        (content(costs=(Cost(sku="SOFA", currency="EUR", cost="1"),)), "A cost names the unknown SKU SOFA."),
        (
            content(row("1:10", unit="pallet")),
            f"{CHAIRS}, list LIST: the SKU has no unit pallet.",
        ),
        (
            content(row("1:10"), row("1:11")),
            f"{CHAIRS}, list LIST: two rows per each are valid at the same time.",
        ),
        (
            content(costs=(Cost(sku="ROPE", currency="EUR", cost="-1"),)),
            "SKU ROPE: one cost per currency, and none below 0.",
        ),
        (
            content(skus=(units(UnitFact(unit="each", factor="2")),)),
            "SKU STOOL: the first unit is the base unit and has factor 1.",
        ),
        (
            content(skus=(units(UnitFact(unit="each"), UnitFact(unit="each", factor="2")),)),
            "SKU STOOL: a unit is declared twice.",
        ),
        (
            content(skus=(units(UnitFact(unit="each"), UnitFact(unit="box", factor="0")),)),
            "SKU STOOL: a unit's factor must be above 0.",
        ),
        (content(row("10:8 1:10")), f"{CHAIRS}, list LIST: tiers must ascend."),
        (content(row("1:10 1:8")), f"{CHAIRS}, list LIST: tiers must ascend."),
        (content(row("1:-1")), f"{CHAIRS}, list LIST: a price or fee below 0."),
        (
            content(row("1:10 2:9", model="flat")),
            f"{CHAIRS}, list LIST: a flat row has one tier; several make a volume or graduated row.",
        ),
        (
            content(row(">0:10", model="package")),
            f"{CHAIRS}, list LIST: a package row, and no other, says what a package is.",
        ),
        (
            content(row(">0:10", model="package", package=Package(size="0"))),
            f"{CHAIRS}, list LIST: a package holds more than 0 units, and no fewer than 0 are free.",
        ),
        (
            content(row(">0:10 5:8", model="package", package=PACKAGE)),
            f"{CHAIRS}, list LIST: the tiers of a package row are stated by `above`, the first above 0.",
        ),
        (
            content(row(">1:10", model="graduated")),
            f"{CHAIRS}, list LIST: the tiers of a graduated row are stated by `above`, the first above 0.",
        ),
        (
            content(tiered(Tier(unit_price="10"))),
            f"{CHAIRS}, list LIST: a tier states either `from` or `above`.",
        ),
        (
            content(tiered(Tier(from_="-1", unit_price="10"))),
            f"{CHAIRS}, list LIST: a tier begins below 0.",
        ),
    ],
)
def test_a_book_that_cannot_be_loaded_says_what_to_mend(of: Any, said: str) -> None:
    with pytest.raises(BookError) as refused:
        MemoryBook(of, root="r")

    assert refused.value.message == said


def test_a_window_that_ends_before_it_begins_is_said_with_its_row() -> None:
    with pytest.raises(BookError, match=rf"^{CHAIRS}, list LIST"):
        MemoryBook(content(row("1:10", starts_at=day(2), ends_at=day(1))), root="r")


def test_a_malformed_object_is_said_with_its_sku() -> None:
    nouns = content(row("1:10"))
    broken = msgspec.structs.replace(nouns, rows=(msgspec.structs.replace(nouns.rows[0], model="spiral"),))

    with pytest.raises(BookError, match=rf"^{CHAIRS} is malformed: Invalid enum value 'spiral'"):
        MemoryBook(broken, root="r")


def test_rows_that_follow_each_other_and_tiers_of_fractions_are_well() -> None:
    first, then = row("1:10", ends_at=day(25)), row("1:11", starts_at=day(25), ends_at=day(28))
    open_ended = row("1:12", starts_at=day(28))
    fine = row("0.000000000001:1 0.000000000002:2", sku="ROPE")

    MemoryBook(content(then, open_ended, first, fine, skus=(CHAIR, ROPE)), root="r")


@pytest.mark.parametrize(
    ("one", "other"), [({}, {"starts_at": day(25)}), ({"ends_at": day(26)}, {"starts_at": day(25)}), ({}, {})]
)
def test_rows_valid_at_the_same_time_are_refused_whichever_stands_first(one: Any, other: Any) -> None:
    for rows in ((row("1:10", **one), row("1:11", **other)), (row("1:11", **other), row("1:10", **one))):
        with pytest.raises(BookError, match="two rows per each are valid at the same time"):
            MemoryBook(content(*rows), root="r")


@pytest.mark.parametrize(("decimals", "well"), [(0, True), (12, True), (13, False), (-1, False)])
def test_a_unit_has_no_more_than_twelve_decimals(decimals: int, well: bool) -> None:
    facts = units(UnitFact(unit="each", decimals=decimals))
    if well:
        MemoryBook(content(skus=(facts,)), root="r")
        return
    with pytest.raises(BookError, match="SKU STOOL is malformed"):
        MemoryBook(content(skus=(facts,)), root="r")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("1:-1", f"{CHAIRS}, list LIST: a price or fee below 0."),
        ("1:1+-1", f"{CHAIRS}, list LIST: a price or fee below 0."),
        ("1:1e5", f"{CHAIRS} is malformed: Expected `str` matching regex"),
    ],
)
def test_a_bad_price_is_refused_in_a_row_that_is_well_otherwise(said: str, fault: str) -> None:
    with pytest.raises(BookError) as refused:
        MemoryBook(content(row(said, model=RowModel.FLAT)), root="r")

    assert refused.value.message.startswith(fault)


def test_half_a_character_of_a_sku_is_said_as_it_can_be_written() -> None:
    with pytest.raises(BookError) as refused:
        MemoryBook(content(skus=(SkuFacts(sku="STOOL-\ud800", brand="a\nb"),)), root="r")

    assert refused.value.message.startswith("SKU STOOL-\\ud800 is malformed: ")


def test_what_costs_nothing_and_tiers_a_trillionth_apart_are_well() -> None:
    fine = SkuFacts(sku="POWDER", units=(UnitFact(unit="gram", decimals=12),))
    said = "0:9 100000.000000000001:6 100000.000000000002:5"

    MemoryBook(
        content(
            row(said, sku="POWDER", unit="gram"),
            skus=(fine,),
            costs=(Cost(sku="POWDER", currency="EUR", cost="0"), Cost(sku="POWDER", currency="USD", cost="0.1")),
        ),
        root="r",
    )


@pytest.mark.parametrize(
    "bad", [{"brand": "a\nb"}, {"categories": ("a\nb",)}, {"break_group": "a\nb"}, {"tax_category": ""}]
)
def test_a_name_of_a_sku_that_is_no_code_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BookError, match=r"^SKU STOOL is malformed: Expected `str`"):
        MemoryBook(content(skus=(SkuFacts(sku="STOOL", **bad),)), root="r")
