"""The cast: Acme's signatory buys, Globex is a stranger; the demo documents are in force."""

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.model import Authority, Company, MemberRole, Membership, Merchant, Person, TaxStatus
from accounts.principal import BuyerCompany, Principal, PrincipalKind
from agreements.imports import load_documents
from agreements.model import Acceptance, Presentation
from agreements.service import Agreements
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_staff
from kernel.ids import new_id
from kernel.money import Money
from kernel.signing import Keyring

DEMO_DOCUMENTS = Path(__file__).parents[2] / "sandbox" / "demo_documents"
BOXES = frozenset({"agree", "authority", "business"})
TERMS: dict[str, Any] = {
    "lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "2", "net": "100.00"}],
    "total": "121.00",
    "currency": "EUR",
    "price_root": "sha256:" + "0" * 64,
}
PERSONAL = {"ship_to.name": "Goods-in, Acme", "ship_to.line1": "Calle del Río 1"}


@dataclass(frozen=True)
class Step:
    """One review page: what `present` and `accept` are given. Change a part with `but`."""

    agreements: Agreements
    database: Database
    principal: Principal
    checkout_id: uuid.UUID
    terms: dict[str, Any]
    personal: dict[str, str]
    total: Money

    def but(self, **changes: Any) -> "Step":
        return replace(self, **changes)

    async def present(self, locale: str = "en") -> Presentation:
        async with self.database.begin(self.principal.db_scope()) as session:
            return await self.agreements.present(
                session,
                self.principal,
                checkout_id=self.checkout_id,
                terms=self.terms,
                personal=self.personal,
                total=self.total,
                locale=locale,
                template_digest="sha256:" + "a" * 64,
                stylesheet_digest="sha256:" + "b" * 64,
                pay_within=timedelta(days=7),
            )

    async def accept(
        self,
        presentation: Presentation,
        *,
        ticked: frozenset[str] = BOXES,
        job_title: str = "Head of purchasing",
        order_id: uuid.UUID | None = None,
    ) -> Acceptance:
        async with self.database.begin(self.principal.db_scope()) as session:
            return await self.agreements.accept(
                session,
                self.principal,
                await self.agreements.lock_to_accept(session, self.principal, presentation.id),
                checkout_id=self.checkout_id,
                terms=self.terms,
                personal=self.personal,
                ticked=ticked,
                job_title=job_title,
                order_id=order_id or new_id(),
                ip="192.0.2.7",
                user_agent="Mozilla/5.0 (X11; a browser)",
            )

    async def receipt(self, order_id: uuid.UUID) -> dict[str, Any]:
        async with self.database.begin(self.principal.db_scope()) as session:
            return await self.agreements.receipt(session, order_id)


@pytest.fixture
def agreements(clock: FixedClock) -> Agreements:
    return Agreements(clock, Keyring.generate(now=clock.now()), origin="shop.example/agreements")


@pytest.fixture
async def published(database: Database, agreements: Agreements, clock: FixedClock) -> Database:
    """A merchant with the demo documents in force."""
    async with database.begin(for_staff()) as session:
        session.add(
            Merchant(
                legal_name="Meridian Industrial Supply S.L.",
                trade_name="Meridian",
                address={"street": "Calle Mayor 1", "postal_code": "50001", "city": "Zaragoza", "region": "Zaragoza"},
                country="ES",
                tax_id="ESB12345674",
                email="orders@meridian.example",
                phone="+34 900 000 000",
                support_hours="Mon-Fri 8-17",
            )
        )
        await load_documents(session, agreements, DEMO_DOCUMENTS)
    clock.advance(seconds=1)
    return database


async def make_member(
    database: Database,
    clock: FixedClock,
    company: Company | None = None,
    *,
    name: str = "Acme GmbH",
    country: str = "DE",
    signatory: bool = True,
    limit: Money | None = None,
    authority: Authority = Authority.APPOINTED,
) -> tuple[Principal, Company]:
    async with database.begin(for_accounts()) as session:
        if company is None:
            company = Company(
                id=new_id(),
                code=f"company-{new_id()}",
                name=name,
                country=country,
                tax_status=TaxStatus.DOMESTIC,
                currency="EUR",
                segments=[],
                self_registered=authority is Authority.SELF_DECLARED,
                created_at=clock.now(),
            )
            session.add(company)
        person = Person(
            id=new_id(),
            email=f"{new_id()}@acme.example",
            name="The buyer",
            locale="en",
            password_hash="-",
            created_at=clock.now(),
        )
        session.add(person)
        await session.flush()
        session.add(
            Membership(
                company_id=company.id,
                person_id=person.id,
                role=MemberRole.BUYER,
                signatory=signatory,
                authority=authority if signatory else None,
                signing_limit_minor=None if limit is None else limit.minor,
                currency=None if limit is None else limit.currency,
                created_at=clock.now(),
            )
        )
    principal = Principal(
        kind=PrincipalKind.MEMBER,
        visitor_id=new_id(),
        person_id=person.id,
        email=person.email,
        email_verified=True,
        name=person.name,
        company=BuyerCompany(
            id=company.id,
            code=company.code,
            name=company.name,
            country=company.country,
            tax_id=None,
            tax_status=company.tax_status,
            currency=company.currency,
            segments=(),
        ),
        role=MemberRole.BUYER,
        signatory=signatory,
    )
    return principal, company


@pytest.fixture
async def step(published: Database, agreements: Agreements, clock: FixedClock) -> Step:
    """Acme's signatory on her review page, with an order over 121.00 EUR."""
    principal, _ = await make_member(published, clock)
    return Step(agreements, published, principal, new_id(), TERMS, PERSONAL, Money(12100, "EUR"))


@pytest.fixture
async def globex(published: Database, clock: FixedClock) -> Principal:
    """A stranger."""
    principal, _ = await make_member(published, clock, name="Globex S.A.", country="ES")
    return principal
