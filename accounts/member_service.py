"""What an admin does for a company, and staff for any: its members, invitations to it, its own details."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from accounts import lifetimes, limits, mails, store
from accounts.details import Form, check_email, check_locale, check_name
from accounts.limits import TooManyAttempts
from accounts.model import (
    Authority,
    Company,
    MemberRole,
    Membership,
    Merchant,
    OneTimeToken,
    Person,
    StaffRole,
    TokenPurpose,
)
from accounts.passwords import Passwords, check_password
from accounts.principal import Principal, PrincipalKind
from accounts.store import MemberRow
from accounts.tax import check_country, check_tax_id, tax_status
from kernel.clock import Clock
from kernel.db import Database, for_accounts, for_staff
from kernel.errors import Conflict, DomainError, NotFound
from kernel.ids import new_id, new_token, token_digest
from kernel.mail import queue_mail
from kernel.money import Money, exponent


class NotAllowed(DomainError):
    problem = "not-allowed"
    status = 403
    title = "Your role does not allow this"


class EmailNotVerified(DomainError):
    problem = "email-not-verified"
    status = 403
    title = "Prove your e-mail address first"


class NoSuchMember(NotFound):
    problem = "no-such-member"
    title = "There is no such member"


class NoSuchCompany(NotFound):
    problem = "no-such-company"
    title = "There is no such company"


class NoSuchInvitation(NotFound):
    problem = "no-such-invitation"
    title = "There is no such open invitation"


class AlreadyMember(Conflict):
    problem = "already-member"
    title = "This person is a member already"


class LastAdmin(Conflict):
    problem = "last-admin"
    title = "A company keeps at least one admin"


class CompanyCodeTaken(Conflict):
    problem = "company-code-taken"
    title = "Another company has this code"


class PersonTaken(Conflict):
    problem = "person-taken"
    title = "This e-mail address has an account already"


def administered_company(principal: Principal, company_id: uuid.UUID | None) -> uuid.UUID:
    """Say which company the principal's act is about: their own for an admin, any named one for staff.

    :raises NotAllowed: when the role does not reach that far
    :raises NoSuchCompany: when an admin names another company than their own
    :raises EmailNotVerified: for an admin who signed up with an address that is not proven to be theirs
    """
    if principal.kind is PrincipalKind.STAFF:
        if principal.staff_role not in {StaffRole.ADMIN, StaffRole.SUPPORT}:
            raise NotAllowed("Ask an admin or the support of the shop.")
        if company_id is None:
            raise NoSuchCompany("Say which company it is about.")
        return company_id
    if principal.kind is not PrincipalKind.MEMBER or principal.company is None:
        raise NotAllowed("Log in as an admin of a company.")
    if company_id not in {None, principal.company.id}:
        raise NoSuchCompany("Check the link you followed.")
    if principal.role is not MemberRole.ADMIN:
        raise NotAllowed("Ask an admin of your company.")
    if not principal.email_verified:
        raise EmailNotVerified("Type the code we sent to your address.")
    return principal.company.id


class Members:
    def __init__(self, db: Database, clock: Clock, passwords: Passwords, *, base_url: str) -> None:
        self._db = db
        self._clock = clock
        self._passwords = passwords
        self._base_url = base_url

    # -- members -----------------------------------------------------------------------------------------------------

    async def list_members(self, principal: Principal, *, company_id: uuid.UUID | None = None) -> list[MemberRow]:
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_members(session, company_id)

    async def list_signatories(self, principal: Principal) -> list[MemberRow]:
        """List who may sign for the principal's company: every member may know whom to ask.

        :raises NotAllowed: for whoever acts for no company
        """
        if principal.kind is not PrincipalKind.MEMBER or principal.company is None:
            raise NotAllowed("Log in as a member of a company.")
        async with self._db.begin(principal.db_scope()) as session:
            members = await store.list_members(session, principal.company.id)
        return [member for member in members if member.membership.signatory]

    async def change_member(
        self,
        principal: Principal,
        person_id: uuid.UUID,
        *,
        role: MemberRole,
        signatory: bool,
        signing_limit: Money | None = None,
        job_title: str | None = None,
        company_id: uuid.UUID | None = None,
    ) -> Membership:
        """Set what a member may do. Their sessions in this company end: other rights, another log-in.

        Somebody else's act appoints a signatory; one's own, or a limit changed by oneself, is self-declared.

        :raises NoSuchMember: when the person is none of the company's
        :raises LastAdmin: when nobody would be left to administer the company
        """
        company_id = administered_company(principal, company_id)
        title = None if job_title is None or not job_title.strip() else check_name(job_title)
        async with self._db.begin(principal.db_scope()) as session:
            membership = await self._locked_member(session, company_id, person_id)
            if membership.role is MemberRole.ADMIN and role is not MemberRole.ADMIN:
                await self._give_up_admin(session, company_id, person_id)
            limit = signing_limit if signatory else None
            own_act = principal.person_id == person_id
            if not signatory:
                membership.authority = None
            elif not own_act:
                membership.authority = Authority.APPOINTED
            elif not membership.signatory or membership.signing_limit != limit:
                membership.authority = Authority.SELF_DECLARED
            membership.role = role
            membership.signatory = signatory
            membership.signing_limit_minor = None if limit is None else limit.minor
            membership.currency = None if limit is None else limit.currency
            membership.job_title = title
            await store.delete_sessions_of(session, person_id, company_id=company_id)
            return membership

    async def remove_member(
        self, principal: Principal, person_id: uuid.UUID, *, company_id: uuid.UUID | None = None
    ) -> None:
        """End a membership, the sessions under it and an admin's open invitations. What the person ordered stays.

        :raises NoSuchMember: when the person is none of the company's
        :raises LastAdmin: when nobody would be left to administer the company
        """
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            membership = await self._locked_member(session, company_id, person_id)
            if membership.role is MemberRole.ADMIN:
                await self._give_up_admin(session, company_id, person_id)
            await session.delete(membership)

    # -- invitations -------------------------------------------------------------------------------------------------

    async def invite(
        self, principal: Principal, email: str, role: MemberRole, *, company_id: uuid.UUID | None = None
    ) -> OneTimeToken:
        """Send a link by which the reader joins the company; an earlier one to the same address stops working.

        :raises EmailMalformed: when it is no address
        :raises AlreadyMember: when it is a member's
        :raises TooManyAttempts: when the company invited very many today
        """
        company_id = administered_company(principal, company_id)
        assert principal.person_id is not None
        address, now = check_email(email), self._clock.now()
        async with self._db.begin(principal.db_scope()) as session:
            company = await store.lock_company(session, company_id)
            if company is None:
                raise NoSuchCompany("Check the link you followed.")
            # staff see every person, a company its own members
            person = await store.find_person_by_email(session, address)
            if person is not None and await store.find_membership(session, company_id, person.id) is not None:
                raise AlreadyMember(f"{address} belongs to {company.name} already.")
            retry_at = await store.count_attempt(session, limits.INVITATIONS_BY_COMPANY, str(company_id), now)
            if retry_at is not None:
                raise TooManyAttempts(retry_at, now)
            await store.delete_unused_tokens(session, address, TokenPurpose.INVITATION, company_id=company_id)
            token = new_token()
            invitation = OneTimeToken(
                id=new_id(),
                purpose=TokenPurpose.INVITATION,
                secret_sha256=token_digest(token),
                email=address,
                person_id=principal.person_id,
                company_id=company_id,
                role=role,
                created_at=now,
                expires_at=now + lifetimes.INVITATION,
            )
            session.add(invitation)
            letter = mails.invitation(
                to=address,
                inviter=principal.name or "",
                company=company.name,
                locale=check_locale((person.locale if person is not None else principal.locale) or ""),
                base_url=self._base_url,
                token=token,
                days=lifetimes.INVITATION.days,
            )
            await queue_mail(session, letter, now=now)
            return invitation

    async def list_invitations(
        self, principal: Principal, *, company_id: uuid.UUID | None = None
    ) -> Sequence[OneTimeToken]:
        """List those that can still be accepted, oldest first."""
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_live_invitations(session, company_id, self._clock.now())

    async def withdraw_invitation(
        self, principal: Principal, invitation_id: uuid.UUID, *, company_id: uuid.UUID | None = None
    ) -> None:
        """:raises NoSuchInvitation: when it was accepted, or is none of the company's"""
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            if not await store.delete_invitation(session, company_id, invitation_id):
                raise NoSuchInvitation("It may have been accepted already; look among the members.")

    # -- the company -------------------------------------------------------------------------------------------------

    async def list_companies(self, principal: Principal) -> Sequence[Company]:
        """List every company, by code, for the merchant's own people.

        :raises NotAllowed: to anybody else
        """
        if principal.kind is not PrincipalKind.STAFF:
            raise NotAllowed("Log in as one of the shop's own people.")
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_companies(session)

    async def change_company(
        self,
        principal: Principal,
        *,
        name: str,
        country: str,
        tax_id: str | None,
        company_id: uuid.UUID | None = None,
    ) -> Company:
        """Mend a company's name, country and tax id.

        :raises DetailsRefused: naming every field to mend
        """
        company_id = administered_company(principal, company_id)
        form = Form()
        clean_name = form.check("name", check_name, name)
        clean_country = form.check("country", check_country, country)
        checked = None if clean_country is None else form.check("tax_id", check_tax_id, tax_id, clean_country)
        form.refuse()
        assert clean_name
        assert clean_country
        assert checked
        async with self._db.begin(principal.db_scope()) as session:
            company = await store.lock_company(session, company_id)
            if company is None:
                raise NoSuchCompany("Check the link you followed.")
            merchant = await store.find_merchant(session)
            company.name = clean_name
            company.country = clean_country
            company.tax_id = checked.text
            company.tax_id_check = checked.check
            company.tax_status = tax_status(clean_country, checked, merchant_country=merchant.country)
            return company

    # -- set-up, by the command line and the demo: nobody is asked whether they may ----------------------------------

    async def set_merchant(self, merchant: Merchant) -> None:
        """Write the seller's details, over those that were there."""
        merchant.singleton = True  # merge looks for the key among the attributes set, not among the defaults
        async with self._db.begin(for_staff()) as session:
            await session.merge(merchant)

    async def create_company(
        self,
        *,
        code: str,
        name: str,
        country: str,
        tax_id: str | None = None,
        currency: str = "EUR",
        segments: Sequence[str] = (),
    ) -> Company:
        """Make a company that staff know.

        :raises CompanyCodeTaken: when there is one of this code
        :raises TaxIdMalformed: and likewise for the country and the currency
        """
        exponent(currency)
        country = check_country(country)
        checked = check_tax_id(tax_id, country)
        async with self._db.begin(for_staff()) as session:
            if await store.find_company_by_code(session, code) is not None:
                raise CompanyCodeTaken(f"Choose another code than {code}.")
            merchant = await store.find_merchant(session)
            company = Company(
                id=new_id(),
                code=code,
                name=check_name(name),
                country=country,
                tax_id=checked.text,
                tax_id_check=checked.check,
                tax_status=tax_status(country, checked, merchant_country=merchant.country),
                currency=currency,
                segments=list(segments),
                self_registered=False,
                created_at=self._clock.now(),
            )
            session.add(company)
            return company

    async def create_member(
        self,
        company_id: uuid.UUID,
        *,
        email: str,
        name: str,
        password: str,
        role: MemberRole = MemberRole.BUYER,
        signatory: bool = False,
        signing_limit: Money | None = None,
        job_title: str | None = None,
        locale: str = "en",
    ) -> Person:
        """Make a person whose address counts as proven, as a member of a company.

        :raises PersonTaken: when the address has an account; invite it instead
        :raises WeakPassword: as for everybody
        """
        person = await self._person(email, name, password, locale, staff_role=None)
        limit = signing_limit if signatory else None
        async with self._db.begin(for_accounts()) as session:
            await self._add(session, person)
            session.add(
                Membership(
                    company_id=company_id,
                    person_id=person.id,
                    role=role,
                    signatory=signatory,
                    authority=Authority.APPOINTED if signatory else None,
                    signing_limit_minor=None if limit is None else limit.minor,
                    currency=None if limit is None else limit.currency,
                    job_title=job_title,
                    created_at=person.created_at,
                )
            )
        return person

    async def create_staff(
        self, *, email: str, name: str, password: str, role: StaffRole, locale: str = "en"
    ) -> Person:
        """Make one of the merchant's own people; they log in by the same door.

        :raises PersonTaken: when the address has an account
        :raises WeakPassword: as for everybody
        """
        person = await self._person(email, name, password, locale, staff_role=role)
        async with self._db.begin(for_accounts()) as session:
            await self._add(session, person)
        return person

    # -- below -------------------------------------------------------------------------------------------------------

    async def _locked_member(self, session: AsyncSession, company_id: uuid.UUID, person_id: uuid.UUID) -> Membership:
        company = await store.lock_company(session, company_id)
        membership = None if company is None else await store.find_membership(session, company_id, person_id)
        if membership is None:
            raise NoSuchMember("They may have been removed; look at the list of members.")
        return membership

    async def _give_up_admin(self, session: AsyncSession, company_id: uuid.UUID, person_id: uuid.UUID) -> None:
        if await store.count_admins(session, company_id) <= 1:
            raise LastAdmin("Make somebody else an admin first.")
        await store.delete_invitations_by(session, company_id, person_id)

    async def _person(
        self, email: str, name: str, password: str, locale: str, *, staff_role: StaffRole | None
    ) -> Person:
        now: datetime = self._clock.now()
        address = check_email(email)
        check_password(password, context=(email, name))
        return Person(
            id=new_id(),
            email=address,
            name=check_name(name),
            locale=check_locale(locale),
            password_hash=await self._passwords.hash(password),
            email_verified_at=now,
            staff_role=staff_role,
            created_at=now,
        )

    async def _add(self, session: AsyncSession, person: Person) -> None:
        if not await store.add_person(session, person):
            raise PersonTaken(f"{person.email} has an account.")
