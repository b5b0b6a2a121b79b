"""Files into drafts: in pieces, read by a job, accepted whole or not at all, whoever dies or edits meanwhile."""

import os
import subprocess
import sys
import uuid
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.failpoints import registered
from kernel.jobs import Jobs
from kernel.signing import Keyring, complete
from pricing.exports import Form, PriceExports
from pricing.import_model import ImportState, PriceImport
from pricing.imports import (
    PART_MOST,
    TASK,
    ImportClosed,
    ImportTooLarge,
    PartMisplaced,
    PriceImports,
    UploadMalformed,
    errors_csv,
)
from pricing.reviews import DraftClosed
from pricing.service import DraftClash, Pricing
from tests.pricing.conftest import PRICES

ROOT = Path(__file__).parents[2]
ROWS = PRICES["price_rows.csv"]
ANVIL = ("PUBLIC", "ANVIL-50", "each", "")
BOLT = ("PUBLIC", "BOLT-M8", "box", "")
CHAIR = ("CONTRACT-INITECH", "CRUNCHY-ARMCHAIR", "each", "")
EDITED = (
    ROWS.replace("0:80", "0:81").replace("PUBLIC,BOLT-M8,box,flat,0:17\n", "")
    + "CONTRACT-INITECH,CRUNCHY-ARMCHAIR,each,flat,0:150\n"
)
"""One price changed, one removed, one added."""


@pytest.fixture
def imports(database: Database, clock: FixedClock, pricing: Pricing, catalog: Catalog, tmp_path: Path) -> PriceImports:
    return PriceImports(database, clock, pricing, catalog, folder=tmp_path / "imports", bytes_most=5_000_000)


@pytest.fixture
async def draft(pricing: Pricing) -> uuid.UUID:
    return (await pricing.open_draft(title="January", by=None)).id


async def uploaded(imports: PriceImports, draft: uuid.UUID, text: str, name: str = "price_rows.csv") -> PriceImport:
    """Upload and read a file."""
    found = await imports.upload(draft, name=name, content=text.encode(), by=None)
    await imports.read(str(found.id))
    return await imports.find(found.id)


async def drafted(pricing: Pricing, draft: uuid.UUID) -> dict[Any, Any]:
    return {change.key: change.after for change in await pricing.list_changes(draft)}


async def set_price(pricing: Pricing, draft: uuid.UUID, key: tuple[str, ...], price: str) -> None:
    state = await pricing.find_leaf(draft, "row", key)
    content = {**state.content, "tiers": [{**state.content["tiers"][0], "unit_price": price}]}
    await pricing.put_change(draft, "row", key, content, by=None, expected=state.seen)


async def count(database: Database, table: str) -> int:
    async with database.begin(for_staff()) as session:
        return int(await session.scalar(sa.text(f"select count(*) from {table}")) or 0)


# --- The way of a file ---


async def test_nothing_changes_until_somebody_accepts_what_the_file_would_do(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID, database: Database
) -> None:
    found = await uploaded(imports, draft, EDITED)
    assert (found.state, found.added, found.changed, found.removed) == (ImportState.READY, 1, 1, 1)
    assert (found.rows_read, found.share_read) == (5, 1.0)
    assert await drafted(pricing, draft) == {}
    shown = {change.key: change for change in await imports.list_changes(found.id)}
    assert {key: change.change for key, change in shown.items()} == {ANVIL: "changed", BOLT: "removed", CHAIR: "added"}
    assert shown[ANVIL].before["tiers"][0]["unit_price"] == "80"
    assert shown[ANVIL].after["tiers"][0]["unit_price"] == "81"
    assert shown[BOLT].after is None
    assert shown[CHAIR].before is None
    assert [change.key for change in await imports.list_changes(found.id, change="added")] == [CHAIR]
    assert len(await imports.list_changes(found.id, start=1, limit=1)) == 1

    accepted = await imports.accept(found.id, by=None)

    assert accepted.state is ImportState.ACCEPTED
    after = await drafted(pricing, draft)
    assert set(after) == {ANVIL, BOLT, CHAIR}
    assert after[BOLT] is None
    assert (await pricing.find_draft(draft)).version == 1
    assert [await count(database, f"price_import_{table}") for table in ("part", "change")] == [0, 0]
    with pytest.raises(ImportClosed):
        await imports.accept(found.id, by=None)


async def test_a_second_file_is_compared_with_what_the_draft_says_by_then(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    await imports.accept((await uploaded(imports, draft, EDITED)).id, by=None)
    unchanged = await uploaded(imports, draft, EDITED)
    assert (unchanged.state, unchanged.changes) == (ImportState.READY, 0)
    back = await uploaded(imports, draft, ROWS)
    assert (back.added, back.changed, back.removed) == (1, 1, 1)
    shown = {change.key: change for change in await imports.list_changes(back.id)}
    assert shown[ANVIL].before["tiers"][0]["unit_price"] == "81"
    assert shown[ANVIL].after["tiers"][0]["unit_price"] == "80"
    assert (shown[BOLT].before, shown[CHAIR].after) == (None, None)
    await imports.accept(back.id, by=None)
    assert await drafted(pricing, draft) == {}


async def test_a_draft_exported_and_uploaded_again_changes_nothing(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID, tmp_path: Path
) -> None:
    await imports.accept((await uploaded(imports, draft, EDITED)).id, by=None)
    for form in Form:
        path = tmp_path / f"draft.{form}"
        await PriceExports(pricing).write_draft(draft, path, form=form, about=[("About", "it")])
        found = await imports.upload(draft, name=path.name, content=path.read_bytes(), by=None)
        await imports.read(str(found.id))
        found = await imports.find(found.id)
        assert (found.state, found.changes, found.report["errors"]) == (ImportState.READY, 0, [])


async def test_mistakes_are_kept_with_their_places_and_a_mended_file_takes_their_place(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    wrong = ROWS.replace("0:80", "0:eighty").replace("CRUNCHY-ARMCHAIR", "=CMD|A1").replace("flat,0:72", "flat,1:2;5:1")
    refused = await uploaded(imports, draft, wrong)
    assert refused.state is ImportState.REFUSED
    assert [(error["line"], error["column"]) for error in refused.report["errors"]] == [
        (2, "tiers"),
        (5, "sku"),
        (6, "tiers"),
    ]
    assert refused.report["errors_total"] == 3
    lines = errors_csv(refused.report).splitlines()
    assert lines[0] == "sheet,row,cell,column,value,error"
    assert lines[2].startswith("price_rows.csv,5,,sku,'=CMD|A1,")
    with pytest.raises(ImportClosed):
        await imports.accept(refused.id, by=None)

    mended = await uploaded(imports, draft, EDITED)

    assert (await imports.find(refused.id)).state is ImportState.REPLACED
    assert (await imports.find_live(draft) or mended).id == mended.id
    await imports.accept(mended.id, by=None)
    assert len(await drafted(pricing, draft)) == 3


async def test_a_discarded_file_leaves_nothing(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID, database: Database
) -> None:
    found = await uploaded(imports, draft, EDITED)
    await imports.discard(found.id, by=None)
    assert await imports.find_live(draft) is None
    assert await drafted(pricing, draft) == {}
    assert [await count(database, f"price_import_{table}") for table in ("part", "change")] == [0, 0]


async def test_a_file_nobody_decides_about_is_forgotten_after_a_week(
    imports: PriceImports, draft: uuid.UUID, clock: FixedClock
) -> None:
    found = await uploaded(imports, draft, EDITED)
    await imports.discard_abandoned()
    assert (await imports.find(found.id)).state is ImportState.READY
    clock.advance(days=7, seconds=1)
    await imports.discard_abandoned()
    assert (await imports.find(found.id)).state is ImportState.DISCARDED


async def test_a_file_for_a_draft_that_is_closed_is_refused(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    found = await uploaded(imports, draft, EDITED)
    await pricing.discard_draft(draft)
    with pytest.raises(DraftClosed):
        await imports.upload(draft, name="price_rows.csv", content=b"x", by=None)
    with pytest.raises(DraftClosed):
        await imports.accept(found.id, by=None)


async def test_a_file_without_a_known_table_is_refused(imports: PriceImports, draft: uuid.UUID) -> None:
    found = await uploaded(imports, draft, "colour\nred\n", name="colours.csv")
    assert found.state is ImportState.REFUSED
    assert "unknown table" in found.report["errors"][0]["message"]


# --- Pieces ---


async def test_an_upload_goes_on_where_it_stopped(imports: PriceImports, draft: uuid.UUID) -> None:
    content = (ROWS + "\n" * 1_500_000).encode()
    digest = sha256(content).digest()
    begun = await imports.begin(draft, name="price_rows.csv", size=len(content), digest=digest, by=None)
    await imports.add_part(begun.id, start=0, content=content[:1000])
    with pytest.raises(PartMisplaced) as wrong:
        await imports.add_part(begun.id, start=0, content=content[:1000])
    assert wrong.value.extra["received"] == 1000
    with pytest.raises(PartMisplaced):
        await imports.add_part(begun.id, start=2000, content=content[2000:3000])

    again = await imports.begin(draft, name="price_rows.csv", size=len(content), digest=digest, by=None)
    assert (again.id, again.received) == (begun.id, 1000)
    while again.received < len(content):
        start = again.received
        again = await imports.add_part(begun.id, start=start, content=content[start : start + PART_MOST])

    assert again.state is ImportState.READING
    await imports.read(str(begun.id))
    assert (await imports.find(begun.id)).state is ImportState.READY
    with pytest.raises(ImportClosed):
        await imports.add_part(begun.id, start=again.received, content=b"more")


@pytest.mark.parametrize("content", [b"", b"x" * (PART_MOST + 1), b"longer than it was announced"])
async def test_a_part_that_is_none_is_refused(imports: PriceImports, draft: uuid.UUID, content: bytes) -> None:
    size = 10 if content.startswith(b"longer") else 3_000_000
    begun = await imports.begin(draft, name="a.csv", size=size, digest=b"\0" * 32, by=None)
    with pytest.raises(UploadMalformed):
        await imports.add_part(begun.id, start=0, content=content)


@pytest.mark.parametrize(("name", "size", "digest"), [("", 1, b"0" * 32), ("a", 0, b"0" * 32), ("a", 1, b"0")])
async def test_an_upload_that_cannot_be_is_not_begun(
    imports: PriceImports, draft: uuid.UUID, name: str, size: int, digest: bytes
) -> None:
    with pytest.raises(UploadMalformed):
        await imports.begin(draft, name=name, size=size, digest=digest, by=None)


async def test_a_file_beyond_the_setting_is_refused_before_a_byte_is_sent(
    imports: PriceImports, draft: uuid.UUID
) -> None:
    with pytest.raises(ImportTooLarge, match="5,000,001 bytes, more than the 5,000,000 allowed"):
        await imports.begin(draft, name="a.csv", size=5_000_001, digest=b"0" * 32, by=None)


async def test_a_file_that_arrives_otherwise_than_announced_is_refused(imports: PriceImports, draft: uuid.UUID) -> None:
    begun = await imports.begin(draft, name="price_rows.csv", size=3, digest=sha256(b"abc").digest(), by=None)
    await imports.add_part(begun.id, start=0, content=b"abd")
    await imports.read(str(begun.id))
    found = await imports.find(begun.id)
    assert found.state is ImportState.REFUSED
    assert "upload it again" in found.report["errors"][0]["message"]


async def test_the_last_part_enqueues_the_reading_and_a_worker_does_it(
    imports: PriceImports, draft: uuid.UUID, database_url: str
) -> None:
    jobs = Jobs(database_url)
    jobs.register(TASK, imports.read)
    found = await imports.upload(draft, name="price_rows.csv", content=EDITED.encode(), by=None)
    await jobs.run_pending()
    assert (await imports.find(found.id)).state is ImportState.READY


# --- Others at the same draft ---


async def test_what_both_changed_is_a_clash_with_both_sides_and_nothing_is_applied(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    found = await uploaded(imports, draft, EDITED)
    await set_price(pricing, draft, ANVIL, "85")

    with pytest.raises(DraftClash) as clash:
        await imports.accept(found.id, by=None)

    sides: Any = clash.value.extra["clashes"]
    [side] = sides
    assert tuple(side["key"]) == ANVIL
    assert side["theirs"]["tiers"][0]["unit_price"] == "85"
    assert side["yours"]["tiers"][0]["unit_price"] == "81"
    assert set(await drafted(pricing, draft)) == {ANVIL}
    assert (await imports.find(found.id)).state is ImportState.READY

    await imports.compare_again(found.id)
    await imports.read(str(found.id))
    shown = {change.key: change for change in await imports.list_changes(found.id)}
    assert shown[ANVIL].before["tiers"][0]["unit_price"] == "85"
    await imports.accept(found.id, by=None)
    assert (await drafted(pricing, draft))[ANVIL]["tiers"][0]["unit_price"] == "81"


async def test_an_undone_edit_that_the_file_changes_is_a_clash_as_well(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    await set_price(pricing, draft, ANVIL, "79")
    found = await uploaded(imports, draft, EDITED)
    await set_price(pricing, draft, ANVIL, "80")
    assert await drafted(pricing, draft) == {}
    with pytest.raises(DraftClash) as clash:
        await imports.accept(found.id, by=None)
    sides: Any = clash.value.extra["clashes"]
    [side] = sides
    assert side["theirs"]["tiers"][0]["unit_price"] == "80"


async def test_what_others_changed_elsewhere_or_alike_stays_beside_the_file(
    imports: PriceImports, pricing: Pricing, draft: uuid.UUID
) -> None:
    found = await uploaded(imports, draft, EDITED)
    await set_price(pricing, draft, ANVIL, "81")  # as the file has it
    contract = ("CONTRACT-INITECH", "ANVIL-50", "each", "")
    await set_price(pricing, draft, contract, "70")  # which the file leaves as it was
    await imports.accept(found.id, by=None)
    after = await drafted(pricing, draft)
    assert set(after) == {ANVIL, BOLT, CHAIR, contract}
    assert after[contract]["tiers"][0]["unit_price"] == "70"


# --- Who dies ---

PROGRAM = """
import asyncio, sys, uuid
from datetime import datetime, timedelta
from pathlib import Path
from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring
from pricing.books import PriceBooks
from pricing.imports import PriceImports
from pricing.service import Pricing

async def main(url, folder, now, act, *more):
    db, clock = Database.connect(url), FixedClock(datetime.fromisoformat(now))
    ring, catalog = Keyring.read(Path(folder) / "keyring.json"), Catalog(db, clock)
    books = PriceBooks(db, clock, ring, folder=Path(folder) / "books", lead=timedelta(seconds=10))
    pricing = Pricing(db, clock, books, ring, catalog)
    imports = PriceImports(db, clock, pricing, catalog, folder=Path(folder) / "imports", bytes_most=5_000_000)
    if act == "part":
        await imports.add_part(uuid.UUID(more[0]), start=0, content=sys.stdin.buffer.read())
    elif act == "read":
        await imports.read(more[0])
    else:
        await imports.accept(uuid.UUID(more[0]), by=None)
    await db.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def keyring(tmp_path: Path, clock: FixedClock) -> Keyring:
    """One that another process can read too."""
    complete(tmp_path / "keyring.json", now=clock.now())
    return Keyring.read(tmp_path / "keyring.json")


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", registered("pricing.import."))
async def test_killed_anywhere_the_import_goes_on_and_doubles_nothing(
    imports: PriceImports,
    pricing: Pricing,
    draft: uuid.UUID,
    clock: FixedClock,
    tmp_path: Path,
    database: Database,
    database_url: str,
    failpoint: str,
) -> None:
    content = EDITED.encode()
    begun = await imports.begin(
        draft, name="price_rows.csv", size=len(content), digest=sha256(content).digest(), by=None
    )

    def act(what: str, *, dies: bool) -> None:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, database_url, str(tmp_path), clock.now().isoformat(), what, str(begun.id)],
            cwd=ROOT,
            env=os.environ | ({"TARIFA_FAILPOINT": failpoint} if dies else {}),
            input=content,
            capture_output=True,
            check=False,
        )
        assert done.returncode == (-9 if dies else 0), done.stderr.decode()

    dying, moment = failpoint.removeprefix("pricing.import.").split(":")
    for what, done in (
        ("part", ImportState.READING),
        ("read", ImportState.READY),
        ("accept", ImportState.ACCEPTED),
    ):
        if what == dying:
            before = (await imports.find(begun.id)).state
            act(what, dies=True)
            assert (await imports.find(begun.id)).state is (done if moment == "after_commit" else before)
            waits = (what, moment) in {("read", "after_commit"), ("accept", "before_commit")}
            assert await count(database, "price_import_change") == (3 if waits else 0)
            assert len(await drafted(pricing, draft)) == (3 if (what, moment) == ("accept", "after_commit") else 0)
        if (await imports.find(begun.id)).state is not done:
            act(what, dies=False)
        assert (await imports.find(begun.id)).state is done
    if dying == "read":
        await imports.read(str(begun.id))  # as a worker that finds the dead one's job does
    assert set(await drafted(pricing, draft)) == {ANVIL, BOLT, CHAIR}
    assert (await pricing.find_draft(draft)).version == 1
