"""Erasure by plan: somebody of the legal desk makes it, another approves it, a job carries it out.

A plan says of each holding what would go and what stays, until when and why. The law's periods are data
(`retention.py`); a hold is stronger than any plan. Applying is a transaction a holding, each with its step, so that a
process killed half-way goes on where it was, and doing it again does nothing. The account goes last: all else is found
by it. A letter in the person's language goes out before the address does.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import erasure_letter, privacy_store
from accounts.personal_data import Holding, Room, Subject
from accounts.principal import Principal
from accounts.privacy_model import ErasurePlan, ErasureStep, LegalHold, PlanState, RetentionPeriod
from accounts.retention import Periods
from accounts.store import find_merchant
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue
from kernel.mail import OutgoingMail, queue_mail

log = structlog.get_logger(__name__)

APPLY_TASK: Final = "apply_erasure"
STEP: Final = Failpoint("privacy.erase")
APPLIED: Final = Failpoint("privacy.applied")
LETTER_PATIENCE: Final = timedelta(days=1)
"""How long the erasure waits for a mail server that does not take the letter."""
LETTER_WAIT: Final = timedelta(minutes=1)
REASON_MOST: Final = 1000
PLANS_LISTED: Final = 100


class SubjectUnknown(NotFound):
    problem = "erasure-subject-unknown"
    title = "There is no such person or company"


class PlanUnknown(NotFound):
    problem = "erasure-plan-unknown"
    title = "There is no such plan"


class PlanRefused(Refused):
    problem = "erasure-plan-refused"
    title = "This plan cannot be made"


class PlanOutOfTurn(Conflict):
    problem = "erasure-plan-out-of-turn"
    title = "This plan is not at that point"


class ApproverIsAuthor(Conflict):
    problem = "erasure-approver-is-author"
    title = "Somebody else has to approve this plan"


class PlanChanged(Conflict):
    problem = "erasure-plan-changed"
    title = "What would be erased has changed"


class OnHold(Conflict):
    problem = "erasure-on-hold"
    title = "A legal hold stands"


class Unfinished(Conflict):
    problem = "erasure-business-unfinished"
    title = "Business with this person is not finished"


class HoldUnknown(NotFound):
    problem = "legal-hold-unknown"
    title = "There is no such hold"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan does with one holding."""

    holding: str
    table: str
    kind: str
    says: dict[str, str]
    found: int
    stays: int
    until: datetime | None
    """Until when the youngest of what stays does; None for what names nobody and stays for good."""
    why: dict[str, str] | None
    """Of what stays, by language."""

    @property
    def goes(self) -> int:
        return self.found - self.stays


class Erasures:
    """*rooms* as the composition root joins them, in order; *forget_letter* deletes a letter's copy elsewhere."""

    def __init__(
        self, db: Database, clock: Clock, rooms: Sequence[Room], *, forget_letter: Callable[[uuid.UUID], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._rooms = tuple(rooms)
        self._holdings = tuple(holding for room in rooms for holding in room.holdings)
        self._forget_letter = forget_letter

    # the plan

    async def plan(
        self, principal: Principal, *, email: str = "", company: str = "", asked_on: date, reason: str
    ) -> ErasurePlan:
        """Look at what is held of the person with this *email*, or of everybody of this *company* (its code).

        :raises SubjectUnknown: when there is none, or it is erased already
        :raises PlanRefused: for somebody of the house, a day to come, or no reason
        """
        now = self._clock.now()
        if asked_on > now.date():
            raise PlanRefused("Write the day on which the erasure was asked for; it cannot lie in the future.")
        async with self._db.begin(for_staff()) as session:
            person_id, company_id, people = await _found(session, email, company)
            subject = await self._subject(session, people, company_id)
            persons = await privacy_store.list_people(session, people)
            made = ErasurePlan(
                id=new_id(),
                person_id=person_id,
                company_id=company_id,
                people=people,
                asked_on=asked_on,
                reason=_reason(reason),
                locale=persons[0].locale,
                country=subject.countries[0] if subject.countries else (await find_merchant(session)).country,
                items=msgspec.to_builtins(await self._items(session, subject, now)),
                made_by=_who(principal),
                made_at=now,
            )
            session.add(made)
        return made

    async def look(self, plan_id: uuid.UUID) -> tuple[ErasurePlan, list[Item], list[LegalHold], list[str]]:
        """A plan as it stands: its items (of a draft: as they are now), the holds against it, unfinished business.

        :raises PlanUnknown: when there is none
        """
        async with self._db.reading(for_staff()) as session:
            plan = await privacy_store.find_plan(session, plan_id)
            if plan is None:
                raise PlanUnknown("There is no such plan.")
            subject = await self._subject(session, plan.people, plan.company_id)
            items = items_of(plan)
            if plan.state is PlanState.DRAFT:
                items = await self._items(session, subject, self._clock.now())
            holds = list(await privacy_store.find_holds_on(session, subject.people, subject.companies))
            return plan, items, holds, await self._unfinished(session, subject)

    async def list_plans(self) -> Sequence[ErasurePlan]:
        async with self._db.reading(for_staff()) as session:
            return await privacy_store.list_plans(session, PLANS_LISTED)

    async def steps(self, plan_id: uuid.UUID) -> Sequence[ErasureStep]:
        async with self._db.reading(for_staff()) as session:
            return await privacy_store.list_steps(session, plan_id)

    async def approve(self, principal: Principal, plan_id: uuid.UUID, *, shown: str) -> ErasurePlan:
        """Let the plan be carried out as *principal* read it (`shown_digest` of its items). It cannot be taken back.

        :raises ApproverIsAuthor: for whoever made it
        :raises OnHold: while a hold stands on the person or a company of theirs
        :raises Unfinished: naming orders that are neither paid nor closed
        :raises PlanChanged: when what would be erased is not what was read
        """
        now = self._clock.now()
        async with self._db.begin(for_staff()) as session:
            plan = await self._locked(session, plan_id, PlanState.DRAFT)
            if plan.made_by == principal.person_id:
                raise ApproverIsAuthor("Whoever made a plan cannot approve it. Ask a colleague of the legal desk.")
            subject = await self._subject(session, plan.people, plan.company_id)
            await self._refuse_held(session, subject)
            if unfinished := await self._unfinished(session, subject):
                raise Unfinished(
                    f"Not finished: {', '.join(unfinished)}. Let it be paid, cancelled or lapse first.",
                    references=", ".join(unfinished),
                )
            items = await self._items(session, subject, now)
            plan.items = msgspec.to_builtins(items)
            if shown_digest(items) != shown:
                raise PlanChanged("Something came or went since you opened the plan. Read it again, then approve.")
            plan.state, plan.approved_by, plan.approved_at = PlanState.APPROVED, _who(principal), now
            plan.again_at = min((item.until for item in items if item.until is not None), default=None)
            merchant = await find_merchant(session)
            plan.letters = [
                await queue_mail(session, erasure_letter.mail(plan, items, person, merchant), now=now)
                for person in await privacy_store.list_people(session, plan.people)
                if person.erased_at is None
            ]
            await enqueue(session, APPLY_TASK, {"plan_id": str(plan.id)}, lock=f"erasure:{plan.id}")
        return plan

    async def withdraw(self, plan_id: uuid.UUID) -> None:
        """Give a plan up that nobody approved.

        :raises PlanOutOfTurn: when it is approved or over
        """
        async with self._db.begin(for_staff()) as session:
            plan = await self._locked(session, plan_id, PlanState.DRAFT)
            plan.state, plan.withdrawn_at = PlanState.WITHDRAWN, self._clock.now()

    # carrying it out

    async def apply(self, plan_id: str) -> None:
        """Erase what an approved plan says, step by step. Done again it does what is not done yet, or nothing."""
        plan_key = uuid.UUID(plan_id)
        if not await self._letters_are_out(plan_key):
            return
        done = {step.position for step in await self.steps(plan_key)}
        for position, holding in enumerate(self._holdings):
            if holding.erase and position not in done:
                async with self._db.begin(for_staff(), STEP) as session:
                    if not await self._step(session, plan_key, position, holding):
                        return
        async with self._db.begin(for_staff(), APPLIED) as session:
            plan = await privacy_store.lock_plan(session, plan_key)
            if plan is not None and plan.state is PlanState.APPROVED:
                plan.state, plan.applied_at = PlanState.APPLIED, self._clock.now()
                log.info("a plan of erasure is carried out", plan=plan_id)

    async def _letters_are_out(self, plan_id: uuid.UUID) -> bool:
        """Whether erasing may begin; if not, it is tried again in a minute."""
        now = self._clock.now()
        async with self._db.begin(for_staff()) as session:
            plan = await privacy_store.find_plan(session, plan_id)
            if plan is None or plan.state is not PlanState.APPROVED or plan.approved_at is None:
                return False
            letters = [await session.get(OutgoingMail, letter) for letter in plan.letters]
            out = all(letter is None or letter.sent_at is not None for letter in letters)
            if not out and now < plan.approved_at + LETTER_PATIENCE:
                arguments = {"plan_id": str(plan.id)}
                await enqueue(session, APPLY_TASK, arguments, lock=f"erasure:{plan.id}", run_at=now + LETTER_WAIT)
                return False
        return True

    async def _step(self, session: AsyncSession, plan_id: uuid.UUID, position: int, holding: Holding) -> bool:
        """Erase one holding unless that is done; False when the plan must not go on."""
        plan, now = await privacy_store.lock_plan(session, plan_id), self._clock.now()
        if plan is None or plan.state is not PlanState.APPROVED:
            return False
        subject = await self._subject(session, plan.people, plan.company_id)
        if await privacy_store.find_holds_on(session, subject.people, subject.companies):
            log.warning("a plan of erasure waits: a legal hold stands", plan=str(plan_id))
            return False
        if position in {step.position for step in await privacy_store.list_steps(session, plan_id)}:
            return True
        kept = Periods(await privacy_store.list_periods(session)).longest(holding.kind, subject.countries)
        values = subject.parameters(now=now, before=_cut_off(now, kept))
        if holding.letters is not None:
            for letter in await privacy_store.column(session, holding.letters, values):
                self._forget_letter(letter)
        erased = sum([max(0, await privacy_store.run(session, statement, values)) for statement in holding.erase])
        session.add(ErasureStep(plan_id=plan_id, position=position, holding=holding.name, erased=erased, done_at=now))
        return True

    # holds

    async def place_hold(self, principal: Principal, *, email: str = "", company: str = "", reason: str) -> LegalHold:
        """Let nothing of a person or company be erased until the hold is lifted.

        :raises SubjectUnknown: when there is no such person or company
        :raises PlanRefused: without a reason
        """
        async with self._db.begin(for_staff()) as session:
            person_id, company_id = await _named(session, email, company)
            hold = LegalHold(
                id=new_id(),
                person_id=person_id,
                company_id=company_id,
                reason=_reason(reason),
                placed_by=_who(principal),
                placed_at=self._clock.now(),
            )
            session.add(hold)
        return hold

    async def lift_hold(self, principal: Principal, hold_id: uuid.UUID, *, reason: str) -> None:
        """End a hold; plans that waited for it go on.

        :raises HoldUnknown: when none stands
        """
        async with self._db.begin(for_staff()) as session:
            hold = await privacy_store.lock_hold(session, hold_id)
            if hold is None or hold.lifted_at is not None:
                raise HoldUnknown("This hold is lifted already, or there is none.")
            hold.lift_reason = _reason(reason)
            hold.lifted_by, hold.lifted_at = _who(principal), self._clock.now()
            for plan in await privacy_store.list_approved_plans(session):
                await enqueue(session, APPLY_TASK, {"plan_id": str(plan.id)}, lock=f"erasure:{plan.id}")

    async def list_holds(self) -> Sequence[LegalHold]:
        async with self._db.reading(for_staff()) as session:
            return await privacy_store.list_holds(session, standing=False)

    async def labels(self, ids: Sequence[uuid.UUID | None]) -> tuple[dict[uuid.UUID, str], dict[uuid.UUID, str]]:
        """What companies and people are called now, by id; an erased person by nothing but a dash."""
        wanted = [each for each in ids if each is not None]
        async with self._db.reading(for_staff()) as session:
            companies = await privacy_store.list_companies(session, wanted)
            people = await privacy_store.list_people(session, wanted)
        return (
            {company.id: f"{company.name} ({company.code})" for company in companies},
            {person.id: person.name if person.erased_at else f"{person.name} ({person.email})" for person in people},
        )

    # helpers in call order

    async def subject(self, session: AsyncSession, person_id: uuid.UUID) -> Subject:
        """One person, as their data can be found now."""
        return await self._subject(session, [person_id], None)

    async def _subject(
        self, session: AsyncSession, people: Sequence[uuid.UUID], whole_company: uuid.UUID | None
    ) -> Subject:
        async def every(statements: Sequence[str]) -> list[Any]:
            found = [await privacy_store.column(session, each, {"people": list(people)}) for each in statements]
            return sorted({value for values in found for value in values})

        companies = await every([each for room in self._rooms for each in room.companies])
        if whole_company is not None:
            companies = sorted({*companies, whole_company})
        emails = await every([each for room in self._rooms for each in room.emails])
        others = await privacy_store.emails_of_others(session, emails, people)
        persons = await privacy_store.list_people(session, people)
        return Subject(
            people=tuple(people),
            companies=tuple(companies),
            countries=tuple(company.country for company in await privacy_store.list_companies(session, companies)),
            whole_company=whole_company,
            emails=tuple(email for email in emails if email not in others),
            names=tuple(sorted({person.name for person in persons if person.erased_at is None})),
            journeys=tuple(await every([each for room in self._rooms for each in room.journeys])),
        )

    async def _items(self, session: AsyncSession, subject: Subject, now: datetime) -> list[Item]:
        periods = Periods(await privacy_store.list_periods(session))
        return [await _item(session, holding, subject, periods, now) for holding in self._holdings]

    async def _unfinished(self, session: AsyncSession, subject: Subject) -> list[str]:
        values = {"people": list(subject.people)}
        found = [await privacy_store.column(session, each, values) for room in self._rooms for each in room.unfinished]
        return sorted(str(reference) for references in found for reference in references)

    async def _refuse_held(self, session: AsyncSession, subject: Subject) -> None:
        holds = await privacy_store.find_holds_on(session, subject.people, subject.companies)
        if holds:
            raise OnHold(f"Nothing may be erased: {holds[0].reason}", reason=holds[0].reason)

    async def _locked(self, session: AsyncSession, plan_id: uuid.UUID, state: PlanState) -> ErasurePlan:
        plan = await privacy_store.lock_plan(session, plan_id)
        if plan is None:
            raise PlanUnknown("There is no such plan.")
        if plan.state is not state:
            raise PlanOutOfTurn(f"The plan is {plan.state.value} by now.", state=plan.state.value)
        return plan


def items_of(plan: ErasurePlan) -> list[Item]:
    return msgspec.convert(plan.items, list[Item])


def shown_digest(items: Sequence[Item]) -> str:
    """Names what a reader of a plan saw: which holdings, how many rows go and stay."""
    return ";".join(f"{item.holding}:{item.goes}:{item.stays}" for item in items if item.found)


async def _item(session: AsyncSession, holding: Holding, subject: Subject, periods: Periods, now: datetime) -> Item:
    values = subject.parameters(now=now, before=now)
    found, youngest = await privacy_store.count(session, holding.rows, values)
    stays, until, why = 0, None, None
    kept = periods.longest(holding.kind, subject.countries)
    if not holding.erase:
        stays, why = found, erasure_letter.NAMES_NOBODY
        if kept is not None:
            why, until = _basis(kept), _until(youngest, kept)
    elif kept is not None and found:
        rows = await privacy_store.select(session, holding.rows, values)
        stays = sum(1 for row in rows if row["since"] > _cut_off(now, kept))
        if stays:
            until, why = _until(youngest, kept), _basis(kept)
    return Item(
        holding=holding.name,
        table=holding.table,
        kind=holding.kind.value,
        says=dict(holding.says),
        found=found,
        stays=stays,
        until=until,
        why=why,
    )


def _basis(period: RetentionPeriod) -> dict[str, str]:
    return {"en": period.basis_en, "es": period.basis_es}


def _until(youngest: datetime | None, period: RetentionPeriod) -> datetime | None:
    return None if youngest is None else youngest + timedelta(days=period.days)


def _cut_off(now: datetime, kept: RetentionPeriod | None) -> datetime:
    """What is older may go; without a period that obliges, all there is."""
    return now if kept is None else now - timedelta(days=kept.days)


async def _found(
    session: AsyncSession, email: str, company: str
) -> tuple[uuid.UUID | None, uuid.UUID | None, list[uuid.UUID]]:
    person_id, company_id = await _named(session, email, company)
    if person_id is not None:
        return person_id, None, [person_id]
    assert company_id is not None
    people = await privacy_store.list_people_of_only(session, company_id)
    if not people:
        raise SubjectUnknown(f"Nobody belongs to {company} and to no other company.")
    return None, company_id, people


async def _named(session: AsyncSession, email: str, company: str) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    if bool(email.strip()) == bool(company.strip()):
        raise PlanRefused("Name either a person by e-mail or a company by code.")
    if email.strip():
        person = await privacy_store.find_person_by_email(session, email)
        if person is None or person.erased_at is not None:
            raise SubjectUnknown("No account has this e-mail address.")
        if person.staff_role is not None:
            raise PlanRefused("This is one of the house's own people, whose data the personnel department keeps.")
        return person.id, None
    found = await privacy_store.find_company_by_code(session, company)
    if found is None:
        raise SubjectUnknown(f"There is no company {company}.")
    return None, found.id


def _who(principal: Principal) -> uuid.UUID:
    assert principal.person_id is not None, "the role table lets in people only"
    return principal.person_id


def _reason(text: str) -> str:
    reason = text.strip()
    if not 0 < len(reason) <= REASON_MOST or not reason.replace("\n", "").replace("\r", "").isprintable():
        raise PlanRefused(f"Say why in 1 to {REASON_MOST:,} characters.")
    return reason
