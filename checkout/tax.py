"""Which VAT an order bears: rates by country as dated data, and the rules of a seller established in Spain.

Goods delivered in Spain bear Spanish VAT. Delivered to a business in another member state with a valid VAT number of
a member state other than Spain they are an intra-Community supply: the buyer accounts for the tax (reverse charge,
Directive 2006/112/EC art. 138 and 196). Without such a number they bear the VAT of the country of delivery (distance
sales, art. 33, declared by one-stop shop). Delivered outside the EU's VAT territory they are an export (art. 146).
A number is checked by format and check digits here; asking VIES is the payment issue's.
"""

from datetime import date
from enum import StrEnum
from typing import Final

import msgspec
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from accounts.exemption_model import Exemption
from checkout.tax_calculation import TaxCalculation
from kernel.canonical import digest
from kernel.errors import Refused
from pricing.engine.request import TaxInput, TaxRate, Treatment

HOME: Final = "ES"
STANDARD: Final = "standard"


class TaxTreatment(StrEnum):
    """Why an order bears the tax it bears."""

    HOME = "home"
    DESTINATION = "destination"
    REVERSE_CHARGE = "reverse_charge"
    EXPORT = "export"
    EXEMPT = "exempt"


class VatRates(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of *country* from the day *since* on, until a later row of the same country. Percents by tax category;
    a category a country doesn't list bears its standard rate: never too little tax.
    """

    country: str
    since: date
    percents: dict[str, str]


class TaxTable(msgspec.Struct, frozen=True, kw_only=True):
    """*outside*: postcode prefixes of regions that belong to a country but not to the EU's VAT territory."""

    source: str
    rates: tuple[VatRates, ...]
    outside: dict[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        return digest(self)


class TaxDecision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tax inputs of an order, kept with it. *rates* are the country's, whether charged or not: prices that include
    tax need them to take it off.
    """

    treatment: TaxTreatment
    country: str
    """Whose rates they are."""
    rates: tuple[TaxRate, ...]
    vat_number: str | None
    """The buyer's, in its compact form, where the treatment rests on it."""
    table_digest: str
    certificate: Exemption | None = None
    """By which nothing is charged, where the treatment rests on it."""
    calculation: TaxCalculation | None = None
    """What Stripe Tax said, where the house has chosen it: the amounts are then its own."""

    @property
    def charged(self) -> bool:
        if self.calculation is not None:
            return any(rate.percent != "0" for rate in self.calculation.rates)
        return self.treatment in {TaxTreatment.HOME, TaxTreatment.DESTINATION}

    def percent(self, category: str) -> str:
        """What *category* bears: `"21"`; `"0"` where nothing is charged."""
        if self.calculation is not None:
            return self.calculation.percent(category)
        if not self.charged:
            return "0"
        percents = {rate.category: rate.percent for rate in self.rates}
        return percents.get(category, percents[STANDARD])

    def input(self) -> TaxInput:
        """What the pricing engine is told."""
        treatment = {
            TaxTreatment.REVERSE_CHARGE: Treatment.REVERSE_CHARGE,
            TaxTreatment.EXPORT: Treatment.EXEMPT,
            TaxTreatment.EXEMPT: Treatment.EXEMPT,
        }.get(self.treatment, Treatment.STANDARD)
        return TaxInput(rates=self.rates, treatment=treatment)


class TaxNotKnown(Refused):
    problem = "tax-not-known"
    title = "We do not know the tax for this delivery"


_REASONS: Final = {"reverse_charge": TaxTreatment.REVERSE_CHARGE, "customer_exempt": TaxTreatment.EXEMPT}


def calculated(decision: TaxDecision, calculation: TaxCalculation, *, tax_id: str | None) -> TaxDecision:
    """*decision* with Stripe's word in place of the tables'. *tax_id* as the buyer gave it."""
    treatment = _REASONS.get(calculation.reason, decision.treatment)
    if calculation.reason not in _REASONS and decision.treatment in _REASONS.values():
        treatment = TaxTreatment.HOME if decision.country == HOME else TaxTreatment.DESTINATION
    return msgspec.structs.replace(
        decision,
        treatment=treatment,
        vat_number=vat_number(tax_id) if treatment is TaxTreatment.REVERSE_CHARGE else None,
        certificate=decision.certificate if treatment is TaxTreatment.EXEMPT else None,
        calculation=calculation,
    )


def vat_number(text: str | None) -> str | None:
    """*text* in its compact form when it is a well-formed VAT number of an EU member state, else None."""
    if text is None:
        return None
    try:
        return str(vat.validate(text))
    except ValidationError:
        return None


def decide(
    *,
    country: str,
    postal_code: str,
    tax_id: str | None,
    certificate: Exemption | None,
    categories: frozenset[str],
    on: date,
    table: "TaxTable",
) -> TaxDecision:
    """Decide the tax of goods delivered to *country* (ISO code) on the day *on*.

    :param postal_code: may be empty while it is not known
    :param tax_id: as the buyer gave it; one that is no valid EU VAT number counts as none
    :param certificate: the buyer's, accepted by the house and not expired on that day, if it has one for *country*
    :param categories: tax categories of the goods
    :raises TaxNotKnown: when the table has no rate for a member state on that day
    """
    number = vat_number(tax_id)
    members = {row.country for row in table.rates}
    inside = country in members and not _outside(country, postal_code, table)
    foreign = number is not None and number[:2] != HOME
    if not inside:
        treatment = TaxTreatment.EXPORT
    elif certificate is not None:
        treatment = TaxTreatment.EXEMPT
    elif country == HOME:
        treatment = TaxTreatment.HOME
    elif foreign:
        treatment = TaxTreatment.REVERSE_CHARGE
    else:
        treatment = TaxTreatment.DESTINATION
    rated = country if inside else HOME
    percents = _percents(rated, on, table)
    return TaxDecision(
        treatment=treatment,
        country=rated,
        rates=tuple(
            TaxRate(category=category, percent=percents.get(category, percents[STANDARD]))
            for category in sorted(categories | {STANDARD})
        ),
        vat_number=number if treatment is TaxTreatment.REVERSE_CHARGE else None,
        table_digest=table.digest,
        certificate=certificate if treatment is TaxTreatment.EXEMPT else None,
    )


def _outside(country: str, postal_code: str, table: TaxTable) -> bool:
    return postal_code.strip().startswith(table.outside.get(country, ()))


def _percents(country: str, on: date, table: TaxTable) -> dict[str, str]:
    dated = [row for row in table.rates if row.country == country and row.since <= on]
    if not dated:
        raise TaxNotKnown(f"There is no VAT rate for {country} on {on.isoformat()}: ask us for a quote.")
    return max(dated, key=lambda row: row.since).percents


def _since(country: str, since: str, standard: str, **others: str) -> VatRates:
    return VatRates(country=country, since=date.fromisoformat(since), percents={STANDARD: standard, **others})


_OLD: Final = "2021-01-01"
TABLE: Final = TaxTable(
    source="Standard rates as the European Commission's TEDB listed them; check before the first real invoice",
    rates=(
        _since("AT", _OLD, "20"),
        _since("BE", _OLD, "21"),
        _since("BG", _OLD, "20"),
        _since("CY", _OLD, "19"),
        _since("CZ", _OLD, "21"),
        _since("DE", _OLD, "19"),
        _since("DK", _OLD, "25"),
        _since("EE", _OLD, "20"),
        _since("EE", "2024-01-01", "22"),
        _since("EE", "2025-07-01", "24"),
        _since("ES", _OLD, "21", reduced="10", super_reduced="4"),
        _since("FI", _OLD, "24"),
        _since("FI", "2024-09-01", "25.5"),
        _since("FR", _OLD, "20"),
        _since("GR", _OLD, "24"),
        _since("HR", _OLD, "25"),
        _since("HU", _OLD, "27"),
        _since("IE", "2021-03-01", "23"),
        _since("IT", _OLD, "22"),
        _since("LT", _OLD, "21"),
        _since("LU", _OLD, "17"),
        _since("LU", "2023-01-01", "16"),
        _since("LU", "2024-01-01", "17"),
        _since("LV", _OLD, "21"),
        _since("MT", _OLD, "18"),
        _since("NL", _OLD, "21"),
        _since("PL", _OLD, "23"),
        _since("PT", _OLD, "23"),
        _since("RO", _OLD, "19"),
        _since("RO", "2025-08-01", "21"),
        _since("SE", _OLD, "25"),
        _since("SI", _OLD, "22"),
        _since("SK", _OLD, "20"),
        _since("SK", "2025-01-01", "23"),
    ),
    # Canary Islands, Ceuta, Melilla; Heligoland and Büsingen; Livigno; Åland; Mount Athos; the French overseas regions
    outside={
        "DE": ("27498", "78266"),
        "ES": ("35", "38", "51", "52"),
        "FI": ("22",),
        "FR": ("971", "972", "973", "974", "976"),
        "GR": ("63086",),
        "IT": ("23041",),
    },
)
