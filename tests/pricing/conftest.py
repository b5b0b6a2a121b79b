"""A small house: three SKUs, a public list and a contract, and its price books."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database
from kernel.signing import Keyring
from pricing.books import PriceBooks
from pricing.service import Pricing

LEAD = timedelta(seconds=10)

CATALOGUE = {
    "categories.csv": "code,parent,name_en\nTOOLS,,Tools\nTOOLS.HEAVY,TOOLS,Heavy tools\nSEATS,,Seats\n",
    "brands.csv": "code,name\nACME,Acme\n",
    "products.csv": (
        "code,category,brand,name_en\nANVIL,TOOLS.HEAVY,ACME,Anvil\nBOLT,TOOLS,,Bolt\nARMCHAIR,SEATS,,Armchair\n"
    ),
    "skus.csv": (
        "sku,product,name_en,base_unit,fractional,active\n"
        "ANVIL-50,ANVIL,Anvil 50 kg,each,no,yes\n"
        "BOLT-M8,BOLT,Bolt M8,each,no,yes\n"
        "CRUNCHY-ARMCHAIR,ARMCHAIR,Crunchy armchair,each,no,yes\n"
    ),
    "units.csv": "sku,unit,factor\nBOLT-M8,box,100\n",
    "costs.csv": "sku,cost,currency\nANVIL-50,40,EUR\nBOLT-M8,0.05,EUR\nCRUNCHY-ARMCHAIR,100,EUR\n",
}
PRICES = {
    "policy.csv": (
        "strategy,round_unit,unit_decimals,unit_mode,line_decimals,line_mode,tax_decimals,tax_mode,tax_level\n"
        "most_specific,yes,4,half_up,,half_up,,half_up,line\n"
    ),
    "price_lists.csv": (
        "code,currency,audience_company,title_en,title_es\n"
        "PUBLIC,EUR,,Public list,Tarifa pública\n"
        "CONTRACT-INITECH,EUR,initech,Contract,Contrato\n"
    ),
    "price_rows.csv": (
        "list,sku,unit,model,tiers\n"
        "PUBLIC,ANVIL-50,each,flat,0:80\n"
        "PUBLIC,BOLT-M8,each,volume,1:0.21;100:0.18\n"
        "PUBLIC,BOLT-M8,box,flat,0:17\n"
        "PUBLIC,CRUNCHY-ARMCHAIR,each,volume,1:200;5:190\n"
        "CONTRACT-INITECH,ANVIL-50,each,flat,0:72\n"
    ),
    "layers.csv": "code,level,position,combine,groups\nDISCOUNTS,unit,1,sequence,promotion:lowest\n",
    "adjustments.csv": (
        "code,layer,group,scope_categories,valid_from,valid_until,effect,value,title_en\n"
        "TOOLS-WEEK,DISCOUNTS,promotion,TOOLS,2026-11-23,2026-11-30,percent,10,Tools week\n"
    ),
}


@pytest.fixture
def keyring(clock: FixedClock) -> Keyring:
    return Keyring.generate(now=clock.now())


@pytest.fixture
def catalog(database: Database, clock: FixedClock) -> Catalog:
    return Catalog(database, clock)


@pytest.fixture
async def books(database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path) -> AsyncIterator[PriceBooks]:
    """Asked when a test says so: its beat is not started."""
    opened = PriceBooks(database, clock, keyring, folder=tmp_path / "books", lead=LEAD, elapsed=lambda: 0.0)
    yield opened
    await opened.stop()


@pytest.fixture
def unpublished(
    database: Database, clock: FixedClock, books: PriceBooks, keyring: Keyring, catalog: Catalog
) -> Pricing:
    """An empty house."""
    return Pricing(database, clock, books, keyring, catalog)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make an import folder of files given as `name_csv="..."` keywords or by dictionaries."""

    def make(*parts: dict[str, str], **files: str) -> Path:
        made = tmp_path / f"import-{len(list(tmp_path.glob('import-*')))}"
        made.mkdir()
        for part in (*parts, {name.replace("_csv", ".csv"): content for name, content in files.items()}):
            for name, content in part.items():
                (made / name).write_text(content)
        return made

    return make


@pytest.fixture
async def first(unpublished: Pricing, clock: FixedClock, folder: Callable[..., Path]) -> str:
    """The root of the small house's first book, in force since now."""
    imported = await unpublished.import_folder(folder(CATALOGUE, PRICES), by=None)
    assert imported.report.errors == []
    assert imported.draft_id is not None
    publication = await unpublished.publish(imported.draft_id, by=None, acknowledge="As meant", note="first")
    clock.set(publication.effective_at)
    return "sha256:" + publication.root.hex()


@pytest.fixture
def pricing(unpublished: Pricing, first: str) -> Pricing:
    """The small house, its first book in force."""
    assert unpublished.books.published()[0].root == first
    return unpublished
