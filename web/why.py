"""Why an order's lines cost what they cost: the trace kept with each, in words, and whether it still holds."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from checkout.model import Order, OrderLine
from checkout.repricing import LineAgain, price_again
from pricing.books import InForce, UnknownBook
from pricing.compiled import BookUnavailable
from pricing.engine.explain import cliff_text, loser_text, next_break_text, step_text
from pricing.engine.request import Trace
from web.services import Services


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """An order line with the words of the trace that was stored with it. *again*: what pricing it again said; None
    where nobody asked, or the book cannot be had.
    """

    line: OrderLine
    steps: list[tuple[str, str | None, str | None, str]]
    losers: list[tuple[str, str]]
    hints: list[str]
    listed: str
    again: LineAgain | None


def explained(order: Order, locale: str, again: Sequence[LineAgain] = ()) -> list[ExplainedLine]:
    found = {each.position: each for each in again}
    return [_explained(line, locale, found.get(line.position)) for line in order.lines]


def publication_of(services: Services, order: Order) -> InForce | None:
    """The publication the order was priced by: content published again has the same root."""
    return next(
        (
            entry
            for entry in reversed(services.books.published())
            if entry.root == order.price_root and entry.effective_at <= order.priced_at
        ),
        None,
    )


async def priced_again(services: Services, order: Order) -> tuple[LineAgain, ...]:
    """The order's lines priced again by its own book, which is compiled anew where need be; none without the book."""
    try:
        book = await services.books.load(order.price_root)
    except (UnknownBook, BookUnavailable):
        return ()
    return await asyncio.to_thread(price_again, order, book)


def _explained(line: OrderLine, locale: str, again: LineAgain | None) -> ExplainedLine:
    trace = msgspec.convert(line.trace, Trace)
    hints: list[Any] = [] if trace.next_break is None else [next_break_text(trace.next_break, locale)]
    hints += [] if trace.cliff is None else [cliff_text(trace.cliff, f"{line.quantity.normalize():f}", locale)]
    return ExplainedLine(
        line=line,
        steps=[(step_text(step, locale), step.rule, step.before, step.after) for step in trace.steps],
        losers=[(loser_text(loser, locale), loser.rule) for loser in trace.losers],
        hints=hints,
        listed=trace.list,
        again=again,
    )
