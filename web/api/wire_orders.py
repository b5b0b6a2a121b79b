"""The API's nouns of ordering: what a program orders, and the framework agreement it cites."""

from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta

from accounts.details import LONGEST_EMAIL
from web.api import wire
from web.api.wire import Answer, Asked, AskedCountry, AskedLine, Count, Instant, Language, Money

TEXT: Final = r"^[^\u0000-\u001f\u007f]*$"
EMAIL: Final = r"^[^\s@]+@[^\s@]+\.[^\s@]+$"
AMOUNT: Final = r"^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,3})?$"
ID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

_Line = Annotated[str, Meta(min_length=1, max_length=100, pattern=wire.CODE)]
_Optional = Annotated[str, Meta(max_length=100, pattern=TEXT)]


# --- Requests ---


class AskedShipTo(Asked, frozen=True, kw_only=True):
    """Where the goods go."""

    name: _Line
    line1: _Line
    line2: _Optional = ""
    postal_code: Annotated[str, Meta(min_length=1, max_length=20, pattern=wire.CODE)]
    city: _Line
    region: _Optional = ""
    country: AskedCountry


class AskedTotal(Asked, frozen=True, kw_only=True):
    """A total to compare with."""

    amount: Annotated[str, Meta(min_length=1, max_length=20, pattern=AMOUNT, description="Such as `602.58`.")]
    currency: wire.Currency


class NewOrder(Asked, frozen=True, kw_only=True):
    """What to order. `framework_agreement` is the id of your company's agreement: the order's basis. Name either
    `lines` or a `signed_quote`, whose lines are ordered at its prices. `email` gets the letters about the order, in
    `language`. `pay`: at once on the order's page, or by `invoice` on your company's terms. With `expected_total`
    nothing is ordered when it comes to another, with freight and tax.
    """

    framework_agreement: Annotated[str, Meta(min_length=36, max_length=36, pattern=ID)]
    lines: (
        Annotated[
            tuple[AskedLine, ...], Meta(min_length=1, max_length=wire.LINES_MOST, description="At most 500 lines.")
        ]
        | None
    ) = None
    signed_quote: Annotated[str, Meta(min_length=36, max_length=36, pattern=ID)] | None = None
    ship_to: AskedShipTo
    email: Annotated[str, Meta(min_length=6, max_length=LONGEST_EMAIL, pattern=EMAIL)]
    po_number: Annotated[str, Meta(min_length=1, max_length=60, pattern=wire.CODE)] | None = None
    pay: Literal["now", "invoice"] = "now"
    expected_total: AskedTotal | None = None
    language: Language = "en"


# --- Answers ---


class AgreedDocument(Answer, frozen=True, kw_only=True):
    """A version that was accepted; `sha256` is of its source, `url` where anybody reads it. `outdated`: it changed
    materially since, and orders that are asked for it are refused.
    """

    code: str
    version: str
    language: str
    title: str
    sha256: Annotated[str, Meta(pattern=wire.ROOT)]
    url: str
    outdated: bool


class Term(Answer, frozen=True, kw_only=True):
    """A sentence that the signatory was shown; `ticked` with a box of its own, null where it had none."""

    text: str
    ticked: bool | None


class FrameworkAgreement(Answer, frozen=True, kw_only=True):
    """The framework agreement of your company that stands: cite its `id` with every order. It covers orders up to
    `limit` each, null without limit. `outdated` names, by code, documents that orders may be asked for and it does not
    cover as they are now. `digest` is that of what was presented and accepted, `ledger_index` its row in the acceptance
    ledger.
    """

    id: UUID
    accepted_at: Instant
    seller: str
    buyer: str
    language: str
    channels: tuple[str, ...]
    limit: Money | None
    documents: tuple[AgreedDocument, ...]
    outdated: tuple[str, ...]
    terms: tuple[Term, ...]
    digest: Annotated[str, Meta(pattern=wire.ROOT)]
    ledger_index: Count
