"""What stands against publishing a content: errors stop it, warnings want somebody's word and are kept with it.

The engine checks a content by itself; here are the questions that need the catalogue as well.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from kernel.canonical import digest
from pricing.engine import check
from pricing.engine.book import EVERYONE, BookContent
from pricing.engine.check import Finding, Severity, Thresholds, Witness
from pricing.engine.check import finding_text as engine_text
from pricing.engine.derive import TEXTS as DERIVATION_TEXTS
from pricing.engine.memory import Book
from pricing.engine.request import Buyer

_TEXTS: Final = {
    **DERIVATION_TEXTS,
    "sold_without_price": (
        "{sku} is on sale, and no list prices it.",
        "{sku} está a la venta y ninguna tarifa le pone precio.",
    ),
    "sold_not_in_currency": (
        "{count} SKUs on sale have no price in {currency}, in which everyone can buy others; the first: {sku}.",
        "{count} SKU a la venta no tienen precio en {currency}, moneda abierta a todos para otros; el primero: {sku}.",
    ),
}


async def buyers_of_today(session: AsyncSession) -> tuple[Buyer, ...]:
    """Every company as the engine knows it, its goods going to its own country."""
    return tuple(
        Buyer(company=company.code, segments=tuple(company.segments), country=company.country)
        for company in await accounts_store.list_companies(session)
    )


def list_findings(
    content: BookContent,
    *,
    sold: Collection[str],
    at: datetime,
    buyers: Iterable[Buyer] = (),
    current: Book | None = None,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - it is frozen
) -> tuple[Finding, ...]:
    """Errors first. *sold*: the SKUs on sale; *at*: when the content is to take effect; the rest as `check` has it."""
    by_itself = check(content, at=at, buyers=buyers, current=current, thresholds=thresholds)
    found = [
        # the engine does not know what is on sale: a withdrawn SKU without a price is nothing to report
        *(finding for finding in by_itself if finding.code != "never_priced"),
        *_unpriced(content, sold, at),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.ERROR))


def finding_text(finding: Finding, language: str) -> str:
    """What is wrong, in `en` or `es`."""
    if finding.code in _TEXTS:
        return _TEXTS[finding.code][language == "es"].format(**finding.params)
    return engine_text(finding, language)


def finding_digest(finding: Finding) -> str:
    """The finding's name, `sha256:...`, the same at every check that finds the same: of code and params, without `at`,
    which says when the check was made. The worst case's figures are params, so a case grown worse has another name.
    """
    return digest(
        {
            "code": finding.code,
            "params": {name: value for name, value in finding.params.items() if name != "at"},
        }
    )


def _unpriced(content: BookContent, sold: Collection[str], at: datetime) -> Iterator[Finding]:
    """An error for each SKU on sale that no list prices, a warning for each currency that is open to everyone and in
    which some have no price.
    """
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

    def witness(sku: str, currency: str) -> Witness:
        unit = base_units.get(sku, "each")
        return Witness(buyer=Buyer(), currency=currency, sku=sku, unit=unit, quantity="1", at=at)

    for sku in sorted(sku for sku in sold if sku not in priced):
        asked = witness(sku, min(open_currencies)) if open_currencies else None
        yield Finding(code="sold_without_price", severity=Severity.ERROR, params={"sku": sku}, witness=asked)
    for currency in sorted(open_currencies):
        missing = sorted(sku for sku in sold if sku in priced and currency not in priced[sku])
        if missing:
            yield Finding(
                code="sold_not_in_currency",
                severity=Severity.WARNING,
                params={"count": str(len(missing)), "currency": currency, "sku": missing[0]},
                witness=witness(missing[0], currency),
            )
