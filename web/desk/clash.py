"""Two editors at one object: what it was, what the other made of it, what you typed, and one form of both.

The form carries what its editor saw; the copy is believed only where its digest is the one that was handed out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pricing.content import Key, LeafMalformed, noun_of, plain, seen
from pricing.service import LeafState
from web.desk.describe import Sides, three_sides
from web.http import Form

CARRIED: Final = frozenset({"form_token", "expected", "original", "action"})
_LINE: Final = re.compile(r"-[0-9]+\Z")
_LINES: Final = "-"

Values = dict[str, str]


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """*fields*: the three sides; *known*: whether the original is known, *removed*: whether theirs is gone. *yours*:
    the form as typed, to be saved alone, None where you wanted the object gone; *expected* what saving then replaces.
    """

    fields: tuple[Sides, ...]
    known: bool
    removed: bool
    yours: Values | None
    expected: str


def clash_of(kind: str, theirs: LeafState, yours: Any, form: Form, locale: str) -> Clash:
    """*yours*: what you wanted stored, None for gone."""
    original = original_of(kind, theirs.key, form)
    typed = {name: value for name, value in form.as_dict().items() if name not in CARRIED}
    return Clash(
        fields=three_sides(original, theirs.content, yours, locale),
        known=original is not None,
        removed=theirs.content is None,
        yours=None if yours is None else typed,
        expected=theirs.seen or "",
    )


def original_of(kind: str, key: Key, form: Form) -> Any:
    """What the form's editor saw; None where it does not say, or says what was never handed out."""
    try:
        noun = noun_of(kind, key, msgspec.json.decode(form.get("original")))
    except (msgspec.DecodeError, LeafMalformed):
        return None
    return plain(noun) if seen(noun) == form.get("expected") else None


def merged(values_of: Callable[[Any], Values], original: Any, theirs: Any, typed: Values) -> Values:
    """The fields of a form that keeps what each side alone changed; where both did, yours. The numbered lines of a form
    (tiers, layers) are one field, as half of one's and half of another's would be nobody's. Without an original or
    theirs there is nothing to put together.
    """
    if original is None or theirs is None:
        return typed
    was, now = values_of(original), values_of(theirs)
    names = sorted(set(was) | set(now) | set(typed) - CARRIED)
    taken: Values = {}
    for group in {_group(name) for name in names}:
        members = [name for name in names if _group(name) == group]
        untouched = all(_plain(was, name) == _plain(typed, name) for name in members)
        taken |= {name: (now if untouched else typed).get(name, "") for name in members}
    return {name: value for name, value in taken.items() if value}


def carried(state: LeafState | None, values: Mapping[str, str], *, clash: bool) -> dict[str, str]:
    """What the form says its editor saw: on a clash what stands now, so that saving again is a decision."""
    if not clash and "expected" in values:
        return {"expected": values["expected"], "original": values.get("original", "")}
    if state is None or state.content is None:
        return {"expected": "", "original": ""}
    return {"expected": state.seen or "", "original": msgspec.json.encode(state.content).decode()}


def _group(name: str) -> str:
    return _LINES if _LINE.search(name) else name


def _plain(values: Mapping[str, str], name: str) -> str:
    """As typed, without what a browser does to line ends."""
    return values.get(name, "").replace("\r\n", "\n").strip()
