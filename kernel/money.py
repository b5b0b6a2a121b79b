"""Money, exact amounts, and the only rounding function.

`Money` is what is charged: integer minor units of an ISO 4217 currency. `Amount` is what prices and line amounts are
made of: exact, up to 12 decimals. `Amount.to_money` is the one conversion that rounds. There is no float anywhere, and
two currencies never add.

Inside the pricing engine numbers are plain ratios, pairs of integers `(numerator, denominator)`: `ratio` reads one
from a decimal string, `divide` rounds one.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from math import gcd
from typing import Final, Self

import msgspec

from kernel.errors import Malformed

MAX_DECIMALS: Final = 12
MAX_INTEGER_DIGITS: Final = 18

_SCALE: Final = 10**MAX_DECIMALS
_POWERS_OF_TEN: Final = {10**decimals: decimals for decimals in range(40)}
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,12}))?")

_CURRENCIES_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_EXPONENTS: Final = {code: decimals for decimals, codes in _CURRENCIES_BY_DECIMALS.items() for code in codes.split()}


class MalformedDecimal(Malformed):
    problem = "malformed-decimal"
    title = "Not a decimal number"


class UnknownCurrency(Malformed):
    problem = "unknown-currency"
    title = "Not an ISO 4217 currency we know"


class CurrencyMismatch(Malformed):
    problem = "currency-mismatch"
    title = "Amounts of different currencies never mix"


class Mode(StrEnum):
    """How a number between two steps is rounded. Every mode treats a negative amount as the mirror of the positive,
    except `ceiling` (towards plus infinity) and `floor` (towards minus infinity).
    """

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    UP = "up"
    DOWN = "down"
    CEILING = "ceiling"
    FLOOR = "floor"


# reading a member from its class costs as much as a call, and these are read for every price
_HALF_UP, _HALF_EVEN, _HALF_DOWN, _UP, _CEILING, _FLOOR = (
    Mode.HALF_UP,
    Mode.HALF_EVEN,
    Mode.HALF_DOWN,
    Mode.UP,
    Mode.CEILING,
    Mode.FLOOR,
)


def divide(numerator: int, denominator: int, mode: Mode) -> int:
    """*numerator* / *denominator* as a whole number, rounded by *mode*; *denominator* is positive.

    The only place where a price loses digits.
    """
    quotient, rest = divmod(numerator, denominator)
    if not rest:
        return quotient
    # `quotient` is now the whole number below, `quotient + 1` the one above
    if mode is _HALF_UP or mode is _HALF_EVEN or mode is _HALF_DOWN:
        twice = 2 * rest
        if twice != denominator:
            return quotient + (twice > denominator)
        if mode is _HALF_EVEN:
            return quotient + quotient % 2
        return quotient + ((mode is _HALF_UP) == (numerator > 0))
    if mode is _CEILING:
        return quotient + 1
    if mode is _FLOOR:
        return quotient
    return quotient + ((mode is _UP) == (numerator > 0))


@lru_cache(maxsize=16_384)
def ratio(text: str) -> tuple[int, int]:
    """A decimal string as `(numerator, denominator)`, the denominator being a power of ten, as small as it can be.

    :raises MalformedDecimal: for anything but digits with an optional sign and point: no exponent, NaN, infinity,
        blank, plus sign or leading zero; at most 18 digits before the point and 12 after it
    """
    match = _DECIMAL.fullmatch(text) if len(text) <= MAX_INTEGER_DIGITS + MAX_DECIMALS + 2 else None
    if match is None:
        raise MalformedDecimal("Write a decimal number like 12.5: at most 18 digits, a point, at most 12 decimals.")
    sign, whole, decimals = match.groups()
    decimals = (decimals or "").rstrip("0")
    number = int(whole + decimals)
    return (-number if sign else number), 10 ** len(decimals)


def normal(text: str) -> str:
    """The one normal form of a decimal string: `"1.50"` -> `"1.5"`, `"-0.0"` -> `"0"`.

    :raises MalformedDecimal: as `ratio`
    """
    return ratio_text(*ratio(text))


def fixed(units: int, decimals: int) -> str:
    """*units* of 10^-*decimals* with exactly that many decimals: `fixed(1250, 2)` -> `"12.50"`."""
    if not decimals:
        return str(units)
    digits = str(units)
    if units < 0 or len(digits) <= decimals:
        sign, digits = "-" if units < 0 else "", str(abs(units)).rjust(decimals + 1, "0")
        return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


@lru_cache(maxsize=16_384)
def ratio_text(numerator: int, denominator: int) -> str:
    """An exact number as text: the normal decimal form, or `"n/d"` in lowest terms where the decimals never end.

    *denominator* is positive.
    """
    decimals = _POWERS_OF_TEN.get(denominator)
    if decimals is None:
        common = gcd(numerator, denominator)
        numerator, denominator = numerator // common, denominator // common
        rest, twos, fives = denominator, 0, 0
        while rest % 2 == 0:
            rest, twos = rest // 2, twos + 1
        while rest % 5 == 0:
            rest, fives = rest // 5, fives + 1
        if rest != 1:
            return f"{numerator}/{denominator}"
        decimals = max(twos, fives)
        numerator = numerator * 10**decimals // denominator
    text = fixed(numerator, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit: EUR 2, JPY 0, BHD 3.

    :raises UnknownCurrency: when it is not a current ISO 4217 currency
    """
    try:
        return _EXPONENTS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency("Use a three-letter ISO 4217 code in capitals, like EUR.") from None


def currencies() -> tuple[str, ...]:
    """All known ISO 4217 codes, sorted."""
    return tuple(sorted(_EXPONENTS))


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Spread *total* in proportion to *weights* (none negative) so that the parts add up to it exactly.

    What is left after rounding down goes to the largest remainders, ties to the earlier part; weights that are all
    zero share equally.

    :raises ValueError: without weights, or with a negative one
    """
    if not weights or min(weights) < 0:
        raise ValueError("allocation needs at least one weight, and none negative")
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, whole) for weight in weights]
    left = abs(total) - sum(part for part, _ in shares)
    by_remainder = sorted(range(len(shares)), key=lambda index: -shares[index][1])
    bonus = set(by_remainder[:left])
    return [sign * (part + (index in bonus)) for index, (part, _) in enumerate(shares)]


class Money(msgspec.Struct, frozen=True):
    """What is charged: *minor* units (cents) of *currency*."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if type(self.minor) is not int:
            raise TypeError("Money counts whole minor units")

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """`Money.parse("12.34", "EUR")`.

        :raises MalformedDecimal: when *text* is no decimal string or has more decimals than the currency
        """
        decimals = exponent(currency)
        numerator, denominator = ratio(text)
        if denominator > 10**decimals:
            raise MalformedDecimal(f"{currency} has {decimals} decimals.")
        return cls(numerator * 10**decimals // denominator, currency)

    @classmethod
    def zero(cls, currency: str) -> Self:
        return cls(0, currency)

    @property
    def decimal(self) -> str:
        """With exactly the currency's decimals: `"12.30"`."""
        return fixed(self.minor, exponent(self.currency))

    def allocate(self, weights: Sequence[int]) -> tuple[Self, ...]:
        """Parts in proportion to *weights* that add up to the whole; see `largest_remainder`."""
        return tuple(type(self)(part, self.currency) for part in largest_remainder(self.minor, weights))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.minor - self._same(other), self.currency)

    def __mul__(self, times: int) -> Self:
        return type(self)(self.minor * times, self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.minor, self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __lt__(self, other: Self) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.minor >= self._same(other)

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"

    def _same(self, other: Self) -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be added or compared.")
        return other.minor


class Amount(msgspec.Struct, frozen=True):
    """Exact, up to 12 decimals: *trillionths* (10^-12) of one unit of *currency*."""

    trillionths: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if type(self.trillionths) is not int:
            raise TypeError("Amount counts whole 10^-12 units")

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """:raises MalformedDecimal: when *text* is no decimal string of up to 12 decimals"""
        numerator, denominator = ratio(text)
        return cls(numerator * (_SCALE // denominator), currency)

    @classmethod
    def of(cls, money: Money) -> Self:
        """The same value, exactly."""
        return cls(money.minor * 10 ** (MAX_DECIMALS - exponent(money.currency)), money.currency)

    def to_money(self, mode: Mode) -> Money:
        """Rounded to the currency's minor units: the one conversion that may lose digits."""
        step: int = 10 ** (MAX_DECIMALS - exponent(self.currency))
        return Money(divide(self.trillionths, step, mode), self.currency)

    @property
    def decimal(self) -> str:
        """The normal form: no trailing zeros."""
        return ratio_text(self.trillionths, _SCALE)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.trillionths + self._same(other), self.currency)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.trillionths - self._same(other), self.currency)

    def __mul__(self, times: int) -> Self:
        return type(self)(self.trillionths * times, self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.trillionths, self.currency)

    def __bool__(self) -> bool:
        return self.trillionths != 0

    def __lt__(self, other: Self) -> bool:
        return self.trillionths < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.trillionths <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.trillionths > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.trillionths >= self._same(other)

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"

    def _same(self, other: Self) -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be added or compared.")
        return other.trillionths
