"""Which documents an order is asked for, as rule data says. Pure: same rules, facts and instant, same answer.

A document is asked for when at least one of its rules applies. A rule applies when all that it names holds: the buyer's
country, a category of goods in the cart, the company, and the order's total in a currency, within the rule's period.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from kernel.money import Money

Condition = Literal["period", "country", "category", "company", "amount"]


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rules look at. *categories* holds the codes from the top category down to each line's own. A *total* of None
    is not known yet: no rule about an amount applies.
    """

    country: str
    company: str | None = None
    categories: frozenset[str] = frozenset()
    total: Money | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """None is any. *from_minor* is the smallest total it is for, *to_minor* the first one it is not for."""

    id: uuid.UUID
    document: str
    name: str
    starts_at: datetime
    ends_at: datetime | None = None
    countries: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    companies: frozenset[str] | None = None
    currency: str | None = None
    from_minor: int | None = None
    to_minor: int | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and what of it doesn't hold; nothing when it applies."""

    rule: Rule
    missing: tuple[Condition, ...]

    @property
    def applies(self) -> bool:
        return not self.missing


def judge(rule: Rule, facts: OrderFacts, at: datetime) -> Judged:
    holds: Mapping[Condition, bool] = {
        "period": rule.starts_at <= at and (rule.ends_at is None or at < rule.ends_at),
        "country": rule.countries is None or facts.country in rule.countries,
        "category": rule.categories is None or not rule.categories.isdisjoint(facts.categories),
        "company": rule.companies is None or facts.company in rule.companies,
        "amount": rule.currency is None or _in_range(rule, facts.total),
    }
    return Judged(rule=rule, missing=tuple(condition for condition, held in holds.items() if not held))


def asked_for(rules: Iterable[Rule], facts: OrderFacts, at: datetime) -> dict[str, tuple[Rule, ...]]:
    """The rules that apply, by the document they ask for."""
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules:
        if judge(rule, facts, at).applies:
            found[rule.document] = (*found.get(rule.document, ()), rule)
    return found


def may_concern(rules: Sequence[Rule], *, country: str, company: str, at: datetime) -> frozenset[str]:
    """The documents that some order of a company may be asked for, whatever it holds and comes to."""
    facts, of_the_company = OrderFacts(country=country, company=company), {"period", "country", "company"}
    return frozenset(rule.document for rule in rules if of_the_company.isdisjoint(judge(rule, facts, at).missing))


def _in_range(rule: Rule, total: Money | None) -> bool:
    if total is None or total.currency != rule.currency:
        return False
    return (rule.from_minor or 0) <= total.minor and (rule.to_minor is None or total.minor < rule.to_minor)
