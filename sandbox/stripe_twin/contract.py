"""What Stripe's types allow: every request, answer and webhook of the twin is checked against them."""

import copy
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sandbox.stripe_twin.errors import JsonObject

DERIVED = Path(__file__).parent / "derived"
NO_PARAMETERS: JsonObject = {"type": "object", "additionalProperties": False}

Direction = Literal["request", "answer", "webhook"]


@dataclass(frozen=True)
class Operation:
    """One method of one path; *name* is Stripe's own, e.g. ``Checkout.Sessions.create``."""

    name: str
    method: str
    path: str
    pattern: re.Pattern[str]
    params: JsonObject
    answer: JsonObject


@dataclass(frozen=True)
class Problem:
    """One place where a document leaves the contract."""

    path: str
    message: str
    unknown: str | None = None
    required: str | None = None

    def __str__(self) -> str:
        return f"{self.path or 'document'}: {self.message}"


class MalformedForm(ValueError):
    """A form body whose names contradict each other, such as ``a=1&a[b]=2``."""


class Contract:
    """The derived description, with validators that are built once and kept."""

    def __init__(self, folder: Path = DERIVED) -> None:
        document: JsonObject = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        self.version: str = document["info"]["version"]
        self.skeletons: dict[str, JsonObject] = json.loads((folder / "skeletons.json").read_text(encoding="utf-8"))
        self._schemas: dict[str, JsonObject] = document["components"]["schemas"]
        self._event_objects: dict[str, str] = document["x-event-types"]
        self._closed = {"components": {"schemas": _closed(self._schemas)}}
        self._open = {"components": {"schemas": self._schemas}}
        self._validators: dict[str, Draft202012Validator] = {}
        self._operations = sorted(
            (
                _operation(path, method, entry)
                for path, entries in document["paths"].items()
                for method, entry in entries.items()
            ),
            key=lambda operation: operation.path.count("{"),
        )

    def find(self, method: str, path: str) -> tuple[Operation, tuple[str, ...]] | None:
        """The operation and the ids in its path; a literal path wins over one with a placeholder."""
        for operation in self._operations:
            match = operation.pattern.fullmatch(path) if operation.method == method else None
            if match:
                return operation, match.groups()
        return None

    def read_params(self, operation: Operation, form: str) -> tuple[JsonObject, list[Problem]]:
        """Parameters of a form body or query string in the types the contract gives them, and what is wrong.

        :raises MalformedForm: when names contradict each other.
        """
        params = self._coerce(_nest(parse_qsl(form, keep_blank_values=True)), operation.params)
        return params, self._problems(params, operation.params, closed=False)

    def answer_problems(self, operation: Operation, answer: JsonObject) -> list[Problem]:
        return self._problems(answer, operation.answer, closed=True)

    def error_problems(self, answer: JsonObject) -> list[Problem]:
        return self._problems(answer["error"], _ref("setup_intent.LastSetupError"), closed=True)

    def object_problems(self, kind: str, document: JsonObject) -> list[Problem]:
        return self._problems(document, _ref(kind), closed=True)

    def event_problems(self, event: JsonObject) -> list[Problem]:
        kind = self._event_objects.get(event["type"])
        if kind is None:
            return [Problem("type", f"{event['type']!r} is no event type of the contract")]
        return self.object_problems("event", event) + self.object_problems(kind, event["data"]["object"])

    def _problems(self, document: object, schema: JsonObject, *, closed: bool) -> list[Problem]:
        key = f"{closed}{json.dumps(schema, sort_keys=True)}"
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, **(self._closed if closed else self._open)})
        return [_problem(error) for error in self._validators[key].iter_errors(document)]

    def _coerce(self, value: Any, schema: JsonObject) -> Any:
        """*value* as *schema* means it: a form knows only strings and nested names."""
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            return self._coerce_any(value, schema["anyOf"])
        kind = schema.get("type")
        if isinstance(value, str):
            return _coerce_text(value, kind)
        if kind == "array" and isinstance(value, dict) and all(name.isdigit() for name in value):
            return [self._coerce(value[name], schema["items"]) for name in sorted(value, key=int)]
        if kind == "object" and isinstance(value, dict):
            known, rest = schema.get("properties", {}), schema.get("additionalProperties")
            return {
                name: self._coerce(item, known.get(name, rest if isinstance(rest, dict) else {}))
                for name, item in value.items()
            }
        return value

    def _coerce_any(self, value: Any, schemas: list[JsonObject]) -> Any:
        candidates = [(self._coerce(value, schema), schema) for schema in schemas]
        for candidate, schema in candidates:
            if not self._problems(candidate, schema, closed=False):
                return candidate
        # None fits: keep the reading with the most structure, because it gives the clearest message.
        return next((candidate for candidate, _ in candidates if not isinstance(candidate, str)), value)


@cache
def shared_contract() -> Contract:
    """The one that all twins of a process read: validators take longer to build than most tests."""
    return Contract()


def _operation(path: str, method: str, entry: JsonObject) -> Operation:
    body = entry.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    return Operation(
        name=entry["operationId"],
        method=method.upper(),
        path=path,
        pattern=re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", path)),
        params=body.get("schema") or entry.get("x-query") or NO_PARAMETERS,
        answer=entry["responses"]["200"]["content"]["application/json"]["schema"],
    )


def _closed(schemas: dict[str, JsonObject]) -> dict[str, JsonObject]:
    """The schemas with no unknown properties: the twin must not answer a field that Stripe does not have."""
    closed = copy.deepcopy(schemas)
    for name, schema in closed.items():
        if "properties" in schema and not schema.get("x-stub") and name != "event":
            schema.setdefault("additionalProperties", False)
    return closed


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _nest(pairs: list[tuple[str, str]]) -> JsonObject:
    """``a[b][0]=x`` as nested dictionaries with string keys; ``a[]=x`` counts upwards."""
    root: JsonObject = {}
    for name, value in pairs:
        parts = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        node = root
        for part in parts[:-1]:
            child = node.setdefault(part or str(len(node)), {})
            if not isinstance(child, dict):
                raise MalformedForm(f"{name} is used both as a value and as a hash")
            node = child
        last = parts[-1] or str(len(node))
        if isinstance(node.get(last), dict):
            raise MalformedForm(f"{name} is used both as a value and as a hash")
        node[last] = value
    return root


def _coerce_text(value: str, kind: str | None) -> Any:
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return float(value)
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    if kind == "array" and not value:
        return []
    return value


def _problem(error: ValidationError) -> Problem:
    """The most telling leaf of an error: alternatives are followed where the document went deepest."""
    while error.context:
        error = min(error.context, key=lambda leaf: (-len(leaf.absolute_path), leaf.validator == "type"))
    path = _param_name([str(part) for part in error.absolute_path])
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        unknown = min(set(instance) - set(schema.get("properties", {})))
        return Problem(path, error.message[:200], unknown=_param_name([*map(str, error.absolute_path), unknown]))
    if error.validator == "required":
        needed: Any = error.validator_value
        absent = next(name for name in needed if name not in instance)
        return Problem(path, error.message[:200], required=_param_name([*map(str, error.absolute_path), absent]))
    return Problem(path, error.message[:200])


def _param_name(parts: list[str]) -> str:
    return parts[0] + "".join(f"[{part}]" for part in parts[1:]) if parts else ""
