"""Salted commitments: a digest that binds a personal value without telling it, and can be opened or forgotten.

Salts are 256 random bits, so that once value and salt are erased nobody, ourselves included, can guess the value from
the digest.
"""

import base64
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kernel.canonical import canonical_json, canonical_struct, digest_of

PERSONAL = "personal"
"""Member of the canonical order that holds its commitments."""
ORDER_FIELD = "order."
"""What the order's personal fields are called among the acceptance's openings: `order.ship_to.name`."""


class _Opening(msgspec.Struct, frozen=True):
    salt: str
    value: str


def new_salts(fields: Iterable[str]) -> dict[str, str]:
    return {field: base64.b64encode(secrets.token_bytes(32)).decode() for field in fields}


def commit(value: str, salt: str) -> str:
    """`sha256:<hex>` over the canonical JSON of value and salt."""
    return digest_of(canonical_struct(_Opening(salt, value)))


def commit_all(values: Mapping[str, str], salts: Mapping[str, str]) -> dict[str, str]:
    return {field: commit(value, salts[field]) for field, value in values.items()}


def canonical_order(
    terms: Mapping[str, Any], personal: Mapping[str, str], salts: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """The order as it is digested: *terms* in the open, *personal* as commitments; and its digest.

    A field without a salt was not there when the presentation was issued; it is committed to under an empty salt, which
    makes another digest.
    """
    commitments = {field: commit(value, salts.get(ORDER_FIELD + field, "")) for field, value in personal.items()}
    canonical = canonical_json({**terms, PERSONAL: commitments})
    order: dict[str, Any] = msgspec.json.decode(canonical)
    return order, digest_of(canonical)
