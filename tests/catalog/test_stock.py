import asyncio
import uuid
from collections.abc import Mapping
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from catalog.model import Sku, Stock
from catalog.service import Catalog, InsufficientStock, Shortage, UnknownStock
from kernel.db import for_staff, for_visitor

Counts = dict[str, tuple[Decimal, ...]]


def decimals(*values: str | int) -> tuple[Decimal, ...]:
    return tuple(Decimal(value) for value in values)


async def ids(catalog: Catalog, *codes: str) -> list[uuid.UUID]:
    found = await catalog.find_skus(codes)
    return [found[code].id for code in codes]


async def counts(catalog: Catalog) -> Counts:
    async with catalog.db.begin(for_staff()) as session:
        rows = await session.execute(
            sa.select(Sku.code, Stock.on_hand, Stock.reserved, Stock.sold).join(Stock, Stock.sku_id == Sku.id)
        )
        return {code: (on_hand, reserved, sold) for code, on_hand, reserved, sold in rows}


async def move(catalog: Catalog, verb: str, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    async with catalog.db.begin(for_visitor()) as session:
        await {"reserve": catalog.reserve, "sell": catalog.sell, "release": catalog.release}[verb](session, quantities)


async def test_base_units_go_from_on_hand_to_reserved_to_sold_or_back(catalog: Catalog) -> None:
    bolt, hose = await ids(catalog, "HB-88-M8X40", "HOSE-PU-8-BLUE")

    await move(catalog, "reserve", {bolt: Decimal(200), hose: Decimal("2.5")})
    reserved = await counts(catalog)
    await move(catalog, "sell", {bolt: Decimal(150)})
    await move(catalog, "release", {bolt: Decimal(50), hose: Decimal("2.5")})
    after = await counts(catalog)

    assert reserved["HB-88-M8X40"] == decimals(18000, 200, 0)
    assert reserved["HOSE-PU-8-BLUE"] == decimals(10, "2.5", 0)
    assert after["HB-88-M8X40"] == decimals(18050, 0, 150)
    assert after["HOSE-PU-8-BLUE"] == decimals("12.5", 0, 0)


async def test_an_order_gets_all_of_its_lines_or_none_and_hears_of_every_shortage(catalog: Catalog) -> None:
    bolt, armchair, screw = await ids(catalog, "HB-88-M8X40", "CRUNCHY-ARMCHAIR", "WS-5X60")
    before = await counts(catalog)

    with pytest.raises(InsufficientStock) as refused:
        await move(catalog, "reserve", {bolt: Decimal(5), screw: Decimal(1), armchair: Decimal(2)})

    assert refused.value.lines == (
        Shortage("CRUNCHY-ARMCHAIR", Decimal(2), Decimal(1)),
        Shortage("WS-5X60", Decimal(1), Decimal(0)),
    )
    assert refused.value.status == 409
    assert refused.value.extra["lines"] == [
        {"sku": "CRUNCHY-ARMCHAIR", "asked": "2", "available": "1"},
        {"sku": "WS-5X60", "asked": "1", "available": "0"},
    ]
    assert await counts(catalog) == before


async def test_a_sku_nobody_knows_is_short(catalog: Catalog) -> None:
    with pytest.raises(InsufficientStock):
        await move(catalog, "reserve", {uuid.uuid4(): Decimal(1)})


@pytest.mark.parametrize("verb", ["sell", "release"])
async def test_what_is_not_reserved_is_neither_sold_nor_released(catalog: Catalog, verb: str) -> None:
    bolt, armchair = await ids(catalog, "HB-88-M8X40", "CRUNCHY-ARMCHAIR")
    await move(catalog, "reserve", {bolt: Decimal(10), armchair: Decimal(1)})
    before = await counts(catalog)

    with pytest.raises(UnknownStock):
        await move(catalog, verb, {armchair: Decimal(1), bolt: Decimal(11)})

    assert await counts(catalog) == before


async def test_the_last_unit_goes_to_one_of_sixteen_buyers(catalog: Catalog) -> None:
    (armchair,) = await ids(catalog, "CRUNCHY-ARMCHAIR")

    answers = await asyncio.gather(
        *(move(catalog, "reserve", {armchair: Decimal(1)}) for _ in range(16)), return_exceptions=True
    )

    assert answers.count(None) == 1
    assert sum(isinstance(answer, InsufficientStock) for answer in answers) == 15
    assert (await counts(catalog))["CRUNCHY-ARMCHAIR"] == decimals(0, 1, 0)


async def test_orders_over_the_same_skus_in_opposite_order_do_not_block_each_other(catalog: Catalog) -> None:
    bolt, hose = await ids(catalog, "HB-88-M8X40", "HOSE-PU-8-BLUE")

    await asyncio.gather(
        *(
            move(catalog, "reserve", {first: Decimal(1), second: Decimal(1)})
            for first, second in [(bolt, hose), (hose, bolt)] * 6
        )
    )

    after = await counts(catalog)
    assert after["HB-88-M8X40"] == decimals(18188, 12, 0)
    assert after["HOSE-PU-8-BLUE"] == decimals("0.5", 12, 0)


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "0.0000001"])
async def test_a_move_of_nothing_less_than_nothing_or_too_fine_is_a_fault(catalog: Catalog, quantity: str) -> None:
    (bolt,) = await ids(catalog, "HB-88-M8X40")

    with pytest.raises(AssertionError, match="stock"):
        await move(catalog, "reserve", {bolt: Decimal(quantity)})


async def test_the_database_itself_refuses_a_negative_count(catalog: Catalog) -> None:
    with pytest.raises(IntegrityError, match="ck_stock_on_hand_not_negative"):
        async with catalog.db.begin(for_staff()) as session:
            await session.execute(sa.update(Stock).values(on_hand=-1))


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "sell", "release"]),
        st.dictionaries(st.sampled_from([0, 1, 2]), st.decimals("0.5", "9", places=1), min_size=1),
    ),
    max_size=8,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_no_moves_change_the_sum_or_make_a_count_negative(
    catalog: Catalog, moves: list[tuple[str, dict[int, Decimal]]]
) -> None:
    skus = await ids(catalog, "HOSE-PU-8-BLUE", "CRUNCHY-ARMCHAIR", "WS-5X60")
    sums = {code: sum(three) for code, three in (await counts(catalog)).items()}

    for verb, quantities in moves:
        try:
            await move(catalog, verb, {skus[at]: quantity for at, quantity in quantities.items()})
        except (InsufficientStock, UnknownStock):
            continue

    after = await counts(catalog)
    assert {code: sum(three) for code, three in after.items()} == sums
    assert all(count >= 0 for three in after.values() for count in three)
