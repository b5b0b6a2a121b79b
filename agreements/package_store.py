"""What a package's receipt is made of: its signatures and their rows of the ledger."""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from agreements import store
from agreements.package_model import Package, PackageSignature


async def find_package_of_order(session: AsyncSession, order_id: uuid.UUID) -> Package | None:
    return await session.scalar(
        sa.select(Package).options(selectinload(Package.parties)).where(Package.order_id == order_id)
    )


async def list_signatures(session: AsyncSession, package: Package) -> Sequence[PackageSignature]:
    """In the order in which they were given."""
    ids = [each.id for each in package.parties]
    query = sa.select(PackageSignature).where(PackageSignature.party_id.in_(ids))
    return (await session.scalars(query.order_by(PackageSignature.ledger_seq))).all()


async def leaves_of(session: AsyncSession, package: Package) -> list[dict[str, Any]]:
    """The ledger's rows of an executed package, `{"kind", "content", "openings"}`: each signature, then the execution.

    Openings that were erased since are left out.
    """
    seqs = [each.ledger_seq for each in await list_signatures(session, package)]
    leaves = []
    for seq in [*seqs, *([] if package.executed_seq is None else [package.executed_seq])]:
        entry = await store.find_entry(session, seq)
        assert entry is not None, "a signature has its leaf"
        openings = {
            each.field: {"value": each.value, "salt": each.salt} for each in await store.list_openings(session, seq)
        }
        leaves.append({"kind": entry.kind, "content": entry.content, "openings": openings})
    return leaves
