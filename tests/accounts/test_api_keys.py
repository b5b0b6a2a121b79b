"""API keys: made, shown once, admitted, changed over, revoked."""

import asyncio
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.details import NameRefused
from accounts.key_service import ApiKeys, KeyRefused, NoSuchKey, TooManyKeys, UnknownScope
from accounts.keys import PresentedKey
from accounts.member_service import EmailNotVerified, NotAllowed
from accounts.model import ApiKey, KeyScope, MemberRole
from accounts.principal import Principal, PrincipalKind
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_company
from tests.accounts.conftest import Cast


@pytest.fixture
async def admin(cast: Cast) -> Principal:
    company = await cast.company()
    return await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)


async def stored(database: Database) -> ApiKey:
    async with database.begin(for_accounts()) as session:
        return (await session.scalars(sa.select(ApiKey))).one()


async def test_a_key_speaks_for_its_company_within_its_scopes(
    keys: ApiKeys, admin: Principal, database: Database
) -> None:
    row, text = await keys.create_api_key(admin, name=" feed ", scopes=["prices:read", "quotes:create"])

    principal = await keys.authenticate_key(text)

    assert principal.kind is PrincipalKind.PARTNER
    assert principal.company == admin.company
    assert principal.scopes == {KeyScope.PRICES_READ, KeyScope.QUOTES_CREATE}
    assert principal.key_id == row.key_id
    assert principal.visitor_id == row.id
    assert principal.person_id is None
    assert principal.db_scope() == for_company(row.company_id)
    kept = await stored(database)
    assert kept.name == "feed"
    assert kept.secret_sha256 == PresentedKey(row.key_id, text[17:60]).secret_sha256
    assert text[17:60] not in repr(kept)


async def test_a_key_that_cannot_be_one_is_refused_without_a_database(clock: FixedClock) -> None:
    keys = ApiKeys(Database.connect("postgresql://nobody@127.0.0.1:1/none"), clock)

    for text in ("", "trf_", "Bearer x", "\x00", PresentedKey.make().text[:-1] + "!"):
        with pytest.raises(KeyRefused) as refused:
            await keys.authenticate_key(text)
        assert refused.value.extra == {"reason": "malformed"}
        assert refused.value.status == 401


async def test_an_unknown_key_and_a_wrong_secret_get_one_answer(keys: ApiKeys, admin: Principal) -> None:
    row, _ = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    await keys.revoke_api_key(admin, row.key_id)

    answers = []
    for key in (PresentedKey.make(), PresentedKey(row.key_id, PresentedKey.make().secret)):
        with pytest.raises(KeyRefused) as refused:
            await keys.authenticate_key(key.text)
        answers.append((refused.value.message, refused.value.extra))
    assert answers[0] == answers[1]


async def test_a_key_expires_and_can_be_revoked(keys: ApiKeys, admin: Principal, clock: FixedClock) -> None:
    _, short = await keys.create_api_key(admin, name="short", scopes=["prices:read"], lifetime=timedelta(days=1))
    row, long = await keys.create_api_key(admin, name="long", scopes=["prices:read"], lifetime=timedelta(days=9999))
    assert row.expires_at == clock.now() + timedelta(days=365)
    clock.advance(days=1)

    with pytest.raises(KeyRefused, match="2026-11-22") as expired:
        await keys.authenticate_key(short)
    assert expired.value.extra == {"reason": "expired"}
    await keys.authenticate_key(long)
    first = await keys.revoke_api_key(admin, row.key_id)
    clock.advance(days=1)
    again = await keys.revoke_api_key(admin, row.key_id)
    assert first.revoked_at == again.revoked_at
    with pytest.raises(KeyRefused, match="revoked on 2026-11-22"):
        await keys.authenticate_key(long)


async def test_two_keys_of_a_name_live_beside_each_other_and_no_third(
    keys: ApiKeys, admin: Principal, clock: FixedClock
) -> None:
    outcomes = await asyncio.gather(
        *(keys.create_api_key(admin, name="feed", scopes=["prices:read"]) for _ in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(TooManyKeys) == 3
    await keys.create_api_key(admin, name="orders", scopes=["orders:read"])

    oldest = next(key for key in await keys.list_api_keys(admin) if key.name == "feed")
    await keys.revoke_api_key(admin, oldest.key_id)
    await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    clock.advance(days=365)
    await keys.create_api_key(admin, name="feed", scopes=["prices:read"])


async def test_last_use_is_written_at_most_once_a_minute(
    keys: ApiKeys, admin: Principal, clock: FixedClock, database: Database
) -> None:
    _, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    used: list[datetime | None] = []
    for seconds in (0, 59, 1):
        clock.advance(seconds=seconds)
        await keys.authenticate_key(text)
        used.append((await stored(database)).used_at)

    assert used[0] == used[1]
    assert used[2] == clock.now()


async def test_a_record_kept_for_a_while_writes_no_more_often(
    keys: ApiKeys, admin: Principal, clock: FixedClock, database: Database
) -> None:
    _, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    key = PresentedKey.parse(text)
    assert key is not None
    record = await keys.find_record(key.key_id)
    assert record is not None
    await keys._note_use(record, clock.now())
    first = (await stored(database)).used_at

    clock.advance(seconds=30)
    await keys._note_use(record, clock.now())

    assert (await stored(database)).used_at == first


async def test_scopes_and_names_are_checked(keys: ApiKeys, admin: Principal) -> None:
    for scopes in ([], ["prices:write"], ["prices:read", ""]):
        with pytest.raises(UnknownScope, match="prices:read"):
            await keys.create_api_key(admin, name="feed", scopes=scopes)
    with pytest.raises(NameRefused):
        await keys.create_api_key(admin, name=" ", scopes=["prices:read"])


async def test_only_proven_admins_make_keys_and_only_of_their_own_company(
    keys: ApiKeys, admin: Principal, cast: Cast
) -> None:
    assert admin.company is not None
    row, _ = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    buyer = await cast.member(admin.company.id, "buyer@globex.example")
    unproven = (await cast.sign_up("boss@acme.example")).principal
    acme = (await cast.proven_admin("admin@acme.example")).principal

    with pytest.raises(NotAllowed):
        await keys.create_api_key(buyer, name="feed", scopes=["prices:read"])
    with pytest.raises(EmailNotVerified):
        await keys.create_api_key(unproven, name="feed", scopes=["prices:read"])
    assert await keys.list_api_keys(acme) == []
    with pytest.raises(NoSuchKey):
        await keys.revoke_api_key(acme, row.key_id)


async def test_a_partner_makes_no_keys(keys: ApiKeys, admin: Principal) -> None:
    _, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    partner = await keys.authenticate_key(text)

    with pytest.raises(NotAllowed):
        await keys.create_api_key(partner, name="more", scopes=["prices:read"])


async def test_support_makes_a_key_for_a_company(keys: ApiKeys, admin: Principal, cast: Cast) -> None:
    staff = await cast.staff()

    _, text = await keys.create_api_key(staff, name="feed", scopes=["prices:read"], company_id=admin.company_id)

    assert (await keys.authenticate_key(text)).company == admin.company
