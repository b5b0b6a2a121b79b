"""Asking VIES, the tax offices' own service, whether a VAT number exists; each answer is kept as it came.

Only an installation that has chosen it asks. A number that VIES does not know counts as none from then on; one that it
could not be asked about counts by its form, as before, and the page says so.
"""

import json
import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import httpx
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Mapped, mapped_column

from accounts import store
from accounts.model import TaxIdCheck
from accounts.principal import Principal
from kernel.clock import Clock
from kernel.db import Base, Database, for_accounts, text_enum
from kernel.errors import Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id

SECONDS: Final = 5.0
ANSWER_KEPT: Final = 4096

ASK: Final = Failpoint("accounts.vies.ask", call=True)
ANSWER: Final = Failpoint("accounts.vies.answer")

log = structlog.get_logger(__name__)


class VatOutcome(StrEnum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNANSWERED = "unanswered"


class NothingToAsk(Refused):
    problem = "vat-number-not-asked"
    title = "There is no VAT number to ask about"


class VatNumberCheck(Base, kw_only=True):
    """One question to VIES and its answer. Never changed."""

    __tablename__ = "vat_number_check"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    number: Mapped[str]
    outcome: Mapped[VatOutcome] = mapped_column(text_enum(VatOutcome))
    consultation: Mapped[str]
    """VIES's own number of the question, which proves it; empty where it gave none."""
    answer: Mapped[str]
    asked_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    asked_at: Mapped[datetime]


class Vies:
    """*url* None: the house does not ask."""

    def __init__(self, db: Database, clock: Clock, *, url: str | None) -> None:
        self.db = db
        self.clock = clock
        self.url = url

    async def last(self, principal: Principal) -> VatNumberCheck | None:
        """The last answer about the number that the company has now."""
        assert principal.company is not None, "a member acts for a company"
        query = sa.select(VatNumberCheck).where(
            VatNumberCheck.company_id == principal.company.id, VatNumberCheck.number == (principal.company.tax_id or "")
        )
        async with self.db.reading(principal.db_scope()) as session:
            return await session.scalar(query.order_by(VatNumberCheck.asked_at.desc()).limit(1))

    async def ask(self, principal: Principal, *, requester: str) -> VatNumberCheck:
        """Ask about the company's number in the name of *requester*, the house's own; keep what is answered.

        :raises NothingToAsk: when the house does not ask, or the company has no EU VAT number
        """
        company = principal.company
        assert company is not None, "a member acts for a company"
        number = company.tax_id
        if self.url is None or number is None or not number[:2].isalpha():
            raise NothingToAsk("There is no VAT number that we ask the tax office about.")
        outcome, consultation, answer = await self._asked(number, requester)
        check = VatNumberCheck(
            id=new_id(),
            company_id=company.id,
            number=number,
            outcome=outcome,
            consultation=consultation,
            answer=answer[:ANSWER_KEPT].replace("\x00", "\ufffd"),
            asked_by=principal.person_id,
            asked_at=self.clock.now(),
        )
        async with self.db.begin(for_accounts(), ANSWER) as session:
            session.add(check)
            locked = await store.lock_company(session, company.id)
            if locked is not None and locked.tax_id == number and outcome is not VatOutcome.UNANSWERED:
                locked.tax_id_check = TaxIdCheck(outcome.value)
        return check

    async def _asked(self, number: str, requester: str) -> tuple[VatOutcome, str, str]:
        asked: dict[str, Any] = {"countryCode": number[:2], "vatNumber": number[2:]}
        if requester:
            asked |= {"requesterMemberStateCode": requester[:2], "requesterNumber": requester[2:]}
        ASK.reach("before_call")
        try:
            async with httpx.AsyncClient(timeout=SECONDS) as client:
                got = await client.post(f"{self.url}/check-vat-number", json=asked)
            said = got.json() if got.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            log.warning("vies does not answer", error=type(error).__name__)
            return VatOutcome.UNANSWERED, "", type(error).__name__
        finally:
            ASK.reach("after_call")
        if not isinstance(said, dict) or not isinstance(said.get("valid"), bool):
            return VatOutcome.UNANSWERED, "", got.text
        outcome = VatOutcome.CONFIRMED if said["valid"] else VatOutcome.REFUTED
        return outcome, str(said.get("requestIdentifier") or ""), json.dumps(said, sort_keys=True)
