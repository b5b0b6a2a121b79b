"""Verify a receipt without its issuer: one file, Python 3.11 and `cryptography`, nothing else.

    python verify.py receipt.json --key ISSUER_LEDGER_KEY

The key is the issuer's ledger key (base64 of 32 bytes), obtained from somewhere else than the receipt: a receipt cannot
vouch for its own keys. Each check is printed as passed, failed or skipped. Exit code: 0 when all checks passed (erased
personal values are skipped), 1 when one failed, 2 when nothing failed but the key was not given.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT_TYPE: Final = "tarifa.receipt.v1"
PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
MEMBERS: Final = {
    *("type", "issuer", "proves", "does_not_prove", "acceptance", "presentation", "order", "documents", "openings"),
    *("inclusion", "chain", "checkpoint", "keys", "seal"),
}
BROKEN: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
"""What reading a mangled receipt can raise: a failed check, never a crash."""


@dataclass(frozen=True)
class Check:
    name: str
    outcome: str
    """`passed`, `failed` or `skipped`."""
    detail: str


class Failed(Exception):
    """A check does not hold; the message says how."""


class Skipped(Exception):
    """A check cannot be made; the message says why."""


def verify_receipt(receipt: bytes | dict[str, Any], key: bytes | str | None = None) -> tuple[Check, ...]:
    """Every check in order. *key* is the issuer's ledger key, raw or in base64, from a source the reader trusts."""
    document: Any = receipt
    if isinstance(receipt, bytes):
        try:
            document = json.loads(receipt, parse_constant=_no_constant)
        except (ValueError, RecursionError) as broken:
            return (Check("format", FAILED, f"not JSON: {broken}"),)
    if not isinstance(document, dict) or document.get("type") != RECEIPT_TYPE or set(document) != MEMBERS:
        return (Check("format", FAILED, f"not a {RECEIPT_TYPE}"),)
    checks = [Check("format", PASSED, RECEIPT_TYPE)]
    for name, check in _checks(receipt, document, key):
        try:
            checks.append(Check(name, PASSED, check()))
        except Failed as failed:
            checks.append(Check(name, FAILED, str(failed)))
        except Skipped as skipped:
            checks.append(Check(name, SKIPPED, str(skipped)))
        except BROKEN as broken:
            checks.append(Check(name, FAILED, f"unreadable: {type(broken).__name__} {broken}"))
    return tuple(checks)


def exit_code(checks: tuple[Check, ...]) -> int:
    """0 all held, 1 one failed, 2 the issuer's key is missing."""
    if any(check.outcome == FAILED for check in checks):
        return 1
    return 2 if any(check.name == "key" and check.outcome == SKIPPED for check in checks) else 0


def _checks(
    receipt: bytes | dict[str, Any], document: dict[str, Any], key: bytes | str | None
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "canonical", lambda: _canonical_bytes(receipt, document)
    yield "key", lambda: _key(document, key)
    yield "seal", lambda: _seal(document)
    yield "presentation signature", lambda: _presentation_signature(document)
    yield "presentation digest", lambda: _presentation_digest(document)
    yield "order digest", lambda: _order_digest(document)
    yield "documents", lambda: _documents(document)
    yield "statements", lambda: _statements(document)
    yield "time", lambda: _time(document)
    committed = _commitments(document)
    openings = document["openings"] if isinstance(document["openings"], dict) else {}
    for field in sorted({*committed, *openings}):
        yield f"opening {field}", partial(_opening, field, committed, openings)
    yield "inclusion", lambda: _inclusion(document)
    yield "chain", lambda: _chain(document)
    yield "checkpoint", lambda: _checkpoint(document)


def _canonical_bytes(receipt: bytes | dict[str, Any], document: dict[str, Any]) -> str:
    if not isinstance(receipt, bytes):
        raise Skipped("given as values, not as bytes")
    _hold(receipt == canonical(document), "the file is not the canonical JSON of what it says")
    return "the file is canonical JSON (RFC 8785)"


def _key(document: dict[str, Any], key: bytes | str | None) -> str:
    if key is None:
        raise Skipped("no key given: a receipt cannot vouch for its own keys")
    raw = key if isinstance(key, bytes) else base64.b64decode(key, validate=True)
    _hold(_ledger_key(document, document["seal"]["key_id"]) == raw, "sealed with another key than the one given")
    return "sealed with the key given"


def _seal(document: dict[str, Any]) -> str:
    unsealed = {name: value for name, value in document.items() if name != "seal"}
    seal = document["seal"]
    _hold(set(seal) == {"key_id", "signature"}, "the seal has unknown members")
    _verify(_ledger_key(document, seal["key_id"]), seal["signature"], canonical(unsealed), "the seal")
    return f"every member sealed by {seal['key_id']}"


def _presentation_signature(document: dict[str, Any]) -> str:
    signature = document["presentation"]["signature"]
    key = _public_key(document, signature["key_id"], "presentation")
    _verify(key, signature["signature"], canonical(document["presentation"]["content"]), "the presentation")
    return f"issued under {signature['key_id']}"


def _presentation_digest(document: dict[str, Any]) -> str:
    content, acceptance = document["presentation"]["content"], document["acceptance"]
    _hold(digest(content) == acceptance["presentation_digest"], "the ledger row names another presentation")
    _hold(
        all(content[name] == acceptance[name] for name in ("presentation_id", "checkout_id", "company_id")),
        "presentation and ledger row name different presentations, checkouts or companies",
    )
    return str(acceptance["presentation_digest"])


def _order_digest(document: dict[str, Any]) -> str:
    found = digest(document["order"])
    _hold(found == document["acceptance"]["order_digest"], "the ledger row names another order")
    _hold(found == document["presentation"]["content"]["order_digest"], "another order was presented")
    return found


def _documents(document: dict[str, Any]) -> str:
    presented = document["presentation"]["content"]["documents"]
    _hold(presented == document["acceptance"]["documents"], "the ledger row names other documents than were presented")
    _hold(len(presented) == len(document["documents"]), "a document's text is missing or too many")
    for named, text in zip(presented, document["documents"], strict=True):
        label = f"{named['code']} v{named['label']} ({named['locale']})"
        _hold(
            all(named[member] == text[member] for member in ("code", "label", "locale", "title")),
            f"{label}: the text belongs to another document",
        )
        _hold(sha256(text["source_markdown"].encode()) == named["source_sha256"], f"{label}: the source differs")
        _hold(sha256(text["rendered_html"].encode()) == named["html_sha256"], f"{label}: the page differs")
    return ", ".join(f"{named['title']} v{named['label']}" for named in presented)


def _statements(document: dict[str, Any]) -> str:
    content, ticked = document["presentation"]["content"], document["acceptance"]["ticked"]
    boxes = {statement["id"]: statement for statement in content["statements"] if statement["box"]}
    missing = [name for name, statement in boxes.items() if statement["required"] and name not in ticked]
    _hold(not missing, f"boxes not ticked: {', '.join(missing)}")
    _hold(set(ticked) <= set(boxes), "a box was ticked that was not shown")
    agree = boxes["agree"]["text"]
    _hold(content["button_label"] in agree, "the sentence does not quote the button")
    _hold(content["company_name"] in agree, "the sentence does not name the company")
    for named in content["documents"]:
        quoted = f"{named['title']} v{named['label']}"
        _hold(named["kind"] != "agree" or quoted in agree, f"the sentence does not name {quoted}")
    for statement in content["statements"]:
        joined = "".join(segment["text"] for segment in statement["segments"])
        _hold(joined == statement["text"], f"the sentence {statement['id']!r} and its pieces differ")
    return f"ticked: {', '.join(ticked)}"


def _time(document: dict[str, Any]) -> str:
    content, recorded = document["presentation"]["content"], document["acceptance"]["recorded_at"]
    issued, at, expires = (
        datetime.fromisoformat(text) for text in (content["issued_at"], recorded, content["expires_at"])
    )
    _hold(issued <= at < expires, "recorded outside the presentation's life")
    return f"recorded {recorded}, by the issuer's clock"


def _commitments(document: dict[str, Any]) -> dict[str, str]:
    try:
        order = {f"order.{field}": value for field, value in document["order"]["personal"].items()}
        return {**order, **document["acceptance"]["commitments"]}
    except BROKEN:
        return {}


def _opening(field: str, committed: dict[str, str], openings: dict[str, Any]) -> str:
    if field not in openings:
        raise Skipped("not disclosed, or erased since")
    _hold(field in committed, "opens a commitment that was never made")
    opening = openings[field]
    _hold(digest({"salt": opening["salt"], "value": opening["value"]}) == committed[field], "another value was given")
    return str(opening["value"])


def _inclusion(document: dict[str, Any]) -> str:
    inclusion, acceptance = document["inclusion"], document["acceptance"]
    index, size = inclusion["index"], inclusion["size"]
    _hold(index == acceptance["seq"], "the proof is for another leaf")
    noted_size, noted_root, _ = _note(document)
    _hold(size == noted_size, "the proof is for a tree of another size than the checkpoint's")
    proof = [_hash(node) for node in inclusion["proof"]]
    _hold(
        _root_from(leaf_hash(canonical(acceptance)), index, size, proof) == noted_root,
        "the row is not in the checkpoint's tree",
    )
    return f"leaf {index} of {size}"


def _chain(document: dict[str, Any]) -> str:
    chain, leaf = document["chain"], leaf_hash(canonical(document["acceptance"]))
    expected = hashlib.sha256(_hash(chain["previous_hash"]) + leaf).digest()
    _hold(expected == _hash(chain["chain_hash"]), "the row does not follow the row before it")
    return str(chain["chain_hash"])


def _checkpoint(document: dict[str, Any]) -> str:
    size, root, signatures = _note(document)
    body = document["checkpoint"].rpartition("\n\n")[0] + "\n"
    origin = body.partition("\n")[0]
    for key in document["keys"]:
        if key["purpose"] != "ledger":
            continue
        public = base64.b64decode(key["public_key"], validate=True)
        for name, signature in signatures:
            if name == origin and signature[:4] == note_key_hash(origin, public):
                _verify(public, base64.b64encode(signature[4:]).decode(), body.encode(), "the checkpoint")
                return f"{origin}, {size} rows, root {root.hex()}"
    raise Failed("signed by no ledger key of the receipt")


def _note(document: dict[str, Any]) -> tuple[int, bytes, list[tuple[str, bytes]]]:
    """Size, root and signatures of the checkpoint, a C2SP signed note."""
    body, _, tail = document["checkpoint"].rpartition("\n\n")
    _, size, root = body.split("\n")
    signatures = []
    for line in tail.splitlines():
        dash, name, signature = line.split(" ")
        _hold(dash == "\N{EM DASH}", "a line is no signature")
        signatures.append((name, base64.b64decode(signature, validate=True)))
    _hold(size == str(int(size)), "the size is not written plainly")
    return int(size), base64.b64decode(root, validate=True), signatures


def _root_from(node: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.3.2."""
    _hold(0 <= index < size, "the leaf lies outside the tree")
    last = size - 1
    for other in proof:
        _hold(last > 0, "the proof is too long")
        if index % 2 or index == last:
            node = hashlib.sha256(b"\x01" + other + node).digest()
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + other).digest()
        index, last = index >> 1, last >> 1
    _hold(last == 0, "the proof is too short")
    return node


def _ledger_key(document: dict[str, Any], key_id: str) -> bytes:
    return _public_key(document, key_id, "ledger")


def _public_key(document: dict[str, Any], key_id: str, purpose: str) -> bytes:
    found = [key for key in document["keys"] if key["id"] == key_id and key["purpose"] == purpose]
    _hold(len(found) == 1, f"the receipt has no {purpose} key {key_id}")
    return base64.b64decode(found[0]["public_key"], validate=True)


def _verify(public_key: bytes, signature: str, message: bytes, what: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(signature, validate=True), message)
    except InvalidSignature:
        raise Failed(f"{what} was changed after it was signed, or signed by another key") from None


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def _hash(text: str) -> bytes:
    raw = bytes.fromhex(text)
    _hold(len(raw) == 32 and raw.hex() == text, "a hash is not 64 lower-case hexadecimal digits")
    return raw


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def canonical(value: Any) -> bytes:
    """RFC 8785 for strings, whole numbers, booleans, null, arrays and objects, which is all that receipts hold."""
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda name: name.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if isinstance(value, float):
        raise ValueError("a receipt holds no fractions")  # noqa: TRY004 - a wrong value of a readable JSON type
    return value


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest(value: Any) -> str:
    return sha256(canonical(value))


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def note_key_hash(name: str, public_key: bytes) -> bytes:
    """The four bytes by which a C2SP signed note names an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Verify a receipt of an accepted order, offline.")
    parser.add_argument("receipt", type=Path)
    parser.add_argument("--key", help="the issuer's ledger key in base64, from a source you trust")
    options = parser.parse_args(arguments)
    try:
        content = options.receipt.read_bytes()
    except OSError as refused:
        sys.stderr.write(f"{options.receipt}: {refused.strerror}\n")
        return 1
    checks = verify_receipt(content, options.key)
    for check in checks:
        sys.stdout.write(f"{check.outcome:8} {check.name}: {check.detail}\n")
    return exit_code(checks)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
