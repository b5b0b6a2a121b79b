"""A book's content as leaves that can be changed one by one, and as the bytes that are kept.

A leaf is named by its kind and key, as in `pricing.engine.leaves`; a draft is a set of leaves that differ from a base.
Among a draft's leaves are derivations. A published content has none, but the rows that follow from them; what it was
made from is its `Source`.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from kernel.canonical import NotCanonical, canonical_json, digest
from kernel.errors import Malformed
from kernel.money import MalformedDecimal, normal
from kernel.signing import Keyring, Signature
from pricing.engine.book import (
    Adjustment,
    BookContent,
    Bound,
    Cost,
    Frame,
    Layer,
    PriceList,
    PriceRow,
    QuantityRule,
    RoundingPolicy,
    SkuEntry,
    SkuFacts,
    Strategy,
)
from pricing.engine.derive import Derivation
from pricing.engine.leaves import objects
from pricing.engine.leaves import root as root_of

Key = tuple[str, ...]
LeafName = tuple[str, Key]
"""(kind, key)"""
Leaves = dict[LeafName, Any]
"""The noun by its name: a Struct of `pricing.engine.book`, the strategy, or the tuple of layers."""

KINDS: Final[dict[str, Any]] = {
    "strategy": Strategy,
    "policy": RoundingPolicy,
    "layers": tuple[Layer, ...],
    "list": PriceList,
    "derivation": Derivation,
    "row": PriceRow,
    "adjustment": Adjustment,
    "bound": Bound,
    "quantity_rule": QuantityRule,
    "sku": SkuFacts,
    "cost": Cost,
}
EDITED: Final = frozenset(KINDS) - {"sku", "cost"}
"""What a draft may change; the rest is copied from the catalogue at publication."""
_COMPRESSION: Final = 3
_NUMBER_FIELDS: Final = frozenset(
    [
        "above",
        "amount",
        "buy",
        "ending",
        "flat_fee",
        "free",
        "from",
        "get",
        "max_line_amount",
        "max_margin",
        "max_quantity",
        "max_subtotal",
        "maximum",
        "min_line_amount",
        "min_margin",
        "min_quantity",
        "min_subtotal",
        "minimum",
        "multiple",
        "percent",
        "price",
        "size",
        "unit_price",
    ]
)


class LeafMalformed(Malformed):
    problem = "price-leaf-malformed"
    title = "This is no object of a price book"


class ContentDamaged(Exception):
    """What is kept under a root is not what the root names. Restore the database from its back-up."""


# --- Leaves ---


def leaves_of(content: BookContent) -> Leaves:
    return {(kind, key): noun for kind, key, noun in objects(content)}


def content_of(leaves: Mapping[LeafName, Any]) -> BookContent:
    """The content of these leaves, each kind ordered by key (layers keep their order). Derivations are not part of it:
    `pricing.engine.derive` adds what follows from them.
    """
    of_kind: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for name in sorted(leaves):
        of_kind[name[0]].append(leaves[name])
    return BookContent(
        strategy=next(iter(of_kind["strategy"]), Strategy.MOST_SPECIFIC),
        policy=next(iter(of_kind["policy"]), RoundingPolicy()),
        layers=next(iter(of_kind["layers"]), ()),
        lists=tuple(of_kind["list"]),
        rows=tuple(of_kind["row"]),
        adjustments=tuple(of_kind["adjustment"]),
        bounds=tuple(of_kind["bound"]),
        quantity_rules=tuple(of_kind["quantity_rule"]),
        skus=tuple(of_kind["sku"]),
        costs=tuple(of_kind["cost"]),
    )


def frame_leaves(frame: Frame) -> Leaves:
    """The leaves of a book that are not per SKU."""
    return leaves_of(
        BookContent(
            strategy=frame.strategy,
            policy=frame.policy,
            lists=frame.lists,
            layers=frame.layers,
            adjustments=frame.adjustments,
            bounds=frame.bounds,
            quantity_rules=frame.quantity_rules,
        )
    )


def entry_leaves(entry: SkuEntry) -> Leaves:
    """The leaves of one SKU."""
    per_sku = BookContent(rows=entry.rows, skus=(entry.facts,), costs=entry.costs)
    return {(kind, key): noun for kind, key, noun in objects(per_sku) if kind in {"row", "sku", "cost"}}


def sku_of(name: LeafName) -> str | None:
    """The SKU a leaf belongs to; None for one of the frame."""
    kind, key = name
    if kind == "row" and len(key) > 1:
        return key[1]
    return key[0] if kind in {"sku", "cost"} and key else None


def list_of(name: LeafName) -> str | None:
    """The price list a leaf is, or belongs to; None for another."""
    kind, key = name
    return key[0] if kind in {"list", "derivation", "row"} and key else None


def noun_of(kind: str, key: Key, content: Any) -> Any:
    """The noun that JSON-able *content* describes. Its numbers need not be in normal form: 12.50 is taken for 12.5.

    :raises LeafMalformed: when it is none of its kind, or not the one that *key* names
    """
    if kind not in KINDS:
        raise LeafMalformed(f"A price book has no {kind!r}; it has {', '.join(KINDS)}.")
    try:
        noun = msgspec.convert(_normal(content), KINDS[kind])
    except msgspec.ValidationError as error:
        raise LeafMalformed(f"{kind} {' / '.join(key)}: {error}", kind=kind, key=list(key)) from error
    for name in ("starts_at", "ends_at"):
        instant = getattr(noun, name, None)
        if instant is not None and instant.tzinfo is not UTC:
            raise LeafMalformed(f"{kind} {' / '.join(key)}: {name} must be in UTC.", kind=kind, key=list(key))
    if (says := key_of(kind, noun)) != key:
        raise LeafMalformed(
            f"The {kind} says it is {' / '.join(says)}, not {' / '.join(key)}. "
            "To rename one, remove it and add another.",
            kind=kind,
            key=list(key),
        )
    return noun


def storable(noun: Any) -> None:
    """:raises LeafMalformed: when neither a canonical document nor the database could hold the noun"""
    try:
        written = canonical_json(noun)
    except NotCanonical as error:
        raise LeafMalformed(error.message) from error
    if b"\\u0000" in written:
        raise LeafMalformed("A text holds a NUL character; remove it.")


def _normal(content: Any, field: str = "") -> Any:
    """*content* with the decimals in its number fields in normal form; what is no decimal is left to be refused."""
    if isinstance(content, dict):
        return {name: _normal(value, name) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_normal(value, field) for value in content]
    if isinstance(content, str) and field in _NUMBER_FIELDS:
        try:
            return normal(content)
        except MalformedDecimal:
            return content
    return content


def key_of(kind: str, noun: Any) -> Key:
    match kind:
        case "strategy" | "policy" | "layers":
            return ()
        case "row":
            return noun.list, noun.sku, noun.unit, "" if noun.starts_at is None else noun.starts_at.isoformat()
        case "sku":
            return (noun.sku,)
        case "cost":
            return noun.sku, noun.currency
        case "derivation":
            return (noun.list,)
        case _:
            return (noun.code,)


def plain(noun: Any) -> Any:
    """The JSON-able form of a noun, as a leaf holds it."""
    return msgspec.to_builtins(noun)


def seen(noun: Any) -> str | None:
    """The digest an editor gives back to say what was seen; None for no object."""
    return None if noun is None else digest(noun)


# --- Drafts ---


def changed(base: Mapping[LeafName, Any], wanted: Mapping[LeafName, Any], kinds: Iterable[str]) -> dict[LeafName, Any]:
    """What turns *base* into *wanted* within *kinds*; None for a leaf that goes."""
    kinds = frozenset(kinds)
    changes: dict[LeafName, Any] = {
        name: noun for name, noun in wanted.items() if name[0] in kinds and base.get(name) != noun
    }
    changes.update({name: None for name in base if name[0] in kinds and name not in wanted})
    return changes


def applied(base: Mapping[LeafName, Any], changes: Mapping[LeafName, Any]) -> Leaves:
    leaves = dict(base)
    for name, noun in changes.items():
        if noun is None:
            leaves.pop(name, None)
        else:
            leaves[name] = noun
    return leaves


def clashes(
    base: Mapping[LeafName, Any], latest: Mapping[LeafName, Any], changes: Mapping[LeafName, Any]
) -> list[LeafName]:
    """Leaves that *changes* change and that *latest* has otherwise than both *base* and the change."""
    return [name for name, noun in changes.items() if latest.get(name) != base.get(name) and latest.get(name) != noun]


# --- Sources ---


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a content was made from: its derivations, and of the rows of derived lists the keys of those that were
    stated outright. The rest of the content was stated outright too.
    """

    derivations: tuple[Derivation, ...]
    stated: tuple[Key, ...]

    def gave(self) -> Callable[[LeafName], bool]:
        """Whether a leaf of the content follows from a derivation."""
        lists, stated = {derivation.list for derivation in self.derivations}, frozenset(self.stated)
        return lambda name: name[0] == "row" and name[1][0] in lists and name[1] not in stated


def source_of(stated: Mapping[LeafName, Any]) -> Source | None:
    """Of leaves as a draft has them; None when there is no derivation among them."""
    derivations = derivations_of(stated)
    lists = {derivation.list for derivation in derivations}
    keys = sorted(key for kind, key in stated if kind == "row" and key[0] in lists) if lists else []
    return Source(derivations=derivations, stated=tuple(keys)) if lists else None


def derivations_of(stated: Mapping[LeafName, Any]) -> tuple[Derivation, ...]:
    """By list."""
    return tuple(stated[name] for name in sorted(name for name in stated if name[0] == "derivation"))


def stated_leaves(leaves: Leaves, source: Source | None) -> Leaves:
    """Leaves of a content as a draft has them: derivations, and not the rows that followed from them."""
    if source is None:
        return leaves
    gave = source.gave()
    stated: Leaves = {name: noun for name, noun in leaves.items() if not gave(name)}
    return stated | derivation_leaves(source)


def derivation_leaves(source: Source) -> Leaves:
    return {("derivation", (noun.list,)): noun for noun in source.derivations}


# --- Bytes ---


class KeptSource(msgspec.Struct, frozen=True):
    """A source as the database keeps it: compressed JSON, named by the SHA-256 of these bytes."""

    digest: bytes
    source: bytes


def packed_source(source: Source) -> KeptSource:
    compressed = zlib.compress(msgspec.json.encode(source, order="sorted"), _COMPRESSION)
    return KeptSource(sha256(compressed).digest(), compressed)


def unpacked_source(kept: KeptSource) -> Source:
    """:raises ContentDamaged: when it is not what its digest names"""
    if sha256(kept.source).digest() != kept.digest:
        raise ContentDamaged("The source kept under sha256:" + kept.digest.hex() + " was changed.")
    return msgspec.json.decode(zlib.decompress(kept.source), type=Source)


class Kept(msgspec.Struct, frozen=True):
    """A content as the database keeps it: compressed JSON, and the house's word that *root* names these bytes."""

    root: bytes
    content: bytes
    signature: Signature


def packed(content: BookContent, keyring: Keyring) -> Kept:
    """Name the content by its root, and sign the two together.

    :raises DuplicateKey: when two of its objects have the same key
    """
    written = msgspec.json.encode(content, order="sorted")
    with ThreadPoolExecutor(max_workers=1) as beside:  # compression lets other threads run: a second core does it
        compressing = beside.submit(zlib.compress, written, _COMPRESSION)
        root = root_bytes(root_of(content, keyring.house_key))
        compressed = compressing.result()
    return Kept(root, compressed, keyring.sign("publication", _content_message(root, compressed)))


def unpacked(kept: Kept, keyring: Keyring) -> BookContent:
    """:raises ContentDamaged: when it is not what the house kept under this root"""
    root = root_text(kept.root)
    if not keyring.verify("publication", kept.signature, _content_message(kept.root, kept.content)):
        raise ContentDamaged(f"The content kept under {root} is not what the house signed.")
    try:
        return msgspec.json.decode(zlib.decompress(kept.content), type=BookContent)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ContentDamaged(f"This release cannot read the content of {root}: {error}") from error


def _content_message(root: bytes, content: bytes) -> bytes:
    return canonical_json({"root": root_text(root), "content": f"sha256:{sha256(content).hexdigest()}"})


def root_text(root: bytes) -> str:
    return "sha256:" + root.hex()


def root_bytes(root: str) -> bytes:
    return bytes.fromhex(root.removeprefix("sha256:"))


def key_text(key: Key) -> str:
    return canonical_json(key).decode()


def key_from_text(text: str) -> Key:
    return msgspec.json.decode(text, type=tuple[str, ...])


def publication_message(number: int, root: str, effective_at: datetime) -> bytes:
    """What the house signs: that *root* is in force from *effective_at* on, as entry *number* of the log."""
    return canonical_json(
        {"number": number, "root": root, "effective_at": effective_at.astimezone(UTC).isoformat()},
    )
