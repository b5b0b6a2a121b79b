"""Drafts and publications as spreadsheets for programs: taken out, sent in, read, shown as changes, accepted."""

import asyncio
import uuid
from functools import partial
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, Annotated, Final

from litestar import Response, get, post
from litestar.exceptions import InternalServerException
from litestar.params import PathParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from kernel.xlsx_write import MEDIA_TYPE
from pricing.exports import Form
from pricing.import_model import ImportState, PriceImport
from pricing.imports import PART_MOST, ImportNotFound, ImportTooLarge, UploadMalformed, errors_csv
from web.api import wire as shared
from web.api.cursors import cursor_of
from web.api.describing import ASKED, SENT, documented
from web.api.desk import published, shaping, wire_published
from web.api.desk.asking import DraftId, asked_draft, offset_of, person_of
from web.api.desk.publications import Number
from web.api.reading import MediaTypeUnsupported, answered, answered_unless_fresh, given, read_query
from web.api.webhooks import UUID
from web.desk.sheet_words import about_lines
from web.downloads import download, written
from web.http import AnyRequest, services_of

CSV: Final = "text/csv"
ZIP: Final = "application/zip"
TAKEN: Final = frozenset({"application/octet-stream", CSV, ZIP, MEDIA_TYPE})
FileId = Annotated[str, PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of an import.")]
OF_FILE: Final = {"draft": "$response.body#/draft", "file": "$response.body#/id"}


@get(
    "/api/v1/desk/drafts/{draft:str}/prices.xlsx",
    tags=["desk"],
    operation_id="export_draft_workbook",
    summary="A draft as a workbook",
    response_description="A workbook with a sheet for each kind of object.",
    **documented(400, 401, 403, 404, 422, 503, answer=None, media_type=MEDIA_TYPE, key="needed"),
)
async def export_draft_workbook(request: AnyRequest, draft: DraftId) -> Stream:
    """Take the draft out as it stands; imported again, nothing of it changes. The scope is `desk:read`."""
    return await _draft(request, draft, Form.WORKBOOK)


@get(
    "/api/v1/desk/drafts/{draft:str}/prices.zip",
    tags=["desk"],
    operation_id="export_draft_csv",
    summary="A draft as CSV files",
    response_description="A zip with a CSV file for each kind of object.",
    **documented(400, 401, 403, 404, 422, 503, answer=None, media_type=ZIP, key="needed"),
)
async def export_draft_csv(request: AnyRequest, draft: DraftId) -> Stream:
    """Take the draft out as it stands, in files to keep under version control. The scope is `desk:read`."""
    return await _draft(request, draft, Form.CSV)


@get(
    "/api/v1/desk/publications/{number:int}/prices.xlsx",
    tags=["desk"],
    operation_id="export_publication_workbook",
    summary="A publication as a workbook",
    response_description="A workbook with a sheet for each kind of object.",
    **documented(400, 401, 403, 404, 422, 503, answer=None, media_type=MEDIA_TYPE, key="needed"),
)
async def export_publication_workbook(request: AnyRequest, number: Number) -> Stream:
    """Take a publication out as a draft would state it. The scope is `desk:read`."""
    return await _publication(request, number, Form.WORKBOOK)


@get(
    "/api/v1/desk/publications/{number:int}/prices.zip",
    tags=["desk"],
    operation_id="export_publication_csv",
    summary="A publication as CSV files",
    response_description="A zip with a CSV file for each kind of object.",
    **documented(400, 401, 403, 404, 422, 503, answer=None, media_type=ZIP, key="needed"),
)
async def export_publication_csv(request: AnyRequest, number: Number) -> Stream:
    """Take a publication out in files to keep under version control. The scope is `desk:read`."""
    return await _publication(request, number, Form.CSV)


@get(
    "/api/v1/desk/drafts/{draft:str}/imports",
    tags=["desk"],
    operation_id="get_live_import",
    summary="What is on its way into a draft",
    response_description="The file that is read or waits, if there is one.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire_published.DeskLiveImport, cached=True, key="needed"),
)
async def get_live_import(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Show the one file that may be on its way into a draft. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    found = await asked_draft(request, draft)
    live = await services_of(request).price_imports.find_live(found.id)
    shown = None if live is None else await _shown(request, live)
    return answered_unless_fresh(request, wire_published.DeskLiveImport(live=shown))


@post(
    "/api/v1/desk/drafts/{draft:str}/imports",
    status_code=202,
    tags=["desk"],
    operation_id="upload_import",
    summary="Send a spreadsheet to be read into a draft",
    response_description="The import; a job reads it.",
    request_max_body_size=None,
    **documented(
        *(*SENT, 404, 422),
        query=wire_published.DeskUploadAsked,
        answer=wire_published.DeskImport,
        upload=True,
        key="needed",
        links={"get_import": OF_FILE, "accept_import": OF_FILE, "discard_import": OF_FILE},
    ),
)
async def upload_import(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Send a workbook, a CSV file or a zip of them as the body; it streams, up to the installation's limit. Each table
    in it holds the whole of what it describes. Nothing changes until it is accepted. A file for the same draft that
    waited is replaced, so the call may be sent again. The scope is `desk:edit`.
    """
    asked, imports = read_query(request, wire_published.DeskUploadAsked), services_of(request).price_imports
    found = await asked_draft(request, draft)
    _refuse_media_type(request)
    with TemporaryFile() as file:
        size, digest = await _spool(request, file, imports.bytes_most)
        begun = await imports.begin(found.id, name=asked.name, size=size, digest=digest, by=person_of(request))
        file.seek(begun.received)
        while begun.state is ImportState.UPLOADING:
            part = await asyncio.to_thread(file.read, PART_MOST)
            begun = await imports.add_part(begun.id, start=begun.received, content=part)
    said = answered(await _shown(request, begun), headers={"location": _address(begun)})
    said.status_code = 202
    return said


@get(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}",
    tags=["desk"],
    operation_id="get_import",
    summary="How far an import is",
    response_description="Its progress, its mistakes, or how much it would change.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire_published.DeskImport, cached=True, key="needed"),
)
async def get_import(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """Show an import. Ask until it is `ready` or `refused`; mistakes are told by sheet, row and cell. The scope is
    `desk:read`.
    """
    read_query(request, shared.Asked)
    return answered_unless_fresh(request, await _shown(request, await _find(request, draft, file)))


@get(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}/errors.csv",
    tags=["desk"],
    operation_id="get_import_errors",
    summary="What is wrong with a file",
    response_description="A line for each mistake: sheet, row, cell, column, value, error.",
    **documented(400, 401, 403, 404, 503, answer=None, media_type=CSV, key="needed"),
)
async def get_import_errors(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """List the mistakes of a file as CSV. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    found = await _find(request, draft, file)
    return Response(errors_csv(found.report or {"errors": []}).encode(), media_type=CSV)


@get(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}/changes",
    tags=["desk"],
    operation_id="list_import_changes",
    summary="What accepting a file would change",
    response_description="One page of changes.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire_published.DeskImportedAsked,
        answer=wire_published.DeskImportedPage,
        cached=True,
        key="needed",
    ),
)
async def list_import_changes(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """List what the file has otherwise than the draft when it was read. The scope is `desk:read`."""
    asked = read_query(request, wire_published.DeskImportedAsked)
    start, found = offset_of(given(asked.cursor)), await _find(request, draft, file)
    changes = await services_of(request).price_imports.list_changes(
        found.id, start=start, limit=asked.limit + 1, change=given(asked.change)
    )
    return answered_unless_fresh(
        request,
        wire_published.DeskImportedPage(
            changes=tuple(
                wire_published.DeskImported(
                    kind=each.kind,
                    key=each.key,
                    change=wire_published.DeskChangeSort(each.change),
                    before=each.before,
                    after=each.after,
                )
                for each in changes[: asked.limit]
            ),
            next=cursor_of(start + asked.limit) if len(changes) > asked.limit else None,
        ),
    )


@post(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}/acceptance",
    status_code=200,
    tags=["desk"],
    operation_id="accept_import",
    summary="Put what a file says into the draft",
    response_description="The import, accepted.",
    **documented(400, 401, 403, 404, 503, answer=wire_published.DeskImport, key="needed"),
)
async def accept_import(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """Make the draft what the file says: all of it or nothing. 409 when it is not `ready`, or when somebody changed an
    object since the file was read: `clashes` shows both sides. The scope is `desk:edit`.
    """
    found = await _find(request, draft, file)
    accepted = await services_of(request).price_imports.accept(found.id, by=person_of(request))
    return answered(await _shown(request, accepted))


@post(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}/comparison",
    status_code=202,
    tags=["desk"],
    operation_id="compare_import_again",
    summary="Compare a file with the draft as it stands now",
    response_description="The import; a job reads it again.",
    **documented(400, 401, 403, 404, 503, answer=wire_published.DeskImport, key="needed"),
)
async def compare_import_again(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """Have a file read again, as after a clash. The scope is `desk:edit`."""
    found = await _find(request, draft, file)
    again = await services_of(request).price_imports.compare_again(found.id)
    said = answered(await _shown(request, again))
    said.status_code = 202
    return said


@post(
    "/api/v1/desk/drafts/{draft:str}/imports/{file:str}/discard",
    status_code=200,
    tags=["desk"],
    operation_id="discard_import",
    summary="Forget a file",
    response_description="The import, discarded.",
    **documented(400, 401, 403, 404, 503, answer=wire_published.DeskImport, key="needed"),
)
async def discard_import(request: AnyRequest, draft: DraftId, file: FileId) -> Response[bytes]:
    """Forget a file; the draft stays as it is. The scope is `desk:edit`."""
    found = await _find(request, draft, file)
    gone = await services_of(request).price_imports.discard(found.id, by=person_of(request))
    return answered(await _shown(request, gone))


HANDLERS: list[ControllerRouterHandler] = [
    export_draft_workbook,
    export_draft_csv,
    export_publication_workbook,
    export_publication_csv,
    get_live_import,
    upload_import,
    get_import,
    get_import_errors,
    list_import_changes,
    accept_import,
    compare_import_again,
    discard_import,
]


async def _draft(request: AnyRequest, draft: str, form: Form) -> Stream:
    read_query(request, shared.Asked)
    found, services = await asked_draft(request, draft), services_of(request)
    about = about_lines(f"{found.title} ({found.id})", services.clock.now(), "en")
    write = partial(services.price_exports.write_draft, found.id, form=form, about=about)
    return download(await written(request, write), form, found.title)


async def _publication(request: AnyRequest, number: int, form: Form) -> Stream:
    read_query(request, shared.Asked)
    services = services_of(request)
    await services.pricing.find_publication(number)
    about = about_lines(f"publication {number}", services.clock.now(), "en")
    write = partial(services.price_exports.write_publication, number, form=form, about=about)
    return download(await written(request, write), form, f"publication {number}")


def _refuse_media_type(request: AnyRequest) -> None:
    """:raises MediaTypeUnsupported: for a form, or a body that says it is compressed"""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in TAKEN or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeUnsupported("Send the file itself as the body, with Content-Type: application/octet-stream.")


async def _spool(request: AnyRequest, file: IO[bytes], most: int) -> tuple[int, bytes]:
    """Write the body to *file* as it comes; its size and SHA-256.

    :raises ImportTooLarge: as soon as it is longer than *most*
    :raises UploadMalformed: when it breaks off
    """
    size, digest = 0, sha256()
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise ImportTooLarge(f"The file is larger than the {most:,} bytes allowed. Split it.", most=most)
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    except InternalServerException:  # so Litestar says that the client is gone
        raise UploadMalformed("The upload broke off. Send the file again.") from None
    return size, digest.digest()


async def _find(request: AnyRequest, draft: str, file: str) -> PriceImport:
    """:raises DraftNotFound, ImportNotFound: when there is none, or it is of another draft"""
    found = await asked_draft(request, draft)
    staged = await services_of(request).price_imports.find(uuid.UUID(file))
    if staged.draft_id != found.id:
        raise ImportNotFound("There is no such import.")
    return staged


async def _shown(request: AnyRequest, found: PriceImport) -> wire_published.DeskImport:
    people = await shaping.people_of(services_of(request), [found.created_by])
    return published.staged(found, people)


def _address(found: PriceImport) -> str:
    return f"/api/v1/desk/drafts/{found.draft_id}/imports/{found.id}"
