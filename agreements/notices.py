"""Telling companies that what they agreed to has materially changed: a letter to each signatory, once, and a note on
their pages until they have agreed to the new version.

A company is told of documents that it has agreed to before: in an order, a package or a framework agreement. Whoever
has never agreed to one finds its version in force with the first order.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.model import Person
from agreements import legal_store, store
from agreements.asking import last_agreed
from agreements.compare import compare
from agreements.legal_model import DocumentNotice
from agreements.model import DocumentKind, DocumentVersion
from agreements.notice_mail import notice_mail
from kernel.clock import Clock
from kernel.db import Database, for_company, for_staff
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail

TELL_TASK: Final = "tell_of_version"
REMEMBERED: Final = timedelta(seconds=30)
"""How long a process goes by what it last read of material versions, and of a company's agreements."""

TELL: Final = Failpoint("agreements.tell")


class News(msgspec.Struct, frozen=True, kw_only=True):
    """A material version that a company has not agreed to yet. *since*: the label it agreed to last."""

    code: str
    label: str
    locale: str
    title: str
    since: str
    effective_at: datetime
    in_force: bool


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A version of which companies were told: how many of them and of their signatories, and when first and last."""

    code: str
    label: str
    companies: int
    people: int
    first: datetime
    last: datetime


class Notices:
    def __init__(self, db: Database, clock: Clock, *, base_url: str) -> None:
        self.db = db
        self.clock = clock
        self.base_url = base_url
        self._material: tuple[datetime, tuple[DocumentVersion, ...]] | None = None
        self._news: dict[uuid.UUID, tuple[datetime, dict[str, str]]] = {}

    async def tell(self, document: str, label: str) -> None:
        """Write to every signatory of every company that agreed to *document* before. Done again, it goes on where it
        stopped: a letter and the note that it was written are one commit.
        """
        async with self.db.reading(for_staff()) as session:
            versions = [each for each in await store.list_versions(session, document) if each.withdrawn_at is None]
            companies = await legal_store.list_companies_that_agreed(session, document)
        if any(each.label == label for each in versions):
            for company_id in companies:
                await self._tell(company_id, label, versions)

    async def list_told(self) -> Sequence[Told]:
        """By version, the newest first."""
        async with self.db.reading(for_staff()) as session:
            return [Told(**row) for row in await legal_store.count_notices(session)]

    async def list_letters(self, code: str, label: str) -> Sequence[tuple[DocumentNotice, str, str]]:
        """Of one version: each notice with the company's and the person's name."""
        async with self.db.reading(for_staff()) as session:
            return await legal_store.list_notices(session, code, label)

    async def news_for(self, company_id: uuid.UUID, locale: str) -> tuple[News, ...]:
        """The material versions, in force or coming, that the company has not agreed to; as of some seconds ago."""
        now = self.clock.now()
        material = await self._latest_material(now)
        if not material:
            return ()
        read, agreed = self._news.get(company_id, (None, {}))
        if read is None or not read <= now < read + REMEMBERED:
            async with self.db.reading(for_company(company_id)) as session:
                agreed = await last_agreed(session, company_id)
            if len(self._news) > 10_000:
                self._news.clear()
            self._news[company_id] = (now, agreed)
        return tuple(_news(material, agreed, locale, now))

    async def _latest_material(self, now: datetime) -> tuple[DocumentVersion, ...]:
        """Versions of contracts that changed materially after their first label, by document, the latest first."""
        if self._material is None or not self._material[0] <= now < self._material[0] + REMEMBERED:
            async with self.db.reading(for_staff()) as session:
                versions = await store.list_versions(session)
            self._material = (now, tuple(changed_contracts(versions)))
        return self._material[1]

    async def _tell(self, company_id: uuid.UUID, label: str, versions: Sequence[DocumentVersion]) -> None:
        now = self.clock.now()
        async with self.db.begin(for_staff(), TELL) as session:
            agreed = (await last_agreed(session, company_id)).get(versions[0].document.code)
            framework = await legal_store.find_standing_framework(session, company_id)
            for person in await self._to_tell(session, company_id, versions[0], label):
                after = _in_language([each for each in versions if each.label == label], person.locale)
                before = [each for each in versions if each.label == agreed and each.locale == after.locale]
                mail = notice_mail(
                    person.email,
                    "es" if person.locale == "es" else "en",
                    after,
                    since=agreed,
                    passages=compare(before[0].source_markdown, after.source_markdown) if before else (),
                    framework=framework is not None,
                    base_url=self.base_url,
                )
                mail_id = await queue_mail(session, mail, now=now)
                session.add(
                    DocumentNotice(
                        id=new_id(),
                        company_id=company_id,
                        document_id=after.document_id,
                        label=label,
                        person_id=person.id,
                        mail_id=mail_id,
                        queued_at=now,
                    )
                )

    async def _to_tell(
        self, session: AsyncSession, company_id: uuid.UUID, version: DocumentVersion, label: str
    ) -> list[Person]:
        await accounts_store.lock_company(session, company_id)  # two workers at once would write twice
        told = await legal_store.list_told(session, company_id, version.document_id, label)
        members = await legal_store.list_signatories(session, company_id)
        return [person for person in members if person.id not in told]


def changed_contracts(versions: Sequence[DocumentVersion]) -> list[DocumentVersion]:
    """The contracts of which a material version followed another: all their versions that stand, the latest first."""
    standing = [each for each in versions if each.withdrawn_at is None and each.document.kind is DocumentKind.AGREE]
    standing.sort(key=lambda each: (each.effective_at, each.published_at), reverse=True)
    labels: dict[str, set[str]] = {}
    for each in standing:
        labels.setdefault(each.document.code, set()).add(each.label)
    return [each for each in standing if len(labels[each.document.code]) > 1]


def _news(versions: Sequence[DocumentVersion], agreed: dict[str, str], locale: str, now: datetime) -> list[News]:
    """*versions*: the latest first."""
    found = []
    for code, since in sorted(agreed.items()):
        newer: list[DocumentVersion] = []
        for version in (each for each in versions if each.document.code == code):
            if version.label == since:
                break
            if version.material:
                newer.append(version)
        if newer:
            told = _in_language([each for each in newer if each.label == newer[0].label], locale)
            found.append(
                News(
                    code=code,
                    label=told.label,
                    locale=told.locale,
                    title=told.title,
                    since=since,
                    effective_at=told.effective_at,
                    in_force=told.effective_at <= now,
                )
            )
    return found


def _in_language(texts: Sequence[DocumentVersion], locale: str) -> DocumentVersion:
    by_locale = {version.locale: version for version in texts}
    return by_locale.get(locale) or by_locale.get("en") or texts[0]
