"""Every query of the accounts room: one function a question."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.limits import LONGEST_WINDOW, Limit
from accounts.model import (
    ApiKey,
    AttemptCounter,
    BrowserSession,
    Company,
    MemberRole,
    Membership,
    Merchant,
    OneTimeToken,
    Person,
    SegmentChange,
    StaffKey,
    StaffKeyCall,
    TokenPurpose,
)
from kernel.errors import Unavailable
from kernel.ids import token_digest


class MerchantMissing(Unavailable):
    problem = "merchant-missing"
    title = "The seller's details are not set"


class Recognised(msgspec.Struct, frozen=True):
    """A live session and whom it belongs to."""

    browser: BrowserSession
    person: Person | None
    membership: Membership | None
    company: Company | None


class MemberRow(msgspec.Struct, frozen=True):
    membership: Membership
    person: Person


class KeyRow(msgspec.Struct, frozen=True):
    key: ApiKey
    company: Company


# -- the merchant ----------------------------------------------------------------------------------------------------


async def find_merchant(session: AsyncSession) -> Merchant:
    """:raises MerchantMissing: on an installation that nobody has set up"""
    merchant = await session.get(Merchant, True)
    if merchant is None:
        raise MerchantMissing("The seller's name and address are not set yet; load them with the company data.")
    return merchant


# -- companies and their members -------------------------------------------------------------------------------------


async def find_company(session: AsyncSession, company_id: uuid.UUID) -> Company | None:
    return await session.get(Company, company_id)


async def find_company_by_code(session: AsyncSession, code: str) -> Company | None:
    return (await session.scalars(sa.select(Company).where(Company.code == code))).one_or_none()


async def lock_company(session: AsyncSession, company_id: uuid.UUID) -> Company | None:
    """Also what changes of a company's members and keys queue behind."""
    return await session.get(Company, company_id, with_for_update=True, populate_existing=True)


async def list_companies(
    session: AsyncSession, *, after: str = "", segment: str | None = None, limit: int | None = None
) -> Sequence[Company]:
    """By code: those after a code, in a segment, and so many at most."""
    query = sa.select(Company).where(Company.code > after).order_by(Company.code).limit(limit)
    if segment is not None:
        query = query.where(Company.segments.contains([segment]))
    return (await session.scalars(query)).all()


async def list_segment_changes(
    session: AsyncSession, company_id: uuid.UUID | None, limit: int
) -> Sequence[SegmentChange]:
    """The newest first."""
    query = sa.select(SegmentChange).order_by(SegmentChange.changed_at.desc(), SegmentChange.id.desc()).limit(limit)
    if company_id is not None:
        query = query.where(SegmentChange.company_id == company_id)
    return (await session.scalars(query)).all()


async def list_companies_of(session: AsyncSession, person_id: uuid.UUID) -> Sequence[Company]:
    """In the order in which the person joined them."""
    query = (
        sa.select(Company)
        .join(Membership, Membership.company_id == Company.id)
        .where(Membership.person_id == person_id)
        .order_by(Membership.created_at, Company.id)
    )
    return (await session.scalars(query)).all()


async def find_person(session: AsyncSession, person_id: uuid.UUID) -> Person | None:
    return await session.get(Person, person_id)


async def list_people(session: AsyncSession, ids: Collection[uuid.UUID]) -> Sequence[Person]:
    """Those of *ids* that there are."""
    return (await session.scalars(sa.select(Person).where(Person.id.in_(ids)))).all()


async def find_person_by_email(session: AsyncSession, email: str) -> Person | None:
    return (await session.scalars(sa.select(Person).where(Person.email == email))).one_or_none()


async def lock_person(session: AsyncSession, person_id: uuid.UUID) -> Person | None:
    return await session.get(Person, person_id, with_for_update=True, populate_existing=True)


async def add_person(session: AsyncSession, person: Person) -> bool:
    """False when the e-mail is taken, be it by somebody who signs up at this moment."""
    try:
        async with session.begin_nested():
            session.add(person)
    except IntegrityError as error:
        if "uq_person_email" in str(error.orig):
            return False
        raise
    return True


async def find_membership(session: AsyncSession, company_id: uuid.UUID, person_id: uuid.UUID) -> Membership | None:
    return await session.get(Membership, (company_id, person_id))


async def list_members(session: AsyncSession, company_id: uuid.UUID) -> list[MemberRow]:
    query = (
        sa.select(Membership, Person)
        .join(Person, Person.id == Membership.person_id)
        .where(Membership.company_id == company_id)
        .order_by(Person.name, Person.id)
    )
    return [MemberRow(membership, person) for membership, person in (await session.execute(query))]


async def count_admins(session: AsyncSession, company_id: uuid.UUID) -> int:
    query = sa.select(sa.func.count()).where(Membership.company_id == company_id, Membership.role == MemberRole.ADMIN)
    return (await session.execute(query)).scalar_one()


# -- sessions --------------------------------------------------------------------------------------------------------


async def find_live_session(session: AsyncSession, token: str, now: datetime) -> Recognised | None:
    """Look up by the token's digest in one query."""
    query = (
        sa.select(BrowserSession, Person, Membership, Company)
        .outerjoin(Person, Person.id == BrowserSession.person_id)
        .outerjoin(
            Membership,
            sa.and_(
                Membership.company_id == BrowserSession.company_id, Membership.person_id == BrowserSession.person_id
            ),
        )
        .outerjoin(Company, Company.id == BrowserSession.company_id)
        .where(BrowserSession.token_sha256 == token_digest(token), BrowserSession.expires_at > now)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Recognised(*row)


async def lock_live_session(session: AsyncSession, token: str, now: datetime) -> BrowserSession | None:
    query = (
        sa.select(BrowserSession)
        .where(BrowserSession.token_sha256 == token_digest(token), BrowserSession.expires_at > now)
        .with_for_update()
    )
    return (await session.scalars(query)).one_or_none()


async def lock_session(session: AsyncSession, session_id: uuid.UUID, now: datetime) -> BrowserSession | None:
    query = (
        sa.select(BrowserSession)
        .where(BrowserSession.id == session_id, BrowserSession.expires_at > now)
        .with_for_update()
    )
    return (await session.scalars(query)).one_or_none()


async def note_session_use(session: AsyncSession, session_id: uuid.UUID, now: datetime, expires_at: datetime) -> None:
    """Does nothing to a session that ended meanwhile."""
    await session.execute(
        sa.update(BrowserSession).where(BrowserSession.id == session_id).values(seen_at=now, expires_at=expires_at)
    )


async def delete_session(session: AsyncSession, session_id: uuid.UUID) -> None:
    await session.execute(sa.delete(BrowserSession).where(BrowserSession.id == session_id))


async def delete_sessions_of(
    session: AsyncSession, person_id: uuid.UUID, *, company_id: uuid.UUID | None = None, but: uuid.UUID | None = None
) -> None:
    """End a person's sessions, everywhere or in one company, *but* one."""
    statement = sa.delete(BrowserSession).where(BrowserSession.person_id == person_id)
    if company_id is not None:
        statement = statement.where(BrowserSession.company_id == company_id)
    if but is not None:
        statement = statement.where(BrowserSession.id != but)
    await session.execute(statement)


# -- one-time tokens -------------------------------------------------------------------------------------------------


async def find_live_token(
    session: AsyncSession, token: str, purpose: TokenPurpose, now: datetime
) -> OneTimeToken | None:
    return (await session.scalars(_live_token(token, purpose, now))).one_or_none()


async def lock_live_token(
    session: AsyncSession, token: str, purpose: TokenPurpose, now: datetime
) -> OneTimeToken | None:
    """Of two at once, the second waits for the first and then finds the token used."""
    return (await session.scalars(_live_token(token, purpose, now).with_for_update())).one_or_none()


async def lock_live_code(session: AsyncSession, person_id: uuid.UUID, now: datetime) -> OneTimeToken | None:
    query = (
        sa.select(OneTimeToken)
        .where(
            OneTimeToken.person_id == person_id,
            OneTimeToken.purpose == TokenPurpose.EMAIL_CODE,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > now,
        )
        .order_by(OneTimeToken.created_at.desc(), OneTimeToken.id.desc())
        .limit(1)
        .with_for_update()
    )
    return (await session.scalars(query)).one_or_none()


async def list_live_invitations(session: AsyncSession, company_id: uuid.UUID, now: datetime) -> Sequence[OneTimeToken]:
    query = (
        sa.select(OneTimeToken)
        .where(
            OneTimeToken.company_id == company_id,
            OneTimeToken.purpose == TokenPurpose.INVITATION,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > now,
        )
        .order_by(OneTimeToken.created_at, OneTimeToken.id)
    )
    return (await session.scalars(query)).all()


async def delete_unused_tokens(
    session: AsyncSession, email: str, purpose: TokenPurpose, *, company_id: uuid.UUID | None = None
) -> None:
    """Make room for a newer one: only the last mail's secret works."""
    await session.execute(
        sa.delete(OneTimeToken).where(
            OneTimeToken.email == email,
            OneTimeToken.purpose == purpose,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.company_id.is_not_distinct_from(company_id),
        )
    )


async def delete_invitation(session: AsyncSession, company_id: uuid.UUID, invitation_id: uuid.UUID) -> bool:
    """Whether there was an unused one to delete."""
    statement = (
        sa.delete(OneTimeToken)
        .where(
            OneTimeToken.id == invitation_id,
            OneTimeToken.company_id == company_id,
            OneTimeToken.used_at.is_(None),
        )
        .returning(OneTimeToken.id)
    )
    return (await session.scalars(statement)).one_or_none() is not None


async def delete_invitations_by(session: AsyncSession, company_id: uuid.UUID, person_id: uuid.UUID) -> None:
    """Withdraw what somebody sent who may not invite any more."""
    await session.execute(
        sa.delete(OneTimeToken).where(
            OneTimeToken.company_id == company_id,
            OneTimeToken.person_id == person_id,
            OneTimeToken.used_at.is_(None),
        )
    )


def _live_token(token: str, purpose: TokenPurpose, now: datetime) -> sa.Select[OneTimeToken]:
    return sa.select(OneTimeToken).where(
        OneTimeToken.secret_sha256 == token_digest(token),
        OneTimeToken.purpose == purpose,
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > now,
    )


# -- API keys --------------------------------------------------------------------------------------------------------


async def find_key(session: AsyncSession, key_id: str) -> KeyRow | None:
    query = sa.select(ApiKey, Company).join(Company, Company.id == ApiKey.company_id).where(ApiKey.key_id == key_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else KeyRow(*row)


async def list_keys(session: AsyncSession, company_id: uuid.UUID) -> Sequence[ApiKey]:
    query = sa.select(ApiKey).where(ApiKey.company_id == company_id).order_by(ApiKey.name, ApiKey.created_at, ApiKey.id)
    return (await session.scalars(query)).all()


async def count_live_keys(session: AsyncSession, company_id: uuid.UUID, name: str, now: datetime) -> int:
    query = sa.select(sa.func.count()).where(
        ApiKey.company_id == company_id, ApiKey.name == name, ApiKey.revoked_at.is_(None), ApiKey.expires_at > now
    )
    return (await session.execute(query)).scalar_one()


async def lock_company_key(session: AsyncSession, company_id: uuid.UUID, key_id: str) -> ApiKey | None:
    query = sa.select(ApiKey).where(ApiKey.key_id == key_id, ApiKey.company_id == company_id).with_for_update()
    return (await session.scalars(query)).one_or_none()


async def note_key_use(
    session: AsyncSession, key_id: str, now: datetime, *, not_since: datetime, of: type[ApiKey | StaffKey] = ApiKey
) -> None:
    """Record the use unless one after *not_since* is recorded already."""
    await session.execute(
        sa.update(of)
        .where(of.key_id == key_id, sa.or_(of.used_at.is_(None), of.used_at <= not_since))
        .values(used_at=now)
    )


async def find_staff_key(session: AsyncSession, key_id: str) -> tuple[StaffKey, Person] | None:
    query = sa.select(StaffKey, Person).join(Person, Person.id == StaffKey.person_id).where(StaffKey.key_id == key_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def list_staff_keys(session: AsyncSession, person_id: uuid.UUID | None) -> Sequence[tuple[StaffKey, Person]]:
    """A person's, or everybody's, with whose they are, by person, name and age."""
    query = sa.select(StaffKey, Person).join(Person, Person.id == StaffKey.person_id)
    if person_id is not None:
        query = query.where(StaffKey.person_id == person_id)
    ordered = query.order_by(Person.name, StaffKey.name, StaffKey.created_at, StaffKey.id)
    return [(row[0], row[1]) for row in await session.execute(ordered)]


async def count_live_staff_keys(session: AsyncSession, person_id: uuid.UUID, name: str, now: datetime) -> int:
    query = sa.select(sa.func.count()).where(
        StaffKey.person_id == person_id,
        StaffKey.name == name,
        StaffKey.revoked_at.is_(None),
        StaffKey.expires_at > now,
    )
    return (await session.execute(query)).scalar_one()


async def lock_staff_key(session: AsyncSession, key_id: str) -> StaffKey | None:
    query = sa.select(StaffKey).where(StaffKey.key_id == key_id).with_for_update()
    return (await session.scalars(query)).one_or_none()


async def list_staff_key_calls(
    session: AsyncSession, person_id: uuid.UUID | None, *, limit: int
) -> Sequence[StaffKeyCall]:
    """The last calls by a person's keys, or by everybody's, newest first."""
    query = sa.select(StaffKeyCall).order_by(StaffKeyCall.at.desc(), StaffKeyCall.id.desc()).limit(limit)
    if person_id is not None:
        query = query.where(StaffKeyCall.person_id == person_id)
    return (await session.scalars(query)).all()


# -- limits and housekeeping -----------------------------------------------------------------------------------------


async def count_attempt(session: AsyncSession, limit: Limit, subject: str, now: datetime) -> datetime | None:
    """Count one attempt and return None, or, beyond the limit, when the window ends."""
    ends_at, count = await count_attempts(session, limit, subject, now, 1)
    return ends_at if count > limit.count else None


async def count_attempts(
    session: AsyncSession, limit: Limit, subject: str, now: datetime, some: int
) -> tuple[datetime, int]:
    """Count *some* attempts; return when the window ends and how many it has seen.

    Attempts at once are each counted, for the row is locked by its own change.
    """
    over = AttemptCounter.window_started_at <= now - limit.window
    statement = (
        insert(AttemptCounter)
        .values(kind=limit.kind, subject_sha256=token_digest(subject), window_started_at=now, count=some)
        .on_conflict_do_update(
            index_elements=[AttemptCounter.kind, AttemptCounter.subject_sha256],
            set_={
                "count": sa.case((over, some), else_=AttemptCounter.count + some),
                "window_started_at": sa.case((over, now), else_=AttemptCounter.window_started_at),
            },
        )
        .returning(AttemptCounter.window_started_at, AttemptCounter.count)
    )
    started_at, count = (await session.execute(statement)).one()
    return started_at + limit.window, count


async def forgive_attempts(session: AsyncSession, limit: Limit, subject: str) -> None:
    """Forget all attempts."""
    await session.execute(
        sa.delete(AttemptCounter).where(
            AttemptCounter.kind == limit.kind, AttemptCounter.subject_sha256 == token_digest(subject)
        )
    )


async def forgive_attempt(session: AsyncSession, limit: Limit, subject: str) -> None:
    """Take back one."""
    await session.execute(
        sa.update(AttemptCounter)
        .where(
            AttemptCounter.kind == limit.kind,
            AttemptCounter.subject_sha256 == token_digest(subject),
            AttemptCounter.count > 0,
        )
        .values(count=AttemptCounter.count - 1)
    )


async def delete_expired(session: AsyncSession, now: datetime) -> None:
    """Delete what can serve nobody any more."""
    await session.execute(sa.delete(BrowserSession).where(BrowserSession.expires_at <= now))
    await session.execute(sa.delete(OneTimeToken).where(OneTimeToken.expires_at <= now))
    await session.execute(sa.delete(AttemptCounter).where(AttemptCounter.window_started_at <= now - LONGEST_WINDOW))
