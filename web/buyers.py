"""Who is being priced: the buyer, currency and country that every page and the API ask the engine with."""

from typing import Final

from accounts.principal import Principal
from checkout.tax import HOME
from kernel.settings import Settings
from pricing.engine import Buyer
from web.http import AnyRequest, principal_of, services_of

CURRENCIES: Final = ("EUR", "USD")


def buyer_of(principal: Principal, country: str | None = None) -> Buyer:
    """Return the engine's buyer. *country* of delivery: as said, else the company's, else the house's own."""
    company = principal.company
    if company is None:
        return Buyer(country=country or HOME)
    return Buyer(company=company.code, segments=company.segments, country=country or company.country)


def currency_cookie_name(request: AnyRequest) -> str:
    return currency_cookie(services_of(request).settings)


def currency_cookie(settings: Settings) -> str:
    """Name of the cookie that holds a guest's currency; on plain http it names the port, for cookies ignore ports."""
    return "__Host-currency" if settings.https else f"currency_{settings.port}"


def currency_of(request: AnyRequest) -> str:
    """Return the currency of the pages: the company's own, or the one a guest chose."""
    company = principal_of(request).company
    if company is not None:
        return company.currency
    chosen = request.cookies.get(currency_cookie_name(request))
    return str(chosen) if chosen in CURRENCIES else CURRENCIES[0]
