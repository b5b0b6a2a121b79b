"""Two hundred questions about prices, chosen from the files the demo is imported from, not from any answer."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec

from sandbox.demo.rules import COMPANIES
from tests.examples.folders import rows
from tests.sandbox_demo.test_demo_prices import PENCIL

BUYERS = {
    "acme": "buyer@acme.example",
    "globex": "buyer@globex.example",
    "initech": "compras@initech.example",
}
GUESTS = {"guest in euros": "EUR", "guest in dollars": "USD"}
CURRENCIES = {row["code"]: row["currency"] for row in COMPANIES} | GUESTS
EACH_ASKS = {
    "acme": ("CRUNCHY-ARMCHAIR", "QUIET-HAMMER", "NIMBLE-BOLT", "CURIOUS-HOSE", "BRAVE-BEARING", "LSOF-BLUE"),
    "globex": ("HONEST-GLOVE-M", "QUIET-HAMMER", "NIMBLE-BOLT", "SOBER-HELMET", "BRAVE-BEARING"),
    "initech": ("CRUNCHY-ARMCHAIR", "HONEST-GLOVE-M", "NIMBLE-BOLT", "LOYAL-TROLLEY", "STUBBORN-GLUE", "PATIENT-LAMP"),
    "guest in euros": ("PATIENT-LAMP", "STUBBORN-GLUE", "CURIOUS-HOSE", "PAPR-120"),
    "guest in dollars": ("CRUNCHY-ARMCHAIR", "SOBER-HELMET", "QUIET-HAMMER", "PAPR-120"),
}
RULE_BREAKS = {"HONEST-GLOVE-M": (20,), "SOBER-HELMET": (20,), "QUIET-HAMMER": (10,)}
"""Quantities at which rules rather than rows begin to act: manufacturers' protection from 20, one brand from ten."""
STEPS = {"CURIOUS-HOSE": Decimal("0.1")}
OTHER_UNITS = (
    ("acme", "NIMBLE-BOLT", "box", "1"),
    ("acme", "NIMBLE-BOLT", "box", "10"),
    ("acme", "CURIOUS-HOSE", "reel", "2"),
    ("globex", "NIMBLE-BOLT", "pallet", "1"),
    ("globex", "QUIET-HAMMER", "box", "9"),
    ("initech", "STUBBORN-GLUE", "box", "5"),
    ("initech", "HONEST-GLOVE-M", "pack", "10"),
    ("guest in euros", "PAPR-120", "box", "4"),
    ("guest in dollars", "SOBER-HELMET", "box", "3"),
)
REFUSED = (
    ("acme", "HB88-M8-40", "each", "9"),
    ("acme", "WSTX-4.0-40", "each", "150"),
    ("globex", "CURIOUS-HOSE", "metre", "0.55"),
    ("globex", "CURIOUS-HOSE", "metre", "0.4"),
    ("initech", "QUIET-HAMMER", "each", "1.5"),
    ("initech", "CRUNCHY-ARMCHAIR", "each", "201"),
    ("guest in euros", "QUIET-HAMMER", "pallet", "1"),
    ("guest in dollars", "CRUNCHY-ARMCHAIR", "each", "201"),
)


class Question(msgspec.Struct, frozen=True):
    """What one buyer asks; *net*: what a pencil says the line comes to, where one was used."""

    who: str
    sku: str
    unit: str
    quantity: str
    net: str | None = None


def questions(folder: Path) -> tuple[Question, ...]:
    """Every break with one below and one above, other units, what cannot be ordered, and the pencil's totals."""
    asked = {
        (who, sku, unit, quantity): Question(who, sku, unit, quantity)
        for who, sku, unit, quantity in (*_around_breaks(folder), *OTHER_UNITS, *REFUSED)
    }
    for who, currency, quantity, unit, sku, net in PENCIL:
        if currency == CURRENCIES[who]:
            asked[who, sku, unit, quantity] = Question(who, sku, unit, quantity, net)
    return tuple(asked.values())


def _around_breaks(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    units = {row["sku"]: row["base_unit"] for row in rows(folder / "skus.csv")}
    tiers: dict[tuple[str, str], set[Decimal]] = {}
    for row in rows(folder / "price_rows.csv"):
        currency = "USD" if row["list"].endswith("USD") else "EUR"
        if row["unit"] == units[row["sku"]]:
            breaks = {Decimal(tier.partition(":")[0]) for tier in row["tiers"].split(";")}
            tiers.setdefault((row["sku"], currency), set()).update(breaks)
    for who, skus in EACH_ASKS.items():
        for sku in skus:
            step = STEPS.get(sku, Decimal(1))
            breaks = tiers[sku, CURRENCIES[who]] | {Decimal(each) for each in RULE_BREAKS.get(sku, ())}
            for quantity in sorted({each + way * step for each in breaks for way in (-1, 0, 1)}):
                if quantity > 0:
                    yield who, sku, units[sku], f"{quantity.normalize():f}"
