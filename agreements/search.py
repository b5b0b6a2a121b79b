"""Who accepted what, when, on which order: for legal staff, in pages and as CSV. The transaction is `for_staff()`.

What a person typed is shown as long as it is not erased; documents and digests come from the ledger's own leaves.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company, Person
from agreements.legal_model import FrameworkAgreement, FrameworkOrder
from agreements.model import Acceptance, Consent, Decline, LedgerEntry, Opening, Presentation, Verb
from agreements.package_model import Package, PackageSignature, Party
from kernel.csv_rows import write_rows

HEADINGS: Final = (
    *("at", "act", "company", "company_code", "person", "email", "job_title", "documents", "ticked"),
    *("order_id", "ledger_row", "presentation_id"),
)
DECLINED: Final = "decline"
ACCEPTED: Final = "accept"
SIGNED: Final = "sign"
"""One of several signatures under a package."""
FRAMEWORK: Final = "framework"
CITED: Final = "cite"
"""A program's order, under a framework agreement that a person accepted before."""
ACTS: Final = (ACCEPTED, SIGNED, FRAMEWORK, CITED, DECLINED, Verb.CONSENT.value)
ACTOR: Final = ("actor_name", "actor_email", "job_title")
SIGNER: Final = ("signer_name", "signer_email", "title")
NAMES: Final = ("actor_name", "actor_email", "signer_name", "signer_email", "typed_name")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; what is empty does not narrow it."""

    company: str = ""
    """Part of a name, or a code."""
    person: str = ""
    """Part of a name or e-mail that is not erased."""
    document: str = ""
    """A code, or with a version `master-terms 3.1`."""
    act: str = ""
    """One of `ACTS`."""
    order_id: uuid.UUID | None = None
    since: date | None = None
    until: date | None = None
    """That day included."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something somebody did: at the step, in a package, or for the orders of programs."""

    at: datetime
    act: str
    company: str
    company_code: str
    person: str
    """Name as accepted, or as the account says now; a dash once erased."""
    email: str
    job_title: str
    documents: tuple[str, ...]
    """`Master Terms v3.1 (en)`; for a consent its purpose, for a decline its reason."""
    ticked: tuple[str, ...]
    """Names of boxes; of a signature after the role in which it was given."""
    order_id: uuid.UUID | None
    ledger_row: int | None
    presentation_id: uuid.UUID | None
    template_digest: str = ""
    """Of the page's template on which it was done, by which its renderings are found; empty where there was none."""


async def search(session: AsyncSession, wanted: Wanted, *, limit: int) -> list[Act]:
    """The newest first, at most *limit*."""
    found: list[Act] = []
    if wanted.act in {"", ACCEPTED}:
        found += await _acceptances(session, wanted, limit)
    if wanted.act in {"", SIGNED}:
        found += await _signatures(session, wanted, limit)
    if wanted.act in {"", FRAMEWORK}:
        found += await _frameworks(session, wanted, limit)
    if wanted.act in {"", CITED}:
        found += await _cited(session, wanted, limit)
    if wanted.act in {"", DECLINED} and wanted.order_id is None:
        found += await _declines(session, wanted, limit)
    if wanted.act in {"", Verb.CONSENT.value} and wanted.order_id is None and not wanted.document:
        found += await _consents(session, wanted, limit)
    return sorted(found, key=lambda act: act.at, reverse=True)[:limit]


def csv_lines(acts: Sequence[Act]) -> Iterator[str]:
    """A heading and a line an act, in a form no spreadsheet takes for a formula."""
    rows = (
        (
            act.at.isoformat(),
            *(act.act, act.company, act.company_code, act.person, act.email, act.job_title),
            "; ".join(act.documents),
            "; ".join(act.ticked),
            None if act.order_id is None else str(act.order_id),
            act.ledger_row,
            None if act.presentation_id is None else str(act.presentation_id),
        )
        for act in acts
    )
    return write_rows(HEADINGS, rows)


async def _acceptances(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    query = (
        sa.select(Acceptance, Company, LedgerEntry.content, Presentation.content["template_digest"].astext)
        .join(Company, Company.id == Acceptance.company_id)
        .join(Presentation, Presentation.id == Acceptance.presentation_id)
        .join(LedgerEntry, LedgerEntry.seq == Acceptance.ledger_seq)
        .where(*_between(Acceptance.accepted_at, wanted), *_of_company(wanted))
    )
    if wanted.order_id is not None:
        query = query.where(Acceptance.order_id == wanted.order_id)
    if wanted.document:
        query = query.where(LedgerEntry.content["documents"].contains([_document(wanted.document)]))
    if wanted.person:
        query = query.where(Acceptance.ledger_seq.in_(_rows_naming(wanted.person)))
    rows = (await session.execute(query.order_by(Acceptance.accepted_at.desc()).limit(limit))).all()
    opened = await _openings(session, [acceptance.ledger_seq for acceptance, *_ in rows])
    return [
        Act(
            at=acceptance.accepted_at,
            act=ACCEPTED,
            company=company.name,
            company_code=company.code,
            **_opened(opened, acceptance.ledger_seq, ACTOR),
            documents=tuple(_named(each) for each in content["documents"]),
            ticked=tuple(acceptance.ticked),
            order_id=acceptance.order_id,
            ledger_row=acceptance.ledger_seq,
            presentation_id=acceptance.presentation_id,
            template_digest=template or "",
        )
        for acceptance, company, content, template in rows
    ]


async def _signatures(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    """Of packages that made an order, and of those that ended without one."""
    query = (
        sa.select(PackageSignature, Package, Company, LedgerEntry.content)
        .join(Party, Party.id == PackageSignature.party_id)
        .join(Package, Package.id == Party.package_id)
        .join(Company, Company.id == PackageSignature.company_id)
        .join(LedgerEntry, LedgerEntry.seq == PackageSignature.ledger_seq)
        .where(*_between(PackageSignature.signed_at, wanted), *_of_company(wanted))
    )
    if wanted.order_id is not None:
        query = query.where(Package.order_id == wanted.order_id)
    if wanted.document:
        query = query.where(Package.content["documents"].contains([_document(wanted.document)]))
    if wanted.person:
        query = query.where(PackageSignature.ledger_seq.in_(_rows_naming(wanted.person)))
    rows = (await session.execute(query.order_by(PackageSignature.signed_at.desc()).limit(limit))).all()
    opened = await _openings(session, [signature.ledger_seq for signature, *_ in rows])
    return [
        Act(
            at=signature.signed_at,
            act=SIGNED,
            company=company.name,
            company_code=company.code,
            **_opened(opened, signature.ledger_seq, SIGNER),
            documents=tuple(_named(each) for each in package.content["documents"]),
            ticked=(content["role"], "authority", "intent"),
            order_id=package.order_id,
            ledger_row=signature.ledger_seq,
            presentation_id=None,
            template_digest=content["template_digest"],
        )
        for signature, package, company, content in rows
    ]


async def _frameworks(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    """Acceptances of framework agreements; of an order, the one it cites."""
    query = (
        sa.select(FrameworkAgreement, Company, Presentation.content)
        .join(Company, Company.id == FrameworkAgreement.company_id)
        .join(Presentation, Presentation.id == FrameworkAgreement.presentation_id)
        .where(*_between(FrameworkAgreement.accepted_at, wanted), *_of_framework(wanted))
    )
    if wanted.order_id is not None:
        citing = sa.select(FrameworkOrder.framework_id).where(FrameworkOrder.order_id == wanted.order_id)
        query = query.where(FrameworkAgreement.id.in_(citing))
    rows = (await session.execute(query.order_by(FrameworkAgreement.accepted_at.desc()).limit(limit))).all()
    opened = await _openings(session, [framework.ledger_seq for framework, *_ in rows])
    return [
        Act(
            at=framework.accepted_at,
            act=FRAMEWORK,
            company=company.name,
            company_code=company.code,
            **_opened(opened, framework.ledger_seq, ACTOR),
            documents=tuple(_named(each) for each in content["documents"]),
            ticked=tuple(framework.ticked),
            order_id=None,
            ledger_row=framework.ledger_seq,
            presentation_id=framework.presentation_id,
            template_digest=content["template_digest"],
        )
        for framework, company, content in rows
    ]


async def _cited(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    """Orders by programs, each with the documents and the person of the acceptance that it cites."""
    query = (
        sa.select(FrameworkOrder, FrameworkAgreement, Company, Presentation.content)
        .join(FrameworkAgreement, FrameworkAgreement.id == FrameworkOrder.framework_id)
        .join(Company, Company.id == FrameworkOrder.company_id)
        .join(Presentation, Presentation.id == FrameworkAgreement.presentation_id)
        .where(*_between(FrameworkOrder.cited_at, wanted), *_of_framework(wanted))
    )
    if wanted.order_id is not None:
        query = query.where(FrameworkOrder.order_id == wanted.order_id)
    rows = (await session.execute(query.order_by(FrameworkOrder.cited_at.desc()).limit(limit))).all()
    opened = await _openings(session, [framework.ledger_seq for _, framework, *_ in rows])
    return [
        Act(
            at=cited.cited_at,
            act=CITED,
            company=company.name,
            company_code=company.code,
            **_opened(opened, framework.ledger_seq, ACTOR),
            documents=tuple(_named(each) for each in content["documents"]),
            ticked=(),
            order_id=cited.order_id,
            ledger_row=cited.ledger_seq,
            presentation_id=framework.presentation_id,
        )
        for cited, framework, company, content in rows
    ]


async def _declines(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    query = (
        sa.select(Decline, Company, Person, Presentation.content)
        .join(Company, Company.id == Decline.company_id)
        .join(Person, Person.id == Decline.actor_id)
        .join(Presentation, Presentation.id == Decline.presentation_id)
        .where(*_between(Decline.declined_at, wanted), *_of_company(wanted), *_of_person(wanted))
    )
    if wanted.document:
        query = query.where(Presentation.content["documents"].contains([_document(wanted.document)]))
    rows = (await session.execute(query.order_by(Decline.declined_at.desc()).limit(limit))).all()
    return [
        Act(
            at=decline.declined_at,
            act=DECLINED,
            company=company.name,
            company_code=company.code,
            **_account(person),
            documents=(decline.reason.value, *(_named(each) for each in content["documents"])),
            ticked=(),
            order_id=None,
            ledger_row=None,
            presentation_id=decline.presentation_id,
            template_digest=content.get("template_digest", ""),
        )
        for decline, company, person, content in rows
    ]


async def _consents(session: AsyncSession, wanted: Wanted, limit: int) -> list[Act]:
    query = (
        sa.select(Consent, Company, Person)
        .join(Company, Company.id == Consent.company_id)
        .join(Person, Person.id == Consent.person_id)
        .where(*_between(Consent.given_at, wanted), *_of_company(wanted), *_of_person(wanted))
    )
    rows = (await session.execute(query.order_by(Consent.given_at.desc()).limit(limit))).all()
    return [
        Act(
            at=consent.given_at,
            act=Verb.CONSENT.value,
            company=company.name,
            company_code=company.code,
            **_account(person),
            documents=(consent.purpose,),
            ticked=() if consent.withdrawn_at is None else (f"withdrawn {consent.withdrawn_at.isoformat()}",),
            order_id=None,
            ledger_row=None,
            presentation_id=None,
        )
        for consent, company, person in rows
    ]


def _between(column: Any, wanted: Wanted) -> list[Any]:
    found = []
    if wanted.since is not None:
        found.append(column >= datetime.combine(wanted.since, time(), UTC))
    if wanted.until is not None:
        found.append(column < datetime.combine(wanted.until + timedelta(days=1), time(), UTC))
    return found


def _of_company(wanted: Wanted) -> list[Any]:
    if not wanted.company:
        return []
    return [sa.or_(Company.code == wanted.company, Company.name.icontains(wanted.company, autoescape=True))]


def _of_framework(wanted: Wanted) -> list[Any]:
    found = _of_company(wanted)
    if wanted.document:
        found.append(Presentation.content["documents"].contains([_document(wanted.document)]))
    if wanted.person:
        found.append(FrameworkAgreement.ledger_seq.in_(_rows_naming(wanted.person)))
    return found


def _of_person(wanted: Wanted) -> list[Any]:
    if not wanted.person:
        return []
    return [
        sa.or_(
            Person.name.icontains(wanted.person, autoescape=True),
            Person.email.icontains(wanted.person, autoescape=True),
        )
    ]


def _rows_naming(person: str) -> Any:
    return sa.select(Opening.ledger_seq).where(
        Opening.field.in_(NAMES), Opening.value.icontains(person, autoescape=True)
    )


def _document(text: str) -> dict[str, str]:
    code, _, label = text.partition(" ")
    return {"code": code} if not label else {"code": code, "label": label.removeprefix("v")}


def _named(document: dict[str, Any]) -> str:
    return f"{document['title']} v{document['label']} ({document['locale']})"


def _account(person: Person) -> dict[str, str]:
    return {"person": person.name, "email": "-" if person.erased_at else person.email, "job_title": ""}


def _opened(openings: dict[tuple[int, str], str], row: int, fields: tuple[str, str, str]) -> dict[str, str]:
    """Who did it, as far as it is not erased."""
    return {
        name: openings.get((row, field), "-")
        for name, field in zip(("person", "email", "job_title"), fields, strict=True)
    }


async def _openings(session: AsyncSession, rows: Sequence[int]) -> dict[tuple[int, str], str]:
    query = sa.select(Opening.ledger_seq, Opening.field, Opening.value).where(
        Opening.ledger_seq.in_(rows), Opening.field.in_((*ACTOR, *SIGNER))
    )
    return {(seq, field): value for seq, field, value in await session.execute(query)}
