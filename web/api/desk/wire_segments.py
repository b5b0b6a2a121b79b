"""The desk API's nouns of segments: which groups of buyers a company belongs to."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from accounts.segments import REASON_MOST, SEGMENTS_MOST
from web.api.desk.wire import LINES, DeskPerson, KeyPart, PageLimit
from web.api.wire import Answer, Asked, Instant
from web.api.wire_books import Cursor

SEGMENT: Final = r"^[^\u0000-\u0020\u007f\u0085\u00a0;]([^\u0000-\u001f\u007f;]*[^\u0000-\u0020\u007f\u0085\u00a0;])?$"

SegmentCode = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=SEGMENT, description="Without semicolons and blanks at its ends.")
]
Codes = Annotated[tuple[SegmentCode, ...], Meta(max_length=SEGMENTS_MOST)]


class DeskCompaniesAsked(Asked, frozen=True, kw_only=True):
    """Query of the companies."""

    segment: Annotated[KeyPart, Meta(description="Only those in this segment.")] | UnsetType = UNSET
    limit: PageLimit = 50
    cursor: Cursor | UnsetType = UNSET


class DeskSegmentsAsked(Asked, frozen=True, kw_only=True):
    """Whose segments."""

    company: Annotated[KeyPart, Meta(description="Code of the company.")]


class DeskSegmentsPut(Asked, frozen=True, kw_only=True):
    """The segments a company is to be in. `seen`: those it was in when you decided."""

    segments: Codes
    seen: Codes
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_MOST, pattern=LINES, description="Why, kept for good.")]


class DeskCompany(Answer, frozen=True, kw_only=True):
    """A company with the segments that price lists and rules may ask for."""

    code: str
    name: str
    segments: tuple[str, ...]


class DeskCompanyPage(Answer, frozen=True, kw_only=True):
    """Companies by code. `next`: ask with `cursor` set to it for more; null at the end."""

    companies: tuple[DeskCompany, ...]
    next: str | None


class DeskSegmentChange(Answer, frozen=True, kw_only=True):
    """One change of a company's segments. `changed_by` null: the command line."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    reason: str
    changed_by: DeskPerson | None
    changed_at: Instant


class DeskSegments(Answer, frozen=True, kw_only=True):
    """What a company is in now, and the last changes, newest first."""

    company: str
    name: str
    segments: tuple[str, ...]
    changes: tuple[DeskSegmentChange, ...]
