"""The finance desk as commands: drafts, what stands against them, their publication, and the way back.

The command line is the house's own and nobody in particular: it publishes what nobody approved, and the log then says
so. A review is of persons; submitting, approving, returning and commenting stay with them, at the desk.
"""

import argparse
import hashlib
import shlex
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from kernel.csv_rows import RowError
from pricing.content import Key, root_text
from pricing.engine import Book, Buyer
from pricing.engine.check import Severity, Witness
from pricing.engine.explain import explain
from pricing.engine.request import PricedLine, RefusedLine
from pricing.findings import finding_text
from pricing.import_model import ImportState
from pricing.imports import PART_MOST
from pricing.ladder import ladder_of, price_of
from pricing.model import Approval, DraftState, PriceDraft, PricePublication
from pricing.second_look import Demand
from pricing.service import (
    Change,
    DraftClash,
    Examined,
    FindingsStopPublication,
    Standing,
    WarningsNotAcknowledged,
)
from web.cli import FOUND, LIMIT_MOST, CommandFailed, called_from
from web.command_parts import (
    SHOWN_ERRORS,
    buyer_of,
    day_and_time,
    draft_of,
    end_progress,
    instant,
    opened_services,
    print_errors,
    say_progress,
    table,
    write_json,
)
from web.desk.describe import changed, compared, key_text, kind_text
from web.desk.publishing import demand_text
from web.desk.words import Words
from web.people import names_of
from web.services import Services

Line = PricedLine | RefusedLine
DIGEST_SHOWN: Final = 12
DIGEST_NAME: Final = "sha256:"
SHOWN_CHANGES: Final = 200
ROW_PARTS: Final = 4
ROOT_LEAST: Final = 10
"""So many digits of a root name it; fewer are a publication's number."""
NAMELESS: Final = ("layers", "policy", "strategy")


async def check(arguments: argparse.Namespace) -> int:
    """Say what stands against publishing a draft or files, and how many objects they change. Nothing is kept."""
    async with opened_services() as services:
        path = None if arguments.what is None else called_from(arguments.what)
        if path is not None and path.exists():
            return await _check_files(services, path, arguments, catalogue=path.is_dir())
        if arguments.what is not None and not _is_draft_id(arguments.what):
            raise CommandFailed(f"{arguments.what} is no folder, no file and no draft's id. Name what to check.")
        draft_id = await draft_of(services, arguments.what)
        try:
            examined = await services.pricing.examine(draft_id)
        except DraftClash as clash:
            return _say_clash(clash, as_json=arguments.json)
        changes = await services.pricing.count_changes(draft_id)
        return _say_examined(
            f"Draft {draft_id}", changes, examined, services, draft_id=draft_id, as_json=arguments.json
        )


async def _check_files(services: Services, path: Path, arguments: argparse.Namespace, *, catalogue: bool) -> int:
    checked = await services.pricing.check_files(
        path, catalogue=catalogue, progress=lambda file, rows: say_progress(f"{file}: {rows:,} rows")
    )
    end_progress()
    if not checked.report.ok:
        if arguments.json:
            write_json({"errors": checked.report.errors, "count": checked.report.errors_total})
        else:
            print_errors(checked.report)
        return FOUND
    if checked.examined is None:
        raise CommandFailed(f"{arguments.what} holds none of the files that docs/import-files.md names.")
    return _say_examined(arguments.what, checked.changes, checked.examined, services, as_json=arguments.json)


async def list_drafts(arguments: argparse.Namespace) -> int:
    """The open drafts, newest first, and where their reviews stand."""
    async with opened_services() as services:
        drafts = await services.pricing.list_drafts(None if arguments.all else DraftState.OPEN)
        reviews = await services.reviews.list_standing(drafts)
        names = await names_of(services, [draft.author_id for draft in drafts])
        counts = {draft.id: await services.pricing.count_changes(draft.id) for draft in drafts}
    if arguments.json:
        write_json([_draft(draft) | {"changes": counts[draft.id]} for draft in drafts])
        return 0
    words = Words("en")
    rows = [
        (
            str(draft.id),
            day_and_time(draft.created_at),
            names[draft.author_id],
            str(counts[draft.id]),
            words.word(reviews[draft.id].value if draft.id in reviews else draft.state.value),
            draft.title,
        )
        for draft in drafts
    ]
    if not rows:
        print("There is no open price draft.")
        return 0
    print("\n".join(table(("draft", "opened", "by", "changes", "stands", "title"), rows)))
    return 0


async def open_draft(arguments: argparse.Namespace) -> int:
    """Open a draft without changes."""
    async with opened_services() as services:
        draft = await services.pricing.open_draft(title=arguments.title, by=None)
    print(f"Draft {draft.id} is open.")
    return 0


async def show_draft(arguments: argparse.Namespace) -> int:
    """What a draft changes, field by field, and what was said of it."""
    async with opened_services() as services:
        draft = await services.pricing.find_draft(await draft_of(services, arguments.draft))
        changes = await services.pricing.list_changes(draft.id, limit=None if arguments.json else SHOWN_CHANGES)
        count = await services.pricing.count_changes(draft.id)
        steps = await services.reviews.list_steps(draft.id)
        names = await names_of(services, [draft.author_id, *(step.person_id for step in steps)])
    if arguments.json:
        said = [
            {"step": step.step, "version": step.draft_version, "by": step.person_id, "at": step.taken_at,
             "comment": step.comment}
            for step in steps
        ]  # fmt: skip
        write_json(_draft(draft) | {"changes": changes, "review": said})
        return 0
    print(f"{draft.title}: {draft.state.value}, version {draft.version}, by {names[draft.author_id]}")
    print("\n".join(change_lines(changes)))
    if count > len(changes):
        print(f"... and {count - len(changes):,} more. --json has all of them.")
    words = Words("en")
    for step in steps:
        about = f"{day_and_time(step.taken_at)}  {names[step.person_id]}: {words.word(step.step.value)}"
        print(f"{about} (version {step.draft_version})" + (f": {step.comment}" if step.comment else ""))
    return 0


async def set_object(arguments: argparse.Namespace) -> int:
    """Put one object into a draft, from JSON."""
    text = sys.stdin.read() if arguments.content == "-" else arguments.content
    try:
        content = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise CommandFailed(f"The content is no JSON: {error}. `drafts show --json` shows how objects look.") from error
    async with opened_services() as services:
        await _put(services, arguments, content)
    return 0


async def remove_object(arguments: argparse.Namespace) -> int:
    """Take one object out of the book that a draft makes; a price list with its prices."""
    async with opened_services() as services:
        if arguments.kind == "list" and len(arguments.key) == 1:
            draft_id = await draft_of(services, arguments.draft)
            standing = await services.pricing.find_leaf(draft_id, "list", tuple(arguments.key))
            if standing.seen is None:
                raise CommandFailed(f"The draft has no list {arguments.key[0]}.")
            await services.pricing.remove_list(draft_id, arguments.key[0], by=None, expected=standing.seen)
            print(f"Without {kind_text('list', 'en')} {arguments.key[0]}, in draft {draft_id}")
        else:
            await _put(services, arguments, None)
    return 0


async def undo_change(arguments: argparse.Namespace) -> int:
    """Take back what a draft changes of one object."""
    async with opened_services() as services:
        draft_id, key = await draft_of(services, arguments.draft), _key(arguments.kind, arguments.key)
        change = await services.pricing.find_change(draft_id, arguments.kind, key)
        if change is None:
            raise CommandFailed(f"The draft changes nothing of {arguments.kind} {' '.join(arguments.key)}.")
        await services.pricing.put_change(draft_id, arguments.kind, key, change.before, by=None, expected=change.seen)
    print(f"{kind_text(arguments.kind, 'en')} {key_text(arguments.kind, key)} is as it was, in draft {draft_id}")
    return 0


async def import_into(arguments: argparse.Namespace) -> int:
    """Make an open draft what files say: all of it, or with one mistake nothing."""
    path = called_from(arguments.files)
    if not path.exists():
        raise CommandFailed(f"{arguments.files} is no folder and no file. Name price files, a workbook or a zip.")
    async with opened_services() as services:
        draft_id, imports = await draft_of(services, arguments.draft), services.price_imports
        with _one_file(path) as file:
            digest = _digest(file)
            begun = await imports.begin(draft_id, name=_named_as(path), size=file.tell(), digest=digest, by=None)
            file.seek(begun.received)
            while part := file.read(PART_MOST):
                begun = await imports.add_part(begun.id, start=begun.received, content=part)
        await imports.read(str(begun.id))
        found = await imports.find(begun.id)
        if found.state is not ImportState.READY:
            await imports.discard(found.id, by=None)
            _print_mistakes(found.report)
            return FOUND
        try:
            accepted = await imports.accept(found.id, by=None)
        except DraftClash as clash:
            await imports.discard(found.id, by=None)
            return _say_clash(clash, as_json=False)
    print(f"{accepted.added:,} added, {accepted.changed:,} changed, {accepted.removed:,} removed, in draft {draft_id}")
    return 0


@contextmanager
def _one_file(path: Path) -> Iterator[BinaryIO]:
    """The file, or a zip of the CSV files of a folder."""
    if path.is_file():
        with path.open("rb") as file:
            yield file
        return
    with TemporaryFile() as file:
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            for each in sorted(path.glob("*.csv")):
                archive.write(each, each.name)
        file.seek(0)
        yield file


def _digest(file: BinaryIO) -> bytes:
    found = hashlib.sha256()
    while part := file.read(PART_MOST):
        found.update(part)
    return found.digest()


def _named_as(path: Path) -> str:
    return path.name if path.is_file() else f"{path.name}.zip"


def _print_mistakes(report: Mapping[str, Any] | None) -> None:
    errors = [] if report is None else report["errors"]
    for error in errors[:SHOWN_ERRORS]:
        print(f"  {msgspec.convert(error, RowError)}", file=sys.stderr)
    more = 0 if report is None else report["errors_total"] - len(errors[:SHOWN_ERRORS])
    print(f"{f'  ... and {more:,} more. ' if more else ''}The draft is as it was.", file=sys.stderr)


async def discard_draft(arguments: argparse.Namespace) -> int:
    """Close a draft for good without publishing it."""
    async with opened_services() as services:
        draft = await services.pricing.find_draft(await draft_of(services, arguments.draft))
        await services.pricing.discard_draft(draft.id)
    print(f"Draft {draft.id} ({draft.title}) is discarded.")
    return 0


async def preview(arguments: argparse.Namespace) -> int:
    """Prices of SKUs before and after a draft for one buyer: at the quantities asked for, else wherever one changes."""
    at_asked = None if arguments.at is None else instant(arguments.at)
    async with opened_services() as services:
        buyer = await buyer_of(services, arguments.company, segments=arguments.segment, country=arguments.country)
        at = at_asked or services.clock.now()
        draft_id = await draft_of(services, arguments.draft)
        books = await services.pricing.books_of_draft(draft_id, skus=arguments.sku, at=at)
        shown = list(_previewed(books, buyer, arguments, at))
    if arguments.json:
        write_json([dict(zip(("before", "after"), lines, strict=True)) for lines in shown])
        return 0
    rows = [
        (after.sku, after.quantity, after.unit or "", _amount(before), _amount(after), _moves_by(before, after))
        for before, after in shown
    ]
    print("\n".join(table(("sku", "quantity", "unit", "before", "after", "moves by"), rows)))
    if arguments.explain:
        for _, after in shown:
            print(f"{after.quantity} x {after.sku}:")
            print("\n".join(f"  {line}" for line in explain(after, "en")))
    return 0


def _previewed(
    books: tuple[Book | None, Book], buyer: Buyer, arguments: argparse.Namespace, at: datetime
) -> Iterator[tuple[Line | None, Line]]:
    """(before, after) of each SKU at each quantity, every line alone in its order."""
    currency, unit = arguments.currency, arguments.unit
    for sku in arguments.sku:
        ladders = [
            ladder_of(book, buyer, currency=currency, sku=sku, unit=unit, at=at) for book in books if book is not None
        ]
        breaks = sorted({Decimal(rung.quantity) for ladder in ladders for rung in ladder.rungs})
        for quantity in arguments.quantity or [f"{each.normalize():f}" for each in breaks] or ["1"]:
            before, after = (
                None
                if book is None
                else price_of(book, buyer, currency=currency, sku=sku, unit=unit, quantity=quantity, at=at).line
                for book in books
            )
            assert after is not None, "a draft is always a book"
            yield before, after


async def acknowledge(arguments: argparse.Namespace) -> int:
    """Accept warnings of a draft for one reason, each by its name or all."""
    async with opened_services() as services:
        draft_id = await draft_of(services, arguments.draft)
        waiting = [
            standing
            for standing in await services.pricing.findings(draft_id)
            if standing.acknowledged is None and standing.finding.severity is Severity.WARNING
        ]
        if not waiting:
            print("No warning of the draft waits for anybody's word.")
            return 0
        if arguments.all == bool(arguments.finding):
            raise CommandFailed("Name findings with --finding, as `bin/tarifa check` shows them, or take --all.")
        named = waiting if arguments.all else [_named(waiting, name) for name in arguments.finding]
        await services.pricing.acknowledge(
            draft_id, [standing.digest for standing in named], reason=arguments.reason, by=None
        )
    left = len(waiting) - len({standing.digest for standing in named})
    print(f"{len(named)} acknowledged, {left} wait, in draft {draft_id}")
    return 0


async def publish(arguments: argparse.Namespace) -> int:
    """Publish a draft, after the gate's findings were printed; say who approved it, or what nobody did."""
    async with opened_services() as services:
        draft_id = await draft_of(services, arguments.draft)
        findings = await services.pricing.findings(draft_id)
        for line in _finding_lines(findings, draft_id):
            print(line)
        if arguments.check:
            return FOUND if findings else 0
        try:
            published = await services.pricing.publish(
                draft_id,
                by=None,
                effective_at=None if arguments.at is None else instant(arguments.at),
                note=arguments.note,
                acknowledge=arguments.acknowledge,
            )
        except WarningsNotAcknowledged as error:
            raise CommandFailed(f"{error.message} Accept them with --acknowledge REASON.") from error
        except FindingsStopPublication as error:
            raise CommandFailed(f"{error.message} Mend the draft; a reason does not help against errors.") from error
        await _say_published(services, published)
    return 0


async def roll_back(arguments: argparse.Namespace) -> int:
    """Publish once more what an earlier publication held."""
    async with opened_services() as services:
        earlier = await publication_of(services, arguments.publication)
        try:
            published = await services.pricing.roll_back(
                earlier.number,
                by=None,
                effective_at=None if arguments.at is None else instant(arguments.at),
                note=arguments.note,
                acknowledge=arguments.acknowledge,
            )
        except WarningsNotAcknowledged as error:
            found: Any = error.extra["findings"]
            for finding in found:
                print(f"  {finding['severity']:<8} {finding['text']}")
            raise CommandFailed(f"{error.message} Accept them with --acknowledge REASON.") from error
        print(f"The prices of publication {earlier.number} come back.")
        await _say_published(services, published)
    return 0


async def publication_of(services: Services, text: str) -> PricePublication:
    """The publication of a number, or the last one of a root, which may be cut short as the tables show it.

    :raises CommandFailed: when *text* is neither
    """
    if text.isascii() and text.isdigit() and len(text) < ROOT_LEAST:
        return await services.pricing.find_publication(int(text))
    asked = text.removeprefix(DIGEST_NAME)
    named = [
        entry for entry in await services.pricing.list_publications(LIMIT_MOST) if entry.root.hex().startswith(asked)
    ]
    if len(asked) < ROOT_LEAST or len({entry.root for entry in named}) != 1:
        raise CommandFailed(f"{text} is no number and no root of a publication. `bin/tarifa publications` lists them.")
    return named[0]


def change_lines(changes: Sequence[Change]) -> Iterator[str]:
    """Each object by its name, and the fields that differ below it."""
    for change in changes:
        sign = "+" if change.before is None else "-" if change.after is None else "~"
        yield f"{sign} {kind_text(change.kind, 'en')} {key_text(change.kind, change.key)}".rstrip()
        for field in changed(change.before, change.after, "en"):
            yield f"    {field.label}: {field.before or '-'} -> {field.after or '-'}"


async def approval_lines(services: Services, publication: PricePublication) -> list[str]:
    """By whose word a publication went out, and what asked for a second one."""
    names = await names_of(services, [publication.approved_by, publication.second_approved_by])
    demands = [demand_text(msgspec.convert(each, Demand), "en") for each in publication.demands]
    if publication.approval is Approval.GIVEN:
        by = [names[person] for person in (publication.approved_by, publication.second_approved_by) if person]
        lines = [f"Approved by {' and '.join(by)}."]
    else:
        lines = [f"Approved by {Words('en').word(publication.approval.value)}."]
    kept = publication.second_approved_by is not None
    return [*lines, *(f"{'Kept' if kept else 'Overridden'}: {demand}" for demand in demands)]


async def _say_published(services: Services, published: PricePublication) -> None:
    print(f"Publication {published.number}: in force from {published.effective_at.isoformat()}")
    print(f"price book {published.root.hex()}")
    for line in await approval_lines(services, published):
        print(line)


def _say_examined(
    what: str,
    changes: int,
    examined: Examined,
    services: Services,
    *,
    draft_id: uuid.UUID | None = None,
    as_json: bool,
) -> int:
    waiting = [standing for standing in examined.findings if standing.acknowledged is None]
    if as_json:
        found = [{**msgspec.to_builtins(each), "text": finding_text(each.finding, "en")} for each in examined.findings]
        write_json({"changes": changes, "findings": found, "demands": examined.demands, "waiting": len(waiting)})
        return FOUND if waiting else 0
    for line in _finding_lines(examined.findings, draft_id):
        print(line)
    errors = sum(standing.finding.severity is Severity.ERROR for standing in examined.findings)
    print(
        f"{what} changes {changes:,} objects: {errors:,} errors, {len(waiting) - errors:,} warnings that nobody "
        f"acknowledged, {len(examined.findings) - len(waiting):,} acknowledged."
    )
    for demand in examined.demands:
        print(f"At the desk two have to approve it. {demand_text(demand, 'en')}")
    if services.pricing.approval_required or examined.demands:
        print("`bin/tarifa publish` asks for no approval, and the log will say so.")
    return FOUND if waiting else 0


def _finding_lines(findings: Sequence[Standing], draft_id: uuid.UUID | None) -> Iterator[str]:
    """Each with its name and the question that shows it; of a draft, the command that asks it."""
    command = "question:" if draft_id is None else f"bin/tarifa drafts preview {draft_id}"
    for standing in findings[:SHOWN_ERRORS]:
        finding = standing.finding
        word = "" if standing.acknowledged is None else f" (acknowledged: {standing.acknowledged.reason})"
        yield f"  {finding.severity.value:<8} {_short(standing)}  {finding_text(finding, 'en')}{word}"
        if finding.witness is not None:
            yield f"           {command} {_asked(finding.witness)}"
    if len(findings) > SHOWN_ERRORS:
        yield f"  ... and {len(findings) - SHOWN_ERRORS:,} more. `bin/tarifa check --json` has all of them."


def _asked(witness: Witness) -> str:
    """What a finding is about, as `drafts preview` takes it."""
    buyer = witness.buyer
    words = [witness.sku, "--quantity", witness.quantity, "--unit", witness.unit, "--currency", witness.currency]
    if buyer.company is not None:
        words += ["--company", buyer.company]
    else:
        words += [word for segment in buyer.segments for word in ("--segment", segment)]
    if buyer.country is not None:
        words += ["--country", buyer.country]
    return shlex.join([*words, "--at", str(msgspec.to_builtins(witness.at))])


def _say_clash(clash: DraftClash, *, as_json: bool) -> int:
    sides: Any = clash.extra["clashes"]
    if as_json:
        write_json({"clashes": sides, "count": clash.extra["count"]})
        return FOUND
    print(f"{clash.message} Keep theirs with `bin/tarifa drafts undo`, or set yours on a new draft.")
    for side in sides:
        print(f"  {kind_text(side['kind'], 'en')} {key_text(side['kind'], tuple(side['key']))}")
        for field in compared(side["theirs"], side["yours"], "en"):
            if field.differs:
                print(f"    {field.label}: theirs {field.before or '-'}, yours {field.after or '-'}")
    return FOUND


async def _put(services: Services, arguments: argparse.Namespace, content: Any) -> None:
    pricing, kind, key = services.pricing, arguments.kind, _key(arguments.kind, arguments.key)
    draft_id = await draft_of(services, arguments.draft)
    standing = await pricing.find_leaf(draft_id, kind, key)
    if content is None and standing.seen is None:
        raise CommandFailed(f"The draft has no {kind} {' '.join(arguments.key)}.")
    await pricing.try_change(draft_id, kind, key, content)
    await pricing.put_change(draft_id, kind, key, content, by=None, expected=standing.seen)
    done = Change(
        kind=kind, key=key, before=standing.content, after=content, seen=None, changed_by=None, changed_at=None
    )
    print("\n".join(change_lines([done])))
    print(f"in draft {draft_id}")


def _key(kind: str, parts: Sequence[str]) -> Key:
    """The key of an object; that of a row without its start is of the row that has none.

    :raises CommandFailed: when an object of this kind has no such key
    """
    if kind == "row":
        named, fits = "list, SKU, unit and, if it has one, start", len(parts) in {ROW_PARTS - 1, ROW_PARTS}
        starts_at = instant(parts[-1]).isoformat() if len(parts) == ROW_PARTS and parts[-1] else ""
        parts = (*parts[: ROW_PARTS - 1], starts_at)
    elif kind in NAMELESS:
        named, fits = "no key: there is one", not parts
    else:
        named, fits = "a code", len(parts) == 1
    if not fits:
        raise CommandFailed(f"{kind} takes {named}.")
    return tuple(parts)


def _is_draft_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _draft(draft: PriceDraft) -> dict[str, Any]:
    return {
        "id": draft.id,
        "title": draft.title,
        "state": draft.state,
        "version": draft.version,
        "author": draft.author_id,
        "created_at": draft.created_at,
        "closed_at": draft.closed_at,
        "base": None if draft.base_root is None else root_text(draft.base_root),
    }


def _short(standing: Standing) -> str:
    return standing.digest.removeprefix(DIGEST_NAME)[:DIGEST_SHOWN]


def _named(waiting: Sequence[Standing], name: str) -> Standing:
    asked = name.removeprefix(DIGEST_NAME)
    found = [each for each in waiting if each.digest.removeprefix(DIGEST_NAME).startswith(asked)]
    if len(found) != 1:
        raise CommandFailed(f"{name!r} names {len(found)} warnings that wait. `bin/tarifa check` shows their names.")
    return found[0]


def _amount(line: PricedLine | RefusedLine | None) -> str:
    return "-" if line is None else line.subtotal if isinstance(line, PricedLine) else f"refused ({line.reason})"


def _moves_by(before: Line | None, after: Line) -> str:
    if not isinstance(before, PricedLine) or not isinstance(after, PricedLine):
        return ""
    old, new = Decimal(before.subtotal), Decimal(after.subtotal)
    return "0 %" if old == new else f"{(new - old) / old:+.1%}".replace("%", " %") if old else ""
