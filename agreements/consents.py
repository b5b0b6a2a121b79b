"""Consent, apart from every contract: seen, withdrawn in one click at the account or from a letter, and used to write.

A letter that rests on consent carries a link that needs no log-in and no form of ours (RFC 8058). The link is signed,
not stored: whoever holds it can withdraw that person's consent to that purpose, and nothing else.
"""

import base64
import hmac
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Person
from accounts.principal import Principal
from agreements.model import Consent
from agreements.wording import MARKETING
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import NotFound
from kernel.mail import Mail, queue_mail
from kernel.signing import Keyring

LABEL: Final = "consent withdrawal link"
_FOOT: Final = {
    "en": "You get this because you agreed to it. To stop it, open {link} and press the button.",
    "es": "Recibe este mensaje porque dio su consentimiento. Para dejar de recibirlo, abra {link} y pulse el botón.",
}


class LinkUnknown(NotFound):
    problem = "consent-link-unknown"
    title = "This link is none of ours"


class Consents:
    def __init__(self, db: Database, clock: Clock, keyring: Keyring, *, base_url: str) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._base_url = base_url

    async def list_own(self, principal: Principal) -> Sequence[Consent]:
        """All that this person ever gave, the newest first."""
        async with self._db.reading(principal.db_scope()) as session:
            query = sa.select(Consent).where(Consent.person_id == principal.person_id)
            return (await session.scalars(query.order_by(Consent.given_at.desc(), Consent.id))).all()

    async def withdraw(self, principal: Principal, purpose: str) -> int:
        """Withdraw one's own consent; how many were standing."""
        assert principal.person_id is not None, "the role table lets in members only"
        async with self._db.begin(principal.db_scope()) as session:
            return await self._withdraw(session, principal.person_id, purpose)

    async def withdraw_by_link(self, token: str) -> str:
        """Withdraw what the link says; again it does nothing more. The purpose.

        :raises LinkUnknown: when we did not make it
        """
        person_id, purpose = self.read_link(token)
        async with self._db.begin(for_staff()) as session:
            await self._withdraw(session, person_id, purpose)
        return purpose

    def link(self, person_id: uuid.UUID, purpose: str) -> str:
        """The address in a letter: for people a page with one button, for mail programs the target of one POST."""
        subject = person_id.bytes + purpose.encode()
        token = base64.urlsafe_b64encode(self._mac(subject) + subject).decode().rstrip("=")
        return f"{self._base_url}/unsubscribe/{token}"

    def read_link(self, token: str) -> tuple[uuid.UUID, str]:
        """Whose consent to what.

        :raises LinkUnknown: when we did not make it
        """
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        mac, subject = raw[:16], raw[16:]
        if len(subject) <= 16 or not hmac.compare_digest(mac, self._mac(subject)):
            raise LinkUnknown("This link is incomplete. Copy it whole from the letter.")
        return uuid.UUID(bytes=subject[:16]), subject[16:].decode()

    async def write_to_all(
        self, subjects: Mapping[str, str], texts: Mapping[str, str], *, purpose: str = MARKETING
    ) -> int:
        """Queue a letter, by language, to everybody whose consent to *purpose* stands; how many."""
        now = self._clock.now()
        async with self._db.begin(for_staff()) as session:
            standing = sa.select(Consent.person_id).where(Consent.purpose == purpose, Consent.withdrawn_at.is_(None))
            readers = await session.scalars(
                sa.select(Person).where(Person.id.in_(standing), Person.erased_at.is_(None)).order_by(Person.id)
            )
            written = [self._letter(person, subjects, texts, purpose) for person in readers]
            for letter in written:
                await queue_mail(session, letter, now=now)
        return len(written)

    def _letter(self, person: Person, subjects: Mapping[str, str], texts: Mapping[str, str], purpose: str) -> Mail:
        locale = person.locale if person.locale in texts and person.locale in _FOOT else "en"
        link = self.link(person.id, purpose)
        return Mail(
            to=person.email,
            subject=subjects[locale],
            text=f"{texts[locale].rstrip()}\n\n-- \n{_FOOT[locale].format(link=link)}\n",
            kind=purpose,
            headers={"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        )

    async def _withdraw(self, session: AsyncSession, person_id: uuid.UUID, purpose: str) -> int:
        standing = await session.scalars(
            sa.update(Consent)
            .where(Consent.person_id == person_id, Consent.purpose == purpose, Consent.withdrawn_at.is_(None))
            .values(withdrawn_at=self._clock.now())
            .returning(Consent.id)
        )
        return len(standing.all())

    def _mac(self, subject: bytes) -> bytes:
        return self._keyring.hmac(LABEL, subject)[:16]
