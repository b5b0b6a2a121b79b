"""The demo's files hold together and are believable."""

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.demo.endings import dollar_price, euro_price
from sandbox.demo.files import COLUMNS, write_demo
from tests.examples.folders import examples_of

ROOT = Path(__file__).parents[2]
Row = dict[str, str]
Tables = dict[str, list[Row]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return read_tables(folder)


def read_tables(folder: Path) -> Tables:
    tables: Tables = {}
    for path in folder.iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables


def tiers(text: str) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(start), Decimal(price)) for start, _, price in (part.partition(":") for part in text.split(";"))]


def listed(text: str) -> list[str]:
    return text.split(";") if text else []


def digest(folder: Path) -> str:
    return hashlib.sha256(
        b"".join(path.name.encode() + path.read_bytes() for path in sorted(folder.iterdir()))
    ).hexdigest()


def test_the_same_arguments_give_the_same_bytes_whatever_the_hash_seed(folder: Path, tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "sandbox.demo", str(tmp_path / hash_seed)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        )

    assert digest(tmp_path / "1") == digest(tmp_path / "2") == digest(folder)


def test_another_seed_gives_other_costs_but_the_same_named_prices(folder: Path, tables: Tables, tmp_path: Path) -> None:
    write_demo(tmp_path, seed=7)
    other = read_tables(tmp_path)

    assert digest(tmp_path) != digest(folder)
    assert [row for row in other["price_rows"] if row["sku"] == "CRUNCHY-ARMCHAIR"] == [
        row for row in tables["price_rows"] if row["sku"] == "CRUNCHY-ARMCHAIR"
    ]


def test_a_bigger_demo_contains_the_smaller_one(tables: Tables, tmp_path: Path) -> None:
    write_demo(tmp_path, skus=3000)
    bigger = read_tables(tmp_path)

    assert len(bigger["skus"]) == 3000
    assert len({row["sku"] for row in bigger["skus"]}) == 3000
    assert bigger["skus"][:1200] == tables["skus"]
    assert bigger["price_rows"][: len(tables["price_rows"])] == tables["price_rows"]


def test_a_small_demo_takes_something_of_every_trade(tables: Tables, tmp_path: Path) -> None:
    write_demo(tmp_path, skus=200)
    small = read_tables(tmp_path)

    assert len({row["sku"] for row in small["skus"]}) == 200
    assert {row["category"].partition(".")[0] for row in small["products"]} == {
        row["code"] for row in tables["categories"] if not row["parent"]
    }


def test_there_are_1200_skus_in_a_tree_of_three_levels(tables: Tables) -> None:
    assert len(tables["skus"]) == 1200
    assert len({row["sku"] for row in tables["skus"]}) == 1200
    assert Counter(row["code"].count(".") for row in tables["categories"]).keys() == {0, 1, 2}
    assert sum(not row["parent"] for row in tables["categories"]) >= 12


def test_every_category_of_the_lowest_level_has_something_to_buy(tables: Tables) -> None:
    lowest = {row["code"] for row in tables["categories"] if row["code"].count(".") == 2}

    assert {row["category"] for row in tables["products"]} == lowest


def test_every_reference_leads_somewhere(tables: Tables) -> None:
    codes = {name: {row["code"] for row in tables[name]} for name in ("categories", "brands", "products", "companies")}
    skus = {row["sku"]: row for row in tables["skus"]}
    units = {(row["sku"], row["unit"]) for row in tables["units"]} | {
        (sku, row["base_unit"]) for sku, row in skus.items()
    }
    segments = {segment for row in tables["companies"] for segment in listed(row["segments"])}
    groups = {(layer["code"], part.partition(":")[0]) for layer in tables["layers"] for part in listed(layer["groups"])}
    lists = {row["code"] for row in tables["price_lists"]}

    assert {row["parent"] for row in tables["categories"]} - {""} <= codes["categories"]
    assert {row["category"] for row in tables["products"]} <= codes["categories"]
    assert {row["brand"] for row in tables["products"]} <= codes["brands"]
    assert {row["product"] for row in tables["skus"]} == codes["products"]
    for name in ("units", "costs", "stock", "price_rows"):
        assert {row["sku"] for row in tables[name]} <= skus.keys(), name
    assert {row["list"] for row in tables["price_rows"]} == lists
    assert {(row["sku"], row["unit"]) for row in tables["price_rows"]} <= units
    for rule in (*tables["adjustments"], *tables["bounds"], *tables["quantity_rules"]):
        for side in ("scope", "exclude"):
            assert set(listed(rule[f"{side}_skus"])) <= skus.keys(), rule["code"]
            assert set(listed(rule[f"{side}_categories"])) <= codes["categories"], rule["code"]
            assert set(listed(rule[f"{side}_brands"])) <= codes["brands"], rule["code"]
    for rule in (*tables["adjustments"], *tables["price_lists"]):
        assert {rule["audience_company"]} - {""} <= codes["companies"], rule["code"]
        assert set(listed(rule["audience_segments"])) <= segments, rule["code"]
    assert {(row["layer"], row["group"]) for row in tables["adjustments"]} <= groups


@pytest.mark.parametrize("currency", ["EUR", "USD"])
def test_every_sku_has_a_public_price_for_its_base_unit(tables: Tables, currency: str) -> None:
    priced = {(row["sku"], row["unit"]) for row in tables["price_rows"] if row["list"] == f"PUBLIC-{currency}"}

    assert {(row["sku"], row["base_unit"]) for row in tables["skus"]} <= priced


def test_tiers_begin_at_the_first_unit_rise_in_quantity_and_fall_in_price(tables: Tables) -> None:
    for row in tables["price_rows"]:
        ladder = tiers(row["tiers"])
        starts, prices = [start for start, _ in ladder], [price for _, price in ladder]
        assert starts[0] in {0, 1}, row
        assert starts == sorted(set(starts)), row
        assert prices == sorted(set(prices), reverse=True), row
        assert prices[-1] > 0, row
        assert (row["model"] == "flat") == (len(ladder) == 1), row


def test_a_pack_is_never_dearer_than_its_content_bought_singly(tables: Tables) -> None:
    factors = {(row["sku"], row["unit"]): Decimal(row["factor"]) for row in tables["units"]}
    base = {
        (row["list"], row["sku"]): tiers(row["tiers"])
        for row in tables["price_rows"]
        if (row["sku"], row["unit"]) not in factors and not row["valid_from"]
    }
    packs = [row for row in tables["price_rows"] if (row["sku"], row["unit"]) in factors]

    assert len(packs) > 500
    for row in packs:
        factor = factors[row["sku"], row["unit"]]
        singly = [price for start, price in base[row["list"], row["sku"]] if start <= factor][-1] * factor
        assert tiers(row["tiers"])[0][1] <= singly, row


def test_every_price_even_the_lowest_keeps_a_margin(tables: Tables) -> None:
    currencies = {row["code"]: row["currency"] for row in tables["price_lists"]}
    costs = {(row["sku"], row["currency"]): Decimal(row["cost"]) for row in tables["costs"]}
    base_units = {row["sku"]: row["base_unit"] for row in tables["skus"]}
    singly = [row for row in tables["price_rows"] if row["unit"] == base_units[row["sku"]]]

    for row in singly:
        assert tiers(row["tiers"])[-1][1] * Decimal("0.9") > costs[row["sku"], currencies[row["list"]]], row


def test_dollar_prices_are_not_euro_prices_times_one_rate(tables: Tables) -> None:
    first: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for row in tables["price_rows"]:
        if row["list"].startswith("PUBLIC-"):
            first[row["sku"]].setdefault(row["list"][-3:], tiers(row["tiers"])[0][1])

    rates = {round(prices["USD"] / prices["EUR"], 3) for prices in first.values()}

    assert len(rates) > 50
    assert all(Decimal("0.95") < rate < Decimal("1.35") for rate in rates)


def test_segment_and_contract_prices_are_below_the_public_ones(tables: Tables) -> None:
    rows = {(row["list"], row["sku"], row["unit"]): tiers(row["tiers"]) for row in tables["price_rows"]}
    compared = Counter[str]()
    for (price_list, sku, unit), ladder in rows.items():
        if price_list.startswith("PUBLIC-"):
            continue
        currency = "USD" if price_list.endswith("USD") else "EUR"
        public = rows[f"PUBLIC-{currency}", sku, unit]
        for start, price in public:
            assert [own for reached, own in ladder if reached <= start][-1] < price, (price_list, sku, start)
        compared[price_list] += 1

    assert 55 <= compared["CONTRACT-INITECH"] <= 65
    assert compared["MANUFACTURING-EUR"] == compared["MANUFACTURING-USD"] > 300


def test_windows_of_one_price_follow_each_other_without_gap_or_overlap(tables: Tables) -> None:
    windows: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in tables["price_rows"]:
        windows[row["list"], row["sku"], row["unit"]].append((row["valid_from"], row["valid_until"]))
    changing = {key: sorted(value) for key, value in windows.items() if len(value) > 1}

    assert changing
    for (_, end), (start, last) in changing.values():
        assert end == start == "2027-01-01"
        assert last == ""


def test_names_are_in_english_and_spanish(tables: Tables) -> None:
    for name in ("categories", "products", "skus"):
        same = [row["name_en"] for row in tables[name] if row["name_en"] == row["name_es"] or not row["name_es"]]
        assert same == [], name
    for row in tables["products"]:
        assert row["description_es"]
        assert row["description_en"] != row["description_es"]
    for row in (*tables["adjustments"], *tables["price_lists"]):
        assert row["title_en"] != row["title_es"]


def test_spanish_names_write_decimals_with_a_comma(tables: Tables) -> None:
    [screw] = [row for row in tables["skus"] if row["sku"] == "WSTX-3.5-30"]

    assert screw["name_en"] == "Wood screw, star drive, yellow zinc, 3.5 x 30 mm"
    assert screw["name_es"] == "Tornillo para madera, huella estrella, cincado amarillo, 3,5 x 30 mm"


def test_some_stock_is_scarce_and_some_is_gone(tables: Tables) -> None:
    stock = {row["sku"]: Decimal(row["on_hand"]) for row in tables["stock"]}

    assert len(stock) == 1200
    assert 20 <= sum(count == 0 for count in stock.values()) <= 100
    assert 40 <= sum(0 < count <= 7 for count in stock.values()) <= 200
    fractional = {row["sku"] for row in tables["skus"] if row["fractional"] == "yes"}
    assert all(count == int(count) for sku, count in stock.items() if sku not in fractional)


def test_some_rules_run_some_are_past_and_some_are_to_come(tables: Tables) -> None:
    today = "2026-11-21"
    dated = [row for row in tables["adjustments"] if row["valid_from"]]

    assert any(row["valid_until"] <= today for row in dated)
    assert any(row["valid_from"] > today for row in dated)
    assert sum(row["valid_from"] <= today < row["valid_until"] for row in dated) >= 4


def test_rules_move_with_the_reference_date(tmp_path: Path) -> None:
    write_demo(tmp_path, skus=100, on=date(2031, 2, 1))

    [coming] = [row for row in read_tables(tmp_path)["adjustments"] if row["code"] == "BRIGHT-DECEMBER"]

    assert (coming["valid_from"], coming["valid_until"]) == ("2031-02-11", "2031-03-14")


def test_the_files_have_the_columns_that_the_documentation_names(folder: Path) -> None:
    documented = examples_of((ROOT / "docs" / "import-files.md").read_text(encoding="utf-8"))

    assert {path.name for path in folder.iterdir()} == COLUMNS.keys()
    for name, columns in COLUMNS.items():
        assert tuple(documented[name].partition("\n")[0].split(",")) == columns, name


@pytest.mark.parametrize(
    ("micro", "euro", "dollar"),
    [
        (13_260, "0.0135", "0.0135"),
        (100, "0.0005", "0.0005"),
        (184_000, "0.185", "0.185"),
        (4_327_000, "4.35", "4.29"),
        (26_440_000, "26.40", "26.49"),
        (131_700_000, "131.50", "131.95"),
        (1_374_400_000, "1374.00", "1373.95"),
    ],
)
def test_prices_end_the_way_the_currency_likes(micro: int, euro: str, dollar: str) -> None:
    assert (euro_price(micro).text, dollar_price(micro).text) == (euro, dollar)
