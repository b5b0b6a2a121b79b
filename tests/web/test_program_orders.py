"""Orders that a company's program places: prices and stock as everywhere, a framework agreement as their basis."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.policies import ApprovalRule, Policy
from accounts.principal import BuyerCompany, Principal
from agreements.frameworks import FrameworkMissing, FrameworkOutdated
from agreements.legal_model import FrameworkOrder
from agreements.model import Acceptance
from agreements.verify import verify_bundle, verify_receipt
from checkout.checkouts import CartNotOrderable, PriceChanged
from checkout.model import Order, ShipTo
from checkout.needs import ApprovalNeeded, SignaturesNeeded
from checkout.program_orders import PLACE, AskedLine, AskedOrder
from checkout.stripe_tax import StripeTax
from kernel.canonical import digest
from kernel.db import for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.ids import new_id
from kernel.money import Money
from tests.agreements.legal import make_staff, publish_version
from tests.conftest import ROOT
from tests.web.conftest import PASSWORD, PayingShop, Shop

DIGEST = "sha256:" + "0" * 64
BOXES = frozenset({"agree", "authority", "business"})
SHIP_TO = ShipTo(name="Goods-in", line1="Calle del Río 1", postal_code="28013", city="Madrid", country="ES")


@dataclass(frozen=True)
class Program:
    shop: Shop
    signatory: Principal
    company: BuyerCompany

    async def agree(self) -> None:
        frameworks = self.shop.services.frameworks
        shown = await frameworks.present(self.signatory, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
        await frameworks.accept(
            self.signatory, presentation_id=shown.id, ticked=BOXES, job_title="Buyer", ip="192.0.2.7", user_agent="-"
        )

    async def order(self, sku: str = "CRUNCHY-ARMCHAIR", quantity: str = "2", **changed: Any) -> Order:
        asked = AskedOrder(
            id=new_id(),
            lines=(AskedLine(sku=sku, unit="each", quantity=quantity),),
            ship_to=SHIP_TO,
            email="orders@acme.example",
            po_number="PO-1",
        )
        return await self.shop.services.program_orders.place(self.company, msgspec.structs.replace(asked, **changed))

    async def count(self, table: type[Any]) -> int:
        async with self.shop.services.db.begin(for_staff()) as session:
            return (await session.scalar(sa.select(sa.func.count()).select_from(table))) or 0


@pytest.fixture
async def program(shop: Shop) -> Program:
    return await program_of(shop)


async def program_of(shop: Shop) -> Program:
    opened = await shop.services.accounts.log_in(
        email="buyer@acme.example", password=PASSWORD, token=None, address="192.0.2.1"
    )
    principal = opened.principal
    assert principal.company is not None
    return Program(shop, principal, principal.company)


async def test_a_programs_order_has_the_framework_agreement_as_its_one_basis(program: Program) -> None:
    await program.agree()

    order = await program.order()

    assert order.number.startswith("T-")
    assert order.canonical_digest == digest(order.canonical)
    async with program.shop.services.db.begin(for_staff()) as session:
        (cited,) = list(await session.scalars(sa.select(FrameworkOrder)))
    assert (cited.order_id, cited.order_digest) == (order.id, order.canonical_digest)
    assert await program.count(Acceptance) == 0
    assert "orders@acme.example" not in str(order.canonical)
    seen = await program.shop.services.orders.find_order(program.signatory, order.number)
    assert seen.total == order.total


async def test_its_receipt_holds_the_agreements_acceptance_for_the_company_alone(program: Program) -> None:
    await program.agree()
    order = await program.order()
    member, stranger = program.shop.client(), program.shop.client()
    await member.log_in("clerk@acme.example")
    await stranger.log_in("buyer@globex.example")

    for address in (f"/orders/{order.number}/receipt{ending}" for ending in ("", ".json", ".pdf")):
        assert (await member.get(address)).status_code == 200
        assert (await stranger.get(address)).status_code == 404

    shown = (await member.get(f"/orders/{order.number}/receipt")).text
    assert "Accept for orders by our programs" in shown
    assert 'class="tag bad"' not in shown
    receipt = (await member.get(f"/orders/{order.number}/receipt.json")).content
    checks = {each.name: each.outcome for each in verify_receipt(receipt)}
    assert (checks["citation"], checks["framework statements"], checks["limit"]) == ("passed", "passed", "passed")
    bundle = (await member.get(f"/orders/{order.number}/bundle.zip")).content
    assert "failed" not in {each.outcome for each in verify_bundle(bundle)}


async def test_without_an_agreement_nothing_is_ordered(program: Program) -> None:
    with pytest.raises(FrameworkMissing):
        await program.order()

    assert await program.count(Order) == 0


async def test_the_same_call_again_and_at_once_is_one_order(program: Program) -> None:
    await program.agree()
    name = new_id()

    first = await program.order(id=name)
    again = await program.order(id=name)

    assert first.id == again.id
    assert await program.count(Order) == 1
    other = new_id()
    made = await asyncio.gather(*(program.order(id=other) for _ in range(4)))
    assert len({order.id for order in made}) == 1
    assert await program.count(Order) == 2


async def test_a_total_that_the_program_does_not_expect_is_refused(program: Program) -> None:
    await program.agree()
    order = await program.order()

    with pytest.raises(PriceChanged):
        await program.order(expected_total=Money(1, "EUR"))
    again = await program.order(expected_total=order.total)
    assert again.total == order.total


@pytest.mark.parametrize(
    ("policy", "refusal"),
    [
        (Policy(approval=ApprovalRule.ALWAYS), ApprovalNeeded),
        (Policy(two_signatures_above=Money(100, "EUR")), SignaturesNeeded),
    ],
)
async def test_a_program_is_no_way_around_approval_and_signatures(
    program: Program, policy: Policy, refusal: type[Exception]
) -> None:
    await program.agree()
    await program.shop.services.buying_policies.change(program.signatory, policy)

    with pytest.raises(refusal):
        await program.order()

    assert await program.count(Order) == 0


async def test_what_cannot_be_priced_is_refused_whole(program: Program) -> None:
    await program.agree()

    with pytest.raises(CartNotOrderable):
        await program.order(sku="NO-SUCH-SKU")
    assert await program.count(Order) == await program.count(FrameworkOrder) == 0


async def test_what_is_not_on_sale_any_more_is_not_ordered(program: Program) -> None:
    await program.agree()
    async with program.shop.services.db.begin(for_staff()) as session:
        await session.execute(sa.text("update sku set active = false where code = 'CRUNCHY-ARMCHAIR'"))

    with pytest.raises(CartNotOrderable):
        await program.order()
    assert await program.count(Order) == 0


async def test_where_stripe_calculates_the_tax_a_program_orders_with_it(paying_shop: PayingShop) -> None:
    program = await program_of(paying_shop)
    await program.agree()
    orders = program.shop.services.program_orders
    tax = StripeTax(orders.db, orders.clock, program.shop.services.gateway)
    orders.checkouts.stripe_tax = tax

    order = await program.order()
    again = await program.order(id=order.checkout_id)

    (theirs,) = paying_shop.twin.control.objects("tax.calculation")
    assert order.tax_inputs["calculation"]["id"] == theirs["id"]
    assert order.total_minor == theirs["amount_total"]
    assert (again.id, await program.count(Order)) == (order.id, 1)


async def test_a_material_version_stops_the_program_until_a_signatory_accepts_it(program: Program) -> None:
    await program.agree()
    services, clock = program.shop.services, program.shop.clock
    author, approver = [await make_staff(services.db, clock.now()) for _ in range(2)]
    await publish_version(services.publishing, author, approver)
    clock.advance(seconds=1)

    with pytest.raises(FrameworkOutdated):
        await program.order()
    await program.agree()
    assert (await program.order()).number


KILLED = """
import asyncio, json, sys
from datetime import datetime
from uuid import UUID
from checkout.model import ShipTo
from checkout.needs import ApprovalNeeded, SignaturesNeeded
from checkout.program_orders import AskedLine, AskedOrder
from kernel.clock import FixedClock
from tests.web.conftest import FAST_PASSWORDS, PASSWORD, demo_settings, standing_still
from web.services import build, running

async def main(url, at, name):
    clock = FixedClock(datetime.fromisoformat(at))
    services = build(demo_settings(url), clock=clock, passwords=FAST_PASSWORDS, elapsed=standing_still)
    async with running(services, background=False):
        opened = await services.accounts.log_in(
            email="buyer@acme.example", password=PASSWORD, token=None, address="192.0.2.1"
        )
        await services.program_orders.place(opened.principal.company, AskedOrder(
            id=UUID(name),
            lines=(AskedLine(sku="CRUNCHY-ARMCHAIR", unit="each", quantity="2"),),
            ship_to=ShipTo(name="Goods-in", line1="Calle 1", postal_code="28013", city="Madrid", country="ES"),
            email="orders@acme.example",
        ))

asyncio.run(main(*json.load(sys.stdin)))
"""


async def run(what: list[str], failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: failpoint},
    )
    await process.communicate(json.dumps(what).encode())
    assert process.returncode is not None
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", registered(PLACE.name))
async def test_a_killed_call_leaves_an_order_with_its_basis_or_neither_and_is_asked_again(
    program: Program, demo_database_url: str, failpoint: str
) -> None:
    await program.agree()
    what = [demo_database_url, program.shop.clock.now().isoformat(), str(new_id())]

    assert await run(what, failpoint) == -signal.SIGKILL
    done = failpoint.endswith("after_commit")
    assert await program.count(Order) == await program.count(FrameworkOrder) == int(done)
    assert await run(what) == 0
    assert await program.count(Order) == await program.count(FrameworkOrder) == 1
