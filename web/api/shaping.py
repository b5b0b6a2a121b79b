"""From the engine's answers and the house's orders to the wire."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from agreements.bases import Basis
from checkout.model import Order
from checkout.states import State
from kernel import money
from pricing.engine import request as engine
from pricing.engine.book import Rounding, RoundingPolicy
from pricing.engine.explain import (
    LANGUAGES,
    cliff_text,
    loser_text,
    next_break_text,
    refusal_text,
    step_text,
)
from pricing.ladder import Ladder
from web.api import wire

KEPT: Final = 20_000
_Kept = TypeVar("_Kept")
_texts: Final[dict[str, dict[tuple[object, ...], str]]] = {language: {} for language in LANGUAGES}
_losers: Final[dict[str, dict[tuple[object, ...], wire.Loser]]] = {language: {} for language in LANGUAGES}
"""By language: what steps said and losers were before, by everything that it is made of. Few of a cart's are new."""


def price_lines(
    lines: Iterable[engine.PricedLine | engine.RefusedLine], currency: str, language: str
) -> tuple[wire.PricedLine | wire.RefusedLine, ...]:
    return tuple(
        [
            _refused(line, language) if isinstance(line, engine.RefusedLine) else _priced(line, currency, language)
            for line in lines
        ]
    )


def steps(found: Iterable[engine.Step], language: str) -> tuple[wire.Step, ...]:
    texts, shaped = _texts[language], []
    for step in found:
        phase, reason, rule, params = step.phase, step.reason, step.rule, step.params
        key = (phase, reason, rule, step.titles, *params.items())
        shaped.append(
            wire.Step(
                phase=phase,
                reason=reason,
                rule=rule,
                text=texts.get(key) or _keep(texts, key, step_text(step, language)),
                before=step.before,
                after=step.after,
                params=params,
            )
        )
    return tuple(shaped)


def losers(found: Iterable[engine.Loser], language: str) -> tuple[wire.Loser, ...]:
    known, shaped = _losers[language], []
    for loser in found:
        key = (loser.phase, loser.rule, loser.reason, loser.titles, *loser.params.items())
        shaped.append(known.get(key) or _keep(known, key, _loser(loser, language)))
    return tuple(shaped)


def totals(answer: engine.Quote) -> wire.Totals | None:
    """None with a refused line; the API always asks with tax, so that nothing else is missing."""
    if answer.subtotal is None or answer.net is None or answer.tax is None or answer.total is None:
        return None
    return wire.Totals(
        subtotal=sum_of(answer.subtotal),
        net=sum_of(answer.net),
        tax=sum_of(answer.tax),
        total=sum_of(answer.total),
    )


def policy(found: RoundingPolicy) -> wire.RoundingPolicy:
    return wire.RoundingPolicy(
        unit=_rounding(found.unit),
        line=_rounding(found.line),
        tax=_rounding(found.tax),
        round_unit=found.round_unit,
        tax_level=found.tax_level.value,
    )


def rungs(ladder: Ladder) -> tuple[wire.Rung, ...]:
    return tuple(
        wire.Rung(
            quantity=rung.quantity,
            unit_price=_maybe(rung.line.unit_price, ladder.currency),
            price_unit=rung.line.price_unit,
            each=_amount(rung.each, ladder.currency),
            subtotal=_amount(rung.line.subtotal, ladder.currency),
            list=rung.line.trace.list,
        )
        for rung in ladder.rungs
    )


def order_summary(order: Order) -> wire.OrderSummary:
    return wire.OrderSummary(
        number=order.number,
        id=order.id,
        state=wire.OrderState(order.state.value),
        total=sum_of(order.total),
        po_number=order.po_number,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
    )


def order(found: Order, basis: Basis, language: str, *, base_url: str) -> wire.OrderAnswer:
    return wire.OrderAnswer(
        number=found.number,
        id=found.id,
        state=wire.OrderState(found.state.value),
        goods=sum_of(found.goods),
        freight=sum_of(found.freight),
        tax=sum_of(found.tax),
        total=sum_of(found.total),
        price_root=found.price_root,
        priced_at=found.priced_at,
        digest=found.canonical_digest,
        po_number=found.po_number,
        tax_id=found.tax_id,
        ship_to=msgspec.convert({"line2": "", "region": "", **found.ship_to}, wire.ShipTo),
        basis=wire.OrderBasis(kind=basis.kind, id=basis.id, digest=basis.digest, ledger_index=basis.ledger_seq),
        signed_quote=found.signed_quote_id,
        placed_at=found.placed_at,
        net_days=found.net_days,
        pay_url=f"{base_url}/orders/{found.number}" if found.state is State.PAYABLE else None,
        pay_by=found.pay_by,
        paid_at=found.paid_at,
        closed_at=found.closed_at,
        lines=tuple(
            wire.OrderLine(
                position=line.position,
                sku=line.sku,
                name=_name(line.names, language),
                unit=line.unit,
                quantity=money.normal(f"{line.quantity:f}"),
                price_unit=line.price_unit,
                unit_price=_maybe(line.unit_price, found.currency),
                net=_amount(line.net, found.currency),
                tax=_amount(line.tax, found.currency),
                tax_percent=line.tax_percent,
                trace=trace_of(
                    msgspec.convert(line.trace, engine.Trace),
                    money.normal(f"{line.quantity:f}"),
                    found.currency,
                    language,
                ),
            )
            for line in found.lines
        ),
    )


def sum_of(found: money.Money) -> wire.Money:
    return wire.Money(amount=found.decimal, currency=found.currency)


def _refused(line: engine.RefusedLine, language: str) -> wire.RefusedLine:
    return wire.RefusedLine(
        requested=line.requested,
        sku=line.sku,
        unit=line.unit,
        quantity=line.quantity,
        reason=line.reason,
        text=refusal_text(line, language),
        params=line.params,
        valid_until=line.valid_until,
    )


def _priced(line: engine.PricedLine, currency: str, language: str) -> wire.PricedLine:
    Money = wire.Money  # noqa: N806 - looked up seven times a line
    return wire.PricedLine(
        requested=line.requested,
        sku=line.sku,
        unit=line.unit,
        quantity=line.quantity,
        price_unit=line.price_unit,
        unit_price=None if line.unit_price is None else Money(amount=line.unit_price, currency=currency),
        list_price=None if line.list_price is None else Money(amount=line.list_price, currency=currency),
        tax_included=line.tax_included,
        tax_category=line.tax_category,
        tax_percent=line.tax_percent,
        subtotal=Money(amount=line.subtotal, currency=currency),
        order_adjustment=Money(amount=line.order_adjustment, currency=currency),
        net=Money(amount=line.net, currency=currency),
        tax=None if line.tax is None else Money(amount=line.tax, currency=currency),
        total=Money(amount=line.total, currency=currency),
        valid_until=line.valid_until,
        trace=trace_of(line.trace, line.quantity, currency, language),
    )


def trace_of(trace: engine.Trace, quantity: str, currency: str, language: str) -> wire.Trace:
    """*quantity*: of the line that it is the trace of."""
    next_break, cliff = trace.next_break, trace.cliff
    return wire.Trace(
        list=trace.list,
        row_unit=trace.row_unit,
        row_quantity=trace.row_quantity,
        tier_quantity=trace.tier_quantity,
        steps=steps(trace.steps, language),
        losers=losers(trace.losers, language),
        losers_left_out=trace.losers_left_out,
        next_break=None
        if next_break is None
        else wire.NextBreak(
            quantity=next_break.quantity,
            more=next_break.more,
            unit_price=_amount(next_break.unit_price, currency),
            unit=next_break.unit,
            text=next_break_text(next_break, language),
        ),
        cliff=None
        if cliff is None
        else wire.Cliff(
            quantity=cliff.quantity,
            subtotal=_amount(cliff.subtotal, currency),
            text=cliff_text(cliff, quantity, language),
        ),
    )


def _loser(loser: engine.Loser, language: str) -> wire.Loser:
    return wire.Loser(
        phase=loser.phase,
        rule=loser.rule,
        reason=loser.reason,
        text=loser_text(loser, language),
        params=loser.params,
    )


def _keep(kept: dict[tuple[object, ...], _Kept], key: tuple[object, ...], made: _Kept) -> _Kept:
    if len(kept) >= KEPT:
        kept.clear()
    kept[key] = made
    return made


def _rounding(found: Rounding) -> wire.Rounding:
    return wire.Rounding(decimals=found.decimals, mode=found.mode.value)


def _amount(text: str, currency: str) -> wire.Money:
    return wire.Money(amount=text, currency=currency)


def _maybe(text: str | None, currency: str) -> wire.Money | None:
    return None if text is None else wire.Money(amount=text, currency=currency)


def _name(names: Mapping[str, Any], language: str) -> str:
    return str(names.get(language) or names.get("en") or "")
