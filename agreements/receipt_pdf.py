"""A receipt as a sealed PDF: PDF/A-2a and PDF/UA-1 by typst, then the seller's seal over all of it.

It takes a tenth of a second: call it in a thread.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import typst

from agreements.receipt_words import Said, word
from kernel.pdf_seal import seal_pdf
from kernel.signing import Keyring

TEMPLATE: Final = Path(__file__).with_name("receipt.typ").read_bytes()
STANDARDS: Final = ("a-2a", "ua-1")


def sealed(said: Said, keyring: Keyring, *, now: datetime) -> bytes:
    """The PDF of what is *said* of a receipt, sealed at *now*."""
    return seal_pdf(document_pdf(said), keyring, reason=word("seal_reason", said.language), at=now)


def document_pdf(said: Said) -> bytes:
    """*said* as a PDF without a seal, the same bytes each time."""
    at = datetime.fromisoformat(said.recorded_at)
    inputs = {**msgspec.to_builtins(said), "date": {name: getattr(at, name) for name in ("year", "month", "day")}}
    made: bytes = typst.compile(
        TEMPLATE,
        sys_inputs={"said": json.dumps(inputs)},
        pdf_standards=list(STANDARDS),
        ignore_system_fonts=True,
        timestamp=int(at.timestamp()),
    )
    return made
