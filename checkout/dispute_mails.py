"""What the house is written when a payment is disputed: there is a day until which evidence counts."""

from checkout.dispute_model import Dispute, DisputeState
from kernel.mail import Mail


def dispute_alarm(dispute: Dispute, number: str | None, *, to: str, base_url: str) -> Mail:
    """The letter `dispute_alarm`, to the house, about a new dispute. *number*: its order's, where it has one."""
    of = "an order we do not know" if number is None else f"order {number}"
    asks = dispute.state is DisputeState.INQUIRY
    due = "no day is named" if dispute.due_by is None else f"{dispute.due_by:%Y-%m-%d %H:%M} UTC"
    return Mail(
        to=to,
        subject=f"Alarm: {dispute.amount} of {of} {'asked about' if asks else 'disputed'} by the bank",
        kind="dispute_alarm",
        text=f"The buyer's bank {'asks about' if asks else 'disputes'} {dispute.amount} of {of}.\n\n"
        f"  Reason: {dispute.reason.replace('_', ' ')}\n"
        f"  Taken out of our balance: {dispute.withdrawn}\n"
        f"  Evidence is due by: {due}\n\n"
        f"What can be done, with the buyer's acceptance to hand: {base_url}/desk/disputes/{dispute.id}\n",
    )
