"""The API's nouns of published books: their log, the feed, what changed in it, proofs, history.

Feed rows are many: their amounts are plain decimal strings, in the one currency that the page names.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from web.api.wire import (
    CODE,
    ROOT,
    Answer,
    Asked,
    Count,
    Country,
    Currency,
    Decimal,
    Instant,
    Quantity,
    QueryCountry,
    QueryCurrency,
    Root,
    Unit,
)

SKUS_MOST: Final = 500
_INSTANT: Final = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z$"
)

AskedRoot = Annotated[
    str, Meta(min_length=71, max_length=71, pattern=ROOT, description="Root of a published price book.")
]
AskedInstant = Annotated[
    str, Meta(min_length=20, max_length=27, pattern=_INSTANT, description="Instant in UTC, ending in `Z`.")
]
Cursor = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1600,
        pattern="^[A-Za-z0-9_-]+$",
        description="The `next` of the page before, with the same other parameters and the same key.",
    ),
]
SkuLimit = Annotated[int, Meta(ge=1, le=SKUS_MOST, description="How many SKUs at most, each with all of its rows.")]


# --- Requests ---


class PublicationsAsked(Asked, frozen=True, kw_only=True):
    """Query of the log of publications."""

    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50
    before: (
        Annotated[int, Meta(ge=1, le=2**31 - 1, description="Number of a publication: list those of lower numbers.")]
        | UnsetType
    ) = UNSET


class FeedPageAsked(Asked, frozen=True, kw_only=True):
    """Query of a page of the feed."""

    cursor: Cursor | UnsetType = UNSET
    limit: SkuLimit = 100
    currency: QueryCurrency | UnsetType = UNSET
    country: QueryCountry | UnsetType = UNSET


class DeltaAsked(Asked, frozen=True, kw_only=True):
    """Query of what changed."""

    since: Annotated[AskedRoot, Meta(description="Root of the feed you have.")]
    at: Annotated[AskedInstant, Meta(description="`at` of the feed you have.")]
    reader: (
        Annotated[
            str,
            Meta(
                min_length=32,
                max_length=32,
                pattern="^[0-9a-f]{32}$",
                description="`reader` of the feed you have: 410 when it is another one now.",
            ),
        ]
        | UnsetType
    ) = UNSET
    cursor: Cursor | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=SKUS_MOST, description="How many changed SKUs at most.")] = 100
    currency: QueryCurrency | UnsetType = UNSET
    country: QueryCountry | UnsetType = UNSET


KeyPart = Annotated[str, Meta(min_length=1, max_length=64, pattern=CODE)]


class ProofAsked(Asked, frozen=True, kw_only=True):
    """Query of a proof: the parts of the object's name."""

    code: Annotated[KeyPart, Meta(description="Of a list, adjustment, bound or quantity rule.")] | UnsetType = UNSET
    list: Annotated[KeyPart, Meta(description="Of a row: its price list.")] | UnsetType = UNSET
    sku: Annotated[KeyPart, Meta(description="Of a row or a SKU's facts.")] | UnsetType = UNSET
    unit: Annotated[KeyPart, Meta(description="Of a row.")] | UnsetType = UNSET
    starts_at: Annotated[AskedInstant, Meta(description="Of a row that has a beginning: that instant.")] | UnsetType = (
        UNSET
    )


# --- Answers ---


class SignedPublication(Answer, frozen=True, kw_only=True):
    """An entry of the public log: from `effective_at` on, until the next entry's, the book `root` is in force.
    `signed_text` is what the house signed, of the three members before it; `signature` is Ed25519 in base64, by the key
    `key_id` of `/.well-known/tarifa-keys.json`.
    """

    number: Count
    root: Root
    effective_at: Instant
    signed_text: str
    signature: str
    key_id: str


class PublicationPage(Answer, frozen=True, kw_only=True):
    """Publications, newest first, those to come included. `next`: ask with `before` set to it for the ones before
    these; null at the end.
    """

    publications: tuple[SignedPublication, ...]
    next: Count | None


class FeedRow(Answer, frozen=True, kw_only=True):
    """From `from_quantity` of a `unit` on, until the next row of the same SKU and unit, one `price_unit` costs
    `unit_price`, null where tiers price the line as a whole. `line_total` is the subtotal of a line of exactly
    `from_quantity`. SKU, unit and quantity name a row. `valid_until`: absent a publication, no price of this SKU and
    unit changes before; null for never.
    """

    sku: str
    unit: str
    from_quantity: Decimal
    unit_price: Decimal | None
    price_unit: str
    line_total: Decimal
    tax_included: bool
    list: str
    valid_until: Instant | None


class FeedPage(Answer, frozen=True, kw_only=True):
    """Rows of the feed, in byte order of their SKUs. All pages of one chain are of the book `root` and of `at`,
    since when nothing in this feed has changed but by what is published after. `reader` names what else the rows hang
    on: whose they are, where to, which currency. `valid_until`: absent a publication, nothing in the feed changes
    before; null for never. `next`: ask with `cursor` set to it for the rows after these; null at the end.
    """

    root: Root
    at: Instant
    reader: str
    company: str | None
    currency: Currency
    country: Country
    country_assumed: bool
    valid_until: Instant | None
    rows: tuple[FeedRow, ...]
    next: str | None


class RowName(Answer, frozen=True, kw_only=True):
    """What names a row of the feed."""

    sku: str
    unit: str
    from_quantity: Decimal


class FeedDelta(Answer, frozen=True, kw_only=True):
    """What turns the feed of `since` at `since_at` into that of `root` at `at`: rows that are new, rows that replace
    those of the same name, names of rows that are gone. Windows of prices and rules that began or ended in between are
    counted in. Apply all pages before you use the copy; then ask on from `root` and `at`.
    """

    since: Root
    since_at: Instant
    root: Root
    at: Instant
    reader: str
    company: str | None
    currency: Currency
    country: Country
    country_assumed: bool
    valid_until: Instant | None
    added: tuple[FeedRow, ...]
    changed: tuple[FeedRow, ...]
    removed: tuple[RowName, ...]
    next: str | None


LeafKind = Literal["strategy", "policy", "layers", "list", "row", "adjustment", "bound", "quantity_rule", "sku"]


class ShownLeaf(Answer, frozen=True, kw_only=True):
    """An object of the book, with everything its digest is made of."""

    kind: LeafKind
    key: tuple[str, ...]
    content: Any
    salt: str


class ProofAnswer(Answer, frozen=True, kw_only=True):
    """That `leaf`, whose digest is `digest`, is number `index` of the `size` leaves under `root`: `path` leads there as
    in RFC 9162, lowest first. `python -m pricing.engine.verify` checks the document as it is.
    """

    document: Literal["proof"]
    root: Root
    leaf: ShownLeaf
    digest: str
    index: Count
    size: Count
    path: tuple[str, ...]


class QuoteOrder(Answer, frozen=True, kw_only=True):
    """Where a signed quote is ordered: `continue_url` is a page of the shop on which a person of the company, logged
    in, sees the quote and goes on to the agreement step. `order` is the order's number once it was placed; from
    `expires_at` on an `open` quote is `expired`.
    """

    id: str
    state: Literal["open", "ordered", "expired"]
    order: str | None
    expires_at: Instant
    continue_url: str


class PriceHistoryAsked(Asked, frozen=True, kw_only=True):
    """Query of what a SKU has cost."""

    unit: Annotated[Unit, Meta(description="Absent: the SKU's base unit.")] | UnsetType = UNSET
    quantity: Annotated[Quantity, Meta(description="Absent: the least that can be ordered.")] | UnsetType = UNSET
    days: Annotated[int, Meta(ge=1, le=366, description="How many days back, from the beginning of the first.")] = 90
    currency: QueryCurrency | UnsetType = UNSET
    country: QueryCountry | UnsetType = UNSET


class PriceStretch(Answer, frozen=True, kw_only=True):
    """From `begins` until `ends` (null: still) a line of the quantity came to `line_total` (with tax where
    `tax_included`), without tax to `net`, one `price_unit` costing `unit_price`, by the price book `root`. Where it
    could not be bought `refused` is the reason, and there are no amounts.
    """

    begins: Instant
    ends: Instant | None
    root: Root
    publication: Count
    line_total: Decimal | None
    net: Decimal | None
    unit_price: Decimal | None
    price_unit: str | None
    tax_included: bool | None
    list: str | None
    refused: str | None


class PriceReduction(Answer, frozen=True, kw_only=True):
    """At `at` the line's price without tax fell from `before` to `after`. `lowest` is the stretch of the least price in
    the 30 days before, the latest of equal ones; `known_since`: prices of these days are known from then on.
    """

    at: Instant
    before: Decimal
    after: Decimal
    lowest: PriceStretch
    known_since: Instant


class PriceHistoryAnswer(Answer, frozen=True, kw_only=True):
    """What a line of `quantity` of a SKU, alone in its order, has cost this reader from `begins` on, as its company and
    segments are today. `valid_until`: absent a publication, nothing is added before; null for never.
    """

    sku: str
    unit: str
    quantity: Decimal
    company: str | None
    currency: Currency
    country: Country
    country_assumed: bool
    begins: Instant
    valid_until: Instant | None
    stretches: tuple[PriceStretch, ...]
    reductions: tuple[PriceReduction, ...]
