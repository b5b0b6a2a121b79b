"""What calls of the desk have in common: the draft and object they name, what their caller saw, where a page ended."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Final

from litestar.params import PathParameter

from kernel.errors import DomainError
from pricing.content import Key
from pricing.model import PriceDraft
from pricing.service import LeafState
from web.api.cursors import NoSuchPage, read_cursor
from web.api.desk import wire
from web.api.reading import BodyMalformed, given, header_text
from web.api.webhooks import UUID
from web.http import AnyRequest, principal_of, services_of

OFFSET_MOST: Final = 100_000_000
TAG_LENGTH: Final = 32
KEY_PARTS: Final[dict[wire.DeskKind, tuple[str, ...]]] = {
    wire.DeskKind.STRATEGY: (),
    wire.DeskKind.POLICY: (),
    wire.DeskKind.LAYERS: (),
    wire.DeskKind.LIST: ("code",),
    wire.DeskKind.DERIVATION: ("list",),
    wire.DeskKind.ROW: ("list", "sku", "unit", "starts"),
    wire.DeskKind.ADJUSTMENT: ("code",),
    wire.DeskKind.BOUND: ("code",),
    wire.DeskKind.QUANTITY_RULE: ("code",),
}
DraftId = Annotated[str, PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of a draft.")]


class PreconditionMissing(DomainError):
    problem = "precondition-missing"
    status = 428
    title = "Say what you saw"


class ObjectMoved(DomainError):
    """*clashes* in `extra`: kind, key, `theirs` (as it is now) and `yours`; *etag*: of theirs, None for no object."""

    problem = "price-object-moved"
    status = 412
    title = "Someone else changed the same"


async def asked_draft(request: AnyRequest, draft: str) -> PriceDraft:
    """:raises DraftNotFound: when there is none"""
    return await services_of(request).pricing.find_draft(uuid.UUID(draft))


def person_of(request: AnyRequest) -> uuid.UUID:
    """As whom the key acts."""
    person_id = principal_of(request).person_id
    assert person_id is not None, "the role table lets in staff keys only"
    return person_id


def key_of(asked: wire.DeskObjectAsked) -> Key:
    """The key of the object, as a draft has it.

    :raises BodyMalformed: when a part is missing, or none of this kind's
    """
    parts, key = KEY_PARTS[wire.DeskKind(asked.kind)], []
    for name in ("code", "list", "sku", "unit", "starts"):
        text = given(getattr(asked, name))
        if (name in parts) is (text is not None):
            key += [] if text is None else [instant("starts", text).isoformat() if name == "starts" else text]
        elif name == "starts" and name in parts:
            key.append("")
        else:
            message = f"A {asked.kind} {'needs' if name in parts else 'has no'} {name}."
            raise BodyMalformed(f"{name}: {message}", errors=[{"field": name, "message": message}])
    return tuple(key)


def instant(field: str, text: str) -> datetime:
    """:raises BodyMalformed: for a date that no calendar has"""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"{text} is no instant that ever was."
        raise BodyMalformed(f"{field}: {message}", errors=[{"field": field, "message": message}]) from None


def etag_of(state: LeafState) -> str:
    """Names what the object says; empty for none."""
    return "" if state.seen is None else state.seen.removeprefix("sha256:")[:TAG_LENGTH]


async def seen_by(request: AnyRequest, draft_id: uuid.UUID, kind: str, key: Key, *, yours: Any) -> str | None:
    """What the draft has of the object, where it is what the caller saw: what `Pricing.put_change` takes as `expected`.

    :raises PreconditionMissing: when the caller does not say what they saw
    :raises ObjectMoved: when it is something else
    """
    matches, none_match = header_text(request, "if-match"), header_text(request, "if-none-match")
    if matches is None and none_match is None:
        raise PreconditionMissing(
            "Send If-Match with the entity tag of the object you saw, or If-None-Match: * where there was none."
        )
    state = await services_of(request).pricing.find_leaf(draft_id, kind, key)
    tag = etag_of(state)
    tags = {each.strip() for each in (matches or "").split(",")}
    met = matches is None or (bool(tag) and bool(tags & {f'"{tag}"', "*"}))
    if not met or (none_match is not None and tag):
        raise ObjectMoved(
            "Somebody changed this since you saw it, or you never did. Read it, decide, and send its entity tag.",
            clashes=[{"kind": kind, "key": list(key), "theirs": state.content, "yours": yours}],
            count=1,
            etag=tag or None,
        )
    return state.seen


def offset_of(cursor: str | None) -> int:
    """Where the page begins that a cursor names.

    :raises NoSuchPage: when it is none of ours
    """
    start = 0 if cursor is None else read_cursor(cursor, int)
    if not 0 <= start <= OFFSET_MOST:
        raise NoSuchPage("This cursor is none of ours. Send the `next` of a page as it is, or begin without.")
    return start
