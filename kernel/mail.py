"""Mail: a row and a job in the business transaction, sent after it by SMTP, or written to a folder without one."""

import asyncio
import smtplib
import ssl
import uuid
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.policy import default as EMAIL  # noqa: N812 - a constant of theirs
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from kernel.clock import Clock
from kernel.db import Base, Database, for_staff
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue

log = structlog.get_logger(__name__)
SEND_TASK: Final = "send_mail"
SEND: Final = Failpoint("mail.send", call=True)
RECORD: Final = Failpoint("mail.record")
SMTP_TIMEOUT_SECONDS: Final = 20
SMTP_DONE: Final = 250
SMTP_READER_KNOWN: Final = frozenset({250, 251})
SECRET_KINDS: Final = frozenset({"email_code", "password_reset", "invitation", "package_to_sign", "package_executed"})
ERASED_DOMAIN: Final = "@erased.invalid"
ERASED_RECIPIENT: Final = f"erased{ERASED_DOMAIN}"
"""Stands where an address was erased; nothing is ever sent there."""
NOT_SENT: Final = "not sent: the address was erased"
HEADER_LONGEST: Final = 998
"""RFC 5322's limit. Folded at less, the address in a header would be encoded, which no mail program reads as one."""
BLANKED: Final = "(The text held a code or link for its reader and was removed once sent.)"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to one reader. *kind* names its template, for the desk and for tests."""

    to: str
    subject: str
    text: str
    kind: str
    html: str | None = None
    headers: Mapping[str, str] | None = None
    """Besides the usual ones, such as `List-Unsubscribe`."""


class OutgoingMail(Base, kw_only=True):
    """A letter on its way or sent; *answer* is what the mail server said."""

    __tablename__ = "outgoing_mail"
    __table_args__ = (sa.Index(None, "recipient"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    kind: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str | None] = mapped_column(default=None)
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), default=None)
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    answer: Mapped[str | None] = mapped_column(default=None)


async def queue_mail(session: AsyncSession, mail: Mail, *, now: datetime) -> uuid.UUID:
    """Write *mail* to the outbox in the caller's transaction and return its id."""
    row = OutgoingMail(
        kind=mail.kind,
        recipient=mail.to,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        headers=None if mail.headers is None else dict(mail.headers),
        queued_at=now,
    )
    session.add(row)
    await session.flush()
    await enqueue(session, SEND_TASK, {"mail_id": str(row.id)}, lock=f"mail:{row.id}")
    return row.id


class Transport(Protocol):
    """Takes a letter to its reader and returns the receiver's answer."""

    def deliver(self, message: EmailMessage) -> str: ...

    def forget(self, mail_id: uuid.UUID) -> None:
        """Delete what this installation itself keeps of a letter besides its row."""


class FolderTransport:
    """Writes each letter as a file; the demo's and the tests' post office."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, message: EmailMessage) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{str(message['Message-ID']).strip('<>').partition('@')[0]}.eml"
        temporary = self._folder / f".{name}"
        temporary.write_bytes(message.as_bytes())
        temporary.replace(self._folder / name)
        return f"written to {name}"

    def forget(self, mail_id: uuid.UUID) -> None:
        (self._folder / f"{mail_id}.eml").unlink(missing_ok=True)


class SmtpTransport:
    """Hands each letter to the server of an `smtp://` (STARTTLS) or `smtps://` address."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def deliver(self, message: EmailMessage) -> str:
        host, tls = self._url.hostname or "localhost", ssl.create_default_context()
        if self._url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, self._url.port or 465, timeout=SMTP_TIMEOUT_SECONDS, context=tls
            )
        else:
            server = smtplib.SMTP(host, self._url.port or 587, timeout=SMTP_TIMEOUT_SECONDS)
        with server:
            if self._url.scheme != "smtps" and server.has_extn("starttls"):
                server.starttls(context=tls)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            return _handed_over(server, message)

    def forget(self, mail_id: uuid.UUID) -> None:
        """It lies with the mail server, whose own retention holds."""


def _handed_over(server: smtplib.SMTP, message: EmailMessage) -> str:
    """What the server said to the letter as a whole; `send_message` keeps that to itself.

    :raises smtplib.SMTPException: when it refused sender, reader or letter
    """
    server.ehlo_or_helo_if_needed()
    sender, reader = (parseaddr(str(message[name]))[1] for name in ("From", "To"))
    code, reply = server.mail(sender)
    if code != SMTP_DONE:
        raise smtplib.SMTPSenderRefused(code, reply, sender)
    code, reply = server.rcpt(reader)
    if code not in SMTP_READER_KNOWN:
        raise smtplib.SMTPRecipientsRefused({reader: (code, reply)})
    code, reply = server.data(message.as_bytes(policy=SMTP.clone(max_line_length=HEADER_LONGEST)))
    if code != SMTP_DONE:
        raise smtplib.SMTPDataError(code, reply)
    return f"{code} {reply.decode(errors='replace')}"


class PostOffice:
    """Sends what lies in the outbox."""

    def __init__(self, db: Database, clock: Clock, transport: Transport, *, sender: str) -> None:
        self._db = db
        self._clock = clock
        self._transport = transport
        self._sender = sender

    def forget(self, mail_id: uuid.UUID) -> None:
        """Delete a letter's copy outside the database, if there is one."""
        self._transport.forget(mail_id)

    async def send(self, mail_id: str) -> None:
        """Send one letter. Sent twice only if the process dies between the server's answer and our commit."""
        async with self._db.begin(for_staff()) as session:
            row = await session.get(OutgoingMail, uuid.UUID(mail_id))
        if row is None or row.sent_at is not None:
            return
        answer = NOT_SENT
        if row.recipient and not row.recipient.endswith(ERASED_DOMAIN):
            SEND.reach("before_call")
            answer = await asyncio.to_thread(self._transport.deliver, self._message(row))
            SEND.reach("after_call")
        async with self._db.begin(for_staff(), RECORD) as session:
            sent = await session.get_one(OutgoingMail, row.id)
            sent.sent_at = self._clock.now()
            sent.answer = answer
            if sent.kind in SECRET_KINDS:
                sent.text, sent.html = BLANKED, None
        log.info("mail sent", kind=row.kind, mail=str(row.id))

    def _message(self, row: OutgoingMail) -> EmailMessage:
        message = EmailMessage(policy=EMAIL.clone(max_line_length=HEADER_LONGEST))
        message["From"] = self._sender
        message["To"] = row.recipient
        message["Subject"] = row.subject
        message["Date"] = format_datetime(row.queued_at)
        message["Message-ID"] = f"<{row.id}@{self._sender.partition('@')[2] or 'localhost'}>"
        message["X-Tarifa-Kind"] = row.kind
        for name, value in (row.headers or {}).items():
            message[name] = value
        message.set_content(row.text)
        if row.html is not None:
            message.add_alternative(row.html, subtype="html")
        return message
