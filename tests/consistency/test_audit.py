"""The price audit finds a difference planted in any channel, one at a time, and none otherwise."""

import base64
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from insights.audits import PriceAudit
from kernel.db import for_staff
from kernel.embedded import EmbeddedServer
from kernel.ids import new_id
from kernel.signing import verify_ed25519
from pricing.engine import Quote, QuoteRequest, quote
from pricing.engine.request import PricedLine
from pricing.feed import FeedRow, csv_lines, feed_rows
from pricing.feed_parquet import feed_parquet
from pricing.ladder import Ladder, ladder_of, price_of
from tests.web.api.partners import ACME, Program, key_of, order_of
from tests.web.conftest import Shop
from tests.web.conftest import demo_database_url as demo_database_url  # noqa: PLC0414 - pytest finds it here by its name
from tests.web.conftest import demo_template as demo_template  # noqa: PLC0414 - likewise
from tests.web.conftest import shop as shop  # noqa: PLC0414 - likewise
from web import auditor
from web.auditor import Auditor

QUESTIONS = 40
SEED = 7


@pytest.fixture
async def audited(shop: Shop) -> Shop:
    """A shop with a signed quote and an order."""
    program = Program(shop, await key_of(shop, ACME))
    body = {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "12"}, {"sku": "ANCH-M10-120", "quantity": "500"}]}
    assert (await program.post("/api/v1/signed-quotes", json=body)).status_code == 201
    await order_of(shop, ACME)
    return shop


async def run(shop: Shop) -> PriceAudit:
    return await Auditor(shop.services).run(questions=QUESTIONS, seed=SEED)


def dearer(request: QuoteRequest, **more: Any) -> Quote:
    """The engine's answer, each line a cent dearer."""
    answer = quote(request, **more)
    lines = tuple(
        msgspec.structs.replace(
            line,
            subtotal=str(Decimal(line.subtotal) + Decimal("0.01")),
            unit_price=None if line.unit_price is None else str(Decimal(line.unit_price) + Decimal("0.01")),
            net=str(Decimal(line.net) + Decimal("0.01")),
        )
        if isinstance(line, PricedLine)
        else line
        for line in answer.lines
    )
    return msgspec.structs.replace(answer, lines=lines)


async def test_no_difference_is_found_where_none_is_and_every_channel_was_asked(audited: Shop) -> None:
    done = await run(audited)
    certificate = msgspec.json.decode(done.certificate)

    assert done.differences == []
    assert certificate["differences"] == 0
    assert certificate["root"] == audited.services.books.in_force(audited.clock.now()).root
    assert certificate["unasked"] == 0
    assert certificate["answers"].keys() == {
        "cart", "feed CSV", "feed JSON", "feed Parquet", "order",
        "price API", "price page", "product page", "quote API", "signed quote",
    }  # fmt: skip
    assert min(certificate["answers"][name] for name in ("cart", "price page", "quote API", "price API")) == QUESTIONS
    assert min(certificate["answers"].values()) >= 1
    assert audited.services.clock.now() >= done.began_at


PLANTED: list[tuple[str, str, set[str]]] = [
    ("web.shop.catalog.quote", "price page", {"price page"}),
    ("checkout.offer.quote", "cart", {"cart"}),
    ("web.api.prices.quote", "quote API", {"quote API"}),
]


@pytest.mark.parametrize(("place", "name", "found"), PLANTED)
async def test_a_cent_more_in_one_channel_is_found_there_and_nowhere_else(
    audited: Shop, monkeypatch: pytest.MonkeyPatch, place: str, name: str, found: set[str]
) -> None:
    monkeypatch.setattr(place, dearer)
    done = await run(audited)

    assert {each["channel"] for each in done.differences} == found, name
    first = done.differences[0]
    assert Decimal(first["said"]["subtotal"]) - Decimal(first["expected"]["subtotal"]) == Decimal("0.01")
    assert first["expected"]["trace"]["steps"] is not None


def _dearer_rows(*args: Any, **more: Any) -> Iterator[FeedRow]:
    for row in feed_rows(*args, **more):
        yield msgspec.structs.replace(row, line_total=str(Decimal(row.line_total) + Decimal("0.01")))


def _dearer_lines(rows: Iterable[FeedRow]) -> Iterator[str]:
    return csv_lines(msgspec.structs.replace(row, unit_price="0.01") for row in rows)


def _dearer_parquet(rows: Iterator[FeedRow], said: Mapping[str, str]) -> AsyncIterator[bytes]:
    return feed_parquet((msgspec.structs.replace(row, unit_price="0.01") for row in rows), said)


def _dearer_ladder(*args: Any, **more: Any) -> Ladder:
    found = ladder_of(*args, **more)
    rungs = tuple(msgspec.structs.replace(rung, each=str(Decimal(rung.each) + 1)) for rung in found.rungs)
    return msgspec.structs.replace(found, rungs=rungs)


def _dearer_price(*args: Any, **more: Any) -> Any:
    found = price_of(*args, **more)
    if isinstance(found.line, PricedLine):
        found = msgspec.structs.replace(found, line=msgspec.structs.replace(found.line, subtotal="0.01"))
    return found


@pytest.mark.parametrize(
    ("place", "by", "found"),
    [
        ("web.api.price_feed.feed_rows", _dearer_rows, {"feed JSON"}),
        ("web.api.feed_files.csv_lines", _dearer_lines, {"feed CSV"}),
        ("pricing.feed_parquet.feed_parquet", _dearer_parquet, {"feed Parquet"}),
        ("web.api.prices.price_of", _dearer_price, {"price API"}),
        ("web.shop.catalog.ladder_of", _dearer_ladder, {"product page", "price page"}),  # both show it
    ],
)
async def test_another_row_or_ladder_of_one_place_is_found(
    audited: Shop, monkeypatch: pytest.MonkeyPatch, place: str, by: Callable[..., Any], found: set[str]
) -> None:
    monkeypatch.setattr(place, by)
    monkeypatch.setattr("web.api.feed_files.tag_of", lambda *_: new_id().hex)  # files that were made are not made again
    done = await run(audited)

    assert {each["channel"] for each in done.differences} == found


async def test_a_stored_order_that_was_changed_is_found(audited: Shop, server: EmbeddedServer) -> None:
    _write(
        server,
        audited,
        "ALTER TABLE order_line DISABLE TRIGGER ALL",
        "UPDATE order_line SET net = (net::numeric + 1)::text",
    )
    done = await run(audited)

    assert {each["channel"] for each in done.differences} == {"order"}


async def test_a_signed_quote_that_was_changed_is_found(audited: Shop, server: EmbeddedServer) -> None:
    _write(
        server,
        audited,
        "ALTER TABLE signed_quote DISABLE TRIGGER ALL",
        "UPDATE signed_quote SET document = convert_to("
        "regexp_replace(convert_from(document, 'UTF8'), '\"subtotal\":\"[0-9]', '\"subtotal\":\"9', 'g'), 'UTF8')",
    )
    done = await run(audited)

    assert {each["channel"] for each in done.differences} == {"signed quote"}
    assert any("failed" in each["said"] for each in done.differences), "the signature has to fail too"


async def test_a_channel_that_fails_is_a_difference(audited: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Quote:
        raise RuntimeError

    monkeypatch.setattr("web.api.prices.quote", broken)
    done = await run(audited)

    assert {each["channel"] for each in done.differences} == {"quote API"}
    assert "/api/v1/quotes answered 500" in done.differences[0]["said"]["failed"]


async def test_the_alarm_is_a_letter_to_the_house_and_a_clean_run_writes_none(
    audited: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(audited)
    assert await _letters(audited) == []
    monkeypatch.setattr("checkout.offer.quote", dearer)
    await run(audited)

    ((to, subject, text),) = await _letters(audited)
    assert to == audited.services.merchant.email
    assert re.fullmatch(r"Alarm: prices differ between channels \([0-9]+\)", subject)
    assert "in: cart." in text


async def test_the_certificate_is_public_and_verifies_and_names_no_company(
    audited: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = await audited.client().get("/prices/audit.json", headers={"accept": "application/json"})
    assert missing.status_code == 404
    monkeypatch.setattr("checkout.offer.quote", dearer)
    done = await run(audited)
    answer = await audited.client().get("/prices/audit.json")
    body = answer.json()
    keys = (await audited.client().get("/.well-known/tarifa-keys.json")).json()
    key = next(each for each in keys["keys"] if each["id"] == body["key_id"])

    assert verify_ed25519(
        base64.b64decode(key["public_key"]), base64.b64decode(body["signature"]), body["certificate"].encode()
    )
    assert msgspec.json.decode(body["certificate"])["differences"] == done.difference_count > 0
    assert "acme" not in answer.text
    page = (await audited.client().get("/prices/audit")).text
    assert str(done.difference_count) in page
    again = await audited.client().get("/prices/audit.json", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_the_same_seed_asks_the_same(audited: Shop) -> None:
    first, second = [
        await auditor.audit(audited.services, audited.app, questions=QUESTIONS, seed=SEED) for _ in range(2)
    ]

    assert (first.questions, first.answers) == (second.questions, second.answers)


async def test_the_audit_leaves_no_cart_session_or_event(audited: Shop) -> None:
    tables = ("cart", "session", "journey_event", "api_call")
    counted = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    await audited.services.journey.flush()
    before = await _read(audited, counted)
    await run(audited)
    await audited.services.journey.flush()

    assert await _read(audited, counted) == before


async def _letters(shop: Shop) -> list[tuple[Any, ...]]:
    return await _read(shop, "SELECT recipient, subject, text FROM outgoing_mail WHERE kind = 'price_audit_alarm'")


async def _read(shop: Shop, statement: str) -> list[tuple[Any, ...]]:
    async with shop.services.db.begin(for_staff()) as session:
        return [tuple(row) for row in await session.execute(text(statement))]


def _write(server: EmbeddedServer, shop: Shop, *statements: str) -> None:
    """As the superuser, whom no trigger and no policy stops."""
    url = shop.services.settings.database_url
    assert url is not None
    with psycopg.connect(server.superuser_url, dbname=make_url(url).database) as connection:
        for statement in statements:
            connection.execute(statement.encode())
