"""Price files (docs/import-files.md) into the changes of a draft.

Each file given holds the whole of what it describes: what it leaves out goes. All rows of all files are read and every
mistake is reported, before anything is changed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from catalog.views import KnownCodes
from kernel.csv_rows import (
    CellError,
    Column,
    FileCount,
    ImportReport,
    Row,
    Said,
    choice,
    code,
    currency,
    decimal,
    instant,
    many,
    said,
    text,
    whole,
    yes_no,
)
from kernel.money import Mode, normal
from kernel.tables import FolderTables, Tables
from pricing.content import LeafName, Leaves, changed, key_of
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Combine,
    Conditions,
    CurrencyPrice,
    Effect,
    FixedPriceEffect,
    Group,
    Layer,
    Level,
    MarginLimit,
    Package,
    PercentEffect,
    PercentStep,
    Pick,
    PriceLimit,
    PriceList,
    PriceRow,
    QuantityRule,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    RowModel,
    Scope,
    Side,
    Strategy,
    TaxLevel,
    Tier,
    Titles,
)
from pricing.engine.check import Finding
from pricing.engine.derive import TEXTS as DERIVATION_TEXTS
from pricing.engine.derive import Derivation, Multiple, check_derivations
from pricing.engine.memory import overlap
from pricing.facts import category_path, decimal_text

TITLE_LENGTH: Final = 300
NO_SUCH_LIST: Final = "there is no such list in price_lists.csv"
NO_SUCH: Final = {
    "SKU": "the catalogue has no such SKU",
    "category": "the catalogue has no such category",
    "brand": "the catalogue has no such brand",
}
NO_SUCH_SKU: Final = "the catalogue has no such SKU; import it first, or with this"
PERCENT_MOST: Final = Decimal(100)
_PRICE: Final = decimal(12, least=Decimal(0))
_QUANTITY: Final = decimal(6, least=Decimal(0))
_ABOVE_ZERO: Final = decimal(6, above=Decimal(0))


# --- Cells ---


def _amount(cell: str) -> str:
    """A price or value: not negative, up to 12 decimals, in normal form."""
    return decimal_text(_PRICE(cell))


def _quantity(cell: str) -> str:
    return decimal_text(_QUANTITY(cell))


def _positive(cell: str) -> str:
    return decimal_text(_ABOVE_ZERO(cell))


def _signed(cell: str) -> str:
    """A number above or below 0, in normal form: `-0` is 0."""
    return normal(decimal_text(decimal(12)(cell)))


def _multiple(cell: str) -> str:
    return decimal_text(decimal(12, above=Decimal(0))(cell))


def _margin(cell: str) -> str:
    number = _signed(cell)
    if Decimal(number) >= PERCENT_MOST:
        raise CellError("must be below 100")
    return number


def country(cell: str) -> str:
    """Two capital letters; whether there is such a country is not asked."""
    if len(cell) != 2 or not cell.isascii() or not cell.isalpha() or not cell.isupper():
        raise CellError("must be an ISO 3166 country code such as DE")
    return cell


def _decimals(cell: str) -> int:
    if not 0 <= (number := whole(cell)) <= 12:
        raise CellError("must be a number of decimals from 0 to 12")
    return number


class _TierText(NamedTuple):
    above: bool
    bound: Decimal
    price: str
    fee: str


def _tiers(cell: str) -> tuple[_TierText, ...]:
    tiers = []
    for part in cell.split(";"):
        bound, colon, price = part.strip().partition(":")
        if not colon:
            raise CellError("must hold tiers such as 1:12.50;10:11.90+5, joined by semicolons")
        unit_price, _, fee = price.partition("+")
        above = bound.startswith(">")
        tiers.append(
            _TierText(
                above,
                _QUANTITY(bound.removeprefix(">").strip()),
                _amount(unit_price.strip()),
                _amount(fee.strip() or "0"),
            )
        )
    if any((one.bound, one.above) >= (other.bound, other.above) for one, other in pairwise(tiers)):
        raise CellError("must hold tiers in ascending order, none twice")
    return tuple(tiers)


def _groups(cell: str) -> tuple[Group, ...]:
    groups = []
    for part in cell.split(";"):
        name, colon, pick = part.strip().partition(":")
        if not colon:
            raise CellError("must hold GROUP:priority or GROUP:lowest, joined by semicolons")
        groups.append(Group(code=code(name.strip()), pick=Pick(choice("priority", "lowest")(pick.strip()))))
    if len({group.code for group in groups}) < len(groups):
        raise CellError("names a group twice")
    return tuple(groups)


_MODE: Final = choice(*Mode)
_CODES: Final = many(code)
_TITLES: Final = (Column("title_en", text(TITLE_LENGTH)), Column("title_es", text(TITLE_LENGTH), optional=True))
_AUDIENCE: Final = (
    Column("audience_company", code, optional=True),
    Column("audience_segments", _CODES, optional=True, empty=()),
    Column("audience_countries", many(country), optional=True, empty=()),
)
_SCOPE: Final = tuple(
    Column(f"{what}_{kind}", _CODES, optional=True, empty=())
    for what in ("scope", "exclude")
    for kind in ("skus", "categories", "brands")
)
_AMOUNT_CONDITIONS: Final = ("min_amount", "max_amount", "min_subtotal", "max_subtotal")
_WINDOW: Final = (Column("valid_from", instant, optional=True), Column("valid_until", instant, optional=True))


class _Refused(Exception):
    """A value that makes no sense together with others of its row."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


_Values = Mapping[str, Any]


class PriceFile(NamedTuple):
    """A file's columns, the leading ones of its key, the kinds of leaves it holds the whole of, and what makes nouns
    of a row.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    kinds: tuple[str, ...]
    make: Callable[[_Values], tuple[tuple[str, Any], ...]]

    def values(self, row: Row) -> _Values:
        return dict(zip((column.name for column in self.columns), row.values, strict=True))


def read_changes(folder: Path, base: Leaves, known: KnownCodes, report: ImportReport) -> dict[LeafName, Any]:
    """What the price files of *folder* change in *base*; None for a leaf that goes. What is wrong stands in *report*,
    and then the changes are not to be used.
    """
    found = Reading(base, report)
    kinds: list[str] = []
    tables = FolderTables(folder, KNOWN_TABLES)
    for file in FILES:
        if file.name in tables.parts:
            kinds += file.kinds
            found.read(tables, file)
    check_together(found, known)
    changes = changed(base, found.wanted, kinds)
    gone = sum(1 for noun in changes.values() if noun is None)
    if gone:
        report.notes.append(f"{gone:,} objects that the price files no longer hold will be removed.")
    return changes


class Reading:
    """One import on its way: what it has read so far, and on which line."""

    def __init__(self, base: Leaves, report: ImportReport) -> None:
        self.base = base
        self.report = report
        self.wanted: Leaves = {}
        self.lines: dict[LeafName, tuple[str, int]] = {}
        # Codes that rows may refer to. A layer whose groups could not be read has None.
        self.lists = {name[1][0] for name in base if name[0] == "list"}
        self.groups: dict[str, set[str] | None] = {
            layer.code: {group.code for group in layer.groups} for layer in base.get(("layers", ()), ())
        }

    def read(self, tables: Tables, file: PriceFile) -> None:
        """Read all of a file, however many sheets hold it."""
        rows = 0
        mine: Leaves = {}
        layers: list[tuple[Level, int, Layer]] = []
        if file.name == "price_lists.csv":
            self.lists.clear()
        if file.name == "layers.csv":
            self.groups.clear()
        for part in tables.parts[file.name]:
            for row in tables.rows(part, file.columns, self.report, key=file.key):
                rows += 1
                values = file.values(row)
                self._mention(file, values)
                for name, noun in self._made(file, part, row, values):
                    self.lines[name] = (part, row.line)
                    if name[0] == "layer":
                        layers.append((noun.level, values["position"], noun))
                    else:
                        mine[name] = noun
        if file.name == "layers.csv":
            mine["layers", ()] = self._in_order(layers)
        if file.name == "policy.csv" and not rows and self.report.ok:
            self.report.refuse(tables.parts[file.name][0], 1, "", "", "the file must hold one row")
        self.wanted.update(mine)
        self.report.counts[file.name] = FileCount(
            rows=rows,
            added=sum(1 for name in mine if name not in self.base),
            changed=sum(1 for name, noun in mine.items() if name in self.base and self.base[name] != noun),
            unchanged=sum(1 for name, noun in mine.items() if self.base.get(name) == noun),
        )

    def _mention(self, file: PriceFile, values: _Values) -> None:
        if file.name == "price_lists.csv":
            self.lists.add(values["code"])
        if file.name == "layers.csv":
            self.groups[values["code"]] = values["groups"] and {group.code for group in values["groups"]}

    def _made(self, file: PriceFile, part: str, row: Row, values: _Values) -> Iterator[tuple[LeafName, Any]]:
        """The nouns of a row whose every value is right and whose key is new."""
        for name, noun in nouns_of(file, part, row, values, self.report):
            if name in self.lines:
                column = file.key[-1] if file.key else ""
                self.report.refuse(part, row.line, column, values.get(column, ""), same_key(self.lines[name][1]))
                return
            yield name, noun

    def _in_order(self, layers: list[tuple[Level, int, Layer]]) -> tuple[Layer, ...]:
        levels = list(Level)
        layers.sort(key=lambda item: (levels.index(item[0]), item[1]))
        for (level, position, _), (next_level, next_position, layer) in pairwise(layers):
            if (level, position) == (next_level, next_position):
                file, line = self.lines["layer", (layer.code,)]
                self.report.refuse(
                    file, line, "position", position, said("another {level} layer has this position", level=level.value)
                )
        return tuple(layer for _, _, layer in layers)


def nouns_of(
    file: PriceFile, part: str, row: Row, values: _Values, report: ImportReport
) -> Iterator[tuple[LeafName, Any]]:
    """What a row whose every value is right says, when its values make sense together."""
    if not row.whole:
        return
    try:
        made = file.make(values)
    except _Refused as error:
        report.refuse(part, row.line, error.column, _cell(values, error.column), error.message)
        return
    for kind, noun in made:
        yield (kind, (noun.code,) if kind == "layer" else key_of(kind, noun)), noun


def same_key(line: int) -> str:
    return said("line {line} has the same key; keep one of the two", line=str(line))


# --- What rows say of each other and of the catalogue ---


def check_together(found: Reading, known: KnownCodes) -> None:
    report = found.report
    windows: dict[tuple[str, str, str], list[PriceRow]] = {}
    scopes = _Scopes(
        skus=known.units.keys(),
        categories={category_path(category) for category in known.categories},
        brands=known.brands,
    )
    for name, noun in found.wanted.items():
        if name not in found.lines:
            continue
        file, line = found.lines[name]
        if isinstance(noun, PriceRow):
            windows.setdefault((noun.list, noun.sku, noun.unit), []).append(noun)
            if noun.list not in found.lists:
                report.refuse(file, line, "list", noun.list, NO_SUCH_LIST)
            _check_unit(file, line, noun.sku, noun.unit, known, report)
        elif isinstance(noun, Adjustment):
            if noun.layer not in found.groups:
                report.refuse(file, line, "layer", noun.layer, "there is no such layer in layers.csv")
            elif noun.group not in (found.groups[noun.layer] or {noun.group}):
                report.refuse(
                    file, line, "group", noun.group, said("layer {layer} has no such group", layer=noun.layer)
                )
            scopes.check(file, line, noun.scope, report)
        elif isinstance(noun, Bound | QuantityRule):
            scopes.check(file, line, noun.scope, report)
    _check_overlaps(windows, found.lines, report)
    _check_levels(found)
    _check_derivations(found)


def _check_unit(file: str, line: int, sku: str, unit: str, known: KnownCodes, report: ImportReport) -> None:
    units = known.units.get(sku)
    if units is None:
        report.refuse(file, line, "sku", sku, NO_SUCH_SKU)
    elif unit not in units:
        report.refuse(file, line, "unit", unit, other_units(sku, units))


def other_units(sku: str, units: Collection[str]) -> str:
    return said("{sku} is sold in {units}", sku=sku, units=", ".join(sorted(units)))


class _Scopes(NamedTuple):
    skus: Collection[str]
    categories: Collection[str]
    brands: Collection[str]

    def check(self, file: str, line: int, scope: Scope, report: ImportReport) -> None:
        for column, what, names, known in (
            ("scope_skus", "SKU", scope.skus, self.skus),
            ("scope_categories", "category", scope.categories, self.categories),
            ("scope_brands", "brand", scope.brands, self.brands),
            ("exclude_skus", "SKU", scope.excluded_skus, self.skus),
            ("exclude_categories", "category", scope.excluded_categories, self.categories),
            ("exclude_brands", "brand", scope.excluded_brands, self.brands),
        ):
            for name in names:
                if name not in known:
                    report.refuse(file, line, column, name, NO_SUCH[what])


def _check_overlaps(
    windows: Mapping[tuple[str, str, str], list[PriceRow]],
    lines: Mapping[LeafName, tuple[str, int]],
    report: ImportReport,
) -> None:
    beginning = datetime.min.replace(tzinfo=UTC)
    for rows in windows.values():
        rows.sort(key=lambda row: row.starts_at or beginning)
        for one, other in pairwise(rows):
            if overlap([(one.starts_at, one.ends_at), (other.starts_at, other.ends_at)]):
                _, first = lines["row", key_of("row", one)]
                file, line = lines["row", key_of("row", other)]
                report.refuse(file, line, "valid_from", other.starts_at or "", overlapping(first))


def overlapping(line: int) -> str:
    return said("the period overlaps that of line {line} for the same list, SKU and unit", line=str(line))


def _check_levels(found: Reading) -> None:
    """Effects and conditions that the rule's layer cannot have."""
    report, lines = found.report, found.lines
    own = found.wanted.get(("layers", ()))
    layers: dict[str, Layer] = {
        layer.code: layer for layer in (found.base.get(("layers", ()), ()) if own is None else own)
    }
    for name, noun in found.wanted.items():
        if not isinstance(noun, Adjustment) or noun.layer not in layers:
            continue
        file, line = lines[name]
        layer = layers[noun.layer]
        levels, what = _LEVELS[type(noun.effect)]
        if layer.level not in levels:
            wrong = said(
                "acts in {levels} layers only; {layer} is a {level} one",
                levels=", ".join(level.value for level in levels),
                layer=layer.code,
                level=layer.level.value,
            )
            report.refuse(file, line, "effect", what, wrong)
        elif layer.combine is Combine.SUM and isinstance(noun.effect, FixedPriceEffect):
            wrong = said("a fixed price has no sum; layer {layer} is one of sums", layer=layer.code)
            report.refuse(file, line, "effect", what, wrong)
        asked = noun.conditions
        for column, value, elsewhere in (
            ("min_quantity", asked.min_quantity, layer.level is Level.ORDER),
            ("max_quantity", asked.max_quantity, layer.level is Level.ORDER),
            ("min_amount", asked.min_line_amount, layer.level is not Level.LINE),
            ("max_amount", asked.max_line_amount, layer.level is not Level.LINE),
            ("min_subtotal", asked.min_subtotal, layer.level is Level.UNIT),
            ("max_subtotal", asked.max_subtotal, layer.level is Level.UNIT),
        ):
            if value is not None and elsewhere:
                wrong = said("cannot be asked in {layer}, a {level} layer", layer=layer.code, level=layer.level.value)
                report.refuse(file, line, column, value, wrong)


def _of_finding(finding: Finding) -> Said:
    english, _ = DERIVATION_TEXTS[finding.code]
    return said(english, **finding.params)


def _check_derivations(found: Reading) -> None:
    """Each by itself and all together; what they lack to derive from is seen when the draft is checked."""
    report = found.report
    derivations = {name[1][0]: noun for name, noun in found.wanted.items() if name[0] == "derivation"}
    for name, noun in derivations.items():
        file, line = found.lines["derivation", (name,)]
        for column, named in (("list", name), ("base", noun.base)):
            if named is not None and named not in found.lists:
                report.refuse(file, line, column, named, NO_SUCH_LIST)
    lists = [noun for (kind, _), noun in {**found.base, **found.wanted}.items() if kind == "list"]
    for finding in check_derivations(lists, derivations.values()):
        if finding.code not in {"derivation_unknown_list", "derivation_unknown_base"}:  # or its own row is wrong
            name = finding.params["list"]
            file, line = found.lines["derivation", (name,)]
            report.refuse(file, line, "base", derivations[name].base or "", _of_finding(finding))


# --- Rows into nouns ---


def _policy(row: _Values) -> tuple[tuple[str, Any], ...]:
    policy = RoundingPolicy(
        round_unit=row["round_unit"],
        unit=Rounding(decimals=row["unit_decimals"], mode=Mode(row["unit_mode"])),
        line=Rounding(decimals=row["line_decimals"], mode=Mode(row["line_mode"])),
        tax=Rounding(decimals=row["tax_decimals"], mode=Mode(row["tax_mode"])),
        tax_level=TaxLevel(row["tax_level"]),
    )
    return ("strategy", Strategy(row["strategy"])), ("policy", policy)


def _price_list(row: _Values) -> tuple[tuple[str, Any], ...]:
    return (
        (
            "list",
            PriceList(
                code=row["code"],
                currency=row["currency"],
                audience=_audience(row),
                priority=row["priority"],
                **_window(row),
                tax_included=row["tax_inclusive"],
                mergeable=row["mergeable"],
                titles=_titles(row),
            ),
        ),
    )


def _derivation(row: _Values) -> tuple[tuple[str, Any], ...]:
    multiple, mode, least, most = (row[name] for name in ("round_to", "round_mode", "min_margin", "max_margin"))
    if (multiple is None) is not (mode is None):
        raise _Refused("round_mode", "round_to and round_mode are filled in together")
    if least is not None and most is not None and Decimal(least) > Decimal(most):
        raise _Refused("max_margin", said("is below {column}", column="min_margin"))
    return (
        (
            "derivation",
            Derivation(
                list=row["list"],
                base=row["base"],
                percent=row["percent"],
                round_to=None if multiple is None else Multiple(multiple=multiple, mode=Mode(mode)),
                ending=row["ending"],
                min_margin=least,
                max_margin=most,
            ),
        ),
    )


def _price_row(row: _Values) -> tuple[tuple[str, Any], ...]:
    model = RowModel(row["model"])
    tiers: tuple[_TierText, ...] = row["tiers"]
    sliced = model in {RowModel.GRADUATED, RowModel.PACKAGE}
    if model is RowModel.FLAT and len(tiers) != 1:
        raise _Refused("tiers", "a flat row has one tier; several make a volume or graduated row")
    if sliced and not (all(tier.above for tier in tiers) and tiers[0].bound == 0):
        raise _Refused(
            "tiers", said("a {model} row takes bounds written with >, the first of them >0", model=model.value)
        )
    return (
        (
            "row",
            PriceRow(
                list=row["list"],
                sku=row["sku"],
                unit=row["unit"],
                model=model,
                tiers=tuple(
                    Tier(
                        from_=None if tier.above else decimal_text(tier.bound),
                        above=decimal_text(tier.bound) if tier.above else None,
                        unit_price=tier.price,
                        flat_fee=tier.fee,
                    )
                    for tier in tiers
                ),
                package=_package(row, model),
                **_window(row),
            ),
        ),
    )


def _package(row: _Values, model: RowModel) -> Package | None:
    columns = ("package_size", "package_rounding", "package_free", "package_covers")
    if model is not RowModel.PACKAGE:
        for column in columns:
            if row[column] is not None:
                raise _Refused(column, "belongs to package rows only")
        return None
    for column in ("package_size", "package_rounding", "package_covers"):
        if row[column] is None:
            raise _Refused(column, "a package row needs it")
    return Package(
        size=row["package_size"],
        round_up=row["package_rounding"] == "up",
        free=row["package_free"] or "0",
        whole_quantity=row["package_covers"] == "all",
    )


def _layer(row: _Values) -> tuple[tuple[str, Any], ...]:
    layer = Layer(code=row["code"], level=Level(row["level"]), combine=Combine(row["combine"]), groups=row["groups"])
    return (("layer", layer),)


def _adjustment(row: _Values) -> tuple[tuple[str, Any], ...]:
    money = row["effect"] in {"amount", "fixed_price"} or any(row[name] is not None for name in _AMOUNT_CONDITIONS)
    if money and len(row["currencies"]) != 1:
        raise _Refused("currencies", "a rule that holds an amount needs exactly one currency")
    if row["surcharge"] and row["effect"] not in {"percent", "amount"}:
        raise _Refused("surcharge", "only percent and amount can make dearer")
    for what in ("quantity", "amount", "subtotal"):
        least, most = row[f"min_{what}"], row[f"max_{what}"]
        if least is not None and most is not None and Decimal(least) > Decimal(most):
            raise _Refused(f"max_{what}", said("is below {column}", column=f"min_{what}"))
    return (
        (
            "adjustment",
            Adjustment(
                code=row["code"],
                layer=row["layer"],
                group=row["group"],
                priority=row["priority"],
                exclusive=row["exclusive"],
                scope=_scope(row),
                audience=_audience(row),
                conditions=Conditions(
                    min_quantity=row["min_quantity"],
                    max_quantity=row["max_quantity"],
                    min_line_amount=row["min_amount"],
                    max_line_amount=row["max_amount"],
                    min_subtotal=row["min_subtotal"],
                    max_subtotal=row["max_subtotal"],
                    currencies=row["currencies"],
                    countries=row["countries"],
                ),
                effect=_effect(row),
                **_window(row),
                titles=_titles(row),
            ),
        ),
    )


def _effect(row: _Values) -> Effect:
    value = row["value"]
    try:
        match row["effect"]:
            case "percent":
                return PercentEffect(percent=_percent(value, surcharge=row["surcharge"]), surcharge=row["surcharge"])
            case "amount":
                return AmountEffect(amount=_amount(value), surcharge=row["surcharge"])
            case "fixed_price":
                return FixedPriceEffect(price=_amount(value))
            case "buy_get":
                buy, plus, get = value.partition("+")
                if not plus:
                    raise CellError("must be BUY+GET such as 10+1")  # noqa: TRY301 - reported like the cell's other errors
                return BuyGetEffect(buy=_positive(buy.strip()), get=_positive(get.strip()))
            case _:
                return QuantityTableEffect(steps=_percent_steps(value))
    except CellError as error:
        raise _Refused("value", error.message) from None


def _percent(cell: str, *, surcharge: bool = False) -> str:
    return decimal_text(decimal(12, least=Decimal(0), most=None if surcharge else PERCENT_MOST)(cell))


def _percent_steps(cell: str) -> tuple[PercentStep, ...]:
    steps = []
    for part in cell.split(";"):
        bound, colon, percent = part.strip().partition(":")
        if not colon or bound.startswith(">"):
            raise CellError("must hold FROM:PERCENT such as 10:2;50:5, joined by semicolons")
        steps.append(PercentStep(from_=_quantity(bound.strip()), percent=_percent(percent.strip())))
    if any(Decimal(one.from_) >= Decimal(other.from_) for one, other in pairwise(steps)):
        raise CellError("must hold quantities in ascending order, none twice")
    return tuple(steps)


def _bound(row: _Values) -> tuple[tuple[str, Any], ...]:
    limit: PriceLimit | MarginLimit
    try:
        if row["basis"] == "margin":
            if Decimal(percent := _percent(row["value"])) >= PERCENT_MOST:
                raise _Refused("value", "a margin is below 100")
            limit = MarginLimit(percent=percent)
        else:
            limit = PriceLimit(prices=_currency_prices(row["value"]))
    except CellError as error:
        raise _Refused("value", error.message) from None
    bound = Bound(code=row["code"], side=Side(row["kind"]), scope=_scope(row), limit=limit, disclosed=row["disclosed"])
    return (("bound", bound),)


def _currency_prices(cell: str) -> tuple[CurrencyPrice, ...]:
    prices = []
    for part in cell.split(";"):
        name, colon, price = part.strip().partition(":")
        if not colon:
            raise CellError("must hold CURRENCY:PRICE such as EUR:9.90;USD:11.50, joined by semicolons")
        prices.append(CurrencyPrice(currency=currency(name.strip()), price=_amount(price.strip())))
    if len({price.currency for price in prices}) < len(prices):
        raise CellError("names a currency twice")
    return tuple(prices)


def _quantity_rule(row: _Values) -> tuple[tuple[str, Any], ...]:
    least, most, multiple = row["minimum"], row["maximum"], row["multiple"]
    if least is None and most is None and multiple is None:
        raise _Refused("minimum", "one of minimum, maximum and multiple must be filled in")
    if least is not None and most is not None and Decimal(least) > Decimal(most):
        raise _Refused("maximum", "is below the minimum")
    return (
        (
            "quantity_rule",
            QuantityRule(
                code=row["code"],
                scope=_scope(row),
                unit=row["unit"],
                minimum=least,
                maximum=most,
                multiple=multiple,
            ),
        ),
    )


def _audience(row: _Values) -> Audience:
    return Audience(
        company=row["audience_company"], segments=row["audience_segments"], countries=row["audience_countries"]
    )


def _scope(row: _Values) -> Scope:
    named = (row["scope_skus"], row["scope_categories"], row["scope_brands"])
    return Scope(
        everything=not any(named),
        skus=row["scope_skus"],
        categories=tuple(category_path(category) for category in row["scope_categories"]),
        brands=row["scope_brands"],
        excluded_skus=row["exclude_skus"],
        excluded_categories=tuple(category_path(category) for category in row["exclude_categories"]),
        excluded_brands=row["exclude_brands"],
    )


def _titles(row: _Values) -> Titles:
    return Titles(en=row["title_en"], es=row["title_es"] or row["title_en"])


def _window(row: _Values) -> dict[str, datetime | None]:
    starts_at, ends_at = row["valid_from"], row["valid_until"]
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise _Refused("valid_until", "must be later than valid_from")
    return {"starts_at": starts_at, "ends_at": ends_at}


def _cell(values: _Values, column: str) -> object:
    value = values.get(column)
    return value if isinstance(value, str | datetime | Decimal | int) else ""


_LEVELS: Final[dict[type[Any], tuple[tuple[Level, ...], str]]] = {
    PercentEffect: ((Level.UNIT, Level.LINE, Level.ORDER), "percent"),
    AmountEffect: ((Level.UNIT, Level.LINE, Level.ORDER), "amount"),
    FixedPriceEffect: ((Level.UNIT,), "fixed_price"),
    QuantityTableEffect: ((Level.UNIT, Level.LINE), "quantity_table"),
    BuyGetEffect: ((Level.LINE,), "buy_get"),
}

FILES: Final = (
    PriceFile(
        "policy.csv",
        (),
        (
            Column("strategy", choice(*Strategy)),
            Column("round_unit", yes_no),
            Column("unit_decimals", _decimals, optional=True),
            Column("unit_mode", _MODE),
            Column("line_decimals", _decimals, optional=True),
            Column("line_mode", _MODE),
            Column("tax_decimals", _decimals, optional=True),
            Column("tax_mode", _MODE),
            Column("tax_level", choice(*TaxLevel)),
        ),
        ("strategy", "policy"),
        _policy,
    ),
    PriceFile(
        "price_lists.csv",
        ("code",),
        (
            Column("code", code),
            Column("currency", currency),
            *_AUDIENCE,
            Column("priority", whole, optional=True, empty=0),
            *_WINDOW,
            Column("tax_inclusive", yes_no, optional=True, empty=False),
            Column("mergeable", yes_no, optional=True, empty=False),
            *_TITLES,
        ),
        ("list",),
        _price_list,
    ),
    PriceFile(
        "derivations.csv",
        ("list",),
        (
            Column("list", code),
            Column("base", code, optional=True),
            Column("percent", _signed, optional=True, empty="0"),
            Column("round_to", _multiple, optional=True),
            Column("round_mode", _MODE, optional=True),
            Column("ending", _signed, optional=True, empty="0"),
            Column("min_margin", _margin, optional=True),
            Column("max_margin", _margin, optional=True),
        ),
        ("derivation",),
        _derivation,
    ),
    PriceFile(
        "price_rows.csv",
        ("list", "sku", "unit"),
        (
            Column("list", code),
            Column("sku", code),
            Column("unit", code),
            Column("model", choice(*RowModel)),
            *_WINDOW,
            Column("tiers", _tiers),
            Column("package_size", _positive, optional=True),
            Column("package_rounding", choice("up", "down"), optional=True),
            Column("package_free", _quantity, optional=True),
            Column("package_covers", choice("slice", "all"), optional=True),
        ),
        ("row",),
        _price_row,
    ),
    PriceFile(
        "layers.csv",
        ("code",),
        (
            Column("code", code),
            Column("level", choice(*Level)),
            Column("position", whole),
            Column("combine", choice(*Combine)),
            Column("groups", _groups),
        ),
        ("layers",),
        _layer,
    ),
    PriceFile(
        "adjustments.csv",
        ("code",),
        (
            Column("code", code),
            Column("layer", code),
            Column("group", code),
            Column("priority", whole, optional=True, empty=0),
            Column("exclusive", yes_no, optional=True, empty=False),
            *_SCOPE,
            *_AUDIENCE,
            Column("min_quantity", _quantity, optional=True),
            Column("max_quantity", _quantity, optional=True),
            *(Column(name, _amount, optional=True) for name in _AMOUNT_CONDITIONS),
            Column("currencies", many(currency), optional=True, empty=()),
            Column("countries", many(country), optional=True, empty=()),
            *_WINDOW,
            Column("effect", choice("percent", "amount", "fixed_price", "quantity_table", "buy_get")),
            Column("value", text(2000)),
            Column("surcharge", yes_no, optional=True, empty=False),
            *_TITLES,
        ),
        ("adjustment",),
        _adjustment,
    ),
    PriceFile(
        "bounds.csv",
        ("code",),
        (
            Column("code", code),
            Column("kind", choice(*Side)),
            *_SCOPE,
            Column("basis", choice("price", "margin")),
            Column("value", text(2000)),
            Column("disclosed", yes_no, optional=True, empty=False),
        ),
        ("bound",),
        _bound,
    ),
    PriceFile(
        "quantity_rules.csv",
        ("code",),
        (
            Column("code", code),
            *_SCOPE,
            Column("unit", code, optional=True),
            Column("minimum", _positive, optional=True),
            Column("maximum", _positive, optional=True),
            Column("multiple", _positive, optional=True),
        ),
        ("quantity_rule",),
        _quantity_rule,
    ),
)
KNOWN_TABLES: Final = {file.name: tuple(column.name for column in file.columns) for file in FILES}
"""What `kernel.tables` looks for: the files and their columns."""
