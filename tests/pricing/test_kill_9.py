"""The publisher dies: what is in the log is in force, what is not never was, and the next publisher goes on."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring, complete
from pricing.books import PriceBooks
from pricing.model import DraftState
from pricing.service import Pricing
from tests.pricing.conftest import LEAD
from tests.pricing.test_publication import anvil_at, price

ROOT = Path(__file__).parents[2]

PUBLISHER = """
import asyncio, sys, uuid
from datetime import datetime, timedelta
from pathlib import Path
from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring
from pricing.books import PriceBooks
from pricing.service import Pricing

async def main(url, keyring, folder, draft, now):
    db, clock = Database.connect(url), FixedClock(datetime.fromisoformat(now))
    ring = Keyring.read(Path(keyring))
    books = PriceBooks(db, clock, ring, folder=Path(folder), lead=timedelta(seconds=10))
    await Pricing(db, clock, books, ring, Catalog(db, clock)).publish(uuid.UUID(draft), by=None, acknowledge="As meant")
    await db.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def keyring(tmp_path: Path, clock: FixedClock) -> Keyring:
    """One that another process can read too."""
    complete(tmp_path / "keyring.json", now=clock.now())
    return Keyring.read(tmp_path / "keyring.json")


def publish_and_die(
    draft: uuid.UUID, clock: FixedClock, tmp_path: Path, database_url: str, where: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            PUBLISHER,
            database_url,
            str(tmp_path / "keyring.json"),
            str(tmp_path / "books"),
            str(draft),
            clock.now().isoformat(),
        ],
        cwd=ROOT,
        env=os.environ | {"TARIFA_FAILPOINT": f"pricing.publish:{where}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
async def test_killed_before_the_commit_nothing_is_published_and_the_draft_can_be_published_again(
    pricing: Pricing, clock: FixedClock, tmp_path: Path, database_url: str
) -> None:
    draft = await anvil_at(pricing, "90")
    died = publish_and_die(draft, clock, tmp_path, database_url, "before_commit")
    assert died.returncode == -9, died.stderr

    assert len(await pricing.list_publications()) == 1
    assert (await pricing.find_draft(draft)).state is DraftState.OPEN
    published = await pricing.publish(draft, by=None, acknowledge="As meant")
    assert price(pricing, published.effective_at) == "90"


@pytest.mark.slow
async def test_killed_after_the_commit_the_publication_takes_effect_in_other_workers(
    pricing: Pricing, clock: FixedClock, tmp_path: Path, database_url: str, database: Database, keyring: Keyring
) -> None:
    draft = await anvil_at(pricing, "90")
    died = publish_and_die(draft, clock, tmp_path, database_url, "after_commit")
    assert died.returncode == -9, died.stderr

    worker = PriceBooks(database, clock, keyring, folder=tmp_path / "books", lead=LEAD)
    await worker.refresh()
    pricing.books = worker
    assert price(pricing, clock.now()) == "80"
    assert price(pricing, clock.now() + LEAD) == "90"
    assert (await pricing.find_draft(draft)).state is DraftState.PUBLISHED
