"""What the commands of `bin/tarifa` do, over the same services as the shop."""

import argparse
import secrets
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from zipfile import ZipFile

import msgspec

from checkout.stripe_gateway import StripeUnavailable
from kernel.csv_rows import ImportReport
from kernel.settings import Settings
from pricing import impact_csv, impact_text
from pricing.engine import LineRequest, Quote, QuoteRequest, disclosed, quote
from pricing.engine.explain import explain
from pricing.engine.proofs import delta, prove, view, view_lines
from pricing.engine.request import PricedLine
from pricing.exports import Form, PriceExports
from pricing.proving import published_content, published_leaves
from pricing.replay_orders import Evaluator, replay
from web.cli import FOUND, CommandFailed, called_from
from web.command_parts import (
    buyer_of,
    draft_of,
    end_progress,
    instant,
    opened_services,
    print_errors,
    root_in_force,
    say_progress,
    write,
)
from web.desk.sheet_words import about_lines
from web.services import running

SHOWN_GROUPS = 20


async def import_files(arguments: argparse.Namespace) -> int:
    """Import a folder's files, or a workbook's sheets: all, or with one error nothing."""
    path = called_from(arguments.folder)
    if not path.exists():
        raise CommandFailed(
            f"{arguments.folder} is no folder and no file. Name the folder that holds the CSV files, or a workbook."
        )
    async with opened_services() as services:
        importing = services.pricing.import_folder if path.is_dir() else services.pricing.import_file
        imported = await importing(
            path, by=None, title=arguments.title, progress=lambda file, rows: say_progress(f"{file}: {rows:,} rows")
        )
    end_progress()
    if not imported.report.ok:
        print_errors(imported.report)
        print("Nothing was imported. Mend these rows and run it again.", file=sys.stderr)
        return FOUND
    if not imported.report.counts and imported.draft_id is None:
        raise CommandFailed(f"{arguments.folder} holds none of the files that docs/import-files.md names.")
    for name, count in imported.report.counts.items():
        print(
            f"  {name:<22} {count.rows:>9,} rows: {count.added:,} added, {count.changed:,} changed, "
            f"{count.unchanged:,} unchanged"
        )
    for note in imported.report.notes:
        print(f"  {note}")
    if imported.draft_id is not None:
        print(f"Prices wait in draft {imported.draft_id}. Publish them: bin/tarifa publish {imported.draft_id}")
    return 0


async def export_files(arguments: argparse.Namespace) -> int:
    """Write the price files of a publication or draft. What was derived is left out; the formulas are among them."""
    target = called_from(arguments.folder)
    if arguments.xlsx:
        return await _export_workbook(arguments, target)
    if arguments.draft is not None:
        return await _export_draft(arguments, target)
    async with opened_services() as services:
        files = await services.pricing.export_prices(arguments.publication)
    _require_none_of(files, target, arguments.folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        with (target / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    print(f"{len(files)} files are in {arguments.folder}. Import them again: bin/tarifa import {arguments.folder}")
    return 0


async def _export_draft(arguments: argparse.Namespace, target: Path) -> int:
    with NamedTemporaryFile(suffix=".zip") as archive:
        async with opened_services() as services:
            draft_id = await draft_of(services, arguments.draft)
            await PriceExports(services.pricing).write_draft(draft_id, Path(archive.name), form=Form.CSV)
        with ZipFile(archive.name) as files:
            _require_none_of(files.namelist(), target, arguments.folder)
            files.extractall(target)
            count = len(files.namelist())
    back = f"bin/tarifa drafts import {draft_id} {arguments.folder}"
    print(f"{count} files are in {arguments.folder}. Bring them back: {back}")
    return 0


def _require_none_of(names: Iterable[str], target: Path, named: str) -> None:
    standing = [name for name in names if (target / name).exists()]
    if standing:
        raise CommandFailed(f"{named} holds a {standing[0]} already. Name a new folder.")


async def _export_workbook(arguments: argparse.Namespace, path: Path) -> int:
    _require_new_file(path, arguments.folder)
    async with opened_services() as services:
        exports = PriceExports(services.pricing)
        if arguments.draft is not None:
            draft = await services.pricing.find_draft(await draft_of(services, arguments.draft))
            about = about_lines(f"{draft.title} ({draft.id})", services.clock.now(), "en")
            await exports.write_draft(draft.id, path, form=Form.WORKBOOK, about=about)
        else:
            named = f"publication {arguments.publication}" if arguments.publication else "the last publication"
            about = about_lines(named, services.clock.now(), "en")
            await exports.write_publication(arguments.publication, path, form=Form.WORKBOOK, about=about)
    print(f"The workbook is in {arguments.folder}. Import it again: bin/tarifa import {arguments.folder}")
    return 0


def _require_new_file(path: Path, named: str) -> None:
    if path.exists():
        raise CommandFailed(f"{named} is there already. Name a new file.")
    if not path.parent.is_dir():
        raise CommandFailed(f"{named} cannot be written: its folder does not exist.")


async def segments(arguments: argparse.Namespace) -> int:
    """Say who is in which segments, or change a company's: at once, and for a reason."""
    changes = bool(arguments.add or arguments.remove)
    if changes and arguments.company is None:
        raise CommandFailed("Name the company whose segments change.")
    if changes and not arguments.reason.strip():
        raise CommandFailed("Say why: --reason TEXT.")
    async with opened_services() as services:
        if arguments.company is None:
            members: dict[str, list[str]] = {}
            for company in await services.segments.list_companies():
                for segment in company.segments:
                    members.setdefault(segment, []).append(company.code)
            for segment in sorted(members):
                print(f"{segment}: {', '.join(members[segment])}")
            return 0
        company = await services.segments.find(arguments.company)
        if changes:
            wanted = sorted({*company.segments, *arguments.add} - set(arguments.remove))
            shown, reason = company.segments, arguments.reason
            await services.segments.assign(company.code, wanted, shown=shown, reason=reason, by=None)
            company = await services.segments.find(arguments.company)
        print(f"{company.code}: {', '.join(company.segments) or 'in no segment'}")
    return 0


async def price(arguments: argparse.Namespace) -> int:
    """Price one line and say why."""
    async with opened_services() as services:
        at = services.clock.now() if arguments.at is None else instant(arguments.at)
        buyer = await buyer_of(services, arguments.company)
        request = QuoteRequest(
            buyer=buyer,
            currency=arguments.currency,
            lines=(LineRequest(sku=arguments.sku, quantity=arguments.quantity, unit=arguments.unit),),
        )
        answer = quote(request, book=await services.books.past(at), at=at)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return 0
    line = answer.lines[0]
    print("\n".join(explain(line, "en")))
    if isinstance(line, PricedLine):
        print(f"{line.quantity} x {line.sku} = {line.subtotal} {answer.currency}")
    print(f"price book {answer.root}")
    return 0 if isinstance(line, PricedLine) else FOUND


async def show_leaves(arguments: argparse.Namespace) -> int:
    """Write the leaves that an answer follows from and its buyer may see."""
    path = called_from(arguments.answer)
    if not path.is_file():
        raise CommandFailed(f"{arguments.answer} is no file. Name an answer that `bin/tarifa price --json` wrote.")
    try:
        answer = msgspec.json.decode(path.read_bytes(), type=Quote)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{arguments.answer} is no answer of the price engine: {error}") from error
    async with opened_services() as services:
        content = await published_content(services.db, services.keyring, answer.root)
    write(msgspec.json.encode(disclosed(content, services.keyring.house_key, answer)))
    return 0


async def prove_leaf(arguments: argparse.Namespace) -> int:
    """Write a proof; what the leaf says only to a buyer who may see it."""
    key = tuple(arguments.key)
    if arguments.kind == "row" and len(key) == len(("list", "sku", "unit")):
        key = (*key, "")
    async with opened_services() as services:
        buyer = await buyer_of(services, arguments.company)
        every = await published_leaves(services.db, services.keyring, root_in_force(services, arguments.at))
    write(msgspec.json.format(msgspec.json.encode(prove(every, arguments.kind, key, buyer=buyer))))
    return 0


async def write_view(arguments: argparse.Namespace) -> int:
    """Write a reader's view of a book, line by line."""
    async with opened_services() as services:
        buyer = await buyer_of(services, arguments.company)
        every = await published_leaves(services.db, services.keyring, root_in_force(services, arguments.at))
    for line in view_lines(view(every, buyer)):
        sys.stdout.buffer.write(line)
    return 0


async def write_delta(arguments: argparse.Namespace) -> int:
    """Write what a reader's view of one book needs to become that of another."""
    async with opened_services() as services:
        buyer = await buyer_of(services, arguments.company)
        roots = arguments.since, root_in_force(services, arguments.at)
        old, new = [await published_leaves(services.db, services.keyring, root) for root in roots]
    write(msgspec.json.encode(delta(old, new, buyer)))
    return 0


async def impact(arguments: argparse.Namespace) -> int:
    """Say what a draft would do to what was sold, in the numbers of the desk's page."""
    folder = None if arguments.csv is None else called_from(arguments.csv)
    if folder is not None and folder.exists():
        raise CommandFailed(f"{arguments.csv} exists already. Name a new folder.")
    done = 0

    def say(lines: int) -> None:
        nonlocal done
        done += lines
        say_progress(f"{done:,} prices")

    async with opened_services() as services:
        draft = await draft_of(services, arguments.draft)
        compared = await services.impacts.compare(
            draft,
            months=arguments.months,
            as_of=None if arguments.at is None else instant(arguments.at),
            progress=say,
        )
    end_progress()
    report = compared.report()
    print(
        f"Orders placed from {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}, prices as of {report.at.isoformat()}, "
        f"draft {draft} compared with publication {report.publication}"
    )
    for line in impact_text.lines("past orders", report.orders, "order"):
        print(line)
    for line in impact_text.lines("open quotes", report.quotes, "quote"):
        print(line)
    if folder is not None:
        folder.mkdir(parents=True)
        for kind, of_kind, sums in (
            ("orders", compared.orders, report.orders),
            ("quotes", compared.quotes, report.quotes),
        ):
            files = {name: impact_csv.table(sums, name) for name in impact_csv.TABLES}
            for name, rows in (files | {impact_csv.LINES: impact_csv.lines(of_kind)}).items():
                with (folder / f"{kind}-{name}.csv").open("w", encoding="utf-8", newline="") as file:
                    file.writelines(rows)
        print(f"Tables and lines are in {arguments.csv}.")
    return 0


async def replay_orders(arguments: argparse.Namespace) -> int:
    """Evaluate past order lines with the current book at each line's date, and compare."""
    path = called_from(arguments.lines)
    if not path.is_file():
        raise CommandFailed(f"{arguments.lines} is no file. Name a CSV file of order lines.")
    exceptions = None if arguments.exceptions is None else called_from(arguments.exceptions)
    if exceptions is not None and not exceptions.parent.is_dir():
        raise CommandFailed(f"{arguments.exceptions} cannot be written: its folder does not exist.")
    async with opened_services() as services:
        latest = services.books.published()
        if not latest:
            raise CommandFailed("No price book is published yet. Import and publish one first.")
        book = await services.books.load(latest[-1].root)
        report = ImportReport()
        result = replay(
            path,
            book,
            report,
            evaluator=Evaluator(arguments.evaluator),
            progress=lambda lines: say_progress(f"{lines:,} lines"),
        )
    end_progress()
    if not report.ok:
        print_errors(report)
        print("These rows could not be read and are not counted below.", file=sys.stderr)
    if result.compared:
        told = "agree" if not result.unlike else f"do NOT agree on {result.unlike:,}"
        print(f"{result.compared:,} lines went through both evaluators, which {told}")
    print(f"{result.equal:,} of {result.lines:,} lines come out equal to what was charged")
    for group in result.groups[:SHOWN_GROUPS]:
        rules = ", ".join(group.rules) or "no rule"
        reason = f" ({group.reason})" if group.reason else ""
        print(f"  {group.count:>7,}  {group.outcome}{reason}  by {rules}")
        for example in group.examples:
            asked = example.asked
            got = example.priced.subtotal if isinstance(example.priced, PricedLine) else example.priced.reason
            print(
                f"           {asked.reference}/{asked.line} {asked.quantity} x {asked.sku}: {asked.expected} -> {got}"
            )
    if exceptions is not None:
        exceptions.write_bytes(msgspec.json.format(msgspec.json.encode(result.groups)))
    return 0 if result.equal == result.lines and not result.unlike and report.ok else FOUND


async def audit(arguments: argparse.Namespace) -> int:
    """Ask every channel the same sampled prices, keep the certificate, and show every difference with both traces."""
    from web.auditor import Auditor

    seed = secrets.randbelow(2**31) if arguments.seed is None else arguments.seed
    async with opened_services() as services, running(services, background=False):
        done = await Auditor(services).run(questions=arguments.questions, seed=seed)
    for channel, count in msgspec.json.decode(done.certificate)["answers"].items():
        print(f"  {channel:<14} {count:>6} answers")
    for difference in done.differences:
        print(f"DIFFERENCE {difference['channel']}: {msgspec.json.encode(difference['question']).decode()}")
        print(f"  said      {msgspec.json.encode(difference['said']).decode()}")
        print(f"  expected  {msgspec.json.encode(difference['expected']).decode()}")
    print(f"{done.questions} questions, {done.difference_count} differences, seed {seed}.")
    return FOUND if done.difference_count else 0


async def reconcile(arguments: argparse.Namespace) -> int:
    """Compare our orders with Stripe's objects, both ways, and our books with themselves."""
    async with opened_services() as services:
        since = services.clock.now() - timedelta(days=arguments.days)
        try:
            breaks = await services.reconciliations.compare(since=since)
        except StripeUnavailable as error:
            raise CommandFailed(f"{error.message} {_where_stripe_is(services.settings)}") from error
    for found in breaks:
        print(f"  {found.kind:<26} {found.reference}  {found.detail}")
    if breaks:
        print(f"{len(breaks)} {'break' if len(breaks) == 1 else 'breaks'} in the last {arguments.days} days")
        return FOUND
    print(f"No break in the last {arguments.days} days: our orders and Stripe's objects agree.")
    return 0


def _where_stripe_is(settings: Settings) -> str:
    if settings.stripe_api_base is None:
        return "Check STRIPE_API_KEY and the way to api.stripe.com."
    return f"The test payments run with the shop: is it serving on PORT {settings.port}?"
