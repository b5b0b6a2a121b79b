"""What people and the shop's own jobs do beside buying, as functions of the services: asked for over driver's pipe."""

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from accounts.erasure import shown_digest
from accounts.exemption_model import CertificateState
from accounts.member_service import PersonTaken
from accounts.model import KeyScope, StaffRole
from accounts.principal import Principal
from accounts.webhooks.events import EventType
from agreements import annexes, keys
from agreements.ledger import check_ledger
from agreements.legal_model import DraftStep
from agreements.model import DeclineReason
from checkout.credit import Terms
from checkout.model import Paying, ShipTo
from checkout.program_orders import AskedLine, AskedOrder
from kernel.db import for_staff
from kernel.money import Money
from kernel.signing import Purpose
from pricing.exports import Form
from tests.agreements.legal import draft_version
from tests.web.conftest import PASSWORD
from web.services import Services, ledger_origin

BUYER: Final = "buyer@acme.example"
CLERK: Final = "clerk@acme.example"
FINANCE: Final = "finance@meridian.example"
LAWYERS: Final = ("legal@meridian.example", "second.lawyer@meridian.example")
DIGEST: Final = "sha256:" + "0" * 64
CHAIR: Final = ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", "")


async def make_up(services: Services) -> None:
    """What is done at a start and each minute for whatever was left half done."""
    await services.payments.recover()
    await services.jobs.retry_stalled()
    await services.deliveries.sweep()
    await services.price_news.sweep()


async def ledger_is_whole(services: Services) -> bool:
    async with services.db.begin(for_staff()) as session:
        return (await check_ledger(session)).broken_at is None


# --- Taxes ---


async def submit_certificate(services: Services, number: str) -> uuid.UUID:
    """The company names a certificate, unless its page lists it already."""
    buyer = await _person(services, BUYER)
    for each in await services.exemptions.of_company(buyer):
        if each.number == number:
            return each.id
    made = await services.exemptions.submit(
        buyer, country="ES", number=number, authority="Agencia Tributaria", expires_on=date(2029, 12, 31)
    )
    return made.id


async def review_certificate(services: Services, certificate: uuid.UUID, state: str) -> None:
    finance = await _person(services, FINANCE)
    await services.exemptions.review(finance, certificate, state=CertificateState(state), note="Seen")


async def ask_vies(services: Services) -> str:
    return (await services.vies.ask(await _person(services, BUYER), requester="")).outcome.value


# --- Prices ---


async def open_draft(services: Services) -> uuid.UUID:
    return (await services.pricing.open_draft(by=None, title="Nothing yet")).id


async def draft_prices(services: Services, price: str) -> uuid.UUID:
    """A draft in which one chair costs something else."""
    draft = await services.pricing.open_draft(by=None, title=f"The chair at {price}")
    leaf = await services.pricing.find_leaf(draft.id, "row", CHAIR)
    tiers = [{"from": "0", "above": None, "unit_price": price, "flat_fee": "0"}]
    content = {**json.loads(json.dumps(leaf.content)), "model": "volume", "tiers": tiers, "package": None}
    await services.pricing.put_change(draft.id, "row", CHAIR, content, by=None, expected=leaf.seen)
    return draft.id


async def publish_prices(services: Services, draft: uuid.UUID) -> None:
    await services.pricing.publish(draft, by=None, acknowledge="A test")
    await services.books.refresh()


async def export_draft(services: Services, draft: uuid.UUID, path: str) -> None:
    await services.price_exports.write_draft(draft, Path(path), form=Form.WORKBOOK)


async def upload_prices(services: Services, draft: uuid.UUID, path: str) -> uuid.UUID:
    """The editor uploads a file, unless the draft's page shows that it is there."""
    live = await services.price_imports.find_live(draft)
    if live is None:
        file = Path(path)
        live = await services.price_imports.upload(draft, name=file.name, content=file.read_bytes(), by=None)
    return live.id


async def accept_import(services: Services, upload: uuid.UUID) -> None:
    await services.price_imports.accept(upload, by=None)


# --- Documents ---


async def draft_document(services: Services, label: str) -> tuple[uuid.UUID, int]:
    """A material version that one lawyer wrote and another approved."""
    author, approver = [lawyer.person_id for lawyer in await _lawyers(services)]
    assert author is not None
    assert approver is not None
    draft = await draft_version(services.publishing, author, label=label)
    for step, by in ((DraftStep.SUBMITTED, author), (DraftStep.APPROVED, approver)):
        await services.publishing.take(draft.id, step, version=draft.version, by=by, comment="")
    return draft.id, draft.version


async def publish_document(services: Services, draft: uuid.UUID, version: int) -> None:
    author, _ = await _lawyers(services)
    assert author.person_id is not None
    await services.publishing.publish(draft, version=version, by=author.person_id)


async def withdraw_document(services: Services, label: str) -> None:
    author, _ = await _lawyers(services)
    assert author.person_id is not None
    await services.publishing.withdraw("master-terms", label, reason="Only for a test", by=author.person_id)


async def present_framework(services: Services) -> uuid.UUID:
    shown = await services.frameworks.present(
        await _person(services, BUYER), locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
    )
    return shown.id


async def accept_framework(services: Services, presentation: uuid.UUID) -> None:
    await services.frameworks.accept(
        await _person(services, BUYER),
        presentation_id=presentation,
        ticked=frozenset({"agree", "authority", "business"}),
        job_title="Head of purchasing",
        ip="192.0.2.9",
        user_agent="recovery tests",
    )


async def order_by_program(services: Services, asked: uuid.UUID) -> str:
    buyer = await _person(services, BUYER)
    assert buyer.company is not None
    order = AskedOrder(
        id=asked,
        lines=(AskedLine(sku="NIMBLE-BOLT", unit="each", quantity="100"),),
        ship_to=ShipTo(name="Goods-in", line1="Calle del Río 1", postal_code="28013", city="Madrid", country="ES"),
        email="orders@acme.example",
        po_number="PO-1",
    )
    return (await services.program_orders.place(buyer.company, order)).number


async def end_framework(services: Services) -> None:
    """The company ends the agreement that its page shows."""
    buyer = await _person(services, BUYER)
    standing = (await services.frameworks.find(buyer)).framework
    if standing is not None:
        await services.frameworks.end(buyer, standing.id, note="Enough")


# --- Money ---


async def decline(services: Services, token: str, presentation: uuid.UUID) -> None:
    principal = await services.accounts.authenticate(token)
    await services.checkouts.decline(
        principal, presentation_id=presentation, reason=DeclineReason.OTHER, comment="Not now"
    )


async def send_to_legal(services: Services, token: str, presentation: uuid.UUID) -> None:
    await services.checkouts.send_to_legal(await services.accounts.authenticate(token), presentation_id=presentation)


async def pay_now(services: Services, token: str) -> None:
    await services.checkouts.choose_paying(await services.accounts.authenticate(token), Paying.NOW, locale="en")


async def set_limit(services: Services, amount: str) -> None:
    """Finance gives Acme another limit, unless its page shows that it has it."""
    company, _ = await services.credit.find("acme")
    terms = Terms(net_days=30, limit=Money.parse(amount, "EUR"))
    credit = company.credit if company.open_ else None
    shown = None if credit is None else Terms(net_days=credit.net_days, limit=credit.limit)
    if shown != terms:
        await services.credit.change("acme", terms, shown=shown, reason="Grows", by=None)


async def keep_reconciliation(services: Services) -> int:
    since = services.clock.now() - timedelta(days=3)
    return (await services.reconciliations.run(since=since, alarm="finance@meridian.example")).break_count


async def review_event(services: Services, event: str) -> None:
    await services.reconciliations.review(await _person(services, FINANCE), event, note="Not ours")


# --- Evidence ---


async def sign_head(services: Services) -> None:
    await services.checkpoints.sign()


async def stamp_heads(services: Services) -> None:
    await services.stamps.run()


async def annex_key(services: Services) -> str:
    return services.keyring.active_key(Purpose.ANNEX).id


async def exchange_annex_key(services: Services, old: str) -> None:
    """Somebody at the command line exchanges *old*, and calls again until it is done."""
    keyring, settings = services.keyring, services.settings
    async with services.db.begin(for_staff()) as session:
        unfinished = await annexes.left_behind(session, keyring)
    if unfinished or keyring.active_key(Purpose.ANNEX).id == old:
        origin = ledger_origin(settings)
        await keys.rotate(
            services.db, services.clock, keyring, settings.signing_keyring, Purpose.ANNEX, origin=origin, batch=1
        )


# --- Privacy ---


async def ask_for_export(services: Services) -> None:
    """Acme's clerk asks for a copy of their data, unless their page shows one."""
    clerk = await _person(services, CLERK)
    if not any(each.ready_at for each in await services.data_exports.list_own(clerk)):
        await services.data_exports.ask(clerk)


async def expire(services: Services) -> None:
    await services.retention.expire()


async def plan_erasure(services: Services, email: str) -> tuple[uuid.UUID, str]:
    maker, _ = await _lawyers(services)
    today = services.clock.now().date()
    plan = await services.erasures.plan(maker, email=email, asked_on=today, reason="Asked by letter")
    _, items, _, _ = await services.erasures.look(plan.id)
    return plan.id, shown_digest(items)


async def approve_erasure(services: Services, plan: uuid.UUID, shown: str) -> None:
    _, approver = await _lawyers(services)
    await services.erasures.approve(approver, plan, shown=shown)


# --- Partners ---


async def listen(services: Services, url: str) -> uuid.UUID:
    """A partner program of Acme's has itself told of prices; its endpoint."""
    buyer = await _person(services, BUYER)
    _, key = await services.api_keys.create_api_key(
        buyer, name=f"ERP {uuid.uuid4()}", scopes=[scope.value for scope in KeyScope]
    )
    partner = await services.api_keys.authenticate_key(key)
    told = [EventType.PRICE_BOOK_PUBLISHED, EventType.PRICE_CHANGED]
    endpoint, _ = await services.webhooks.create(partner, url=url, event_types=told)
    return endpoint.id


async def stop_listening(services: Services, endpoint: uuid.UUID) -> None:
    await services.webhooks.delete(await _person(services, BUYER), endpoint)


async def tell_of_prices(services: Services) -> None:
    await services.books.refresh()  # as each second: the clock was moved
    await services.price_news.sweep()


async def sweep_deliveries(services: Services) -> None:
    await services.deliveries.sweep()


async def _lawyers(services: Services) -> Sequence[Principal]:
    with suppress(PersonTaken):
        await services.members.create_staff(
            email=LAWYERS[1], name="Second lawyer", password=PASSWORD, role=StaffRole.LEGAL
        )
    return [await _person(services, email) for email in LAWYERS]


async def _person(services: Services, email: str) -> Principal:
    token = (await services.accounts.start_visitor_session()).token
    opened = await services.accounts.log_in(email=email, password=PASSWORD, token=token, address="192.0.2.9")
    return opened.principal


ACTS: Final[tuple[Any, ...]] = (
    make_up,
    ledger_is_whole,
    submit_certificate,
    review_certificate,
    ask_vies,
    open_draft,
    draft_prices,
    publish_prices,
    export_draft,
    upload_prices,
    accept_import,
    draft_document,
    publish_document,
    withdraw_document,
    present_framework,
    accept_framework,
    order_by_program,
    end_framework,
    decline,
    send_to_legal,
    pay_now,
    set_limit,
    keep_reconciliation,
    review_event,
    sign_head,
    stamp_heads,
    annex_key,
    exchange_annex_key,
    ask_for_export,
    expire,
    plan_erasure,
    approve_erasure,
    listen,
    stop_listening,
    tell_of_prices,
    sweep_deliveries,
)
