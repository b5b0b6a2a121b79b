"""A small supplier: bolts, hoses and a chair, written to files and imported as any other catalogue is."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from catalog.service import Catalog
from kernel.clock import FixedClock, SystemClock
from kernel.db import APP_ROLE, Database
from kernel.embedded import EmbeddedServer

FILES = {
    "categories.csv": """code,parent,name_en,name_es
FASTENERS,,Fasteners,Elementos de fijación
BOLTS,FASTENERS,Bolts and screws,Tornillos y pernos
HEX,BOLTS,Hex bolts,Tornillos hexagonales
HOSES,,Hoses,Mangueras
SEATING,,Seating,Asientos
""",
    "brands.csv": "code,name\nNORDKAMM,Nordkamm\nFLUX,Flux\n",
    "products.csv": """code,category,brand,name_en,name_es,description_en,description_es
HEX-BOLT-8.8,HEX,NORDKAMM,"Hex bolt 8.8, zinc-plated","Tornillo hexagonal 8.8, cincado",Full thread.,Rosca completa.
WOOD-SCREW,BOLTS,,Wood screw,Ñudo de madera,,
PU-HOSE,HOSES,FLUX,Polyurethane hose,Tubo de poliuretano,Flexible compressed-air line.,
ARMCHAIR,SEATING,,Crunchy armchair,Sillón crujiente,,
""",
    "skus.csv": """sku,product,name_en,name_es,attributes,base_unit,tax_category,weight_grams,fractional,active
HB-88-M8X40,HEX-BOLT-8.8,Hex bolt 8.8 M8 x 40,Tornillo 8.8 M8 x 40,thread=M8;length_mm=40;standard=DIN 933,each,,20.5,,
HB-88-M8X100,HEX-BOLT-8.8,Hex bolt 8.8 M8 x 100,Tornillo 8.8 M8 x 100,thread=M8;length_mm=100,each,,41,no,yes
HB-88-M10X40,HEX-BOLT-8.8,Hex bolt 8.8 M10 x 40,Tornillo 8.8 M10 x 40,thread=M10;length_mm=40,each,,33,no,yes
WS-5X60,WOOD-SCREW,Wood screw 5 x 60,,length_mm=60,each,,,,
HOSE-PU-8-BLUE,PU-HOSE,"Polyurethane hose 8 mm, blue","Tubo de poliuretano 8 mm, azul",outer_mm=8,metre,,38,yes,yes
CRUNCHY-ARMCHAIR,ARMCHAIR,Crunchy armchair,Sillón crujiente,,each,reduced,12000,no,yes
CRUNCHY-STOOL,ARMCHAIR,Crunchy stool,Taburete crujiente,,each,,,no,no
""",
    "units.csv": "sku,unit,factor\nHB-88-M8X40,box,100\nHB-88-M8X40,pallet,24000\nHOSE-PU-8-BLUE,reel,50\n",
    "costs.csv": "sku,cost,currency\nHB-88-M8X40,0.0831,EUR\nHB-88-M8X40,0.0972,USD\n",
    "stock.csv": "sku,on_hand\nHB-88-M8X40,18200\nHOSE-PU-8-BLUE,12.5\nCRUNCHY-ARMCHAIR,1\n",
}


def write_files(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def empty_catalog(database: Database, clock: FixedClock) -> Catalog:
    return Catalog(database, clock)


@pytest.fixture
async def catalog(empty_catalog: Catalog, tmp_path: Path) -> Catalog:
    report = await empty_catalog.import_folder(write_files(tmp_path / "import", FILES))
    assert report.ok, report.errors
    return empty_catalog


@pytest.fixture(scope="module")
async def shared_catalog(
    server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Catalog]:
    """The same for tests that only read, imported once for a module."""
    folder = tmp_path_factory.mktemp("shared")
    name = f"shared_{uuid.uuid4().hex}"
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    opened = Database.connect(server.url(name, APP_ROLE))
    catalog = Catalog(opened, SystemClock())
    report = await catalog.import_folder(write_files(folder, FILES))
    assert report.ok, report.errors
    yield catalog
    await opened.close()
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
