import pytest

from agreements import tree
from kernel import merkle

SIZES = 70


@pytest.fixture(scope="module")
def entries() -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(SIZES)]


@pytest.fixture(scope="module")
def nodes(entries: list[bytes]) -> dict[tree.Place, bytes]:
    """What appending the entries one by one stores."""
    stored: dict[tree.Place, bytes] = {}
    for seq, entry in enumerate(entries):
        reached = {place: stored[place] for place in tree.siblings_needed_by(seq)}
        grown = dict(tree.completed_by(seq, merkle.leaf_hash(entry), reached))
        assert tuple(grown) == tree.places_completed_by(seq)
        assert not grown.keys() & stored.keys()
        stored |= grown
    return stored


def test_roots_of_all_sizes_equal_those_of_the_whole_tree(entries: list[bytes], nodes: dict[tree.Place, bytes]) -> None:
    for size in range(SIZES + 1):
        assert tree.fold((0, size), nodes) == merkle.root(entries[:size])


def test_inclusion_proofs_of_all_leaves_in_all_sizes_equal_those_of_the_whole_tree(
    entries: list[bytes], nodes: dict[tree.Place, bytes]
) -> None:
    for size in range(1, SIZES + 1):
        for index in range(size):
            proof = tuple(tree.fold(span, nodes) for span in tree.inclusion_spans(index, size))
            assert proof == merkle.inclusion_proof(entries[:size], index)


def test_consistency_proofs_between_all_sizes_equal_those_of_the_whole_tree(
    entries: list[bytes], nodes: dict[tree.Place, bytes]
) -> None:
    for size in range(1, SIZES + 1):
        for first in range(1, size + 1):
            proof = tuple(tree.fold(span, nodes) for span in tree.consistency_spans(first, size))
            assert proof == merkle.consistency_proof(entries[:size], first)


def test_a_proof_in_a_million_reads_few_nodes() -> None:
    for index in (0, 1, 524_288, 777_777, 999_999):
        places = {place for span in tree.inclusion_spans(index, 1_000_000) for place in tree.cover(span)}
        assert len(places) < 45


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 4), (4, 4)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        tree.inclusion_spans(index, size)


@pytest.mark.parametrize(("first", "size"), [(0, 4), (5, 4)])
def test_a_tree_did_not_grow_from_nothing_or_from_a_larger_one(first: int, size: int) -> None:
    with pytest.raises(IndexError):
        tree.consistency_spans(first, size)
