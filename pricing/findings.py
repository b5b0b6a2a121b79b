"""What stands against publishing a content: errors stop it, warnings are kept with the publication.

The engine checks a content by itself; here are the questions that need the catalogue as well.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from pricing.engine.book import EVERYONE, BookContent, Instant


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A question that shows the finding: ask for this price and see."""

    company: str | None = None
    segments: tuple[str, ...] = ()
    country: str | None = None
    currency: str | None = None
    sku: str | None = None
    unit: str | None = None
    quantity: str | None = None
    at: Instant | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """*code* is stable, *message* in English; *kind* and *key* name the object to mend, where there is one."""

    severity: Severity
    code: str
    message: str
    kind: str | None = None
    key: tuple[str, ...] = ()
    witness: Witness | None = None


def list_findings(content: BookContent, *, sold: Collection[str], at: datetime) -> list[Finding]:
    """Errors first. *sold*: the SKUs on sale; *at*: when the content is to take effect."""
    found = [*_references(content), *_unpriced(content, sold, at)]
    return sorted(found, key=lambda finding: (finding.severity is Severity.WARNING, finding.code, finding.key))


def _references(content: BookContent) -> Iterator[Finding]:
    """Names that name nothing."""
    skus = {facts.sku: {unit.unit for unit in facts.units} for facts in content.skus}
    lists = {price_list.code for price_list in content.lists}
    groups = {(layer.code, group.code) for layer in content.layers for group in layer.groups}
    for row in content.rows:
        starts = "" if row.starts_at is None else row.starts_at.isoformat()
        key = (row.list, row.sku, row.unit, starts)
        if row.list not in lists:
            yield _unknown(f"The row of {row.sku} is in list {row.list}, which does not exist.", "row", key)
        if row.sku not in skus:
            yield _unknown(f"List {row.list} prices {row.sku}, which the catalogue does not know.", "row", key)
        elif row.unit not in skus[row.sku]:
            yield _unknown(f"List {row.list} prices {row.sku} by {row.unit}, which it is not sold in.", "row", key)
    for adjustment in content.adjustments:
        if (adjustment.layer, adjustment.group) not in groups:
            yield _unknown(
                f"Rule {adjustment.code} is in group {adjustment.group} of layer {adjustment.layer}, "
                "which does not exist.",
                "adjustment",
                (adjustment.code,),
            )
    yield from _scopes(content, skus.keys())


def _scopes(content: BookContent, skus: Collection[str]) -> Iterator[Finding]:
    categories = {category for facts in content.skus for category in facts.categories}
    brands = {facts.brand for facts in content.skus if facts.brand is not None}
    scoped = [
        *(("adjustment", rule.code, rule.scope) for rule in content.adjustments),
        *(("bound", bound.code, bound.scope) for bound in content.bounds),
        *(("quantity_rule", rule.code, rule.scope) for rule in content.quantity_rules),
    ]
    for kind, code, scope in scoped:
        what = f"{kind.replace('_', ' ').capitalize()} {code}"
        for sku in (*scope.skus, *scope.excluded_skus):
            if sku not in skus:
                yield _unknown(f"{what} names the unknown SKU {sku}.", kind, (code,))
        for name in (*scope.categories, *scope.excluded_categories, *scope.brands, *scope.excluded_brands):
            if name not in categories and name not in brands:
                yield Finding(
                    severity=Severity.WARNING,
                    code="matches-nothing",
                    message=f"{what} names {name}, a category or brand without a SKU.",
                    kind=kind,
                    key=(code,),
                )


def _unknown(message: str, kind: str, key: tuple[str, ...]) -> Finding:
    return Finding(severity=Severity.ERROR, code="unknown-reference", message=message, kind=kind, key=key)


def _unpriced(content: BookContent, sold: Collection[str], at: datetime) -> Iterator[Finding]:
    """SKUs on sale that no list prices at all (an error), or not in a currency that is open to everyone."""
    currency_of = {price_list.code: price_list.currency for price_list in content.lists}
    open_currencies = {
        price_list.currency
        for price_list in content.lists
        if price_list.audience == EVERYONE and (price_list.ends_at is None or price_list.ends_at > at)
    }
    priced: dict[str, set[str]] = {}
    for row in content.rows:
        if row.list in currency_of and (row.ends_at is None or row.ends_at > at):
            priced.setdefault(row.sku, set()).add(currency_of[row.list])
    base_units = {facts.sku: facts.units[0].unit for facts in content.skus}
    for sku in sorted(sold):
        currencies = priced.get(sku, set())
        for currency in sorted(open_currencies - currencies) if currencies else [""]:
            yield Finding(
                severity=Severity.WARNING if currencies else Severity.ERROR,
                code="no-price",
                message=f"{sku} is on sale and has no price in {currency}."
                if currency
                else f"{sku} is on sale and no list prices it.",
                kind="sku",
                key=(sku,),
                witness=Witness(
                    currency=currency or next(iter(sorted(open_currencies)), None),
                    sku=sku,
                    unit=base_units.get(sku),
                    quantity="1",
                    at=at,
                ),
            )
