"""Who one is: sign-up, log-in, sessions, proving an e-mail, passwords, taking up an invitation.

A session is a row found by the digest of a random secret in a cookie. Only secrets made here are ever accepted, and a
new one replaces the old whenever its holder may do more than before.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import lifetimes, limits, mails, store
from accounts.details import Form, check_email, check_locale, check_name
from accounts.limits import Limit, TooManyAttempts, network
from accounts.model import (
    Authority,
    BrowserSession,
    Company,
    MemberRole,
    Membership,
    OneTimeToken,
    Person,
    TokenPurpose,
)
from accounts.passwords import Passwords, check_password
from accounts.principal import Principal, of_session
from accounts.tax import TaxId, check_country, check_tax_id, tax_status
from kernel.clock import Clock
from kernel.db import Database, for_accounts
from kernel.errors import Conflict, DomainError, NotFound, Refused
from kernel.ids import new_id, new_token, token_digest
from kernel.mail import queue_mail
from kernel.money import exponent

CODE_DIGITS: Final = 6
CODE_ATTEMPTS: Final = 5


class EmailTaken(Conflict):
    problem = "email-taken"
    title = "This e-mail address has an account already"


class WrongCredentials(Refused):
    problem = "wrong-credentials"
    title = "E-mail or password is wrong"


class NoCompany(Refused):
    problem = "no-company"
    title = "Your account belongs to no company"


class StaffCannotJoin(Refused):
    problem = "staff-cannot-join"
    title = "The merchant's own people cannot buy for a company"


class TokenExpired(Refused):
    """Used, expired, replaced by a newer one or never given: the answer is the same."""

    problem = "token-expired"
    title = "This link does not work any more"


class CodeExpired(Refused):
    problem = "code-expired"
    title = "This code does not work any more"


class WrongCode(Refused):
    """`attempts_left` says how often the same code may still be tried."""

    problem = "wrong-code"
    title = "This is not the code"


class LogInRequired(DomainError):
    problem = "log-in-required"
    status = 401
    title = "Log in first"


class OpenedSession(msgspec.Struct, frozen=True):
    """A session with the secret for its cookie, which nobody can tell again."""

    token: str
    principal: Principal

    def __repr__(self) -> str:
        return f"OpenedSession({self.principal!r})"


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of an invitation shows."""

    email: str
    company_name: str
    inviter_name: str
    role: MemberRole
    known: bool
    """The address has an account: ask for its password instead of a new one."""
    expires_at: datetime


class Accounts:
    def __init__(self, db: Database, clock: Clock, passwords: Passwords, *, base_url: str) -> None:
        self._db = db
        self._clock = clock
        self._passwords = passwords
        self._base_url = base_url

    # -- sessions ----------------------------------------------------------------------------------------------------

    async def authenticate(self, token: str | None) -> Principal:
        """Say who presents *token*.

        Never refuses: without a live session the answer is a visitor without `session_id`, whose `visitor_id` is made
        up for this call; `start_visitor_session` keeps it.
        """
        if not token:
            return Principal.visitor(new_id())
        now = self._clock.now()
        async with self._db.begin(for_accounts()) as session:
            found = await store.find_live_session(session, token, now)
            if found is None:
                return Principal.visitor(new_id())
            if now - found.browser.seen_at >= lifetimes.USE_NOTED_EVERY:
                expires_at = lifetimes.session_lifetime(found.person).expiry(found.browser.created_at, now)
                await store.note_session_use(session, found.browser.id, now, expires_at)
        return of_session(found.browser, found.person, found.membership, found.company)

    async def start_visitor_session(self, visitor_id: uuid.UUID | None = None) -> OpenedSession:
        """Store a session for a visitor, because something of theirs must be kept.

        *visitor_id* is the one `authenticate` made up, never one that came from outside.
        """
        async with self._db.begin(for_accounts()) as session:
            return await self._open(session, visitor_id=visitor_id or new_id(), person=None, company=None)

    async def log_in(self, *, email: str, password: str, token: str | None, address: str) -> OpenedSession:
        """Open a session for the person; the visitor's own, named by *token*, ends, and its journey goes on.

        *address* is the caller's socket address.

        :raises WrongCredentials: for an unknown e-mail and a wrong password alike, after the same time
        :raises TooManyAttempts: saying when to try again
        :raises NoCompany: when the person was removed from their last company
        """
        known = await self._identify(email, password, address)
        new_hash = await self._passwords.hash(password) if self._passwords.outdated(known.password_hash) else None
        async with self._db.begin(for_accounts()) as session:
            person = await self._still(session, known)
            if new_hash is not None:
                person.password_hash = new_hash
            companies = await store.list_companies_of(session, person.id)
            if person.staff_role is None and not companies:
                raise NoCompany("Ask an admin of your company to invite you again, or contact us.")
            return await self._open(
                session,
                visitor_id=await self._end_visit(session, token, person.id),
                person=person,
                company=companies[0] if companies else None,
            )

    async def log_out(self, token: str) -> None:
        """End the session; the browser's next visit is another journey."""
        async with self._db.begin(for_accounts()) as session:
            browser = await store.lock_live_session(session, token, self._clock.now())
            if browser is not None:
                await store.delete_session(session, browser.id)

    async def list_companies(self, principal: Principal) -> Sequence[Company]:
        """List the companies that the person may act for."""
        async with self._db.begin(for_accounts()) as session:
            return await store.list_companies_of(session, _person_id(principal))

    async def choose_company(self, principal: Principal, company_id: uuid.UUID) -> OpenedSession:
        """Go on with another of one's companies, under a new secret.

        :raises NotFound: when it is none of theirs
        """
        async with self._db.begin(for_accounts()) as session:
            browser, person = await self._own_session(session, principal)
            membership = await store.find_membership(session, company_id, person.id)
            company = await store.find_company(session, company_id)
            if membership is None or company is None:
                raise NotFound("You are no member of this company.")
            browser.company_id = company.id
            return await self._rotate(session, browser, person)

    async def change_details(self, principal: Principal, *, name: str, locale: str) -> Principal:
        """Set one's own name and the language of one's letters.

        :raises NameRefused: when it cannot be a name
        """
        clean_name = check_name(name)
        async with self._db.begin(for_accounts()) as session:
            _, person = await self._own_session(session, principal)
            person.name = clean_name
            person.locale = check_locale(locale)
            return msgspec.structs.replace(principal, name=person.name, locale=person.locale)

    async def delete_expired(self) -> None:
        """Delete what can serve nobody any more: a periodic job."""
        async with self._db.begin(for_accounts()) as session:
            await store.delete_expired(session, self._clock.now())

    # -- sign-up and proving an e-mail -------------------------------------------------------------------------------

    async def sign_up(
        self,
        *,
        email: str,
        password: str,
        name: str,
        company_name: str,
        country: str,
        tax_id: str | None = None,
        currency: str = "EUR",
        locale: str = "en",
        token: str | None,
        address: str,
    ) -> OpenedSession:
        """Make a company with its first admin, log them in, and send a code that proves the e-mail.

        The company buys at public prices. That its admin may sign for it is their own word (`Authority.SELF_DECLARED`).

        :raises DetailsRefused: naming every field to mend
        :raises EmailTaken: when the person should log in instead
        :raises TooManyAttempts: saying when to try again
        """
        form = Form()
        clean_email = form.check("email", check_email, email)
        clean_name = form.check("name", check_name, name)
        clean_company = form.check("company_name", check_name, company_name)
        clean_country = form.check("country", check_country, country)
        checked_tax_id = None
        if clean_country is not None:
            checked_tax_id = form.check("tax_id", check_tax_id, tax_id, clean_country)
        form.check("currency", exponent, currency)
        form.check("password", check_password, password, context=(email, name, company_name))
        form.refuse()
        assert clean_email
        assert clean_name
        assert clean_company
        assert clean_country
        assert checked_tax_id

        now = self._clock.now()
        async with self._db.begin(for_accounts()) as session:
            await _allow(session, limits.SIGN_UP_BY_ADDRESS, network(address), now)
        password_hash = await self._passwords.hash(password)
        async with self._db.begin(for_accounts()) as session:
            person = Person(
                id=new_id(),
                email=clean_email,
                name=clean_name,
                locale=check_locale(locale),
                password_hash=password_hash,
                created_at=now,
            )
            if not await store.add_person(session, person):
                raise EmailTaken("Log in with it, or ask for a new password.")
            merchant = await store.find_merchant(session)
            company = _self_registered(
                clean_company,
                clean_country,
                checked_tax_id,
                currency=currency,
                merchant_country=merchant.country,
                now=now,
            )
            session.add(company)
            await session.flush()
            session.add(
                Membership(
                    company_id=company.id,
                    person_id=person.id,
                    role=MemberRole.ADMIN,
                    signatory=True,
                    authority=Authority.SELF_DECLARED,
                    created_at=now,
                )
            )
            await session.flush()
            await self._mail_code(session, person, now)
            visitor_id = await self._end_visit(session, token, person.id)
            return await self._open(session, visitor_id=visitor_id, person=person, company=company)

    async def send_email_code(self, principal: Principal) -> None:
        """Send a new code to the person's own address; earlier ones stop working. Does nothing once it is proven.

        :raises TooManyAttempts: saying when to try again
        """
        now = self._clock.now()
        async with self._db.begin(for_accounts()) as session:
            person = await store.lock_person(session, _person_id(principal))
            if person is not None and person.email_verified_at is None:
                await self._mail_code(session, person, now)

    async def confirm_email_code(self, principal: Principal, code: str) -> OpenedSession:
        """Take the code as proof that the person reads mail at their address; the session goes on under a new secret.

        :raises WrongCode: with the number of attempts left
        :raises CodeExpired: when a new one has to be asked for
        :raises TooManyAttempts: saying when to try again
        """
        refusal: DomainError
        async with self._db.begin(for_accounts()) as session:
            now = self._clock.now()
            browser, person = await self._own_session(session, principal)
            await _allow(session, limits.CODE_BY_ACCOUNT, person.email, now)
            sent = await store.lock_live_code(session, person.id, now)
            if sent is None:
                refusal = CodeExpired("Ask for a new code.")
            elif hmac.compare_digest(sent.secret_sha256, _code_digest(sent.id, re.sub(r"\s", "", code))):
                sent.used_at = now
                person.email_verified_at = now
                return await self._rotate(session, browser, person)
            else:
                sent.attempts += 1
                left = CODE_ATTEMPTS - sent.attempts
                if not left:
                    sent.used_at = now
                refusal = (
                    WrongCode(f"Compare it with the last letter we sent. Attempts left: {left}.", attempts_left=left)
                    if left
                    else CodeExpired("It was tried too often. Ask for a new code.")
                )
        raise refusal  # after the commit, so that the attempt counts

    # -- passwords ---------------------------------------------------------------------------------------------------

    async def request_password_reset(self, email: str, *, address: str) -> None:
        """Send a link if the address has an account. The answer never says whether it has.

        :raises TooManyAttempts: for the caller's address alone
        """
        now = self._clock.now()
        async with self._db.begin(for_accounts()) as session:
            await _allow(session, limits.MAIL_BY_ADDRESS, network(address), now)
            person = await store.find_person_by_email(session, _known_form(email))
            if person is None or await store.count_attempt(session, limits.MAIL_BY_ACCOUNT, person.email, now):
                return
            await store.delete_unused_tokens(session, person.email, TokenPurpose.PASSWORD_RESET)
            token = new_token()
            session.add(
                OneTimeToken(
                    id=new_id(),
                    purpose=TokenPurpose.PASSWORD_RESET,
                    secret_sha256=token_digest(token),
                    email=person.email,
                    person_id=person.id,
                    created_at=now,
                    expires_at=now + lifetimes.PASSWORD_RESET,
                )
            )
            letter = mails.password_reset(
                to=person.email,
                name=person.name,
                locale=person.locale,
                base_url=self._base_url,
                token=token,
                minutes=int(lifetimes.PASSWORD_RESET.total_seconds()) // 60,
            )
            await queue_mail(session, letter, now=now)

    async def reset_password(self, token: str, new_password: str) -> None:
        """Set the password of whoever got the link; all their sessions end. They log in with it next.

        :raises TokenExpired: when a new link has to be asked for
        :raises WeakPassword: the link stays good for another try
        """
        now = self._clock.now()
        async with self._db.begin(for_accounts()) as session:
            sent = await store.find_live_token(session, token, TokenPurpose.PASSWORD_RESET, now)
            person = None if sent is None else await store.find_person(session, sent.person_id)
        if person is None:
            raise TokenExpired("Ask for a new link.")
        check_password(new_password, context=(person.email, person.name))
        password_hash = await self._passwords.hash(new_password)
        async with self._db.begin(for_accounts()) as session:
            sent = await store.lock_live_token(session, token, TokenPurpose.PASSWORD_RESET, now)
            person = None if sent is None else await store.lock_person(session, sent.person_id)
            if sent is None or person is None:
                raise TokenExpired("Ask for a new link.")
            sent.used_at = now
            person.email_verified_at = person.email_verified_at or now
            await self._set_password(session, person, password_hash, now)

    async def change_password(self, principal: Principal, *, current: str, new: str, address: str) -> OpenedSession:
        """Set one's own password; every other session ends, this one goes on under a new secret.

        :raises WrongCredentials: when *current* is wrong
        :raises WeakPassword: saying what is wrong with *new*
        :raises TooManyAttempts: saying when to try again
        """
        _person_id(principal)
        known = await self._identify(principal.email or "", current, address)
        check_password(new, context=(known.email, known.name))
        password_hash = await self._passwords.hash(new)
        async with self._db.begin(for_accounts()) as session:
            browser, _ = await self._own_session(session, principal)
            person = await self._still(session, known)
            await self._set_password(session, person, password_hash, self._clock.now(), but=browser.id)
            return await self._rotate(session, browser, person)

    # -- invitations, seen by the invited ----------------------------------------------------------------------------

    async def find_invitation(self, token: str) -> Invitation:
        """:raises TokenExpired: when a new one has to be asked for"""
        async with self._db.begin(for_accounts()) as session:
            sent = await store.find_live_token(session, token, TokenPurpose.INVITATION, self._clock.now())
            if sent is None or sent.company_id is None or sent.role is None:
                raise TokenExpired("Ask the person who invited you for a new invitation.")
            company = await store.find_company(session, sent.company_id)
            inviter = await store.find_person(session, sent.person_id)
            known = await store.find_person_by_email(session, sent.email)
            return Invitation(
                email=sent.email,
                company_name="" if company is None else company.name,
                inviter_name="" if inviter is None else inviter.name,
                role=sent.role,
                known=known is not None,
                expires_at=sent.expires_at,
            )

    async def accept_invitation(
        self, token: str, *, name: str, password: str, locale: str = "en", visitor_token: str | None, address: str
    ) -> OpenedSession:
        """Join the company and log in. Who has an account already gives its password, and *name* is not used.

        :raises TokenExpired: when a new one has to be asked for
        :raises DetailsRefused: naming every field to mend
        :raises WrongCredentials: when the address has an account and this is not its password
        :raises StaffCannotJoin: when it is one of the merchant's own
        """
        invitation = await self.find_invitation(token)
        now = self._clock.now()
        if invitation.known:
            known = await self._identify(invitation.email, password, address)
            if known.staff_role is not None:
                raise StaffCannotJoin("Ask to be invited under another address.")
        else:
            known = await self._new_person(invitation, name, password, locale, now)
        async with self._db.begin(for_accounts()) as session:
            sent = await store.lock_live_token(session, token, TokenPurpose.INVITATION, now)
            if sent is None or sent.company_id is None or sent.role is None:
                raise TokenExpired("Ask the person who invited you for a new invitation.")
            if invitation.known:
                person = await self._still(session, known)
                person.email_verified_at = person.email_verified_at or now
            elif await store.add_person(session, known):
                person = known
            else:
                raise EmailTaken("Open the link again and give the password of your account.")
            sent.used_at = now
            company = await store.lock_company(session, sent.company_id)
            if await store.find_membership(session, sent.company_id, person.id) is None:
                session.add(
                    Membership(
                        company_id=sent.company_id, person_id=person.id, role=sent.role, signatory=False, created_at=now
                    )
                )
                await session.flush()
            visitor_id = await self._end_visit(session, visitor_token, person.id)
            return await self._open(session, visitor_id=visitor_id, person=person, company=company)

    # -- below ---------------------------------------------------------------------------------------------------------

    async def _identify(self, email: str, password: str, address: str) -> Person:
        """Return the person whose password this is. The attempt counts before the password is looked at."""
        now, account = self._clock.now(), email.strip().lower()
        async with self._db.begin(for_accounts()) as session:
            await _allow(session, limits.LOG_IN_BY_ACCOUNT, account, now)
            await _allow(session, limits.LOG_IN_BY_ADDRESS, network(address), now)
            person = await store.find_person_by_email(session, _known_form(email))
        right = await self._passwords.verify(password, None if person is None else person.password_hash)
        if person is None or not right:
            raise WrongCredentials("Check both, or ask for a new password.")
        async with self._db.begin(for_accounts()) as session:
            await store.forgive_attempts(session, limits.LOG_IN_BY_ACCOUNT, account)
            await store.forgive_attempt(session, limits.LOG_IN_BY_ADDRESS, network(address))
        return person

    async def _still(self, session: AsyncSession, known: Person) -> Person:
        """Lock the person whose password was just checked, unless it was changed meanwhile."""
        person = await store.lock_person(session, known.id)
        if person is None or person.password_hash != known.password_hash:
            raise WrongCredentials("The password was changed meanwhile. Use the new one.")
        return person

    async def _new_person(self, invitation: Invitation, name: str, password: str, locale: str, now: datetime) -> Person:
        form = Form()
        clean_name = form.check("name", check_name, name)
        form.check("password", check_password, password, context=(invitation.email, name, invitation.company_name))
        form.refuse()
        assert clean_name
        return Person(
            id=new_id(),
            email=invitation.email,
            name=clean_name,
            locale=check_locale(locale),
            password_hash=await self._passwords.hash(password),
            email_verified_at=now,
            created_at=now,
        )

    async def _set_password(
        self, session: AsyncSession, person: Person, password_hash: str, now: datetime, *, but: uuid.UUID | None = None
    ) -> None:
        person.password_hash = password_hash
        await store.delete_unused_tokens(session, person.email, TokenPurpose.PASSWORD_RESET)
        await store.delete_sessions_of(session, person.id, but=but)
        await store.forgive_attempts(session, limits.LOG_IN_BY_ACCOUNT, person.email)
        letter = mails.password_changed(
            to=person.email, name=person.name, locale=person.locale, base_url=self._base_url
        )
        await queue_mail(session, letter, now=now)

    async def _mail_code(self, session: AsyncSession, person: Person, now: datetime) -> None:
        await _allow(session, limits.MAIL_BY_ACCOUNT, person.email, now)
        await store.delete_unused_tokens(session, person.email, TokenPurpose.EMAIL_CODE)
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        token_id = new_id()
        session.add(
            OneTimeToken(
                id=token_id,
                purpose=TokenPurpose.EMAIL_CODE,
                secret_sha256=_code_digest(token_id, code),
                email=person.email,
                person_id=person.id,
                created_at=now,
                expires_at=now + lifetimes.EMAIL_CODE,
            )
        )
        minutes = int(lifetimes.EMAIL_CODE.total_seconds()) // 60
        letter = mails.email_code(to=person.email, name=person.name, locale=person.locale, code=code, minutes=minutes)
        await queue_mail(session, letter, now=now)

    async def _own_session(self, session: AsyncSession, principal: Principal) -> tuple[BrowserSession, Person]:
        """:raises LogInRequired: when the principal's session ended meanwhile, or nobody is logged in"""
        person = await store.lock_person(session, _person_id(principal))
        browser = (
            None
            if principal.session_id is None
            else await store.lock_session(session, principal.session_id, self._clock.now())
        )
        if person is None or browser is None:
            raise LogInRequired("Your session has ended. Log in again.")
        return browser, person

    async def _end_visit(self, session: AsyncSession, token: str | None, person_id: uuid.UUID) -> uuid.UUID:
        """End the session that was there before a log-in and return the journey to go on with.

        Somebody else's log-in, left open in the same browser, hands nothing on.
        """
        browser = await store.lock_live_session(session, token, self._clock.now()) if token else None
        if browser is None:
            return new_id()
        await store.delete_session(session, browser.id)
        return browser.visitor_id if browser.person_id in {None, person_id} else new_id()

    async def _open(
        self, session: AsyncSession, *, visitor_id: uuid.UUID, person: Person | None, company: Company | None
    ) -> OpenedSession:
        now, token = self._clock.now(), new_token()
        browser = BrowserSession(
            id=new_id(),
            token_sha256=token_digest(token),
            visitor_id=visitor_id,
            person_id=None if person is None else person.id,
            company_id=None if company is None else company.id,
            created_at=now,
            seen_at=now,
            expires_at=lifetimes.session_lifetime(person).expiry(now, now),
        )
        session.add(browser)
        await session.flush()
        return await self._opened(session, token, browser, person)

    async def _rotate(self, session: AsyncSession, browser: BrowserSession, person: Person) -> OpenedSession:
        """Give the session a new secret; its absolute end stays where it was."""
        token = new_token()
        browser.token_sha256 = token_digest(token)
        await session.flush()
        return await self._opened(session, token, browser, person)

    async def _opened(
        self, session: AsyncSession, token: str, browser: BrowserSession, person: Person | None
    ) -> OpenedSession:
        company = membership = None
        if person is not None and browser.company_id is not None:
            company = await store.find_company(session, browser.company_id)
            membership = await store.find_membership(session, browser.company_id, person.id)
        return OpenedSession(token, of_session(browser, person, membership, company))


async def _allow(session: AsyncSession, limit: Limit, subject: str, now: datetime) -> None:
    retry_at = await store.count_attempt(session, limit, subject, now)
    if retry_at is not None:
        raise TooManyAttempts(retry_at, now)


def _person_id(principal: Principal) -> uuid.UUID:
    if principal.person_id is None:
        raise LogInRequired("Log in to go on.")
    return principal.person_id


def _known_form(email: str) -> str:
    """The form under which an address would be stored; what cannot be one belongs to nobody."""
    try:
        return check_email(email)
    except DomainError:
        return ""


def _code_digest(token_id: uuid.UUID, code: str) -> bytes:
    """Bound to its row, so that equal codes of two people differ."""
    return hashlib.sha256(token_id.bytes + code.encode("utf-8", "surrogatepass")).digest()


def _self_registered(
    name: str, country: str, tax_id: TaxId, *, currency: str, merchant_country: str, now: datetime
) -> Company:
    """A company nobody has looked at: without segments, and under a code no price file can mean."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:24].rstrip("-") or "company"
    return Company(
        id=new_id(),
        code=f"{slug}-{secrets.token_hex(4)}",
        name=name,
        country=country,
        tax_id=tax_id.text,
        tax_id_check=tax_id.check,
        tax_status=tax_status(country, tax_id, merchant_country=merchant_country),
        currency=currency,
        segments=[],
        self_registered=True,
        created_at=now,
    )
