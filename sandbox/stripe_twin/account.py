"""The Stripe account the twin keeps: objects, their events, and what every operation needs to make them."""

import copy
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sandbox.stripe_twin import tally
from sandbox.stripe_twin.clock import TwinClock
from sandbox.stripe_twin.contract import Contract, Direction, Problem
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, missing, not_implemented
from sandbox.stripe_twin.outbox import Outbox
from sandbox.stripe_twin.store import Record, Store

_PREFIXES = {
    "balance_transaction": ("txn_", 24),
    "charge": ("ch_", 24),
    "checkout.session": ("cs_test_", 58),
    "credit_note": ("cn_", 24),
    "customer": ("cus_", 14),
    "dispute": ("du_", 24),
    "customer_cash_balance_transaction": ("ccsbtxn_", 24),
    "event": ("evt_", 24),
    "invoice": ("in_", 24),
    "invoice_payment": ("inpay_", 24),
    "invoiceitem": ("ii_", 24),
    "item": ("li_", 24),
    "line_item": ("il_", 24),
    "payment_intent": ("pi_", 24),
    "payment_method": ("pm_", 24),
    "price": ("price_", 24),
    "product": ("prod_", 14),
    "refund": ("re_", 24),
    "tax.calculation": ("taxcalc_", 24),
    "tax.calculation_line_item": ("tax_li_", 24),
    "setup_intent": ("seti_", 24),
    "webhook_endpoint": ("we_", 24),
}
_LETTERS = string.ascii_letters + string.digits


def random_id(prefix: str, length: int) -> str:
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))


@dataclass(frozen=True)
class Caller:
    """Who caused an event: an API request, or None and None for the hosted page and for time passing."""

    request_id: str | None = None
    idempotency_key: str | None = None


NOBODY = Caller()


class Account:
    """Everything an operation works with. Operations run one at a time, inside the store's transaction."""

    def __init__(self, *, store: Store, contract: Contract, clock: TwinClock, outbox: Outbox, base_url: str) -> None:
        self.store = store
        self.contract = contract
        self.clock = clock
        self.outbox = outbox
        self.base_url = base_url
        self.caller = NOBODY

    def now(self) -> int:
        return int(self.clock.seconds())

    def create(self, kind: str, *, private: JsonObject | None = None, **fields: Any) -> Record:
        """A new stored object: the contract's least valid one, with *fields* set."""
        body = copy.deepcopy(self.contract.skeletons[kind])
        body["id"] = random_id(*_PREFIXES[kind])
        if "created" in body:
            body["created"] = self.now()
        body.update(fields)
        record = Record(body=body, private=private or {})
        self.store.insert(record)
        return record

    def load(self, kind: str, object_id: str, *, param: str, in_path: bool = True) -> Record:
        record = self.store.find(object_id, kind)
        if record is None:
            raise missing(kind, object_id, param=param, in_path=in_path)
        return record

    def save(self, record: Record) -> None:
        self.store.update(record)

    def emit(self, event_type: str, record: Record, *, previous: JsonObject | None = None) -> Record:
        """Store the event and owe it to the webhook endpoints that asked for its type.

        :raises StripeError: 500 when the event or its object leaves the contract; nothing is stored then.
        """
        data: JsonObject = {"object": copy.deepcopy(record.body)}
        if previous is not None:
            data["previous_attributes"] = previous
        endpoints = [
            endpoint
            for endpoint in self.store.list_objects("webhook_endpoint")
            if endpoint.body["status"] == "enabled" and {"*", event_type} & set(endpoint.body["enabled_events"])
        ]
        event = self.create(
            "event",
            api_version=self.contract.version,
            data=data,
            pending_webhooks=len(endpoints),
            request={"id": self.caller.request_id, "idempotency_key": self.caller.idempotency_key},
            type=event_type,
        )
        problems = self.contract.event_problems(event.body)
        if problems:
            raise self.violated("webhook", event_type, problems)
        tally.count("event checked")
        for endpoint in endpoints:
            self.outbox.add(event, endpoint, now=self.clock.seconds())
        return event

    def violated(self, direction: Direction, subject: str, problems: Collection[Problem]) -> "ContractViolation":
        return ContractViolation(direction, subject, [str(problem) for problem in problems])

    def expand(self, body: JsonObject, paths: Collection[str]) -> JsonObject:
        """*body* with the objects behind the ids at *paths* (``data.payment_intent.latest_charge``).

        :raises StripeError: when a path leads to nothing that can be expanded.
        """
        expanded = copy.deepcopy(body)
        for path in paths:
            if len(path.split(".")) > 4 + path.startswith("data."):
                raise invalid(f"You cannot expand more than 4 levels of a property. Found {path}", param="expand")
            if not self._expand(expanded, path.split(".")):
                message = f"This property cannot be expanded ({path})."
                raise invalid(message, code="property_cannot_be_expanded", param="expand")
        return expanded

    def _expand(self, node: Any, parts: list[str]) -> bool:
        """Whether the path leads somewhere; null and empty lists are fine."""
        if isinstance(node, list):
            expanded = [self._expand(item, parts) for item in node]  # all of them, not only up to the first failure
            return all(expanded)
        if not parts or node is None:
            return True
        if not isinstance(node, dict):
            return False
        name = parts[0]
        if name == "line_items" and node.get("object") == "checkout.session":
            node[name] = line_item_list(self, node["id"], limit=10)
        if name not in node:
            return False
        if isinstance(node[name], str):
            record = self.store.find(node[name])
            if record is None:
                return False
            node[name] = copy.deepcopy(record.body)
        return self._expand(node[name], parts[1:])


class ContractViolation(StripeError):
    """The twin was about to say something that Stripe cannot say: a bug of the twin, told loudly."""

    def __init__(self, direction: Direction, subject: str, problems: list[str]) -> None:
        message = f"The Stripe twin's {direction} for {subject} breaks Stripe's contract: {'; '.join(problems[:4])}"
        super().__init__(500, "api_error", message, saved=False)
        self.direction = direction
        self.subject = subject
        self.problems = problems


def line_item_list(account: Account, session_id: str, *, limit: int, after: str | None = None) -> JsonObject:
    """A page of a Session's line items, in the order they were given."""
    session = account.load("checkout.session", session_id, param="session")
    items: list[JsonObject] = session.private["line_items"]
    if after is not None:
        items = items[1 + next((n for n, item in enumerate(items) if item["id"] == after), len(items)) :]
    return {
        "object": "list",
        "data": items[:limit],
        "has_more": len(items) > limit,
        "url": f"/v1/checkout/sessions/{session_id}/line_items",
    }


def page(
    account: Account,
    kind: str,
    url: str,
    params: JsonObject,
    *,
    equal: tuple[str, ...] = (),
    one_of: tuple[str, list[str]] | None = None,
) -> JsonObject:
    """A list answer, newest first, filtered by *equal* parameters and ``created``, paged by cursors.

    *one_of* is a property and the values it may have.
    """
    limit = page_size(params)
    for cursor in ("starting_after", "ending_before"):
        if cursor in params:
            account.load(kind, params[cursor], param=cursor, in_path=False)
    if "starting_after" in params and "ending_before" in params:
        raise invalid("You cannot parameterize both starting_after and ending_before.", param="ending_before")
    created = params.get("created")
    records = account.store.list_objects(
        kind,
        equal={name: params[name] for name in equal if name in params},
        one_of=one_of,
        created={"gte": created, "lte": created} if isinstance(created, int) else created,
        after=params.get("starting_after"),
        before=params.get("ending_before"),
        limit=limit + 1,
    )
    has_more = len(records) > limit
    kept = records[-limit:] if "ending_before" in params else records[:limit]
    return {"object": "list", "data": [record.body for record in kept], "has_more": has_more, "url": url}


def page_size(params: JsonObject) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid(
            "Invalid integer: limit must be between 1 and 100", code="parameter_invalid_integer", param="limit"
        )
    return limit


def only(params: JsonObject, supported: Collection[str], operation: str) -> None:
    """Refuse loudly what the contract allows and the twin would otherwise ignore."""
    extra = sorted(set(params) - set(supported) - {"expand"})
    if extra:
        raise not_implemented(f"the parameter `{extra[0]}` of {operation}")


def merged_metadata(old: JsonObject | None, new: Any, *, param: str = "metadata") -> dict[str, str]:
    """Metadata after an update: an empty value unsets its key, an empty string for the whole unsets all.

    :raises StripeError: beyond Stripe's limits of 50 keys, 40 characters a key and 500 a value.
    """
    if new is None or new == "":
        return {} if new == "" else dict(old or {})
    merged = {**(old or {}), **{name: str(value) for name, value in new.items()}}
    for name, value in merged.items():
        if len(name) > 40:
            raise invalid(f"Metadata keys can be at most 40 characters long: {name!r}", param=f"{param}[{name}]")
        if len(value) > 500:
            raise invalid(
                f"Metadata values can have up to 500 characters, but you passed in {len(value)}.",
                param=f"{param}[{name}]",
            )
    kept = {name: value for name, value in merged.items() if value != ""}
    if len(kept) > 50:
        raise invalid(f"Metadata can have up to 50 keys, but you passed in {len(kept)}.", param=param)
    return kept
