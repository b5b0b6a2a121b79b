"""Several signatures: the buyer names who signs, each signs on a page of their own, the last one places the order."""

import uuid

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.package_states import PackageEventRefused
from checkout.packages import SignatoriesRefused, SignaturesNotNeeded
from checkout.states import EventRefused
from web import signing
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import sentence
from web.shop.approvals import BEFORE_REVIEW
from web.shop.checkout import country_name_of, elsewhere

TEMPLATE = "account/package.html"
BASE = "/account/packages"


@get("/checkout/signatures", include_in_schema=False, summary="Send an order for signature")
async def plan_page(request: AnyRequest) -> Html:
    return await _plan(request)


@post("/checkout/signatures", include_in_schema=False, summary="Send an order for signature")
async def send(request: AnyRequest) -> Html:
    form, locale = await read_form(request), locale_of(request)
    chosen = form.all("signatory")
    try:
        package = await services_of(request).packages.send(principal_of(request), _ids(chosen), locale=locale)
    except SignatoriesRefused as error:
        return await _plan(request, chosen=chosen, errors={"signatory": sentence(error, locale)}, status=422)
    except SignaturesNotNeeded:
        return redirect("/checkout/review")
    except EventRefused:
        return redirect("/account/approvals")
    except BEFORE_REVIEW as error:
        return await elsewhere(request, error)
    return redirect(f"{BASE}/{package.id}")


async def _plan(
    request: AnyRequest, *, chosen: tuple[str, ...] = (), errors: dict[str, str] | None = None, status: int = 200
) -> Html:
    try:
        plan = await services_of(request).packages.look(principal_of(request), locale=locale_of(request))
    except SignaturesNotNeeded:
        return redirect("/checkout/review")
    except EventRefused:
        return redirect(BASE)
    except BEFORE_REVIEW as error:
        return await elsewhere(request, error)
    return page(
        request,
        "checkout/signatures.html",
        status=status,
        plan=plan,
        cart=plan.cart,
        chosen=chosen,
        country_name=country_name_of(request, plan.checkout),
        errors=errors or {},
        step="review",
    )


@get("/account/packages", include_in_schema=False, summary="Orders that several people sign")
async def package_list(request: AnyRequest) -> Html:
    return page(
        request,
        "account/packages.html",
        packages=await services_of(request).packages.list_packages(principal_of(request)),
        words=signing.STATE_WORDS,
        tones=signing.TONES,
    )


@get("/account/packages/{package_id:uuid}", include_in_schema=False, summary="An order to sign")
async def package_page(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.show(request, TEMPLATE, package_id)


@post("/account/packages/{package_id:uuid}/signature", include_in_schema=False, summary="Sign an order")
async def sign(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.sign(request, TEMPLATE, package_id, base=BASE)


@post("/account/packages/{package_id:uuid}/refusal", include_in_schema=False, summary="Do not sign")
async def decline(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.decline(request, TEMPLATE, package_id, base=BASE)


@post("/account/packages/{package_id:uuid}/withdrawal", include_in_schema=False, summary="Take a package back")
async def withdraw(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).packages.withdraw(principal_of(request), package_id)
    except PackageEventRefused as error:
        return await signing.show(request, TEMPLATE, package_id, refused=error, status=409)
    return redirect("/cart")


@post(
    "/account/packages/{package_id:uuid}/parties/{party_id:uuid}/invitation",
    include_in_schema=False,
    summary="Send a new link",
)
async def invite_anew(request: AnyRequest, package_id: FromPath[uuid.UUID], party_id: FromPath[uuid.UUID]) -> Html:
    await services_of(request).packages.invite_anew(principal_of(request), package_id, party_id)
    return redirect(f"{BASE}/{package_id}")


@get("/account/packages/{package_id:uuid}/signed.pdf", include_in_schema=False, summary="The signed document")
async def signed_pdf(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Response[bytes]:
    packages = services_of(request).packages
    return await signing.pdf(request, lambda: packages.find(principal_of(request), package_id))


@get("/account/packages/{package_id:uuid}/evidence.json", include_in_schema=False, summary="The signatures' evidence")
async def evidence(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Response[bytes]:
    return await signing.evidence(request, package_id)


@get("/signing/{token:str}", include_in_schema=False, summary="What somebody is asked to sign, read-only")
async def signing_page(request: AnyRequest, token: FromPath[str]) -> Html:
    standing = await services_of(request).packages.read(token)
    return page(
        request,
        "account/signing.html",
        standing=standing,
        token=token,
        documents=await signing.documents_of(request, standing),
        words=signing.STATE_WORDS,
        tones=signing.TONES,
        role_words=signing.ROLE_WORDS,
        headers={"x-robots-tag": "noindex"},
    )


@get("/signing/{token:str}/signed.pdf", include_in_schema=False, summary="The signed document, by link")
async def signed_pdf_by_link(request: AnyRequest, token: FromPath[str]) -> Response[bytes]:
    return await signing.pdf(request, lambda: services_of(request).packages.read(token))


def _ids(texts: tuple[str, ...]) -> list[uuid.UUID]:
    found = []
    for text in texts:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue  # none of the boxes we drew
    return found


HANDLERS: list[ControllerRouterHandler] = [
    plan_page,
    send,
    package_list,
    package_page,
    sign,
    decline,
    withdraw,
    invite_anew,
    signed_pdf,
    evidence,
    signing_page,
    signed_pdf_by_link,
]
