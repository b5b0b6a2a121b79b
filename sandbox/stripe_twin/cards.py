"""Stripe's test cards that the hosted page knows, and how each behaves."""

import re
from dataclasses import dataclass
from typing import Literal

from sandbox.stripe_twin.errors import StripeError

Behaviour = Literal["approve", "decline", "authenticate", "authenticate_then_decline"]
OffSession = Literal["approve", "decline", "authentication_required"]
"""What becomes of a later charge of the card, once it was saved."""
Refunds = Literal["at_once", "later", "sent_back"]
"""How refunds to the card go: `later` they are pending first, `sent_back` they succeed and fail afterwards."""
Disputes = Literal["fraudulent", "product_not_received", "inquiry"]
"""What the card's bank says a minute after a charge."""
_GENERIC = "Your card was declined."
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True)
class TestCard:
    """*name* is what tests may write instead of the number."""

    name: str
    number: str
    title: str
    behaviour: Behaviour = "approve"
    code: str = "card_declined"
    decline_code: str | None = None
    message: str = _GENERIC
    brand: str = "visa"
    refunds: Refunds = "at_once"
    disputes: Disputes | None = None
    off_session: OffSession = "approve"


TEST_CARDS = (
    TestCard("visa", "4242424242424242", "Succeeds"),
    TestCard("mastercard", "5555555555554444", "Succeeds (Mastercard)", brand="mastercard"),
    TestCard("amex", "378282246310005", "Succeeds (American Express)", brand="amex"),
    TestCard("refund_pending", "4000000000007726", "Succeeds; refunds take a minute", refunds="later"),
    TestCard("refund_fails", "4000000000005126", "Succeeds; refunds are sent back", refunds="sent_back"),
    TestCard("dispute", "4000000000000259", "Succeeds; disputed a minute later", disputes="fraudulent"),
    TestCard(
        "dispute_not_received",
        "4000000000002685",
        "Succeeds; disputed as not received",
        disputes="product_not_received",
    ),
    TestCard("inquiry", "4000000000001976", "Succeeds; the bank asks about it", disputes="inquiry"),
    TestCard("3ds", "4000002500003155", "Asks for 3D Secure", behaviour="authenticate"),
    TestCard(
        "3ds_always",
        "4000002760003184",
        "Asks for 3D Secure every time",
        behaviour="authenticate",
        off_session="authentication_required",
    ),
    TestCard("declined_later", "4000000000000341", "Succeeds; once saved, it is declined", off_session="decline"),
    TestCard(
        "3ds_then_declined",
        "4000008400001629",
        "3D Secure, then declined",
        behaviour="authenticate_then_decline",
        decline_code="generic_decline",
    ),
    TestCard("declined", "4000000000000002", "Declined", behaviour="decline", decline_code="generic_decline"),
    TestCard(
        "insufficient_funds",
        "4000000000009995",
        "Declined: insufficient funds",
        behaviour="decline",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
    ),
    TestCard("lost_card", "4000000000009987", "Declined: lost card", behaviour="decline", decline_code="lost_card"),
    TestCard(
        "stolen_card", "4000000000009979", "Declined: stolen card", behaviour="decline", decline_code="stolen_card"
    ),
    TestCard(
        "expired",
        "4000000000000069",
        "Declined: expired card",
        behaviour="decline",
        code="expired_card",
        decline_code="expired_card",
        message="Your card has expired.",
    ),
    TestCard(
        "incorrect_cvc",
        "4000000000000127",
        "Declined: wrong security code",
        behaviour="decline",
        code="incorrect_cvc",
        decline_code="incorrect_cvc",
        message="Your card's security code is incorrect.",
    ),
    TestCard(
        "processing_error",
        "4000000000000119",
        "Declined: processing error",
        behaviour="decline",
        code="processing_error",
        decline_code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
    ),
)
UNKNOWN_CARD = TestCard(
    "unknown",
    "",
    "Any other number",
    behaviour="decline",
    decline_code="test_mode_live_card",
    message="Your card was declined. Your request was in test mode, but used a non test card.",
)
_BY_NUMBER = {card.number: card for card in TEST_CARDS}
_BY_NAME = {card.name: card for card in TEST_CARDS}


def card_of(number: str) -> TestCard:
    return _BY_NUMBER.get(number, UNKNOWN_CARD)


@dataclass(frozen=True)
class CardEntry:
    """What a buyer typed, checked as Stripe's page checks it before anything is charged."""

    number: str
    exp_month: int
    exp_year: int
    name: str | None = None
    email: str | None = None
    save: bool = False
    """Whether the buyer ticked that it be kept."""

    @property
    def card(self) -> TestCard:
        return card_of(self.number)


def named_entry(name_or_number: str, *, year: int, save: bool = False) -> CardEntry:
    """An entry for tests that skip the page.

    :raises ValueError: for neither a known name nor digits.
    """
    card = _BY_NAME.get(name_or_number)
    number = card.number if card else name_or_number.replace(" ", "")
    if not number.isdigit():
        raise ValueError(f"card is a number or one of {', '.join(_BY_NAME)}, not {name_or_number!r}")
    who = {"name": "Test Buyer", "email": "buyer@acme.example"}
    return CardEntry(number=number, exp_month=12, exp_year=year + 3, save=save, **who)


def read_entry(fields: dict[str, str], *, year: int, month: int) -> CardEntry:
    """The typed fields ``number``, ``expiry`` (MM / YY), ``cvc``, ``name`` and ``email`` as an entry.

    :raises StripeError: a card_error whose param names the field to mend.
    """
    number = re.sub(r"[\s-]", "", fields.get("number", ""))
    if not number:
        raise _refused("incomplete_number", "Enter a card number.", "number")
    if not re.fullmatch(r"[0-9]{12,19}", number) or not _luhn(number):
        raise _refused("incorrect_number", "Your card number is incorrect.", "number")
    expiry = re.fullmatch(r"\s*([0-9]{1,2})\s*/?\s*(?:20)?([0-9]{2})\s*", fields.get("expiry", ""))
    if expiry is None or not 1 <= int(expiry[1]) <= 12:
        raise _refused("invalid_expiry_month", "Enter the expiry date as MM / YY.", "expiry")
    exp_month, exp_year = int(expiry[1]), 2000 + int(expiry[2])
    if (exp_year, exp_month) < (year, month):
        raise _refused("invalid_expiry_year", "Your card's expiration date is in the past.", "expiry")
    digits = 4 if card_of(number).brand == "amex" else 3
    if not re.fullmatch(rf"[0-9]{{{digits}}}", fields.get("cvc", "").strip()):
        raise _refused("invalid_cvc", f"Enter the {digits}-digit security code.", "cvc")
    email = fields.get("email", "").strip()
    if not EMAIL.fullmatch(email):
        raise _refused("email_invalid", "Enter an e-mail address, such as buyer@acme.example.", "email")
    name = fields.get("name", "").strip() or None
    return CardEntry(number, exp_month, exp_year, name=name, email=email, save=fields.get("save") == "yes")


def _refused(code: str, message: str, param: str) -> StripeError:
    return StripeError(402, "card_error", message, code=code, param=param)


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
