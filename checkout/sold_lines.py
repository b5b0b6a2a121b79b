"""What was ordered and what is promised, as columns that are priced again: past orders and open signed quotes.

A year's lines are a million rows: the database writes them as text (`COPY`), and they are read as columns at once.
"""

import asyncio
from datetime import datetime
from io import BytesIO
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.model import Order
from pricing.engine import Buyer, TaxInput, TaxRate
from pricing.engine.request import Treatment
from pricing.impact import Sold, SoldOrder, micros
from pricing.model import SignedQuote
from pricing.quotes import QuoteDocument, read_quote

_STOOD: Final = "o.placed_at >= %(since)s AND o.placed_at < %(until)s AND o.state NOT IN ('lapsed', 'cancelled')"
_ORDERS: Final = f"""
    COPY (
        SELECT o.id, o.number, o.currency, o.tax_inputs AS tax, jsonb_build_object(
            'company', o.canonical -> 'buyer' -> 'company',
            'segments', o.canonical -> 'buyer' -> 'segments',
            'country', o.canonical -> 'buyer' -> 'country'
        ) AS buyer
        FROM customer_order o WHERE {_STOOD} ORDER BY o.placed_at, o.id
    ) TO STDOUT (FORMAT csv, HEADER)
"""  # noqa: S608 - our own SQL
_LINES: Final = f"""
    COPY (
        SELECT l.order_id, l.position, l.sku, l.unit, (l.quantity * 1000000)::bigint AS quantity
        FROM order_line l JOIN customer_order o ON o.id = l.order_id WHERE {_STOOD}
    ) TO STDOUT (FORMAT csv, HEADER)
"""  # noqa: S608 - our own SQL


async def read_orders(session: AsyncSession, since: datetime, until: datetime) -> Sold:
    """The orders placed from *since* on and before *until* that were neither cancelled nor lapsed, each with the buyer
    and the tax that it was priced for. Under staff's scope.
    """
    from checkout.sold_columns import sold_of  # only who asks for a year of orders loads what reads them

    window = {"since": since, "until": until}
    orders = await _copied(session, _ORDERS, window)
    lines = await _copied(session, _LINES, window)
    return await asyncio.to_thread(sold_of, orders, lines)


async def read_open_quotes(session: AsyncSession, now: datetime) -> Sold:
    """The signed quotes that can still be ordered by. Under staff's scope."""
    ordered = sa.select(Order.id).where(Order.signed_quote_id == SignedQuote.id)
    query = sa.select(SignedQuote).where(SignedQuote.expires_at > now, ~ordered.exists())
    found = (await session.scalars(query.order_by(SignedQuote.issued_at, SignedQuote.id))).all()
    return Sold.of(_promised(read_quote(signed)) for signed in found)


async def _copied(session: AsyncSession, statement: str, parameters: dict[str, Any]) -> bytes:
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, psycopg.AsyncConnection)
    written = BytesIO()
    async with connection.cursor() as cursor, cursor.copy(statement.encode(), parameters) as copy:
        async for piece in copy:
            written.write(piece)
    return written.getvalue()


def _promised(document: QuoteDocument) -> SoldOrder:
    rates = {line.tax_category: line.tax_percent for line in document.lines if line.tax_percent is not None}
    return SoldOrder(
        name=str(document.id),
        buyer=Buyer(company=document.buyer.company, segments=document.buyer.segments, country=document.buyer.country),
        currency=document.currency,
        tax=TaxInput(
            rates=tuple(TaxRate(category=category, percent=percent) for category, percent in rates.items()),
            treatment=Treatment(document.tax_treatment),
        ),
        lines=tuple((line.sku, line.unit, micros(line.quantity)) for line in document.lines),
    )
