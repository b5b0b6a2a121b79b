from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkout import freight, tax
from checkout.charging import TotalNotChargeable, check_chargeable, from_stripe, payment_methods, to_stripe
from checkout.stripe_gateway import intent_of
from checkout.totals import Totals, add_up
from kernel.money import Money, currencies
from pricing.engine import quote
from pricing.engine.request import Buyer, LineRequest, QuoteRequest
from tests.checkout.conftest import book

AT = datetime(2026, 11, 21, tzinfo=UTC)


def totals(*lines: tuple[str, str], country: str = "ES", tax_id: str | None = None, grams: int = 0) -> Totals:
    decision = tax.decide(
        country=country,
        postal_code="",
        tax_id=tax_id,
        certificate=None,
        categories=frozenset({"standard", "super_reduced"}),
        on=date(2026, 11, 21),
        table=tax.TABLE,
    )
    answer = quote(
        QuoteRequest(
            buyer=Buyer(country=country),
            currency="EUR",
            lines=tuple(LineRequest(sku=sku, quantity=quantity) for sku, quantity in lines),
            tax=decision.input(),
        ),
        book=book(),
        at=AT,
    )
    assert answer.net is not None
    consignment = freight.decide(
        country=country,
        postal_code="",
        goods=answer.net,
        weights={"X": (Decimal(1), Decimal(grams))},
        table=freight.TABLE,
    )
    return add_up(answer, decision, consignment)


def test_two_armchairs_to_madrid_by_hand() -> None:
    found = totals(("CRUNCHY-ARMCHAIR", "2"), grams=24000)

    # 2 x 100.00; freight 12.90; 21 % of 200.00 = 42.00 and of 12.90 = 2.709 -> 2.71
    assert (found.goods.minor, found.freight.minor, found.tax.minor, found.total.minor) == (20000, 1290, 4471, 25761)
    assert [(row.percent, row.taxable.minor, row.tax.minor) for row in found.tax_rows] == [("21", 21290, 4471)]


def test_two_rates_are_shown_apart_and_freight_bears_the_standard_one() -> None:
    found = totals(("CRUNCHY-ARMCHAIR", "1"), ("MANUAL", "3"))

    # 100.00 at 21 % = 21.00, freight 6.90 at 21 % = 1.449 -> 1.45; 29.97 at 4 % = 1.1988 -> 1.20
    assert [(row.percent, row.taxable.minor, row.tax.minor) for row in found.tax_rows] == [
        ("21", 10690, 2245),
        ("4", 2997, 120),
    ]


def test_reverse_charge_and_export_bear_no_tax_on_anything() -> None:
    for country, tax_id in (("FR", "FR40303265045"), ("US", None)):
        found = totals(("CRUNCHY-ARMCHAIR", "1"), country=country, tax_id=tax_id)
        assert not found.tax
        assert found.total == found.goods + found.freight
        assert [row.percent for row in found.tax_rows] == ["0"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["CRUNCHY-ARMCHAIR", "MANUAL"]), st.integers(1, 9999)),
        min_size=1,
        max_size=6,
        unique_by=lambda line: line[0],
    ),
    st.sampled_from(["ES", "FR", "DE", "US", "CH"]),
    st.integers(0, 10**6),
)
def test_the_parts_always_add_up(lines: list[tuple[str, int]], country: str, grams: int) -> None:
    found = totals(*((sku, str(quantity)) for sku, quantity in lines), country=country, grams=grams)

    assert found.goods + found.freight + found.tax == found.total
    assert sum(row.tax.minor for row in found.tax_rows) == found.tax.minor
    assert sum(row.taxable.minor for row in found.tax_rows) == (found.goods + found.freight).minor


def test_a_quote_with_a_refused_line_has_no_totals() -> None:
    answer = quote(
        QuoteRequest(buyer=Buyer(), currency="EUR", lines=(LineRequest(sku="UNPRICED", quantity="1"),)),
        book=book(),
        at=AT,
    )
    decision = tax.decide(
        country="ES",
        postal_code="",
        tax_id=None,
        certificate=None,
        categories=frozenset(),
        on=date(2026, 11, 21),
        table=tax.TABLE,
    )
    consignment = freight.decide(country="ES", postal_code="", goods=Money(0, "EUR"), weights={}, table=freight.TABLE)

    with pytest.raises(ValueError, match="no totals"):
        add_up(answer, decision, consignment)


def test_debits_are_offered_in_their_schemes_currency_alone() -> None:
    assert {currency: payment_methods(currency) for currency in ("EUR", "USD", "JPY", "KWD")} == {
        "EUR": ("card", "sepa_debit"),
        "USD": ("card", "us_bank_account"),
        "JPY": ("card",),
        "KWD": ("card",),
    }


@pytest.mark.parametrize(("amount", "currency", "money"), [(1234, "jpy", "1234"), (12340, "kwd", "12.340")])
def test_what_a_charge_took_or_holds_is_read_in_its_currencys_decimals(amount: int, currency: str, money: str) -> None:
    """However a card is charged, what came is compared with the order in the currency's own minor units."""
    seen = intent_of(
        {
            "id": "pi_1",
            "status": "succeeded",
            "amount": amount,
            "amount_received": amount,
            "currency": currency,
            "created": 1,
        }
    )

    assert seen.amount == seen.received == Money.parse(money, currency.upper())


def test_jpy_and_kwd_amounts_and_minimum_charge() -> None:
    assert [to_stripe(Money(1234, currency)) for currency in ("JPY", "EUR")] == [1234, 1234]
    assert to_stripe(Money(12340, "KWD")) == 12340
    for unchargeable in (Money(12345, "KWD"), Money(49, "JPY"), Money(49, "EUR")):
        with pytest.raises(TotalNotChargeable):
            check_chargeable(unchargeable)
    check_chargeable(Money(50, "JPY"))


@pytest.mark.parametrize(
    ("money", "stripe"),
    [
        (Money(1234, "EUR"), 1234),
        (Money(1234, "JPY"), 1234),
        (Money(12340, "KWD"), 12340),
        (Money(50, "ISK"), 5000),
        (Money(1200, "MGA"), 12),
    ],
)
def test_amounts_of_odd_currencies_go_to_stripe_and_back(money: Money, stripe: int) -> None:
    assert to_stripe(money) == stripe
    assert from_stripe(stripe, money.currency.lower()) == money


@pytest.mark.parametrize(
    "money",
    [
        Money(12345, "KWD"),  # three decimals must end in 0
        Money(1250, "MGA"),  # Stripe knows no decimals of it
        Money(49, "EUR"),  # the minimum is 0.50
        Money(29, "GBP"),
        Money(49, "JPY"),
        Money(100_000_000, "EUR"),  # more than one charge can be
    ],
)
def test_what_no_card_can_be_charged_is_refused_before_anybody_agrees(money: Money) -> None:
    with pytest.raises(TotalNotChargeable):
        check_chargeable(money)


@pytest.mark.parametrize("money", [Money(0, "EUR"), Money(50, "EUR"), Money(99_999_999, "EUR"), Money(30, "GBP")])
def test_the_edges_of_what_can_be_charged_are_charged(money: Money) -> None:
    check_chargeable(money)


def test_every_amount_that_goes_to_stripe_comes_back_the_same() -> None:
    for currency in currencies():
        money = Money(1_000_000, currency)
        assert from_stripe(to_stripe(money), currency.lower()) == money


def test_a_fraction_the_currency_does_not_have_is_no_amount() -> None:
    with pytest.raises(ValueError, match="fraction"):
        from_stripe(5050, "isk")
