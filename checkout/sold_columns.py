"""Orders and their lines, from the text that the database wrote to columns."""

from io import BytesIO
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.csv as arrow_csv  # type: ignore[import-untyped]  # nor here

from checkout.tax import TaxDecision
from pricing.engine import Buyer
from pricing.engine.columns import Array, Ints
from pricing.impact import Sold

_CODED: Final = pa.dictionary(pa.int32(), pa.string())


def sold_of(orders_csv: bytes, lines_csv: bytes) -> Sold:
    """Of the files that `checkout.sold_lines` has written."""
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
