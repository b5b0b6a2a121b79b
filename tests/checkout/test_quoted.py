"""A signed quote is honoured at checkout until it expires, whatever is published meanwhile, and once."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from accounts.model import Company
from agreements.service import PresentationStale
from checkout.carts import CurrencyFixed
from checkout.checkouts import PriceChanged
from checkout.model import Order
from checkout.quoted import QuoteVoid
from kernel.db import for_staff
from kernel.money import Money
from kernel.signing import Keyring, Signature
from pricing.content import Kept, root_bytes
from pricing.engine import Buyer, LineRequest, QuoteRequest
from pricing.engine.request import TaxInput, TaxRate
from pricing.model import SignedQuote
from pricing.quotes import Issuer, QuoteDocument, Quotes, SignedQuoteNotFound
from pricing.store import add_content
from tests.checkout.conftest import ADDRESS, House, book, make_member, visitor

OLD = "sha256:" + "a" * 64


async def promise(
    house: House, *, quantity: str = "3", days: int = 30, currency: str = "EUR", country: str = "ES"
) -> SignedQuote:
    """Armchairs at 100.00, promised to Acme."""
    company = house.acme.company
    assert company is not None
    now = house.clock.now()
    async with house.database.begin(for_staff()) as session:
        await add_content(session, Kept(root_bytes(OLD), b"", Signature("none", b"")), leaf_count=0, created_at=now)
    request = QuoteRequest(
        buyer=Buyer(company=company.code, segments=company.segments, country=country),
        currency=currency,
        lines=(LineRequest(sku="CRUNCHY-ARMCHAIR", quantity=quantity), LineRequest(sku="MANUAL", quantity="1")),
        tax=TaxInput(
            rates=(TaxRate(category="standard", percent="21"), TaxRate(category="super_reduced", percent="4"))
        ),
    )
    quotes = Quotes(house.database, house.books, Keyring.generate(now=now), days_most=90)
    return await quotes.sign(request, company=company, issuer=Issuer(name="House", url=""), at=now, days=days)


def raise_prices(house: House) -> None:
    house.clock.advance(hours=2)
    house.books.publish(book("150", root="b"), house.clock.now())


async def test_it_is_sold_at_its_prices_after_they_rose_and_the_order_names_quote_and_old_root(house: House) -> None:
    signed = await promise(house)
    document = msgspec.json.decode(signed.document, type=QuoteDocument)
    raise_prices(house)
    await house.fill(house.acme, "HOSE", "1")

    await house.carts.take_quote(house.acme, signed.id)
    cart = await house.carts.priced(house.acme)
    await house.details(house.acme)
    order = await house.accept(house.acme, await house.review(house.acme))

    assert [(line.sku, line.quantity) for line in cart.lines] == [("CRUNCHY-ARMCHAIR", "3"), ("MANUAL", "1")]
    assert cart.signed_quote is not None
    assert (cart.signed_quote.id, cart.signed_quote.void) == (signed.id, None)
    assert cart.quote.net is not None
    assert cart.quote.net.decimal == document.totals.net == "309.99"
    assert order.goods == Money(30999, "EUR")
    assert (order.signed_quote_id, order.price_root, order.priced_at) == (signed.id, OLD, signed.issued_at)
    assert (order.canonical["signed_quote"], order.canonical["price_root"]) == (str(signed.id), OLD)
    await house.check_invariants()


async def test_without_a_quote_an_order_names_none(house: House) -> None:
    order = await house.place()

    assert order.signed_quote_id is None
    assert "signed_quote" not in order.canonical


async def test_it_is_ordered_once(house: House) -> None:
    signed = await promise(house)
    await house.carts.take_quote(house.acme, signed.id)
    await house.details(house.acme)
    await house.accept(house.acme, await house.review(house.acme))

    with pytest.raises(QuoteVoid) as refused:
        await house.carts.take_quote(house.acme, signed.id)

    assert refused.value.extra == {"reason": "ordered"}


async def test_two_people_who_hold_the_same_quote_make_one_order_at_its_prices(house: House) -> None:
    signed = await promise(house)
    other = await colleague(house)
    for buyer in (house.acme, other):
        await house.carts.take_quote(buyer, signed.id)
        await house.details(buyer)
    reviews = [(buyer, await house.review(buyer)) for buyer in (house.acme, other)]

    done = await asyncio.gather(*(house.accept(*each) for each in reviews), return_exceptions=True)

    assert len([each for each in done if isinstance(each, Order)]) == 1
    assert len([each for each in done if isinstance(each, IntegrityError | PresentationStale)]) == 1
    assert len(await house.rows(Order)) == 1
    raise_prices(house)
    left = [await house.carts.priced(buyer) for buyer in (house.acme, other)]
    assert [cart.signed_quote.void for cart in left if cart.signed_quote is not None] == ["ordered"]
    await house.check_invariants()


async def colleague(house: House) -> Any:

    async with house.database.begin(for_staff()) as session:
        company = await session.get(Company, house.acme.company_id)
    return await make_member(house.database, house.clock, name="Acme", company=company)


async def test_an_expired_quote_is_taken_by_nobody_and_its_cart_costs_what_it_costs_today(house: House) -> None:
    signed = await promise(house, days=1)
    await house.carts.take_quote(house.acme, signed.id)
    house.clock.set(signed.expires_at - timedelta(microseconds=1))
    house.books.publish(book("150", root="b"), house.clock.now())
    last = await house.carts.priced(house.acme)
    house.clock.set(signed.expires_at)

    late = await house.carts.priced(house.acme)

    assert last.signed_quote is not None
    assert late.signed_quote is not None
    assert (last.signed_quote.void, last.quote.root) == (None, OLD)
    assert (late.signed_quote.void, late.quote.root) == ("expired", "sha256:" + "b" * 64)
    with pytest.raises(QuoteVoid) as refused:
        await house.carts.take_quote(house.acme, signed.id)
    assert refused.value.extra == {"reason": "expired"}


async def test_a_quote_that_expires_between_review_and_acceptance_orders_nothing(house: House) -> None:
    signed = await promise(house, days=1)
    house.clock.advance(hours=1)
    house.books.publish(book("150", root="b"), house.clock.now())
    await house.carts.take_quote(house.acme, signed.id)
    await house.details(house.acme)
    house.clock.set(signed.expires_at - timedelta(minutes=1))
    review = await house.review(house.acme)
    house.clock.set(signed.expires_at)

    with pytest.raises(PriceChanged):
        await house.accept(house.acme, review)

    assert await house.rows(Order) == []


async def test_a_changed_line_ends_it_and_another_country_suspends_it(house: House) -> None:
    signed = await promise(house)
    raise_prices(house)
    await house.carts.take_quote(house.acme, signed.id)

    elsewhere = await house.carts.priced(house.acme, country="PT")
    back = await house.carts.priced(house.acme, country="ES")
    await house.carts.change(house.acme, back.lines[0].position, "4")
    changed = await house.carts.priced(house.acme)

    assert elsewhere.signed_quote is not None
    assert (elsewhere.signed_quote.void, elsewhere.signed_quote.country) == ("elsewhere", "ES")
    assert elsewhere.quote.root != OLD
    assert back.quote.root == OLD
    assert changed.signed_quote is None
    assert changed.quote.root != OLD


async def test_it_can_be_dropped_and_its_lines_stay_at_the_prices_of_now(house: House) -> None:
    signed = await promise(house)
    raise_prices(house)
    await house.carts.take_quote(house.acme, signed.id)

    await house.carts.drop_quote(house.acme)
    await house.carts.drop_quote(house.acme)

    cart = await house.carts.priced(house.acme)
    assert cart.signed_quote is None
    assert [line.quantity for line in cart.lines] == ["3", "1"]
    assert cart.quote.root != OLD


async def test_taking_it_twice_does_not_double_it(house: House) -> None:
    signed = await promise(house)

    await house.carts.take_quote(house.acme, signed.id)
    await house.carts.take_quote(house.acme, signed.id)

    cart = await house.carts.priced(house.acme)
    assert [line.quantity for line in cart.lines] == ["3", "1"]
    assert cart.signed_quote is not None


async def test_nobody_but_its_company_takes_it_and_in_its_own_currency_only(house: House) -> None:
    signed, dollars = await promise(house), await promise(house, currency="USD")

    for stranger in (house.globex, visitor()):
        with pytest.raises(SignedQuoteNotFound):
            await house.carts.take_quote(stranger, signed.id)
    with pytest.raises(SignedQuoteNotFound):
        await house.carts.take_quote(house.acme, uuid.uuid4())
    with pytest.raises(CurrencyFixed):
        await house.carts.take_quote(house.acme, dollars.id)
    assert (await house.carts.priced(house.acme)).lines == ()


async def test_the_country_it_was_quoted_for_is_the_one_it_is_delivered_to(house: House) -> None:
    signed = await promise(house, country="PT")
    raise_prices(house)
    await house.carts.take_quote(house.acme, signed.id)
    await house.details(house.acme, ADDRESS)

    review = await house.review(house.acme)

    assert review.cart.signed_quote is not None
    assert review.cart.signed_quote.void == "elsewhere"
    assert (await house.accept(house.acme, review)).signed_quote_id is None
