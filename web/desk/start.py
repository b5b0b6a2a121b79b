"""The desk's first page: what waits."""

from litestar import get
from litestar.types import ControllerRouterHandler

from kernel.money import Money
from web.access import Access, allows
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page


@get("/desk", include_in_schema=False, summary="The desk")
async def desk(request: AnyRequest) -> Html:
    services = services_of(request)
    finance = allows(Access.FINANCE, principal_of(request))
    now = services.clock.now()
    drafts = await services.pricing.list_drafts() if finance else ()
    return page(
        request,
        "desk/start.html",
        waiting=await services.order_files.waiting(),
        drafts=drafts,
        reviews=await services.reviews.list_standing(drafts),
        in_force=services.books.in_force(now) if services.books.published() else None,
        upcoming=services.books.upcoming(now),
        words=Words(locale_of(request)),
        finance=finance,
        money=Money,
    )


HANDLERS: list[ControllerRouterHandler] = [desk]
