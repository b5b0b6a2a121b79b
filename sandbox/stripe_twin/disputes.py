"""Disputes: a buyer's bank takes a charge back, or asks about it first; evidence, and how the bank decides."""

from typing import Final

from sandbox.stripe_twin.account import Account, merged_metadata, only, page
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.payments import balance_transaction
from sandbox.stripe_twin.refunds import send_back
from sandbox.stripe_twin.store import Record

DUE_AFTER_SECONDS: Final = 7 * 86400
FEE: Final = 1500
"""In the charge's smallest unit, as a stand-in for the account's own; it is kept even when the dispute is won."""
WINNING: Final = "winning_evidence"
LOSING: Final = "losing_evidence"
"""Said as `uncategorized_text`, they decide at once, as in Stripe's test mode."""
_ANSWERABLE: Final = {"needs_response", "warning_needs_response"}
_UNDECIDED: Final = _ANSWERABLE | {"under_review", "warning_under_review"}


def open_planned(account: Account, charge: Record) -> None:
    reason = charge.private.pop("disputes")
    charge.private.pop("disputed_at")
    account.save(charge)
    if reason == "inquiry":
        open_dispute(account, charge, reason="fraudulent", inquiry=True)
    else:
        open_dispute(account, charge, reason=reason)


def open_dispute(
    account: Account, charge: Record, *, reason: str, amount: int | None = None, inquiry: bool = False
) -> Record:
    """The bank disputes *amount* of a charge, all of it by default, whatever was refunded; refunds that are pending
    fail, as at Stripe. An *inquiry* takes nothing yet.
    """
    dispute = account.create(
        "dispute",
        private={"due_at": account.now() + DUE_AFTER_SECONDS},
        amount=charge.body["amount_captured"] if amount is None else amount,
        charge=charge.id,
        currency=charge.body["currency"],
        is_charge_refundable=inquiry,
        payment_intent=charge.body["payment_intent"],
        payment_method_details={
            "type": "card",
            "card": {
                "brand": charge.body["payment_method_details"]["card"]["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": charge.body["payment_method_details"]["card"]["brand"],
                "network_reason_code": "10.4",
            },
        },
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    details: JsonObject = dispute.body["evidence_details"]
    details.update(due_by=dispute.private["due_at"], submission_method="not_submitted")
    if not inquiry:
        charge.body["disputed"] = True
        account.save(charge)
        taken = balance_transaction(account, charge, -dispute.body["amount"], "adjustment", fee=FEE)
        dispute.body["balance_transactions"] = [taken.body]
    account.save(dispute)
    account.emit("charge.dispute.created", dispute)
    if not inquiry:
        account.emit("charge.dispute.funds_withdrawn", dispute)
        pending = account.store.list_objects("refund", equal={"charge": charge.id, "status": "pending"})
        for refund in pending:
            send_back(account, refund, reason="charge_for_pending_refund_disputed")
    return dispute


def decide(account: Account, dispute: Record, *, won: bool) -> None:
    """The bank's word; an inquiry only ends.

    :raises ValueError: when it was decided before.
    """
    before = dispute.body["status"]
    if before not in _UNDECIDED:
        raise ValueError(f"dispute {dispute.id} is {before}")
    dispute.private.clear()
    if before.startswith("warning_"):
        dispute.body.update(status="warning_closed", is_charge_refundable=True)
    else:
        dispute.body["status"] = "won" if won else "lost"
    account.save(dispute)
    if dispute.body["status"] == "won":
        charge = account.load("charge", dispute.body["charge"], param="charge")
        back = balance_transaction(account, charge, dispute.body["amount"], "adjustment")
        dispute.body["balance_transactions"].append(back.body)
        account.save(dispute)
        account.emit("charge.dispute.funds_reinstated", dispute)
    account.emit("charge.dispute.closed", dispute, previous={"status": before})


def escalate(account: Account, dispute: Record) -> Record:
    """An inquiry that was not answered to the bank's liking becomes a dispute: another one, of the same charge."""
    charge = account.load("charge", dispute.body["charge"], param="charge")
    decide(account, dispute, won=False)
    return open_dispute(account, charge, reason=dispute.body["reason"], amount=dispute.body["amount"])


def run_out(account: Account, dispute: Record) -> None:
    """The day until which evidence counts has passed: without any, the bank decides for the buyer."""
    dispute.private.clear()
    dispute.body["evidence_details"]["past_due"] = True
    account.save(dispute)
    if dispute.body["status"] in _ANSWERABLE:
        decide(account, dispute, won=False)


# Operations


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Disputes.retrieve")
    return account.load("dispute", ids[0], param="dispute").body


def list_disputes(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("charge", "payment_intent")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "Disputes.list")
    return page(account, "dispute", "/v1/disputes", params, equal=names)


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """Evidence, kept; with `submit` it goes to the bank and cannot be changed."""
    only(params, ("evidence", "metadata", "submit"), "Disputes.update")
    dispute = account.load("dispute", ids[0], param="dispute")
    before = dispute.body["status"]
    dispute.body["metadata"] = merged_metadata(dispute.body["metadata"], params.get("metadata"))
    if "evidence" in params or params.get("submit"):
        if before not in _ANSWERABLE:
            raise invalid("This dispute is already closed or its evidence was already submitted.", param="evidence")
        dispute.body["evidence"].update({name: value or None for name, value in params.get("evidence", {}).items()})
        dispute.body["evidence_details"]["has_evidence"] = True
    if params.get("submit"):
        dispute.body["status"] = "warning_under_review" if before.startswith("warning_") else "under_review"
        dispute.body["evidence_details"]["submission_count"] += 1
        dispute.body["evidence_details"]["submission_method"] = "manual"
    account.save(dispute)
    account.emit("charge.dispute.updated", dispute, previous={"status": before})
    told = dispute.body["evidence"]["uncategorized_text"]
    if params.get("submit") and told in {WINNING, LOSING}:
        decide(account, dispute, won=told == WINNING)
    return dispute.body


def close(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Disputes.close")
    dispute = account.load("dispute", ids[0], param="dispute")
    if dispute.body["status"] not in _ANSWERABLE:
        raise invalid("This dispute is already closed or its evidence was already submitted.", param="dispute")
    decide(account, dispute, won=False)
    return dispute.body
