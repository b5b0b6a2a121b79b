"""Names of states and reasons, as staff read them."""

from typing import Final

from checkout.states import State
from web.labels import N_
from web.pages import translations

STATES: Final = {
    State.OPEN: N_("Open"),
    State.AWAITING: N_("Awaiting approval"),
    State.SIGNING: N_("Being signed"),
    State.PAYABLE: N_("To be paid"),
    State.PROCESSING: N_("Payment under way"),
    State.AUTHORISED: N_("Authorised"),
    State.CLOSING: N_("Closing"),
    State.PAID: N_("Paid"),
    State.ON_TERMS: N_("On terms"),
    State.WRITTEN_OFF: N_("Written off"),
    State.CANCELLING: N_("Being cancelled"),
    State.CANCELLED: N_("Cancelled"),
    State.LAPSED: N_("Lapsed"),
}
TONES: Final = {
    State.PAID: "good",
    State.PAYABLE: "warn",
    State.PROCESSING: "warn",
    State.CLOSING: "warn",
    State.LAPSED: "bad",
}
WORDS: Final = {
    "card_session": N_("payment page"),
    "settled": N_("settled"),
    "nothing_to_do": N_("nothing to do"),
    "parked": N_("parked: it fits no order"),
    "new": N_("new"),
    "uncertain": N_("uncertain"),
    "live": N_("open at Stripe"),
    "succeeded": N_("succeeded"),
    "dead": N_("closed without payment"),
    "done": N_("done"),
    "refused": N_("refused"),
    "throttled": N_("throttled"),
    "create_session": N_("create the payment page"),
    "expire_session": N_("close the payment page"),
    "create_refund": N_("give money back"),
    "fraudulent": N_("the holder of the card does not know of it"),
    "product_not_received": N_("not received"),
    "product_unacceptable": N_("not as described"),
    "duplicate": N_("charged twice"),
    "credit_not_processed": N_("a promised refund did not come"),
    "subscription_canceled": N_("was cancelled before"),
    "unrecognized": N_("not recognised"),
    "general": N_("no reason given"),
    "needs_response": N_("waits for our answer"),
    "under_review": N_("with the bank"),
    "won": N_("won"),
    "lost": N_("lost"),
    "closed": N_("ended"),
    "warning_needs_response": N_("the bank asks"),
    "warning_under_review": N_("the bank asked, it reads our answer"),
    "warning_closed": N_("the bank asked, and left it at that"),
    "prevented": N_("prevented"),
    "appeal_needs_response": N_("appealed, waits for our answer"),
    "appeal_under_review": N_("appealed, with the bank"),
    "dispute_heard": N_("Stripe told us of it"),
    "dispute_changed": N_("It moved at Stripe"),
    "dispute_evidence": N_("Evidence was sent"),
    "dispute_concession": N_("It was conceded"),
    "dispute_refused": N_("Stripe refused what we sent"),
    "dispute_shared": N_("What it gave back was posted"),
    "charge_card": N_("charge the kept card"),
    "accepted": N_("accepted"),
    "withdrawn": N_("withdrawn"),
    "submit_evidence": N_("send evidence"),
    "close_dispute": N_("concede the dispute"),
    "pending": N_("on its way"),
    "failed": N_("sent back by the bank"),
    "refund_failed": N_("a refund did not arrive"),
    "goods_returned": N_("goods were returned"),
    "not_delivered": N_("not delivered"),
    "damaged": N_("damaged"),
    "price_reduced": N_("the price was reduced"),
    "order_cancelled": N_("the order was cancelled"),
    "paid_in_error": N_("paid in error"),
    "other": N_("another reason"),
    "stripe_clearing": N_("Stripe clearing"),
    "sales": N_("Sales"),
    "freight": N_("Freight"),
    "tax_payable": N_("Tax payable"),
    "customer_liability": N_("Owed to the customer"),
    "disputed": N_("Held by the buyer's bank"),
    "dispute_fees": N_("Dispute fees"),
    "dispute_losses": N_("Losses by disputes"),
    "amount_differs": N_("the amount differs"),
    "currency_differs": N_("the currency differs"),
    "order_closed": N_("the order was closed"),
    "paid_twice": N_("paid twice"),
    "unknown_order": N_("of no order we know"),
    "reserved": N_("reserved"),
    "sold": N_("sold"),
    "returned": N_("returned"),
    "open": N_("open"),
    "published": N_("published"),
    "discarded": N_("discarded"),
    "submitted": N_("submitted for review"),
    "approved": N_("approved"),
    "commented": N_("comment"),
    "totals": N_("totals"),
    "companies": N_("companies"),
    "categories": N_("categories"),
    "skus": N_("SKUs"),
    "steps": N_("changes by size"),
    "lines": N_("all lines"),
    "house": N_("nobody: the command line needs no approval"),
    "off": N_("nobody: approval is not asked for here"),
    "restored": N_("nobody: a return needs no approval"),
    "before": N_("nobody: published before approvals were kept"),
}
EVENTS: Final = {
    "accept": N_("Accepted and ordered"),
    "accept_free": N_("Accepted, nothing to pay"),
    "accept_on_terms": N_("Accepted on terms"),
    "pay": N_("Payment begun"),
    "completed_unpaid": N_("The buyer has paid by direct debit; the bank works on it"),
    "async_failed": N_("The bank refused the direct debit; the order waits for another payment"),
    "attempt_dead": N_("Payment attempt ended without payment"),
    "paid": N_("Paid"),
    "pay_by_passed": N_("Time to pay passed"),
    "cancel": N_("Cancellation asked for"),
    "closed_as_lapsed": N_("Lapsed, stock returned"),
    "closed_as_cancelled": N_("Cancelled, stock returned"),
    "unmatched_money": N_("Money came that fits no open order"),
    "refund": N_("Money given back"),
    "refund_failed": N_("A refund did not arrive"),
    "refunded": N_("All money is back, stock returned"),
    "dispute": N_("The buyer's bank disputes the payment"),
}


class Words:
    """The tables in one language, for templates."""

    def __init__(self, locale: str) -> None:
        self._gettext = translations(locale).gettext

    def state(self, state: State) -> str:
        return self._gettext(STATES[state])

    def tone(self, state: State) -> str:
        return TONES.get(state, "")

    def event(self, event: str) -> str:
        return self._gettext(EVENTS[event]) if event in EVENTS else event.replace("_", " ")

    def word(self, word: str) -> str:
        return self._gettext(WORDS[word]) if word in WORDS else word.replace("_", " ")
