"""The desk API's nouns of what was published, compared, imported, and of what a draft would do to what was sold."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from pricing.imports import NAME_MOST
from web.api.desk.wire import (
    Content,
    DeskDemand,
    DeskFinding,
    DeskPerson,
    KeyPart,
    Note,
    PageLimit,
)
from web.api.wire import CODE, Answer, Asked, Count, Decimal, Instant, Root
from web.api.wire_books import AskedInstant, Cursor

Number = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Number of a publication.")]
EffectiveAt = Annotated[
    AskedInstant, Meta(description="From when on. Absent: as soon as all channels can switch together.")
]
AnyKind = Literal[
    "strategy", "policy", "layers", "list", "derivation", "row", "adjustment", "bound", "quantity_rule", "sku", "cost"
]


class DeskStanding(StrEnum):
    UPCOMING = "upcoming"
    IN_FORCE = "in_force"
    PAST = "past"


class DeskApproval(StrEnum):
    """How a publication came to be allowed: `house` by the command line, `off` where none is asked for, `restored` by a
    roll-back, `before` there were approvals.
    """

    GIVEN = "given"
    HOUSE = "house"
    OFF = "off"
    RESTORED = "restored"
    BEFORE = "before"


class DeskImportState(StrEnum):
    """`refused`: read, and wrong; `ready`: waiting to be accepted; `replaced`: by another file for the same draft."""

    UPLOADING = "uploading"
    READING = "reading"
    REFUSED = "refused"
    READY = "ready"
    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    REPLACED = "replaced"


class DeskChangeSort(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


# --- Requests ---


class DeskPublicationAsked(Asked, frozen=True, kw_only=True):
    """Why, and from when on."""

    note: Note
    effective_at: EffectiveAt | None = None


class DeskRollBackAsked(Asked, frozen=True, kw_only=True):
    """Why, and from when on. `accept_findings`: the note is also the reason why what stands against it is accepted."""

    note: Note
    effective_at: EffectiveAt | None = None
    accept_findings: bool = False


class DeskComparisonAsked(Asked, frozen=True, kw_only=True):
    """Query of a comparison."""

    older: Number
    newer: Number
    kind: Annotated[AnyKind, Meta(description="Only objects of this kind.")] | UnsetType = UNSET
    limit: PageLimit = 200
    cursor: Cursor | UnsetType = UNSET


class DeskUploadAsked(Asked, frozen=True, kw_only=True):
    """Query of an upload."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=NAME_MOST,
            pattern=CODE,
            description="Name of the file, which says how it is read: `.xlsx`, `.csv`, or a `.zip` of CSV files.",
        ),
    ]


class DeskImportedAsked(Asked, frozen=True, kw_only=True):
    """Query of what accepting a file would do."""

    change: (
        Annotated[Literal["added", "changed", "removed"], Meta(description="Only changes of this sort.")] | UnsetType
    ) = UNSET
    limit: PageLimit = 50
    cursor: Cursor | UnsetType = UNSET


class DeskImpactAsked(Asked, frozen=True, kw_only=True):
    """What to compare with: orders of the last `months`, 1, 3 or 12, and open quotes, priced as of `as_of`, absent:
    now. Never before the last publication takes effect.
    """

    months: Annotated[float, Meta(ge=1, le=12, multiple_of=1, description="1, 3 or 12.")]
    as_of: AskedInstant | None = None


class DeskPreviewBuyerAsked(Asked, frozen=True, kw_only=True):
    """Who buys; without a company, anybody."""

    currency: Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$", description="ISO 4217 code.")]
    company: KeyPart | None = None
    segments: Annotated[tuple[KeyPart, ...], Meta(max_length=20)] = ()
    country: Annotated[str, Meta(min_length=2, max_length=2, pattern="^[A-Z]{2}$")] | None = None


class DeskPreviewAsked(Asked, frozen=True, kw_only=True):
    """Whose prices of what to show before and after: buyers times SKUs times quantities, 2,000 at most."""

    buyers: Annotated[tuple[DeskPreviewBuyerAsked, ...], Meta(min_length=1, max_length=50)]
    skus: Annotated[tuple[KeyPart, ...], Meta(min_length=1, max_length=500)]
    quantities: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[1-9][0-9]{0,17}(?:\.[0-9]{1,12})?$")], ...],
        Meta(min_length=1, max_length=50, description="In base units."),
    ] = ("1",)
    at: AskedInstant | None = None


# --- Answers ---


class DeskPublicationSummary(Answer, frozen=True, kw_only=True):
    """An entry of the log. `restores`: of which publication it is the content once more. `published_by` null: the
    house's own command line.
    """

    number: Count
    root: Root
    standing: DeskStanding
    effective_at: Instant
    published_at: Instant
    author: DeskPerson | None
    published_by: DeskPerson | None
    draft: UUID | None
    restores: Count | None
    note: str


class DeskPublicationPage(Answer, frozen=True, kw_only=True):
    """Publications, newest first. `next`: ask with `cursor` set to it for older ones; null at the end."""

    publications: tuple[DeskPublicationSummary, ...]
    next: str | None


class DeskPublication(Answer, frozen=True, kw_only=True):
    """As its summary, with how it was allowed, and what stood against it with everybody's word for it."""

    number: Count
    root: Root
    standing: DeskStanding
    effective_at: Instant
    published_at: Instant
    author: DeskPerson | None
    published_by: DeskPerson | None
    draft: UUID | None
    restores: Count | None
    note: str
    approval: DeskApproval
    approved_by: DeskPerson | None
    approved_at: Instant | None
    second_approved_by: DeskPerson | None
    second_approved_at: Instant | None
    demands: tuple[DeskDemand, ...]
    findings: tuple[DeskFinding, ...]


class DeskDifference(Answer, frozen=True, kw_only=True):
    """An object that is otherwise. `before` null: there was none; `after` null: there is none any more."""

    kind: str
    key: tuple[str, ...]
    before: Content
    after: Content


class DeskComparison(Answer, frozen=True, kw_only=True):
    """What `newer` has otherwise than `older`, by kind and key. `next`: ask with `cursor` set to it for more."""

    older: Count
    newer: Count
    total: Count
    differences: tuple[DeskDifference, ...]
    next: str | None


class DeskSkuStep(Answer, frozen=True, kw_only=True):
    """What one publication did to a SKU's rows."""

    publication: DeskPublicationSummary
    differences: tuple[DeskDifference, ...]


class DeskSkuHistory(Answer, frozen=True, kw_only=True):
    """The publications that changed a SKU's rows, newest first, among the last `looked_at`."""

    sku: str
    steps: tuple[DeskSkuStep, ...]
    looked_at: Count


class DeskRowError(Answer, frozen=True, kw_only=True):
    """A mistake in a file: in which sheet, row, cell and column, which value, and what is wrong. `row` 0: the sheet."""

    sheet: str
    row: Count
    cell: str
    column: str
    value: str
    error: str


class DeskImport(Answer, frozen=True, kw_only=True):
    """A file on its way into a draft. While it is `reading`, `share_read` goes from 0 to 1. `errors`: the first 200 of
    `errors_total`. `added`, `changed`, `removed`: objects that accepting it would move.
    """

    id: UUID
    draft: UUID
    name: str
    size: Count
    state: DeskImportState
    share_read: float
    rows_read: Count
    errors_total: Count
    errors: tuple[DeskRowError, ...]
    notes: tuple[str, ...]
    added: Count
    changed: Count
    removed: Count
    created_by: DeskPerson | None
    created_at: Instant
    read_at: Instant | None
    closed_at: Instant | None


class DeskLiveImport(Answer, frozen=True, kw_only=True):
    """What is on its way into a draft, or waits there; null: nothing."""

    live: DeskImport | None


class DeskImported(Answer, frozen=True, kw_only=True):
    """What accepting would do to one object; `before` as the draft stood when the file was read."""

    kind: str
    key: tuple[str, ...]
    change: DeskChangeSort
    before: Content
    after: Content


class DeskImportedPage(Answer, frozen=True, kw_only=True):
    """Changes by kind and key. `next`: ask with `cursor` set to it for more; null at the end."""

    changes: tuple[DeskImported, ...]
    next: str | None


class DeskFigures(Answer, frozen=True, kw_only=True):
    """Lines and amounts of one currency. `raised`, `lowered`, `same`: lines that both books price, `before` and `after`
    their amounts; `lost` and `gained`: lines that one book alone prices. Margins are of lines whose cost is known.
    """

    currency: str
    lines: Count
    raised: Count
    lowered: Count
    same: Count
    lost: Count
    gained: Count
    unpriced: Count
    before: Decimal
    after: Decimal
    lost_amount: Decimal
    gained_amount: Decimal
    margin_before: Decimal
    margin_after: Decimal
    uncosted: Count


class DeskSold(Answer, frozen=True, kw_only=True):
    """Orders, or open quotes, and what their lines come to, by currency."""

    orders: Count
    lines: Count
    totals: tuple[DeskFigures, ...]


class DeskImpactReport(Answer, frozen=True, kw_only=True):
    """`draft_version` in the place of `publication`, both as of `at`, on what was sold from `since` to `until`."""

    draft_version: Count
    publication: Count
    since: Instant
    until: Instant
    at: Instant
    orders: DeskSold
    quotes: DeskSold


class DeskImpact(Answer, frozen=True, kw_only=True):
    """`report` null: not worked out, or not yet (`finished_at` null); `problem` and `detail` say what kept it from
    being. `current`: draft and published book are still those of the report.
    """

    id: UUID
    draft: UUID
    months: Count
    as_of: Instant | None
    requested_by: DeskPerson | None
    requested_at: Instant
    finished_at: Instant | None
    lines_done: Count
    lines_all: Count | None
    problem: str | None
    detail: str | None
    current: bool
    report: DeskImpactReport | None


class DeskPriced(Answer, frozen=True, kw_only=True):
    """A line's price, or why there is none: `refused` is a stable code. `steps`: how it came about, in words."""

    unit_price: Decimal | None
    subtotal: Decimal | None
    list: str | None
    steps: tuple[str, ...]
    refused: str | None


class DeskPreviewPrice(Answer, frozen=True, kw_only=True):
    """A price before and after. `before` null: no book is in force. `buyer`: its position among those asked for."""

    buyer: Count
    currency: str
    sku: str
    unit: str | None
    quantity: Decimal
    before: DeskPriced | None
    after: DeskPriced


class DeskPreview(Answer, frozen=True, kw_only=True):
    """Prices in the order buyers, SKUs, quantities."""

    prices: tuple[DeskPreviewPrice, ...]


class DeskWhy(Answer, frozen=True, kw_only=True):
    """A step of a price in words, with the rule or list that made it."""

    text: str
    rule: str | None
    before: str | None
    after: str


class DeskLost(Answer, frozen=True, kw_only=True):
    """A rule or list that did not act, and why."""

    text: str
    rule: str


class DeskOrderLine(Answer, frozen=True, kw_only=True):
    """An order's line. `differs`: what pricing it again by its own book gives otherwise: nothing, or it is an alarm;
    null where that book cannot be had.
    """

    position: Count
    sku: str
    unit: str
    quantity: Decimal
    list: str
    steps: tuple[DeskWhy, ...]
    losers: tuple[DeskLost, ...]
    differs: tuple[str, ...] | None


class DeskOrderPrices(Answer, frozen=True, kw_only=True):
    """Why an order cost what it did: the traces kept with its lines, and the book they came from."""

    number: str
    company: str | None
    currency: str
    priced_at: Instant
    price_root: Root
    publication: Count | None
    lines: tuple[DeskOrderLine, ...]
