"""The demo's log-ins do what `make run` and docs/demo.md say of them: invoice, approval, two signatures."""

from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from accounts.model import Company
from kernel.db import for_staff
from sandbox.demo.load import WHAT_FOR, shared_password
from sandbox.demo.together import CODE, PEOPLE, load_together
from tests.conftest import ROOT
from tests.web.conftest import PASSWORD, Browser, PayingShop
from tests.web.test_checkout_pages import ADDRESS, fill_cart


@pytest.fixture
async def shop(paying_shop: PayingShop) -> PayingShop:
    await load_together(paying_shop.services, PASSWORD)
    return paying_shop


async def reviewed(buyer: Browser, quantity: str) -> httpx.Response:
    await fill_cart(buyer, quantity=quantity)
    await buyer.submit("/checkout/details", ADDRESS, page="/cart")
    return await buyer.get("/checkout/review")


async def test_one_company_orders_by_invoice_with_approval_and_by_two_signatures(shop: PayingShop) -> None:
    buyer = shop.client()
    await buyer.log_in("buyer@umbrella.example")

    alone = await reviewed(buyer, "2")
    assert "Pay by invoice, net 30" in alone.text
    assert alone.text.count("20,000.00") == 2, "all of the limit is left"
    approved = await reviewed(buyer, "10")
    assert "Send your order for approval" in approved.text
    assert "approver@umbrella.example" in approved.text
    signed = await reviewed(buyer, "60")
    assert "Send your order for signature" in signed.text
    assert signed.text.count('name="signatory"') == 2


async def test_loading_it_again_changes_nothing(shop: PayingShop) -> None:
    async def counted() -> list[int]:
        async with shop.services.db.begin(for_staff()) as session:
            company = await session.scalar(sa.select(Company.id).where(Company.code == CODE))
            tables = ("membership", "buying_policy", "credit_change", "credit_terms")
            query = "select count(*) from {} where company_id = :company"
            return [await session.scalar(sa.text(query.format(table)), {"company": company}) or 0 for table in tables]

    before = await counted()
    await load_together(shop.services, PASSWORD)

    assert before == [len(PEOPLE), 1, 1, 1]
    assert await counted() == before


def test_every_log_in_is_said_with_what_it_is_for(tmp_path: Path) -> None:
    password = shared_password(tmp_path / "demo-log-ins.txt")
    first, *others = (tmp_path / "demo-log-ins.txt").read_text().splitlines()
    page = (ROOT / "docs" / "demo.md").read_text()

    assert first.split()[5] == password == shared_password(tmp_path / "demo-log-ins.txt")
    assert [line.split()[0] for line in others] == list(WHAT_FOR)
    assert not [email for email in WHAT_FOR if email not in page]
