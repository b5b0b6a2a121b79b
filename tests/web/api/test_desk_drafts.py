"""Drafts by program: begun, read, changed over what was seen, checked, reviewed by somebody else."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.web.api.desks import ARMCHAIR, CHIEF, URL, begin, desk, forget_answer, make_chief, ok, reprice, staff_key
from tests.web.api.partners import ACME, Program, key_of, person
from tests.web.conftest import Shop


async def rule_like_those_there(program: Program, draft: str) -> dict[str, Any]:
    """A rule of the draft, under another code."""
    (found,) = ok(await program.get(f"{draft}/objects?kind=adjustment&limit=1")).json()["objects"]
    content: dict[str, Any] = found["content"]
    return content


async def test_a_draft_is_begun_read_and_discarded(shop: Shop) -> None:
    program = await desk(shop)
    made = ok(await program.post(f"{URL}/drafts", json={"title": "Spring"}), 201)
    draft = made.headers["location"]
    body = made.json()

    assert draft == f"{URL}/drafts/{body['id']}"
    assert (body["title"], body["state"], body["version"], body["changes"]) == ("Spring", "open", 0, 0)
    assert (body["base_root"], body["moved"]) == (shop.services.books.in_force(shop.clock.now()).root, False)
    read = ok(await program.get(draft))
    assert read.json() == body
    again = await program.get(draft, headers={"if-none-match": read.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")

    assert ok(await program.post(f"{draft}/discard")).json()["state"] == "discarded"
    refused = await reprice(program, draft, "240")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/price-draft-closed")


async def test_drafts_are_listed_page_by_page(shop: Shop) -> None:
    program = await desk(shop)
    mine = []
    for number in range(5):
        mine.append((await begin(program, f"Draft {number}")).rpartition("/")[2])
        shop.clock.advance(seconds=number % 2)  # two at one instant
    await program.post(f"{URL}/drafts/{mine[1]}/discard")
    found: list[str] = []
    cursor = ""
    while True:
        page = ok(await program.get(f"{URL}/drafts?limit=2{cursor}")).json()
        found += [each["id"] for each in page["drafts"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert set(found[:5]) == set(mine)
    assert len(found) == len(set(found))
    opened = ok(await program.get(f"{URL}/drafts?state=open&limit=4")).json()
    assert {each["id"] for each in opened["drafts"]} == set(mine) - {mine[1]}


async def test_a_price_is_changed_over_what_was_seen_and_the_change_taken_back(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    before = ok(await program.get(f"{draft}/object", params=ARMCHAIR))
    changed = ok(await reprice(program, draft, "240.50"))

    assert changed.json()["content"]["tiers"][0]["unit_price"] == "240.5"
    assert changed.headers["etag"] != before.headers["etag"]
    now = ok(await program.get(f"{draft}/object", params=ARMCHAIR))
    assert (now.json(), now.headers["etag"]) == (changed.json(), changed.headers["etag"])
    page = ok(await program.get(f"{draft}/changes")).json()
    assert page["total"] == 1
    assert page["next"] is None
    (change,) = page["changes"]
    assert change["key"] == ["PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""]
    assert (change["before"], change["after"]) == (before.json()["content"], now.json()["content"])
    assert change["changed_by"]["name"]
    assert ok(await program.get(draft)).json()["version"] == 1

    ok(await program.delete(f"{draft}/change", params=ARMCHAIR), 204)
    assert ok(await program.get(f"{draft}/object", params=ARMCHAIR)).json() == before.json()
    gone = await program.delete(f"{draft}/change", params=ARMCHAIR)
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/price-change-gone")


async def test_every_kind_of_object_is_listed_and_put_back_as_it_was_read(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    for kind in ("strategy", "policy", "layers", "list", "derivation", "adjustment", "bound", "quantity_rule"):
        listed = ok(await program.get(f"{draft}/objects?kind={kind}")).json()["objects"]
        for each in listed[:1]:
            names = {"derivation": ("list",)}.get(kind, ("code",))
            where = {"kind": kind, **dict(zip(names, each["key"], strict=False))}
            read = ok(await program.get(f"{draft}/object", params=where))
            assert read.json() == each
            put = await program.put(
                f"{draft}/object",
                params=where,
                json={"content": each["content"]},
                headers={"if-match": f'"{each["etag"]}"'},
            )
            assert ok(put).json() == each, kind
    assert ok(await program.get(draft)).json()["changes"] == 0


async def test_objects_and_rows_come_in_pages_and_by_sku(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    every = ok(await program.get(f"{draft}/objects?kind=adjustment&limit=1000")).json()["objects"]
    first = ok(await program.get(f"{draft}/objects?kind=adjustment&limit=2")).json()
    second = ok(await program.get(f"{draft}/objects?kind=adjustment&limit=2&cursor={first['next']}")).json()
    rows = ok(await program.get(f"{draft}/rows?sku=CRUNCHY-ARMCHAIR")).json()

    assert [*first["objects"], *second["objects"]] == every[:4]
    assert ["PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""] in [each["key"] for each in rows["stated"]]
    assert ok(await program.get(f"{draft}/rows?sku=NO-SUCH-SKU")).json() == {
        "sku": "NO-SUCH-SKU", "stated": [], "derived": [],
    }  # fmt: skip


async def test_a_rule_is_added_and_removed(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    content = await rule_like_those_there(program, draft) | {"code": "SPRING"}
    where = {"kind": "adjustment", "code": "SPRING"}
    missing = await program.get(f"{draft}/object", params=where)
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/price-object-not-found")

    new = {"if-none-match": "*"}
    made = ok(await program.put(f"{draft}/object", params=where, json={"content": content}, headers=new))
    taken = await program.put(f"{draft}/object", params=where, json={"content": content}, headers=new)
    assert (taken.status_code, taken.json()["etag"]) == (412, made.json()["etag"])
    ok(await program.delete(f"{draft}/object", params=where, headers={"if-match": made.headers["etag"]}), 204)
    assert (await program.get(f"{draft}/object", params=where)).status_code == 404
    assert ok(await program.get(draft)).json()["changes"] == 0


async def test_a_list_goes_with_its_prices(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    listed = ok(await program.get(f"{draft}/objects?kind=list")).json()["objects"]
    bases = {
        each["content"]["base"] for each in ok(await program.get(f"{draft}/objects?kind=derivation")).json()["objects"]
    }
    gone = next(each for each in listed if each["key"][0] not in bases and each["key"][0] != "PUBLIC-EUR")
    where = {"kind": "list", "code": gone["key"][0]}
    ok(await program.delete(f"{draft}/object", params=where, headers={"if-match": f'"{gone["etag"]}"'}), 204)

    changes = ok(await program.get(f"{draft}/changes?limit=1000")).json()["changes"]
    assert ("list", gone["key"]) in [(each["kind"], each["key"]) for each in changes]
    assert all(each["after"] is None and each["key"][0] == gone["key"][0] for each in changes)


async def test_a_clash_shows_both_sides_and_is_solved_by_deciding(shop: Shop) -> None:
    clerk = await desk(shop)
    await make_chief(shop)
    chief = await desk(shop, CHIEF)
    draft = await begin(clerk)
    seen = ok(await clerk.get(f"{draft}/object", params=ARMCHAIR))
    ok(await reprice(chief, draft, "230"))

    mine = seen.json()["content"] | {"tiers": [{"from": "0", "unit_price": "240", "flat_fee": "0"}]}

    async def put(etag: str) -> httpx.Response:
        return await clerk.put(f"{draft}/object", params=ARMCHAIR, json={"content": mine}, headers={"if-match": etag})

    clash = await put(seen.headers["etag"])

    assert (clash.status_code, clash.json()["type"]) == (412, "/problems/price-object-moved")
    (sides,) = clash.json()["clashes"]
    assert [sides[side]["tiers"][0]["unit_price"] for side in ("theirs", "yours")] == ["230", "240"]
    decided = await put(f'"{clash.json()["etag"]}"')
    assert ok(decided).json()["content"]["tiers"][0]["unit_price"] == "240"


async def test_of_two_who_write_at_once_over_the_same_one_is_shown_the_others(shop: Shop) -> None:
    clerk = await desk(shop)
    draft = await begin(clerk)
    answers = await asyncio.gather(*(reprice(clerk, draft, price) for price in ("231", "232", "233", "234")))

    assert [each.status_code for each in answers].count(200) == 1
    for each in answers:
        assert each.status_code in {200, 409, 412}
        if each.status_code != 200:
            assert each.json()["clashes"][0]["theirs"] != each.json()["clashes"][0]["yours"]


async def test_nobody_writes_without_saying_what_they_saw(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    content = ok(await program.get(f"{draft}/object", params=ARMCHAIR)).json()["content"]
    for answer in (
        await program.put(f"{draft}/object", params=ARMCHAIR, json={"content": content}),
        await program.delete(f"{draft}/object", params=ARMCHAIR),
    ):
        assert (answer.status_code, answer.json()["type"]) == (428, "/problems/precondition-missing")


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ({"kind": "row", "list": "PUBLIC-EUR", "sku": "CRUNCHY-ARMCHAIR"}, "unit"),
        ({"kind": "adjustment"}, "code"),
        ({"kind": "strategy", "code": "X"}, "code"),
        ({"kind": "list", "list": "PUBLIC-EUR"}, "code"),
        ({"kind": "cost", "sku": "X"}, "kind"),
        ({**ARMCHAIR, "starts": "2026-02-30T00:00:00Z"}, "starts"),
        ({**ARMCHAIR, "starts": "soon"}, "starts"),
    ],
)
async def test_a_key_that_is_none_of_the_kind_is_refused_by_name(
    partner_shop: Shop, where: dict[str, str], field: str
) -> None:
    program = await desk(partner_shop)
    answer = await program.get(f"{await begin(program)}/object", params=where)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"tiers": []}, 400, "price-leaf-malformed"),
        ({"tiers": [{"from": "0", "unit_price": "1e400000"}]}, 400, "price-leaf-malformed"),
        ({"sku": "STUBBORN-GLUE"}, 400, "price-leaf-malformed"),
        ({"unit": "each", "package": "x" * 70000}, 400, "price-leaf-malformed"),
        ({"tiers": [{"from": "5", "unit_price": "1"}, {"from": "2", "unit_price": "1"}]}, 422, "book-not-loadable"),
    ],
)
async def test_content_that_no_book_could_hold_changes_nothing(
    partner_shop: Shop, change: dict[str, Any], status: int, slug: str
) -> None:
    program = await desk(partner_shop)
    draft = await begin(program)
    seen = ok(await program.get(f"{draft}/object", params=ARMCHAIR))
    answer = await program.put(
        f"{draft}/object",
        params=ARMCHAIR,
        json={"content": seen.json()["content"] | change},
        headers={"if-match": seen.headers["etag"]},
    )

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
    assert ok(await program.get(draft)).json()["version"] == 0


async def test_a_misspelt_code_is_refused_for_it_would_act_on_nothing(partner_shop: Shop) -> None:
    program = await desk(partner_shop)
    draft = await begin(program)
    rule = await rule_like_those_there(program, draft) | {"code": "SPRING"}
    everyone: dict[str, Any] = {"company": None, "segments": [], "countries": []}
    for part, unknown in (
        ({"scope": rule["scope"] | {"skus": ["CRUNCHY-ARMCHAIRS"]}}, {"skus": ["CRUNCHY-ARMCHAIRS"]}),
        ({"audience": everyone | {"company": "acne"}}, {"companies": ["acne"]}),
    ):
        answer = await program.put(
            f"{draft}/object",
            params={"kind": "adjustment", "code": "SPRING"},
            json={"content": rule | part},
            headers={"if-none-match": "*"},
        )
        assert (answer.status_code, answer.json()["unknown"]) == (422, unknown), answer.text
    row = {"kind": "row", "list": "PUBLIC-EUR", "sku": "CRUNCHY-ARMCHAIR", "unit": "pallet"}
    content = {
        "list": "PUBLIC-EUR",
        "sku": "CRUNCHY-ARMCHAIR",
        "unit": "pallet",
        "tiers": [{"from": "0", "unit_price": "9"}],
    }
    answer = await program.put(f"{draft}/object", params=row, json={"content": content}, headers={"if-none-match": "*"})
    assert (answer.status_code, answer.json()["unknown"]) == (422, {"units": ["pallet"]})


async def test_a_book_keeps_its_strategy_rounding_and_layers(partner_shop: Shop) -> None:
    program = await desk(partner_shop)
    draft = await begin(program)
    for kind in ("strategy", "policy", "layers"):
        answer = await program.delete(f"{draft}/object", params={"kind": kind}, headers={"if-match": "*"})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/price-object-stays")


async def test_a_draft_is_checked_and_its_warnings_accepted_with_a_reason(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    ok(await reprice(program, draft, "19"))
    found = ok(await program.get(f"{draft}/findings")).json()
    spanish = ok(await program.get(f"{draft}/findings?language=es")).json()

    jump = next(each for each in found["findings"] if each["code"] == "price_jumps")
    assert found["errors"] == 0
    assert found["waiting"] == sum(each["severity"] == "warning" for each in found["findings"])
    assert jump["witness"]["sku"] == "CRUNCHY-ARMCHAIR"
    assert "CRUNCHY-ARMCHAIR" in jump["text"]
    assert jump["text"] not in [each["text"] for each in spanish["findings"]]

    digests = [each["digest"] for each in found["findings"]]
    unknown = await program.post(
        f"{draft}/acknowledgements", json={"findings": [f"sha256:{'0' * 64}"], "reason": "Meant so"}
    )
    assert (unknown.status_code, unknown.json()["type"]) == (409, "/problems/price-warning-gone")
    ok(await program.post(f"{draft}/acknowledgements", json={"findings": digests, "reason": "Meant so"}), 204)
    after = ok(await program.get(f"{draft}/findings?limit=1")).json()
    assert (after["waiting"], len(after["findings"])) == (0, 1)
    assert after["findings"][0]["acknowledged"]["reason"] == "Meant so"


async def test_author_and_approver_are_two_people_whatever_keys_they_have(shop: Shop) -> None:
    clerk = await desk(shop)
    await make_chief(shop)
    draft = await begin(clerk)
    ok(await reprice(clerk, draft, "248"))
    early = await clerk.post(f"{draft}/submission", json={"version": 0})
    assert (early.status_code, early.json()["type"]) == (409, "/problems/price-draft-moved")
    assert ok(await clerk.post(f"{draft}/submission", json={"version": 1})).json()["review"] == "submitted"

    other_key = Program(shop, (await shop.services.staff_keys.create(
        await person(shop, "finance@meridian.example"), name="another", scopes=["desk:approve"]))[1])  # fmt: skip
    for own in (clerk, other_key):
        refused = await own.post(f"{draft}/approval", json={"version": 1})
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/price-approver-is-author")
    chief = await desk(shop, CHIEF)
    returned = ok(await chief.post(f"{draft}/return", json={"version": 1, "comment": "Why?\nSay so."})).json()
    assert returned["review"] == "returned"
    ok(await clerk.post(f"{draft}/comments", json={"comment": "The competition"}), 201)
    ok(await clerk.post(f"{draft}/submission", json={"version": 1, "comment": "Again"}))
    approved = ok(await chief.post(f"{draft}/approval", json={"version": 1})).json()

    assert (approved["review"], [each["name"] for each in approved["approvals"]]) == ("approved", ["Chief"])
    steps = ok(await clerk.get(f"{draft}/review")).json()["steps"]
    assert [each["step"] for each in steps] == ["submitted", "returned", "commented", "submitted", "approved"]
    ok(await reprice(clerk, draft, "247"))
    assert ok(await clerk.get(draft)).json()["approvals"] == []


async def test_a_key_does_what_its_scopes_say_and_says_which_is_missing(shop: Shop) -> None:
    reader = await desk(shop, scopes=["desk:read"])
    draft = f"{URL}/drafts/019aa695-3c60-7000-8000-000000000009"
    for path, body, scope in (
        (f"{URL}/drafts", {"title": "Spring"}, "desk:edit"),
        (f"{draft}/submission", {"version": 1}, "desk:edit"),
        (f"{draft}/approval", {"version": 1}, "desk:approve"),
    ):
        refused = await reader.post(path, json=body)
        assert (refused.status_code, refused.json()["scope"]) == (403, scope)
    ok(await reader.get(f"{URL}/drafts"))
    writer = await desk(shop, scopes=["desk:edit"])
    assert (await writer.get(f"{URL}/drafts")).status_code == 403
    assert (await Program(shop).get(f"{URL}/drafts")).status_code == 401


async def test_a_companys_key_opens_nothing_of_the_desk_nor_the_desks_a_company(shop: Shop) -> None:
    partner = Program(shop, await key_of(shop, ACME))
    program = await desk(shop)

    refused = await partner.get(f"{URL}/drafts")
    assert (refused.status_code, refused.json()["scope"]) == (403, "desk:read")
    for path in ("/api/v1/orders", "/api/v1/prices/CRUNCHY-ARMCHAIR", "/api/v1/webhook-endpoints"):
        answer = await program.get(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/scope-missing")


async def test_a_key_revoked_midway_opens_nothing_from_then_on(shop: Shop) -> None:
    key, text = await staff_key(shop)
    program = Program(shop, text)
    draft = await begin(program)
    await shop.services.staff_keys.revoke(await person(shop, "finance@meridian.example"), key.key_id)
    answer = await program.get(draft)

    assert (answer.status_code, answer.json()["reason"]) == (401, "revoked")


async def test_a_draft_is_begun_once_under_its_name(shop: Shop) -> None:
    program = await desk(shop)
    named = {"idempotency-key": "release 7"}
    first = ok(await program.post(f"{URL}/drafts", json={"title": "Spring"}, headers=named), 201)
    again = ok(await program.post(f"{URL}/drafts", json={"title": "Spring"}, headers=named), 201)
    other = await program.post(f"{URL}/drafts", json={"title": "Autumn"}, headers=named)

    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert other.status_code == 409
    await forget_answer(shop, "release 7")
    assert ok(await program.post(f"{URL}/drafts", json={"title": "Spring"}, headers=named), 201).json() == first.json()
    assert len(ok(await program.get(f"{URL}/drafts?state=open")).json()["drafts"]) == 1


async def test_what_a_program_did_is_on_the_page_of_keys_under_its_key(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    browser = shop.client()
    await browser.log_in("finance@meridian.example")
    page = (await browser.get("/desk/keys")).text

    assert "POST /api/v1/desk/drafts<" in page
    assert draft not in page, "reading is not written down"


@pytest.mark.parametrize("path", ["", "/changes", "/findings", "/review", "/objects?kind=list", "/rows?sku=X"])
async def test_a_draft_that_nobody_began_is_not_found(partner_shop: Shop, path: str) -> None:
    program = await desk(partner_shop)
    answer = await program.get(f"{URL}/drafts/019aa695-3c60-7000-8000-000000000009{path}")

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/price-draft-not-found")


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "\\u0000"}',
        b'{"title": "\\ud800"}',
        b'{"title": "' + b"x" * 121 + b'"}',
        b'{"title": 1e999}',
        b'{"title": "a", "state": "published"}',
        b"\xff",
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_not_as_documented_is_refused(partner_shop: Shop, body: bytes) -> None:
    program = await desk(partner_shop)
    answer = await program.post(f"{URL}/drafts", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("cursor", ["W10", "LTE", "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDA", "x", "bnVsbA"])
async def test_a_cursor_that_is_none_of_ours_is_no_page(partner_shop: Shop, cursor: str) -> None:
    program = await desk(partner_shop)
    draft = await begin(program)
    for path in (f"{draft}/changes", f"{draft}/findings", f"{URL}/drafts"):
        assert (await program.get(f"{path}?cursor={cursor}")).status_code == 404, path


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("priority", "1" + "0" * 30),
        ("priority", "-1e999"),
        ("priority", "1.5"),
        ("code", '"\\ud800"'),
        ("titles", '{"en": "\\u0000", "es": "x"}'),
        ("titles", '{"en": "\\ud800", "es": "x"}'),
        ("titles", '{"en": "' + "x" * 500_000 + '", "es": "x"}'),
        ("starts_at", '"9999-12-31T23:59:59.999999Z"'),
        ("starts_at", '"0001-01-01T00:00:00+14:00"'),
        ("ends_at", '"2026-01-01T00:00:00"'),
        ("effect", '{"type": "percent", "percent": "NaN"}'),
        ("effect", '{"type": "percent", "percent": "1' + "0" * 5000 + '"}'),
        ("effect", '{"type": "eval", "percent": "1"}'),
        ("effect", "[" * 5000 + "]" * 5000),
        ("scope", '{"skus": [' + ",".join(['"X"'] * 20_000) + "]}"),
        ("conditions", "null"),
    ],
)
async def test_no_content_however_hostile_is_our_mistake(partner_shop: Shop, field: str, raw: str) -> None:
    program = await desk(partner_shop)
    draft = await begin(program)
    rule = await rule_like_those_there(program, draft) | {"code": "HOSTILE"}
    members = [f"{json.dumps(name)}: {raw if name == field else json.dumps(value)}" for name, value in rule.items()]
    answer = await program.put(
        f"{draft}/object?kind=adjustment&code=HOSTILE",
        content=f'{{"content": {{{", ".join(members)}}}}}'.encode(),
        headers={"content-type": "application/json", "if-none-match": "*"},
    )

    assert answer.status_code in {200, 400, 413, 422}, answer.text[:500]
    ok(await program.get(f"{draft}/findings?limit=1"))
    ok(await program.get(f"{draft}/changes"))
