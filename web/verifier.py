"""The programs that check prices, in one file that partners download and run: `python tarifa-verify.pyz`.

It is put together from the very sources that the house runs, the same bytes each time. It needs Python 3.11,
`cryptography` and `msgspec`, and neither a network nor a database.
"""

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = (
    *("kernel/__init__.py", "kernel/canonical.py", "kernel/errors.py", "kernel/merkle.py", "kernel/money.py"),
    *("pricing/replay_quote.py", "pricing/verify_log.py", "pricing/verify_quote.py"),
    *("pricing/engine/replay.py", "pricing/engine/verify.py"),
)
EMPTY: Final = ("pricing/__init__.py", "pricing/engine/__init__.py")
"""There they only lead to the engine, which is not needed."""
START: Final = '''"""Check what a seller of Tarifa told you: python tarifa-verify.pyz quote|proof|answer|log ..."""

import sys

from pricing import replay_quote, verify_log
from pricing.engine import replay, verify

COMMANDS = {"quote": replay_quote.main, "proof": verify.main, "answer": replay.main, "log": verify_log.main}
USAGE = """usage: python tarifa-verify.pyz quote QUOTE_OR_PACKAGE --keys jwks.json [--at INSTANT]
       python tarifa-verify.pyz proof PROOF_OR_VIEW ROOT
       python tarifa-verify.pyz answer ANSWER LEAVES
       python tarifa-verify.pyz log LOG --keys tarifa-keys.json
"""

if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    sys.stderr.write(USAGE)
    raise SystemExit(2)
raise SystemExit(COMMANDS[sys.argv[1]](sys.argv[2:]))
'''
_DAY: Final = (2026, 1, 1, 0, 0, 0)


@cache
def verifier() -> bytes:
    """The file: a zip archive that Python runs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("__main__.py", START),
            *((name, "") for name in EMPTY),
            *((name, (ROOT / name).read_text()) for name in SOURCES),
        ):
            member = zipfile.ZipInfo(name, _DAY)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return packed.getvalue()
