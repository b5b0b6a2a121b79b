"""Who asks the API, and what prices depend on besides the book: the same as for a page or a cart."""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Final

import msgspec

from accounts.exemption_model import Exemption
from accounts.principal import BuyerCompany, Principal
from accounts.tax import COUNTRIES, UnknownCountry
from checkout import tax
from checkout.offer import Delivery, delivery_for
from pricing.compiled import CompiledBook
from pricing.engine import Book, Buyer
from pricing.engine.request import TaxInput
from web.buyers import CURRENCIES, buyer_of
from web.http import AnyRequest, principal_of, services_of


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One request's buyer, place, instant and book. *country_assumed*: the request did not say where to."""

    company: BuyerCompany | None
    buyer: Buyer
    currency: str
    country: str
    country_assumed: bool
    at: datetime
    book: CompiledBook

    def tax(self, categories: frozenset[str]) -> TaxInput:
        """The tax rules' answer for goods of these tax categories, as for a cart delivered to the same country."""
        company = self.company
        return _tax_input(
            delivery_for(company, None if self.country_assumed else self.country),
            None if company is None else company.exemption(self.country, self.at.date()),
            categories,
            self.at.date(),
        )


def context_of(request: AnyRequest, *, currency: str | None, country: str | None) -> Context:
    """What this request is priced with; the instant is ours, not the caller's.

    :raises UnknownCountry: when *country* is no country
    :raises BookUnavailable: and `NoBookPublished`, as `PriceBooks.at`
    """
    if country is not None and country not in COUNTRIES:
        raise UnknownCountry(
            f"{country} is no ISO 3166-1 country code. Write GB for the United Kingdom, GR for Greece."
        )
    services, principal = services_of(request), principal_of(request)
    at = services.clock.now()
    delivery = delivery_for(principal.company, country)
    return Context(
        company=principal.company,
        buyer=buyer_of(principal, delivery.country),
        currency=currency or _currency(principal),
        country=delivery.country,
        country_assumed=delivery.assumed,
        at=at,
        book=services.books.at(at),
    )


def tax_categories(book: Book, skus: Iterable[str]) -> frozenset[str]:
    """The tax categories of the SKUs that the book knows."""
    return frozenset({entry.facts.tax_category for sku in skus if (entry := book.entry(sku)) is not None})


@lru_cache(maxsize=4096)
def _tax_input(delivery: Delivery, certificate: Exemption | None, categories: frozenset[str], on: date) -> TaxInput:
    """The decision hangs on nothing else; checking a VAT number and digesting the table for each request is dear."""
    return tax.decide(
        country=delivery.country,
        postal_code=delivery.postal_code,
        tax_id=delivery.tax_id,
        certificate=certificate,
        categories=categories,
        on=on,
        table=tax.TABLE,
    ).input()


def _currency(principal: Principal) -> str:
    return DEFAULT_CURRENCY if principal.company is None else principal.company.currency


DEFAULT_CURRENCY: Final = CURRENCIES[0]
