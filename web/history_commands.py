"""What was published, by whom and why, as commands: the log, one SKU through it, two versions compared, and why an
order's lines cost what they cost.
"""

import argparse
from collections import Counter
from typing import Any, Final

from pricing.content import root_text
from pricing.model import PricePublication
from pricing.sku_history import history_of
from web.cli import FOUND, CommandFailed
from web.command_parts import day_and_time, opened_services, table, write_json
from web.desk.describe import KINDS, kind_text
from web.people import names_of
from web.price_commands import approval_lines, change_lines, publication_of
from web.services import Services
from web.why import explained, priced_again
from web.why import publication_of as publication_of_order

ROOT_SHOWN: Final = 19
"""Characters of a root in tables: `sha256:` and twelve of its digits."""


async def publications(arguments: argparse.Namespace) -> int:
    """The log, newest first; or one publication in whole."""
    async with opened_services() as services:
        if arguments.publication is not None:
            return await _show(services, await publication_of(services, arguments.publication), as_json=arguments.json)
        log = await services.pricing.list_publications(arguments.limit)
        if arguments.json:
            write_json([_plain(each) for each in log])
            return 0
        if not log:
            print("Nothing is published yet.")
            return 0
        now = services.clock.now()
        in_force = services.books.in_force(now).number
        names = await names_of(services, [each.published_by for each in log])
    rows = [
        (
            str(each.number),
            "coming" if each.effective_at > now else "in force" if each.number == in_force else "",
            day_and_time(each.effective_at),
            day_and_time(each.published_at),
            names[each.published_by],
            root_text(each.root)[:ROOT_SHOWN],
            f"again {each.restores}: {each.note}" if each.restores is not None else each.note,
        )
        for each in log
    ]
    print("\n".join(table(("number", "stands", "effective", "published", "by", "root", "why"), rows)))
    return 0


async def history(arguments: argparse.Namespace) -> int:
    """What each publication did to one SKU's prices, newest first."""
    async with opened_services() as services:
        found = await history_of(services.pricing, arguments.sku, most=arguments.limit)
        if not found.priced and not await services.catalog.find_skus([arguments.sku]):
            raise CommandFailed(f"The catalogue has no SKU {arguments.sku}, and no book had.")
        if arguments.json:
            write_json([_plain(step.publication) | {"changes": step.changes} for step in found.steps])
            return 0
        names = await names_of(services, [step.publication.published_by for step in found.steps])
    for step in found.steps:
        entry = step.publication
        print(
            f"Publication {entry.number}, in force from {day_and_time(entry.effective_at)}, by "
            f"{names[entry.published_by]}" + (f": {entry.note}" if entry.note else "")
        )
        for line in change_lines(step.changes):
            print(f"  {line}")
    print(f"{len(found.steps)} of the last {found.looked_at} publications changed prices of {arguments.sku}.")
    return 0


async def compare(arguments: argparse.Namespace) -> int:
    """What one publication has otherwise than another."""
    async with opened_services() as services:
        older, newer = [await publication_of(services, text) for text in (arguments.older, arguments.newer)]
        changes = await services.pricing.compare(older.number, newer.number)
    if arguments.json:
        write_json(changes)
        return 0
    for line in change_lines(changes):
        print(line)
    counts = Counter(change.kind for change in changes)
    counted = ", ".join(f"{counts[kind]:,} x {kind_text(kind, 'en')}" for kind in KINDS if counts[kind])
    print(
        f"{len(changes):,} objects differ between publications {older.number} and {newer.number}"
        + (f": {counted}" if counted else "")
    )
    return 0


async def why(arguments: argparse.Namespace) -> int:
    """Why each line of an order costs what it does, by the trace kept with it, and whether it still comes out so."""
    async with opened_services() as services:
        order = (await services.order_files.open(arguments.order)).order
        again = await priced_again(services, order)
        lines, entry = explained(order, "en", again), publication_of_order(services, order)
    holds = bool(again) and all(each.holds for each in again)
    if arguments.json:
        write_json(
            {
                "order": order.number,
                "priced_at": order.priced_at,
                "root": order.price_root,
                "publication": None if entry is None else entry.number,
                "lines": [_order_line(each) for each in lines],
                "holds": holds,
            }
        )
        return 0 if holds else FOUND
    named = "a publication that is not in the log" if entry is None else f"publication {entry.number}"
    print(f"{order.number}, priced {day_and_time(order.priced_at)} by {named}")
    print(f"price book {order.price_root}")
    for each in lines:
        line = each.line
        print(f"{line.position}. {line.quantity.normalize():f} {line.unit} x {line.sku} = {line.net} {order.currency}")
        for text, rule, before, after in each.steps:
            moved = "" if before is None or after is None else f"  {before} -> {after}"
            print(f"   {text}{moved}" + (f"  [{rule}]" if rule else ""))
        for text, rule in each.losers:
            print(f"   passed over: {text}  [{rule}]")
        if each.again is None:
            print("   Its book is not at hand; it was not priced again.")
        elif not each.again.holds:
            print(f"   PRICED AGAIN IT DIFFERS: {', '.join(each.again.differs)}")
    print("Priced again by its own book, every line comes out the same." if holds else "Not every line could be shown.")
    return 0 if holds else FOUND


async def _show(services: Services, entry: PricePublication, *, as_json: bool) -> int:
    changes = await services.pricing.compare(entry.number - 1, entry.number) if entry.number > 1 else ()
    if as_json:
        write_json(_plain(entry) | {"findings": entry.findings, "changes": changes})
        return 0
    names = await names_of(services, [entry.author_id, entry.published_by])
    print(f"Publication {entry.number}, in force from {day_and_time(entry.effective_at)}")
    print(f"price book {root_text(entry.root)}")
    print(
        f"Published {day_and_time(entry.published_at)} by {names[entry.published_by]}: {entry.note or 'no reason said'}"
    )
    if entry.restores is not None:
        print(f"It brings back publication {entry.restores}.")
    elif entry.draft_id is not None:
        print(f"Draft {entry.draft_id}, begun by {names[entry.author_id]}")
    for line in await approval_lines(services, entry):
        print(line)
    for finding in entry.findings:
        word = finding.get("acknowledged")
        said = "" if word is None else f" (acknowledged: {word['reason']})"
        print(f"  {finding['severity']:<8} {finding.get('text', finding['code'])}{said}")
    for line in change_lines(changes):
        print(line)
    return 0


def _plain(entry: PricePublication) -> dict[str, Any]:
    return {
        "number": entry.number,
        "root": root_text(entry.root),
        "effective_at": entry.effective_at,
        "published_at": entry.published_at,
        "published_by": entry.published_by,
        "author": entry.author_id,
        "draft": entry.draft_id,
        "restores": entry.restores,
        "note": entry.note,
        "approval": entry.approval,
        "approved_by": [each for each in (entry.approved_by, entry.second_approved_by) if each is not None],
        "demands": entry.demands,
    }


def _order_line(each: Any) -> dict[str, Any]:
    line = each.line
    return {
        "position": line.position,
        "sku": line.sku,
        "unit": line.unit,
        "quantity": f"{line.quantity.normalize():f}",
        "unit_price": line.unit_price,
        "net": line.net,
        "tax": line.tax,
        "trace": line.trace,
        "again": None if each.again is None else {"holds": each.again.holds, "differs": each.again.differs},
    }
