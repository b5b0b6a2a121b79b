"""Money: exact, one currency at a time, one rounding function."""

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
)
from fractions import Fraction
from operator import add, ge, gt, le, lt, sub

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Conflict, DomainError, Malformed, NotFound, Refused, Unavailable
from kernel.money import (
    Amount,
    CurrencyMismatch,
    MalformedDecimal,
    Mode,
    Money,
    UnknownCurrency,
    currencies,
    divide,
    exponent,
    fixed,
    largest_remainder,
    normal,
    ratio,
    ratio_text,
)

ORACLE = {
    Mode.HALF_UP: ROUND_HALF_UP,
    Mode.HALF_EVEN: ROUND_HALF_EVEN,
    Mode.HALF_DOWN: ROUND_HALF_DOWN,
    Mode.UP: ROUND_UP,
    Mode.DOWN: ROUND_DOWN,
    Mode.CEILING: ROUND_CEILING,
    Mode.FLOOR: ROUND_FLOOR,
}


def eur(text: str) -> Money:
    return Money.parse(text, "EUR")


@pytest.mark.parametrize("mode", Mode)
@given(number=st.integers(-(10**15), 10**15), places=st.integers(0, 5))
def test_rounding_agrees_with_decimal_in_every_mode(mode: Mode, number: int, places: int) -> None:
    exact = Decimal(number).scaleb(-places, Context(prec=40))

    assert divide(number, 10**places, mode) == int(exact.quantize(Decimal(1), rounding=ORACLE[mode]))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # of -2.5, -1.2, 1.2, 1.5, 2.5
        (Mode.HALF_UP, [-3, -1, 1, 2, 3]),
        (Mode.HALF_EVEN, [-2, -1, 1, 2, 2]),
        (Mode.HALF_DOWN, [-2, -1, 1, 1, 2]),
        (Mode.UP, [-3, -2, 2, 2, 3]),
        (Mode.DOWN, [-2, -1, 1, 1, 2]),
        (Mode.CEILING, [-2, -1, 2, 2, 3]),
        (Mode.FLOOR, [-3, -2, 1, 1, 2]),
    ],
)
def test_each_mode_rounds_as_its_name_says(mode: Mode, expected: list[int]) -> None:
    assert [divide(tenths, 10, mode) for tenths in (-25, -12, 12, 15, 25)] == expected


@pytest.mark.parametrize(("numerator", "up", "down"), [(1, 1, 0), (-1, -1, 0), (3, 2, 1), (-3, -2, -1)])
def test_exactly_half_goes_away_from_zero_or_towards_it(numerator: int, up: int, down: int) -> None:
    assert divide(numerator, 2, Mode.HALF_UP) == up
    assert divide(numerator, 2, Mode.HALF_DOWN) == down


def test_the_smallest_rest_goes_up_or_down_whole() -> None:
    assert [divide(tenths, 10, Mode.UP) for tenths in (1, -1)] == [1, -1]
    assert [divide(tenths, 10, Mode.DOWN) for tenths in (1, -1)] == [0, 0]


@given(number=st.integers(-(10**9), 10**9), denominator=st.integers(1, 10**6), mode=st.sampled_from(Mode))
def test_rounding_never_moves_a_number_by_a_whole_unit(number: int, denominator: int, mode: Mode) -> None:
    assert abs(Fraction(number, denominator) - divide(number, denominator, mode)) < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (0, 1)),
        ("-0", (0, 1)),
        ("12.50", (125, 10)),
        ("-0.5", (-5, 10)),
        ("10", (10, 1)),
        ("0.000000000001", (1, 10**12)),
        ("999999999999999999", (10**18 - 1, 1)),
    ],
)
def test_a_decimal_string_is_read_exactly(text: str, expected: tuple[int, int]) -> None:
    assert ratio(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "+1", "1e5", "1E+9999999", "NaN", "Infinity", "-inf", "01", ".5", "5.", "1,5", "1_000",
        "0x10", "١٢", "1\n", "1\x00", "--1", "1.0000000000001", "1" * 19, "9" * 100_000, "0." + "0" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedDecimal):
        ratio(text)


@given(st.text(max_size=40))
def test_no_text_ends_in_anything_but_a_number_or_a_refusal(text: str) -> None:
    try:
        numerator, denominator = ratio(text)
    except MalformedDecimal:
        return
    assert Fraction(numerator, denominator) == Fraction(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("1.50", "1.5"), ("-0.0", "0"), ("100", "100"), ("-7.10", "-7.1"), ("0.10", "0.1")]
)
def test_there_is_one_normal_form(text: str, expected: str) -> None:
    assert normal(text) == expected
    assert normal(expected) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ((1, 3), "1/3"),
        ((-2, 6), "-1/3"),
        ((1, 8), "0.125"),
        ((6, 4), "1.5"),
        ((1, 25), "0.04"),
        ((10, 5), "2"),
        ((84, 10), "8.4"),
        ((-5, 100), "-0.05"),
        ((100, 1), "100"),
        ((0, 100), "0"),
    ],
)
def test_an_exact_number_is_written_in_decimals_or_as_a_fraction(number: tuple[int, int], expected: str) -> None:
    assert ratio_text(*number) == expected


@pytest.mark.parametrize(
    ("units", "decimals", "expected"),
    [(1250, 2, "12.50"), (5, 2, "0.05"), (-5, 2, "-0.05"), (7, 0, "7"), (0, 3, "0.000"), (-1234, 3, "-1.234")],
)
def test_units_are_written_with_their_decimals(units: int, decimals: int, expected: str) -> None:
    assert fixed(units, decimals) == expected


@pytest.mark.parametrize(("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("MXN", 2), ("CLP", 0)])
def test_a_currency_has_its_own_decimals(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize("currency", ["EU", "eur", "", "XXX", "EUR ", None, []])
def test_an_unknown_currency_is_refused_with_what_to_write(currency: str) -> None:
    with pytest.raises(UnknownCurrency) as refused:
        exponent(currency)

    assert str(refused.value) == "Use a three-letter ISO 4217 code in capitals, like EUR."


def test_the_currencies_are_listed_in_order() -> None:
    assert list(currencies()) == sorted(currencies())
    assert {"EUR", "USD", "MXN", "JPY", "BHD"} <= set(currencies())


def test_money_is_read_and_written_in_its_currency() -> None:
    assert eur("12.3") == Money(1230, "EUR")
    assert eur("12.3").decimal == "12.30"
    assert Money.parse("500", "JPY").decimal == "500"
    assert Money.parse("1.234", "KWD").decimal == "1.234"
    assert str(eur("-0.05")) == "-0.05 EUR"
    assert Money.zero("EUR") == eur("0")


def test_money_has_no_more_decimals_than_its_currency() -> None:
    with pytest.raises(MalformedDecimal, match="JPY has 0 decimals"):
        Money.parse("1.5", "JPY")


@pytest.mark.parametrize("minor", [1.5, True, "1", None])
def test_money_counts_whole_minor_units_only(minor: int) -> None:
    with pytest.raises(TypeError, match=r"^Money counts whole minor units$"):
        Money(minor, "EUR")
    with pytest.raises(TypeError, match=r"^Amount counts whole 10\^-12 units$"):
        Amount(minor, "EUR")


def test_money_adds_subtracts_and_multiplies() -> None:
    assert eur("1.10") + eur("2.20") == eur("3.30")
    assert eur("1.10") - eur("2.20") == eur("-1.10")
    assert eur("1.10") * 3 == eur("3.30")
    assert -eur("1.10") == eur("-1.10")
    assert eur("0.01")
    assert not eur("0")


def test_money_is_ordered_within_its_currency() -> None:
    assert eur("1") < eur("2") <= eur("2")
    assert eur("2") > eur("1") >= eur("1")
    assert not eur("1") < eur("1")
    assert not eur("1") > eur("1")


@pytest.mark.parametrize("operation", [add, sub, lt, le, gt, ge])
def test_two_currencies_never_mix(operation: Callable[[object, object], object]) -> None:
    with pytest.raises(CurrencyMismatch, match=r"^EUR and USD cannot be added or compared.$"):
        operation(eur("1"), Money.parse("1", "USD"))
    with pytest.raises(CurrencyMismatch, match=r"^EUR and USD cannot be added or compared.$"):
        operation(Amount.parse("1", "EUR"), Amount.parse("1", "USD"))
    assert eur("1") != Money.parse("1", "USD")


def test_money_from_json_is_checked() -> None:
    assert msgspec.json.decode(b'{"minor":5,"currency":"EUR"}', type=Money) == eur("0.05")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"minor":5.5,"currency":"EUR"}', type=Money)


def test_an_amount_keeps_twelve_decimals() -> None:
    amount = Amount.parse("0.000000000001", "EUR")

    assert (amount + amount).decimal == "0.000000000002"
    assert (amount - amount).decimal == "0"
    assert (amount * 5).decimal == "0.000000000005"
    assert (-amount).decimal == "-0.000000000001"
    assert amount
    assert not Amount(0, "EUR")
    assert str(Amount.parse("1.50", "EUR")) == "1.5 EUR"


def test_amounts_are_ordered_within_their_currency() -> None:
    one, two, also_two = Amount.parse("1", "EUR"), Amount.parse("2", "EUR"), Amount.parse("2", "EUR")

    assert one < two <= also_two
    assert also_two >= two > one
    assert not two < also_two
    assert not two > also_two


def test_an_amount_becomes_money_by_a_stated_mode() -> None:
    assert Amount.parse("1.005", "EUR").to_money(Mode.HALF_UP) == eur("1.01")
    assert Amount.parse("1.005", "EUR").to_money(Mode.HALF_EVEN) == eur("1.00")
    assert Amount.parse("1.5", "JPY").to_money(Mode.FLOOR) == Money(1, "JPY")


@given(st.integers(-(10**15), 10**15), st.sampled_from(currencies()))
def test_money_as_amount_and_back_is_the_same(minor: int, currency: str) -> None:
    money = Money(minor, currency)

    for mode in Mode:
        assert Amount.of(money).to_money(mode) == money
    assert Money.parse(money.decimal, currency) == money


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_allocation_loses_nothing_and_is_fair(minor: int, weights: list[int]) -> None:
    parts = Money(minor, "EUR").allocate(weights)
    fair = weights if sum(weights) else [1] * len(weights)

    assert sum(part.minor for part in parts) == minor
    for part, weight in zip(parts, fair, strict=True):
        assert abs(part.minor - Fraction(minor * weight, sum(fair))) < 1


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (10, [0, 0], [5, 5]),
        (5, [3, 0, 2], [3, 0, 2]),
        (1, [1, 2], [0, 1]),
    ],
)
def test_what_is_left_goes_to_the_largest_remainder(total: int, weights: list[int], expected: list[int]) -> None:
    assert largest_remainder(total, weights) == expected


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_allocation_without_sensible_weights_is_a_mistake(weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^allocation needs at least one weight, and none negative$"):
        largest_remainder(1, weights)


def test_a_refusal_carries_its_slug_message_and_members() -> None:
    error = Refused("Order at least 5.", minimum=5)

    assert (error.message, str(error), error.extra) == ("Order at least 5.", "Order at least 5.", {"minimum": 5})
    assert Conflict().message == Conflict.title
    assert [kind.status for kind in (Malformed, NotFound, Conflict, Refused, Unavailable, DomainError)] == [
        400, 404, 409, 422, 503, 500,
    ]  # fmt: skip
