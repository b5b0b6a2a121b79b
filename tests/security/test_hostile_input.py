"""Whatever is sent to whatever address: an answer in our own words, never a 5xx, nothing reflected, nothing told.

Addresses and forms are found by asking the application, so that new pages are tried too. `Caller.faults` says what no
answer may be.
"""

import http
import json
import re

import pytest

from tests.security.forms import PageForm, forms_of
from tests.security.house import House
from tests.security.routes import Route
from tests.security.wire import FORM, ROOT, encoded
from web.access import Access
from web.http import session_cookie_name

MARKUP = '"><script>alert(9317)</script><img src=x:9317>\'onmouseover=alert(9317) "onmouseover=alert(9317) {{9317*7}}'
VALUES = {
    "markup": MARKUP,
    "everything odd": "' OR 1=1--; DROP TABLE person ../../../etc/passwd a\r\nset-cookie: a=b\r\n\r\n"
    " \u202egnirts\u2066 \u2028\u0085\x0b\x1f\x7f \ufffe\uffff\U0010ffff a\u0301 %s%n{0}{a.__class__}%(x)s [](*+?.^$\\",
    "address": "javascript:alert(9317)",
    "foreign": "//evil.example/\\evil.example",
    "huge number": "1" + "0" * 30,
    "exponent": "1e999999",
    "not a number": "NaN",
    "negative": "-1",
    "past 64 bits": "9223372036854775808",
    "other digits": "\u0661\u0662\uff11",
    "last date": "9999-12-31T23:59",
    "long": "x" * 5000,
    "empty": "",
}
RAW = {
    "nul": b"%00",
    "invalid utf-8": b"%ff%fe%c0%af",
    "lone surrogate": b"%ed%a0%80",
    "bad escape": b"%zz%",
    "encoded slashes": b"..%2f..%2f%252e%252e%252f%2500",
    "long": b"a" * 20_000,
}
SLOW = re.compile("publication|rollback")
"""What does much work when it is let through."""
SHORT = ("markup", "everything odd", "last date", "exponent")
ASKERS = ("visitor", "admin", "finance", "legal")
DOORS = ("/login", "/signup", "/password-reset", "/invitation", "/logout", "/cart/currency")
FIELD = r'(?:form\.(?:get|raw|all|has)\(\s*|\bname=|get\(\s*|_password\(form, )"([a-z_.:-]+)"'
SOURCES = [*(ROOT / "web").rglob("*.py"), *(ROOT / "web" / "templates").rglob("*.html")]
NAMES = sorted({name for file in SOURCES for name in re.findall(FIELD, file.read_text())} - {"form_token"})
"""Of all fields and query parameters, as the sources have them."""


def test_the_names_of_fields_are_found() -> None:
    assert {"q", "next", "page", "sort", "email", "password", "sku", "quantity", "po_number", "presentation"} <= {
        *NAMES
    }


def asker(route: Route) -> str:
    """Somebody whom the route lets in, and who gets far."""
    if route.access is Access.LEGAL:
        return "legal"
    if route.template.startswith("/desk"):
        return "finance"
    return "visitor" if route.template.startswith(DOORS) else "admin"


def names_near(route: Route) -> list[str]:
    """The query parameters that the route's own module reads."""
    return sorted(set(re.findall(r'get(?:all)?\(\s*"([a-z_.:-]+)"', route.source)) - {"form_token"})


@pytest.mark.parametrize("who", ASKERS)
async def test_no_address_trips_over_a_hostile_parameter(house: House, routes: list[Route], who: str) -> None:
    caller, wrong = await house.caller(who), []
    hostile = {name: b"".join(b"%%%02x" % byte for byte in value.encode()) for name, value in VALUES.items() if value}
    for route in routes:
        if asker(route) != who:
            continue
        for parameter in route.parameters:
            base = route.target(house.value, **{parameter.name: "@@"}).encode()
            for name, value in (hostile | RAW).items():
                target = base.replace(b"@@", value)
                answer = await (caller.post(target) if route.is_unsafe else caller.get(target))
                wrong += [f"{route} {parameter.name} {name}: {fault}" for fault in caller.faults(answer)]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", ASKERS)
async def test_no_address_trips_over_a_hostile_query(house: House, routes: list[Route], who: str) -> None:
    """All parameters at once, then each alone, for the first refusal hides the others."""
    caller, wrong = await house.caller(who), []
    everywhere = {name: encoded((field, VALUES[name]) for field in NAMES) for name in ("markup", "huge number")}
    everywhere["raw"] = b"&".join(b"%s=%%ff" % field.encode() for field in NAMES)
    everywhere["nul"] = b"q=%00&page=%00"
    everywhere["many"] = b"&".join(b"q=%d" % i for i in range(5001))
    everywhere["odd"] = b"?&=&&=x;;;q=1;page=2&page=1&q=b&\xff=\xfe&[]=&attribute:=1&attribute:x[]=1&lang=xx&lang=es"
    for route in routes:
        if route.is_unsafe or asker(route) != who or "feed" in route.template:
            continue
        target = route.target(house.value).encode()
        alone = {
            f"{field} {name}": encoded([(field, value)])
            for field in names_near(route)
            for name, value in VALUES.items()
            if name in {"markup", "everything odd", "huge number", "exponent", "not a number", "last date"}
        }
        for name, query in (everywhere | alone).items():
            answer = await caller.get(target + b"?" + query)
            wrong += [f"{route} {name}: {fault}" for fault in caller.faults(answer)]

    assert not wrong, "\n".join(wrong)


async def forms_for(house: House, routes: list[Route], who: str) -> list[PageForm]:
    """The forms of all pages that *who* may see, one of each shape."""
    caller = await house.caller(who)
    found: dict[object, PageForm] = {}
    for route in routes:
        if route.method == "GET" and route.is_for_browsers and asker(route) == who:
            target = route.target(house.value)
            answer = await caller.get(target)
            if answer.is_page and answer.status == 200:
                for form in forms_of(answer.text, target):
                    found.setdefault(form.shape, form)
    return [form for form in found.values() if form.method == "POST"]


@pytest.mark.parametrize("who", ASKERS)
async def test_no_form_trips_over_one_hostile_field(house: House, routes: list[Route], who: str) -> None:
    """Each field of each form alone, the others filled in as a person would."""
    forms, wrong = await forms_for(house, routes, who), []
    assert forms
    for form in forms:
        values = {name: VALUES[name] for name in SHORT} if SLOW.search(form.action) else VALUES
        for field in dict.fromkeys(name for name, _ in form.fields):
            for name, value in values.items():
                caller = await house.caller(who)
                answer = await caller.post(form.action, form.with_field(field, value))
                wrong += [f"{form.action} {field} {name}: {fault}" for fault in caller.faults(answer)]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", ASKERS)
async def test_no_unsafe_route_trips_over_hostile_fields(house: House, routes: list[Route], who: str) -> None:
    wrong = []
    for route in routes:
        if not route.is_unsafe or not route.is_for_browsers or asker(route) != who:
            continue
        for name in ("markup", "everything odd", "huge number", "long"):
            caller = await house.caller(who)
            answer = await caller.post(route.target(house.value), [(field, VALUES[name]) for field in NAMES])
            wrong += [f"{route} all fields {name}: {fault}" for fault in caller.faults(answer)]

    assert not wrong, "\n".join(wrong)


DEEP = b"[" * 100_000 + b"]" * 100_000
EVERYWHERE = {
    "empty": (FORM, b""),
    "token only": (FORM, b"@"),
    "doubled fields": (FORM, b"@&email=a&email=b&sku=a&sku=b&quantity=1&quantity=2&@"),
    "multipart": ("multipart/form-data; boundary=x", b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1'),
    "deep json": ("application/json", DEEP),
}
BODIES = EVERYWHERE | {
    "nul": (FORM, b"@&name=%00&email=%00&%00=1"),
    "invalid utf-8": (FORM, b"@&name=%ff%fe&email=\xff\xfe"),
    "lone surrogate": (FORM, b"@&name=%ed%a0%80&email=%ed%a0%80"),
    "bad escapes": (FORM, b"@&name=%zz&email=%&%"),
    "5,001 fields": (FORM, b"@" + b"&a=1" * 5001),
    "long field": (FORM, b"@&name=" + b"x" * 300_000),
    "long form": (FORM, b"@&name=" + b"x" * 1_100_000),
    "too long": (FORM, b"@&name=" + b"x" * 2_100_000),
    "text": ("text/plain", b"@"),
    "no type": ("", b"@&email=x"),
    "multipart without boundary": ("multipart/form-data", b"--\r\n\r\n"),
    "json": ("application/json", b'{"a": 1}'),
    "deep object": ("application/json", b'{"lines":' * 50_000),
    "invalid json": ("application/json", b'{"a": "\xff\xfe"}'),
    "surrogate json": ("application/json", rb'{"lines": [{"sku": "\ud800", "quantity": "1"}]}'),
    "huge numbers": ("application/json", b'{"lines": [{"sku": "A", "quantity": 1' + b"0" * 5000 + b"}]}"),
    "not json": ("application/json", b"\x00\x01\x02"),
    "xml": ("application/xml", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
    "odd type": ("\xff\xfe;;;=", b"x"),
}
READERS = {"/cart/lines", "/login", "/api/v1/quotes", "/webhooks/stripe"}
"""One of each way in which bodies are read."""


async def test_no_route_trips_over_a_body_that_is_no_form(house: House, routes: list[Route]) -> None:
    wrong = []
    for route in routes:
        if not route.is_unsafe:
            continue
        target = route.target(house.value)
        for name, (media_type, body) in (BODIES if route.template in READERS else EVERYWHERE).items():
            caller = await house.caller(asker(route))
            headers = [("content-type", media_type), ("sec-fetch-site", "same-origin")]
            sent = body.replace(b"@", encoded([("form_token", caller.form_token())]))
            answer = await caller.send(route.method, target, headers=headers, body=sent)
            wrong += [f"{route} {name}: {fault}" for fault in caller.faults(answer)]
            if answer.status < 400 and route.is_for_browsers and media_type not in {FORM, ""}:
                wrong.append(f"{route} {name}: took {media_type}")

    assert not wrong, "\n".join(wrong)


QUOTE = {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}]}


@pytest.mark.parametrize("place", ["sku", "unit", "quantity", "currency", "country", "language", "unknown"])
async def test_no_member_of_a_quote_trips_the_api(house: House, place: str) -> None:
    caller, wrong = await house.caller("full key"), []
    odd: list[object] = [None, True, 1, -1, 1.5, 10**30, [], {}, [[]], {"a": 1}]
    for value in [*VALUES.values(), *odd, "\ud800", "\x00"]:
        asked: dict[str, object] = json.loads(json.dumps(QUOTE))
        if place in {"sku", "unit", "quantity"}:
            asked["lines"] = [{**QUOTE["lines"][0], place: value}]
        else:
            asked[place] = value
        answer = await caller.send(
            "POST", "/api/v1/quotes", headers=[("content-type", "application/json")], body=json.dumps(asked).encode()
        )
        wrong += [f"{place} {str(value)[:40]}: {fault}" for fault in caller.faults(answer)]
        assert answer.status in {200, 400, 422}, (place, value, answer.text)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "header",
    ["cookie", "accept", "accept-language", "user-agent", "host", "origin", "referer", "content-type", "hx-request",
     "if-none-match", "authorization", "x-form-token", "content-length", "x-forwarded-for", "range", "accept-encoding"],
)  # fmt: skip
async def test_no_header_trips_a_page(house: House, header: str) -> None:
    values = ["", "\xff\xfe", "x" * 50_000, MARKUP, "a\x00b", "*;q=nan,es;q=1e999,en;q=-1;;;===,,,"]
    wrong, caller = [], await house.caller("admin")
    for target in ("/cart", "/api/v1/price-book", "/nowhere"):
        for value in values:
            answer = await caller.get(target, headers=[(header, value)])
            wrong += [f"{target} {header} {value[:20]!r}: {fault}" for fault in caller.faults(answer)]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "cookie",
    [
        "{name}=unknown",
        "{name}=",
        "{name}=" + "x" * 60_000,
        "{name}=\xff\xfe",
        "{name}=%00%ff",
        "{name}=' OR 1=1--",
        "{name}=a; {name}=b; {name}=c",
        "; ".join(f"c{i}={i}" for i in range(3000)),
        '{name}="quoted; \\"',
        "{name}",
        "=;=;=",
    ],
)
async def test_no_cookie_trips_a_page(house: House, cookie: str) -> None:
    caller = await house.caller("visitor")
    sent = cookie.replace("{name}", session_cookie_name(house.services.settings))
    for target in ("/cart", "/login"):
        answer = await caller.get(target, headers=[("cookie", sent)])
        assert answer.status == 200, (target, answer.status)
        assert not caller.faults(answer)
    assert (await caller.get("/orders", headers=[("cookie", sent)])).location.startswith("/login")


async def test_every_method_on_every_address_gets_an_answer(house: House, routes: list[Route]) -> None:
    wrong = []
    caller = await house.caller("visitor")
    for target in sorted(
        {route.target(house.value) for route in routes} | {"*", "/", "//", "/.", "/%2e%2e/", "/x/../.."}
    ):
        for method in ("PUT", "DELETE", "TRACE", "OPTIONS", "PROPFIND"):
            answer = await caller.send(method, target)
            wrong += [f"{method} {target}: {fault}" for fault in caller.faults(answer)]
            if method in {"PUT", "DELETE"} and answer.status == http.HTTPStatus.UNAUTHORIZED:
                continue  # the methods of these that some addresses of the API know, for who has a key
            if method != "OPTIONS" and answer.status not in {404, 405}:
                wrong.append(f"{method} {target}: {answer.status}")

    assert not wrong, "\n".join(wrong)
