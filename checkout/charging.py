"""Stripe's way of writing amounts, and what it can charge at all. Pure.

Stripe counts in the currency's minor unit as ISO 4217 has it, but for the exceptions below
(https://docs.stripe.com/currencies): some currencies have no decimals there, some must be whole though written with
two, and three-decimal ones must end in 0.
"""

from typing import Final

from kernel.errors import Refused
from kernel.money import Money, exponent

_ZERO_DECIMALS: Final = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_WHOLE_OF_TWO: Final = frozenset(["ISK", "UGX"])
_LEAST: Final = {
    "AED": "2.00", "AUD": "0.50", "BGN": "1.00", "BRL": "0.50", "CAD": "0.50", "CHF": "0.50", "CZK": "15.00",
    "DKK": "2.50", "EUR": "0.50", "GBP": "0.30", "HKD": "4.00", "HUF": "175.00", "INR": "0.50", "JPY": "50",
    "MXN": "10.00", "MYR": "2.00", "NOK": "3.00", "NZD": "0.50", "PLN": "2.00", "RON": "2.00", "SEK": "3.00",
    "SGD": "0.50", "THB": "10.00", "USD": "0.50",
}  # fmt: skip
_MOST: Final = 99_999_999
_DEBITS: Final = {"EUR": "sepa_debit", "USD": "us_bank_account"}


class TotalNotChargeable(Refused):
    problem = "total-not-chargeable"
    title = "This total cannot be charged by card"


def payment_methods(currency: str) -> tuple[str, ...]:
    """What a buyer may choose from on Stripe's page: a card always, a direct debit where its scheme has the currency.

    Stripe takes out silently what the account or the amount does not allow.
    """
    debit = _DEBITS.get(currency)
    return ("card",) if debit is None else ("card", debit)


def to_stripe(total: Money) -> int:
    """*total* as the integer Stripe takes.

    :raises TotalNotChargeable: when Stripe can't charge exactly this amount
    """
    decimals, stripe_decimals = exponent(total.currency), _decimals(total.currency)
    amount: int = total.minor * 10 ** max(0, stripe_decimals - decimals)
    step: int = 10 ** max(0, decimals - stripe_decimals)
    if amount % step:
        raise TotalNotChargeable(f"{total} has more decimals than a card can be charged.")
    amount //= step
    if decimals == 3 and amount % 10:
        raise TotalNotChargeable(f"{total} must end in 0 to be charged by card.")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """The Money behind Stripe's *amount* and lower-case *currency*."""
    code = currency.upper()
    decimals, stripe_decimals = exponent(code), _decimals(code)
    if stripe_decimals > decimals:
        whole, rest = divmod(amount, 10 ** (stripe_decimals - decimals))
        if rest:
            raise ValueError(f"Stripe says {amount} {currency}, which has a fraction {code} doesn't have")
        return Money(whole, code)
    return Money(amount * 10 ** (decimals - stripe_decimals), code)


def check_chargeable(total: Money) -> None:
    """Refuse before the buyer agrees what could not be paid after it. A total of 0 needs no charge.

    :raises TotalNotChargeable: below Stripe's minimum, above its maximum, or not exactly chargeable
    """
    if not total:
        return
    least = _LEAST.get(total.currency)
    if least is not None and total < Money.parse(least, total.currency):
        raise TotalNotChargeable(f"Card payments begin at {least} {total.currency}; add something to the order.")
    if to_stripe(total) > _MOST:
        raise TotalNotChargeable(f"{total} is more than one card payment can be; ask us for an invoice.")


def _decimals(currency: str) -> int:
    if currency in _ZERO_DECIMALS:
        return 0
    return 2 if currency in _WHOLE_OF_TWO else exponent(currency)
