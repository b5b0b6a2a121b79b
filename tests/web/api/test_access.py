"""What a key may see: its scopes, and its own company's alone."""

import httpx
import pytest

from kernel.ids import new_id
from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of, new_key, order_of, person
from tests.web.conftest import Shop

QUOTE = {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}]}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/api/v1/quotes", "quotes:create"),
        ("GET", "/api/v1/prices/CRUNCHY-ARMCHAIR", "prices:read"),
        ("GET", "/api/v1/feed.csv", "prices:read"),
        ("GET", "/api/v1/price-book", "prices:read"),
        ("GET", "/api/v1/price-books", "prices:read"),
        ("GET", "/api/v1/price-feed", "prices:read"),
        ("GET", "/api/v1/orders", "orders:read"),
    ],
)
async def test_a_key_opens_what_its_scopes_name_and_nothing_else(
    partner_shop: Shop, method: str, path: str, scope: str
) -> None:
    body = QUOTE if method == "POST" else None
    others = [each for each in ("catalog:read", "prices:read", "quotes:create", "orders:read") if each != scope]
    right = await Program(partner_shop, await key_of(partner_shop, ACME, [scope])).request(method, path, json=body)
    wrong = await Program(partner_shop, await key_of(partner_shop, ACME, others)).request(method, path, json=body)

    assert right.status_code == 200
    assert wrong.status_code == 403
    assert wrong.json()["type"] == "/problems/scope-missing"
    assert wrong.json()["scope"] == scope


async def test_orders_need_a_key(read_only_shop: Shop) -> None:
    for path in ("/api/v1/orders", "/api/v1/orders/T-2026-000001"):
        answer = await Program(read_only_shop).get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_log_in_opens_nothing_of_the_api(partner_shop: Shop) -> None:
    browser = partner_shop.client()
    await browser.log_in(ACME)

    assert (await browser.get("/api/v1/orders", headers={"accept": "application/json"})).status_code == 401


async def test_a_revoked_key_opens_nothing_from_then_on(partner_shop: Shop) -> None:
    key, text = await new_key(partner_shop, ACME)
    before = await Program(partner_shop, text).get("/api/v1/price-book")
    await partner_shop.services.api_keys.revoke_api_key(await person(partner_shop, ACME), key.key_id)
    after = await Program(partner_shop, text).get("/api/v1/price-book")

    assert before.status_code == 200
    assert (after.status_code, after.json()["reason"]) == (401, "revoked")


async def test_an_expired_key_opens_nothing(shop: Shop) -> None:
    key = await key_of(shop, ACME)
    shop.clock.advance(days=4000)
    late = await Program(shop, key).get("/api/v1/price-book")

    assert (late.status_code, late.json()["reason"]) == (401, "expired")


async def test_an_order_shows_what_was_accepted(partner_shop: Shop) -> None:
    order = await order_of(partner_shop, ACME)
    answer = (
        await Program(partner_shop, await key_of(partner_shop, ACME)).get(f"/api/v1/orders/{order.number}")
    ).json()

    assert (answer["number"], answer["id"], answer["state"]) == (order.number, str(order.id), "payable")
    # 2 x 249.00, and the parts add up
    assert answer["goods"] == {"amount": "498.00", "currency": "EUR"}
    cents = {part: round(float(answer[part]["amount"]) * 100) for part in ("goods", "freight", "tax", "total")}
    assert cents["goods"] + cents["freight"] + cents["tax"] == cents["total"]
    assert answer["price_root"] == partner_shop.services.books.at(partner_shop.clock.now()).root
    assert answer["digest"] == order.canonical_digest
    assert answer["ship_to"]["line1"] == "Calle del Río 1"
    assert [(line["sku"], line["quantity"]) for line in answer["lines"]] == [("CRUNCHY-ARMCHAIR", "2")]


async def test_another_companys_order_answers_exactly_like_one_that_does_not_exist(partner_shop: Shop) -> None:
    theirs = await order_of(partner_shop, GLOBEX)
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    foreign = await program.get(f"/api/v1/orders/{theirs.number}")

    for number in ("T-2026-999999", str(new_id()), str(theirs.id), "x" * 40):
        missing = await program.get(f"/api/v1/orders/{number}")
        assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
        assert without_count(foreign) == without_count(missing)
    assert foreign.status_code == 404
    assert theirs.number not in foreign.text


async def test_orders_are_listed_page_by_page_and_only_ones_own(partner_shop: Shop) -> None:
    mine = [(await order_of(partner_shop, INITECH)).number for _ in range(3)]
    theirs = await order_of(partner_shop, GLOBEX)
    program = Program(partner_shop, await key_of(partner_shop, INITECH))

    first = (await program.get("/api/v1/orders?limit=2")).json()
    rest = (await program.get(f"/api/v1/orders?limit=2&before={first['next']}")).json()
    foreign = (await program.get(f"/api/v1/orders?before={theirs.number}")).json()

    assert [order["number"] for order in first["orders"]] == mine[:0:-1]
    assert ([order["number"] for order in rest["orders"]], rest["next"]) == (mine[:1], None)
    assert foreign == {"orders": [], "next": None}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1.5", "99999999999999999999", ""])
async def test_a_page_size_that_is_none_is_refused(partner_shop: Shop, limit: str) -> None:
    answer = await Program(partner_shop, await key_of(partner_shop, ACME)).get(
        "/api/v1/orders", params={"limit": limit}
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "limit"


async def test_neither_cost_nor_margin_nor_undisclosed_bounds_leave_the_house(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    book = partner_shop.services.books.at(partner_shop.clock.now())
    skus = list(book.skus())[:300]
    answer = await program.post("/api/v1/quotes", json={"lines": [{"sku": sku, "quantity": "50"} for sku in skus]})
    bounds = {bound.code for bound in book.rules.frame.bounds}

    assert "cost" not in answer.text
    assert "margin" not in answer.text
    assert not [code for code in bounds if code in answer.text]


def without_count(answer: httpx.Response) -> dict[str, str]:
    """The headers that say something of what was asked for; how many requests are left does not."""
    return {name: value for name, value in answer.headers.items() if name != "ratelimit"}
