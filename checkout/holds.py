"""Amounts that are held on a card until somebody captures them, or lets them go.

Both calls can be asked for again without harm: what is captured is not captured twice, what is let go stays so. So a
call whose key can't tell any more is made anew, and what became of it is always `settle`'s to find out.
"""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from checkout import store
from checkout.model import CallOutcome, CallStep, PaymentAttempt, StripeCall
from checkout.stripe_calls import must_search, next_turn, write_answer
from checkout.stripe_gateway import Answer, StripeGateway
from kernel.clock import Clock
from kernel.db import Database, for_company
from kernel.errors import Conflict
from kernel.failpoints import Failpoint
from kernel.ids import new_id

WRITE: Final = Failpoint("checkout.hold.write")
ANSWER: Final = Failpoint("checkout.hold.answer")


class NothingHeld(Conflict):
    problem = "nothing-held"
    title = "No amount is held for this order"


class Holds:
    """The calls that end a hold."""

    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway

    async def write(self, session: AsyncSession, attempt: PaymentAttempt, step: CallStep) -> StripeCall:
        """The call of *step* on a locked attempt, to be sent after the commit: the last one again, or a new one."""
        now = self.clock.now()
        last = await store.find_call(session, attempt.id, step)
        if last is not None and last.outcome is not CallOutcome.REFUSED and not must_search(last, now):
            last.sent_at, last.sent_times = now, last.sent_times + 1
            return last
        turn = 1 if last is None else next_turn(last)
        call = _call(attempt, step, turn, now)
        session.add(call)
        return call

    async def send(self, call: StripeCall) -> Answer:
        """Send it and store what Stripe says."""
        intent_id = msgspec.json.decode(call.request)["payment_intent"]
        if call.step is CallStep.CAPTURE:
            answer = await self.gateway.capture_intent(intent_id, key=call.idempotency_key)
        else:
            answer = await self.gateway.cancel_intent(intent_id, key=call.idempotency_key)
        assert call.company_id is not None, "what is held is a company's"
        async with self.db.begin(for_company(call.company_id), ANSWER) as session:
            written = await session.get_one(StripeCall, call.id, with_for_update=True)
            write_answer(written, answer, self.clock.now())
        return answer


def _call(attempt: PaymentAttempt, step: CallStep, turn: int, now: datetime) -> StripeCall:
    return StripeCall(
        id=new_id(),
        attempt_id=attempt.id,
        company_id=attempt.company_id,
        step=step,
        idempotency_key=f"tarifa-{attempt.id}-{step.value}-{turn}",
        request=msgspec.json.encode({"payment_intent": attempt.payment_intent_id}).decode(),
        created_at=now,
        sent_at=now,
    )
