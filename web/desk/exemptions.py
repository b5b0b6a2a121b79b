"""Exemption certificates that buyers name: finance looks, and accepts, refuses or withdraws with a word on it."""

import uuid
from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.exemption_model import CertificateState
from accounts.exemptions import CertificateReviewed, CertificateUnknown
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

NOTE_LONGEST: Final = 300
REVIEWS: Final = (CertificateState.ACCEPTED, CertificateState.REFUSED, CertificateState.WITHDRAWN)


@get("/desk/exemptions", include_in_schema=False, summary="Exemption certificates of buyers")
async def exemptions(request: AnyRequest) -> Html:
    return await _show(request)


@post(
    "/desk/exemptions/{certificate:uuid}", include_in_schema=False, summary="Accept, refuse or withdraw a certificate"
)
async def review(request: AnyRequest, certificate: FromPath[uuid.UUID]) -> Html:
    typed = Typed(await read_form(request), locale_of(request))
    state = typed.choice("state", [each.value for each in REVIEWS])
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors:
        return await _show(request, refusal=next(iter(typed.errors.values())), of=certificate, status=422)
    try:
        await services_of(request).exemptions.review(
            principal_of(request), certificate, state=CertificateState(state), note=note
        )
    except (CertificateReviewed, CertificateUnknown) as error:
        status = 404 if isinstance(error, CertificateUnknown) else 409
        return await _show(request, refusal=sentence(error, typed.locale), of=certificate, status=status)
    return redirect("/desk/exemptions")


HANDLERS: Final[list[ControllerRouterHandler]] = [exemptions, review]


async def _show(request: AnyRequest, *, refusal: str = "", of: uuid.UUID | None = None, status: int = 200) -> Html:
    services = services_of(request)
    waiting, reviewed = await services.exemptions.list_to_review(), await services.exemptions.list_reviewed()
    return page(
        request,
        "desk/exemptions.html",
        status=status,
        waiting=waiting,
        reviewed=reviewed,
        names=await names_of(services, [each.certificate.reviewed_by for each in reviewed]),
        today=services.clock.now().date(),
        refusal=refusal,
        of=of,
        words=Words(locale_of(request)),
    )
