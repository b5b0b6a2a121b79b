"""A company's invoices: number, due, what is to be paid, and where to see and pay them; and the credit it has left."""

from typing import Final

from litestar import get
from litestar.types import ControllerRouterHandler

from checkout.credit import standing
from web.http import AnyRequest, Html, principal_of, services_of
from web.pages import page


@get("/account/invoices", include_in_schema=False, summary="Invoices of the company")
async def invoices_page(request: AnyRequest) -> Html:
    services, principal = services_of(request), principal_of(request)
    company = principal.company
    assert company is not None, "the role table lets in members only"
    async with services.db.reading(principal.db_scope()) as session:
        credit = await standing(session, company.id, company.currency)
    return page(
        request,
        "account/invoices.html",
        invoices=await services.payments.invoices.of_company(principal),
        credit=credit,
        now=services.clock.now(),
    )


HANDLERS: Final[list[ControllerRouterHandler]] = [invoices_page]
