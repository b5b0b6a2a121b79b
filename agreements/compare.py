"""What differs between two texts of a document, word by word, for people. Pure."""

import difflib
import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Op = Literal["same", "added", "removed"]
_BLOCK: Final = re.compile(r"\n\s*\n")
_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_LETTERS: Final = re.compile(r"\w+")
_HEADING: Final = re.compile(r"^#+\s*")
_MARKS: Final = re.compile(r"\*\*|__|`|^\s*[-*] |^\s*> ", re.MULTILINE)
ALIKE: Final = 0.4
"""From this part of equal words on, two paragraphs are one that was edited; below it, one went and another came."""


class Piece(msgspec.Struct, frozen=True):
    op: Op
    text: str


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A paragraph, heading or list that changed. *under*: the heading it stands under."""

    under: str
    heading: bool
    pieces: tuple[Piece, ...]


def compare(before: str, after: str) -> tuple[Passage, ...]:
    """The passages that differ, in the order of the new text. Markup is left out; nothing when both read the same."""
    old, new = _blocks(before), _blocks(after)
    passages: list[Passage] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            continue
        under = _heading_above(new, new_from) or _heading_above(old, old_from)
        for removed, added in _paired(old[old_from:old_to], new[new_from:new_to]):
            pieces = _words(_plain(removed), _plain(added))
            if any(piece.op != "same" for piece in pieces):
                heading = (added or removed).startswith("#")
                passages.append(Passage(under="" if heading else under, heading=heading, pieces=pieces))
            if added.startswith("#"):
                under = _plain(added)
    return tuple(passages)


def as_text(passages: Sequence[Passage]) -> str:
    """For letters without HTML: `[-removed-]` and `[+added+]`."""
    forms = {"same": "{}", "added": "[+{}+]", "removed": "[-{}-]"}
    return "\n\n".join(
        (f"{passage.under}\n" if passage.under else "")
        + "".join(forms[piece.op].format(piece.text) for piece in passage.pieces)
        for passage in passages
    )


def _blocks(text: str) -> list[str]:
    return [block.strip() for block in _BLOCK.split(text) if block.strip()]


def _plain(block: str) -> str:
    return _MARKS.sub("", _HEADING.sub("", block))


def _heading_above(blocks: Sequence[str], place: int) -> str:
    return next((_plain(block) for block in reversed(blocks[:place]) if block.startswith("#")), "")


def _paired(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Old and new blocks side by side where they are alike; "" beside one that went or came."""
    pairs: list[tuple[str, str]] = []
    rest = list(old)
    for added in new:
        best = max(rest, key=lambda removed: _likeness(removed, added), default="")
        if best and _likeness(best, added) >= ALIKE:
            place = rest.index(best)
            pairs += [(removed, "") for removed in rest[:place]]
            pairs.append((best, added))
            rest = rest[place + 1 :]
        else:
            pairs.append(("", added))
    return pairs + [(removed, "") for removed in rest]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _LETTERS.findall(one), _LETTERS.findall(other), autojunk=False).ratio()


def _words(before: str, after: str) -> tuple[Piece, ...]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    pieces: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[old_from:old_to])))
            continue
        if old_to > old_from:
            pieces.append(Piece("removed", "".join(old[old_from:old_to])))
        if new_to > new_from:
            pieces.append(Piece("added", "".join(new[new_from:new_to])))
    return tuple(pieces)
