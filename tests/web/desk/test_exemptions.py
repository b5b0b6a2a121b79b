"""Exemption certificates: a buyer names one, finance looks at it, and it holds at once."""

import re
from html import unescape

from accounts.store import find_company_by_code
from kernel.db import for_staff
from tests.web.conftest import PayingShop
from tests.web.desk.test_refunds import at_desk

CERTIFICATE = {"country": "ES", "number": "E-2026-7", "authority": "Agencia Tributaria", "expires_on": "2036-12-31"}


async def test_a_certificate_is_named_looked_at_and_holds_at_once(paying_shop: PayingShop) -> None:
    buyer = paying_shop.client()
    await buyer.log_in("buyer@acme.example")
    page = unescape((await buyer.get("/account/tax")).text)
    assert "VIES) was not asked" in page
    for field, typed in (("expires_on", "soon"), ("country", "XX"), ("number", "")):
        wrong = await buyer.submit("/account/tax/certificates", CERTIFICATE | {field: typed}, page="/account/tax")
        assert wrong.status_code == 422
        assert f'id="{field}-error"' in wrong.text
    named = await buyer.submit("/account/tax/certificates", CERTIFICATE, page="/account/tax")
    assert named.status_code == 303
    assert "being looked at" in (await buyer.get("/account/tax")).text

    clerk = await at_desk(paying_shop)
    path = re.search(r'action="(/desk/exemptions/[0-9a-f-]+)"', await clerk.get("/desk/exemptions"))
    assert path
    wordless = await clerk.browser.submit(path[1], {"state": "accepted", "note": ""}, page="/desk/exemptions")
    accepted = await clerk.browser.submit(path[1], {"state": "accepted", "note": "Seen"}, page="/desk/exemptions")
    again = await clerk.browser.submit(path[1], {"state": "refused", "note": "Seen"}, page="/desk/exemptions")
    assert (wordless.status_code, accepted.status_code, again.status_code) == (422, 303, 409)

    assert "accepted" in (await buyer.get("/account/tax")).text
    assert "Certificados de exención" in unescape((await buyer.get("/account/tax?lang=es")).text)
    async with paying_shop.services.db.begin(for_staff()) as session:
        company = await find_company_by_code(session, "acme")
    assert company is not None
    assert [each["number"] for each in company.exemptions] == ["E-2026-7"]
