"""The partner of examples/partner, a process of its own against a served shop: docs/partners.md is what it does."""

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from checkout.model import Order
from tests.conftest import ROOT
from tests.web.api.partners import ACME, ADDRESS, framework_of, key_of, person
from tests.web.api.test_feed_delta import flat, publish
from tests.web.conftest import (
    Browser,
    PayingShop,
    Shop,
    demo_database_url,
    demo_template,
    paying_shop,
    shop,
)
from tests.web.live import serving

__all__ = ["demo_database_url", "demo_template", "paying_shop", "shop"]

ARMCHAIR = ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", "")
GLUE = ("PUBLIC-EUR", "STUBBORN-GLUE", "each", "")
TICKED = {"agree": "yes", "authority": "yes", "business": "yes", "job_title": "Head of purchasing"}
PUBLICATIONS: list[list[tuple[str, tuple[str, ...], dict[str, Any] | None]]] = [
    [("row", ARMCHAIR, flat("231"))],
    [("row", ARMCHAIR, flat("227")), ("row", GLUE, flat("9"))],
    [("row", GLUE, flat("8.50"))],
]


class Partner:
    """Runs the script where nothing of Tarifa can be imported."""

    def __init__(self, folder: Path, shop: str, key: str) -> None:
        self.folder = folder
        self.script = Path(shutil.copy(ROOT / "examples" / "partner" / "partner.py", folder))
        self.environment = {"SHOP": shop, "KEY": key}

    async def __call__(self, command: str, *arguments: str, copy: str = "copy") -> tuple[int, str]:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(self.script), command, str(self.folder / copy), *arguments),
            env=self.environment,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await running.communicate()
        return running.returncode or 0, said.decode()

    def read(self, name: str, copy: str = "copy") -> Any:
        return json.loads((self.folder / copy / name).read_bytes())


async def test_a_partner_keeps_checks_and_sells_prices_and_hands_its_buyer_over(
    paying_shop: PayingShop, tmp_path: Path
) -> None:
    shop = paying_shop
    async with serving(shop.app) as address:
        partner = Partner(tmp_path, address, await key_of(shop, ACME))

        # the feed, then deltas through three publications: each time the copy is the whole feed
        code, said = await partner("sync")
        assert code == 0, said
        roots = [partner.read("prices.json")["root"]]
        for number, changes in enumerate(PUBLICATIONS):
            await publish(shop, *changes)
            code, said = await partner("sync")
            assert code == 0, said
            assert re.match(r"[1-9][0-9]* rows changed", said), said
            assert (await partner("sync", copy=f"whole-{number}"))[0] == 0
            assert partner.read("prices.json") == partner.read("prices.json", copy=f"whole-{number}")
            roots.append(partner.read("prices.json")["root"])
        assert len(set(roots)) == 4
        assert (await partner("sync"))[1].startswith("0 rows changed")

        # roots and proofs
        code, said = await partner("check")
        assert code == 0, said
        assert "every entry is signed" in said
        assert said.count(f"is in the book {roots[-1]}") >= 3
        forged = partner.read("log.json")
        forged["publications"][1]["root"] = roots[-1]
        (tmp_path / "copy" / "forged.json").write_text(json.dumps(forged))
        assert "something else than what was signed" in await verified(partner, "log", "forged.json")

        # a signed quote, verified with every step; then the price rises
        code, said = await partner("quote", "CRUNCHY-ARMCHAIR", "12")
        assert code == 0, said
        assert "every member signed by" in said
        assert "steps, tax and amounts" in said
        quote_id = said.split()[0]
        quote = partner.read(f"quote-{quote_id}.json")
        await publish(shop, ("row", ARMCHAIR, flat("299")))
        code, _ = await partner("sync")
        armchair = partner.read("prices.json")["rows"]["CRUNCHY-ARMCHAIR each 1"]
        assert (armchair["unit_price"], quote["lines"][0]["list_price"]) == ("299.00", "227.00")

        # the buyer is handed over, and agrees to the quote's prices
        code, said = await partner("handover", quote_id)
        assert code == 1, said
        handed = partner.read(f"order-{quote_id}.json")
        page = "/quotes/" + handed["continue_url"].rpartition("/quotes/")[2]
        buyer = shop.client()
        await buyer.log_in(ACME)
        order = await ordered(shop, buyer, page)
        assert (order.price_root, str(order.signed_quote_id)) == (quote["root"], quote_id)
        assert order.goods_minor == int(quote["totals"]["net"].replace(".", ""))
        code, said = await partner("handover", quote_id)
        assert (code, said.strip()) == (0, f"ordered {order.number}")


async def test_a_copy_that_is_too_old_is_taken_anew(paying_shop: PayingShop, tmp_path: Path) -> None:
    async with serving(paying_shop.app) as address:
        partner = Partner(tmp_path, address, await key_of(paying_shop, ACME))
        assert (await partner("sync"))[0] == 0
        for _ in range(13):
            entry = await paying_shop.services.pricing.roll_back(1, by=None, acknowledge="A test")
            paying_shop.clock.set(entry.effective_at)
        await paying_shop.services.books.refresh()

        code, said = await partner("sync")

    assert code == 0, said
    assert " rows of sha256:" in said


async def test_a_program_orders_by_the_framework_agreement_once(shop: Shop, tmp_path: Path) -> None:
    delivery = {"ship_to": msgspec.to_builtins(ADDRESS), "email": "orders@acme.example", "po_number": "PO-4711"}
    (tmp_path / "delivery.json").write_text(json.dumps(delivery))
    asked = (str(tmp_path / "delivery.json"), "CRUNCHY-ARMCHAIR", "2")
    async with serving(shop.app) as address:
        partner = Partner(tmp_path, address, await key_of(shop, ACME))
        assert (await partner("sync"))[0] == 0
        code, said = await partner("order", *asked)
        assert code == 1
        assert "/problems/framework-not-found" in said
        await framework_of(shop, ACME)

        code, said = await partner("order", *asked)
        assert (code, said.splitlines()[-1]) == (1, "it comes to 602.58 EUR; nothing was ordered")
        code, said = await partner("order", *asked, "602.58")

        assert code == 0, said
        (order,) = await shop.services.orders.list_orders(await person(shop, ACME))
        assert said.startswith(f"{order.number} payable 602.58 EUR http")
        assert partner.read(f"order-{order.number}.json")["basis"]["kind"] == "framework"


async def ordered(shop: PayingShop, buyer: Browser, page: str) -> Order:
    """The buyer's way from the partner's link through the agreement step."""
    taken = await buyer.submit(f"{page}/order", page=page)
    assert (taken.status_code, taken.headers["location"]) == (303, "/checkout/details")
    address = {f"ship_to.{name}": str(getattr(ADDRESS, name)) for name in ADDRESS.__struct_fields__}
    details = {**address, "ship_to.country": "DE", "ship_to.postal_code": "20095"}
    saved = await buyer.submit("/checkout/details", details, page="/checkout/details")
    assert saved.headers["location"] == "/checkout/review"
    review = (await buyer.get("/checkout/review")).text
    shown = re.search(r'name="presentation" value="([0-9a-f-]{36})"', review)
    assert shown, review
    assert "signed quote" in review
    placed = await buyer.submit("/checkout/orders", {"presentation": shown[1], **TICKED}, page="/cart")
    assert placed.status_code == 303, placed.text
    (order,) = await shop.services.orders.list_orders(await person(shop, ACME))
    return order


async def verified(partner: Partner, *arguments: str) -> str:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "tarifa-verify.pyz", *arguments, "--keys", "tarifa-keys.json"),
        cwd=partner.folder / "copy",
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await running.communicate()
    return said.decode()
