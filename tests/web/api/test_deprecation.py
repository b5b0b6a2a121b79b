"""An operation that will go says so in the document and with every answer, refusals too."""

from datetime import date
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.params import FromQuery

from web.api import wire
from web.api.describing import OPT, Deprecation, documented, say_deprecated
from web.openapi import _complete

GOING = Deprecation(
    since=date(2026, 12, 1), stops=date(2027, 6, 1), explained="/api-reference", successor="/api/v1/price-books"
)


def answering(deprecation: Deprecation | None) -> Litestar:
    @get("/old", summary="Old", **documented(400, answer=wire.PriceBookAnswer, deprecation=deprecation))
    async def old(refuse: FromQuery[bool] = False) -> str:
        if refuse:
            raise ValueError
        return "as ever"

    return Litestar([old], before_send=[say_deprecated], openapi_config=None)


@pytest.mark.parametrize("address", ["/old", "/old?refuse=true", "/old?refuse=perhaps"])
async def test_every_answer_says_since_when_until_when_and_what_takes_its_place(address: str) -> None:
    transport = httpx.ASGITransport(app=answering(GOING), raise_app_exceptions=False)  # type: ignore[arg-type] # its own types of ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as program:
        answer = await program.get(address)

    assert answer.headers["deprecation"] == "@1796083200"
    assert answer.headers["sunset"] == "Tue, 01 Jun 2027 00:00:00 GMT"
    assert answer.headers["link"] == (
        '</api-reference>; rel="deprecation"; type="text/html", </api/v1/price-books>; rel="successor-version"'
    )


async def test_what_stays_says_nothing() -> None:
    transport = httpx.ASGITransport(app=answering(None))  # type: ignore[arg-type] # its own types of ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as program:
        answer = await program.get("/old")

    assert answer.status_code == 200
    assert not {"deprecation", "sunset", "link"} & answer.headers.keys()


def test_the_document_marks_it() -> None:
    operation: dict[str, Any] = {
        "description": "What it does.",
        "responses": {"200": {"description": "So."}},
    }
    _complete(operation, documented(answer=wire.PriceBookAnswer, deprecation=GOING)["opt"][OPT], [])

    assert operation["deprecated"] is True
    assert operation["description"] == "What it does. Deprecated since 2026-12-01; it stops on 2027-06-01."
    assert {"Deprecation", "Sunset"} <= operation["responses"]["200"]["headers"].keys()
