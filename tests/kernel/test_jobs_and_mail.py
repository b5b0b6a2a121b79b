"""Jobs and mail live and die with the transaction that asked for them."""

from pathlib import Path

import pytest
from sqlalchemy import text

from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.jobs import Jobs, enqueue
from kernel.mail import SEND_TASK, FolderTransport, Mail, PostOffice, queue_mail

LETTER = Mail(to="buyer@acme.example", subject="Hello", text="Body", kind="test")


async def test_a_job_runs_once_its_transaction_committed(database: Database, database_url: str) -> None:
    done: list[int] = []

    async def handler(number: int) -> None:
        done.append(number)

    jobs = Jobs(database_url)
    jobs.register("count", handler)

    async with database.begin(for_staff()) as session:
        await enqueue(session, "count", {"number": 7})
    await jobs.run_pending()

    assert done == [7]


async def test_a_job_of_a_rolled_back_transaction_never_runs(database: Database, database_url: str) -> None:
    done: list[int] = []

    async def handler(number: int) -> None:
        done.append(number)

    jobs = Jobs(database_url)
    jobs.register("count", handler)

    with pytest.raises(RuntimeError, match="no"):
        async with database.begin(for_staff()) as session:
            await enqueue(session, "count", {"number": 7})
            raise RuntimeError("no")
    await jobs.run_pending()

    assert done == []


async def test_mail_is_written_to_the_folder_and_marked_sent(
    database: Database, database_url: str, clock: FixedClock, tmp_path: Path
) -> None:
    office = PostOffice(database, clock, FolderTransport(tmp_path), sender="shop@meridian.example")
    jobs = Jobs(database_url)
    jobs.register(SEND_TASK, office.send)

    async with database.begin(for_staff()) as session:
        await queue_mail(session, LETTER, now=clock.now())
    await jobs.run_pending()

    (letter,) = tmp_path.glob("*.eml")
    assert "To: buyer@acme.example" in letter.read_text()
    async with database.begin(for_staff()) as session:
        assert await session.scalar(text("select count(*) from outgoing_mail where sent_at is not null")) == 1


async def test_sending_a_sent_letter_again_does_nothing(database: Database, clock: FixedClock, tmp_path: Path) -> None:
    office = PostOffice(database, clock, FolderTransport(tmp_path), sender="shop@meridian.example")
    async with database.begin(for_staff()) as session:
        mail_id = await queue_mail(session, LETTER, now=clock.now())
    await office.send(str(mail_id))
    (letter,) = tmp_path.glob("*.eml")
    letter.unlink()

    await office.send(str(mail_id))

    assert not list(tmp_path.glob("*.eml"))


async def test_a_letter_with_a_secret_leaves_none_behind_once_sent(
    database: Database, clock: FixedClock, tmp_path: Path
) -> None:
    office = PostOffice(database, clock, FolderTransport(tmp_path), sender="shop@meridian.example")
    letter = Mail(to="buyer@acme.example", subject="Code", text="Your code is 123 456", kind="email_code")
    async with database.begin(for_staff()) as session:
        mail_id = await queue_mail(session, letter, now=clock.now())

    await office.send(str(mail_id))

    async with database.begin(for_staff()) as session:
        assert "123 456" not in str(await session.scalar(text("select text from outgoing_mail")))
    assert "123 456" in next(iter(tmp_path.glob("*.eml"))).read_text()
