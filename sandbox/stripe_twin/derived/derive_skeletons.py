"""Writes skeletons.json: the least valid object of every kind, from contract.json alone.

Run it again after contract.json changed: ``python -m sandbox.stripe_twin.derived.derive_skeletons``.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
JsonObject = dict[str, Any]


def main() -> None:
    skeletons = derive(json.loads((FOLDER / "contract.json").read_text(encoding="utf-8")))
    (FOLDER / "skeletons.json").write_text(json.dumps(skeletons, separators=(",", ":")), encoding="utf-8")
    print(f"{len(skeletons)} skeletons")


def derive(contract: JsonObject) -> dict[str, JsonObject]:
    schemas: dict[str, JsonObject] = contract["components"]["schemas"]
    named_by_object = {name for name, schema in schemas.items() if _is_object_of_the_api(name, schema)}
    kinds = sorted(named_by_object | set(contract["x-event-types"].values()))
    return {kind: _least(schemas[kind], schemas) for kind in kinds}


def _is_object_of_the_api(name: str, schema: JsonObject) -> bool:
    kind = schema.get("properties", {}).get("object", {})
    return not schema.get("x-stub") and kind.get("enum") == [name]


def _least(schema: JsonObject, schemas: dict[str, JsonObject]) -> Any:
    """The least value of *schema*: null where that is allowed, else the first, the empty or the zero one."""
    if "$ref" in schema:
        return _least(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        nullable = any(alternative.get("type") == "null" for alternative in schema["anyOf"])
        return None if nullable else _least(schema["anyOf"][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case list() | "null":
            return None  # a list of types is always one type and null
        case "string":
            return "0" if schema.get("format") == "decimal" else "x"
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "array":
            return []
        case _:
            return {name: _least(schema["properties"][name], schemas) for name in schema.get("required", [])}


if __name__ == "__main__":
    main()
