"""What of a payment is still the house's, what the buyer's: refunds and lost disputes share one payment.

A lost dispute gives the buyer's money back by the bank's hand. It settles first what is owed to him anyway, then takes
his order's price back; what it took beyond that is a loss of the house. How it is shared out is decided anew whenever
a refund fails or a dispute turns, and only the difference is posted, so that nothing is reversed twice.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from checkout import dispute_store, store
from checkout.dispute_model import Dispute, DisputeEvent, DisputeEventKind, DisputeState
from checkout.model import Account, Liability, Order, Refund, RefundState
from checkout.settlement import post
from checkout.terms_model import CreditNote
from kernel.money import Money

LOST_DISPUTE: Final = "lost dispute"
"""How a case was resolved whose money the bank has given the buyer."""

log = structlog.get_logger(__name__)


def parts_left(
    order: Order, refunds: Sequence[Refund], others: Sequence[Dispute | CreditNote] = ()
) -> tuple[Money, Money, Money]:
    """Goods, freight and tax of the order that no refund, lost dispute or credit note has taken back. A refund that
    failed is owed, not left.
    """
    taken: list[Refund | Dispute | CreditNote] = [
        refund for refund in refunds if refund.liability_id is None and refund.state is not RefundState.REFUSED
    ]
    taken += others
    return (
        Money(order.goods_minor - sum(each.goods_minor for each in taken), order.currency),
        Money(order.freight_minor - sum(each.freight_minor for each in taken), order.currency),
        Money(order.tax_minor - sum(each.tax_minor for each in taken), order.currency),
    )


def note(
    session: AsyncSession,
    dispute: Dispute,
    event: DisputeEventKind,
    *,
    at: datetime,
    detail: str = "",
    person_id: uuid.UUID | None = None,
) -> None:
    """Count the dispute's version on and write how it stands now into its history."""
    dispute.version += 1
    session.add(
        DisputeEvent(
            dispute_id=dispute.id,
            version=dispute.version,
            company_id=dispute.company_id,
            event=event,
            state=dispute.state,
            stripe_status=dispute.stripe_status,
            withdrawn_minor=dispute.withdrawn_minor,
            fee_minor=dispute.fee_minor,
            due_by=dispute.due_by,
            detail=detail,
            person_id=person_id,
            at=at,
        )
    )


async def share_out(
    session: AsyncSession,
    order: Order | None,
    attempt_id: uuid.UUID | None,
    liability_id: uuid.UUID | None,
    *,
    now: datetime,
) -> None:
    """Decide again what the lost disputes of a payment gave back, and post what changed. The order is locked, or the
    case where there is no order. What counts as within the payment follows too.
    """
    await session.flush()
    disputes = await dispute_store.lock_of_payment(session, attempt_id=attempt_id, liability_id=liability_id)
    if not disputes:
        return
    before = {dispute.id: _parts(dispute) for dispute in disputes}
    for dispute in disputes:
        _write_parts(dispute, (0, 0, 0, 0, 0))
        dispute.counted_minor = 0
    cases = await _reopened_cases(session, disputes)
    attempt, case = await _payment(session, attempt_id, liability_id)
    refunds = [] if order is None else await store.list_refunds(session, order.id)
    of_payment = (
        [refund for refund in refunds if refund.attempt_id == attempt_id]
        if liability_id is None or attempt_id is not None
        else await store.list_refunds_of_case(session, liability_id)
    )
    given = [refund for refund in of_payment if refund.state not in {RefundState.FAILED, RefundState.REFUSED}]
    room = (attempt if case is None else case) - sum(refund.amount_minor for refund in given)
    for dispute in disputes:
        if dispute.state not in {DisputeState.OPEN, DisputeState.LOST}:
            continue
        same_currency = order is None or dispute.currency == order.currency
        dispute.counted_minor = max(0, min(dispute.amount_minor, room)) if same_currency else 0
        room -= dispute.counted_minor
        if dispute.state is DisputeState.LOST:
            left = None
            if order is not None and case is None and same_currency:
                credits_ = await dispute_store.list_credits(session, order.id)
                left = parts_left(order, refunds, [*disputes, *credits_])
            _give(dispute, cases if same_currency else [], left, now)
    for dispute in disputes:
        _post_difference(session, order, dispute, before[dispute.id], now)


def _give(dispute: Dispute, cases: Sequence[Liability], left: tuple[Money, Money, Money] | None, now: datetime) -> None:
    rest, owed = dispute.withdrawn_minor, 0
    for case in cases:
        take = min(rest, case.owed.minor)
        case.disputed_minor += take
        rest, owed = rest - take, owed + take
        if take and not case.owed:
            case.resolved_at, case.resolved_by, case.resolution = now, None, LOST_DISPUTE
    goods = freight = tax = 0
    if left is not None:
        whole = sum((part.minor for part in left), 0)
        taken = Money(min(rest, whole), dispute.currency)
        if taken:
            goods, freight, tax = (part.minor for part in taken.allocate([part.minor for part in left]))
        rest -= taken.minor
    _write_parts(dispute, (goods, freight, tax, owed, rest))


async def _reopened_cases(session: AsyncSession, disputes: Sequence[Dispute]) -> list[Liability]:
    """Cases of the payment that are open, or were closed by these disputes alone; those being repaid are left out."""
    cases = []
    for found in await dispute_store.lock_cases(session, disputes[0]):
        if found.resolution == LOST_DISPUTE or found.resolved_at is None:
            found.disputed_minor = 0
            found.resolved_at, found.resolution = None, ""
        elif found.disputed_minor:
            # What the bank had given of it is owed again; the rest was repaid
            found.amount_minor, found.disputed_minor = found.disputed_minor, 0
            found.resolved_at, found.resolved_by, found.resolution = None, None, ""
        else:
            continue
        refunds = await store.list_refunds_of_case(session, found.id)
        if not any(refund.closed_at is None for refund in refunds):
            cases.append(found)
    return cases


async def _payment(
    session: AsyncSession, attempt_id: uuid.UUID | None, liability_id: uuid.UUID | None
) -> tuple[int, int | None]:
    """What the attempt asked for, and what came instead where that is held as a case."""
    if attempt_id is None:
        assert liability_id is not None, "money is of an attempt or of a case"
        return 0, (await session.get_one(Liability, liability_id)).amount_minor
    attempt = await store.lock_attempt(session, attempt_id)
    held = None if attempt.session_id is None else await store.find_liability(session, attempt.session_id)
    return attempt.amount_minor, None if held is None else held.amount_minor


def _parts(dispute: Dispute) -> tuple[int, int, int, int, int]:
    return (
        dispute.goods_minor,
        dispute.freight_minor,
        dispute.tax_minor,
        dispute.owed_minor,
        dispute.excess_minor,
    )


def _write_parts(dispute: Dispute, parts: tuple[int, int, int, int, int]) -> None:
    (
        dispute.goods_minor,
        dispute.freight_minor,
        dispute.tax_minor,
        dispute.owed_minor,
        dispute.excess_minor,
    ) = parts


def _post_difference(
    session: AsyncSession, order: Order | None, dispute: Dispute, before: tuple[int, ...], now: datetime
) -> None:
    after = _parts(dispute)
    accounts = (
        Account.SALES,
        Account.FREIGHT,
        Account.TAX_PAYABLE,
        Account.CUSTOMER_LIABILITY,
        Account.DISPUTE_LOSSES,
    )
    changed = {
        account: Money(new - old, dispute.currency) for account, new, old in zip(accounts, after, before, strict=True)
    }
    if not any(changed.values()):
        return
    changed[Account.DISPUTED] = Money(sum(before) - sum(after), dispute.currency)
    note(session, dispute, DisputeEventKind.SHARED, at=now, detail=_told(dispute))
    post(
        session,
        entry_id=uuid.uuid5(dispute.id, f"shared out {dispute.version}"),
        order=order,
        at=now,
        amounts=changed,
    )
    if dispute.excess_minor:
        log.error("a dispute took more than was the buyer's", dispute=str(dispute.id), excess=str(dispute.excess))


def _told(dispute: Dispute) -> str:
    price = dispute.goods_minor + dispute.freight_minor + dispute.tax_minor
    named = {"of the price": price, "of what was owed": dispute.owed_minor, "lost": dispute.excess_minor}
    told = [f"{Money(minor, dispute.currency)} {what}" for what, minor in named.items() if minor]
    return ", ".join(told) or "nothing any more"
