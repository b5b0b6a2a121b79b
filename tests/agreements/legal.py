"""The legal desk's cast: two people, a draft ready to publish."""

import uuid
from datetime import datetime

from accounts.model import Person, StaffRole
from agreements.legal_model import DocumentDraft, DraftStep
from agreements.publishing import Publishing
from kernel.db import Database, for_accounts
from kernel.ids import new_id

SOURCE = """# Master Terms of Sale

Version {label}.

## In short

- **Liability.** Limited to {limit} the price of the order.

## 8. Liability

8.1 We are liable without limit for intent.

8.2 In all other cases our liability is limited to {limit} the price of the order concerned.
"""


async def make_staff(database: Database, at: datetime, role: StaffRole = StaffRole.LEGAL) -> uuid.UUID:
    person = Person(
        id=new_id(),
        email=f"{new_id()}@meridian.example",
        name="Legal desk",
        locale="en",
        password_hash="-",
        staff_role=role,
        created_at=at,
    )
    async with database.begin(for_accounts()) as session:
        session.add(person)
    return person.id


async def draft_version(
    publishing: Publishing,
    by: uuid.UUID,
    *,
    label: str = "4.0",
    code: str = "master-terms",
    material: bool = True,
    limit: str = "twice",
    effective_at: datetime | None = None,
    change_note: str = "Liability doubles.",
) -> DocumentDraft:
    """Opened, its English text written, its Spanish one as before."""
    opened = await publishing.open_draft(code, label=label, material=material, by=by)
    await publishing.put_text(
        opened.id,
        "en",
        title="Master Terms of Sale",
        source=SOURCE.format(label=label, limit=limit),
        onerous_clauses=["8.2 Limit of liability"],
        version=1,
        by=by,
    )
    await publishing.put_facts(
        opened.id,
        label=label,
        material=material,
        change_note=change_note,
        effective_at=effective_at,
        version=2,
        by=by,
    )
    return (await publishing.find_draft(opened.id)).draft


async def publish_version(publishing: Publishing, author: uuid.UUID, approver: uuid.UUID, **more: object) -> None:
    draft = await draft_version(publishing, author, **more)  # type: ignore[arg-type] # passed on as they are
    await publishing.take(draft.id, DraftStep.SUBMITTED, version=draft.version, by=author, comment="")
    await publishing.take(draft.id, DraftStep.APPROVED, version=draft.version, by=approver, comment="")
    await publishing.publish(draft.id, version=draft.version, by=author)
