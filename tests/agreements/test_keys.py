import asyncio
import base64
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agreements import annexes, keys, ledger
from agreements.model import Annex, LedgerCheckpoint, LedgerEntry
from agreements.service import Agreements
from agreements.verify import exit_code, verify_receipt
from kernel.canonical import canonical_json
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.ids import new_id
from kernel.signing import Keyring, Purpose, complete, verify_ed25519
from tests.agreements.conftest import Step

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, json, sys
from datetime import datetime
from pathlib import Path
from agreements import keys
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring, Purpose

async def main():
    what = json.load(sys.stdin)
    db, path = Database.connect(what["url"]), Path(what["path"])
    clock = FixedClock(datetime.fromisoformat(what["at"]))
    await keys.rotate(db, clock, Keyring.read(path), path, Purpose(what["purpose"]), origin="shop.example/agreements")
    await db.close()

asyncio.run(main())
"""


@pytest.fixture
def keyring_file(tmp_path: Path, clock: FixedClock) -> Path:
    path = tmp_path / "keyring.json"
    complete(path, now=clock.now())
    return path


@pytest.fixture
def agreements(keyring_file: Path, clock: FixedClock) -> Agreements:
    return Agreements(clock, Keyring.read(keyring_file), origin="shop.example/agreements")


async def rotate(step: Step, path: Path, purpose: Purpose) -> str:
    agreements = step.agreements
    new = await keys.rotate(
        step.database, agreements.clock, agreements.keyring, path, purpose, origin=agreements.origin, batch=2
    )
    return new.id


async def key_rows(database: Database) -> list[LedgerEntry]:
    async with database.begin(for_staff()) as session:
        rows = await session.scalars(sa.select(LedgerEntry).where(LedgerEntry.kind == "key").order_by(LedgerEntry.seq))
        return list(rows)


@pytest.mark.parametrize(
    "purpose", [Purpose.LEDGER, Purpose.PRESENTATION, Purpose.SEAL, Purpose.QUOTES, Purpose.PUBLICATION]
)
async def test_exchanging_a_key_is_a_row_of_the_ledger_that_the_old_key_vouches_for(
    step: Step, keyring_file: Path, purpose: Purpose
) -> None:
    keyring = step.agreements.keyring
    old = keyring.active_key(purpose)

    new_id_ = await rotate(step, keyring_file, purpose)

    (row,) = await key_rows(step.database)
    assert (row.company_id, row.content["type"], row.content["key"]["id"]) == (None, "tarifa.key.v1", new_id_)
    assert row.content["follows"]["id"] == old.id
    vouched = base64.b64decode(row.content["follows"]["signature"])
    if old.algorithm == "Ed25519":
        assert verify_ed25519(old.public_key, vouched, canonical_json(row.content["key"]))
    assert keyring.active_key(purpose).id == new_id_ != old.id
    async with step.database.begin(for_staff()) as session:
        assert (await step.agreements.check_ledger(session)).broken_at is None
        head = (await session.scalars(sa.select(LedgerCheckpoint))).one()
    assert head.size == row.seq + 1, "the row stands under a signed head before the new key signs"


async def test_receipts_from_before_verify_with_the_old_key_and_again_with_the_new(
    step: Step, keyring_file: Path, clock: FixedClock
) -> None:
    acceptance = await step.accept(await step.present())
    old, before = step.agreements.keyring.active_key(Purpose.LEDGER), await step.receipt(acceptance.order_id)
    clock.advance(days=1)
    for purpose in (Purpose.LEDGER, Purpose.PRESENTATION):
        await rotate(step, keyring_file, purpose)
    new = step.agreements.keyring.active_key(Purpose.LEDGER)

    after = await step.receipt(acceptance.order_id)

    assert exit_code(verify_receipt(canonical_json(before), old.public_key)) == 0
    assert exit_code(verify_receipt(canonical_json(after), new.public_key)) == 0
    assert before["checkpoint"] == after["checkpoint"]
    later = step.but(checkout_id=new_id())
    again = await later.receipt((await later.accept(await later.present())).order_id)
    assert exit_code(verify_receipt(canonical_json(again), new.public_key)) == 0
    assert again["presentation"]["signature"]["key_id"] != before["presentation"]["signature"]["key_id"]


async def test_a_new_key_of_the_annexes_wraps_the_data_keys_of_all_of_them_anew(step: Step, keyring_file: Path) -> None:
    accepted = []
    for _ in range(5):
        each = step.but(checkout_id=new_id())
        accepted.append(await each.accept(await each.present()))
    keyring = step.agreements.keyring
    old = keyring.active_key(Purpose.ANNEX)
    async with step.database.begin(for_staff()) as session:
        before = {
            row.acceptance_id: (row.ciphertext, row.wrapped_key) for row in await session.scalars(sa.select(Annex))
        }
        first = await session.get_one(Annex, accepted[0].id)  # as rows were before data keys
        plain = annexes.opened(keyring, first)
        first.ciphertext = keyring.encrypt(annexes.ANNEX, plain, context=accepted[0].id.bytes)
        first.wrapped_key = None

    new = await rotate(step, keyring_file, Purpose.ANNEX)

    async with step.database.begin(for_staff()) as session:
        rows = list(await session.scalars(sa.select(Annex)))
        assert await annexes.wrap_anew(session, keyring) == 0
    for row in rows:
        assert row.wrapped_key is not None
        assert row.wrapped_key.startswith(f"{new}\0".encode())
        assert not row.wrapped_key.startswith(old.id.encode())
        assert b"192.0.2.7" in annexes.opened(keyring, row)
        if row.acceptance_id != accepted[0].id:
            assert row.ciphertext == before[row.acceptance_id][0], "what a data key encrypts is left alone"
    (told,) = await key_rows(step.database)
    assert set(told.content["key"]) == {"id", "purpose", "not_before", "not_after"}


async def run(what: dict[str, Any], failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, VARIABLE: failpoint},
    )
    await process.communicate(json.dumps(what).encode())
    assert process.returncode is not None
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", [*registered(keys.ROTATE.name), *registered(keys.WRAP.name)])
async def test_an_exchange_that_is_killed_goes_on_where_it_was(
    step: Step, keyring_file: Path, database_url: str, failpoint: str
) -> None:
    await step.accept(await step.present())
    old = step.agreements.keyring.active_key(Purpose.ANNEX)
    at = step.agreements.clock.now() + timedelta(days=1)
    what = {"url": database_url, "path": str(keyring_file), "at": at.isoformat(), "purpose": "annex"}

    assert await run(what, failpoint) == -signal.SIGKILL
    killed = step.agreements.keyring.active_key(Purpose.ANNEX)
    assert (killed.id == old.id) is failpoint.startswith(keys.ROTATE.name)
    if failpoint != "agreements.wrap_anew:after_commit":  # done then: called again, it would be another exchange
        assert await run(what) == 0

    (row,) = await key_rows(step.database)
    found = step.agreements.keyring.all_keys()
    assert [key.id for key in found if key.purpose is Purpose.ANNEX] == [old.id, row.content["key"]["id"]]
    async with step.database.begin(for_staff()) as session:
        (annex,) = list(await session.scalars(sa.select(Annex)))
        assert (await ledger.check_ledger(session)).broken_at is None
    assert annex.wrapped_key is not None
    assert annex.wrapped_key.startswith(f"{row.content['key']['id']}\0".encode())
