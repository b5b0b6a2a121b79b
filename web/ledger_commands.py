"""What `bin/tarifa ledger` does: recompute the whole ledger, and hold it against heads that were kept elsewhere."""

import argparse
from collections.abc import Sequence

from agreements import ledger
from agreements.verify import BROKEN, Failed, Note, kept_checkpoint, read_note
from kernel.db import for_staff
from web.cli import FOUND, CommandFailed, called_from
from web.command_parts import opened_services


async def check_ledger(arguments: argparse.Namespace) -> int:
    """Found is a row that does not follow from those before it, or a kept head that the ledger did not grow from."""
    notes = _notes(arguments.against)
    async with opened_services() as services, services.db.reading(for_staff()) as session:
        state = await services.agreements.check_ledger(session)
        if state.broken_at is not None:
            print(f"Row {state.broken_at} of {state.size:,} does not follow from the rows before it.")
            return FOUND
        assert state.root is not None, "a ledger that holds has one"
        print(f"{state.size:,} rows, each follows from those before it; root {state.root.hex()}")
        wrong = 0
        for name, note in notes:
            found = await ledger.grew_from(session, note.size, note.root, state.size)
            wrong += not found
            says = "the ledger grew from it" if found else "the ledger was rewritten since: its rows make another tree"
            print(f"{name}: {note.size:,} rows, {says}")
    return FOUND if wrong else 0


def _notes(names: Sequence[str]) -> list[tuple[str, Note]]:
    notes = []
    for name in names:
        try:
            notes.append((name, read_note(kept_checkpoint(called_from(name).read_bytes()))))
        except OSError as refused:
            raise CommandFailed(f"{name} cannot be read: {refused.strerror}.") from refused
        except (*BROKEN, Failed) as refused:
            raise CommandFailed(f"{name} is no checkpoint, receipt or bundle.") from refused
    return notes
