"""Sign-up inside checkout, proving an e-mail, passwords forgotten and changed."""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from accounts import lifetimes
from accounts.details import DetailsRefused
from accounts.limits import CODE_BY_ACCOUNT, MAIL_BY_ACCOUNT, MAIL_BY_ADDRESS, SIGN_UP_BY_ADDRESS, TooManyAttempts
from accounts.model import Authority, Company, MemberRole, Merchant, OneTimeToken, Person, TaxIdCheck, TaxStatus
from accounts.passwords import WeakPassword
from accounts.principal import PrincipalKind
from accounts.service import (
    CODE_ATTEMPTS,
    Accounts,
    CodeExpired,
    EmailTaken,
    LogInRequired,
    TokenExpired,
    WrongCode,
    WrongCredentials,
)
from accounts.store import MerchantMissing
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts
from tests.accounts.conftest import OFFICE, PASSWORD, Cast, Letters

NEW_PASSWORD = "seven-copper-spoons"


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


async def test_a_new_company_is_made_logged_in_and_sent_a_code_in_one_step(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    visitor = await accounts.start_visitor_session()

    opened = await cast.sign_up(" Buyer@ACME.example ", token=visitor.token, tax_id="B12345674", locale="es")

    principal = opened.principal
    assert principal.kind is PrincipalKind.MEMBER
    assert principal.email == "buyer@acme.example"
    assert not principal.email_verified
    assert principal.visitor_id == visitor.principal.visitor_id, "the cart follows"
    assert principal.role is MemberRole.ADMIN
    assert principal.signatory
    assert principal.authority is Authority.SELF_DECLARED
    assert principal.signing_limit is None
    assert principal.company is not None
    assert principal.company.tax_id == "ESB12345674"
    assert principal.company.segments == ()
    assert principal.company.currency == "EUR"
    assert await accounts.authenticate(opened.token) == principal
    letter = await letters.last("email_code")
    assert letter.recipient == "buyer@acme.example"
    assert letter.subject.startswith("Su código: ")


async def test_nobody_can_sign_up_under_a_code_that_price_files_may_mean(cast: Cast, database: Database) -> None:
    first = await cast.sign_up("a@acme.example", company_name="Globex")
    second = await cast.sign_up("b@acme.example", company_name="Globex")
    third = await cast.sign_up("c@acme.example", company_name="鋼鉄 !")

    codes = [opened.principal.company.code for opened in (first, second, third) if opened.principal.company]
    assert len(set(codes)) == 3
    assert "globex" not in codes
    assert codes[0].startswith("globex-")
    assert codes[2].startswith("company-")
    async with database.begin(for_accounts()) as session:
        assert set(await session.scalars(sa.select(Company.self_registered))) == {True}


async def test_the_check_of_the_tax_id_is_stored_with_what_follows_from_it(cast: Cast, database: Database) -> None:
    opened = await cast.sign_up(country="DE", tax_id="136695976")

    assert opened.principal.company is not None
    assert opened.principal.company.tax_id == "DE136695976"
    assert opened.principal.company.tax_status is TaxStatus.REVERSE_CHARGE
    async with database.begin(for_accounts()) as session:
        assert (await session.scalars(sa.select(Company.tax_id_check))).one() is TaxIdCheck.WELL_FORMED


async def test_everything_to_mend_is_said_at_once(cast: Cast, database: Database) -> None:
    with pytest.raises(DetailsRefused) as refused:
        await cast.sign_up(
            "buyer at acme", password="short", name=" ", company_name="x" * 121, country="ES", tax_id="B12345675"
        )

    assert [(error.field, error.problem) for error in refused.value.errors] == [
        ("email", "email-malformed"),
        ("name", "name-refused"),
        ("company_name", "name-refused"),
        ("tax_id", "tax-id-malformed"),
        ("password", "weak-password"),
    ]
    assert all(error.message for error in refused.value.errors)
    async with database.begin(for_accounts()) as session:
        assert not list(await session.scalars(sa.select(Person)))


async def test_what_cannot_be_stored_is_refused_beside_its_field(cast: Cast) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"email": "ñ@acme.example"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "a@acme.example\x00"}, "email"),
        ({"email": "a" * 65 + "@acme.example"}, "email"),
        ({"email": "a@" + "acme." * 60 + "example"}, "email"),
        ({"name": "Nul\x00"}, "name"),
        ({"name": "Half\ud800"}, "name"),
        ({"company_name": ""}, "company_name"),
        ({"country": "XX"}, "country"),
        ({"country": "Spain"}, "country"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"country": "US", "tax_id": "1" * 41}, "tax_id"),
        ({"country": "US", "tax_id": "1\x002"}, "tax_id"),
        ({"password": "Acme-Tools-2026"}, "password"),
        ({"password": "x" * 129}, "password"),
    ]
    for changes, field in cases:
        with pytest.raises(DetailsRefused) as refused:
            await cast.sign_up(**changes)

        assert [error.field for error in refused.value.errors] == [field], changes


async def test_an_address_signs_up_once_even_at_the_same_moment(cast: Cast, database: Database) -> None:
    outcomes = await asyncio.gather(*(cast.sign_up() for _ in range(4)), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken"] * 3 + ["OpenedSession"]
    async with database.begin(for_accounts()) as session:
        assert len(list(await session.scalars(sa.select(Company)))) == 1


async def test_a_taken_address_is_told_to_log_in(cast: Cast) -> None:
    await cast.sign_up()

    with pytest.raises(EmailTaken, match="Log in"):
        await cast.sign_up("BUYER@acme.example")


async def test_a_flood_of_sign_ups_from_one_address_is_stopped(cast: Cast) -> None:
    for n in range(SIGN_UP_BY_ADDRESS.count):
        await cast.sign_up(f"buyer{n}@acme.example")

    with pytest.raises(TooManyAttempts):
        await cast.sign_up("one-more@acme.example")


async def test_an_installation_without_a_merchant_takes_no_sign_up(
    cast: Cast, database: Database, owner_url: str
) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("delete from merchant")

    with pytest.raises(MerchantMissing):
        await cast.sign_up()
    async with database.begin(for_accounts()) as session:
        assert not list(await session.scalars(sa.select(Merchant)))
        assert not list(await session.scalars(sa.select(Person)))


async def test_the_code_proves_the_address_and_rotates_the_session(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    opened = await cast.sign_up()
    code = await letters.code()

    proven = await accounts.confirm_email_code(opened.principal, f" {code[:3]} {code[3:]} ")

    assert proven.principal.email_verified
    assert proven.principal.session_id == opened.principal.session_id
    assert proven.principal.visitor_id == opened.principal.visitor_id
    assert (await accounts.authenticate(opened.token)).session_id is None
    assert await accounts.authenticate(proven.token) == proven.principal


async def test_a_code_takes_five_attempts(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    opened = await cast.sign_up()
    code = await letters.code()
    left = []
    for _ in range(CODE_ATTEMPTS - 1):
        with pytest.raises(WrongCode) as wrong:
            await accounts.confirm_email_code(opened.principal, other_than(code))
        left.append(wrong.value.extra["attempts_left"])
    assert left == [4, 3, 2, 1]
    with pytest.raises(CodeExpired, match="too often"):
        await accounts.confirm_email_code(opened.principal, other_than(code))

    with pytest.raises(CodeExpired):
        await accounts.confirm_email_code(opened.principal, code)
    assert not (await accounts.authenticate(opened.token)).email_verified


async def test_a_days_worth_of_guesses_at_codes_is_limited(
    accounts: Accounts, cast: Cast, letters: Letters, clock: FixedClock
) -> None:
    opened = await cast.sign_up()
    for n in range(CODE_BY_ACCOUNT.count):
        if n and not n % CODE_ATTEMPTS:
            clock.advance(minutes=20)
            await accounts.send_email_code(opened.principal)
        with pytest.raises((WrongCode, CodeExpired)):
            await accounts.confirm_email_code(opened.principal, other_than(await letters.code()))

    await accounts.send_email_code(opened.principal)
    with pytest.raises(TooManyAttempts):
        await accounts.confirm_email_code(opened.principal, await letters.code())


async def test_a_code_expires(accounts: Accounts, cast: Cast, letters: Letters, clock: FixedClock) -> None:
    opened = await cast.sign_up()
    clock.advance(minutes=15)

    with pytest.raises(CodeExpired, match="new code"):
        await accounts.confirm_email_code(opened.principal, await letters.code())


async def test_only_the_newest_code_works(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    opened = await cast.sign_up()
    earlier = await letters.code()
    await accounts.send_email_code(opened.principal)
    later = await letters.code()

    if earlier != later:
        with pytest.raises(WrongCode):
            await accounts.confirm_email_code(opened.principal, earlier)
    assert (await accounts.confirm_email_code(opened.principal, later)).principal.email_verified


async def test_a_code_is_good_for_its_own_person(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    await cast.sign_up("first@acme.example")
    code = await letters.code()
    second = await cast.sign_up("second@acme.example")

    with pytest.raises(WrongCode):
        await accounts.confirm_email_code(second.principal, code if code != await letters.code() else other_than(code))


async def test_whatever_is_typed_for_a_code_is_just_wrong(accounts: Accounts, cast: Cast) -> None:
    for n, typed in enumerate(("", "12345", "1234567", "\u0661" * 6, "\x00", "\ud800", "9" * 10_000)):
        opened = await cast.sign_up(f"buyer{n}@acme.example")
        with pytest.raises(WrongCode):
            await accounts.confirm_email_code(opened.principal, typed)


async def test_codes_are_sent_five_times_an_hour_and_not_once_proven(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    opened = await cast.sign_up()
    for _ in range(MAIL_BY_ACCOUNT.count - 1):
        await accounts.send_email_code(opened.principal)
    with pytest.raises(TooManyAttempts, match="60 minutes"):
        await accounts.send_email_code(opened.principal)

    await accounts.confirm_email_code(opened.principal, await letters.code())
    await accounts.send_email_code(opened.principal)

    assert len(await letters.all("email_code")) == MAIL_BY_ACCOUNT.count


async def test_a_code_entered_twice_at_once_counts_once(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    opened = await cast.sign_up()
    code = await letters.code()

    outcomes = await asyncio.gather(
        *(accounts.confirm_email_code(opened.principal, code) for _ in range(4)), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CodeExpired"] * 3 + ["OpenedSession"]


async def test_a_reset_link_sets_a_password_once_ends_all_sessions_and_proves_the_address(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    opened = await cast.sign_up()
    await accounts.request_password_reset("Buyer@acme.example", address=OFFICE)
    token = await letters.token("password_reset")
    assert "https://shop.example/password-reset?token=" in (await letters.last("password_reset")).text

    await accounts.reset_password(token, NEW_PASSWORD)

    assert (await accounts.authenticate(opened.token)).session_id is None
    with pytest.raises(WrongCredentials):
        await cast.log_in("buyer@acme.example", PASSWORD)
    assert (await cast.log_in("buyer@acme.example", NEW_PASSWORD)).principal.email_verified
    assert (await letters.last("password_changed")).recipient == "buyer@acme.example"
    with pytest.raises(TokenExpired):
        await accounts.reset_password(token, "another-copper-spoon")


async def test_a_reset_link_used_twice_at_once_works_once(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    await cast.sign_up()
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)
    token = await letters.token("password_reset")
    wanted = [f"seven-copper-spoons-{n}" for n in range(4)]

    outcomes = await asyncio.gather(
        *(accounts.reset_password(token, password) for password in wanted), return_exceptions=True
    )

    assert [outcome is None for outcome in outcomes].count(True) == 1
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {TokenExpired}
    winner = wanted[outcomes.index(None)]
    assert (await cast.log_in("buyer@acme.example", winner)).principal.person_id is not None
    assert len(await letters.all("password_changed")) == 1


async def test_a_weak_new_password_leaves_the_link_good(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    await cast.sign_up()
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)
    token = await letters.token("password_reset")

    with pytest.raises(WeakPassword):
        await accounts.reset_password(token, "password-2026")
    await accounts.reset_password(token, NEW_PASSWORD)


async def test_a_reset_link_expires_and_a_newer_one_replaces_it(
    accounts: Accounts, cast: Cast, letters: Letters, clock: FixedClock
) -> None:
    await cast.sign_up()
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)
    first = await letters.token("password_reset")
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)
    second = await letters.token("password_reset")

    with pytest.raises(TokenExpired):
        await accounts.reset_password(first, NEW_PASSWORD)
    clock.set(clock.now() + lifetimes.PASSWORD_RESET)
    with pytest.raises(TokenExpired):
        await accounts.reset_password(second, NEW_PASSWORD)


async def test_asking_for_a_reset_never_says_whether_the_address_is_known(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    await cast.sign_up()
    for n in range(MAIL_BY_ACCOUNT.count + 3):
        for email in ("buyer@acme.example", f"nobody{n}@acme.example", "no address"):
            await accounts.request_password_reset(email, address=f"192.0.2.{n}")

    sent = await letters.all("password_reset")
    assert {letter.recipient for letter in sent} == {"buyer@acme.example"}
    assert len(sent) == MAIL_BY_ACCOUNT.count - 1, "the code at sign-up was the first letter of the hour"


async def test_one_address_cannot_have_many_mails_sent(accounts: Accounts) -> None:
    for n in range(MAIL_BY_ADDRESS.count):
        await accounts.request_password_reset(f"buyer{n}@acme.example", address=OFFICE)

    with pytest.raises(TooManyAttempts):
        await accounts.request_password_reset("buyer@acme.example", address=OFFICE)


async def test_no_token_is_good_for_another_purpose(accounts: Accounts, cast: Cast, letters: Letters) -> None:
    admin = await cast.proven_admin()
    await cast.members.invite(admin.principal, "second@acme.example", MemberRole.BUYER)
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)

    with pytest.raises(TokenExpired):
        await accounts.find_invitation(await letters.token("password_reset"))
    with pytest.raises(TokenExpired):
        await accounts.reset_password(await letters.token("invitation"), NEW_PASSWORD)
    with pytest.raises(TokenExpired):
        await accounts.reset_password(admin.token, NEW_PASSWORD)


async def test_tokens_and_codes_are_stored_by_digest_only(
    accounts: Accounts, cast: Cast, letters: Letters, owner_url: str
) -> None:
    await cast.sign_up()
    await accounts.request_password_reset("buyer@acme.example", address=OFFICE)
    token = await letters.token("password_reset")

    with psycopg.connect(owner_url) as connection:
        connection.execute("set tarifa.scope = 'accounts'")
        rows = connection.execute("select one_time_token::text from one_time_token").fetchall()
    assert len(rows) == 2
    code = await letters.code()
    for (row,) in rows:
        assert token not in row
        assert code not in row.split(",")


async def test_changing_the_password_ends_other_sessions_and_rotates_this_one(
    accounts: Accounts, cast: Cast, letters: Letters
) -> None:
    here, there = await cast.sign_up(), await cast.log_in("buyer@acme.example")

    changed = await accounts.change_password(here.principal, current=PASSWORD, new=NEW_PASSWORD, address=OFFICE)

    assert (await accounts.authenticate(here.token)).session_id is None
    assert (await accounts.authenticate(there.token)).session_id is None
    assert await accounts.authenticate(changed.token) == changed.principal
    assert changed.principal.session_id == here.principal.session_id
    assert (await cast.log_in("buyer@acme.example", NEW_PASSWORD)).principal.person_id == here.principal.person_id
    assert len(await letters.all("password_changed")) == 1


async def test_changing_the_password_needs_the_current_one(accounts: Accounts, cast: Cast) -> None:
    opened = await cast.sign_up()

    with pytest.raises(WrongCredentials):
        await accounts.change_password(opened.principal, current="not-this-one", new=NEW_PASSWORD, address=OFFICE)
    with pytest.raises(WeakPassword):
        await accounts.change_password(opened.principal, current=PASSWORD, new="short", address=OFFICE)
    with pytest.raises(LogInRequired):
        await accounts.change_password(
            await accounts.authenticate(None), current=PASSWORD, new=NEW_PASSWORD, address=OFFICE
        )


async def test_used_and_expired_tokens_go_in_the_end(
    accounts: Accounts, cast: Cast, clock: FixedClock, database: Database
) -> None:
    await cast.sign_up()
    clock.set(clock.now() + timedelta(days=8))

    await accounts.delete_expired()

    async with database.begin(for_accounts()) as session:
        assert not list(await session.scalars(sa.select(OneTimeToken)))
