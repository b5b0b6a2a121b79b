"""From cart to order: details, review, and the one act that makes an order."""

import uuid
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.details import Form, check_email
from accounts.principal import BuyerCompany, Principal
from accounts.tax import check_country, check_tax_id
from agreements.accepting import ToAccept
from agreements.asking import Asked, Quoted, choose
from agreements.model import DeclineReason, LegalReview, Presentation
from agreements.service import Agreements, PresentationStale
from catalog.service import Catalog
from checkout import canonical, freezing, quoted, store, tax
from checkout import credit as credit_control
from checkout.carts import delivery_to
from checkout.charging import check_chargeable
from checkout.freight import FreightDecision, FreightNotKnown
from checkout.mails import order_mail
from checkout.model import (
    Cart,
    CartState,
    Checkout,
    Order,
    OrderEvent,
    OrderLine,
    Paying,
    ShipTo,
    StockReservation,
)
from checkout.needs import refuse_acting_alone
from checkout.offer import DEFAULT_TABLES, Books, Tables, base_quantities, base_quantity, price_cart
from checkout.order_news import announce_created
from checkout.settlement import finish_sale
from checkout.states import Event, State, advance
from checkout.stripe_tax import StripeTax, calculating
from checkout.tax import TaxDecision
from checkout.tax_calculation import asked_of_stripe
from checkout.totals import Totals
from checkout.views import CheckoutView, Details, PricedCart, Review
from kernel import events
from kernel.clock import Clock
from kernel.db import Database
from kernel.errors import Conflict, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue
from kernel.mail import queue_mail
from kernel.money import Money
from pricing.engine.explain import refusal_text

PAY_WITHIN: Final = timedelta(days=3)
SHOWN_FOR: Final = timedelta(hours=1)
"""How long a reviewed price stands as the one reviewed, while it is still the price: as long as a presentation."""
PO_LONGEST: Final = 60
POSTCODE_LONGEST: Final = 20
CLOSE_TASK: Final = "close_order"

BEGIN: Final = Failpoint("checkout.start")
SAVE: Final = Failpoint("checkout.save_details")
CHOOSE_PAYING: Final = Failpoint("checkout.choose_paying")
REVIEW: Final = Failpoint("checkout.review")
DECLINE: Final = Failpoint("checkout.decline")
SEND_TO_LEGAL: Final = Failpoint("checkout.send_to_legal")
PLACE: Final = Failpoint("checkout.place")


class CartEmpty(Refused):
    problem = "cart-empty"
    title = "The cart is empty"


class CartNotOrderable(Refused):
    """`extra["lines"]` names the lines and why."""

    problem = "cart-not-orderable"
    title = "Some lines cannot be ordered as they are"


class AccountNeeded(Refused):
    problem = "account-needed"
    title = "Ordering needs an account"


class EmailNotVerified(Refused):
    problem = "email-not-verified"
    title = "Your e-mail address is not confirmed yet"


class DetailsMissing(Refused):
    problem = "details-missing"
    title = "We do not know yet where to deliver"


class FieldMissing(Refused):
    problem = "field-missing"
    title = "This field needs to be filled in"


class FieldRefused(Refused):
    problem = "field-refused"
    title = "This field needs to be mended"


class CheckoutFrozen(Conflict):
    problem = "checkout-frozen"
    title = "This order waits for somebody else"


class PriceChanged(Conflict):
    """`extra` holds `old` and `new`, each `{"amount", "currency"}`."""

    problem = "price-changed"
    title = "The total has changed since you saw it"

    def __init__(self, old: Money, new: Money) -> None:
        self.old, self.new = old, new
        super().__init__(
            f"The total was {old} and is {new} now. Nothing was ordered: look at it and accept again.",
            old={"amount": old.decimal, "currency": old.currency},
            new={"amount": new.decimal, "currency": new.currency},
        )


Basis = Callable[[uuid.UUID, dict[str, Any], dict[str, str]], Awaitable[tuple[dict[str, Any], str]]]


class Checkouts:
    """A guest may fill in the details; review and order need a person of a company."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        books: Books,
        catalog: Catalog,
        agreements: Agreements,
        *,
        base_url: str,
        tables: Tables = DEFAULT_TABLES,
        stripe_tax: StripeTax | None = None,
    ) -> None:
        self.db = db
        self.clock = clock
        self.books = books
        self.catalog = catalog
        self.agreements = agreements
        self.base_url = base_url
        self.tables = tables
        self.stripe_tax = stripe_tax

    async def find(self, principal: Principal) -> CheckoutView | None:
        """Find the checkout of the open cart."""
        async with self.db.reading(principal.db_scope()) as session:
            cart = await store.find_open_cart(session, principal)
            checkout = None if cart is None else await store.find_checkout(session, cart.id)
        return None if checkout is None else CheckoutView.of(checkout)

    async def start(self, principal: Principal, *, locale: str) -> CheckoutView:
        """Find or make the checkout of the open cart.

        :raises CartEmpty: when there is nothing to order
        """
        async with self.db.begin(principal.db_scope(), BEGIN) as session:
            _, checkout = await self.lock(session, principal, locale)
        return CheckoutView.of(checkout)

    async def save_details(self, principal: Principal, details: Details, *, locale: str) -> CheckoutView:
        """Keep where to deliver and what to print on the invoice.

        :raises accounts.details.DetailsRefused: naming every field to mend at once
        :raises CartEmpty: when there is nothing to order
        """
        form = Form()
        ship_to = check_ship_to(form, details.ship_to)
        po_number = form.check("po_number", check_line, details.po_number, PO_LONGEST)
        tax_country = ship_to.country if principal.company is None else principal.company.country
        tax_id = form.check("tax_id", check_tax_id, details.tax_id, tax_country)
        given_email = details.email or principal.email
        email = None if given_email is None else form.check("email", check_email, given_email)
        form.refuse()
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), SAVE) as session:
            _, checkout = await self.lock(session, principal, locale)
            await freezing.edit(session, checkout, by=principal.person_id, now=now, base_url=self.base_url)
            checkout.locale = locale
            checkout.ship_to = msgspec.to_builtins(ship_to)
            checkout.po_number = po_number or None
            checkout.tax_id = None if tax_id is None else tax_id.text
            checkout.email = email
            checkout.details_saved_at = now
            events.record(session, "checkout_step_completed", journey=principal.visitor_id, at=now, step="details")
        return CheckoutView.of(checkout)

    async def choose_paying(self, principal: Principal, paying: Paying, *, locale: str) -> CheckoutView:
        """Pay at once, or by invoice on the company's terms: it is shown at the review and a term of what is accepted.

        :raises AccountNeeded: for a guest
        :raises CartEmpty: when there is nothing to order
        :raises CreditUnavailable: when the company has no terms in the cart's currency
        """
        company = buyer_of(principal)
        async with self.db.begin(principal.db_scope(), CHOOSE_PAYING) as session:
            cart, checkout = await self.lock(session, principal, locale)
            if paying is Paying.ON_TERMS and not await credit_control.standing(session, company.id, cart.currency):
                raise credit_control.CreditUnavailable("Your company has no terms for this order: it is paid at once.")
            await freezing.edit(session, checkout, by=principal.person_id, now=self.clock.now(), base_url=self.base_url)
            checkout.paying = paying
        return CheckoutView.of(checkout)

    @calculating
    async def review(
        self, principal: Principal, *, locale: str, template_digest: str, stylesheet_digest: str
    ) -> Review:
        """Price the order for the last time before the act and issue what the buyer is asked to accept.

        :param template_digest: of the page's template, as the evidence names it; *stylesheet_digest* likewise
        :raises AccountNeeded: for a guest
        :raises EmailNotVerified: until the person has entered the code we mailed
        :raises CartEmpty: when there is nothing to order
        :raises DetailsMissing: without a ship-to address
        :raises CartNotOrderable: when a line can't be priced or delivered
        :raises TotalNotChargeable: when no card can be charged this total
        :raises checkout.needs.ApprovalNeeded: when the company's policy lets somebody else place it
        :raises agreements.service.SignatoryRequired: when this person may not bind the company
        """
        company = buyer_of(principal)
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), REVIEW) as session:
            cart, checkout = await self.lock(session, principal, locale)
            checkout.state = advance(checkout.state, Event.REVIEW)
            checkout.email = checkout.email or principal.email
            credit, priced, terms, personal = await self.offer_now(session, company, cart, checkout, now)
            totals, _ = whole(priced)
            await refuse_acting_alone(
                session, company, principal.person_id, totals.total, self.asked_for(session, company, cart, priced)
            )
            net_days = canonical.net_days(terms)
            shown, previous = checkout.shown, _shown_total(checkout)
            if shown is not None and canonical.same_offer(shown, terms) and _fresh(shown, now):
                terms = shown
            presentation = await self.present(
                session,
                principal,
                cart,
                checkout,
                priced,
                terms=terms,
                personal=personal,
                locale=locale,
                template_digest=template_digest,
                stylesheet_digest=stylesheet_digest,
            )
            checkout.shown = terms
            checkout.shown_total_minor = totals.total.minor
            checkout.currency = totals.total.currency
            checkout.updated_at = now
            events.record(session, "agreement_shown", journey=principal.visitor_id, at=now, locale=locale)
        return Review(
            checkout=CheckoutView.of(checkout),
            cart=priced,
            totals=totals,
            presentation=presentation,
            previous_total=previous if previous is not None and previous != totals.total else None,
            credit=credit,
            net_days=net_days,
            pay_by=now + PAY_WITHIN if net_days is None else None,
        )

    async def present(
        self,
        session: AsyncSession,
        principal: Principal,
        cart: Cart,
        checkout: Checkout,
        priced: PricedCart,
        *,
        terms: dict[str, Any],
        personal: dict[str, str],
        locale: str,
        template_digest: str,
        stylesheet_digest: str,
        button_label: str | None = None,
    ) -> Presentation:
        """Issue what *principal* is asked to accept of a priced checkout, in the caller's transaction.

        :param button_label: None is the buyer's own
        :raises agreements.service.SignatoryRequired: and the others of `Agreements.present`
        """
        totals, _ = whole(priced)
        return await self.agreements.present(
            session,
            principal,
            checkout_id=checkout.id,
            terms=terms,
            personal=personal,
            total=totals.total,
            locale=locale,
            template_digest=template_digest,
            stylesheet_digest=stylesheet_digest,
            pay_within=PAY_WITHIN,
            button_label=button_label,
            net_days=canonical.net_days(terms),
            categories=await self.catalog.categories_of(session, {line.sku for line in cart.lines}),
            quoted=quoted_by(priced),
        )

    def asked_for(
        self, session: AsyncSession, company: BuyerCompany, cart: Cart, priced: PricedCart
    ) -> Callable[[], Awaitable[frozenset[str]]]:
        """Looks up the codes of the documents that a priced cart is asked for."""

        async def codes() -> frozenset[str]:
            totals, _ = whole(priced)
            asked = await self.asked(session, company, cart, priced)
            chosen = await choose(session, asked, "en", total=totals.total, now=self.clock.now())
            return frozenset(version.document.code for version in chosen.versions)

        return codes

    async def asked(self, session: AsyncSession, company: BuyerCompany, cart: Cart, priced: PricedCart) -> Asked:
        """What the rules that choose documents look at."""
        categories = await self.catalog.categories_of(session, {line.sku for line in cart.lines})
        return Asked(
            country=company.country,
            company=company.code,
            categories=tuple(sorted(categories)),
            quoted=quoted_by(priced),
        )

    async def _calculated(
        self,
        session: AsyncSession,
        company: BuyerCompany,
        checkout: Checkout,
        ship_to: ShipTo,
        tax_id: str | None,
        priced: PricedCart,
    ) -> TaxDecision:
        """Stripe's word on the tax of *priced*, kept from when it was asked.

        :raises TaxNotCalculated: when it was not asked about exactly this
        """
        assert self.stripe_tax is not None, "the house has chosen it"
        _, freight = whole(priced)
        tax_id = company.counting_tax_id(tax_id)
        number = tax.vat_number(tax_id)
        address = {
            "line1": ship_to.line1,
            "line2": ship_to.line2,
            "city": ship_to.city,
            "postal_code": ship_to.postal_code,
            "state": ship_to.region,
            "country": ship_to.country,
        }
        request = asked_of_stripe(
            priced.quote,
            freight.freight,
            address={name: text for name, text in address.items() if text},
            vat_number=number,
            exempt=priced.tax.certificate is not None,
        )
        found = await self.stripe_tax.find(
            session, checkout_id=checkout.id, company_id=company.id, request=request, quote=priced.quote
        )
        return tax.calculated(priced.tax, found, tax_id=tax_id)

    async def place(
        self,
        principal: Principal,
        *,
        presentation_id: uuid.UUID,
        ticked: Collection[str],
        job_title: str,
        ip: str,
        user_agent: str,
    ) -> Order:
        """Make the order: acceptance, order, reservation, mail and event in one commit, or nothing.

        Amounts come from our own prices as of now, never from the request. Submitting again, in this tab or another,
        gives the order that was made.

        :raises PriceChanged: when the total is not the one that was shown
        :raises catalog.service.InsufficientStock: naming the lines
        :raises CartNotOrderable: when a line can't be priced any more
        :raises CartEmpty: when there is nothing to order
        :raises checkout.credit.CreditExceeded: when it was to be paid by invoice and less credit is left
        :raises checkout.credit.CreditUnavailable: likewise, when the company has no terms any more
        :raises agreements.service.PresentationStale: and the others of `Agreements.accept`
        """
        company = buyer_of(principal)
        async with self.db.begin(principal.db_scope(), PLACE) as session:
            cart = await store.lock_open_cart(session, principal)
            checkout = None if cart is None else await store.lock_checkout_of_cart(session, cart.id)
            # Not before: another tab may have had the lock, its order is this one's
            to_accept = await self.agreements.lock_to_accept(session, principal, presentation_id)
            if to_accept.order_id is not None:
                made = await store.find_order_by_id(session, to_accept.order_id)
                assert made is not None, "an acceptance stays, and so does its order"
                return made
            if cart is None or checkout is None or not cart.lines:
                raise CartEmpty("There is nothing to order: your cart is empty, or it was ordered in another tab.")
            if checkout.state is not State.OPEN:
                raise CheckoutFrozen("This order waits for somebody else of your company. Take it back to change it.")
            checkout.person_id, checkout.visitor_id = principal.person_id, principal.visitor_id
            checkout.email = checkout.email or principal.email
            accept = self.acceptance(
                session,
                principal,
                checkout,
                to_accept,
                ticked=ticked,
                job_title=job_title,
                ip=ip,
                user_agent=user_agent,
            )
            return await self.make_order(
                session, cart, checkout, company=company, shown=checkout.shown, basis=accept, by=principal.person_id
            )

    def acceptance(
        self,
        session: AsyncSession,
        principal: Principal,
        checkout: Checkout,
        to_accept: ToAccept,
        *,
        ticked: Collection[str],
        job_title: str,
        ip: str,
        user_agent: str,
    ) -> Basis:
        """The basis of an order that one person accepts: whoever buys alone, or approves what another chose."""

        async def accept(
            order_id: uuid.UUID, terms: dict[str, Any], personal: dict[str, str]
        ) -> tuple[dict[str, Any], str]:
            acceptance = await self.agreements.accept(
                session,
                principal,
                to_accept,
                checkout_id=checkout.id,
                terms=terms,
                personal=personal,
                ticked=ticked,
                job_title=job_title,
                order_id=order_id,
                ip=ip,
                user_agent=user_agent,
            )
            return acceptance.order_content, acceptance.order_digest

        return accept

    async def make_order(
        self,
        session: AsyncSession,
        cart: Cart,
        checkout: Checkout,
        *,
        company: BuyerCompany,
        shown: dict[str, Any] | None,
        basis: Basis,
        by: uuid.UUID | None,
    ) -> Order:
        """Make the order of a locked cart and checkout, in the caller's transaction: the last act's one commit.

        :param shown: the terms that the last person was shown: those of now must be the same offer
        :param basis: records the act for the order's id, terms and personal fields; the canonical order and its digest
        :param by: whose act it is
        :raises PriceChanged: and the others of `place`
        """
        now = self.clock.now()
        priced, terms, personal = await self.order_now(session, company, cart, checkout, now)
        totals, freight = whole(priced)
        if checkout.state is State.OPEN:
            await refuse_acting_alone(
                session, company, by, totals.total, self.asked_for(session, company, cart, priced)
            )
        shown = _unchanged(shown, terms, totals.total)
        order = self._order(company, checkout, priced, totals, freight, shown, now)
        order.net_days = canonical.net_days(shown)
        if order.net_days is not None:
            await credit_control.claim(session, company.id, totals.total)
            order.pay_by = None
        reserved = {
            priced.skus[code].id: quantity for code, quantity in base_quantities(cart.lines, priced.skus).items()
        }
        await self.catalog.reserve(session, reserved)
        paid_later = Event.ACCEPT if order.net_days is None else Event.ACCEPT_ON_TERMS
        event, before = paid_later if totals.total else Event.ACCEPT_FREE, checkout.state
        order.number = f"T-{now.year}-{await store.next_order_number(session):06d}"
        order.state = checkout.state = advance(before, event)
        order.paid_at = now if order.state is State.PAID else None
        checkout.accepted_at = checkout.updated_at = cart.updated_at = now
        cart.state = CartState.ORDERED
        session.add(order)
        await session.flush()
        order.canonical, order.canonical_digest = await basis(order.id, shown, personal)
        session.add_all(
            StockReservation(order_id=order.id, sku_id=sku_id, company_id=company.id, quantity=quantity, changed_at=now)
            for sku_id, quantity in reserved.items()
        )
        session.add(
            OrderEvent(
                order_id=order.id,
                version=order.version,
                company_id=company.id,
                event=event.value,
                before=before,
                after=order.state,
                person_id=by,
                at=now,
            )
        )
        await session.flush()
        await self._announce(session, order, now)
        return order

    async def decline(
        self, principal: Principal, *, presentation_id: uuid.UUID, reason: DeclineReason, comment: str
    ) -> None:
        """Keep why the buyer said no; cart and details stay as they are.

        :raises agreements.service.PresentationNotFound: and the others of `Agreements.decline`
        """
        async with self.db.begin(principal.db_scope(), DECLINE) as session:
            declined = await self.agreements.decline(
                session, principal, presentation_id=presentation_id, reason=reason, comment=comment
            )
            events.record(
                session,
                "agreement_declined",
                journey=principal.visitor_id,
                at=declined.declined_at,
                reason=reason.value,
            )

    async def send_to_legal(self, principal: Principal, *, presentation_id: uuid.UUID) -> tuple[LegalReview, str]:
        """Make a read-only link to what was presented; its token is shown once.

        :raises agreements.service.PresentationNotFound: and the others of `Agreements.send_to_legal`
        """
        async with self.db.begin(principal.db_scope(), SEND_TO_LEGAL) as session:
            return await self.agreements.send_to_legal(session, principal, presentation_id=presentation_id)

    async def lock(self, session: AsyncSession, principal: Principal, locale: str) -> tuple[Cart, Checkout]:
        """Lock the open cart, then its checkout, making that where there is none: always in this order."""
        cart = await store.lock_open_cart(session, principal)
        if cart is None or not cart.lines:
            raise CartEmpty("Your cart is empty: put something into it first.")
        checkout = await store.lock_checkout_of_cart(session, cart.id)
        if checkout is None:
            now = self.clock.now()
            checkout = Checkout(
                id=new_id(),
                cart_id=cart.id,
                visitor_id=principal.visitor_id,
                company_id=principal.company_id,
                person_id=cart.person_id,
                locale=locale,
                email=principal.email,
                tax_id=None if principal.company is None else principal.company.tax_id,
                currency=cart.currency,
                created_at=now,
                updated_at=now,
            )
            session.add(checkout)
            await session.flush()
        return cart, checkout

    async def offer_now(
        self, session: AsyncSession, company: BuyerCompany, cart: Cart, checkout: Checkout, now: datetime
    ) -> tuple[credit_control.Credit | None, PricedCart, dict[str, Any], dict[str, str]]:
        """As `order_now`, paid at once where the company's credit does not reach; and that credit.

        :raises TotalNotChargeable: when no card can be charged this total
        """
        credit = await credit_control.standing(session, company.id, cart.currency)
        if credit is None:
            checkout.paying = Paying.NOW
        priced, terms, personal = await self.order_now(session, company, cart, checkout, now)
        totals, _ = whole(priced)
        check_chargeable(totals.total)
        if checkout.paying is Paying.ON_TERMS and not (totals.total and credit and credit.covers(totals.total)):
            checkout.paying = Paying.NOW
            priced, terms, personal = await self.order_now(session, company, cart, checkout, now)
        return credit, priced, terms, personal

    async def order_now(
        self, session: AsyncSession, company: BuyerCompany, cart: Cart, checkout: Checkout, now: datetime
    ) -> tuple[PricedCart, dict[str, Any], dict[str, str]]:
        """The cart as it would be ordered at *now*: priced, as terms, and its personal fields."""
        credit = None
        if checkout.paying is Paying.ON_TERMS:
            credit = await credit_control.standing(session, company.id, cart.currency)
            if credit is None:
                raise credit_control.CreditUnavailable(
                    "Your company cannot pay this order by invoice any more. Nothing was ordered: pay it now."
                )
        view = CheckoutView.of(checkout)
        email = view.email
        if view.ship_to is None or email is None:
            raise DetailsMissing("Tell us first where to deliver.")
        skus = await self.catalog.find_skus_in(session, {line.sku for line in cart.lines})
        delivery = delivery_to(view.ship_to, view.tax_id)
        asked = await quoted.terms_for(session, cart, company=company, delivery=delivery, books=self.books, now=now)
        price = partial(
            price_cart,
            cart,
            cart.lines,
            skus,
            company=asked.company,
            delivery=delivery,
            currency=cart.currency,
            book=asked.book,
            tables=self.tables,
            at=asked.at,
            taxed_at=now,
            signed_quote=asked.quote,
        )
        priced = price()
        if any(line.refused is not None or line.names is None for line in priced.lines):
            raise CartNotOrderable(
                "Some lines cannot be ordered as they are; `lines` says which and why.", lines=_problems(priced)
            )
        if priced.freight_refusal is not None:
            raise FreightNotKnown(priced.freight_refusal)
        if self.stripe_tax is not None:
            priced = price(
                decided=await self._calculated(session, company, checkout, view.ship_to, view.tax_id, priced)
            )
        totals, freight = whole(priced)
        terms = canonical.order_terms(
            checkout_id=checkout.id,
            company=asked.company or company,
            quote=priced.quote,
            signed_quote_id=_quote_id(priced),
            totals=totals,
            tax=priced.tax,
            freight=freight,
            po_number=view.po_number,
            ship_to=view.ship_to,
            pay_within_hours=int(PAY_WITHIN.total_seconds() // 3600),
            net_days=None if credit is None else credit.net_days,
        )
        return priced, terms, canonical.personal_fields(ship_to=view.ship_to, email=email)

    def _order(
        self,
        company: BuyerCompany,
        checkout: Checkout,
        priced: PricedCart,
        totals: Totals,
        freight: FreightDecision,
        shown: dict[str, Any],
        now: datetime,
    ) -> Order:
        assert checkout.person_id is not None, "a buyer is a person"
        assert checkout.ship_to is not None, "an order knows where to"
        return Order(
            id=new_id(),
            number="",
            company_id=company.id,
            checkout_id=checkout.id,
            person_id=checkout.person_id,
            state=checkout.state,
            locale=checkout.locale,
            email=checkout.email or "",
            visitor_id=checkout.visitor_id,
            currency=totals.total.currency,
            goods_minor=totals.goods.minor,
            freight_minor=totals.freight.minor,
            tax_minor=totals.tax.minor,
            total_minor=totals.total.minor,
            price_root=shown["price_root"],
            priced_at=datetime.fromisoformat(shown["priced_at"]),
            signed_quote_id=_quote_id(priced),
            canonical=shown,
            canonical_digest="",
            tax_inputs=msgspec.to_builtins(priced.tax),
            freight_inputs=msgspec.to_builtins(freight),
            ship_to=checkout.ship_to,
            po_number=checkout.po_number,
            tax_id=checkout.tax_id,
            pay_by=now + PAY_WITHIN,
            placed_at=now,
            lines=_lines(priced, company.id),
        )

    async def _announce(self, session: AsyncSession, order: Order, now: datetime) -> None:
        events.record(
            session, "agreement_accepted", journey=order.visitor_id, at=now, locale=order.locale, order=order.number
        )
        events.record(session, "order_placed", journey=order.visitor_id, at=now, order=order.number)
        await announce_created(session, order, now=now, base_url=self.base_url)
        if order.state is State.PAID:
            await finish_sale(session, self.catalog, order, entry_id=order.id, now=now, base_url=self.base_url)
            return
        if order.state is State.ON_TERMS:
            await queue_mail(session, order_mail("order_received_on_terms", order, base_url=self.base_url), now=now)
            return
        await queue_mail(session, order_mail("order_received", order, base_url=self.base_url), now=now)
        await enqueue(session, CLOSE_TASK, {"order_id": str(order.id)}, run_at=order.pay_by)


def buyer_of(principal: Principal) -> BuyerCompany:
    if principal.company is None or principal.person_id is None:
        raise AccountNeeded("Log in, or make an account for your company; your cart comes along.")
    if not principal.email_verified:
        raise EmailNotVerified("Enter the code we sent to your e-mail address first.")
    return principal.company


def quoted_by(priced: PricedCart) -> Quoted | None:
    """What the signed quote that prices the cart keeps of the documents."""
    return None if _quote_id(priced) is None or priced.signed_quote is None else priced.signed_quote.keeps


def _quote_id(priced: PricedCart) -> uuid.UUID | None:
    """The signed quote that prices the cart."""
    return None if priced.signed_quote is None or priced.signed_quote.void is not None else priced.signed_quote.id


def whole(priced: PricedCart) -> tuple[Totals, FreightDecision]:
    assert priced.totals is not None, "refused lines were refused before"
    assert priced.freight is not None, "totals have freight"
    return priced.totals, priced.freight


def _problems(priced: PricedCart) -> list[dict[str, Any]]:
    return [
        {
            "position": line.position,
            "sku": line.sku,
            "reason": "unknown_sku" if line.refused is None else line.refused.reason,
            "text": f"We do not sell {line.sku}." if line.refused is None else refusal_text(line.refused, "en"),
        }
        for line in priced.lines
        if line.refused is not None or line.names is None
    ]


def _shown_total(checkout: Checkout) -> Money | None:
    if checkout.shown_total_minor is None:
        return None
    return Money(checkout.shown_total_minor, checkout.currency)


def _fresh(shown: dict[str, Any], now: datetime) -> bool:
    return now - datetime.fromisoformat(shown["priced_at"]) < SHOWN_FOR


def _unchanged(shown: dict[str, Any] | None, terms: dict[str, Any], total: Money) -> dict[str, Any]:
    """The terms that were *shown*, if *terms* are still the same offer.

    :raises PriceChanged: when the same goods come to another total
    :raises PresentationStale: when anything else differs, or nothing was shown
    """
    if shown is not None and canonical.same_offer(shown, terms):
        return shown
    if shown is not None and canonical.same_goods(shown, terms):
        shown_total = Money.parse(shown["total"], shown["currency"])
        if shown_total != total:
            raise PriceChanged(shown_total, total)
    raise PresentationStale(
        "Nothing was ordered: the cart or the delivery changed since you saw it. Look at it and accept again.",
        changed=["order"],
    )


def _lines(priced: PricedCart, company_id: uuid.UUID) -> list[OrderLine]:
    lines = []
    for position, line in enumerate(priced.lines, start=1):
        sku = priced.skus[line.sku]
        answer = line.priced
        assert answer is not None, "refused lines were refused before"
        quantity = Decimal(line.quantity)
        base = base_quantity(quantity, line.unit, sku)
        assert base is not None, "a unit the book prices is one the catalogue sells"
        lines.append(
            OrderLine(
                position=position,
                company_id=company_id,
                sku=line.sku,
                sku_id=sku.id,
                names=msgspec.to_builtins(sku.names),
                unit=line.unit,
                quantity=quantity,
                base_quantity=base,
                price_unit=answer.price_unit,
                unit_price=answer.unit_price,
                net=answer.net,
                tax=answer.tax or "0",
                tax_percent=priced.tax.percent(answer.tax_category),
                trace=msgspec.to_builtins(answer.trace),
            )
        )
    return lines


def check_ship_to(form: Form, typed: ShipTo) -> ShipTo:
    """Each field without surrounding blanks; what is wrong is noted in *form* under `ship_to.FIELD`."""

    def line(field: str, value: str, longest: int = 100, *, required: bool = True) -> str:
        return form.check(f"ship_to.{field}", check_line, value, longest, required=required) or ""

    return ShipTo(
        name=line("name", typed.name),
        line1=line("line1", typed.line1),
        line2=line("line2", typed.line2, required=False),
        postal_code=line("postal_code", typed.postal_code, POSTCODE_LONGEST),
        city=line("city", typed.city),
        region=line("region", typed.region, required=False),
        country=form.check("ship_to.country", check_country, typed.country) or "",
    )


def check_line(text: str | None, longest: int, *, required: bool = False) -> str:
    line = " ".join((text or "").split())
    if required and not line:
        raise FieldMissing("Fill this in.")
    if len(line) > longest or not line.isprintable():
        raise FieldRefused(f"Use at most {longest} letters, digits and signs.")
    return line
