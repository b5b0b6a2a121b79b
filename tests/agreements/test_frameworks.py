"""A framework agreement covers what programs order: accepted once, cited by each order, ended, overtaken."""

import json
import random
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.principal import BuyerCompany, Principal
from agreements import annexes, bundles, legal_store, order_receipts
from agreements.commitments import commit
from agreements.frameworks import (
    EndingUnusable,
    FrameworkEnded,
    FrameworkExceeded,
    FrameworkMissing,
    FrameworkNotFound,
    FrameworkOutdated,
    Frameworks,
)
from agreements.legal_model import EndReason, FrameworkAgreement, FrameworkOrder
from agreements.model import ActAnnex, LedgerEntry, Opening
from agreements.notices import Notices
from agreements.service import (
    BoxNotTicked,
    JobTitleMissing,
    PresentationConsumed,
    PresentationNotFound,
    PresentationStale,
    ReceiptNotFound,
    SignatoryRequired,
)
from agreements.verify import canonical_zip, exit_code, read_zip, verify_bundle, verify_receipt
from kernel.canonical import digest
from kernel.clock import FixedClock
from kernel.db import Database, for_company, for_staff
from kernel.ids import new_id
from kernel.money import Money
from kernel.signing import Purpose
from tests.agreements.conftest import BOXES, PERSONAL, TERMS, Step, make_member
from tests.agreements.test_asking import publish
from tests.agreements.test_bundle import CLASSES, SEED, flipped
from tests.agreements.test_receipt import outcomes

TOTAL = Money(100_00, "EUR")


@pytest.fixture
def frameworks(step: Step, clock: FixedClock) -> Frameworks:
    return Frameworks(step.database, clock, step.agreements)


async def accept(frameworks: Frameworks, principal: Principal, **changed: Any) -> FrameworkAgreement:
    presentation = await frameworks.present(
        principal, locale="en", template_digest="sha256:" + "a" * 64, stylesheet_digest="sha256:" + "b" * 64
    )
    given: dict[str, Any] = {"presentation_id": presentation.id, "ticked": BOXES, "job_title": "Head of purchasing"}
    given |= {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0 (X11; a browser)", **changed}
    return await frameworks.accept(principal, **given)


async def cite(frameworks: Frameworks, principal: Principal, **changed: Any) -> FrameworkOrder:
    company = principal.company
    assert isinstance(company, BuyerCompany)
    order_id = new_id()
    given = {"terms": TERMS, "personal": PERSONAL, "total": TOTAL, "categories": (), "channel": "api", **changed}
    async with frameworks.db.begin(for_company(company.id)) as session:
        content, order_digest = await frameworks.cite(session, company, order_id=order_id, **given)
        cited = await session.get_one(FrameworkOrder, order_id)
    assert cited.order_digest == order_digest == digest(content)
    return cited


async def test_a_signatory_accepts_all_documents_that_any_order_may_be_asked_for(
    frameworks: Frameworks, step: Step
) -> None:
    made = await accept(frameworks, step.principal)

    view = await frameworks.find(step.principal)
    assert view.framework is not None
    assert (view.framework.id, view.outdated) == (made.id, ())
    assert view.presentation is not None
    assert [document.code for document in view.presentation.documents] == [
        *("master-terms", "data-processing", "privacy-notice", "dangerous-goods", "large-orders")
    ]
    text = view.presentation.statements[0].text
    assert text.startswith("By ticking this box and selecting “Accept for orders by our programs”, Acme GmbH agrees to")
    assert text.endswith("for every order that its programs place by API or punch-out, until this agreement ends.")
    assert [statement.id for statement in view.presentation.statements] == ["agree", "authority", "business", "privacy"]
    async with step.database.begin(for_staff()) as session:
        row = await session.get_one(LedgerEntry, made.ledger_seq)
        openings = list(await session.scalars(sa.select(Opening.field).where(Opening.ledger_seq == made.ledger_seq)))
    assert row.kind == "framework-acceptance"
    assert str(step.principal.email) not in str(row.content)
    assert "job_title" in openings


async def test_its_receipt_verifies_offline(frameworks: Frameworks, step: Step) -> None:
    made = await accept(frameworks, step.principal)

    receipt = await frameworks.receipt(step.principal, made.id)

    assert {check.outcome for check in verify_receipt(receipt)} == {"passed", "skipped"}
    assert receipt["order"]["channels"] == ["api", "punchout"]


@pytest.mark.parametrize("limit", [None, TOTAL])
async def test_its_bundle_verifies_says_what_it_covers_and_each_flipped_byte_is_found(
    frameworks: Frameworks, database: Database, step: Step, clock: FixedClock, limit: Money | None
) -> None:
    buyer, _ = await make_member(database, clock, name="Initech", limit=limit)
    made = await accept(frameworks, buyer)
    key = step.agreements.keyring.active_key(Purpose.LEDGER).public_key

    bundle = await bundles.of_framework(database, buyer, frameworks, made.id)

    assert exit_code(verify_bundle(bundle.content, key)) == 0
    parts, chance = read_zip(bundle.content), random.Random(SEED)
    receipt = json.loads(parts["receipt.json"])
    assert receipt["proves"][1].endswith("accepted them for the orders of the company's programs.")
    said = order_receipts.about(receipt)
    assert said.title == "Receipt of a framework agreement"
    facts = {label: value for section in said.sections for label, value, _ in section.facts}
    assert facts["Covers orders up to"] == ("any amount" if limit is None else "100.00 EUR")
    assert facts["Id of the agreement"] == str(made.id)
    assert "Accept for orders by our programs" in parts["page.html"].decode()
    assert order_receipts.about(receipt, locale="es").title == "Justificante de un acuerdo marco"
    for name, member in parts.items():
        found = [[at for at, byte in enumerate(member) if belongs(byte)] for belongs in CLASSES.values()]
        for at in sorted(chance.choice(each) for each in found if each):
            changed = {**parts, name: flipped(member, at, chance.randrange(8))}
            assert "manifest" in outcomes(verify_bundle(canonical_zip(changed), key), "failed"), (name, at)


async def test_the_bundle_is_its_companys_alone(
    frameworks: Frameworks, database: Database, step: Step, clock: FixedClock
) -> None:
    made = await accept(frameworks, step.principal)
    stranger, _ = await make_member(database, clock, name="Globex")

    with pytest.raises(ReceiptNotFound):
        await bundles.of_framework(database, stranger, frameworks, made.id)


async def test_each_order_cites_it_in_the_ledger(frameworks: Frameworks, step: Step) -> None:
    made = await accept(frameworks, step.principal)

    cited = await cite(frameworks, step.principal, categories=["ADHESIVES.LUBRICANTS.SPRAYS"])

    assert cited.framework_id == made.id
    async with step.database.begin(for_staff()) as session:
        row = await session.get_one(LedgerEntry, cited.ledger_seq)
        assert (await step.agreements.check_ledger(session)).broken_at is None
        opened = set(await session.scalars(sa.select(Opening.field).where(Opening.ledger_seq == cited.ledger_seq)))
    assert row.content["framework_seq"] == made.ledger_seq
    assert row.content["order_digest"] == cited.order_digest
    assert opened == {f"order.{field}" for field in PERSONAL}
    (listed,) = await frameworks.list_all()
    assert (listed.company, listed.orders) == ("Acme GmbH", 1)


async def test_without_one_or_by_another_channel_no_order_is_covered(
    frameworks: Frameworks, step: Step, database: Database, clock: FixedClock
) -> None:
    with pytest.raises(FrameworkMissing):
        await cite(frameworks, step.principal)
    await accept(frameworks, step.principal)
    stranger, _ = await make_member(database, clock, name="Globex")
    with pytest.raises(FrameworkMissing):
        await cite(frameworks, stranger)
    with pytest.raises(FrameworkMissing):
        await cite(frameworks, step.principal, channel="fax")


async def test_a_material_version_leaves_orders_uncovered_until_it_is_accepted_anew(
    frameworks: Frameworks, step: Step, clock: FixedClock
) -> None:
    first = await accept(frameworks, step.principal)
    await publish(step, "3.2", material=False)
    clock.advance(seconds=1)
    await cite(frameworks, step.principal)
    await publish(step, "4.0", material=True)
    clock.advance(seconds=1)

    with pytest.raises(FrameworkOutdated) as refused:
        await cite(frameworks, step.principal)
    assert refused.value.extra == {"documents": ["master-terms"]}
    assert (await frameworks.find(step.principal)).outdated == ("master-terms",)
    await Notices(step.database, clock, base_url="https://shop.example").tell("master-terms", "4.0")
    async with step.database.begin(for_staff()) as session:
        letter = (await session.execute(sa.text("select text from outgoing_mail where kind = 'document_notice'"))).one()
    assert "your framework agreement covers no more orders by your programs" in letter.text

    second = await accept(frameworks, step.principal)
    assert (await cite(frameworks, step.principal)).framework_id == second.id
    ended = {each.framework.id: each.framework.end_reason for each in await frameworks.list_all()}
    assert ended == {second.id: None, first.id: EndReason.REPLACED}


async def test_it_covers_no_more_than_its_signatory_may_sign(
    frameworks: Frameworks, database: Database, clock: FixedClock
) -> None:
    principal, _ = await make_member(database, clock, name="Initech", limit=TOTAL)
    made = await accept(frameworks, principal)

    assert made.limit == TOTAL
    await cite(frameworks, principal)
    for total in (Money(100_01, "EUR"), Money(1, "USD")):
        with pytest.raises(FrameworkExceeded):
            await cite(frameworks, principal, total=total)


async def test_either_side_ends_it_with_a_reason_and_nothing_is_covered_then(
    frameworks: Frameworks, step: Step, database: Database, clock: FixedClock
) -> None:
    made = await accept(frameworks, step.principal)
    stranger, _ = await make_member(database, clock, name="Globex")
    with pytest.raises(FrameworkNotFound):
        await frameworks.end(stranger, made.id, note="Mine")
    with pytest.raises(EndingUnusable):
        await frameworks.end(step.principal, made.id, note=" ")

    await frameworks.end(step.principal, made.id, note="We leave.")

    with pytest.raises(FrameworkMissing):
        await cite(frameworks, step.principal)
    with pytest.raises(FrameworkEnded):
        await frameworks.end(step.principal, made.id, note="Again")
    async with database.begin(for_staff()) as session:
        ended = await session.get_one(FrameworkAgreement, made.id)
    assert (ended.end_reason, ended.end_note, ended.ended_by) == (
        EndReason.BUYER, "We leave.", step.principal.person_id,
    )  # fmt: skip


async def test_only_a_signatory_accepts_with_every_box_and_a_job_title_once(
    frameworks: Frameworks, step: Step, database: Database, clock: FixedClock
) -> None:
    clerk, _ = await make_member(database, clock, name="Globex", signatory=False)
    with pytest.raises(SignatoryRequired):
        await accept(frameworks, clerk)
    with pytest.raises(BoxNotTicked) as refused:
        await accept(frameworks, step.principal, ticked=frozenset({"agree"}))
    assert refused.value.extra == {"boxes": ["authority", "business"]}
    with pytest.raises(JobTitleMissing):
        await accept(frameworks, step.principal, job_title=" ")
    order = await step.present()
    with pytest.raises(PresentationNotFound):
        await accept(frameworks, step.principal, presentation_id=order.id)
    made = await accept(frameworks, step.principal)
    with pytest.raises(PresentationConsumed):
        await accept(frameworks, step.principal, presentation_id=made.presentation_id)


async def test_what_changed_since_it_was_shown_is_refused(
    frameworks: Frameworks, step: Step, clock: FixedClock
) -> None:
    shown = await frameworks.present(
        step.principal, locale="en", template_digest="sha256:" + "a" * 64, stylesheet_digest="sha256:" + "b" * 64
    )
    await publish(step, "4.0", material=True)
    clock.advance(minutes=61)

    with pytest.raises(PresentationStale) as refused:
        await accept(frameworks, step.principal, presentation_id=shown.id)
    assert refused.value.extra == {"changed": ["expired", "documents"]}
    renamed = replace_company(step.principal, "Acme AG")
    with pytest.raises(PresentationStale):
        await accept(frameworks, renamed, presentation_id=shown.id)


def replace_company(principal: Principal, name: str) -> Principal:

    assert principal.company is not None
    return msgspec.structs.replace(principal, company=msgspec.structs.replace(principal.company, name=name))


async def test_the_runtime_role_ends_it_and_changes_nothing_else_of_it(frameworks: Frameworks, step: Step) -> None:
    await accept(frameworks, step.principal)
    await cite(frameworks, step.principal)

    for act in (
        "update framework_agreement set accepted_at = now()",
        "delete from framework_agreement",
        "update framework_order set order_digest = ''",
        "delete from framework_order",
    ):
        with pytest.raises(sa.exc.DBAPIError):
            async with step.database.begin(for_staff()) as session:
                await session.execute(sa.text(act))
    async with step.database.begin(for_company(new_id())) as session:
        assert await legal_store.list_frameworks(session) == []


async def test_it_keeps_address_and_browser_of_the_acceptance_encrypted_through_an_exchange_of_the_key(
    frameworks: Frameworks, step: Step, clock: FixedClock
) -> None:
    made, keyring = await accept(frameworks, step.principal), step.agreements.keyring
    async with step.database.begin(for_staff()) as session:
        kept = await session.get_one(ActAnnex, made.ledger_seq)
        row = await session.get_one(LedgerEntry, made.ledger_seq)
        before, found = kept.wrapped_key, json.loads(annexes.opened(keyring, kept))
        assert not await annexes.left_behind(session, keyring)
    assert kept.actor_id == step.principal.person_id
    assert json.loads(found["value"])["ip"] == "192.0.2.7"
    assert row.content["commitments"]["annex"] == commit(found["value"], found["salt"])
    clock.advance(days=1)
    rotated = keyring.rotated(Purpose.ANNEX, now=clock.now())

    async with step.database.begin(for_staff()) as session:
        assert await annexes.left_behind(session, rotated)
        assert await annexes.wrap_anew(session, rotated) == 1
        assert await annexes.wrap_anew(session, rotated) == 0
        anew = await session.get_one(ActAnnex, made.ledger_seq)
        assert anew.wrapped_key != before
        assert json.loads(annexes.opened(rotated, anew)) == found
