"""An impact as CSV files: a table each for companies, categories, SKUs and steps, and every line with both prices.

Amounts are exact decimals in the currency of their row. In a form no spreadsheet takes for a formula.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from kernel.csv_rows import write_rows
from kernel.money import fixed, ratio_text
from pricing.engine.columns import QUANTITY_DECIMALS
from pricing.engine.sweep import REASONS
from pricing.impact import Compared, Figures, Group, Impact

_KEYS: Final = {"totals": (), "companies": ("company",), "categories": ("category",), "skus": ("sku",)}
TABLES: Final = (*_KEYS, "steps")
LINES: Final = "lines"
_COUNTS: Final = ("lines", "raised", "lowered", "same", "lost", "gained", "unpriced", "uncosted")
_AMOUNTS: Final = ("before", "after", "change", "lost_amount", "gained_amount")
_MARGINS: Final = ("costed_before", "costed_after", "cost", "margin_before", "margin_after")
_PERCENTS: Final = ("change_percent", "margin_before_percent", "margin_after_percent")
_BLOCK: Final = 20_000


def percent(part: int, whole: int) -> Decimal | None:
    """*part* of *whole*, which is not negative, in percent to one decimal, half up; None of nothing."""
    if not whole:
        return None
    tenths = (2000 * abs(part) + whole) // (2 * whole)
    return _text(-tenths if part < 0 else tenths, 1)


def table(impact: Impact, name: str) -> Iterator[str]:
    """The lines of the file of one of `TABLES`.

    :raises KeyError: for any other
    """
    if name == "steps":
        return write_rows(
            ("currency", "change", "from_percent", "below_percent", "lines", "before", "after"), _steps(impact)
        )
    keyed = _KEYS[name]
    return write_rows(
        ("currency", *keyed, *_COUNTS, *_AMOUNTS, *_MARGINS, *_PERCENTS),
        (
            (block.currency, *((group.key,) if keyed else ()), *_cells(group.figures, block.decimals))
            for block in impact.blocks
            for group in (getattr(block, name) if keyed else [Group(key="", figures=block.total)])
        ),
    )


def _steps(impact: Impact) -> Iterator[tuple[object, ...]]:
    for block in impact.blocks:
        for step in block.steps:
            same = not step.low and step.high == 0
            yield (
                block.currency,
                "same" if same else "fall" if step.falls else "rise",
                step.low,
                None if same else step.high,
                step.lines,
                _text(step.before, block.decimals),
                _text(step.after, block.decimals),
            )


def lines(compared: Compared) -> Iterator[str]:
    """Every line with its prices before and after, or why there is none; in the order of the orders."""
    columns = ("order", "company", "currency", "sku", "unit", "quantity", "before", "after", "change", "cost")
    return write_rows((*columns, "no_price_before", "no_price_after"), _line_cells(compared))


def _line_cells(compared: Compared) -> Iterator[tuple[object, ...]]:
    sold, before, after = compared.sold, compared.before, compared.after
    for start in range(0, len(sold), _BLOCK):
        of_block = slice(start, start + _BLOCK)
        orders = sold.line_order[of_block]
        for order, buyer, currency, sku, unit, quantity, old, new, cost, no_old, no_new in zip(
            orders.tolist(),
            sold.order_buyer.take(orders).tolist(),
            sold.order_currency.take(orders).tolist(),
            sold.line_sku[of_block].tolist(),
            sold.line_unit[of_block].tolist(),
            sold.quantities[of_block].tolist(),
            before.amounts[of_block].tolist(),
            after.amounts[of_block].tolist(),
            compared.cost[of_block].tolist(),
            before.reasons[of_block].tolist(),
            after.reasons[of_block].tolist(),
            strict=True,
        ):
            decimals = compared.decimals[sold.currencies[currency]]
            yield (
                sold.orders[order],
                sold.buyers[buyer].company,
                sold.currencies[currency],
                sold.skus[sku],
                sold.units[unit],
                Decimal(ratio_text(quantity, 10**QUANTITY_DECIMALS)),
                None if no_old else _text(old, decimals),
                None if no_new else _text(new, decimals),
                None if no_old or no_new else _text(new - old, decimals),
                None if cost < 0 else _text(cost, decimals),
                REASONS[no_old] or None,
                REASONS[no_new] or None,
            )


def _cells(figures: Figures, decimals: int) -> list[object]:
    return [
        *(getattr(figures, name) for name in _COUNTS),
        *(_text(getattr(figures, name), decimals) for name in (*_AMOUNTS, *_MARGINS)),
        percent(figures.change, figures.before),
        percent(figures.margin_before, figures.costed_before),
        percent(figures.margin_after, figures.costed_after),
    ]


def _text(amount: int, decimals: int) -> Decimal:
    return Decimal(fixed(amount, decimals))
