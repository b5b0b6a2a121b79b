"""What buyers' banks take back or ask about: what is due, the evidence we have to hand, and what was done."""

import uuid
from typing import Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.model import Acceptance
from checkout.disputes import DisputeFile, DisputeNotAnswerable, Evidence
from checkout.model import EventOutcome
from checkout.stripe_gateway import StripeUnavailable
from kernel.db import for_staff
from kernel.errors import DomainError
from kernel.money import Money
from web.access import Access, allows
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

ID_LONGEST: Final = 80
TEXT_LONGEST: Final = 15_000
LINE_LONGEST: Final = 500
LINES: Final = (
    ("customer_name", N_("Buyer")),
    ("customer_email_address", N_("Buyer's e-mail address")),
    ("product_description", N_("What was sold")),
    ("shipping_address", N_("Where it went")),
    ("shipping_carrier", N_("Carrier")),
    ("shipping_tracking_number", N_("Tracking number")),
    ("shipping_date", N_("Day it left")),
)
"""Stripe's names of evidence that is a line, and ours, for `_`."""


@get("/desk/disputes", include_in_schema=False, summary="Disputed payments")
async def disputes(request: AnyRequest) -> Html:
    return await _list(request)


@post("/desk/disputes", include_in_schema=False, summary="Fetch a dispute that nobody told us of")
async def fetch(request: AnyRequest) -> Html:
    typed = Typed(await read_form(request), locale_of(request))
    asked = typed.text("dispute", required=True, most=ID_LONGEST)
    if typed.errors:
        return await _list(request, typed, status=422)
    try:
        outcome, _ = await services_of(request).payments.disputes.hear(asked)
    except StripeUnavailable as error:
        return await _list(request, typed, refusal=sentence(error, typed.locale), status=503)
    if outcome is EventOutcome.PARKED:
        return await _list(request, typed, missing=True, status=404)
    return redirect("/desk/disputes")


@get("/desk/disputes/{dispute:uuid}", include_in_schema=False, summary="A disputed payment")
async def dispute(request: AnyRequest, dispute: FromPath[uuid.UUID]) -> Html:
    file = await services_of(request).payments.disputes.open(dispute)
    return await _show(request, file, Typed(Form([]), locale_of(request)))


@post("/desk/disputes/{dispute:uuid}/evidence", include_in_schema=False, summary="Send evidence to the bank")
async def evidence(request: AnyRequest, dispute: FromPath[uuid.UUID]) -> Html:
    """Typed, checked, then sent: it cannot be changed afterwards."""
    services = services_of(request)
    file = await services.payments.disputes.open(dispute)
    typed = Typed(await read_form(request), locale_of(request))
    lines = {name: typed.text(name, most=LINE_LONGEST) for name, _ in LINES}
    text = typed.text("uncategorized_text", required=True, most=TEXT_LONGEST)
    if typed.errors or typed.form.get("step") != "send":
        return await _show(request, file, typed, checking=not typed.errors and typed.form.get("step") == "check")
    told = Evidence(**lines, uncategorized_text=text)
    try:
        await services.payments.disputes.submit_evidence(principal_of(request), dispute, told)
    except DisputeNotAnswerable as error:
        return await _show(request, file, typed, refused=error)
    return redirect(f"/desk/disputes/{dispute}")


@post("/desk/disputes/{dispute:uuid}/concession", include_in_schema=False, summary="Tell the bank the buyer is right")
async def concession(request: AnyRequest, dispute: FromPath[uuid.UUID]) -> Html:
    services = services_of(request)
    file = await services.payments.disputes.open(dispute)
    typed = Typed(await read_form(request), locale_of(request))
    if typed.form.get("step") != "send":
        return await _show(request, file, typed, conceding=True)
    try:
        await services.payments.disputes.concede(principal_of(request), dispute)
    except DisputeNotAnswerable as error:
        return await _show(request, file, typed, refused=error)
    return redirect(f"/desk/disputes/{dispute}")


HANDLERS: Final[list[ControllerRouterHandler]] = [disputes, fetch, dispute, evidence, concession]


async def _list(
    request: AnyRequest, typed: Typed | None = None, *, refusal: str = "", missing: bool = False, status: int = 200
) -> Html:
    found = services_of(request).payments.disputes
    return page(
        request,
        "desk/disputes.html",
        status=status,
        undecided=await found.list_undecided(),
        decided=await found.list_decided(),
        finance=allows(Access.FINANCE, principal_of(request)),
        refusal=refusal,
        missing=missing,
        errors={} if typed is None else typed.errors,
        values={} if typed is None else {"dispute": typed.form.get("dispute")},
        words=Words(locale_of(request)),
    )


async def _show(
    request: AnyRequest,
    file: DisputeFile,
    typed: Typed,
    *,
    checking: bool = False,
    conceding: bool = False,
    refused: DomainError | None = None,
) -> Html:
    services = services_of(request)
    acceptance = None
    if file.order is not None:
        async with services.db.reading(for_staff()) as session:
            acceptance = await services.agreements.acceptance(session, file.order.id)
    names = [event.person_id for event in file.history] + ([] if acceptance is None else [acceptance.actor_id])
    known = await names_of(services, names)
    person = "" if acceptance is None else known[acceptance.actor_id]
    drafted = msgspec.to_builtins(_draft(file, acceptance, person))
    fields = [*(name for name, _ in LINES), "uncategorized_text"]
    typed_before = bool(typed.form.get("step")) and not conceding
    return page(
        request,
        "desk/dispute.html",
        status=409 if refused is not None else 422 if typed.errors else 200,
        file=file,
        dispute=file.dispute,
        order=file.order,
        acceptance=acceptance,
        lines=LINES,
        values={name: typed.form.get(name) if typed_before else drafted.get(name, "") for name in fields},
        errors=typed.errors,
        checking=checking,
        conceding=conceding,
        refusal="" if refused is None else sentence(refused, typed.locale),
        names=known,
        finance=allows(Access.FINANCE, principal_of(request)),
        text_longest=TEXT_LONGEST,
        money=Money,
        words=Words(typed.locale),
    )


def _draft(file: DisputeFile, acceptance: Acceptance | None, person: str) -> Evidence:
    """What we know, in English as banks read it: the order, where it went, and the act by which it was accepted."""
    order = file.order
    if order is None:
        return Evidence(uncategorized_text="This payment came for an order that is not ours.")
    ship_to = order.ship_to
    address = (
        ship_to["name"], ship_to["line1"], ship_to["line2"], f"{ship_to['postal_code']} {ship_to['city']}",
        ship_to["country"],
    )  # fmt: skip
    placed = f"{order.placed_at:%Y-%m-%d %H:%M} UTC"
    told = [f"Order {order.number} of {placed} over {order.total}, placed by {order.email}."]
    if order.po_number:
        told.append(f"The buyer named the purchase order {order.po_number}.")
    if acceptance is not None:
        told.append(
            f"{person} accepted it with our terms on {acceptance.accepted_at:%Y-%m-%d %H:%M:%S} UTC by ticking "
            f"{', '.join(acceptance.ticked)}. The order as accepted has the digest {acceptance.order_digest}; the "
            f"acceptance is row {acceptance.ledger_seq} of our signed ledger, whose receipt can be verified offline."
        )
    if order.paid_at is not None:
        told.append(f"It was paid on {order.paid_at:%Y-%m-%d %H:%M:%S} UTC on Stripe's own page.")
    goods = [f"{line['quantity']} {line['unit']} {line['sku']}" for line in order.canonical["lines"]]
    return Evidence(
        customer_name=person,
        customer_email_address=order.email,
        product_description=f"Order {order.number}: {', '.join(goods)}"[:LINE_LONGEST],
        shipping_address=", ".join(part for part in address if part),
        uncategorized_text="\n".join(told),
    )
