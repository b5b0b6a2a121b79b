"""Segments of companies, changed by programs of the desk."""

import pytest

from tests.web.api.desks import CLERK, URL, desk, ok
from tests.web.api.partners import ACME, Program, key_of
from tests.web.conftest import Shop
from web.api.cursors import cursor_of

OF_ACME = f"{URL}/segments?company=acme"


async def test_a_company_is_put_into_a_segment_with_a_reason_and_its_history_tells(shop: Shop) -> None:
    program = await desk(shop)
    seen = ok(await program.get(OF_ACME)).json()["segments"]
    wanted = sorted({*seen, "spring"})

    answer = ok(await program.put(OF_ACME, json={"segments": wanted, "seen": seen, "reason": "As agreed"})).json()

    assert answer["segments"] == wanted
    assert answer == ok(await program.get(OF_ACME)).json()
    change = answer["changes"][0]
    assert (change["before"], change["after"], change["reason"]) == (seen, wanted, "As agreed")
    assert change["changed_by"]["name"] == "Finance desk"
    found = ok(await program.get(f"{URL}/companies?segment=spring")).json()
    assert [(each["code"], each["segments"]) for each in found["companies"]] == [("acme", wanted)]


async def test_who_saw_something_else_is_told_what_there_is(shop: Shop) -> None:
    program = await desk(shop)
    seen = ok(await program.get(OF_ACME)).json()["segments"]
    ok(await program.put(OF_ACME, json={"segments": [*seen, "spring"], "seen": seen, "reason": "first"}))

    late = await program.put(OF_ACME, json={"segments": [*seen, "autumn"], "seen": seen, "reason": "second"})

    assert (late.status_code, late.json()["type"]) == (409, "/problems/segments-moved")
    assert late.json()["segments"] == sorted([*seen, "spring"])
    assert ok(await program.get(OF_ACME)).json()["segments"] == sorted([*seen, "spring"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"segments": ["a;b"], "seen": [], "reason": "x"}, 400),
        ({"segments": [" a"], "seen": [], "reason": "x"}, 400),
        ({"segments": [""], "seen": [], "reason": "x"}, 400),
        ({"segments": [str(number) for number in range(51)], "seen": [], "reason": "x"}, 400),
        ({"segments": ["a"], "seen": [], "reason": ""}, 400),
        ({"segments": ["a"], "reason": "x"}, 400),
        ({"segments": ["a"], "seen": ["nothing such"], "reason": "x"}, 409),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(shop: Shop, body: dict[str, object], status: int) -> None:
    program = await desk(shop)
    before = ok(await program.get(OF_ACME)).json()

    answer = await program.put(OF_ACME, json=body)

    assert answer.status_code == status, answer.text
    assert ok(await program.get(OF_ACME)).json() == before


async def test_what_it_is_in_already_is_no_change(shop: Shop) -> None:
    program = await desk(shop)
    seen = ok(await program.get(OF_ACME)).json()["segments"]

    answer = await program.put(OF_ACME, json={"segments": seen, "seen": seen, "reason": "again"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/segment-change-unusable")


async def test_companies_come_page_by_page_each_once(shop: Shop) -> None:
    program = await desk(shop)
    found, cursor = [], ""
    while True:
        page = ok(await program.get(f"{URL}/companies?limit=1{cursor}")).json()
        found += [each["code"] for each in page["companies"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert found == sorted(set(found))
    assert {"acme", "globex", "initech"} <= set(found)
    for forged in ("nonsense", cursor_of("a\x00b"), cursor_of(7)):
        assert (await program.get(f"{URL}/companies?cursor={forged}")).status_code == 404


async def test_a_price_of_the_segment_is_the_companys_at_once_and_not_before(shop: Shop) -> None:
    """A list of the demo is for the segment `manufacturing`."""
    program = await desk(shop)
    acme = Program(shop, await key_of(shop, ACME))
    seen = ok(await program.get(OF_ACME)).json()["segments"]
    before = ok(await acme.get("/api/v1/feed.csv")).text.splitlines()

    ok(await program.put(OF_ACME, json={"segments": [*seen, "manufacturing"], "seen": seen, "reason": "to see it"}))
    shop.services.api_keys.forget((await shop.services.segments.find("acme")).id)  # as the database's notice does
    after = ok(await acme.get("/api/v1/feed.csv")).text.splitlines()

    assert not any("MANUFACTURING" in row for row in before)
    assert any("MANUFACTURING-EUR" in row for row in after)


async def test_scopes_and_companies_that_are_not_there(shop: Shop) -> None:
    reader = await desk(shop, CLERK, ["desk:read"])
    body = {"segments": ["a"], "seen": [], "reason": "x"}

    assert (await reader.put(OF_ACME, json=body)).status_code == 403
    assert (await Program(shop, await key_of(shop, ACME)).get(OF_ACME)).status_code in {401, 403}
    missing = await reader.get(f"{URL}/segments?company=nobody")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/no-such-company")
    assert (await reader.get(f"{URL}/segments")).status_code == 400
