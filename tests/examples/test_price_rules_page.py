"""The pipeline of docs/price-rules-as-code.md, run as it stands there with the keys of two people."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.web.api.desks import CHIEF, URL, desk, make_chief, ok, staff_key
from tests.web.api.partners import Program
from tests.web.conftest import Shop, demo_database_url, demo_template, shop
from tests.web.live import serving

__all__ = ["demo_database_url", "demo_template", "shop"]
PAGE = (ROOT / "docs" / "price-rules-as-code.md").read_text()
SCRIPT = "\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
TOOLS = ("bash", "curl", "jq", "python3")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) and not os.environ.get("CI"), reason=f"it takes {', '.join(TOOLS)}"
)


async def run(script: str, folder: Path, **env: str) -> tuple[int, str]:
    """How the script ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, said.decode()


@needs_tools
async def test_the_page_publishes_what_it_edits(shop: Shop, tmp_path: Path) -> None:
    await make_chief(shop)
    author = (await staff_key(shop, scopes=["desk:read", "desk:edit", "desk:publish"]))[1]
    approver = (await staff_key(shop, CHIEF, ["desk:read", "desk:approve"]))[1]
    async with serving(shop.app) as url, shop.services.jobs.worker():
        code, said = await run(SCRIPT, tmp_path, TARIFA=url, AUTHOR_KEY=author, APPROVER_KEY=approver)
    assert code == 0, said

    published = json.loads((tmp_path / "publication.json").read_text())
    assert (published["note"], published["approved_by"]["name"]) == ("Spring prices", "Chief")
    assert '["changed","row",["PUBLIC-EUR","CRUNCHY-ARMCHAIR","each",""]]' in said
    shop.clock.advance(minutes=1)
    await shop.services.books.refresh()
    price = ok(await Program(shop).get("/api/v1/prices/CRUNCHY-ARMCHAIR?currency=EUR&quantity=20")).json()["price"]
    assert price["list_price"]["amount"] == "215.00"
    found = ok(await (await desk(shop)).get(f"{URL}/comparison?older=1&newer=2")).json()
    assert [difference["kind"] for difference in found["differences"]] == ["quantity_rule", "row"]


@needs_tools
async def test_the_page_tells_of_mistakes_in_a_file_and_stops(shop: Shop, tmp_path: Path) -> None:
    author = (await staff_key(shop))[1]
    script = SCRIPT.replace("20:215", "20:two hundred")
    async with serving(shop.app) as url, shop.services.jobs.worker():
        code, said = await run(script, tmp_path, TARIFA=url, AUTHOR_KEY=author, APPROVER_KEY=author)

    assert code == 1
    assert re.search(r"price_rows\S* row \d+, tiers .*two hundred", said), said
    assert not (tmp_path / "publication.json").exists()
