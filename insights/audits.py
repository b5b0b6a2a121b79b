"""Audits of prices: every run with what was asked, what differed, and the certificate that says so, signed."""

import uuid
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from kernel.canonical import canonical_json
from kernel.db import Base, Database, for_staff
from kernel.ids import new_id
from kernel.mail import Mail, queue_mail
from kernel.signing import Keyring

CERTIFICATE_TYPE: Final = "tarifa.price-audit.v1"
DIFFERENCES_KEPT: Final = 100


class PriceAudit(Base, kw_only=True):
    """One run. Differences name companies: they are for staff. The certificate counts them and names nobody."""

    __tablename__ = "price_audit"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime]
    questions: Mapped[int]
    difference_count: Mapped[int]
    differences: Mapped[list[Any]] = mapped_column(JSONB)
    """The first of them, each with both answers and both traces."""
    certificate: Mapped[str]
    """Canonical JSON, over which *signature* stands."""
    signature: Mapped[bytes]
    key_id: Mapped[str]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What *channel* said of a question, and what the price book says: both as they came, traces included."""

    channel: str
    question: dict[str, Any]
    said: Any
    expected: Any


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. *answers*: how many each channel gave; *unasked*: questions that moved while being asked."""

    began_at: datetime
    ended_at: datetime
    seed: int
    root: str
    publication: int
    questions: int
    unasked: int
    answers: dict[str, int]
    differences: tuple[Difference, ...]


async def keep(db: Database, keyring: Keyring, findings: Findings, *, issuer: str, alarm: str) -> PriceAudit:
    """Sign and keep a run; with differences, write to *alarm*, an e-mail address of the house, in the same transaction.

    *issuer* is the house's address on the web, where the key stands.
    """
    certificate = canonical_json(
        {
            "type": CERTIFICATE_TYPE,
            "issuer": issuer,
            "began_at": findings.began_at,
            "ended_at": findings.ended_at,
            "root": findings.root,
            "publication": findings.publication,
            "seed": findings.seed,
            "questions": findings.questions,
            "unasked": findings.unasked,
            "answers": findings.answers,
            "differences": len(findings.differences),
        }
    )
    signed = keyring.sign("publication", certificate)
    audit = PriceAudit(
        id=new_id(),
        began_at=findings.began_at,
        ended_at=findings.ended_at,
        questions=findings.questions,
        difference_count=len(findings.differences),
        differences=[msgspec.to_builtins(each) for each in findings.differences[:DIFFERENCES_KEPT]],
        certificate=certificate.decode(),
        signature=signed.signature,
        key_id=signed.key_id,
    )
    async with db.begin(for_staff()) as session:
        session.add(audit)
        if findings.differences:
            await queue_mail(session, _letter(findings, alarm, issuer), now=findings.ended_at)
    return audit


async def latest(db: Database, *, limit: int = 20) -> list[PriceAudit]:
    """The last runs, newest first."""
    async with db.begin(for_staff()) as session:
        found = sa.select(PriceAudit).order_by(PriceAudit.began_at.desc(), PriceAudit.id.desc()).limit(limit)
        return list(await session.scalars(found))


def _letter(findings: Findings, to: str, issuer: str) -> Mail:
    channels = ", ".join(sorted({each.channel for each in findings.differences}))
    count = len(findings.differences)
    return Mail(
        to=to,
        subject=f"Alarm: prices differ between channels ({count})",
        kind="price_audit_alarm",
        text=(
            f"The price audit of {findings.began_at:%Y-%m-%d %H:%M} UTC found {count} "
            f"{'difference' if count == 1 else 'differences'}, in: {channels}.\n\n"
            f"Both answers and both traces of each: {issuer}/desk/price-audits\n"
        ),
    )
