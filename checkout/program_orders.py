"""An order that a company's program places: nobody is shown anything, so a framework agreement is its basis.

Prices, tax, freight, stock, credit and the company's own policy are those of every other order; only the act differs.
What is ordered goes through a cart and a checkout of its own in the same transaction, and so has the same life.
"""

import uuid
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.details import Form, check_email
from accounts.principal import BuyerCompany
from agreements.frameworks import Frameworks
from checkout import quoted, store
from checkout.carts import (
    CurrencyFixed,
    QuantityNotWhole,
    QuantityRefused,
    QuantityTooLarge,
    SkuUnknown,
    UnitUnknown,
    put,
)
from checkout.charging import check_chargeable
from checkout.checkouts import (
    PO_LONGEST,
    CartEmpty,
    CartNotOrderable,
    Checkouts,
    PriceChanged,
    check_line,
    check_ship_to,
    whole,
)
from checkout.model import Cart, CartState, Checkout, Order, Paying, ShipTo
from checkout.quoted import QuoteVoid
from checkout.stripe_tax import ROUNDS_MOST, TaxNotCalculated
from kernel.clock import Clock
from kernel.db import Database, for_company
from kernel.failpoints import Failpoint
from kernel.money import Money
from pricing.quotes import SignedQuoteNotFound, read_quote

PLACE: Final = Failpoint("program_orders.place")
KEEP: Final = Failpoint("program_orders.keep")
REASONS: Final = {
    SkuUnknown.problem: "unknown_sku",
    UnitUnknown.problem: "unknown_unit",
    QuantityRefused.problem: "quantity_malformed",
    QuantityNotWhole.problem: "quantity_too_fine",
    QuantityTooLarge.problem: "quantity_too_large",
}
"""What a cart calls a refusal, and the engine's code of the same."""


class AskedLine(msgspec.Struct, frozen=True, kw_only=True):
    """*quantity*: decimal string. *unit* None: the SKU's base unit."""

    sku: str
    quantity: str
    unit: str | None = None


class AskedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """*id* names the call: asked again, it is the order that was made. *signed_quote_id*: order its lines at its prices
    in place of *lines*. *framework_id*: the agreement that is cited, None: the one that stands. *expected_total*: what
    the program goes by, for another total is refused.
    """

    id: uuid.UUID
    lines: tuple[AskedLine, ...] = ()
    signed_quote_id: uuid.UUID | None = None
    framework_id: uuid.UUID | None = None
    ship_to: ShipTo
    email: str
    po_number: str | None = None
    paying: Paying = Paying.NOW
    expected_total: Money | None = None
    channel: str = "api"
    locale: str = "en"


class ProgramOrders:
    def __init__(self, db: Database, clock: Clock, checkouts: Checkouts, frameworks: Frameworks) -> None:
        self.db = db
        self.clock = clock
        self.checkouts = checkouts
        self.frameworks = frameworks

    async def place(self, company: BuyerCompany, asked: AskedOrder) -> Order:
        """Make the order, with its citation of the company's framework agreement, in one commit or not at all.

        :raises FrameworkMissing, FrameworkNotFound, FrameworkEnded, FrameworkOutdated, FrameworkExceeded: as
            `Frameworks.cite`
        :raises accounts.details.DetailsRefused: naming every field of the address to mend
        :raises SignedQuoteNotFound, QuoteVoid, CurrencyFixed: as `Carts.take_quote`
        :raises PriceChanged: when the total is not the one expected
        :raises TotalNotChargeable: when it is to be paid at once and no card can be charged it
        :raises checkout.needs.ApprovalNeeded: when the company wants somebody to approve such an order
        :raises CartEmpty, CartNotOrderable, InsufficientStock, CreditExceeded, CreditUnavailable: as `Checkouts.place`
        :raises checkout.stripe_tax.TaxUnavailable: when Stripe calculates the tax and does not answer
        """
        asked = _checked(asked)
        for _ in range(ROUNDS_MOST):
            try:
                return await self._place(company, asked)
            except TaxNotCalculated as missing:
                if self.checkouts.stripe_tax is None:
                    raise
                await self._keep(company, asked)
                await self.checkouts.stripe_tax.calculate(missing)
        return await self._place(company, asked)

    async def _place(self, company: BuyerCompany, asked: AskedOrder) -> Order:
        now = self.clock.now()
        async with self.db.begin(for_company(company.id), PLACE) as session:
            await store.lock_name(session, asked.id)
            made = await store.find_order_of_checkout(session, asked.id)
            if made is not None:
                return made
            cart, checkout = await self._checkout(session, company, asked)
            assert checkout.person_id is not None, "a signatory accepted the agreement"
            priced, terms, _ = await self.checkouts.order_now(session, company, cart, checkout, now)
            total = whole(priced)[0].total
            if priced.signed_quote is not None and priced.signed_quote.void is not None:
                raise QuoteVoid(
                    f"The quote holds for a delivery to {priced.signed_quote.country}. Nothing was ordered.",
                    reason=priced.signed_quote.void,
                )
            if asked.expected_total is not None and asked.expected_total != total:
                raise PriceChanged(asked.expected_total, total)
            if asked.paying is Paying.NOW:
                check_chargeable(total)
            categories = await self.checkouts.catalog.categories_of(session, {line.sku for line in cart.lines})

            async def cite(
                order_id: uuid.UUID, terms: dict[str, Any], personal: dict[str, str]
            ) -> tuple[dict[str, Any], str]:
                return await self.frameworks.cite(
                    session,
                    company,
                    order_id=order_id,
                    terms=terms,
                    personal=personal,
                    total=total,
                    categories=categories,
                    channel=asked.channel,
                    framework_id=asked.framework_id,
                )

            return await self.checkouts.make_order(
                session, cart, checkout, company=company, shown=terms, basis=cite, by=checkout.person_id
            )

    async def _keep(self, company: BuyerCompany, asked: AskedOrder) -> None:
        """Keep what is asked, without an order, so that a calculation of its tax can be kept with it."""
        async with self.db.begin(for_company(company.id), KEEP) as session:
            await store.lock_name(session, asked.id)
            await self._checkout(session, company, asked)

    async def _checkout(self, session: AsyncSession, company: BuyerCompany, asked: AskedOrder) -> tuple[Cart, Checkout]:
        """The cart and checkout of this call, made unless they were kept. The cart is never open: who accepted the
        agreement may be filling one of their own.
        """
        kept = await store.lock_checkout(session, asked.id)
        if kept is not None:
            return await store.lock_cart(session, kept.cart_id), kept
        framework = await self.frameworks.citable(session, company.id, asked.framework_id, channel=asked.channel)
        now = self.clock.now()
        cart = Cart(
            id=asked.id,
            visitor_id=asked.id,
            company_id=company.id,
            person_id=framework.actor_id,
            currency=company.currency,
            state=CartState.ORDERED,
            created_at=now,
            updated_at=now,
        )
        await self._fill(session, cart, company, asked)
        checkout = Checkout(
            id=asked.id,
            cart_id=cart.id,
            visitor_id=asked.id,
            company_id=company.id,
            person_id=framework.actor_id,
            locale=asked.locale,
            email=asked.email,
            tax_id=company.tax_id,
            currency=company.currency,
            paying=asked.paying,
            created_at=now,
            updated_at=now,
        )
        checkout.ship_to = msgspec.to_builtins(asked.ship_to)
        checkout.po_number = asked.po_number
        session.add_all([cart, checkout])
        await session.flush()
        return cart, checkout

    async def _fill(self, session: AsyncSession, cart: Cart, company: BuyerCompany, asked: AskedOrder) -> None:
        """:raises CartNotOrderable: naming every line that cannot be ordered, by its place among those asked for"""
        lines = asked.lines
        if asked.signed_quote_id is not None:
            signed = await quoted.find_orderable(session, asked.signed_quote_id, self.clock.now())
            if signed is None or signed.company_id != company.id:
                raise SignedQuoteNotFound("There is no such signed quote, or it is not yours.")
            document = read_quote(signed)
            if document.currency != company.currency:
                raise CurrencyFixed(f"Your company buys in {company.currency}, the quote is in another currency.")
            lines = tuple(AskedLine(sku=each.sku, quantity=each.quantity, unit=each.unit) for each in document.lines)
            cart.signed_quote_id = signed.id
        if not lines:
            raise CartEmpty("There is nothing to order: name lines, or a signed quote.")
        skus = await self.checkouts.catalog.find_skus_in(
            session, {line.sku for line in lines if line.sku.isprintable()}
        )
        refused = []
        for position, line in enumerate(lines, start=1):
            try:
                put(cart, skus, line.sku, line.quantity, line.unit, position=position)
            except (SkuUnknown, UnitUnknown, QuantityRefused) as error:
                reason = REASONS[error.problem]
                refused.append({"position": position, "sku": line.sku, "reason": reason, "text": error.message})
        if refused:
            raise CartNotOrderable(
                "Some lines cannot be ordered as they are; `lines` says which and why.", lines=refused
            )


def _checked(asked: AskedOrder) -> AskedOrder:
    """As `Checkouts.save_details` takes what a person types.

    :raises DetailsRefused: naming every field to mend
    """
    form = Form()
    ship_to = check_ship_to(form, asked.ship_to)
    po_number = form.check("po_number", check_line, asked.po_number, PO_LONGEST)
    email = form.check("email", check_email, asked.email)
    form.refuse()
    return msgspec.structs.replace(asked, ship_to=ship_to, po_number=po_number or None, email=email or "")
