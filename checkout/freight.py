"""What delivery costs: zone by country and postcode, weight bands, free above an amount of goods. Data and one rule."""

from decimal import Decimal
from typing import Final

import msgspec

from accounts.tax import EU_MEMBER_STATES
from kernel.canonical import digest
from kernel.errors import Refused
from kernel.money import Money

GRAMS_PER_KILOGRAM: Final = 1000


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """*countries* empty: every country no other zone has. *postcodes*: prefixes; stated, they make it a part of its
    countries and go before the whole.
    """

    code: str
    countries: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """From *from_kg* (inclusive) on a consignment costs *price*; bands have lower bounds only, so none is missed."""

    from_kg: int
    price: str


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """*per_ten_kg* is added for each started 10 kg above the last band's start. *free_from*: goods, net; None never."""

    zone: str
    currency: str
    bands: tuple[Band, ...]
    per_ten_kg: str
    free_from: str | None


class FreightTable(msgspec.Struct, frozen=True, kw_only=True):
    zones: tuple[Zone, ...]
    tariffs: tuple[Tariff, ...]

    @property
    def digest(self) -> str:
        return digest(self)


class FreightDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The freight inputs of an order, kept with it. *free_from* is the amount of goods that makes it free."""

    zone: str
    weight_grams: int
    unweighed: tuple[str, ...]
    """SKUs whose weight nobody entered; they count as weightless."""
    freight: Money
    free_from: Money | None
    table_digest: str


class FreightNotKnown(Refused):
    problem = "freight-not-known"
    title = "We have no freight tariff for this delivery"


def decide(
    *,
    country: str,
    postal_code: str,
    goods: Money,
    weights: dict[str, tuple[Decimal, Decimal | None]],
    table: FreightTable,
) -> FreightDecision:
    """Decide the freight of one consignment, without tax.

    :param weights: base units and grams a base unit, by SKU
    :raises FreightNotKnown: when there is no tariff in the currency
    """
    zone = _zone(country, postal_code.strip(), table)
    tariff = next((row for row in table.tariffs if row.zone == zone and row.currency == goods.currency), None)
    if tariff is None:
        raise FreightNotKnown(f"There is no freight tariff in {goods.currency} to {country}: ask us for a quote.")
    grams = sum((quantity * (weight or 0) for quantity, weight in weights.values()), Decimal(0))
    weight_grams = int(grams.to_integral_value(rounding="ROUND_CEILING"))
    free_from = None if tariff.free_from is None else Money.parse(tariff.free_from, goods.currency)
    free = free_from is not None and goods >= free_from
    return FreightDecision(
        zone=zone,
        weight_grams=weight_grams,
        unweighed=tuple(sorted(sku for sku, (_, weight) in weights.items() if weight is None)),
        freight=Money.zero(goods.currency) if free else _price(tariff, weight_grams),
        free_from=free_from,
        table_digest=table.digest,
    )


def _zone(country: str, postal_code: str, table: FreightTable) -> str:
    of_country = [zone for zone in table.zones if country in zone.countries]
    part = next((zone for zone in of_country if zone.postcodes and postal_code.startswith(zone.postcodes)), None)
    whole = next((zone for zone in of_country if not zone.postcodes), None)
    rest = next(zone for zone in table.zones if not zone.countries)
    return (part or whole or rest).code


def _price(tariff: Tariff, weight_grams: int) -> Money:
    reached = [band for band in tariff.bands if band.from_kg * GRAMS_PER_KILOGRAM <= weight_grams]
    last = reached[-1]
    price = Money.parse(last.price, tariff.currency)
    if last is not tariff.bands[-1]:
        return price
    above = weight_grams - last.from_kg * GRAMS_PER_KILOGRAM
    return price + Money.parse(tariff.per_ten_kg, tariff.currency) * -(-above // (10 * GRAMS_PER_KILOGRAM))


def _tariffs(zone: str, per_currency: dict[str, tuple[str, str, str, str, str | None]]) -> tuple[Tariff, ...]:
    return tuple(
        Tariff(
            zone=zone,
            currency=currency,
            bands=(
                Band(from_kg=0, price=parcel),
                Band(from_kg=5, price=heavy),
                Band(from_kg=30, price=pallet),
            ),
            per_ten_kg=per_ten_kg,
            free_from=free_from,
        )
        for currency, (parcel, heavy, pallet, per_ten_kg, free_from) in per_currency.items()
    )


TABLE: Final = FreightTable(
    zones=(
        Zone(code="iberia", countries=("ES", "PT")),
        Zone(code="islands", countries=("ES",), postcodes=("07", "35", "38", "51", "52")),
        Zone(code="eu", countries=tuple(sorted(EU_MEMBER_STATES - {"ES", "PT"}))),
        Zone(code="europe", countries=("AD", "CH", "GB", "IS", "LI", "NO", "SM")),
        Zone(code="world"),
    ),
    tariffs=(
        *_tariffs(
            "iberia",
            {
                "EUR": ("6.90", "12.90", "39.00", "4.50", "300.00"),
                "USD": ("7.50", "14.00", "42.00", "4.90", "330.00"),
                "GBP": ("5.90", "11.00", "33.00", "3.90", "260.00"),
            },
        ),
        *_tariffs(
            "islands",
            {
                "EUR": ("14.90", "32.00", "89.00", "9.50", None),
                "USD": ("16.00", "35.00", "97.00", "10.50", None),
                "GBP": ("12.90", "27.50", "76.00", "8.20", None),
            },
        ),
        *_tariffs(
            "eu",
            {
                "EUR": ("12.90", "24.90", "79.00", "8.50", "750.00"),
                "USD": ("14.00", "27.00", "86.00", "9.30", "820.00"),
                "GBP": ("11.00", "21.50", "68.00", "7.30", "650.00"),
            },
        ),
        *_tariffs(
            "europe",
            {
                "EUR": ("19.90", "44.00", "129.00", "14.00", "1500.00"),
                "USD": ("21.50", "48.00", "140.00", "15.20", "1640.00"),
                "GBP": ("17.00", "38.00", "110.00", "12.00", "1300.00"),
            },
        ),
        *_tariffs(
            "world",
            {
                "EUR": ("34.90", "89.00", "249.00", "32.00", None),
                "USD": ("38.00", "97.00", "272.00", "35.00", None),
                "GBP": ("29.90", "76.00", "214.00", "27.50", None),
            },
        ),
    ),
)
