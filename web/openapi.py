"""The OpenAPI document, generated from the code, and what changed in it since it was last released.

    python -m web.openapi write                 write openapi/openapi.json and openapi/CHANGELOG.md
    python -m web.openapi check                 fail when they are not what the code says, not valid, or break programs
    python -m web.openapi release 2026-12-01    keep today's document as what partners were given on that day

Litestar lists routes and parameters. What it says of Structs is replaced by msgspec's own schemas, which have the
discriminators, closed objects, item bounds and docstrings that Litestar's lack (#4575, #4048, #3398). What an operation
takes and gives stands in its handler's `opt`, put there by `web.api.describing.documented`.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag

from kernel.settings import Settings
from web import openapi_changes as changes
from web.api import hooks, wire
from web.api.describing import OPT
from web.api.document import COMMITTED
from web.api.repeats import LONGEST
from web.auth import API_PREFIX
from web.problems import PROBLEM_TYPE
from web.security import UNSAFE_METHODS

EXAMPLES: Final = COMMITTED.parent / "examples"
SCHEMAS: Final = "#/components/schemas/"
KEY: Final = "apiKey"
COUNTRY_CODE: Final = "CountryCode"
VERSION: Final = "1.1.0"
SUCCESSES: Final = {"200", "201", "202", "204", "206"}
EMPTY: Final = {"204", "304"}
ETAG: Final = {"type": "string", "maxLength": 66, "pattern": '^"[0-9a-f]{32}"$'}
Json = dict[str, Any]


def openapi_config() -> OpenAPIConfig:
    """What the document says of the API as a whole. Nothing is served by Litestar itself."""
    return OpenAPIConfig(
        title="Tarifa",
        version=VERSION,
        summary="Prices that are the same in every channel, with their reasons.",
        description="Prices, the price feed and orders, for partners' programs, and the finance desk for the house's "
        "own. Every error is a problem document (RFC 9457) whose `type` leads to a page that explains it.",
        servers=[Server(url="/", description="This installation")],
        tags=[
            Tag(name="prices", description="What a buyer pays and why, from the price book in force."),
            Tag(name="orders", description="What the key's company ordered, and ordering by a framework agreement."),
            Tag(name="desk", description="The finance desk: drafts, reviews, publications. With a key of staff alone."),
            Tag(name="webhooks", description="Where your company is told of what happens, and what it was told."),
            Tag(name="health", description="For whoever runs the installation."),
        ],
        components=Components(
            security_schemes={
                KEY: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="trf_...",
                    description="An API key, made by an admin of your company: `Authorization: Bearer trf_...`.",
                )
            }
        ),
        use_handler_docstrings=True,
        render_plugins=(),
    )


def document() -> Json:
    """Generate the document. It needs neither a database nor any setting."""
    from web.app import create_app
    from web.services import build

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment({"VAR": folder, "DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing"})
        app = create_app(build(settings), background=False, describe=True)
        described: Json = app.openapi_schema.to_schema()
    handlers = {
        (route.path_format, method.lower()): handler
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler)
        for method in handler.http_methods
    }
    types: list[Any] = [wire.ProblemDocument]
    examples = read_examples()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            about = handlers[path, method].opt[OPT]
            types += [each for each in (about["answer"], about["body"]) if each is not None]
            if path.startswith(API_PREFIX):
                _add_conventions(operation, about, unsafe=method.upper() in UNSAFE_METHODS)
            _complete(operation, about, examples.get(operation["operationId"], []))
    described["paths"] = dict(sorted(described["paths"].items()))
    described["webhooks"] = hooks.described(SCHEMAS)
    types += hooks.types()
    _, schemas = msgspec.json.schema_components(types, ref_template=SCHEMAS + "{name}")
    schemas[COUNTRY_CODE] = {"type": "string", "description": "ISO 3166-1 alpha-2 code.", "enum": wire.COUNTRIES}
    described["components"]["schemas"] = dict(sorted(schemas.items()))
    shared: Json = _tidy(described)
    return shared


def document_bytes() -> bytes:
    """The committed form: the same bytes for the same code."""
    return json.dumps(document(), indent=2, ensure_ascii=False).encode() + b"\n"


def read_examples() -> dict[str, list[tuple[str, Json]]]:
    """The committed examples by operation, each with its name; a test executes every one."""
    found: dict[str, list[tuple[str, Json]]] = {}
    for path in sorted(EXAMPLES.glob("*.json")):
        example = json.loads(path.read_text())
        found.setdefault(example["operation"], []).append((path.stem, example))
    return found


# --- What Litestar leaves out ---


def _add_conventions(operation: Json, about: Json, *, unsafe: bool) -> None:
    """What holds of every call: how many are left, and that an unsafe one may be repeated under its name."""
    operation["responses"]["429"] = {"description": "There were too many requests. Wait `Retry-After` seconds."}
    if unsafe and about["upload"]:
        operation["responses"]["409"] = {"description": "The state of things does not allow it now."}
    elif unsafe and about["key"] != "none":
        operation["responses"]["409"] = {
            "description": "The state of things does not allow it now; or the `Idempotency-Key` names another call, or "
            "this one, which is still being worked on."
        }
        name = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]([ -~]*[!-~])?$"}
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A name for this call: sent again under it within a day, it is done once and answered "
                "the same." + ("" if about["named"] else " Without an API key it is ignored."),
                "required": about["named"],
                "schema": name,
            }
        )


def _complete(operation: Json, about: Json, examples: list[tuple[str, Json]]) -> None:
    operation.pop("deprecated", None)
    deprecation = about["deprecation"]
    if deprecation is not None:
        operation["deprecated"] = True
        operation["description"] += f" Deprecated since {deprecation.since}; it stops on {deprecation.stops}."
    operation["description"] = " ".join(operation["description"].split())
    if about["key"] != "none":
        operation["security"] = [{KEY: []}] if about["key"] == "needed" else [{}, {KEY: []}]
    parameters = [_parameter(each) for each in operation.get("parameters", [])]
    if about["query"] is not None:
        parameters += _query(about["query"])
    if about["cached"]:
        parameters.append(_header("If-None-Match", "Entity tags of copies you have: 304 when one of them is right."))
    if about["ranged"]:
        parameters.append(_header("Range", "The part wanted, `bytes=FIRST-LAST`; for a file that is made already."))
        parameters.append(_header("If-Range", "Entity tag of the copy that the part continues; 200 if another."))
    if about["conditional"]:
        parameters.append(_header("If-Match", "Entity tag of what you saw: 412 when it is something else by now."))
        parameters.append(_header("If-None-Match", "`*`: there was nothing; 412 when there is something by now."))
    if parameters:
        operation["parameters"] = parameters
    if about["upload"]:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
        }
    if about["body"] is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _reference(about["body"]),
                    "examples": _shown((name, example["body"]) for name, example in examples if _succeeds(example)),
                }
            },
        }
    operation["responses"] = {
        status: _response(status, answer, about, examples) for status, answer in sorted(operation["responses"].items())
    }


def _response(status: str, answer: Json, about: Json, examples: list[tuple[str, Json]]) -> Json:
    made: Json = {"description": answer["description"]}
    headers = _headers(status, about)
    if headers:
        made["headers"] = headers
    if status in EMPTY:
        return made
    if status not in SUCCESSES:
        media_type, schema = PROBLEM_TYPE, _reference(wire.ProblemDocument)
    elif about["answer"] is None:
        media_type, schema = about["media_type"], {"type": "string"}
    else:
        media_type, schema = about["media_type"], _reference(about["answer"])
    content: Json = {"schema": schema}
    shown = _shown(
        (name, example["answer"])
        for name, example in examples
        if str(example["status"]) == status and "answer" in example
    )
    if shown:
        content["examples"] = shown
    made["content"] = {media_type: content}
    if status in {"200", "201", "202"} and about["links"]:
        made["links"] = {
            operation: {"operationId": operation, "parameters": dict(parameters)}
            for operation, parameters in about["links"].items()
        }
    return made


def _headers(status: str, about: Json) -> Json:
    headers: Json = {}
    if about["key"] != "none" and status in {*SUCCESSES, "304", "429"}:
        headers["RateLimit-Policy"] = _text_header('Requests agreed in a minute, such as `"requests";q=1200;w=60`.')
        headers["RateLimit"] = _text_header('Requests left, and seconds until all are again: `"requests";r=9;t=5`.')
    if about["deprecation"] is not None and status in {"200", "201", "206", "304"}:
        headers["Deprecation"] = _text_header("Since when it is deprecated, as `@` and Unix seconds (RFC 9745).")
        headers["Sunset"] = _text_header("When it stops (RFC 8594).")
    if (about["cached"] or about["conditional"]) and status in {"200", "206", "304"}:
        headers["ETag"] = {"description": "Strong: the same tag, the same bytes.", "schema": ETAG}
    if about["answer"] is None and about["ranged"] and status in {"200", "206", "304"}:
        headers |= {
            "Tarifa-Price-Root": {
                "description": "The price book's root.",
                "schema": {"type": "string", "maxLength": 71, "pattern": wire.ROOT},
            },
            "Tarifa-Feed-At": {
                "description": "The feed's instant, to ask for changes since.",
                "schema": {"type": "string", "maxLength": 27},
            },
            "Tarifa-Feed-Reader": {
                "description": "Names what else the rows hang on, to ask for changes since.",
                "schema": {"type": "string", "maxLength": 32},
            },
        }
    if status in {"206", "416"}:
        headers["Content-Range"] = {
            "description": "Which bytes of how many.",
            "schema": {"type": "string", "maxLength": 100},
        }
    if status == "201":
        headers["Location"] = {"description": "Where it stands.", "schema": {"type": "string", "maxLength": 200}}
    if status == "401":
        headers["WWW-Authenticate"] = {"description": "`Bearer`.", "schema": {"type": "string", "maxLength": 100}}
    if status in {"429", "503"}:
        headers["Retry-After"] = {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 86400},
        }
    return headers


def _text_header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string", "maxLength": 100}}


def _parameter(parameter: Json) -> Json:
    schema = {key: value for key, value in parameter["schema"].items() if key != "description"}
    return {**{key: parameter[key] for key in ("name", "in", "description", "required")}, "schema": schema}


def _query(of: type) -> list[Json]:
    """The members of a Struct as parameters."""
    schema = msgspec.json.schema_components([of])[1][of.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "description": member["description"],
            "required": name in schema["required"],
            "schema": {key: value for key, value in member.items() if key != "description"},
        }
        for name, member in schema["properties"].items()
    ]


def _header(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "required": False,
        "schema": {"type": "string", "maxLength": 1000, "pattern": "^[ -~]*$"},
    }


def _reference(of: type) -> Json:
    return {"$ref": SCHEMAS + of.__name__}


def _shown(examples: Iterator[tuple[str, Any]]) -> Json:
    return {name: {"value": value} for name, value in examples}


def _succeeds(example: Json) -> bool:
    return str(example["status"]) in SUCCESSES


def _tidy(node: Any) -> Any:
    """The long list of countries once and references to it; docstrings without their line breaks."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("enum") == wire.COUNTRIES and "minLength" in node:
        return {"$ref": SCHEMAS + COUNTRY_CODE}
    return {
        key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _tidy(value)
        for key, value in node.items()
    }


# --- Checks ---


def faults(found: Json) -> list[str]:
    """Say what is wrong with a document: its validity, our own rules, its examples."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    said = [
        f"{'/'.join(map(str, error.path))}: {error.message}" for error in OpenAPIV31SpecValidator(found).iter_errors()
    ]
    tags = {tag["name"] for tag in found.get("tags", [])}
    ids: list[str] = []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            ids.append(operation.get("operationId", ""))
            said += [f"{name}: {fault}" for fault in _operation_faults(operation, found, tags)]
    for hook, methods in found.get("webhooks", {}).items():
        for operation in methods.values():
            ids.append(operation.get("operationId", ""))
            said += [f"webhook {hook}: {fault}" for fault in _hook_faults(operation, found, tags)]
    said += [
        f"the operationId {each!r} stands twice or is missing"
        for each in sorted({each for each in ids if not each or ids.count(each) > 1})
    ]
    text = json.dumps(found)
    said += [
        f"the schema {name} is used nowhere"
        for name in found["components"]["schemas"]
        if f'"{SCHEMAS}{name}"' not in text
    ]
    return said


def _hook_faults(operation: Json, found: Json, tags: set[str]) -> Iterator[str]:
    yield from _text_faults(operation, tags)
    for content in operation["requestBody"]["content"].values():
        yield from _example_faults(content, found, "the body")
        if not content.get("examples"):
            yield "its body has no example"


def _text_faults(operation: Json, tags: set[str]) -> Iterator[str]:
    for member in ("summary", "description", "operationId"):
        if not operation.get(member):
            yield f"has no {member}"
    if not operation.get("tags") or set(operation["tags"]) - tags:
        yield "has no tag, or one that is not described"


def _operation_faults(operation: Json, found: Json, tags: set[str]) -> Iterator[str]:
    yield from _text_faults(operation, tags)
    yield from _response_faults(operation["responses"], found)
    for parameter in operation.get("parameters", []):
        if not parameter.get("description"):
            yield f"parameter {parameter['name']} has no description"
        yield from _unbounded(parameter["schema"], found, f"parameter {parameter['name']}", set())
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type == "application/octet-stream":
            continue  # a file: how large it may be is the installation's to say
        yield from _unbounded(content["schema"], found, "the body", set())
        yield from _example_faults(content, found, "the body")
        if not content.get("examples"):
            yield "its body has no example"


def _response_faults(responses: Json, found: Json) -> Iterator[str]:
    if not any(status.startswith("2") for status in responses):
        yield "documents no success"
    if not any(status.startswith(("4", "5")) for status in responses):
        yield "documents no error"
    for status, response in responses.items():
        if not status.isdigit():
            yield f"documents {status}: name every status"
        if status >= "400" and list(response.get("content", {})) != [PROBLEM_TYPE]:
            yield f"answers {status} with something else than a problem document"
        for content in response.get("content", {}).values():
            yield from _example_faults(content, found, f"the {status} answer")


def _example_faults(content: Json, found: Json, where: str) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator({**content["schema"], "components": found["components"]})
    for name, example in content.get("examples", {}).items():
        for error in validator.iter_errors(example["value"]):
            yield f"example {name} of {where} is not valid at {error.json_path}: {error.message[:200]}"


def _unbounded(schema: Json, found: Json, where: str, seen: set[str]) -> Iterator[str]:
    """What a client may send without end."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(SCHEMAS)
        if name not in seen:
            yield from _unbounded(found["components"]["schemas"][name], found, f"{where} ({name})", seen | {name})
        return
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {"maxLength", "enum", "const"}:
        yield f"{where}: a string without maxLength"
    if kind in {"integer", "number"} and not {"minimum", "maximum"} <= schema.keys():
        yield f"{where}: a number without bounds"
    if kind == "array" and "maxItems" not in schema:
        yield f"{where}: an array without maxItems"
    if kind == "object" and schema.get("additionalProperties") is not False:
        yield f"{where}: an object that takes unknown members"
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _unbounded(part, found, where, seen)
    if "items" in schema:
        yield from _unbounded(schema["items"], found, f"{where}[]", seen)
    for member, part in schema.get("properties", {}).items():
        yield from _unbounded(part, found, f"{where}.{member}", seen)


def main(arguments: Sequence[str]) -> int:
    """Write the document, release it, or say what is wrong with the committed one. Exit code 1: that is; 2: misuse."""
    match arguments:
        case ["write"]:
            COMMITTED.parent.mkdir(exist_ok=True)
            COMMITTED.write_bytes(document_bytes())
            changes.CHANGELOG.write_text(changes.changelog(document(), changes.read_releases()))
            return 0
        case ["check"]:
            said = _check()
        case ["release", on] if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", on):
            said = _check() or changes.release(document_bytes(), VERSION, on)
            changes.CHANGELOG.write_text(changes.changelog(document(), changes.read_releases()))
        case _:
            sys.stderr.write("usage: python -m web.openapi write | check | release YYYY-MM-DD\n")
            return 2
    sys.stderr.writelines(f"{sentence}\n" for sentence in said)
    return 1 if said else 0


def _check() -> list[str]:
    made, releases = document_bytes(), changes.read_releases()
    current = json.loads(made)
    said = faults(current)
    if not COMMITTED.exists() or COMMITTED.read_bytes() != made:
        said.append(
            "openapi/openapi.json is not what the code says: run `make openapi`, look at the difference, commit it"
        )
    said += changes.faults(current, releases)
    if not changes.CHANGELOG.exists() or changes.CHANGELOG.read_text() != changes.changelog(current, releases):
        said.append("openapi/CHANGELOG.md is not what changed: run `make openapi`, read it, commit it")
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
