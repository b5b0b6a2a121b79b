"""Which documents an order is asked for: rule data, judged by a pure function."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agreements.rules import OrderFacts, Rule, asked_for, judge, may_concern
from kernel.ids import new_id
from kernel.money import Money

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FACTS = OrderFacts(
    country="IT",
    company="acme",
    categories=frozenset({"ADHESIVES", "ADHESIVES.LUBRICANTS"}),
    total=Money(5_000_000, "EUR"),
)


def rule(**more: Any) -> Rule:
    return Rule(**{"id": new_id(), "document": "terms", "name": "A rule", "starts_at": NOON, **more})


def test_a_rule_without_conditions_asks_every_order() -> None:
    assert judge(rule(), FACTS, NOON).applies
    assert judge(rule(), OrderFacts(country="US"), NOON).applies


@pytest.mark.parametrize(
    ("conditions", "missing"),
    [
        ({"countries": frozenset({"IT", "ES"})}, ()),
        ({"countries": frozenset({"DE"})}, ("country",)),
        ({"categories": frozenset({"ADHESIVES"})}, ()),
        ({"categories": frozenset({"ADHESIVES.LUBRICANTS.SPRAYS"})}, ("category",)),
        ({"companies": frozenset({"acme"})}, ()),
        ({"companies": frozenset({"globex"})}, ("company",)),
        ({"currency": "EUR", "from_minor": 5_000_000}, ()),
        ({"currency": "EUR", "from_minor": 5_000_001}, ("amount",)),
        ({"currency": "EUR", "to_minor": 5_000_001}, ()),
        ({"currency": "EUR", "to_minor": 5_000_000}, ("amount",)),
        ({"currency": "USD", "from_minor": 1}, ("amount",)),
        ({"starts_at": NOON + timedelta(seconds=1)}, ("period",)),
        ({"ends_at": NOON}, ("period",)),
        ({"ends_at": NOON + timedelta(seconds=1)}, ()),
        ({"countries": frozenset({"DE"}), "companies": frozenset({"globex"})}, ("country", "company")),
    ],
)
def test_every_condition_has_to_hold_and_those_that_do_not_are_named(
    conditions: dict[str, Any], missing: tuple[str, ...]
) -> None:
    assert judge(rule(**conditions), FACTS, NOON).missing == missing


def test_without_a_total_no_rule_about_an_amount_applies() -> None:
    assert judge(rule(currency="EUR", from_minor=0), OrderFacts(country="IT"), NOON).missing == ("amount",)


def test_a_document_is_asked_for_when_one_of_its_rules_applies_and_all_that_do_are_named() -> None:
    everywhere, italian = rule(), rule(name="Italy", countries=frozenset({"IT"}))
    never, other = rule(name="Never", ends_at=NOON), rule(document="privacy", companies=frozenset({"globex"}))

    assert asked_for([everywhere, italian, never, other], FACTS, NOON) == {"terms": (everywhere, italian)}


def test_what_may_concern_a_company_looks_past_goods_and_amounts() -> None:
    goods, elsewhere = rule(document="goods", categories=frozenset({"PPE"})), rule(countries=frozenset({"DE"}))
    amount = rule(document="large", currency="EUR", from_minor=1)

    assert may_concern([goods, elsewhere, amount], country="IT", company="acme", at=NOON) == {"goods", "large"}
