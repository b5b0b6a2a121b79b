"""Who did it: names behind the ids that rows keep."""

import uuid
from collections.abc import Iterable

from accounts import store as accounts_store
from kernel.db import for_staff
from web.services import Services


async def names_of(services: Services, ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    """The names of these people; None is the house's own command line."""
    wanted = {person_id for person_id in ids if person_id is not None}
    names: dict[uuid.UUID | None, str] = {None: "bin/tarifa"}
    if wanted:
        async with services.db.reading(for_staff()) as session:
            names |= {person.id: person.name for person in await accounts_store.list_people(session, wanted)}
    return names
