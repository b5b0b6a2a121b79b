"""Every query of paying later, one function a question. `lock_` holds the row until the transaction ends."""

import uuid
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from checkout.terms_model import CreditChange, CreditTerms

_EXPOSURE: Final = sa.text("SELECT tarifa_open_exposure(:company_id, :currency)")


# --- Terms and credit ---


async def find_terms(session: AsyncSession, company_id: uuid.UUID) -> CreditTerms | None:
    """Withdrawn ones too."""
    return await session.get(CreditTerms, company_id, populate_existing=True)


async def lock_terms(session: AsyncSession, company_id: uuid.UUID) -> CreditTerms | None:
    """Orders of one company on terms queue behind this, so that each sees what the others claim."""
    return await session.get(CreditTerms, company_id, with_for_update=True, populate_existing=True)


async def open_exposure(session: AsyncSession, company_id: uuid.UUID, currency: str) -> int:
    """What the company owes or will owe on terms, in minor units: see migration 29."""
    return int(await session.scalar(_EXPOSURE, {"company_id": company_id, "currency": currency}) or 0)


async def list_terms(session: AsyncSession) -> list[tuple[CreditTerms, Company, int]]:
    """Every company that has or had terms, by code, with what is open."""
    exposure = sa.func.tarifa_open_exposure(CreditTerms.company_id, CreditTerms.currency)
    query = sa.select(CreditTerms, Company, exposure).join(Company, Company.id == CreditTerms.company_id)
    return [(row[0], row[1], int(row[2])) for row in await session.execute(query.order_by(Company.code))]


async def list_credit_changes(session: AsyncSession, company_id: uuid.UUID, *, limit: int) -> Sequence[CreditChange]:
    """Newest first."""
    query = sa.select(CreditChange).where(CreditChange.company_id == company_id)
    query = query.order_by(CreditChange.changed_at.desc(), CreditChange.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def is_open_in_other_currency(session: AsyncSession, company_id: uuid.UUID, currency: str) -> bool:
    """Whether the company owes on terms in another currency than *currency*."""
    terms = await find_terms(session, company_id)
    if terms is None or terms.currency == currency:
        return False
    return await open_exposure(session, company_id, terms.currency) != 0
