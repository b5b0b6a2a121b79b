"""Static files under hashed, immutable addresses, held in memory and compressed once.

A changed file has a changed address, so a browser may keep what it has for ever and no revalidation is needed.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parent / "static"
MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
COMPRESSED: Final = {".css", ".js", ".svg", ".txt"}


class Asset(msgspec.Struct, frozen=True):
    """One file as served. *gzipped* is None where compression gains nothing."""

    url: str
    media_type: str
    body: bytes
    gzipped: bytes | None


@cache
def assets() -> dict[str, Asset]:
    """Every static file by its path below web/static, such as `shop.css`."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        if path.suffix not in MEDIA_TYPES:
            continue
        name, body = path.relative_to(ROOT).as_posix(), path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:12]
        gzipped = gzip.compress(body, 9, mtime=0) if path.suffix in COMPRESSED else None
        found[name] = Asset(f"/static/{digest}/{name}", MEDIA_TYPES[path.suffix], body, gzipped)
    return found


def asset_url(name: str) -> str:
    """Return the address of a static file.

    :raises KeyError: when there is no such file, so that a wrong name fails in the first test that renders it
    """
    return assets()[name].url


@cache
def by_url() -> dict[str, Asset]:
    """Every static file by its address."""
    return {asset.url: asset for asset in assets().values()}
