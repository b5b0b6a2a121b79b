"""What the house sells: `assortment.toml`, spread out into SKUs."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from sandbox.demo.endings import Ladder, dollar_price, euro_price, fine_price, ladder_of

_SOURCE: Final = Path(__file__).with_name("assortment.toml")
_DECIMAL_POINT: Final = re.compile(r"(?<=\d)\.(?=\d)")
_NOT_IN_CODES: Final = re.compile(r"[^A-Za-z0-9.-]+")
_PRICED_UNITS: Final = frozenset({"box", "pack", "reel", "carton"})
_MICRO: Final = 1_000_000


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product and the axes its SKUs differ in; the fields are explained in the file."""

    code: str
    category: str
    brand: str
    en: str
    es: str
    description_en: str
    description_es: str
    attributes: str
    label: str
    label_es: str = ""
    axes: dict[str, str]
    base: str
    units: str
    cost: str
    margin: int
    weight: str
    profile: str
    stock: int
    fractional: bool = False
    break_by_size: bool = False


class Cast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A SKU whose prices are written by hand."""

    sku: str
    category: str
    brand: str
    en: str
    es: str
    description_en: str
    description_es: str
    attributes: str
    base: str
    weight: str
    units: str
    eur: str
    usd: str
    cost: str
    cost_usd: str
    stock: int
    product: str = ""
    product_en: str = ""
    product_es: str = ""
    fractional: bool = False
    break_group: str = ""
    box_eur: str = ""
    box_usd: str = ""
    segment_eur: str = ""
    segment_usd: str = ""
    contract_eur: str = ""


class Assortment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ladders: dict[str, str]
    categories: dict[str, tuple[str, str]]
    brands: dict[str, str]
    words: dict[str, tuple[str, str]]
    family: tuple[Family, ...]
    cast: tuple[Cast, ...]


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Ladders of one SKU in one currency, as the files write them; empty where there is none."""

    public: str
    pack: str
    segment: str
    contract: str
    raised: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What all articles of one line of a family share. Per mille: how dear it is bought, and the dollar in euros."""

    number: int
    cost_permille: int
    dollar_permille: int


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """One SKU, ready to be written. *units* are `(unit, factor)`; prices that have a *pack* price the first of them."""

    sku: str
    product: str
    category: str
    brand: str
    product_names: tuple[str, str]
    names: tuple[str, str]
    descriptions: tuple[str, str]
    attributes: str
    base: str
    fractional: bool
    weight: str
    break_group: str
    units: tuple[tuple[str, str], ...]
    cost_eur: str
    cost_usd: str
    stock: str
    eur: Prices
    usd: Prices


def load() -> Assortment:
    return msgspec.convert(tomllib.loads(_SOURCE.read_text(encoding="utf-8")), Assortment)


def articles(assortment: Assortment, *, skus: int, seed: int) -> Iterator[Article]:
    """Exactly *skus* articles: the cast, then the families, then further lines of the same families.

    Fewer than the families hold are taken evenly from all of them. An article does not depend on how many there are.
    """
    for member in assortment.cast:
        yield _cast_article(member)
    wanted = skus - len(assortment.cast)
    natural = sum(_size(family) for family in assortment.family)
    if wanted < natural:
        everything = list(_line(assortment, 1, seed))
        for number in range(wanted):
            yield everything[number * natural // wanted]
        return
    lines = itertools.chain.from_iterable(_line(assortment, line, seed) for line in itertools.count(1))
    yield from itertools.islice(lines, wanted)


def _size(family: Family) -> int:
    size = 1
    for values in family.axes.values():
        size *= len(values.split())
    return size


def _line(assortment: Assortment, line_number: int, seed: int) -> Iterator[Article]:
    number = 0
    for family in assortment.family:
        chance = Random(f"{seed}/{family.code}/{line_number}")
        # the dollar is not the euro times one rate: each line has its own, and each price its own ending
        line = Line(
            number=line_number, cost_permille=chance.randrange(940, 1061), dollar_permille=chance.randrange(1060, 1151)
        )
        for values in itertools.product(*(texts.split() for texts in family.axes.values())):
            # every 22nd of the first line is under contract: with the cast about 60
            yield _article(assortment, family, line, values, chance, contract=line_number == 1 and number % 22 == 0)
            number += 1


def _article(
    assortment: Assortment, family: Family, line: Line, values: tuple[str, ...], chance: Random, *, contract: bool
) -> Article:
    factor = _MICRO
    texts = []
    for value in values:
        text, _, times = value.partition("*")
        texts.append(text)
        factor = factor * _micro(times) // _MICRO if times else factor
    by_axis = dict(zip(family.axes, texts, strict=True))
    english = family.label.format_map({key: _word(assortment, text, 0) for key, text in by_axis.items()})
    spanish = (family.label_es or family.label).format_map(
        {key: _word(assortment, text, 1) for key, text in by_axis.items()}
    )
    suffix, names = "", (family.en, family.es)
    if line.number > 1:
        suffix = f"-L{line.number:02}"
        names = (f"{family.en}, line {line.number:02}", f"{family.es}, línea {line.number:02}")
    product = family.code + suffix
    cost = _micro(family.cost) * factor // _MICRO * line.cost_permille * chance.randrange(995, 1006) // 1_000_000
    units = tuple((unit, count) for unit, _, count in (text.partition("=") for text in family.units.split()))
    steps = ladder_of(assortment.ladders[family.profile])
    base_euro = cost * 100 // (100 - family.margin)
    base_dollar = base_euro * line.dollar_permille // 1000
    metal = family.category.startswith(("FASTENERS.", "BEARINGS.", "CUTTING."))
    raised = family.category.startswith("ABRASIVES.SHEETS.")
    prices = [
        _prices(
            Ladder.of(base, steps, ending),
            units,
            metal=metal,
            raised=raised,
            contract=contract and ending is euro_price,
        )
        for base, ending in ((base_euro, euro_price), (base_dollar, dollar_price))
    ]
    return Article(
        sku="-".join((family.code, *(_NOT_IN_CODES.sub("-", text).upper() for text in texts))) + suffix,
        product=product,
        category=family.category,
        brand=family.brand,
        product_names=names,
        names=(f"{names[0]}, {english}", f"{names[1]}, {spanish}"),
        descriptions=(family.description_en, family.description_es),
        attributes=";".join([family.attributes, *(f"{key}={text}" for key, text in by_axis.items())]),
        base=family.base,
        fractional=family.fractional,
        weight=_decimal(_micro(family.weight) * factor // _MICRO // 100_000 * 100_000 or 100_000),
        break_group=product if family.break_by_size else "",
        units=units,
        cost_eur=_decimal(cost // 100 * 100),
        cost_usd=_decimal(cost * 109 // 100 // 100 * 100),
        stock=_stock(family, chance),
        eur=prices[0],
        usd=prices[1],
    )


def _prices(ladder: Ladder, units: tuple[tuple[str, str], ...], *, metal: bool, raised: bool, contract: bool) -> Prices:
    pack = ""
    if units and units[0][0] in _PRICED_UNITS:
        count = _micro(units[0][1])
        pack = f"0:{ladder.ending(ladder.price_at(count) * count // _MICRO * 98 // 100).text}"
    return Prices(
        public=ladder.text,
        pack=pack,
        segment=ladder.times(92, fine_price).text if metal else "",
        contract=f"0:{fine_price(ladder.lowest * 96 // 100).text}" if contract else "",
        raised=ladder.times(104, fine_price).text if raised else "",
    )


def _cast_article(member: Cast) -> Article:
    units = tuple((unit, count) for unit, _, count in (text.partition("=") for text in member.units.split()))
    names = (member.en, member.es)
    return Article(
        sku=member.sku,
        product=member.product or member.sku,
        category=member.category,
        brand=member.brand,
        product_names=(member.product_en or member.en, member.product_es or member.es),
        names=names,
        descriptions=(member.description_en, member.description_es),
        attributes=member.attributes,
        base=member.base,
        fractional=member.fractional,
        weight=member.weight,
        break_group=member.break_group,
        units=units,
        cost_eur=member.cost,
        cost_usd=member.cost_usd,
        stock=str(member.stock),
        eur=Prices(
            public=member.eur, pack=member.box_eur, segment=member.segment_eur, contract=member.contract_eur, raised=""
        ),
        usd=Prices(public=member.usd, pack=member.box_usd, segment=member.segment_usd, contract="", raised=""),
    )


def _stock(family: Family, chance: Random) -> str:
    lot = chance.randrange(100)
    if lot < 4:
        return "0"
    if lot < 12:
        return str(chance.randrange(1, 6))
    count = family.stock * chance.randrange(40, 181) // 100
    return f"{count}.5" if family.fractional and lot % 3 == 0 else str(max(count, 1))


def _word(assortment: Assortment, text: str, language: int) -> str:
    """The value as a name shows it: words translated, numbers with the language's decimal sign."""
    words: Any = assortment.words.get(text)
    if words is not None:
        return str(words[language])
    return _DECIMAL_POINT.sub(",", text) if language else text


def _micro(text: str) -> int:
    """`"1.25"` -> 1250000."""
    whole, _, decimals = text.partition(".")
    return int(whole) * _MICRO + int(decimals.ljust(6, "0") or "0")


def _decimal(micro: int) -> str:
    whole, decimals = divmod(micro, _MICRO)
    return f"{whole}.{decimals:06}".rstrip("0").rstrip(".")
