"""Orders for programs: what the key's company ordered, and ordering by the framework agreement it accepted."""

import uuid
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from accounts.principal import BuyerCompany
from agreements.frameworks import FrameworkNotFound
from checkout.model import Paying, ShipTo
from checkout.program_orders import AskedLine, AskedOrder
from kernel.errors import Malformed
from kernel.money import Money
from web.api import shaping, wire, wire_orders
from web.api.describing import ASKED, SENT, documented
from web.api.prices import trimmed
from web.api.reading import JSON, BodyMalformed, answered, answered_unless_fresh, given, read_json, read_query
from web.api.repeats import claim_of
from web.http import AnyRequest, principal_of, services_of

PAYING: Final = {"now": Paying.NOW, "invoice": Paying.ON_TERMS}
_decoder: Final = msgspec.json.Decoder(wire_orders.NewOrder)

Number = Annotated[
    str,
    PathParameter(
        min_length=1, max_length=40, pattern=wire.CODE, description="Number of an order, such as `T-2026-000123`."
    ),
]


class IdempotencyKeyMissing(Malformed):
    problem = "idempotency-key-missing"
    title = "An order needs an Idempotency-Key"


@get(
    "/api/v1/orders",
    tags=["orders"],
    operation_id="list_orders",
    summary="Your company's orders, newest first",
    response_description="One page of orders.",
    **documented(
        *ASKED,
        query=wire.OrdersAsked,
        answer=wire.OrderPage,
        key="needed",
        links={"get_order": {"number": "$response.body#/orders/0/number"}},
    ),
)
async def list_orders(request: AnyRequest) -> Response[bytes]:
    """List orders page by page: ask again with `before` set to the answer's `next`. The scope is `orders:read`."""
    asked = read_query(request, wire.OrdersAsked)
    found = await services_of(request).orders.list_orders(
        principal_of(request), limit=asked.limit, before=given(asked.before)
    )
    return answered(
        wire.OrderPage(
            orders=tuple(shaping.order_summary(each) for each in found),
            next=found[-1].number if len(found) == asked.limit else None,
        )
    )


@post(
    "/api/v1/orders",
    status_code=201,
    tags=["orders"],
    operation_id="place_order",
    summary="Order, by your company's framework agreement",
    response_description="The order: it binds, its goods are reserved.",
    **documented(
        *(*SENT, 404, 422),
        body=wire_orders.NewOrder,
        answer=wire.OrderAnswer,
        named=True,
        key="needed",
        links={"get_order": {"number": "$response.body#/number"}},
    ),
)
async def place_order(request: AnyRequest) -> Response[bytes]:
    """Place an order that binds your company, on the basis of the framework agreement that a signatory of it accepted.

    Prices, tax, freight, stock, credit and your company's own rules of approval are those of an order on the pages. All
    is ordered or nothing is. Under one `Idempotency-Key`, which is needed, one order is made, however often the call is
    sent. The scope is `orders:create`.
    """
    asked = await read_json(request, _decoder)
    claim = claim_of(request.scope)
    if claim is None:
        message = "Name the call, with a UUID of your own for each order, so that it can be sent again without fear."
        raise IdempotencyKeyMissing(message, errors=[{"field": "Idempotency-Key", "message": message}])
    services, principal = services_of(request), principal_of(request)
    placed = await services.program_orders.place(_company(request), _order(asked, claim.id))
    order, basis = await services.orders.find_with_basis(principal, placed.number)
    return Response(
        msgspec.json.encode(shaping.order(order, basis, asked.language, base_url=services.settings.base_url)),
        status_code=201,
        media_type=JSON,
        headers={"location": f"/api/v1/orders/{order.number}", "cache-control": "private, no-cache"},
    )


@get(
    "/api/v1/orders/{number:str}",
    tags=["orders"],
    operation_id="get_order",
    summary="One of your company's orders",
    response_description="The order with its lines and totals.",
    **documented(400, 401, 403, 404, 503, query=wire.OrderAsked, answer=wire.OrderAnswer, key="needed"),
)
async def get_order(request: AnyRequest, number: Number) -> Response[bytes]:
    """Show an order by its number. Another company's answers as one that does not exist."""
    asked, services = read_query(request, wire.OrderAsked), services_of(request)
    found, basis = await services.orders.find_with_basis(principal_of(request), number)
    return answered(shaping.order(found, basis, asked.language, base_url=services.settings.base_url))


@get(
    "/api/v1/framework-agreement",
    tags=["orders"],
    operation_id="get_framework_agreement",
    summary="The framework agreement that your orders cite",
    response_description="The agreement that stands, with its documents and terms.",
    **documented(
        *(*ASKED, 304, 404),
        answer=wire_orders.FrameworkAgreement,
        cached=True,
        key="needed",
    ),
)
async def get_framework_agreement(request: AnyRequest) -> Response[bytes]:
    """Show what a signatory of your company accepted for the orders of its programs, if it stands. The scope is
    `orders:create`.
    """
    read_query(request, wire.Asked)
    services = services_of(request)
    view = await services.frameworks.find(principal_of(request))
    if view.framework is None or view.presentation is None:
        raise FrameworkNotFound(
            "No framework agreement of your company stands. A signatory of it accepts one at /account/agreements."
        )
    base_url = services.settings.base_url
    content, framework = view.presentation.content, view.framework
    return answered_unless_fresh(
        request,
        wire_orders.FrameworkAgreement(
            id=framework.id,
            accepted_at=framework.accepted_at,
            seller=content["seller_name"],
            buyer=content["company_name"],
            language=view.presentation.locale,
            channels=tuple(framework.order_content["channels"]),
            limit=None if framework.limit is None else shaping.sum_of(framework.limit),
            documents=tuple(
                wire_orders.AgreedDocument(
                    code=each.code,
                    version=each.label,
                    language=each.locale,
                    title=each.title,
                    sha256=each.source_sha256,
                    url=f"{base_url}/documents/{each.code}/{each.label}/{each.locale}",
                    outdated=each.code in view.outdated,
                )
                for each in view.presentation.documents
            ),
            outdated=view.outdated,
            terms=tuple(
                wire_orders.Term(text=each.text, ticked=each.id in framework.ticked if each.box else None)
                for each in view.presentation.statements
            ),
            digest=view.presentation.content_digest,
            ledger_index=framework.ledger_seq,
        ),
    )


HANDLERS: list[ControllerRouterHandler] = [list_orders, place_order, get_order, get_framework_agreement]


def _order(asked: wire_orders.NewOrder, name: uuid.UUID) -> AskedOrder:
    """:raises BodyMalformed: unless it names either lines or a quote"""
    if (asked.lines is None) == (asked.signed_quote is None):
        message = "Name either `lines` or a `signed_quote`."
        raise BodyMalformed(f"lines: {message}", errors=[{"field": "lines", "message": message}])
    expected = asked.expected_total
    return AskedOrder(
        id=name,
        lines=tuple(
            AskedLine(sku=each.sku, quantity=trimmed(each.quantity), unit=each.unit) for each in asked.lines or ()
        ),
        signed_quote_id=None if asked.signed_quote is None else uuid.UUID(asked.signed_quote),
        framework_id=uuid.UUID(asked.framework_agreement),
        ship_to=msgspec.convert(asked.ship_to, ShipTo, from_attributes=True),
        email=asked.email,
        po_number=asked.po_number,
        paying=PAYING[asked.pay],
        expected_total=None if expected is None else Money.parse(expected.amount, expected.currency),
        locale=asked.language,
    )


def _company(request: AnyRequest) -> BuyerCompany:
    company = principal_of(request).company
    assert company is not None, "an API key belongs to a company"
    return company
