"""How a package ends without an order: links die, and whoever signed or was asked to is written to, in one commit."""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.model import Person
from accounts.policies import approvers
from agreements import packages
from agreements.package_model import ClosingReason, Package
from agreements.package_states import PackageEvent, PartyRole, may_sign
from checkout.package_mails import package_mail
from kernel.mail import queue_mail


async def end(
    session: AsyncSession,
    package: Package,
    event: PackageEvent,
    reason: ClosingReason,
    *,
    by: uuid.UUID | None,
    now: datetime,
    base_url: str,
    comment: str = "",
) -> None:
    """:raises agreements.package_states.PackageEventRefused: when it has ended already; nobody is written to twice"""
    readers = await _readers(session, package, base_url)
    await packages.close(session, package, event, reason, by=by, now=now, comment=comment)
    for to, (locale, link) in sorted(readers.items()):
        await queue_mail(session, package_mail("package_ended", package, to=to, locale=locale, link=link), now=now)


async def approvers_asked(session: AsyncSession, package: Package) -> list[Person]:
    """The company's people who may approve it, as the list says now."""
    members = await accounts_store.list_members(session, package.company_id)
    may = approvers(members, package.total, requester=package.created_by)
    return [each.person for each in may if not involved(each.person.id, package)]


def involved(person_id: uuid.UUID, package: Package) -> bool:
    """Who sent it or is named in it approves nothing of it."""
    return package.created_by == person_id or any(each.person_id == person_id for each in package.parties)


async def _readers(session: AsyncSession, package: Package, base_url: str) -> dict[str, tuple[str, str]]:
    """Address, with language and link, of its buyer, who signed, and who is due; later stages know nothing."""
    own = f"{base_url}/account/packages/{package.id}"
    people = await accounts_store.list_people(session, [package.created_by])
    told: dict[str, tuple[str, str]] = {}
    for party in package.parties:
        if party.signed_at is None and not may_sign(package.state, party.role):
            continue
        if party.role is PartyRole.COUNTER_SIGNER:
            told[party.email] = ("en", f"{base_url}/desk/signatures/{package.id}")
        elif party.person_id is not None:
            people = [*people, *await accounts_store.list_people(session, [party.person_id])]
        else:
            people = [*people, *await approvers_asked(session, package)]
    return told | {each.email: (each.locale, own) for each in people if each.erased_at is None}
