"""Publications by program: two keys, author's and approver's, from a draft to prices in force and back."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.web.api.desks import CHIEF, URL, acknowledge, begin, desk, forget_answer, make_chief, ok, ready, reprice
from tests.web.api.partners import Program
from tests.web.conftest import Shop

PRICE = "/api/v1/prices/CRUNCHY-ARMCHAIR?currency=EUR&quantity=1"


async def two(shop: Shop) -> tuple[Program, Program]:
    """The clerk's program and the chief's."""
    await make_chief(shop)
    return await desk(shop), await desk(shop, CHIEF)


async def publish(program: Program, draft: str, **asked: Any) -> httpx.Response:
    return await program.post(f"{draft}/publication", json={"note": "As agreed", **asked})


async def price(shop: Shop) -> str:
    await shop.services.books.refresh()
    return str(ok(await Program(shop).get(PRICE)).json()["price"]["unit_price"]["amount"])


async def test_a_draft_becomes_prices_through_two_peoples_keys(shop: Shop) -> None:
    clerk, chief = await two(shop)
    draft = await begin(clerk)
    ok(await reprice(clerk, draft, "239"))
    early = await publish(clerk, draft)
    assert (early.status_code, early.json()["type"]) == (422, "/problems/price-not-approved")
    version = ok(await clerk.get(draft)).json()["version"]
    ok(await clerk.post(f"{draft}/submission", json={"version": version}))
    ok(await chief.post(f"{draft}/approval", json={"version": version}))
    warned = await publish(chief, draft)
    assert (warned.status_code, warned.json()["type"]) == (422, "/problems/price-warnings")
    await acknowledge(clerk, draft)

    made = ok(await publish(chief, draft), 201)
    body = made.json()
    assert made.headers["location"] == f"{URL}/publications/{body['number']}"
    assert (body["note"], body["standing"], body["approval"]) == ("As agreed", "upcoming", "given")
    assert (body["author"]["name"], body["published_by"]["name"]) == ("Finance desk", "Chief")
    assert body["approved_by"]["name"] == "Chief"
    assert {each["acknowledged"]["reason"] for each in body["findings"]} == {"Meant so"}
    shop.clock.advance(minutes=1)
    assert await price(shop) == "239.00"
    read = ok(await clerk.get(made.headers["location"])).json()
    assert read == {**body, "standing": "in_force"}
    state = ok(await clerk.get(draft)).json()
    assert (state["state"], state["publication"]) == ("published", body["number"])
    again = await publish(chief, draft)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/price-draft-closed")


async def test_a_publication_for_tomorrow_takes_effect_tomorrow(shop: Shop) -> None:
    clerk, chief = await two(shop)
    before = await price(shop)
    tomorrow = shop.clock.now() + timedelta(days=1)
    at = tomorrow.isoformat().replace("+00:00", "Z")
    past = await publish(chief, await ready(clerk, chief, "238"), effective_at="2026-01-01T00:00:00Z")
    assert (past.status_code, past.json()["type"]) == (422, "/problems/price-effective-too-soon")
    drafts = ok(await clerk.get(f"{URL}/drafts?state=open")).json()["drafts"]
    made = ok(await publish(chief, f"{URL}/drafts/{drafts[0]['id']}", effective_at=at), 201).json()

    assert (made["standing"], made["effective_at"]) == ("upcoming", at)
    assert await price(shop) == before
    shop.clock.set(tomorrow)
    assert await price(shop) == "238.00"


async def test_prices_are_returned_to_as_a_new_publication(shop: Shop) -> None:
    clerk, chief = await two(shop)
    before = await price(shop)
    number = ok(await clerk.get(f"{URL}/publications?limit=1")).json()["publications"][0]["number"]
    ok(await publish(chief, await ready(clerk, chief, "237")), 201)
    shop.clock.advance(minutes=1)
    assert await price(shop) == "237.00"

    warned = await clerk.post(f"{URL}/publications/{number}/rollback", json={"note": "Too low"})
    assert (warned.status_code, warned.json()["type"]) == (422, "/problems/price-warnings")
    back = {"note": "Too low", "accept_findings": True}
    made = ok(await clerk.post(f"{URL}/publications/{number}/rollback", json=back), 201).json()
    assert (made["restores"], made["approval"], made["published_by"]["name"]) == (number, "restored", "Finance desk")
    shop.clock.advance(minutes=1)
    assert await price(shop) == before


async def test_a_call_that_publishes_does_it_once_under_its_name(shop: Shop) -> None:
    clerk, chief = await two(shop)
    draft = await ready(clerk, chief, "236")
    chief.headers["idempotency-key"] = "release 7"
    first, again = [ok(await publish(chief, draft), 201) for _ in range(2)]

    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")


async def test_a_publication_made_before_the_crash_is_the_answer_after_it(shop: Shop) -> None:
    clerk, chief = await two(shop)
    draft = await ready(clerk, chief, "236")
    chief.headers["idempotency-key"] = "release 8"
    first = ok(await publish(chief, draft), 201)
    await forget_answer(shop, "release 8")
    again = ok(await publish(chief, draft), 201)

    assert again.json() == first.json()
    assert "idempotency-replayed" not in again.headers


async def test_what_others_published_meanwhile_clashes_from_both_sides(shop: Shop) -> None:
    clerk, chief = await two(shop)
    late = await begin(clerk)
    ok(await reprice(clerk, late, "230"))
    ok(await publish(chief, await ready(clerk, chief, "235")), 201)

    assert ok(await clerk.get(late)).json()["moved"]
    for answer in (await clerk.get(f"{late}/findings"), await clerk.post(
        f"{late}/acknowledgements", json={"findings": [f"sha256:{'0' * 64}"], "reason": "Meant so"})):  # fmt: skip
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/price-draft-clash")
        (sides,) = answer.json()["clashes"]
        assert [sides[side]["tiers"][0]["unit_price"] for side in ("theirs", "yours")] == ["235", "230"]


async def test_errors_stop_a_publication_and_say_where_to_look(shop: Shop) -> None:
    clerk, chief = await two(shop)
    draft = await begin(clerk)
    rows = ok(await clerk.get(f"{draft}/rows?sku=CRUNCHY-ARMCHAIR")).json()["stated"]
    for row in rows:  # nobody prices what is on sale
        where = {"kind": "row", **dict(zip(("list", "sku", "unit"), row["key"], strict=False))}
        starts = {"starts": row["key"][3].replace("+00:00", "Z")} if row["key"][3] else {}
        ok(await clerk.delete(f"{draft}/object", params=where | starts, headers={"if-match": "*"}), 204)
    found = ok(await clerk.get(f"{draft}/findings")).json()
    assert found["errors"] >= 1
    assert found["findings"][0]["code"] == "sold_without_price"
    version = ok(await clerk.get(draft)).json()["version"]
    ok(await clerk.post(f"{draft}/submission", json={"version": version}))
    ok(await chief.post(f"{draft}/approval", json={"version": version}))
    stopped = await publish(chief, draft)

    assert (stopped.status_code, stopped.json()["type"]) == (422, "/problems/price-findings")
    assert stopped.json()["findings"][0]["params"] == {"sku": "CRUNCHY-ARMCHAIR"}


async def test_publications_are_listed_compared_and_told_of_a_sku(shop: Shop) -> None:
    clerk, chief = await two(shop)
    for amount in ("234", "233"):
        ok(await publish(chief, await ready(clerk, chief, amount)), 201)
        shop.clock.advance(minutes=1)
        await shop.services.books.refresh()
    page = ok(await clerk.get(f"{URL}/publications?limit=2")).json()
    rest = ok(await clerk.get(f"{URL}/publications?limit=200&cursor={page['next']}")).json()
    numbers = [each["number"] for each in [*page["publications"], *rest["publications"]]]
    last, middle = numbers[:2]

    assert numbers == list(range(last, 0, -1))
    assert [each["standing"] for each in page["publications"]] == ["in_force", "past"]
    found = ok(await clerk.get(f"{URL}/comparison?older={middle}&newer={last}")).json()
    assert (found["total"], found["next"]) == (1, None)
    (difference,) = found["differences"]
    assert difference["key"] == ["PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""]
    assert [difference[side]["tiers"][0]["unit_price"] for side in ("before", "after")] == ["234", "233"]
    assert ok(await clerk.get(f"{URL}/comparison?older={middle}&newer={last}&kind=list")).json()["total"] == 0
    steps = ok(await clerk.get(f"{URL}/skus/CRUNCHY-ARMCHAIR/history")).json()["steps"]
    assert [step["publication"]["number"] for step in steps[:2]] == [last, middle]
    assert steps[0]["differences"] == found["differences"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("publications/9999", 404),
        ("publications/0", 400),
        ("publications/99999999999999999999999", 400),
        ("publications/one", 404),
        ("comparison?older=1&newer=9999", 404),
        ("comparison?older=1", 400),
        ("skus/NO-SUCH-SKU/history", 404),
        ("skus/%00/history", 400),
        ("skus/%ED%A0%80/history", 400),
        ("publications?cursor=MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDA", 404),
    ],
)
async def test_what_is_not_there_is_a_problem_document(partner_shop: Shop, path: str, status: int) -> None:
    answer = await (await desk(partner_shop)).get(f"{URL}/{path}")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_publishing_needs_its_own_scope(shop: Shop) -> None:
    writer = await desk(shop, scopes=["desk:read", "desk:edit", "desk:approve"])
    draft = await begin(writer)
    number = ok(await writer.get(f"{URL}/publications?limit=1")).json()["publications"][0]["number"]
    for answer in (
        await publish(writer, draft),
        await writer.post(f"{URL}/publications/{number}/rollback", json={"note": "Back"}),
    ):
        assert (answer.status_code, answer.json()["scope"]) == (403, "desk:publish")
