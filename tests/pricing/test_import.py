import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.service import Catalog
from catalog.views import KnownCodes
from kernel.clock import FixedClock
from kernel.csv_rows import ImportReport
from kernel.money import Mode, normal
from pricing.content import leaves_of
from pricing.engine import BookContent, Buyer
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    Conditions,
    CurrencyPrice,
    Group,
    Layer,
    Level,
    Package,
    PriceLimit,
    PriceList,
    PriceRow,
    QuantityRule,
    RowModel,
    Scope,
    Side,
    Tier,
    Titles,
)
from pricing.engine.derive import Derivation, Multiple
from pricing.engine.request import PricedLine
from pricing.export_csv import NotExportable, export_prices
from pricing.import_csv import read_changes
from pricing.service import Pricing
from sandbox.demo.files import write_demo
from tests.pricing.conftest import CATALOGUE, PRICES

ROWS = "list,sku,unit,model,tiers"
DATED = "list,sku,unit,model,valid_from,valid_until,tiers"
DERIVATIONS = "list,base,percent,round_to,round_mode"
LAYERS = "code,level,position,combine,groups"
RULES = "code,layer,group,effect,value,title_en"
BOUNDS = "code,kind,basis,value"
QUANTITIES = "code,scope_skus,unit,minimum,maximum"
POLICY_HEADER, POLICY_ROW = PRICES["policy.csv"].splitlines()

KNOWN = KnownCodes(
    units={"ANVIL-50": frozenset({"each"}), "BOLT-M8": frozenset({"each", "box"})},
    categories={"TOOLS": ("TOOLS",)},
    brands=frozenset({"ACME"}),
)
BASE = leaves_of(
    BookContent(
        lists=(PriceList(code="PUBLIC", currency="EUR", titles=Titles(en="Public", es="Pública")),),
        layers=(Layer(code="DISCOUNTS", level=Level.UNIT, groups=(Group(code="promotion"),)),),
    )
)


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        ("price_rows", [ROWS, "PUBLIC,NO-SUCH,each,flat,0:1"], ":2: sku: the catalogue has no such SKU"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,pallet,flat,0:1"], ":2: unit: ANVIL-50 is sold in each"),
        ("price_rows", [ROWS, "SECRET,ANVIL-50,each,flat,0:1"], ":2: list: there is no such list"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,flat,1:2;5:1"], "tiers: a flat row has one tier"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,volume,5:1;1:2"], "tiers: must hold tiers in ascending order"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,volume,5:1;5:2"], "ascending order, none twice"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,graduated,1:2"], "tiers: a graduated row takes bounds"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,flat,0:NaN"], "tiers: must be a plain number"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,flat,0:-1"], "tiers: must be at least 0"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,flat,0:1e3"], "tiers: must be a plain number"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,flat,0"], "tiers: must hold tiers such as"),
        ("price_rows", [ROWS, "PUBLIC,ANVIL-50,each,package,>0:1"], "package_size: a package row needs it"),
        (
            "price_rows",
            [ROWS + ",package_size", "PUBLIC,ANVIL-50,each,flat,0:1,6"],
            "package_size: belongs to package rows only",
        ),
        (
            "price_rows",
            [ROWS, "PUBLIC,ANVIL-50,each,flat,0:1", "PUBLIC,ANVIL-50,each,flat,0:2"],
            "price_rows.csv:3: unit: line 2 has the same key",
        ),
        (
            "price_rows",
            [DATED, "PUBLIC,ANVIL-50,each,flat,,2027-01-01,0:1", "PUBLIC,ANVIL-50,each,flat,2026-12-01,,0:2"],
            "price_rows.csv:3: valid_from: the period overlaps that of line 2",
        ),
        (
            "price_rows",
            [DATED, "PUBLIC,ANVIL-50,each,flat,2027-01-01,2026-01-01,0:1"],
            "valid_until: must be later than valid_from",
        ),
        ("price_rows", [ROWS + ",prices", "PUBLIC,ANVIL-50,each,flat,0:1,2"], "prices: unknown column"),
        ("price_lists", ["code,currency,title_en", "PUBLIC,XXX,Public"], "currency: must be an ISO 4217"),
        ("derivations", [DERIVATIONS, "TRADE,,5,,"], ":2: list: there is no such list"),
        ("derivations", [DERIVATIONS, "PUBLIC,TRADE,5,,"], ":2: base: there is no such list"),
        ("derivations", [DERIVATIONS, "PUBLIC,,5,,", "PUBLIC,,6,,"], ":3: list: line 2 has the same key"),
        ("derivations", [DERIVATIONS, "PUBLIC,PUBLIC,5,,"], ":2: base: Lists are derived from each other in a circle"),
        ("derivations", [DERIVATIONS, "PUBLIC,,5,0.05,"], "round_mode: round_to and round_mode are filled in together"),
        ("derivations", [DERIVATIONS, "PUBLIC,,5,,up"], "round_mode: round_to and round_mode are filled in together"),
        ("derivations", [DERIVATIONS, "PUBLIC,,5,0,up"], "round_to: must be greater than 0"),
        ("derivations", [DERIVATIONS, "PUBLIC,,5,1,upwards"], "round_mode: must be"),
        ("derivations", [DERIVATIONS, "PUBLIC,,-12 %,,"], "percent: must be a plain number"),
        ("derivations", ["list,base,min_margin,max_margin", "PUBLIC,,,100"], "max_margin: must be below 100"),
        ("derivations", ["list,base,min_margin,max_margin", "PUBLIC,,30,29.5"], "max_margin: is below min_margin"),
        ("layers", [LAYERS, "A,unit,1,sum,g:priority", "B,unit,1,sum,g:lowest"], "layers.csv:3: position"),
        ("layers", [LAYERS, "A,unit,1,sum,g"], "groups: must hold GROUP:priority"),
        ("layers", [LAYERS, "A,unit,1,sum,g:lowest;g:priority"], "groups: names a group twice"),
        ("adjustments", [RULES, "R,NOWHERE,promotion,percent,5,R"], "layer: there is no such layer"),
        ("adjustments", [RULES, "R,DISCOUNTS,loyalty,percent,5,R"], "group: layer DISCOUNTS has no such group"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,percent,101,R"], "value: must be at most 100"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,percent,-5,R"], "value: must be at least 0"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,amount,5,R"], "currencies: a rule that holds an amount"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,buy_get,5+1,R"], "effect: acts in line layers only"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,buy_get,5,R"], "value: must be BUY+GET"),
        ("adjustments", [RULES, "R,DISCOUNTS,promotion,quantity_table,5:2;3:1,R"], "value: must hold quantities in"),
        (
            "adjustments",
            [RULES + ",surcharge", "R,DISCOUNTS,promotion,quantity_table,5:2,R,yes"],
            "surcharge: only percent and amount",
        ),
        (
            "adjustments",
            [RULES + ",scope_brands", "R,DISCOUNTS,promotion,percent,5,R,NOBODY"],
            "scope_brands: the catalogue has no such brand",
        ),
        (
            "adjustments",
            [RULES + ",min_subtotal,currencies", "R,DISCOUNTS,promotion,percent,5,R,100,EUR"],
            "min_subtotal: cannot be asked",
        ),
        (
            "adjustments",
            [RULES + ",min_quantity,max_quantity", "R,DISCOUNTS,promotion,percent,5,R,10,9"],
            "max_quantity: is below min_quantity",
        ),
        ("bounds", [BOUNDS, "B,floor,margin,100"], "value: a margin is below 100"),
        ("bounds", [BOUNDS, "B,floor,price,9.90"], "value: must hold CURRENCY:PRICE"),
        ("bounds", [BOUNDS, "B,floor,price,EUR:1;EUR:2"], "value: names a currency twice"),
        ("quantity_rules", [QUANTITIES, "Q,ANVIL-50,each,,"], "one of minimum, maximum and multiple"),
        ("quantity_rules", [QUANTITIES, "Q,ANVIL-50,,9,3"], "maximum: is below the minimum"),
        ("quantity_rules", [QUANTITIES, "Q,GHOST,,1,3"], "scope_skus: the catalogue has no such SKU"),
        ("policy", [POLICY_HEADER], "policy.csv:1: the file must hold one row"),
        ("policy", [POLICY_HEADER, POLICY_ROW, POLICY_ROW], "policy.csv:3: line 2 has the same key"),
    ],
)
def test_a_wrong_row_is_named_by_file_line_and_column(
    folder: Callable[..., Path], name: str, lines: list[str], says: str
) -> None:
    report = ImportReport()
    read_changes(folder({f"{name}.csv": "\n".join(lines) + "\n"}), BASE, KNOWN, report)
    assert len(report.errors) == 1, report.errors
    assert says in str(report.errors[0])


def test_every_column_finds_its_place_and_is_exported_as_it_came(folder: Callable[..., Path]) -> None:
    made = folder(
        price_rows_csv=DATED
        + ",package_size,package_rounding,package_free,package_covers\n"
        + "PUBLIC,BOLT-M8,box,package,2026-12-01T08:00:00+01:00,2027-01-01,>0:9.50+1;>6:9,6,down,2,all\n",
        adjustments_csv=RULES
        + ",priority,exclusive,scope_categories,exclude_skus,audience_segments,audience_countries,max_quantity,"
        + "currencies,countries,surcharge,title_es\n"
        + "R,DISCOUNTS,promotion,amount,0.50,Fee,7,yes,TOOLS,BOLT-M8,metal;trade,ES;PT,40,EUR,ES,yes,Recargo\n",
        bounds_csv=BOUNDS + ",scope_brands,disclosed\nB,ceiling,price,EUR:9.90;USD:11,ACME,yes\n",
        quantity_rules_csv="code,scope_skus,unit,minimum,maximum,multiple\nQ,BOLT-M8,each,50,5000,50\n",
    )
    report = ImportReport()
    changes = read_changes(made, BASE, KNOWN, report)
    assert report.errors == []
    starts = datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert changes == {
        ("row", ("PUBLIC", "BOLT-M8", "box", starts.isoformat())): PriceRow(
            list="PUBLIC",
            sku="BOLT-M8",
            unit="box",
            model=RowModel.PACKAGE,
            tiers=(Tier(above="0", unit_price="9.5", flat_fee="1"), Tier(above="6", unit_price="9")),
            package=Package(size="6", round_up=False, free="2", whole_quantity=True),
            starts_at=starts,
            ends_at=datetime(2027, 1, 1, tzinfo=UTC),
        ),
        ("adjustment", ("R",)): Adjustment(
            code="R",
            layer="DISCOUNTS",
            group="promotion",
            effect=AmountEffect(amount="0.5", surcharge=True),
            scope=Scope(categories=("TOOLS",), excluded_skus=("BOLT-M8",)),
            audience=Audience(segments=("metal", "trade"), countries=("ES", "PT")),
            conditions=Conditions(max_quantity="40", currencies=("EUR",), countries=("ES",)),
            priority=7,
            exclusive=True,
            titles=Titles(en="Fee", es="Recargo"),
        ),
        ("bound", ("B",)): Bound(
            code="B",
            side=Side.CEILING,
            scope=Scope(brands=("ACME",)),
            limit=PriceLimit(
                prices=(CurrencyPrice(currency="EUR", price="9.9"), CurrencyPrice(currency="USD", price="11"))
            ),
            disclosed=True,
        ),
        ("quantity_rule", ("Q",)): QuantityRule(
            code="Q", scope=Scope(skus=("BOLT-M8",)), unit="each", minimum="50", maximum="5000", multiple="50"
        ),
    }
    files = {name: "".join(lines) for name, lines in export_prices({**BASE, **changes})}
    assert read_changes(folder(files), {**BASE, **changes}, KNOWN, report) == {}
    assert report.errors == []


LISTS = (
    "code,currency,tax_inclusive,title_en\nPUBLIC,EUR,,Public\nTRADE,EUR,,Trade\nVIP,EUR,,Vip\nUS,USD,,US\n"
    "SHOP,EUR,yes,Shop\n"
)


def test_derivations_are_looked_at_together_with_the_lists_of_the_same_folder(folder: Callable[..., Path]) -> None:
    report = ImportReport()
    derivations = "list,base\nTRADE,VIP\nVIP,TRADE\nUS,PUBLIC\nSHOP,\nGONE,PUBLIC\n"
    read_changes(folder(price_lists_csv=LISTS, derivations_csv=derivations), BASE, KNOWN, report)
    report.sort()
    assert [(error.line, error.column) for error in report.errors] == [
        (2, "base"),
        (4, "base"),
        (5, "base"),
        (6, "list"),
    ]


def test_a_derivation_is_read_column_by_column(folder: Callable[..., Path]) -> None:
    report = ImportReport()
    text = (
        "list,base,percent,round_to,round_mode,ending,min_margin,max_margin\n"
        "TRADE,PUBLIC,-12.50,0.05,up,-0.010,10,60.0\nVIP,,-0,,,,-5,\n"
    )
    changes = read_changes(folder(price_lists_csv=LISTS, derivations_csv=text), BASE, KNOWN, report)
    assert report.errors == []
    assert [changes["derivation", (name,)] for name in ("TRADE", "VIP")] == [
        Derivation(
            list="TRADE",
            base="PUBLIC",
            percent="-12.5",
            round_to=Multiple(multiple="0.05", mode=Mode.UP),
            ending="-0.01",
            min_margin="10",
            max_margin="60",
        ),
        Derivation(list="VIP", base=None, percent="0", min_margin="-5"),
    ]


_NUMBERS = st.decimals(-10, 90, places=3, allow_nan=False).map(lambda number: normal(f"{number:f}"))
_MARGINS = st.tuples(st.none() | _NUMBERS, st.none() | _NUMBERS).filter(
    lambda pair: None in pair or Decimal(pair[0] or 0) <= Decimal(pair[1] or 0)
)


@given(
    st.lists(
        st.builds(
            lambda margins, **more: Derivation(**more, min_margin=margins[0], max_margin=margins[1]),
            _MARGINS,
            list=st.sampled_from(["TRADE", "VIP"]),
            base=st.sampled_from([None, "PUBLIC"]),
            percent=_NUMBERS,
            round_to=st.none()
            | st.builds(
                Multiple, multiple=st.sampled_from(["0.05", "1", "0.000000000001"]), mode=st.sampled_from(Mode)
            ),
            ending=_NUMBERS,
        ),
        unique_by=lambda derivation: derivation.list,
    )
)
def test_derivations_come_back_from_their_file_as_they_were(derivations: list[Derivation]) -> None:
    lists = (PriceList(code=name, currency="EUR") for name in ("PUBLIC", "TRADE", "VIP"))
    base = leaves_of(BookContent(lists=tuple(lists)))
    wanted = base | {("derivation", (derivation.list,)): derivation for derivation in derivations}
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "derivations.csv").write_text("".join(dict(export_prices(wanted))["derivations.csv"]))
        report = ImportReport()
        assert read_changes(folder, wanted, KNOWN, report) == {}
        changes = read_changes(folder, base, KNOWN, report)
    assert report.errors == []
    assert base | changes == wanted


def test_a_scope_that_names_nothing_is_not_exported_as_everything() -> None:
    rule = QuantityRule(code="NEVER", scope=Scope(), minimum="5")
    files = dict(export_prices({("quantity_rule", ("NEVER",)): rule}))
    with pytest.raises(NotExportable):
        list(files["quantity_rules.csv"])


async def test_all_mistakes_of_all_files_are_reported_at_once_in_order(
    unpublished: Pricing, catalog: Catalog, folder: Callable[..., Path]
) -> None:
    made = folder(CATALOGUE, PRICES)
    (made / "price_rows.csv").write_text(ROWS + "\nPUBLIC,ANVIL-50,each,flat,x\n\nPUBLIC,GHOST,each,flat,0:1\n")
    (made / "skus.csv").write_text(CATALOGUE["skus.csv"].replace("yes\n", "perhaps\n", 1))
    imported = await unpublished.import_folder(made, by=None)
    assert imported.draft_id is None
    assert [(error.file, error.line, error.column) for error in imported.report.errors] == [
        ("skus.csv", 2, "active"),
        ("price_rows.csv", 2, "tiers"),
        ("price_rows.csv", 4, "sku"),
    ]
    assert await catalog.find_skus(["ANVIL-50"]) == {}
    assert await unpublished.list_drafts() == []


async def test_a_file_given_holds_the_whole_of_what_it_describes_and_others_stay(
    pricing: Pricing, folder: Callable[..., Path], clock: FixedClock
) -> None:
    rows = PRICES["price_rows.csv"].replace("0:80", "0:81").replace("CONTRACT-INITECH,ANVIL-50,each,flat,0:72\n", "")
    imported = await pricing.import_prices(folder(price_rows_csv=rows), by=None)
    assert imported.draft_id is not None
    counts = imported.report.counts["price_rows.csv"]
    assert (counts.rows, counts.added, counts.changed, counts.unchanged) == (4, 0, 1, 3)
    assert "1 objects that the price files no longer hold will be removed." in imported.report.notes

    changes = {change.key: change for change in await pricing.list_changes(imported.draft_id)}
    assert set(changes) == {("PUBLIC", "ANVIL-50", "each", ""), ("CONTRACT-INITECH", "ANVIL-50", "each", "")}
    assert changes["CONTRACT-INITECH", "ANVIL-50", "each", ""].after is None
    published = await pricing.publish(imported.draft_id, by=None, acknowledge="As meant")
    line = pricing.price_of(Buyer(company="initech"), currency="EUR", sku="ANVIL-50", at=published.effective_at).line
    assert isinstance(line, PricedLine)
    assert line.subtotal == "81.00"
    assert clock.now() < published.effective_at


async def test_importing_the_same_again_changes_nothing(pricing: Pricing, folder: Callable[..., Path]) -> None:
    imported = await pricing.import_folder(folder(CATALOGUE, PRICES), by=None)
    assert imported.draft_id is not None
    assert await pricing.list_changes(imported.draft_id) == ()
    assert all(count.added == count.changed == 0 for count in imported.report.counts.values())


async def test_a_folder_without_price_files_makes_no_draft(pricing: Pricing, folder: Callable[..., Path]) -> None:
    imported = await pricing.import_folder(folder(CATALOGUE), by=None)
    assert imported.report.ok
    assert imported.draft_id is None


@pytest.mark.slow
async def test_the_demo_of_1200_skus_is_imported_and_published_within_seconds(
    unpublished: Pricing, clock: FixedClock, tmp_path: Path
) -> None:
    write_demo(tmp_path / "demo", skus=1200)
    began = time.perf_counter()
    imported = await unpublished.import_folder(tmp_path / "demo", by=None)
    assert imported.report.errors == []
    assert imported.draft_id is not None
    published = await unpublished.publish(imported.draft_id, by=None, acknowledge="As meant")
    took = time.perf_counter() - began
    clock.set(published.effective_at)
    book = unpublished.books.at(clock.now())
    assert len(book) >= 1200
    assert [finding for finding in published.findings if finding["severity"] == "error"] == []
    assert took < 20, f"{took:.1f} s"  # about 2 s alone on two cores; others may be busy

    exported = tmp_path / "exported"
    exported.mkdir()
    for name, lines in (await unpublished.export_prices()).items():
        (exported / name).write_text("".join(lines), newline="")
    again = await unpublished.import_prices(exported, by=None)
    assert again.report.errors == []
    assert again.draft_id is not None
    assert await unpublished.list_changes(again.draft_id) == ()
    rows = sum(count.rows for count in again.report.counts.values())
    assert rows == sum(count.rows for name, count in imported.report.counts.items() if name in again.report.counts)
