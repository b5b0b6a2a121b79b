"""VIES is asked only by setting and by a person; its answer is kept and counts."""

import json
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from accounts.model import Company, TaxIdCheck
from accounts.principal import buyer_company
from accounts.store import find_company_by_code
from accounts.vies import Vies
from kernel.db import for_staff
from tests.web.conftest import PayingShop

ANSWERS = {
    "valid": {"valid": True, "requestIdentifier": "WAPIAAAA1"},
    "invalid": {"valid": False},
    "down": {"errorWrappers": [{"error": "MS_UNAVAILABLE"}]},
}


@pytest.fixture
def office() -> Iterator[tuple[str, dict[str, str]]]:
    """A tax office, and which of its answers it gives."""
    says = {"now": "valid"}

    class Office(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps(ANSWERS[says["now"]]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Office)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", says
    server.shutdown()
    server.server_close()
    thread.join()


async def acme(shop: PayingShop) -> Company:
    async with shop.services.db.begin(for_staff()) as session:
        found = await find_company_by_code(session, "acme")
    assert found is not None
    return found


async def test_vies_is_asked_only_where_the_house_has_chosen_it(
    paying_shop: PayingShop, office: tuple[str, dict[str, str]]
) -> None:
    services, (url, says) = paying_shop.services, office
    buyer = paying_shop.client()
    await buyer.log_in("buyer@acme.example")
    assert "was not asked" in (await buyer.get("/account/tax")).text
    refused = await buyer.submit("/account/tax/check", {}, page="/account/tax")
    assert refused.status_code == 422

    services.vies = Vies(services.db, services.clock, url=url)
    for answer, told, check in (
        ("down", "did not answer", TaxIdCheck.WELL_FORMED),
        ("invalid", "counts as none", TaxIdCheck.REFUTED),
        ("valid", "WAPIAAAA1", TaxIdCheck.CONFIRMED),
    ):
        says["now"] = answer
        services.clock.advance(seconds=1)  # type: ignore[attr-defined] # the tests' own
        asked = await buyer.submit("/account/tax/check", {}, page="/account/tax")
        assert asked.status_code == 303
        assert told in unescape((await buyer.get("/account/tax")).text)
        company = await acme(paying_shop)
        assert company.tax_id_check is check
        counts = buyer_company(company).counting_tax_id(company.tax_id)
        assert counts == (None if check is TaxIdCheck.REFUTED else company.tax_id)
    assert "VIES) la confirmó" in unescape((await buyer.get("/account/tax?lang=es")).text)
