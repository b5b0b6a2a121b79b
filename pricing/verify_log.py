"""Verify entries of the public log of price books: one file, Python 3.11 and `cryptography`, nothing else.

    python verify_log.py log.json --keys tarifa-keys.json

The log is what `GET /api/v1/price-books` answered, or one entry of it, as `GET /api/v1/price-books/current` did. The
keys are those of the issuer's `/.well-known/tarifa-keys.json`, taken from its own address. Exit code: 0 when every
entry is signed and the numbers follow each other, 1 when not, 2 when a file cannot be read.
"""

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PURPOSE: Final = "publication"
BROKEN: Final = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a mangled log or key set can raise."""


def findings(log: dict[str, Any], keys: dict[str, Any]) -> list[str]:
    """What is wrong with the entries; nothing, when each is signed and says what was signed."""
    entries = log.get("publications", [log])
    found = [f"Entry {entry['number']}: {said}" for entry in entries if (said := _fault(entry, keys))]
    numbers = [entry["number"] for entry in entries]
    if numbers != list(range(numbers[0], numbers[0] - len(numbers), -1) if numbers else []):
        found.append("The numbers of the entries do not follow each other.")
    return found


def _fault(entry: dict[str, Any], keys: dict[str, Any]) -> str | None:
    public = [key for key in keys["keys"] if key["id"] == entry["key_id"] and key["purpose"] == PURPOSE]
    if len(public) != 1:
        return f"the keys given hold no single {entry['key_id']} for publications"
    signed = json.loads(entry["signed_text"])
    told = {"number": entry["number"], "root": entry["root"], "effective_at": _utc(entry["effective_at"])}
    if {**signed, "effective_at": _utc(signed["effective_at"])} != told:
        return "it says something else than what was signed"
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public[0]["public_key"], validate=True)).verify(
            base64.b64decode(entry["signature"], validate=True), entry["signed_text"].encode()
        )
    except InvalidSignature:
        return "it was changed after it was signed, or signed by another key"
    return None


def _utc(instant: str) -> str:
    return instant.replace("+00:00", "Z")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="verify_log", description="Verify entries of the log of price books.")
    parser.add_argument("log", type=Path)
    parser.add_argument("--keys", type=Path, required=True, help="the issuer's tarifa-keys.json, from its own address")
    options = parser.parse_args(arguments)
    try:
        log, keys = options.log.read_bytes(), options.keys.read_bytes()
    except OSError as refused:
        sys.stderr.write(f"{refused.filename}: {refused.strerror}\n")
        return 2
    try:
        found = findings(json.loads(log), json.loads(keys))
    except BROKEN as broken:
        found = [f"The files are not of the expected form: {type(broken).__name__} {broken}"]
    for sentence in found:
        sys.stdout.write(f"WRONG: {sentence}\n")
    if not found:
        sys.stdout.write("Checked: every entry is signed by the keys given\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
