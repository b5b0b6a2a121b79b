"""Verify a signed quote without its issuer: one file, Python 3.11 and `cryptography`, nothing else.

    python verify_quote.py quote.json --keys jwks.json

A quote's package is verified as the quote in it, and its prices as those of the answer beside it. That the answer
follows from the price book, `bin/tarifa verify-quote` or `python tarifa-verify.pyz quote` shows, which replays it.

The keys are the issuer's JWK Set, from its `/.well-known/jwks.json` or another source the reader trusts: a quote cannot
vouch for its own keys. Each check is printed as passed, failed or skipped. Exit code: 0 when all checks passed, 1 when
one failed (an expired quote fails too), 2 when nothing failed but the keys were not given, or a file cannot be read.
"""

import argparse
import base64
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

QUOTE_TYPE: Final = "tarifa.signed-quote.v1"
PACKAGE_TYPE: Final = "tarifa.quote-package.v1"
PASSED: Final = "passed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
MEMBERS: Final = {
    *("type", "id", "issuer", "buyer", "root", "publication", "issued_at", "expires_at", "currency"),
    *("tax_treatment", "lines", "totals", "terms", "ap2"),
}
PACKAGE_MEMBERS: Final = {"type", "quote", "answer", "leaves"}
LATER_MEMBERS: Final = {"agreements"}
"""Which the first quotes of this type have not."""
COMPARED: Final = (
    *("sku", "unit", "quantity", "price_unit", "unit_price", "list_price", "tax_included", "tax_category"),
    *("tax_percent", "subtotal", "order_adjustment", "net", "tax", "total"),
)
"""What the answer in a package says of a line as the signed quote does."""
BROKEN: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
"""What reading a mangled quote or key set can raise: a failed check, never a crash."""


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


def verify_quote(quote: bytes, keys: bytes | None = None, *, at: datetime) -> tuple[Check, ...]:
    """Every check in order. *keys*: the issuer's JWK Set as JSON, from a source the reader trusts; *at*: the instant at
    which the quote should hold.
    """
    try:
        document: Any = json.loads(quote, parse_constant=_no_constant)
    except (ValueError, RecursionError) as broken:
        return (Check("format", FAILED, f"not JSON: {broken}"),)
    package = None
    if isinstance(document, dict) and document.get("type") == PACKAGE_TYPE and set(document) == PACKAGE_MEMBERS:
        package, document = document, document["quote"]
    if not isinstance(document, dict) or document.get("type") != QUOTE_TYPE or set(document) - LATER_MEMBERS != MEMBERS:
        return (Check("format", FAILED, f"not a {QUOTE_TYPE}"),)
    checks = [Check("format", PASSED, QUOTE_TYPE if package is None else PACKAGE_TYPE)]
    for name, check in _checks(quote, document, package, keys, at):
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
    """0 all held, 1 one failed, 2 the issuer's keys are missing."""
    if any(check.outcome == FAILED for check in checks):
        return 1
    return 2 if any(check.outcome == SKIPPED for check in checks) else 0


def _checks(
    quote: bytes, document: dict[str, Any], package: dict[str, Any] | None, keys: bytes | None, at: datetime
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "canonical", lambda: _canonical_bytes(quote, package or document)
    yield "signature", lambda: _signature(document, keys)
    yield "time", lambda: _time(document, at)
    if package is not None:
        yield "prices", lambda: _prices(document, package["answer"], package["leaves"])


def _canonical_bytes(quote: bytes, document: dict[str, Any]) -> str:
    _hold(quote == canonical(document), "the file is not the canonical JSON of what it says")
    return "the file is canonical JSON (RFC 8785)"


def _signature(document: dict[str, Any], keys: bytes | None) -> str:
    ap2 = document["ap2"]
    _hold(set(ap2) == {"merchant_authorization"}, "something unsigned stands beside the signature")
    header, payload, signature = ap2["merchant_authorization"].split(".")
    _hold(payload == "", "the signature is not detached")
    said = json.loads(_base64url(header), parse_constant=_no_constant)
    _hold(set(said) == {"alg", "kid"} and said["alg"] == "ES256", "the header is not that of an ES256 signature")
    if keys is None:
        raise Skipped("no keys given: a quote cannot vouch for its own keys")
    signed = {name: value for name, value in document.items() if name != "ap2"}
    message = f"{header}.{base64.urlsafe_b64encode(canonical(signed)).rstrip(b'=').decode()}".encode()
    raw = _base64url(signature)
    _hold(len(raw) == 64, "the signature is not one of ES256")
    try:
        _public_key(keys, said["kid"]).verify(
            encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])), message, ec.ECDSA(SHA256())
        )
    except InvalidSignature:
        raise Failed("the quote was changed after it was signed, or signed by another key") from None
    return f"every member signed by {said['kid']}"


def _public_key(keys: bytes, key_id: str) -> ec.EllipticCurvePublicKey:
    found = [key for key in json.loads(keys)["keys"] if key.get("kid") == key_id]
    _hold(len(found) == 1, f"the keys given hold no single {key_id}")
    (key,) = found
    _hold(
        key["kty"] == "EC" and key["crv"] == "P-256" and key.get("alg", "ES256") == "ES256" and key.get("use") == "sig",
        f"{key_id} is no key for ES256 signatures",
    )
    x, y = _base64url(key["x"]), _base64url(key["y"])
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()).public_key()


def _time(document: dict[str, Any], at: datetime) -> str:
    issued, expires = (datetime.fromisoformat(document[name]) for name in ("issued_at", "expires_at"))
    _hold(issued < expires, "it expires before it was issued")
    _hold(issued <= at, f"issued {document['issued_at']}, after the instant asked about")
    _hold(at < expires, f"expired {document['expires_at']}")
    return f"holds until {document['expires_at']}"


def _prices(document: dict[str, Any], answer: dict[str, Any], leaves: dict[str, Any]) -> str:
    buyer = document["buyer"]
    asked = {
        "root": document["root"],
        "at": document["issued_at"],
        "currency": document["currency"],
        "tax_treatment": document["tax_treatment"],
        "buyer": {name: buyer[name] for name in ("company", "segments", "country")},
    }
    for name, expected in asked.items():
        _hold(answer[name] == expected, f"the answer is of another {name} than the quote")
    _hold(leaves["root"] == document["root"], "the leaves are of another price book than the quote")
    found = [[line[name] for name in COMPARED] for line in answer["lines"]]
    _hold(found == [[line[name] for name in COMPARED] for line in document["lines"]], "the answer has other lines")
    for name, signed in document["totals"].items():
        _hold(answer[name]["minor"] == int(signed.replace(".", "")), f"the answer has another {name}")
    return "lines and totals are those of the answer beside it"


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def _base64url(text: str) -> bytes:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    _hold(base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text, "base64url is not written as RFC 7515 has it")
    return raw


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def canonical(value: Any) -> bytes:
    """RFC 8785 for strings, whole numbers, booleans, null, arrays and objects, which is all that quotes hold."""
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda name: name.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if isinstance(value, float):
        raise ValueError("a quote holds no fractions")  # noqa: TRY004 - a wrong value of a readable JSON type
    return value


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="verify_quote", description="Verify a signed quote, offline.")
    parser.add_argument("quote", type=Path)
    parser.add_argument("--keys", type=Path, help="the issuer's JWK Set as a file, from a source you trust")
    parser.add_argument("--at", help="an instant such as 2026-12-01T00:00:00Z at which it should hold; now unless said")
    options = parser.parse_args(arguments)
    try:
        content = options.quote.read_bytes()
        keys = None if options.keys is None else options.keys.read_bytes()
        at = _now() if options.at is None else datetime.fromisoformat(options.at)
    except OSError as refused:
        sys.stderr.write(f"{refused.filename}: {refused.strerror}\n")
        return 2
    except ValueError:
        sys.stderr.write(f"{options.at!r} is no instant: write it like 2026-12-01T00:00:00Z\n")
        return 2
    if at.tzinfo is None:
        sys.stderr.write(f"{options.at!r} says no time zone: write it like 2026-12-01T00:00:00Z\n")
        return 2
    checks = verify_quote(content, keys, at=at)
    for check in checks:
        sys.stdout.write(f"{check.outcome:8} {check.name}: {check.detail}\n")
    return exit_code(checks)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this file runs at strangers' places, without the house's clock


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
