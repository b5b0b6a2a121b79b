"""Each company is one Customer at Stripe, whoever buys for it: what its cards and invoices hang on.

The Customer's row is committed before Stripe is asked and again with the answer. Two Customers of one company would
charge nobody, so where it stays unknown whether one was made, another is asked for.
"""

import asyncio
from typing import Final

import msgspec

from accounts.principal import BuyerCompany
from checkout import store
from checkout.model import CallOutcome, StripeCustomer
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, RESEND_WITHIN, SENDS_MOST
from checkout.stripe_gateway import StripeGateway
from kernel.clock import Clock
from kernel.db import Database, for_company
from kernel.failpoints import Failpoint

BEGIN: Final = Failpoint("checkout.customer.begin")
ANSWER: Final = Failpoint("checkout.customer.answer")


class StripeCustomers:
    """Safe to call again: it finds what it did before."""

    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway

    async def ensure(self, company: BuyerCompany, *, email: str) -> str | None:
        """The company's Customer, made now if need be, with *email* to write to; None while Stripe does not say."""
        for turn in range(SENDS_MOST):
            row = await self._row(company, email)
            if row.stripe_customer_id is not None:
                return row.stripe_customer_id
            answer = await self.gateway.create_customer(msgspec.json.decode(row.request), key=row.idempotency_key)
            made = (answer.body or {}).get("id") if answer.outcome is CallOutcome.DONE else None
            async with self.db.begin(for_company(company.id), ANSWER) as session:
                stored = await store.lock_stripe_customer(session, company.id)
                if stored.stripe_customer_id is None and isinstance(made, str):
                    stored.stripe_customer_id, stored.made_at = made, self.clock.now()
                elif stored.idempotency_key == row.idempotency_key and answer.saved:
                    _ask_anew(stored)  # this key would only repeat what went wrong
            if stored.stripe_customer_id is not None or answer.status != 409:
                return stored.stripe_customer_id
            await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))
        return None

    async def _row(self, company: BuyerCompany, email: str) -> StripeCustomer:
        now = self.clock.now()
        asked = {"name": company.name, "email": email, "metadata": {"company_id": str(company.id)}}
        async with self.db.begin(for_company(company.id), BEGIN) as session:
            await store.insert_stripe_customer(
                session,
                StripeCustomer(
                    company_id=company.id,
                    idempotency_key=f"tarifa-{company.id}-customer-1",
                    request=msgspec.json.encode(asked).decode(),
                    asked_at=now,
                ),
            )
            row = await store.lock_stripe_customer(session, company.id)
            if row.stripe_customer_id is None and now - row.asked_at >= RESEND_WITHIN:
                _ask_anew(row)
                row.asked_at = now
        return row


def _ask_anew(row: StripeCustomer) -> None:
    stem, _, turn = row.idempotency_key.rpartition("-")
    row.idempotency_key = f"{stem}-{int(turn) + 1}"
