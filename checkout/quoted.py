"""A cart priced by a signed quote: whether the quote still holds, and what it fixes.

A quote is ordered once. Whoever holds it for the company may put it into the cart; from then on the engine is asked as
it was asked when the quote was signed: on the same book, at the same instant, for the same segments. It keeps the
versions of documents that it names, unless withdrawn since. Tax and freight are those of the day. A quote that does not
hold any more has no effect, and the cart says why.
"""

import uuid
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import BuyerCompany
from agreements.asking import Quoted
from checkout import store
from checkout.model import Cart
from checkout.offer import Books, Delivery
from checkout.views import CartQuote, Void
from kernel.errors import Conflict
from pricing.engine import Book
from pricing.model import SignedQuote
from pricing.quotes import read_quote
from pricing.store import find_signed_quote


class QuoteVoid(Conflict):
    """`extra["reason"]` is `expired` or `ordered`."""

    problem = "signed-quote-void"
    title = "This quote cannot be ordered any more"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """With what the engine is asked for a cart. *quote*: the signed quote in the cart, holding or not."""

    company: BuyerCompany | None
    book: Book
    at: datetime
    quote: CartQuote | None


async def terms_for(
    session: AsyncSession,
    cart: Cart | None,
    *,
    company: BuyerCompany | None,
    delivery: Delivery,
    books: Books,
    now: datetime,
) -> Terms:
    """The terms of the quote in the cart while it holds, else those of *now*.

    :raises BookUnavailable: and `NoBookPublished`, as `PriceBooks.at`
    """
    quoted = None
    if cart is not None and cart.signed_quote_id is not None and company is not None:
        signed = await find_signed_quote(session, cart.signed_quote_id)
        assert signed is not None, "a cart names a quote of its own company"
        document = read_quote(signed)
        reason: Void | None = await void_reason(session, signed, now)
        if reason is None and delivery.country != document.buyer.country:
            reason = "elsewhere"
        quoted = CartQuote(
            id=signed.id,
            expires_at=signed.expires_at,
            country=document.buyer.country or "",
            void=reason,
            keeps=Quoted(at=signed.issued_at, labels={each.code: each.version for each in document.agreements}),
        )
        if reason is None:
            return Terms(
                company=msgspec.structs.replace(company, segments=document.buyer.segments),
                book=await books.load(document.root),
                at=signed.issued_at,
                quote=quoted,
            )
    return Terms(company=company, book=books.at(now), at=now, quote=quoted)


async def void_reason(session: AsyncSession, signed: SignedQuote, now: datetime) -> Void | None:
    """Why nobody can order by the quote at *now*."""
    if await store.find_order_of_quote(session, signed.id) is not None:
        return "ordered"
    return None if now < signed.expires_at else "expired"


async def find_orderable(session: AsyncSession, quote_id: uuid.UUID, now: datetime) -> SignedQuote | None:
    """The company's quote, None where there is none.

    :raises QuoteVoid: when it expired, or was ordered before
    """
    signed = await find_signed_quote(session, quote_id)
    if signed is None:
        return None
    reason = await void_reason(session, signed, now)
    if reason is not None:
        raise QuoteVoid(f"This quote cannot be ordered: it is {reason}.", reason=reason)
    return signed
