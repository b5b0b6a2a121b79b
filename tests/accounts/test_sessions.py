"""Log-in and what a browser is recognised by."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts import lifetimes
from accounts.details import NameRefused
from accounts.limits import LOG_IN_BY_ACCOUNT, LOG_IN_BY_ADDRESS, TooManyAttempts
from accounts.model import Authority, BrowserSession, MemberRole, Person, StaffRole
from accounts.passwords import Passwords
from accounts.principal import PrincipalKind
from accounts.service import Accounts, LogInRequired, NoCompany, WrongCredentials
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_company, for_staff, for_visitor
from kernel.errors import NotFound
from kernel.ids import new_token, token_digest
from tests.accounts.conftest import OFFICE, PASSWORD, Cast


async def count_sessions(database: Database) -> int:
    async with database.begin(for_accounts()) as session:
        return (await session.execute(sa.select(sa.func.count()).select_from(BrowserSession))).scalar_one()


async def test_a_visitor_without_a_cookie_is_recognised_as_nobody_and_stored_nowhere(
    accounts: Accounts, database: Database
) -> None:
    first, second = await accounts.authenticate(None), await accounts.authenticate("")

    assert first.kind is PrincipalKind.VISITOR
    assert first.session_id is None
    assert first.visitor_id != second.visitor_id
    assert first.db_scope() == for_visitor()
    assert await count_sessions(database) == 0


async def test_a_stored_visitor_keeps_the_journey_made_up_at_first_sight(accounts: Accounts) -> None:
    seen = await accounts.authenticate(None)
    opened = await accounts.start_visitor_session(seen.visitor_id)

    again = await accounts.authenticate(opened.token)

    assert again == opened.principal
    assert again.visitor_id == seen.visitor_id
    assert again.session_id is not None


async def test_a_token_not_made_here_opens_nothing_and_is_not_adopted(accounts: Accounts, cast: Cast) -> None:
    await cast.sign_up()
    for token in ("chosen-by-an-attacker", new_token(), "\x00", "ñ\udc80", "a" * 100_000):
        principal = await accounts.authenticate(token)
        opened = await cast.log_in("buyer@acme.example", token=token)

        assert principal.kind is PrincipalKind.VISITOR
        assert principal.session_id is None
        assert opened.token != token
        assert (await accounts.authenticate(token)).kind is PrincipalKind.VISITOR


async def test_log_in_rotates_the_secret_and_keeps_the_journey(accounts: Accounts, cast: Cast) -> None:
    await cast.sign_up()
    visitor = await accounts.start_visitor_session()

    opened = await cast.log_in("buyer@acme.example", token=visitor.token)

    assert opened.token != visitor.token
    assert opened.principal.visitor_id == visitor.principal.visitor_id
    assert opened.principal.session_id != visitor.principal.session_id
    assert (await accounts.authenticate(visitor.token)).session_id is None, "the visitor's secret is dead"
    assert await accounts.authenticate(opened.token) == opened.principal


async def test_logging_in_over_somebody_elses_open_session_starts_another_journey(
    accounts: Accounts, cast: Cast
) -> None:
    first = await cast.sign_up("buyer@acme.example")
    await cast.sign_up("other@acme.example")

    second = await cast.log_in("other@acme.example", token=first.token)

    assert second.principal.visitor_id != first.principal.visitor_id
    assert (await accounts.authenticate(first.token)).kind is PrincipalKind.VISITOR


async def test_a_principal_says_all_that_pricing_and_checkout_ask(cast: Cast) -> None:
    company = await cast.company("globex")
    principal = await cast.member(company.id, "buyer@globex.example", MemberRole.APPROVER)

    assert principal.kind is PrincipalKind.MEMBER
    assert principal.company is not None
    assert principal.company.code == "globex"
    assert principal.company.segments == ("wholesale",)
    assert principal.role is MemberRole.APPROVER
    assert principal.email_verified
    assert not principal.signatory
    assert principal.db_scope() == for_company(company.id)


async def test_staff_log_in_by_the_same_door(cast: Cast) -> None:
    principal = await cast.staff(StaffRole.FINANCE)

    assert principal.kind is PrincipalKind.STAFF
    assert principal.staff_role is StaffRole.FINANCE
    assert principal.company is None
    assert principal.db_scope() == for_staff()


async def test_an_unknown_email_and_a_wrong_password_get_the_same_answer_after_the_same_work(cast: Cast) -> None:
    await cast.sign_up()

    with pytest.raises(WrongCredentials) as wrong:
        await cast.log_in("buyer@acme.example", "not-this-password")
    with pytest.raises(WrongCredentials) as unknown:
        await cast.log_in("nobody@acme.example", "not-this-password")
    with pytest.raises(WrongCredentials) as malformed:
        await cast.log_in("no address\x00", "not-this-password")

    assert wrong.value.message == unknown.value.message == malformed.value.message
    assert wrong.value.extra == unknown.value.extra == malformed.value.extra


async def test_without_a_stored_hash_a_password_is_checked_against_one_all_the_same() -> None:
    checked: list[str] = []

    class Watched(Passwords):
        def _verify(self, password: str, stored: str) -> bool:
            checked.append(stored)
            return super()._verify(password, stored)

    hashing = Watched()
    assert not await hashing.verify("the password of nobody", None), "though it is the one that was hashed"
    assert len(checked) == 1
    assert checked[0].startswith("$argon2id$")


async def test_an_account_takes_ten_guesses_and_then_says_when_to_come_back(cast: Cast, clock: FixedClock) -> None:
    await cast.sign_up()
    for _ in range(LOG_IN_BY_ACCOUNT.count):
        with pytest.raises(WrongCredentials):
            await cast.log_in("buyer@acme.example", "not-this-password")

    clock.advance(minutes=5)
    with pytest.raises(TooManyAttempts, match="in 10 minutes") as refused:
        await cast.log_in("Buyer@Acme.example", PASSWORD)
    assert refused.value.retry_after_seconds == 600
    assert refused.value.status == 429

    clock.advance(minutes=10)
    assert (await cast.log_in("buyer@acme.example")).principal.email == "buyer@acme.example"


async def test_guesses_at_once_are_each_counted(cast: Cast) -> None:
    await cast.sign_up()

    outcomes = await asyncio.gather(
        *(cast.log_in("buyer@acme.example", f"not-this-password-{n}") for n in range(16)), return_exceptions=True
    )

    kinds = [type(outcome) for outcome in outcomes]
    assert kinds.count(WrongCredentials) == LOG_IN_BY_ACCOUNT.count
    assert kinds.count(TooManyAttempts) == 16 - LOG_IN_BY_ACCOUNT.count


async def test_an_address_that_tries_many_accounts_is_stopped_but_right_log_ins_do_not_count(
    cast: Cast, accounts: Accounts
) -> None:
    await cast.sign_up()
    for _ in range(3):
        await cast.log_in("buyer@acme.example")
    for n in range(LOG_IN_BY_ADDRESS.count):
        with pytest.raises(WrongCredentials):
            await cast.log_in(f"guess{n}@acme.example", "not-this-password")

    with pytest.raises(TooManyAttempts):
        await cast.log_in("buyer@acme.example")
    elsewhere = await accounts.log_in(email="buyer@acme.example", password=PASSWORD, token=None, address="198.51.100.1")
    assert elsewhere.principal.kind is PrincipalKind.MEMBER


async def test_a_right_log_in_forgives_the_guesses_before_it(cast: Cast) -> None:
    await cast.sign_up()
    for _ in range(3):
        for _ in range(LOG_IN_BY_ACCOUNT.count - 1):
            with pytest.raises(WrongCredentials):
                await cast.log_in("buyer@acme.example", "not-this-password")
        await cast.log_in("buyer@acme.example")


async def test_a_hash_of_older_costs_is_renewed_at_log_in(cast: Cast, database: Database) -> None:
    await cast.sign_up()
    dear = Accounts(database, cast.accounts._clock, Passwords(), base_url="https://shop.example")

    await dear.log_in(email="buyer@acme.example", password=PASSWORD, token=None, address=OFFICE)

    async with database.begin(for_accounts()) as session:
        stored = (await session.scalars(sa.select(Person.password_hash))).one()
    assert "m=65536,t=3,p=4" in stored
    assert (await cast.log_in("buyer@acme.example")).principal.email == "buyer@acme.example"


async def test_a_person_sets_their_own_name_and_language(accounts: Accounts, cast: Cast) -> None:
    opened = await cast.sign_up()

    changed = await accounts.change_details(opened.principal, name=" Acme  Purchasing ", locale="es")

    assert (changed.name, changed.locale) == ("Acme Purchasing", "es")
    assert await accounts.authenticate(opened.token) == changed
    with pytest.raises(NameRefused):
        await accounts.change_details(opened.principal, name="", locale="es")


async def test_a_password_changed_while_the_old_one_is_checked_wins(
    cast: Cast, accounts: Accounts, database: Database, clock: FixedClock, passwords: Passwords
) -> None:
    victim = await cast.sign_up()

    class Slow(Passwords):
        async def verify(self, password: str, stored: str | None) -> bool:
            right = await passwords.verify(password, stored)
            await accounts.change_password(
                victim.principal, current=PASSWORD, new="seven-copper-spoons", address=OFFICE
            )
            return right

    slow = Accounts(database, clock, Slow(passwords._hasher), base_url="https://shop.example")

    with pytest.raises(WrongCredentials, match="changed meanwhile"):
        await slow.log_in(email="buyer@acme.example", password=PASSWORD, token=None, address=OFFICE)


async def test_log_out_ends_the_session_and_the_journey(accounts: Accounts, cast: Cast) -> None:
    opened = await cast.sign_up()

    await accounts.log_out(opened.token)
    await accounts.log_out(opened.token)

    after = await accounts.authenticate(opened.token)
    assert after.kind is PrincipalKind.VISITOR
    assert after.visitor_id != opened.principal.visitor_id


async def test_a_session_slides_with_use_up_to_its_absolute_end(
    accounts: Accounts, cast: Cast, clock: FixedClock
) -> None:
    await cast.staff(StaffRole.ADMIN)
    await cast.sign_up()
    moment = timedelta(seconds=1)
    for who, lifetime in (
        ("visitor", lifetimes.VISITOR),
        ("buyer@acme.example", lifetimes.MEMBER),
        ("admin@tarifa.example", lifetimes.STAFF),
    ):
        opened = await (accounts.start_visitor_session() if who == "visitor" else cast.log_in(who))
        began = clock.now()
        while clock.now() + lifetime.idle - moment < began + lifetime.absolute:
            clock.set(clock.now() + lifetime.idle - moment)
            assert (await accounts.authenticate(opened.token)).session_id is not None, (who, clock.now() - began)
        clock.set(began + lifetime.absolute - moment)
        assert (await accounts.authenticate(opened.token)).session_id is not None, who
        clock.set(began + lifetime.absolute)
        assert (await accounts.authenticate(opened.token)).session_id is None, who


async def test_a_session_ends_when_it_is_not_used(accounts: Accounts, cast: Cast, clock: FixedClock) -> None:
    opened = await cast.sign_up()

    clock.set(clock.now() + lifetimes.MEMBER.idle)

    assert (await accounts.authenticate(opened.token)).session_id is None


async def test_use_is_written_at_most_once_a_minute(
    accounts: Accounts, cast: Cast, clock: FixedClock, database: Database
) -> None:
    opened = await cast.sign_up()
    opened_at = clock.now()

    async def seen_at() -> object:
        async with database.begin(for_accounts()) as session:
            return (await session.scalars(sa.select(BrowserSession.seen_at))).one()

    clock.advance(seconds=59)
    await accounts.authenticate(opened.token)
    assert await seen_at() == opened_at
    clock.advance(seconds=1)
    await accounts.authenticate(opened.token)
    assert await seen_at() == clock.now()


async def test_no_secret_is_stored_or_printed(cast: Cast, database: Database) -> None:
    opened = await cast.sign_up()

    async with database.begin(for_accounts()) as session:
        row = (await session.scalars(sa.select(BrowserSession))).one()
        person = (await session.scalars(sa.select(Person))).one()
    assert row.token_sha256 == token_digest(opened.token)
    for text in (repr(opened), repr(row), repr(person)):
        assert opened.token not in text
        assert PASSWORD not in text
        assert "argon2" not in text
        assert repr(row.token_sha256) not in text


async def test_choosing_another_company_takes_a_new_secret_and_keeps_the_absolute_end(
    accounts: Accounts, cast: Cast, clock: FixedClock, database: Database
) -> None:
    company = await cast.company("globex")
    acme = await cast.proven_admin("consultant@acme.example")
    clock.advance(minutes=1)
    boss = await cast.member(company.id, "admin@globex.example", MemberRole.ADMIN)
    await cast.members.invite(boss, "consultant@acme.example", MemberRole.BUYER)
    joined = await accounts.accept_invitation(
        await cast.letters.token("invitation"), name="", password=PASSWORD, visitor_token=acme.token, address=OFFICE
    )
    assert joined.principal.company_id == company.id
    clock.advance(hours=1)

    back = await accounts.choose_company(joined.principal, acme.principal.company_id or company.id)

    assert back.principal.company_id == acme.principal.company_id
    assert back.principal.authority is Authority.SELF_DECLARED
    assert (await accounts.authenticate(joined.token)).session_id is None
    assert [row.id for row in await accounts.list_companies(back.principal)] == [
        acme.principal.company_id,
        company.id,
    ]
    async with database.begin(for_accounts()) as session:
        row = (
            await session.scalars(sa.select(BrowserSession).where(BrowserSession.id == back.principal.session_id))
        ).one()
    assert row.created_at == clock.now() - timedelta(hours=1)


async def test_a_company_one_does_not_belong_to_answers_as_a_missing_one(accounts: Accounts, cast: Cast) -> None:
    globex = await cast.company("globex")
    acme = await cast.sign_up()

    with pytest.raises(NotFound) as foreign:
        await accounts.choose_company(acme.principal, globex.id)
    with pytest.raises(NotFound) as missing:
        await accounts.choose_company(acme.principal, acme.principal.visitor_id)

    assert foreign.value.message == missing.value.message


async def test_what_needs_a_log_in_says_so(accounts: Accounts, cast: Cast) -> None:
    visitor = await accounts.authenticate(None)
    opened = await cast.sign_up()
    await accounts.log_out(opened.token)

    with pytest.raises(LogInRequired):
        await accounts.list_companies(visitor)
    with pytest.raises(LogInRequired):
        await accounts.confirm_email_code(opened.principal, "000000")


async def test_whoever_was_removed_from_their_last_company_is_told_so(cast: Cast) -> None:
    company = await cast.company("globex")
    boss = await cast.member(company.id, "admin@globex.example", MemberRole.ADMIN)
    buyer = await cast.member(company.id, "buyer@globex.example")
    assert buyer.person_id is not None
    await cast.members.remove_member(boss, buyer.person_id)

    with pytest.raises(NoCompany):
        await cast.log_in("buyer@globex.example")


async def test_what_expired_is_deleted_and_nothing_else(
    accounts: Accounts, cast: Cast, clock: FixedClock, database: Database
) -> None:
    await cast.sign_up()
    await accounts.start_visitor_session()
    clock.set(clock.now() + lifetimes.MEMBER.idle)

    await accounts.delete_expired()

    assert await count_sessions(database) == 1, "the visitor's lives on"
