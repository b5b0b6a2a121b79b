"""Paying later: terms that finance gives, a choice that is accepted with the order, and a limit that holds."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.model import Company
from accounts.principal import Principal
from agreements.service import PresentationStale
from checkout.checkouts import SHOWN_FOR
from checkout.credit import (
    CreditChangeUnusable,
    CreditControl,
    CreditCurrencyFixed,
    CreditExceeded,
    CreditMoved,
    CreditUnavailable,
    Terms,
)
from checkout.model import Order, OrderEvent, Paying
from checkout.states import State
from checkout.terms_model import CreditChange
from checkout.views import Review
from kernel.db import for_company, for_staff
from kernel.money import Money
from tests.checkout.conftest import House, make_member

ORDER = "257.61"
"""Two armchairs to Madrid."""


def euros(amount: str) -> Money:
    return Money.parse(amount, "EUR")


async def give(house: House, limit: str = "1000.00", net_days: int = 30, code: str = "acme", **more: Terms) -> None:
    terms = Terms(net_days=net_days, limit=euros(limit))
    await CreditControl(house.database, house.clock).change(
        code, terms, shown=more.get("shown"), reason="known for years", by=None
    )


async def shown_on_terms(house: House, principal: Principal | None = None) -> Review:
    """The review of two armchairs, with the invoice chosen."""
    buyer = principal or house.acme
    await house.fill(buyer)
    await house.details(buyer, po_number="PO-7")
    await house.checkouts.choose_paying(buyer, Paying.ON_TERMS, locale="en")
    return await house.review(buyer)


async def test_terms_are_a_choice_at_the_review_and_a_term_of_what_is_accepted(house: House) -> None:
    await give(house)
    await house.fill(house.acme)
    await house.details(house.acme)
    now = await house.review(house.acme)
    assert now.credit is not None
    assert (now.credit.net_days, now.credit.limit, now.credit.left) == (30, euros("1000.00"), euros("1000.00"))
    assert now.pay_by is not None
    assert "payment" not in now.presentation.order_content

    await house.checkouts.choose_paying(house.acme, Paying.ON_TERMS, locale="en")
    with pytest.raises(PresentationStale):
        await house.accept(house.acme, now)
    later = await house.review(house.acme)
    assert later.pay_by is None
    assert later.presentation.order_content["payment"] == {"by": "invoice", "net_days": 30}
    assert "pay_within_hours" not in later.presentation.order_content
    assert later.presentation.notices[0] == "The order is paid by invoice. The invoice is due 30 days after it is made."
    order = await house.accept(house.acme, later)

    assert (order.state, order.net_days, order.pay_by) == (State.ON_TERMS, 30, None)
    assert order.canonical["payment"] == {"by": "invoice", "net_days": 30}
    assert await house.stock() == (98, 2, 0)
    assert await house.mails() == ["order_received_on_terms"]
    (event,) = await house.rows(OrderEvent)
    assert (event.event, event.after) == ("accept_on_terms", State.ON_TERMS)


async def test_a_company_without_terms_is_offered_none(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    assert (await house.review(house.acme)).credit is None
    with pytest.raises(CreditUnavailable):
        await house.checkouts.choose_paying(house.acme, Paying.ON_TERMS, locale="en")


async def test_terms_in_another_currency_are_none(house: House) -> None:
    dollars = await make_member(house.database, house.clock, name="Initech Inc.", country="US", currency="USD")
    await give(house, code="initech")
    await house.fill(dollars)
    await house.details(dollars)
    with pytest.raises(CreditUnavailable):
        await house.checkouts.choose_paying(dollars, Paying.ON_TERMS, locale="en")


async def test_no_buyer_can_write_its_own_terms(house: House) -> None:
    await give(house)
    company = house.acme.company
    assert company is not None
    for statement in (
        "update credit_terms set limit_minor = 100000000",
        f"insert into credit_terms values ('{house.globex.company_id}', 30, 1, 'EUR', now())",
        f"insert into credit_change values (gen_random_uuid(), '{company.id}', null, '{{}}', 'x', null, now())",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="row-level security"):
            async with house.database.begin(for_company(company.id)) as session:
                await session.execute(sa.text(statement))


async def test_the_review_of_more_than_is_left_falls_back_to_paying_now(house: House) -> None:
    await give(house, "200.00")
    review = await shown_on_terms(house)
    assert review.checkout.paying is Paying.NOW
    assert review.credit is not None
    assert not review.credit.covers(review.totals.total)
    assert (await house.accept(house.acme, review)).state is State.PAYABLE


async def test_terms_changed_after_the_review_are_not_those_that_were_accepted(house: House) -> None:
    await give(house)
    review = await shown_on_terms(house)
    await give(house, net_days=14, shown=Terms(net_days=30, limit=euros("1000.00")))
    with pytest.raises(PresentationStale):
        await house.accept(house.acme, review)
    credit = CreditControl(house.database, house.clock)
    await credit.change("acme", None, shown=Terms(net_days=14, limit=euros("1000.00")), reason="late", by=None)
    with pytest.raises(CreditUnavailable):
        await house.accept(house.acme, review)
    assert await house.rows(Order) == []


async def test_net30_over_credit_limit_is_refused_under_concurrency(house: House) -> None:
    await give(house, "772.83")  # three orders of 257.61
    buyers = [house.acme, *[await colleague(house) for _ in range(15)]]
    reviews = [await shown_on_terms(house, buyer) for buyer in buyers]

    outcomes = await asyncio.gather(
        *(house.accept(buyer, review) for buyer, review in zip(buyers, reviews, strict=True)), return_exceptions=True
    )

    placed = [outcome for outcome in outcomes if isinstance(outcome, Order)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, CreditExceeded)]
    assert (len(placed), len(refused)) == (3, 13)
    assert refused[0].extra == {"left": "0.00", "total": ORDER, "currency": "EUR"}
    assert "pay this order now" in refused[0].message
    assert await house.stock() == (94, 6, 0)
    ((company, _),) = [await CreditControl(house.database, house.clock).find("acme")]
    assert company.credit is not None
    assert (company.credit.used, company.credit.left) == (euros("772.83"), euros("0.00"))


async def test_the_database_refuses_an_order_over_the_limit_whoever_writes_it(house: House) -> None:
    await give(house, "300.00")
    await house.accept(house.acme, await shown_on_terms(house))
    columns = (
        "id, number, company_id, checkout_id, person_id, state, version, locale, email, visitor_id, currency, "
        "goods_minor, freight_minor, tax_minor, total_minor, price_root, priced_at, canonical, canonical_digest, "
        "tax_inputs, freight_inputs, ship_to, placed_at, net_days"
    )
    copied = columns.replace("id, number", "gen_random_uuid(), 'T-0'", 1).replace(
        "checkout_id", "(select id from checkout where accepted_at is null limit 1)"
    )
    await shown_on_terms(house, await colleague(house))
    with pytest.raises(sa.exc.IntegrityError, match="not within the credit"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(f"insert into customer_order ({columns}) select {copied} from customer_order")
            )


async def test_an_expired_review_is_stale_on_terms_as_well(house: House) -> None:
    await give(house)
    review = await shown_on_terms(house)
    house.clock.advance(seconds=(SHOWN_FOR + timedelta(minutes=1)).total_seconds())
    with pytest.raises(PresentationStale):
        await house.accept(house.acme, review)


async def test_decisions_are_kept_with_their_reasons_and_two_clerks_do_not_overwrite_each_other(house: House) -> None:
    credit = CreditControl(house.database, house.clock)
    first, second = Terms(net_days=30, limit=euros("100.00")), Terms(net_days=60, limit=euros("900.00"))
    await credit.change("acme", first, shown=None, reason="asked for", by=None)
    with pytest.raises(CreditMoved):
        await credit.change("acme", second, shown=None, reason="also asked for", by=None)
    with pytest.raises(CreditChangeUnusable):
        await credit.change("acme", first, shown=first, reason="nothing new", by=None)
    with pytest.raises(CreditChangeUnusable):
        await credit.change("acme", second, shown=first, reason="  ", by=None)
    with pytest.raises(CreditChangeUnusable):
        await credit.change("acme", Terms(net_days=0, limit=euros("1.00")), shown=first, reason="none", by=None)
    house.clock.advance(seconds=1)
    await credit.change("acme", None, shown=first, reason="paid late", by=None)

    company, changes = await credit.find("acme")
    assert not company.open_
    assert [(change.before, change.after, change.reason) for change in changes] == [
        (first.as_kept(), None, "paid late"),
        (None, first.as_kept(), "asked for"),
    ]
    with pytest.raises(sa.exc.DBAPIError, match="permission denied"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.update(CreditChange).values(reason="better"))


async def test_the_currency_stays_while_something_is_open_in_it(house: House) -> None:
    await give(house)
    await house.accept(house.acme, await shown_on_terms(house))
    with pytest.raises(CreditCurrencyFixed):
        await CreditControl(house.database, house.clock).change(
            "acme",
            Terms(net_days=30, limit=Money.parse("10.00", "USD")),
            shown=Terms(net_days=30, limit=euros("1000.00")),
            reason="moved to the States",
            by=None,
        )


async def colleague(house: House) -> Principal:
    """Another buyer of Acme's, with a cart of their own."""
    assert house.acme.company_id is not None
    async with house.database.begin(for_staff()) as session:
        company = await session.get_one(Company, house.acme.company_id)
    return await make_member(house.database, house.clock, name="Acme S.L.", company=company)
