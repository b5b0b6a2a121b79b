"""The demo has a company whose programs may order: the route can be tried from nothing."""

from sandbox.demo.programs import SIGNATORY, load_programs
from tests.web.api.partners import ADDRESS, Program, key_of
from tests.web.conftest import PASSWORD, Shop, demo_database_url, demo_template, shop

__all__ = ["demo_database_url", "demo_template", "shop"]


async def test_a_program_of_the_demos_company_orders_by_invoice(shop: Shop) -> None:
    await load_programs(shop.services, PASSWORD)
    await load_programs(shop.services, PASSWORD)  # a loader that was killed goes on

    program = Program(shop, await key_of(shop, SIGNATORY))
    agreement = (await program.get("/api/v1/framework-agreement")).json()
    body = {
        "framework_agreement": agreement["id"],
        "lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"}],
        "ship_to": {name: getattr(ADDRESS, name) for name in ADDRESS.__struct_fields__},
        "email": "orders@initech.example",
        "pay": "invoice",
        "language": "es",
    }
    placed = await program.post("/api/v1/orders", json=body, headers={"Idempotency-Key": "one"})

    assert placed.status_code == 201, placed.text
    assert (placed.json()["state"], placed.json()["net_days"]) == ("on_terms", 30)
    assert (agreement["language"], agreement["limit"]["amount"], agreement["outdated"]) == ("es", "5000.00", [])
