"""Roots, proofs, views and deltas: what they prove, and that they tell nothing else."""

import ast
import doctest
import hmac
import json
import re
import runpy
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import NotCanonical
from pricing.engine import BookContent, Buyer, Leaf, leaf_digest, leaves, root
from pricing.engine.book import (
    AmountEffect,
    Bound,
    Cost,
    CurrencyPrice,
    MarginLimit,
    PriceLimit,
    QuantityRule,
    Scope,
    Side,
    SkuFacts,
)
from pricing.engine.leaves import DuplicateKey, Seal, root_of, root_of_digests
from pricing.engine.proofs import (
    DeltaDoesNotFit,
    LeafNotFound,
    Proof,
    Prover,
    ReaderView,
    ViewMalformed,
    apply_delta,
    delta,
    diff,
    prove,
    read_view,
    verify_proof,
    view,
    view_lines,
    view_root,
)
from pricing.engine.verify import Verified, main, verify
from tests.pricing import books_at_random
from tests.pricing.engine import test_laws
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    GLOBEX,
    GUEST,
    INITECH,
    ROPE,
    STOOL,
    content,
    day,
    in_euro,
    only,
    public,
    row,
    rule,
)

KEY = b"house"
PROJECT = Path(__file__).parents[3]
ALL = Scope(everything=True)
contents = test_laws.contents() | books_at_random.contents()
buyers = st.sampled_from([ACME, GLOBEX, INITECH, GUEST, Buyer(company="acme", segments=("trade",), country="FR")])
ROW = ("LIST", "CRUNCHY-ARMCHAIR", "each", "")


def bound(code: str, limit: PriceLimit | MarginLimit, *, disclosed: bool, scope: Scope = ALL) -> Bound:
    return Bound(code=code, side=Side.FLOOR, scope=scope, limit=limit, disclosed=disclosed)


def euros(price: str) -> PriceLimit:
    return PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),))


def book(**more: Any) -> BookContent:
    """A public list, contracts of Initech and Globex, a SKU made for Globex alone, and something of everything."""
    defaults: dict[str, Any] = {
        "lists": (
            public(),
            public("CONTRACT-INITECH", audience=only(company="initech")),
            public("CONTRACT-GLOBEX", audience=only(company="globex")),
        ),
        "skus": (CHAIR, ROPE, STOOL, SkuFacts(sku="GLOBEX-THRONE", brand="throne", categories=("seating/thrones",))),
        "adjustments": (
            rule("SEASON", "3.335"),
            rule("CHAIRS", "1.5", scope=Scope(categories=("seating/chairs",), excluded_skus=("STOOL",))),
            rule("CRUNCHY", "1.25", scope=Scope(brands=("crunchy",))),
            rule("FOR-INITECH", "41.75", audience=only(company="initech")),
            rule("FOR-TRADE", "17.25", audience=only(segments=("trade",))),
            rule("THRONES", "71.25", scope=Scope(skus=("GLOBEX-THRONE",))),
            rule("THRONES-BRAND", "72.25", scope=Scope(brands=("throne",))),
            rule("THRONES-TREE", "73.25", scope=Scope(categories=("seating/thrones",))),
            rule("ORDER", AmountEffect(amount="1.01"), layer="order", conditions=in_euro()),
        ),
        "bounds": (
            bound("SHOWN", euros("1.05"), disclosed=True),
            bound("SECRET", euros("6.125"), disclosed=False),
            bound("SHOWN-MARGIN", MarginLimit(percent="12.875"), disclosed=True),
            bound("THRONE-FLOOR", euros("66.125"), disclosed=True, scope=Scope(skus=("GLOBEX-THRONE",))),
        ),
        "quantity_rules": (
            QuantityRule(code="PAIRS", scope=Scope(skus=("STOOL",)), multiple="2"),
            QuantityRule(code="THRONES-BY-SEVEN", scope=Scope(skus=("GLOBEX-THRONE",)), multiple="7"),
        ),
        "costs": (Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="4.4375"),),
    }
    rows = (
        row("1:10 10:8.4"),
        row("1:30", sku="STOOL"),
        row("1:7.777", of="CONTRACT-INITECH"),
        row("1:8.888", of="CONTRACT-GLOBEX"),
        row("1:999.5", sku="GLOBEX-THRONE", of="CONTRACT-GLOBEX"),
    )
    return content(*rows, **{**defaults, **more})


def written(seen: ReaderView) -> bytes:
    return b"".join(view_lines(seen))


def checked(document: bytes, root: str) -> Verified:
    return verify(iter(document.splitlines(keepends=True)), root)


# --- Leaves and root ---


@given(contents, st.binary(max_size=100))
@settings(deadline=None, max_examples=60)
def test_every_leaf_is_what_rfc_8785_and_rfc_2104_make_of_it(of: BookContent, key: bytes) -> None:
    for leaf in leaves(of, key):
        said = {"kind": leaf.kind, "key": list(leaf.key), "content": msgspec.to_builtins(leaf.content)}
        salt = hmac.digest(key, rfc8785.dumps(said), "sha256")[:16].hex()

        assert leaf.salt == salt
        assert leaf.digest == sha256(rfc8785.dumps({**said, "salt": salt})).digest()
        assert leaf.digest == leaf_digest(leaf.kind, leaf.key, leaf.content, leaf.salt)


@given(contents, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_the_same_content_has_the_same_root_in_any_order(of: BookContent, random: Any) -> None:
    names = ("lists", "rows", "adjustments", "bounds", "quantity_rules", "skus", "costs")
    shuffled = {name: tuple(random.sample(getattr(of, name), len(getattr(of, name)))) for name in names}

    again = msgspec.structs.replace(of, **shuffled)

    assert root(again, KEY) == root(of, KEY) == root_of(leaves(of, KEY))
    assert leaves(again, KEY) == leaves(of, KEY)


def test_a_key_of_the_house_may_have_any_length() -> None:
    for size in (0, 63, 64, 65, 200):
        key = bytes(range(size))
        assert Seal(key)(b'{"a":1')[0] == hmac.digest(key, b'{"a":1}', "sha256")[:16].hex()


@pytest.mark.parametrize(
    "of",
    [
        content(row("1:10", sku="\ud800"), skus=(SkuFacts(sku="\ud800"),)),
        content(lists=(public(priority=2**53),)),
    ],
)
def test_what_json_cannot_say_has_no_root(of: BookContent) -> None:
    with pytest.raises(NotCanonical):
        root(of, KEY)


def test_two_objects_of_one_key_are_refused_by_their_kind_and_key() -> None:
    twice = content(row("1:10"), row("1:11"), skus=(CHAIR,))

    with pytest.raises(DuplicateKey) as refused:
        root(twice, KEY)

    assert refused.value.message == "Two objects of kind row have the key LIST / CRUNCHY-ARMCHAIR / each / ."
    assert refused.value.extra == {"kind": "row", "key": list(ROW)}


def test_a_row_is_named_by_the_instant_it_begins_at() -> None:
    of = content(row("1:10", ends_at=day(1)), row("1:11", starts_at=day(1)), skus=(CHAIR,))

    keys = [leaf.key for leaf in leaves(of, KEY) if leaf.kind == "row"]

    assert sorted(keys) == [ROW, (*ROW[:3], "2026-11-01T00:00:00+00:00")]


# --- One leaf ---


@given(contents, buyers, st.data())
@settings(deadline=None, max_examples=60)
def test_any_leaf_proves_and_under_no_other_root(of: BookContent, buyer: Buyer, data: st.DataObject) -> None:
    every = leaves(of, KEY)
    prover = Prover(every, buyer)
    here, elsewhere = root(of, KEY), root(of, b"other")

    for leaf in every:
        proof = prover.prove(*leaf.name)
        assert verify_proof(proof, here)
        assert not verify_proof(proof, elsewhere)
        assert not verify_proof(msgspec.structs.replace(proof, root=elsewhere), elsewhere)
    gone = data.draw(st.sampled_from(every))
    rest = tuple(leaf for leaf in every if leaf is not gone)
    proof = prover.prove(*gone.name)
    assert not verify_proof(msgspec.structs.replace(proof, root=root_of(rest)), root_of(rest))
    with pytest.raises(LeafNotFound, match=re.escape(f"no {gone.kind} {' / '.join(gone.key)}")):
        prove(rest, *gone.name, buyer=buyer)


def test_a_changed_character_of_a_proof_is_found() -> None:
    every = leaves(book(), KEY)
    proof = prove(every, "row", ROW, buyer=ACME)
    document = msgspec.json.encode(proof)
    here = root_of(every)
    assert checked(document, here).findings == ()
    told = json.loads(document)

    for position in range(len(document)):
        changed = bytearray(document)
        changed[position] = ord("b") if changed[position] in b"a1" else ord("1" if changed[position] in b"0" else "a")
        try:
            other = json.loads(changed)
        except ValueError:
            other = None
        if other is not None and {**other, "size": 0} == {**told, "size": 0}:
            continue  # how many leaves there are is said to be unchecked
        assert checked(bytes(changed), here).findings, changed[max(0, position - 40) : position + 1]
    assert any("how many leaves" in said for said in checked(document, here).unchecked)


def test_a_proof_says_what_the_reader_may_see_and_is_bare_otherwise() -> None:
    every = leaves(book(), KEY)
    contract = ("CONTRACT-INITECH", "CRUNCHY-ARMCHAIR", "each", "")

    shown = prove(every, "row", contract, buyer=INITECH)
    assert shown.leaf is not None
    assert shown.leaf.content.tiers[0].unit_price == "7.777"
    for buyer in (ACME, GLOBEX, GUEST, None):
        bare = prove(every, "row", contract, buyer=buyer)
        assert bare.leaf is None
        assert verify_proof(bare, root_of(every))
        assert b"7.777" not in msgspec.json.encode(bare)
        assert b"CONTRACT" not in msgspec.json.encode(bare)
    for kind, key in (("cost", ("CRUNCHY-ARMCHAIR", "EUR")), ("bound", ("SECRET",)), ("bound", ("SHOWN-MARGIN",))):
        assert prove(every, kind, key, buyer=INITECH).leaf is None


# --- All that a reader may see ---


def names(seen: ReaderView, kind: str) -> list[str]:
    return [leaf.key[-1] if kind != "row" else " ".join(leaf.key[:2]) for leaf in seen.shown if leaf.kind == kind]


def test_a_reader_sees_its_lists_and_what_speaks_of_what_they_price() -> None:
    seen = view(leaves(book(), KEY), ACME)

    assert names(seen, "list") == ["LIST"]
    assert names(seen, "row") == ["LIST CRUNCHY-ARMCHAIR", "LIST STOOL"]
    assert names(seen, "sku") == ["CRUNCHY-ARMCHAIR", "STOOL"]
    assert names(seen, "adjustment") == ["CHAIRS", "CRUNCHY", "ORDER", "SEASON"]
    assert names(seen, "bound") == ["SHOWN"]
    assert names(seen, "quantity_rule") == ["PAIRS"]
    assert names(seen, "cost") == []
    assert [leaf.kind for leaf in seen.shown if leaf.key == ()] == ["layers", "policy", "strategy"]


def test_another_reader_sees_its_own() -> None:
    seen = view(leaves(book(), KEY), GLOBEX)

    assert names(seen, "list") == ["CONTRACT-GLOBEX", "LIST"]
    assert "GLOBEX-THRONE" in names(seen, "sku")
    assert {"FOR-TRADE", "THRONES", "THRONES-BRAND", "THRONES-TREE"} <= set(names(seen, "adjustment"))
    assert names(seen, "bound") == ["SHOWN", "THRONE-FLOOR"]
    assert names(seen, "quantity_rule") == ["PAIRS", "THRONES-BY-SEVEN"]


def test_a_rule_is_shown_whichever_of_its_names_is_met() -> None:
    scopes = (
        Scope(skus=("STOOL",), brands=("nobody",), categories=("nowhere",)),
        Scope(skus=("SOFA",), brands=("crunchy",), categories=("nowhere",)),
        Scope(skus=("SOFA",), brands=("nobody",), categories=("seating",)),
    )
    rules = tuple(rule(f"R{number}", "5", scope=scope) for number, scope in enumerate(scopes))

    seen = view(leaves(book(adjustments=rules), KEY), ACME)

    assert names(seen, "adjustment") == ["R0", "R1", "R2"]


def test_a_view_holds_no_word_of_anybody_else() -> None:
    for buyer in (ACME, GUEST):
        said = written(view(leaves(book(), KEY), buyer)).lower()
        for secret in (
            b"initech", b"globex", b"throne", b"trade", b"secret", b"margin", b"7.777", b"8.888", b"999.5", b"41.75",
            b"17.25", b"71.25", b"72.25", b"73.25", b"6.125", b"12.875", b"4.4375",
        ):  # fmt: skip
            assert secret not in said, secret


@given(contents, buyers)
@settings(deadline=None, max_examples=100)
def test_a_view_leads_to_the_root_and_tells_nothing_of_what_it_hides(of: BookContent, buyer: Buyer) -> None:
    every = leaves(of, KEY)
    seen = view(every, buyer)
    said = written(seen)

    assert view_root(seen) == seen.root == root(of, KEY)
    assert checked(said, seen.root).findings == ()
    assert len(seen.shown) + len(seen.digests) == len(every)
    shown = {(leaf.kind, leaf.key) for leaf in seen.shown}
    strangers = {noun.code for noun in of.lists if noun.audience.company not in {None, buyer.company}}
    for leaf in every:
        if leaf.name not in shown:
            assert leaf.salt.encode() not in said
            assert b'"content":%b,"key":%b' % _bytes(leaf) not in said
        elif leaf.kind == "row":
            assert leaf.content.list not in strangers
        assert leaf.kind != "cost" or leaf.name not in shown


def _bytes(leaf: Leaf) -> tuple[bytes, bytes]:
    return rfc8785.dumps(msgspec.to_builtins(leaf.content)), rfc8785.dumps(list(leaf.key))


@given(contents, buyers)
@settings(deadline=None, max_examples=60)
def test_a_view_survives_its_lines(of: BookContent, buyer: Buyer) -> None:
    seen = view(leaves(of, KEY), buyer)

    again = read_view(view_lines(seen))

    assert list(view_lines(again)) == list(view_lines(seen))
    assert view_root(again) == seen.root


def test_a_view_that_is_not_whole_is_refused() -> None:
    lines = list(view_lines(view(leaves(book(), KEY), ACME)))
    here = root(book(), KEY)

    for broken in (lines[:-1], [*lines, lines[-1]], lines[1:], [], [b"\xff\n"], [*lines[:2], b"{}\n", *lines[3:]]):
        with pytest.raises(ViewMalformed):
            read_view(broken)
        assert verify(iter(broken), here).findings


def test_a_broken_view_is_told_from_one_that_ends_early_or_late() -> None:
    lines = list(view_lines(view(leaves(book(), KEY), ACME)))
    count = "The view does not have as many lines as its first line says. Fetch it again."

    for broken, said in (
        ([], "This is no view of a price book: Input data was truncated"),
        ([lines[0], b"{}", *lines[2:]], "This is no view of a price book: Object missing required field `kind`"),
        (lines[:-1], count),
        ([*lines, lines[-1]], count),
        ([*lines, b"{}"], count),
    ):
        with pytest.raises(ViewMalformed) as refused:
            read_view(broken)
        assert refused.value.message == said


def test_every_changed_line_of_a_view_is_found() -> None:
    lines = list(view_lines(view(leaves(book(), KEY), ACME)))
    here = root(book(), KEY)

    for number, line in enumerate(lines):
        for match in re.finditer(rb"\d", line):
            at = match.start()
            changed = line[:at] + (b"2" if line[at : at + 1] == b"1" else b"1") + line[at + 1 :]
            assert verify(iter([*lines[:number], changed, *lines[number + 1 :]]), here).findings, changed


def test_a_leaf_that_stands_twice_under_a_root_is_found() -> None:
    every = leaves(content(row("1:10"), skus=(CHAIR,)), KEY)
    twin = next(leaf for leaf in leaves(content(row("1:11"), skus=(CHAIR,)), KEY) if leaf.kind == "row")
    seen = view(tuple(sorted([*every, twin], key=lambda leaf: leaf.digest)), ACME)

    (finding,) = checked(written(seen), seen.root).findings

    assert "row / LIST / CRUNCHY-ARMCHAIR / each / : is shown twice" in finding


def test_a_name_that_stands_twice_in_an_object_is_refused() -> None:
    lines = list(view_lines(view(leaves(book(), KEY), ACME)))
    lines[1] = lines[1].replace(b'"kind":', b'"kind":"row","kind":', 1)
    hashes = [sha256(line[:-1]).digest() for line in lines if line.startswith(b'{"content"')]
    bare = [bytes.fromhex(json.loads(line)) for line in lines if line.startswith(b'"')]
    forged = root_of_digests([*hashes, *bare])
    lines[0] = lines[0].replace(root(book(), KEY).encode(), forged.encode())

    (finding,) = verify(iter(lines), forged).findings

    assert "a name twice" in finding


# --- What changed ---


@given(contents, contents, buyers)
@settings(deadline=None, max_examples=60)
def test_a_view_and_a_delta_make_the_next_view(old: BookContent, new: BookContent, buyer: Buyer) -> None:
    before, after = leaves(old, KEY), leaves(new, KEY)
    changes = delta(before, after, buyer)

    assert apply_delta(view(before, buyer), changes) == view(after, buyer)
    told = {leaf.salt for leaf in view(after, buyer).shown}
    assert {leaf.salt for leaf in changes.shown} <= told
    if root_of(before) == root_of(after):
        assert (changes.shown, changes.closed, changes.come, changes.gone) == ((), (), (), ())


@given(contents, contents)
@settings(deadline=None, max_examples=60)
def test_a_diff_turns_one_set_of_leaves_into_the_other(old: BookContent, new: BookContent) -> None:
    before, after = leaves(old, KEY), leaves(new, KEY)
    found = diff(before, after)

    turned = {leaf.name: leaf for leaf in before}
    for leaf in found.removed:
        assert turned.pop(leaf.name) is leaf
    for was, now in found.changed:
        assert turned[was.name] is was
        assert was.content != now.content
        turned[now.name] = now
    for leaf in found.added:
        assert leaf.name not in turned
        turned[leaf.name] = leaf
    assert sorted(turned.values(), key=lambda leaf: leaf.digest) == list(after)


def test_a_delta_names_what_opened_changed_and_closed_for_this_reader() -> None:
    old = book()
    lists = (public(), public("CONTRACT-INITECH", audience=only(company="acme")), *old.lists[2:])
    rows = (row("1:10 10:8.3"), *old.rows[2:])
    before, after = leaves(old, KEY), leaves(msgspec.structs.replace(old, lists=lists, rows=rows), KEY)

    changes = delta(before, after, ACME)

    assert [leaf.key for leaf in changes.shown] == [
        ("CONTRACT-INITECH",), ("CONTRACT-INITECH", "CRUNCHY-ARMCHAIR", "each", ""), ROW,
    ]  # fmt: skip
    assert changes.closed == (
        ("quantity_rule", ("PAIRS",)),
        ("row", ("LIST", "STOOL", "each", "")),
        ("sku", ("STOOL",)),
    )
    assert len(changes.come) == 2
    assert len(changes.gone) == 2
    closed = delta(before, after, INITECH)
    assert ("list", ("CONTRACT-INITECH",)) in closed.closed
    assert apply_delta(read_view(view_lines(view(before, ACME))), changes).root == root_of(after)
    assert b"8.888" not in msgspec.json.encode(changes)


def test_a_delta_of_other_books_does_not_fit() -> None:
    old, new, third = (leaves(content(row(f"1:{price}")), KEY) for price in (10, 11, 12))
    changes = delta(old, new, ACME)

    with pytest.raises(DeltaDoesNotFit, match="begin at"):
        apply_delta(view(third, ACME), changes)
    forged = msgspec.structs.replace(changes, new_root=root_of(third))
    with pytest.raises(DeltaDoesNotFit) as refused:
        apply_delta(view(old, ACME), forged)
    assert refused.value.message == "The changes do not lead to the root they name. Fetch the whole view again."


def test_closing_what_was_never_seen_changes_nothing() -> None:
    old, new = (leaves(content(row(f"1:{price}")), KEY) for price in (10, 11))
    changes = delta(old, new, ACME)

    more = msgspec.structs.replace(changes, closed=(*changes.closed, ("list", ("ATTIC",))))

    assert apply_delta(view(old, ACME), more) == view(new, ACME)


def test_the_page_on_prices_tells_what_happens() -> None:
    page = PROJECT / "docs" / "pricing.md"
    test = doctest.DocTestParser().get_doctest(page.read_text(encoding="utf-8"), {}, page.name, str(page), 0)

    ran = doctest.DocTestRunner().run(test)

    assert ran.failed == 0
    assert ran.attempted >= 20


# --- The program that checks ---


def test_the_checking_program_shares_nothing_with_the_engine() -> None:
    source = (PROJECT / "pricing" / "engine" / "verify.py").read_text(encoding="utf-8")
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert {name for name in imported if name and name.split(".")[0] in {"kernel", "pricing", "msgspec"}} == {
        "kernel",
        "kernel.canonical",
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b"\xff",
        b'{"document":"proof"}',
        b'{"document":"view","shown":1}',
        b'{"document":"view","root":"","shown":1,"hidden":0}\n[1]\n',
        b'{"document":"view","root":"","shown":1,"hidden":0}\n{"content":1}\n',
        b'{"document":"view","root":"","shown":0,"hidden":1}\n"ABC"\n',
        b'{"document":"view","root":"","shown":"1","hidden":1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_proof_and_no_view_leads_nowhere(document: bytes) -> None:
    assert checked(document, "sha256:" + "0" * 64).findings


def _changed(proof: Proof, **more: Any) -> bytes:
    return json.dumps({**msgspec.to_builtins(proof), **more}).encode()


def test_a_proof_of_another_leaf_or_root_is_found() -> None:
    every = leaves(book(), KEY)
    proof, other = prove(every, "row", ROW, buyer=ACME), prove(every, "sku", ("STOOL",), buyer=ACME)
    here = root_of(every)

    for changed, says in (
        (_changed(proof, leaf=msgspec.to_builtins(other.leaf)), "another digest"),
        (_changed(proof, digest=other.digest), "another digest"),
        (_changed(other, leaf=None, digest=proof.digest), "does not lead"),
        (_changed(proof, path=[]), "does not lead"),
        (_changed(proof, root=root_of(every[1:])), "not of"),
        (_changed(proof, digest=proof.digest.upper()), "no digest"),
        (_changed(proof, leaf={"kind": "row"}), "a leaf has"),
        (_changed(proof, leaf=["content", "key", "kind", "salt"]), "not of the expected form"),
    ):
        (finding,) = checked(changed, here).findings
        assert says in finding


def test_what_was_verified_is_said_in_whole_sentences() -> None:
    every = leaves(book(), KEY)
    here = root_of(every)
    seen = view(every, ACME)
    many = f"how many leaves the book has (the proof says {len(every)}); a view of the book shows it"

    shown = msgspec.json.format(msgspec.json.encode(prove(every, "row", ROW, buyer=ACME)))
    assert checked(shown, here) == (
        (f"row / LIST / CRUNCHY-ARMCHAIR / each / : is in the book {here}",), (many,), ()
    )  # fmt: skip
    bare = msgspec.json.encode(prove(every, "row", ROW))
    assert checked(bare, here) == ((f"A leaf whose content is not shown: is in the book {here}",), (many,), ())
    assert checked(written(seen), here) == (
        (f"{len(seen.shown)} shown leaves of {len(every)} lead to the root {here}",),
        (f"what stands behind the {len(seen.digests)} bare digests, and whether it concerns the reader",),
        (),
    )


def test_what_does_not_verify_is_said_in_whole_sentences() -> None:
    every = leaves(book(), KEY)
    here, other = root_of(every), root(book(), b"other")
    proof = msgspec.json.encode(prove(every, "row", ROW, buyer=ACME))
    seen = view(every, ACME)
    hidden = f"what stands behind the {len(seen.digests)} bare digests, and whether it concerns the reader"

    for document, root_, found in (
        (proof, other, f"The proof is of the root {here}, not of {other}."),
        (_changed(prove(every, "row", ROW), path=[]), here, "The path does not lead to the root."),
    ):
        assert checked(document, root_) == ((), (), (found,))
    assert checked(written(seen) + b'"more"\n', here) == (
        (), (hidden,), ("More lines follow than the first line says.",)
    )  # fmt: skip
    told = written(seen).replace(here.encode(), other.encode())
    assert checked(told, other) == ((), (hidden,), (f"The leaves lead to the root {here}, not to {other}.",))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "NotCanonical No exact JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{}", "ValueError it says neither that it is a proof nor that it is a view"),
        (b'["%b"]' % (b"x" * 50), "TypeError b'[\"" + "x" * 38 + "' is no JSON object"),
        (
            b'{"document":"view","root":"","shown":0,"hidden":1}',
            "ValueError it ends before it has all the lines its first line says",
        ),
        (
            b'{"document":"view","root":"","shown":0,"hidden":1}\n"%b"\n' % (b"X" * 90),
            "ValueError '" + "X" * 80 + "' is no digest: 64 digits and small letters a to f",
        ),
    ],
)
def test_what_cannot_be_read_says_why(document: bytes, said: str) -> None:
    (finding,) = checked(document, "sha256:" + "0" * 64).findings

    assert finding == f"The file is not of the expected form: {said}"


def test_the_program_says_each_thing_under_its_own_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = leaves(book(), KEY)
    path = tmp_path / "view.jsonl"
    path.write_bytes(written(view(every, ACME)))

    assert main([str(path), root_of(every)]) == 0
    right = capsys.readouterr().out.splitlines()
    assert main([str(path), root(book(), b"other")]) == 1
    wrong = capsys.readouterr().out.splitlines()
    assert main([]) == 2

    assert [line.split(":")[0] for line in right] == ["Checked", "Not checked"]
    assert [line.split(":")[0] for line in wrong] == ["Not checked", "WRONG", "WRONG"]
    assert capsys.readouterr().err == "Give a file and a root: python -m pricing.engine.verify FILE sha256:...\n"


def test_the_program_ends_with_a_code_and_says_what_it_checked(tmp_path: Path) -> None:
    every = leaves(book(), KEY)
    (tmp_path / "proof.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(prove(every, "row", ROW, buyer=ACME)))
    )
    (tmp_path / "view.jsonl").write_bytes(written(view(every, ACME)))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pricing.engine.verify", *arguments],
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    proved = run(str(tmp_path / "proof.json"), root_of(every))
    assert proved.returncode == 0
    assert "Checked: row / LIST / CRUNCHY-ARMCHAIR / each / : is in the book sha256:" in proved.stdout
    assert "Not checked: how many leaves" in proved.stdout
    seen = run(str(tmp_path / "view.jsonl"), root_of(every))
    assert seen.returncode == 0
    assert "shown leaves of" in seen.stdout
    assert "bare digests" in seen.stdout


def test_the_program_tells_wrong_from_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "view.jsonl"
    path.write_bytes(written(view(leaves(book(), KEY), ACME)))
    other = root(book(), b"other")

    assert main([str(path), other]) == 1
    assert "WRONG: The view is of the root" in capsys.readouterr().out
    assert main([str(tmp_path / "none"), other]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main([str(tmp_path), other]) == 2
    for arguments in ([], [str(path)], [str(path), "sha256:abc"], [str(path), other, other]):
        assert main(arguments) == 2
    monkeypatch.setattr(sys, "argv", ["verify", str(path), root(book(), KEY)])
    monkeypatch.delitem(sys.modules, "pricing.engine.verify")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("pricing.engine.verify", run_name="__main__")
    assert ended.value.code == 0
