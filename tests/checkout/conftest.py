"""A small house that sells: Acme buys, Globex is a stranger, Initech pays in dollars; Stripe is the twin.

CRUNCHY-ARMCHAIR costs 100.00 EUR, from ten on 90.00; HOSE is sold by the metre. There are 100 armchairs.
"""

import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.model import (
    Authority,
    Company,
    MemberRole,
    Membership,
    Merchant,
    Person,
    StaffRole,
    TaxIdCheck,
    TaxStatus,
)
from accounts.principal import BuyerCompany, Principal, PrincipalKind
from agreements.imports import load_documents
from agreements.service import Agreements
from catalog.service import Catalog
from checkout import Carts, Checkouts, Orders, Payments, StripeGateway
from checkout.model import (
    Account,
    LedgerPosting,
    Liability,
    Order,
    PaymentAttempt,
    ShipTo,
    StockReservation,
    StripeCall,
    StripeEvent,
)
from checkout.states import State
from checkout.views import Details, Review
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_staff
from kernel.ids import new_id
from kernel.mail import OutgoingMail
from kernel.signing import Keyring, complete
from pricing.books import InForce
from pricing.engine import Book, BookContent, MemoryBook
from pricing.engine.book import Audience, PriceList, PriceRow, RowModel, SkuFacts, Tier, UnitFact
from sandbox.stripe_twin import RunningTwin, running_twin

DEMO_DOCUMENTS = Path(__file__).parents[2] / "sandbox" / "demo_documents"
BOXES = frozenset({"agree", "authority", "business"})
PATIENCE_SECONDS = 2.0
"""How long a house waits for Stripe's answer: a busy machine has stood still for half a second."""
TOO_LONG_SECONDS = PATIENCE_SECONDS + 0.5
SECRET = "whsec_of_the_tests"
BASE_URL = "http://shop.example"
DIGEST = "sha256:" + "0" * 64
CATALOGUE = {
    "categories.csv": "code,parent,name_en,name_es\nSEATING,,Seating,Asientos\n",
    "brands.csv": "code,name\nNORDKAMM,Nordkamm\n",
    "products.csv": "code,category,brand,name_en,name_es,description_en,description_es\n"
    "ARMCHAIR,SEATING,,Crunchy armchair,Sillón crujiente,,\n",
    "skus.csv": "sku,product,name_en,name_es,attributes,base_unit,tax_category,weight_grams,fractional,active\n"
    "CRUNCHY-ARMCHAIR,ARMCHAIR,Crunchy armchair,Sillón crujiente,,each,,12000,no,yes\n"
    "HOSE,ARMCHAIR,Hose,Manguera,,metre,,38,yes,yes\n"
    "MANUAL,ARMCHAIR,Manual,Manual,,each,super_reduced,,no,yes\n"
    "UNPRICED,ARMCHAIR,Unpriced,Sin precio,,each,,,no,yes\n"
    "FREEBIE,ARMCHAIR,Freebie,Regalo,,each,,,no,yes\n",
    "units.csv": "sku,unit,factor\nCRUNCHY-ARMCHAIR,pair,2\n",
    "stock.csv": "sku,on_hand\nCRUNCHY-ARMCHAIR,100\nHOSE,50.5\nMANUAL,1000\nUNPRICED,5\nFREEBIE,5\n",
}
ADDRESS = ShipTo(name="Goods-in", line1="Calle del Río 1", postal_code="28013", city="Madrid", country="ES")


def book(armchair: str = "100", root: str = "a") -> MemoryBook:
    """The public list in euros and dollars."""
    prices = {"CRUNCHY-ARMCHAIR": armchair, "HOSE": "3.333", "MANUAL": "9.99", "FREEBIE": "0"}
    rows = []
    for code in ("PUBLIC-EUR", "PUBLIC-USD", "PUBLIC-JPY"):
        for sku, price in prices.items():
            tiers = [Tier(from_="0", unit_price=price)]
            if sku == "CRUNCHY-ARMCHAIR":
                tiers.append(Tier(from_="10", unit_price="90"))
            unit = "metre" if sku == "HOSE" else "each"
            rows.append(PriceRow(list=code, sku=sku, unit=unit, model=RowModel.VOLUME, tiers=tuple(tiers)))
    facts = [
        SkuFacts(sku="CRUNCHY-ARMCHAIR", units=(UnitFact(unit="each"), UnitFact(unit="pair", factor="2"))),
        SkuFacts(sku="HOSE", units=(UnitFact(unit="metre", decimals=6),)),
        SkuFacts(sku="MANUAL", tax_category="super_reduced"),
        SkuFacts(sku="UNPRICED"),
        SkuFacts(sku="FREEBIE"),
    ]
    return MemoryBook(
        BookContent(
            lists=tuple(
                PriceList(code=f"PUBLIC-{currency}", currency=currency, audience=Audience())
                for currency in ("EUR", "USD", "JPY")
            ),
            rows=tuple(rows),
            skus=tuple(facts),
        ),
        root="sha256:" + root * 64,
    )


class Books:
    """Books by the instant they come into force."""

    def __init__(self) -> None:
        self.published: list[tuple[datetime | None, Book]] = [(None, book())]

    def at(self, at: datetime) -> Book:
        return next(found for since, found in reversed(self.published) if since is None or since <= at)

    def in_force(self, instant: datetime) -> InForce:
        return InForce(number=1, root=self.at(instant).root, effective_at=instant)

    def by_root(self, root: str) -> Book:
        return next(found for _, found in self.published if found.root == root)

    async def load(self, root: str) -> Book:
        return self.by_root(root)

    def publish(self, new: Book, at: datetime) -> None:
        self.published.append((at, new))


def make_gateway(clock: FixedClock, api_base: str, *, read_seconds: float = PATIENCE_SECONDS) -> StripeGateway:
    return StripeGateway(
        api_key="sk_test_of_the_tests",
        webhook_secrets=(SECRET,),
        clock=clock,
        api_base=api_base,
        read_seconds=read_seconds,
    )


def services(
    database: Database, clock: FixedClock, agreements: Agreements, gateway: StripeGateway, books: Books | None = None
) -> dict[str, Any]:
    """The house's parts, put together as web does: here, and in a process that a test kills."""
    books = books or Books()
    catalog = Catalog(database, clock)
    return {
        "database": database,
        "clock": clock,
        "books": books,
        "catalog": catalog,
        "agreements": agreements,
        "gateway": gateway,
        "carts": Carts(database, clock, books, catalog, base_url=BASE_URL),
        "checkouts": Checkouts(database, clock, books, catalog, agreements, base_url=BASE_URL),
        "orders": Orders(database),
        "payments": Payments(database, clock, catalog, gateway, base_url=BASE_URL),
    }


@dataclass
class House:
    """Everything a test of checkout drives."""

    database: Database
    clock: FixedClock
    books: Books
    catalog: Catalog
    agreements: Agreements
    gateway: StripeGateway
    twin: RunningTwin
    carts: Carts
    checkouts: Checkouts
    orders: Orders
    payments: Payments
    acme: Principal
    globex: Principal
    staff: Principal

    async def fill(self, principal: Principal, sku: str = "CRUNCHY-ARMCHAIR", quantity: str = "2") -> None:
        await self.carts.add(principal, sku=sku, quantity=quantity)

    async def details(self, principal: Principal, ship_to: ShipTo = ADDRESS, **more: str | None) -> None:
        await self.checkouts.save_details(principal, Details(ship_to=ship_to, **more), locale="en")

    async def review(self, principal: Principal, locale: str = "en") -> Review:
        return await self.checkouts.review(principal, locale=locale, template_digest=DIGEST, stylesheet_digest=DIGEST)

    async def accept(
        self, principal: Principal, review: Review, *, ticked: frozenset[str] = BOXES, job_title: str = "Buyer"
    ) -> Order:
        return await self.checkouts.place(
            principal,
            presentation_id=review.presentation.id,
            ticked=ticked,
            job_title=job_title,
            ip="192.0.2.1",
            user_agent="tests",
        )

    async def place(
        self, principal: Principal | None = None, sku: str = "CRUNCHY-ARMCHAIR", quantity: str = "2"
    ) -> Order:
        """A placed, unpaid order: 2 armchairs at 100.00, 24 kg to Madrid 12.90, 21 %: 257.61 EUR."""
        buyer = principal or self.acme
        await self.fill(buyer, sku, quantity)
        await self.details(buyer)
        return await self.accept(buyer, await self.review(buyer))

    async def session_of(self, url: str) -> str:
        """The Session behind a payment page's address."""
        return next(str(row["id"]) for row in self.twin.control.objects("checkout.session") if row["url"] == url)

    async def start(self, order: Order, principal: Principal | None = None) -> str:
        """Begin to pay and return the Session's id."""
        return await self.session_of(await self.payments.start(principal or self.acme, order.number))

    async def paid_order(self) -> tuple[Order, str]:
        """An order paid at Stripe, which we have not heard of."""
        order = await self.place()
        session_id = await self.start(order)
        assert self.twin.control.pay_at_once(session_id).outcome == "paid"
        return order, session_id

    async def place_and_start_other(self) -> tuple[Order, str]:
        """Another company's order with a payment page."""
        order = await self.place(self.globex)
        return order, await self.start(order, self.globex)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the twin would send by webhook, oldest first."""
        found = sorted(self.twin.control.objects("event"), key=lambda event: event["created"])
        return [event for event in found if kind is None or event["type"] == kind]

    async def deliver(self, event: dict[str, Any], *, at: datetime | None = None, secret: str = SECRET) -> bool:
        """Send *event* as Stripe does and do its job at once."""
        raw = msgspec.json.encode(event)
        stored = await self.payments.receive_webhook(raw, signed(raw, at or self.clock.now(), secret))
        await self.payments.handle_event(event["id"])
        return stored

    async def order(self, order: Order) -> Order:
        return await self.orders.find_order(self.staff, order.number)

    async def rows(self, kind: type[Any]) -> list[Any]:
        async with self.database.begin(for_staff()) as session:
            return list((await session.scalars(sa.select(kind))).all())

    async def attempts(self) -> list[PaymentAttempt]:
        return sorted(await self.rows(PaymentAttempt), key=lambda attempt: attempt.created_at)

    async def calls(self) -> list[StripeCall]:
        return sorted(await self.rows(StripeCall), key=lambda call: call.created_at)

    async def stock(self, sku: str = "CRUNCHY-ARMCHAIR") -> tuple[int, int, int]:
        """On hand, reserved, sold."""
        async with self.database.begin(for_staff()) as session:
            row = (
                await session.execute(
                    sa.text(
                        "select on_hand, reserved, sold from stock join sku on sku.id = stock.sku_id where code = :sku"
                    ),
                    {"sku": sku},
                )
            ).one()
        return int(row[0]), int(row[1]), int(row[2])

    async def mails(self) -> list[str]:
        rows = sorted(await self.rows(OutgoingMail), key=lambda mail: mail.queued_at)
        return [mail.kind for mail in rows]

    async def check_invariants(self) -> None:
        """Of trust.md, those this package answers for: 1, 6, 7, 10; asked after whatever a test did."""
        postings: list[LedgerPosting] = await self.rows(LedgerPosting)
        reservations: list[StockReservation] = await self.rows(StockReservation)
        liabilities: list[Liability] = await self.rows(Liability)
        for order in await self.rows(Order):
            own = [posting for posting in postings if posting.order_id == order.id]
            assert sum(posting.amount_minor for posting in own) == 0
            sales = [posting for posting in own if posting.account is Account.SALES]
            assert len(sales) == (1 if order.paid_at is not None and order.total_minor else 0)
            taken = sum(posting.amount_minor for posting in own if posting.account is Account.STRIPE_CLEARING)
            owed = sum(liability.amount_minor for liability in liabilities if liability.order_id == order.id)
            assert taken == owed + (order.total_minor if order.paid_at is not None else 0)
            expected = {
                State.PAID: "sold",
                State.LAPSED: "returned",
                State.CANCELLED: "returned",
            }.get(order.state, "reserved")
            assert {row.state.value for row in reservations if row.order_id == order.id} == {expected}
        paid = [row for row in self.twin.control.objects("checkout.session") if row["payment_status"] == "paid"]
        known = {attempt.session_id for attempt in await self.attempts() if attempt.state.value == "succeeded"}
        known |= {liability.session_id for liability in liabilities}
        charged = [row for row in self.twin.control.objects("payment_intent") if row["status"] == "succeeded"]
        pages = {row["payment_intent"] for row in self.twin.control.objects("checkout.session")}
        assert {row["id"] for row in paid} | {row["id"] for row in charged if row["id"] not in pages} == known
        on_hand, reserved, sold = await self.stock()
        assert on_hand + reserved + sold == 100

    async def event_rows(self) -> list[StripeEvent]:
        return await self.rows(StripeEvent)


def signed(raw: bytes, at: datetime, secret: str = SECRET) -> str:
    """The header Stripe sends with *raw*."""
    timestamp = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + raw, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


async def make_member(
    database: Database,
    clock: FixedClock,
    *,
    name: str,
    country: str = "ES",
    tax_id: str | None = None,
    currency: str = "EUR",
    company: Company | None = None,
    tax_status: TaxStatus = TaxStatus.DOMESTIC,
) -> Principal:
    async with database.begin(for_accounts()) as session:
        if company is None:
            company = Company(
                id=new_id(),
                code=name.lower().split()[0],
                name=name,
                country=country,
                tax_id=tax_id,
                tax_id_check=TaxIdCheck.ABSENT if tax_id is None else TaxIdCheck.WELL_FORMED,
                tax_status=tax_status,
                currency=currency,
                segments=[],
                self_registered=False,
                created_at=clock.now(),
            )
            session.add(company)
        person = Person(
            id=new_id(),
            email=f"{new_id()}@{company.code}.example",
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
                signatory=True,
                authority=Authority.APPOINTED,
                created_at=clock.now(),
            )
        )
    return Principal(
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
            tax_id=company.tax_id,
            tax_status=company.tax_status,
            currency=company.currency,
            segments=(),
        ),
        role=MemberRole.BUYER,
        signatory=True,
    )


def visitor() -> Principal:
    return Principal.visitor(uuid.uuid4())


@pytest.fixture
def twin(tmp_path: Path, clock: FixedClock) -> Iterator[RunningTwin]:
    with running_twin(file=tmp_path / "twin.sqlite", clock=clock.now) as running:
        yield running
        assert running.control.violations() == []


async def furnish(database: Database, clock: FixedClock, folder: Path) -> tuple[Agreements, Principal, Principal]:
    """Catalogue, merchant, documents and two companies into an empty database: agreements, Acme and Globex. *folder*
    keeps the keyring.
    """
    catalog = Catalog(database, clock)
    files = folder / "import"
    files.mkdir()
    for name, content in CATALOGUE.items():
        (files / name).write_text(content, encoding="utf-8")
    report = await catalog.import_folder(files)
    assert report.ok, report.errors
    keyring = folder / "keyring.json"
    complete(keyring, now=clock.now())
    agreements = Agreements(clock, Keyring.read(keyring))
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
    acme = await make_member(database, clock, name="Acme S.L.", tax_id="ESB12345674")
    globex = await make_member(database, clock, name="Globex S.A.", country="FR", tax_id="FR40303265045")
    return agreements, acme, globex


@pytest.fixture
async def house(database: Database, clock: FixedClock, twin: RunningTwin, tmp_path: Path) -> AsyncIterator[House]:
    agreements, acme, globex = await furnish(database, clock, tmp_path)
    gateway = make_gateway(clock, twin.base_url)
    staff = Principal(kind=PrincipalKind.STAFF, visitor_id=new_id(), staff_role=StaffRole.FINANCE)
    yield House(**services(database, clock, agreements, gateway), twin=twin, acme=acme, globex=globex, staff=staff)
    await gateway.close()
