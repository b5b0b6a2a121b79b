"""One step of a payment in a process of its own, so that a failpoint may kill it: `crash_step.py < what.json`."""

import asyncio
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from accounts.principal import Principal
from agreements.service import Agreements
from checkout.payments import Payments
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring
from tests.checkout.conftest import BOXES, make_gateway, services, signed


class What(msgspec.Struct, frozen=True, kw_only=True):
    """The step and what it works on."""

    step: str
    database_url: str
    api_base: str
    keyring: str
    at: datetime
    principal: Principal
    order: str
    event: dict[str, Any] | None = None
    presentation: uuid.UUID | None = None


async def run(what: What) -> None:
    clock = FixedClock(what.at)
    database = Database.connect(what.database_url)
    gateway = make_gateway(clock, what.api_base)
    agreements = Agreements(clock, Keyring.read(Path(what.keyring)))
    parts = services(database, clock, agreements, gateway)
    payments: Payments = parts["payments"]
    match what.step:
        case "place":
            assert what.presentation is not None
            await parts["checkouts"].place(
                what.principal,
                presentation_id=what.presentation,
                ticked=BOXES,
                job_title="Buyer",
                ip="192.0.2.1",
                user_agent="tests",
            )
        case "start":
            await payments.start(what.principal, what.order)
        case "webhook":
            raw = msgspec.json.encode(what.event)
            await payments.receive_webhook(raw, signed(raw, clock.now()))
        case _:
            await payments.recover()
    await gateway.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=What)))
