"""What was ordered and what is promised, as columns that are priced again: past orders and open signed quotes.

A year's lines are a million rows: the database writes them as text (`COPY`), and they are read as columns at once.
"""

import asyncio
from datetime import datetime
from io import BytesIO
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.csv as arrow_csv  # type: ignore[import-untyped]  # nor here
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.model import Order
from checkout.quoted import document_of
from checkout.tax import TaxDecision
from pricing.engine import Buyer, TaxInput, TaxRate
from pricing.engine.columns import Array, Ints
from pricing.engine.request import Treatment
from pricing.impact import Sold, SoldOrder, micros
from pricing.model import SignedQuote
from pricing.quotes import QuoteDocument

_CODED: Final = pa.dictionary(pa.int32(), pa.string())
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
    window = {"since": since, "until": until}
    orders = await _copied(session, _ORDERS, window)
    lines = await _copied(session, _LINES, window)
    return await asyncio.to_thread(_sold, orders, lines)


async def read_open_quotes(session: AsyncSession, now: datetime) -> Sold:
    """The signed quotes that can still be ordered by. Under staff's scope."""
    ordered = sa.select(Order.id).where(Order.signed_quote_id == SignedQuote.id)
    query = sa.select(SignedQuote).where(SignedQuote.expires_at > now, ~ordered.exists())
    found = (await session.scalars(query.order_by(SignedQuote.issued_at, SignedQuote.id))).all()
    return Sold.of(_promised(document_of(signed)) for signed in found)


async def _copied(session: AsyncSession, statement: str, parameters: dict[str, Any]) -> bytes:
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, psycopg.AsyncConnection)
    written = BytesIO()
    async with connection.cursor() as cursor, cursor.copy(statement.encode(), parameters) as copy:
        async for piece in copy:
            written.write(piece)
    return written.getvalue()


def _sold(orders_csv: bytes, lines_csv: bytes) -> Sold:
    orders = _table(orders_csv, id=pa.string(), number=pa.string(), currency=_CODED, tax=_CODED, buyer=_CODED)
    lines = _table(lines_csv, order_id=_CODED, position=pa.int64(), sku=_CODED, unit=_CODED, quantity=pa.int64())
    numbers = {order_id: number for number, order_id in enumerate(orders["id"].to_pylist())}
    order_ids, line_order = _coded(lines["order_id"])
    # an order that came between the two statements is not among the first one's: its lines are left out
    line_order = np.array([numbers.get(order_id, -1) for order_id in order_ids], np.int64).take(line_order)
    kept = np.lexsort((lines["position"].to_numpy(), line_order))
    kept = kept[np.searchsorted(line_order.take(kept), 0) :]
    currencies, order_currency = _coded(orders["currency"])
    taxes, order_tax = _coded(orders["tax"])
    buyers, order_buyer = _coded(orders["buyer"])
    skus, line_sku = _coded(lines["sku"])
    units, line_unit = _coded(lines["unit"])
    return Sold(
        orders=orders["number"].to_pylist(),
        buyers=[msgspec.json.decode(text, type=Buyer) for text in buyers],
        currencies=currencies,
        taxes=[msgspec.json.decode(text, type=TaxDecision).input() for text in taxes],
        skus=skus,
        units=units,
        order_buyer=order_buyer,
        order_currency=order_currency,
        order_tax=order_tax,
        line_order=line_order.take(kept),
        line_sku=line_sku.take(kept),
        line_unit=line_unit.take(kept),
        quantities=lines["quantity"].to_numpy().take(kept),
    )


def _table(written: bytes, **types: Any) -> Any:
    return arrow_csv.read_csv(BytesIO(written), convert_options=arrow_csv.ConvertOptions(column_types=types))


def _coded(column: Any) -> tuple[list[str], Ints]:
    """The distinct texts of a column, and by row the place of its own."""
    if not len(column):
        return [], np.zeros(0, np.int64)
    whole = column.unify_dictionaries().combine_chunks()
    places: Array = whole.indices.to_numpy().astype(np.int64)
    return whole.dictionary.to_pylist(), places


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
