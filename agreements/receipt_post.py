"""A receipt on its way: recorded with the act, then under a signed head, then sent to its signer.

The letter is built when it is sent and kept nowhere: its Message-ID, its digest and the mail server's reply are.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import bundles, ledger, store
from agreements.bundles import Bundle
from agreements.model import Acceptance, Receipt
from agreements.service import SEND_RECEIPT, Agreements
from agreements.verify import read_zip, sha256
from kernel.db import Database, for_staff
from kernel.failpoints import Failpoint
from kernel.jobs import Handler
from kernel.mail import Transport

log = structlog.get_logger(__name__)
CHECKPOINT: Final = Failpoint("agreements.receipt.checkpoint")
SEND: Final = Failpoint("agreements.receipt.send", call=True)
RECORD: Final = Failpoint("agreements.receipt.record")
NOBODY: Final = "not sent: the signer's address was erased"

_SUBJECTS: Final = {
    "en": "Order {number}: receipt of what you accepted",
    "es": "Pedido {number}: justificante de lo que aceptó",
}
_TEXTS: Final = {
    "en": "This is the receipt of what you accepted with order {number}: the agreements, the order, and when.\n\n"
    "receipt.pdf is for reading and carries our electronic seal. bundle.zip is the evidence: it can be verified "
    "offline and without us, by the program at {base_url}/verify.py with our public keys from "
    "{base_url}/.well-known/tarifa-keys.json. Keep both.\n\n"
    "The receipt says what it proves and what it does not. On our pages: {base_url}/orders/{number}/receipt\n",
    "es": "Este es el justificante de lo que aceptó con el pedido {number}: los acuerdos, el pedido y cuándo.\n\n"
    "receipt.pdf es para leer y lleva nuestro sello electrónico. bundle.zip es la prueba: se puede verificar sin "
    "conexión y sin nosotros, con el programa de {base_url}/verify.py y nuestras claves públicas de "
    "{base_url}/.well-known/tarifa-keys.json. Guarde ambos.\n\n"
    "El justificante dice lo que demuestra y lo que no. En nuestras páginas: {base_url}/orders/{number}/receipt\n",
}


class ReceiptPost:
    """*number_of* tells an order's number, which agreements do not know."""

    def __init__(
        self,
        db: Database,
        agreements: Agreements,
        transport: Transport,
        *,
        sender: str,
        base_url: str,
        number_of: Callable[[AsyncSession, uuid.UUID], Awaitable[str | None]],
    ) -> None:
        self._db = db
        self._agreements = agreements
        self._transport = transport
        self._sender = sender
        self._base_url = base_url
        self._number_of = number_of

    def job_handlers(self) -> dict[str, Handler]:
        return {SEND_RECEIPT: self.send}

    async def progress(self, session: AsyncSession, order_id: uuid.UUID) -> Receipt | None:
        """How far the receipt of an order has come; None for one from before receipts were sent."""
        return await store.find_receipt(session, order_id)

    async def send(self, acceptance_id: str) -> None:
        """Bring one receipt as far as it goes. Sent twice only if the process dies between the server's reply and our
        commit; both letters have one Message-ID.
        """
        found = await self._checkpointed(uuid.UUID(acceptance_id))
        if found is None:
            return
        acceptance, number = found
        bundle = await bundles.of_order(self._db, for_staff(), self._agreements, acceptance.order_id, number=number)
        async with self._db.reading(for_staff()) as session:
            openings = {each.field: each.value for each in await store.list_openings(session, acceptance.ledger_seq)}
            presentation = await store.find_presentation(session, acceptance.presentation_id)
        reader = openings.get("actor_email")
        if reader is None or presentation is None:
            await self._record(acceptance, {"answer": NOBODY})
            return
        message = self._message(acceptance, bundle, reader=reader, number=number, locale=presentation.locale)
        SEND.reach("before_call")
        answer = await asyncio.to_thread(self._transport.deliver, message)
        SEND.reach("after_call")
        await self._record(
            acceptance,
            {
                "message_id": str(message["Message-ID"]),
                "message_digest": sha256(message.as_bytes(policy=SMTP)),
                "pdf_digest": sha256(bundle.pdf),
                "sent_at": self._agreements.clock.now(),
                "answer": answer,
            },
        )
        log.info("receipt sent", acceptance=acceptance_id)

    async def _checkpointed(self, acceptance_id: uuid.UUID) -> tuple[Acceptance, str] | None:
        """See that a signed head covers the row; None when there is nothing left to send."""
        agreements = self._agreements
        async with self._db.begin(for_staff(), CHECKPOINT) as session:
            receipt = await store.lock_receipt(session, acceptance_id)
            if receipt is None or receipt.sent_at is not None:
                return None
            acceptance = await session.get_one(Acceptance, acceptance_id)
            if receipt.checkpoint_size is None:
                now = agreements.clock.now()
                head = await ledger.checkpoint_covering(
                    session, acceptance.ledger_seq, keyring=agreements.keyring, origin=agreements.origin, now=now
                )
                receipt.checkpoint_size, receipt.checkpointed_at = head.size, now
            return acceptance, await self._number_of(session, acceptance.order_id) or str(acceptance.order_id)

    async def _record(self, acceptance: Acceptance, values: Mapping[str, Any]) -> None:
        async with self._db.begin(for_staff(), RECORD) as session:
            receipt = await session.get_one(Receipt, acceptance.id)
            for name, value in values.items():
                setattr(receipt, name, value)

    def _message(
        self, acceptance: Acceptance, bundle: Bundle, *, reader: str, number: str, locale: str
    ) -> EmailMessage:
        language = "es" if locale.startswith("es") else "en"
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = reader
        message["Subject"] = _SUBJECTS[language].format(number=number)
        message["Date"] = format_datetime(acceptance.accepted_at)
        message["Message-ID"] = f"<{acceptance.id}@{self._sender.partition('@')[2] or 'localhost'}>"
        message["X-Tarifa-Kind"] = "receipt"
        message.set_content(_TEXTS[language].format(number=number, base_url=self._base_url))
        receipt = read_zip(bundle.content)["receipt.json"]
        for content, kind, name in (
            (bundle.pdf, "pdf", "receipt.pdf"),
            (receipt, "json", "receipt.json"),
            (bundle.content, "zip", "bundle.zip"),
        ):
            message.add_attachment(content, maintype="application", subtype=kind, filename=name)
        return message
