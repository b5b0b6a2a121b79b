"""What an edit does to a checkout that waits for others: it is the buyer's again, and nobody can sign what it was."""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from agreements import packages
from agreements.package_model import ClosingReason
from agreements.package_states import PackageEvent
from checkout import approval_store
from checkout.approval_model import ApprovalRequest, ApprovalState
from checkout.model import Checkout
from checkout.package_endings import end
from checkout.states import Event, State, advance


async def edit(
    session: AsyncSession, checkout: Checkout, *, by: uuid.UUID | None, now: datetime, base_url: str
) -> None:
    """Rows 1, 4 and 7 of the table, on a locked checkout: an edit voids what was shown, asked for or being signed.

    Those who have signed or were to are written to, with links below *base_url*.
    """
    if checkout.state is not State.OPEN:
        waiting = await approval_store.find_waiting(session, checkout.id)
        if waiting is not None:
            close(waiting, ApprovalState.WITHDRAWN, by=by, now=now)
        package = await packages.find_open_of_checkout(session, checkout.id)
        if package is not None:
            await end(session, package, PackageEvent.EDIT, ClosingReason.EDITED, by=by, now=now, base_url=base_url)
    checkout.state = advance(checkout.state, Event.EDIT)
    checkout.version += 1
    checkout.updated_at = now


def close(
    request: ApprovalRequest, state: ApprovalState, *, by: uuid.UUID | None, now: datetime, note: str = ""
) -> None:
    request.state, request.closed_at, request.closed_by, request.closing_note = state, now, by, note
