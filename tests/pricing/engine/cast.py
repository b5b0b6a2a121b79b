"""The cast of the engine's tests, and short ways to write books and questions.

Acme buys at public prices, Globex is of the segment `trade`, Initech has a contract.
"""

from datetime import UTC, datetime
from typing import Any

from pricing.engine import (
    BookContent,
    Buyer,
    LineRequest,
    MemoryBook,
    Quote,
    QuoteRequest,
    TaxInput,
    TaxRate,
    quote,
)
from pricing.engine.book import (
    Adjustment,
    Audience,
    Combine,
    Conditions,
    Effect,
    Group,
    Layer,
    Level,
    PercentEffect,
    Pick,
    PriceList,
    PriceRow,
    Scope,
    SkuFacts,
    Tier,
    Titles,
    UnitFact,
)
from pricing.engine.request import PricedLine, RefusedLine, Treatment

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACME = Buyer(company="acme", country="DE")
GLOBEX = Buyer(company="globex", segments=("trade",), country="DE")
INITECH = Buyer(company="initech", country="ES")
GUEST = Buyer()
EVERYTHING = Scope(everything=True)
VAT = TaxInput(rates=(TaxRate(category="standard", percent="19"), TaxRate(category="reduced", percent="7")))
CHAIR = SkuFacts(
    sku="CRUNCHY-ARMCHAIR",
    units=(UnitFact(unit="each"), UnitFact(unit="box", factor="12")),
    categories=("seating/chairs",),
    brand="crunchy",
)
ROPE = SkuFacts(sku="ROPE", units=(UnitFact(unit="metre", decimals=2),), tax_category="reduced")
STOOL = SkuFacts(sku="STOOL", categories=("seating/stools",))


def day(number: int, month: int = 11) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def tiers(said: str) -> tuple[Tier, ...]:
    """`"1:10 10:8.4 >50:7+3"`: from 1 at 10, from 10 at 8.4, above 50 at 7 with a fee of 3."""
    found = []
    for part in said.split():
        begin, price = part.split(":")
        price, _, fee = price.partition("+")
        if begin.startswith(">"):
            found.append(Tier(above=begin[1:], unit_price=price, flat_fee=fee or "0"))
        else:
            found.append(Tier(from_=begin, unit_price=price, flat_fee=fee or "0"))
    return tuple(found)


def row(said: str, *, sku: str = "CRUNCHY-ARMCHAIR", of: str = "LIST", unit: str = "", **more: Any) -> PriceRow:
    parts = tiers(said)
    more.setdefault("model", "flat" if len(parts) == 1 else "volume")
    unit = unit or ("metre" if sku == "ROPE" else "each")
    return PriceRow(list=of, sku=sku, unit=unit, tiers=parts, **more)


def public(code: str = "LIST", currency: str = "EUR", **more: Any) -> PriceList:
    return PriceList(code=code, currency=currency, **more)


def rule(code: str, effect: Effect | str, **more: Any) -> Adjustment:
    """Of the unit layer's first group unless told; an effect as text is a percentage off."""
    more = {"layer": "unit", "group": "first", "scope": EVERYTHING, **more}
    if isinstance(effect, str):
        effect = PercentEffect(percent=effect)
    return Adjustment(code=code, effect=effect, titles=Titles(en=f"{code} (en)", es=f"{code} (es)"), **more)


def layer(level: str, *groups: str, combine: str = "sequence", pick: str = "priority", code: str = "") -> Layer:
    return Layer(
        code=code or level,
        level=Level(level),
        combine=Combine(combine),
        groups=tuple(Group(code=group, pick=Pick(pick)) for group in groups or ("first",)),
    )


def at_least(quantity: str) -> Conditions:
    return Conditions(min_quantity=quantity)


def in_euro(**more: Any) -> Conditions:
    return Conditions(currencies=("EUR",), **more)


def content(*rows: PriceRow, **more: Any) -> BookContent:
    """Rows of the public list LIST in EUR, unless told otherwise, with a layer of each level."""
    defaults: dict[str, Any] = {
        "lists": (public(),),
        "skus": (CHAIR, ROPE, STOOL),
        "layers": (layer("unit"), layer("line"), layer("order")),
    }
    return BookContent(rows=rows, **{**defaults, **more})


def book(*rows: PriceRow, **more: Any) -> MemoryBook:
    return MemoryBook(content(*rows, **more), root="sha256:test")


def ask(
    of: MemoryBook,
    *lines: str,
    buyer: Buyer = ACME,
    currency: str = "EUR",
    tax: TaxInput | None = None,
    at: datetime = NOW,
) -> Quote:
    """Lines are written `"10 CRUNCHY-ARMCHAIR"` or `"2 box CRUNCHY-ARMCHAIR"`."""
    asked = []
    for line in lines:
        quantity, *unit, sku = line.split(" ")
        asked.append(LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None))
    request = QuoteRequest(buyer=buyer, currency=currency, lines=tuple(asked), tax=tax)
    return quote(request, book=of, at=at)


def priced(of: MemoryBook, line: str, **more: Any) -> PricedLine:
    (answer,) = ask(of, line, **more).lines
    assert isinstance(answer, PricedLine), answer
    return answer


def refused(of: MemoryBook, line: str, **more: Any) -> tuple[str, dict[str, str]]:
    answer = ask(of, line, **more)
    (only,) = answer.lines
    assert isinstance(only, RefusedLine), only
    assert answer.total is answer.net is answer.tax is answer.subtotal is None
    return only.reason, only.params


def total(of: MemoryBook, *lines: str, **more: Any) -> str:
    answer = ask(of, *lines, **more)
    assert answer.total is not None, answer.lines
    return answer.total.decimal


def losers(line: PricedLine) -> dict[str, tuple[str, dict[str, str]]]:
    return {loser.rule: (loser.reason, loser.params) for loser in line.trace.losers}


def acting(line: PricedLine) -> list[str]:
    return [step.rule for step in line.trace.steps if step.rule is not None]


def only(*, company: str | None = None, segments: tuple[str, ...] = (), countries: tuple[str, ...] = ()) -> Audience:
    return Audience(company=company, segments=segments, countries=countries)


def under(treatment: str) -> TaxInput:
    return TaxInput(rates=VAT.rates, treatment=Treatment(treatment))
