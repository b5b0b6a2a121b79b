"""Countries and tax ids: what can be known of them without asking anybody."""

from typing import Final

import msgspec
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from accounts.model import TaxIdCheck, TaxStatus
from kernel.errors import Refused

_COUNTRY_CODES: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
    GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
    MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
    RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
    TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
_MEMBER_STATE_CODES: Final = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
COUNTRIES: Final = frozenset(_COUNTRY_CODES.split())
"""ISO 3166-1 alpha-2."""
EU_MEMBER_STATES: Final = frozenset(_MEMBER_STATE_CODES.split())
_VAT_PREFIXES: Final = {"GR": "EL"}
"""Where the prefix of a VAT number is not the country's code."""
_LONGEST: Final = 40


class UnknownCountry(Refused):
    problem = "unknown-country"
    title = "Not a country we know"


class TaxIdMalformed(Refused):
    problem = "tax-id-malformed"
    title = "This tax id cannot be right"


class TaxId(msgspec.Struct, frozen=True):
    """A tax id in its normal form, and what is known about it."""

    text: str | None
    check: TaxIdCheck


def check_country(text: str) -> str:
    """:raises UnknownCountry: when *text* is no ISO 3166 two-letter code"""
    country = text.strip().upper()
    if country not in COUNTRIES:
        raise UnknownCountry("Choose a country from the list.")
    return country


def check_tax_id(text: str | None, country: str) -> TaxId:
    """Bring the id of a company in *country* to its normal form; in the EU, check it as a VAT number.

    The country's prefix may be missing: `B12345674` of Spain becomes `ESB12345674`.

    :raises TaxIdMalformed: when it is no VAT number of that member state
    """
    given = "" if text is None else text.strip()
    if not given:
        return TaxId(None, TaxIdCheck.ABSENT)
    if country not in EU_MEMBER_STATES:
        if len(given) > _LONGEST or not given.isprintable():
            raise TaxIdMalformed(f"Use at most {_LONGEST} letters, digits and signs.")
        return TaxId(given, TaxIdCheck.UNCHECKED)
    prefix = _VAT_PREFIXES.get(country, country)
    for candidate in (given, prefix + given):
        try:
            number = vat.validate(candidate)
        except ValidationError:
            continue
        if number[:2] in {prefix, country}:
            return TaxId(prefix + number[2:], TaxIdCheck.WELL_FORMED)
    raise TaxIdMalformed(
        f"This is no VAT number of that country: it begins with {prefix}. Compare each digit, or leave it empty.",
        prefix=prefix,
    )


def tax_status(country: str, tax_id: TaxId, *, merchant_country: str) -> TaxStatus:
    """Say how sales to the company are taxed, before a ship-to address says more.

    Reverse charge needs a VAT number of another member state; outside the EU, goods are exported untaxed.
    """
    if country == merchant_country:
        return TaxStatus.DOMESTIC
    if country not in EU_MEMBER_STATES:
        return TaxStatus.EXEMPT
    return TaxStatus.REVERSE_CHARGE if tax_id.check is TaxIdCheck.WELL_FORMED else TaxStatus.DOMESTIC
