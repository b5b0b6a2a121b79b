"""What a draft holds, for programs: every kind of object read, put, removed, and changes taken back.

One form for all kinds: an object is named by kind and key, and written over what its writer saw. Whoever saw something
else is shown both sides.
"""

import uuid
from collections.abc import Collection
from typing import Any, Final

import msgspec
from litestar import Response, delete, get, put
from litestar.types import ControllerRouterHandler

from accounts import store as accounts_store
from kernel.db import for_accounts, for_staff
from kernel.errors import Refused
from pricing.content import Key, noun_of, plain, storable
from pricing.facts import category_path
from web.api.cursors import cursor_of
from web.api.describing import ASKED, SENT, documented
from web.api.desk import shaping, wire
from web.api.desk.asking import DraftId, asked_draft, etag_of, key_of, offset_of, person_of, seen_by
from web.api.reading import (
    answered,
    answered_unless_fresh,
    caching,
    given,
    is_fresh,
    not_modified,
    read_json,
    read_query,
)
from web.desk.drafts import NothingToUndo
from web.desk.object_pages import ObjectNotFound
from web.http import AnyRequest, services_of

ALWAYS_THERE: Final = frozenset({wire.DeskKind.STRATEGY, wire.DeskKind.POLICY, wire.DeskKind.LAYERS})
_content_decoder: Final = msgspec.json.Decoder(wire.DeskContentAsked)


class ObjectStays(Refused):
    problem = "price-object-stays"
    title = "A book always has this object"


class NamesUnknown(Refused):
    """*unknown* in `extra`: the codes by what they should name."""

    problem = "price-object-names-unknown"
    title = "The object names what nobody knows"


@get(
    "/api/v1/desk/drafts/{draft:str}/objects",
    tags=["desk"],
    operation_id="list_draft_objects",
    summary="What a draft holds of one kind",
    response_description="One page of objects.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.DeskObjectsAsked,
        answer=wire.DeskObjectPage,
        cached=True,
        key="needed",
    ),
)
async def list_draft_objects(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """List the objects of a kind as the draft has them, changed or not, by key. The scope is `desk:read`."""
    asked = read_query(request, wire.DeskObjectsAsked)
    start = offset_of(given(asked.cursor))
    found = await services_of(request).pricing.list_leaves(uuid.UUID(draft), asked.kind)
    end = start + asked.limit
    return answered_unless_fresh(
        request,
        wire.DeskObjectPage(
            objects=tuple(shaping.leaf(each) for each in found[start:end]),
            next=cursor_of(end) if end < len(found) else None,
        ),
    )


@get(
    "/api/v1/desk/drafts/{draft:str}/rows",
    tags=["desk"],
    operation_id="list_draft_rows",
    summary="What a draft asks for one SKU",
    response_description="Its rows, those stated and those that follow from formulas.",
    **documented(
        *(*ASKED, 304, 404, 422),
        query=wire.DeskRowsAsked,
        answer=wire.DeskRows,
        cached=True,
        key="needed",
    ),
)
async def list_draft_rows(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """List the price rows of a SKU. The scope is `desk:read`."""
    asked, pricing = read_query(request, wire.DeskRowsAsked), services_of(request).pricing
    stated = await pricing.list_leaves(uuid.UUID(draft), "row", sku=asked.sku)
    derived = await pricing.list_derived_rows(uuid.UUID(draft), asked.sku)
    return answered_unless_fresh(
        request,
        wire.DeskRows(
            sku=asked.sku,
            stated=tuple(shaping.leaf(each) for each in stated),
            derived=tuple(each.content for each in derived),
        ),
    )


@get(
    "/api/v1/desk/drafts/{draft:str}/object",
    tags=["desk"],
    operation_id="get_draft_object",
    summary="One object of a draft",
    response_description="The object as it stands.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.DeskObjectAsked,
        answer=wire.DeskObject,
        cached=True,
        key="needed",
    ),
)
async def get_draft_object(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Show an object with the entity tag by which it is changed. The scope is `desk:read`."""
    asked = read_query(request, wire.DeskObjectAsked)
    state = await services_of(request).pricing.find_leaf(uuid.UUID(draft), asked.kind, key_of(asked))
    if state.content is None:
        raise ObjectNotFound("The draft has no such object.")
    headers = caching(request, etag_of(state))
    if is_fresh(request, etag_of(state)):
        return not_modified(headers)
    return answered(shaping.leaf(state), headers=headers)


@put(
    "/api/v1/desk/drafts/{draft:str}/object",
    tags=["desk"],
    operation_id="put_draft_object",
    summary="Put an object into a draft",
    response_description="The object as it stands now.",
    **documented(
        *(*SENT, 404, 412, 422, 428),
        query=wire.DeskObjectAsked,
        body=wire.DeskContentAsked,
        answer=wire.DeskObject,
        conditional=True,
        key="needed",
    ),
)
async def put_draft_object(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Change an object, or add one. Send `If-Match` with the entity tag of what you saw, or `If-None-Match: *` for a
    new one. If it is something else by then, the answer is 412, or 409 if it changes in the very moment; `clashes`
    shows `theirs` and `yours`. Refused is what the book could not be priced with, and codes that nobody knows. The
    scope is `desk:edit`.
    """
    asked = read_query(request, wire.DeskObjectAsked)
    content = (await read_json(request, _content_decoder)).content
    kind, key, pricing = asked.kind, key_of(asked), services_of(request).pricing
    found = await asked_draft(request, draft)
    if content is None:
        raise ObjectStays("Say what the object is to be. To remove it, send DELETE.")
    noun = noun_of(kind, key, content)
    storable(noun)
    expected = await seen_by(request, found.id, kind, key, yours=plain(noun))
    await _refuse_unknown(request, kind, key, plain(noun))
    await pricing.try_change(found.id, kind, key, content)
    state = await pricing.put_change(found.id, kind, key, content, by=person_of(request), expected=expected)
    return answered(shaping.leaf(state), headers={"etag": f'"{etag_of(state)}"'})


@delete(
    "/api/v1/desk/drafts/{draft:str}/object",
    status_code=204,
    tags=["desk"],
    operation_id="remove_draft_object",
    summary="Take an object out of a draft",
    response_description="It is gone from the draft; what is published stays.",
    **documented(
        *(*ASKED, 404, 412, 422, 428),
        query=wire.DeskObjectAsked,
        answer=None,
        conditional=True,
        key="needed",
    ),
)
async def remove_draft_object(request: AnyRequest, draft: DraftId) -> None:
    """Remove an object; a list goes with its prices and its formula. `If-Match` as for putting one. The scope is
    `desk:edit`.
    """
    asked = read_query(request, wire.DeskObjectAsked)
    kind, key, pricing = asked.kind, key_of(asked), services_of(request).pricing
    found = await asked_draft(request, draft)
    if wire.DeskKind(asked.kind) in ALWAYS_THERE:
        raise ObjectStays(f"A book always has its {kind}. Put another in its place.")
    expected = await seen_by(request, found.id, kind, key, yours=None)
    if expected is None:
        raise ObjectNotFound("The draft has no such object.")
    if asked.kind == "list":
        await pricing.remove_list(found.id, key[0], by=person_of(request), expected=expected)
        return
    await pricing.try_change(found.id, kind, key, None)
    await pricing.put_change(found.id, kind, key, None, by=person_of(request), expected=expected)


@delete(
    "/api/v1/desk/drafts/{draft:str}/change",
    status_code=204,
    tags=["desk"],
    operation_id="undo_draft_change",
    summary="Take a change back",
    response_description="The object is as the book has it that the draft began from.",
    **documented(400, 401, 403, 404, 422, 503, query=wire.DeskObjectAsked, answer=None, key="needed"),
)
async def undo_draft_change(request: AnyRequest, draft: DraftId) -> None:
    """Let an object be as the draft's base has it. 409 where the draft does not change it. The scope is `desk:edit`."""
    asked = read_query(request, wire.DeskObjectAsked)
    kind, key, pricing = asked.kind, key_of(asked), services_of(request).pricing
    found = await asked_draft(request, draft)
    undone = await pricing.find_change(found.id, kind, key)
    if undone is None:
        raise NothingToUndo("The draft does not change this.")
    await pricing.try_change(found.id, kind, key, undone.before)
    await pricing.put_change(found.id, kind, key, undone.before, by=person_of(request), expected=undone.seen)


HANDLERS: list[ControllerRouterHandler] = [
    list_draft_objects,
    list_draft_rows,
    get_draft_object,
    put_draft_object,
    remove_draft_object,
    undo_draft_change,
]


async def _refuse_unknown(request: AnyRequest, kind: str, key: Key, content: Any) -> None:
    """As the desk's forms: a misspelt code would act on nothing.

    :raises NamesUnknown: naming every such code
    """
    services, unknown = services_of(request), {}
    scope: Any = content.get("scope") if isinstance(content, dict) else None
    audience: Any = content.get("audience") if isinstance(content, dict) else None
    if kind == "row":
        _, sku, unit, _ = key
        known = (await services.catalog.find_skus([sku])).get(sku)
        if known is None:
            unknown["skus"] = [sku]
        elif unit not in {each.unit for each in known.units}:
            unknown["units"] = [unit]
    if scope is not None:
        async with services.db.reading(for_staff()) as session:
            codes = await services.catalog.known_codes(session)
        of_field: dict[str, Collection[str]] = {
            "skus": codes.units,
            "categories": frozenset(category_path(code) for code in codes.categories),
            "brands": codes.brands,
        }
        for name, there in of_field.items():
            missing = [code for code in (*scope[name], *scope[f"excluded_{name}"]) if code not in there]
            unknown |= {name: missing} if missing else {}
    company = None if audience is None else audience["company"]
    if company is not None:
        async with services.db.reading(for_accounts()) as session:
            if await accounts_store.find_company_by_code(session, company) is None:
                unknown["companies"] = [company]
    if unknown:
        first = next(iter(unknown.values()))[0]
        raise NamesUnknown(f"Nobody knows {first}. Correct the code; it would act on nothing.", unknown=unknown)
