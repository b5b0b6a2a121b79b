"""Whether the process lives, and whether it can serve."""

import msgspec
from litestar import get
from sqlalchemy import text

from kernel.db import for_visitor
from kernel.errors import Unavailable
from web.api.describing import documented
from web.http import AnyRequest, services_of


class Health(msgspec.Struct, frozen=True):
    """`ok`, or a problem document instead."""

    status: str


class NotReady(Unavailable):
    problem = "not-ready"
    title = "Not ready to serve"


@get(
    "/health/live",
    tags=["health"],
    operation_id="get_live",
    summary="The process lives",
    response_description="It does.",
    **documented(400, answer=Health, key="none"),
)
async def live() -> Health:
    """Answer ok as long as the process takes requests, whatever else works."""
    return Health("ok")


@get(
    "/health/ready",
    tags=["health"],
    operation_id="get_ready",
    summary="Database and prices are at hand",
    response_description="They are.",
    **documented(400, 503, answer=Health, key="none"),
)
async def ready(request: AnyRequest) -> Health:
    """Answer ok when the database answers and a price book is in force; 503 otherwise."""
    services = services_of(request)
    try:
        async with services.db.reading(for_visitor()) as session:
            await session.execute(text("select 1"))
    except Exception as error:
        raise NotReady("The database does not answer.") from error
    services.books.at(services.clock.now())
    return Health("ok")
