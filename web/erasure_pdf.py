"""The letter of an erasure as a PDF: PDF/A-2b and PDF/UA-1, the same bytes each time."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import typst

from accounts.erasure_letter import Letter

TEMPLATE: Final = Path(__file__).with_name("erasure_letter.typ").read_bytes()
STANDARDS: Final = ("a-2b", "ua-1")


async def letter_pdf(letter: Letter, dated: datetime) -> bytes:
    return await asyncio.to_thread(_pdf, letter, dated)


def _pdf(letter: Letter, dated: datetime) -> bytes:
    given = {**msgspec.to_builtins(letter), "dated": [dated.year, dated.month, dated.day]}
    made = typst.compile(
        TEMPLATE,
        sys_inputs={"letter": json.dumps(given)},
        ignore_system_fonts=True,
        pdf_standards=list(STANDARDS),
        timestamp=int(dated.timestamp()),
    )
    assert isinstance(made, bytes)
    return made
