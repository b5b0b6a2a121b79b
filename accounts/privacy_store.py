"""Every query of privacy, one function a question; and how a holding's statements are run."""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company, Membership, Person
from accounts.personal_data import Row
from accounts.privacy_model import (
    DataExport,
    ErasurePlan,
    ErasureStep,
    LegalHold,
    PlanState,
    RetentionPeriod,
)

_IDS: Final = postgresql.ARRAY(sa.Uuid)
_TEXTS: Final = postgresql.ARRAY(sa.Text)
_INSTANT: Final = sa.TIMESTAMP(timezone=True)
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("people", "companies", "journeys", "held", "held_people", "held_journeys"), _IDS),
    **dict.fromkeys(("emails", "held_emails"), _TEXTS),
    **dict.fromkeys(("now", "before"), _INSTANT),
    **dict.fromkeys(("named", "instead", "befores"), sa.Text()),
    "whole_company": sa.Uuid(),
}
_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]+)\b")


async def run(session: AsyncSession, statement: str, values: Mapping[str, Any]) -> int:
    """Run a holding's statement; how many rows it changed, or the number it selects."""
    prepared = _prepared(statement)
    result = await session.execute(prepared, _wanted(statement, values))
    if result.returns_rows:  # type: ignore[attr-defined] # every statement's result is a cursor's
        return int(result.scalar() or 0)
    return int(result.rowcount)  # type: ignore[attr-defined] # likewise


async def count(session: AsyncSession, rows: str, values: Mapping[str, Any]) -> tuple[int, Any]:
    """How many rows a holding has, and when the youngest began."""
    counting = f"SELECT count(*), max(since) FROM ({rows}) AS held"  # noqa: S608 - *rows* is a holding's, in code
    found = (await session.execute(_prepared(counting), _wanted(counting, values))).one()
    return int(found[0]), found[1]


async def select(session: AsyncSession, rows: str, values: Mapping[str, Any]) -> list[Row]:
    found = await session.execute(_prepared(rows), _wanted(rows, values))
    return [dict(row) for row in found.mappings()]


async def column(session: AsyncSession, statement: str, values: Mapping[str, Any]) -> list[Any]:
    return list(await session.scalars(_prepared(statement), _wanted(statement, values)))


@cache
def _prepared(statement: str) -> sa.TextClause:
    names = set(_PARAMETER.findall(statement))
    return sa.text(statement).bindparams(*(sa.bindparam(name, type_=_TYPES[name]) for name in sorted(names)))


def _wanted(statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in set(_PARAMETER.findall(statement))}


# -- periods and holds -------------------------------------------------------------------------------------------------


async def list_periods(session: AsyncSession) -> Sequence[RetentionPeriod]:
    """The newest of each country and kind."""
    query = (
        sa.select(RetentionPeriod)
        .ext(postgresql.distinct_on(RetentionPeriod.kind, RetentionPeriod.country))
        .order_by(
            RetentionPeriod.kind, RetentionPeriod.country, RetentionPeriod.set_at.desc(), RetentionPeriod.id.desc()
        )
    )
    return (await session.scalars(query)).all()


async def list_holds(session: AsyncSession, *, standing: bool) -> Sequence[LegalHold]:
    query = sa.select(LegalHold).order_by(LegalHold.placed_at.desc(), LegalHold.id)
    return (await session.scalars(query.where(LegalHold.lifted_at.is_(None)) if standing else query)).all()


async def lock_hold(session: AsyncSession, hold_id: uuid.UUID) -> LegalHold | None:
    return await session.scalar(sa.select(LegalHold).where(LegalHold.id == hold_id).with_for_update())


async def find_holds_on(
    session: AsyncSession, people: Iterable[uuid.UUID], companies: Iterable[uuid.UUID]
) -> Sequence[LegalHold]:
    """Those that stand on any of them."""
    query = sa.select(LegalHold).where(
        LegalHold.lifted_at.is_(None),
        sa.or_(LegalHold.person_id.in_(list(people)), LegalHold.company_id.in_(list(companies))),
    )
    return (await session.scalars(query.order_by(LegalHold.placed_at))).all()


async def held(session: AsyncSession, journeys: Sequence[str]) -> dict[str, Any]:
    """Whom holds keep from deletion by age, as parameters: companies with all their people, and people; *journeys*
    select theirs.
    """
    standing = await list_holds(session, standing=True)
    companies = [hold.company_id for hold in standing if hold.company_id is not None]
    members = sa.select(Membership.person_id).where(Membership.company_id.in_(companies))
    people = {hold.person_id for hold in standing if hold.person_id is not None} | set(await session.scalars(members))
    emails = list(await session.scalars(sa.select(Person.email).where(Person.id.in_(people))))
    found = [await column(session, statement, {"people": list(people)}) for statement in journeys]
    return {
        "held": companies,
        "held_people": list(people),
        "held_emails": emails,
        "held_journeys": sorted({journey for each in found for journey in each}),
    }


# -- subjects ----------------------------------------------------------------------------------------------------------


async def find_person_by_email(session: AsyncSession, email: str) -> Person | None:
    return await session.scalar(sa.select(Person).where(Person.email == email.strip().lower()))


async def find_company_by_code(session: AsyncSession, code: str) -> Company | None:
    return await session.scalar(sa.select(Company).where(Company.code == code.strip()))


async def list_people(session: AsyncSession, ids: Iterable[uuid.UUID]) -> Sequence[Person]:
    return (await session.scalars(sa.select(Person).where(Person.id.in_(list(ids))).order_by(Person.id))).all()


async def list_companies(session: AsyncSession, ids: Iterable[uuid.UUID]) -> Sequence[Company]:
    return (await session.scalars(sa.select(Company).where(Company.id.in_(list(ids))).order_by(Company.id))).all()


async def list_people_of_only(session: AsyncSession, company_id: uuid.UUID) -> list[uuid.UUID]:
    """Members of this company and of no other, who are none of the house's own people."""
    elsewhere = sa.select(Membership.person_id).where(Membership.company_id != company_id)
    query = (
        sa.select(Person.id)
        .join(Membership, Membership.person_id == Person.id)
        .where(Membership.company_id == company_id, Person.staff_role.is_(None), Person.id.not_in(elsewhere))
        .order_by(Person.id)
    )
    return list(await session.scalars(query))


async def emails_of_others(session: AsyncSession, emails: Iterable[str], people: Iterable[uuid.UUID]) -> set[str]:
    """Which of *emails* are the addresses of accounts of anybody else."""
    query = sa.select(Person.email).where(Person.email.in_(list(emails)), Person.id.not_in(list(people)))
    return set(await session.scalars(query))


# -- plans -------------------------------------------------------------------------------------------------------------


async def find_plan(session: AsyncSession, plan_id: uuid.UUID) -> ErasurePlan | None:
    return await session.get(ErasurePlan, plan_id)


async def lock_plan(session: AsyncSession, plan_id: uuid.UUID) -> ErasurePlan | None:
    return await session.scalar(
        sa.select(ErasurePlan)
        .where(ErasurePlan.id == plan_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def list_plans(session: AsyncSession, limit: int) -> Sequence[ErasurePlan]:
    return (
        await session.scalars(sa.select(ErasurePlan).order_by(ErasurePlan.made_at.desc(), ErasurePlan.id).limit(limit))
    ).all()


async def list_approved_plans(session: AsyncSession) -> Sequence[ErasurePlan]:
    return (await session.scalars(sa.select(ErasurePlan).where(ErasurePlan.state == PlanState.APPROVED))).all()


async def list_steps(session: AsyncSession, plan_id: uuid.UUID) -> Sequence[ErasureStep]:
    query = sa.select(ErasureStep).where(ErasureStep.plan_id == plan_id).order_by(ErasureStep.position)
    return (await session.scalars(query)).all()


# -- exports -----------------------------------------------------------------------------------------------------------


async def list_exports(session: AsyncSession, person_id: uuid.UUID) -> Sequence[DataExport]:
    query = sa.select(DataExport).where(DataExport.person_id == person_id).order_by(DataExport.asked_at.desc())
    return (await session.scalars(query)).all()


async def find_export(session: AsyncSession, export_id: uuid.UUID) -> DataExport | None:
    return await session.get(DataExport, export_id)
