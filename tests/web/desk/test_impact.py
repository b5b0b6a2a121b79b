"""What a draft does to what was sold, as finance asks for it at the desk: forms alone, no script."""

import csv
import re
from html import unescape
from uuid import UUID

from checkout.model import ShipTo
from checkout.views import Details
from tests.web.conftest import PASSWORD, Shop
from tests.web.desk.conftest import ARMCHAIR, Clerk

BUYER = "buyer@acme.example"
BOXES = frozenset({"agree", "authority", "business"})
DIGEST = "sha256:" + "0" * 64


async def buy(shop: Shop, quantity: str = "2") -> str:
    """Acme's order of armchairs; its number."""
    services = shop.services
    opened = await services.accounts.log_in(email=BUYER, password=PASSWORD, token=None, address="127.0.0.1")
    principal = await services.accounts.authenticate(opened.token)
    await services.carts.add(principal, sku="CRUNCHY-ARMCHAIR", quantity=quantity)
    ship_to = ShipTo(name="Goods-in", line1="Calle Mayor 1", postal_code="28013", city="Madrid", country="ES")
    await services.checkouts.save_details(principal, Details(ship_to=ship_to), locale="en")
    review = await services.checkouts.review(principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    order = await services.checkouts.place(
        principal,
        presentation_id=review.presentation.id,
        ticked=BOXES,
        job_title="Buyer",
        ip="127.0.0.1",
        user_agent="tests",
    )
    shop.clock.advance(seconds=1)
    return order.number


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


async def test_a_clerk_sees_what_a_dearer_chair_does_and_takes_it_along(clerk: Clerk, shop: Shop) -> None:
    number = await buy(shop)
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="1000")
    page = await clerk.get(f"{draft}/impact")
    assert "Nobody has worked it out for this draft yet." in page

    status, _, address = await clerk.fill(f"{draft}/impact", months="1")
    assert (status, address) == (303, f"{draft}/impact")
    waiting = await clerk.get(f"{draft}/impact")
    assert "<progress" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    await shop.services.jobs.run_pending()

    page = await clerk.get(f"{draft}/impact")
    said = text_of(page)
    assert "1 order , 1 line" in said or "1 order, 1 line" in said
    assert "Companies: 1 of 1 pay more, 0 pay less." in said
    assert "1 line becomes dearer" in said
    assert f'href="{draft}/preview?sku=CRUNCHY-ARMCHAIR"' in page
    assert page.count('role="img"') == page.count("<desc") >= 4
    assert "<progress" not in page
    assert "hx-trigger" not in page.partition('id="impact"')[2].partition(">")[0]
    files = dict(re.findall(r'href="([^"]+/(orders-[a-z]+\.csv))"', page))
    assert {name.removesuffix(".csv") for name in files.values()} == {
        f"orders-{name}" for name in ("totals", "companies", "categories", "skus", "steps", "lines")
    }
    for path, name in files.items():
        answer = await clerk.browser.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert name in answer.headers["content-disposition"]
        rows = list(csv.DictReader(answer.text.splitlines()))
        if name == "orders-lines.csv":
            assert [(row["order"], row["company"], row["sku"]) for row in rows] == [
                (number, "acme", "CRUNCHY-ARMCHAIR")
            ]
            assert float(rows[0]["after"]) > float(rows[0]["before"])
        elif name == "orders-companies.csv":
            assert [row["company"] for row in rows] == ["acme"]


async def test_an_edit_makes_the_impact_one_of_an_earlier_draft(clerk: Clerk, shop: Shop) -> None:
    await buy(shop)
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/impact")
    await shop.services.jobs.run_pending()
    page = await clerk.get(f"{draft}/impact")
    lines = re.findall(r'href="([^"]+/orders-lines\.csv)"', page)[0]
    assert "was edited" not in page
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="1000")

    page = await clerk.get(f"{draft}/impact")

    assert "The draft was edited, or other prices were published, since this was worked out." in page
    assert "orders-lines.csv" not in page
    refused = await clerk.browser.get(lines)
    assert refused.status_code == 409
    assert (await clerk.browser.get(lines.replace("lines", "skus"))).status_code == 200


async def test_what_cannot_be_read_is_said_beside_its_field(clerk: Clerk) -> None:
    draft = await clerk.begin()
    status, page, _ = await clerk.fill(f"{draft}/impact", months="7", at="tomorrow")

    assert status == 422
    assert "Choose one from the list." in page
    assert "Write a date and time like" in page
    assert 'value="tomorrow"' in page


async def test_what_stops_it_is_said_where_the_result_would_stand(clerk: Clerk, shop: Shop) -> None:
    await buy(shop)
    mine, theirs = await clerk.begin("Mine"), await clerk.begin("Theirs")
    await clerk.fill(f"{mine}/price{ARMCHAIR}", price__0="1000")
    await clerk.fill(f"{theirs}/price{ARMCHAIR}", price__0="990")
    await clerk.publish(theirs)
    shop.clock.advance(minutes=1)
    await clerk.fill(f"{mine}/impact", at="2027-01-01T00:00")
    await shop.services.jobs.run_pending()

    page = await clerk.get(f"{mine}/impact?lang=es")

    assert "No se pudo calcular" in page
    assert "Otros publicaron cambios de lo mismo" in page


async def test_there_is_no_table_but_those_listed(clerk: Clerk, shop: Shop) -> None:
    draft, other = await clerk.begin(), await clerk.begin("Other")
    await clerk.fill(f"{draft}/impact")
    standing = await shop.services.impacts.find_last(UUID(draft.rpartition("/")[2]))
    assert standing is not None
    home = f"{draft}/impact/{standing.id}"
    assert (await clerk.browser.get(f"{home}/orders-skus.csv")).status_code == 404
    await shop.services.jobs.run_pending()

    for path, status in (
        (f"{home}/orders-skus.csv", 200),
        (f"{home}/quotes-lines.csv", 200),
        (f"{home}/orders-secrets.csv", 404),
        (f"{home}/orders-skus", 404),
        (f"{home}/others-skus.csv", 404),
        (f"{draft}/impact/1/orders-skus.csv", 404),
        (f"{other}/impact/{standing.id}/orders-skus.csv", 404),
    ):
        assert (await clerk.browser.get(path)).status_code == status, path


async def test_support_does_not_see_it(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    support = Clerk(shop.client())
    await support.browser.log_in("support@meridian.example")

    assert (await support.browser.get(f"{draft}/impact")).status_code == 404
