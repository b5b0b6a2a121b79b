"""The process dies before or after a commit of the legal desk or a framework agreement: all of the act, or nothing."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from agreements import frameworks, publishing
from agreements.frameworks import Frameworks
from agreements.legal_model import AgreementAct, DraftStep, FrameworkAgreement, VersionPdf
from agreements.model import DocumentVersion, LedgerEntry
from agreements.publishing import NotApproved, Publishing
from agreements.service import Agreements
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.ids import new_id
from kernel.signing import Keyring, complete
from tests.agreements.conftest import BOXES, Step
from tests.agreements.legal import draft_version, make_staff
from tests.conftest import ROOT

ACT = """
import asyncio, json, sys
from datetime import datetime
from uuid import UUID
import msgspec
from accounts.principal import Principal
from agreements.frameworks import Frameworks
from agreements.publishing import Publishing
from agreements.service import Agreements
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring
from pathlib import Path

async def main(what):
    db, clock = Database.connect(what["url"]), FixedClock(datetime.fromisoformat(what["at"]))
    agreements = Agreements(clock, Keyring.read(Path(what["keyring"])))
    publishing, frameworks = Publishing(db, clock, agreements), Frameworks(db, clock, agreements)
    person = UUID(what["person"])
    principal = msgspec.json.decode(what["principal"], type=Principal)
    if what["act"] == "agreements.publish":
        await publishing.publish(UUID(what["id"]), version=what["version"], by=person)
    elif what["act"] == "agreements.withdraw":
        await publishing.withdraw("master-terms", "3.1", reason="A wrong court", by=person)
    elif what["act"] == "agreements.accept_framework":
        await frameworks.accept(
            principal,
            presentation_id=UUID(what["id"]),
            ticked=what["ticked"],
            job_title="Buyer",
            ip="192.0.2.7",
            user_agent="a browser",
        )
    else:
        await frameworks.end(principal, UUID(what["id"]), note="Enough")
    await db.close()

asyncio.run(main(json.load(sys.stdin)))
"""
POINTS = [
    point
    for name in (publishing.PUBLISH, publishing.WITHDRAW, frameworks.ACCEPT, frameworks.END)
    for point in registered(name.name)
]


@pytest.fixture
def keyring_file(tmp_path: Path, clock: FixedClock) -> Path:
    path = tmp_path / "keyring.json"
    complete(path, now=clock.now())
    return path


@pytest.fixture
def agreements(keyring_file: Path, clock: FixedClock) -> Agreements:
    return Agreements(clock, Keyring.read(keyring_file))


async def run(what: dict[str, Any], failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ACT,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: failpoint},
    )
    await process.communicate(json.dumps(what).encode())
    assert process.returncode is not None
    return process.returncode


async def done(database: Database, act: str) -> list[bool]:
    """Of each row that the act writes, whether it is there: all the same, whenever the process died."""
    async with database.begin(for_staff()) as session:
        acts = set(await session.scalars(sa.select(AgreementAct.act)))
        match act:
            case "agreements.publish":
                made = set(await session.scalars(sa.select(DocumentVersion.id).where(DocumentVersion.label == "4.0")))
                kept = set(await session.scalars(sa.select(VersionPdf.version_id)))
                jobs = await session.scalar(
                    sa.text("select count(*) from procrastinate_jobs where task_name = 'tell_of_version'")
                )
                return [bool(made), bool(made & kept), "version_published" in acts, bool(jobs)]
            case "agreements.withdraw":
                left = await session.scalars(
                    sa.select(DocumentVersion.withdrawn_at).where(DocumentVersion.label == "3.1")
                )
                return [*(each is not None for each in left), "version_withdrawn" in acts]
            case "agreements.accept_framework":
                rows = list(await session.scalars(sa.select(FrameworkAgreement)))
                kinds = list(await session.scalars(sa.select(LedgerEntry.kind)))
                return [bool(rows), "framework-acceptance" in kinds]
            case _:
                (row,) = list(await session.scalars(sa.select(FrameworkAgreement)))
                return [row.ended_at is not None, row.end_reason is not None]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_act_is_whole_or_never_was_and_can_be_done_then(
    step: Step, keyring_file: Path, database_url: str, clock: FixedClock, point: str
) -> None:
    act, moment = point.split(":")
    desk, covered = Publishing(step.database, clock, step.agreements), Frameworks(step.database, clock, step.agreements)
    author, approver = [await make_staff(step.database, clock.now()) for _ in range(2)]
    what: dict[str, Any] = {
        "act": act,
        "url": database_url,
        "keyring": str(keyring_file),
        "at": clock.now().isoformat(),
        "id": str(new_id()),
        "person": str(author),
        "principal": msgspec.json.encode(step.principal).decode(),
        "ticked": sorted(BOXES),
        "version": 0,
    }
    if act == "agreements.publish":
        draft = await draft_version(desk, author)
        what |= {"id": str(draft.id), "version": draft.version}
        with pytest.raises(NotApproved):
            await desk.publish(draft.id, version=draft.version, by=author)
        await desk.take(draft.id, DraftStep.SUBMITTED, version=draft.version, by=author, comment="")
        await desk.take(draft.id, DraftStep.APPROVED, version=draft.version, by=approver, comment="")
    elif act != "agreements.withdraw":
        digests = {"template_digest": "sha256:" + "a" * 64, "stylesheet_digest": "sha256:" + "b" * 64}
        shown = await covered.present(step.principal, locale="en", **digests)
        what["id"] = str(shown.id)
        if act == "agreements.end_framework":
            made = await covered.accept(
                step.principal,
                presentation_id=shown.id,
                ticked=BOXES,
                job_title="Buyer",
                ip="192.0.2.7",
                user_agent="a browser",
            )
            what["id"] = str(made.id)

    assert await run(what, point) == -signal.SIGKILL

    assert set(await done(step.database, act)) == {moment == "after_commit"}
    if moment == "before_commit":
        assert await run(what) == 0
        assert set(await done(step.database, act)) == {True}
