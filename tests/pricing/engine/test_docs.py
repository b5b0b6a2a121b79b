"""Every example of docs/pricing.md comes out as it says."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kernel.money import Mode, normal
from pricing.engine import BookContent, LineRequest, MemoryBook, QuoteRequest, TaxInput, TaxRate, quote
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Conditions,
    Cost,
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
from pricing.engine.derive import Derivation, Multiple, derive
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
        kinds = ("lists", "rows", "costs", "adjustments", "bounds", "quantity_rules")
        self.content: dict[str, Any] = dict.fromkeys(kinds, ())
        self.combine = {"unit": "sequence", "line": "sequence", "order": "sequence"}
        self.tax: TaxInput | None = None
        self.derivations: list[Derivation] = []
        self.at = NOW
        self.questions: list[tuple[datetime, str]] = []
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
        for name, flag in (("starts_at", "from"), ("ends_at", "until")):
            if flag in flags:
                more[name] = day(flags[flag])
        tiers = " ".join(word for word in words if ":" in word)
        self.add("rows", row(tiers, of=words[0], sku=words[1], **more))

    def read_cost(self, _line: str, words: list[str], _flags: dict[str, str]) -> None:
        self.add("costs", Cost(sku=words[0], currency="EUR", cost=normal(words[1])))

    def read_derive(self, _line: str, words: list[str], flags: dict[str, str]) -> None:
        percent = next((word.removesuffix("%") for word in words if word.endswith("%")), "0")
        modes = [word for word in words if word in set(Mode)]
        least, _, most = flags.get("margin", "").partition("..")
        self.derivations.append(
            Derivation(
                list=words[0],
                base=None if words[2] == "cost" else words[2],
                percent=percent.removeprefix("+"),
                round_to=Multiple(multiple=flags["round"], mode=Mode(modes[0])) if "round" in flags else None,
                ending=flags.get("ending", "0").removeprefix("+"),
                min_margin=least or None,
                max_margin=most or None,
            )
        )

    def read_on(self, _line: str, words: list[str], _flags: dict[str, str]) -> None:
        self.at = day(words[0])

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
        self.questions.append((self.at, line))

    read_lines = read_refused = read_ask

    def derived(self) -> tuple[BookContent, list[str]]:
        """The book, and the codes of what is wrong with its derivations."""
        layers = tuple(layer(level, "first", "second", combine=how) for level, how in self.combine.items())
        content = BookContent(skus=SKUS, layers=layers, **self.content)
        done = derive(content, self.derivations, at=NOW)
        return done.content, [found.code for found in done.findings]

    def answer(self, asked: str, at: datetime) -> Quote:
        name, _, asked = asked.rpartition(":")
        lines = []
        for part in asked.split("+"):
            quantity, *unit, sku = part.split()
            lines.append(LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None))
        request = QuoteRequest(buyer=BUYERS[name.strip() or "acme"], currency="EUR", lines=tuple(lines), tax=self.tax)
        content, wrong = self.derived()
        assert not wrong
        return quote(request, book=MemoryBook(content, root="docs"), at=at)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("said", EXAMPLES, ids=[f"example {number}" for number in range(1, len(EXAMPLES) + 1)])
def test_every_example_of_the_page_comes_out_as_it_says(said: str) -> None:
    example = Example(said)

    assert example.questions
    for at, question in example.questions:
        word, _, rest = question.partition(" ")
        if word == "refused":
            assert example.derived()[1] == [rest], question
            continue
        if " refused " in rest:
            asked, _, reason = rest.partition(" refused ")
            (line,) = example.answer(asked, at).lines
            assert isinstance(line, RefusedLine), question
            assert line.reason == reason, question
            continue
        asked, _, expected = rest.partition(" = ")
        answer = example.answer(asked, at)
        assert answer.total is not None, question
        if word == "lines":
            assert [line.net for line in answer.lines if isinstance(line, PricedLine)] == expected.split(), question
        else:
            assert Decimal(answer.total.decimal) == Decimal(expected), question


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) >= 25
