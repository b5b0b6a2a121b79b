"""The desk API's nouns of drafts: what they hold, what they change, what stands against them, who reviewed them."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from pricing.reviews import COMMENT_MOST
from pricing.service import REASON_MOST
from web.api.wire import CODE, Answer, Asked, Count, Instant, QueryLanguage, Root
from web.api.wire_books import AskedInstant, Cursor

LINES: Final = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]+$"
DIGEST: Final = "^sha256:[0-9a-f]{64}$"
NOTE_MOST: Final = 1000
TITLE_MOST: Final = 120
FINDINGS_MOST: Final = 1000

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_MOST, pattern=CODE, description="For people.")]
Note = Annotated[str, Meta(min_length=1, max_length=NOTE_MOST, pattern=CODE, description="Why, for the history.")]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_MOST, pattern=LINES, description="Why it is accepted.")]
Comment = Annotated[str, Meta(min_length=1, max_length=COMMENT_MOST, pattern=LINES, description="Said to colleagues.")]
Version = Annotated[  # JSON has no integers: 3.0 is 3, and multiples of 1 say so
    float,
    Meta(
        ge=0,
        le=2**31 - 1,
        multiple_of=1,
        description="`version` of the draft you looked at: 409 when it was edited since.",
    ),
]
KeyPart = Annotated[str, Meta(min_length=1, max_length=200, pattern=CODE)]
PageLimit = Annotated[int, Meta(ge=1, le=1000, description="How many at most.")]
ETag = Annotated[str, Meta(description="Entity tag, to be sent in quotes as `If-Match`.")]
Content = Annotated[
    Any,
    Meta(description="The object, as docs/price-rules-as-code.md describes each kind; numbers are decimal strings."),
]


KindName = Literal["strategy", "policy", "layers", "list", "derivation", "row", "adjustment", "bound", "quantity_rule"]
FrameKindName = Literal["strategy", "policy", "layers", "list", "derivation", "adjustment", "bound", "quantity_rule"]


class DeskDraftState(StrEnum):
    OPEN = "open"
    PUBLISHED = "published"
    DISCARDED = "discarded"


class DeskStep(StrEnum):
    """A step of the review."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    RETURNED = "returned"
    COMMENTED = "commented"


class DeskKind(StrEnum):
    """A kind of object that a draft holds. Of `strategy`, `policy` and `layers` there is one each."""

    STRATEGY = "strategy"
    POLICY = "policy"
    LAYERS = "layers"
    LIST = "list"
    DERIVATION = "derivation"
    ROW = "row"
    ADJUSTMENT = "adjustment"
    BOUND = "bound"
    QUANTITY_RULE = "quantity_rule"


class DeskSeverity(StrEnum):
    """Errors stop a publication; warnings want somebody's word."""

    ERROR = "error"
    WARNING = "warning"


# --- Requests ---


class DeskDraftsAsked(Asked, frozen=True, kw_only=True):
    """Query of the drafts."""

    state: (
        Annotated[Literal["open", "published", "discarded"], Meta(description="Only those in this state.")] | UnsetType
    ) = UNSET
    limit: PageLimit = 50
    cursor: Cursor | UnsetType = UNSET


class DeskPageAsked(Asked, frozen=True, kw_only=True):
    """Query of a page."""

    limit: PageLimit = 50
    cursor: Cursor | UnsetType = UNSET


class DeskFindingsAsked(Asked, frozen=True, kw_only=True):
    """Query of findings."""

    limit: PageLimit = 200
    cursor: Cursor | UnsetType = UNSET
    language: QueryLanguage = "en"


class DeskObjectsAsked(Asked, frozen=True, kw_only=True):
    """Query of objects: of a kind that is not by SKU."""

    kind: Annotated[FrameKindName, Meta(description="Which kind; rows are asked for by SKU.")]
    limit: PageLimit = 200
    cursor: Cursor | UnsetType = UNSET


class DeskRowsAsked(Asked, frozen=True, kw_only=True):
    """Query of the rows of a SKU."""

    sku: Annotated[KeyPart, Meta(description="Code of a SKU.")]


class DeskObjectAsked(Asked, frozen=True, kw_only=True):
    """Which object: its kind and the parts of its key. A list, rule, bound or quantity rule has a `code`; a derivation
    the `list` that follows; a row `list`, `sku`, `unit` and, where it begins some day, `starts`.
    """

    kind: Annotated[KindName, Meta(description="Which kind.")]
    code: Annotated[KeyPart, Meta(description="Of a list, rule, bound or quantity rule.")] | UnsetType = UNSET
    list: Annotated[KeyPart, Meta(description="Of a derivation or row: code of its list.")] | UnsetType = UNSET
    sku: Annotated[KeyPart, Meta(description="Of a row.")] | UnsetType = UNSET
    unit: Annotated[KeyPart, Meta(description="Of a row.")] | UnsetType = UNSET
    starts: Annotated[AskedInstant, Meta(description="Of a row that begins then.")] | UnsetType = UNSET


class DeskDraftAsked(Asked, frozen=True, kw_only=True):
    """A draft to begin, over what is published last."""

    title: Title


class DeskContentAsked(Asked, frozen=True, kw_only=True):
    """What an object is to be. Its own key must be the one that the address names."""

    content: Content


class DeskAcknowledgementAsked(Asked, frozen=True, kw_only=True):
    """Warnings to accept, all of them or none. A warning accepted before keeps its first word."""

    findings: Annotated[
        tuple[Annotated[str, Meta(min_length=71, max_length=71, pattern=DIGEST)], ...],
        Meta(min_length=1, max_length=FINDINGS_MOST, description="Their `digest`s."),
    ]
    reason: Reason


class DeskReviewAsked(Asked, frozen=True, kw_only=True):
    """A step of the review, about the draft as you saw it."""

    version: Version
    comment: Comment | None = None


class DeskReturnAsked(Asked, frozen=True, kw_only=True):
    """Why a draft goes back to its authors."""

    version: Version
    comment: Comment


class DeskCommentAsked(Asked, frozen=True, kw_only=True):
    """Something to say about a draft."""

    comment: Comment


# --- Answers ---


class DeskPerson(Answer, frozen=True, kw_only=True):
    """One of the house's people."""

    id: UUID
    name: str


class DeskDraftSummary(Answer, frozen=True, kw_only=True):
    """`author` null: the house's own command line."""

    id: UUID
    title: str
    state: DeskDraftState
    version: Count
    author: DeskPerson | None
    created_at: Instant
    closed_at: Instant | None


class DeskDraftPage(Answer, frozen=True, kw_only=True):
    """Drafts, newest first. `next`: ask with `cursor` set to it for older ones; null at the end."""

    drafts: tuple[DeskDraftSummary, ...]
    next: str | None


class DeskDraft(Answer, frozen=True, kw_only=True):
    """`version` counts the edits. `base_root` is that of the book it began from, null for an empty one, and `moved`
    whether another was published since. `review`: the last step taken about this version, comments aside; `approvals`:
    who approved it. `publication`: the number it was published under.
    """

    id: UUID
    title: str
    state: DeskDraftState
    version: Count
    author: DeskPerson | None
    created_at: Instant
    closed_at: Instant | None
    base_root: Root | None
    moved: bool
    changes: Count
    review: DeskStep | None
    approvals: tuple[DeskPerson, ...]
    publication: Count | None


class DeskObject(Answer, frozen=True, kw_only=True):
    """An object of a draft as it stands, changed or not."""

    kind: DeskKind
    key: tuple[str, ...]
    etag: ETag
    content: Content


class DeskObjectPage(Answer, frozen=True, kw_only=True):
    """Objects of one kind, by key. `next`: ask with `cursor` set to it for more; null at the end."""

    objects: tuple[DeskObject, ...]
    next: str | None


class DeskRows(Answer, frozen=True, kw_only=True):
    """The prices of a SKU. `stated` are objects; `derived` follow from formulas: a row put in the place of one stands
    instead of it.
    """

    sku: str
    stated: tuple[DeskObject, ...]
    derived: tuple[Content, ...]


class DeskChange(Answer, frozen=True, kw_only=True):
    """What a draft changes of one object. `before` null: there was none; `after` null: it goes."""

    kind: DeskKind
    key: tuple[str, ...]
    before: Content
    after: Content
    changed_by: DeskPerson | None
    changed_at: Instant


class DeskChangePage(Answer, frozen=True, kw_only=True):
    """Changes, by kind and key. `next`: ask with `cursor` set to it for more; null at the end."""

    changes: tuple[DeskChange, ...]
    total: Count
    next: str | None


class DeskBuyer(Answer, frozen=True, kw_only=True):
    """Who buys: `company` null is anybody."""

    company: str | None
    segments: tuple[str, ...]
    country: str | None


class DeskWitness(Answer, frozen=True, kw_only=True):
    """A question to the engine whose answer shows the finding."""

    buyer: DeskBuyer
    currency: str
    sku: str
    unit: str
    quantity: str
    at: Instant


class DeskAcknowledgement(Answer, frozen=True, kw_only=True):
    """Who accepted a finding, when and why."""

    by: DeskPerson | None
    at: Instant
    reason: str


class DeskFinding(Answer, frozen=True, kw_only=True):
    """`code` is stable; `text` says it in words, with `params`. `digest` names the finding to an acknowledgement."""

    digest: str
    code: str
    severity: DeskSeverity
    text: str
    params: dict[str, str]
    witness: DeskWitness | None
    acknowledged: DeskAcknowledgement | None


class DeskDemand(Answer, frozen=True, kw_only=True):
    """Why a second approver is asked for: `reason` is `percent`, `skus` or `margin`."""

    reason: str
    limit: str
    found: str
    sku: str | None
    currency: str | None


class DeskFindings(Answer, frozen=True, kw_only=True):
    """What stands against publishing a draft now, errors first. `errors` stop it; `waiting` warnings want an
    acknowledgement. `next`: ask with `cursor` set to it for more; null at the end.
    """

    errors: Count
    waiting: Count
    demands: tuple[DeskDemand, ...]
    findings: tuple[DeskFinding, ...]
    next: str | None


class DeskReviewStep(Answer, frozen=True, kw_only=True):
    """A step that was taken about one version of a draft."""

    step: DeskStep
    version: Count
    by: DeskPerson
    at: Instant
    comment: str


class DeskReview(Answer, frozen=True, kw_only=True):
    """All that was said of a draft, oldest first."""

    steps: tuple[DeskReviewStep, ...]
