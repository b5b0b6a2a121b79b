"""What pages of buyers and of the desk share about packages that several people sign."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from litestar import Response

from agreements.model import DocumentVersion, PresentedDocument
from agreements.package_model import ClosingReason
from agreements.package_pdf import sealed_pdf
from agreements.package_states import PackageEventRefused, PackageState, PartyRole
from agreements.packages import NotYourTurn, PackageStale, PackageUnknown, Signer, TypedNameMissing
from agreements.service import BoxNotTicked, JobTitleMissing, SignatoryRequired, UnusableComment
from agreements.wording_signing import declared
from catalog.stock import InsufficientStock
from checkout.checkouts import CartNotOrderable, PriceChanged
from checkout.credit import CreditExceeded, CreditUnavailable
from checkout.packages import Standing
from kernel.canonical import canonical_json
from kernel.db import for_staff
from kernel.errors import DomainError
from web.evidence import stylesheet_digest, template_digest
from web.http import (
    AnyRequest,
    Html,
    address_of,
    locale_of,
    principal_of,
    read_form,
    services_of,
    user_agent_of,
)
from web.pages import page, redirect, translations
from web.sentences import N_, sentence

REFUSED: Final = (
    *(NotYourTurn, PackageStale, SignatoryRequired, PackageEventRefused),
    *(InsufficientStock, CartNotOrderable, PriceChanged, CreditExceeded, CreditUnavailable),
)
STATE_WORDS: Final[dict[PackageState, str]] = {
    PackageState.DRAFT: N_("being drawn up"),
    PackageState.BUYER_SIGNING: N_("the buyer signs"),
    PackageState.APPROVAL: N_("waiting for approval"),
    PackageState.COUNTERSIGN: N_("the seller counter-signs"),
    PackageState.EXECUTED: N_("signed by all"),
    PackageState.DECLINED: N_("declined"),
    PackageState.EXPIRED: N_("expired"),
    PackageState.VOIDED: N_("taken back"),
}
TONES: Final[dict[PackageState, str]] = {
    PackageState.EXECUTED: "good",
    PackageState.DECLINED: "bad",
    PackageState.EXPIRED: "bad",
}
ROLE_WORDS: Final[dict[PartyRole, str]] = {
    PartyRole.BUYER_SIGNATORY: N_("Signatory"),
    PartyRole.APPROVER: N_("Approver"),
    PartyRole.COUNTER_SIGNER: N_("Seller"),
    PartyRole.COPY: N_("Copy"),
}
REASON_WORDS: Final[tuple[tuple[ClosingReason, str], ...]] = (
    (ClosingReason.TERMS, N_("The terms")),
    (ClosingReason.NOT_AUTHORISED, N_("I may not decide this")),
    (ClosingReason.PRICE, N_("The price")),
    (ClosingReason.NEEDS_LEGAL_REVIEW, N_("Our lawyers have to look at it")),
    (ClosingReason.OTHER, N_("Something else")),
)


async def show(
    request: AnyRequest,
    template: str,
    package_id: uuid.UUID,
    *,
    errors: dict[str, str] | None = None,
    values: dict[str, str] | None = None,
    refused: DomainError | None = None,
    status: int = 200,
) -> Html:
    """A package as its reader finds it, with the form where it is their turn. No box is ever ticked."""
    principal, locale = principal_of(request), locale_of(request)
    standing = await services_of(request).packages.find(principal, package_id)
    says = None
    if standing.turn is not None:
        content = standing.package.content
        says = declared(
            locale,
            standing.turn.role,
            company=content["company_name"],
            seller=content["seller_name"],
            documents=[f"{each['title']} v{each['label']}" for each in content["documents"]],
        )
    words = {"title": principal.job_title or "", "typed_name": "", "reason": ClosingReason.TERMS.value}
    return page(
        request,
        template,
        status=status,
        standing=standing,
        says=says,
        documents=await documents_of(request, standing),
        words=STATE_WORDS,
        tones=TONES,
        role_words=ROLE_WORDS,
        reason_words=[(reason.value, _said(words, locale)) for reason, words in REASON_WORDS],
        errors=errors or {},
        values=words | (values or {}),
        refused=None if refused is None else sentence(refused, locale),
    )


async def sign(request: AnyRequest, template: str, package_id: uuid.UUID, *, base: str) -> Html:
    """Sign what the page showed, then show how it stands."""
    form, principal, locale = await read_form(request), principal_of(request), locale_of(request)
    assert principal.person_id is not None, "the role table lets in people only"
    signer = Signer(
        person_id=principal.person_id,
        name=principal.name or "",
        email=principal.email or "",
        typed_name=form.get("typed_name"),
        title=form.get("title"),
        ticked=frozenset(name for name, value in form.as_dict().items() if value == "yes"),
        locale=locale,
        template_digest=template_digest(template),
        stylesheet_digest=stylesheet_digest(),
        ip=address_of(request),
        user_agent=user_agent_of(request),
    )

    async def shown(
        errors: dict[str, str] | None = None, refused: DomainError | None = None, status: int = 422
    ) -> Html:
        typed = {"typed_name": signer.typed_name, "title": signer.title}
        return await show(request, template, package_id, errors=errors, values=typed, refused=refused, status=status)

    try:
        await services_of(request).packages.sign(principal, package_id, signer, shown_digest=form.get("digest"))
    except BoxNotTicked as error:
        said = sentence(error, locale)
        return await shown(dict.fromkeys(msgspec.convert(error.extra["boxes"], list[str]), said))
    except TypedNameMissing as error:
        return await shown({"typed_name": sentence(error, locale)})
    except JobTitleMissing as error:
        return await shown({"title": sentence(error, locale)})
    except REFUSED as error:
        return await shown(refused=error, status=409)
    return redirect(f"{base}/{package_id}")


async def decline(request: AnyRequest, template: str, package_id: uuid.UUID, *, base: str) -> Html:
    form, locale = await read_form(request), locale_of(request)
    reason, typed = form.get("reason"), {"note": form.get("note"), "reason": form.get("reason")}
    if reason not in {each.value for each, _ in REASON_WORDS}:
        reason = ClosingReason.OTHER.value
    try:
        await services_of(request).packages.decline(
            principal_of(request), package_id, reason=ClosingReason(reason), comment=form.get("note")
        )
    except UnusableComment as error:
        errors = {"note": sentence(error, locale)}
        return await show(request, template, package_id, errors=errors, values=typed, status=422)
    except REFUSED as error:
        return await show(request, template, package_id, refused=error, status=409)
    return redirect(f"{base}/{package_id}")


async def pdf(request: AnyRequest, find: Callable[[], Awaitable[Standing]]) -> Response[bytes]:
    """The one sealed document of a package that its reader may see.

    :raises PackageUnknown: unless all have signed
    """
    services, standing = services_of(request), await find()
    if standing.order_number is None:
        raise PackageUnknown("There is no signed document: not everybody has signed.")
    async with services.db.reading(for_staff()) as session:  # whoever asks was found to take part
        made = await sealed_pdf(session, standing.package, services.keyring, now=services.clock.now())
    return Response(
        made,
        media_type="application/pdf",
        headers={"content-disposition": f'attachment; filename="signed-{standing.order_number}.pdf"'},
    )


async def evidence(request: AnyRequest, package_id: uuid.UUID) -> Response[bytes]:
    """The receipt of the order that the signatures made, which `verify.py` checks.

    :raises PackageUnknown: unless all have signed and the reader takes part
    """
    services = services_of(request)
    standing = await services.packages.find(principal_of(request), package_id)
    if standing.package.order_id is None:
        raise PackageUnknown("There is no evidence yet: not everybody has signed.")
    async with services.db.begin(for_staff()) as session:  # whoever asks was found to take part
        made = await services.agreements.receipt(session, standing.package.order_id)
    return Response(
        canonical_json(made),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="signed-{standing.order_number}.json"'},
    )


async def documents_of(request: AnyRequest, standing: Standing) -> list[DocumentVersion]:
    """The texts under the digest, the very versions it names."""
    services = services_of(request)
    named = msgspec.convert(standing.package.content["documents"], tuple[PresentedDocument, ...])
    async with services.db.reading(for_staff()) as session:
        return [await services.agreements.version(session, each.code, each.label, each.locale) for each in named]


def _said(words: str, locale: str) -> str:
    return translations(locale).gettext(words)
