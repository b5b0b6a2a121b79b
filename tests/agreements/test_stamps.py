"""Stamps of checkpoints by somebody else, against OpenSSL; without them orders go on as they do."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from agreements import bundles
from agreements.checkpoints import SIGN, Checkpoints
from agreements.model import LedgerCheckpoint, LedgerStamp
from agreements.stamps import ASK, KEEP, TIMEOUT_SECONDS, WORTH_ASKING, Stamps, certificates
from agreements.verify import exit_code, read_zip, verify_bundle
from kernel.clock import FixedClock
from kernel.db import for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.ids import new_id
from kernel.settings import Settings, SettingsError
from kernel.signing import Purpose, complete
from tests.agreements.conftest import Step
from tests.agreements.stamping import Authority, make_certificates, require_openssl, running_authority
from tests.agreements.test_receipt import outcomes


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with running_authority(tmp_path) as running:
        yield running


def stamps_by(step: Step, authority: Authority, *, roots: Path | None = None) -> Stamps:
    clock = step.agreements.clock
    return Stamps(step.database, clock, url=authority.url, trusted=certificates(roots or authority.roots))


async def sign_heads(step: Step, number: int) -> list[int]:
    """The sizes of heads signed one after another."""
    agreements, sizes = step.agreements, []
    polling = Checkpoints(step.database, agreements.clock, agreements.keyring, origin=agreements.origin)
    for _ in range(number):
        each = step.but(checkout_id=new_id())
        await each.accept(await each.present())
        await polling.sign()
        async with step.database.begin(for_staff()) as session:
            sizes.append((await polling.latest(session)).size)
    return sizes


async def kept(step: Step) -> list[LedgerStamp]:
    async with step.database.begin(for_staff()) as session:
        return list(await session.scalars(sa.select(LedgerStamp).order_by(LedgerStamp.size)))


async def test_new_heads_are_stamped_once_and_the_bundle_carries_the_stamp(
    step: Step, authority: Authority, tmp_path: Path
) -> None:
    sizes = await sign_heads(step, 2)

    assert await stamps_by(step, authority).run() == 2
    assert await stamps_by(step, authority).run() == 0

    assert [stamp.size for stamp in await kept(step)] == sizes
    assert authority.asked == 2
    acceptance = await step.accept(await step.present())
    await sign_heads(step, 1)
    await stamps_by(step, authority).run()
    bundle = (
        await bundles.of_order(
            step.database, step.principal.db_scope(), step.agreements, acceptance.order_id, number=None
        )
    ).content
    key, roots = step.agreements.keyring.active_key(Purpose.LEDGER).public_key, authority.roots.read_bytes()
    checks = verify_bundle(bundle, key, stamp_root=roots)
    assert "stamp" in outcomes(checks, "passed")
    assert exit_code(checks) == 0
    assert "stamp" in outcomes(verify_bundle(bundle, key), "skipped")
    (tmp_path / "other").mkdir()
    make_certificates(tmp_path / "other", name="Another root")
    other = (tmp_path / "other" / "roots.pem").read_bytes()
    assert "stamp" in outcomes(verify_bundle(bundle, key, stamp_root=other), "failed")
    members = read_zip(bundle)
    (tmp_path / "checkpoint.txt").write_bytes(members["checkpoint.txt"])
    (tmp_path / "checkpoint.tsr").write_bytes(members["checkpoint.tsr"])
    assert openssl_verifies(tmp_path, authority.roots)


def openssl_verifies(folder: Path, roots: Path) -> bool:
    """Somebody else's program says the same."""
    command = [require_openssl(), "ts", "-verify", "-in", "checkpoint.tsr", "-data", "checkpoint.txt"]
    done = subprocess.run([*command, "-CAfile", str(roots)], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("mood", ["down", "nonsense"])
async def test_an_authority_that_gives_no_stamp_costs_a_stamp_and_no_order(
    step: Step, authority: Authority, mood: str
) -> None:
    await sign_heads(step, 1)
    authority.mood = mood

    assert await stamps_by(step, authority).run() == 0

    assert await kept(step) == []
    await step.accept(await step.present())
    authority.mood = "well"
    assert await stamps_by(step, authority).run() == 1


@pytest.mark.slow
async def test_a_slow_authority_is_waited_for_five_seconds_and_no_longer(step: Step, authority: Authority) -> None:
    await sign_heads(step, 1)
    authority.mood = "slow"
    started = time.monotonic()

    assert await stamps_by(step, authority).run() == 0

    assert TIMEOUT_SECONDS - 0.5 < time.monotonic() - started < TIMEOUT_SECONDS + 5


async def test_a_stamp_of_another_head_or_by_somebody_not_trusted_is_not_kept(
    step: Step, authority: Authority, tmp_path: Path
) -> None:
    await sign_heads(step, 1)
    (tmp_path / "other").mkdir()
    make_certificates(tmp_path / "other", name="Another root")
    assert await stamps_by(step, authority, roots=tmp_path / "other" / "roots.pem").run() == 0
    await stamps_by(step, authority).run()
    await sign_heads(step, 1)
    authority.mood = "late"

    assert await stamps_by(step, authority).run() == 0

    assert len(await kept(step)) == 1


async def test_without_a_setting_nobody_is_asked_and_old_heads_are_let_be(
    step: Step, authority: Authority, clock: FixedClock
) -> None:
    await sign_heads(step, 1)
    assert await Stamps(step.database, clock, url=None, trusted=()).run() == 0
    clock.advance(seconds=(WORTH_ASKING + timedelta(seconds=1)).total_seconds())

    assert await stamps_by(step, authority).run() == 0
    assert authority.asked == 0


def test_who_stamps_must_be_vouched_for_by_somebody() -> None:
    with pytest.raises(SettingsError, match="TIMESTAMP_CERTIFICATES"):
        Settings.from_environment({"TIMESTAMP_URL": "https://stamps.example/"})
    plain = Settings.from_environment({})
    assert (plain.timestamp_url, plain.timestamp_certificates) == (None, None)


PROGRAM = """
import asyncio, json, sys
from datetime import datetime
from pathlib import Path
from agreements.checkpoints import Checkpoints
from agreements.stamps import Stamps, certificates
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring

async def main():
    what = json.load(sys.stdin)
    db, clock = Database.connect(what["url"]), FixedClock(datetime.fromisoformat(what["at"]))
    keyring = Keyring.read(Path(what["keyring"]))
    await Checkpoints(db, clock, keyring, origin="shop.example/agreements").sign()
    await Stamps(db, clock, url=what["authority"], trusted=certificates(Path(what["roots"]))).run()
    await db.close()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", [*registered(SIGN.name), *registered(ASK.name), *registered(KEEP.name)])
async def test_a_head_whose_signer_or_stamper_was_killed_is_signed_and_stamped_once(
    step: Step, authority: Authority, tmp_path: Path, database_url: str, failpoint: str
) -> None:
    complete(tmp_path / "keyring.json", now=step.agreements.clock.now())
    acceptance = await step.accept(await step.present())
    what = {
        "url": database_url,
        "at": acceptance.accepted_at.isoformat(),
        "keyring": str(tmp_path / "keyring.json"),
        "authority": authority.url,
        "roots": str(authority.roots),
    }

    assert await run_program(what, failpoint) == -signal.SIGKILL
    assert await run_program(what) == 0

    (stamp,) = await kept(step)
    assert stamp.size == 1
    async with step.database.begin(for_staff()) as session:
        assert len(list(await session.scalars(sa.select(LedgerCheckpoint)))) == 1


async def run_program(what: dict[str, str], failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, VARIABLE: failpoint},
    )
    await process.communicate(json.dumps(what).encode())
    assert process.returncode is not None
    return process.returncode
