"""What an order rests on: the one act that made it, by its kind, and its row of the ledger."""

import uuid
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.legal_model import FrameworkAgreement, FrameworkOrder
from agreements.model import Acceptance, Presentation
from agreements.package_model import Package


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """*digest*: of what was shown and accepted: documents by version and digest, statements, parties; of a package, of
    what all parties signed. *ledger_seq* is the order's own row. *id*: the framework agreement's, which many orders
    cite, or the one act's.
    """

    kind: Literal["acceptance", "framework", "package"]
    id: uuid.UUID
    digest: str
    ledger_seq: int


async def find_basis(session: AsyncSession, order_id: uuid.UUID) -> Basis | None:
    """The basis of an order that the session may see. None only within the transaction that makes it."""
    kinds: sa.CompoundSelect[Any] = sa.union_all(
        sa.select(sa.literal("acceptance"), Acceptance.id, Presentation.content_digest, Acceptance.ledger_seq)
        .join(Presentation, Presentation.id == Acceptance.presentation_id)
        .where(Acceptance.order_id == order_id),
        sa.select(
            sa.literal("framework"), FrameworkAgreement.id, Presentation.content_digest, FrameworkOrder.ledger_seq
        )
        .join(FrameworkAgreement, FrameworkAgreement.id == FrameworkOrder.framework_id)
        .join(Presentation, Presentation.id == FrameworkAgreement.presentation_id)
        .where(FrameworkOrder.order_id == order_id),
        sa.select(sa.literal("package"), Package.id, Package.digest, Package.executed_seq).where(
            Package.order_id == order_id
        ),
    )
    found = (await session.execute(kinds)).one_or_none()
    return None if found is None else Basis(kind=found[0], id=found[1], digest=found[2], ledger_seq=found[3])
