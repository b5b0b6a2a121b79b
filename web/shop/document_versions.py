"""A document's versions beside each other: its PDF, and what changed between two of them."""

from collections.abc import Sequence
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements import store
from agreements.compare import compare
from agreements.model import DocumentVersion
from agreements.pdfs import keep_pdf
from agreements.service import DocumentNotFound
from kernel.db import for_staff
from web.http import AnyRequest, Html, services_of
from web.pages import page

PDF: Final = "application/pdf"


@get(
    "/documents/{code:str}/{label:str}/{language:str}/pdf",
    include_in_schema=False,
    summary="One version as a PDF, the same bytes for everybody",
)
async def document_pdf(
    request: AnyRequest, code: FromPath[str], label: FromPath[str], language: FromPath[str]
) -> Response[bytes]:
    services = services_of(request)
    async with services.db.begin(for_staff()) as session:
        version = await services.agreements.version(session, code, label, language)
        kept = await keep_pdf(session, version, now=services.clock.now())
    headers = {
        "cache-control": "public, max-age=86400, immutable",
        "content-disposition": f'inline; filename="{code}-{label}-{language}.pdf"',
    }
    return Response(kept.content, media_type=PDF, headers=headers)


@get(
    "/documents/{code:str}/{label:str}/{language:str}/changes",
    include_in_schema=False,
    summary="What changed in one version since another",
)
async def document_changes(
    request: AnyRequest, code: FromPath[str], label: FromPath[str], language: FromPath[str]
) -> Html:
    """Since the label that `since` names; without it, since the one before."""
    services = services_of(request)
    since = request.query_params.get("since")
    async with services.db.reading(for_staff()) as session:
        version = await services.agreements.version(session, code, label, language)
        earlier = _earlier(await store.list_versions(session, code), version)
    before = next((each for each in earlier if since in (None, each.label)), None)
    if since is not None and before is None:
        raise DocumentNotFound("There is no such earlier version in this language.")
    return page(
        request,
        "documents/changes.html",
        version=version,
        before=before,
        earlier=earlier,
        passages=() if before is None else compare(before.source_markdown, version.source_markdown),
    )


HANDLERS: list[ControllerRouterHandler] = [document_pdf, document_changes]


def _earlier(versions: Sequence[DocumentVersion], version: DocumentVersion) -> list[DocumentVersion]:
    """In the version's language, those that it came after, the latest first."""
    place = (version.effective_at, version.published_at)
    found = [
        each
        for each in versions
        if each.locale == version.locale and (each.effective_at, each.published_at) < place and each.id != version.id
    ]
    return sorted(found, key=lambda each: (each.effective_at, each.published_at), reverse=True)
