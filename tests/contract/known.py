"""What schemathesis is told of the shop it asks, and what it writes down of each answer.

Made up from the document alone, nearly every id is unknown and every second call bears the name of another, so that
most answers are 404 and 409 and what lies behind them is never asked. Half of the questions that are right in form
therefore name what there is, and calls name themselves anew. Its program loads this file (fuzz.py), tests import it.
"""

import json
import os
import uuid
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.generation.meta import TestPhase

KNOWN_IN: Final = "FUZZ_KNOWN"
ANSWERS_IN: Final = "FUZZ_ANSWERS"
Known = dict[str, dict[str, str]]
KNOWN: Final[Known] = {"parameters": {}, "fields": {}, **json.loads(os.environ.get(KNOWN_IN, "{}"))}
"""Value by name: of `parameters` in addresses, and of `fields` in bodies."""
UNKNOWABLE: Final = ("cursor", "reader")
"""Parameters whose values only an answer gives: left out where the rest is known."""
CLOSING: Final = ("/discard", "/publication")
"""Calls after which nothing can be done with what they name: what is known is left open, as it is by DELETE."""
REPEATED_IN: Final = 8
"""One call in so many keeps the name it was made with."""
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
ENDPOINTS: Final = "/api/v1/webhook-endpoints"
ENDPOINTS_KEPT: Final = 4
_UNIQUE: Final = 16


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Name what there is. Nothing that was made wrong on purpose changes, nor what another answer named."""
    del context, kwargs
    _spell_out(case)
    # the same question is changed in the same way whenever it is asked: Hypothesis asks again what failed
    drawn = crc32(repr((case.operation.label, case.path_parameters, case.query, case.body)).encode())
    if _is_right(case, ParameterLocation.HEADER) and drawn % REPEATED_IN and IDEMPOTENCY_KEY in (case.headers or {}):
        case.headers[IDEMPOTENCY_KEY] = _unique(case.headers[IDEMPOTENCY_KEY])
    if drawn % 2 or not KNOWN["parameters"]:
        return
    if _is_right(case, ParameterLocation.BODY):
        _fill(case.body, KNOWN["fields"])
    if case.method == "DELETE" or case.path.endswith(CLOSING) or _phase(case) is TestPhase.STATEFUL:
        return
    if _is_right(case, ParameterLocation.PATH):
        _fill(case.path_parameters, KNOWN["parameters"])
    if _is_right(case, ParameterLocation.QUERY):
        _fill(case.query, KNOWN["parameters"])
        for name in UNKNOWABLE:
            case.query.pop(name, None)


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], response: Response) -> None:
    """Write down what was asked and answered, a line each; make room for the next webhook endpoint."""
    del context
    if path := os.environ.get(ANSWERS_IN):
        phase = _phase(case)
        line = [None if phase is None else phase.value, case.operation.label, response.status_code, response.elapsed]
        with Path(path).open("a") as answers:
            answers.write(json.dumps(line) + "\n")
    if case.operation.label == f"POST {ENDPOINTS}" and response.status_code in {201, 409}:
        _make_room(response.request)


def _spell_out(case: schemathesis.Case[Any]) -> None:
    """Send what was added to a query to make it wrong: None and empty lists are left out by the HTTP library, and what
    is left is right.
    """
    declared = {parameter.name for parameter in case.operation.query}
    for name, value in (case.query or {}).items():
        if name not in declared and not isinstance(value, str) and not value:
            case.query[name] = "nothing"


def _phase(case: schemathesis.Case[Any]) -> TestPhase | None:
    return None if case.meta is None else case.meta.phase.name


def _is_right(case: schemathesis.Case[Any], location: ParameterLocation) -> bool:
    component = None if case.meta is None else case.meta.components.get(location)
    return component is not None and component.mode.is_positive


def _fill(asked: Any, known: Mapping[str, str]) -> None:
    """Put known values in the place of others, at any depth."""
    if isinstance(asked, MutableMapping):
        for name, value in asked.items():
            if isinstance(value, str) and name in known:
                asked[name] = known[name]
            else:
                _fill(value, known)
    elif isinstance(asked, list):
        for each in asked:
            _fill(each, known)


def _unique(name: str) -> str:
    """A name as long as the given one that nobody used, or nearly so long."""
    return name[:-_UNIQUE] + uuid.uuid4().hex[:_UNIQUE]


def _make_room(asked: requests.PreparedRequest) -> None:
    """Delete old endpoints but for the first, which is known: a company has ten at most, and then none is made."""
    assert asked.url is not None
    address = asked.url.partition("?")[0]
    key = {"Authorization": asked.headers.get("Authorization", "")}
    standing = requests.get(address, headers=key, timeout=20).json().get("endpoints", [])
    spare = [each["id"] for each in standing if each["id"] != KNOWN["parameters"].get("endpoint_id")]
    for endpoint in spare[:-ENDPOINTS_KEPT]:
        requests.delete(f"{address}/{endpoint}", headers=key, timeout=20)
