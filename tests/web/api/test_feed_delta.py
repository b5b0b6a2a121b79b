"""A partner keeps its copy of the feed by deltas alone, and proves what it was shown; nobody sees a stranger's."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from pricing.engine.verify import verify
from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of
from tests.web.api.test_price_feed import chain, rows_of
from tests.web.conftest import Shop

Rows = dict[tuple[str, str, str], dict[str, Any]]
DEARER = ("CRUNCHY-ARMCHAIR", "STUBBORN-GLUE")
PUBLIC_ROW = "list=PUBLIC-EUR&sku=CRUNCHY-ARMCHAIR&unit=each"


def by_name(rows: list[dict[str, Any]]) -> Rows:
    return {(row["sku"], row["unit"], row["from_quantity"]): row for row in rows}


async def publish(shop: Shop, *leaves: tuple[str, tuple[str, ...], dict[str, Any] | None]) -> None:
    """Put the leaves' changes (None: without it) in force."""
    pricing = shop.services.pricing
    draft = await pricing.open_draft(by=None, title="Changes")
    for kind, key, changes in leaves:
        leaf = await pricing.find_leaf(draft.id, kind, key)
        content = None if changes is None else {**msgspec.to_builtins(leaf.content), **changes}
        await pricing.put_change(draft.id, kind, key, content, by=None, expected=leaf.seen)
    entry = await pricing.publish(draft.id, by=None, acknowledge="A test")
    shop.clock.set(entry.effective_at)
    await shop.services.books.refresh()


def flat(price: str) -> dict[str, Any]:
    tier = {"from": "0", "above": None, "unit_price": price, "flat_fee": "0"}
    return {"model": "volume", "tiers": [tier], "package": None}


async def synced(program: Program, state: dict[str, Any], rows: Rows, *, limit: int = 100) -> dict[str, Any]:
    """Bring *rows* to the book in force; the new state."""
    root = (await program.get("/api/v1/price-books/current")).json()["root"]
    path = f"/api/v1/price-books/{root}/delta?since={state['root']}&at={state['at']}&reader={state['reader']}"
    path, cursor = f"{path}&limit={limit}", ""
    while True:
        answer = await program.get(path + cursor)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        for gone in page["removed"]:
            del rows[gone["sku"], gone["unit"], gone["from_quantity"]]
        assert not by_name(page["added"]).keys() & rows.keys()
        assert by_name(page["changed"]).keys() <= rows.keys()
        rows |= by_name(page["added"] + page["changed"])
        if page["next"] is None:
            return page
        cursor = f"&cursor={page['next']}"


async def test_a_copy_follows_three_publications_and_an_edge_by_deltas_alone(shop: Shop) -> None:
    programs = [Program(shop), Program(shop, await key_of(shop, INITECH))]
    pages = [(await chain(program)) for program in programs]
    states = [each[0] for each in pages]
    copies = [by_name(rows_of(each)) for each in pages]
    armchair = ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", "")
    until = datetime.fromisoformat(states[0]["valid_until"])
    steps: list[list[tuple[str, tuple[str, ...], dict[str, Any] | None]]] = [
        [("row", armchair, flat("260"))],
        [],
        [("row", armchair, flat("255")), ("row", ("PUBLIC-EUR", "STUBBORN-GLUE", "each", ""), flat("9"))],
        [("row", armchair, flat("249"))],
    ]
    for step in steps:
        if step:
            await publish(shop, *step)
        else:
            shop.clock.set(until + timedelta(seconds=1))
        for number, program in enumerate(programs):
            states[number] = await synced(program, states[number], copies[number], limit=1 if step else 100)
            whole = await chain(program)
            assert states[number]["at"] == whole[0]["at"]
            assert copies[number] == by_name(rows_of(whole))


async def test_a_page_of_changes_ends_when_enough_was_priced_and_the_next_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(shop)
    first = await chain(program)
    copy = by_name(rows_of(first))
    await publish(shop, *[("row", ("PUBLIC-EUR", sku, "each", ""), flat("9")) for sku in DEARER])
    monkeypatch.setattr("web.api.price_feed.SKUS_PRICED", 1)
    path = f"/api/v1/price-books/{(await chain(program))[0]['root']}/delta?since={first[0]['root']}&at={first[0]['at']}"

    assert {row["sku"] for row in (await program.get(path)).json()["changed"]} == {min(DEARER)}
    await synced(program, first[0], copy)
    assert copy == by_name(rows_of(await chain(program)))


async def test_a_delta_tells_only_what_changed_and_is_revalidated(shop: Shop) -> None:
    program = Program(shop)
    state = (await program.get("/api/v1/price-feed?limit=1")).json()
    await publish(shop, ("row", ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""), flat("260")))
    root = (await program.get("/api/v1/price-books/current")).json()["root"]
    path = f"/api/v1/price-books/{root}/delta?since={state['root']}&at={state['at']}"
    answer = await program.get(path)
    page = answer.json()
    again = await program.get(path, headers={"if-none-match": answer.headers["etag"]})

    rows = page["added"] + page["changed"]
    assert {row["sku"] for row in rows} | {row["sku"] for row in page["removed"]} == {"CRUNCHY-ARMCHAIR"}
    assert {row["unit_price"] for row in rows} == {"260.00"}
    assert again.status_code == 304


async def test_a_state_that_never_was_or_is_another_readers_is_refused(partner_shop: Shop) -> None:
    acme = Program(partner_shop, await key_of(partner_shop, ACME))
    state = (await acme.get("/api/v1/price-feed?limit=1")).json()
    root, at = state["root"], state["at"]
    none = "sha256:" + "0" * 64

    async def told(program: Program, to: str, since: str, instant: str, more: str = "") -> tuple[int, str]:
        answer = await program.get(f"/api/v1/price-books/{to}/delta?since={since}&at={instant}{more}")
        return answer.status_code, answer.json().get("type", "")

    absent = (404, "/problems/price-book-not-in-force")
    assert await told(acme, root, root, at, f"&reader={state['reader']}") == (200, "")
    assert await told(acme, none, root, at) == absent
    assert await told(acme, root, none, at) == absent
    assert await told(acme, root, root, "2020-01-01T00:00:00Z") == absent
    assert await told(acme, root, root, "2099-01-01T00:00:00Z") == absent
    assert await told(acme, root, root, "2026-02-31T00:00:00Z") == absent
    gone = (410, "/problems/price-feed-gone")
    assert await told(Program(partner_shop), root, root, at, f"&reader={state['reader']}") == gone


@pytest.mark.parametrize("email", [None, ACME, GLOBEX, INITECH])
async def test_proofs_are_given_of_what_one_may_see_and_nothing_else(partner_shop: Shop, email: str | None) -> None:
    program = Program(partner_shop, None if email is None else await key_of(partner_shop, email))
    services = partner_shop.services
    book = services.books.at(partner_shop.clock.now())
    contract = next(each for each in book.rules.frame.lists if each.audience.company == "initech")
    row = next(row for entry in book.entries() for row in entry.rows if row.list == contract.code)
    base = f"/api/v1/price-books/{book.root}/proofs"
    starts = "" if row.starts_at is None else f"&starts_at={row.starts_at:%Y-%m-%dT%H:%M:%SZ}"
    secret = [f"{base}/list?code={contract.code}", f"{base}/row?list={row.list}&sku={row.sku}&unit={row.unit}{starts}"]
    absent = [f"{base}/list?code=NO-SUCH", f"{base}/row?list=NO-SUCH&sku={row.sku}&unit={row.unit}"]

    for path in (f"{base}/row?{PUBLIC_ROW}", f"{base}/strategy", f"{base}/list?code=PUBLIC-EUR"):
        answer = await program.get(path)
        assert answer.status_code == 200, answer.text
        assert not verify(iter([answer.content]), book.root).findings
        assert verify(iter([answer.content.replace(b'"salt":"', b'"salt":"0', 1)]), book.root).findings
        assert json.loads(answer.content)["root"] == book.root
    for path in secret:
        assert (await program.get(path)).status_code == (200 if email == INITECH else 404)
    for path in absent:
        answer = await program.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/leaf-not-found")
    assert (await program.get(f"{base}/cost?sku={row.sku}")).status_code == 404
    assert (await program.get(f"{base}/bound?code=HOUSE-FLOOR")).status_code == 404


async def test_no_delta_tells_a_stranger_of_a_contract(shop: Shop) -> None:
    globex = Program(shop, await key_of(shop, GLOBEX))
    book = shop.services.books.at(shop.clock.now())
    contract = next(each for each in book.rules.frame.lists if each.audience.company == "initech")
    row = next(row for entry in book.entries() for row in entry.rows if row.list == contract.code)
    starts = "" if row.starts_at is None else row.starts_at.isoformat()
    state = (await globex.get("/api/v1/price-feed?limit=1")).json()
    await publish(shop, ("row", (row.list, row.sku, row.unit, starts), flat("0.01")))
    root = (await globex.get("/api/v1/price-books/current")).json()["root"]
    page = (await globex.get(f"/api/v1/price-books/{root}/delta?since={state['root']}&at={state['at']}")).json()

    assert root != state["root"]
    assert page["added"] == page["changed"] == page["removed"] == []
