import asyncio
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from accounts.details import DetailsRefused
from accounts.exemption_model import CertificateState
from accounts.exemptions import CertificateReviewed, CertificateUnknown, CertificateUnusable, Exemptions
from accounts.model import Company, Membership, TaxStatus
from accounts.principal import Principal, buyer_company
from agreements.model import Acceptance
from agreements.service import (
    BoxNotTicked,
    JobTitleMissing,
    PresentationForeign,
    PresentationNotFound,
    PresentationStale,
    SignatoryRequired,
)
from catalog.service import InsufficientStock
from checkout import freight, tax
from checkout.charging import TotalNotChargeable
from checkout.checkouts import (
    AccountNeeded,
    CartEmpty,
    CartNotOrderable,
    Checkouts,
    DetailsMissing,
    EmailNotVerified,
    PriceChanged,
)
from checkout.model import Cart, CartState, Order, OrderEvent, OrderLine, StockReservation
from checkout.offer import Tables
from checkout.orders import OrderUnknown
from checkout.payments import OrderNotPayable
from checkout.states import State
from checkout.tax import TaxTreatment
from checkout.views import Details
from kernel.canonical import digest
from kernel.db import for_accounts, for_staff
from kernel.events import JourneyEvent
from kernel.ids import new_id
from kernel.mail import OutgoingMail
from kernel.money import Money
from pricing.engine import Buyer, LineRequest, QuoteRequest, TaxInput, quote
from tests.checkout.conftest import ADDRESS, BASE_URL, House, book, make_member, visitor


async def nothing_was_ordered(house: House) -> bool:
    rows = [await house.rows(kind) for kind in (Order, OrderLine, OrderEvent, StockReservation, Acceptance)]
    return not any(rows) and await house.stock() == (100, 0, 0) and await house.mails() == []


async def test_an_order_is_its_acceptance_reservation_mail_and_event_in_one_commit(house: House) -> None:
    order = await house.place()

    (acceptance,) = await house.rows(Acceptance)
    assert (acceptance.order_id, acceptance.order_digest) == (order.id, order.canonical_digest)
    (reservation,) = await house.rows(StockReservation)
    assert (reservation.order_id, reservation.quantity) == (order.id, Decimal(2))
    assert [event.event for event in await house.orders.history(house.acme, order.number)] == ["accept"]
    (mail,) = await house.rows(OutgoingMail)
    assert mail.recipient == house.acme.email
    assert f"{BASE_URL}/orders/{order.number}/payment" in mail.text
    names = {event.name for event in await house.rows(JourneyEvent)}
    assert {"carted", "checkout_step_completed", "agreement_shown", "agreement_accepted", "order_placed"} <= names
    assert [cart.state for cart in await house.rows(Cart)] == [CartState.ORDERED]
    assert await house.carts.count_lines(house.acme) == 0
    await house.check_invariants()


async def test_the_orders_digest_is_that_of_its_canonical_form_and_tells_no_personal_value(house: House) -> None:
    order = await house.place()

    assert digest(order.canonical) == order.canonical_digest
    assert ADDRESS.line1 not in str(order.canonical)
    assert set(order.canonical["personal"]) == {
        "email",
        "ship_to.name",
        "ship_to.line1",
        "ship_to.postal_code",
        "ship_to.city",
    }


async def test_the_accepted_total_is_what_the_engine_says_again_on_the_stored_inputs(house: House) -> None:
    order = await house.place(quantity="11")
    house.clock.advance(seconds=1)
    house.books.publish(book("77", root="b"), house.clock.now())
    terms = order.canonical
    decision = msgspec.convert(terms["tax_inputs"], tax.TaxDecision)
    shipping = msgspec.convert(terms["freight_inputs"], freight.FreightDecision)

    again = quote(
        QuoteRequest(
            buyer=Buyer(
                company=terms["buyer"]["company"],
                segments=tuple(terms["buyer"]["segments"]),
                country=terms["buyer"]["country"],
            ),
            currency=terms["currency"],
            lines=tuple(
                LineRequest(sku=line["sku"], quantity=line["quantity"], unit=line["unit"]) for line in terms["lines"]
            ),
            tax=TaxInput(rates=decision.input().rates, treatment=decision.input().treatment),
        ),
        book=house.books.at(order.priced_at),
        at=order.priced_at,
    )

    assert again.net is not None
    assert again.tax is not None
    assert again.root == order.price_root
    freight_tax = Money.parse(terms["freight_tax"], "EUR")
    assert again.net + again.tax + shipping.freight + freight_tax == order.total
    assert (decision.table_digest, shipping.table_digest) == (tax.TABLE.digest, freight.TABLE.digest)


async def test_order_lines_keep_names_prices_taxes_and_trace(house: House) -> None:
    await house.carts.add(house.acme, sku="CRUNCHY-ARMCHAIR", quantity="2", unit="pair")
    await house.carts.add(house.acme, sku="HOSE", quantity="1.5")
    await house.details(house.acme)
    order = await house.accept(house.acme, await house.review(house.acme))

    chair, hose = (await house.order(order)).lines
    assert (chair.unit, chair.quantity, chair.base_quantity) == ("pair", Decimal(2), Decimal(4))
    assert (chair.net, chair.tax, chair.tax_percent) == ("400.00", "84.00", "21")
    assert chair.names == {"en": "Crunchy armchair", "es": "Sillón crujiente"}
    assert chair.trace["list"] == "PUBLIC-EUR"
    assert (hose.unit, hose.net) == ("metre", "5.00")
    assert await house.stock() == (96, 4, 0)


async def test_double_submit_of_one_presentation_gives_the_same_order(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)

    orders = await asyncio.gather(*(house.accept(house.acme, review) for _ in range(8)))

    assert len({order.id for order in orders}) == 1
    assert len(await house.rows(Order)) == 1
    assert await house.stock() == (98, 2, 0)


async def test_two_tabs_accept_one_order(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    tabs = [await house.review(house.acme) for _ in range(4)]

    answers: list[Any] = await asyncio.gather(*(house.accept(house.acme, tab) for tab in tabs), return_exceptions=True)

    made = [answer for answer in answers if isinstance(answer, Order)]
    assert len({order.id for order in made}) == 1
    assert all(isinstance(answer, Order | CartEmpty) for answer in answers)
    assert len(await house.rows(Order)) == 1
    await house.check_invariants()


async def test_price_changed_between_review_and_accept_asks_again(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    house.books.publish(book("110", root="b"), house.clock.now())

    with pytest.raises(PriceChanged) as refusal:
        await house.accept(house.acme, review)

    # 2 x 110.00 + 12.90, and 21 % of each
    assert (refusal.value.old, refusal.value.new) == (Money(25761, "EUR"), Money(28181, "EUR"))
    assert await nothing_was_ordered(house)
    again = await house.review(house.acme)
    assert again.previous_total == Money(25761, "EUR")
    assert (await house.accept(house.acme, again)).total == Money(28181, "EUR")


async def test_a_publication_that_leaves_the_price_as_it_was_asks_nothing(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    house.books.publish(book("100", root="b"), house.clock.now())

    order = await house.accept(house.acme, review)

    assert order.price_root == "sha256:" + "a" * 64
    assert order.canonical["price_root"] == order.price_root


async def test_reviewing_twice_shows_the_same_order_so_that_both_tabs_hold(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    first = await house.review(house.acme)
    house.clock.advance(minutes=10)
    second = await house.review(house.acme)

    assert second.previous_total is None
    order = await house.accept(house.acme, first)
    assert order.total == second.totals.total


async def test_a_cart_changed_in_another_tab_is_shown_again_before_it_is_ordered(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    await house.fill(house.acme, quantity="1")

    with pytest.raises(PresentationStale):
        await house.accept(house.acme, review)
    assert await nothing_was_ordered(house)


async def test_an_address_changed_in_another_tab_is_shown_again_before_it_is_ordered(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    await house.details(house.acme, msgspec.structs.replace(ADDRESS, line1="Another street 2"))

    with pytest.raises(PresentationStale):
        await house.accept(house.acme, review)
    assert await nothing_was_ordered(house)


async def test_an_expired_review_orders_nothing(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    house.clock.advance(hours=2)

    with pytest.raises(PresentationStale):
        await house.accept(house.acme, review)
    assert await nothing_was_ordered(house)
    assert (await house.accept(house.acme, await house.review(house.acme))).state is State.PAYABLE


async def test_without_the_boxes_or_the_job_title_nothing_is_ordered(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)

    with pytest.raises(BoxNotTicked):
        await house.accept(house.acme, review, ticked=frozenset({"agree"}))
    with pytest.raises(JobTitleMissing):
        await house.accept(house.acme, review, job_title=" ")
    assert await nothing_was_ordered(house)


async def test_last_units_are_sold_once(house: House) -> None:
    buyers = [await make_member(house.database, house.clock, name=f"Initech-{number}") for number in range(6)]
    reviews = []
    for buyer in buyers:
        await house.fill(buyer, quantity="40")
        await house.details(buyer)
        reviews.append(await house.review(buyer))

    answers: list[Any] = await asyncio.gather(
        *(house.accept(buyer, review) for buyer, review in zip(buyers, reviews, strict=True)), return_exceptions=True
    )

    assert sum(isinstance(answer, Order) for answer in answers) == 2
    short = [answer for answer in answers if isinstance(answer, InsufficientStock)]
    assert len(short) == 4
    assert {(line.sku, line.asked) for answer in short for line in answer.lines} == {("CRUNCHY-ARMCHAIR", Decimal(40))}
    assert await house.stock() == (20, 80, 0)
    await house.check_invariants()


async def test_a_sku_withdrawn_from_the_book_is_refused_by_line(house: House) -> None:
    await house.fill(house.acme)
    await house.carts.add(house.acme, sku="UNPRICED", quantity="1")
    await house.details(house.acme)

    with pytest.raises(CartNotOrderable) as refusal:
        await house.review(house.acme)

    lines: Any = refusal.value.extra["lines"]
    [line] = lines
    assert (line["position"], line["sku"], line["reason"]) == (2, "UNPRICED", "no_price_in_currency")
    assert line["text"] == "UNPRICED has no price in EUR."


async def test_review_needs_an_account_a_confirmed_address_a_cart_and_a_place(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.checkouts.start(guest, locale="es")
    with pytest.raises(AccountNeeded):
        await house.review(guest)
    with pytest.raises(CartEmpty):
        await house.review(house.acme)
    await house.fill(house.acme)
    with pytest.raises(DetailsMissing):
        await house.review(house.acme)
    await house.details(house.acme)
    unconfirmed = msgspec.structs.replace(house.acme, email_verified=False)
    with pytest.raises(EmailNotVerified):
        await house.review(unconfirmed)


async def test_an_order_without_a_freight_tariff_is_refused_at_the_review(house: House) -> None:
    buyer = await make_member(house.database, house.clock, name="Initech", currency="JPY")
    await house.fill(buyer)
    await house.details(buyer)

    with pytest.raises(freight.FreightNotKnown):
        await house.review(buyer)


async def test_a_guest_signs_up_inside_checkout_and_orders_what_was_in_the_cart(house: House) -> None:
    guest = visitor()
    await house.fill(guest)
    await house.checkouts.save_details(guest, Details(ship_to=ADDRESS, email="b@acme.example"), locale="en")
    member = msgspec.structs.replace(house.acme, visitor_id=guest.visitor_id)
    await house.carts.join(member)

    order = await house.accept(member, await house.review(member))

    assert order.total == Money(25761, "EUR")
    assert order.email == member.email, "letters go to the address that was proven, not to the one a guest typed"


async def test_who_may_not_sign_is_told_so_on_the_review_page(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    async with house.database.begin(for_accounts()) as session:
        await session.execute(
            sa.update(Membership)
            .where(Membership.person_id == house.acme.person_id)
            .values(signing_limit_minor=25760, currency="EUR")
        )

    with pytest.raises(SignatoryRequired):
        await house.review(house.acme)


async def test_another_companys_presentation_is_a_missing_one(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    await house.fill(house.globex)
    await house.details(house.globex)
    await house.review(house.globex)

    with pytest.raises((PresentationNotFound, PresentationForeign)):
        await house.accept(house.globex, review)
    assert await nothing_was_ordered(house)


async def test_a_tab_of_the_cart_before_leads_to_its_order_and_cannot_order_the_next_one(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    old = await house.review(house.acme)
    order = await house.accept(house.acme, await house.review(house.acme))
    await house.fill(house.acme, quantity="5")
    await house.details(house.acme)
    await house.review(house.acme)

    assert (await house.accept(house.acme, old)).id == order.id
    assert len(await house.rows(Order)) == 1


async def test_every_wrong_field_of_the_details_is_named_at_once(house: House) -> None:
    await house.fill(house.acme)
    wrong = msgspec.structs.replace(ADDRESS, name=" ", city="x" * 101, country="ZZ", postal_code="\x00")

    with pytest.raises(DetailsRefused) as refusal:
        await house.checkouts.save_details(
            house.acme,
            Details(ship_to=wrong, po_number="4500\x07", tax_id="ESB12345675", email="nobody"),
            locale="en",
        )

    assert {error.field for error in refusal.value.errors} == {
        "ship_to.name",
        "ship_to.city",
        "ship_to.country",
        "ship_to.postal_code",
        "po_number",
        "tax_id",
        "email",
    }
    checkout = await house.checkouts.find(house.acme)
    assert checkout is None or checkout.ship_to is None


async def test_details_come_back_as_they_were_meant(house: House) -> None:
    await house.fill(house.globex)
    spaced = msgspec.structs.replace(ADDRESS, name="  Goods   in ", country="fr", line2="Gate 3")

    await house.details(house.globex, spaced, po_number=" 4500-1 ", tax_id="40303265045")

    checkout = await house.checkouts.find(house.globex)
    assert checkout is not None
    assert checkout.ship_to == msgspec.structs.replace(ADDRESS, name="Goods in", country="FR", line2="Gate 3")
    assert (checkout.po_number, checkout.tax_id) == ("4500-1", "FR40303265045")
    assert (await house.carts.priced(house.globex)).country == "FR"


@pytest.mark.parametrize(
    ("country", "tax_id", "status", "treatment"),
    [
        ("FR", "FR40303265045", TaxStatus.REVERSE_CHARGE, TaxTreatment.REVERSE_CHARGE),
        ("US", None, TaxStatus.DOMESTIC, TaxTreatment.EXPORT),
    ],
)
async def test_untaxed_orders_say_why(
    house: House, country: str, tax_id: str | None, status: TaxStatus, treatment: TaxTreatment
) -> None:
    buyer = await make_member(
        house.database, house.clock, name="Initech", country=country, tax_id=tax_id, tax_status=status
    )
    await house.fill(buyer)
    await house.details(buyer, msgspec.structs.replace(ADDRESS, country=country), tax_id=tax_id)

    order = await house.accept(buyer, await house.review(buyer))

    assert order.tax_minor == 0
    assert order.tax_inputs["treatment"] == treatment
    assert {line.tax_percent for line in (await house.order(order)).lines} == {"0"}


async def test_a_certificate_exempts_until_its_last_day_and_stays_with_the_order(house: House) -> None:
    clerk = await make_member(house.database, house.clock, name="The clerk of finance")
    exemptions = Exemptions(house.database, house.clock)
    today = house.clock.now().date()
    named = await exemptions.submit(
        house.acme, country="es", number="E-2026-7", authority="Agencia", expires_on=today + timedelta(days=1)
    )
    buyer = await seen_now(house, house.acme)
    await house.fill(buyer)
    await house.details(buyer)
    assert (await house.carts.priced(buyer)).tax.treatment is TaxTreatment.HOME  # nobody has looked at it yet

    await exemptions.review(clerk, named.id, state=CertificateState.ACCEPTED, note="Seen")
    with pytest.raises(CertificateReviewed):
        await exemptions.review(clerk, named.id, state=CertificateState.REFUSED, note="Seen again")
    buyer = await seen_now(house, house.acme)
    order = await house.accept(buyer, await house.review(buyer))

    assert (order.tax_minor, order.tax_inputs["treatment"]) == (0, "exempt")
    assert order.tax_inputs["certificate"]["digest"] == named.digest
    assert order.canonical["tax_inputs"]["certificate"]["number"] == "E-2026-7"
    house.clock.advance(days=2)
    await house.fill(buyer)
    assert (await house.carts.priced(buyer)).tax.treatment is TaxTreatment.HOME
    await exemptions.review(clerk, named.id, state=CertificateState.WITHDRAWN, note="Expired")
    assert (await seen_now(house, house.acme)).company.exemptions == ()  # type: ignore[union-attr] # a member's


async def test_a_certificate_that_expired_or_says_nothing_is_not_taken(house: House) -> None:
    exemptions = Exemptions(house.database, house.clock)
    yesterday = house.clock.now().date() - timedelta(days=1)

    with pytest.raises(CertificateUnusable, match="expired"):
        await exemptions.submit(house.acme, country="ES", number="1", authority="A", expires_on=yesterday)
    with pytest.raises(CertificateUnusable, match="number"):
        await exemptions.submit(house.acme, country="ES", number=" ", authority="A", expires_on=date(2030, 1, 1))
    with pytest.raises(CertificateUnknown):
        await exemptions.review(house.acme, new_id(), state=CertificateState.ACCEPTED, note="x")
    assert await exemptions.list_to_review() == []


async def seen_now(house: House, buyer: Principal) -> Principal:
    """The buyer as at their next request: the company's row is read anew."""
    async with house.database.begin(for_accounts()) as session:
        company = await session.get_one(Company, buyer.company_id)
        return msgspec.structs.replace(buyer, company=buyer_company(company))


def without_freight(house: House) -> House:
    """The same house, delivering free of charge."""
    tariffs = tuple(msgspec.structs.replace(tariff, free_from="0.00") for tariff in freight.TABLE.tariffs)
    tables = Tables(freight=msgspec.structs.replace(freight.TABLE, tariffs=tariffs))
    old = house.checkouts
    checkouts = Checkouts(
        old.db, old.clock, old.books, old.catalog, old.agreements, base_url=old.base_url, tables=tables
    )
    return replace(house, checkouts=checkouts)


async def test_a_free_order_is_paid_at_once_and_needs_no_payment(house: House) -> None:
    house = without_freight(house)
    await house.fill(house.acme, "FREEBIE", "1")
    await house.details(house.acme)

    order = await house.accept(house.acme, await house.review(house.acme))

    assert (order.state, order.total) == (State.PAID, Money(0, "EUR"))
    assert await house.stock("FREEBIE") == (4, 0, 1)
    assert await house.mails() == ["order_paid"]
    with pytest.raises(OrderNotPayable):
        await house.payments.start(house.acme, order.number)
    await house.check_invariants()


async def test_a_total_below_what_a_card_can_be_charged_is_refused_at_the_review(house: House) -> None:
    house = without_freight(house)
    house.books.publish(book("0.4", root="b"), house.clock.now())
    await house.fill(house.acme, quantity="1")
    await house.details(house.acme)

    with pytest.raises(TotalNotChargeable, match=r"begin at 0\.50 EUR"):
        await house.review(house.acme)


async def test_an_order_of_another_company_is_a_missing_one(house: House) -> None:
    order = await house.place()

    for stranger in (house.globex, visitor()):
        with pytest.raises(OrderUnknown):
            await house.orders.find_order(stranger, order.number)
        with pytest.raises(OrderUnknown):
            await house.orders.find_order_by_id(stranger, order.id)
        with pytest.raises(OrderUnknown):
            await house.orders.history(stranger, order.number)
        assert await house.orders.list_orders(stranger) == ()
    with pytest.raises(OrderUnknown):
        await house.orders.find_order(house.acme, "T-2026-999999")
    for odd in ("\x00", "\ud800", ""):
        with pytest.raises(OrderUnknown):
            await house.orders.find_order(house.acme, odd)


async def test_orders_are_listed_newest_first_in_pages_and_staff_see_all(house: House) -> None:
    made = []
    for _ in range(3):
        made.append((await house.place()).number)
        house.clock.advance(seconds=1)
    made.append((await house.place(house.globex)).number)

    first = await house.orders.list_orders(house.acme, limit=2)
    rest = await house.orders.list_orders(house.acme, limit=2, before=first[-1].number)

    assert [order.number for order in (*first, *rest)] == [made[2], made[1], made[0]]
    assert [order.number for order in await house.orders.list_orders(house.staff)] == list(reversed(made))


async def test_the_letter_is_in_the_buyers_language(house: House) -> None:
    await house.fill(house.acme)
    await house.checkouts.save_details(house.acme, Details(ship_to=ADDRESS, po_number="4500"), locale="es")
    await house.accept(house.acme, await house.review(house.acme, "es"))

    (mail,) = await house.rows(OutgoingMail)
    assert mail.subject == "Pedido T-2026-000001: recibido, 257,61 EUR por pagar"
    assert "Sillón crujiente" in mail.text
    assert "Total: 257,61 EUR" in mail.text
    assert "Su número de pedido: 4500" in mail.text


async def test_row_level_security_hides_orders_from_queries_that_forget_the_company(house: House) -> None:
    await house.place()
    tables = (
        "customer_order",
        "order_line",
        "order_event",
        "stock_reservation",
        "payment_attempt",
        "stripe_call",
        "ledger_posting",
        "liability",
    )
    for stranger in (house.globex, visitor()):
        async with house.database.begin(stranger.db_scope()) as session:
            for table in tables:
                assert await session.scalar(sa.text(f"select count(*) from {table}")) == 0, table


async def test_what_was_ordered_and_posted_can_never_be_changed(house: House, owner_url: str) -> None:
    order, session_id = await house.paid_order()
    await house.payments.returned(house.acme, order.number, session_id)

    for table in ("order_line", "order_event", "ledger_posting"):
        with (
            psycopg.connect(owner_url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select set_config('tarifa.scope', 'staff', false)")
            connection.execute(f"delete from {table}".encode())


async def test_postings_that_do_not_sum_to_zero_are_refused_by_the_database(house: House) -> None:
    order = await house.place()

    with pytest.raises(sa.exc.IntegrityError, match="do not sum to zero"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(
                    "insert into ledger_posting values (gen_random_uuid(), 'sales', :id, :company, 5, 'EUR', now())"
                ),
                {"id": order.id, "company": order.company_id},
            )


async def test_an_order_without_a_basis_cannot_be_committed(house: House) -> None:
    order = await house.place()
    copied = (
        "insert into customer_order select (jsonb_populate_record(o, jsonb_build_object("
        "'id', gen_random_uuid(), 'number', 'T-0', 'checkout_id', cast(:checkout as text)))).*"
        " from customer_order o where id = :id"
    )
    await house.fill(house.acme)
    checkout = await house.checkouts.start(house.acme, locale="en")

    with pytest.raises(sa.exc.IntegrityError, match="no basis"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text(copied), {"checkout": str(checkout.id), "id": order.id})
