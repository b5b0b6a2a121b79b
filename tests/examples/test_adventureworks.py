"""Two hundred lines that AdventureWorks' seller really charged, priced again by the engine."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from examples.adventureworks import convert, prove
from examples.adventureworks.tables import MissingTable, read_lines, read_tables
from kernel.csv_rows import ImportReport
from pricing.engine import Buyer, LineRequest, QuoteRequest, check, quote
from pricing.engine.columns import ColumnarBook
from pricing.engine.request import PricedLine
from pricing.replay_orders import replay
from tests.examples.folders import Row, book_of, content_of_folder, rows

SAMPLE = Path(__file__).parents[2] / "examples" / "adventureworks" / "sample"
LINES = rows(SAMPLE / "replay" / "lines.csv")


@pytest.fixture(scope="module")
def book() -> ColumnarBook:
    return book_of(SAMPLE)


def priced(book: ColumnarBook, line: Row) -> PricedLine:
    request = QuoteRequest(
        buyer=Buyer(company=line["company"] or None, segments=tuple(filter(None, line["segments"].split(";")))),
        currency=line["currency"],
        lines=(LineRequest(sku=line["sku"], quantity=line["quantity"], unit=line["unit"]),),
    )
    [answer] = quote(request, book=book, at=datetime.fromisoformat(line["at"]).replace(tzinfo=UTC)).lines
    assert isinstance(answer, PricedLine), answer
    return answer


def test_the_sample_has_200_lines_of_consumers_and_dealers() -> None:
    assert len(LINES) == 200
    assert Counter(line["segments"] for line in LINES) == {"reseller": 173, "": 27}


@pytest.mark.parametrize("line", LINES, ids=[line["reference"] for line in LINES])
def test_the_engine_asks_what_the_seller_charged(book: ColumnarBook, line: Row) -> None:
    assert Decimal(priced(book, line).subtotal) == Decimal(line["expected_line_total"])


def test_the_replay_command_counts_all_200_as_equal(book: ColumnarBook) -> None:
    report = ImportReport()

    result = replay(SAMPLE / "replay" / "lines.csv", book, report)

    assert report.ok
    assert (result.equal, result.lines, result.groups) == (200, 200, ())
    assert (result.compared, result.unlike, result.left) == (200, 0, 0)


def test_the_trace_shows_the_discount_that_is_taken_twice(book: ColumnarBook) -> None:
    [line] = [line for line in LINES if line["sku"] == "LJ-0192-L" and line["quantity"] == "15"]

    trace = priced(book, line).trace

    assert [step.rule for step in trace.steps if step.rule] == [
        "LIST-USD",
        "DEALER",
        "OFFER-3-UNIT",
        "OFFER-3-LINE",
    ]


def test_the_sample_shows_every_offer_of_its_years_and_both_sides_of_their_quantities(book: ColumnarBook) -> None:
    rules = Counter(
        step.rule for line in LINES for step in priced(book, line).trace.steps if step.phase == "line" and step.rule
    )
    quantities = {int(line["quantity"]) for line in LINES if line["segments"]}

    assert {f"OFFER-{number}-LINE" for number in (2, 3, 4, 7, 8, 9)} == set(rules)
    assert {10, 11, 14, 15, 24, 25} <= quantities


def test_the_sample_is_a_book_without_errors_whose_offers_make_totals_fall() -> None:
    found = check(content_of_folder(SAMPLE), at=datetime(2013, 1, 1, tzinfo=UTC))

    assert [finding.code for finding in found] == ["ended", "total_falls", "total_falls", "total_falls"]
    assert {finding.params["by"] for finding in found[1:]} == {"OFFER-2-UNIT", "OFFER-3-UNIT", "OFFER-4-UNIT"}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A made-up corner of the tables: two prices, a helmet offer and a consumer offer."""
    folder = tmp_path / "tables"
    folder.mkdir()
    files = {
        "product.csv": """\
            product_id,name,sku,standard_cost,list_price,size,subcat,model,sell_start,sell_end
            1,"Sport helmet, M",HL-M,13.0863,34.9900,M,31,33,2011-05-31 00:00:00,
            2,"Sport helmet, L",HL-L,13.0863,34.9900,L,31,33,2011-05-31 00:00:00,
            3,Frame bearing,FB-1,0.0000,0.0000,,,,2008-04-30 00:00:00,
            4,Seat assembly,SA-1,98.7700,133.3400,,,,2008-04-30 00:00:00,
            """,
        "price_history.csv": """\
            product_id,start_date,end_date,list_price
            1,2012-05-30 00:00:00,,34.9900
            1,2011-05-31 00:00:00,2012-05-29 00:00:00,33.6442
            2,2011-05-31 00:00:00,2012-05-29 00:00:00,33.6442
            """,
        "special_offer.csv": """\
            id,description,pct,type,category,start_date,end_date,min_qty,max_qty
            1,No Discount,0.0000,No Discount,No Discount,2011-05-01 00:00:00,2014-11-30 00:00:00,0,
            2,Volume 11 to 14,0.0200,Volume,Reseller,2011-05-31 00:00:00,2014-05-30 00:00:00,11,14
            8,Helmet weeks,0.1000,Seasonal,Reseller,2012-05-30 00:00:00,2012-06-29 00:00:00,0,
            10,Consumer sale,0.5000,Excess,Customer,2012-05-14 00:00:00,2012-07-29 00:00:00,0,
            """,
        "special_offer_product.csv": "offer_id,product_id\n1,1\n2,1\n2,2\n8,1\n10,1\n",
        "lines.csv": """\
            sales_order,line,channel,customer_key,order_date,product_id,sku,qty,line_total
            S1,1,internet,9,2012-05-29,1,HL-M,1,33.6442
            S2,1,internet,9,2012-05-30,1,HL-M,2,69.98
            S3,1,reseller,7,2012-05-29,1,HL-M,11,210.3566
            S4,1,reseller,7,2012-06-29,1,HL-M,11,173.2005
            S5,1,reseller,7,2012-06-30,1,HL-M,10,209.94
            """,
    }
    for name, text in files.items():
        (folder / name).write_text("".join(line.strip() + "\n" for line in text.splitlines()), encoding="utf-8")
    return folder


def test_a_price_holds_from_its_day_to_the_next_ones(tables: Path) -> None:
    helmet, changed = read_tables(tables).products["HL-M"], date(2012, 5, 30)

    assert [(price.period.start, price.period.end) for price in helmet.prices][-2:] == [
        (date(2011, 5, 31), changed),
        (changed, None),
    ]


def test_where_the_history_is_silent_the_products_own_price_holds(tables: Path) -> None:
    products = read_tables(tables).products

    assert products["HL-L"].list_price(date(2012, 5, 29)) == Decimal("33.6442")
    assert products["HL-L"].list_price(date(2012, 5, 30)) == Decimal("34.99")
    assert products["SA-1"].list_price(date(2012, 5, 30)) == Decimal("133.34")
    assert products["FB-1"].prices == ()


def test_the_rule_is_computed_straight_from_the_tables(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main([str(tables), "--lines", str(tables / "lines.csv")]) == 0
    assert capsys.readouterr().out == "5 of 5 lines equal\n"


def test_a_line_that_does_not_follow_the_rule_is_named(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tables / "lines.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("210.3566", "210.3567"), encoding="utf-8")

    assert prove.main([str(tables), "--lines", str(path)]) == 1
    assert capsys.readouterr().out == ("S3/1: HL-M x 11 on 2012-05-29: charged 210.3567\n4 of 5 lines equal\n")


def test_converted_tables_give_the_same_totals_as_the_rule(tables: Path, tmp_path: Path) -> None:
    assert convert.main([str(tables), str(tmp_path / "out"), "--lines", str(tables / "lines.csv")]) == 0

    book = book_of(tmp_path / "out")
    lines = rows(tmp_path / "out" / "replay" / "lines.csv")

    assert [Decimal(priced(book, line).subtotal) for line in lines] == [
        Decimal(line.total) for line in read_lines(tables / "lines.csv")
    ]


def test_what_has_no_price_is_left_out(tables: Path, tmp_path: Path) -> None:
    convert.main([str(tables), str(tmp_path), "--lines", str(tables / "lines.csv")])

    for name in ("skus.csv", "costs.csv", "price_rows.csv"):
        assert {row["sku"] for row in rows(tmp_path / name)} == {"HL-M", "HL-L", "SA-1"}, name


def test_skus_of_a_model_become_one_product(tables: Path, tmp_path: Path) -> None:
    convert.main([str(tables), str(tmp_path), "--lines", str(tables / "lines.csv")])

    assert rows(tmp_path / "products.csv")[0] == {
        "code": "MODEL-33",
        "category": "SUBCATEGORY-31",
        "name_en": "Sport helmet",
    }


def test_a_folder_without_the_tables_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingTable, match=r"product\.csv"):
        read_tables(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        convert.main([str(tmp_path), str(tmp_path / "out")])

    assert stopped.value.code == 2
    assert "give the folder with the AdventureWorks tables" in capsys.readouterr().err
