"""Canonical JSON, held against the rfc8785 package."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from kernel.canonical import NotCanonical, canonical_json, canonical_struct, digest, strict_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_the_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


def test_keys_are_sorted_by_utf_16_units() -> None:
    value: dict[str, Any] = {"\ufb33": 1, "\U0001f600": 2, "é": [{"b": 1, "a": 2}], "a": ()}

    assert canonical_json(value) == rfc8785.dumps({**value, "a": []})
    assert list(msgspec.json.decode(canonical_json(value))) == ["a", "é", "\U0001f600", "\ufb33"]


def test_every_control_character_is_escaped_the_same_way() -> None:
    value = "".join(map(chr, range(0x80))) + "\u2028\u00e9€"

    assert canonical_json(value) == rfc8785.dumps(value)


def test_structs_enums_and_instants_have_a_form() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Thing(msgspec.Struct):
        name: str
        at: datetime
        colour: Colour

    thing = Thing(name="A", at=datetime(2026, 1, 2, tzinfo=UTC), colour=Colour.RED)

    assert canonical_json(thing) == b'{"at":"2026-01-02T00:00:00Z","colour":"red","name":"A"}'


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), 2**53, -(2**53), [2**63], {1: "a"}, {"a": {2: 1}}, "\ud800", {"\ud800": 1}, object(), [1.0]],
)
def test_what_json_cannot_say_exactly_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        canonical_json(value)


def test_nesting_without_end_is_refused() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(NotCanonical):
        canonical_json(value)
    with pytest.raises(NotCanonical):
        strict_json(b"[" * 100_000)


@given(JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert strict_json(canonical_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":1,"a":1}', b'[{"b":{"a":1,"a":2}}]', b"1.0", b"1e2", b"NaN", b"-Infinity", b"\xff", b"{} {}"],
)
def test_what_two_readers_may_take_for_two_things_is_refused(text: bytes) -> None:
    with pytest.raises(NotCanonical):
        strict_json(text)


def test_a_digest_names_its_algorithm() -> None:
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_struct_of_texts_has_the_same_bytes_on_the_short_way() -> None:
    class Part(msgspec.Struct):
        name: str
        begin: str | None = msgspec.field(default=None, name="from")
        at: datetime | None = None

    class Thing(msgspec.Struct):
        z: tuple[Part, ...]
        a: bool
        count: int

    parts = Part(name="Ω\u2028\x07"), Part(name="", begin="1", at=datetime(2026, 1, 2, tzinfo=UTC))
    thing = Thing(z=parts, a=True, count=3)

    assert canonical_struct(thing) == canonical_json(thing)
    assert canonical_struct(thing) == rfc8785.dumps(msgspec.json.decode(msgspec.json.encode(thing)))
    with pytest.raises(NotCanonical):
        canonical_struct(("\ud800",))
