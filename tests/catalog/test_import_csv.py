import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import store
from catalog.import_csv import FILE_NAMES, ImportRunning
from catalog.model import Sku, SkuCost
from catalog.service import Catalog
from catalog.views import BookCost, Unit
from kernel.csv_rows import FileCount, ImportReport
from kernel.db import for_staff
from tests.catalog.conftest import FILES, write_files


async def refused(catalog: Catalog, folder: Path, files: dict[str, str]) -> list[str]:
    """Import *files*, make sure that nothing changed, and return what the report says."""
    before = await everything(catalog)
    report = await catalog.import_folder(write_files(folder, files))
    assert not report.ok
    assert report.counts == {}
    assert await everything(catalog) == before
    return [str(error) for error in report.errors]


async def everything(catalog: Catalog) -> list[object]:
    tables = ("category", "brand", "product", "sku", "sku_unit", "sku_cost", "stock")
    async with catalog.db.begin(for_staff()) as session:
        return [
            row
            for table in tables
            for row in (await session.execute(sa.text(f"SELECT * FROM {table} AS t ORDER BY t::text"))).all()
        ]


async def test_a_first_import_adds_what_its_files_hold(empty_catalog: Catalog, tmp_path: Path) -> None:
    read: list[tuple[str, int]] = []
    report = ImportReport(progress=lambda file, rows: read.append((file, rows)))
    async with empty_catalog.db.begin(for_staff()) as session:
        await empty_catalog.import_into(session, write_files(tmp_path, FILES), report)

    assert report.ok
    assert report.counts == {
        "categories.csv": FileCount(5, 5, 0, 0),
        "brands.csv": FileCount(2, 2, 0, 0),
        "products.csv": FileCount(4, 4, 0, 0),
        "skus.csv": FileCount(7, 7, 0, 0),
        "units.csv": FileCount(3, 3, 0, 0),
        "costs.csv": FileCount(2, 2, 0, 0),
        "stock.csv": FileCount(3, 0, 3, 0),
    }
    assert tuple(report.counts) == FILE_NAMES
    assert read[0] == ("categories.csv", 5)


async def test_importing_the_same_files_again_changes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    before = await everything(catalog)

    report = await catalog.import_folder(write_files(tmp_path / "again", FILES))

    assert {(count.added, count.changed) for count in report.counts.values()} == {(0, 0)}
    assert await everything(catalog) == before


async def test_known_keys_are_changed_and_rows_not_given_stay(catalog: Catalog, tmp_path: Path) -> None:
    old = (await catalog.find_skus(["WS-5X60"]))["WS-5X60"]

    report = await catalog.import_folder(
        write_files(
            tmp_path / "change",
            {
                "skus.csv": "sku,product,name_en,base_unit,active\nWS-5X60,WOOD-SCREW,Steel screw 5 x 60,each,yes\n",
                "units.csv": "sku,unit,factor\nHB-88-M8X40,box,200\nWS-5X60,box,50\n",
                "stock.csv": "sku,on_hand\nWS-5X60,30\n",
            },
        )
    )

    assert report.counts == {
        "skus.csv": FileCount(1, 0, 1, 0),
        "units.csv": FileCount(2, 1, 1, 0),
        "stock.csv": FileCount(1, 0, 1, 0),
    }
    found = await catalog.find_skus(["WS-5X60", "HB-88-M8X40"])
    assert found["WS-5X60"].id == old.id
    assert found["WS-5X60"].names.en == "Steel screw 5 x 60"
    assert found["WS-5X60"].attributes == {}
    assert found["WS-5X60"].available == 30
    assert found["HB-88-M8X40"].factor("box") == 200
    assert found["HB-88-M8X40"].factor("pallet") == 24000


async def test_a_withdrawn_sku_disappears_from_lists_and_counts(catalog: Catalog, tmp_path: Path) -> None:
    await catalog.import_folder(
        write_files(
            tmp_path / "withdraw",
            {"skus.csv": "sku,product,name_en,base_unit,active\nWS-5X60,WOOD-SCREW,Wood screw,each,no\n"},
        )
    )

    assert (await catalog.search("ws 5x60")).total == 0
    assert [node.product_count for node in await catalog.list_categories() if node.code == "FASTENERS"] == [1]


async def test_words_of_a_renamed_category_brand_or_product_find_its_skus(catalog: Catalog, tmp_path: Path) -> None:
    await catalog.import_folder(
        write_files(
            tmp_path / "rename",
            {
                "categories.csv": "code,parent,name_en,name_es\nFASTENERS,,Ironmongery,Ferretería\n",
                "brands.csv": "code,name\nFLUX,Aerolux\n",
                "products.csv": "code,category,name_en\nARMCHAIR,SEATING,Lounge throne\n",
            },
        )
    )

    assert [each.code for each in (await catalog.search("ironmongery wood")).products] == ["WOOD-SCREW"]
    assert [each.code for each in (await catalog.search("aerolux")).products] == ["PU-HOSE"]
    assert [each.code for each in (await catalog.search("throne")).products] == ["ARMCHAIR"]
    assert (await catalog.search("flux")).total == 0


async def test_a_moved_category_takes_its_subtree_along(catalog: Catalog, tmp_path: Path) -> None:
    report = await catalog.import_folder(
        write_files(tmp_path / "move", {"categories.csv": "code,parent,name_en\nBOLTS,HOSES,Bolts and screws\n"})
    )

    assert report.counts["categories.csv"] == FileCount(1, 0, 1, 0)
    product = await catalog.find_product("HEX-BOLT-8.8")
    assert [each.code for each in product.breadcrumb] == ["HOSES", "BOLTS", "HEX"]
    tree = {node.code: node.product_count for node in await catalog.list_categories()}
    assert tree == {"FASTENERS": 0, "HOSES": 3, "SEATING": 1}


async def test_every_mistake_of_all_files_is_reported_with_its_place_and_nothing_is_imported(
    catalog: Catalog, tmp_path: Path
) -> None:
    said = await refused(
        catalog,
        tmp_path / "wrong",
        {
            "categories.csv": "code,parent,name_en\nNEW,NOWHERE,New\n",
            "products.csv": "code,category,brand,name_en\nNEW-1,NEW,ACMEE,New one\nNEW-1,NEW,,New one\n",
            "skus.csv": (
                "sku,product,name_en,attributes,base_unit,weight_grams,fractional\n"
                "GOOD,NEW-1,Good,,each,,\n"
                "BAD WORD,NEW-1,Bad,,each,,\n"
                "BAD-1,NO-PRODUCT,Bad,thread,each,-1,maybe\n"
            ),
            "units.csv": "sku,unit,factor\nGOOD,box,0\nBAD-1,box,10\nNO-SKU,box,10\n",
            "costs.csv": "sku,cost,currency\nGOOD,1.5,EUR\nGOOD,1.6,EUR\nGOOD,1.6,EURO\n",
            "stock.csv": "sku,on_hand\nGOOD,-1\nGOOD,NaN\n",
        },
    )

    assert said == [
        "categories.csv:2: parent: unknown category; add it to categories.csv or correct the code (found 'NOWHERE')",
        "products.csv:2: brand: unknown brand; add it to brands.csv or correct the code (found 'ACMEE')",
        "products.csv:3: code: is on line 2 already; keep one of the two rows (found 'NEW-1')",
        "skus.csv:3: sku: must be 1 to 64 characters out of A-Z a-z 0-9 . _ / + - (found 'BAD WORD')",
        "skus.csv:4: attributes: must be key=value pairs joined by ; (found 'thread')",
        "skus.csv:4: weight_grams: must be at least 0 (found '-1')",
        "skus.csv:4: fractional: must be yes or no (found 'maybe')",
        "skus.csv:4: product: unknown product; add it to products.csv or correct the code (found 'NO-PRODUCT')",
        "units.csv:2: factor: must be greater than 0 (found '0')",
        "units.csv:4: sku: unknown sku; add it to skus.csv or correct the code (found 'NO-SKU')",
        "costs.csv:3: currency: is on line 2 already; keep one of the two rows (found 'GOOD EUR')",
        "costs.csv:4: currency: must be an ISO 4217 code such as EUR (found 'EURO')",
        "stock.csv:2: on_hand: must be at least 0 (found '-1')",
        (
            "stock.csv:3: on_hand: must be a plain number such as 1234.5: decimal point, no thousands separator, "
            "no exponent (found 'NaN')"
        ),
        "stock.csv:3: sku: is on line 2 already; keep one of the two rows (found 'GOOD')",
    ]


async def test_a_cycle_of_categories_is_reported_on_each_of_its_rows(catalog: Catalog, tmp_path: Path) -> None:
    said = await refused(
        catalog,
        tmp_path / "cycle",
        {"categories.csv": "code,parent,name_en\nFASTENERS,HEX,Fasteners\nSELF,SELF,Self\nFINE,HOSES,Fine\n"},
    )

    advice = "leads back to itself, or is more than 20 levels deep; correct the parent"
    assert said == [
        f"categories.csv:2: parent: {advice} (found 'HEX')",
        f"categories.csv:3: parent: {advice} (found 'SELF')",
    ]


async def test_the_base_unit_of_a_known_sku_stays(catalog: Catalog, tmp_path: Path) -> None:
    said = await refused(
        catalog,
        tmp_path / "base",
        {
            "skus.csv": "sku,product,name_en,base_unit\nHB-88-M8X40,HEX-BOLT-8.8,Hex bolt,box\n",
            "units.csv": "sku,unit,factor\nHB-88-M8X100,each,10\nWS-5X60,each,1\n",
        },
    )

    assert said == [
        (
            "skus.csv:2: base_unit: the SKU counts in each, and its units, costs, stock and orders with it; keep each, "
            "or withdraw the SKU (active = no) and add one under another code (found 'box')"
        ),
        "units.csv:2: unit: is the SKU's base unit, which needs no row and has factor 1 (found 'each')",
    ]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("thread", "must be key=value pairs"),
        ("thread=", "must be key=value pairs"),
        ("=M8", "must be 1 to 64 characters"),
        ("my key=M8", "must be 1 to 64 characters"),
        ("thread=M8;thread=M9", "holds the key thread twice"),
        (";".join(f"k{number}=1" for number in range(51)), "may hold up to 50 pairs"),
    ],
)
async def test_attributes_that_are_no_pairs_are_refused(
    empty_catalog: Catalog, tmp_path: Path, attributes: str, message: str
) -> None:
    files = FILES | {"skus.csv": f"sku,product,name_en,attributes,base_unit\nA,WOOD-SCREW,A,{attributes},each\n"}
    said = await refused(empty_catalog, tmp_path, {name: files[name] for name in FILE_NAMES[:4]})

    assert len(said) == 1
    assert said[0].startswith("skus.csv:2: attributes: " + message)


async def test_a_folder_without_files_imports_nothing(empty_catalog: Catalog, tmp_path: Path) -> None:
    report = await empty_catalog.import_folder(tmp_path)

    assert report.ok
    assert report.counts == {}


async def test_two_imports_at_once_queue(empty_catalog: Catalog, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)

    reports = await asyncio.gather(*(empty_catalog.import_folder(tmp_path) for _ in range(2)))

    assert all(report.ok for report in reports)
    assert sorted(report.counts["skus.csv"].added for report in reports) == [0, 7]


async def test_an_import_that_would_wait_too_long_says_so(empty_catalog: Catalog, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)

    async with empty_catalog.db.begin(for_staff()) as running, empty_catalog.db.begin(for_staff()) as waiting:
        await empty_catalog.import_into(running, tmp_path, ImportReport())
        await waiting.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(ImportRunning, match="start this one again"):
            await empty_catalog.import_into(waiting, tmp_path, ImportReport())
        await waiting.rollback()


async def test_an_order_does_not_wait_for_an_import_that_leaves_its_stock_as_it_is(
    catalog: Catalog, tmp_path: Path
) -> None:
    bolt = (await catalog.find_skus(["HB-88-M8X40"]))["HB-88-M8X40"]

    async with catalog.db.begin(for_staff()) as importing, catalog.db.begin(for_staff()) as ordering:
        await catalog.import_into(importing, write_files(tmp_path / "again", FILES), ImportReport())
        await ordering.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
        await catalog.reserve(ordering, {bolt.id: Decimal(1)})


async def test_a_missing_folder_is_an_error(empty_catalog: Catalog, tmp_path: Path) -> None:
    report = await empty_catalog.import_folder(tmp_path / "nowhere")

    assert [str(error) for error in report.errors] == ["nowhere:0: there is no such folder"]


async def test_a_stock_count_leaves_reservations_apart(catalog: Catalog, tmp_path: Path) -> None:
    bolt = (await catalog.find_skus(["HB-88-M8X40"]))["HB-88-M8X40"]
    async with catalog.db.begin(for_staff()) as session:
        await catalog.reserve(session, {bolt.id: Decimal(200)})

    await catalog.import_folder(write_files(tmp_path / "count", {"stock.csv": "sku,on_hand\nHB-88-M8X40,500\n"}))

    assert (await catalog.find_skus(["HB-88-M8X40"]))["HB-88-M8X40"].available == 500
    async with catalog.db.begin(for_staff()) as session:
        await catalog.release(session, {bolt.id: Decimal(200)})
    assert (await catalog.find_skus(["HB-88-M8X40"]))["HB-88-M8X40"].available == 700


async def test_known_codes_are_those_there_and_those_of_the_files_being_imported(
    catalog: Catalog, tmp_path: Path
) -> None:
    report = ImportReport()
    async with catalog.db.begin(for_staff()) as session:
        before = await catalog.known_codes(session)
        await catalog.import_into(
            session,
            write_files(
                tmp_path / "more",
                {
                    "categories.csv": "code,parent,name_en\nNUTS,FASTENERS,Nuts\n",
                    "brands.csv": "code,name\nNEW,New\n",
                    "skus.csv": "sku,product,name_en,base_unit\nWRONG,NO-PRODUCT,Wrong,each\n",
                    "units.csv": "sku,unit,factor\nWRONG,box,10\n",
                },
            ),
            report,
        )
        during = await catalog.known_codes(session)
        await session.rollback()

    assert not report.ok
    assert before.units["HB-88-M8X40"] == {"each", "box", "pallet"}
    assert before.units["WS-5X60"] == {"each"}
    assert before.categories["HEX"] == ("FASTENERS", "BOLTS", "HEX")
    assert before.brands == {"NORDKAMM", "FLUX"}
    assert during.units == {**before.units, "WRONG": frozenset({"each", "box"})}
    assert during.categories["NUTS"] == ("FASTENERS", "NUTS")
    assert during.brands == {"NORDKAMM", "FLUX", "NEW"}


@pytest.mark.parametrize("of", [store.stream_book_facts, store.stream_book_costs])
async def test_who_gives_up_reading_every_sku_leaves_no_cursor_open(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, of: Callable[[AsyncSession], AsyncIterator[object]]
) -> None:
    monkeypatch.setattr(store, "BATCH", 1)
    begun = asyncio.Event()

    async def read() -> None:
        async with catalog.db.begin(for_staff()) as session:
            while True:
                async for _ in of(session):
                    begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        del reading
        gc.collect()

    assert [str(each.message) for each in said] == []


async def test_the_price_book_gets_the_facts_of_every_sku_by_code_and_costs_apart(catalog: Catalog) -> None:
    async with catalog.db.begin(for_staff()) as session:
        facts = [each async for each in catalog.sku_facts_for_book(session)]
        costs = [each async for each in catalog.sku_costs_for_book(session)]

    assert [each.sku for each in facts] == sorted(each.sku for each in facts)
    assert len(facts) == 7
    bolt = next(each for each in facts if each.sku == "HB-88-M8X40")
    assert bolt.categories == ("FASTENERS", "BOLTS", "HEX")
    assert bolt.brand == "NORDKAMM"
    assert bolt.units == (
        Unit(unit="each", factor=Decimal(1)),
        Unit(unit="box", factor=Decimal(100)),
        Unit(unit="pallet", factor=Decimal(24000)),
    )
    assert str(bolt.units[2].factor) == "24000"
    stool = next(each for each in facts if each.sku == "CRUNCHY-STOOL")
    assert (stool.active, stool.brand, stool.tax_category) == (False, None, "standard")
    assert costs == [
        BookCost(sku="HB-88-M8X40", currency="EUR", cost=Decimal("0.0831")),
        BookCost(sku="HB-88-M8X40", currency="USD", cost=Decimal("0.0972")),
    ]
    assert not any("0.0831" in repr(each) for each in facts)


async def test_a_mapped_sku_reads_as_it_was_written(catalog: Catalog) -> None:
    async with catalog.db.begin(for_staff()) as session:
        sku = (await session.scalars(sa.select(Sku).where(Sku.code == "HOSE-PU-8-BLUE"))).one()
        cost = (await session.scalars(sa.select(SkuCost).order_by(SkuCost.currency))).first()

    assert (sku.code_key, sku.base_unit, sku.fractional) == ("hosepu8blue", "metre", True)
    assert sku.weight_grams == 38
    assert cost is not None
    assert (cost.currency, cost.cost) == ("EUR", Decimal("0.0831"))


async def test_twelve_hundred_skus_are_imported_while_one_waits(empty_catalog: Catalog, tmp_path: Path) -> None:
    lines = [f"SKU-{number},WOOD-SCREW,Wood screw {number},each\n" for number in range(1_200)]
    files = FILES | {"skus.csv": "sku,product,name_en,base_unit\n" + "".join(lines), "stock.csv": "sku,on_hand\n"}
    write_files(tmp_path, {name: content for name, content in files.items() if name not in {"units.csv", "costs.csv"}})

    async with asyncio.timeout(20):  # some 0.5 s alone; the machine may be busy
        report = await empty_catalog.import_folder(tmp_path)

    assert report.counts["skus.csv"].added == 1_200
    assert (await empty_catalog.search("SKU-1199")).products[0].matched == ("SKU-1199",)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_the_files_hold_an_import_answers_with_a_report(
    empty_catalog: Catalog, tmp_path: Path, data: st.DataObject
) -> None:
    cells = st.sampled_from(
        ["", "A", "B", "a b", "=1", "-1", "0", "1e5", "yes", "EUR", "k=v", "k=v;k=w", "\ufeff", "x" * 70, '"', "1" * 20]
    )
    for name in FILE_NAMES:
        header = FILES[name].split("\n", 1)[0]
        rows = data.draw(st.lists(st.lists(cells, min_size=header.count(",") + 1, max_size=header.count(",") + 1)))
        (tmp_path / name).write_text("\n".join([header, *map(",".join, rows)]), encoding="utf-8")

    report = await empty_catalog.import_folder(tmp_path)

    assert report.ok == bool(report.counts)
