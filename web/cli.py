"""The command line: `bin/tarifa --help`.

Exit codes: 0 done; 1 done and something was found (errors in a file, lines that differ, breaks); 2 could not be done,
with a sentence on standard error that says why.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from kernel.errors import DomainError
from kernel.settings import SettingsError
from kernel.signing import KeyringRefused

FOUND: Final = 1
IMPOSSIBLE: Final = 2
DAYS_MOST: Final = 3650
LIMIT_MOST: Final = 100_000
KINDS: Final = ("row", "list", "derivation", "adjustment", "bound", "quantity_rule", "layers", "policy", "strategy")
PRICES: Final = "web.price_commands"
HISTORY: Final = "web.history_commands"
KEYS: Final = "web.key_commands"
LEDGER: Final = "web.ledger_commands"


class CommandFailed(Exception):
    """Says in one sentence why the command could not be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = parsed.run
        return run(parsed)
    except (CommandFailed, SettingsError, KeyringRefused, DomainError) as error:
        message = error.message if isinstance(error, DomainError) else str(error)
        print(message, file=sys.stderr)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        return 130


def called_from(path: str) -> Path:
    """Return *path* as seen from where the caller stood, not from the project's root."""
    return Path(os.environ.get("TARIFA_CALLED_FROM", ".")) / path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tarifa", description="Self-service B2B commerce: prices, agreements, orders."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the database, the test payments if no Stripe key is set, the shop")
    serve.add_argument("--no-demo-data", action="store_true", help="leave an empty installation empty")
    serve.set_defaults(run=_serve)

    importing = commands.add_parser("import", help="import catalogue and price files (docs/import-files.md)")
    importing.add_argument(
        "folder", help="holds the CSV files; absent ones are left as they are. Or a workbook (.xlsx) with price sheets"
    )
    importing.add_argument("--title", default="", help="title of the price draft it makes")
    importing.set_defaults(run=_asynchronous("import_files"))

    export = commands.add_parser("export", help="write the published prices as files that `import` reads")
    export.add_argument("folder", help="a new folder, or one that holds none of the files yet; a new file with --xlsx")
    what = export.add_mutually_exclusive_group()
    what.add_argument("--publication", type=int, default=None, metavar="NUMBER", help="the last one unless said")
    what.add_argument("--draft", default=None, metavar="ID", help="a draft as it stands")
    export.add_argument("--xlsx", action="store_true", help="as one workbook")
    export.set_defaults(run=_asynchronous("export_files"))

    price = commands.add_parser("price", help="price a SKU, with the trace that says why")
    price.add_argument("sku")
    price.add_argument("--quantity", default="1")
    price.add_argument("--unit", default=None, help="the base unit unless said")
    price.add_argument("--currency", default="EUR")
    price.add_argument("--company", default=None, help="code of the buyer's company; nobody in particular unless said")
    price.add_argument("--at", default=None, help="instant such as 2026-12-01T00:00:00Z; now unless said")
    price.add_argument("--json", action="store_true", help="the whole answer as the API gives it")
    price.set_defaults(run=_asynchronous("price"))

    _for_drafts(commands)
    _for_publications(commands)
    _for_impact(commands)
    _for_segments(commands)

    leaves = commands.add_parser("leaves", help="show what an answer was made from, for `pricing.engine.replay`")
    leaves.add_argument("answer", help="the answer as JSON, as `price --json` writes it")
    leaves.set_defaults(run=_asynchronous("show_leaves"))

    prove = commands.add_parser("prove", help="prove that a row (or rule, list ...) is in the book of a root")
    prove.add_argument("kind", help="row, list, adjustment, bound, quantity_rule, sku, cost, layers, policy, strategy")
    prove.add_argument("key", nargs="*", help="of a row: list, SKU, unit and, if it has one, its start; else its code")
    _for_a_reader(prove)
    prove.set_defaults(run=_asynchronous("prove_leaf"))

    view = commands.add_parser("view", help="write all that one buyer may see of the price book, as JSON Lines")
    _for_a_reader(view)
    view.set_defaults(run=_asynchronous("write_view"))

    delta = commands.add_parser("delta", help="write what changed for one buyer since the book of a root")
    delta.add_argument("since", metavar="ROOT", help="sha256:..., the root of the view it already has")
    _for_a_reader(delta)
    delta.set_defaults(run=_asynchronous("write_delta"))

    verify = commands.add_parser("verify", help="check a proof or a view against a root; needs no database")
    verify.add_argument("file")
    verify.add_argument("root", metavar="ROOT", help="sha256:..., from the publication log")
    verify.set_defaults(run=_verify)

    replay = commands.add_parser("replay-orders", help="evaluate past order lines and compare with what was charged")
    replay.add_argument("lines", help="CSV file of order lines (docs/import-files.md)")
    replay.add_argument(
        "--evaluator",
        choices=["scalar", "sweep", "both"],
        default="both",
        help="which evaluator prices the lines; both are compared, line by line, unless said",
    )
    replay.add_argument("--exceptions", default=None, metavar="FILE", help="write every differing line with its trace")
    replay.set_defaults(run=_asynchronous("replay_orders"))

    reconcile = commands.add_parser("reconcile", help="compare our orders with Stripe's objects, both ways, and report")
    reconcile.add_argument(
        "--days", type=_days, default=30, help="how far back, up to 3650; 30 unless said (Stripe keeps events for 30)"
    )
    reconcile.set_defaults(run=_asynchronous("reconcile"))
    _for_quotes(commands)
    _for_audits(commands)
    _for_keys(commands)
    return parser


def _for_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ledger = commands.add_parser("ledger", help="recompute the ledger of agreements, and hold it against kept heads")
    ledger.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint, receipt or bundle from before; again for more",
    )
    ledger.set_defaults(run=_asynchronous("check_ledger", LEDGER))
    keys = commands.add_parser("keys", help="list the keys of the keyring, or exchange one (docs/evidence.md)")
    _as_json(keys)
    keys.set_defaults(run=_asynchronous("list_keys", KEYS))
    acts = keys.add_subparsers(title="what to do with one", metavar="ACT")
    rotate = acts.add_parser("rotate", help="let a new key sign from now on; the old one verifies for ever")
    rotate.add_argument("purpose", help="ledger, presentation, publication, quotes, seal or annex")
    rotate.add_argument("--days", type=_days, default=5 * 365, help="how long the new one may sign; 1825 unless said")
    rotate.set_defaults(run=_asynchronous("rotate_key", KEYS))


def _for_audits(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    audit = commands.add_parser("audit", help="ask every channel the same prices and report any difference")
    audit.add_argument("--questions", type=int, default=300, help="how many SKUs to ask for, 300 unless said")
    audit.add_argument("--seed", type=int, default=None, help="draws the same sample again; new ones unless said")
    audit.set_defaults(run=_asynchronous("audit"))


def _for_impact(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    impact = commands.add_parser("impact", help="price past orders and open quotes by a draft and by the book in force")
    impact.add_argument("draft", nargs="?", default=None, help="id of the draft; the newest open one unless said")
    impact.add_argument("--months", type=int, choices=[1, 3, 12], default=3, help="how far back; 3 unless said")
    impact.add_argument("--at", default=None, help="instant of the prices; now unless said")
    impact.add_argument("--csv", default=None, metavar="FOLDER", help="write all tables and lines into a new folder")
    impact.set_defaults(run=_asynchronous("impact"))


def _for_segments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    segments = commands.add_parser("segments", help="show the segments of companies, or put a company into some")
    segments.add_argument("company", nargs="?", default=None, help="code of a company; all segments unless said")
    segments.add_argument("--add", action="append", default=[], metavar="SEGMENT", help="may be given several times")
    segments.add_argument("--remove", action="append", default=[], metavar="SEGMENT", help="likewise")
    segments.add_argument("--reason", default="", help="why; kept with the change")
    segments.set_defaults(run=_asynchronous("segments"))


def _for_quotes(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    quoted = commands.add_parser("verify-quote", help="check a signed quote or its package; needs no database")
    quoted.add_argument("file")
    quoted.add_argument("--keys", default=None, metavar="JWKS", help="file of the issuer's /.well-known/jwks.json")
    quoted.add_argument("--at", default=None, help="instant at which it should hold; now unless said")
    quoted.set_defaults(run=_verify_quote)


def _for_drafts(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = commands.add_parser("check", help="say what stands against publishing a draft or files; keeps nothing")
    check.add_argument(
        "what",
        nargs="?",
        default=None,
        help="a folder or file as `import` takes it, or a draft; the newest one unless said",
    )
    _as_json(check)
    check.set_defaults(run=_asynchronous("check", PRICES))

    drafts = commands.add_parser("drafts", help="list price drafts, or work at one; reviews are at the desk")
    drafts.add_argument("--all", action="store_true", help="published and discarded ones too")
    _as_json(drafts)
    drafts.set_defaults(run=_asynchronous("list_drafts", PRICES))
    acts = drafts.add_subparsers(title="what to do with one", metavar="ACT")
    opened = acts.add_parser("open", help="open a draft without changes")
    opened.add_argument("title")
    opened.set_defaults(run=_asynchronous("open_draft", PRICES))
    for name, does, run in (
        ("show", "what it changes, and what was said of it", "show_draft"),
        ("discard", "close it without publishing it", "discard_draft"),
    ):
        act = acts.add_parser(name, help=does)
        act.add_argument("draft", help="id of the draft")
        if name == "show":
            _as_json(act)
        act.set_defaults(run=_asynchronous(run, PRICES))
    for name, does, run in (
        ("set", "put one object into it", "set_object"),
        ("remove", "take one object out of the prices; a list with its rows", "remove_object"),
        ("undo", "take back what it changes of one object", "undo_change"),
    ):
        act = acts.add_parser(name, help=does)
        act.add_argument("draft", help="id of the draft")
        act.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
        act.add_argument(
            "key", nargs="*", help="of a row: list, SKU, unit and, if it has one, its start; else its code"
        )
        if name == "set":
            act.add_argument("--content", required=True, metavar="JSON", help="the object; - reads it")
        act.set_defaults(run=_asynchronous(run, PRICES))
    imported = acts.add_parser("import", help="make it what price files say: all of it, or nothing")
    imported.add_argument("draft", help="id of the draft")
    imported.add_argument("files", help="a folder of CSV files, one of them, a workbook or a zip")
    imported.set_defaults(run=_asynchronous("import_into", PRICES))
    _for_a_preview(acts.add_parser("preview", help="prices before and after"))

    acknowledge = commands.add_parser("acknowledge", help="accept warnings of a price draft, and why")
    acknowledge.add_argument("draft", help="id of the draft")
    acknowledge.add_argument("reason")
    acknowledge.add_argument(
        "--finding",
        action="append",
        default=[],
        metavar="NAME",
        help="as `check` shows it, or its beginning; again for more",
    )
    acknowledge.add_argument("--all", action="store_true", help="every warning that waits")
    acknowledge.set_defaults(run=_asynchronous("acknowledge", PRICES))


def _for_a_preview(preview: argparse.ArgumentParser) -> None:
    preview.add_argument("draft", help="id of the draft")
    preview.add_argument("sku", nargs="+")
    preview.add_argument(
        "--quantity", action="append", default=[], help="again for more; wherever a price changes unless said"
    )
    preview.add_argument("--unit", default=None, help="the base unit unless said")
    preview.add_argument("--currency", default="EUR")
    preview.add_argument("--company", default=None, help="code of the buyer's company; a guest unless said")
    preview.add_argument("--segment", action="append", default=[], help="of the buyer; again for more")
    preview.add_argument("--country", default=None, help="where the goods go")
    preview.add_argument("--at", default=None, help="instant of the prices; now unless said")
    preview.add_argument("--explain", action="store_true", help="say why each costs what it would")
    _as_json(preview)
    preview.set_defaults(run=_asynchronous("preview", PRICES))


def _for_publications(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    publish = commands.add_parser("publish", help="publish a price draft, the newest open one unless said")
    publish.add_argument("draft", nargs="?", default=None, help="id of the draft")
    _for_a_publication(publish)
    publish.add_argument("--check", action="store_true", help="only say what the publication gate finds")
    publish.set_defaults(run=_asynchronous("publish", PRICES))

    rollback = commands.add_parser("rollback", help="publish once more what an earlier publication held")
    rollback.add_argument("publication", metavar="NUMBER|ROOT")
    _for_a_publication(rollback)
    rollback.set_defaults(run=_asynchronous("roll_back", PRICES))

    listed = commands.add_parser("publications", help="the log of prices: who, when, what and why; or one of it")
    listed.add_argument("publication", nargs="?", default=None, metavar="NUMBER|ROOT")
    listed.add_argument("--limit", type=_limit, default=50, help="how many, newest first; 50 unless said")
    _as_json(listed)
    listed.set_defaults(run=_asynchronous("publications", HISTORY))

    history = commands.add_parser("history", help="what each publication did to the prices of a SKU")
    history.add_argument("sku")
    history.add_argument("--limit", type=_limit, default=50, help="how many publications to look at; 50 unless said")
    _as_json(history)
    history.set_defaults(run=_asynchronous("history", HISTORY))

    compare = commands.add_parser("compare", help="what one publication has otherwise than another")
    compare.add_argument("older", metavar="NUMBER|ROOT")
    compare.add_argument("newer", metavar="NUMBER|ROOT")
    _as_json(compare)
    compare.set_defaults(run=_asynchronous("compare", HISTORY))

    why = commands.add_parser("why", help="why the lines of an order cost what they do, and whether they still would")
    why.add_argument("order", metavar="NUMBER", help="such as T-2026-000123")
    _as_json(why)
    why.set_defaults(run=_asynchronous("why", HISTORY))


def _for_a_publication(command: argparse.ArgumentParser) -> None:
    command.add_argument("--at", default=None, help="instant at which it takes effect; as soon as possible unless said")
    command.add_argument("--note", default="", help="why, for the history")
    command.add_argument(
        "--acknowledge",
        default=None,
        metavar="REASON",
        help="accept all that nobody has acknowledged and does not stop it, and why",
    )


def _as_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one document for programs")


def _for_a_reader(command: argparse.ArgumentParser) -> None:
    command.add_argument("--company", default=None, help="code of the reader's company; a guest unless said")
    command.add_argument("--at", default=None, help="the book in force at this instant; now unless said")


def _verify(arguments: argparse.Namespace) -> int:
    from pricing.engine.verify import main as verify

    return verify([str(called_from(arguments.file)), arguments.root])


def _verify_quote(arguments: argparse.Namespace) -> int:
    from pricing.replay_quote import main as verify_quote

    asked = [str(called_from(arguments.file))]
    if arguments.keys is not None:
        asked += ["--keys", str(called_from(arguments.keys))]
    if arguments.at is not None:
        asked += ["--at", arguments.at]
    return verify_quote(asked)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= DAYS_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to {DAYS_MOST}")
    return int(text)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:7]) <= LIMIT_MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {LIMIT_MOST:,}")
    return int(text)


def _serve(arguments: argparse.Namespace) -> int:
    from web.serve import serve

    return serve(demo_data=not arguments.no_demo_data)


def _asynchronous(name: str, module: str = "web.commands") -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        command: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = getattr(import_module(module), name)
        return asyncio.run(command(arguments))

    return run


if __name__ == "__main__":
    from web.cli import main as named  # so that CommandFailed is one class, and not __main__'s besides

    sys.exit(named())
