"""Do our books agree with Stripe's, both ways, and with themselves? It reports and mends nothing: a person decides."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from checkout import store
from checkout.model import AttemptState
from checkout.stripe_gateway import Session, StripeGateway
from kernel.clock import Clock
from kernel.db import Database, for_staff

UNHANDLED_AFTER: Final = timedelta(hours=1)
SKEW: Final = timedelta(minutes=5)


class Break(msgspec.Struct, frozen=True, order=True):
    """Something that does not agree. *reference* is the order's number, a Session's, event's or SKU's id."""

    kind: str
    reference: str
    detail: str


async def reconcile(db: Database, clock: Clock, gateway: StripeGateway, *, since: datetime) -> tuple[Break, ...]:
    """List every break among payments begun since an instant, and in the books as a whole.

    :raises StripeUnavailable: when Stripe can't be asked
    """
    now = clock.now()
    async with db.begin(for_staff()) as session:
        attempts = await store.list_attempts_since(session, since)
        liable = await store.list_liable_sessions(session)
        own = await store.list_book_breaks(session, unhandled_before=now - UNHANDLED_AFTER)
    theirs = {found.id: found for found in await gateway.list_sessions(since=since - SKEW, until=now + SKEW)}
    breaks = [Break(*row) for row in own]
    for attempt, number in attempts:
        found = theirs.pop(attempt.session_id or "", None)
        about = f"attempt {attempt.id}, Session {attempt.session_id or 'unknown'}"
        if attempt.state is AttemptState.SUCCEEDED and (found is None or not found.paid):
            breaks.append(Break("recorded_but_unpaid", number, about))
        elif attempt.state is not AttemptState.SUCCEEDED and found is not None and found.paid:
            breaks.append(Break("paid_but_unrecorded", number, about))
        elif found is not None and attempt.state is AttemptState.LIVE and found.expired:
            breaks.append(Break("expired_but_live", number, about))
        elif attempt.state is AttemptState.LIVE and found is None:
            breaks.append(Break("unknown_to_stripe", number, about))
    breaks += [
        Break("paid_for_no_order", found.id, str(found.total))
        for found in theirs.values()
        if found.paid and found.id not in liable and not _of_an_older_attempt(found, since)
    ]
    return tuple(sorted(breaks))


def _of_an_older_attempt(found: Session, since: datetime) -> bool:
    """Listed only because the listing reaches back a little further than the attempts."""
    return found.created_at < since.timestamp()
