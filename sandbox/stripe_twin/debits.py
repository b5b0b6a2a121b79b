"""Direct debits: SEPA in euros and ACH in dollars. The buyer is done at once, the bank takes its days."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from sandbox.stripe_twin.account import Account
from sandbox.stripe_twin.cards import EMAIL
from sandbox.stripe_twin.errors import JsonObject, StripeError
from sandbox.stripe_twin.payments import balance_transaction
from sandbox.stripe_twin.store import Record

Method = Literal["sepa_debit", "us_bank_account"]

DAY: Final = 24 * 60 * 60
TAKES: Final[dict[Method, int]] = {"sepa_debit": 7 * DAY, "us_bank_account": 4 * DAY}
"""From the buyer's consent to the bank's word, in seconds."""
CURRENCIES: Final[dict[str, Method]] = {"eur": "sepa_debit", "usd": "us_bank_account"}
ROUTING_NUMBER: Final = "110000000"


@dataclass(frozen=True)
class TestAccount:
    """*name* is what tests may write instead of the number. *failure* is the charge's code, None where it succeeds."""

    name: str
    method: Method
    number: str
    title: str
    failure: str | None = None


TEST_ACCOUNTS: Final = (
    TestAccount("sepa", "sepa_debit", "AT611904300234573201", "Succeeds after seven days"),
    TestAccount("sepa_fails", "sepa_debit", "AT861904300235473202", "Fails after seven days", "insufficient_funds"),
    TestAccount("ach", "us_bank_account", "000123456789", "Succeeds after four days"),
    TestAccount("ach_fails", "us_bank_account", "000222222227", "Fails after four days", "insufficient_funds"),
)
_BY_NUMBER: Final = {each.number: each for each in TEST_ACCOUNTS}


@dataclass(frozen=True)
class DebitEntry:
    """What a buyer typed, of a known account."""

    bank: TestAccount
    name: str
    email: str


def offered(allowed: list[str] | None, currency: str) -> list[str]:
    """The methods of a page in *currency*: what was allowed and works there, in the order it was given."""
    works = {"card", CURRENCIES.get(currency)}
    return [method for method in (["card"] if allowed is None else allowed) if method in works]


def named_debit(name: str) -> DebitEntry | None:
    """An entry for tests that skip the page; None when no test account has that name."""
    bank = next((each for each in TEST_ACCOUNTS if each.name == name), None)
    return None if bank is None else DebitEntry(bank, "Test Buyer", "buyer@acme.example")


def read_debit(fields: dict[str, str], method: Method) -> DebitEntry:
    """The typed fields ``number``, ``routing`` (dollars only), ``name`` and ``email`` as an entry.

    :raises StripeError: an error whose param names the field to mend.
    """
    number = re.sub(r"[\s-]", "", fields.get("number", "")).upper()
    bank = _BY_NUMBER.get(number)
    if bank is None or bank.method != method:
        wrong = "Enter the IBAN of a test account." if method == "sepa_debit" else "Enter the number of a test account."
        raise _refused(wrong, "number")
    if method == "us_bank_account" and fields.get("routing", "").strip() != ROUTING_NUMBER:
        raise _refused("Enter the routing number of the test bank, 110000000.", "routing")
    name = fields.get("name", "").strip()
    if not name:
        raise _refused("Enter the name of the account holder.", "name")
    email = fields.get("email", "").strip()
    if not EMAIL.fullmatch(email):
        raise _refused("Enter an e-mail address, such as buyer@acme.example.", "email")
    return DebitEntry(bank, name, email)


def confirm(account: Account, intent: Record, entry: DebitEntry) -> None:
    """Hand the debit to the bank: the PaymentIntent is processing until `turn`."""
    method = _payment_method(account, entry)
    charge = account.create(
        "charge",
        amount=intent.body["amount"],
        amount_captured=0,
        billing_details=method.body["billing_details"],
        captured=True,
        currency=intent.body["currency"],
        customer=intent.body["customer"],
        description=intent.body["description"],
        fraud_details={},
        metadata=intent.body["metadata"],
        paid=False,
        payment_intent=intent.id,
        payment_method=method.id,
        payment_method_details={"type": entry.bank.method, entry.bank.method: _charged(method.body, entry.bank.method)},
        receipt_url=None,
        status="pending",
    )
    intent.body.update(payment_method=method.id, last_payment_error=None, latest_charge=charge.id, status="processing")
    intent.private.update(turns_at=account.now() + TAKES[entry.bank.method], failure=entry.bank.failure)
    account.save(intent)
    account.emit("charge.pending", charge)
    account.emit("payment_intent.processing", intent)


def turn(account: Account, intent: Record) -> bool:
    """The bank's word on a debit: whether the money came."""
    failure: str | None = intent.private.pop("failure")
    del intent.private["turns_at"]
    charge = account.load("charge", intent.body["latest_charge"], param="charge")
    if failure is None:
        amount = intent.body["amount"]
        charge.body.update(status="succeeded", paid=True, amount_captured=amount)
        charge.body["balance_transaction"] = balance_transaction(account, charge, amount, "charge").id
        intent.body.update(status="succeeded", amount_received=amount)
        account.save(charge)
        account.save(intent)
        account.emit("charge.succeeded", charge)
        account.emit("payment_intent.succeeded", intent)
        return True
    message = "The customer's account has insufficient funds to cover this payment."
    charge.body.update(status="failed", failure_code=failure, failure_message=message)
    method = account.load("payment_method", intent.body["payment_method"], param="payment_method")
    error = {"type": "invalid_request_error", "code": failure, "message": message, "charge": charge.id}
    intent.body.update(
        status="requires_payment_method",
        payment_method=None,
        last_payment_error={**error, "payment_method": method.body},
    )
    account.save(charge)
    account.save(intent)
    account.emit("charge.failed", charge)
    account.emit("payment_intent.payment_failed", intent)
    return False


def _payment_method(account: Account, entry: DebitEntry) -> Record:
    bank = entry.bank
    details: JsonObject
    if bank.method == "sepa_debit":
        details = {
            "bank_code": bank.number[4:9],
            "branch_code": "",
            "country": bank.number[:2],
            "fingerprint": None,
            "generated_from": {"charge": None, "setup_attempt": None},
            "last4": bank.number[-4:],
        }
    else:
        details = {
            "account_holder_type": "company",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": None,
            "last4": bank.number[-4:],
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": ROUTING_NUMBER,
            "status_details": None,
        }
    who = {"address": None, "email": entry.email, "name": entry.name, "phone": None, "tax_id": None}
    return account.create(
        "payment_method", billing_details=who, customer=None, metadata={}, type=bank.method, **{bank.method: details}
    )


def _charged(method: JsonObject, kind: Method) -> JsonObject:
    same: tuple[str, ...] = ("fingerprint", "last4")
    if kind == "sepa_debit":
        same += ("bank_code", "branch_code", "country")
        return {**{name: method[kind][name] for name in same}, "mandate": None}
    same += ("account_holder_type", "account_type", "bank_name", "routing_number")
    return {**{name: method[kind][name] for name in same}, "payment_reference": None}


def _refused(message: str, param: str) -> StripeError:
    return StripeError(402, "invalid_request_error", message, param=param)
