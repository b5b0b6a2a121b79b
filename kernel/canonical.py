"""Canonical JSON (RFC 8785) of what we sign and hash: same value, same bytes, same digest.

Our documents hold strings, whole numbers, booleans, null, arrays and objects; decimal numbers are strings. msgspec
writes that 25 times faster than a general implementation, which serves as the oracle in a test.
"""

import hashlib
import json
from typing import Any, Final

import msgspec

from kernel.errors import Malformed

_MAX_INTEGER: Final = 2**53 - 1
_encoder: Final = msgspec.json.Encoder(order="sorted")
_in_given_order: Final = msgspec.json.Encoder()


class NotCanonical(Malformed):
    problem = "not-canonical"
    title = "This value has no canonical form"


def canonical_json(obj: Any) -> bytes:
    """The RFC 8785 bytes of *obj*: builtins, msgspec Structs, enums, UTC datetimes.

    :raises NotCanonical: for a float, an integer beyond 2^53, a key that is no string, a lone surrogate, an unknown
        type, or nesting too deep
    """
    try:
        plain = msgspec.to_builtins(obj)
        ascii_keys = _keys_are_ascii(plain)
        # msgspec sorts by code point, RFC 8785 by UTF-16 unit: the two agree below U+D800
        return _encoder.encode(plain) if ascii_keys else _in_given_order.encode(_sorted_by_utf16(plain))
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise NotCanonical(f"No canonical JSON: {error}") from error
    except RecursionError as error:
        raise NotCanonical("No canonical JSON: nested too deep") from error


def canonical_struct(struct: Any) -> bytes:
    """As `canonical_json`, ten times as fast, for a Struct (or tuple of texts) whose types leave nothing to look for:
    texts, booleans, instants, small whole numbers, and Structs and tuples of these.

    :raises NotCanonical: for a lone surrogate
    """
    try:
        return _encoder.encode(struct)
    except UnicodeEncodeError as error:
        raise NotCanonical(f"No canonical JSON: {error}") from error


def strict_json(text: bytes) -> Any:
    """What *text* says, if every reader takes it for the same: it has no name twice in an object, and no number that
    some would round.

    :raises NotCanonical: for anything else
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_once_named, parse_float=_refused, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"No exact JSON: {error}") from error


def digest(obj: Any) -> str:
    """`"sha256:<hex>"` of the canonical JSON.

    :raises NotCanonical: as `canonical_json`
    """
    return digest_of(canonical_json(obj))


def digest_of(canonical: bytes) -> str:
    """As `digest`, of what is canonical JSON already."""
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def _once_named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has a name twice: {[name for name, _ in pairs]}")
    return found


def _refused(number: str) -> Any:
    raise ValueError(f"{number} has no exact form; write a string")


def _keys_are_ascii(value: Any) -> bool:
    """Whether every key is ASCII; refuses what JSON cannot say exactly on the way."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            raise TypeError(f"{value} leaves the integers every JSON reader keeps; write a string")
        return True
    if kind is dict:
        ascii_keys = True
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"the key {key!r} is no string")
            ascii_keys &= key.isascii() & _keys_are_ascii(item)
        return ascii_keys
    if kind is list or kind is tuple:
        ascii_keys = True
        for item in value:
            ascii_keys &= _keys_are_ascii(item)
        return ascii_keys
    raise TypeError(f"{kind.__name__} has no exact JSON form; write a string")


def _sorted_by_utf16(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _sorted_by_utf16(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_sorted_by_utf16(item) for item in value]
    return value
