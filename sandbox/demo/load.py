"""Fill an empty installation with the demo: `python -m sandbox.demo.load`, started by `tarifa serve` once.

The seller, its catalogue and prices, the agreements, buyer companies and people to log in as. Staff come last: an
installation that has them is complete, and a loader that was killed goes on where it was.
"""

import asyncio
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from accounts.member_service import PersonTaken
from accounts.model import MemberRole, Merchant, StaffRole
from accounts.retention import read_periods
from accounts.store import find_company_by_code
from agreements.imports import load_documents
from kernel.clock import Clock, SystemClock
from kernel.db import for_accounts, for_staff
from kernel.settings import Settings
from sandbox.demo.files import write_demo
from sandbox.demo.programs import load_programs
from sandbox.demo.rules import COMPANIES
from sandbox.demo.together import PEOPLE as OF_TOGETHER
from sandbox.demo.together import load_members, load_together
from web.services import Services, build

SKUS: Final = 1200
LETTERS: Final = "bcdfghjkmnpqrstvwxz"
"""Nothing that spells a word: hexadecimal digits may leave `demo` alone among numbers, which is too weak a password."""
DOCUMENTS: Final = Path(__file__).parent.parent / "demo_documents"
FIRST_LEAD_SECONDS: Final = 3.0
"""No worker serves prices yet, so nobody has to hear of the first book in time."""

MERCHANT: Final[dict[str, Any]] = {
    "legal_name": "Meridian Industrial Supply S.L.",
    "trade_name": "Meridian Industrial",
    "address": {
        "street": "Carrer de la Química 14",
        "postal_code": "08040",
        "city": "Barcelona",
        "region": "Barcelona",
    },
    "country": "ES",
    "tax_id": "ESB66543214",
    "email": "help@meridian.example",
    "phone": "+34 930 000 140",
    "support_hours": "Mon-Fri 8:00-18:00 CET",
}
PEOPLE: Final = (
    # e-mail, name, company, role, signatory, limit, job title, locale
    ("buyer@acme.example", "Acme buyer", "acme", MemberRole.ADMIN, True, None, "Head of purchasing", "en"),
    ("clerk@acme.example", "Acme clerk", "acme", MemberRole.BUYER, False, None, "Purchasing clerk", "en"),
    ("buyer@globex.example", "Globex buyer", "globex", MemberRole.ADMIN, True, None, "Plant buyer", "en"),
    ("compras@initech.example", "Compras Initech", "initech", MemberRole.ADMIN, True, 500_000, "Jefe de compras", "es"),
)
STAFF: Final = (
    ("finance@meridian.example", "Finance desk", StaffRole.FINANCE),
    ("support@meridian.example", "Support desk", StaffRole.SUPPORT),
    ("legal@meridian.example", "Legal desk", StaffRole.LEGAL),
)
WHAT_FOR: Final = {
    "buyer@acme.example": "orders and pays by card",
    "clerk@acme.example": "signs nothing, sends orders to buyer@acme.example for approval",
    "buyer@globex.example": "buys in dollars at its contract's prices",
    "compras@initech.example": "reads Spanish, signs up to 5,000 EUR; its programs order by a framework agreement",
    "buyer@umbrella.example": "orders alone up to 1,000 EUR, pays by invoice; sends the rest to colleagues",
    "approver@umbrella.example": "approves orders above 1,000 EUR, is one of two who sign above 5,000 EUR",
    "director@umbrella.example": "the other who signs, and says how the company buys",
    "finance@meridian.example": "prices, payments, invoices, credit",
    "support@meridian.example": "orders of every company",
    "legal@meridian.example": "agreements, evidence, counter-signatures, privacy",
}
"""What a log-in of the demo is good for, beside its role."""


async def load(services: Services, password: str, *, skus: int = SKUS, shared: bool = False) -> None:
    """Load everything that is not there yet. All people share *password*. *shared*: with `together.py`'s company, and
    what `programs.py`'s has agreed.
    """
    await load_prices(services, skus=skus)
    await load_agreements(services)
    await load_buyers(services, password)
    if shared:
        await load_together(services, password)
        await load_programs(services, password)
    await load_staff(services, password)


async def load_prices(services: Services, *, skus: int = SKUS) -> None:
    """Import the generated catalogue and price files and publish them, unless something is published."""
    if await services.pricing.list_publications(limit=1):
        return
    with tempfile.TemporaryDirectory() as folder:
        await asyncio.to_thread(write_demo, Path(folder), skus=skus, on=services.clock.now().date())
        imported = await services.pricing.import_folder(Path(folder), by=None, title="Demo prices")
    if not imported.report.ok or imported.draft_id is None:
        raise SystemExit("\n".join(str(error) for error in imported.report.errors[:20]))
    await services.pricing.publish(
        imported.draft_id, by=None, acknowledge="The demo shows them", note="The demo's first price book"
    )


async def load_buyers(services: Services, password: str) -> None:
    """Make the seller, the companies and their members."""
    await services.members.set_merchant(Merchant(**MERCHANT))
    for row in COMPANIES:
        async with services.db.begin(for_accounts()) as session:
            company = await find_company_by_code(session, row["code"])
        company = company or await services.members.create_company(
            code=row["code"],
            name=row["name"],
            country=row["country"],
            tax_id=row["tax_id"] or None,
            currency=row["currency"],
            segments=[segment for segment in row["segments"].split(";") if segment],
        )
        await load_members(services, company, PEOPLE, password)


async def load_staff(services: Services, password: str) -> None:
    for email, name, staff_role in STAFF:
        with suppress(PersonTaken):
            await services.members.create_staff(email=email, name=name, password=password, role=staff_role)


async def load_agreements(services: Services) -> None:
    """Publish the demo's agreements in both languages, and how long records are kept; what is there stays as it is."""
    async with services.db.begin(for_staff()) as session:
        await load_documents(session, services.agreements, DOCUMENTS)
    await services.retention.set(read_periods(DOCUMENTS / "retention.json"), by=None)


def shared_password(path: Path) -> str:
    """Draw a password for this installation alone, once, so that no demo left open is entered with a known one; keep it
    with the log-ins where `tarifa serve` prints them from, readable by its user alone.
    """
    if path.exists():
        return path.read_text().splitlines()[0].split()[5]
    password = "demo-" + "".join(secrets.choice(LETTERS) for _ in range(10))
    lines = [f"Log in with the password  {password}  as"]
    who = [(email, f"{company} ({role.value})") for email, _, company, role, *_ in (*PEOPLE, *OF_TOGETHER)]
    who += [(email, f"staff ({role.value})") for email, _, role in STAFF]
    lines += [f"  {email:<28} {acts_as:<21} {WHAT_FOR[email]}" for email, acts_as in who]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
    return password


async def main(clock: Clock) -> None:
    settings = msgspec.structs.replace(Settings.from_environment(), lead_time_seconds=FIRST_LEAD_SECONDS)
    services = build(settings, clock=clock)
    try:
        await services.books.refresh()
        await load(services, shared_password(settings.var / "demo-log-ins.txt"), shared=True)
    finally:
        await services.gateway.close()
        await services.db.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(SystemClock())))
