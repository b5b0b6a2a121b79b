"""Amounts that people type into forms."""

from typing import Final

from kernel.money import MalformedDecimal, Money

MINOR_MOST: Final = 10**15
"""More than any order, and less than the database takes."""


class AmountTooLarge(MalformedDecimal):
    """Forms say so in a sentence of their own."""


def typed_money(text: str, currency: str) -> Money:
    """*text* as an amount of *currency*.

    :raises MalformedDecimal: when it is no decimal string, or has more decimals than the currency
    :raises AmountTooLarge: from `MINOR_MOST` on, which the database might not take
    """
    amount = Money.parse(text, currency)
    if abs(amount.minor) >= MINOR_MOST:
        raise AmountTooLarge(f"Write an amount below {Money(MINOR_MOST, currency)}.")
    return amount
