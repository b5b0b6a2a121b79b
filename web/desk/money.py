"""Where money needs a person: what does not agree with Stripe, open cases, refunds under way, events of no order."""

from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.reconciliations import NOTE_LONGEST, OF_NIGHTLY, EventUnknown
from checkout.stripe_gateway import StripeUnavailable
from kernel.money import Money
from web.access import Access, allows
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence


class Meaning(msgspec.Struct, frozen=True):
    """What a kind of break is, and what to do about it, for `_`."""

    what: str
    then: str


_OURS: Final = N_("Our own books contradict themselves. Have the program looked at before anything is changed by hand.")
_SOON: Final = N_("The shop finishes this by itself each minute. If it is still here in an hour, look at the order.")
_PERSON: Final = N_("Compare the order with Stripe's dashboard, and decide whose money it is.")
MEANINGS: Final = {
    "paid_but_unrecorded": Meaning(N_("Stripe has the money, we do not know of it"), _SOON),
    "recorded_but_unpaid": Meaning(N_("We say paid, Stripe does not"), _PERSON),
    "expired_but_live": Meaning(N_("Stripe has closed a payment page that we think is open"), _SOON),
    "waiting_but_unrecorded": Meaning(N_("A bank works on a payment at Stripe, we do not know of it"), _SOON),
    "failed_but_waiting": Meaning(N_("A payment has failed at Stripe, we still wait for it"), _SOON),
    "charge_uncertain": Meaning(
        N_("Nobody knows whether a kept card was charged"), N_("Look at Stripe's dashboard and decide: open it below.")
    ),
    "unknown_to_stripe": Meaning(N_("Stripe does not know a payment page of ours"), _PERSON),
    "payment_not_ours": Meaning(
        N_("Money came at Stripe by a payment that this shop did not ask for"),
        N_("See in Stripe's dashboard who took it and what for. Another program may use the same account."),
    ),
    "paid_for_no_order": Meaning(N_("Money came for an order that is not ours"), _PERSON),
    "refund_unknown_to_stripe": Meaning(N_("Stripe does not know a refund of ours"), _PERSON),
    "refunded_but_unrecorded": Meaning(N_("Stripe has sent money back, we do not know of it"), _SOON),
    "refund_state_differs": Meaning(N_("A refund is further at Stripe than here, or of another amount"), _SOON),
    "refund_not_ours": Meaning(N_("Money was sent back that nobody asked for here"), _PERSON),
    "invoice_state_differs": Meaning(N_("An invoice is further at Stripe than here"), _SOON),
    "invoice_unknown_to_stripe": Meaning(N_("Stripe does not know an invoice of ours"), _PERSON),
    "invoice_total_differs": Meaning(
        N_("An invoice at Stripe is over another total than its order"),
        N_("Void it in Stripe's dashboard, and write a new one by hand. Money on it is a case."),
    ),
    "credit_note_state_differs": Meaning(
        N_("A credit note is further at Stripe than here, or of another amount"), _SOON
    ),
    "credit_note_unknown_to_stripe": Meaning(N_("Stripe does not know a credit note of ours"), _PERSON),
    "credit_note_not_ours": Meaning(N_("A credit note at Stripe was not asked for here"), _PERSON),
    "invoice_not_ours": Meaning(N_("An invoice at Stripe is of no order of ours"), _PERSON),
    "invoice_receipts_differ": Meaning(N_("An invoice's receipts differ from what it says is paid"), _OURS),
    "receivable_differs": Meaning(N_("What an invoice is to bring differs from what is posted"), _OURS),
    "cash_differs": Meaning(N_("Companies' cash at Stripe differs from what is posted"), _OURS),
    "liability_open": Meaning(N_("Money is owed to a customer"), N_("Give it back: open the case below.")),
    "event_parked": Meaning(N_("An event of Stripe fits no order"), N_("Look at it below and say what it was.")),
    "event_unhandled": Meaning(N_("An event of Stripe waits for over an hour"), _SOON),
    "paid_without_sale": Meaning(N_("An order is paid and its sale is not posted"), _OURS),
    "sale_without_payment": Meaning(N_("A sale is posted of an order that is not paid"), _OURS),
    "entry_unbalanced": Meaning(N_("An entry of the ledger does not sum to zero"), _OURS),
    "refunds_exceed_payment": Meaning(N_("More was given back than came"), _OURS),
    "disputed_differs": Meaning(N_("What banks hold differs from the disputes"), _OURS),
    "dispute_beyond_payment": Meaning(
        N_("A bank disputes more than was left of the payment"),
        N_("Part of it was given back before: show the bank the refund as evidence."),
    ),
    "dispute_unrecorded": Meaning(
        N_("A bank disputes a payment, we do not know of it"),
        N_("Fetch it by its id on the page of disputes; there is a day until which evidence counts."),
    ),
    "dispute_unknown_to_stripe": Meaning(N_("Stripe does not know a dispute of ours"), _PERSON),
    "dispute_state_differs": Meaning(N_("A dispute is further at Stripe than here"), _SOON),
    "owed_differs": Meaning(N_("What is owed differs from the open cases"), _OURS),
    "order_without_acceptance": Meaning(N_("An order has no acceptance"), _OURS),
    "stock_state_differs": Meaning(N_("An order's goods are not where its state says"), _OURS),
    "reserved_stock_differs": Meaning(N_("Reserved stock differs from what orders hold"), _OURS),
    "ledger_broken": Meaning(N_("The acceptance ledger contradicts itself"), _OURS),
}


@get("/desk/money", include_in_schema=False, summary="Where money needs a person")
async def money(request: AnyRequest) -> Html:
    return await _show(request)


@post("/desk/money/reconciliations", include_in_schema=False, summary="Compare with Stripe now")
async def reconcile(request: AnyRequest) -> Html:
    services = services_of(request)
    try:
        await services.reconciliations.run(
            since=services.clock.now() - OF_NIGHTLY, alarm=services.merchant.email, by=principal_of(request)
        )
    except StripeUnavailable as error:
        return await _show(request, refusal=sentence(error, locale_of(request)), status=503)
    return redirect("/desk/money")


@post("/desk/money/events/{event:str}", include_in_schema=False, summary="Say what a parked event was")
async def review(request: AnyRequest, event: FromPath[str]) -> Html:
    typed = Typed(await read_form(request), locale_of(request))
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors:
        return await _show(request, refusal=typed.errors["note"], of_event=event, status=422)
    try:
        await services_of(request).reconciliations.review(principal_of(request), event, note=note)
    except EventUnknown as error:
        return await _show(request, refusal=sentence(error, typed.locale), status=404)
    return redirect("/desk/money#events")


HANDLERS: Final[list[ControllerRouterHandler]] = [money, reconcile, review]


async def _show(request: AnyRequest, *, refusal: str = "", of_event: str = "", status: int = 200) -> Html:
    services = services_of(request)
    found = await services.reconciliations.to_look_at()
    last = found.runs[0] if found.runs else None
    return page(
        request,
        "desk/money.html",
        status=status,
        found=found,
        last=last,
        breaks=[] if last is None else [_told(each) for each in last.breaks],
        names=await names_of(services, [run.asked_by for run in found.runs]),
        finance=allows(Access.FINANCE, principal_of(request)),
        refusal=refusal,
        of_event=of_event,
        days=OF_NIGHTLY // timedelta(days=1),
        money=Money,
        words=Words(locale_of(request)),
    )


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"meaning": MEANINGS[found["kind"]], "is_order": str(found["reference"]).startswith("T-")}
