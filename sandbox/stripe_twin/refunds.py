"""Refunds of captured charges. Most succeed at once; two test cards make them take their time, or fail afterwards."""

from typing import Final

from sandbox.stripe_twin.account import Account, merged_metadata, only, page, random_id
from sandbox.stripe_twin.cards import card_of
from sandbox.stripe_twin.currencies import display
from sandbox.stripe_twin.errors import JsonObject, invalid, not_implemented
from sandbox.stripe_twin.payments import balance_transaction
from sandbox.stripe_twin.store import Record

TAKES_SECONDS: Final = 60
"""From a refund's creation to what becomes of it, where that is not known at once."""


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("amount", "charge", "metadata", "payment_intent", "reason"), "Refunds.create")
    charge = _refundable_charge(account, params)
    left = charge.body["amount_captured"] - charge.body["amount_refunded"]
    if left <= 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    amount: int = params.get("amount", left)
    if amount < 1:
        raise invalid("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise invalid(
            f"Refund amount ({display(amount, charge.body['currency'])}) is greater than unrefunded amount on charge "
            f"({display(left, charge.body['currency'])})",
            param="amount",
        )
    intent = account.load("payment_intent", charge.body["payment_intent"], param="payment_intent")
    card: str | None = intent.private.get("card")
    refunds = "at_once" if card is None else card_of(card).refunds
    refund = account.create(
        "refund",
        private={} if refunds == "at_once" else {"turns_at": account.now() + TAKES_SECONDS, "turns": refunds},
        amount=amount,
        charge=charge.id,
        currency=charge.body["currency"],
        customer=charge.body["customer"],
        **({} if card is None else {"destination_details": _back_to_card()}),
        metadata=merged_metadata(None, params.get("metadata")),
        payment_intent=charge.body["payment_intent"],
        payment_method=charge.body["payment_method"],
        reason=params.get("reason"),
        status="pending" if refunds == "later" else "succeeded",
    )
    refund.body["balance_transaction"] = balance_transaction(account, refund, -amount, "refund").id
    account.save(refund)
    before = _take_back(account, charge, amount)
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge, previous=before)
    return refund.body


def turn(account: Account, refund: Record) -> None:
    """What becomes of a refund in time: a pending one succeeds, one that succeeded is sent back by the bank."""
    if refund.private["turns"] == "sent_back":
        send_back(account, refund)
        return
    refund.private.clear()
    refund.body["status"] = "succeeded"
    account.save(refund)
    account.emit("refund.updated", refund, previous={"status": "pending"})


def send_back(account: Account, refund: Record, *, reason: str = "lost_or_stolen_card") -> None:
    """The bank returns the money: the refund has failed, whatever it was before."""
    before = refund.body["status"]
    refund.private.clear()
    returned = balance_transaction(account, refund, refund.body["amount"], "refund_failure")
    refund.body.update(status="failed", failure_reason=reason, failure_balance_transaction=returned.id)
    account.save(refund)
    charge = account.load("charge", refund.body["charge"], param="charge")
    _take_back(account, charge, -refund.body["amount"])
    account.emit("refund.updated", refund, previous={"status": before})
    account.emit("refund.failed", refund)


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Refunds.retrieve")
    return account.load("refund", ids[0], param="id").body


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("metadata",), "Refunds.update")
    refund = account.load("refund", ids[0], param="id")
    refund.body["metadata"] = merged_metadata(refund.body["metadata"], params.get("metadata"))
    account.save(refund)
    account.emit("refund.updated", refund)
    return refund.body


def list_refunds(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("charge", "payment_intent")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "Refunds.list")
    return page(account, "refund", "/v1/refunds", params, equal=names)


def _take_back(account: Account, charge: Record, amount: int) -> JsonObject:
    """Count *amount* as refunded, or no longer when it is negative; what the charge said before."""
    before = {"amount_refunded": charge.body["amount_refunded"], "refunded": charge.body["refunded"]}
    charge.body["amount_refunded"] += amount
    charge.body["refunded"] = charge.body["amount_refunded"] == charge.body["amount_captured"]
    account.save(charge)
    return before


def _back_to_card() -> JsonObject:
    card = {"reference": random_id("", 12), "reference_status": "available", "type": "refund"}
    return {"type": "card", "card": card}


def _refundable_charge(account: Account, params: JsonObject) -> Record:
    if "charge" in params:
        charge = account.load("charge", params["charge"], param="charge", in_path=False)
    elif "payment_intent" in params:
        intent = account.load("payment_intent", params["payment_intent"], param="payment_intent", in_path=False)
        found = account.store.find(intent.body["latest_charge"] or "", "charge")
        if found is None or intent.body["status"] != "succeeded":
            raise invalid(
                f"PaymentIntent {intent.id} does not have a successful charge to refund.", param="payment_intent"
            )
        charge = found
    else:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if charge.body["status"] != "succeeded":
        raise invalid(f"Charge {charge.id} failed and cannot be refunded.", param="charge")
    if charge.body["disputed"]:
        raise invalid(f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    if not charge.body["captured"]:
        raise not_implemented("refunds of a charge that was never captured; cancel its PaymentIntent")
    return charge
