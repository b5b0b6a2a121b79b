"""The legal desk's counter-signatures, and when the seller asks for them."""

import uuid

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.details import DetailsRefused
from agreements.packages import Selling
from kernel.errors import DomainError
from kernel.money import Money
from web import signing
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import field_errors, sentence_of

TEMPLATE = "desk/signature.html"
BASE = "/desk/signatures"


@get("/desk/signatures", include_in_schema=False, summary="Orders that the seller counter-signs")
async def signature_list(request: AnyRequest) -> Html:
    return await _list(request)


@post("/desk/signatures/policy", include_in_schema=False, summary="Change when the seller counter-signs")
async def change_policy(request: AnyRequest) -> Html:
    form, locale = await read_form(request), locale_of(request)
    try:
        policy = Selling(
            above=tuple(_amount(line) for line in form.get("above").splitlines() if line.strip()),
            documents=frozenset(form.all("document")),
            copies=tuple(line.strip().lower() for line in form.get("copies").splitlines() if line.strip()),
        )
        await services_of(request).selling_policies.change(principal_of(request), policy)
    except DetailsRefused as error:
        return await _list(request, form=form, errors=field_errors(error, locale), status=422)
    except (DomainError, msgspec.ValidationError, ValueError):
        said = sentence_of("amount-malformed", "Write amounts like 10000.00 EUR, one on each line.", {}, locale)
        return await _list(request, form=form, errors={"above": said}, status=422)
    return redirect(f"{BASE}?saved=yes")


@get("/desk/signatures/{package_id:uuid}", include_in_schema=False, summary="An order to counter-sign")
async def signature_page(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.show(request, TEMPLATE, package_id)


@post("/desk/signatures/{package_id:uuid}/signature", include_in_schema=False, summary="Counter-sign an order")
async def counter_sign(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.sign(request, TEMPLATE, package_id, base=BASE)


@post("/desk/signatures/{package_id:uuid}/refusal", include_in_schema=False, summary="Do not counter-sign")
async def decline(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Html:
    return await signing.decline(request, TEMPLATE, package_id, base=BASE)


@get("/desk/signatures/{package_id:uuid}/signed.pdf", include_in_schema=False, summary="The signed document")
async def signed_pdf(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Response[bytes]:
    packages = services_of(request).packages
    return await signing.pdf(request, lambda: packages.find(principal_of(request), package_id))


@get("/desk/signatures/{package_id:uuid}/evidence.json", include_in_schema=False, summary="The signatures' evidence")
async def evidence(request: AnyRequest, package_id: FromPath[uuid.UUID]) -> Response[bytes]:
    return await signing.evidence(request, package_id)


async def _list(
    request: AnyRequest, *, form: Form | None = None, errors: dict[str, str] | None = None, status: int = 200
) -> Html:
    services = services_of(request)
    policy, codes = await services.selling_policies.find()
    values = {
        "above": "\n".join(f"{each.decimal} {each.currency}" for each in policy.above),
        "copies": "\n".join(policy.copies),
    }
    chosen = policy.documents
    if form is not None:
        values, chosen = values | form.as_dict(), frozenset(form.all("document"))
    return page(
        request,
        "desk/signatures.html",
        status=status,
        packages=await services.packages.list_packages(principal_of(request)),
        words=signing.STATE_WORDS,
        tones=signing.TONES,
        codes=codes,
        chosen=chosen,
        values=values,
        errors=errors or {},
        saved=request.query_params.get("saved") == "yes",
    )


def _amount(line: str) -> Money:
    amount, currency = line.split()
    return Money.parse(amount, currency.upper())


HANDLERS: list[ControllerRouterHandler] = [
    signature_list,
    change_policy,
    signature_page,
    counter_sign,
    decline,
    signed_pdf,
    evidence,
]
