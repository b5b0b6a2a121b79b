"""Files that are written whole before their first byte is sent, so that what goes wrong is said instead."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import IO, Final

from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from kernel.xlsx_write import MEDIA_TYPE
from pricing.exports import Form
from web.edge import is_head
from web.http import AnyRequest

MEDIA_TYPES: Final = {Form.WORKBOOK: MEDIA_TYPE, Form.CSV: "application/zip"}
_CHUNK: Final = 256 * 1024


async def written(request: AnyRequest, write: Callable[[Path], Awaitable[None]]) -> IO[bytes] | None:
    """What *write* wrote, in a file without a name; None when only the headers are asked for."""
    if is_head(request.scope):
        return None
    folder = await asyncio.to_thread(mkdtemp, prefix="tarifa-export-")
    path = Path(folder) / "export"
    try:
        await write(path)
        return await asyncio.to_thread(path.open, "rb")
    finally:
        await asyncio.to_thread(rmtree, folder)


def download(file: IO[bytes] | None, form: Form, title: str) -> Stream:
    """The file under a name made of *title*."""
    name = re.sub(r"[^A-Za-z0-9-]+", "-", title).strip("-").lower()[:60] or "prices"
    suffix = "xlsx" if form is Form.WORKBOOK else "zip"
    headers = {"content-disposition": f'attachment; filename="{name}.{suffix}"'}
    if file is None:
        return Stream(iter(()), media_type=MEDIA_TYPES[form], headers=headers)
    # a reader who leaves before the first piece never starts the pieces: the end of the answer closes the file
    closing = BackgroundTask(_close, file)
    return Stream(_chunks(file), media_type=MEDIA_TYPES[form], headers=headers, background=closing)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


async def _close(file: IO[bytes]) -> None:
    file.close()
