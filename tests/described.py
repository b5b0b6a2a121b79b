"""Webhook bodies against the OpenAPI document that partners are given."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from web.api.document import COMMITTED


def assert_described(body: dict[str, Any]) -> None:
    """What was sent is what the document says of such events, and has no member that it does not know."""
    validator, members = _of(body["type"])
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)] == []
    assert set(body["data"]) <= members


@cache
def _of(event_type: str) -> tuple[Draft202012Validator, set[str]]:
    document = json.loads(COMMITTED.read_bytes())
    schema = document["webhooks"][event_type]["post"]["requestBody"]["content"]["application/json"]["schema"]
    data = document["components"]["schemas"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    return Draft202012Validator({**schema, "components": document["components"]}), set(data["properties"])
