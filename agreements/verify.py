"""Verify a receipt or a bundle without its issuer: one file, Python 3.11 and `cryptography`, nothing else.

    python verify.py bundle.zip --key KEYS [--against OLDER [--proof FILE]] [--stamp-root PEM]
    python verify.py receipt.json --key KEYS

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
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT_TYPE: Final = "tarifa.receipt.v1"
BUNDLE_TYPE: Final = "tarifa.bundle.v1"
MANIFEST: Final = "manifest.json"
MANIFEST_SIGNATURE: Final = "manifest-signature.json"
CONSISTENCY: Final = "consistency.json"
STAMP: Final = "checkpoint.tsr"
PDF: Final = "receipt.pdf"
PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
MEMBERS: Final = {
    *("type", "issuer", "proves", "does_not_prove", "acceptance", "presentation", "order", "documents", "openings"),
    *("inclusion", "chain", "checkpoint", "keys", "seal"),
}
BROKEN: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
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
    if not isinstance(document, dict) or document.get("type") != RECEIPT_TYPE or set(document) != MEMBERS:
        return (Check("format", FAILED, f"not a {RECEIPT_TYPE}"),)
    return (Check("format", PASSED, RECEIPT_TYPE), *_made(_checks(receipt, document, key)))


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
        named = {
            "acceptance.json": receipt["acceptance"],
            "order.json": receipt["order"],
            "presentation.json": receipt["presentation"],
            "openings.json": receipt["openings"],
            "inclusion.json": receipt["inclusion"],
            "signature.json": receipt["seal"],
        }
        for name, value in named.items():
            _hold(self._json(name) == value, f"{name} is not the receipt's")
        _hold(self._members["checkpoint.txt"] == receipt["checkpoint"].encode(), "checkpoint.txt is not the receipt's")
        keys = {key["id"]: key for key in self._json("keys.json")}
        _hold(
            all(
                keys[key["id"]]["public_key"] == key["public_key"] and keys[key["id"]]["purpose"] == key["purpose"]
                for key in receipt["keys"]
            ),
            "keys.json lacks a key of the receipt",
        )
        texts = {
            f"documents/{each['code']}-{each['label']}-{each['locale']}.{kind}": each[part].encode()
            for each in receipt["documents"]
            for kind, part in (("md", "source_markdown"), ("html", "rendered_html"))
        }
        for name, text in texts.items():
            _hold(self._members.get(name) == text, f"{name} is not the receipt's")
        known = {*named, *texts, "receipt.json", "checkpoint.txt", "keys.json", "page.html", "README.txt", PDF}
        strange = set(self._members) - known - {MANIFEST, MANIFEST_SIGNATURE, CONSISTENCY, STAMP}
        _hold(not strange, f"unknown members: {', '.join(sorted(strange))}")
        return f"{len(named) + len(texts) + 1} parts are the receipt's"

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


def _checks(
    receipt: bytes | dict[str, Any], document: dict[str, Any], key: Keys
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "canonical", lambda: _canonical_bytes(receipt, document)
    yield "key", lambda: _key(document, key)
    yield "seal", lambda: _seal(document)
    yield "presentation signature", lambda: _presentation_signature(document)
    yield "key dates", lambda: _key_dates(document)
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


def _presentation_signature(document: dict[str, Any]) -> str:
    signature = document["presentation"]["signature"]
    key = _public_key(document, signature["key_id"], "presentation")
    _verify(key, signature["signature"], canonical(document["presentation"]["content"]), "the presentation")
    return f"issued under {signature['key_id']}"


def _key_dates(document: dict[str, Any]) -> str:
    """The presentation's key was allowed to sign when it was issued."""
    content, signature = document["presentation"]["content"], document["presentation"]["signature"]
    issued = datetime.fromisoformat(content["issued_at"])
    (key,) = (each for each in document["keys"] if each["id"] == signature["key_id"])
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
