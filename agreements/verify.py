"""Verify a receipt or a bundle without its issuer: one file, Python 3.11 and `cryptography`, nothing else.

    python verify.py bundle.zip --key KEYS [--against OLDER [--proof FILE]] [--stamp-root PEM]
    python verify.py receipt.json --key KEYS

Of an order that one person accepted, that several people signed, or that a program placed under a framework agreement;
of that agreement's acceptance too.

KEYS is the issuer's ledger key (base64 of 32 bytes), or a file with such keys or with the issuer's tarifa-keys.json,
obtained from somewhere else than the bundle: neither bundle nor receipt can vouch for its own keys. OLDER is a
checkpoint, receipt or bundle you kept: the ledger must have grown from the one to the other. FILE is the issuer's
answer at /.well-known/tarifa-ledger/consistency, where the bundle holds no proof between the two.

Each check is printed as passed, failed or skipped. Exit code: 0 when all checks passed (erased personal values, and the
PDF's seal where pyHanko is not installed, are skipped), 1 when one failed, 2 when nothing failed but the key or a proof
was not given.
"""

import argparse
import base64
import hashlib
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, DecimalException
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT_TYPE: Final = "tarifa.receipt.v1"
"""Of one person's acceptance: of an order, or of a framework agreement, which then stands for the order."""
PACKAGE_TYPE: Final = "tarifa.package-receipt.v1"
"""Of an order that several people signed."""
OLD_PACKAGE_TYPE: Final = "tarifa.package-evidence.v1"
"""The same as it was first given out, without what it proves."""
PROGRAM_TYPE: Final = "tarifa.framework-order-receipt.v1"
"""Of an order that a program placed: the row that cites the framework agreement, and that agreement's acceptance."""
BUNDLE_TYPE: Final = "tarifa.bundle.v1"
MANIFEST: Final = "manifest.json"
MANIFEST_SIGNATURE: Final = "manifest-signature.json"
CONSISTENCY: Final = "consistency.json"
STAMP: Final = "checkpoint.tsr"
PDF: Final = "receipt.pdf"
PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
_COMMON: Final = frozenset({"type", "issuer", "order", "checkpoint", "keys", "seal"})
_PROVES: Final = frozenset({"proves", "does_not_prove"})
_ROW: Final = frozenset({"openings", "inclusion", "chain"})
_ACT: Final = frozenset({"acceptance", "presentation", "documents", *_ROW})
MEMBERS: Final = {
    RECEIPT_TYPE: _COMMON | _PROVES | _ACT,
    PACKAGE_TYPE: _COMMON | _PROVES | {"package", "documents", "leaves"},
    OLD_PACKAGE_TYPE: _COMMON | {"package", "documents", "leaves"},
    PROGRAM_TYPE: _COMMON | _PROVES | {"citation", "framework", *_ROW},
}
"""What a receipt of each type consists of."""
FRAMEWORK_MEMBERS: Final = _ACT | {"agreement"}
SIGNATURE: Final = "package_signature"
EXECUTION: Final = "package"
SIGNING_ROLES: Final = {"buyer_signatory", "approver", "counter_signer"}
BROKEN: Final = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError),
    DecimalException,
)
"""What reading a mangled receipt can raise: a failed check, never a crash."""


Keys = bytes | str | Sequence[bytes] | None
"""Ledger keys of the issuer from a source the reader trusts, raw or one in base64."""


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


def verify_receipt(receipt: bytes | dict[str, Any], key: Keys = None) -> tuple[Check, ...]:
    """Every check in order."""
    document: Any = receipt
    if isinstance(receipt, bytes):
        try:
            document = json.loads(receipt, parse_constant=_no_constant)
        except (ValueError, RecursionError) as broken:
            return (Check("format", FAILED, f"not JSON: {broken}"),)
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in MEMBERS or set(document) != set(MEMBERS[kind]):
        return (Check("format", FAILED, f"not one of {', '.join(MEMBERS)}"),)
    return (Check("format", PASSED, kind), *_made(_checks(receipt, document, key)))


def verify_bundle(
    content: bytes,
    key: Keys = None,
    *,
    against: str | None = None,
    proof: bytes | None = None,
    stamp_root: bytes | None = None,
) -> tuple[Check, ...]:
    """Every check of a bundle and of the receipt in it, in order.

    :param against: the note of a checkpoint that the reader kept
    :param proof: an answer of the issuer's consistency address
    :param stamp_root: certificates, in PEM, of who is trusted to stamp
    """
    try:
        members = read_zip(content)
    except Failed as failed:
        return (Check("zip", FAILED, str(failed)),)
    bundle = _Bundle(members, key)
    checks = [Check("zip", PASSED, f"{len(members)} members in canonical form")]
    checks += _made(
        [("manifest", bundle.manifest), ("manifest key", bundle.manifest_key), ("parts", bundle.parts)],
    )
    checks += verify_receipt(members.get("receipt.json", b""), key)
    further: list[tuple[str, Callable[[], str]]] = [("pdf seal", bundle.pdf_seal)]
    if STAMP in members:
        further.append(("stamp", lambda: bundle.stamp(stamp_root)))
    if against is not None:
        further.append(("older checkpoint", lambda: bundle.grew_from(against, proof)))
    return (*checks, *_made(further))


def exit_code(checks: tuple[Check, ...]) -> int:
    """0 all held, 1 one failed, 2 the issuer's key is missing, or a proof that was asked for."""
    if any(check.outcome == FAILED for check in checks):
        return 1
    needed = {"key", "manifest key", "older checkpoint"}
    return 2 if any(check.name in needed and check.outcome == SKIPPED for check in checks) else 0


def _made(checks: Iterable[tuple[str, Callable[[], str]]]) -> Iterator[Check]:
    for name, check in checks:
        try:
            yield Check(name, PASSED, check())
        except Failed as failed:
            yield Check(name, FAILED, str(failed))
        except Skipped as skipped:
            yield Check(name, SKIPPED, str(skipped))
        except BROKEN as broken:
            yield Check(name, FAILED, f"unreadable: {type(broken).__name__} {broken}")


class _Bundle:
    """The members of a bundle and what is checked of them beside the receipt."""

    def __init__(self, members: dict[str, bytes], key: Keys) -> None:
        self._members = members
        self._key = key

    def _json(self, name: str) -> Any:
        _hold(name in self._members, f"{name} is missing")
        value = json.loads(self._members[name], parse_constant=_no_constant)
        _hold(canonical(value) == self._members[name], f"{name} is not canonical JSON")
        return value

    def manifest(self) -> str:
        """Each member is listed with its digest, nothing else is there, and a ledger key signed the list."""
        manifest = self._json(MANIFEST)
        _hold(manifest["type"] == BUNDLE_TYPE and set(manifest) == {"type", "members"}, f"not a {BUNDLE_TYPE}")
        listed = manifest["members"]
        found = {name: sha256(content) for name, content in self._members.items()}
        del found[MANIFEST]
        del found[MANIFEST_SIGNATURE]
        changed = [name for name in sorted({*listed, *found}) if listed.get(name) != found.get(name)]
        _hold(not changed, f"not as the manifest lists them: {', '.join(changed)}")
        key_id, public = self._signed_by()
        _verify(public, self._json(MANIFEST_SIGNATURE)["signature"], self._members[MANIFEST], "the manifest")
        return f"{len(found)} members, signed by {key_id}"

    def _signed_by(self) -> tuple[str, bytes]:
        signature = self._json(MANIFEST_SIGNATURE)
        _hold(set(signature) == {"key_id", "signature"}, "the manifest's signature has unknown members")
        return signature["key_id"], _public_key({"keys": self._json("keys.json")}, signature["key_id"], "ledger")

    def manifest_key(self) -> str:
        trusted = _trusted(self._key)
        if trusted is None:
            raise Skipped("no key given: a bundle cannot vouch for its own keys")
        _hold(self._signed_by()[1] in trusted, "signed with another key than those given")
        return "signed with a key given"

    def parts(self) -> str:
        """Members that hold a part of the receipt hold the same."""
        receipt = self._json("receipt.json")
        parts = parts_of(receipt)
        for name, content in parts.items():
            _hold(self._members.get(name) == content, f"{name} is not the receipt's")
        keys = {key["id"]: key for key in self._json("keys.json")}
        _hold(
            all(
                keys[key["id"]]["public_key"] == key["public_key"] and keys[key["id"]]["purpose"] == key["purpose"]
                for key in receipt["keys"]
            ),
            "keys.json lacks a key of the receipt",
        )
        known = {*parts, "receipt.json", "keys.json", "page.html", "README.txt", PDF}
        strange = set(self._members) - known - {MANIFEST, MANIFEST_SIGNATURE, CONSISTENCY, STAMP}
        _hold(not strange, f"unknown members: {', '.join(sorted(strange))}")
        return f"{len(parts)} parts are the receipt's"

    def pdf_seal(self) -> str:
        """The seal covers the whole PDF and its certificate is one of keys.json, which the manifest covers."""
        try:
            from pyhanko.pdf_utils.misc import PdfError
            from pyhanko.pdf_utils.reader import PdfFileReader
            from pyhanko.sign.validation.errors import SignatureValidationError
            from pyhanko.sign.validation.generic_cms import validate_sig_integrity
            from pyhanko.sign.validation.status import SignatureCoverageLevel
        except ImportError:
            raise Skipped("pyHanko is not installed; any reader of PDF shows the seal") from None
        certificates = {
            _decode(key["certificate"]): key["id"] for key in self._json("keys.json") if key["purpose"] == "seal"
        }
        try:
            (seal,) = PdfFileReader(io.BytesIO(self._members[PDF])).embedded_signatures
            whole = seal.evaluate_signature_coverage() is SignatureCoverageLevel.ENTIRE_FILE
            digest_holds, signature_holds = validate_sig_integrity(
                seal.signer_info, seal.signer_cert, "data", seal.compute_digest("sha256")
            )
        except (PdfError, SignatureValidationError) as broken:
            raise Failed(f"no seal could be read: {broken}") from None
        _hold(whole and digest_holds and signature_holds, "the PDF was changed after it was sealed")
        certificate = seal.signer_cert.dump()
        _hold(certificate in certificates, "sealed with a certificate that is not among the keys")
        return f"sealed by {certificates[certificate]} at {seal.self_reported_timestamp}"

    def stamp(self, root: bytes | None) -> str:
        """Somebody else's word for when the checkpoint was there."""
        try:
            from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
        except ImportError:
            raise Skipped(f"rfc3161-client is not installed; `openssl ts -verify -in {STAMP}` does it too") from None
        answer = decode_timestamp_response(self._members[STAMP])
        expected = hashlib.sha256(self._members["checkpoint.txt"]).digest()
        _hold(answer.tst_info.message_imprint.message == expected, "the stamp is for another checkpoint")
        if root is None:
            raise Skipped(f"it says {answer.tst_info.gen_time}; name whom you trust to stamp with --stamp-root")
        builder = VerifierBuilder()
        for certificate in x509.load_pem_x509_certificates(root):
            builder = builder.add_root_certificate(certificate)
        try:
            builder.build().verify(answer, expected)
        except VerificationError as refused:
            raise Failed(f"not stamped by who is trusted: {refused}") from None
        return f"stamped {answer.tst_info.gen_time}"

    def grew_from(self, older: str, proof: bytes | None) -> str:
        """The ledger of the older checkpoint and that of the bundle are one that only grew."""
        keys = [_decode(key["public_key"]) for key in self._json("keys.json") if key["purpose"] == "ledger"]
        theirs = read_note(older)
        ours = read_note(self._members["checkpoint.txt"].decode())
        _hold(theirs.origin == ours.origin, f"a checkpoint of another ledger, {theirs.origin}")
        _hold(
            theirs.signed_by_one_of([*keys, *(_trusted(self._key) or ())]), "it is not signed with a key of the issuer"
        )
        first, second = sorted((theirs, ours), key=lambda note: note.size)
        if first.size == second.size:
            _hold(first.root == second.root, "two checkpoints of one size differ: the ledger was rewritten")
            return f"the same tree of {first.size}"
        if first.size == 0:
            return "every ledger grows from nothing"
        proofs = list(self._json(CONSISTENCY)) if CONSISTENCY in self._members else []
        if proof is not None:
            proofs.append(json.loads(proof))
        nodes = [each["proof"] for each in proofs if (each["first"], each["second"]) == (first.size, second.size)]
        if not nodes:
            raise Skipped(
                f"no proof from {first.size} to {second.size} rows: fetch "
                f"/.well-known/tarifa-ledger/consistency?from={first.size}&to={second.size} and name it with --proof"
            )
        for each in nodes:
            grew = consistent(first.size, second.size, first.root, second.root, [_hash(node) for node in each])
            _hold(grew, "the ledger was rewritten: one tree did not grow from the other")
        return f"grew from {first.size} to {second.size} rows"


def parts_of(receipt: dict[str, Any]) -> dict[str, bytes]:
    """The members of a bundle that hold a part of its receipt each."""
    named = {"order.json": receipt["order"], "signature.json": receipt["seal"]}
    act = receipt
    if receipt["type"] == RECEIPT_TYPE:
        named |= {f"{part}.json": act[part] for part in ("acceptance", "presentation", "openings", "inclusion")}
    elif receipt["type"] == PROGRAM_TYPE:
        act = receipt["framework"]
        named |= {f"{part}.json": receipt[part] for part in ("citation", "openings", "inclusion", "chain")}
        named |= {f"framework/{part}.json": act[part] for part in sorted(FRAMEWORK_MEMBERS - {"documents"})}
    else:
        named["package.json"] = receipt["package"]
        for number, leaf in enumerate(receipt["leaves"], start=1):
            named["execution.json" if leaf["kind"] == EXECUTION else f"signatures/{number}.json"] = leaf
    texts = {
        f"documents/{each['code']}-{each['label']}-{each['locale']}.{kind}": each[part].encode()
        for each in act["documents"]
        for kind, part in (("md", "source_markdown"), ("html", "rendered_html"))
    }
    plain = {name: canonical(value) for name, value in named.items()}
    return {**plain, **texts, "checkpoint.txt": receipt["checkpoint"].encode()}


_Checks = Iterator[tuple[str, Callable[[], str]]]


def _checks(receipt: bytes | dict[str, Any], document: dict[str, Any], key: Keys) -> _Checks:
    yield "canonical", lambda: _canonical_bytes(receipt, document)
    yield "key", lambda: _key(document, key)
    yield "seal", lambda: _seal(document)
    if document["type"] == RECEIPT_TYPE:
        yield from _act_checks(document)
    elif document["type"] == PROGRAM_TYPE:
        yield from _program_checks(document)
    else:
        yield from _package_checks(document)
    yield "checkpoint", lambda: _checkpoint(document)


def _act_checks(document: dict[str, Any]) -> _Checks:
    """Of one person's acceptance."""
    yield "presentation signature", lambda: _vouched(document, document["presentation"], "the presentation")
    yield "key dates", lambda: _key_dates(document, document["presentation"], "issued_at")
    yield "presentation digest", lambda: _presentation_digest(document)
    yield "order digest", lambda: _order_digest(document)
    yield "documents", lambda: _documents(document)
    yield "statements", lambda: _statements(document)
    yield "time", lambda: _time(document)
    yield from _opening_checks(_commitments(document), document["openings"])
    yield "inclusion", lambda: _inclusion(document)
    yield "chain", lambda: _chain(document)


def _package_checks(document: dict[str, Any]) -> _Checks:
    """Of what several people signed: each signature is a row of the ledger, and the execution that follows them."""
    yield "package signature", lambda: _vouched(document, document["package"], "the package")
    yield "key dates", lambda: _key_dates(document, document["package"], "created_at")
    yield "package digest", lambda: _package_digest(document)
    yield "order digest", lambda: _package_order_digest(document)
    yield "documents", lambda: _package_documents(document)
    yield "signatures", lambda: _signatures(document)
    yield "sentences", lambda: _sentences(document)
    yield "time", lambda: _signing_time(document)
    for number, leaf in enumerate(document["leaves"] if isinstance(document["leaves"], list) else []):
        name, parts = _leaf_name(number, leaf), leaf if isinstance(leaf, dict) else {}
        row = {"acceptance": parts.get("content"), "checkpoint": document["checkpoint"]}
        row |= {part: parts.get(part) for part in ("inclusion", "chain")}
        for check, each in _opening_checks(_leaf_commitments(document, leaf), parts.get("openings")):
            yield f"{name} {check}", each
        yield f"{name} inclusion", partial(_inclusion, row)
        yield f"{name} chain", partial(_chain, row)


def _program_checks(document: dict[str, Any]) -> _Checks:
    """Of an order by a program: the framework agreement's acceptance, all of it, and the row that cites it."""
    framework = document["framework"]
    if not isinstance(framework, dict) or set(framework) != FRAMEWORK_MEMBERS:
        yield "framework", _no_framework
        return
    whole = {part: framework[part] for part in _ACT}
    whole |= {"order": framework["agreement"], "checkpoint": document["checkpoint"], "keys": document["keys"]}
    for name, check in _act_checks(whole):
        yield f"framework {name}", check
    yield "citation", lambda: _citation(document)
    yield "order digest", lambda: _cited_order(document)
    yield "limit", lambda: _limit(document)
    yield from _opening_checks(_order_commitments(document), document["openings"])
    row = {"acceptance": document["citation"], "checkpoint": document["checkpoint"]}
    row |= {part: document[part] for part in ("inclusion", "chain")}
    yield "inclusion", lambda: _inclusion(row)
    yield "chain", lambda: _chain(row)


def _opening_checks(committed: dict[str, str], given: Any) -> _Checks:
    openings = given if isinstance(given, dict) else {}
    for field in sorted({*committed, *openings}):
        yield f"opening {field}", partial(_opening, field, committed, openings)


def _canonical_bytes(receipt: bytes | dict[str, Any], document: dict[str, Any]) -> str:
    if not isinstance(receipt, bytes):
        raise Skipped("given as values, not as bytes")
    _hold(receipt == canonical(document), "the file is not the canonical JSON of what it says")
    return "the file is canonical JSON (RFC 8785)"


def _key(document: dict[str, Any], key: Keys) -> str:
    trusted = _trusted(key)
    if trusted is None:
        raise Skipped("no key given: a receipt cannot vouch for its own keys")
    _hold(_ledger_key(document, document["seal"]["key_id"]) in trusted, "sealed with another key than the one given")
    return "sealed with the key given"


def _trusted(key: Keys) -> list[bytes] | None:
    if key is None:
        return None
    if isinstance(key, str):
        return [_decode(key)]
    return [key] if isinstance(key, bytes) else list(key)


def _seal(document: dict[str, Any]) -> str:
    unsealed = {name: value for name, value in document.items() if name != "seal"}
    seal = document["seal"]
    _hold(set(seal) == {"key_id", "signature"}, "the seal has unknown members")
    _verify(_ledger_key(document, seal["key_id"]), seal["signature"], canonical(unsealed), "the seal")
    return f"every member sealed by {seal['key_id']}"


def _vouched(document: dict[str, Any], part: dict[str, Any], what: str) -> str:
    signature = part["signature"]
    key = _public_key(document, signature["key_id"], "presentation")
    _verify(key, signature["signature"], canonical(part["content"]), what)
    return f"issued under {signature['key_id']}"


def _key_dates(document: dict[str, Any], part: dict[str, Any], at: str) -> str:
    """The key was allowed to sign when it did."""
    issued = datetime.fromisoformat(part["content"][at])
    (key,) = (each for each in document["keys"] if each["id"] == part["signature"]["key_id"])
    ends = [datetime.fromisoformat(key[name]) for name in ("retired", "not_after") if key.get(name) is not None]
    _hold(datetime.fromisoformat(key["created"]) <= issued, "issued under a key from later")
    _hold(all(issued <= end for end in ends), "issued under a key that was retired")
    return f"{key['id']} was in use"


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
    return _texts(presented, document["documents"])


def _texts(named: list[dict[str, Any]], texts: list[dict[str, Any]]) -> str:
    _hold(len(named) == len(texts), "a document's text is missing or too many")
    for each, text in zip(named, texts, strict=True):
        label = f"{each['code']} v{each['label']} ({each['locale']})"
        _hold(
            all(each[member] == text[member] for member in ("code", "label", "locale", "title")),
            f"{label}: the text belongs to another document",
        )
        _hold(sha256(text["source_markdown"].encode()) == each["source_sha256"], f"{label}: the source differs")
        _hold(sha256(text["rendered_html"].encode()) == each["html_sha256"], f"{label}: the page differs")
    return ", ".join(f"{each['title']} v{each['label']}" for each in named)


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


def _package_digest(document: dict[str, Any]) -> str:
    of_content = digest(document["package"]["content"])
    for leaf in document["leaves"]:
        _hold(leaf["content"]["package_digest"] == of_content, "somebody signed another package")
    return of_content


def _package_order_digest(document: dict[str, Any]) -> str:
    found = digest(document["order"])
    named = [document["package"]["content"], *(leaf["content"] for leaf in document["leaves"])]
    _hold(all(each["order_digest"] == found for each in named), "somebody signed another order")
    return found


def _package_documents(document: dict[str, Any]) -> str:
    named = document["package"]["content"]["documents"]
    _hold(document["leaves"][-1]["content"]["documents"] == named, "it was executed with other documents")
    return _texts(named, document["documents"])


def _signatures(document: dict[str, Any]) -> str:
    """All who were to sign have, once each, and the execution names just these signatures, after them."""
    content, leaves = document["package"]["content"], document["leaves"]
    asked = [(n, each["role"]) for n, each in enumerate(content["parties"]) if each["role"] in SIGNING_ROLES]
    signed = [leaf["content"] for leaf in leaves if leaf["kind"] == SIGNATURE]
    _hold(sorted((each["position"], each["role"]) for each in signed) == asked, "not all have signed, once each")
    executions = [leaf["content"] for leaf in leaves if leaf["kind"] == EXECUTION]
    _hold(len(signed) + len(executions) == len(leaves), "a row is neither a signature nor the execution")
    _hold(len(executions) == 1 and leaves[-1]["kind"] == EXECUTION, "it was not executed, once, at the end")
    (execution,) = executions
    _hold(execution["signatures"] == [each["seq"] for each in signed], "executed on other signatures")
    _hold(all(each["seq"] < execution["seq"] for each in signed), "executed before all had signed")
    for name in ("package_id", "company_id"):
        _hold(all(each[name] == content[name] for each in (*signed, execution)), "another package or company")
    _hold(execution["checkout_id"] == content["checkout_id"], "executed for another checkout")
    return f"{len(signed)} signatures, order {execution['order_id']}"


def _sentences(document: dict[str, Any]) -> str:
    """Each said, beside the button, that they sign these documents, and for whom."""
    content = document["package"]["content"]
    signed = [leaf["content"] for leaf in document["leaves"] if leaf["kind"] == SIGNATURE]
    for each in signed:
        party = content["seller_name"] if each["role"] == "counter_signer" else content["company_name"]
        _hold(each["button_label"] in each["intent"], "a sentence does not quote the button")
        _hold(party in each["intent"] and party in each["authority"], f"a sentence does not name {party}")
        for named in content["documents"]:
            quoted = f"{named['title']} v{named['label']}"
            _hold(quoted in each["intent"], f"a sentence does not name {quoted}")
    return f"signed as {', '.join(each['role'] for each in signed)}"


def _signing_time(document: dict[str, Any]) -> str:
    content, rows = document["package"]["content"], [leaf["content"] for leaf in document["leaves"]]
    created, expires = (datetime.fromisoformat(content[name]) for name in ("created_at", "expires_at"))
    at = [datetime.fromisoformat(each["recorded_at"]) for each in rows]
    _hold(all(created <= each < expires for each in at), "signed outside the package's life")
    return f"executed {rows[-1]['recorded_at']}, by the issuer's clock"


def _no_framework() -> str:
    raise Failed("its acceptance is not there, or not in full")


def _citation(document: dict[str, Any]) -> str:
    """The order's row names this acceptance: by its row, and since version 2 by its digest."""
    citation, acceptance = document["citation"], document["framework"]["acceptance"]
    by_digest = citation["type"] == "tarifa.framework-order.v2"
    _hold(by_digest or citation["type"] == "tarifa.framework-order.v1", "the row is no citation")
    _hold(citation["framework_seq"] == acceptance["seq"], "it cites another row")
    if by_digest:
        _hold(citation["framework_digest"] == digest(acceptance), "it cites another acceptance")
    _hold(
        all(citation[name] == acceptance[name] for name in ("framework_id", "company_id")),
        "it cites another agreement, or another company's",
    )
    _hold(acceptance["seq"] < citation["seq"], "cited before it was accepted")
    channels = document["framework"]["agreement"]["channels"]
    _hold(citation["channel"] in channels, f"the agreement does not cover {citation['channel']}")
    how = f"its digest {citation['framework_digest']}" if by_digest else f"its row {acceptance['seq']}"
    return f"order {citation['order_id']} by {citation['channel']} cites the agreement by {how}"


def _cited_order(document: dict[str, Any]) -> str:
    found = digest(document["order"])
    _hold(found == document["citation"]["order_digest"], "the ledger row names another order")
    return found


def _limit(document: dict[str, Any]) -> str:
    order, limit = document["order"], document["framework"]["agreement"]["limit"]
    if limit is None:
        return "the agreement sets none"
    within = order["currency"] == limit["currency"] and Decimal(order["total"]) <= Decimal(limit["amount"])
    _hold(within, "the order comes to more than the agreement covers")
    return f"{order['total']} of up to {limit['amount']} {limit['currency']}"


def _leaf_name(number: int, leaf: Any) -> str:
    ends = isinstance(leaf, dict) and leaf.get("kind") == EXECUTION
    return "execution" if ends else f"signature {number + 1}"


def _commitments(document: dict[str, Any]) -> dict[str, str]:
    try:
        return {**_order_commitments(document), **document["acceptance"]["commitments"]}
    except BROKEN:
        return {}


def _order_commitments(document: dict[str, Any]) -> dict[str, str]:
    try:
        return {f"order.{field}": value for field, value in document["order"]["personal"].items()}
    except BROKEN:
        return {}


def _leaf_commitments(document: dict[str, Any], leaf: Any) -> dict[str, str]:
    """A signature commits to its signer; the execution opens what order and package commit to."""
    try:
        if leaf["kind"] == SIGNATURE:
            return {**leaf["content"]["commitments"]}
        parties = document["package"]["content"]["parties"]
        people = {f"party.{number}": each["person"] for number, each in enumerate(parties)}
        return {**_order_commitments(document), **people}
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
    noted_size, noted_root = _note(document)
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
    note = read_note(document["checkpoint"])
    keys = [_decode(key["public_key"]) for key in document["keys"] if key["purpose"] == "ledger"]
    _hold(note.signed_by_one_of(keys), "signed by no ledger key of the receipt")
    return f"{note.origin}, {note.size} rows, root {note.root.hex()}"


def _note(document: dict[str, Any]) -> tuple[int, bytes]:
    note = read_note(document["checkpoint"])
    return note.size, note.root


@dataclass(frozen=True)
class Note:
    """A checkpoint: a C2SP signed note of origin, size and root."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def signed_by_one_of(self, keys: Iterable[bytes]) -> bool:
        for public in keys:
            for name, signature in self.signatures:
                if name == self.origin and signature[:4] == note_key_hash(self.origin, public):
                    try:
                        Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], self.body)
                    except InvalidSignature:
                        raise Failed("the checkpoint was changed after it was signed") from None
                    return True
        return False


def read_note(text: str) -> Note:
    """:raises Failed: when it is no checkpoint written plainly; ValueError for other nonsense"""
    body, _, tail = text.rpartition("\n\n")
    origin, size, root = body.split("\n")
    signatures = []
    _hold(tail.endswith("\n"), "the note does not end with a line")
    for line in tail[:-1].split("\n"):
        dash, name, signature = line.split(" ")
        _hold(dash == "\N{EM DASH}", "a line is no signature")
        signatures.append((name, _decode(signature)))
    _hold(size == str(int(size)), "the size is not written plainly")
    return Note(origin, int(size), _decode(root), f"{body}\n".encode(), tuple(signatures))


def consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2: whether the tree of *second* leaves is that of *first*, 0 < first < second, grown."""
    nodes = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not nodes:
        return False
    index, last = first - 1, second - 1
    while index % 2:
        index, last = index >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if index % 2 or index == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, node)
        index, last = index >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _root_from(node: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.3.2."""
    _hold(0 <= index < size, "the leaf lies outside the tree")
    last = size - 1
    for other in proof:
        _hold(last > 0, "the proof is too long")
        if index % 2 or index == last:
            node = node_hash(other, node)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, other)
        index, last = index >> 1, last >> 1
    _hold(last == 0, "the proof is too short")
    return node


def _ledger_key(document: dict[str, Any], key_id: str) -> bytes:
    return _public_key(document, key_id, "ledger")


def _public_key(document: dict[str, Any], key_id: str, purpose: str) -> bytes:
    found = [key for key in document["keys"] if key["id"] == key_id and key["purpose"] == purpose]
    _hold(len(found) == 1, f"the receipt has no {purpose} key {key_id}")
    return _decode(found[0]["public_key"])


def _verify(public_key: bytes, signature: str, message: bytes, what: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(_decode(signature), message)
    except InvalidSignature:
        raise Failed(f"{what} was changed after it was signed, or signed by another key") from None


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def _hash(text: str) -> bytes:
    raw = bytes.fromhex(text)
    _hold(len(raw) == 32 and raw.hex() == text, "a hash is not 64 lower-case hexadecimal digits")
    return raw


def _decode(text: str) -> bytes:
    """Base64, written in the one way there is."""
    raw = base64.b64decode(text, validate=True)
    _hold(base64.b64encode(raw).decode() == text, "base64 with bits that say nothing")
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


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def note_key_hash(name: str, public_key: bytes) -> bytes:
    """The four bytes by which a C2SP signed note names an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]


# --- Zip files with one form: stored, in order of name, no time, no extras. Whatever else is in a file, fails. ---

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_NO_TIME: Final = (0, 0x21)
"""Midnight of 1 January 1980, the first that a zip file can say."""


def canonical_zip(members: dict[str, bytes]) -> bytes:
    """The one zip file of *members*, whose names are ASCII."""
    body, directory = bytearray(), bytearray()
    for name in sorted(members):
        content, encoded = members[name], name.encode("ascii")
        sizes = (zlib.crc32(content), len(content), len(content), len(encoded))
        directory += _CENTRAL.pack(b"PK\x01\x02", 10, 10, 0, 0, *_NO_TIME, *sizes, 0, 0, 0, 0, 0, len(body)) + encoded
        body += _LOCAL.pack(b"PK\x03\x04", 10, 0, 0, *_NO_TIME, *sizes, 0) + encoded + content
    count = len(members)
    return bytes(body + directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0))


def read_zip(content: bytes) -> dict[str, bytes]:
    """:raises Failed: for anything but a zip file as `canonical_zip` writes it"""
    members, at = {}, 0
    try:
        while content[at : at + 4] == b"PK\x03\x04":
            size, name_length = _LOCAL.unpack_from(content, at)[8:10]
            name_at = at + _LOCAL.size
            at = name_at + name_length + size
            members[content[name_at : name_at + name_length].decode("ascii")] = content[name_at + name_length : at]
        same = canonical_zip(members) == content
    except (struct.error, ValueError) as broken:
        raise Failed(f"no zip file that could be read: {broken}") from None
    _hold(bool(members) and same, "the zip file is not in the canonical form: something was changed, added or moved")
    return members


def trusted_keys(named: str) -> list[bytes]:
    """Keys as `--key` names them: base64, a file of such lines, or a file as the issuer publishes its keys.

    :raises ValueError: when there is none
    """
    path = Path(named)
    text = path.read_text(encoding="utf-8") if path.is_file() else named
    if text.lstrip().startswith("{"):
        found = [key["public_key"] for key in json.loads(text)["keys"] if key["purpose"] == "ledger"]
    else:
        found = [line.split()[-1] for line in text.splitlines() if line.strip()]
    keys = [base64.b64decode(each, validate=True) for each in found]
    if not keys or any(len(key) != 32 for key in keys):
        raise ValueError("no Ed25519 key of 32 bytes in base64")
    return keys


def kept_checkpoint(content: bytes) -> str:
    """The checkpoint of a note, a receipt or a bundle."""
    if content.startswith(b"PK"):
        return read_zip(content)["checkpoint.txt"].decode()
    if content.lstrip().startswith(b"{"):
        return str(json.loads(content)["checkpoint"])
    return content.decode()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Verify a bundle or a receipt of an accepted order, offline.")
    parser.add_argument("file", type=Path, help="bundle.zip or receipt.json")
    parser.add_argument("--key", help="the issuer's ledger key in base64, or a file of its keys, from who you trust")
    parser.add_argument("--against", type=Path, help="an older checkpoint, receipt or bundle that you kept")
    parser.add_argument("--proof", type=Path, help="the issuer's proof between the two, if the bundle holds none")
    parser.add_argument("--stamp-root", type=Path, help="certificates in PEM of who you trust to stamp")
    options = parser.parse_args(arguments)
    try:
        content = options.file.read_bytes()
        keys = None if options.key is None else trusted_keys(options.key)
        against = None if options.against is None else kept_checkpoint(options.against.read_bytes())
        proof = None if options.proof is None else options.proof.read_bytes()
        root = None if options.stamp_root is None else options.stamp_root.read_bytes()
    except OSError as refused:
        sys.stderr.write(f"{refused.filename}: {refused.strerror}\n")
        return 1
    except (*BROKEN, Failed) as refused:
        sys.stderr.write(f"not what it is named as: {refused}\n")
        return 1
    if content.startswith(b"PK"):
        checks = verify_bundle(content, keys, against=against, proof=proof, stamp_root=root)
    else:
        checks = verify_receipt(content, keys)
        if against is not None:
            checks = (*checks, Check("older checkpoint", SKIPPED, "compared for bundles only, which hold the proofs"))
    for check in checks:
        sys.stdout.write(f"{check.outcome:8} {check.name}: {check.detail}\n")
    return exit_code(checks)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
