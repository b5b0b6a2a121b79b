"""The RFC 9162 tree, held against a literal reading of its recursive definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import merkle

ENTRIES = [f"entry {number}".encode() for number in range(40)]


def by_definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\x01" + by_definition(entries[:split]) + by_definition(entries[split:])).digest()


@pytest.mark.parametrize("size", range(len(ENTRIES)))
def test_the_root_is_the_one_defined(size: int) -> None:
    assert merkle.root(ENTRIES[:size]) == by_definition(ENTRIES[:size])


@pytest.mark.parametrize("size", range(1, 20))
def test_every_entry_proves_and_no_other_does(size: int) -> None:
    entries = ENTRIES[:size]
    root = merkle.root(entries)
    for index, entry in enumerate(entries):
        proof = merkle.inclusion_proof(entries, index)

        assert merkle.verify_inclusion(entry, index, size, proof, root)
        assert not merkle.verify_inclusion(b"other", index, size, proof, root)
        assert not merkle.verify_inclusion(entry, index, size, (*proof, root), root)
        assert not merkle.verify_inclusion(entry, index, size, proof, sha256(root).digest())
        if proof:
            assert not merkle.verify_inclusion(entry, index, size, proof[:-1], root)


@pytest.mark.parametrize("second", range(1, 20))
def test_a_grown_tree_proves_that_it_only_grew(second: int) -> None:
    new = merkle.root(ENTRIES[:second])
    for first in range(1, second + 1):
        old = merkle.root(ENTRIES[:first])
        proof = merkle.consistency_proof(ENTRIES[:second], first)

        assert merkle.verify_consistency(first, second, old, new, proof)
        assert not merkle.verify_consistency(first, second, sha256(old).digest(), new, proof)
        assert not merkle.verify_consistency(first, second, old, sha256(new).digest(), proof)
        assert not merkle.verify_consistency(first, second, old, new, (*proof, new))
        if proof:
            assert not merkle.verify_consistency(first, second, old, new, proof[:-1])


@given(st.data())
def test_a_pruned_tree_leads_some_entries_to_the_root_and_no_others(data: st.DataObject) -> None:
    entries = ENTRIES[: data.draw(st.integers(1, len(ENTRIES)))]
    size = len(entries)
    places = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    known = {place: entries[place] for place in places}
    nodes = merkle.Tree(entries).pruned(places)

    assert merkle.pruned_root(size, known, nodes) == merkle.root(entries)
    assert len(nodes) <= sum(len(merkle.inclusion_proof(entries, place)) for place in places)
    assert merkle.pruned_root(size, {**known, max(places): b"other"}, nodes) != merkle.root(entries)
    with pytest.raises(ValueError, match="too many nodes"):
        merkle.pruned_root(size, known, (*nodes, b"0" * 32))
    if nodes:
        with pytest.raises(ValueError, match="too few nodes"):
            merkle.pruned_root(size, known, nodes[:-1])


@pytest.mark.parametrize("places", [[], [-1, 1], [0, 5]])
def test_a_pruned_tree_has_the_places_of_its_size(places: list[int]) -> None:
    with pytest.raises(ValueError, match="has not these places"):
        merkle.pruned_root(5, dict.fromkeys(places, b"x"), [])


def test_questions_outside_the_tree_have_no_proof() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof(ENTRIES, 40)
    with pytest.raises(IndexError):
        merkle.consistency_proof(ENTRIES, 0)
    assert not merkle.verify_inclusion(b"", 1, 1, (), b"")
    assert not merkle.verify_consistency(0, 1, b"", b"", ())
    assert not merkle.verify_consistency(3, 4, b"", b"", ())
