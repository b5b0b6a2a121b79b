"""The AdventureWorks tables, read into what the rules speak of.

Dates in the tables are days, the last day included; here every period is half-open, as everywhere in Tarifa.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

LINES: Final = "order_lines_before_2013.csv.gz"
_TABLES: Final = ("product.csv", "price_history.csv", "special_offer.csv", "special_offer_product.csv")


class Period(NamedTuple):
    """None: without limit."""

    start: date | None
    end: date | None

    def holds(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)


class ListPrice(NamedTuple):
    period: Period
    price: Decimal


class Product(NamedTuple):
    """*prices* follow each other without gap; there are none where the seller has no list price."""

    sku: str
    name: str
    size: str
    subcategory: str
    model: str
    cost: Decimal
    prices: tuple[ListPrice, ...]

    def list_price(self, day: date) -> Decimal:
        [price] = [price.price for price in self.prices if price.period.holds(day)]
        return price


class Offer(NamedTuple):
    """*percent* off for resellers, on *skus*, for quantities from *minimum* to *maximum*, both included."""

    number: int
    title: str
    percent: Decimal
    period: Period
    minimum: int
    maximum: int | None
    skus: frozenset[str]

    def holds(self, sku: str, quantity: int, day: date) -> bool:
        return (
            sku in self.skus
            and self.period.holds(day)
            and self.minimum <= quantity
            and (self.maximum is None or quantity <= self.maximum)
        )


class OrderLine(NamedTuple):
    """*reseller*: number of the buying dealer, empty for a consumer."""

    order: str
    number: str
    reseller: str
    sku: str
    quantity: int
    day: date
    total: str


class Tables(NamedTuple):
    products: dict[str, Product]
    offers: tuple[Offer, ...]

    def offers_on(self, line: OrderLine) -> list[Offer]:
        """The offers that hold for *line*, were its buyer a dealer."""
        return [offer for offer in self.offers if offer.holds(line.sku, line.quantity, line.day)]


class MissingTable(Exception):
    pass


def read_tables(folder: Path) -> Tables:
    """:raises MissingTable: when *folder* does not hold the tables"""
    missing = [name for name in _TABLES if not (folder / name).is_file()]
    if missing:
        raise MissingTable(f"{folder} holds no {', '.join(missing)}: give the folder with the AdventureWorks tables.")
    history: dict[str, list[ListPrice]] = defaultdict(list)
    for row in _rows(folder / "price_history.csv"):
        history[row["product_id"]].append(
            ListPrice(Period(_day(row["start_date"]), _day_after(row["end_date"])), Decimal(row["list_price"]))
        )
    products = {
        row["product_id"]: Product(
            sku=row["sku"],
            name=row["name"],
            size=row["size"],
            subcategory=row["subcat"],
            model=row["model"],
            cost=Decimal(row["standard_cost"]),
            prices=_without_gaps(sorted(history[row["product_id"]]), Decimal(row["list_price"])),
        )
        for row in _rows(folder / "product.csv")
    }
    skus: dict[str, set[str]] = defaultdict(set)
    for row in _rows(folder / "special_offer_product.csv"):
        skus[row["offer_id"]].add(products[row["product_id"]].sku)
    offers = tuple(
        Offer(
            number=int(row["id"]),
            title=row["description"],
            percent=Decimal(row["pct"]) * 100,
            period=Period(_day(row["start_date"]), _day_after(row["end_date"])),
            minimum=int(row["min_qty"]),
            maximum=int(row["max_qty"]) if row["max_qty"] else None,
            skus=frozenset(skus[row["id"]]),
        )
        for row in _rows(folder / "special_offer.csv")
        # offers to consumers were never taken off a consumer's line, and "No Discount" takes nothing off
        if row["category"] == "Reseller"
    )
    return Tables({product.sku: product for product in products.values()}, offers)


def read_lines(path: Path) -> Iterator[OrderLine]:
    """The order lines of *path*, compressed or not."""
    packed = gzip.open if path.suffix == ".gz" else open
    with packed(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            day = _day(row["order_date"])
            assert day is not None, row
            yield OrderLine(
                order=row["sales_order"],
                number=row["line"],
                reseller=row["customer_key"] if row["channel"] == "reseller" else "",
                sku=row["sku"],
                quantity=int(row["qty"]),
                day=day,
                total=row["line_total"],
            )


def _without_gaps(history: list[ListPrice], otherwise: Decimal) -> tuple[ListPrice, ...]:
    """The history, and before, after and between its periods the price that the product's own row states."""
    prices: list[ListPrice] = []
    reached: date | None = None
    for period, price in history:
        if period.start != reached:
            prices.append(ListPrice(Period(reached, period.start), otherwise))
        prices.append(ListPrice(period, price))
        reached = period.end
    if reached is not None or not history:
        prices.append(ListPrice(Period(reached, None), otherwise))
    return tuple(price for price in prices if price.price > 0)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _day(text: str) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


def _day_after(text: str) -> date | None:
    day = _day(text)
    return day + timedelta(days=1) if day else None
