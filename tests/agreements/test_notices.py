"""Who agreed before is told of a material version: once each, with what changed."""

import asyncio
import json
import os
import signal
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.model import Membership, Person
from agreements.legal_model import DocumentNotice
from agreements.notices import TELL, Notices
from agreements.publishing import Publishing
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_company, for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.ids import new_id
from kernel.mail import OutgoingMail
from tests.agreements.conftest import Step, make_member
from tests.agreements.legal import make_staff, publish_version
from tests.conftest import ROOT

BASE = "https://shop.example"


@dataclass(frozen=True)
class House:
    step: Step
    publishing: Publishing
    notices: Notices
    clock: FixedClock

    async def publish(self, **more: object) -> None:
        author, approver = [await make_staff(self.step.database, self.clock.now()) for _ in range(2)]
        await publish_version(self.publishing, author, approver, **more)
        self.clock.advance(minutes=1)

    async def letters(self) -> list[OutgoingMail]:
        async with self.step.database.begin(for_staff()) as session:
            return list(await session.scalars(sa.select(OutgoingMail).where(OutgoingMail.kind == "document_notice")))

    async def news(self, company_id: uuid.UUID, locale: str = "en") -> list[tuple[str, str, bool]]:
        self.clock.advance(minutes=1)
        return [(each.since, each.label, each.in_force) for each in await self.notices.news_for(company_id, locale)]


@pytest.fixture
def house(step: Step, clock: FixedClock) -> House:
    return House(
        step,
        Publishing(step.database, clock, step.agreements),
        Notices(step.database, clock, base_url=BASE),
        clock,
    )


async def test_every_signatory_of_a_company_that_agreed_is_written_to_once_with_the_words_that_changed(
    house: House, clock: FixedClock
) -> None:
    await house.step.accept(await house.step.present())
    company_id = house.step.principal.company_id
    assert company_id is not None
    async with house.step.database.begin(for_accounts()) as session:
        person = Person(
            id=new_id(), email="firma@acme.example", name="Firmante", locale="es", password_hash="-",
            created_at=clock.now(),
        )  # fmt: skip
        session.add(person)
    await make_member(house.step.database, clock, name="Never ordered")
    await house.publish(effective_at=clock.now() + timedelta(days=30))

    for _ in range(2):
        await house.notices.tell("master-terms", "4.0")

    (letter,) = await house.letters()
    assert letter.recipient == house.step.principal.email
    assert letter.subject == "Master Terms of Sale: version 4.0 holds from 2026-12-21"
    assert "[-1. Scope-]" in letter.text
    assert "Liability doubles." in letter.text
    assert f"{BASE}/documents/master-terms/4.0/en/changes?since=3.1" in letter.text
    assert "your framework agreement" not in letter.text
    assert letter.html is not None
    assert "<ins>" in letter.html
    (told,) = await house.notices.list_told()
    assert (told.code, told.label, told.companies, told.people) == ("master-terms", "4.0", 1, 1)
    ((_, company, _),) = await house.notices.list_letters("master-terms", "4.0")
    assert company == "Acme GmbH"


async def test_a_signatory_appointed_later_is_written_to_when_the_job_runs_again(
    house: House, clock: FixedClock
) -> None:
    await house.step.accept(await house.step.present())
    await house.publish()
    await house.notices.tell("master-terms", "4.0")
    company_id = house.step.principal.company_id
    async with house.step.database.begin(for_accounts()) as session:
        person = Person(
            id=new_id(), email="firma@acme.example", name="Firmante", locale="es", password_hash="-",
            created_at=clock.now(),
        )  # fmt: skip
        session.add(person)
        await session.flush()
        first = (await session.scalars(sa.select(Membership).where(Membership.company_id == company_id))).one()
        session.add(
            Membership(
                company_id=first.company_id, person_id=person.id, role=first.role, signatory=True,
                authority=first.authority, created_at=clock.now(),
            )
        )  # fmt: skip

    await house.notices.tell("master-terms", "4.0")

    letters = {letter.recipient: letter for letter in await house.letters()}
    assert len(letters) == 2
    assert letters["firma@acme.example"].subject.startswith("Condiciones Generales de Venta: la versión 4.0 rige desde")


async def test_a_withdrawn_version_is_not_announced(house: House) -> None:
    await house.step.accept(await house.step.present())
    await house.publish()
    await house.publishing.withdraw(
        "master-terms", "4.0", reason="Mistake", by=await make_staff(house.step.database, house.clock.now())
    )

    await house.notices.tell("master-terms", "4.0")

    assert await house.letters() == []


async def test_a_company_has_news_of_material_versions_until_it_agrees(house: House) -> None:
    company_id = house.step.principal.company_id
    assert company_id is not None
    await house.step.accept(await house.step.present())
    await house.publish(label="3.2", material=False)
    assert await house.news(company_id) == []
    await house.publish(label="4.0", effective_at=house.clock.now() + timedelta(days=30))
    assert await house.news(company_id) == [("3.1", "4.0", False)]
    assert await house.news(new_id()) == []
    house.clock.advance(days=30)
    assert await house.news(company_id) == [("3.1", "4.0", True)]

    again = house.step.but(checkout_id=new_id())
    presentation = await again.present()
    assert presentation.content["changes"] == [
        {"code": "master-terms", "since": "3.1", "label": "4.0", "material": True}
    ]
    await again.accept(presentation)

    assert await house.news(company_id) == []


async def test_a_minor_change_is_named_as_one_in_the_step(house: House) -> None:
    await house.step.accept(await house.step.present())
    await house.publish(label="3.2", material=False)

    presentation = await house.step.but(checkout_id=new_id()).present()

    assert [change["material"] for change in presentation.content["changes"]] == [False]


async def test_a_company_sees_no_notices_of_others(house: House) -> None:
    await house.step.accept(await house.step.present())
    await house.publish()
    await house.notices.tell("master-terms", "4.0")

    async with house.step.database.begin(for_company(new_id())) as session:
        assert (await session.scalars(sa.select(DocumentNotice))).all() == []


KILLED = """
import asyncio, json, sys
from datetime import datetime
from agreements.notices import Notices
from kernel.clock import FixedClock
from kernel.db import Database

async def main(url, at):
    db = Database.connect(url)
    notices = Notices(db, FixedClock(datetime.fromisoformat(at)), base_url="https://shop.example")
    await notices.tell("master-terms", "4.0")
    await db.close()

asyncio.run(main(*json.load(sys.stdin)))
"""


async def run(url: str, at: datetime, failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: failpoint},
    )
    await process.communicate(json.dumps([url, at.isoformat()]).encode())
    assert process.returncode is not None
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", registered(TELL.name))
async def test_a_killed_job_goes_on_and_nobody_is_written_to_twice(
    house: House, database: Database, database_url: str, clock: FixedClock, failpoint: str
) -> None:
    await house.step.accept(await house.step.present())
    other, _ = await make_member(database, clock, name="Globex")
    second = house.step.but(principal=other, checkout_id=new_id())
    await second.accept(await second.present())
    await house.publish()

    assert await run(database_url, clock.now(), failpoint) == -signal.SIGKILL
    assert await run(database_url, clock.now()) == 0

    letters = await house.letters()
    assert sorted(letter.recipient for letter in letters) == sorted([str(house.step.principal.email), str(other.email)])
