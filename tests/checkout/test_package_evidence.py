"""What several people signed is taken away as a receipt and a bundle, which a stranger checks with one file."""

import base64
import copy
import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.model import MemberRole, Person
from accounts.principal import Principal
from agreements import annexes, bundles, verify
from agreements.bundles import Bundle
from agreements.commitments import commit
from agreements.holdings import room
from agreements.model import ActAnnex
from agreements.search import Wanted, search
from agreements.service import ReceiptNotFound
from agreements.verify import canonical_zip, exit_code, read_zip, verify_bundle, verify_receipt
from checkout.model import Order
from kernel.canonical import canonical_json
from kernel.db import for_staff
from kernel.ids import new_id
from kernel.pdf_seal import look_at_seal
from kernel.signing import CannotDecrypt, Purpose
from tests.agreements.test_bundle import CLASSES, SEED, flipped
from tests.agreements.test_receipt import members, outcomes
from tests.checkout.conftest import House
from tests.checkout.test_approvals import colleague
from tests.checkout.test_packages import Signing, s

__all__ = ["s"]
"""The fixture: Acme's buyer and chief sign, and the seller's legal desk."""


async def executed(s: Signing, house: House) -> Order:
    """An order that all have signed, one of them under another name than the account's, one in Spanish."""
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package, typed_name="Somebody else", locale="es")
    await s.sign(s.legal, package)
    found: list[Order] = await house.rows(Order)
    [order] = found
    return order


async def bundle_of(house: House, order: Order, reader: Principal | None = None) -> Bundle:
    agreements = house.checkouts.agreements
    scope = (reader or house.acme).db_scope()
    return await bundles.of_order(house.database, scope, agreements, order.id, number=order.number)


def key_of(house: House) -> bytes:
    return house.checkouts.agreements.keyring.active_key(Purpose.LEDGER).public_key


async def test_a_stranger_verifies_all_signatures_offline_with_the_one_file(
    s: Signing, house: House, tmp_path: Path
) -> None:
    made = await bundle_of(house, await executed(s, house))
    trusted, parts = key_of(house), read_zip(made.content)

    checks = verify_bundle(made.content, trusted)

    assert outcomes(checks, "failed") == set()
    assert outcomes(checks, "skipped") == {f"signature {number} opening annex" for number in (1, 2, 3)}
    assert outcomes(checks, "passed") >= {
        *("signature 1 inclusion", "signature 3 chain", "execution inclusion", "signatures", "sentences", "pdf seal"),
        *("signature 2 opening typed_name", "execution opening party.0", "execution opening order.ship_to.name"),
    }
    assert {*("signatures/1.json", "signatures/2.json", "signatures/3.json", "execution.json", "package.json")} < {
        *parts
    }
    assert json.loads(parts["signatures/2.json"])["inclusion"]["index"] == 1
    assert exit_code(verify_bundle(made.content)) == 2, "it cannot vouch for its own keys"
    assert exit_code(verify_receipt(parts["receipt.json"], trusted)) == 0
    script = tmp_path / "verify.py"
    script.write_bytes(Path(verify.__file__).read_bytes())
    (tmp_path / "bundle.zip").write_bytes(made.content)
    (tmp_path / "receipt.json").write_bytes(parts["receipt.json"].replace(b"Somebody else", b"Nobody else.."))

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "verify.py", name, "--key", base64.b64encode(trusted).decode()]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for name, code, said in (("bundle.zip", 0, "signatures: 3 signatures"), ("receipt.json", 1, "failed   seal")):
        done = run(name)
        assert (done.returncode, said in done.stdout, done.stderr) == (code, True, ""), done.stdout


async def test_the_pdf_and_the_page_name_each_signer_and_what_they_said(s: Signing, house: House) -> None:
    made = await bundle_of(house, await executed(s, house))

    seal = look_at_seal(made.pdf)
    assert seal is not None
    assert seal.intact
    page = read_zip(made.content)["page.html"].decode()
    assert "counter-signer of the seller" in page
    assert "Al marcar esta casilla y pulsar «Firmar»" in page
    assert "Goods-in" in page


async def test_members_of_the_company_have_it_and_nobody_else(s: Signing, house: House) -> None:
    order = await executed(s, house)
    clerk = await colleague(house, MemberRole.BUYER)

    assert (await bundle_of(house, order, clerk)).content
    with pytest.raises(ReceiptNotFound):
        await bundle_of(house, order, house.globex)


async def test_every_changed_part_of_the_receipt_is_found(s: Signing, house: House) -> None:
    receipt = read_zip((await bundle_of(house, await executed(s, house))).content)["receipt.json"]
    document, trusted = json.loads(receipt), key_of(house)
    changed: dict[str, Callable[[Any], Any]] = {
        "order digest": lambda d: d["order"].update(total="1.00"),
        "package signature": lambda d: d["package"]["content"].update(seller_name="Globex"),
        "package digest": lambda d: d["leaves"][1]["content"].update(package_digest="sha256:" + "0" * 64),
        "key dates": lambda d: d["package"]["content"].update(created_at="2020-01-01T00:00:00.000000Z"),
        "documents": lambda d: d["documents"][0].update(rendered_html="<p>Nothing</p>"),
        "signatures": lambda d: d["leaves"].pop(0),
        "sentences": lambda d: d["leaves"][2]["content"].update(intent="I only look."),
        "time": lambda d: d["leaves"][0]["content"].update(recorded_at="2031-01-01T00:00:00.000000Z"),
        "signature 1 inclusion": lambda d: d["leaves"][0]["content"].update(role="approver"),
        "execution chain": lambda d: d["leaves"][3]["content"].update(order_id=str(new_id())),
        "execution opening party.1": lambda d: d["leaves"][3]["openings"]["party.1"].update(value="Another"),
        "signature 1 opening typed_name": lambda d: d["leaves"][0]["openings"]["typed_name"].update(value="Another"),
        "checkpoint": lambda d: d.update(checkpoint=d["checkpoint"].replace("\n4\n", "\n5\n")),
        "seal": lambda d: d.update(proves=["Everything."]),
    }
    for check, change in changed.items():
        mangled = copy.deepcopy(document)
        change(mangled)
        failed = outcomes(verify_receipt(canonical_json(mangled), trusted), "failed")
        assert failed >= {check, "seal"}, (check, failed)


async def test_a_mangled_receipt_fails_and_never_crashes_the_verifier(s: Signing, house: House) -> None:
    receipt = read_zip((await bundle_of(house, await executed(s, house))).content)["receipt.json"]
    trusted = key_of(house)
    replacements: tuple[Any, ...] = (None, "x", -1, [], {}, 1.5, True, [[1, 2]])

    for number, path in enumerate(list(members(json.loads(receipt)))):
        if number % 3 and len(path) > 3:
            continue
        changed = json.loads(receipt)
        parent: Any = changed
        for part in path[:-1]:
            parent = parent[part]
        before, replacement = parent[path[-1]], replacements[number % len(replacements)]
        parent[path[-1]] = replacement
        if json.dumps(replacement) != json.dumps(before):
            assert exit_code(verify_receipt(changed, trusted)) == 1, (path, replacement)


async def test_a_flipped_byte_of_any_class_of_any_member_fails_and_is_named(s: Signing, house: House) -> None:
    """In the member, with the zip file written anew around it; and again under a manifest made anew."""
    content, trusted = (await bundle_of(house, await executed(s, house))).content, key_of(house)
    parts, chance, keyring = read_zip(content), random.Random(SEED), house.checkouts.agreements.keyring
    plain = {name: each for name, each in parts.items() if not name.startswith("manifest")}
    free = {"README.txt", "page.html", "consistency.json"}
    """What nothing else refers to: the manifest alone holds them."""
    for name, member in parts.items():
        found = [[at for at, byte in enumerate(member) if belongs(byte)] for belongs in CLASSES.values()]
        for at in sorted(chance.choice(each) for each in found if each):
            other = flipped(member, at, chance.randrange(8))

            failed = outcomes(verify_bundle(canonical_zip({**parts, name: other}), trusted), "failed")

            assert "manifest" in failed, (name, at)
            if name.endswith(".json") and not name.startswith(("manifest", "receipt", "keys")):
                assert "parts" in failed, (name, at)
        if name in plain and name not in free | {"receipt.pdf"}:
            at = member.index(b"Acme") if b"Acme" in member else len(member) // 2
            forged = bundles.signed({**plain, name: flipped(member, at, 0)}, keyring)
            checks = verify_bundle(canonical_zip(forged), trusted)
            assert outcomes(checks, "passed") >= {"zip", "manifest", "manifest key"}, name
            assert exit_code(checks) == 1, name
            assert {"parts", "seal", "pdf seal", "format"} & outcomes(checks, "failed"), name
    for name in plain.keys() - free:
        less = bundles.signed({each: plain[each] for each in plain if each != name}, keyring)
        assert exit_code(verify_bundle(canonical_zip(less), trusted)) == 1, name


async def test_erasing_the_signers_leaves_a_bundle_that_verifies_and_names_nobody(s: Signing, house: House) -> None:
    order = await executed(s, house)
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("delete from acceptance_opening"))

    made = await bundle_of(house, order)

    checks = verify_bundle(made.content, key_of(house))
    assert exit_code(checks) == 0
    assert outcomes(checks, "skipped") >= {"signature 1 opening typed_name", "execution opening party.0"}
    people = [each.email for each in await house.rows(Person)]
    for value in ("Somebody else", "Head of something", "Calle del R\u00edo", *people):
        assert value.encode() not in made.content
    assert b"erased" in read_zip(made.content)["page.html"]


async def test_the_legal_desk_finds_each_signature_by_person_document_and_order(s: Signing, house: House) -> None:
    order = await executed(s, house)

    async def found(**wanted: Any) -> list[tuple[str, str, uuid.UUID | None]]:
        async with house.database.begin(for_staff()) as session:
            acts = await search(session, Wanted(**wanted), limit=10)
        return sorted((act.person, act.ticked[0], act.order_id) for act in acts)

    buyer, chief, legal = (
        (who.name, role, order.id)
        for who, role in (
            (house.acme, "buyer_signatory"), (s.chief, "buyer_signatory"), (s.legal, "counter_signer"),
        )
    )  # fmt: skip
    assert await found(order_id=order.id) == sorted([buyer, chief, legal])
    assert await found(act="sign", person="somebody ELSE") == [chief], "the name as typed is one to search for too"
    assert await found(document="master-terms 3.1", person=str(s.legal.email)) == [legal]
    assert await found(document="master-terms 2.9") == []
    assert await found(act="accept") == []
    assert await found(order_id=new_id()) == []
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("delete from acceptance_opening"))
    assert await found(order_id=order.id) == sorted(("-", role, order.id) for _, role, _ in (buyer, chief, legal))


async def test_each_signature_keeps_address_and_browser_encrypted_and_committed_to(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package, ip="203.0.113.9")
    await s.sign(s.chief, package)
    keyring = house.checkouts.agreements.keyring

    first, second = sorted(await house.rows(ActAnnex), key=lambda each: each.ledger_seq)

    assert (first.actor_id, second.actor_id) == (house.acme.person_id, s.chief.person_id)
    assert b"203.0.113.9" not in first.ciphertext
    found = json.loads(annexes.opened(keyring, first))
    assert json.loads(found["value"]) == {"ip": "203.0.113.9", "user_agent": "Mozilla/5.0 (X11; a browser)"}
    row = next(each for each in await s.leaves() if each.seq == first.ledger_seq)
    assert row.content["commitments"]["annex"] == commit(found["value"], found["salt"])
    first.ciphertext, first.wrapped_key = second.ciphertext, second.wrapped_key
    with pytest.raises(CannotDecrypt):
        annexes.opened(keyring, first)


async def test_annexes_of_signatures_go_by_request_and_by_age_unless_they_are_held(s: Signing, house: House) -> None:
    """By the statements of the room's holding, which erasure and retention run."""
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)
    keyring, now = house.checkouts.agreements.keyring, house.clock.now()
    (holding,) = (each for each in room(keyring).holdings if each.table == "act_annex")
    assert holding.reveal is not None
    befores = json.dumps({})
    mine = {"people": [house.acme.person_id]}

    async def left(statement: str, **values: Any) -> int:
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text(statement), values)
        return len(await house.rows(ActAnnex))

    async with house.database.begin(for_staff()) as session:
        [row] = (await session.execute(sa.text(holding.rows), mine)).mappings()
    assert holding.reveal(dict(row))["ip"] == "192.0.2.7"
    young, old = now - timedelta(days=1), now + timedelta(days=1)
    aged = {"befores": befores, "held": [], "held_people": []}
    assert await left(holding.expire[0], **{**aged, "before": young}) == 2
    assert await left(holding.expire[0], **{**aged, "before": old, "held": [package.company_id]}) == 2
    assert await left(holding.erase[0], **mine, before=young) == 2
    assert await left(holding.expire[0], **{**aged, "before": old, "held_people": [s.chief.person_id]}) == 1
    assert await left(holding.erase[0], people=[s.chief.person_id], before=old) == 0


async def test_erasing_one_signer_leaves_the_others_named_and_a_hold_on_one_keeps_them_all(
    s: Signing, house: House
) -> None:
    order, now = await executed(s, house), house.clock.now()
    (holding,) = (each for each in room(s.packages.keyring).holdings if each.table == "acceptance_opening")
    mine = {"people": [s.chief.person_id], "emails": [s.chief.email], "before": now + timedelta(days=1)}
    aged = {"befores": "{}", "before": now + timedelta(days=1), "held": [], "held_people": [s.chief.person_id]}

    async def run(statement: str, values: dict[str, Any]) -> None:
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(statement), {name: values[name] for name in values if f":{name}" in statement}
            )

    def names(content: bytes) -> tuple[bool, ...]:
        return tuple((who.email or "").encode() in content for who in (house.acme, s.chief, s.legal))

    await run(holding.expire[0], aged)
    assert names((await bundle_of(house, order)).content) == (True, True, False), "the others' rows went by age"
    await run(holding.erase[0], mine)
    made = (await bundle_of(house, order)).content
    assert names(made) == (True, False, False)
    assert b"Somebody else" not in made
    assert exit_code(verify_bundle(made, key_of(house))) == 0
