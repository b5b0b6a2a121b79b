"""The life of a version before anybody accepts it: drafted, reviewed, published; and withdrawn.

A draft holds a label's texts in every language. Each edit makes its next version, about which nobody has said anything
yet, so that an approval cannot outlive what it approved. Whoever wrote or submitted a draft does not approve it. Every
act is written to a log that only grows.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import legal_store, store
from agreements.documents import render
from agreements.in_force import find_in_force
from agreements.legal_model import (
    AgreementAct,
    DocumentDraft,
    DocumentReview,
    DraftState,
    DraftStep,
    DraftText,
)
from agreements.model import Document, DocumentKind, DocumentVersion
from agreements.notices import TELL_TASK
from agreements.service import Agreements, DocumentNotFound, LabelTaken
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue

COMMENT_MOST: Final = 2000
TITLE_MOST: Final = 200
NOTE_MOST: Final = 2000
CLAUSES_MOST: Final = 50
LABEL: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LANGUAGE: Final = re.compile(r"[a-z]{2}")
_CLAUSE: Final = re.compile(r"([0-9]+(\.[0-9]+)*) \S.*")

PUBLISH: Final = Failpoint("agreements.publish")
WITHDRAW: Final = Failpoint("agreements.withdraw")

_AFTER: Final[dict[DraftStep, set[DraftStep | None]]] = {
    DraftStep.SUBMITTED: {None, DraftStep.RETURNED},
    DraftStep.APPROVED: {DraftStep.SUBMITTED},
    DraftStep.RETURNED: {DraftStep.SUBMITTED, DraftStep.APPROVED},
}
"""Which step may follow which, within one version of the draft; None: nothing was said yet."""


class DraftNotFound(NotFound):
    problem = "document-draft-not-found"
    title = "There is no such draft of a document"


class DraftClosed(Conflict):
    problem = "document-draft-closed"
    title = "This draft was published or discarded"


class DraftMoved(Conflict):
    problem = "document-draft-moved"
    title = "The draft was edited meanwhile"


class DraftExists(Conflict):
    """`extra["draft"]` is its id."""

    problem = "document-draft-exists"
    title = "This version is being drafted already"


class ReviewOutOfTurn(Conflict):
    problem = "document-review-out-of-turn"
    title = "The review has moved on"


class ApproverIsAuthor(Refused):
    problem = "document-approver-is-author"
    title = "Whoever wrote or submitted a draft does not approve it"


class NotApproved(Refused):
    problem = "document-not-approved"
    title = "The draft is not approved"


class DraftUnusable(Refused):
    """`extra["fields"]` names the fields to mend, each with a sentence."""

    problem = "document-draft-unusable"
    title = "The draft cannot be kept as it is"

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(fields.values()), fields=self.fields)


class TextMissing(Refused):
    problem = "document-text-missing"
    title = "The draft has no text yet"


class DocumentExists(Conflict):
    problem = "document-code-taken"
    title = "There is a document of this code already"


class DraftView(msgspec.Struct, frozen=True, kw_only=True):
    """A draft with its texts, what was done and said, and the version in force when somebody compares it."""

    draft: DocumentDraft
    texts: tuple[DraftText, ...]
    steps: tuple[DocumentReview, ...]
    before: dict[str, DocumentVersion]
    """By language, the version that the draft follows."""

    @property
    def last_step(self) -> DraftStep | None:
        """Where the review of the draft as it is stands."""
        found = standing(self.steps, self.draft.version)
        return None if found is None else found.step


class DocumentView(msgspec.Struct, frozen=True, kw_only=True):
    document: Document
    versions: tuple[DocumentVersion, ...]
    """The latest first."""
    drafts: tuple[DocumentDraft, ...]
    """Open ones."""
    in_force: str | None
    """The label in force."""


class Publishing:
    def __init__(self, db: Database, clock: Clock, agreements: Agreements) -> None:
        self.db = db
        self.clock = clock
        self.agreements = agreements

    # looking

    async def list_documents(self) -> tuple[DocumentView, ...]:
        """Every document with its versions and open drafts, in order."""
        now = self.clock.now()
        async with self.db.reading(for_staff()) as session:
            documents = await legal_store.list_documents(session)
            versions = await store.list_versions(session)
            drafts = await legal_store.list_open_drafts(session)
            in_force = await find_in_force(session, now)
        current: dict[str, str] = {}
        for version in in_force.versions:
            current.setdefault(version.document.code, version.label)
        return tuple(
            DocumentView(
                document=document,
                versions=tuple(version for version in versions if version.document_id == document.id),
                drafts=tuple(draft for draft in drafts if draft.document_id == document.id),
                in_force=current.get(document.code),
            )
            for document in documents
        )

    async def find_document(self, code: str) -> DocumentView:
        """:raises DocumentNotFound: when there is none"""
        for view in await self.list_documents():
            if view.document.code == code:
                return view
        raise DocumentNotFound("There is no such document.")

    async def find_draft(self, draft_id: uuid.UUID) -> DraftView:
        """:raises DraftNotFound: when there is none"""
        async with self.db.reading(for_staff()) as session:
            draft = await legal_store.find_draft(session, draft_id)
            if draft is None:
                raise DraftNotFound("There is no such draft.")
            return DraftView(
                draft=draft,
                texts=tuple(await legal_store.list_draft_texts(session, draft_id)),
                steps=tuple(await legal_store.list_reviews(session, [draft_id])),
                before=await self._version_before(session, draft),
            )

    async def list_acts(self, limit: int = 100) -> Sequence[AgreementAct]:
        """What staff did, the newest first."""
        async with self.db.reading(for_staff()) as session:
            return await legal_store.list_acts(session, limit)

    # writing

    async def define(self, *, code: str, kind: DocumentKind, prevailing_locale: str | None, by: uuid.UUID) -> Document:
        """Name a new document, the last in order. No order is asked for it until a rule says so.

        :raises DraftUnusable: when the code cannot stand in an address
        :raises DocumentExists: when the code is taken
        """
        if CODE.fullmatch(code) is None or len(code) > TITLE_MOST:
            raise DraftUnusable({"code": "Write a code of small letters, digits and hyphens, like master-terms."})
        async with self.db.begin(for_staff()) as session:
            if await store.lock_document(session, code) is not None:
                raise DocumentExists(f"There is a document {code} already. Choose another code.")
            last = max((each.position for each in await legal_store.list_documents(session)), default=0)
            made = await self.agreements.define_document(
                session, code=code, kind=kind, position=last + 1, prevailing_locale=prevailing_locale
            )
            self.note(session, "document_defined", code, by, kind=kind.value, prevailing_locale=prevailing_locale)
        return made

    async def open_draft(self, code: str, *, label: str, material: bool, by: uuid.UUID) -> DocumentDraft:
        """Begin a version, with the texts of the newest one to edit; or, for a published label, a further language.

        :raises DocumentNotFound: when there is no such document
        :raises DraftUnusable: when the label is no version number
        :raises DraftExists: when somebody is drafting this label
        """
        _check({"label": None if LABEL.fullmatch(label) else "Write a version number like 3.2."})
        now = self.clock.now()
        async with self.db.begin(for_staff()) as session:
            document = await store.lock_document(session, code)
            if document is None:
                raise DocumentNotFound("There is no such document.")
            other = await legal_store.find_open_draft(session, document.id, label)
            if other is not None:
                raise DraftExists(f"{code} v{label} is being drafted already.", draft=str(other.id))
            published = await legal_store.list_versions_of_label(session, document.id, label)
            draft = DocumentDraft(
                id=new_id(),
                document_id=document.id,
                label=label,
                material=published[0].material if published else material,
                change_note="",
                effective_at=None,
                version=1,
                state=DraftState.OPEN,
                opened_by=by,
                opened_at=now,
                changed_at=now,
            )
            session.add(draft)
            await session.flush()
            if not published:
                session.add_all(
                    DraftText(
                        draft_id=draft.id,
                        locale=version.locale,
                        title=version.title,
                        source_markdown=version.source_markdown,
                        onerous_clauses=version.onerous_clauses,
                    )
                    for version in (await self._newest(session, code)).values()
                )
            self._step(session, draft, DraftStep.EDITED, by)
            self.note(session, "draft_opened", f"{code} {label}", by, draft=str(draft.id))
        return draft

    async def put_facts(
        self,
        draft_id: uuid.UUID,
        *,
        label: str,
        material: bool,
        change_note: str,
        effective_at: datetime | None,
        version: int,
        by: uuid.UUID,
    ) -> None:
        """Say what the version is called, whether it is material, what changed, and from when it holds.

        :param version: of the draft that *by* looked at
        :raises DraftUnusable: naming the fields to mend
        :raises DraftExists: when another draft has the label
        :raises DraftMoved, DraftClosed, DraftNotFound:
        """
        note = _plain_text(change_note)
        _check(
            {
                "label": None if LABEL.fullmatch(label) else "Write a version number like 3.2.",
                "change_note": None if note is not None else f"Write up to {NOTE_MOST:,} characters of plain text.",
            }
        )
        async with self.db.begin(for_staff()) as session:
            draft = await self._edit(session, draft_id, version, by)
            other = await legal_store.find_open_draft(session, draft.document_id, label)
            if other is not None and other.id != draft.id:
                raise DraftExists(f"v{label} is being drafted already.", draft=str(other.id))
            draft.label, draft.material = label, material
            draft.change_note, draft.effective_at = note or "", effective_at
            self.note(session, "draft_edited", _subject(draft), by, draft=str(draft.id), version=draft.version)

    async def put_text(
        self,
        draft_id: uuid.UUID,
        locale: str,
        *,
        title: str,
        source: str,
        onerous_clauses: Sequence[str],
        version: int,
        by: uuid.UUID,
    ) -> None:
        """Write the draft's text in one language.

        :raises DraftUnusable: naming the fields to mend; `agreements.documents.UnusableSource` for the text itself
        :raises DraftMoved, DraftClosed, DraftNotFound:
        """
        check_text(locale, title, source, onerous_clauses)
        async with self.db.begin(for_staff()) as session:
            draft = await self._edit(session, draft_id, version, by)
            found = {text.locale: text for text in await legal_store.list_draft_texts(session, draft_id)}.get(locale)
            if found is None:
                session.add(
                    DraftText(
                        draft_id=draft_id,
                        locale=locale,
                        title=title,
                        source_markdown=source,
                        onerous_clauses=list(onerous_clauses),
                    )
                )
            else:
                found.title, found.source_markdown = title, source
                found.onerous_clauses = list(onerous_clauses)
            self.note(
                session, "draft_edited", _subject(draft), by, draft=str(draft.id), version=draft.version, locale=locale
            )

    async def remove_text(self, draft_id: uuid.UUID, locale: str, *, version: int, by: uuid.UUID) -> None:
        """Take a language out of the draft.

        :raises DraftMoved, DraftClosed, DraftNotFound:
        """
        async with self.db.begin(for_staff()) as session:
            draft = await self._edit(session, draft_id, version, by)
            for text in await legal_store.list_draft_texts(session, draft_id):
                if text.locale == locale:
                    await session.delete(text)
            self.note(
                session, "draft_edited", _subject(draft), by, draft=str(draft.id), version=draft.version, removed=locale
            )

    # review

    async def take(self, draft_id: uuid.UUID, step: DraftStep, *, version: int, by: uuid.UUID, comment: str) -> None:
        """Submit, approve, return or comment on the version of the draft that *by* looked at.

        :raises ReviewOutOfTurn: when the step doesn't follow the last one
        :raises ApproverIsAuthor: when *by* edited or submitted it
        :raises DraftUnusable: when the comment is missing where it is needed, or too long
        :raises TextMissing: when there is nothing to submit
        :raises DraftMoved, DraftClosed, DraftNotFound:
        """
        said = _plain_text(comment)
        needed = step in {DraftStep.RETURNED, DraftStep.COMMENTED}
        if said is None or (needed and not said):
            raise DraftUnusable({"comment": f"Write 1 to {COMMENT_MOST:,} characters."})
        async with self.db.begin(for_staff()) as session:
            draft = await self._open(session, draft_id)
            if step is not DraftStep.COMMENTED:
                if draft.version != version:
                    raise DraftMoved("The draft was edited since you looked at it. Look at it again.")
                steps = await legal_store.list_reviews(session, [draft_id])
                last = standing(steps, version)
                if step not in _AFTER or (None if last is None else last.step) not in _AFTER[step]:
                    raise ReviewOutOfTurn("Somebody else took this step first, or the one before it is missing.")
                if step is DraftStep.SUBMITTED and not await legal_store.list_draft_texts(session, draft_id):
                    raise TextMissing("Write the text in at least one language first.")
                if step is DraftStep.APPROVED and by in authors(steps):
                    raise ApproverIsAuthor("Whoever wrote or submitted a draft cannot approve it. Ask a colleague.")
            self._step(session, draft, step, by, said)
            self.note(session, f"draft_{step.value}", _subject(draft), by, draft=str(draft.id), version=draft.version)

    async def publish(self, draft_id: uuid.UUID, *, version: int, by: uuid.UUID) -> tuple[DocumentVersion, ...]:
        """Publish the draft in all its languages, as it was approved by somebody who did not write it. Signatories of
        companies that agreed before are written to when it is material.

        :raises NotApproved: when nobody else approved the draft as it is
        :raises LabelTaken: when the label stands for another text in a language
        :raises DraftUnusable: when it would take effect in the past
        :raises DraftMoved, DraftClosed, DraftNotFound, TextMissing:
        """
        now = self.clock.now()
        async with self.db.begin(for_staff(), PUBLISH) as session:
            draft = await self._open(session, draft_id)
            if draft.version != version:
                raise DraftMoved("The draft was edited since you looked at it. Look at it again.")
            last = standing(await legal_store.list_reviews(session, [draft_id]), version)
            if last is None or last.step is not DraftStep.APPROVED:
                raise NotApproved("Somebody other than its authors has to approve this draft, as it is now.")
            texts = await legal_store.list_draft_texts(session, draft_id)
            if not texts:
                raise TextMissing("Write the text in at least one language first.")
            if draft.effective_at is not None and draft.effective_at < now:
                raise DraftUnusable({"effective_at": "Choose a later instant: this one has passed."})
            # a further language of a label holds from the day of the label itself, or it would pass for a newer one
            before = await legal_store.list_versions_of_label(session, draft.document_id, draft.label)
            effective_at = before[0].effective_at if before else draft.effective_at or now
            taken = {version.locale for version in before}
            for text in texts:
                if text.locale in taken:
                    raise LabelTaken(f"v{draft.label} ({text.locale}) is published. Use a new label.")
            published = [
                await self.agreements.publish_version(
                    session,
                    code=draft.document.code,
                    label=draft.label,
                    locale=text.locale,
                    title=text.title,
                    source=text.source_markdown,
                    material=draft.material,
                    effective_at=effective_at,
                    published_by=by,
                    approved_by=last.person_id,
                    onerous_clauses=text.onerous_clauses,
                    change_note=draft.change_note,
                )
                for text in texts
            ]
            draft.state, draft.changed_at = DraftState.PUBLISHED, now
            self.note(
                session,
                "version_published",
                _subject(draft),
                by,
                draft=str(draft.id),
                approved_by=str(last.person_id),
                material=draft.material,
                effective_at=effective_at.isoformat(),
                sources={text.locale: text.source_sha256 for text in published},
            )
            if draft.material and not before:
                await enqueue(session, TELL_TASK, {"document": draft.document.code, "label": draft.label})
        return tuple(published)

    async def discard(self, draft_id: uuid.UUID, *, by: uuid.UUID) -> None:
        """:raises DraftClosed, DraftNotFound:"""
        async with self.db.begin(for_staff()) as session:
            draft = await self._open(session, draft_id)
            draft.state, draft.changed_at = DraftState.DISCARDED, self.clock.now()
            self.note(session, "draft_discarded", _subject(draft), by, draft=str(draft.id))

    async def withdraw(self, code: str, label: str, *, reason: str, by: uuid.UUID) -> None:
        """Take a label out of force in every language, at once. It stays readable for those who accepted it.

        :raises DocumentNotFound: when there is no such version
        :raises DraftUnusable: without a reason
        """
        why = _plain_text(reason)
        if not why:
            raise DraftUnusable({"reason": f"Say why, in up to {NOTE_MOST:,} characters."})
        async with self.db.begin(for_staff(), WITHDRAW) as session:
            versions = [each for each in await store.list_versions(session, code) if each.label == label]
            if not versions:
                raise DocumentNotFound("There is no such version.")
            for version in versions:
                await self.agreements.withdraw_version(session, code=code, label=label, locale=version.locale)
            self.note(session, "version_withdrawn", f"{code} {label}", by, reason=why)

    # helpers in call order

    def note(self, session: AsyncSession, act: str, subject: str, by: uuid.UUID | None, **details: Any) -> None:
        """Write an act to the log, in the transaction that does it."""
        session.add(
            AgreementAct(id=new_id(), at=self.clock.now(), person_id=by, act=act, subject=subject, details=details)
        )

    async def _newest(self, session: AsyncSession, code: str) -> dict[str, DocumentVersion]:
        """By language, the texts of the label published last that was not withdrawn."""
        versions = [each for each in await store.list_versions(session, code) if each.withdrawn_at is None]
        return {each.locale: each for each in versions if each.label == versions[0].label}

    async def _version_before(self, session: AsyncSession, draft: DocumentDraft) -> dict[str, DocumentVersion]:
        found: dict[str, DocumentVersion] = {}
        for version in await store.list_versions(session, draft.document.code):
            if version.label != draft.label and version.withdrawn_at is None:
                found.setdefault(version.locale, version)
        return found

    async def _open(self, session: AsyncSession, draft_id: uuid.UUID) -> DocumentDraft:
        draft = await legal_store.lock_draft(session, draft_id)
        if draft is None:
            raise DraftNotFound("There is no such draft.")
        if draft.state is not DraftState.OPEN:
            raise DraftClosed(f"The draft of v{draft.label} is {draft.state.value}. Open a new one.")
        return draft

    async def _edit(self, session: AsyncSession, draft_id: uuid.UUID, version: int, by: uuid.UUID) -> DocumentDraft:
        draft = await self._open(session, draft_id)
        if draft.version != version:
            raise DraftMoved("Somebody else edited the draft since you opened this page.")
        draft.version += 1
        draft.changed_at = self.clock.now()
        self._step(session, draft, DraftStep.EDITED, by)
        return draft

    def _step(
        self, session: AsyncSession, draft: DocumentDraft, step: DraftStep, by: uuid.UUID, comment: str = ""
    ) -> None:
        session.add(
            DocumentReview(
                id=new_id(),
                draft_id=draft.id,
                draft_version=draft.version,
                step=step,
                comment=comment,
                person_id=by,
                taken_at=self.clock.now(),
            )
        )


def standing(steps: Sequence[DocumentReview], version: int) -> DocumentReview | None:
    """The last step taken about this version of the draft, edits and comments aside."""
    about = [
        each
        for each in steps
        if each.draft_version == version and each.step not in {DraftStep.COMMENTED, DraftStep.EDITED}
    ]
    return about[-1] if about else None


def authors(steps: Sequence[DocumentReview]) -> set[uuid.UUID]:
    """Who edited or submitted any version of the draft."""
    return {each.person_id for each in steps if each.step in {DraftStep.EDITED, DraftStep.SUBMITTED}}


def check_text(locale: str, title: str, source: str, onerous_clauses: Sequence[str]) -> str:
    """The HTML of a draft's text, if it can be kept.

    :raises DraftUnusable: naming the fields to mend
    :raises agreements.documents.UnusableSource: when the text is no document
    """
    html = render(source)
    _check(
        {
            "language": None if LANGUAGE.fullmatch(locale) else "Write the language as two small letters, like en.",
            "title": None
            if 0 < len(title) <= TITLE_MOST and title.isprintable()
            else f"Write a title of 1 to {TITLE_MOST} characters.",
            "onerous_clauses": _clauses_refused(source, onerous_clauses),
        }
    )
    return html


def _clauses_refused(source: str, clauses: Sequence[str]) -> str | None:
    """A clause is named by its number and words, and the number has to stand at a paragraph's or heading's start."""
    if len(clauses) > CLAUSES_MOST:
        return f"Name at most {CLAUSES_MOST} clauses."
    for clause in clauses:
        match = _CLAUSE.fullmatch(clause)
        if match is None or len(clause) > TITLE_MOST or not clause.isprintable():
            return "Write one clause a line, number first, like: 8.2 Limit of liability."
        if re.search(rf"^(#+ )?{re.escape(match[1])}\.?\s", source, re.MULTILINE) is None:
            return f"The text has no clause {match[1]}."
    return None


def _check(fields: Mapping[str, str | None]) -> None:
    wrong = {name: sentence for name, sentence in fields.items() if sentence is not None}
    if wrong:
        raise DraftUnusable(wrong)


def _plain_text(text: str) -> str | None:
    """The text without surrounding blanks; None when it cannot be kept."""
    plain = text.strip().replace("\r\n", "\n")
    if len(plain) > NOTE_MOST or not plain.replace("\n", "").replace("\t", "").isprintable():
        return None
    return plain


def _subject(draft: DocumentDraft) -> str:
    return f"{draft.document.code} {draft.label}"
