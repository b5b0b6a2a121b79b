"""What every answer carries, whatever went wrong with it, and what static files may never give away."""

import io
import json
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from sqlalchemy.exc import DBAPIError, OperationalError

from kernel.settings import Settings
from tests.security.house import CANARY, SECRETS, House
from tests.security.routes import Route
from tests.security.wire import FORM, PROBLEM, REQUIRED_HEADERS, Answer, faults, send
from web.app import create_app
from web.assets import asset_url, assets
from web.http import session_cookie, session_cookie_name
from web.shop.renderings import NO_SCRIPT

CSP = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
MAY_BE_KEPT = {
    "/.well-known/tarifa-ledger/checkpoint",
    "/.well-known/tarifa-ledger/checkpoints/{size}",
    "/.well-known/tarifa-ledger/consistency",
    "/.well-known/tarifa-ledger/inclusion",
    "/documents/{code}/{label}/{language}/pdf",
    "/openapi.json",
    "/prices/audit.json",
    "/static/{digest}/{name}",
}
"""By anybody: a published text or a proof never changes, a head is asked for every few seconds.

Prices may be kept too, but are asked for again before each use."""


def check(house: House, answer: Answer, *, https: bool = False) -> None:
    policy = dict(part.strip().split(" ", 1) for part in answer.header("content-security-policy").split(";"))
    assert policy == {**CSP, "form-action": f"'self' {house.twin.base_url}"}
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cross-origin-opener-policy") == "same-origin"
    assert answer.header("cross-origin-resource-policy") == "same-origin"
    assert bool(answer.header("strict-transport-security")) == https
    assert not answer.header("server")
    assert not answer.header("x-powered-by")
    for name in REQUIRED_HEADERS:
        assert len(answer.all(name)) == 1, f"{name} is said twice"


async def test_every_answer_carries_the_headers(house: House, routes: list[Route]) -> None:
    for route in routes:
        for who in ("visitor", "finance" if route.template.startswith("/desk") else "admin"):
            caller = await house.caller(who)
            answer = await caller.send(route.method, route.target(house.value))
            if route.template.endswith("/renderings/{rendering}") and answer.status == 200:
                assert answer.header("content-security-policy") == NO_SCRIPT  # stricter: a sandbox without a script
                continue
            check(house, answer)
            if route.template not in MAY_BE_KEPT and "no-store" not in answer.header("cache-control"):
                assert route.is_api, (route, answer.header("cache-control"))
                assert "no-cache" in answer.header("cache-control"), route


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/orders", 303),
        ("GET", "/nowhere", 404),
        ("GET", "/nowhere.php", 404),
        ("DELETE", "/cart", 405),
        ("OPTIONS", "/cart", 204),
        ("HEAD", "/cart", 200),
        ("GET", "/products/a%00", 400),
        ("GET", "/api/v1/orders", 401),
        ("GET", "/api/v1/nowhere", 404),
        ("POST", "/login", 403),
        ("POST", "/api/v1/quotes", 415),
        ("POST", "/webhooks/stripe", 400),
    ],
)
async def test_so_does_every_refusal(house: House, method: str, target: str, status: int) -> None:
    caller = await house.caller("visitor")
    for accept in ("text/html", "application/json"):
        answer = await caller.send(method, target, headers=[("accept", accept)])
        assert answer.status == status
        check(house, answer)
        if status >= 400:
            assert answer.header("cache-control") == "no-store"
            assert answer.header("content-type").startswith((PROBLEM, "text/html"))


async def test_a_body_too_long_is_refused_while_it_comes(house: House) -> None:
    caller = await house.caller("visitor")
    for target in ("/login", "/api/v1/quotes", "/webhooks/stripe"):
        headers = [("content-length", "2000001"), ("content-type", "application/json" if "api" in target else FORM)]
        answer = await caller.send("POST", target, headers=headers, body=b"x" * 2_000_001)
        assert answer.status == 413, target
        check(house, answer)


class Broken:
    """A service whose every method fails, with a secret in its message."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError(f"password={CANARY} sk_live_{CANARY.replace('-', '')} at {__file__}"), 500),
        (KeyError("secret"), 500),
        (OperationalError("select secret", {"password": CANARY}, Exception("could not connect to 10.0.0.1")), 503),
        (DBAPIError("select secret", {}, Exception("permission denied for table person")), 503),
        (RecursionError("deep"), 400),
    ],
)
async def test_a_failure_of_ours_tells_nothing_and_is_logged(
    house: House, log_lines: io.StringIO, error: Exception, status: int
) -> None:
    services = msgspec.structs.replace(house.services, catalog=Broken(error))
    app = create_app(services, background=False)
    for accept, target in (("text/html", "/catalog"), ("application/json", "/catalog"), ("text/html", "/")):
        answer = await send(app, "GET", target, headers=[("accept", accept)])
        assert answer.status == status
        check(house, answer)
        assert answer.header("cache-control") == "no-store"
        assert answer.header("content-type").startswith("text/html" if accept == "text/html" else PROBLEM)
        told = [fault for fault in faults(answer) if not fault.startswith("status")]
        assert not told
        assert "secret" not in answer.text
        assert "10.0.0.1" not in answer.text
    logged = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert bool([line for line in logged if line["event"] == "request failed"]) == (status >= 500)
    assert CANARY not in log_lines.getvalue()


async def test_a_broken_error_page_is_a_problem_document(house: House) -> None:
    services = msgspec.structs.replace(house.services, merchant=None)  # every page shows it
    app = create_app(services, background=False)
    answer = await send(app, "GET", "/nowhere", headers=[("accept", "text/html")])
    assert answer.status == 404
    check(house, answer)
    assert answer.header("content-type").startswith(PROBLEM)


# --- https ---


@pytest.fixture
def behind_https(house: House) -> Litestar:
    settings = msgspec.structs.replace(house.services.settings, base_url="https://shop.example")
    return create_app(msgspec.structs.replace(house.services, settings=settings), background=False)


async def test_only_https_is_promised_to_stay(house: House, behind_https: Litestar) -> None:
    for target in ("/", "/nowhere", "/orders", asset_url("tarifa.css")):
        answer = await send(behind_https, "GET", target)
        check(house, answer, https=True)
        assert "max-age=63072000" in answer.header("strict-transport-security")


async def test_cookies_under_https_belong_to_this_host_alone(behind_https: Litestar) -> None:
    answer = await send(behind_https, "GET", "/?lang=es")
    for cookie in answer.all("set-cookie"):
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "domain" not in cookie.lower()


@pytest.mark.parametrize(("base_url", "name"), [("https://shop.example", "__Host-tarifa"), ("", "tarifa_8000")])
def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(house: House, base_url: str, name: str) -> None:
    settings: Settings = msgspec.structs.replace(
        house.services.settings, base_url=base_url or house.services.settings.base_url
    )
    cookie = session_cookie(settings, "token")
    assert session_cookie_name(settings) == cookie.key == name
    assert cookie.httponly
    assert cookie.samesite == "lax"
    assert cookie.secure == settings.https
    assert cookie.path == "/"
    assert cookie.domain is None


# --- static files ---


async def test_static_files_never_change_under_their_address(house: House) -> None:
    for asset in assets().values():
        answer = await send(house.app, "GET", asset.url)
        assert answer.status == 200
        assert answer.header("cache-control") == "public, max-age=31536000, immutable"
        assert answer.body == asset.body
        check(house, answer)


@pytest.mark.parametrize(
    "path",
    [
        "x/../../settings.py", "x/..%2f..%2fsettings.py", "x/%2e%2e/%2e%2e/app.py", "x/....//....//app.py",
        "x//etc/passwd", "x/%2fetc%2fpasswd", "{digest}/../app.py", "{digest}/%2e%2e/app.py", "{digest}/..%5capp.py",
        "{digest}/../../../etc/passwd", "{digest}/tarifa.css%00.py", "{digest}/tarifa.css/", "{digest}/./tarifa.css",
        "{digest}//tarifa.css", "{digest}/TARIFA.CSS", "{digest}", "", "..", "{digest}/vendor",
        "{digest}/vendor/README.md",
        "{digest}/%252e%252e/app.py", "{digest}/\xff",
    ],
)  # fmt: skip
async def test_nothing_but_the_listed_files_is_served(house: House, path: str) -> None:
    digest = asset_url("tarifa.css").split("/")[2]
    for method in ("GET", "HEAD"):
        answer = await send(house.app, method, "/static/" + path.replace("{digest}", digest))
        if answer.status == 200:
            assert answer.body in (assets()["tarifa.css"].body, b""), "the same file by another spelling"
            assert path.rstrip("/").endswith("tarifa.css")
        else:
            assert answer.status in {400, 404}
        check(house, answer)


def test_the_secrets_that_no_log_may_hold_are_there(house: House) -> None:
    assert {*house.keys.values()}
    assert len(SECRETS) > 5
