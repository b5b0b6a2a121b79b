"""The nouns of checkout: cart, checkout, order, payment attempt, what Stripe was asked and said, money's postings.

Amounts are minor units in columns named `*_minor` with the row's `currency`. A row with `company_id` None is a
guest's. What happened is a row or an instant, never a boolean.
"""

import uuid
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column, relationship

import accounts.model  # noqa: F401 - the tables company and person, which foreign keys name
import agreements.model  # noqa: F401 - the table acceptance, likewise
import catalog.model  # noqa: F401 - the table sku, likewise
import pricing.model  # noqa: F401 - the table signed_quote, likewise
from checkout.states import State
from kernel.db import Base, text_enum
from kernel.money import Money

QUANTITY = sa.Numeric(24, 6)
CURRENCY = sa.CHAR(3)
MAYBE_JSON = postgresql.JSONB(none_as_null=True)


class CartState(StrEnum):
    OPEN = "open"
    ORDERED = "ordered"
    MERGED = "merged"
    """A visitor's cart whose lines went into the company's at log-in."""


class Paying(StrEnum):
    """What the buyer chose at the review: to pay at once, or by an invoice on the company's terms."""

    NOW = "now"
    ON_TERMS = "on_terms"


class AttemptKind(StrEnum):
    CARD_SESSION = "card_session"
    """Stripe's hosted page: card, SEPA or ACH debit, as the buyer chooses there."""
    SAVED_CARD = "saved_card"
    """A card kept at Stripe, charged from here."""
    INVOICE = "invoice"
    """Of an order on terms; `terms_model.Invoice` holds what it is over."""


class AttemptState(StrEnum):
    """NEW: its call is on the way or its answer is not saved yet. UNCERTAIN: the call was sent and nobody knows what
    became of it. LIVE: the buyer can pay there. PENDING: the buyer has done their part, and a bank works on it or the
    amount is held until it is captured. SUCCEEDED and DEAD are final, by Stripe's word.
    """

    NEW = "new"
    UNCERTAIN = "uncertain"
    LIVE = "live"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DEAD = "dead"


OPEN_ATTEMPT = (AttemptState.NEW, AttemptState.UNCERTAIN, AttemptState.LIVE, AttemptState.PENDING)


class CallStep(StrEnum):
    CREATE_SESSION = "create_session"
    EXPIRE_SESSION = "expire_session"
    CREATE_REFUND = "create_refund"
    CHARGE_CARD = "charge_card"
    CAPTURE = "capture"
    CANCEL_INTENT = "cancel_intent"
    CREATE_INVOICE = "create_invoice"
    ADD_INVOICE_ITEM = "add_invoice_item"
    FINALIZE_INVOICE = "finalize_invoice"
    SEND_INVOICE = "send_invoice"
    MARK_UNCOLLECTIBLE = "mark_uncollectible"
    PAY_OUT_OF_BAND = "pay_out_of_band"
    CREATE_CREDIT_NOTE = "create_credit_note"
    SUBMIT_EVIDENCE = "submit_evidence"
    CLOSE_DISPUTE = "close_dispute"


class CallOutcome(StrEnum):
    """What an answer means: DONE it happened, REFUSED it definitely didn't, THROTTLED it wasn't even tried,
    UNCERTAIN nobody knows.
    """

    DONE = "done"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNCERTAIN = "uncertain"


class EventOutcome(StrEnum):
    SETTLED = "settled"
    NOTHING_TO_DO = "nothing_to_do"
    PARKED = "parked"


class LiabilityReason(StrEnum):
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    ORDER_CLOSED = "order_closed"
    PAID_TWICE = "paid_twice"
    UNKNOWN_ORDER = "unknown_order"
    REFUND_FAILED = "refund_failed"
    """A refund of the order came back from the bank."""


class RefundState(StrEnum):
    """NEW and UNCERTAIN as for an attempt; PENDING: Stripe works on it. SUCCEEDED may still turn into FAILED, when the
    bank sends it back. REFUSED: Stripe never made it.
    """

    NEW = "new"
    UNCERTAIN = "uncertain"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


UNFINISHED_REFUND = (RefundState.NEW, RefundState.UNCERTAIN, RefundState.PENDING)


class RefundReason(StrEnum):
    GOODS_RETURNED = "goods_returned"
    NOT_DELIVERED = "not_delivered"
    DAMAGED = "damaged"
    PRICE_REDUCED = "price_reduced"
    ORDER_CANCELLED = "order_cancelled"
    PAID_IN_ERROR = "paid_in_error"
    OTHER = "other"


class ReservationState(StrEnum):
    RESERVED = "reserved"
    SOLD = "sold"
    RETURNED = "returned"


class Account(StrEnum):
    """Of the double-entry ledger: a posting adds to it (debit) or takes from it (credit, negative)."""

    STRIPE_CLEARING = "stripe_clearing"
    SALES = "sales"
    FREIGHT = "freight"
    TAX_PAYABLE = "tax_payable"
    CUSTOMER_LIABILITY = "customer_liability"
    ACCOUNTS_RECEIVABLE = "accounts_receivable"
    """What invoices are to bring."""
    CUSTOMER_CASH = "customer_cash"
    """What companies transferred and no invoice has used: theirs, in their cash balances at Stripe."""
    BANK = "bank"
    """Money that came past Stripe."""
    BAD_DEBT = "bad_debt"
    DISPUTED = "disputed"
    """Money that a buyer's bank has taken and that is not decided."""
    DISPUTE_FEES = "dispute_fees"
    DISPUTE_LOSSES = "dispute_losses"
    """What lost disputes took beyond what was still the buyer's to have back."""


class ShipTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the goods go. *country* is ISO 3166-1 alpha-2; *line2* and *region* may be empty."""

    name: str
    line1: str
    line2: str = ""
    postal_code: str
    city: str
    region: str = ""
    country: str


class Cart(Base, kw_only=True):
    __tablename__ = "cart"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "signed_quote_id"], ["signed_quote.company_id", "signed_quote.id"]),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    visitor_id: Mapped[uuid.UUID]
    """The browser's journey; a guest's cart is found by it."""
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    currency: Mapped[str] = mapped_column(CURRENCY)
    state: Mapped[CartState] = mapped_column(text_enum(CartState), default=CartState.OPEN)
    version: Mapped[int] = mapped_column(default=0)
    """Counts changes of its lines."""
    signed_quote_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    """The quote whose lines these are, until one is changed; the company's own."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lines: Mapped[list["CartLine"]] = relationship(
        order_by="CartLine.position", cascade="all, delete-orphan", lazy="raise", default_factory=list
    )


class CartLine(Base, kw_only=True):
    """Guarded through its cart: row-level security shows it where the cart is seen."""

    __tablename__ = "cart_line"

    cart_id: Mapped[uuid.UUID] = mapped_column(
        sa.ForeignKey("cart.id", ondelete="CASCADE"), primary_key=True, default=None
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 1, never used again within the cart."""
    sku: Mapped[str]
    unit: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(QUANTITY)


class Checkout(Base, kw_only=True):
    """A cart on its way to becoming an order. With *accepted_at* its life goes on in the order's row; *state* is then
    the one it was accepted into.
    """

    __tablename__ = "checkout"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    cart_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("cart.id"), unique=True)
    visitor_id: Mapped[uuid.UUID]
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    state: Mapped[State] = mapped_column(text_enum(State), default=State.OPEN)
    version: Mapped[int] = mapped_column(default=0)
    locale: Mapped[str] = mapped_column(default="en")
    email: Mapped[str | None] = mapped_column(default=None)
    ship_to: Mapped[dict[str, Any] | None] = mapped_column(MAYBE_JSON, default=None)
    po_number: Mapped[str | None] = mapped_column(default=None)
    tax_id: Mapped[str | None] = mapped_column(default=None)
    details_saved_at: Mapped[datetime | None] = mapped_column(default=None)
    shown_total_minor: Mapped[int | None] = mapped_column(default=None)
    """The total the buyer saw last on the review page, in *currency*."""
    currency: Mapped[str] = mapped_column(CURRENCY)
    shown: Mapped[dict[str, Any] | None] = mapped_column(MAYBE_JSON, default=None)
    """The canonical order of the last review; reviewing the same again shows the same, priced at the same instant."""
    paying: Mapped[Paying] = mapped_column(text_enum(Paying), default=Paying.NOW)
    accepted_at: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Order(Base, kw_only=True):
    """No evidence, no order: a trigger refuses the commit of one without exactly one basis, which is an acceptance,
    an executed package or a framework agreement.
    """

    __tablename__ = "customer_order"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "id"),
        sa.UniqueConstraint("signed_quote_id"),  # ordered once, however many tabs try
        sa.ForeignKeyConstraint(["company_id", "signed_quote_id"], ["signed_quote.company_id", "signed_quote.id"]),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    """For people: `T-2026-000123`."""
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    checkout_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("checkout.id"), unique=True)
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    state: Mapped[State] = mapped_column(text_enum(State))
    closing_as: Mapped[State | None] = mapped_column(text_enum(State), default=None)
    """LAPSED or CANCELLED: what a CLOSING order becomes once every attempt is dead."""
    version: Mapped[int] = mapped_column(default=0)
    """Counts events; `settle` compares it before and after it asked Stripe."""
    locale: Mapped[str]
    email: Mapped[str]
    visitor_id: Mapped[uuid.UUID]
    """The journey it came from."""
    currency: Mapped[str] = mapped_column(CURRENCY)
    goods_minor: Mapped[int]
    freight_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    price_root: Mapped[str]
    priced_at: Mapped[datetime]
    signed_quote_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    """The quote it was priced by; *price_root* and *priced_at* are then the quote's."""
    canonical: Mapped[dict[str, Any]]
    """The order as accepted: what `canonical_digest` is of and what a replay prices again."""
    canonical_digest: Mapped[str]
    tax_inputs: Mapped[dict[str, Any]]
    freight_inputs: Mapped[dict[str, Any]]
    ship_to: Mapped[dict[str, Any]]
    po_number: Mapped[str | None] = mapped_column(default=None)
    tax_id: Mapped[str | None] = mapped_column(default=None)
    pay_by: Mapped[datetime | None] = mapped_column(default=None)
    net_days: Mapped[int | None] = mapped_column(default=None)
    """Of an order on terms: its invoice is due so many days after it is made. None: paid at once."""
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None] = mapped_column(default=None)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    """When it lapsed or was cancelled."""
    lines: Mapped[list["OrderLine"]] = relationship(
        order_by="OrderLine.position", lazy="raise", default_factory=list, cascade="all"
    )

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)

    @property
    def goods(self) -> Money:
        return Money(self.goods_minor, self.currency)

    @property
    def freight(self) -> Money:
        return Money(self.freight_minor, self.currency)

    @property
    def tax(self) -> Money:
        return Money(self.tax_minor, self.currency)


class OrderLine(Base, kw_only=True):
    __tablename__ = "order_line"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
    )

    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=None)
    position: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID]
    sku: Mapped[str]
    sku_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("sku.id"))
    names: Mapped[dict[str, Any]]
    unit: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(QUANTITY)
    base_quantity: Mapped[Decimal] = mapped_column(QUANTITY)
    """In the SKU's base unit: what stock counts."""
    price_unit: Mapped[str]
    unit_price: Mapped[str | None]
    """Decimal string of one *price_unit*; None where the price has no unit price."""
    net: Mapped[str]
    """Decimal string in the order's currency: a rounding policy may keep more digits than the currency has."""
    tax: Mapped[str]
    tax_percent: Mapped[str]
    trace: Mapped[dict[str, Any]]


class OrderEvent(Base, kw_only=True):
    """One step of an order's life: the history a person reads."""

    __tablename__ = "order_event"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
    )

    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    """The order's version after it."""
    company_id: Mapped[uuid.UUID]
    event: Mapped[str]
    before: Mapped[State | None] = mapped_column(text_enum(State))
    after: Mapped[State] = mapped_column(text_enum(State))
    detail: Mapped[str] = mapped_column(default="")
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """Who did it; None: the house or Stripe."""
    at: Mapped[datetime]


class StockReservation(Base, kw_only=True):
    __tablename__ = "stock_reservation"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
    )

    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    sku_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("sku.id"), primary_key=True)
    company_id: Mapped[uuid.UUID]
    quantity: Mapped[Decimal] = mapped_column(QUANTITY)
    state: Mapped[ReservationState] = mapped_column(text_enum(ReservationState), default=ReservationState.RESERVED)
    changed_at: Mapped[datetime]


class PaymentAttempt(Base, kw_only=True):
    """One way to pay an order. At most one of an order is open (`OPEN_ATTEMPT`): a partial unique index."""

    __tablename__ = "payment_attempt"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
        sa.ForeignKeyConstraint(["company_id", "saved_card_id"], ["saved_card.company_id", "saved_card.id"]),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID]
    company_id: Mapped[uuid.UUID]
    kind: Mapped[AttemptKind] = mapped_column(text_enum(AttemptKind), default=AttemptKind.CARD_SESSION)
    state: Mapped[AttemptState] = mapped_column(text_enum(AttemptState), default=AttemptState.NEW)
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    session_id: Mapped[str | None] = mapped_column(unique=True, default=None)
    """What it is at Stripe: a Session, or of a saved card's charge the PaymentIntent itself."""
    url: Mapped[str | None] = mapped_column(default=None)
    """Where the buyer pays."""
    payment_intent_id: Mapped[str | None] = mapped_column(default=None)
    saved_card_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    asked_at: Mapped[datetime | None] = mapped_column(default=None)
    """When Stripe was last asked what became of it, being PENDING."""
    detail: Mapped[str] = mapped_column(default="")
    """Why it died or is uncertain, for staff."""
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(default=None)


class StripeCustomer(Base, kw_only=True):
    """A company at Stripe: one Customer, whoever buys for it. Its call is here before it is sent, its id after it."""

    __tablename__ = "stripe_customer"

    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"), primary_key=True)
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True, default=None)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    request: Mapped[str]
    """JSON text: resent under its key it must be the same to the byte."""
    asked_at: Mapped[datetime]
    """When this key was first used."""
    made_at: Mapped[datetime | None] = mapped_column(default=None)


class SavedCard(Base, kw_only=True):
    """A card that a buyer agreed to keep for the company's later orders. Stripe has it; here is what names it."""

    __tablename__ = "saved_card"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("stripe_customer.company_id"))
    payment_method_id: Mapped[str] = mapped_column(unique=True)
    brand: Mapped[str]
    last4: Mapped[str]
    expires_month: Mapped[int]
    expires_year: Mapped[int]
    saved_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    saved_at: Mapped[datetime]
    removed_at: Mapped[datetime | None] = mapped_column(default=None)
    """From then on nobody can pay with it here."""
    removed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    detached_at: Mapped[datetime | None] = mapped_column(default=None)
    """When Stripe had forgotten it, too."""


class Refund(Base, kw_only=True):
    """Money given back of one successful attempt: of its order's price, or of a liability.

    Its parts say what of the order's price is taken back; a liability's refund has none, for nothing was sold for it.
    Money of an order we do not know has neither order, company nor attempt, only its liability.
    """

    __tablename__ = "refund"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
        sa.ForeignKeyConstraint(["company_id", "attempt_id"], ["payment_attempt.company_id", "payment_attempt.id"]),
        sa.ForeignKeyConstraint(["company_id", "liability_id"], ["liability.company_id", "liability.id"]),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    request_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    """Of the form it was asked with: sent twice, it is one refund."""
    order_id: Mapped[uuid.UUID | None]
    company_id: Mapped[uuid.UUID | None]
    attempt_id: Mapped[uuid.UUID | None]
    liability_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("liability.id"), default=None)
    state: Mapped[RefundState] = mapped_column(text_enum(RefundState), default=RefundState.NEW)
    amount_minor: Mapped[int]
    goods_minor: Mapped[int] = mapped_column(default=0)
    freight_minor: Mapped[int] = mapped_column(default=0)
    tax_minor: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(CURRENCY)
    reason: Mapped[RefundReason] = mapped_column(text_enum(RefundReason))
    note: Mapped[str]
    """Why, in the words of who asked for it."""
    requested_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    requested_at: Mapped[datetime]
    stripe_refund_id: Mapped[str | None] = mapped_column(unique=True, default=None)
    detail: Mapped[str] = mapped_column(default="")
    """Why it was refused or failed or is uncertain, for staff."""
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    """When it succeeded, failed or was refused last."""

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)


class StripeCall(Base, kw_only=True):
    """A write at Stripe: committed before it is sent and again with its answer."""

    __tablename__ = "stripe_call"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "attempt_id"], ["payment_attempt.company_id", "payment_attempt.id"]),
        sa.ForeignKeyConstraint(["company_id", "refund_id"], ["refund.company_id", "refund.id"]),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    attempt_id: Mapped[uuid.UUID | None]
    """None, and no company, where the payment is of no order we know."""
    company_id: Mapped[uuid.UUID | None]
    refund_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    dispute_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    """Refers to `checkout.dispute_model`, in the database alone: a call is of a dispute that was there before."""
    step: Mapped[CallStep] = mapped_column(text_enum(CallStep))
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    request: Mapped[str]
    """JSON text, not JSONB: resent under its key it must be the same to the byte."""
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime]
    """When it was last sent or about to be."""
    sent_times: Mapped[int] = mapped_column(default=1)
    answered_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[CallOutcome | None] = mapped_column(text_enum(CallOutcome), default=None)
    answer_status: Mapped[int | None] = mapped_column(default=None)
    answer: Mapped[dict[str, Any] | None] = mapped_column(MAYBE_JSON, default=None)


class StripeEvent(Base, kw_only=True):
    """A verified webhook, stored once by Stripe's id. Its body is never trusted: its object is fetched again."""

    __tablename__ = "stripe_event"

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    api_version: Mapped[str | None]
    livemode: Mapped[bool]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[EventOutcome | None] = mapped_column(text_enum(EventOutcome), default=None)
    detail: Mapped[str] = mapped_column(default="")
    reviewed_at: Mapped[datetime | None] = mapped_column(default=None)
    """When a person had looked at it, being PARKED."""
    reviewed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    review_note: Mapped[str] = mapped_column(default="")


class Reconciliation(Base, kw_only=True):
    """One comparison of our books with Stripe's and with themselves, and what did not agree. Never changed."""

    __tablename__ = "reconciliation"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    """Payments begun since then were compared."""
    began_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime]
    asked_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """None: the house's own, each hour."""
    breaks: Mapped[list[Any]] = mapped_column(postgresql.JSONB)
    """Of `{kind, reference, detail}`, the first of them."""
    break_count: Mapped[int]


class LedgerPosting(Base, kw_only=True):
    """Part of an entry whose postings sum to zero per currency (a deferred trigger holds it). Never changed."""

    __tablename__ = "ledger_posting"

    entry_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account: Mapped[Account] = mapped_column(text_enum(Account), primary_key=True)
    order_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("customer_order.id"))
    company_id: Mapped[uuid.UUID | None]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    posted_at: Mapped[datetime]


class Liability(Base, kw_only=True):
    """Money we hold that fits no open order, or could not be given back, and the case a person works on.

    A session's money is one case; each refund that failed is another.
    """

    __tablename__ = "liability"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "refund_id"], ["refund.company_id", "refund.id"], use_alter=True),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("customer_order.id"), default=None)
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    session_id: Mapped[str]
    payment_intent_id: Mapped[str | None]
    refund_id: Mapped[uuid.UUID | None] = mapped_column(unique=True, default=None)
    """The refund that failed."""
    reason: Mapped[LiabilityReason] = mapped_column(text_enum(LiabilityReason))
    detail: Mapped[str]
    amount_minor: Mapped[int]
    disputed_minor: Mapped[int] = mapped_column(default=0)
    """What of it the buyer has had back by a lost dispute."""
    currency: Mapped[str] = mapped_column(CURRENCY)
    opened_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None] = mapped_column(default=None)
    resolved_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    resolution: Mapped[str] = mapped_column(default="")

    @property
    def owed(self) -> Money:
        return Money(self.amount_minor - self.disputed_minor, self.currency)
