"""What is read of orders and quotes to price them again is what they were priced by."""

from datetime import timedelta

from checkout.sold_lines import read_open_quotes, read_orders
from kernel.db import for_staff
from pricing.engine import BookContent, Buyer, QuoteRequest, TaxInput
from pricing.engine.columns import ColumnarBook
from pricing.impact import Side, Sold, compare
from tests.checkout.conftest import House, book
from tests.checkout.test_quoted import promise


async def orders_of(house: House, *, days: int = 30) -> Sold:
    now = house.clock.now() + timedelta(seconds=1)
    async with house.database.begin(for_staff()) as session:
        return await read_orders(session, now - timedelta(days=days), now)


def lines_of(sold: Sold) -> list[tuple[str, str, str, str, int]]:
    """(order, company, SKU, unit, millionths)"""
    return [
        (
            sold.orders[order],
            sold.buyers[sold.order_buyer[order]].company or "",
            sold.skus[sold.line_sku[line]],
            sold.units[sold.line_unit[line]],
            int(sold.quantities[line]),
        )
        for line, order in enumerate(sold.line_order.tolist())
    ]


async def test_orders_come_with_their_buyers_taxes_and_lines(house: House) -> None:
    await house.fill(house.acme, "HOSE", "1.25")
    first = await house.place()
    house.clock.advance(seconds=5)
    second = await house.place(house.globex, "MANUAL", "7")

    sold = await orders_of(house)

    assert lines_of(sold) == [
        (first.number, "acme", "HOSE", "metre", 1_250_000),
        (first.number, "acme", "CRUNCHY-ARMCHAIR", "each", 2_000_000),
        (second.number, "globex", "MANUAL", "each", 7_000_000),
    ]
    assert sold.buyers[sold.order_buyer[0]] == Buyer(company="acme", segments=(), country="ES")
    assert sold.currencies == ["EUR"]
    tax = sold.taxes[sold.order_tax[0]]
    assert isinstance(tax, TaxInput)
    assert {rate.category: rate.percent for rate in tax.rates}["standard"] == "21"
    QuoteRequest(buyer=sold.buyers[0], currency="EUR", lines=(), tax=tax)


async def test_priced_again_by_the_same_book_an_order_costs_what_it_cost(house: House) -> None:
    order = await house.place(quantity="12")
    sold = await orders_of(house)
    known = book()
    entry = known.entry("CRUNCHY-ARMCHAIR")
    assert entry is not None
    content = BookContent(lists=known.rules.frame.lists, rows=entry.rows, skus=(entry.facts,))
    side = Side.of(ColumnarBook(content, root=known.root), sold.skus)

    total = compare(sold, side, side, at=house.clock.now(), costs={}).impact().blocks[0].total

    assert total.before == total.after == order.goods_minor == 12 * 9000


async def test_cancelled_orders_and_those_outside_the_window_are_left_out(house: House) -> None:
    await house.place()
    house.clock.advance(days=10)
    cancelled = await house.place(house.globex)
    await house.payments.cancel(house.globex, cancelled.number)
    assert [line[1] for line in lines_of(await orders_of(house))] == ["acme"]
    assert lines_of(await orders_of(house, days=9)) == []


async def test_an_empty_house_sold_nothing(house: House) -> None:
    sold = await orders_of(house)

    assert (len(sold), sold.orders, sold.skus) == (0, [], [])


async def test_open_quotes_are_those_that_can_still_be_ordered_by(house: House) -> None:
    signed = await promise(house, days=2)
    async with house.database.begin(for_staff()) as session:
        found = await read_open_quotes(session, house.clock.now())
        expired = await read_open_quotes(session, house.clock.now() + timedelta(days=2))

    assert lines_of(found) == [
        (str(signed.id), "acme", "CRUNCHY-ARMCHAIR", "each", 3_000_000),
        (str(signed.id), "acme", "MANUAL", "each", 1_000_000),
    ]
    assert {rate.percent for rate in found.taxes[0].rates} == {"21", "4"}
    assert expired.orders == []

    await house.carts.take_quote(house.acme, signed.id)
    await house.details(house.acme)
    await house.accept(house.acme, await house.review(house.acme))
    async with house.database.begin(for_staff()) as session:
        assert (await read_open_quotes(session, house.clock.now())).orders == []
