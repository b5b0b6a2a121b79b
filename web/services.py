"""The composition root: every service of this installation, made once from the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from cryptography.x509 import Certificate

from accounts import holdings as account_holdings
from accounts import store as accounts_store
from accounts.data_exports import EXPORT_TASK, DataExports
from accounts.erasure import APPLY_TASK, Erasures
from accounts.exemptions import Exemptions
from accounts.key_service import ApiKeys
from accounts.member_service import Members
from accounts.model import Merchant
from accounts.passwords import Passwords
from accounts.personal_data import Room
from accounts.policies import BuyingPolicies
from accounts.repeated_calls import RepeatedCalls
from accounts.request_rates import RequestRates
from accounts.retention import Retention
from accounts.segments import Segments
from accounts.service import Accounts
from accounts.staff_keys import StaffKeys
from accounts.vies import Vies
from accounts.webhooks.delivery import Deliveries
from accounts.webhooks.outbox import QUEUE
from accounts.webhooks.service import Webhooks
from agreements import holdings as agreement_holdings
from agreements.checkpoints import Checkpoints
from agreements.consents import Consents
from agreements.frameworks import Frameworks
from agreements.notices import TELL_TASK, Notices
from agreements.publishing import Publishing
from agreements.receipt_post import ReceiptPost
from agreements.renderings import Renderings
from agreements.rule_desk import RuleDesk
from agreements.selling_policies import SellingPolicies
from agreements.service import Agreements
from agreements.stamps import Stamps, certificates
from catalog.service import Catalog
from checkout import holdings as checkout_holdings
from checkout.approvals import Approvals
from checkout.carts import Carts
from checkout.checkouts import Checkouts
from checkout.credit import CreditControl
from checkout.order_files import OrderFiles
from checkout.orders import Orders
from checkout.packages import Packages
from checkout.payments import Payments
from checkout.program_orders import ProgramOrders
from checkout.reconciliations import Reconciliations
from checkout.sold_lines import read_open_quotes, read_orders
from checkout.store import find_order_number
from checkout.stripe_gateway import StripeGateway
from checkout.stripe_log import StripeLog
from checkout.stripe_tax import StripeTax
from kernel.clock import Clock, SystemClock
from kernel.db import Database, for_accounts
from kernel.jobs import Jobs
from kernel.listening import since_boot
from kernel.mail import SEND_TASK, FolderTransport, PostOffice, SmtpTransport, Transport
from kernel.outgoing import Sender
from kernel.settings import Settings, SettingsError
from kernel.signing import Keyring
from pricing.books import PriceBooks
from pricing.exports import PriceExports
from pricing.feed_files import FeedFiles
from pricing.impacts import WORK as IMPACT_WORK
from pricing.impacts import Impacts
from pricing.imports import TASK as IMPORT_READ
from pricing.imports import PriceImports
from pricing.price_history import PriceHistory
from pricing.proving import PublishedProofs
from pricing.quotes import Quotes
from pricing.reviews import Reviews
from pricing.second_look import Policy
from pricing.service import Pricing
from web.journey import Journey

if TYPE_CHECKING:
    from web.price_news import PriceNews

log = structlog.get_logger(__name__)

HOURLY: Final = "7 * * * *"
BETWEEN_HOURS: Final = "37 * * * *"
DAILY: Final = "23 3 * * *"
LATE_IN_HOURS: Final = "52 * * * *"
EVERY_MINUTE: Final = "* * * * *"
WEBHOOKS_AT_ONCE: Final = 8

UNNAMED: Final = Merchant(
    legal_name="Tarifa",
    trade_name="Tarifa",
    address={},
    country="ES",
    tax_id="",
    email="help@localhost",
    phone="",
    support_hours="",
)
"""Shown until the installation is set up."""


class Services(msgspec.Struct, kw_only=True):
    """What handlers call."""

    settings: Settings
    clock: Clock
    db: Database
    keyring: Keyring
    accounts: Accounts
    members: Members
    segments: Segments
    exemptions: Exemptions
    vies: Vies
    api_keys: ApiKeys
    staff_keys: StaffKeys
    repeated_calls: RepeatedCalls
    request_rates: RequestRates
    catalog: Catalog
    books: PriceBooks
    pricing: Pricing
    price_exports: PriceExports
    price_imports: PriceImports
    reviews: Reviews
    impacts: Impacts
    proofs: PublishedProofs
    feed_files: FeedFiles
    price_history: PriceHistory
    quotes: Quotes
    agreements: Agreements
    checkpoints: Checkpoints
    publishing: Publishing
    notices: Notices
    receipt_post: ReceiptPost
    stamps: Stamps
    rule_desk: RuleDesk
    frameworks: Frameworks
    program_orders: ProgramOrders
    carts: Carts
    checkouts: Checkouts
    credit: CreditControl
    approvals: Approvals
    packages: Packages
    selling_policies: SellingPolicies
    buying_policies: BuyingPolicies
    orders: Orders
    order_files: OrderFiles
    stripe_log: StripeLog
    gateway: StripeGateway
    payments: Payments
    reconciliations: Reconciliations
    webhooks: Webhooks
    deliveries: Deliveries
    price_news: "PriceNews"
    erasures: Erasures
    retention: Retention
    consents: Consents
    renderings: Renderings
    data_exports: DataExports
    jobs: Jobs
    post_office: PostOffice
    journey: Journey
    merchant: Merchant = UNNAMED


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    passwords: Passwords | None = None,
    elapsed: Callable[[], float] = since_boot,
) -> Services:
    """Make the services. Nothing runs or connects yet: `running` does that. *elapsed* counts the seconds after which a
    worker that hears nothing of publications answers no price.

    :raises SettingsError: when no database or no Stripe key is named (`tarifa serve` starts both for a demo)
    :raises KeyringRefused: when the keyring is missing in production, unsafe or broken
    """
    from web.price_news import PriceNews  # what it has in common with the API knows these services

    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set. `bin/tarifa serve` starts a database of its own and sets it.")
    clock = clock or SystemClock()
    passwords = passwords or Passwords()
    db = Database.connect(settings.database_url)
    keyring = Keyring.from_settings(settings, now=clock.now())
    catalog = Catalog(db, clock)
    books = PriceBooks(
        db,
        clock,
        keyring,
        folder=settings.var / "books",
        lead=timedelta(seconds=settings.lead_time_seconds),
        elapsed=elapsed,
    )
    host = settings.base_url.partition("://")[2]
    agreements = Agreements(clock, keyring, origin=ledger_origin(settings))
    gateway = StripeGateway(
        api_key=settings.stripe_api_key or "sk_test_none",
        webhook_secrets=settings.stripe_webhook_secrets,
        clock=clock,
        api_base=settings.stripe_api_base,
    )
    api_keys = ApiKeys(db, clock)
    policy = Policy(
        percent=settings.second_approval_percent,
        skus=settings.second_approval_skus,
        margin=settings.second_approval_margin,
    )
    orders = Orders(db)
    transport: Transport = (
        FolderTransport(settings.var / "mail") if settings.smtp_url is None else SmtpTransport(settings.smtp_url)
    )
    pricing = Pricing(db, clock, books, keyring, catalog, approval_required=settings.price_approval, policy=policy)
    checkouts = Checkouts(
        db,
        clock,
        books,
        catalog,
        agreements,
        base_url=settings.base_url,
        stripe_tax=StripeTax(db, clock, gateway) if settings.tax_by_stripe else None,
    )
    post_office = PostOffice(db, clock, transport, sender=f"orders@{host.partition(':')[0]}")
    rooms = rooms_of(keyring)
    erasures = Erasures(db, clock, rooms, forget_letter=post_office.forget)
    frameworks = Frameworks(db, clock, agreements)
    services = Services(
        settings=settings,
        clock=clock,
        db=db,
        keyring=keyring,
        accounts=Accounts(db, clock, passwords, base_url=settings.base_url),
        members=Members(db, clock, passwords, base_url=settings.base_url),
        segments=Segments(db, clock),
        exemptions=Exemptions(db, clock),
        vies=Vies(db, clock, url=settings.vies_url),
        api_keys=api_keys,
        staff_keys=StaffKeys(db, clock, api_keys),
        repeated_calls=RepeatedCalls(db, clock, keyring),
        request_rates=RequestRates(db, workers=settings.workers),
        catalog=catalog,
        books=books,
        pricing=pricing,
        price_exports=PriceExports(pricing),
        price_imports=PriceImports(
            db, clock, pricing, catalog, folder=settings.var / "imports", bytes_most=settings.import_bytes_most
        ),
        reviews=Reviews(db, clock),
        impacts=Impacts(db, clock, books, catalog, read_orders=read_orders, read_quotes=read_open_quotes),
        proofs=PublishedProofs(db, keyring),
        feed_files=FeedFiles(settings.var / "feeds"),
        price_history=PriceHistory(books),
        quotes=Quotes(db, books, keyring, days_most=settings.quote_days_most),
        agreements=agreements,
        checkpoints=Checkpoints(db, clock, keyring, origin=agreements.origin),
        publishing=Publishing(db, clock, agreements),
        notices=Notices(db, clock, base_url=settings.base_url),
        stamps=Stamps(db, clock, url=settings.timestamp_url, trusted=_certificates(settings.timestamp_certificates)),
        receipt_post=ReceiptPost(
            db,
            agreements,
            transport,
            sender=f"orders@{host.partition(':')[0]}",
            base_url=settings.base_url,
            number_of=find_order_number,
        ),
        rule_desk=RuleDesk(db, clock),
        frameworks=frameworks,
        program_orders=ProgramOrders(db, clock, checkouts, frameworks),
        carts=Carts(db, clock, books, catalog, base_url=settings.base_url),
        credit=CreditControl(db, clock),
        checkouts=checkouts,
        approvals=Approvals(checkouts),
        packages=Packages(checkouts),
        selling_policies=SellingPolicies(db, clock),
        buying_policies=BuyingPolicies(db, clock),
        orders=orders,
        order_files=OrderFiles(db),
        stripe_log=StripeLog(db),
        gateway=gateway,
        payments=Payments(
            db,
            clock,
            catalog,
            gateway,
            base_url=settings.base_url,
            capture_later_from={each.currency: each for each in settings.capture_later_from},
        ),
        reconciliations=Reconciliations(db, clock, gateway, agreements, base_url=settings.base_url),
        webhooks=Webhooks(db, clock, keyring, loopback=settings.webhooks_to_loopback),
        deliveries=Deliveries(
            db, clock, keyring, Sender(loopback=settings.webhooks_to_loopback), base_url=settings.base_url
        ),
        price_news=PriceNews(db, clock, books, base_url=settings.base_url),
        jobs=Jobs(settings.database_url, queues={QUEUE: WEBHOOKS_AT_ONCE}),
        erasures=erasures,
        retention=Retention(db, clock, rooms),
        renderings=Renderings(settings.var / "renderings"),
        consents=Consents(db, clock, keyring, base_url=settings.base_url),
        data_exports=DataExports(db, clock, keyring, erasures, rooms),
        post_office=post_office,
        journey=Journey(db, clock),
    )
    _register_jobs(services)
    return services


def _certificates(path: Path | None) -> tuple[Certificate, ...]:
    try:
        return certificates(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"TIMESTAMP_CERTIFICATES names no PEM file of certificates: {error}") from error


def ledger_origin(settings: Settings) -> str:
    """What the ledger is called in its signed heads."""
    return f"{settings.base_url.partition('://')[2]}/agreements"


def rooms_of(keyring: Keyring) -> tuple[Room, ...]:
    """What each room holds of a person, in the order in which it is erased."""
    return (
        account_holdings.FIRST,
        agreement_holdings.room(keyring),
        checkout_holdings.ROOM,
        account_holdings.LAST,
    )


@asynccontextmanager
async def running(services: Services, *, background: bool = True) -> AsyncIterator[None]:
    """Run what goes on beside the requests while the block lasts: price books, API keys, jobs, payments."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(services.db.close)
        stack.push_async_callback(services.gateway.close)
        await load_merchant(services)
        await services.books.start()
        stack.push_async_callback(services.books.stop)
        stack.push_async_callback(services.pricing.stop)
        await stack.enter_async_context(services.api_keys.listening())
        await stack.enter_async_context(services.journey.flushing())
        if background:
            await stack.enter_async_context(services.jobs.worker())
            await services.payments.recover()
        yield


async def load_merchant(services: Services) -> None:
    """Read the seller's details, which every page shows."""
    async with services.db.reading(for_accounts()) as session:
        try:
            services.merchant = await accounts_store.find_merchant(session)
        except accounts_store.MerchantMissing:
            log.warning("the seller's details are not set yet")


def _register_jobs(services: Services) -> None:
    from web.auditor import Auditor  # it asks the whole application, which knows these services

    async def reconcile() -> None:
        await services.reconciliations.run_hourly(alarm=services.merchant.email)

    async def expire() -> None:
        await services.retention.expire()

    async def stamp() -> None:
        await services.stamps.run()

    jobs = services.jobs
    jobs.register(SEND_TASK, services.post_office.send)
    jobs.register(APPLY_TASK, services.erasures.apply)
    jobs.register(EXPORT_TASK, services.data_exports.make)
    jobs.register(IMPORT_READ, services.price_imports.read)
    jobs.register(IMPACT_WORK, services.impacts.work)
    jobs.register(TELL_TASK, services.notices.tell)
    for each in (services.payments, services.deliveries, services.price_news, services.receipt_post):
        for task, handler in each.job_handlers().items():
            jobs.register(task, handler)
    jobs.periodic("discard_abandoned_imports", HOURLY, services.price_imports.discard_abandoned)
    jobs.periodic("audit_prices", BETWEEN_HOURS, Auditor(services).run_hourly)
    jobs.periodic("delete_expired_sessions", HOURLY, services.accounts.delete_expired)
    jobs.periodic("delete_what_is_too_old", DAILY, expire)
    jobs.periodic("delete_old_calls", HOURLY, services.repeated_calls.delete_old)
    jobs.periodic("expire_packages", EVERY_MINUTE, services.packages.sweep)
    jobs.periodic("expire_approvals", EVERY_MINUTE, services.approvals.sweep)
    jobs.periodic("sweep_payments", EVERY_MINUTE, services.payments.sweep)
    jobs.periodic("reconcile", LATE_IN_HOURS, reconcile)
    jobs.periodic("remind_of_invoices", HOURLY, services.payments.invoices.remind)
    jobs.periodic("sign_ledger_head", EVERY_MINUTE, services.checkpoints.sign)
    jobs.periodic("stamp_ledger_heads", EVERY_MINUTE, stamp)
    jobs.periodic("sweep_webhooks", EVERY_MINUTE, services.deliveries.sweep)
    jobs.periodic("sweep_price_news", EVERY_MINUTE, services.price_news.sweep)
    jobs.periodic("delete_old_webhooks", HOURLY, services.deliveries.delete_old)
