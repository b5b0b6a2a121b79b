"""An order by a program is evidence of two acts: the framework agreement's acceptance, and the order that cites it."""

import copy
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.principal import Principal
from agreements import bundles, ledger
from agreements.commitments import canonical_order, new_salts
from agreements.frameworks import Frameworks
from agreements.legal_model import FrameworkAgreement, FrameworkOrder
from agreements.search import Wanted, search
from agreements.service import ReceiptNotFound, timestamp
from agreements.verify import canonical_zip, exit_code, read_zip, verify_bundle, verify_receipt
from kernel.canonical import canonical_json
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.ids import new_id
from kernel.money import Money
from kernel.pdf_seal import look_at_seal
from kernel.signing import Purpose
from tests.agreements.conftest import PERSONAL, TERMS, Step, make_member
from tests.agreements.test_bundle import CLASSES, SEED, flipped
from tests.agreements.test_frameworks import accept, cite, frameworks
from tests.agreements.test_receipt import members, outcomes

__all__ = ["frameworks"]


@pytest.fixture
async def buyer(database: Database, step: Step, clock: FixedClock) -> Principal:
    """Initech's signatory, up to the very total, who has accepted the agreement. *step*: documents are in force."""
    assert step.database is database
    principal, _ = await make_member(database, clock, name="Initech", limit=Money.parse(TERMS["total"], "EUR"))
    return principal


@pytest.fixture
async def ordered(frameworks: Frameworks, buyer: Principal, step: Step) -> FrameworkOrder:
    """A program's order; the agreement's acceptance and somebody else's stand before it in the ledger."""
    await accept(frameworks, buyer)
    await step.accept(await step.present())
    return await cite(frameworks, buyer)


async def receipt_of(step: Step, reader: Principal, order: FrameworkOrder) -> dict[str, Any]:
    return await step.but(principal=reader).receipt(order.order_id)


async def bundle_of(step: Step, reader: Principal, order: FrameworkOrder) -> bundles.Bundle:
    return await bundles.of_order(
        step.database, reader.db_scope(), step.agreements, order.order_id, number="T-2026-000001"
    )


def key(step: Step) -> bytes:
    return step.agreements.keyring.active_key(Purpose.LEDGER).public_key


async def test_it_holds_the_agreements_acceptance_and_cites_it_by_digest(
    step: Step, buyer: Principal, ordered: FrameworkOrder
) -> None:
    receipt = await receipt_of(step, buyer, ordered)

    checks = verify_receipt(canonical_json(receipt), key(step))

    assert outcomes(checks, "failed") == set()
    assert exit_code(checks) == 0
    assert outcomes(checks, "passed") >= {
        *("framework presentation signature", "framework statements", "framework inclusion", "framework chain"),
        *("framework opening actor_email", "citation", "order digest", "limit", "opening order.ship_to.name"),
        *("inclusion", "chain", "checkpoint"),
    }
    (said,) = (check.detail for check in checks if check.name == "citation")
    assert "by api cites the agreement by its digest sha256:" in said
    assert exit_code(verify_receipt(receipt)) == 2, "it cannot vouch for its own keys"
    with pytest.raises(ReceiptNotFound):
        await step.receipt(ordered.order_id)


async def test_each_changed_part_of_it_is_found(step: Step, buyer: Principal, ordered: FrameworkOrder) -> None:
    receipt, framework = await receipt_of(step, buyer, ordered), "framework"
    changed: dict[str, Callable[[Any], Any]] = {
        "order digest": lambda d: d["order"].update(total="1.00"),
        "limit": lambda d: d["order"].update(total="121.01"),
        "citation": lambda d: d["citation"].update(framework_digest="sha256:" + "0" * 64),
        "inclusion": lambda d: d["citation"].update(channel="punchout"),
        "chain": lambda d: d["chain"].update(previous_hash="0" * 64),
        "opening order.ship_to.name": lambda d: d["openings"]["order.ship_to.name"].update(value="Elsewhere"),
        "framework order digest": lambda d: d[framework]["agreement"].update(limit=None),
        "framework statements": lambda d: d[framework]["acceptance"].update(ticked=["agree"]),
        "framework inclusion": lambda d: d[framework]["acceptance"].update(recorded_at="2026-01-01T00:00:00Z"),
        "framework documents": lambda d: d[framework]["documents"][0].update(rendered_html="<p>Nothing</p>"),
        "framework opening job_title": lambda d: d[framework]["openings"]["job_title"].update(value="Chief"),
        "framework presentation signature": lambda d: d[framework]["presentation"]["content"].update(locale="es"),
        "framework": lambda d: d[framework].pop("chain"),
        "seal": lambda d: d.update(issuer="Globex"),
    }
    for check, change in changed.items():
        mangled = copy.deepcopy(receipt)
        change(mangled)
        failed = outcomes(verify_receipt(canonical_json(mangled), key(step)), "failed")
        assert failed >= {check, "seal"}, (check, failed)
    for number, path in enumerate(members(receipt)):
        mangled = copy.deepcopy(receipt)
        parent: Any = mangled
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = [None, "x", -1, [], {}, 1.5, True][number % 7]
        if mangled != receipt:
            assert exit_code(verify_receipt(mangled, key(step))) == 1, path


async def test_another_companys_agreement_or_an_other_row_is_no_basis(
    frameworks: Frameworks, step: Step, buyer: Principal, ordered: FrameworkOrder
) -> None:
    """Everything but the citation holds: both receipts are ours."""
    await accept(frameworks, step.principal)
    other = await receipt_of(step, step.principal, await cite(frameworks, step.principal))
    mine = await receipt_of(step, buyer, ordered)

    for part in ("framework", "citation"):
        failed = outcomes(verify_receipt({**other, part: mine[part]}, key(step)), "failed")
        assert "citation" in failed, part


async def test_a_citation_from_before_digests_verifies_by_its_row(
    frameworks: Frameworks, step: Step, buyer: Principal
) -> None:
    made, order_id = await accept(frameworks, buyer), new_id()
    content, order_digest = canonical_order(TERMS, PERSONAL, new_salts(f"order.{field}" for field in PERSONAL))
    now = frameworks.clock.now()

    named = {"framework_id": str(made.id), "framework_seq": made.ledger_seq, "company_id": str(made.company_id)}
    what = {"order_id": str(order_id), "order_digest": order_digest, "channel": "api"}
    leaf: dict[str, Any] = {"type": "tarifa.framework-order.v1", "recorded_at": timestamp(now), **named, **what}

    async with step.database.begin(for_staff()) as session:
        seq = await ledger.append(
            session, kind="framework-order", company_id=made.company_id, recorded_at=now, content=leaf
        )
        row = FrameworkOrder(
            order_id=order_id,
            company_id=made.company_id,
            framework_id=made.id,
            order_content=content,
            order_digest=order_digest,
            ledger_seq=seq,
            cited_at=now,
        )
        session.add(row)

    checks = verify_receipt(await receipt_of(step, buyer, row), key(step))

    assert outcomes(checks, "failed") == set()
    (said,) = (check.detail for check in checks if check.name == "citation")
    assert said.endswith(f"cites the agreement by its row {made.ledger_seq}")


async def test_a_flipped_byte_of_any_class_of_any_member_of_its_bundle_fails(
    step: Step, buyer: Principal, ordered: FrameworkOrder
) -> None:
    made = await bundle_of(step, buyer, ordered)
    parts, chance = read_zip(made.content), random.Random(SEED)
    checks = verify_bundle(made.content, key(step))
    assert outcomes(checks, "skipped") == {"framework opening annex"}
    assert exit_code(checks) == 0
    assert {"citation.json", "framework/acceptance.json", "framework/agreement.json", "inclusion.json"} < {*parts}
    seal = look_at_seal(made.pdf)
    assert seal is not None
    assert seal.intact

    for name, member in parts.items():
        found = [[at for at, byte in enumerate(member) if belongs(byte)] for belongs in CLASSES.values()]
        for at in sorted(chance.choice(each) for each in found if each):
            changed = {**parts, name: flipped(member, at, chance.randrange(8))}
            failed = outcomes(verify_bundle(canonical_zip(changed), key(step)), "failed")
            assert "manifest" in failed, (name, at)
            if name.startswith("framework/") or name in {"citation.json", "order.json", "openings.json", "chain.json"}:
                assert "parts" in failed, (name, at)


async def test_erasing_who_accepted_leaves_it_verifying(step: Step, buyer: Principal, ordered: FrameworkOrder) -> None:
    async with step.database.begin(for_staff()) as session:
        framework = await session.get_one(FrameworkAgreement, ordered.framework_id)
        await session.execute(
            sa.text("delete from acceptance_opening where ledger_seq in (:one, :two)"),
            {"one": framework.ledger_seq, "two": ordered.ledger_seq},
        )

    made = await bundle_of(step, buyer, ordered)

    checks = verify_bundle(made.content, key(step))
    assert exit_code(checks) == 0
    assert outcomes(checks, "skipped") >= {"framework opening actor_email", "opening order.ship_to.name"}
    for value in (buyer.email or "", "Head of purchasing", *PERSONAL.values()):
        assert value.encode() not in made.content
    assert json.loads(read_zip(made.content)["openings.json"]) == {}


async def test_the_legal_desk_finds_the_agreement_and_each_order_under_it(
    step: Step, buyer: Principal, ordered: FrameworkOrder
) -> None:
    async def found(**wanted: Any) -> list[tuple[str, str, uuid.UUID | None]]:
        async with step.database.begin(for_staff()) as session:
            acts = await search(session, Wanted(**wanted), limit=10)
        assert all(act.documents and act.ledger_row is not None for act in acts)
        return sorted((act.act, act.email, act.order_id) for act in acts)

    accepted, cited = ("framework", buyer.email, None), ("cite", buyer.email, ordered.order_id)
    assert await found(company="Initech") == [cited, accepted]
    assert await found(order_id=ordered.order_id) == [cited, accepted], "with the acceptance that it cites"
    assert await found(act="cite", person=str(buyer.email)) == [cited]
    assert await found(act="framework", document="master-terms 3.1") == [accepted]
    assert await found(act="framework", document="master-terms 9") == []
    assert [act for act, _, _ in await found(company="Acme")] == ["accept"]
