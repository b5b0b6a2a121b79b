"""What changed between any two publications, and what changed a SKU's price, with who and why."""

import csv
import re
from html import unescape

from tests.web.conftest import Shop
from tests.web.desk.conftest import ARMCHAIR, Clerk


async def test_any_two_publications_are_compared_by_kind_and_as_a_file(clerk: Clerk, shop: Shop) -> None:
    for note, price in (("Dearer", "260"), ("Cheaper", "240")):
        draft = await clerk.begin(note)
        await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0=price)
        if note == "Cheaper":
            await clerk.fill(f"{draft}/rule?code=WINTER-SAFETY", title_en="=1+1 Winter")
        await clerk.publish(draft, note)
        shop.clock.advance(seconds=11)

    page = unescape(await clerk.get("/desk/prices/compare?older=1&newer=3&lang=en"))
    assert "2 differences" in page
    assert "<del>249.00</del>" in page
    assert "<ins>240.00</ins>" in page
    assert "260" not in page.split("2 differences")[1]
    assert "WINTER-SAFETY" not in await clerk.get("/desk/prices/compare?older=1&newer=3&kind=row")
    assert "<del>260.00</del>" in await clerk.get("/desk/prices/compare?older=3&newer=2"), "the older side comes first"
    assert "Both have the same content" in await clerk.get("/desk/prices/compare?older=2&newer=2")

    answer = await clerk.browser.get("/desk/prices/compare.csv?older=1&newer=3&lang=en")
    assert answer.headers["content-disposition"] == 'attachment; filename="prices-1-3.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert {"kind": "row", "key": "PUBLIC-EUR / CRUNCHY-ARMCHAIR / each / ", "field": "From 1",
            "before": "249.00", "after": "240.00"} in rows  # fmt: skip
    assert [row["after"] for row in rows if row["kind"] == "adjustment"] == ["'=1+1 Winter"]
    for wrong in ("older=x", "newer=99", "older=-1", "newer=99999999999999"):
        assert (await clerk.browser.get(f"/desk/prices/compare?{wrong}")).status_code == 404
        assert (await clerk.browser.get(f"/desk/prices/compare.csv?{wrong}")).status_code == 404


async def test_a_skus_history_names_the_publications_that_changed_it(clerk: Clerk, shop: Shop) -> None:
    for note, path, typed in (
        ("Armchairs", f"price{ARMCHAIR}", {"price__0": "260"}),
        ("A rule alone", "rule?code=WINTER-SAFETY", {"percent": "11"}),
        ("Back <again>", f"price{ARMCHAIR}", {"price__0": "249"}),
    ):
        draft = await clerk.begin(note)
        assert (await clerk.fill(f"{draft}/{path}", **typed))[0] == 303
        await clerk.publish(draft, note)
        shop.clock.advance(seconds=11)

    page = await clerk.get("/desk/prices/history?sku=CRUNCHY-ARMCHAIR&lang=en")
    assert re.findall(r'id="publication-(\d+)"', page) == ["4", "2", "1"]
    newest = page.split('id="publication-2"')[0]
    assert "<del>260.00</del>" in newest
    assert "Back &lt;again&gt;" in newest
    assert "Finance desk" in newest
    assert "A rule alone" not in page
    assert "Historial de precios" in await clerk.get("/desk/prices/history?sku=CRUNCHY-ARMCHAIR&lang=es")
    assert (await clerk.browser.get("/desk/prices/history?sku=NO-SUCH")).status_code == 404
