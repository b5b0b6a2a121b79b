"""Whatever is sent, the answer is a problem document that says what to do, and never a 5xx."""

from typing import Any

import pytest

from tests.web.api.partners import ACME, Program, key_of
from tests.web.api.test_access import without_count
from tests.web.conftest import Shop

LINE = '{"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}'
JSON = {"content-type": "application/json"}


def is_problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    """The problem document, checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


BAD_BODIES: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no JSON", b"lines=1"),
    ("not UTF-8", b'{"lines": [{"sku": "\xff", "quantity": "1"}]}'),
    ("UTF-16", '{"lines": []}'.encode("utf-16")),
    ("a lone surrogate", b'{"lines": [{"sku": "\\ud800", "quantity": "1"}]}'),
    ("nested 100,000 deep", b'{"lines": ' + b"[" * 100_000),
    ("nested deep in an unknown member", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("objects nested deep", b'{"lines":' * 50_000),
    ("a number of 5,000 digits", b'{"lines": ' + b"9" * 5000 + b"}"),
    ("a quantity that is a number", b'{"lines": [{"sku": "A", "quantity": 1}]}'),
    ("a quantity beyond 64 bits", b'{"lines": [{"sku": "A", "quantity": 99999999999999999999}]}'),
    ("NaN", b'{"lines": [{"sku": "A", "quantity": NaN}]}'),
    ("Infinity", b'{"lines": [{"sku": "A", "quantity": -Infinity}]}'),
    ("null", b"null"),
    ("an array", b"[]"),
    ("no lines", b'{"lines": []}'),
    ("lines missing", b"{}"),
    ("lines as an object", b'{"lines": {}}'),
    ("an unknown member", f'{{"lines": [{LINE}], "price": "0.01"}}'.encode()),
    ("a price in a line", b'{"lines": [{"sku": "A", "quantity": "1", "unit_price": "0"}]}'),
    ("an empty SKU", b'{"lines": [{"sku": "", "quantity": "1"}]}'),
    ("a SKU with NUL", b'{"lines": [{"sku": "A\\u0000", "quantity": "1"}]}'),
    ("a SKU of 65 characters", f'{{"lines": [{{"sku": "{"A" * 65}", "quantity": "1"}}]}}'.encode()),
    ("a unit of 65 characters", f'{{"lines": [{{"sku": "A", "quantity": "1", "unit": "{"u" * 65}"}}]}}'.encode()),
    ("a currency in small letters", f'{{"lines": [{LINE}], "currency": "eur"}}'.encode()),
    ("an unknown language", f'{{"lines": [{LINE}], "language": "fr"}}'.encode()),
    ("an instant of the caller's", f'{{"lines": [{LINE}], "at": "2020-01-01T00:00:00Z"}}'.encode()),
]
BAD_QUANTITIES = ["0", "0.0", "-1", "+1", "1e3", "1E+9999999", "NaN", "Infinity", "", " 1", "1,5", "0x10", "²", "٣",
                  "1" * 19, "1.1234567890123", "9" * 10_000, "00", "01", ".5", "5."]  # fmt: skip


@pytest.mark.parametrize(("body"), [pytest.param(body, id=name) for name, body in BAD_BODIES])
async def test_a_body_that_is_not_as_documented_is_refused(read_only_shop: Shop, body: bytes) -> None:
    is_problem(await Program(read_only_shop).post("/api/v1/quotes", content=body, headers=JSON), 400, "malformed")


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
async def test_a_quantity_that_is_none_is_refused_in_words(read_only_shop: Shop, quantity: str) -> None:
    program = Program(read_only_shop)
    body = is_problem(
        await program.post("/api/v1/quotes", json={"lines": [{"sku": "A", "quantity": quantity}]}), 400, "malformed"
    )
    asked = await program.get("/api/v1/prices/CRUNCHY-ARMCHAIR", params={"quantity": quantity})

    assert body["errors"][0]["field"] == "lines[0].quantity"
    assert "regex" not in body["detail"]
    assert is_problem(asked, 400, "malformed")["errors"][0]["field"] == "quantity"


@pytest.mark.parametrize(
    "quantity", ["10000000000", "999999999999999999", "0.000000000001", "1.5", "12\n", "1" + "0" * 17]
)
async def test_a_quantity_that_cannot_be_ordered_refuses_its_line(read_only_shop: Shop, quantity: str) -> None:
    answer = await Program(read_only_shop).post(
        "/api/v1/quotes", json={"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": quantity}]}
    )

    assert answer.status_code == 200
    assert answer.json()["lines"][0]["outcome"] == "refused"
    assert answer.json()["totals"] is None


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json-seq",
                                          "application/json; charset=latin-1", "application/msgpack"])  # fmt: skip
async def test_a_body_that_is_not_sent_as_json_is_refused(read_only_shop: Shop, content_type: str) -> None:
    answer = await Program(read_only_shop).post(
        "/api/v1/quotes", content=f'{{"lines": [{LINE}]}}'.encode(), headers={"content-type": content_type}
    )

    is_problem(answer, 415, "unsupported-media-type")


async def test_a_compressed_body_is_refused(read_only_shop: Shop) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    answer = await Program(read_only_shop).post("/api/v1/quotes", content=b"\x1f\x8b", headers=headers)

    is_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_name_its_charset(read_only_shop: Shop, content_type: str) -> None:
    answer = await Program(read_only_shop).post(
        "/api/v1/quotes", content=f'{{"lines": [{LINE}]}}'.encode(), headers={"content-type": content_type}
    )

    assert answer.status_code == 200


async def test_a_body_beyond_two_megabytes_is_refused(read_only_shop: Shop) -> None:
    answer = await Program(read_only_shop).post("/api/v1/quotes", content=b" " * 2_000_001, headers=JSON)

    is_problem(answer, 413, "too-large")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/prices/%ff", "/api/v1/prices/A?unit=%c3%28", "/api/v1/prices/A%00B", "/api/v1/feed.csv?currency=%00",
     "/api/v1/prices/A?language=fr", "/api/v1/prices/A?currency=EURO", "/api/v1/prices/A?currency=null",
     "/api/v1/prices/A?currency=", "/api/v1/prices/A?country=es", "/api/v1/prices/A?unit=",
     f"/api/v1/prices/A?unit={'u' * 65}", "/api/v1/feed.csv?country=E",
     "/api/v1/prices/A?quantity=1&quantity=2", "/api/v1/prices/A?price=0.01", "/api/v1/price-book?at=2020-01-01"],
)  # fmt: skip
async def test_an_address_that_is_not_as_documented_is_refused(read_only_shop: Shop, path: str) -> None:
    is_problem(await Program(read_only_shop).get(path), 400, "malformed")


@pytest.mark.parametrize("country", ["UK", "EL", "XX", "ZZ", "EU"])
async def test_a_country_that_is_none_is_refused(read_only_shop: Shop, country: str) -> None:
    program = Program(read_only_shop)
    line = {"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}

    is_problem(await program.get(f"/api/v1/feed.csv?country={country}"), 422, "unknown-country")
    is_problem(await program.post("/api/v1/quotes", json={"lines": [line], "country": country}), 422, "unknown-country")


@pytest.mark.parametrize("currency", ["ABC", "XAU", "JPY"])
async def test_a_currency_nothing_is_sold_in_refuses_every_line(read_only_shop: Shop, currency: str) -> None:
    answer = await Program(read_only_shop).get(f"/api/v1/prices/CRUNCHY-ARMCHAIR?currency={currency}")

    assert answer.status_code == 200
    assert answer.json()["price"]["reason"] == "no_price_in_currency"
    assert answer.json()["ladder"] == []


@pytest.mark.parametrize("path", ["/api/v1/prices/NO-SUCH-THING", f"/api/v1/prices/{'A' * 5000}", "/api/v1/prices/A/B",
                                  "/api/v1/prices/%F0%9F%92%A9", "/api/v1/prices/..%2F..%2Fetc%2Fpasswd"])  # fmt: skip
async def test_a_sku_we_do_not_sell_is_not_found(read_only_shop: Shop, path: str) -> None:
    is_problem(await Program(read_only_shop).get(path), 404, "sku-not-priced")


@pytest.mark.parametrize("path", ["/api/v1", "/api/v2/quotes", "/api/v1/nothing", "/api/"])
async def test_an_address_of_nothing_is_a_problem_document_even_for_a_browser(read_only_shop: Shop, path: str) -> None:
    answer = await Program(read_only_shop).get(path, headers={"accept": "text/html"})

    assert answer.status_code == 404
    if path.startswith("/api/"):
        is_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/v1/quotes", "OPTIONS, POST"),
        ("PUT", "/api/v1/quotes", "OPTIONS, POST"),
        ("TRACE", "/api/v1/quotes", "OPTIONS, POST"),
        ("BREW", "/api/v1/quotes", "OPTIONS, POST"),
        ("POST", "/api/v1/prices/CRUNCHY-ARMCHAIR", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/v1/orders/T-2026-000001", "GET, HEAD, OPTIONS"),
        ("PATCH", "/api/v1/feed.csv", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_offered_is_told_which_are(
    read_only_shop: Shop, method: str, path: str, allow: str
) -> None:
    answer = await Program(read_only_shop).request(method, path)

    is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/v1/quotes", "OPTIONS, POST"),
        ("/api/v1/prices/X", "GET, HEAD, OPTIONS"),
        ("/login", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_options_names_every_method_of_an_address(read_only_shop: Shop, path: str, allow: str) -> None:
    answer = await Program(read_only_shop).options(path)

    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allow, b"")


async def test_head_answers_as_get_without_its_body(read_only_shop: Shop) -> None:
    program = Program(read_only_shop)
    for path in ("/api/v1/prices/CRUNCHY-ARMCHAIR", "/api/v1/price-book", "/api/v1/feed.csv", "/", "/openapi.json"):
        await program.get(path)  # a feed's file has a length once it is kept
        got, head = await program.get(path), await program.head(path)
        assert head.status_code == got.status_code == 200
        assert without_count(head) == without_count(got), path
        assert head.content == b""


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer trf_", "Bearer trf_AAAA_BBBB", f"Bearer trf_{'A' * 5000}",
     "Bearer \udcff".encode("utf-8", "surrogateescape").decode("latin-1")],
)  # fmt: skip
async def test_a_credential_that_opens_nothing_is_refused_even_where_none_is_needed(
    read_only_shop: Shop, header: str
) -> None:
    headers = {b"authorization": header.encode("latin-1")}
    answer = await Program(read_only_shop).get("/api/v1/price-book", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] in {"/problems/unauthenticated", "/problems/key-refused"}


async def test_a_key_with_one_letter_changed_opens_nothing(partner_shop: Shop) -> None:
    key = await key_of(partner_shop, ACME)
    for at in (5, 20, len(key) - 1):
        changed = key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :]
        is_problem(await Program(partner_shop, changed).get("/api/v1/price-book"), 401, "key-refused")
