"""The committed document is what the code says, and valid; the checks that say so can fail."""

import copy
import json
from typing import Any

import pytest

from accounts.webhooks.events import TEST, EventType
from tests.described import assert_described
from tests.web.conftest import demo_settings
from web.api.document import COMMITTED
from web.app import create_app
from web.openapi import document_bytes, faults, read_examples
from web.services import build


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COMMITTED.read_bytes())
    return found


def test_the_committed_document_is_what_the_code_says() -> None:
    assert document_bytes() == COMMITTED.read_bytes()


def test_it_is_valid_and_keeps_our_rules(document: dict[str, Any]) -> None:
    assert faults(document) == []


def test_it_holds_the_api_and_the_health_checks_and_no_page(document: dict[str, Any]) -> None:
    app = create_app(build(demo_settings("postgresql://nobody@127.0.0.1/nothing")), background=False, describe=True)
    ours = {route.path_format for route in app.routes if route.path_format.startswith(("/api/", "/health/"))}

    assert set(document["paths"]) == ours


def test_every_event_that_is_sent_is_described_and_no_other(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == {*EventType, TEST}
    for operation in (methods["post"] for methods in document["webhooks"].values()):
        for content in operation["requestBody"]["content"].values():
            for example in content["examples"].values():
                assert_described(example["value"])


def test_a_test_that_was_sent_is_what_is_described() -> None:
    for _, example in read_examples()["get_webhook_message"]:
        if example["status"] == 200:
            assert example["answer"]["body"]["type"] == TEST
            assert_described(example["answer"]["body"])


@pytest.mark.parametrize("data", [{"number": 5}, {"surprise": 1}, {"total": {"amount": "1"}}, {"state": "eaten"}])
def test_a_body_of_another_shape_is_found(document: dict[str, Any], data: dict[str, Any]) -> None:
    content = document["webhooks"]["order.paid"]["post"]["requestBody"]["content"]["application/json"]
    body = copy.deepcopy(content["examples"]["order-paid"]["value"])
    body["data"] |= data

    with pytest.raises(AssertionError):
        assert_described(body)


QUOTE = ("paths", "/api/v1/quotes", "post")
BREAKS: list[tuple[tuple[str, ...], Any, str]] = [
    ((*QUOTE, "summary"), "", "has no summary"),
    ((*QUOTE, "operationId"), "get_price", "stands twice"),
    ((*QUOTE, "responses", "default"), {"description": "x"}, "documents default"),
    ((*QUOTE, "responses", "4XX"), {"description": "x"}, "documents 4XX"),
    ((*QUOTE, "responses", "404"), {"description": "x"}, "something else than a problem document"),
    (("components", "schemas", "AskedLine", "properties", "sku"), {"type": "string"}, "without maxLength"),
    (("components", "schemas", "AskedLine", "additionalProperties"), True, "unknown members"),
    (("components", "schemas", "QuoteAsked", "properties", "lines", "maxItems"), None, "without maxItems"),
    (("components", "schemas", "Unused"), {"type": "string"}, "is used nowhere"),
    (("components", "schemas", "Money", "properties", "amount", "pattern"), "^x$", "is not valid at"),
    (("webhooks", "order.paid", "post", "summary"), "", "has no summary"),
    (("webhooks", "order.paid", "post", "operationId"), "get_price", "stands twice"),
    (("webhooks", "order.paid", "post", "tags"), ["nothing"], "has no tag"),
    (("components", "schemas", "ToldAmount", "properties", "amount", "pattern"), "^x$", "is not valid at"),
    (("info", "title"), 5, "title"),
]


@pytest.mark.parametrize(("where", "what", "said"), BREAKS)
def test_the_checks_find_what_is_broken(document: dict[str, Any], where: tuple[str, ...], what: Any, said: str) -> None:
    broken = copy.deepcopy(document)
    *path, last = where
    node = broken
    for step in path:
        node = node[step]
    if what is None:
        del node[last]
    else:
        node[last] = what

    assert any(said in fault for fault in faults(broken)), faults(broken)
