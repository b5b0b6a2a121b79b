"""A receipt is recorded with the act, comes under a signed head, and is sent once; killed anywhere, it still is."""

import asyncio
import json
import os
import signal
import sys
import uuid
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from agreements.model import Acceptance, Receipt
from agreements.receipt_post import CHECKPOINT, NOBODY, RECORD, SEND, ReceiptPost
from agreements.service import Agreements
from agreements.verify import exit_code, sha256, verify_bundle
from kernel.clock import FixedClock
from kernel.db import for_staff
from kernel.failpoints import VARIABLE, registered
from kernel.signing import Keyring, Purpose, complete
from tests.agreements.conftest import Step

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, json, sys
from datetime import datetime
from pathlib import Path
from agreements.receipt_post import ReceiptPost
from agreements.service import Agreements
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.mail import FolderTransport
from kernel.signing import Keyring

async def number_of(session, order_id):
    return "T-2026-000001"

async def main():
    what = json.load(sys.stdin)
    db, clock = Database.connect(what["url"]), FixedClock(datetime.fromisoformat(what["at"]))
    agreements = Agreements(clock, Keyring.read(Path(what["path"])), origin="shop.example/agreements")
    post = ReceiptPost(
        db, agreements, FolderTransport(Path(what["folder"])),
        sender="orders@shop.example", base_url="https://shop.example", number_of=number_of,
    )
    await post.send(what["acceptance"])
    await db.close()

asyncio.run(main())
"""


class Letters:
    """A mail server that keeps what it is handed."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def deliver(self, message: EmailMessage) -> str:
        self.taken.append(message.as_bytes(policy=SMTP))
        return "250 2.0.0 Ok: queued as 4F1"

    def forget(self, mail_id: uuid.UUID) -> None:
        """It is kept."""


async def number_of(_session: object, _order_id: object) -> str:
    return "T-2026-000001"


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def post(step: Step, letters: Letters) -> ReceiptPost:
    return ReceiptPost(
        step.database,
        step.agreements,
        letters,
        sender="orders@shop.example",
        base_url="https://shop.example",
        number_of=number_of,
    )


async def progress(step: Step, acceptance: Acceptance) -> Receipt:
    async with step.database.begin(for_staff()) as session:
        return await session.get_one(Receipt, acceptance.id)


async def test_a_receipt_is_recorded_then_checkpointed_then_sent(
    step: Step, post: ReceiptPost, letters: Letters, clock: FixedClock
) -> None:
    acceptance = await step.accept(await step.present())
    recorded = await progress(step, acceptance)
    assert (recorded.recorded_at, recorded.checkpoint_size, recorded.sent_at) == (acceptance.accepted_at, None, None)
    clock.advance(seconds=5)

    await post.send(str(acceptance.id))
    await post.send(str(acceptance.id))

    (letter,) = letters.taken
    sent = await progress(step, acceptance)
    assert (sent.checkpoint_size, sent.sent_at) == (1, clock.now())
    assert (sent.message_digest, sent.answer) == (sha256(letter), "250 2.0.0 Ok: queued as 4F1")
    message = message_from_bytes(letter, policy=default)
    assert isinstance(message, EmailMessage)
    assert message["Message-ID"] == sent.message_id == f"<{acceptance.id}@shop.example>"
    assert message["To"] == step.principal.email
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert sha256(files["receipt.pdf"]) == sent.pdf_digest
    key = step.agreements.keyring.active_key(Purpose.LEDGER).public_key
    assert exit_code(verify_bundle(files["bundle.zip"], key)) == 0


async def test_what_we_keep_of_a_letter_names_nobody(step: Step, post: ReceiptPost) -> None:
    acceptance = await step.accept(await step.present())
    await post.send(str(acceptance.id))

    async with step.database.begin(for_staff()) as session:
        row = str((await session.execute(sa.text("select * from acceptance_receipt"))).one())
    assert step.principal.email is not None
    assert step.principal.email not in row


async def test_a_signer_who_was_erased_is_sent_nothing(
    step: Step, post: ReceiptPost, letters: Letters, database_url: str
) -> None:
    acceptance = await step.accept(await step.present())
    with psycopg.connect(database_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        connection.execute("delete from acceptance_opening")

    await post.send(str(acceptance.id))

    assert letters.taken == []
    kept = await progress(step, acceptance)
    assert (kept.sent_at, kept.answer, kept.checkpoint_size) == (None, NOBODY, 1)


async def test_a_mail_server_that_refuses_leaves_the_receipt_to_be_sent_again(step: Step, letters: Letters) -> None:
    class Refusing(Letters):
        def deliver(self, message: EmailMessage) -> str:
            raise OSError(f"450 try {message['To']} again")

    acceptance = await step.accept(await step.present())
    options: dict[str, Any] = {"sender": "orders@shop.example", "base_url": "", "number_of": number_of}
    with pytest.raises(OSError, match="450"):
        await ReceiptPost(step.database, step.agreements, Refusing(), **options).send(str(acceptance.id))

    await ReceiptPost(step.database, step.agreements, letters, **options).send(str(acceptance.id))

    assert len(letters.taken) == 1


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
@pytest.mark.parametrize("failpoint", [*registered(CHECKPOINT.name), *registered(SEND.name), *registered(RECORD.name)])
async def test_a_receipt_whose_sender_was_killed_is_sent(
    step: Step, tmp_path: Path, database_url: str, clock: FixedClock, failpoint: str
) -> None:
    path = tmp_path / "keyring.json"
    complete(path, now=clock.now())
    step = step.but(agreements=Agreements(clock, Keyring.read(path), origin="shop.example/agreements"))
    acceptance = await step.accept(await step.present())
    what = {
        "url": database_url,
        "path": str(path),
        "at": clock.now().isoformat(),
        "folder": str(tmp_path / "mail"),
        "acceptance": str(acceptance.id),
    }

    assert await run(what, failpoint) == -signal.SIGKILL
    assert await run(what) == 0

    assert [letter.name for letter in (tmp_path / "mail").iterdir()] == [f"{acceptance.id}.eml"]
    kept = await progress(step, acceptance)
    assert kept.sent_at is not None
    assert kept.checkpoint_size == 1
