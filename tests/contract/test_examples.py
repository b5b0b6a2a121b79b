"""Every example of the document is executed against the demo's shop, and answers as it says.

`UPDATE_EXAMPLES=1 pytest tests/contract/test_examples.py`, then `make openapi`, writes the answers anew.
"""

import json
import os
from typing import Any

import pytest

from tests.contract.conftest import Partners, _partners
from tests.web.api.partners import Program
from tests.web.conftest import Shop
from web.openapi import EXAMPLES, read_examples

FILES = {path.name: "alone" in json.loads(path.read_text()) for path in sorted(EXAMPLES.glob("*.json"))}
"""Whether an example needs a shop of its own, for it changes what others see."""
# what differs from one installation to the next, and from one run to the next
OF_THIS_RUN: dict[str, Any] = {"root": "sha256:" + "5a" * 32, "price_root": "sha256:" + "5a" * 32,
               "digest": "sha256:" + "d1" * 32, "id": "019aa695-3c60-7000-8000-000000000001",
               "merchant_authorization": "eyJhbGciOiJFUzI1NiIsImtpZCI6InF1b3Rlcy0wMCJ9.." + "A" * 86,
               "key_id": "publication-1", "signed_text": "{...}", "salt": "5a" * 16, "index": 7, "path": ["d1" * 32],
               "ledger_index": 7,
               "secret": "whsec_" + "A" * 43 + "=", "endpoint_id": "019aa695-3c60-7000-8000-000000000001",
               "base_root": "sha256:" + "5a" * 32, "draft": "019aa695-3c60-7000-8000-000000000001",
               "previous_secret_until": "2026-11-22T12:01:00Z",
               "signature": "c2lnbmF0dXJl", "reader": "5a" * 16, "since": "sha256:" + "5a" * 32}  # fmt: skip

ENDPOINT = str(OF_THIS_RUN["id"])
MESSAGE = ENDPOINT[:-1] + "2"
FIRST_DRAFT = 3
FRAMEWORK = ENDPOINT[:-2] + "fa"
PLACED = ("T-2026-000003", "T-2026-000123")
"""The order that an example places, and a number that nobody has: no document may show somebody's order."""


@pytest.mark.parametrize("name", [name for name, alone in FILES.items() if not alone])
async def test_an_example_answers_as_it_says(partners: Partners, name: str) -> None:
    await execute(partners, name)


@pytest.mark.parametrize("name", [name for name, alone in FILES.items() if alone])
async def test_an_example_that_changes_prices_answers_as_it_says(shop: Shop, name: str) -> None:
    await execute(await _partners(shop), name)


async def execute(partners: Partners, name: str) -> None:
    path = EXAMPLES / name
    example = json.loads(path.read_text())
    program = Program(partners.shop, None if example["key"] is None else partners.keys[example["key"]])
    root = partners.shop.services.books.in_force(partners.shop.clock.now()).root
    body = None
    if "body" in example:
        body = json.dumps(example["body"]).replace(OF_THIS_RUN["digest"], partners.finding)
        body = body.replace(FRAMEWORK, partners.framework)
    path_of_run = example["path"].replace(OF_THIS_RUN["root"], root)
    for placeholder, value in (
        (ENDPOINT, partners.endpoint),
        (MESSAGE, partners.message),
        *((f"{ENDPOINT[:-2]}{number:02}", draft) for number, draft in enumerate(partners.drafts, FIRST_DRAFT)),
    ):
        path_of_run = path_of_run.replace(placeholder, value)
    answer = await program.request(
        example["method"],
        path_of_run,
        json=None if body is None else json.loads(body),
        headers=example["headers"],
    )
    said = steady(json.loads(answer.text.replace(*PLACED))) if answer.content else None
    if os.environ.get("UPDATE_EXAMPLES"):
        path.write_text(json.dumps({**example, "answer": said}, indent=2, ensure_ascii=False) + "\n")

    assert answer.status_code == example["status"]
    assert said == example.get("answer", said if os.environ.get("UPDATE_EXAMPLES") else None)


def test_every_operation_that_answers_json_has_an_example() -> None:
    assert set(read_examples()) == {
        "create_quote", "get_price", "get_price_book", "list_orders", "get_order", "get_live",
        "place_order", "get_framework_agreement",
        "get_price_history", "sign_quote", "get_signed_quote", "get_quote_package", "get_quote_order",
        "create_webhook_endpoint", "get_webhook_endpoint", "change_webhook_endpoint", "rotate_webhook_secret",
        "test_webhook_endpoint", "replay_webhook_messages", "list_webhook_messages", "get_webhook_message",
        "replay_webhook_message",
        "create_draft", "get_draft", "list_drafts", "list_draft_objects", "get_draft_object", "put_draft_object",
        "list_draft_changes", "list_draft_rows", "get_draft_findings", "acknowledge_draft_warnings", "submit_draft",
        "request_impact", "preview_draft", "get_live_import", "explain_order",
        "get_publication", "list_publications", "publish_draft", "roll_back", "compare_publications", "get_sku_history",
        "list_companies", "get_company_segments", "put_company_segments",
        "approve_draft", "return_draft", "comment_on_draft", "get_draft_review",
        "list_price_books", "get_current_price_book", "list_feed", "get_feed_delta", "get_proof",
    }  # fmt: skip


def steady(value: Any) -> Any:
    if isinstance(value, list):
        return [steady(each) for each in value]
    if isinstance(value, dict):
        steadied = {key: OF_THIS_RUN.get(key) or steady(each) for key, each in value.items()}
        return {**steadied, "next": "W10"} if isinstance(value.get("next"), str) else steadied
    return value
