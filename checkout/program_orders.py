"""An order that a company's program places: nobody is shown anything, so a framework agreement is its basis.

Prices, tax, freight, stock, credit and the company's own policy are those of every other order; only the act differs.
What is ordered goes through a cart and a checkout of its own in the same transaction, and so has the same life.
"""

import uuid
from decimal import Decimal
from typing import Any, Final

import msgspec

from accounts.principal import BuyerCompany
from agreements.frameworks import FrameworkMissing, Frameworks
from checkout import store
from checkout.checkouts import Checkouts, PriceChanged, whole
from checkout.model import Cart, CartLine, Checkout, Order, Paying, ShipTo
from kernel.clock import Clock
from kernel.db import Database, for_company
from kernel.failpoints import Failpoint
from kernel.money import Money

PLACE: Final = Failpoint("program_orders.place")


class AskedLine(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    unit: str
    quantity: Decimal


class AskedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """*id* names the call: asked again, it is the order that was made. *expected_total*: what the program goes by, for
    another total is refused.
    """

    id: uuid.UUID
    lines: tuple[AskedLine, ...]
    ship_to: ShipTo
    email: str
    po_number: str | None = None
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

        :raises FrameworkMissing, FrameworkOutdated, FrameworkExceeded: as `Frameworks.cite`
        :raises PriceChanged: when the total is not the one expected
        :raises checkout.needs.ApprovalNeeded: when the company wants somebody to approve such an order
        :raises CartNotOrderable, InsufficientStock, CreditExceeded: as `Checkouts.place`
        """
        now = self.clock.now()
        async with self.db.begin(for_company(company.id), PLACE) as session:
            made = await store.find_order_of_checkout(session, asked.id)
            if made is not None:
                return made
            signatory = await self.frameworks.signatory_of(session, company.id)
            if signatory is None:
                raise FrameworkMissing(
                    "Have a signatory of your company accept the framework agreement at /account/agreements first."
                )
            cart = Cart(
                id=asked.id,
                visitor_id=asked.id,
                company_id=company.id,
                person_id=signatory,
                currency=company.currency,
                created_at=now,
                updated_at=now,
                lines=[
                    CartLine(position=position, sku=line.sku, unit=line.unit, quantity=line.quantity)
                    for position, line in enumerate(asked.lines, start=1)
                ],
            )
            checkout = Checkout(
                id=asked.id,
                cart_id=cart.id,
                visitor_id=asked.id,
                company_id=company.id,
                person_id=signatory,
                locale=asked.locale,
                email=asked.email,
                tax_id=company.tax_id,
                currency=company.currency,
                created_at=now,
                updated_at=now,
            )
            checkout.ship_to = msgspec.to_builtins(asked.ship_to)
            checkout.po_number = asked.po_number
            checkout.paying = Paying.NOW
            session.add_all([cart, checkout])
            await session.flush()
            priced, terms, _ = await self.checkouts.order_now(session, company, cart, checkout, now)
            total = whole(priced)[0].total
            if asked.expected_total is not None and asked.expected_total != total:
                raise PriceChanged(asked.expected_total, total)
            categories = await self.checkouts.catalog.categories_of(session, {line.sku for line in asked.lines})

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
                )

            return await self.checkouts.make_order(
                session, cart, checkout, company=company, shown=terms, basis=cite, by=signatory
            )
