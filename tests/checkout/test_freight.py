from decimal import Decimal

import pytest

from checkout.freight import TABLE, FreightDecision, FreightNotKnown, decide
from kernel.money import Money


def freight(
    country: str = "ES",
    *,
    postal_code: str = "28013",
    goods: Money = Money(1000, "EUR"),  # noqa: B008 - Money is frozen
    grams: str | None = "1000",
    units: str = "1",
) -> FreightDecision:
    weight = None if grams is None else Decimal(grams)
    return decide(
        country=country,
        postal_code=postal_code,
        goods=goods,
        weights={"CRUNCHY-ARMCHAIR": (Decimal(units), weight)},
        table=TABLE,
    )


@pytest.mark.parametrize(
    ("country", "postal_code", "zone"),
    [
        ("ES", "28013", "iberia"),
        ("PT", "1000", "iberia"),
        ("ES", "07001", "islands"),
        ("ES", "35001", "islands"),
        ("FR", "07001", "eu"),
        ("CH", "8001", "europe"),
        ("JP", "100", "world"),
        ("ES", "", "iberia"),
    ],
)
def test_country_and_postcode_give_the_zone(country: str, postal_code: str, zone: str) -> None:
    assert freight(country, postal_code=postal_code).zone == zone


@pytest.mark.parametrize(
    ("grams", "expected"),
    [
        ("0", 690),
        ("4999.999999", 1290),  # a started gram counts: 5,000 g
        ("4999", 690),
        ("5000", 1290),
        ("29999", 1290),
        ("30000", 3900),
        ("30001", 4350),
        ("40000", 4350),
        ("40001", 4800),
    ],
)
def test_weight_bands_begin_at_their_lower_bound_and_the_last_grows_by_ten_kilograms(grams: str, expected: int) -> None:
    assert freight(grams=grams).freight == Money(expected, "EUR")


@pytest.mark.parametrize(("goods", "expected"), [(29999, 690), (30000, 0), (30001, 0)])
def test_it_is_free_from_the_threshold_on(goods: int, expected: int) -> None:
    decision = freight(goods=Money(goods, "EUR"))

    assert decision.freight == Money(expected, "EUR")
    assert decision.free_from == Money(30000, "EUR")


def test_the_islands_are_never_free() -> None:
    decision = freight(postal_code="35001", goods=Money(10**8, "EUR"))

    assert decision.free_from is None
    assert decision.freight == Money(1490, "EUR")


def test_weight_is_quantity_times_weight_and_an_unknown_one_is_named() -> None:
    assert freight(grams="2.5", units="3").weight_grams == 8
    unknown = freight(grams=None)
    assert (unknown.weight_grams, unknown.unweighed) == (0, ("CRUNCHY-ARMCHAIR",))


def test_a_currency_without_tariff_is_refused_not_guessed() -> None:
    with pytest.raises(FreightNotKnown):
        freight(goods=Money(1000, "JPY"))


def test_every_zone_has_a_tariff_in_each_currency_and_bands_from_zero_up() -> None:
    currencies = {tariff.currency for tariff in TABLE.tariffs}
    assert {(tariff.zone, tariff.currency) for tariff in TABLE.tariffs} == {
        (zone.code, currency) for zone in TABLE.zones for currency in currencies
    }
    for tariff in TABLE.tariffs:
        starts = [band.from_kg for band in tariff.bands]
        assert starts[0] == 0
        assert starts == sorted(set(starts))
    assert freight().table_digest == TABLE.digest
