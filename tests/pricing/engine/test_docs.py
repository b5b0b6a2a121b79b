"""Every example of docs/pricing.md comes out as it says."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pricing.engine import BookContent, LineRequest, MemoryBook, QuoteRequest, TaxInput, TaxRate, quote
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Conditions,
    CurrencyPrice,
    Effect,
    Package,
    PercentEffect,
    PriceLimit,
    QuantityRule,
    RoundingPolicy,
    Scope,
    Side,
    SkuFacts,
    Strategy,
    TaxLevel,
    UnitFact,
)
from pricing.engine.request import PricedLine, Quote, RefusedLine, Treatment
from tests.pricing.engine.cast import ACME, GLOBEX, INITECH, NOW, layer, public, row, rule

PAGE = Path(__file__).parents[3] / "docs" / "pricing.md"
EXAMPLES = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
BUYERS = {"acme": ACME, "globex": GLOBEX, "initech": INITECH}
SKUS = (
    SkuFacts(sku="CHAIR", units=(UnitFact(unit="each"), UnitFact(unit="box", factor="12"))),
    SkuFacts(sku="STOOL"),
    SkuFacts(sku="ROPE", units=(UnitFact(unit="metre", decimals=2),)),
)


class Example:
    """A book and its questions, read from the page's notation."""

    def __init__(self, said: str) -> None:
        self.content: dict[str, Any] = {"lists": (), "rows": (), "adjustments": (), "bounds": (), "quantity_rules": ()}
        self.combine = {"unit": "sequence", "line": "sequence", "order": "sequence"}
        self.tax: TaxInput | None = None
        self.questions: list[str] = []
        for line in said.splitlines():
            word, *words = line.split()
            flags = {name: value or "yes" for name, _, value in (part.partition("=") for part in words)}
            getattr(self, f"read_{word}")(line, words, flags)

    def add(self, kind: str, noun: object) -> None:
        self.content[kind] = (*self.content[kind], noun)

    def read_strategy(self, _line: str, words: list[str], _flags: dict[str, str]) -> None:
        self.content["strategy"] = Strategy(words[0])

    def read_layers(self, _line: str, _words: list[str], flags: dict[str, str]) -> None:
        self.combine |= flags

    def read_policy(self, _line: str, _words: list[str], flags: dict[str, str]) -> None:
        self.content["policy"] = RoundingPolicy(
            round_unit=flags.get("round_unit") != "no", tax_level=TaxLevel(flags.get("tax", "line"))
        )

    def read_tax(self, _line: str, words: list[str], _flags: dict[str, str]) -> None:
        treatment = Treatment(words[1]) if len(words) > 1 else Treatment.STANDARD
        self.tax = TaxInput(rates=(TaxRate(category="standard", percent=words[0]),), treatment=treatment)

    def read_list(self, _line: str, words: list[str], flags: dict[str, str]) -> None:
        segments = (flags["segment"],) if "segment" in flags else ()
        audience = Audience(company=flags.get("company"), segments=segments)
        self.add(
            "lists",
            public(words[0], audience=audience, mergeable="mergeable" in flags, tax_included="gross" in flags),
        )

    def read_row(self, _line: str, words: list[str], flags: dict[str, str]) -> None:
        more: dict[str, Any] = {"unit": "box"} if "box" in flags else {}
        if "graduated" in flags:
            more["model"] = "graduated"
        if "package" in flags:
            more |= {"model": "package", "package": Package(size=flags["package"])}
        tiers = " ".join(word for word in words if ":" in word)
        self.add("rows", row(tiers, of=words[0], sku=words[1], **more))

    def read_rule(self, _line: str, words: list[str], flags: dict[str, str]) -> None:
        self.add("adjustments", self.rule(words, flags))

    def rule(self, words: list[str], flags: dict[str, str]) -> Adjustment:
        return rule(
            words[0],
            self.effect(words[2]),
            layer=words[1],
            group=flags.get("group", "first"),
            priority=int(flags.get("priority", 0)),
            exclusive="exclusive" in flags,
            conditions=Conditions(
                currencies=("EUR",), min_quantity=flags.get("from"), min_line_amount=flags.get("line_from")
            ),
        )

    def effect(self, said: str) -> Effect:
        if said.endswith("%off"):
            return PercentEffect(percent=said.removesuffix("%off"))
        if said.endswith("off"):
            return AmountEffect(amount=said.removesuffix("off"))
        buy, _, get = said.removeprefix("buy=").partition("+")
        return BuyGetEffect(buy=buy, get=get)

    def read_floor(self, _line: str, words: list[str], _flags: dict[str, str]) -> None:
        limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price=words[1]),))
        self.add("bounds", Bound(code="F", side=Side.FLOOR, scope=Scope(skus=(words[0],)), limit=limit))

    def read_quantity(self, _line: str, words: list[str], flags: dict[str, str]) -> None:
        scope = Scope(skus=(words[0],))
        self.add(
            "quantity_rules",
            QuantityRule(code="Q", scope=scope, minimum=flags.get("min"), multiple=flags.get("multiple")),
        )

    def read_ask(self, line: str, _words: list[str], _flags: dict[str, str]) -> None:
        self.questions.append(line)

    read_lines = read_ask

    def answer(self, asked: str) -> Quote:
        name, _, asked = asked.rpartition(":")
        lines = []
        for part in asked.split("+"):
            quantity, *unit, sku = part.split()
            lines.append(LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None))
        request = QuoteRequest(buyer=BUYERS[name.strip() or "acme"], currency="EUR", lines=tuple(lines), tax=self.tax)
        layers = tuple(layer(level, "first", "second", combine=how) for level, how in self.combine.items())
        content = BookContent(skus=SKUS, layers=layers, **self.content)
        return quote(request, book=MemoryBook(content, root="docs"), at=NOW)


@pytest.mark.parametrize("said", EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)])
def test_every_example_of_the_page_comes_out_as_it_says(said: str) -> None:
    example = Example(said)

    assert example.questions
    for question in example.questions:
        word, _, rest = question.partition(" ")
        if " refused " in rest:
            asked, _, reason = rest.partition(" refused ")
            (line,) = example.answer(asked).lines
            assert isinstance(line, RefusedLine), question
            assert line.reason == reason, question
            continue
        asked, _, expected = rest.partition(" = ")
        answer = example.answer(asked)
        assert answer.total is not None, question
        if word == "lines":
            assert [line.net for line in answer.lines if isinstance(line, PricedLine)] == expected.split(), question
        else:
            assert Decimal(answer.total.decimal) == Decimal(expected), question


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 25
