"""Partners of the demo's companies: their keys, and orders of theirs."""

from collections.abc import Iterable
from typing import Any, cast

import httpx

from accounts.model import ApiKey
from accounts.principal import Principal
from accounts.webhooks.events import EventType
from checkout.model import Order, ShipTo
from checkout.views import Details
from kernel.ids import new_id
from tests.web.conftest import PASSWORD, Shop

ACME = "buyer@acme.example"
GLOBEX = "buyer@globex.example"
INITECH = "compras@initech.example"
ALL_SCOPES = ("prices:read", "quotes:create", "orders:read", "orders:create", "webhooks:manage")
DIGEST = "sha256:" + "0" * 64
ADDRESS = ShipTo(name="Goods-in", line1="Calle del Río 1", postal_code="28013", city="Madrid", country="ES")


class Program(httpx.AsyncClient):
    """A partner's program: no cookies, no pages; with a key or without."""

    def __init__(self, shop: Shop, key: str | None = None) -> None:
        transport = httpx.ASGITransport(app=cast("Any", shop.app), raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://127.0.0.1:8000")
        self.headers.update({"accept": "application/json"})
        if key is not None:
            self.headers["authorization"] = f"Bearer {key}"


async def person(shop: Shop, email: str) -> Principal:
    """A person of the demo, logged in."""
    opened = await shop.services.accounts.log_in(email=email, password=PASSWORD, token=None, address="192.0.2.1")
    return await shop.services.accounts.authenticate(opened.token)


async def key_of(shop: Shop, email: str, scopes: Iterable[str] = ALL_SCOPES) -> str:
    """A new key of the person's company."""
    return (await new_key(shop, email, scopes))[1]


async def new_key(shop: Shop, email: str, scopes: Iterable[str] = ALL_SCOPES) -> tuple[ApiKey, str]:
    return await shop.services.api_keys.create_api_key(
        await person(shop, email), name=f"Partner {new_id()}", scopes=scopes
    )


async def endpoint_of(shop: Shop, key: str) -> tuple[str, str]:
    """An endpoint of the key's company, told of everything, and the first of two messages that wait to be sent."""
    partner = await shop.services.api_keys.authenticate_key(key)
    webhooks = shop.services.webhooks
    endpoint, _ = await webhooks.create(
        partner, url="https://hooks.partner.example/tarifa", event_types=list(EventType), description="Our ERP"
    )
    message, _ = [await webhooks.send_test(partner, endpoint.id) for _ in range(2)]
    return str(endpoint.id), str(message.id)


async def order_of(shop: Shop, email: str, sku: str = "CRUNCHY-ARMCHAIR", quantity: str = "2") -> Order:
    """A placed, unpaid order of the person's company."""
    buyer, services = await person(shop, email), shop.services
    await services.carts.add(buyer, sku=sku, quantity=quantity)
    await services.checkouts.save_details(buyer, Details(ship_to=ADDRESS, po_number="PO-7"), locale="en")
    review = await services.checkouts.review(buyer, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    return await services.checkouts.place(
        buyer,
        presentation_id=review.presentation.id,
        ticked=frozenset({"agree", "authority", "business"}),
        job_title="Buyer",
        ip="192.0.2.1",
        user_agent="tests",
    )


async def framework_of(shop: Shop, email: str) -> str:
    """The id of a framework agreement that the person has just accepted for their company."""
    signatory, frameworks = await person(shop, email), shop.services.frameworks
    shown = await frameworks.present(signatory, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    boxes = frozenset({"agree", "authority", "business"})
    made = await frameworks.accept(
        signatory, presentation_id=shown.id, ticked=boxes, job_title="Buyer", ip="192.0.2.1", user_agent="tests"
    )
    return str(made.id)
