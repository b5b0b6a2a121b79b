"""`POST /api/v1/orders`: a program orders by the framework agreement that a signatory of its company accepted."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from accounts.policies import ApprovalRule, Policy
from agreements.legal_model import FrameworkOrder
from checkout.credit import Terms
from checkout.model import Order
from kernel.db import for_staff
from kernel.money import Money
from tests.agreements.legal import make_staff, publish_version
from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, framework_of, key_of, person
from tests.web.conftest import Shop

URL = "/api/v1/orders"
SHIP_TO = {"name": "Goods-in", "line1": "Calle del Río 1", "postal_code": "28013", "city": "Madrid", "country": "ES"}
ARMCHAIRS = [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"}]


@dataclass(frozen=True)
class Buyer:
    """Acme's program, whose company has accepted a framework agreement."""

    shop: Shop
    program: Program
    framework: str
    earlier: int = 0
    """Orders that were there before."""

    async def order(self, *, name: str | None = None, **changed: Any) -> httpx.Response:
        """Place an order; a member that is None is left out."""
        body = {
            "framework_agreement": self.framework,
            "lines": ARMCHAIRS,
            "ship_to": SHIP_TO,
            "email": "orders@acme.example",
            "po_number": "PO-1",
            **changed,
        }
        headers = {"idempotency-key": name or str(uuid.uuid4())}
        return await self.program.post(
            URL, json={key: value for key, value in body.items() if value is not None}, headers=headers
        )

    async def count(self, table: type[Any] = Order) -> int:
        async with self.shop.services.db.begin(for_staff()) as session:
            return (await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0) - self.earlier


async def buyer_of(shop: Shop, email: str = ACME) -> Buyer:
    buyer = Buyer(shop, Program(shop, await key_of(shop, email)), await framework_of(shop, email))
    return replace(buyer, earlier=await buyer.count())


@pytest.fixture
async def buyer(partner_shop: Shop) -> Buyer:
    """In a shop that all tests of partners share: it is only ordered from."""
    return await buyer_of(partner_shop)


@pytest.fixture
async def alone(shop: Shop) -> Buyer:
    """In a shop of the test's own."""
    return await buyer_of(shop)


def refused(answer: httpx.Response, status: int, slug: str) -> Any:
    said = answer.json()
    assert (answer.status_code, said["type"]) == (status, f"/problems/{slug}"), said
    assert answer.headers["content-type"] == "application/problem+json"
    return said


async def test_a_program_orders_and_reads_back_what_it_was_told(alone: Buyer) -> None:
    answer = await alone.order()

    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert answer.headers["location"] == f"{URL}/{said['number']}"
    assert (said["state"], said["po_number"]) == ("payable", "PO-1")
    assert said["total"] == {"amount": "602.58", "currency": "EUR"}
    assert said["pay_url"].endswith(f"/orders/{said['number']}")
    assert said["pay_by"] is not None
    assert said["lines"][0]["trace"]["steps"][0]["rule"] == "PUBLIC-EUR"
    standing = (await alone.program.get("/api/v1/framework-agreement")).json()
    assert said["basis"]["kind"] == "framework"
    assert (said["basis"]["id"], said["basis"]["digest"]) == (alone.framework, standing["digest"])
    assert said["basis"]["ledger_index"] > standing["ledger_index"]
    assert (await alone.program.get(answer.headers["location"])).json() == said
    assert [each["number"] for each in (await alone.program.get(URL)).json()["orders"]] == [said["number"]]
    assert await alone.count(FrameworkOrder) == 1


async def test_the_agreement_is_shown_with_its_documents_terms_and_limit(buyer: Buyer) -> None:
    said = (await buyer.program.get("/api/v1/framework-agreement")).json()

    assert (said["id"], said["limit"], said["outdated"]) == (buyer.framework, None, [])
    assert said["channels"] == ["api", "punchout"]
    assert {each["code"] for each in said["documents"]} >= {"master-terms", "data-processing", "privacy-notice"}
    assert not any(each["outdated"] for each in said["documents"])
    assert [each["ticked"] for each in said["terms"]][:3] == [True, True, True]
    for each in said["documents"]:
        page = await buyer.shop.client().get(each["url"].removeprefix("http://127.0.0.1:8000"))
        assert page.status_code == 200


async def test_of_sixteen_parallel_sends_one_makes_the_order_and_all_are_told_of_it(buyer: Buyer) -> None:
    name = str(uuid.uuid4())
    answers = await asyncio.gather(*(buyer.order(name=name) for _ in range(16)))

    made = [answer for answer in answers if answer.status_code == 201]
    assert made
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 409, "call-in-progress")
    again = await buyer.order(name=name)
    assert again.headers["idempotency-replayed"] == "true"
    assert {answer.content for answer in made} == {again.content}
    assert await buyer.count() == 1


async def test_orders_of_several_programs_at_once_are_all_made(buyer: Buyer) -> None:
    answers = await asyncio.gather(*(buyer.order() for _ in range(4)))

    assert [answer.status_code for answer in answers] == [201] * 4, [answer.text for answer in answers]
    assert len({answer.json()["number"] for answer in answers}) == 4


async def test_the_signatorys_own_cart_stays_as_it_is(alone: Buyer) -> None:
    signatory = await person(alone.shop, ACME)
    await alone.shop.services.carts.add(signatory, sku="STUBBORN-GLUE", quantity="10")

    assert (await alone.order()).status_code == 201
    cart = await alone.shop.services.carts.priced(signatory)
    assert [(line.sku, line.quantity) for line in cart.lines] == [("STUBBORN-GLUE", "10")]


async def test_a_call_without_a_name_is_refused(buyer: Buyer) -> None:
    body = {"framework_agreement": buyer.framework, "lines": ARMCHAIRS, "ship_to": SHIP_TO, "email": "a@acme.example"}
    said = refused(await buyer.program.post(URL, json=body), 400, "idempotency-key-missing")

    assert said["errors"][0]["field"] == "Idempotency-Key"
    assert await buyer.count() == 0


async def test_a_total_that_is_not_the_expected_one_orders_nothing(buyer: Buyer) -> None:
    said = refused(await buyer.order(expected_total={"amount": "600.00", "currency": "EUR"}), 409, "price-changed")

    assert (said["old"]["amount"], said["new"]["amount"]) == ("600.00", "602.58")
    assert await buyer.count() == 0
    assert (await buyer.order(expected_total=said["new"])).status_code == 201


async def test_every_line_that_cannot_be_ordered_is_named(buyer: Buyer) -> None:
    said = refused(
        await buyer.order(
            lines=[
                *ARMCHAIRS,
                {"sku": "NO-SUCH-SKU", "quantity": "1"},
                {"sku": "CRUNCHY-ARMCHAIR", "quantity": "1", "unit": "pallet"},
                {"sku": "CRUNCHY-ARMCHAIR", "quantity": "1.5"},
                {"sku": "CRUNCHY-ARMCHAIR", "quantity": "999999999999"},
                {"sku": "CRUNCHY-ARMCHAIR", "quantity": "0.0000001"},
            ]
        ),
        422,
        "cart-not-orderable",
    )

    assert [(each["position"], each["reason"]) for each in said["lines"]] == [
        (2, "unknown_sku"),
        (3, "unknown_unit"),
        (4, "quantity_too_fine"),
        (5, "quantity_too_large"),
        (6, "quantity_malformed"),
    ]
    assert all(each["text"] for each in said["lines"])
    assert await buyer.count() == 0


async def test_lines_of_the_same_goods_become_one(buyer: Buyer) -> None:
    ordered = (await buyer.order(lines=ARMCHAIRS * 2)).json()

    assert [(line["sku"], line["quantity"]) for line in ordered["lines"]] == [("CRUNCHY-ARMCHAIR", "4")]


async def test_what_is_not_in_stock_is_refused(alone: Buyer) -> None:
    async with alone.shop.services.db.begin(for_staff()) as session:
        await session.execute(sa.text("update stock set on_hand = reserved + 1"))

    said = refused(await alone.order(), 409, "insufficient-stock")

    assert said["lines"][0]["sku"] == "CRUNCHY-ARMCHAIR"
    assert await alone.count() == 0


async def test_an_address_is_checked_as_on_the_page(buyer: Buyer) -> None:
    said = refused(
        await buyer.order(ship_to={**SHIP_TO, "name": " ", "city": "\u200b"}, email="x@acme.localhost."),
        422,
        "details-refused",
    )

    assert [each["field"] for each in said["errors"]] == ["ship_to.name", "ship_to.city", "email"]


@pytest.mark.parametrize(
    "changed",
    [{"lines": None}, {"signed_quote": str(uuid.uuid4())}, {"lines": []}, {"pay": "later"}, {"total": "1"}],
)
async def test_a_body_that_is_not_as_documented_is_refused(buyer: Buyer, changed: dict[str, Any]) -> None:
    refused(await buyer.order(**changed), 400, "malformed")


async def test_no_agreement_an_unknown_one_and_one_of_another_company(partner_shop: Shop, buyer: Buyer) -> None:
    theirs = await framework_of(partner_shop, GLOBEX)
    initech = Buyer(partner_shop, Program(partner_shop, await key_of(partner_shop, INITECH)), str(uuid.uuid4()))
    refused(await initech.program.get("/api/v1/framework-agreement"), 404, "framework-not-found")

    told = [
        refused(await each, 404, "framework-not-found")
        for each in (
            initech.order(),
            buyer.order(framework_agreement=theirs),
            buyer.order(framework_agreement=str(uuid.uuid4())),
        )
    ]

    assert told[0] == told[1] == told[2]
    assert await buyer.count() == 0


async def test_an_agreement_that_ended_is_cited_by_no_further_order(buyer: Buyer) -> None:
    services, signatory = buyer.shop.services, await person(buyer.shop, ACME)
    await services.frameworks.end(signatory, uuid.UUID(buyer.framework), note="We buy elsewhere")

    assert refused(await buyer.order(), 409, "framework-ended")["standing"] is None
    newer = await framework_of(buyer.shop, ACME)
    assert refused(await buyer.order(), 409, "framework-ended")["standing"] == newer
    assert (await buyer.order(framework_agreement=newer)).status_code == 201


async def test_a_material_version_has_to_be_accepted_first(alone: Buyer) -> None:
    services, clock = alone.shop.services, alone.shop.clock
    author, approver = [await make_staff(services.db, clock.now()) for _ in range(2)]
    await publish_version(services.publishing, author, approver)
    clock.advance(seconds=1)

    said = refused(await alone.order(), 422, "framework-outdated")
    shown = (await alone.program.get("/api/v1/framework-agreement")).json()

    assert said["documents"] == shown["outdated"]
    assert [each["code"] for each in shown["documents"] if each["outdated"]] == said["documents"]


async def test_an_order_above_the_signatorys_limit_is_refused(shop: Shop) -> None:
    buyer = await buyer_of(shop, INITECH)

    said = refused(await buyer.order(lines=[{"sku": "CRUNCHY-ARMCHAIR", "quantity": "40"}]), 422, "framework-exceeded")

    assert said["limit"] == {"amount": "5000.00", "currency": "EUR"}
    assert (await buyer.order()).status_code == 201


@pytest.mark.parametrize(
    ("policy", "slug"),
    [
        (Policy(approval=ApprovalRule.ALWAYS), "approval-needed"),
        (Policy(two_signatures_above=Money(100, "EUR")), "signatures-needed"),
    ],
)
async def test_a_program_is_no_way_around_the_companys_policy(alone: Buyer, policy: Policy, slug: str) -> None:
    await alone.shop.services.buying_policies.change(await person(alone.shop, ACME), policy)

    refused(await alone.order(), 422, slug)
    assert await alone.count() == 0


async def test_on_terms_an_order_is_paid_by_invoice_up_to_the_credit(alone: Buyer) -> None:
    refused(await alone.order(pay="invoice"), 409, "credit-unavailable")
    terms = Terms(net_days=30, limit=Money(100_000, "EUR"))
    await alone.shop.services.credit.change("acme", terms, shown=None, reason="A good customer", by=None)

    said = (await alone.order(pay="invoice")).json()

    assert (said["state"], said["net_days"], said["pay_by"], said["pay_url"]) == ("on_terms", 30, None, None)
    over = refused(await alone.order(pay="invoice"), 409, "credit-limit-exceeded")
    assert over["left"] == "397.42"
    assert await alone.count() == 1


async def test_a_signed_quote_is_ordered_once_at_its_prices(buyer: Buyer) -> None:
    asked = {"lines": ARMCHAIRS, "country": "ES", "valid_days": 2}
    quote = (await buyer.program.post("/api/v1/signed-quotes", json=asked)).json()
    elsewhere = {**SHIP_TO, "country": "DE", "postal_code": "20095"}

    said = refused(await buyer.order(lines=None, signed_quote=quote["id"], ship_to=elsewhere), 409, "signed-quote-void")
    assert said["reason"] == "elsewhere"
    answer = await buyer.order(lines=None, signed_quote=quote["id"])

    order = answer.json()
    assert (answer.status_code, order["signed_quote"], order["price_root"]) == (201, quote["id"], quote["root"])
    assert order["priced_at"] == quote["issued_at"]
    said = refused(await buyer.order(lines=None, signed_quote=quote["id"]), 409, "signed-quote-void")
    assert said["reason"] == "ordered"


async def test_a_quote_that_is_not_the_companys_or_has_expired(shop: Shop, alone: Buyer) -> None:
    globex = Program(shop, await key_of(shop, GLOBEX))
    asked = {"lines": ARMCHAIRS, "country": "ES", "valid_days": 1}
    theirs = (await globex.post("/api/v1/signed-quotes", json=asked)).json()["id"]
    ours = (await alone.program.post("/api/v1/signed-quotes", json=asked)).json()["id"]

    refused(await alone.order(lines=None, signed_quote=theirs), 404, "signed-quote-not-found")
    shop.clock.set(shop.clock.now() + timedelta(days=1))
    said = refused(await alone.order(lines=None, signed_quote=ours), 409, "signed-quote-void")
    assert said["reason"] == "expired"


@pytest.mark.parametrize("scopes", [("orders:read",), ("prices:read", "quotes:create", "webhooks:manage")])
async def test_a_key_without_the_scope_orders_nothing(buyer: Buyer, scopes: tuple[str, ...]) -> None:
    other = Buyer(buyer.shop, Program(buyer.shop, await key_of(buyer.shop, ACME, scopes)), buyer.framework)

    refused(await other.order(), 403, "scope-missing")
    refused(await other.program.get("/api/v1/framework-agreement"), 403, "scope-missing")
    assert await buyer.count() == 0
