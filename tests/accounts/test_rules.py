"""The pure rules: passwords, tax ids, the text of API keys, names and addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.details import LOCALES, check_locale, check_name
from accounts.keys import PresentedKey
from accounts.limits import network
from accounts.mails import _TEXTS
from accounts.model import TaxIdCheck, TaxStatus
from accounts.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH, Passwords, WeakPassword, check_password
from accounts.tax import (
    COUNTRIES,
    EU_MEMBER_STATES,
    TaxId,
    TaxIdMalformed,
    UnknownCountry,
    check_country,
    check_tax_id,
    tax_status,
)

CONTEXT = ("buyer@acme.example", "Acme Buyer", "Acme Tools, S.L.")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "too_short"),
        ("kH7$w9!zQp2", "too_short"),
        ("x" * 129, "too_long"),
        ("\ufdfa" * 100, "too_long"),  # one character that stands for 18
        ("Password-2026!", "too_common"),
        ("passwordpassword", "too_common"),
        ("P@ssw0rd1234", "too_common"),
        ("PASSWORD1234", "too_common"),
        ("qwertyuiop12", "too_common"),
        ("poiuytrewq99", "too_common"),
        ("abcdefghijklm", "too_common"),
        ("123456789012", "too_common"),
        ("482915730264", "too_common"),
        ("aaaaaaaaaaaaaaaa", "too_common"),
        ("abababababababab", "too_common"),
        ("iloveyou-iloveyou", "too_common"),
        ("Welcome.2026.January", "too_common"),
        ("contraseña123", "too_common"),
        ("Bienvenido2026!", "too_common"),
        ("correct horse battery staple", "too_common"),
        ("thisismypassword", "too_common"),
        ("acme-tools-2026", "too_common"),
        ("buyer@acme.example", "too_common"),
        ("".join(chr(ord(character) + 0xFEE0) for character in "PASSWORD1234"), "too_common"),
    ],
)
def test_what_attackers_try_first_is_refused(password: str, reason: str) -> None:
    with pytest.raises(WeakPassword) as refused:
        check_password(password, context=CONTEXT)

    assert refused.value.extra["reason"] == reason


@pytest.mark.parametrize(
    "password",
    [
        "tidy-anvil-parade",
        "kH7$w9!zQp2m",
        "una mesa verde",
        "crunchy armchair 7 spoons",
        "Пять медных ложек",
        "acme lathe banana",
        " leading and trailing ",
    ],
)
def test_anything_long_and_unexpected_is_taken_without_rules_of_composition(password: str) -> None:
    check_password(password, context=CONTEXT)


def test_the_bounds_are_inclusive() -> None:
    check_password("kH7$w9!zQp2m"[:MINIMUM_LENGTH])
    check_password(("kH7$w9!zQp2mlevod" * 8)[:MAXIMUM_LENGTH])


async def test_a_password_is_the_same_however_the_keyboard_composed_it(passwords: Passwords) -> None:
    stored = await passwords.hash("contrasen\u0303a cafe\u0301")

    assert await passwords.verify("contrase\u00f1a caf\u00e9", stored)
    assert not await passwords.verify("contrasena cafe", stored)


async def test_no_input_breaks_the_check_of_a_password(passwords: Passwords) -> None:
    stored = await passwords.hash("tidy-anvil-parade")

    assert not await passwords.verify("\x00", stored)
    assert not await passwords.verify("\ud800", stored)
    assert not await passwords.verify("x" * 10_000_000, stored)
    assert not await passwords.verify("tidy-anvil-parade", "no hash at all")


def test_a_key_says_what_it_is_and_reads_back() -> None:
    key = PresentedKey.make()

    assert key.text.startswith(f"trf_{key.key_id}_")
    assert len(key.text) == 66
    assert PresentedKey.parse(key.text) == key
    assert key.secret not in repr(key)


def test_the_checksum_of_a_key_never_changes() -> None:
    key = PresentedKey("0123456789AB", "z" * 43)

    assert key.text == "trf_0123456789AB_" + "z" * 43 + "1Ukakl"


@given(st.data())
def test_one_wrong_character_is_noticed_before_anything_is_looked_up(data: st.DataObject) -> None:
    text = PresentedKey("k0Zt5mQx9LrA", "S" * 20 + "e7" * 11 + "c").text
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789ABCXYZabcxyz_- ñ").filter(lambda character: character != text[at]))

    assert PresentedKey.parse(text[:at] + other + text[at + 1 :]) is None


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_a_key(text: str) -> None:
    assert PresentedKey.parse(text) is None


@pytest.mark.parametrize(
    ("given_text", "country", "text"),
    [
        ("B12345674", "ES", "ESB12345674"),
        (" es-b 12345674 ", "ES", "ESB12345674"),
        ("136695976", "DE", "DE136695976"),
        ("FR 40 303 265 045", "FR", "FR40303265045"),
        ("094259216", "GR", "EL094259216"),
        ("GR094259216", "GR", "EL094259216"),
        ("EL 094259216", "GR", "EL094259216"),
    ],
)
def test_a_vat_number_comes_to_one_form(given_text: str, country: str, text: str) -> None:
    assert check_tax_id(given_text, country) == TaxId(text, TaxIdCheck.WELL_FORMED)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("ESB12345675", "ES"),
        ("DE136695976", "ES"),
        ("DE136695977", "DE"),
        ("none", "DE"),
        ("\x00", "DE"),
        ("1" * 10_000, "DE"),
    ],
)
def test_a_number_that_cannot_be_right_is_refused(text: str, country: str) -> None:
    with pytest.raises(TaxIdMalformed):
        check_tax_id(text, country)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_tax_id_may_be_missing(text: str | None) -> None:
    assert check_tax_id(text, "DE") == TaxId(None, TaxIdCheck.ABSENT)


@pytest.mark.parametrize(
    ("country", "check", "status"),
    [
        ("ES", TaxIdCheck.WELL_FORMED, TaxStatus.DOMESTIC),
        ("ES", TaxIdCheck.ABSENT, TaxStatus.DOMESTIC),
        ("DE", TaxIdCheck.WELL_FORMED, TaxStatus.REVERSE_CHARGE),
        ("DE", TaxIdCheck.ABSENT, TaxStatus.DOMESTIC),
        ("US", TaxIdCheck.UNCHECKED, TaxStatus.EXEMPT),
        ("GB", TaxIdCheck.ABSENT, TaxStatus.EXEMPT),
    ],
)
def test_country_and_tax_id_decide_how_a_company_is_taxed(country: str, check: TaxIdCheck, status: TaxStatus) -> None:
    assert tax_status(country, TaxId(None, check), merchant_country="ES") is status


def test_countries_are_two_letters_in_any_case() -> None:
    assert check_country(" es ") == "ES"
    assert len(COUNTRIES) == 249
    assert len(EU_MEMBER_STATES) == 27
    assert EU_MEMBER_STATES < COUNTRIES
    for text in ("", "ESP", "XX", "EU", "\x00"):
        with pytest.raises(UnknownCountry):
            check_country(text)


def test_names_lose_surplus_blanks_only() -> None:
    assert check_name("  Acme\t Tools ") == "Acme Tools"
    assert check_locale("es") == "es"
    assert check_locale("fr") == "en"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_a_caller_with_many_ipv6_addresses_counts_as_one(address: str, place: str) -> None:
    assert network(address) == place


def test_every_letter_is_written_in_every_language() -> None:
    kinds = {kind for kind, _ in _TEXTS}

    assert {(kind, locale) for kind in kinds for locale in LOCALES} == set(_TEXTS)
