"""The cart: what a buyer or a guest intends to order. Prices are never stored in it; they are asked for when shown."""

import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from catalog.service import Catalog
from catalog.views import SkuView
from checkout import freezing, quoted, store
from checkout.model import Cart, CartLine, CartState, ShipTo
from checkout.offer import DEFAULT_TABLES, Books, Delivery, Tables, delivery_for, price_cart
from checkout.states import Event, advance
from checkout.views import CheckoutView, PasteError, PasteReport, PricedCart
from kernel import events
from kernel.clock import Clock
from kernel.db import Database
from kernel.errors import Conflict, DomainError, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.money import exponent, normal, ratio
from pricing.quotes import SignedQuoteNotFound, read_quote

DEFAULT_CURRENCY: Final = "EUR"
LINES_MOST: Final = 500
QUANTITY_MOST: Final = 10**9
QUANTITY_DECIMALS: Final = 6
CHANGE: Final = Failpoint("checkout.cart.change")
JOIN: Final = Failpoint("checkout.cart.join")
_PASTED: Final = re.compile(r"[\t;,]| +")


class SkuUnknown(Refused):
    problem = "sku-unknown"
    title = "We do not sell this"


class UnitUnknown(Refused):
    problem = "unit-unknown"
    title = "This is not sold in that unit"


class QuantityRefused(Refused):
    problem = "quantity-refused"
    title = "This quantity cannot be ordered"


class QuantityNotWhole(QuantityRefused):
    problem = "quantity-not-whole"
    title = "This is sold in whole units only"


class QuantityTooLarge(QuantityRefused):
    problem = "quantity-too-large"
    title = "This is more than anyone can deliver"


class PastedLineMalformed(Refused):
    problem = "pasted-line-malformed"
    title = "This line could not be read"


class CartLineUnknown(NotFound):
    problem = "cart-line-unknown"
    title = "There is no such line in the cart"


class CartFull(Refused):
    problem = "cart-full"
    title = "The cart is full"


class CartNeedsPerson(Refused):
    problem = "cart-needs-person"
    title = "Carts belong to people"


class CurrencyFixed(Conflict):
    problem = "currency-fixed"
    title = "The currency is the company's"


class Carts:
    """A cart belongs to a person of a company, or to a guest's browser until it joins at log-in."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        books: Books,
        catalog: Catalog,
        *,
        base_url: str,
        tables: Tables = DEFAULT_TABLES,
    ) -> None:
        self.db = db
        self.clock = clock
        self.books = books
        self.catalog = catalog
        self.base_url = base_url
        self.tables = tables

    async def priced(
        self, principal: Principal, *, country: str | None = None, typed: Delivery | None = None
    ) -> PricedCart:
        """Price the open cart as of now; without one, an empty cart is answered and none is made.

        :param country: where to, while the checkout has no ship-to address
        :param typed: where to, as being typed: it stands instead of what the checkout has saved
        """
        now = self.clock.now()
        async with self.db.reading(principal.db_scope()) as session:
            cart = await store.find_open_cart(session, principal)
            lines = [] if cart is None else cart.lines
            skus = await self.catalog.find_skus_in(session, {line.sku for line in lines})
            checkout = None if cart is None else await store.find_checkout(session, cart.id)
            view = None if checkout is None else CheckoutView.of(checkout)
            delivery = delivery_for(principal.company, country)
            if view is not None and view.ship_to is not None:
                delivery = delivery_to(view.ship_to, view.tax_id)
            delivery = typed or delivery
            terms = await quoted.terms_for(
                session, cart, company=principal.company, delivery=delivery, books=self.books, now=now
            )
        return price_cart(
            cart,
            lines,
            skus,
            company=terms.company,
            delivery=delivery,
            currency=_currency(principal) if cart is None else cart.currency,
            book=terms.book,
            tables=self.tables,
            at=terms.at,
            taxed_at=now,
            signed_quote=terms.quote,
        )

    async def price_unkept(
        self, principal: Principal, *, sku: str, unit: str | None, quantity: str, currency: str
    ) -> PricedCart:
        """Price a cart of one line as `priced` does, and keep nothing.

        :param currency: a guest's; a company has its own
        :raises SkuUnknown, UnitUnknown, QuantityRefused: as `add`
        """
        now = self.clock.now()
        async with self.db.reading(principal.db_scope()) as session:
            known, unit = _sold(await self._find(session, sku), sku.strip(), unit)
        line = CartLine(position=1, sku=known.code, unit=unit, quantity=_quantity(quantity, known.code, known))
        return price_cart(
            None,
            [line],
            {known.code: known},
            company=principal.company,
            delivery=delivery_for(principal.company, None),
            currency=currency if principal.company is None else principal.company.currency,
            book=self.books.at(now),
            tables=self.tables,
            at=now,
            taxed_at=now,
        )

    async def count_lines(self, principal: Principal) -> int:
        async with self.db.reading(principal.db_scope()) as session:
            return await store.count_cart_lines(session, principal)

    async def add(self, principal: Principal, *, sku: str, quantity: str, unit: str | None = None) -> None:
        """Add *quantity* of *sku*, to its line if there is one of that unit.

        :param unit: None is the SKU's base unit
        :raises SkuUnknown: when it is not on sale
        :raises UnitUnknown: when it is not sold in *unit*
        :raises QuantityRefused: for anything but a positive number the SKU is sold in
        :raises CartFull: beyond 500 lines
        """
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart = await self._lock(session, principal)
            await self._add(session, cart, sku, quantity, unit)
            await self._changed(session, cart, principal, lines=len(cart.lines))

    async def change(self, principal: Principal, position: int, quantity: str) -> None:
        """Set the quantity of a line.

        :raises CartLineUnknown: when the cart has no line at *position*
        :raises QuantityRefused: for anything but a positive number the SKU is sold in
        """
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart, line = await self._lock_line(session, principal, position)
            known = await self.catalog.find_skus_in(session, {line.sku})
            line.quantity = _quantity(quantity, line.sku, known.get(line.sku))
            await self._changed(session, cart, principal)

    async def remove(self, principal: Principal, position: int) -> None:
        """:raises CartLineUnknown: when the cart has no line at *position*"""
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart, line = await self._lock_line(session, principal, position)
            cart.lines.remove(line)
            await self._changed(session, cart, principal)

    async def paste(self, principal: Principal, text: str) -> PasteReport:
        """Add the lines of a pasted list: `SKU quantity [unit]`, parted by tab, semicolon, comma or blanks.

        Good lines are added and bad ones reported with their number, so that the buyer mends only those.
        """
        errors: list[PasteError] = []
        added = 0
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart = await self._lock(session, principal)
            for number, line in enumerate(text.splitlines(), start=1):
                fields = [field for field in _PASTED.split(line.strip()) if field]
                if not fields:
                    continue
                sku, quantity, unit = (*fields, None, None)[:3] if len(fields) > 1 else (fields[0], "1", None)
                try:
                    if len(fields) > 3:
                        raise PastedLineMalformed("Write SKU, quantity and, if need be, unit on each line.")
                    await self._add(session, cart, sku or "", quantity or "", unit)
                    added += 1
                except DomainError as error:
                    errors.append(
                        PasteError(
                            line=number,
                            text=line.strip()[:200],
                            problem=error.problem,
                            message=error.message,
                            params=dict(error.extra),
                        )
                    )
            if added:
                await self._changed(session, cart, principal, lines=len(cart.lines))
        return PasteReport(added=added, errors=tuple(errors))

    async def take_quote(self, principal: Principal, quote_id: uuid.UUID) -> None:
        """Fill the cart with a signed quote's lines in place of its own; the quote prices them until one is changed.

        :raises SignedQuoteNotFound: when the company has no such quote
        :raises QuoteVoid: when it expired, or was ordered before
        :raises CurrencyFixed: when it is in another currency than the company buys in
        :raises SkuUnknown: when one of its SKUs is not on sale any more, and the others of `add`
        """
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            signed = await quoted.find_orderable(session, quote_id, self.clock.now())
            if signed is None or signed.company_id != principal.company_id:
                raise SignedQuoteNotFound("There is no such signed quote, or it is not yours.")
            document = read_quote(signed)
            if document.currency != _currency(principal):
                raise CurrencyFixed(f"Your company buys in {_currency(principal)}, the quote is in another currency.")
            cart = await self._lock(session, principal)
            last = max([cart.version, *(line.position for line in cart.lines)])
            cart.lines.clear()
            await session.flush()  # a line of the same SKU leaves before the quote's comes
            cart.version = last
            for line in document.lines:
                await self._add(session, cart, line.sku, line.quantity, line.unit)
            await self._changed(session, cart, principal, lines=len(cart.lines))
            cart.signed_quote_id = signed.id

    async def drop_quote(self, principal: Principal) -> None:
        """Keep the lines of a signed quote at the prices of now."""
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart = await store.lock_open_cart(session, principal)
            if cart is not None and cart.signed_quote_id is not None:
                await self._changed(session, cart, principal)

    async def choose_currency(self, principal: Principal, currency: str) -> None:
        """Let a guest see prices in *currency*.

        :raises CurrencyFixed: for a company: its currency is part of its account
        """
        exponent(currency)
        if principal.company is not None:
            raise CurrencyFixed(f"Your company buys in {principal.company.currency}.")
        async with self.db.begin(principal.db_scope(), CHANGE) as session:
            cart = await self._lock(session, principal)
            cart.currency = currency
            await self._changed(session, cart, principal)

    async def join(self, principal: Principal) -> None:
        """After log-in: what the browser's guest put into the cart, and typed in checkout, goes on as the company's.

        Lines of the same SKU and unit add up. Calling it again changes nothing.
        """
        if principal.company_id is None or principal.person_id is None:
            return
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), JOIN) as session:
            guest = await store.lock_visitor_cart(session, principal.visitor_id)
            if guest is None:
                return
            checkout = await store.lock_checkout_of_cart(session, guest.id)
            own = await store.lock_open_cart(session, principal)
            if own is None:
                guest.company_id, guest.person_id = principal.company_id, principal.person_id
                guest.currency = _currency(principal)
                own = guest
            else:
                if guest.lines:
                    own.signed_quote_id = None
                for line in guest.lines:
                    _put(own, line.sku, line.unit, line.quantity)
                guest.state, guest.updated_at = CartState.MERGED, now
                if checkout is not None and await store.find_checkout(session, own.id) is None:
                    checkout.cart_id = own.id
            if checkout is not None:
                checkout.company_id, checkout.person_id = principal.company_id, principal.person_id
                checkout.email = principal.email  # letters about an order go to an address that was proven
                checkout.currency = own.currency
                checkout.state = advance(checkout.state, Event.LOG_IN)
                checkout.version += 1
                checkout.updated_at = now
            own.version += 1
            own.updated_at = now

    async def _lock(self, session: AsyncSession, principal: Principal) -> Cart:
        if principal.company_id is not None and principal.person_id is None:
            raise CartNeedsPerson("An API key has no cart; ask for a quote with POST /api/v1/quotes.")
        cart = await store.lock_open_cart(session, principal)
        if cart is None:
            now = self.clock.now()
            fresh = Cart(
                id=new_id(),
                visitor_id=principal.visitor_id,
                company_id=principal.company_id,
                person_id=None if principal.company_id is None else principal.person_id,
                currency=_currency(principal),
                created_at=now,
                updated_at=now,
            )
            await store.insert_cart(session, fresh)
            cart = await store.lock_open_cart(session, principal)
        assert cart is not None, "the insert or the one it met left an open cart"
        return cart

    async def _lock_line(self, session: AsyncSession, principal: Principal, position: int) -> tuple[Cart, CartLine]:
        cart = await store.lock_open_cart(session, principal)
        line = None if cart is None else next((line for line in cart.lines if line.position == position), None)
        if cart is None or line is None:
            raise CartLineUnknown("This line is not in the cart any more; another tab may have removed it.")
        return cart, line

    async def _add(self, session: AsyncSession, cart: Cart, code: str, quantity: str, unit: str | None) -> None:
        known = await self._find(session, code)
        put(cart, known, code.strip(), quantity, unit)

    async def _find(self, session: AsyncSession, code: str) -> dict[str, SkuView]:
        code = code.strip()
        return await self.catalog.find_skus_in(session, {code}) if code.isprintable() else {}

    async def _changed(
        self, session: AsyncSession, cart: Cart, principal: Principal, *, lines: int | None = None
    ) -> None:
        """Row 1: an edit voids what was reviewed; presentations of the old cart no longer fit the order."""
        now = self.clock.now()
        cart.version += 1
        cart.signed_quote_id = None
        cart.updated_at = now
        checkout = await store.lock_checkout_of_cart(session, cart.id)
        if checkout is not None:
            await freezing.edit(session, checkout, by=principal.person_id, now=now, base_url=self.base_url)
        if lines is not None:
            events.record(session, "carted", journey=principal.visitor_id, at=now, lines=lines)


def put(
    cart: Cart, skus: Mapping[str, SkuView], code: str, quantity: str, unit: str | None, *, position: int | None = None
) -> None:
    """Put *quantity* of a SKU into *cart*, to its line if there is one of that unit.

    :param skus: the catalogue's facts, by code; absent is unknown
    :param unit: None is the SKU's base unit
    :param position: of a new line, None: one that the cart never had
    :raises SkuUnknown, UnitUnknown, QuantityRefused, CartFull: as `Carts.add`
    """
    sku, unit = _sold(skus, code, unit)
    amount = _quantity(quantity, sku.code, sku)
    if not any(line.sku == sku.code and line.unit == unit for line in cart.lines) and len(cart.lines) >= LINES_MOST:
        raise CartFull(f"A cart holds {LINES_MOST} lines; order these first.")
    _put(cart, sku.code, unit, amount, position)


def delivery_to(ship_to: ShipTo, tax_id: str | None) -> Delivery:
    """Where the buyer said."""
    return Delivery(country=ship_to.country, postal_code=ship_to.postal_code, tax_id=tax_id, assumed=False)


def _sold(skus: Mapping[str, SkuView], code: str, unit: str | None) -> tuple[SkuView, str]:
    """The SKU and the unit meant, where both can be bought."""
    sku = skus.get(code)
    if sku is None or not sku.active:
        raise SkuUnknown(f"We do not sell {code[:64]!r}; check the SKU or search for it.", sku=code[:64])
    unit = unit or sku.base_unit
    if sku.factor(unit) is None:
        units = ", ".join(each.unit for each in sku.units)
        raise UnitUnknown(f"{code} is sold by: {units}.", sku=code, units=[each.unit for each in sku.units])
    return sku, unit


def _put(cart: Cart, sku: str, unit: str, quantity: Decimal, position: int | None = None) -> None:
    line = next((line for line in cart.lines if line.sku == sku and line.unit == unit), None)
    if line is not None:
        line.quantity = _at_most(line.quantity + quantity, sku)
        return
    # Never the position of a line that was there before: another tab may still show that one
    position = position or max([cart.version, *(line.position for line in cart.lines)]) + 1
    cart.lines.append(CartLine(position=position, sku=sku, unit=unit, quantity=quantity))


def _currency(principal: Principal) -> str:
    return DEFAULT_CURRENCY if principal.company is None else principal.company.currency


def _quantity(text: str, code: str, sku: SkuView | None) -> Decimal:
    try:
        numerator, denominator = ratio(normal(text.strip()))
    except DomainError:
        raise QuantityRefused("Write a quantity like 12 or 2.5.", sku=code, quantity=text[:40]) from None
    if numerator <= 0:
        raise QuantityRefused("Order at least one; to take a line out, remove it.", sku=code, quantity=text[:40])
    if denominator > 10**QUANTITY_DECIMALS:
        raise QuantityRefused(f"At most {QUANTITY_DECIMALS} decimals.", sku=code, quantity=text[:40])
    if denominator > 1 and (sku is None or not sku.fractional):
        raise QuantityNotWhole(f"{code} is sold in whole units only.", sku=code, quantity=text[:40])
    return _at_most(Decimal(numerator) / denominator, code)


def _at_most(quantity: Decimal, code: str) -> Decimal:
    if quantity > QUANTITY_MOST:
        raise QuantityTooLarge("That is more than anyone can deliver; ask us for a quote.", sku=code)
    return quantity
