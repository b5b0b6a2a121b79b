"""Check a proof or a view of a price book against a root, without the engine and without a network.

    python -m pricing.engine.verify FILE ROOT

FILE is a proof of one leaf (a JSON document), or all that a reader was shown of a book (JSON Lines: a header, the
shown leaves, the bare digests of the others). ROOT is what the publication log says, `sha256:...`: take it from there
and not from whom the file came from.

Each shown leaf is hashed as it stands, so its bytes are those the house put under the root; the tree is that of RFC
9162. A leaf that the house put there twice, with two contents, is found in a view.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from kernel import merkle
from kernel.canonical import NotCanonical, canonical_json, strict_json

Json = dict[str, Any]

_ROOT = re.compile(r"sha256:[0-9a-f]{64}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_LEAF = {"content", "key", "kind", "salt"}
_MALFORMED = (ValueError, TypeError, LookupError, RecursionError, NotCanonical)


class Verified(NamedTuple):
    """Sentences: what was worked out and agrees, what no such file can show, and what does not follow."""

    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    findings: tuple[str, ...]


def verify(lines: Iterator[bytes], root: str) -> Verified:
    """Check the lines of a file against *root*; a view is read line by line."""
    try:
        header, rest = _opened(lines)
        if header.get("document") == "view":
            return _view(header, rest, root)
        if header.get("document") == "proof":
            return _proof(header, root)
        raise ValueError("it says neither that it is a proof nor that it is a view")
    except _MALFORMED as error:
        return _wrong(f"The file is not of the expected form: {type(error).__name__} {error}")


def _opened(lines: Iterator[bytes]) -> tuple[Json, Iterator[bytes]]:
    """The first JSON object, which may stand on several lines when it is all there is, and the lines after it."""
    first = next(lines, b"")
    try:
        return _read(first), lines
    except NotCanonical:
        return _read(first + b"".join(lines)), iter(())


def _proof(proof: Json, root: str) -> Verified:
    leaf = proof["leaf"]
    digest = _raw(proof["digest"])
    if proof["root"] != root:
        return _wrong(f"The proof is of the root {proof['root']}, not of {root}.")
    if leaf is not None and sha256(canonical_json(_leaf(leaf))).digest() != digest:
        return _wrong(f"{_named(leaf)}: the leaf has another digest than the proof is for.")
    path = [_raw(node) for node in proof["path"]]
    if not merkle.verify_inclusion(digest, proof["index"], proof["size"], path, _raw(root.removeprefix("sha256:"))):
        return _wrong("The path does not lead to the root.")
    named = "A leaf whose content is not shown" if leaf is None else _named(leaf)
    return Verified(
        (f"{named}: is in the book {root}",),
        (f"how many leaves the book has (the proof says {proof['size']}); a view of the book shows it",),
        (),
    )


def _view(header: Json, lines: Iterator[bytes], root: str) -> Verified:
    digests: list[bytes] = []
    names: set[tuple[str, ...]] = set()
    findings = [] if header["root"] == root else [f"The view is of the root {header['root']}, not of {root}."]
    for _ in range(header["shown"]):
        line = _line(lines)
        leaf = _leaf(_read(line))
        digests.append(sha256(line).digest())
        name = (leaf["kind"], *leaf["key"])
        if name in names:
            findings.append(f"{_named(leaf)}: is shown twice.")
        names.add(name)
    digests += [_raw(strict_json(_line(lines))) for _ in range(header["hidden"])]
    if next(lines, None) is not None:
        findings.append("More lines follow than the first line says.")
    found = "sha256:" + merkle.root(sorted(digests)).hex()
    if found != root:
        findings.append(f"The leaves lead to the root {found}, not to {root}.")
    hidden = f"what stands behind the {header['hidden']} bare digests, and whether it concerns the reader"
    said = f"{header['shown']} shown leaves of {len(digests)} lead to the root {root}"
    return Verified((said,), (hidden,), ()) if not findings else Verified((), (hidden,), tuple(findings))


def _line(lines: Iterator[bytes]) -> bytes:
    line = next(lines, None)
    if line is None:
        raise ValueError("it ends before it has all the lines its first line says")
    return line.removesuffix(b"\n")


def _read(text: bytes) -> Json:
    found = strict_json(text)
    if not isinstance(found, dict):
        raise TypeError(f"{text[:40]!r} is no JSON object")
    return found


def _leaf(leaf: Json) -> Json:
    if set(leaf) != _LEAF:
        raise ValueError(f"a leaf has {sorted(_LEAF)}, this one {sorted(leaf)}")
    return leaf


def _named(leaf: Json) -> str:
    return " / ".join([leaf["kind"], *leaf["key"]])


def _raw(digest: str) -> bytes:
    if not _DIGEST.match(digest):
        raise ValueError(f"{digest[:80]!r} is no digest: 64 digits and small letters a to f")
    return bytes.fromhex(digest)


def _wrong(sentence: str) -> Verified:
    return Verified((), (), (sentence,))


def main(arguments: Sequence[str]) -> int:
    """0: the file leads to the root. 1: it does not. 2: it could not be read."""
    if len(arguments) != 2 or not _ROOT.match(arguments[1]):
        sys.stderr.write("Give a file and a root: python -m pricing.engine.verify FILE sha256:...\n")
        return 2
    name, root = arguments
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - the engine imports no pathlib: it is pure but for this reading
            found = verify(file, root)
    except OSError as error:
        sys.stderr.write(f"{name} cannot be read: {error.strerror}\n")
        return 2
    for title, said in (("Checked", found.checked), ("Not checked", found.unchecked), ("WRONG", found.findings)):
        for sentence in said:
            sys.stdout.write(f"{title}: {sentence}\n")
    return 1 if found.findings else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
