"""The application: routes, middleware, errors, and the life of the services around them.

uvicorn starts `web.app:from_environment` as a factory, once a worker.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Litestar, Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.log import configure_logging
from kernel.settings import Settings
from web import health
from web.access import missing
from web.api import routes as api_routes
from web.api.describing import say_deprecated
from web.api.rates import add_allowance
from web.assets import by_url
from web.auth import API_PREFIX, WEBHOOK_PREFIX, Authentication, Unauthenticated
from web.desk import routes as desk_routes
from web.edge import Application
from web.http import AnyRequest, locale_of
from web.openapi import openapi_config
from web.pages import page
from web.problems import Problem, problem_of, problem_response, record_failure
from web.security import SecurityHeaders
from web.sentences import heading, sentence_of
from web.services import Services, build, running
from web.shop import routes as shop_routes
from web.webhooks import stripe_webhook

log = structlog.get_logger(__name__)
BODY_BYTES_MAX = 2_000_000
PROGRAMS = (API_PREFIX, WEBHOOK_PREFIX, "/health/", "/static/")


def create_app(services: Services, *, background: bool = True, describe: bool = False) -> Litestar:
    """Return the ASGI application over *services*. Without *background*, no worker and no sweeps run beside it;
    with *describe*, it can write its OpenAPI document and is not to be served.

    :raises RuntimeError: when a route is missing from the role table
    """

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with running(services, background=background):
            yield

    handlers: list[ControllerRouterHandler] = [
        health.live,
        health.ready,
        static_file,
        stripe_webhook,
        *api_routes(),
        *shop_routes(),
        *desk_routes(),
    ]
    app = Application(
        route_handlers=handlers,
        middleware=[Authentication()],
        lifespan=[lifespan],
        before_send=[SecurityHeaders(services.settings), add_allowance, say_deprecated],
        exception_handlers={Exception: answer_error},
        openapi_config=openapi_config() if describe else None,
        request_max_body_size=BODY_BYTES_MAX,
        debug=False,
        logging_config=None,
    )
    app.state.services = services
    unnamed = missing(
        (method, route.path_format)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
    )
    if unnamed and not describe:
        raise RuntimeError(f"web/access.py must name who may call {unnamed}")
    return app


def from_environment() -> Litestar:
    """Make the application of this process. `bin/tarifa serve` has migrated the database and set the environment."""
    configure_logging()
    settings = Settings.from_environment()
    return create_app(build(settings))


@get(
    "/static/{digest:str}/{name:path}",
    include_in_schema=False,
    summary="A file of ours that never changes under its address",
)
async def static_file(request: AnyRequest, digest: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    asset = by_url().get(f"/static/{digest}/{str(name).lstrip('/')}")
    if asset is None:
        return problem_response(
            Problem(type="/problems/not-found", title="Not found", status=404, detail="There is no such file.")
        )
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "Accept-Encoding"}
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "content-encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def answer_error(request: AnyRequest, error: Exception) -> Response[Any]:
    """Turn any exception into a problem document, or for a reader of pages into a page."""
    problem = problem_of(error)
    record_failure(request, error, problem)
    if request.scope["path"].startswith(PROGRAMS) or "text/html" not in request.headers.get("accept", "text/html"):
        return problem_response(problem)
    if isinstance(error, Unauthenticated):
        return Response(b"", status_code=HTTPStatus.SEE_OTHER, headers={"location": "/login"})
    slug, locale = problem.type.rpartition("/")[2], locale_of(request)
    try:
        return page(
            request,
            "problem.html",
            status=problem.status,
            heading=heading(problem.status, locale),
            detail=sentence_of(slug, problem.detail, problem.extra, locale),
            number=problem.status,
            slug=slug,
        )
    except Exception:
        log.exception("the error page itself failed")
        return problem_response(problem)
