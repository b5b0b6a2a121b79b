"""Sentences of acts by others than the buyer alone: approving, signing, counter-signing.

They are evidence, so they stand here word for word, as those of `wording.py` do.
"""

from typing import Final

from agreements.wording import DEFAULT_LOCALE

_APPROVE: Final = {
    "en": "Approve and place order - obligation to pay",
    "es": "Aprobar y hacer el pedido con obligación de pago",
}


def approve_label(locale: str) -> str:
    """What the approver's button says: that pressing it orders, and obliges to pay."""
    return _APPROVE.get(locale, _APPROVE[DEFAULT_LOCALE])
