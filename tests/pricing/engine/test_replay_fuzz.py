"""Whatever is changed in an answer, the replay finds it, or says that it took or left the value as it stands.

The author of each change could also change the leaves' document to name the changed answer: the digest of the whole is
no help here.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import digest
from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, Quote, QuoteRequest, TaxInput, quote, root
from pricing.engine.disclose import disclosed
from pricing.engine.leaves import leaf_digest, root_of_digests
from pricing.engine.replay import replay
from tests.pricing.engine.cast import ACME, GLOBEX, NOW, VAT
from tests.pricing.engine.test_laws import asked, buyers, contents, taxes
from tests.pricing.engine.test_replay import RICH, rich

KEY = b"house"
Path = tuple[str | int, ...]
Change = tuple[Path, Any]


def answer_to(of: BookContent, lines: list[LineRequest], buyer: Buyer, tax: TaxInput | None) -> Quote:
    request = QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines), tax=tax)
    return quote(request, book=MemoryBook(of, root=root(of, KEY)), at=NOW + timedelta(hours=1))


def changes(value: Any, path: Path = ()) -> Iterator[Change]:
    """Each value below *value*, one character of it changed at a time."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from changes(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from changes(part, (*path, number))
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield from ((path, value + 1), (path, -value - 1))
    elif isinstance(value, str):
        yield path, value + "0"
        yield from (
            (path, value[:at] + _other(character) + value[at + 1 :])
            for at, character in enumerate(value)
            if character.isalnum()
        )
    else:
        yield path, "1"


def _other(character: str) -> str:
    if character.isdigit():
        return str((int(character) + 1) % 10)
    return "r" if character == "q" else "q"


def unnoticed(of: BookContent, answer: Quote, chosen: list[int] | None = None) -> list[Change]:
    """Which changes (of those *chosen* by number) neither lead to a finding nor show in what the replay lists as asked
    or unchecked.
    """
    told = json.loads(msgspec.json.encode(answer))
    leaves = json.loads(msgspec.json.encode(disclosed(of, KEY, answer)))
    before = replay(json.dumps(told).encode(), json.dumps(leaves).encode())
    assert before.findings == ()
    every = list(changes(told))
    found = []
    for path, value in every if chosen is None else [every[number % len(every)] for number in chosen]:
        changed = _with(told, path, value)
        leaves["answer"] = digest(changed)
        after = replay(json.dumps(changed).encode(), json.dumps(leaves).encode())
        if not after.findings and (after.asked, after.unchecked) == (before.asked, before.unchecked):
            found.append((path, value))
    return found


def _with(told: Any, path: Path, value: Any) -> Any:
    changed = json.loads(json.dumps(told))
    part = changed
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return changed


@given(
    contents(),
    st.lists(asked, min_size=1, max_size=4),
    buyers,
    st.none() | taxes,
    st.lists(st.integers(0, 1_000_000), min_size=15, max_size=15),
)
@settings(deadline=None, max_examples=60)
def test_a_change_of_any_answer_is_found_or_said_to_be_unchecked(
    of: BookContent, lines: list[LineRequest], buyer: Buyer, tax: TaxInput | None, chosen: list[int]
) -> None:
    assert unnoticed(of, answer_to(of, lines, buyer, tax), chosen) == []


@pytest.mark.parametrize(("buyer", "tax"), [(ACME, VAT), (GLOBEX, None)])
def test_a_change_of_a_rich_answer_is_found_or_said_to_be_unchecked(buyer: Buyer, tax: TaxInput | None) -> None:
    parts = [line.split() for line in RICH]
    lines = [LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None) for quantity, *unit, sku in parts]

    assert unnoticed(rich(), answer_to(rich(), lines, buyer, tax), list(range(0, 4000, 29))) == []


def test_an_answer_that_says_a_thing_twice_is_refused() -> None:
    answer = answer_to(rich(), [LineRequest(sku="STOOL", quantity="2")], ACME, None)
    leaves = msgspec.json.encode(disclosed(rich(), KEY, answer))
    written = msgspec.json.encode(answer)
    twice = written.replace(b'"currency":', b'"currency":"USD","currency":', 1)

    assert replay(written, leaves).findings == ()
    (finding,) = replay(twice, leaves).findings
    assert "a name twice" in finding


def test_a_leaf_that_was_put_under_the_root_twice_is_found() -> None:
    answer = answer_to(rich(), [LineRequest(sku="STOOL", quantity="2")], ACME, None)
    leaves = json.loads(msgspec.json.encode(disclosed(rich(), KEY, answer)))
    twin = json.loads(json.dumps(next(leaf for leaf in leaves["shown"] if leaf["kind"] == "row")))
    twin["content"]["tiers"][0]["unit_price"] = "31"
    leaves["shown"].append(twin)
    digests = [leaf_digest(leaf["kind"], leaf["key"], leaf["content"], leaf["salt"]) for leaf in leaves["shown"]]
    leaves["root"] = root_of_digests([*digests, *map(bytes.fromhex, leaves["digests"])])
    told = {**json.loads(msgspec.json.encode(answer)), "root": leaves["root"]}
    leaves["answer"] = digest(told)

    findings = replay(json.dumps(told).encode(), json.dumps(leaves).encode()).findings

    assert any(finding.startswith("A second row LIST / STOOL") for finding in findings)
