"""What changed in the API is found, and what would break a partner's program fails the build unless it is declared."""

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from web.api.document import COMMITTED
from web.openapi_changes import Break, Change, Release, Releases, changelog, compare, faults, read_releases, release

QUOTES = ("paths", "/api/v1/quotes", "post")
SCHEMAS = ("components", "schemas")
ASKED = (*SCHEMAS, "AskedLine")
ANSWERED = (*SCHEMAS, "PricedLine")
NEW: Any = {"type": "string", "maxLength": 5}
GONE = object()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COMMITTED.read_bytes())
    return found


def changed(document: dict[str, Any], where: tuple[str | int, ...], what: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    *path, last = where
    node: Any = made
    for step in path:
        node = node[step]
    if what is GONE:
        del node[last]
    else:
        node[last] = (
            what(copy.deepcopy(node.get(last) if isinstance(node, dict) else node[last])) if callable(what) else what
        )
    return made


def without(name: str) -> Any:
    return lambda names: [each for each in names if each != name]


def with_(name: str) -> Any:
    return lambda names: [*names, name]


BREAKING: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("a route that goes", ("paths", "/api/v1/orders", "get"), GONE, "GET /api/v1/orders: is gone"),
    ("a webhook that goes", ("webhooks", "order.paid"), GONE, "webhook order.paid: is gone"),
    (
        "a member told no more",
        (*SCHEMAS, "ToldOrder", "properties", "po_number"),
        GONE,
        "webhook order.paid: the body.data.po_number: is gone",
    ),
    ("a key that is asked for", (*QUOTES, "security"), [{"apiKey": []}], "POST /api/v1/quotes: now needs an API key"),
    ("a success that goes", (*QUOTES, "responses", "200"), GONE, "POST /api/v1/quotes: never answers 200 any more"),
    (
        "a success that comes",
        (*QUOTES, "responses", "202"),
        {"description": "x"},
        "POST /api/v1/quotes: may answer 202",
    ),
    (
        "a member asked for",
        (*ASKED, "required"),
        with_("unit"),
        "POST /api/v1/quotes: the body.lines[].unit: must be sent",
    ),
    ("a member not taken", (*ASKED, "properties", "unit"), GONE, "POST /api/v1/quotes: the body.lines[].unit: is gone"),
    (
        "fewer lines taken",
        (*SCHEMAS, "QuoteAsked", "properties", "lines", "maxItems"),
        10,
        "POST /api/v1/quotes: the body.lines: maxItems is 10 instead of 500",
    ),
    (
        "another pattern taken",
        (*ASKED, "properties", "quantity", "pattern"),
        "^1$",
        "POST /api/v1/quotes: the body.lines[].quantity: keeps to the pattern ^1$ instead of",
    ),
    (
        "a member answered no more",
        (*ANSWERED, "properties", "net"),
        GONE,
        "POST /api/v1/quotes: the answer 200.lines[].net: is gone",
    ),
    (
        "a member that may be missing",
        (*ANSWERED, "required"),
        without("net"),
        "POST /api/v1/quotes: the answer 200.lines[].net: may be missing",
    ),
    (
        "another type answered",
        (*ANSWERED, "properties", "tax_included"),
        NEW,
        "POST /api/v1/quotes: the answer 200.lines[].tax_included: is string instead of boolean",
    ),
    (
        "null where there was none",
        (*ANSWERED, "properties", "sku"),
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "POST /api/v1/quotes: the answer 200.lines[].sku: may be null",
    ),
    (
        "an answer of another type",
        (*QUOTES, "responses", "200", "content"),
        {"text/csv": {"schema": {"type": "string"}}},
        "POST /api/v1/quotes: the answer 200: is no longer application/json",
    ),
    (
        "a header that goes",
        ("paths", "/api/v1/prices/{sku}", "get", "responses", "200", "headers", "ETag"),
        GONE,
        "GET /api/v1/prices/{sku}: the answer 200, header ETag: is gone",
    ),
    (
        "a parameter that goes",
        ("paths", "/api/v1/orders", "get", "parameters", 0),
        GONE,
        "GET /api/v1/orders: query parameter",
    ),
    (
        "a parameter that must be sent",
        ("paths", "/api/v1/orders", "get", "parameters", 0, "required"),
        True,
        "GET /api/v1/orders: query parameter",
    ),
]
COMPATIBLE: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("a new route", ("paths", "/api/v1/new"), {"get": {"responses": {}}}, "GET /api/v1/new: is new"),
    (
        "a member told besides",
        (*SCHEMAS, "ToldOrder", "properties", "x"),
        NEW,
        "webhook order.paid: the body.data.x: is new",
    ),
    ("a refusal more", (*QUOTES, "responses", "410"), {"description": "x"}, "POST /api/v1/quotes: may answer 410"),
    ("a refusal less", (*QUOTES, "responses", "503"), GONE, "POST /api/v1/quotes: never answers 503 any more"),
    ("a deprecation", (*QUOTES, "deprecated"), True, "POST /api/v1/quotes: is deprecated"),
    (
        "a member that may be sent",
        (*ASKED, "properties", "note"),
        NEW,
        "POST /api/v1/quotes: the body.lines[].note: is new",
    ),
    (
        "a member that may be left out",
        (*ASKED, "required"),
        without("quantity"),
        "POST /api/v1/quotes: the body.lines[].quantity: may be left out",
    ),
    (
        "more lines taken",
        (*SCHEMAS, "QuoteAsked", "properties", "lines", "maxItems"),
        1000,
        "POST /api/v1/quotes: the body.lines: maxItems is 1000 instead of 500",
    ),
    (
        "a member more",
        (*ANSWERED, "properties", "hint"),
        NEW,
        "POST /api/v1/quotes: the answer 200.lines[].hint: is new",
    ),
]


@pytest.mark.parametrize(("what", "where", "to", "said"), BREAKING)
def test_what_breaks_a_program_is_found(
    document: dict[str, Any], what: str, where: tuple[str | int, ...], to: Any, said: str
) -> None:
    found = compare(document, changed(document, where, to))

    assert [each for each in found if each.breaks and each.text.startswith(said)], (what, found)


@pytest.mark.parametrize(("what", "where", "to", "said"), COMPATIBLE)
def test_what_breaks_no_program_is_told_from_it(
    document: dict[str, Any], what: str, where: tuple[str | int, ...], to: Any, said: str
) -> None:
    found = compare(document, changed(document, where, to))

    assert Change(said, breaks=False) in found, (what, found)
    assert not [each for each in found if each.breaks], what


def test_the_same_document_has_no_change(document: dict[str, Any]) -> None:
    assert compare(document, document) == []


@pytest.mark.parametrize(("what", "where", "to", "said"), [*BREAKING, *COMPATIBLE])
def test_every_way_there_has_a_way_back(
    document: dict[str, Any], what: str, where: tuple[str | int, ...], to: Any, said: str
) -> None:
    assert compare(changed(document, where, to), document), (what, said)


def test_a_keyword_that_is_not_known_is_refused_rather_than_overlooked(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot compare \\['not'\\]"):
        compare(document, changed(document, (*ASKED, "properties", "unit", "not"), {}))


def test_an_undeclared_break_is_a_fault_and_a_declared_one_stands_in_the_changelog_with_its_reason(
    document: dict[str, Any], tmp_path: Path
) -> None:
    kept(tmp_path, document, "9.0.0")
    after = changed(document, ("paths", "/api/v1/orders", "get"), GONE)
    after["info"]["version"] = "10.0.0"
    releases = Releases(release=[Release("9.0.0", date(2026, 1, 31))])

    (fault,) = faults(after, releases, folder=tmp_path)
    assert "would break partners' programs: GET /api/v1/orders: is gone. Undo it, or declare it" in fault

    declared = Releases(
        release=releases.release, breaking=[Break("10.0.0", "GET /api/v1/orders: is gone", "Orders have moved.")]
    )
    assert list(faults(after, declared, folder=tmp_path)) == []
    page = changelog(after, declared, folder=tmp_path)
    assert (
        "## 10.0.0, not yet released\n\n### Breaking\n\n- `GET /api/v1/orders`: is gone\n  Why: Orders have moved."
        in page
    )
    assert page.index("## 10.0.0") < page.index("## 9.0.0, 31 January 2026\n\nThe first release.")


def test_a_declaration_of_no_break_is_a_fault(document: dict[str, Any], tmp_path: Path) -> None:
    kept(tmp_path, document, "9.0.0")
    releases = Releases(
        release=[Release("9.0.0", date(2026, 1, 31))], breaking=[Break("9.1.0", "GET /nowhere: is gone", "None.")]
    )

    assert list(faults(document, releases, folder=tmp_path)) == [
        "openapi/releases.toml declares for 9.1.0 what is no break, or not there: GET /nowhere: is gone"
    ]


def test_a_changed_api_needs_a_higher_version(document: dict[str, Any], tmp_path: Path) -> None:
    version = document["info"]["version"]
    kept(tmp_path, document, version)
    after = changed(document, (*ASKED, "properties", "note"), NEW)

    (fault,) = faults(after, Releases(release=[Release(version, date(2026, 1, 31))]), folder=tmp_path)
    assert fault == f"the API has changed since {version}: set VERSION in web/openapi.py to a higher one"


def test_a_release_keeps_the_document_and_is_made_once(document: dict[str, Any], tmp_path: Path) -> None:
    kept(tmp_path, document, "1.0.0")
    path = tmp_path / "releases.toml"
    path.write_text(
        '[[release]]\nversion = "1.0.0"\ndate = 2026-01-31\n\n'
        '[[breaking]]\nrelease = "2.0.0"\nchange = "x"\nreason = "y"\n'
    )

    assert release(b"{}", "2.0.0", "2026-02-01", path=path) == []
    assert [(each.version, each.date) for each in read_releases(path).release] == [
        ("1.0.0", date(2026, 1, 31)),
        ("2.0.0", date(2026, 2, 1)),
    ]
    assert read_releases(path).breaking[0].release == "2.0.0"
    assert (tmp_path / "versions" / "2.0.0.json").read_bytes() == b"{}"
    assert release(b"[]", "2.0.0", "2026-02-02", path=path) == [
        "2.0.0 was released before: set VERSION in web/openapi.py to a higher one"
    ]


def test_the_committed_releases_have_their_documents() -> None:
    assert list(faults(json.loads(COMMITTED.read_bytes()), read_releases())) == []
    for each in read_releases().release:
        kept_then = json.loads((COMMITTED.parent / "versions" / f"{each.version}.json").read_bytes())
        assert kept_then["info"]["version"] == each.version


def kept(folder: Path, document: dict[str, Any], version: str) -> None:
    (folder / "versions").mkdir(exist_ok=True)
    (folder / "versions" / f"{version}.json").write_text(json.dumps(document))
