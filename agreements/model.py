"""The nouns: documents and their versions, what was presented, what was accepted, and the ledger that remembers it."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

import accounts.model  # noqa: F401 - the tables company and person, which foreign keys name
from agreements.documents import summary_html
from kernel.db import Base, text_enum

JOB_TITLE_MAXIMUM = 120
KEY_KIND = "key"
"""Of a ledger's row that names a new key of the house."""


class Verb(StrEnum):
    """What a sentence does. Each has a life of its own: only consent can be withdrawn, and it is never required."""

    AGREE = "agree"
    ACKNOWLEDGE = "acknowledge"
    CONSENT = "consent"
    DECLARE = "declare"
    ATTEST = "attest"
    AUTHORISE = "authorise"


class DocumentKind(StrEnum):
    """How a checkout uses a document: a contract is agreed to, a notice is only acknowledged."""

    AGREE = "agree"
    ACKNOWLEDGE = "acknowledge"


class DeclineReason(StrEnum):
    TERMS = "terms"
    NOT_AUTHORISED = "not_authorised"
    PRICE = "price"
    NEEDS_LEGAL_REVIEW = "needs_legal_review"
    OTHER = "other"


class Segment(msgspec.Struct, frozen=True):
    """A piece of a sentence; where it names a document, the page makes it a link to that document's text."""

    text: str
    document: str | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of the step, word for word."""

    id: str
    """`agree`, `onerous`, `authority`, `business`, `privacy` or `marketing`: the name of the form's box."""
    verb: Verb
    text: str
    segments: tuple[Segment, ...]
    """*text* in pieces: joined they are the same string."""
    box: bool
    """Shown with an unticked box; False for a notice that is only linked."""
    required: bool
    asks_job_title: bool = False


class PresentedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A version as named in a presentation."""

    code: str
    kind: DocumentKind
    label: str
    locale: str
    title: str
    source_sha256: str
    html_sha256: str
    pdf_sha256: str | None = None
    """None where the PDF is yet to be made, of versions older than PDFs."""


class Document(Base, kw_only=True):
    """What a checkout may ask a buyer to agree to; its text lives in versions."""

    __tablename__ = "document"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    """Speaking and stable, part of addresses: `master-terms`."""
    kind: Mapped[DocumentKind] = mapped_column(text_enum(DocumentKind))
    position: Mapped[int]
    """Order within a sentence and on the page."""
    prevailing_locale: Mapped[str | None] = mapped_column(default=None)
    """The language whose text prevails where translations differ; None where the document itself says so."""


class DocumentVersion(Base, kw_only=True):
    """Immutable: the bytes behind a label in a language. Only `withdrawn_at` may be set later."""

    __tablename__ = "document_version"
    __table_args__ = (sa.UniqueConstraint("document_id", "label", "locale"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document.id"))
    label: Mapped[str]
    """`3.1`: never used again for other bytes, not even after withdrawal."""
    locale: Mapped[str]
    title: Mapped[str]
    source_markdown: Mapped[str] = mapped_column(repr=False)
    rendered_html: Mapped[str] = mapped_column(repr=False)
    source_sha256: Mapped[str]
    """`sha256:<hex>` of the UTF-8 bytes, as everywhere here."""
    html_sha256: Mapped[str]
    material: Mapped[bool]
    """Whether it changes what the parties owe; a minor version doesn't ask again."""
    published_at: Mapped[datetime]
    published_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """None when loaded by the command line."""
    effective_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)
    onerous_clauses: Mapped[list[str]] = mapped_column(default_factory=list)
    """Clauses that some countries want approved by a tick of their own, as `8.2 Limit of liability`."""
    change_note: Mapped[str] = mapped_column(default="")
    """What changed since the label before, in a few sentences for buyers."""
    approved_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """Somebody else than wrote, submitted or published it; None when loaded by the command line."""
    document: Mapped[Document] = relationship(lazy="raise", init=False, repr=False)

    @property
    def summary_html(self) -> str:
        """The material terms in short, as HTML: the document's first section."""
        return summary_html(self.source_markdown)


class Presentation(Base, kw_only=True):
    """What the server showed one person about one checkout: signed, single-use, expiring."""

    __tablename__ = "agreement_presentation"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"), sa.Index(None, "checkout_id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    checkout_id: Mapped[uuid.UUID]
    actor_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The signed whole: statements in full, documents with digests, button, template, order digest, parties."""
    content_digest: Mapped[str]
    order_content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The canonical order, personal fields as salted commitments."""
    order_digest: Mapped[str]
    salts: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """Salt by committed field; emptied when the acceptance takes them over."""
    locale: Mapped[str]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    signature: Mapped[bytes]
    key_id: Mapped[str]
    consumed_at: Mapped[datetime | None] = mapped_column(default=None)
    order_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    """The order its acceptance made."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        return msgspec.convert(self.content["statements"], tuple[Statement, ...])

    @property
    def documents(self) -> tuple[PresentedDocument, ...]:
        return msgspec.convert(self.content["documents"], tuple[PresentedDocument, ...])

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences shown beside the statements: when an unpaid order lapses, which language prevails."""
        return tuple(self.content["notices"])

    @property
    def button_label(self) -> str:
        return str(self.content["button_label"])


class Acceptance(Base, kw_only=True):
    """One person's act, with the order it made."""

    __tablename__ = "acceptance"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "order_id"),
        sa.ForeignKeyConstraint(
            ["company_id", "presentation_id"],
            ["agreement_presentation.company_id", "agreement_presentation.id"],
            name="fk_acceptance_presentation",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    order_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    checkout_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    presentation_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    actor_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    ticked: Mapped[list[str]]
    accepted_at: Mapped[datetime]
    order_content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The canonical order as accepted: what the order's own digest is over."""
    order_digest: Mapped[str]
    ledger_seq: Mapped[int] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), unique=True)


class LedgerEntry(Base, kw_only=True):
    """A leaf: digests and salted commitments only, so that it can stay for ever. Append-only, chained, in a tree."""

    __tablename__ = "acceptance_ledger"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 0 without gaps: the leaf's index in the tree."""
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    """Who may read the content; None for the house's own entries."""
    kind: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    leaf_digest: Mapped[bytes]
    """RFC 9162 leaf hash of the canonical JSON of *content*."""
    previous_hash: Mapped[bytes] = mapped_column(unique=True)
    chain_hash: Mapped[bytes]
    recorded_at: Mapped[datetime]


class LedgerTail(Base, kw_only=True):
    """The one row that appending locks."""

    __tablename__ = "acceptance_ledger_tail"

    singleton: Mapped[bool] = mapped_column(primary_key=True, default=True)
    size: Mapped[int]
    chain_hash: Mapped[bytes]


class LedgerNode(Base, kw_only=True):
    """Hash of a complete subtree of 2^level leaves, the *position*-th from the left; leaves are level 0."""

    __tablename__ = "acceptance_ledger_node"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes]


class LedgerCheckpoint(Base, kw_only=True):
    """A signed tree head, as a C2SP note; one for a size."""

    __tablename__ = "acceptance_ledger_checkpoint"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str]
    signed_at: Mapped[datetime]


class LedgerStamp(Base, kw_only=True):
    """Somebody else's word for when a checkpoint was there: an RFC 3161 answer over its note."""

    __tablename__ = "acceptance_ledger_stamp"

    size: Mapped[int] = mapped_column(
        sa.ForeignKey("acceptance_ledger_checkpoint.size", name="fk_acceptance_ledger_stamp_checkpoint"),
        primary_key=True,
        autoincrement=False,
    )
    authority: Mapped[str]
    """Address that was asked."""
    answer: Mapped[bytes] = mapped_column(repr=False)
    """TimeStampResp in DER, as it came."""
    stamped_at: Mapped[datetime]
    """By the authority's clock."""
    received_at: Mapped[datetime]


class Opening(Base, kw_only=True):
    """Value and salt behind a commitment. Erasing a person deletes these rows; the proofs stay valid."""

    __tablename__ = "acceptance_opening"

    ledger_seq: Mapped[int] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    value: Mapped[str] = mapped_column(repr=False)
    salt: Mapped[str] = mapped_column(repr=False)


class Annex(Base, kw_only=True):
    """Socket address and user agent of an acceptance, encrypted, with a retention of their own."""

    __tablename__ = "acceptance_annex"

    acceptance_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("acceptance.id"), primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    ciphertext: Mapped[bytes] = mapped_column(repr=False)
    wrapped_key: Mapped[bytes | None] = mapped_column(repr=False, default=None)
    """The data key of this row, encrypted under a key of the keyring; None in rows from before there was one."""
    recorded_at: Mapped[datetime]


class ActAnnex(Base, kw_only=True):
    """The same of an act that is no acceptance of an order: a signature with others, or a framework agreement."""

    __tablename__ = "act_annex"
    __table_args__ = (sa.Index(None, "actor_id"),)

    ledger_seq: Mapped[int] = mapped_column(
        sa.ForeignKey("acceptance_ledger.seq"), primary_key=True, autoincrement=False
    )
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    actor_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    ciphertext: Mapped[bytes] = mapped_column(repr=False)
    wrapped_key: Mapped[bytes] = mapped_column(repr=False)
    """The data key of this row, encrypted under a key of the keyring."""
    recorded_at: Mapped[datetime]


class Receipt(Base, kw_only=True):
    """What became of an acceptance's receipt: recorded, then under a signed head, then sent to its signer."""

    __tablename__ = "acceptance_receipt"

    acceptance_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("acceptance.id"), primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    recorded_at: Mapped[datetime]
    checkpoint_size: Mapped[int | None] = mapped_column(
        sa.ForeignKey("acceptance_ledger_checkpoint.size", name="fk_acceptance_receipt_checkpoint"), default=None
    )
    checkpointed_at: Mapped[datetime | None] = mapped_column(default=None)
    message_id: Mapped[str | None] = mapped_column(default=None)
    message_digest: Mapped[str | None] = mapped_column(default=None)
    """`sha256:<hex>` of the letter as it was handed over, attachments included."""
    pdf_digest: Mapped[str | None] = mapped_column(default=None)
    """Of the sealed PDF in it."""
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    answer: Mapped[str | None] = mapped_column(default=None)
    """What the mail server said."""


class Consent(Base, kw_only=True):
    """A person's consent to one purpose, apart from every contract; withdrawn in one click."""

    __tablename__ = "consent"
    __table_args__ = (sa.Index(None, "person_id", "purpose"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    purpose: Mapped[str]
    statement: Mapped[str]
    """The sentence beside the box, word for word."""
    locale: Mapped[str]
    given_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)


class Decline(Base, kw_only=True):
    """Somebody said no, and why. The cart stays."""

    __tablename__ = "agreement_decline"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["company_id", "presentation_id"],
            ["agreement_presentation.company_id", "agreement_presentation.id"],
            name="fk_agreement_decline_presentation",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    presentation_id: Mapped[uuid.UUID]
    actor_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    reason: Mapped[DeclineReason] = mapped_column(text_enum(DeclineReason))
    comment: Mapped[str]
    declined_at: Mapped[datetime]


class LegalReview(Base, kw_only=True):
    """A read-only link to a presentation, for the buyer's own lawyers. Opening it binds nobody."""

    __tablename__ = "legal_review"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["company_id", "presentation_id"],
            ["agreement_presentation.company_id", "agreement_presentation.id"],
            name="fk_legal_review_presentation",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    presentation_id: Mapped[uuid.UUID]
    created_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    token_sha256: Mapped[bytes] = mapped_column(unique=True, repr=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    opened_at: Mapped[datetime | None] = mapped_column(default=None)
