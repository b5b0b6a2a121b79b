"""Drafted, approved by another, published, withdrawn: and nothing of it changes afterwards."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from agreements import legal_store, pdfs
from agreements.documents import UnusableSource, render
from agreements.legal_model import DocumentDraft, DraftState, DraftStep
from agreements.model import DocumentKind
from agreements.publishing import (
    ApproverIsAuthor,
    DocumentExists,
    DraftClosed,
    DraftExists,
    DraftMoved,
    DraftUnusable,
    NotApproved,
    Publishing,
    ReviewOutOfTurn,
    TextMissing,
)
from agreements.service import Agreements, DocumentNotFound, LabelTaken
from kernel.clock import FixedClock
from kernel.db import Database, for_company, for_staff
from kernel.ids import new_id
from tests.agreements.legal import SOURCE, draft_version, make_staff


@pytest.fixture
def publishing(published: Database, agreements: Agreements, clock: FixedClock) -> Publishing:
    return Publishing(published, clock, agreements)


@pytest.fixture
async def author(published: Database, clock: FixedClock) -> uuid.UUID:
    return await make_staff(published, clock.now())


@pytest.fixture
async def other(published: Database, clock: FixedClock) -> uuid.UUID:
    return await make_staff(published, clock.now())


async def take(publishing: Publishing, draft: DocumentDraft, step: DraftStep, by: uuid.UUID, comment: str = "") -> None:
    await publishing.take(draft.id, step, version=draft.version, by=by, comment=comment)


async def test_a_version_is_published_in_every_language_with_who_wrote_and_who_approved_it(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID, clock: FixedClock
) -> None:
    effective_at = clock.now() + timedelta(days=30)
    draft = await draft_version(publishing, author, effective_at=effective_at)
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    await take(publishing, draft, DraftStep.APPROVED, other)

    made = await publishing.publish(draft.id, version=draft.version, by=author)

    assert [(each.label, each.locale, each.material) for each in made] == [("4.0", "en", True), ("4.0", "es", True)]
    for version in made:
        assert (version.published_by, version.approved_by) == (author, other)
        assert version.effective_at == effective_at
        assert version.change_note == "Liability doubles."
    view = await publishing.find_document("master-terms")
    assert view.in_force == "3.1"
    assert view.drafts == ()
    clock.advance(days=30)
    assert (await publishing.find_document("master-terms")).in_force == "4.0"
    acts = [act.act for act in await publishing.list_acts()]
    assert acts == [
        *("version_published", "draft_approved", "draft_submitted", "draft_edited", "draft_edited", "draft_opened")
    ]


async def test_a_draft_begins_with_the_texts_in_force(publishing: Publishing, author: uuid.UUID) -> None:
    draft = await publishing.open_draft("master-terms", label="3.2", material=False, by=author)

    view = await publishing.find_draft(draft.id)

    assert [(text.locale, text.title) for text in view.texts] == [
        ("en", "Master Terms of Sale"),
        ("es", "Condiciones Generales de Venta"),
    ]
    assert view.texts[0].onerous_clauses[0] == "3.3 Mistaken prices"
    assert view.before["en"].label == "3.1"
    with pytest.raises(DraftExists) as refused:
        await publishing.open_draft("master-terms", label="3.2", material=False, by=author)
    assert refused.value.extra == {"draft": str(draft.id)}


async def test_nobody_approves_what_they_wrote_or_submitted(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID
) -> None:
    draft = await draft_version(publishing, author)
    await take(publishing, draft, DraftStep.SUBMITTED, other)

    for person in (author, other):
        with pytest.raises(ApproverIsAuthor):
            await take(publishing, draft, DraftStep.APPROVED, person)
    with pytest.raises(NotApproved):
        await publishing.publish(draft.id, version=draft.version, by=author)


async def test_an_edit_withdraws_the_approval(publishing: Publishing, author: uuid.UUID, other: uuid.UUID) -> None:
    draft = await draft_version(publishing, author)
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    await take(publishing, draft, DraftStep.APPROVED, other)
    await publishing.remove_text(draft.id, "es", version=draft.version, by=author)

    with pytest.raises(DraftMoved):
        await publishing.publish(draft.id, version=draft.version, by=author)
    with pytest.raises(NotApproved):
        await publishing.publish(draft.id, version=draft.version + 1, by=author)
    assert (await publishing.find_draft(draft.id)).last_step is None


async def test_who_comes_second_is_told_and_nothing_of_the_first_is_lost(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID
) -> None:
    draft = await publishing.open_draft("master-terms", label="3.2", material=False, by=author)
    source = SOURCE.format(label="3.2", limit="once")
    await publishing.put_text(draft.id, "en", title="T", source=source, onerous_clauses=[], version=1, by=author)

    with pytest.raises(DraftMoved):
        await publishing.put_text(draft.id, "en", title="U", source=source, onerous_clauses=[], version=1, by=other)

    assert (await publishing.find_draft(draft.id)).texts[0].title == "T"


async def test_steps_follow_each_other_and_a_return_says_why(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID
) -> None:
    draft = await draft_version(publishing, author)
    with pytest.raises(ReviewOutOfTurn):
        await take(publishing, draft, DraftStep.APPROVED, other)
    with pytest.raises(ReviewOutOfTurn):
        await take(publishing, draft, DraftStep.EDITED, other)
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    for comment in ("", "x" * 2001, "bell \x07"):
        with pytest.raises(DraftUnusable):
            await take(publishing, draft, DraftStep.RETURNED, other, comment)
    await take(publishing, draft, DraftStep.RETURNED, other, "8.2 is not what we agreed.")
    await take(publishing, draft, DraftStep.COMMENTED, author, "It is: see the mail.")
    await take(publishing, draft, DraftStep.SUBMITTED, author)

    said = [(step.step, step.comment) for step in (await publishing.find_draft(draft.id)).steps][3:]
    assert said[1:3] == [
        (DraftStep.RETURNED, "8.2 is not what we agreed."),
        (DraftStep.COMMENTED, "It is: see the mail."),
    ]


async def test_a_label_is_never_used_again_not_even_after_withdrawal(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID
) -> None:
    await publishing.withdraw("master-terms", "3.1", reason="A wrong court was named.", by=author)
    draft = await publishing.open_draft("master-terms", label="3.1", material=True, by=author)
    source = SOURCE.format(label="3.1", limit="once")
    await publishing.put_text(draft.id, "en", title="T", source=source, onerous_clauses=[], version=1, by=author)
    draft = (await publishing.find_draft(draft.id)).draft
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    await take(publishing, draft, DraftStep.APPROVED, other)

    with pytest.raises(LabelTaken):
        await publishing.publish(draft.id, version=draft.version, by=author)


async def test_a_further_language_of_an_old_label_does_not_pass_for_a_newer_version(
    publishing: Publishing, agreements: Agreements, author: uuid.UUID, other: uuid.UUID, clock: FixedClock
) -> None:
    newer = await draft_version(publishing, author)
    await take(publishing, newer, DraftStep.SUBMITTED, author)
    await take(publishing, newer, DraftStep.APPROVED, other)
    await publishing.publish(newer.id, version=newer.version, by=author)
    clock.advance(days=1)
    draft = await publishing.open_draft("master-terms", label="3.1", material=False, by=author)
    source = SOURCE.format(label="3.1", limit="una volta")
    await publishing.put_text(draft.id, "it", title="T", source=source, onerous_clauses=[], version=1, by=author)
    draft = (await publishing.find_draft(draft.id)).draft
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    await take(publishing, draft, DraftStep.APPROVED, other)
    (italian,) = await publishing.publish(draft.id, version=draft.version, by=author)
    clock.advance(days=1)

    async with publishing.db.begin(for_staff()) as session:
        assert (await agreements.required(session, "IT", "it"))[0].label == "4.0"
    assert italian.material is True


@pytest.mark.parametrize(
    ("title", "clauses", "field"),
    [
        ("", [], "title"),
        ("x" * 201, [], "title"),
        ("T", ["Limit of liability"], "onerous_clauses"),
        ("T", ["9.9 Nothing"], "onerous_clauses"),
        ("T", ["8.2 Limit"] * 51, "onerous_clauses"),
    ],
)
async def test_what_cannot_be_kept_is_named_by_its_field(
    publishing: Publishing, author: uuid.UUID, title: str, clauses: list[str], field: str
) -> None:
    draft = await publishing.open_draft("master-terms", label="3.2", material=False, by=author)
    source = SOURCE.format(label="3.2", limit="once")

    with pytest.raises(DraftUnusable) as refused:
        await publishing.put_text(
            draft.id, "en", title=title, source=source, onerous_clauses=clauses, version=1, by=author
        )
    assert list(refused.value.fields) == [field]
    with pytest.raises(UnusableSource):
        await publishing.put_text(draft.id, "en", title="T", source="x", onerous_clauses=[], version=1, by=author)


async def test_labels_codes_and_days_that_make_no_sense_are_refused(
    publishing: Publishing, author: uuid.UUID, other: uuid.UUID, clock: FixedClock
) -> None:
    with pytest.raises(DraftUnusable):
        await publishing.open_draft("master-terms", label="v4", material=True, by=author)
    with pytest.raises(DocumentNotFound):
        await publishing.open_draft("absent", label="4", material=True, by=author)
    with pytest.raises(DraftUnusable):
        await publishing.define(code="Große", kind=DocumentKind.AGREE, prevailing_locale=None, by=author)
    with pytest.raises(DocumentExists):
        await publishing.define(code="master-terms", kind=DocumentKind.AGREE, prevailing_locale=None, by=author)
    draft = await draft_version(publishing, author, effective_at=clock.now() + timedelta(hours=1))
    await take(publishing, draft, DraftStep.SUBMITTED, author)
    await take(publishing, draft, DraftStep.APPROVED, other)
    clock.advance(hours=2)
    with pytest.raises(DraftUnusable, match="has passed"):
        await publishing.publish(draft.id, version=draft.version, by=author)


async def test_a_new_document_has_no_text_to_submit_and_its_draft_can_be_dropped(
    publishing: Publishing, author: uuid.UUID
) -> None:
    made = await publishing.define(code="nda", kind=DocumentKind.AGREE, prevailing_locale="es", by=author)
    draft = await publishing.open_draft("nda", label="1", material=True, by=author)
    with pytest.raises(TextMissing):
        await take(publishing, draft, DraftStep.SUBMITTED, author)
    await publishing.discard(draft.id, by=author)

    with pytest.raises(DraftClosed):
        await publishing.remove_text(draft.id, "en", version=1, by=author)
    assert made.position == 6
    assert (await publishing.find_draft(draft.id)).draft.state is DraftState.DISCARDED


async def test_the_pdf_is_the_same_bytes_each_time_and_kept_with_its_digest(
    published: Database, agreements: Agreements, clock: FixedClock
) -> None:
    async with published.begin(for_staff()) as session:
        version = await agreements.version(session, "master-terms", "3.1", "es")
        kept = await pdfs.keep_pdf(session, version, now=clock.now())
        digests = await legal_store.list_pdf_digests(session, [version.id])
    pdfs.pdf.cache_clear()

    assert pdfs.pdf_of(version) == kept.content
    assert kept.sha256 == digests[version.id] == "sha256:" + hashlib.sha256(kept.content).hexdigest()
    assert kept.content.startswith(b"%PDF-1.7")
    assert b"pdfaid" in kept.content
    assert b"pdfuaid" in kept.content


def test_a_pdf_takes_all_that_a_document_may_hold() -> None:
    source = (
        "# T\n\n## S\n\n- **a** *b* `c` [d](https://shop.example/)\n- e  \n  f\n\n3. g\n4. h\n\n> i\n\n---\n"
        "\n```\nj\n```\n"
        "\n    k\n\n###### deep\n\n| l | m |\n| --- | --- |\n| n |  |\n\n![o](p.png) #let q = 1 $x$ <b>\n"
    )
    assert render(source)

    made = pdfs.pdf("T", "1", "en", source, "sha256:" + "0" * 64, datetime(2026, 11, 21, 12, tzinfo=UTC))

    assert made.startswith(b"%PDF")


@pytest.mark.parametrize(
    "act",
    [
        "update document_version set title = 'x'",
        "update document_version set approved_by = null",
        "delete from document_version",
        "update document_version_pdf set content = ''",
        "delete from document_version_pdf",
        "update agreement_act set act = 'x'",
        "delete from agreement_act",
        "delete from document_review",
    ],
)
async def test_what_is_published_and_who_did_it_never_change(
    publishing: Publishing, author: uuid.UUID, act: str
) -> None:
    await publishing.define(code="nda", kind=DocumentKind.AGREE, prevailing_locale=None, by=author)

    with pytest.raises(sa.exc.DBAPIError):
        async with publishing.db.begin(for_staff()) as session:
            await session.execute(sa.text(act))


async def test_drafts_and_the_log_are_for_staff_alone(publishing: Publishing, author: uuid.UUID) -> None:
    await draft_version(publishing, author)

    async with publishing.db.begin(for_company(new_id())) as session:
        assert await legal_store.list_open_drafts(session) == []
        assert await legal_store.list_acts(session, 10) == []
