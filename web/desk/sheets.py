"""A draft as a spreadsheet: export, upload, what is wrong with a file by sheet and cell, and what it would change."""

import re
import uuid
from functools import partial
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from kernel.errors import NotFound
from pricing.exports import Form
from pricing.import_model import ImportState, PriceImport
from pricing.imports import ImportClosed, ImportedChange, ImportNotFound, PartMisplaced, UploadMalformed, errors_csv
from pricing.service import DraftClash
from web.desk.describe import Field, changed, compared, key_text, kind_text
from web.desk.drafts import find_draft, frame, page_number
from web.desk.fields import Typed, summary_of
from web.desk.row_words import row_text
from web.desk.sheet_words import about_lines
from web.downloads import download, written
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, read_upload, services_of
from web.pages import page, redirect
from web.people import names_of

PAGE_SIZE: Final = 50
ERRORS_SHOWN: Final = 200
PLAIN_FILE_MOST: Final = 10_000_000
"""Of a file that comes in one form, without the script that sends it in parts."""
PART_BODY_MOST: Final = 1_100_000
CHANGES: Final = ("added", "changed", "removed")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ExportFormUnknown(NotFound):
    problem = "price-export-form-unknown"
    title = "Prices are exported as xlsx or csv"


class ShownImportedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change with its words, and the fields that differ."""

    change: str
    kind: str
    name: str
    fields: tuple[Field, ...]


# --- Export ---


@get(
    "/desk/prices/drafts/{draft:str}/export/{form:str}",
    include_in_schema=False,
    summary="A price draft as a workbook or a zip of CSV files",
)
async def export_draft(request: AnyRequest, draft: FromPath[str], form: FromPath[str]) -> Stream:
    found, wanted, services = await find_draft(request, draft), _form(form), services_of(request)
    about = about_lines(f"{found.title} ({found.id})", services.clock.now(), locale_of(request))
    write = partial(services.price_exports.write_draft, found.id, form=wanted, about=about)
    return download(await written(request, write), wanted, found.title)


@get(
    "/desk/prices/publications/{number:int}/export/{form:str}",
    include_in_schema=False,
    summary="A publication as a workbook or a zip of CSV files",
)
async def export_publication(request: AnyRequest, number: FromPath[int], form: FromPath[str]) -> Stream:
    wanted, services = _form(form), services_of(request)
    await services.pricing.find_publication(number)
    about = about_lines(f"publication {number}", services.clock.now(), locale_of(request))
    write = partial(services.price_exports.write_publication, number, form=wanted, about=about)
    return download(await written(request, write), wanted, f"publication {number}")


# --- Upload ---


@get("/desk/prices/drafts/{draft:str}/files", include_in_schema=False, summary="A draft as a spreadsheet")
async def files_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    """Export and upload; or where the file stands that is on its way."""
    found = await find_draft(request, draft)
    live = await services_of(request).price_imports.find_live(found.id)
    if live is not None:
        return redirect(_address(live))
    return page(request, "desk/files.html", **await _frame(request, found.id), file=None)


@post(
    "/desk/prices/drafts/{draft:str}/files",
    include_in_schema=False,
    summary="Upload a file of prices, or announce one that comes in parts",
    opt={"takes_files": True},
    request_max_body_size=PLAIN_FILE_MOST,
)
async def upload(request: AnyRequest, draft: FromPath[str]) -> Response[bytes]:
    """A page's form sends the file itself; a script sends name, size and SHA-256, and then parts to where it is led."""
    found, imports = await find_draft(request, draft), services_of(request).price_imports
    by = principal_of(request).person_id
    sent = await read_upload(request, "file")
    form = await read_form(request)
    size, digest = form.get("size"), form.get("sha256")
    if sent is not None:
        taken = await imports.upload(found.id, name=sent.name or "prices", content=sent.content, by=by)
        return redirect(_address(taken))
    if not size and not digest:  # a page's form, and no file was chosen or it is empty
        typed = Typed(form, locale_of(request))
        typed.refuse("file", "file")
        context = {**await _frame(request, found.id), "faults": typed.errors, "file": None}
        context["summary"] = summary_of(typed.errors, locale_of(request))
        return page(request, "desk/files.html", status=422, **context)
    if not _NUMBER.fullmatch(size) or not _DIGEST.fullmatch(digest):
        raise UploadMalformed("Choose a file first.")
    begun = await imports.begin(found.id, name=form.get("name"), size=int(size), digest=bytes.fromhex(digest), by=by)
    return Response(b"", status_code=201, headers={"location": _address(begun), **_received(begun)})


@get(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/parts",
    include_in_schema=False,
    summary="How much of a file was received",
)
async def received(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Response[bytes]:
    """In `Upload-Offset`, as drafts of resumable uploads have it."""
    found = await _find(request, draft, file)
    return Response(b"", status_code=204, headers=_received(found))


@post(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/parts",
    include_in_schema=False,
    summary="Send the next part of a file",
    request_max_body_size=PART_BODY_MOST,
)
async def add_part(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Response[bytes]:
    """The bytes from `Upload-Offset` on. Whoever lost count asks where to go on, or reads it from the refusal."""
    found = await _find(request, draft, file)
    start = request.headers.get("upload-offset", "")
    if request.headers.get("content-type") != "application/octet-stream" or not _NUMBER.fullmatch(start):
        raise UploadMalformed("Send bytes as application/octet-stream, and in Upload-Offset where they begin.")
    try:
        found = await services_of(request).price_imports.add_part(
            found.id, start=int(start), content=await request.body()
        )
    except PartMisplaced as error:
        return Response(b"", status_code=409, headers={"upload-offset": str(error.extra["received"])})
    return Response(b"", status_code=204, headers=_received(found))


# --- What the file would do ---


@get(
    "/desk/prices/drafts/{draft:str}/files/{file:str}",
    include_in_schema=False,
    summary="What is wrong with a file of prices, or what it would change",
)
async def file_page(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Html:
    return await _file(request, await _find(request, draft, file))


@get(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/errors.csv",
    include_in_schema=False,
    summary="What is wrong with a file of prices, as a file",
)
async def errors_file(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Response[bytes]:
    found = await _find(request, draft, file)
    return Response(
        errors_csv(_told(found, locale_of(request))).encode("utf-8-sig"),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="errors.csv"'},
    )


@post(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/acceptance",
    include_in_schema=False,
    summary="Put what a file says into the draft",
)
async def accept(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Html:
    found = await _find(request, draft, file)
    try:
        await services_of(request).price_imports.accept(found.id, by=principal_of(request).person_id)
    except DraftClash as clash:
        return await _file(request, found, clash=clash)
    except ImportClosed:
        return await _file(request, await _find(request, draft, file), status=409)
    return redirect(f"/desk/prices/drafts/{found.draft_id}")


@post(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/comparison",
    include_in_schema=False,
    summary="Compare a file with the draft as it stands now",
)
async def compare_again(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Html:
    found = await _find(request, draft, file)
    await services_of(request).price_imports.compare_again(found.id)
    return redirect(_address(found))


@post(
    "/desk/prices/drafts/{draft:str}/files/{file:str}/discard",
    include_in_schema=False,
    summary="Forget a file",
)
async def discard_file(request: AnyRequest, draft: FromPath[str], file: FromPath[str]) -> Html:
    found = await _find(request, draft, file)
    await services_of(request).price_imports.discard(found.id, by=principal_of(request).person_id)
    return redirect(f"/desk/prices/drafts/{found.draft_id}/files")


HANDLERS: list[ControllerRouterHandler] = [
    export_draft,
    export_publication,
    files_page,
    upload,
    received,
    add_part,
    file_page,
    errors_file,
    accept,
    compare_again,
    discard_file,
]


async def _file(request: AnyRequest, found: PriceImport, *, clash: DraftClash | None = None, status: int = 200) -> Html:
    services, locale = services_of(request), locale_of(request)
    sort = request.query_params.get("sort", "")
    sort = sort if sort in CHANGES else ""
    number = page_number(request)
    shown: list[ShownImportedChange] = []
    if found.state is ImportState.READY:
        changes = await services.price_imports.list_changes(
            found.id, start=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE, change=sort or None
        )
        shown = [_shown(change, locale) for change in changes]
    count = getattr(found, sort) if sort else found.changes
    sides: Any = [] if clash is None else clash.extra["clashes"]
    report = _told(found, locale)
    return page(
        request,
        "desk/files.html",
        status=409 if clash is not None else status,
        **await _frame(request, found.draft_id),
        file=found,
        state=found.state.value,
        report=report,
        errors=report["errors"][:ERRORS_SHOWN],
        kept=len(report["errors"]),
        shown=shown,
        sort=sort,
        number=number,
        pages=max(1, -(-count // PAGE_SIZE)),
        by=(await names_of(services, [found.created_by]))[found.created_by],
        clashes=[
            (kind_text(side["kind"], locale), key_text(side["kind"], tuple(side["key"])),
             compared(side["theirs"], side["yours"], locale))
            for side in sides
        ],
        clash_count=0 if clash is None else clash.extra["count"],
    )  # fmt: skip


async def _frame(request: AnyRequest, draft_id: uuid.UUID) -> dict[str, Any]:
    found = await services_of(request).pricing.find_draft(draft_id)
    return {
        **await frame(request, found, "files"),
        "bytes_most": services_of(request).price_imports.bytes_most,
        "plain_most": PLAIN_FILE_MOST,
        "faults": {},
        "summary": {},
    }


def _told(found: PriceImport, locale: str) -> dict[str, Any]:
    """The import's report, its errors in the reader's language."""
    report: dict[str, Any] = found.report or {"errors": [], "errors_total": 0, "notes": []}
    return {**report, "errors": [{**error, "message": row_text(error, locale)} for error in report["errors"]]}


def _shown(change: ImportedChange, locale: str) -> ShownImportedChange:
    return ShownImportedChange(
        change=change.change,
        kind=kind_text(change.kind, locale),
        name=key_text(change.kind, change.key),
        fields=changed(change.before, change.after, locale),
    )


async def _find(request: AnyRequest, draft: str, file: str) -> PriceImport:
    """:raises DraftNotFound, ImportNotFound: when there is none, or it is of another draft"""
    found = await find_draft(request, draft)
    try:
        file_id = uuid.UUID(file)
    except ValueError:
        raise ImportNotFound("There is no such import.") from None
    staged = await services_of(request).price_imports.find(file_id)
    if staged.draft_id != found.id:
        raise ImportNotFound("There is no such import.")
    return staged


def _address(found: PriceImport) -> str:
    return f"/desk/prices/drafts/{found.draft_id}/files/{found.id}"


def _received(found: PriceImport) -> dict[str, str]:
    return {"upload-offset": str(found.received), "upload-length": str(found.size)}


def _form(text: str) -> Form:
    try:
        return Form(text)
    except ValueError:
        raise ExportFormUnknown("Prices are exported as xlsx or csv.") from None
