"""An order priced again from what it kept: the same book, instant, buyer and tax inputs must give the same lines.

The question is the order's own (`canonical`, `tax_inputs`), so nothing that changed since plays a part.
"""

import msgspec

from checkout.model import Order, OrderLine
from checkout.tax import TaxDecision
from checkout.tax_calculation import with_taxes
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.request import PricedLine, RefusedLine, Trace


class LineAgain(msgspec.Struct, frozen=True, kw_only=True):
    """*differs*: the names of what comes out otherwise today, `trace` among them; empty where all is as it was.
    *reason*: why the line would be refused.
    """

    position: int
    differs: tuple[str, ...]
    reason: str | None

    @property
    def holds(self) -> bool:
        return not self.differs


def price_again(order: Order, book: Book) -> tuple[LineAgain, ...]:
    """By position. *book*: that of the order's root."""
    buyer = order.canonical["buyer"]
    decision = msgspec.convert(order.tax_inputs, TaxDecision)
    answer = quote(
        QuoteRequest(
            buyer=Buyer(company=buyer["company"], segments=tuple(buyer["segments"]), country=buyer["country"]),
            currency=order.currency,
            lines=tuple(
                LineRequest(sku=line["sku"], unit=line["unit"], quantity=line["quantity"])
                for line in order.canonical["lines"]
            ),
            tax=decision.input(),
        ),
        book=book,
        at=order.priced_at,
    )
    if decision.calculation is not None and answer.net is not None:
        answer = with_taxes(answer, decision.calculation)
    return tuple(_compared(line, now) for line, now in zip(order.lines, answer.lines, strict=True))


def _compared(line: OrderLine, now: PricedLine | RefusedLine) -> LineAgain:
    if isinstance(now, RefusedLine):
        return LineAgain(position=line.position, differs=("price",), reason=now.reason)
    sides = {
        "unit_price": (line.unit_price, now.unit_price),
        "net": (line.net, now.net),
        "tax": (line.tax, now.tax or "0"),
        "trace": (msgspec.convert(line.trace, Trace), now.trace),
    }
    differs = tuple(name for name, (kept, found) in sides.items() if kept != found)
    return LineAgain(position=line.position, differs=differs, reason=None)
