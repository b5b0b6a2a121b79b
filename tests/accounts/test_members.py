"""Members, invitations and the company's own details."""

import asyncio

import pytest

from accounts import lifetimes
from accounts.details import DetailsRefused, EmailMalformed
from accounts.limits import INVITATIONS_BY_COMPANY, TooManyAttempts
from accounts.member_service import (
    AlreadyMember,
    CompanyCodeTaken,
    EmailNotVerified,
    LastAdmin,
    Members,
    NoSuchCompany,
    NoSuchInvitation,
    NoSuchMember,
    NotAllowed,
    PersonTaken,
)
from accounts.model import Authority, MemberRole, StaffRole, TaxIdCheck, TaxStatus
from accounts.passwords import WeakPassword
from accounts.service import Accounts, EmailTaken, StaffCannotJoin, TokenExpired, WrongCredentials
from accounts.store import find_merchant
from kernel.clock import FixedClock
from kernel.db import Database, for_visitor
from kernel.ids import new_id
from kernel.money import Money
from tests.accounts.conftest import OFFICE, PASSWORD, Cast, Letters, merchant


async def test_an_invitation_makes_a_member_whose_address_is_proven(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    admin = await cast.proven_admin()
    await members.invite(admin.principal, "Second@acme.example", MemberRole.APPROVER)
    token = await letters.token("invitation")
    invitation = await accounts.find_invitation(token)
    assert (invitation.email, invitation.company_name, invitation.inviter_name) == (
        "second@acme.example",
        "Acme Tools",
        "Acme Buyer",
    )
    assert not invitation.known
    visitor = await accounts.start_visitor_session()

    joined = await accounts.accept_invitation(
        token, name="Acme Approver", password=PASSWORD, visitor_token=visitor.token, address=OFFICE
    )

    assert joined.principal.role is MemberRole.APPROVER
    assert joined.principal.email_verified
    assert not joined.principal.signatory
    assert joined.principal.company_id == admin.principal.company_id
    assert joined.principal.visitor_id == visitor.principal.visitor_id
    assert [row.person.name for row in await members.list_members(admin.principal)] == ["Acme Approver", "Acme Buyer"]
    with pytest.raises(TokenExpired):
        await accounts.find_invitation(token)
    with pytest.raises(TokenExpired):
        await accounts.accept_invitation(token, name="X", password=PASSWORD, visitor_token=None, address=OFFICE)


async def test_an_invitation_accepted_twice_at_once_makes_one_member(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    admin = await cast.proven_admin()
    await members.invite(admin.principal, "second@acme.example", MemberRole.BUYER)
    token = await letters.token("invitation")

    outcomes = await asyncio.gather(
        *(
            accounts.accept_invitation(token, name="Second", password=PASSWORD, visitor_token=None, address=OFFICE)
            for _ in range(4)
        ),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["OpenedSession", *["TokenExpired"] * 3]
    assert len(await members.list_members(admin.principal)) == 2


async def test_who_has_an_account_joins_with_its_password(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    admin = await cast.proven_admin()
    await cast.sign_up("consultant@initech.example", company_name="Initech")
    await members.invite(admin.principal, "consultant@initech.example", MemberRole.BUYER)
    token = await letters.token("invitation")
    assert (await accounts.find_invitation(token)).known

    with pytest.raises(WrongCredentials):
        await accounts.accept_invitation(
            token, name="", password="not-the-password", visitor_token=None, address=OFFICE
        )
    joined = await accounts.accept_invitation(token, name="", password=PASSWORD, visitor_token=None, address=OFFICE)

    assert joined.principal.name == "Acme Buyer", "as they signed up"
    assert joined.principal.company_id == admin.principal.company_id
    assert len(await accounts.list_companies(joined.principal)) == 2


async def test_a_new_members_details_are_checked_before_the_invitation_is_used(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    admin = await cast.proven_admin()
    await members.invite(admin.principal, "second@acme.example", MemberRole.BUYER)
    token = await letters.token("invitation")

    with pytest.raises(DetailsRefused) as refused:
        await accounts.accept_invitation(token, name=" ", password="acme tools 2026", visitor_token=None, address="")
    assert [error.field for error in refused.value.errors] == ["name", "password"]
    await accounts.accept_invitation(token, name="Second", password=PASSWORD, visitor_token=None, address=OFFICE)


async def test_an_invitation_expires_is_replaced_and_can_be_withdrawn(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters, clock: FixedClock
) -> None:
    admin = (await cast.proven_admin()).principal
    await members.invite(admin, "second@acme.example", MemberRole.BUYER)
    replaced = await letters.token("invitation")
    invitation = await members.invite(admin, "second@acme.example", MemberRole.ADMIN)
    assert [row.id for row in await members.list_invitations(admin)] == [invitation.id]
    await members.withdraw_invitation(admin, invitation.id)
    withdrawn = await letters.token("invitation")
    await members.invite(admin, "third@acme.example", MemberRole.BUYER)
    expired = await letters.token("invitation")
    clock.set(clock.now() + lifetimes.INVITATION)

    for token in (replaced, withdrawn, expired):
        with pytest.raises(TokenExpired):
            await accounts.accept_invitation(token, name="S", password=PASSWORD, visitor_token=None, address=OFFICE)
    assert await members.list_invitations(admin) == []
    with pytest.raises(NoSuchInvitation):
        await members.withdraw_invitation(admin, invitation.id)


async def test_members_and_strangers_to_mail_are_not_invited(members: Members, cast: Cast) -> None:
    admin = (await cast.proven_admin()).principal

    with pytest.raises(AlreadyMember):
        await members.invite(admin, "BUYER@acme.example", MemberRole.BUYER)
    with pytest.raises(EmailMalformed):
        await members.invite(admin, "second", MemberRole.BUYER)


async def test_inviting_does_not_tell_whether_a_stranger_has_an_account(members: Members, cast: Cast) -> None:
    await cast.sign_up("boss@globex.example", company_name="Globex")
    admin = (await cast.proven_admin()).principal

    known = await members.invite(admin, "boss@globex.example", MemberRole.BUYER)
    unknown = await members.invite(admin, "nobody@globex.example", MemberRole.BUYER)

    assert (known.role, known.expires_at) == (unknown.role, unknown.expires_at)


async def test_a_company_cannot_send_mail_without_end(members: Members, cast: Cast) -> None:
    admin = (await cast.proven_admin()).principal
    for n in range(INVITATIONS_BY_COMPANY.count):
        await members.invite(admin, f"buyer{n}@acme.example", MemberRole.BUYER)

    with pytest.raises(TooManyAttempts):
        await members.invite(admin, "one-more@acme.example", MemberRole.BUYER)


async def test_staff_cannot_join_a_company(accounts: Accounts, members: Members, cast: Cast, letters: Letters) -> None:
    await cast.staff(StaffRole.FINANCE)
    admin = (await cast.proven_admin()).principal
    await members.invite(admin, "finance@tarifa.example", MemberRole.BUYER)

    with pytest.raises(StaffCannotJoin):
        await accounts.accept_invitation(
            await letters.token("invitation"), name="", password=PASSWORD, visitor_token=None, address=OFFICE
        )


async def test_an_address_that_signed_up_meanwhile_is_asked_for_its_password(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    admin = (await cast.proven_admin()).principal
    await members.invite(admin, "second@acme.example", MemberRole.BUYER)
    token = await letters.token("invitation")

    outcomes = await asyncio.gather(
        accounts.accept_invitation(token, name="Second", password=PASSWORD, visitor_token=None, address=OFFICE),
        cast.sign_up("second@acme.example"),
        return_exceptions=True,
    )

    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in failed] in ([], [EmailTaken]), "one of them, or they came after each other"


async def test_an_unproven_address_administers_nothing(members: Members, cast: Cast) -> None:
    admin = (await cast.sign_up()).principal

    with pytest.raises(EmailNotVerified):
        await members.invite(admin, "second@acme.example", MemberRole.BUYER)


@pytest.mark.parametrize("role", [MemberRole.BUYER, MemberRole.APPROVER])
async def test_only_admins_administer(members: Members, cast: Cast, role: MemberRole) -> None:
    company = await cast.company()
    principal = await cast.member(company.id, "somebody@globex.example", role)

    with pytest.raises(NotAllowed):
        await members.list_members(principal)
    with pytest.raises(NotAllowed):
        await members.invite(principal, "second@globex.example", MemberRole.ADMIN)


async def test_an_admin_reaches_no_other_company_and_a_missing_one_answers_the_same(
    members: Members, cast: Cast
) -> None:
    globex = await cast.company()
    victim = await cast.member(globex.id, "boss@globex.example", MemberRole.ADMIN)
    acme = (await cast.proven_admin()).principal
    assert victim.person_id is not None

    answers = []
    for company_id in (globex.id, new_id()):
        with pytest.raises(NoSuchCompany) as refused:
            await members.list_members(acme, company_id=company_id)
        answers.append((refused.value.message, refused.value.extra))
    for person_id in (victim.person_id, new_id()):
        with pytest.raises(NoSuchMember) as absent:
            await members.remove_member(acme, person_id)
        answers.append((absent.value.message, absent.value.extra))
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]


@pytest.mark.parametrize("role", [StaffRole.SUPPORT, StaffRole.ADMIN])
async def test_support_administers_any_company_it_names(members: Members, cast: Cast, role: StaffRole) -> None:
    company, staff = await cast.company(), await cast.staff(role)

    await members.invite(staff, "boss@globex.example", MemberRole.ADMIN, company_id=company.id)

    assert len(await members.list_invitations(staff, company_id=company.id)) == 1
    with pytest.raises(NoSuchCompany):
        await members.list_members(staff)
    with pytest.raises(NoSuchCompany):
        await members.invite(staff, "boss@globex.example", MemberRole.ADMIN, company_id=new_id())


async def test_only_staff_see_the_list_of_companies(members: Members, cast: Cast) -> None:
    globex, acme = await cast.company("globex"), await cast.company("acme")
    boss = await cast.member(globex.id, "boss@globex.example", MemberRole.ADMIN)

    listed = await members.list_companies(await cast.staff(StaffRole.FINANCE))

    assert [company.id for company in listed] == [acme.id, globex.id]
    with pytest.raises(NotAllowed):
        await members.list_companies(boss)


async def test_finance_does_not_administer_companies(members: Members, cast: Cast) -> None:
    company, staff = await cast.company(), await cast.staff(StaffRole.FINANCE)

    with pytest.raises(NotAllowed):
        await members.list_members(staff, company_id=company.id)


async def test_a_changed_member_has_new_rights_and_logs_in_again(
    accounts: Accounts, members: Members, cast: Cast
) -> None:
    company = await cast.company()
    boss = await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)
    buyer = await cast.member(company.id, "buyer@globex.example")
    session = await cast.log_in("buyer@globex.example")
    assert buyer.person_id is not None

    await members.change_member(
        boss,
        buyer.person_id,
        role=MemberRole.APPROVER,
        signatory=True,
        signing_limit=Money(500_000, "EUR"),
        job_title=" Head of Purchasing ",
    )

    assert (await accounts.authenticate(session.token)).session_id is None
    principal = (await cast.log_in("buyer@globex.example")).principal
    assert principal.role is MemberRole.APPROVER
    assert principal.authority is Authority.APPOINTED
    assert principal.signing_limit == Money(500_000, "EUR")
    assert principal.job_title == "Head of Purchasing"

    await members.change_member(boss, buyer.person_id, role=MemberRole.BUYER, signatory=False)
    principal = (await cast.log_in("buyer@globex.example")).principal
    assert (principal.signatory, principal.authority, principal.signing_limit) == (False, None, None)


async def test_nobody_appoints_themselves(members: Members, cast: Cast) -> None:
    company = await cast.company()
    boss = await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)
    other = await cast.member(company.id, "other@globex.example", MemberRole.ADMIN)
    assert boss.person_id is not None

    async def change(by: object, limit: Money | None) -> Authority | None:
        actor = other if by == "other" else boss
        assert boss.person_id is not None
        row = await members.change_member(
            actor, boss.person_id, role=MemberRole.ADMIN, signatory=True, signing_limit=limit
        )
        return row.authority

    assert await change("boss", None) is Authority.SELF_DECLARED
    assert await change("other", Money(100, "EUR")) is Authority.APPOINTED
    assert await change("boss", Money(100, "EUR")) is Authority.APPOINTED, "nothing about signing changed"
    assert await change("boss", Money(101, "EUR")) is Authority.SELF_DECLARED


async def test_the_last_admin_stays_even_when_two_leave_at_once(members: Members, cast: Cast) -> None:
    company = await cast.company()
    first = await cast.member(company.id, "first@globex.example", MemberRole.ADMIN)
    second = await cast.member(company.id, "second@globex.example", MemberRole.ADMIN)
    assert first.person_id is not None
    assert second.person_id is not None

    outcomes = await asyncio.gather(
        members.remove_member(first, first.person_id),
        members.change_member(second, second.person_id, role=MemberRole.BUYER, signatory=False),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes].count(LastAdmin) == 1
    support = await cast.staff()
    rows = await members.list_members(support, company_id=company.id)
    assert [row.membership.role for row in rows].count(MemberRole.ADMIN) == 1


async def test_a_removed_members_sessions_end(accounts: Accounts, members: Members, cast: Cast) -> None:
    company = await cast.company()
    boss = await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)
    buyer = await cast.member(company.id, "buyer@globex.example")
    session = await cast.log_in("buyer@globex.example")
    assert buyer.person_id is not None

    await members.remove_member(boss, buyer.person_id)

    assert (await accounts.authenticate(session.token)).session_id is None
    with pytest.raises(NoSuchMember):
        await members.remove_member(boss, buyer.person_id)


async def test_invitations_of_an_admin_who_is_one_no_more_stop_working(
    accounts: Accounts, members: Members, cast: Cast, letters: Letters
) -> None:
    company = await cast.company()
    boss = await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)
    rogue = await cast.member(company.id, "rogue@globex.example", MemberRole.ADMIN)
    assert rogue.person_id is not None
    await members.invite(boss, "second@globex.example", MemberRole.BUYER)
    await members.invite(rogue, "backdoor@rogue.example", MemberRole.ADMIN)
    backdoor = await letters.token("invitation")

    await members.change_member(boss, rogue.person_id, role=MemberRole.BUYER, signatory=False)

    assert [row.email for row in await members.list_invitations(boss)] == ["second@globex.example"]
    with pytest.raises(TokenExpired):
        await accounts.find_invitation(backdoor)


async def test_an_admin_mends_the_companys_details(members: Members, cast: Cast) -> None:
    admin = (await cast.proven_admin()).principal

    company = await members.change_company(admin, name="Acme Werkzeuge", country="de", tax_id="136695976")
    assert (company.country, company.tax_id) == ("DE", "DE136695976")
    assert company.tax_id_check is TaxIdCheck.WELL_FORMED
    assert company.tax_status is TaxStatus.REVERSE_CHARGE

    with pytest.raises(DetailsRefused) as refused:
        await members.change_company(admin, name="", country="DE", tax_id="1")
    assert [error.field for error in refused.value.errors] == ["name", "tax_id"]


async def test_set_up_refuses_what_is_there_already(members: Members, cast: Cast) -> None:
    company = await cast.company()
    await cast.member(company.id, "boss@globex.example")

    with pytest.raises(CompanyCodeTaken):
        await cast.company()
    with pytest.raises(PersonTaken):
        await members.create_member(company.id, email="boss@globex.example", name="B", password=PASSWORD)
    with pytest.raises(PersonTaken):
        await members.create_staff(email="boss@globex.example", name="B", password=PASSWORD, role=StaffRole.ADMIN)
    with pytest.raises(WeakPassword):
        await members.create_staff(email="admin@tarifa.example", name="A", password="admin", role=StaffRole.ADMIN)


async def test_the_merchant_is_one_row_that_can_be_written_over(members: Members, database: Database) -> None:
    changed = merchant()
    changed.phone = "+34 976 111 111"

    await members.set_merchant(changed)

    async with database.begin(for_visitor()) as session:
        found = await find_merchant(session)
    assert found.phone == "+34 976 111 111"
    assert found.country == "ES"
