"""Lists, layers, rules and buyers of the house. Dates lie around the reference date, so that some rules run, some are
past and some are still to come.
"""

from datetime import date, timedelta
from typing import Final

Row = dict[str, str]

CONTRACT: Final = "CONTRACT-INITECH"
CURRENCIES: Final = ("EUR", "USD")

_PERCENT: Final = {"effect": "percent"}
_PROMOTION: Final = {"layer": "PROMOTIONS", "group": "promotion"}

COMPANIES: Final[tuple[Row, ...]] = (
    {
        "code": "acme",
        "name": "Acme Maschinenbau GmbH",
        "country": "DE",
        "segments": "",
        "tax_id": "DE123456788",
        "currency": "EUR",
    },
    {
        "code": "globex",
        "name": "Globex Corporation",
        "country": "US",
        "segments": "manufacturing",
        "tax_id": "12-3456789",
        "currency": "USD",
    },
    {
        "code": "initech",
        "name": "Initech Sistemas, S.L.",
        "country": "ES",
        "segments": "",
        "tax_id": "ESB12345674",
        "currency": "EUR",
    },
)

POLICY: Final[Row] = {
    "strategy": "most_specific",
    "round_unit": "yes",
    "unit_decimals": "4",
    "unit_mode": "half_up",
    "line_decimals": "2",
    "line_mode": "half_up",
    "tax_decimals": "2",
    "tax_mode": "half_up",
    "tax_level": "line",
}

LAYERS: Final[tuple[Row, ...]] = (
    {"code": "CUSTOMER", "level": "unit", "position": "1", "combine": "sequence", "groups": "customer:priority"},
    {
        "code": "PROMOTIONS",
        "level": "unit",
        "position": "2",
        "combine": "sequence",
        "groups": "clearance:lowest;promotion:lowest",
    },
    {"code": "LINE", "level": "line", "position": "1", "combine": "sequence", "groups": "volume:lowest"},
)

QUANTITY_RULES: Final[tuple[Row, ...]] = (
    {
        "code": "BOLTS-FROM-10",
        "scope_categories": "FASTENERS.BOLTS.HEX;FASTENERS.BOLTS.SOCKET;FASTENERS.NUTS.HEX",
        "exclude_skus": "NIMBLE-BOLT",
        "unit": "each",
        "minimum": "10",
    },
    {
        "code": "SMALL-PARTS-BY-100",
        "scope_categories": "FASTENERS.BOLTS.WOOD;FASTENERS.NUTS.WASHERS;FASTENERS.RIVETS",
        "unit": "each",
        "minimum": "100",
        "multiple": "100",
    },
    {
        "code": "SHEETS-BY-5",
        "scope_categories": "ABRASIVES.SHEETS.PAPER",
        "unit": "each",
        "minimum": "5",
        "multiple": "5",
    },
    {
        "code": "HOSE-BY-TENTH",
        "scope_categories": "PNEUMATICS.FITTINGS.HOSE;SEATING.MATS",
        "unit": "metre",
        "minimum": "0.5",
        "multiple": "0.1",
    },
    {
        "code": "CUT-BY-HALF-METRE",
        "scope_categories": "ELECTRICAL.CABLE;BEARINGS.DRIVES.CHAINS",
        "unit": "metre",
        "minimum": "0.5",
        "multiple": "0.5",
    },
    {
        "code": "RODS-BY-HALF-KILO",
        "scope_categories": "WELDING.FILLER.RODS",
        "unit": "kg",
        "minimum": "0.5",
        "multiple": "0.5",
    },
    {"code": "LOUNGE-UP-TO-200", "scope_categories": "SEATING.CHAIRS.LOUNGE", "maximum": "200"},
)

BOUNDS: Final[tuple[Row, ...]] = (
    {
        "code": "HOUSE-FLOOR",
        "kind": "floor",
        "exclude_categories": "SEATING.CHAIRS.LOUNGE",  # whose clearance may go below
        "basis": "margin",
        "value": "13",
        "disclosed": "no",
    },
)


def price_lists(on: date) -> tuple[Row, ...]:
    public = [
        {
            "code": f"PUBLIC-{currency}",
            "currency": currency,
            "title_en": f"Public list {currency}",
            "title_es": f"Tarifa pública {currency}",
        }
        for currency in CURRENCIES
    ]
    manufacturing = [
        {
            "code": f"MANUFACTURING-{currency}",
            "currency": currency,
            "audience_segments": "manufacturing",
            "title_en": f"Manufacturers' list {currency}",
            "title_es": f"Tarifa para fabricantes {currency}",
        }
        for currency in CURRENCIES
    ]
    contract = {
        "code": CONTRACT,
        "currency": "EUR",
        "audience_company": "initech",
        "valid_from": date(on.year, 1, 1).isoformat(),
        "valid_until": date(on.year + 1, 7, 1).isoformat(),
        "title_en": "Initech contract",
        "title_es": "Contrato Initech",
    }
    return (*public, *manufacturing, contract)


def adjustments(on: date) -> tuple[Row, ...]:
    def day(offset: int) -> str:
        return (on + timedelta(days=offset)).isoformat()

    return (
        {
            "code": "MANUFACTURING-SAFETY",
            "layer": "CUSTOMER",
            "group": "customer",
            "scope_categories": "PPE",
            "audience_segments": "manufacturing",
            "min_quantity": "20",
            **_PERCENT,
            "value": "4",
            "title_en": "Manufacturers: 4 % on protection from 20",
            "title_es": "Fabricantes: 4 % en protección desde 20",
        },
        {
            "code": "INITECH-ELECTRICAL",
            "layer": "CUSTOMER",
            "group": "customer",
            "priority": "10",
            "scope_categories": "ELECTRICAL",
            "audience_company": "initech",
            "valid_from": date(on.year, 1, 1).isoformat(),
            "valid_until": date(on.year + 1, 7, 1).isoformat(),
            **_PERCENT,
            "value": "6",
            "title_en": "Initech: 6 % on electrical",
            "title_es": "Initech: 6 % en material eléctrico",
        },
        {
            "code": "WINTER-SAFETY",
            **_PROMOTION,
            "scope_categories": "PPE",
            "exclude_skus": "SOBER-HELMET",
            "valid_from": day(-10),
            "valid_until": day(20),
            **_PERCENT,
            "value": "10",
            "title_en": "Winter safety weeks",
            "title_es": "Semanas de seguridad de invierno",
        },
        {
            "code": "AUTUMN-ABRASIVES",
            **_PROMOTION,
            "scope_categories": "ABRASIVES",
            "valid_from": day(-60),
            "valid_until": day(-21),
            **_PERCENT,
            "value": "12",
            "title_en": "Autumn grinding",
            "title_es": "Otoño de lijado",
        },
        {
            "code": "BRIGHT-DECEMBER",
            **_PROMOTION,
            "scope_categories": "LIGHTING",
            "valid_from": day(10),
            "valid_until": day(41),
            **_PERCENT,
            "value": "15",
            "title_en": "Bright December",
            "title_es": "Diciembre luminoso",
        },
        {
            "code": "TOOLMARSH-TEN",
            **_PROMOTION,
            "scope_brands": "TOOLMARSH",
            "min_quantity": "10",
            "valid_from": day(-30),
            "valid_until": day(30),
            **_PERCENT,
            "value": "7",
            "title_en": "Toolmarsh: 7 % from ten",
            "title_es": "Toolmarsh: 7 % desde diez",
        },
        *(
            {
                "code": f"HAMMER-DEAL-{currency}",
                **_PROMOTION,
                "scope_skus": "QUIET-HAMMER",
                "currencies": currency,
                "valid_from": day(-3),
                "valid_until": day(11),
                "effect": "fixed_price",
                "value": price,
                "title_en": "Hammer of the fortnight",
                "title_es": "Martillo de la quincena",
            }
            for currency, price in (("EUR", "31.50"), ("USD", "34.99"))
        ),
        {
            "code": "IBERIA-HANDLING",
            **_PROMOTION,
            "scope_categories": "HANDLING",
            "countries": "ES;PT",
            "valid_from": day(-90),
            "valid_until": day(90),
            **_PERCENT,
            "value": "3",
            "title_en": "Material handling delivered in Iberia",
            "title_es": "Manutención con entrega en la península",
        },
        {
            "code": "CLEARANCE-LOUNGE",
            "layer": "PROMOTIONS",
            "group": "clearance",
            "exclusive": "yes",
            "scope_categories": "SEATING.CHAIRS.LOUNGE",
            "exclude_skus": "CRUNCHY-ARMCHAIR",
            "valid_from": day(-20),
            "valid_until": day(60),
            **_PERCENT,
            "value": "30",
            "title_en": "Clearance: break-room seats",
            "title_es": "Liquidación: asientos para salas de descanso",
        },
        *(
            {
                "code": f"BIG-LINE-{currency}",
                "layer": "LINE",
                "group": "volume",
                "min_amount": "1000",
                "currencies": currency,
                **_PERCENT,
                "value": "2",
                "title_en": f"2 % on lines from 1,000 {currency}",
                "title_es": f"2 % en líneas desde 1.000 {currency}",
            }
            for currency in CURRENCIES
        ),
    )
