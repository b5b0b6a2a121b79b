"""Check what several people signed: `python -m agreements.verify_package evidence.json [KEY]`.

Needs `verify.py` beside it, the standard library and `cryptography`. KEY is the ledger's public key in base64, from a
source you trust; without it nothing says whose evidence it is. Exit 0: all held; 1: one failed; 2: no key was given.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from agreements.verify import (
    BROKEN,
    FAILED,
    PASSED,
    Check,
    Keys,
    _canonical_bytes,
    _chain,
    _checkpoint,
    _hold,
    _inclusion,
    _key,
    _made,
    _opening,
    _public_key,
    _seal,
    _verify,
    canonical,
    digest,
    exit_code,
    sha256,
)

EVIDENCE_TYPE: Final = "tarifa.package-evidence.v1"
MEMBERS: Final = {
    *("type", "issuer", "package", "order", "documents", "leaves", "checkpoint", "keys", "seal"),
}
SIGNATURE: Final = "package_signature"
EXECUTION: Final = "package"
SIGNING_ROLES: Final = {"buyer_signatory", "approver", "counter_signer"}


def verify_package(evidence: bytes, key: Keys = None) -> tuple[Check, ...]:
    """Every check in order."""
    try:
        document: Any = json.loads(evidence)
    except (ValueError, RecursionError) as broken:
        return (Check("format", FAILED, f"not JSON: {broken}"),)
    if not isinstance(document, dict) or document.get("type") != EVIDENCE_TYPE or set(document) != MEMBERS:
        return (Check("format", FAILED, f"not a {EVIDENCE_TYPE}"),)
    return (Check("format", PASSED, EVIDENCE_TYPE), *_made(_checks(evidence, document, key)))


def _checks(evidence: bytes, document: dict[str, Any], key: Keys) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "canonical", lambda: _canonical_bytes(evidence, document)
    yield "key", lambda: _key(document, key)
    yield "seal", lambda: _seal(document)
    yield "package signature", lambda: _package_signature(document)
    yield "package digest", lambda: _package_digest(document)
    yield "order digest", lambda: _order_digest(document)
    yield "documents", lambda: _documents(document)
    yield "signatures", lambda: _signatures(document)
    yield "checkpoint", lambda: _checkpoint(document)
    leaves = document["leaves"] if isinstance(document["leaves"], list) else []
    for number, leaf in enumerate(leaves):
        yield f"leaf {number} inclusion", partial(_inclusion, _as_receipt(document, leaf))
        yield f"leaf {number} chain", partial(_chain, _as_receipt(document, leaf))
        committed, openings = _commitments(document, leaf), _openings(leaf)
        for field in sorted({*committed, *openings}):
            yield f"leaf {number} opening {field}", partial(_opening, field, committed, openings)


def _as_receipt(document: dict[str, Any], leaf: Any) -> dict[str, Any]:
    parts = leaf if isinstance(leaf, dict) else {}
    return {
        "acceptance": parts.get("content"),
        "inclusion": parts.get("inclusion"),
        "chain": parts.get("chain"),
        "checkpoint": document["checkpoint"],
    }


def _package_signature(document: dict[str, Any]) -> str:
    signature = document["package"]["signature"]
    key = _public_key(document, signature["key_id"], "presentation")
    _verify(key, signature["signature"], canonical(document["package"]["content"]), "the package")
    return f"drawn up under {signature['key_id']}"


def _package_digest(document: dict[str, Any]) -> str:
    of_content = digest(document["package"]["content"])
    for leaf in document["leaves"]:
        _hold(leaf["content"]["package_digest"] == of_content, "somebody signed another package")
    return str(of_content)


def _order_digest(document: dict[str, Any]) -> str:
    of_order = digest(document["order"])
    named = [document["package"]["content"], *(leaf["content"] for leaf in document["leaves"])]
    _hold(all(each["order_digest"] == of_order for each in named), "somebody signed another order")
    return of_order


def _documents(document: dict[str, Any]) -> str:
    texts = {(each["code"], each["label"], each["locale"]): each for each in document["documents"]}
    named = document["package"]["content"]["documents"]
    _hold(len(texts) == len(named), "the texts are not those that were signed")
    for each in named:
        text = texts[each["code"], each["label"], each["locale"]]
        _hold(sha256(text["source_markdown"].encode()) == each["source_sha256"], "a source was changed")
        _hold(sha256(text["rendered_html"].encode()) == each["html_sha256"], "a text was changed")
    return ", ".join(f"{each['title']} v{each['label']}" for each in named)


def _signatures(document: dict[str, Any]) -> str:
    """All who were to sign have, once each, and the execution names just these signatures, after them."""
    content, leaves = document["package"]["content"], document["leaves"]
    asked = [(n, each["role"]) for n, each in enumerate(content["parties"]) if each["role"] in SIGNING_ROLES]
    signed = [leaf["content"] for leaf in leaves if leaf["kind"] == SIGNATURE]
    _hold(sorted((each["position"], each["role"]) for each in signed) == asked, "not all have signed, once each")
    executions = [leaf["content"] for leaf in leaves if leaf["kind"] == EXECUTION]
    _hold(len(executions) == 1 and leaves[-1]["kind"] == EXECUTION, "it was not executed, once, at the end")
    (execution,) = executions
    _hold(execution["signatures"] == [each["seq"] for each in signed], "executed on other signatures")
    _hold(all(each["seq"] < execution["seq"] for each in signed), "executed before all had signed")
    _hold(all(each["package_id"] == content["package_id"] for each in (*signed, execution)), "another package")
    return f"{len(signed)} signatures, order {execution['order_id']}"


def _commitments(document: dict[str, Any], leaf: Any) -> dict[str, str]:
    try:
        if leaf["kind"] == SIGNATURE:
            return dict(leaf["content"]["commitments"])
        order = {f"order.{field}": value for field, value in document["order"]["personal"].items()}
        parties = document["package"]["content"]["parties"]
        return {**order, **{f"party.{number}": each["person"] for number, each in enumerate(parties)}}
    except BROKEN:
        return {}


def _openings(leaf: Any) -> dict[str, Any]:
    found = leaf.get("openings") if isinstance(leaf, dict) else None
    return found if isinstance(found, dict) else {}


def main(arguments: list[str]) -> int:
    if len(arguments) not in {1, 2}:
        sys.stderr.write("usage: python -m agreements.verify_package evidence.json [KEY]\n")
        return 2
    checks = verify_package(Path(arguments[0]).read_bytes(), arguments[1] if len(arguments) > 1 else None)
    sys.stdout.writelines(f"{check.outcome:8}{check.name}: {check.detail}\n" for check in checks)
    return exit_code(checks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
