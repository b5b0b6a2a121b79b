"""What all that calls Stripe has in common: a call is a row before it is sent, and again with its answer."""

from datetime import datetime, timedelta
from typing import Final

from checkout.model import CallOutcome, StripeCall
from checkout.stripe_gateway import Answer

RESEND_WITHIN: Final = timedelta(hours=23)
"""Stripe keeps keys for 24 hours; after that, sending again could do a second time what was done."""
SENDS_MOST: Final = 4
CONFLICT_WAIT_SECONDS: Final = 0.25
"""Before the same is sent again that is being answered now, times the turn."""


def must_search(call: StripeCall, now: datetime) -> bool:
    """Whether sending again would be wrong: the key may be forgotten, or Stripe replays a failure it saved."""
    saved_failure = call.outcome is CallOutcome.UNCERTAIN and call.answer_status not in {None, 409}
    return saved_failure or now - call.created_at >= RESEND_WITHIN


def begin_sending(call: StripeCall, now: datetime) -> bool:
    """Note on the locked row that it is sent now; False, and nothing noted, where one has to look instead."""
    if must_search(call, now):
        return False
    call.sent_at, call.sent_times = now, call.sent_times + 1
    return True


def next_turn(call: StripeCall) -> int:
    """The number at the end of the key under which the same is asked anew."""
    return int(call.idempotency_key.rpartition("-")[2]) + 1


def write_answer(call: StripeCall, answer: Answer, now: datetime) -> None:
    call.answered_at, call.outcome = now, answer.outcome
    call.answer_status, call.answer = answer.status, answer.body
