"""Amounts typed into forms: what no order comes to is refused before the database is asked to keep it."""

from html import unescape

import pytest

from kernel.money import MalformedDecimal, Money
from tests.web.conftest import PayingShop
from web.amounts import AmountTooLarge, typed_money

NINES = "9" * 18
"""The longest number that is read at all: in cents more than 64 bits hold."""


@pytest.mark.parametrize("text", ["10000000000000.00", NINES, f"-{NINES}"])
def test_more_than_any_order_is_no_amount(text: str) -> None:
    with pytest.raises(AmountTooLarge):
        typed_money(text, "EUR")


def test_what_an_order_may_come_to_is_an_amount_and_no_more_decimals_than_the_currency_has() -> None:
    assert typed_money("9999999999999.99", "EUR") == Money(999_999_999_999_999, "EUR")
    with pytest.raises(MalformedDecimal):
        typed_money("1.005", "EUR")


@pytest.mark.parametrize(
    ("who", "path", "fields", "said"),
    [
        (
            "finance@meridian.example",
            "/desk/credit/company?code=acme",
            {"net_days": "30", "limit": NINES, "currency": "EUR", "reason": "Good payer", "shown": ""},
            "No order comes to that much",
        ),
        (
            "buyer@acme.example",
            "/account/policy",
            {"approval": "above", "approval_above": NINES, "wait_days": "3"},
            "Write an amount like 5000",
        ),
    ],
)
async def test_a_form_says_so_and_keeps_what_was_typed(
    paying_shop: PayingShop, who: str, path: str, fields: dict[str, str], said: str
) -> None:
    browser = paying_shop.client()
    await browser.log_in(who)

    answer = await browser.submit(path, fields, page=path)

    assert answer.status_code == 422, answer.text
    assert said in unescape(answer.text)
    assert NINES in answer.text
