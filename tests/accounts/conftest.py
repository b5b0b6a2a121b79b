"""The cast: Acme signs itself up, Globex is a stranger staff made, finance and support sell."""

import re
import uuid

import msgspec
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from accounts.key_service import ApiKeys
from accounts.member_service import Members
from accounts.model import Company, MemberRole, Merchant, StaffRole
from accounts.passwords import Passwords
from accounts.principal import Principal
from accounts.service import Accounts, OpenedSession
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_staff
from kernel.mail import OutgoingMail

PASSWORD = "tidy-anvil-parade"
OFFICE = "192.0.2.7"


def merchant() -> Merchant:
    return Merchant(
        legal_name="Tarifa Industrial, S.L.",
        trade_name="Tarifa Industrial",
        address={"street": "Calle de la Forja 12", "postal_code": "50014", "city": "Zaragoza", "region": "Zaragoza"},
        country="ES",
        tax_id="ESB12345674",
        email="shop@tarifa.example",
        phone="+34 976 000 000",
        support_hours="Mon-Fri 8:00-18:00",
    )


class Letters:
    """The outbox, as its readers see it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def all(self, kind: str) -> list[OutgoingMail]:
        async with self._db.begin(for_staff()) as session:
            query = sa.select(OutgoingMail).where(OutgoingMail.kind == kind).order_by(OutgoingMail.id)
            return list(await session.scalars(query))

    async def last(self, kind: str) -> OutgoingMail:
        return (await self.all(kind))[-1]

    async def code(self) -> str:
        return str(re.findall(r"\b[0-9]{6}\b", (await self.last("email_code")).text)[0])

    async def token(self, kind: str) -> str:
        return str(re.findall(r"token=([\w-]+)", (await self.last(kind)).text)[0])


class Cast(msgspec.Struct):
    """Shorthand for arranging."""

    accounts: Accounts
    members: Members
    letters: Letters

    async def sign_up(self, email: str = "buyer@acme.example", **changes: object) -> OpenedSession:
        details: dict[str, object] = {
            "email": email,
            "password": PASSWORD,
            "name": "Acme Buyer",
            "company_name": "Acme Tools",
            "country": "ES",
            "token": None,
            "address": OFFICE,
        }
        return await self.accounts.sign_up(**(details | changes))  # type: ignore[arg-type]  # each test changes what it is about

    async def proven_admin(self, email: str = "buyer@acme.example", **changes: object) -> OpenedSession:
        signed_up = await self.sign_up(email, **changes)
        return await self.accounts.confirm_email_code(signed_up.principal, await self.letters.code())

    async def log_in(self, email: str, password: str = PASSWORD, *, token: str | None = None) -> OpenedSession:
        return await self.accounts.log_in(email=email, password=password, token=token, address=OFFICE)

    async def company(self, code: str = "globex") -> Company:
        return await self.members.create_company(code=code, name=code.title(), country="DE", segments=["wholesale"])

    async def member(self, company_id: uuid.UUID, email: str, role: MemberRole = MemberRole.BUYER) -> Principal:
        await self.members.create_member(company_id, email=email, name=f"The {role}", password=PASSWORD, role=role)
        return (await self.log_in(email)).principal

    async def staff(self, role: StaffRole = StaffRole.SUPPORT) -> Principal:
        email = f"{role}@tarifa.example"
        await self.members.create_staff(email=email, name=f"The {role}", password=PASSWORD, role=role)
        return (await self.log_in(email)).principal


@pytest.fixture(scope="session")
def passwords() -> Passwords:
    """As in production, but cheap: no test measures Argon2's strength."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def installed(database: Database) -> Database:
    """The test's database with the seller's details in it."""
    async with database.begin(for_accounts()) as session:
        session.add(merchant())
    return database


@pytest.fixture
def accounts(installed: Database, clock: FixedClock, passwords: Passwords) -> Accounts:
    return Accounts(installed, clock, passwords, base_url="https://shop.example")


@pytest.fixture
def members(installed: Database, clock: FixedClock, passwords: Passwords) -> Members:
    return Members(installed, clock, passwords, base_url="https://shop.example")


@pytest.fixture
def keys(database: Database, clock: FixedClock) -> ApiKeys:
    return ApiKeys(database, clock)


@pytest.fixture
def letters(database: Database) -> Letters:
    return Letters(database)


@pytest.fixture
def cast(accounts: Accounts, members: Members, letters: Letters) -> Cast:
    return Cast(accounts, members, letters)
