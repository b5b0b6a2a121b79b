import asyncio
from decimal import Decimal

import msgspec
import pytest
import sqlalchemy as sa

from accounts.principal import Principal, PrincipalKind
from accounts.store import find_company
from checkout.carts import (
    LINES_MOST,
    CartFull,
    CartLineUnknown,
    CartNeedsPerson,
    CurrencyFixed,
    QuantityRefused,
    SkuUnknown,
    UnitUnknown,
)
from checkout.model import Cart, CartLine, CartState, Checkout
from checkout.tax import TaxTreatment
from checkout.views import Details, PricedCart
from kernel.db import for_visitor
from kernel.ids import new_id
from kernel.money import Money, UnknownCurrency
from tests.checkout.conftest import ADDRESS, House, make_member, visitor


def lines(cart: PricedCart) -> list[tuple[str, str, str]]:
    return [(line.sku, line.unit, line.quantity) for line in cart.lines]


async def test_an_empty_cart_is_answered_and_none_is_made(house: House) -> None:
    cart = await house.carts.priced(visitor())

    assert (cart.id, cart.lines, cart.totals, cart.orderable) == (None, (), None, False)
    assert (cart.currency, cart.country, cart.country_assumed) == ("EUR", "ES", True)
    assert await house.rows(Cart) == []


async def test_a_guest_fills_a_cart_and_sees_goods_freight_and_tax_before_any_second_page(house: House) -> None:
    guest = visitor()
    await house.fill(guest)

    cart = await house.carts.priced(guest)

    assert lines(cart) == [("CRUNCHY-ARMCHAIR", "each", "2")]
    assert cart.totals is not None
    assert cart.totals.total == Money(25761, "EUR")
    assert cart.orderable
    assert await house.carts.count_lines(guest) == 1


async def test_the_country_asked_about_decides_tax_and_freight_until_there_is_an_address(house: House) -> None:
    guest = visitor()
    await house.fill(guest)

    cart = await house.carts.priced(guest, country="US")

    assert cart.totals is not None
    assert (cart.totals.treatment, cart.country_assumed) == (TaxTreatment.EXPORT, False)
    assert cart.totals.total == Money(20000 + 8900, "EUR")


async def test_a_company_sees_its_country_and_vat_number_taken_into_account(house: House) -> None:
    await house.fill(house.globex)

    cart = await house.carts.priced(house.globex)

    assert cart.totals is not None
    assert cart.totals.treatment is TaxTreatment.REVERSE_CHARGE
    assert not cart.totals.tax


async def test_the_same_sku_and_unit_add_up_and_another_unit_is_another_line(house: House) -> None:
    await house.fill(house.acme, quantity="2")
    await house.fill(house.acme, quantity="3")
    await house.carts.add(house.acme, sku="CRUNCHY-ARMCHAIR", quantity="1", unit="pair")
    await house.carts.add(house.acme, sku="HOSE", quantity="2.5")

    assert lines(await house.carts.priced(house.acme)) == [
        ("CRUNCHY-ARMCHAIR", "each", "5"),
        ("CRUNCHY-ARMCHAIR", "pair", "1"),
        ("HOSE", "metre", "2.5"),
    ]


async def test_a_changed_quantity_reaches_the_next_tier(house: House) -> None:
    await house.fill(house.acme, quantity="9")
    before = await house.carts.priced(house.acme)
    await house.carts.change(house.acme, before.lines[0].position, "10")

    after = await house.carts.priced(house.acme)

    assert before.totals is not None
    assert after.totals is not None
    assert (before.totals.goods, after.totals.goods) == (Money(90000, "EUR"), Money(90000, "EUR"))


@pytest.mark.parametrize(
    "quantity",
    ["0", "-1", "", " ", "1.5", "NaN", "Infinity", "1e3", "1" + "0" * 30, "1\x00", "two", "0.0", "1,5", "1000000001"],
)
async def test_a_quantity_that_cannot_be_ordered_is_refused_and_changes_nothing(house: House, quantity: str) -> None:
    with pytest.raises(QuantityRefused):
        await house.carts.add(house.acme, sku="CRUNCHY-ARMCHAIR", quantity=quantity)

    assert (await house.carts.priced(house.acme)).lines == ()


async def test_adding_up_beyond_the_most_is_refused(house: House) -> None:
    await house.fill(house.acme, quantity="1000000000")

    with pytest.raises(QuantityRefused):
        await house.fill(house.acme, quantity="1")


async def test_fractions_have_six_decimals_at_most(house: House) -> None:
    await house.carts.add(house.acme, sku="HOSE", quantity="0.000001")

    with pytest.raises(QuantityRefused):
        await house.carts.add(house.acme, sku="HOSE", quantity="0.0000001")


@pytest.mark.parametrize("sku", ["", "NO-SUCH", "CRUNCHY-ARMCHAIR\x00", "\ud800", "x" * 5000, "crunchy-armchair"])
async def test_an_unknown_sku_is_refused(house: House, sku: str) -> None:
    with pytest.raises(SkuUnknown):
        await house.carts.add(house.acme, sku=sku, quantity="1")


async def test_a_unit_it_is_not_sold_in_is_refused_with_those_it_is(house: House) -> None:
    with pytest.raises(UnitUnknown) as refusal:
        await house.carts.add(house.acme, sku="CRUNCHY-ARMCHAIR", quantity="1", unit="pallet")

    assert refusal.value.extra["units"] == ["each", "pair"]


async def test_more_than_in_stock_stays_in_the_cart_and_is_said(house: House) -> None:
    await house.fill(house.acme, quantity="99")
    await house.carts.add(house.acme, sku="CRUNCHY-ARMCHAIR", quantity="1", unit="pair")

    cart = await house.carts.priced(house.acme)

    assert [line.short for line in cart.lines] == [True, True]
    assert [str(line.available) for line in cart.lines] == ["100.000000", "50.000000"]
    assert not cart.orderable
    assert len(cart.problems) == 2


async def test_a_line_without_a_price_is_named_and_there_is_no_total(house: House) -> None:
    await house.fill(house.acme)
    await house.carts.add(house.acme, sku="UNPRICED", quantity="1")

    cart = await house.carts.priced(house.acme)

    assert cart.totals is None
    assert not cart.orderable
    assert [line.sku for line in cart.problems] == ["UNPRICED"]


async def test_a_pasted_list_takes_the_good_lines_and_reports_the_others(house: House) -> None:
    text = (
        "CRUNCHY-ARMCHAIR\t2\n\nHOSE;2.5;metre\nNO-SUCH,3\nCRUNCHY-ARMCHAIR 0\nMANUAL\nCRUNCHY-ARMCHAIR 1 pair\n"
        "a b c d\nHOSE 1 inch"
    )

    report = await house.carts.paste(house.acme, text)

    assert report.added == 4
    assert [(error.line, error.text) for error in report.errors] == [
        (4, "NO-SUCH,3"),
        (5, "CRUNCHY-ARMCHAIR 0"),
        (8, "a b c d"),
        (9, "HOSE 1 inch"),
    ]
    assert lines(await house.carts.priced(house.acme)) == [
        ("CRUNCHY-ARMCHAIR", "each", "2"),
        ("HOSE", "metre", "2.5"),
        ("MANUAL", "each", "1"),
        ("CRUNCHY-ARMCHAIR", "pair", "1"),
    ]


async def test_a_cart_holds_five_hundred_lines(house: House) -> None:
    await house.fill(house.acme)
    async with house.database.begin(house.acme.db_scope()) as session:
        cart_id = (await session.scalars(sa.select(Cart.id))).one()
        session.add_all(
            CartLine(cart_id=cart_id, position=position, sku=f"SKU-{position}", unit="each", quantity=Decimal(1))
            for position in range(1000, 1000 + LINES_MOST - 1)
        )

    with pytest.raises(CartFull):
        await house.carts.add(house.acme, sku="HOSE", quantity="1")
    await house.fill(house.acme)  # a line that is there grows all the same


async def test_a_removed_line_is_gone_and_its_position_is_never_used_again(house: House) -> None:
    await house.fill(house.acme)
    position = (await house.carts.priced(house.acme)).lines[0].position
    await house.carts.remove(house.acme, position)
    await house.carts.add(house.acme, sku="HOSE", quantity="1")

    for act in (house.carts.remove(house.acme, position), house.carts.change(house.acme, position, "5")):
        with pytest.raises(CartLineUnknown):
            await act
    assert lines(await house.carts.priced(house.acme)) == [("HOSE", "metre", "1")]


async def test_nobody_reaches_into_anothers_cart(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.fill(house.acme)
    position = (await house.carts.priced(house.acme)).lines[0].position

    for stranger in (visitor(), house.globex):
        assert (await house.carts.priced(stranger)).lines == ()
        with pytest.raises(CartLineUnknown):
            await house.carts.change(stranger, position, "7")
    async with house.database.begin(for_visitor()) as session:
        assert await session.get(Cart, (await house.carts.priced(house.acme)).id) is None


async def test_sixteen_first_adds_at_once_make_one_cart(house: House) -> None:
    await asyncio.gather(*(house.fill(house.acme, quantity="1") for _ in range(16)))

    assert lines(await house.carts.priced(house.acme)) == [("CRUNCHY-ARMCHAIR", "each", "16")]
    assert len(await house.rows(Cart)) == 1


async def test_at_log_in_the_visitors_cart_becomes_the_companys(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.checkouts.save_details(guest, Details(ship_to=ADDRESS, email="b@acme.example"), locale="en")
    member = msgspec.structs.replace(house.acme, visitor_id=guest.visitor_id)

    await house.carts.join(member)
    await house.carts.join(member)

    assert lines(await house.carts.priced(member)) == [("CRUNCHY-ARMCHAIR", "each", "2")]
    assert (await house.carts.priced(guest)).lines == ()
    checkout = await house.checkouts.find(member)
    assert checkout is not None
    assert checkout.ship_to == ADDRESS
    assert [row.company_id for row in await house.rows(Checkout)] == [house.acme.company_id]


async def test_at_log_in_the_visitors_lines_join_those_the_company_has(house: House) -> None:
    guest = visitor()
    await house.fill(guest, quantity="1")
    await house.carts.add(guest, sku="HOSE", quantity="2")
    await house.checkouts.save_details(guest, Details(ship_to=ADDRESS, email="b@acme.example"), locale="en")
    await house.fill(house.acme, quantity="4")
    member = msgspec.structs.replace(house.acme, visitor_id=guest.visitor_id)

    await house.carts.join(member)

    assert lines(await house.carts.priced(member)) == [
        ("CRUNCHY-ARMCHAIR", "each", "5"),
        ("HOSE", "metre", "2"),
    ]
    assert sorted(cart.state for cart in await house.rows(Cart)) == [CartState.MERGED, CartState.OPEN]
    checkout = await house.checkouts.find(member)
    assert checkout is not None
    assert checkout.ship_to == ADDRESS


async def test_joining_without_a_visitors_cart_or_a_company_changes_nothing(house: House) -> None:
    await house.carts.join(visitor())
    await house.carts.join(house.acme)

    assert await house.rows(Cart) == []


async def test_a_guest_chooses_the_currency_and_a_company_has_its_own(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.carts.choose_currency(guest, "USD")

    cart = await house.carts.priced(guest)
    assert cart.totals is not None
    assert cart.totals.goods == Money(20000, "USD")
    with pytest.raises(CurrencyFixed):
        await house.carts.choose_currency(house.acme, "USD")
    with pytest.raises(UnknownCurrency):
        await house.carts.choose_currency(guest, "XXX")


async def test_a_currency_without_freight_shows_prices_no_total_and_why(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.carts.choose_currency(guest, "JPY")

    cart = await house.carts.priced(guest)

    assert cart.quote.net == Money(200, "JPY")
    assert (cart.totals, cart.freight, cart.orderable) == (None, None, False)
    assert cart.freight_refusal == "There is no freight tariff in JPY to ES: ask us for a quote."


async def test_two_people_of_a_company_have_a_cart_each(house: House) -> None:
    async with house.database.begin(house.staff.db_scope()) as session:
        assert house.acme.company_id is not None
        company = await find_company(session, house.acme.company_id)
    colleague = await make_member(house.database, house.clock, name="Acme S.L.", company=company)
    await house.fill(house.acme)

    assert (await house.carts.priced(colleague)).lines == ()


async def test_an_api_key_has_no_cart(house: House) -> None:
    key = Principal(kind=PrincipalKind.PARTNER, visitor_id=new_id(), company=house.acme.company, key_id="k")

    with pytest.raises(CartNeedsPerson):
        await house.fill(key)
    assert (await house.carts.priced(key)).lines == ()
