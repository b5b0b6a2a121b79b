"""The agreements' texts, for anybody to read and print, and what is needed to verify a receipt."""

from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

import agreements.verify
import pricing.verify_quote
from agreements.asking import Asked, choose_all
from agreements.keys import published
from checkout.tax import HOME
from kernel.canonical import canonical_json
from kernel.db import for_staff
from kernel.jws import key_set
from kernel.signing import Purpose
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page
from web.verifier import verifier

PROGRAM: Final = Path(agreements.verify.__file__).read_bytes()
QUOTE_PROGRAM: Final = Path(pricing.verify_quote.__file__).read_bytes()
SHOWN_KEYS: Final = (Purpose.LEDGER, Purpose.PRESENTATION, Purpose.PUBLICATION, Purpose.SEAL)


@get("/documents", include_in_schema=False, summary="Terms and privacy: what is in force")
async def document_list(request: AnyRequest) -> Html:
    services, company = services_of(request), principal_of(request).company
    country = HOME if company is None else company.country
    async with services.db.reading(for_staff()) as session:
        versions = await services.agreements.required(session, country, locale_of(request))
        every = await choose_all(
            session,
            Asked(country=country, company=None if company is None else company.code),
            locale_of(request),
            now=services.clock.now(),
        )
    always = {version.document.code for version in versions}
    some = [version for version in every.versions if version.document.code not in always]
    return page(request, "documents/list.html", versions=versions, some=some)


@get(
    "/documents/{code:str}/{label:str}/{language:str}",
    include_in_schema=False,
    summary="One version, to read and print",
)
async def document_page(
    request: AnyRequest, code: FromPath[str], label: FromPath[str], language: FromPath[str]
) -> Html:
    """Every version that was ever published can be read, withdrawn ones too: somebody may have accepted it."""
    services = services_of(request)
    async with services.db.reading(for_staff()) as session:
        version = await services.agreements.version(session, code, label, language)
    return page(request, "documents/document.html", version=version)


@get("/verify.py", include_in_schema=False, summary="The program that verifies receipts")
async def verify_program() -> Response[bytes]:
    return Response(
        PROGRAM,
        media_type="text/x-python",
        headers={"content-disposition": 'attachment; filename="verify.py"'},
    )


@get("/verify_quote.py", include_in_schema=False, summary="The program that verifies signed quotes")
async def verify_quote_program() -> Response[bytes]:
    return Response(
        QUOTE_PROGRAM,
        media_type="text/x-python",
        headers={"content-disposition": 'attachment; filename="verify_quote.py"'},
    )


@get("/tarifa-verify.pyz", include_in_schema=False, summary="The programs that verify quotes, prices, proofs and logs")
async def verifier_program() -> Response[bytes]:
    return Response(
        verifier(),
        media_type="application/zip",
        headers={"content-disposition": 'attachment; filename="tarifa-verify.pyz"'},
    )


@get("/.well-known/jwks.json", include_in_schema=False, summary="The public keys of signed quotes, as a JWK Set")
async def quote_keys(request: AnyRequest) -> Response[bytes]:
    return Response(canonical_json(key_set(services_of(request).keyring)), media_type="application/jwk-set+json")


@get("/.well-known/tarifa-keys.json", include_in_schema=False, summary="The public keys our signatures verify with")
async def public_keys(request: AnyRequest) -> Response[bytes]:
    """Retired ones included, for what they signed; announced ones too, before they sign."""
    keys = [published(key) for key in services_of(request).keyring.public_keys() if key.purpose in SHOWN_KEYS]
    return Response(canonical_json({"keys": keys}), media_type="application/json")


HANDLERS: list[ControllerRouterHandler] = [
    document_list,
    document_page,
    verify_program,
    verify_quote_program,
    verifier_program,
    quote_keys,
    public_keys,
]
