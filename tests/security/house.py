"""A shop in use: two companies with a row of everything, staff, keys, and whoever calls it."""

import ipaddress
import itertools
import uuid
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store
from accounts.model import DeskScope, KeyScope, MemberRole, StaffRole
from accounts.policies import NO_POLICY
from accounts.principal import Principal
from accounts.repeated_calls import Claim, KeptAnswer, Owner
from accounts.webhooks.events import EventType
from accounts.webhooks.model import WebhookAttempt, WebhookMessage
from agreements.model import DeclineReason
from agreements.packages import Selling, Signer
from checkout.credit import Terms
from checkout.model import SavedCard, ShipTo
from checkout.views import Details
from kernel.clock import FixedClock
from kernel.db import for_accounts, for_staff
from kernel.ids import new_id
from kernel.money import Money
from pricing.engine import Buyer, LineRequest, QuoteRequest
from pricing.engine.book import MarginLimit
from pricing.engine.request import TaxInput, TaxRate
from pricing.model import SignedQuote
from pricing.quotes import Issuer
from sandbox.stripe_twin import RunningTwin
from tests.security.wire import FORM, HOST, Answer, encoded, faults, send
from tests.web.conftest import PASSWORD
from web.assets import asset_url
from web.http import session_cookie_name
from web.security import form_token
from web.services import Services

ORIGIN: Final = f"http://{HOST}"
DIGEST: Final = "sha256:" + "0" * 64
BOXES: Final = frozenset({"agree", "authority", "business"})
SKU: Final = "CRUNCHY-ARMCHAIR"
COST: Final = "317931"
MARGIN: Final = "719131"
FLOOR: Final = "HOUSE-FLOOR"
HOUSE_ONLY: Final = frozenset({COST, MARGIN, FLOOR})
"""What no buyer's answer may hold: see `make_costs_telling`."""
CANARY: Final = "canary-9f31c0ffee-secret"
STAFF: Final = {
    "support": "support@meridian.example",
    "legal": "legal@meridian.example",
    "finance": "finance@meridian.example",
    "chief": "chief@meridian.example",
}
MEMBERS: Final = {
    "buyer": "clerk@acme.example",
    "admin": "buyer@acme.example",
    "unverified": "new@hooli.example",
    "globex": "buyer@globex.example",
}
PEOPLE: Final = MEMBERS | STAFF
VISITORS: Final = ("visitor", "guest")
SECRETS: Final = {PASSWORD, "whsec_test", "sk_test_twin", CANARY}
"""Grows with every session, key and token made here: no log line of any test may hold one."""
KEYS: Final = {
    "full key": tuple(scope.value for scope in KeyScope),
    **{f"{scope.value} key": (scope.value,) for scope in KeyScope},
}
STAFF_KEYS: Final = {
    "full desk key": tuple(scope.value for scope in DeskScope),
    **{f"{scope.value} key": (scope.value,) for scope in DeskScope},
}
"""Of the finance clerk, but the one that approves: it is the chief's."""


class Belongings(msgspec.Struct, kw_only=True):
    """What one company has that no other may ever see: every id by which somebody could ask for it."""

    company_id: uuid.UUID
    order: str
    open_order: str
    position: int
    presentation: str
    review_token: str
    invitation: str
    person: str
    """Of a member whom nothing here needs: what removes members is tried on them."""
    key: str
    card: str
    signed_quote: str
    framework: str
    webhook_endpoint: str
    webhook_message: str
    data_export: str
    package: str
    """One that waits for its last signature."""
    party: str
    approval: str
    """A request that waits, of somebody who may not sign."""
    ids: frozenset[str]
    words: frozenset[str]
    """Texts that stand in its rows alone."""


class House(msgspec.Struct, kw_only=True):
    app: Litestar
    services: Services
    clock: FixedClock
    twin: RunningTwin
    keys: dict[str, str]
    draft: str
    impact: str
    plan: str
    acme: Belongings
    globex: Belongings

    def value(self, template: str, name: str) -> str | None:
        """What stands for a parameter of an address, as Acme sees it."""
        return {
            "number": "1" if "publications" in template else self.acme.order,
            "position": str(self.acme.position),
            "category": "fasteners",
            "code": {"products": "armchair", "documents": "master-terms"}.get(template.split("/")[1], SKU),
            "label": "3.1",
            "language": "en",
            "sku": SKU,
            "draft": self.draft,
            "impact": self.impact,
            "table": "orders-companies.csv",
            "person": self.acme.person,
            "person_id": self.acme.person,
            "invitation": self.acme.invitation,
            "invitation_id": self.acme.invitation,
            "card": self.acme.card,
            "key": self.acme.key,
            "key_id": self.acme.key,
            "quote_id": self.acme.signed_quote,
            "framework": self.acme.framework,
            "endpoint_id": self.acme.webhook_endpoint,
            "message_id": self.acme.webhook_message,
            "export": self.acme.data_export,
            "rendering": "web-en-1280.png",
            "template": DIGEST.removeprefix("sha256:"),
            "plan": self.plan,
            "hold": str(uuid.UUID(int=4711)),
            "request_id": self.acme.approval,
            "package_id": self.acme.package,
            "party_id": self.acme.party,
            "slug": "not-found",
            "token": self.acme.review_token,
            "digest": asset_url("tarifa.css").split("/")[2],
            "name": "tarifa.css",
        }.get(name)

    async def caller(self, who: str) -> "Caller":
        """A caller with a session of its own, so that none can spoil another's."""
        services = self.services
        if who in KEYS or who in STAFF_KEYS:
            return Caller(house=self, who=who, key=self.keys[who])
        if who == "visitor":
            return Caller(house=self, who=who)
        if who == "guest":
            opened = await services.accounts.start_visitor_session()
            SECRETS.add(opened.token)
            return Caller(house=self, who=who, token=opened.token, principal=opened.principal)
        token, principal = await log_in(services, PEOPLE[who])
        return Caller(house=self, who=who, token=token, principal=principal)


_numbers = itertools.count(1)


def _address() -> str:
    """One that nobody used, so that no caller meets the limits that another has used up."""
    return str(ipaddress.IPv4Address("10.0.0.0") + next(_numbers))


class Caller(msgspec.Struct, kw_only=True):
    """A browser, or a program with a key, that sends what a test says and nothing else."""

    house: House
    who: str
    token: str | None = None
    key: str | None = None
    principal: Principal | None = None
    address: str = msgspec.field(default_factory=_address)

    def form_token(self) -> str:
        return form_token(self.house.services.settings.secret_key, self.token)

    async def get(self, target: str | bytes, *, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        return await self.send("GET", target, headers=headers)

    async def post(
        self, target: str | bytes, fields: Iterable[tuple[str, str]] = (), *, headers: Iterable[tuple[str, str]] = ()
    ) -> Answer:
        """Send a form as our own page would."""
        body = encoded([("form_token", self.form_token()), *fields])
        return await self.send(
            "POST", target, headers=[("content-type", FORM), ("sec-fetch-site", "same-origin"), *headers], body=body
        )

    async def send(
        self, method: str, target: str | bytes, *, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Answer:
        given = list(headers)
        names = {name for name, _ in given}
        if "accept" not in names:
            given.append(("accept", "text/html"))
        if self.token is not None and "cookie" not in names:
            given.append(("cookie", f"{session_cookie_name(self.house.services.settings)}={self.token}"))
        if self.key is not None and "authorization" not in names:
            given.append(("authorization", f"Bearer {self.key}"))
        return await send(self.house.app, method, target, headers=given, body=body, client=self.address)

    def faults(self, answer: Answer) -> list[str]:
        """What is wrong with an answer to this caller, whatever was asked."""
        others: frozenset[str] = frozenset()
        if self.who not in STAFF and self.who not in STAFF_KEYS:
            others = HOUSE_ONLY | (self.house.acme.words if self.who == "globex" else self.house.globex.words)
        return faults(answer, payment_origin=self.house.twin.base_url, forbidden=others)


async def make_costs_telling(services: Services, clock: FixedClock) -> None:
    """Publish costs, a margin and a floor whose digits stand nowhere else, so that any answer that holds them tells."""
    async with services.db.begin(for_staff()) as session:
        telling = sa.text("update sku_cost set cost = floor(cost) + cast(:odd as numeric)")
        await session.execute(telling, {"odd": f"0.{COST}"})
    draft = await services.pricing.open_draft(title="Costs", by=None)
    floor = await services.pricing.find_leaf(draft.id, "bound", (FLOOR,))
    changed = {**msgspec.to_builtins(floor.content), "limit": msgspec.to_builtins(MarginLimit(percent=f"3.{MARGIN}"))}
    await services.pricing.put_change(draft.id, "bound", (FLOOR,), changed, by=None, expected=floor.seen)
    published = await services.pricing.publish(draft.id, by=None, acknowledge="As meant")
    clock.set(published.effective_at)
    await services.books.refresh()
    clock.advance(seconds=1)
    entry = services.books.at(clock.now()).entry(SKU)
    assert entry is not None
    assert entry.costs
    assert all(cost.cost.endswith(COST) for cost in entry.costs)


async def furnish(app: Litestar, services: Services, clock: FixedClock, twin: RunningTwin) -> House:
    """Give Acme and Globex a row of everything, and make the rest of the cast."""
    await services.members.create_staff(email=STAFF["chief"], name="Chief", password=PASSWORD, role=StaffRole.ADMIN)
    await services.accounts.sign_up(
        email=MEMBERS["unverified"],
        password=PASSWORD,
        name="Hooli buyer",
        company_name="Hooli Tools",
        country="ES",
        token=None,
        address="192.0.2.7",
    )
    services.renderings.keep(
        DIGEST,
        channel="web",
        locale="en",
        width=1280,
        form="png",
        content=b"how it looked",
        stylesheet_digest=DIGEST,
        captured_at=clock.now().isoformat(),
    )
    acme = await _belongings(services, "admin", "acme")
    globex = await _belongings(services, "globex", "globex")
    _, boss = await log_in(services, MEMBERS["admin"])
    keys = {}
    for name, scopes in KEYS.items():
        _, keys[name] = await services.api_keys.create_api_key(boss, name=name, scopes=scopes)
        SECRETS.add(keys[name].rpartition("_")[2])
    for name, scopes in STAFF_KEYS.items():
        _, colleague = await log_in(services, STAFF["chief" if name == "desk:approve key" else "finance"])
        _, keys[name] = await services.staff_keys.create(colleague, name=name, scopes=scopes)
        SECRETS.add(keys[name].rpartition("_")[2])
    draft = await services.pricing.open_draft(title="A draft", by=None)
    await services.pricing.findings(draft.id)  # looked for once a minute: costs this odd are checked one by one
    impact = await services.impacts.request(draft.id, months=12, by=None)
    await services.impacts.work(str(impact))
    return House(
        app=app,
        services=services,
        clock=clock,
        twin=twin,
        keys=keys,
        draft=str(draft.id),
        impact=str(impact),
        plan=str((await services.erasures.list_plans())[0].id),
        acme=acme,
        globex=globex,
    )


async def log_in(services: Services, email: str) -> tuple[str, Principal]:
    """A session without the password's detour, so that no limit on log-ins is met."""
    async with services.db.begin(for_accounts()) as session:
        person = await store.find_person_by_email(session, email)
        assert person is not None, email
        companies = await store.list_companies_of(session, person.id)
        opened = await services.accounts._open(
            session, visitor_id=new_id(), person=person, company=companies[0] if companies else None
        )
    SECRETS.add(opened.token)
    return opened.token, opened.principal


async def place_order(services: Services, principal: Principal, *, word: str) -> str:
    presentation = await present(services, principal, word=word)
    order = await services.checkouts.place(
        principal,
        presentation_id=presentation,
        ticked=BOXES,
        job_title=f"Buyer {word}",
        ip="192.0.2.8",
        user_agent=f"agent {word}",
    )
    return order.number


async def one_person_buys(services: Services, admin: Principal) -> None:
    """Whatever policies other tests posted before, of the company or of the seller."""
    _, chief = await log_in(services, STAFF["chief"])
    await services.buying_policies.change(admin, NO_POLICY)
    await services.selling_policies.change(chief, Selling())


async def present(services: Services, principal: Principal, *, word: str) -> uuid.UUID:
    """Fill the cart, type the details, and look at the review page."""
    for line in (await services.carts.priced(principal)).lines:
        await services.carts.remove(principal, line.position)
    await services.carts.add(principal, sku=SKU, quantity="1", unit=None)
    ship_to = ShipTo(name=f"Goods-in {word}", line1=f"Calle {word} 1", postal_code="28013", city="Madrid", country="ES")
    await services.checkouts.save_details(principal, Details(ship_to=ship_to, po_number=f"PO-{word}"), locale="en")
    review = await services.checkouts.review(principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    return review.presentation.id


async def _belongings(services: Services, who: str, code: str) -> Belongings:
    """One order with an open payment, one without, one declined and one half done."""
    word = f"{code}-7n3v"
    _, principal = await log_in(services, PEOPLE[who])
    assert principal.company_id is not None
    paying = await place_order(services, principal, word=word)
    await services.payments.start(principal, paying)
    card = await _kept_card(services, principal, word)
    unpaid = await place_order(services, principal, word=word)
    await services.checkouts.decline(
        principal,
        presentation_id=await present(services, principal, word=word),
        reason=next(iter(DeclineReason)),
        comment=f"no {word}",
    )
    presentation = await present(services, principal, word=word)
    _, review_token = await services.checkouts.send_to_legal(principal, presentation_id=presentation)
    SECRETS.add(review_token)
    cart = await services.carts.priced(principal)
    await services.members.invite(principal, f"invited-{word}@{code}.example", MemberRole.BUYER)
    invitation = (await services.members.list_invitations(principal))[0]
    key, text = await services.api_keys.create_api_key(principal, name=f"key {word}", scopes=["prices:read"])
    SECRETS.add(text.rpartition("_")[2])
    spare_email = f"spare-{word}@{code}.example"
    spare = await services.members.create_member(
        principal.company_id,
        email=spare_email,
        name=f"Spare {word}",
        password=PASSWORD,
        role=MemberRole.BUYER,
    )
    await one_person_buys(services, principal)
    _, asker = await log_in(services, spare_email)
    approval = await _asked(services, asker, word)
    package, party = await _half_signed(services, principal.company_id, word)
    company = principal.company
    assert company is not None
    await services.segments.assign(
        company.code, [*company.segments, f"segment {word}"], shown=company.segments, reason=f"why {word}", by=None
    )
    terms = Terms(net_days=30, limit=Money.parse("1000000.00", company.currency))
    await services.credit.change(company.code, terms, shown=None, reason=f"why {word}", by=None)
    signed = await _signed_quote(services, principal)
    await _repeatable_call(services, principal, signed)
    message = await webhook_message(services, principal, word)
    copy = await services.data_exports.ask(principal)
    _, lawyer = await log_in(services, STAFF["legal"])
    await services.erasures.place_hold(lawyer, company=company.code, reason=f"why {word}")
    await services.erasures.plan(
        lawyer, company=company.code, asked_on=services.clock.now().date(), reason=f"how {word}"
    )
    ids = await _ids_of(services, principal.company_id)
    return Belongings(
        company_id=principal.company_id,
        order=paying,
        open_order=unpaid,
        position=cart.lines[0].position,
        presentation=str(presentation),
        review_token=review_token,
        invitation=str(invitation.id),
        person=str(spare.id),
        key=key.key_id,
        card=card,
        signed_quote=str(signed.id),
        framework=await _framework(services, principal, word),
        webhook_endpoint=str(message.endpoint_id),
        webhook_message=str(message.id),
        data_export=str(copy.id),
        package=package,
        party=party,
        approval=approval,
        ids=frozenset(ids | {paying, unpaid}),
        words=frozenset({word, paying, unpaid, str(principal.company_id), f"invited-{word}@{code}.example"}),
    )


async def _framework(services: Services, principal: Principal, word: str) -> str:
    """Accepted by the company's signatory; returns its id."""
    shown = await services.frameworks.present(principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    made = await services.frameworks.accept(
        principal,
        presentation_id=shown.id,
        ticked=BOXES,
        job_title=f"Buyer {word}",
        ip="192.0.2.8",
        user_agent=f"browser of {word}",
    )
    return str(made.id)


async def _kept_card(services: Services, principal: Principal, word: str) -> str:
    """Kept, without a payment, as Stripe's page would have it; returns its id."""
    card_id = new_id()
    assert principal.company_id is not None
    assert principal.person_id is not None
    async with services.db.begin(for_staff()) as session:
        session.add(
            SavedCard(
                id=card_id,
                company_id=principal.company_id,
                payment_method_id=f"pm_{word}",
                brand="visa",
                last4="4242",
                expires_month=12,
                expires_year=2031,
                saved_by=principal.person_id,
                saved_at=services.clock.now(),
            )
        )
    return str(card_id)


async def _half_signed(services: Services, company_id: uuid.UUID, word: str) -> tuple[str, str]:
    """A package of somebody who signed it, and waits for the seller; and their party in it. The seller's policy asks
    for it while it is sent, and for nothing else here.
    """
    email = f"signer-{word}@{word.partition('-')[0]}.example"
    await services.members.create_member(
        company_id, email=email, name=f"Signer {word}", password=PASSWORD, role=MemberRole.BUYER, signatory=True
    )
    _, signer = await log_in(services, email)
    _, chief = await log_in(services, STAFF["chief"])
    assert signer.company is not None
    assert signer.person_id is not None
    await services.carts.add(signer, sku=SKU, quantity="1", unit=None)
    ship_to = ShipTo(name=f"Goods-in {word}", line1=f"Calle {word} 1", postal_code="28013", city="Madrid", country="ES")
    await services.checkouts.save_details(signer, Details(ship_to=ship_to), locale="en")
    await services.selling_policies.change(chief, Selling(above=(Money.zero(signer.company.currency),)))
    package = await services.packages.send(signer, [signer.person_id], locale="en")
    await services.selling_policies.change(chief, Selling())
    typed = Signer(
        person_id=signer.person_id,
        name=signer.name or "",
        email=email,
        typed_name=f"Signer {word}",
        title=f"Signs {word}",
        ticked=frozenset({"intent", "authority"}),
        locale="en",
        template_digest=DIGEST,
        stylesheet_digest=DIGEST,
        ip="192.0.2.8",
        user_agent=f"browser of {word}",
    )
    await services.packages.sign(signer, package.id, typed, shown_digest=package.digest)
    return str(package.id), str(package.parties[0].id)


async def _asked(services: Services, asker: Principal, word: str) -> str:
    """What somebody who may not sign sent for approval."""
    await services.carts.add(asker, sku=SKU, quantity="1", unit=None)
    ship_to = ShipTo(name=f"Goods-in {word}", line1=f"Calle {word} 1", postal_code="28013", city="Madrid", country="ES")
    await services.checkouts.save_details(asker, Details(ship_to=ship_to), locale="en")
    return str((await services.approvals.send(asker, note=f"please {word}", locale="en")).id)


async def _repeatable_call(services: Services, principal: Principal, signed: SignedQuote) -> None:
    assert principal.company_id is not None
    claim = await services.repeated_calls.claim(
        Owner(company_id=principal.company_id), "a call of the house", bytes(32)
    )
    assert isinstance(claim, Claim)
    await services.repeated_calls.keep(claim, KeptAnswer(201, {}, signed.document))


async def webhook_message(services: Services, principal: Principal, word: str) -> WebhookMessage:
    """One that was sent once, to an endpoint that is told of everything."""
    _, key = await services.api_keys.create_api_key(principal, name=f"hooks {word}", scopes=list(KeyScope))
    SECRETS.add(key.rpartition("_")[2])
    partner = await services.api_keys.authenticate_key(key)
    endpoint, secret = await services.webhooks.create(
        partner, url=f"https://hooks.partner.example/{word}", event_types=list(EventType), description=word
    )
    SECRETS.add(secret)
    message = await services.webhooks.send_test(partner, endpoint.id)
    async with services.db.begin(for_staff()) as session:
        session.add(
            WebhookAttempt(
                message_id=message.id,
                number=1,
                company_id=message.company_id,
                at=services.clock.now(),
                duration_ms=7,
                status=500,
                failure=None,
                answer=f"no {word}",
            )
        )
    await services.price_news.sweep()
    return message


async def _signed_quote(services: Services, principal: Principal) -> SignedQuote:
    company = principal.company
    assert company is not None
    request = QuoteRequest(
        buyer=Buyer(company=company.code, segments=company.segments, country="ES"),
        currency=company.currency,
        lines=(LineRequest(sku=SKU, quantity="1"),),
        tax=TaxInput(rates=(TaxRate(category="standard", percent="21"),)),
    )
    issuer = Issuer(name="Meridian", url=ORIGIN)
    return await services.quotes.sign(request, company=company, issuer=issuer, at=services.clock.now())


async def _ids_of(services: Services, company_id: uuid.UUID) -> set[str]:
    """Every UUID and key id in the rows of a company, over all tables that name one."""
    found: set[str] = {str(company_id)}
    async with services.db.begin(for_staff()) as session:
        for table in await company_tables(session):
            rows = await session.execute(
                sa.text(f"select * from {table} where company_id = :company limit 1"), {"company": company_id}
            )
            for row in rows.mappings():
                found |= {str(value) for name, value in row.items() if _names_a_row(name, value)}
    return found


def _names_a_row(name: str, value: Any) -> bool:
    return isinstance(value, uuid.UUID) or (name in {"key_id", "session_id", "number"} and isinstance(value, str))


async def company_tables(session: AsyncSession) -> list[str]:
    """Every table that names a company."""
    rows = await session.scalars(
        sa.text(
            "select c.table_name from information_schema.columns c"
            " join information_schema.tables t using (table_schema, table_name)"
            " where c.table_schema = 'public' and c.column_name = 'company_id' and t.table_type = 'BASE TABLE'"
            " order by 1"
        )
    )
    return [str(table) for table in rows]
