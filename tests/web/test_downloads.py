"""Files sent in pieces: whole, in order, and closed whoever leaves before the end."""

from pathlib import Path
from typing import IO

import httpx
from litestar import Litestar, get
from litestar.response import Stream

from pricing.exports import Form
from tests.security.wire import send
from web.downloads import download

CONTENT = b"x" * 1_000_000 + b"yz"


def app_with(file: IO[bytes]) -> Litestar:
    @get("/")
    async def prices() -> Stream:
        return download(file, Form.CSV, "Spring prices!")

    return Litestar([prices], openapi_config=None)


async def test_a_file_arrives_whole_under_a_plain_name_and_is_closed(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(CONTENT)
    file = (tmp_path / "export").open("rb")
    transport = httpx.ASGITransport(app=app_with(file))  # type: ignore[arg-type] # its own types of ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/")

    assert answer.content == CONTENT
    assert answer.headers["content-disposition"] == 'attachment; filename="spring-prices.zip"'
    assert file.closed


async def test_a_reader_who_leaves_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(CONTENT)
    for _ in range(20):
        file = (tmp_path / "export").open("rb")
        answer = await send(app_with(file), "GET", "/")  # who is gone as soon as the request is sent

        assert answer.status == 200
        assert file.closed
