"""The finance desk at the command line: price rules as code, in a pipeline that never opens the desk."""

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accounts.model import StaffRole
from kernel.db import libpq_url
from pricing.model import ReviewStep
from tests.web.api.partners import ACME, order_of
from tests.web.conftest import Shop, _open
from web.cli import main

DONE, FOUND, IMPOSSIBLE = 0, 1, 2
ARMCHAIR = ["row", "PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each"]
TIER = {"from": "0", "above": None, "unit_price": "300", "flat_fee": "0"}


class Said:
    """Runs commands and gives what they answered."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.error = ""

    def __call__(self, *arguments: str, code: int = DONE) -> str:
        found = main(list(arguments))
        output = self.capsys.readouterr()
        self.error = output.err
        assert "Traceback" not in output.err
        assert found == code, output.out + output.err
        return output.out

    def json(self, *arguments: str, code: int = DONE) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def draft(self, title: str = "Autumn") -> str:
        found = re.search(r"[0-9a-f-]{36}", self("drafts", "open", title))
        assert found
        return found[0]


@pytest.fixture
def tarifa(installation: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    assert installation.is_dir()
    return Said(capsys)


@pytest.fixture
def behind(demo_database_url: str) -> Callable[[Callable[[Shop], Coroutine[Any, Any, Any]]], Any]:
    """Does something with the services of the installation, as somebody else would meanwhile."""

    def run(act: Callable[[Shop], Coroutine[Any, Any, Any]]) -> Any:
        async def opened() -> Any:
            async with _open(demo_database_url) as shop:
                return await act(shop)

        return asyncio.run(opened())

    return run


def dearer(tarifa: Said, draft: str, price: str = "300") -> None:
    row = {"list": "PUBLIC-EUR", "sku": "CRUNCHY-ARMCHAIR", "unit": "each", "model": "flat",
           "tiers": [TIER | {"unit_price": price}], "starts_at": None, "ends_at": None, "package": None}  # fmt: skip
    tarifa("drafts", "set", draft, *ARMCHAIR, "--content", json.dumps(row))


def standing(url: str) -> list[tuple[Any, ...]]:
    """How many rows the tables of prices have, and what is in stock."""
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', false)")
        return connection.execute(
            "select (select count(*) from price_draft), (select count(*) from price_draft_change),"
            " (select count(*) from price_content), (select count(*) from price_publication),"
            " (select sum(on_hand) from stock), (select count(*) from sku)"
        ).fetchall()


def test_files_are_checked_without_a_trace(installation: Path, tarifa: Said, demo_database_url: str) -> None:
    tarifa("export", "rules")
    (installation / "rules" / "stock.csv").write_text("sku,on_hand\nCRUNCHY-ARMCHAIR,7\n")
    rows = (installation / "rules" / "price_rows.csv").read_text()
    dear = re.sub(r"(?m)^(PUBLIC-EUR,CRUNCHY-ARMCHAIR,each,volume,,,)1:249;", r"\g<1>1:1000;", rows)
    assert dear != rows
    (installation / "rules" / "price_rows.csv").write_text(dear)
    before = standing(demo_database_url)

    found = tarifa.json("check", "rules", code=FOUND)

    assert found["changes"] == 1
    jump = next(each for each in found["findings"] if each["finding"]["code"] == "price_jumps")
    assert jump["finding"]["witness"]["sku"] == "CRUNCHY-ARMCHAIR"
    assert standing(demo_database_url) == before


def test_files_that_change_nothing_have_only_what_stood_before(tarifa: Said) -> None:
    tarifa("export", "rules")

    said = tarifa("check", "rules", code=FOUND)

    assert "rules changes 0 objects: 0 errors" in said
    assert "question: " in said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("PUBLIC-EUR,CRUNCHY-ARMCHAIR,each,flat,,,0:many", "price_rows.csv:2: tiers: "),
        ("PUBLIC-EUR,NO-SUCH,each,flat,,,0:1", "price_rows.csv:2: sku: "),
    ],
)
def test_mistakes_in_files_are_named_by_row(installation: Path, tarifa: Said, row: str, said: str) -> None:
    (installation / "rules").mkdir()
    (installation / "rules" / "price_rows.csv").write_text(f"list,sku,unit,model,valid_from,valid_until,tiers\n{row}\n")

    tarifa("check", "rules", code=FOUND)
    assert said in tarifa.error
    assert tarifa.json("check", "rules", code=FOUND)["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nowhere"], "is no folder, no file and no draft's id"),
        (["check"], "There is no open price draft"),
        (["check", "00000000-0000-0000-0000-000000000000"], "There is no such draft."),
        (["drafts", "show", "autumn"], "is no draft's id"),
        (["drafts", "discard", "00000000-0000-0000-0000-000000000000"], "There is no such draft."),
        (["rollback", "99"], "There is no publication 99."),
        (["rollback", "sha256:00"], "is no number and no root of a publication"),
        (["publications", "99"], "There is no publication 99."),
        (["compare", "1", "99"], "There is no publication 99."),
        (["history", "NO-SUCH"], "The catalogue has no SKU NO-SUCH"),
        (["why", "T-2026-999999"], "There is no such order."),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(tarifa: Said, arguments: list[str], said: str) -> None:
    tarifa(*arguments, code=IMPOSSIBLE)
    assert said in tarifa.error


def test_a_folder_without_price_files_is_no_draft_to_check(installation: Path, tarifa: Said) -> None:
    (installation / "empty").mkdir()
    tarifa("check", "empty", code=IMPOSSIBLE)
    assert "holds none of the files" in tarifa.error


def test_rules_as_code_go_from_files_to_the_log(installation: Path, tarifa: Said) -> None:
    tarifa("export", "rules")
    with (installation / "rules" / "price_lists.csv").open("a") as lists:
        lists.write("STAFF,EUR,meridian-staff,,,0,,,no,no,Staff prices,Precios de la casa\n")
    (installation / "rules" / "derivations.csv").write_text(
        "list,base,percent,round_to,round_mode\nSTAFF,PUBLIC-EUR,-40,0.05,up\n"
    )
    tarifa("check", "rules", code=FOUND)
    draft = tarifa("import", "rules").split("bin/tarifa publish ")[1].strip()
    said = tarifa("drafts", "show", draft)
    assert "+ Price list STAFF" in said
    assert "+ Derived list STAFF" in said
    assert draft in tarifa("drafts")

    found = tarifa.json("check", draft, code=FOUND)
    waiting = [each["digest"] for each in found["findings"]]
    tarifa("acknowledge", draft, "no name", "--finding", "0", "--finding", "x", code=IMPOSSIBLE)
    tarifa("acknowledge", draft, "neither", code=IMPOSSIBLE)
    assert "take --all" in tarifa.error
    assert f"1 acknowledged, {len(waiting) - 1} wait" in tarifa("acknowledge", draft, "Seen", "--finding", waiting[0])
    assert f"{len(waiting) - 1} acknowledged, 0 wait" in tarifa("acknowledge", draft, "As meant", "--all")
    assert "No warning of the draft waits" in tarifa("acknowledge", draft, "Once more", "--all")
    assert tarifa.json("check", draft)["waiting"] == 0
    assert "(acknowledged: As meant)" in tarifa("check")

    said = tarifa("publish", draft, "--note", "Staff too", "--at", "2199-01-01")
    assert "Publication 2: in force from 2199-01-01T00:00:00+00:00" in said
    assert "Approved by nobody: the command line needs no approval" in said
    said = tarifa("publications")
    assert re.search(r"(?m)^2 +coming .*Staff too$", said)
    assert re.search(r"(?m)^1 +in force ", said)
    assert "(acknowledged: Seen)" in tarifa("publications", "2")
    assert tarifa.json("publications", "2")["note"] == "Staff too"
    differ = tarifa.json("compare", "1", "2")
    assert {each["kind"] for each in differ} == {"list", "derivation", "row"}
    assert "2 x Price list" not in tarifa("compare", "1", "2")


def test_one_object_is_set_undone_and_removed(tarifa: Said) -> None:
    draft = tarifa.draft()
    dearer(tarifa, draft)
    change = tarifa.json("drafts", "show", draft)["changes"][0]
    assert change["after"]["tiers"][0]["unit_price"] == "300"
    assert "~ Price PUBLIC-EUR · CRUNCHY-ARMCHAIR · each" in tarifa("drafts", "show", draft)
    said = tarifa("drafts", "preview", draft, "CRUNCHY-ARMCHAIR", "--quantity", "2", "--explain")
    assert re.search(r"CRUNCHY-ARMCHAIR +2 +each +498\S* +600\S* +\+20\.5 %", said)
    assert "List price PUBLIC-EUR = 300" in said
    assert tarifa.json("drafts", "preview", draft, "CRUNCHY-ARMCHAIR")[0]["after"]["subtotal"] == "300.00"

    tarifa("drafts", "undo", draft, *ARMCHAIR)
    assert tarifa.json("drafts", "show", draft)["changes"] == []
    tarifa("drafts", "undo", draft, *ARMCHAIR, code=IMPOSSIBLE)
    assert "changes nothing of row" in tarifa.error
    assert "- Price PUBLIC-EUR" in tarifa("drafts", "remove", draft, *ARMCHAIR)
    tarifa("drafts", "remove", draft, *ARMCHAIR, code=IMPOSSIBLE)
    tarifa("drafts", "remove", draft, "list", "NO-SUCH", code=IMPOSSIBLE)
    assert "Without Price list CONTRACT-INITECH" in tarifa("drafts", "remove", draft, "list", "CONTRACT-INITECH")
    assert "is discarded" in tarifa("drafts", "discard", draft)
    tarifa("drafts", "discard", draft, code=IMPOSSIBLE)
    assert "There is no open price draft." in tarifa("drafts")
    assert "discarded" in tarifa("drafts", "--all")


@pytest.mark.parametrize(
    ("kind", "key", "content", "said"),
    [
        ("row", ARMCHAIR[1:], "{", "is no JSON"),
        ("row", ARMCHAIR[1:], "{}", "missing required field"),
        ("row", ["PUBLIC-EUR"], "{}", "row takes list, SKU, unit and, if it has one, start."),
        ("row", [*ARMCHAIR[1:], "soon"], "{}", "soon is no instant."),
        ("layers", ["X"], "[]", "layers takes no key: there is one."),
        ("adjustment", [], "{}", "adjustment takes a code."),
    ],
)
def test_an_object_that_is_none_is_not_taken(tarifa: Said, kind: str, key: list[str], content: str, said: str) -> None:
    draft = tarifa.draft()
    tarifa("drafts", "set", draft, kind, *key, "--content", content, code=IMPOSSIBLE)
    assert said in tarifa.error


def test_a_draft_goes_out_as_files_and_comes_back(installation: Path, tarifa: Said) -> None:
    draft = tarifa.draft()
    tarifa("export", "out", "--draft", draft)
    tarifa("export", "out", "--draft", draft, code=IMPOSSIBLE)
    assert "Name a new folder." in tarifa.error
    rows = installation / "out" / "price_rows.csv"
    before = rows.read_text()
    assert "0 added, 0 changed, 0 removed" in tarifa("drafts", "import", draft, "out")

    rows.write_text(
        before.replace("PUBLIC-EUR,CRUNCHY-ARMCHAIR,each,volume,,,1:249;", "", 1) + "PUBLIC-EUR,X,each,flat"
    )
    tarifa("drafts", "import", draft, "out", code=FOUND)
    assert "The draft is as it was." in tarifa.error
    rows.write_text(before.replace(",each,volume,,,1:249;", ",each,volume,,,1:250;", 1))
    assert "0 added, 1 changed, 0 removed" in tarifa("drafts", "import", draft, "out/price_rows.csv")
    change = tarifa.json("drafts", "show", draft)["changes"][0]
    assert (change["key"], change["after"]["tiers"][0]["unit_price"]) == ([*ARMCHAIR[1:], ""], "250")
    tarifa("drafts", "import", draft, "nowhere", code=IMPOSSIBLE)
    assert "is no folder and no file" in tarifa.error


def test_prices_come_back_as_a_new_publication(tarifa: Said) -> None:
    first = tarifa.json("publications")[0]["root"]
    draft = tarifa.draft("Dearer")
    dearer(tarifa, draft, "260")
    tarifa("publish", draft, "--acknowledge", "As meant", "--note", "Dearer chairs")
    tarifa("rollback", first, code=IMPOSSIBLE)
    assert "Accept them with --acknowledge REASON" in tarifa.error

    said = tarifa("rollback", first[:19], "--acknowledge", "It was in force", "--note", "Back", "--at", "2199-01-01")

    assert "The prices of publication 1 come back." in said
    assert "Approved by nobody: a return needs no approval." in said
    log = tarifa.json("publications")
    assert [(each["number"], each["restores"]) for each in log] == [(3, 1), (2, None), (1, None)]
    assert log[0]["root"] == first
    assert re.search(r"(?m)^3 .* again 1: Back$", tarifa("publications"))
    assert "It brings back publication 1." in tarifa("publications", "3")
    assert tarifa.json("compare", "1", "3") == []
    said = tarifa("history", "CRUNCHY-ARMCHAIR")
    assert "Publication 2, in force from" in said
    assert "  ~ Price PUBLIC-EUR · CRUNCHY-ARMCHAIR · each" in said
    assert "3 of the last 3 publications changed prices of CRUNCHY-ARMCHAIR." in said
    assert [each["number"] for each in tarifa.json("history", "CRUNCHY-ARMCHAIR", "--limit", "1")] == [3]


def test_a_clash_shows_both_sides(tarifa: Said) -> None:
    mine, theirs = tarifa.draft("Mine"), tarifa.draft("Theirs")
    dearer(tarifa, mine, "251")
    dearer(tarifa, theirs, "252")
    tarifa("publish", theirs, "--acknowledge", "As meant")

    said = tarifa("check", mine, code=FOUND)

    assert "theirs 252.00, yours 251.00" in said
    assert tarifa.json("check", mine, code=FOUND)["count"] == 1
    tarifa("publish", mine, "--acknowledge", "As meant", code=IMPOSSIBLE)
    assert "others published changes of the same" in tarifa.error


def test_an_approval_is_kept_and_a_demand_that_nobody_met_is_said(
    tarifa: Said, monkeypatch: pytest.MonkeyPatch, behind: Callable[[Any], Any]
) -> None:
    monkeypatch.setenv("PRICE_APPROVAL", "required")
    monkeypatch.setenv("PRICE_SECOND_APPROVAL_PERCENT", "10")
    draft = tarifa.draft("Much dearer")
    dearer(tarifa, draft)
    said = tarifa("check", draft, code=FOUND)
    assert re.search(
        r"At the desk two have to approve it. A price moves by [-+0-9.]+ % \(CRUNCHY-ARMCHAIR in EUR", said
    )
    assert "asks for no approval, and the log will say so" in said

    said = tarifa("publish", draft, "--acknowledge", "As meant")
    assert "Approved by nobody: the command line needs no approval." in said
    assert "Overridden: A price moves by " in said
    assert "Overridden: A price moves by" in tarifa("publications", "2")

    other = tarifa.draft("A little dearer")
    dearer(tarifa, other, "301")

    async def approve(shop: Shop) -> None:
        person = await shop.services.accounts.log_in(
            email="finance@meridian.example", password="demo-password-of-tests", token=None, address="192.0.2.1"
        )
        by = (await shop.services.accounts.authenticate(person.token)).person_id
        chief = await shop.services.members.create_staff(
            email="chief@meridian.example", name="Chief", password="demo-password-of-tests", role=StaffRole.ADMIN
        )
        assert by is not None
        for step, who in ((ReviewStep.SUBMITTED, chief.id), (ReviewStep.APPROVED, by)):
            await shop.services.reviews.take(uuid.UUID(other), step, version=1, by=who, comment="Looks right")

    behind(approve)
    assert "approved" in tarifa("drafts")
    assert "Looks right" in tarifa("drafts", "show", other)
    assert tarifa.json("drafts", "show", other)["review"][1]["step"] == "approved"
    said = tarifa("publish", other, "--acknowledge", "As meant", "--at", "2199-01-01")
    assert "Approved by " in said
    assert "nobody" not in said


def test_an_order_says_why_and_that_it_still_comes_out_so(tarifa: Said, behind: Callable[[Any], Any]) -> None:
    number = behind(lambda shop: order_of(shop, ACME, quantity="6")).number

    said = tarifa("why", number)

    assert f"{number}, priced 2026-11-" in said
    assert "by publication 1" in said
    assert re.search(r"1\. 6 each x CRUNCHY-ARMCHAIR = 1405.32", said)
    assert "List price PUBLIC-EUR" in said
    assert "every line comes out the same" in said
    found = tarifa.json("why", number)
    assert (found["holds"], found["publication"]) == (True, 1)
    assert found["lines"][0]["again"] == {"holds": True, "differs": []}
