"""The tests' own entrance over HTTP, under /_twin/: pay without a browser, faults, clock, inspection."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.faults import Fault, SeededFaults
from sandbox.stripe_twin.outbox import Twist
from sandbox.stripe_twin.twin import Twin


class UnknownControl(Exception):
    """No such address below /_twin/."""


def control(twin: Twin, method: str, name: str, query: str, body: str) -> Any:
    """Answer ``{method} /_twin/{name}`` with something JSON can say.

    :raises UnknownControl: for an address that is not there.
    :raises KeyError: for an object that is not there.
    :raises ValueError: for a body that is not what the address takes.
    """
    if method == "GET" and name in _READS:
        return _READS[name](twin, dict(parse_qsl(query)))
    if method == "POST" and name in _WRITES:
        given = json.loads(body or "{}")
        if not isinstance(given, dict):
            raise ValueError("the body is a JSON object")
        try:
            return _WRITES[name](twin, given)
        except TypeError as error:  # an unknown or missing name in the body
            raise ValueError(str(error)) from error
    if method == "DELETE" and name == "violations":
        twin.store.clear_violations()
        return {}
    raise UnknownControl(f"{method} /_twin/{name}; there are GET {', '.join(_READS)}; POST {', '.join(_WRITES)}")


def _status(twin: Twin, _query: dict[str, str]) -> JsonObject:
    return {
        "version": twin.account.contract.version,
        "now": twin.clock.seconds(),
        "clock_shift_seconds": twin.clock.shift_seconds,
        "objects": twin.store.list_kinds(),
        "violations": len(twin.violations()),
        "faults_waiting": twin.faults.waiting(),
        "webhooks_idle": twin.dispatcher.idle(),
    }


def _objects(twin: Twin, query: dict[str, str]) -> list[JsonObject]:
    if "type" not in query:
        raise ValueError("say which, e.g. /_twin/objects?type=checkout.session")
    return twin.objects(query["type"])


def _pay(twin: Twin, given: JsonObject) -> JsonObject:
    session = given.pop("session")
    return dataclasses.asdict(twin.pay_at_once(session, **given))


def _dispute(twin: Twin, given: JsonObject) -> JsonObject:
    """``{"charge", "reason", "amount", "inquiry"}`` opens one, ``{"dispute", "won"}`` decides it, ``{"dispute",
    "escalate": true}`` makes a dispute of an inquiry.
    """
    if "charge" in given:
        return {"dispute": twin.dispute(given.pop("charge"), **given)}
    if given.get("escalate"):
        return {"dispute": twin.escalate_inquiry(given["dispute"])}
    twin.decide_dispute(given["dispute"], won=given["won"])
    return {}


def _pay_invoice(twin: Twin, given: JsonObject) -> JsonObject:
    """With ``answer`` pass or fail, the bank's word on the card that waits; else a card."""
    invoice = given.pop("invoice")
    if "answer" in given:
        return dataclasses.asdict(twin.authenticate_invoice(invoice, passed=given["answer"] == "pass"))
    return dataclasses.asdict(twin.pay_invoice(invoice, **given))


def _transfer(twin: Twin, given: JsonObject) -> JsonObject:
    return {"transaction": twin.transfer(given.pop("customer"), **given)}


def _faults(twin: Twin, given: JsonObject) -> JsonObject:
    """One fault, several under ``faults``, seeded ones under ``seeded``, or ``clear``."""
    if given.get("clear"):
        twin.clear_faults()
    elif "seeded" in given:
        seeded = given["seeded"]
        twin.seed_faults(
            SeededFaults(**{**seeded, "kinds": tuple(seeded.get("kinds", ("error", "lose_answer", "reset")))})
        )
    else:
        for fault in [Fault(**entry) for entry in given.get("faults", [given])]:
            twin.add_fault(fault)
    return {"faults_waiting": twin.faults.waiting()}


def _webhooks(twin: Twin, given: JsonObject) -> JsonObject:
    """A twist for coming webhooks, or an action: hold, release, retry, resend, roll."""
    match given.pop("action", None):
        case None:
            twin.twist_webhooks(Twist(**given))
            return {}
        case "hold":
            twin.hold_webhooks()
            return {}
        case "release":
            return {"released": twin.release_webhooks(**given)}
        case "retry":
            return {"hurried": twin.retry_webhooks_now()}
        case "resend":
            return {"receivers": twin.resend_event(given["event"])}
        case "roll":
            twin.roll_webhook_secret(**given)
            return {}
        case unknown:
            raise ValueError(f"action is hold, release, retry, resend or roll, not {unknown!r}")


def _clock(twin: Twin, given: JsonObject) -> JsonObject:
    return {"clock_shift_seconds": twin.shift_clock(float(given["shift_seconds"])), "now": twin.clock.seconds()}


def _drain(twin: Twin, given: JsonObject) -> JsonObject:
    twin.drain(**given)
    return {}


_READS: Mapping[str, Callable[[Twin, dict[str, str]], Any]] = {
    "status": _status,
    "objects": _objects,
    "violations": lambda twin, _query: twin.violations(),
    "requests": lambda twin, _query: twin.requests(),
    "deliveries": lambda twin, _query: twin.deliveries(),
}
_WRITES: Mapping[str, Callable[[Twin, JsonObject], Any]] = {
    "pay": _pay,
    "dispute": _dispute,
    "pay_invoice": _pay_invoice,
    "transfer": _transfer,
    "faults": _faults,
    "webhooks": _webhooks,
    "clock": _clock,
    "drain": _drain,
}
