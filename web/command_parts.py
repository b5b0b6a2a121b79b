"""What the commands of `bin/tarifa` share: services over the installation's database, what arguments name, tables."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psycopg
from sqlalchemy.exc import OperationalError

from accounts.store import find_company_by_code
from checkout.tax import HOME
from kernel.csv_rows import ImportReport
from kernel.db import for_accounts
from kernel.log import configure_logging
from kernel.settings import Settings
from pricing.engine import Buyer
from pricing.model import DraftState
from web.cli import CommandFailed
from web.serve import HOST, prepare_environment
from web.services import Services, build

SHOWN_ERRORS: Final = 50


@asynccontextmanager
async def opened_services() -> AsyncIterator[Services]:
    """The services over the installation's database, which is started when it does not run yet.

    Logs go to standard error, so that what a command answers can be piped.
    """
    configure_logging(level="WARNING")
    prepare_environment(Settings.from_environment(), os.environ)
    settings = Settings.from_environment()
    services = build(settings if settings.stripe_api_key is not None else _with_test_payments(settings))
    try:
        await services.books.refresh()
        yield services
    except (OperationalError, psycopg.OperationalError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise CommandFailed(f"The database does not answer any more: {reason}. Try again.") from error
    finally:
        await services.gateway.close()
        await services.db.close()


def _with_test_payments(settings: Settings) -> Settings:
    """Where no key of a real account is set, payments are those of the test server that runs beside the shop."""
    return msgspec.structs.replace(
        settings, stripe_api_key="sk_test_twin", stripe_api_base=f"http://{HOST}:{settings.port + 1}"
    )


async def buyer_of(
    services: Services, code: str | None, *, segments: Sequence[str] = (), country: str | None = None
) -> Buyer:
    """A company's buyer; without one somebody of these segments. *country*: where the goods go, home unless said."""
    if code is None:
        return Buyer(segments=tuple(segments), country=country or HOME)
    async with services.db.reading(for_accounts()) as session:
        company = await find_company_by_code(session, code)
    if company is None:
        raise CommandFailed(f"There is no company {code}.")
    return Buyer(company=company.code, segments=(*company.segments, *segments), country=country or company.country)


async def draft_of(services: Services, text: str | None) -> uuid.UUID:
    """The draft that is named, else the newest open one."""
    if text is not None:
        try:
            return uuid.UUID(text)
        except ValueError:
            raise CommandFailed(f"{text} is no draft's id. `bin/tarifa drafts` lists them.") from None
    drafts = await services.pricing.list_drafts(DraftState.OPEN)
    if not drafts:
        raise CommandFailed("There is no open price draft. Import prices or edit them at the desk first.")
    return max(drafts, key=lambda draft: draft.created_at).id


def root_in_force(services: Services, at: str | None) -> str:
    """The root of the book in force then."""
    return services.books.in_force(services.clock.now() if at is None else instant(at)).root


def write_json(found: Any) -> None:
    """One document, indented, of what msgspec can write."""
    write(msgspec.json.format(msgspec.json.encode(found), indent=2))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of columns as wide as their widest cell; the last one runs on."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()


def day_and_time(at: datetime) -> str:
    """To the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def write(document: bytes) -> None:
    sys.stdout.buffer.write(document + b"\n")


def instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"{text} is no instant. Write it like 2026-12-01T00:00:00Z.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def say_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r  {text:<60}", end="", file=sys.stderr, flush=True)


def end_progress() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)


def print_errors(report: ImportReport) -> None:
    for error in report.errors[:SHOWN_ERRORS]:
        print(f"  {error}", file=sys.stderr)
    more = report.errors_total - min(len(report.errors), SHOWN_ERRORS)
    if more:
        print(f"  ... and {more:,} more", file=sys.stderr)
