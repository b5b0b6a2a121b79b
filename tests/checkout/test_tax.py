from datetime import date, timedelta

import msgspec
import pytest

from accounts.exemption_model import Exemption
from checkout.tax import TABLE, TaxDecision, TaxNotKnown, TaxTreatment, decide, vat_number
from kernel.ids import new_id
from pricing.engine.request import Treatment

TODAY = date(2026, 11, 21)


def tax(
    country: str,
    *,
    postal_code: str = "",
    tax_id: str | None = None,
    certificate: Exemption | None = None,
    on: date = TODAY,
    categories: frozenset[str] = frozenset({"standard"}),
) -> TaxDecision:
    return decide(
        country=country,
        postal_code=postal_code,
        tax_id=tax_id,
        certificate=certificate,
        categories=categories,
        on=on,
        table=TABLE,
    )


@pytest.mark.parametrize(
    ("country", "postal_code", "tax_id", "treatment", "percent"),
    [
        ("ES", "28013", None, TaxTreatment.HOME, "21"),
        ("ES", "28013", "ESB12345674", TaxTreatment.HOME, "21"),
        ("ES", "28013", "FR40303265045", TaxTreatment.HOME, "21"),
        ("ES", "35001", None, TaxTreatment.EXPORT, "0"),
        ("ES", " 38001", "ESB12345674", TaxTreatment.EXPORT, "0"),
        ("ES", "51001", None, TaxTreatment.EXPORT, "0"),
        ("ES", "07001", None, TaxTreatment.HOME, "21"),
        ("FR", "75001", "FR40303265045", TaxTreatment.REVERSE_CHARGE, "0"),
        ("FR", "75001", "fr 40 303 265 045", TaxTreatment.REVERSE_CHARGE, "0"),
        ("FR", "75001", "DE136695976", TaxTreatment.REVERSE_CHARGE, "0"),
        ("FR", "75001", None, TaxTreatment.DESTINATION, "20"),
        ("FR", "75001", "FR00000000000", TaxTreatment.DESTINATION, "20"),
        ("FR", "75001", "ESB12345674", TaxTreatment.DESTINATION, "20"),
        ("FR", "97400", None, TaxTreatment.EXPORT, "0"),
        ("FI", "00100", None, TaxTreatment.DESTINATION, "25.5"),
        ("DE", "10115", None, TaxTreatment.DESTINATION, "19"),
        ("CH", "8001", None, TaxTreatment.EXPORT, "0"),
        ("GB", "SW1A 1AA", None, TaxTreatment.EXPORT, "0"),
        ("US", "10001", "FR40303265045", TaxTreatment.EXPORT, "0"),
    ],
)
def test_place_of_delivery_and_vat_number_decide_the_tax(
    country: str, postal_code: str, tax_id: str | None, treatment: TaxTreatment, percent: str
) -> None:
    decision = tax(country, postal_code=postal_code, tax_id=tax_id)

    assert (decision.treatment, decision.percent("standard")) == (treatment, percent)


def test_a_certificate_exempts_where_tax_would_be_due() -> None:
    certificate = Exemption(id=new_id(), country="ES", number="E-7", expires_on=TODAY, digest="sha256:0")
    for country in ("ES", "FR"):
        decision = tax(country, certificate=certificate)
        assert (decision.treatment, decision.percent("standard")) == (TaxTreatment.EXEMPT, "0")
        assert decision.certificate == certificate
    assert tax("US", certificate=certificate).treatment is TaxTreatment.EXPORT
    assert "certificate" not in msgspec.to_builtins(tax("ES"))  # orders of before have the same bytes
    assert certificate.covers("ES", TODAY)
    assert not certificate.covers("ES", TODAY + timedelta(days=1))
    assert not certificate.covers("FR", TODAY)


@pytest.mark.parametrize(
    ("on", "percent"),
    [(date(2024, 8, 31), "24"), (date(2024, 9, 1), "25.5"), (TODAY, "25.5")],
)
def test_a_rate_begins_on_its_day(on: date, percent: str) -> None:
    assert tax("FI", on=on).percent("standard") == percent


def test_reduced_categories_bear_their_rate_where_the_country_lists_one_else_the_standard() -> None:
    categories = frozenset({"standard", "super_reduced", "unheard_of"})

    spain, germany = tax("ES", categories=categories), tax("DE", categories=categories)

    assert [spain.percent(each) for each in ("standard", "super_reduced", "unheard_of")] == ["21", "4", "21"]
    assert germany.percent("super_reduced") == "19"


def test_the_engine_is_told_the_rates_whether_charged_or_not() -> None:
    charged, reversed_, export = tax("ES"), tax("FR", tax_id="FR40303265045"), tax("US")

    assert charged.input().treatment is Treatment.STANDARD
    assert reversed_.input().treatment is Treatment.REVERSE_CHARGE
    assert export.input().treatment is Treatment.EXEMPT
    assert [rate.percent for rate in reversed_.input().rates] == ["20"]
    assert [rate.percent for rate in export.input().rates] == ["21"]


def test_the_number_is_kept_only_where_the_treatment_rests_on_it() -> None:
    assert tax("FR", tax_id="FR 40 303 265 045").vat_number == "FR40303265045"
    assert tax("ES", tax_id="ESB12345674").vat_number is None


def test_before_the_first_rate_nothing_is_guessed() -> None:
    with pytest.raises(TaxNotKnown):
        tax("IE", on=date(2021, 2, 28))


def test_all_member_states_have_a_rate_and_the_table_a_digest() -> None:
    assert len({row.country for row in TABLE.rates}) == 27
    assert tax("ES").table_digest == TABLE.digest
    assert TABLE.digest.startswith("sha256:")


@pytest.mark.parametrize("text", ["", "hello", "FR40303265046", "US123456789", "x" * 5000, "\x00"])
def test_what_is_no_vat_number_is_none(text: str) -> None:
    assert vat_number(text) is None
