"""Details, review with the agreement step, and the one act that places the order."""

import uuid
from collections.abc import Sequence
from typing import Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.details import DetailsRefused
from accounts.tax import COUNTRIES
from agreements.model import DeclineReason, DocumentVersion, Presentation
from agreements.service import (
    BoxNotTicked,
    JobTitleMissing,
    PresentationConsumed,
    PresentationForeign,
    PresentationNotFound,
    PresentationStale,
    SignatoryRequired,
    UnusableComment,
)
from catalog.stock import InsufficientStock
from checkout.charging import TotalNotChargeable
from checkout.checkouts import (
    AccountNeeded,
    CartEmpty,
    CartNotOrderable,
    CheckoutFrozen,
    DetailsMissing,
    EmailNotVerified,
    PriceChanged,
)
from checkout.credit import CreditExceeded, CreditUnavailable
from checkout.model import Order, Paying, ShipTo
from checkout.needs import ApprovalNeeded, SignaturesNeeded
from checkout.offer import Delivery
from checkout.payments import OrderNotPayable, PaymentUnavailable, PaymentUncertain
from checkout.states import EventRefused, State
from checkout.stripe_gateway import StripeUnavailable
from checkout.tax import vat_number
from checkout.views import CheckoutView, Details
from kernel.db import for_staff
from kernel.errors import DomainError
from web.countries import country_options
from web.evidence import stylesheet_digest, template_digest
from web.http import (
    AnyRequest,
    Form,
    Html,
    address_of,
    locale_of,
    principal_of,
    read_form,
    services_of,
    user_agent_of,
)
from web.pages import page, redirect
from web.sentences import field_errors, sentence
from web.shop.cart import show_cart

REVIEW_TEMPLATE: Final = "checkout/review.html"
ADDRESS_FIELDS: Final = tuple(ShipTo.__struct_fields__)
ADDRESSES_OFFERED: Final = 3
SHOWN_AFRESH: Final = (
    PriceChanged,
    PresentationStale,
    PresentationForeign,
    PresentationNotFound,
    InsufficientStock,
    CreditExceeded,
    CreditUnavailable,
)
"""Nothing was ordered: the review page says why, and asks again about what it shows now."""


# --- details ----------------------------------------------------------------------------------------------------------


@get("/checkout/details", include_in_schema=False, summary="Where to deliver")
async def details_page(request: AnyRequest) -> Html:
    services, principal = services_of(request), principal_of(request)
    checkout = await services.checkouts.find(principal)
    earlier = await _earlier_addresses(request)
    chosen = next((ship_to for number, ship_to in earlier if number == request.query_params.get("from")), None)
    saved = None if checkout is None else checkout.ship_to
    ship_to = chosen or saved or (earlier[0][1] if earlier else None)
    services.journey.note("checkout_step_seen", journey=principal.visitor_id, step="details")
    return await _details(request, _typed_before(request, checkout, ship_to), earlier=earlier)


@post("/checkout/details", include_in_schema=False, summary="Where to deliver")
async def save_details(request: AnyRequest) -> Html:
    """Keep the details and go on to the review; `show` only prices the typed country."""
    form, services = await read_form(request), services_of(request)
    principal, locale = principal_of(request), locale_of(request)
    if form.has("show"):
        return await _details(request, form.as_dict())
    try:
        await services.checkouts.save_details(principal, _details_of(form), locale=locale)
    except CartEmpty:
        return redirect("/cart")
    except DetailsRefused as error:
        return await _details(request, form.as_dict(), errors=field_errors(error, locale), status=422)
    return redirect("/checkout/review")


async def _details(
    request: AnyRequest,
    values: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
    earlier: Sequence[tuple[str, ShipTo]] | None = None,
) -> Html:
    """The form with the totals as for what stands in it."""
    services, principal, locale = services_of(request), principal_of(request), locale_of(request)
    typed = None
    if values.get("ship_to.country") in COUNTRIES:
        typed = Delivery(
            country=values["ship_to.country"],
            postal_code=values.get("ship_to.postal_code", "").strip(),
            tax_id=_vat_number(values.get("tax_id", ""), principal.company.country if principal.company else None),
            assumed=False,
        )
    cart = await services.carts.priced(principal, typed=typed)
    if not cart.lines:
        return redirect("/cart")
    if errors:
        services.journey.note("error_shown", journey=principal.visitor_id, step="details", fields=sorted(errors))
    return page(
        request,
        "checkout/details.html",
        status=status,
        cart=cart,
        values=values,
        errors=errors or {},
        countries=country_options(locale),
        country_name=dict(country_options(locale)).get(cart.country, cart.country),
        earlier=await _earlier_addresses(request) if earlier is None else earlier,
        tax_number=None if typed is None else vat_number(typed.tax_id),
        step="details",
    )


def _details_of(form: Form) -> Details:
    return Details(
        ship_to=ShipTo(**{field: form.get(f"ship_to.{field}") for field in ADDRESS_FIELDS}),
        email=form.get("email") or None,
        po_number=form.get("po_number") or None,
        tax_id=form.get("tax_id") or None,
    )


def _typed_before(request: AnyRequest, checkout: CheckoutView | None, ship_to: ShipTo | None) -> dict[str, str]:
    """What the form begins with: nothing that is known is asked again."""
    company = principal_of(request).company
    values = {"ship_to.country": "ES" if company is None else company.country}
    if company is not None:
        values |= {"ship_to.name": company.name, "tax_id": company.tax_id or ""}
    if checkout is not None:
        known = {"po_number": checkout.po_number, "tax_id": checkout.tax_id, "email": checkout.email}
        values |= {field: text for field, text in known.items() if text is not None}
    if ship_to is not None:
        values |= {f"ship_to.{field}": getattr(ship_to, field) for field in ADDRESS_FIELDS}
    return values


async def _earlier_addresses(request: AnyRequest) -> list[tuple[str, ShipTo]]:
    """The company's last different addresses, each by the number of an order that went there."""
    found: dict[ShipTo, str] = {}
    for order in await services_of(request).orders.list_orders(principal_of(request), limit=20):
        found.setdefault(msgspec.convert(order.ship_to, ShipTo), order.number)
    return [(number, ship_to) for ship_to, number in found.items()][:ADDRESSES_OFFERED]


def _vat_number(text: str, country: str | None) -> str | None:
    """The typed tax id as it will count; the country's prefix may be missing."""
    for candidate in (text, (country or "") + text):
        if (number := vat_number(candidate.strip() or None)) is not None:
            return number
    return text.strip() or None


# --- review and the act -----------------------------------------------------------------------------------------------


@get("/checkout/review", include_in_schema=False, summary="Check, agree and order")
async def review_page(request: AnyRequest) -> Html:
    services_of(request).journey.note("checkout_step_seen", journey=principal_of(request).visitor_id, step="review")
    return await show_review(request)


@post("/checkout/paying", include_in_schema=False, summary="Choose to pay now or by invoice")
async def choose_paying(request: AnyRequest) -> Html:
    form, services = await read_form(request), services_of(request)
    paying = Paying.ON_TERMS if form.get("paying") == Paying.ON_TERMS else Paying.NOW
    try:
        await services.checkouts.choose_paying(principal_of(request), paying, locale=locale_of(request))
    except CreditUnavailable as error:
        return await show_review(request, refused=error, status=409)
    except (AccountNeeded, EmailNotVerified, CartEmpty) as error:
        return await elsewhere(request, error)
    return redirect("/checkout/review#paying")


@post("/checkout/orders", include_in_schema=False, summary="Place the order")
async def place_order(request: AnyRequest) -> Html:
    """Place what was shown and lead to the payment page. Sent twice it is one order; posted amounts are ignored."""
    form, services, principal = await read_form(request), services_of(request), principal_of(request)
    job_title = form.get("job_title")
    try:
        order = await services.checkouts.place(
            principal,
            presentation_id=presentation_id_of(form),
            ticked=frozenset(name for name, value in form.as_dict().items() if value == "yes"),
            job_title=job_title,
            ip=address_of(request),
            user_agent=user_agent_of(request),
        )
    except BoxNotTicked as error:
        said = sentence(error, locale_of(request))
        errors = dict.fromkeys(msgspec.convert(error.extra["boxes"], list[str]), said)
        if not job_title:
            errors["job_title"] = sentence(JobTitleMissing(""), locale_of(request))
        return await show_review(request, errors=errors, job_title=job_title, status=422)
    except JobTitleMissing as error:
        errors = {"job_title": sentence(error, locale_of(request))}
        return await show_review(request, errors=errors, job_title=job_title, status=422)
    except SHOWN_AFRESH as error:
        return await show_review(request, refused=error, job_title=job_title, status=409)
    except PresentationConsumed as error:
        order = await services.orders.find_order_by_id(principal, error.order_id)
    except (
        *(AccountNeeded, EmailNotVerified, CartEmpty, DetailsMissing, SignatoryRequired),
        *(CartNotOrderable, ApprovalNeeded, SignaturesNeeded, CheckoutFrozen),
    ) as error:
        return await elsewhere(request, error)
    return await lead_on(request, order)


async def show_review(
    request: AnyRequest,
    *,
    errors: dict[str, str] | None = None,
    refused: DomainError | None = None,
    job_title: str | None = None,
    status: int = 200,
) -> Html:
    """The order as it is now, with a new presentation. No box is ever ticked, after an error neither."""
    services, principal = services_of(request), principal_of(request)
    try:
        review = await services.checkouts.review(
            principal,
            locale=locale_of(request),
            template_digest=template_digest(REVIEW_TEMPLATE),
            stylesheet_digest=stylesheet_digest(),
        )
    except (
        *(AccountNeeded, EmailNotVerified, CartEmpty, DetailsMissing, SignatoryRequired),
        *(CartNotOrderable, TotalNotChargeable, ApprovalNeeded, SignaturesNeeded, EventRefused),
    ) as error:
        return await elsewhere(request, error)
    if errors or refused:
        fields = sorted(errors) if errors else [refused.problem if refused else ""]
        services.journey.note("error_shown", journey=principal.visitor_id, step="review", fields=fields)
    return page(
        request,
        REVIEW_TEMPLATE,
        status=status,
        review=review,
        cart=review.cart,
        presentation=review.presentation,
        documents=await presented_documents(request, review.presentation),
        errors=errors or {},
        refused=None if refused is None else sentence(refused, locale_of(request)),
        refused_problem=None if refused is None else refused.problem,
        changed=() if refused is None else msgspec.convert(refused.extra.get("changed", ()), tuple[str, ...]),
        country_name=country_name_of(request, review.checkout),
        job_title=principal.job_title or "" if job_title is None else job_title,
        reasons=DeclineReason,
        step="review",
    )


async def lead_on(request: AnyRequest, order: Order) -> Html:
    """Where an order that was just placed goes on."""
    if order.state is State.ON_TERMS:
        return redirect(f"/orders/{order.number}")
    return await lead_to_payment(request, order.number)


async def lead_to_payment(request: AnyRequest, number: str) -> Html:
    """To the hosted payment page, or where there is none now to the order, which says so."""
    try:
        url = await services_of(request).payments.start(principal_of(request), number)
    except (OrderNotPayable, PaymentUncertain):
        return redirect(f"/orders/{number}")
    except (PaymentUnavailable, StripeUnavailable):
        return redirect(f"/orders/{number}?payment=unavailable")
    return redirect(url)


async def presented_documents(request: AnyRequest, presentation: Presentation) -> list[DocumentVersion]:
    """The texts behind a presentation, the very versions it names."""
    services = services_of(request)
    async with services.db.reading(for_staff()) as session:
        return [
            await services.agreements.version(session, document.code, document.label, document.locale)
            for document in presentation.documents
        ]


async def elsewhere(request: AnyRequest, error: DomainError) -> Html:
    """Where the buyer goes on when there is nothing to review yet."""
    match error:
        case AccountNeeded():
            return redirect("/signup?next=/checkout/review")
        case EmailNotVerified():
            return redirect("/verify-email?next=/checkout/review")
        case CartEmpty():
            return redirect("/cart")
        case DetailsMissing():
            return redirect("/checkout/details")
        case SignatoryRequired() | ApprovalNeeded():
            return redirect("/checkout/approval")
        case SignaturesNeeded():
            return redirect("/checkout/signatures")
        case EventRefused() | CheckoutFrozen():
            return redirect("/account/approvals")
        case _:
            errors = {"quick-sku": sentence(error, locale_of(request))}
            return await show_cart(request, errors=errors, status=409)


def country_name_of(request: AnyRequest, checkout: CheckoutView) -> str:
    assert checkout.ship_to is not None, "a reviewed checkout has an address"
    country = checkout.ship_to.country
    return dict(country_options(locale_of(request))).get(country, country)


def presentation_id_of(form: Form) -> uuid.UUID:
    """:raises PresentationNotFound: when the form names none"""
    try:
        return uuid.UUID(form.get("presentation"))
    except ValueError:
        raise PresentationNotFound("There is no such agreement to accept; open the review page again.") from None


# --- saying no, and asking the lawyers --------------------------------------------------------------------------------


@post("/checkout/decline", include_in_schema=False, summary="Decline the agreements")
async def decline(request: AnyRequest) -> Html:
    form, services, locale = await read_form(request), services_of(request), locale_of(request)
    reason = form.get("reason")
    if reason not in set(DeclineReason):
        return await show_review(request, errors={"reason": sentence(_ReasonMissing(""), locale)}, status=422)
    try:
        await services.checkouts.decline(
            principal_of(request),
            presentation_id=presentation_id_of(form),
            reason=DeclineReason(reason),
            comment=form.get("comment"),
        )
    except UnusableComment as error:
        return await show_review(request, errors={"comment": sentence(error, locale)}, status=422)
    except PresentationNotFound as error:
        return await show_review(request, refused=error, status=409)
    except PresentationConsumed as error:
        return await _to_the_order(request, error)
    return redirect("/checkout/declined")


@get("/checkout/declined", include_in_schema=False, summary="Declined: what now")
async def declined_page(request: AnyRequest) -> Html:
    return page(request, "checkout/declined.html")


@post("/checkout/legal-review", include_in_schema=False, summary="Make a link for the legal team")
async def send_to_legal(request: AnyRequest) -> Html:
    """The link is shown on this very answer, once: only a digest of it is kept."""
    form, services = await read_form(request), services_of(request)
    try:
        review, token = await services.checkouts.send_to_legal(
            principal_of(request), presentation_id=presentation_id_of(form)
        )
    except PresentationNotFound as error:
        return await show_review(request, refused=error, status=409)
    except PresentationConsumed as error:
        return await _to_the_order(request, error)
    link = f"{services.settings.base_url}/legal-review/{token}"
    return page(request, "checkout/legal_link.html", link=link, expires_at=review.expires_at)


@get("/legal-review/{token:str}", include_in_schema=False, summary="What a buyer is asked to agree to, read-only")
async def legal_review(request: AnyRequest, token: FromPath[str]) -> Html:
    services = services_of(request)
    async with services.db.begin(for_staff()) as session:  # the reader has no account: the token lets them in
        presentation = await services.agreements.open_review(session, token)
    return page(
        request,
        "checkout/legal_review.html",
        presentation=presentation,
        order=presentation.order_content,
        documents=await presented_documents(request, presentation),
        headers={"x-robots-tag": "noindex"},
    )


class _ReasonMissing(DomainError):
    problem = "reason-missing"
    title = "Say why"


async def _to_the_order(request: AnyRequest, consumed: PresentationConsumed) -> Html:
    order = await services_of(request).orders.find_order_by_id(principal_of(request), consumed.order_id)
    return redirect(f"/orders/{order.number}")


HANDLERS: list[ControllerRouterHandler] = [
    details_page,
    save_details,
    review_page,
    choose_paying,
    place_order,
    decline,
    declined_page,
    send_to_legal,
    legal_review,
]
