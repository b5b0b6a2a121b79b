"""The certificate of the last price audit, for people and for programs: what was asked of whom, and what differed."""

import base64
from hashlib import sha256
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from insights import audits
from insights.audits import PriceAudit
from kernel.canonical import canonical_json
from kernel.errors import NotFound
from web.api.reading import JSON, is_fresh, not_modified
from web.http import AnyRequest, Html, services_of
from web.pages import page

AUDITS_SHOWN: Final = 20


class NoAuditYet(NotFound):
    problem = "no-price-audit"
    title = "No price audit has been made yet"


@get("/prices/audit", include_in_schema=False, summary="Are prices the same everywhere? The audits")
async def audit_page(request: AnyRequest) -> Html:
    found = await audits.latest(services_of(request).db, limit=AUDITS_SHOWN)
    return page(
        request,
        "shop/audit.html",
        audits=found,
        certificate=None if not found else _contents(found[0]),
        signed=None if not found else found[0],
    )


@get("/prices/audit.json", include_in_schema=False, summary="The last audit's certificate with its signature")
async def audit_certificate(request: AnyRequest) -> Response[bytes]:
    """The Ed25519 `signature` stands over the UTF-8 bytes of `certificate`, by that key of tarifa-keys.json."""
    found = await audits.latest(services_of(request).db, limit=1)
    if not found:
        raise NoAuditYet("No price audit has been made yet. One runs every hour.")
    body = canonical_json(
        {
            "certificate": found[0].certificate,
            "signature": base64.b64encode(found[0].signature).decode(),
            "key_id": found[0].key_id,
        }
    )
    tag = sha256(body).hexdigest()[:32]
    headers = {"etag": f'"{tag}"', "cache-control": "public, no-cache", "access-control-allow-origin": "*"}
    return not_modified(headers) if is_fresh(request, tag) else Response(body, media_type=JSON, headers=headers)


HANDLERS: Final[list[ControllerRouterHandler]] = [audit_page, audit_certificate]


def _contents(audit: PriceAudit) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(audit.certificate)
    return found
