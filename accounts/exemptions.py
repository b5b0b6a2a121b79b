"""Exemption certificates: a company names one, finance looks at it, and from then to its last day it holds.

What holds is written on the company's row, as segments are, so that every channel prices with it at once; whether it
has expired is decided by the instant a price is asked for.
"""

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec
import sqlalchemy as sa

from accounts import store
from accounts.exemption_model import CertificateState, ExemptionCertificate
from accounts.model import Company
from accounts.principal import Principal
from accounts.tax import check_country
from accounts.webhooks.outbox import QUEUE, TELL_PRICES_TASK
from kernel.canonical import digest
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue

NUMBER_LONGEST: Final = 60
LISTED_MOST: Final = 200

SUBMIT: Final = Failpoint("accounts.exemption.submit")
REVIEW: Final = Failpoint("accounts.exemption.review")


class CertificateUnusable(Refused):
    problem = "certificate-unusable"
    title = "This certificate cannot be taken as it is"


class CertificateUnknown(NotFound):
    problem = "certificate-unknown"
    title = "There is no such certificate"


class CertificateReviewed(Conflict):
    problem = "certificate-reviewed"
    title = "Somebody has looked at this certificate already"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    certificate: ExemptionCertificate
    company: Company


class Exemptions:
    """Callers have checked that a member of the company, or finance, asks."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def of_company(self, principal: Principal) -> Sequence[ExemptionCertificate]:
        """The company's own, newest first."""
        query = sa.select(ExemptionCertificate).where(ExemptionCertificate.company_id == principal.company_id)
        async with self.db.reading(principal.db_scope()) as session:
            return (await session.scalars(query.order_by(ExemptionCertificate.submitted_at.desc()))).all()

    async def submit(
        self, principal: Principal, *, country: str, number: str, authority: str, expires_on: date
    ) -> ExemptionCertificate:
        """Name a certificate; it holds once finance has accepted it.

        :raises accounts.tax.UnknownCountry: when *country* is none
        :raises CertificateUnusable: when it has no number, or expired before today
        """
        now = self.clock.now()
        said = {
            "country": check_country(country),
            "number": " ".join(number.split()),
            "authority": " ".join(authority.split()),
            "expires_on": expires_on.isoformat(),
        }
        texts = said["number"], said["authority"]
        if not all(0 < len(text) <= NUMBER_LONGEST and text.isprintable() for text in texts):
            raise CertificateUnusable(f"Name its number and who issued it, each in at most {NUMBER_LONGEST} letters.")
        if expires_on < now.date():
            raise CertificateUnusable(f"It expired on {expires_on.isoformat()}: ask for a new one first.")
        assert principal.company_id is not None, "a member acts for a company"
        assert principal.person_id is not None, "a member is somebody"
        certificate = ExemptionCertificate(
            id=new_id(),
            company_id=principal.company_id,
            country=said["country"],
            number=said["number"],
            authority=said["authority"],
            expires_on=expires_on,
            digest=digest(said),
            submitted_by=principal.person_id,
            submitted_at=now,
        )
        async with self.db.begin(principal.db_scope(), SUBMIT) as session:
            session.add(certificate)
        return certificate

    async def list_to_review(self) -> list[Listed]:
        """Those that nobody has looked at, oldest first."""
        return await self._list(ExemptionCertificate.state == CertificateState.PENDING)

    async def list_reviewed(self) -> list[Listed]:
        """The last ones, newest first."""
        return await self._list(ExemptionCertificate.state != CertificateState.PENDING)

    async def review(
        self, principal: Principal, certificate_id: uuid.UUID, *, state: CertificateState, note: str
    ) -> ExemptionCertificate:
        """Accept or refuse a pending certificate, or withdraw an accepted one.

        :raises CertificateUnknown: when there is none of this id
        :raises CertificateReviewed: when it is not in a state from which that is done
        """
        wanted = CertificateState.ACCEPTED if state is CertificateState.WITHDRAWN else CertificateState.PENDING
        async with self.db.begin(for_staff(), REVIEW) as session:
            found = await session.get(ExemptionCertificate, certificate_id, with_for_update=True)
            if found is None:
                raise CertificateUnknown("There is no such certificate.")
            if found.state is not wanted or state is CertificateState.PENDING:
                raise CertificateReviewed(f"This certificate is {found.state.value} already.", state=found.state.value)
            company = await store.lock_company(session, found.company_id)
            assert company is not None, "companies are never deleted"
            found.state, found.review_note = state, note
            found.reviewed_by, found.reviewed_at = principal.person_id, self.clock.now()
            kept = [each for each in company.exemptions if each["id"] != str(found.id)]
            if state is CertificateState.ACCEPTED:
                kept.append(msgspec.to_builtins(found.exemption()))
            company.exemptions = kept
            # the trigger on the company's row tells every worker; its partner programs are told from here
            await enqueue(session, TELL_PRICES_TASK, {}, queue=QUEUE)
        return found

    async def _list(self, which: sa.ColumnElement[bool]) -> list[Listed]:
        query = sa.select(ExemptionCertificate, Company).join(Company, Company.id == ExemptionCertificate.company_id)
        query = query.where(which).order_by(ExemptionCertificate.submitted_at.desc()).limit(LISTED_MOST)
        async with self.db.reading(for_staff()) as session:
            return [Listed(certificate=row[0], company=row[1]) for row in await session.execute(query)]
