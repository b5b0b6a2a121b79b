"""Every query of checkout, one function a question. `lock_` holds the row until the transaction ends."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from accounts.principal import Principal
from checkout.model import (
    OPEN_ATTEMPT,
    UNFINISHED_REFUND,
    AttemptKind,
    AttemptState,
    CallStep,
    Cart,
    CartLine,
    CartState,
    Checkout,
    EventOutcome,
    Liability,
    Order,
    OrderEvent,
    PaymentAttempt,
    Reconciliation,
    Refund,
    ReservationState,
    SavedCard,
    StockReservation,
    StripeCall,
    StripeCustomer,
    StripeEvent,
)
from checkout.states import State
from checkout.terms_model import CashMovement, InvoiceReceipt

_NEXT_NUMBER: Final = sa.text("select nextval('customer_order_number')")


# --- Carts and checkouts ---


def _open_cart_of(principal: Principal) -> sa.Select[Cart]:
    query = sa.select(Cart).where(Cart.state == CartState.OPEN)
    if principal.company_id is None:
        return query.where(Cart.company_id.is_(None), Cart.visitor_id == principal.visitor_id)
    return query.where(Cart.company_id == principal.company_id, Cart.person_id == principal.person_id)


async def find_open_cart(session: AsyncSession, principal: Principal) -> Cart | None:
    return await session.scalar(_open_cart_of(principal).options(selectinload(Cart.lines)))


async def lock_open_cart(session: AsyncSession, principal: Principal) -> Cart | None:
    query = _open_cart_of(principal).options(selectinload(Cart.lines)).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def lock_visitor_cart(session: AsyncSession, visitor_id: uuid.UUID) -> Cart | None:
    """The cart the browser filled before its person logged in."""
    query = sa.select(Cart).where(
        Cart.state == CartState.OPEN, Cart.company_id.is_(None), Cart.visitor_id == visitor_id
    )
    return await session.scalar(query.options(selectinload(Cart.lines)).with_for_update())


async def insert_cart(session: AsyncSession, cart: Cart) -> None:
    """Insert *cart* unless its owner has an open one already: two tabs that start at once share one."""
    await session.execute(
        insert(Cart)
        .values(
            id=cart.id,
            visitor_id=cart.visitor_id,
            company_id=cart.company_id,
            person_id=cart.person_id,
            currency=cart.currency,
            state=cart.state,
            version=cart.version,
            created_at=cart.created_at,
            updated_at=cart.updated_at,
        )
        .on_conflict_do_nothing()
    )


async def count_cart_lines(session: AsyncSession, principal: Principal) -> int:
    carts = _open_cart_of(principal).with_only_columns(Cart.id)
    return await session.scalar(sa.select(sa.func.count()).where(CartLine.cart_id.in_(carts))) or 0


async def find_checkout(session: AsyncSession, cart_id: uuid.UUID) -> Checkout | None:
    return await session.scalar(sa.select(Checkout).where(Checkout.cart_id == cart_id))


async def lock_checkout_of_cart(session: AsyncSession, cart_id: uuid.UUID) -> Checkout | None:
    query = sa.select(Checkout).where(Checkout.cart_id == cart_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_checkout_by_id(session: AsyncSession, checkout_id: uuid.UUID) -> Checkout:
    return (await session.scalars(sa.select(Checkout).where(Checkout.id == checkout_id))).one()


async def lock_checkout(session: AsyncSession, checkout_id: uuid.UUID) -> Checkout | None:
    query = sa.select(Checkout).where(Checkout.id == checkout_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_cart(session: AsyncSession, cart_id: uuid.UUID) -> Cart:
    return (await session.scalars(sa.select(Cart).where(Cart.id == cart_id).options(selectinload(Cart.lines)))).one()


async def lock_cart(session: AsyncSession, cart_id: uuid.UUID) -> Cart:
    query = sa.select(Cart).where(Cart.id == cart_id).options(selectinload(Cart.lines)).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


# --- Orders ---


async def lock_name(session: AsyncSession, name: uuid.UUID) -> None:
    """Let one transaction at a time do what *name* names: there is no row yet that could be locked."""
    key = int.from_bytes(name.bytes[8:], signed=True)
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


async def next_order_number(session: AsyncSession) -> int:
    return int(await session.scalar(_NEXT_NUMBER) or 0)


async def find_order_of_quote(session: AsyncSession, quote_id: uuid.UUID) -> uuid.UUID | None:
    """The order that was placed by a signed quote."""
    return await session.scalar(sa.select(Order.id).where(Order.signed_quote_id == quote_id))


async def list_orders(
    session: AsyncSession, *, company_id: uuid.UUID | None, before: str | None, limit: int
) -> Sequence[Order]:
    """Newest first; *company_id* None: of every company. *before* is the number of the last one seen."""
    query = sa.select(Order).order_by(Order.placed_at.desc(), Order.id.desc()).limit(limit)
    if company_id is not None:
        query = query.where(Order.company_id == company_id)
    if before is not None:
        seen = sa.select(Order.placed_at, Order.id).where(Order.number == before).subquery()
        query = query.join(seen, sa.tuple_(Order.placed_at, Order.id) < sa.tuple_(seen.c.placed_at, seen.c.id))
    return (await session.scalars(query)).all()


async def find_order(session: AsyncSession, number: str) -> Order | None:
    return await session.scalar(sa.select(Order).where(Order.number == number).options(selectinload(Order.lines)))


async def find_order_number(session: AsyncSession, order_id: uuid.UUID) -> str | None:
    return await session.scalar(sa.select(Order.number).where(Order.id == order_id))


async def find_order_by_id(session: AsyncSession, order_id: uuid.UUID) -> Order | None:
    return await session.scalar(sa.select(Order).where(Order.id == order_id).options(selectinload(Order.lines)))


async def find_order_of_checkout(session: AsyncSession, checkout_id: uuid.UUID) -> Order | None:
    query = sa.select(Order).where(Order.checkout_id == checkout_id).options(selectinload(Order.lines))
    return await session.scalar(query)


async def lock_order(session: AsyncSession, order_id: uuid.UUID) -> Order:
    query = sa.select(Order).where(Order.id == order_id).options(selectinload(Order.lines)).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def list_order_events(session: AsyncSession, order_id: uuid.UUID) -> Sequence[OrderEvent]:
    query = sa.select(OrderEvent).where(OrderEvent.order_id == order_id).order_by(OrderEvent.version)
    return (await session.scalars(query)).all()


async def quantities_in(
    session: AsyncSession, order_id: uuid.UUID, state: ReservationState
) -> dict[uuid.UUID, Decimal]:
    """What an order has of each SKU, by its id, in a state."""
    query = sa.select(StockReservation.sku_id, StockReservation.quantity).where(
        StockReservation.order_id == order_id, StockReservation.state == state
    )
    return {row.sku_id: row.quantity for row in await session.execute(query)}


async def move_reservations(
    session: AsyncSession, order_id: uuid.UUID, before: ReservationState, after: ReservationState, at: datetime
) -> None:
    await session.execute(
        sa.update(StockReservation)
        .where(StockReservation.order_id == order_id, StockReservation.state == before)
        .values(state=after, changed_at=at)
    )


# --- Payments ---


async def company_of_order(session: AsyncSession, order_id: uuid.UUID) -> uuid.UUID | None:
    """Under staff's scope: what a worker asks before it works under the company's own."""
    return await session.scalar(sa.select(Order.company_id).where(Order.id == order_id))


async def find_attempt_of_session(
    session: AsyncSession, session_id: str, reference: str | None
) -> PaymentAttempt | None:
    """By Stripe's id, else by ours that the Session carries (its answer may never have been saved)."""
    found = await session.scalar(sa.select(PaymentAttempt).where(PaymentAttempt.session_id == session_id))
    if found is not None or reference is None:
        return found
    try:
        attempt_id = uuid.UUID(reference)
    except ValueError:
        return None
    attempt = await session.get(PaymentAttempt, attempt_id)
    return attempt if attempt is not None and attempt.session_id is None else None


async def list_attempts(session: AsyncSession, order_id: uuid.UUID) -> Sequence[PaymentAttempt]:
    query = sa.select(PaymentAttempt).where(PaymentAttempt.order_id == order_id).order_by(PaymentAttempt.created_at)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def find_open_attempt(session: AsyncSession, order_id: uuid.UUID) -> PaymentAttempt | None:
    query = sa.select(PaymentAttempt).where(PaymentAttempt.order_id == order_id, PaymentAttempt.state.in_(OPEN_ATTEMPT))
    return await session.scalar(query.execution_options(populate_existing=True))


async def lock_attempt(session: AsyncSession, attempt_id: uuid.UUID) -> PaymentAttempt:
    query = sa.select(PaymentAttempt).where(PaymentAttempt.id == attempt_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def find_call(session: AsyncSession, attempt_id: uuid.UUID, step: CallStep) -> StripeCall | None:
    """The attempt's last call of *step*."""
    query = (
        sa.select(StripeCall)
        .where(StripeCall.attempt_id == attempt_id, StripeCall.step == step)
        .order_by(StripeCall.created_at.desc(), StripeCall.id.desc())
        .limit(1)
    )
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_liability(session: AsyncSession, session_id: str) -> Liability | None:
    """The case that a Session's money opened."""
    return await session.scalar(
        sa.select(Liability).where(Liability.session_id == session_id, Liability.refund_id.is_(None))
    )


async def find_case_of_refund(session: AsyncSession, refund_id: uuid.UUID) -> Liability | None:
    """The case that a failed refund opened."""
    return await session.scalar(sa.select(Liability).where(Liability.refund_id == refund_id))


async def lock_liability(session: AsyncSession, liability_id: uuid.UUID) -> Liability | None:
    query = sa.select(Liability).where(Liability.id == liability_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


# --- Customers and their cards ---


async def find_stripe_customer(session: AsyncSession, company_id: uuid.UUID) -> str | None:
    """The company's Customer at Stripe, if it is known."""
    query = sa.select(StripeCustomer.stripe_customer_id).where(StripeCustomer.company_id == company_id)
    return await session.scalar(query)


async def insert_stripe_customer(session: AsyncSession, row: StripeCustomer) -> None:
    """Insert the company's row unless it is there."""
    await session.execute(
        insert(StripeCustomer)
        .values(
            company_id=row.company_id,
            idempotency_key=row.idempotency_key,
            request=row.request,
            asked_at=row.asked_at,
        )
        .on_conflict_do_nothing(index_elements=[StripeCustomer.company_id])
    )


async def lock_stripe_customer(session: AsyncSession, company_id: uuid.UUID) -> StripeCustomer:
    query = sa.select(StripeCustomer).where(StripeCustomer.company_id == company_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def insert_saved_card(session: AsyncSession, card: SavedCard) -> None:
    """Insert a card unless it is here, perhaps removed."""
    await session.execute(
        insert(SavedCard)
        .values(
            id=card.id,
            company_id=card.company_id,
            payment_method_id=card.payment_method_id,
            brand=card.brand,
            last4=card.last4,
            expires_month=card.expires_month,
            expires_year=card.expires_year,
            saved_by=card.saved_by,
            saved_at=card.saved_at,
        )
        .on_conflict_do_nothing(index_elements=[SavedCard.payment_method_id])
    )


async def list_saved_cards(session: AsyncSession, company_id: uuid.UUID) -> Sequence[SavedCard]:
    """Those not removed, the last saved first."""
    query = sa.select(SavedCard).where(SavedCard.company_id == company_id, SavedCard.removed_at.is_(None))
    return (await session.scalars(query.order_by(SavedCard.saved_at.desc(), SavedCard.id.desc()))).all()


async def lock_saved_card(session: AsyncSession, card_id: uuid.UUID) -> SavedCard | None:
    query = sa.select(SavedCard).where(SavedCard.id == card_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def list_cards_to_detach(session: AsyncSession, *, limit: int) -> Sequence[SavedCard]:
    """Removed here, and not yet forgotten at Stripe."""
    query = sa.select(SavedCard).where(SavedCard.removed_at.is_not(None), SavedCard.detached_at.is_(None))
    return (await session.scalars(query.order_by(SavedCard.removed_at).limit(limit))).all()


async def list_uncertain_charges(session: AsyncSession) -> list[tuple[PaymentAttempt, str]]:
    """Charges of kept cards of which nobody knows what became, with their orders' numbers, oldest first."""
    query = sa.select(PaymentAttempt, Order.number).join(Order, Order.id == PaymentAttempt.order_id)
    rows = await session.execute(
        query.where(
            PaymentAttempt.kind == AttemptKind.SAVED_CARD, PaymentAttempt.state == AttemptState.UNCERTAIN
        ).order_by(PaymentAttempt.created_at)
    )
    return [(row[0], row[1]) for row in rows]


async def list_held(session: AsyncSession, *, limit: int) -> list[tuple[PaymentAttempt, str]]:
    """Attempts whose amount is held on a card, with their orders' numbers, the oldest first."""
    query = sa.select(PaymentAttempt, Order.number).join(Order, Order.id == PaymentAttempt.order_id)
    rows = await session.execute(
        query.where(Order.state == State.AUTHORISED, PaymentAttempt.state == AttemptState.PENDING)
        .order_by(PaymentAttempt.created_at)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def find_attempt_of_intent(
    session: AsyncSession, intent_id: str, hint: uuid.UUID | None
) -> PaymentAttempt | None:
    """By Stripe's id; else by *hint*, an attempt's id that whoever fetches the PaymentIntent has to confirm."""
    found = await session.scalar(sa.select(PaymentAttempt).where(PaymentAttempt.payment_intent_id == intent_id))
    return found if found is not None or hint is None else await session.get(PaymentAttempt, hint)


# --- Refunds ---


async def find_refund_of_request(session: AsyncSession, request_id: uuid.UUID) -> Refund | None:
    return await session.scalar(sa.select(Refund).where(Refund.request_id == request_id))


async def find_refund(session: AsyncSession, stripe_refund_id: str, reference: str | None) -> Refund | None:
    """By Stripe's id, else by ours that Stripe's object carries (its answer may never have been saved)."""
    found = await session.scalar(sa.select(Refund).where(Refund.stripe_refund_id == stripe_refund_id))
    if found is not None or reference is None:
        return found
    try:
        refund_id = uuid.UUID(reference)
    except ValueError:
        return None
    refund = await session.get(Refund, refund_id)
    return refund if refund is not None and refund.stripe_refund_id is None else None


async def lock_refund(session: AsyncSession, refund_id: uuid.UUID) -> Refund:
    query = sa.select(Refund).where(Refund.id == refund_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def list_refunds(session: AsyncSession, order_id: uuid.UUID) -> Sequence[Refund]:
    """Oldest first."""
    query = sa.select(Refund).where(Refund.order_id == order_id).order_by(Refund.requested_at, Refund.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_refunds_of_case(session: AsyncSession, liability_id: uuid.UUID) -> Sequence[Refund]:
    query = sa.select(Refund).where(Refund.liability_id == liability_id).order_by(Refund.requested_at, Refund.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_unfinished_refunds(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[uuid.UUID]:
    query = (
        sa.select(Refund.id)
        .where(Refund.state.in_(UNFINISHED_REFUND), Refund.requested_at <= before)
        .order_by(Refund.requested_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def find_refund_call(session: AsyncSession, refund_id: uuid.UUID) -> StripeCall:
    """The refund's last call: it is written with the first."""
    query = (
        sa.select(StripeCall)
        .where(StripeCall.refund_id == refund_id)
        .order_by(StripeCall.created_at.desc(), StripeCall.id.desc())
        .limit(1)
    )
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def find_paying_attempt(session: AsyncSession, order_id: uuid.UUID) -> PaymentAttempt | None:
    """The attempt whose money settled the order; other money of it is a liability."""
    liable = sa.select(Liability.session_id).where(Liability.order_id == order_id, Liability.refund_id.is_(None))
    query = sa.select(PaymentAttempt).where(
        PaymentAttempt.order_id == order_id,
        PaymentAttempt.kind != AttemptKind.INVOICE,  # credit notes give its money back
        PaymentAttempt.state == AttemptState.SUCCEEDED,
        PaymentAttempt.session_id.not_in(liable),
    )
    return await session.scalar(query)


async def list_refunds_since(session: AsyncSession, since: datetime) -> list[tuple[Refund, str | None]]:
    """Refunds with their orders' numbers; None where the order is not known."""
    query = sa.select(Refund, Order.number).outerjoin(Order, Order.id == Refund.order_id)
    query = query.where(Refund.requested_at >= since)
    return [(row[0], row[1]) for row in await session.execute(query.order_by(Refund.requested_at))]


async def insert_event(session: AsyncSession, event: StripeEvent) -> bool:
    """Insert a webhook's event once; False when it is here already."""
    inserted = await session.execute(
        insert(StripeEvent)
        .values(
            id=event.id,
            type=event.type,
            api_version=event.api_version,
            livemode=event.livemode,
            payload=event.payload,
            received_at=event.received_at,
            detail="",
            review_note="",
        )
        .on_conflict_do_nothing(index_elements=[StripeEvent.id])
        .returning(StripeEvent.id)
    )
    return inserted.scalar_one_or_none() is not None


async def list_unhandled_events(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[str]:
    query = (
        sa.select(StripeEvent.id)
        .where(StripeEvent.handled_at.is_(None), StripeEvent.received_at <= before)
        .order_by(StripeEvent.received_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_overdue_orders(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Orders to close: past their time to pay, or closing already."""
    overdue = sa.and_(Order.state == State.PAYABLE, Order.pay_by <= now)
    query = sa.select(Order.id).where(sa.or_(overdue, Order.state == State.CLOSING)).order_by(Order.pay_by)
    return (await session.scalars(query.limit(limit))).all()


async def list_orders_in_payment(
    session: AsyncSession, *, before: datetime, asked_before: datetime, limit: int
) -> Sequence[tuple[uuid.UUID, uuid.UUID, AttemptState]]:
    """Order, attempt and state of open attempts begun before an instant, and of PENDING ones that Stripe was asked
    about before another: what a sweep asks Stripe about, those longest unasked first.
    """
    query = (
        sa.select(PaymentAttempt.order_id, PaymentAttempt.id, PaymentAttempt.state)
        .where(
            PaymentAttempt.state.in_(OPEN_ATTEMPT),
            PaymentAttempt.kind != AttemptKind.INVOICE,  # followed on their own
            sa.case(
                (PaymentAttempt.state == AttemptState.PENDING, PaymentAttempt.asked_at <= asked_before),
                else_=PaymentAttempt.created_at <= before,
            ),
        )
        .order_by(sa.func.coalesce(PaymentAttempt.asked_at, PaymentAttempt.created_at))
        .limit(limit)
    )
    return [(row.order_id, row.id, row.state) for row in await session.execute(query)]


# --- Reconciliation ---


async def list_open_liabilities(session: AsyncSession) -> list[tuple[Liability, str | None]]:
    """Cases that nobody has closed, with their orders' numbers, oldest first."""
    query = sa.select(Liability, Order.number).outerjoin(Order, Order.id == Liability.order_id)
    rows = await session.execute(query.where(Liability.resolved_at.is_(None)).order_by(Liability.opened_at))
    return [(row[0], row[1]) for row in rows]


async def list_refunds_under_way(session: AsyncSession, *, limit: int) -> list[tuple[Refund, str | None]]:
    """Refunds that have not come to their end, with their orders' numbers if they have one, oldest first."""
    query = sa.select(Refund, Order.number).outerjoin(Order, Order.id == Refund.order_id)
    rows = await session.execute(
        query.where(Refund.state.in_(UNFINISHED_REFUND)).order_by(Refund.requested_at).limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def list_parked_events(session: AsyncSession, *, limit: int) -> Sequence[StripeEvent]:
    """Events that nobody could place and nobody has looked at, oldest first."""
    query = sa.select(StripeEvent).where(StripeEvent.outcome == EventOutcome.PARKED, StripeEvent.reviewed_at.is_(None))
    return (await session.scalars(query.order_by(StripeEvent.received_at).limit(limit))).all()


async def list_reconciliations(session: AsyncSession, *, limit: int) -> Sequence[Reconciliation]:
    """Newest first."""
    query = sa.select(Reconciliation).order_by(Reconciliation.began_at.desc(), Reconciliation.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def list_attempts_since(session: AsyncSession, since: datetime) -> list[tuple[PaymentAttempt, str]]:
    """Attempts but for invoices, with their orders' numbers."""
    query = (
        sa.select(PaymentAttempt, Order.number)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(PaymentAttempt.created_at >= since, PaymentAttempt.kind != AttemptKind.INVOICE)
        .order_by(PaymentAttempt.created_at)
    )
    return [(row[0], row[1]) for row in await session.execute(query)]


async def list_liable_sessions(session: AsyncSession) -> frozenset[str]:
    return frozenset((await session.scalars(sa.select(Liability.session_id))).all())


async def list_known_intents(session: AsyncSession, intents: Mapping[str, str | None]) -> frozenset[str]:
    """Which of these PaymentIntents are of a payment, a case, an invoice or a balance of ours. *intents*: by id, the
    attempt that each names; it may be any text.
    """
    ids = list(intents)
    named = {intent: name for intent, name in intents.items() if name is not None}
    query = sa.union(
        *(
            sa.select(column).where(column.in_(ids))
            for column in (
                PaymentAttempt.payment_intent_id,
                PaymentAttempt.session_id,
                Liability.payment_intent_id,
                InvoiceReceipt.payment_intent_id,
                CashMovement.payment_intent_id,
            )
        )
    )
    known = {intent for intent in await session.scalars(query) if intent is not None}
    of_attempts = sa.cast(PaymentAttempt.id, sa.Text)
    attempts = set((await session.scalars(sa.select(of_attempts).where(of_attempts.in_(named.values())))).all())
    return frozenset(known | {intent for intent, name in named.items() if name in attempts})


async def list_book_breaks(session: AsyncSession, *, unhandled_before: datetime) -> list[tuple[str, str, str]]:
    """What contradicts itself in our own rows: kind, reference, detail."""
    rows = await session.execute(_BOOK_BREAKS, {"unhandled_before": unhandled_before})
    return [(row.kind, row.reference, row.detail) for row in rows]


_BOOK_BREAKS: Final = sa.text(
    """
    SELECT 'paid_without_sale' AS kind, o.number AS reference, '' AS detail FROM customer_order o
    WHERE o.paid_at IS NOT NULL AND o.total_minor > 0 AND o.net_days IS NULL AND NOT EXISTS (
        SELECT 1 FROM ledger_posting p
        WHERE p.order_id = o.id AND p.account = 'stripe_clearing' AND p.amount_minor = o.total_minor
    )
    UNION ALL
    SELECT 'sale_without_payment', o.number, p.entry_id::text FROM ledger_posting p
    JOIN customer_order o ON o.id = p.order_id
    WHERE p.account = 'sales' AND o.paid_at IS NULL AND o.net_days IS NULL
    UNION ALL
    SELECT 'entry_unbalanced', entry_id::text, currency || ' ' || sum(amount_minor)::text FROM ledger_posting
    GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT 'refunds_exceed_payment', o.number, a.id::text FROM payment_attempt a
    JOIN customer_order o ON o.id = a.order_id
    JOIN (
        SELECT attempt_id, sum(amount_minor) AS amount FROM (
            SELECT attempt_id, amount_minor FROM refund WHERE state NOT IN ('failed', 'refused')
            UNION ALL SELECT attempt_id, counted_minor FROM dispute WHERE state IN ('open', 'lost')
        ) taken GROUP BY attempt_id
    ) given ON given.attempt_id = a.id AND given.amount > 0
    LEFT JOIN liability l ON l.session_id = a.session_id AND l.refund_id IS NULL
    WHERE a.state <> 'succeeded' OR given.amount > coalesce(l.amount_minor, a.amount_minor)
    UNION ALL
    SELECT 'owed_differs', coalesce(o.number, 'of no order'),
        owed.posted::text || ' posted, ' || owed.cases::text || ' in cases and refunds'
    FROM (
        SELECT order_id, sum(posted) AS posted, sum(cases) AS cases FROM (
            SELECT order_id, -amount_minor AS posted, 0 AS cases FROM ledger_posting
            WHERE account = 'customer_liability'
            UNION ALL SELECT order_id, 0, amount_minor - disputed_minor FROM liability WHERE resolved_at IS NULL
            UNION ALL SELECT order_id, 0, amount_minor FROM refund
            WHERE liability_id IS NULL AND state IN ('new', 'uncertain', 'pending')
            UNION ALL SELECT order_id, 0, amount_minor FROM credit_note
            WHERE settles <> 'due' AND state IN ('new', 'uncertain')
        ) each GROUP BY order_id HAVING sum(posted) <> sum(cases)
    ) owed LEFT JOIN customer_order o ON o.id = owed.order_id
    UNION ALL
    SELECT 'disputed_differs', coalesce(o.number, 'of no order'),
        held.posted::text || ' posted, ' || held.withdrawn::text || ' withdrawn'
    FROM (
        SELECT order_id, sum(posted) AS posted, sum(withdrawn) AS withdrawn FROM (
            SELECT order_id, amount_minor AS posted, 0 AS withdrawn FROM ledger_posting WHERE account = 'disputed'
            UNION ALL SELECT order_id, 0, withdrawn_minor FROM dispute WHERE state <> 'lost'
        ) each GROUP BY order_id HAVING sum(posted) <> sum(withdrawn)
    ) held LEFT JOIN customer_order o ON o.id = held.order_id
    UNION ALL
    SELECT 'dispute_beyond_payment', coalesce(o.number, d.stripe_dispute_id),
        d.stripe_dispute_id || ': ' || (d.amount_minor - d.counted_minor)::text || ' ' || d.currency
    FROM dispute d LEFT JOIN customer_order o ON o.id = d.order_id
    WHERE d.state IN ('open', 'lost') AND d.counted_minor < d.amount_minor
    UNION ALL
    SELECT 'order_without_acceptance', o.number, '' FROM customer_order o
    WHERE NOT EXISTS (SELECT 1 FROM acceptance a WHERE a.order_id = o.id)
        AND NOT EXISTS (SELECT 1 FROM signature_package p WHERE p.order_id = o.id AND p.state = 'executed')
        AND NOT EXISTS (SELECT 1 FROM framework_order f WHERE f.order_id = o.id)
    UNION ALL
    SELECT 'stock_state_differs', o.number, o.state || ', stock ' || r.state FROM stock_reservation r
    JOIN customer_order o ON o.id = r.order_id
    WHERE r.state <> CASE
        WHEN o.state IN ('paid', 'cancelling', 'written_off') THEN 'sold'
        WHEN o.state = 'on_terms' AND EXISTS (SELECT 1 FROM invoice i WHERE i.order_id = o.id) THEN 'sold'
        WHEN o.state IN ('lapsed', 'cancelled') THEN 'returned' ELSE 'reserved'
    END
    UNION ALL
    SELECT 'reserved_stock_differs', sku.code, stock.reserved::text || ' in stock, ' || held.quantity::text || ' held'
    FROM stock JOIN sku ON sku.id = stock.sku_id
    JOIN LATERAL (
        SELECT coalesce(sum(quantity), 0) AS quantity FROM stock_reservation r
        WHERE r.sku_id = stock.sku_id AND r.state = 'reserved'
    ) held ON held.quantity <> stock.reserved
    UNION ALL
    SELECT CASE WHEN outcome = 'parked' THEN 'event_parked' ELSE 'event_unhandled' END, id, type || ' ' || detail
    FROM stripe_event WHERE (outcome = 'parked' AND reviewed_at IS NULL)
        OR (handled_at IS NULL AND received_at < :unhandled_before)
    """
)
