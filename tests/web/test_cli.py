"""`bin/tarifa`: every command does its work over the installation's database, and its exit code says how it went."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from pricing.engine.replay import replay
from sandbox.stripe_twin import running_twin
from web.cli import main

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "serve",
    "import",
    "export",
    "price",
    "check",
    "drafts",
    "acknowledge",
    "publish",
    "segments",
    "rollback",
    "publications",
    "history",
    "keys",
    "ledger",
    "compare",
    "why",
    "impact",
    "leaves",
    "prove",
    "view",
    "delta",
    "verify",
    "replay-orders",
    "reconcile",
    "verify-quote",
    "audit",
)
DONE, FOUND, IMPOSSIBLE = 0, 1, 2
LINES = "reference,line,sku,unit,quantity,currency,at,company,segments,country,expected_line_total\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])

    assert stopped.value.code == DONE
    assert f"tarifa {command}" in capsys.readouterr().out


def test_it_is_started_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "bin" / "tarifa", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    if (ROOT / ".venv" / "bin" / "python").exists():
        assert done.returncode == DONE
        assert all(command in done.stdout for command in COMMANDS)
    else:
        assert done.returncode == IMPOSSIBLE
        assert "virtual environment" in done.stderr


def test_nothing_asked_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])

    assert stopped.value.code == IMPOSSIBLE
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.usefixtures("installation")
def test_a_price_is_told_with_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["price", "CRUNCHY-ARMCHAIR", "--quantity", "6", "--company", "initech"]) == DONE

    said = capsys.readouterr().out
    assert "List price CONTRACT-INITECH = 225" in said
    assert "6 x CRUNCHY-ARMCHAIR = 1323" in said


@pytest.mark.usefixtures("installation")
def test_a_price_as_json_is_the_whole_answer_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["price", "CRUNCHY-ARMCHAIR", "--json"]) == DONE

    answer = json.loads(capsys.readouterr().out)
    assert answer["lines"][0]["unit_price"] == "249.00"
    assert answer["root"].startswith("sha256:")


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["NO-SUCH"], FOUND, "We do not sell NO-SUCH."),
        (["CRUNCHY-ARMCHAIR", "--quantity", "many"], FOUND, "Write the quantity as a number"),
        (["CRUNCHY-ARMCHAIR", "--currency", "GBP"], FOUND, "has no price in GBP"),
        (["CRUNCHY-ARMCHAIR", "--company", "hooli"], IMPOSSIBLE, "There is no company hooli."),
        (["CRUNCHY-ARMCHAIR", "--at", "soon"], IMPOSSIBLE, "soon is no instant."),
        (["CRUNCHY-ARMCHAIR", "--at", "2020-01-01"], IMPOSSIBLE, "No price book was in force at that time."),
    ],
)
def test_a_price_that_cannot_be_told_says_why(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["price", *arguments]) == code

    output = capsys.readouterr()
    assert said in (output.out if code == FOUND else output.err)
    assert "Traceback" not in output.err


def test_prices_are_taken_along_as_a_workbook_edited_and_brought_back(
    installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "prices.xlsx", "--xlsx"]) == DONE
    assert main(["export", "prices.xlsx", "--xlsx"]) == IMPOSSIBLE, "nothing is written over"
    assert "is there already" in capsys.readouterr().err
    book = openpyxl.load_workbook(installation / "prices.xlsx")
    rows = book["price_rows"]
    assert isinstance(rows, Worksheet)
    rows["G2"] = "1:much"
    book.save(installation / "wrong.xlsx")
    assert main(["import", "wrong.xlsx"]) == FOUND
    said = capsys.readouterr().err
    assert "price_rows:G2: tiers: " in said
    assert "must be a plain number" in said

    rows["G2"] = "1:1.31"
    book.save(installation / "mended.xlsx")
    assert main(["import", "mended.xlsx", "--title", "By workbook"]) == DONE
    draft = re.findall(r"bin/tarifa publish ([0-9a-f-]{36})", capsys.readouterr().out)[0]

    assert main(["export", "draft.xlsx", "--xlsx", "--draft", draft]) == DONE
    rows = openpyxl.load_workbook(installation / "draft.xlsx")["price_rows"]
    assert rows["G2"].value == "1:1.31"
    assert main(["publish", draft, "--acknowledge", "A test", "--note", "By workbook"]) == DONE


@pytest.mark.usefixtures("installation")
def test_segments_are_seen_and_changed_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segments"]) == DONE
    assert capsys.readouterr().out == "manufacturing: globex\n"
    assert main(["segments", "acme", "--add", "manufacturing"]) == IMPOSSIBLE
    assert "--reason" in capsys.readouterr().err
    assert main(["segments", "--add", "manufacturing", "--reason", "For all"]) == IMPOSSIBLE
    assert main(["segments", "hooli"]) == IMPOSSIBLE
    assert "There is no company hooli." in capsys.readouterr().err

    assert main(["segments", "acme", "--add", "manufacturing", "--add", "gold", "--reason", "Contract"]) == DONE
    assert capsys.readouterr().out == "acme: gold, manufacturing\n"
    assert main(["segments", "acme", "--remove", "gold", "--remove", "manufacturing", "--reason", "Ended"]) == DONE
    assert capsys.readouterr().out == "acme: in no segment\n"
    assert main(["segments", "acme", "--remove", "gold", "--reason", "Again"]) == IMPOSSIBLE


ARMCHAIR = ["row", "CONTRACT-INITECH", "CRUNCHY-ARMCHAIR", "each"]


def test_a_row_is_proved_to_its_reader_and_checked_offline(
    installation: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["prove", *ARMCHAIR, "--company", "initech"]) == DONE
    proof = capsys.readouterr().out
    assert json.loads(proof)["leaf"]["key"] == [*ARMCHAIR[1:], ""]
    assert main(["prove", *ARMCHAIR]) == DONE
    assert json.loads(capsys.readouterr().out)["leaf"] is None
    assert main(["prove", "row", "CONTRACT-INITECH", "NO-SUCH", "each"]) == IMPOSSIBLE
    assert "has no row CONTRACT-INITECH / NO-SUCH / each" in capsys.readouterr().err

    (installation / "proof.json").write_text(proof)
    monkeypatch.delenv("DATABASE_URL")
    root = json.loads(proof)["root"]
    assert main(["verify", "proof.json", root]) == DONE
    assert "CONTRACT-INITECH / CRUNCHY-ARMCHAIR" in capsys.readouterr().out
    assert main(["verify", "proof.json", "sha256:" + "0" * 64]) == FOUND
    assert main(["verify", "none.json", root]) == IMPOSSIBLE


def test_a_reader_gets_its_view_and_nobody_elses_prices(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "--company", "globex"]) == DONE
    view = capsys.readouterr().out
    header = json.loads(view.splitlines()[0])
    assert header["buyer"]["company"] == "globex"
    assert "CONTRACT-INITECH" not in view
    (installation / "view.jsonl").write_text(view)
    assert main(["verify", "view.jsonl", header["root"]]) == DONE
    capsys.readouterr()

    assert main(["delta", header["root"], "--company", "globex"]) == DONE
    delta = json.loads(capsys.readouterr().out)
    assert (delta["shown"], delta["closed"], delta["come"], delta["gone"]) == ([], [], [], [])
    assert main(["delta", "sha256:" + "0" * 64]) == IMPOSSIBLE
    assert "No price book has the root" in capsys.readouterr().err
    assert main(["delta", "yesterday"]) == IMPOSSIBLE
    assert "yesterday is no root" in capsys.readouterr().err


def test_an_answer_is_checked_from_the_leaves_it_was_made_from(
    installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["price", "CRUNCHY-ARMCHAIR", "--quantity", "6", "--company", "initech", "--json"]) == DONE
    (installation / "answer.json").write_text(capsys.readouterr().out)

    assert main(["leaves", "answer.json"]) == DONE

    found = replay((installation / "answer.json").read_bytes(), capsys.readouterr().out.encode())
    assert found.findings == ()
    assert len(found.checked) > 1
    (installation / "other.json").write_text("{}")
    assert main(["leaves", "other.json"]) == IMPOSSIBLE
    assert "is no answer" in capsys.readouterr().err
    assert main(["leaves", "none.json"]) == IMPOSSIBLE
    assert "is no file" in capsys.readouterr().err


def test_files_are_imported_into_a_draft_and_published(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = installation / "files"
    folder.mkdir()
    (folder / "stock.csv").write_text("sku,on_hand\nCRUNCHY-ARMCHAIR,12\n")
    (folder / "adjustments.csv").write_text(
        "code,layer,group,scope_skus,effect,value,title_en,title_es\n"
        "TEN,PROMOTIONS,promotion,CRUNCHY-ARMCHAIR,percent,10,Ten off,Diez menos\n"
    )
    assert main(["import", "files", "--title", "Armchairs"]) == DONE
    said = capsys.readouterr().out
    assert "stock.csv" in said
    assert "1 rows" in said
    draft = said.split("bin/tarifa publish ")[1].strip()

    assert main(["publish", draft, "--check"]) in {DONE, FOUND}
    asked = ["publish", "--note", "From a file", "--at", "2199-01-01"]
    assert main(asked) == IMPOSSIBLE, "nobody has acknowledged its warnings"
    assert "Accept them with --acknowledge REASON" in capsys.readouterr().err
    assert main([*asked, "--acknowledge", "The demo has them"]) == DONE
    assert "Publication 2: in force from 2199-01-01T00:00:00+00:00" in capsys.readouterr().out
    assert main(["price", "CRUNCHY-ARMCHAIR"]) == DONE
    assert "= 249.00 EUR" in capsys.readouterr().out
    assert main(["price", "CRUNCHY-ARMCHAIR", "--at", "2199-01-01"]) == DONE
    assert "= 224.10 EUR" in capsys.readouterr().out


def test_errors_that_stop_a_publication_are_named(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = installation / "files"
    folder.mkdir()
    (folder / "price_rows.csv").write_text(
        "list,sku,unit,model,valid_from,valid_until,tiers\nPUBLIC-EUR,CRUNCHY-ARMCHAIR,each,flat,,,0:111\n"
    )
    assert main(["import", "files"]) == DONE

    assert main(["publish"]) == IMPOSSIBLE

    output = capsys.readouterr()
    assert "is on sale, and no list prices it" in output.out
    assert "errors stop the publication" in output.err
    assert "Mend the draft; a reason does not help" in output.err
    assert main(["publish", "--check"]) == FOUND


def test_one_wrong_row_keeps_everything_out_and_is_named(
    installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation / "files"
    folder.mkdir()
    (folder / "stock.csv").write_text("sku,on_hand\nCRUNCHY-ARMCHAIR,1\nNO-SUCH,2\n")

    assert main(["import", "files"]) == FOUND

    said = capsys.readouterr().err
    assert "stock.csv:3: sku:" in said
    assert "Nothing was imported." in said


def test_prices_are_exported_with_their_formulas_and_come_back_as_they_were(
    installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "before"]) == DONE
    folder = installation / "before"
    with (folder / "price_lists.csv").open("a") as lists:
        lists.write("STAFF,EUR,meridian-staff,,,0,,,no,no,Staff prices,Precios de la casa\n")
    (folder / "derivations.csv").write_text("list,base,percent,round_to,round_mode\nSTAFF,PUBLIC-EUR,-40,0.05,up\n")
    assert main(["import", "before"]) == DONE
    assert main(["publish", "--note", "For our own people", "--at", "2199-01-01", "--acknowledge", "Meant"]) == DONE
    capsys.readouterr()

    assert main(["export", "after"]) == DONE
    assert "bin/tarifa import after" in capsys.readouterr().out
    for name in ("price_lists.csv", "price_rows.csv"):
        assert sorted((installation / "after" / name).read_text().splitlines()) == sorted(
            (folder / name).read_text().splitlines()
        )
    assert "STAFF,PUBLIC-EUR,-40,0.05,up,0,," in (installation / "after" / "derivations.csv").read_text()
    assert main(["import", "after"]) == DONE
    said = capsys.readouterr().out
    assert "derivations.csv                1 rows: 0 added, 0 changed, 1 unchanged" in said

    assert main(["export", "after"]) == IMPOSSIBLE
    assert "holds a policy.csv already" in capsys.readouterr().err
    assert main(["export", "old", "--publication", "1"]) == DONE
    assert (installation / "old" / "derivations.csv").read_text().count("\n") == 1
    assert main(["export", "never", "--publication", "99"]) == IMPOSSIBLE


@pytest.mark.parametrize(("folder", "said"), [("nowhere", "is no folder"), (".", "holds none of the files")])
def test_a_folder_without_files_is_said_to_be_one(
    installation: Path, folder: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installation.is_dir()
    assert main(["import", folder]) == IMPOSSIBLE
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "There is no open price draft."),
        (["not-an-id"], "is no draft's id"),
        (["00000000-0000-0000-0000-000000000000"], "There is no such draft."),
    ],
)
def test_a_draft_that_is_none_is_not_published(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", *arguments]) == IMPOSSIBLE
    assert said in capsys.readouterr().err


def test_past_lines_are_priced_again(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (installation / "lines.csv").write_text(
        LINES
        + "A-1,1,CRUNCHY-ARMCHAIR,each,2,EUR,2026-11-21T13:00:00Z,acme,,DE,498\n"
        + "A-1,2,CRUNCHY-ARMCHAIR,each,1,EUR,2026-11-21T13:00:00Z,acme,,DE,1\n"
    )

    assert main(["replay-orders", "lines.csv", "--exceptions", "differ.json"]) == FOUND
    said = capsys.readouterr().out
    assert "2 lines went through both evaluators, which agree" in said
    assert "1 of 2 lines come out equal" in said
    assert json.loads((installation / "differ.json").read_text())[0]["outcome"] == "too_high"

    (installation / "lines.csv").write_text(
        LINES + "A-1,1,CRUNCHY-ARMCHAIR,each,2,EUR,2026-11-21T13:00:00Z,acme,,DE,498\n"
    )
    assert main(["replay-orders", "lines.csv"]) == DONE
    capsys.readouterr()
    assert main(["replay-orders", "lines.csv", "--evaluator", "sweep"]) == DONE
    assert "both evaluators" not in capsys.readouterr().out


def test_lines_that_cannot_be_read_are_named(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (installation / "lines.csv").write_text(LINES + "A-1,1,CRUNCHY-ARMCHAIR,each,two,EUR,never,acme,,DE,498\n")

    assert main(["replay-orders", "lines.csv"]) == FOUND
    assert "lines.csv:2: " in capsys.readouterr().err
    assert main(["replay-orders", "elsewhere.csv"]) == IMPOSSIBLE
    assert main(["replay-orders", "lines.csv", "--exceptions", "no/such/folder.json"]) == IMPOSSIBLE


def test_reconciliation_without_breaks_says_so(
    installation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_twin(file=installation / "twin.sqlite") as twin:
        monkeypatch.setenv("STRIPE_API_KEY", "sk_test_twin")
        monkeypatch.setenv("STRIPE_API_BASE", twin.base_url)

        assert main(["reconcile", "--days", "7"]) == DONE

    assert "No break in the last 7 days" in capsys.readouterr().out


@pytest.mark.usefixtures("installation")
def test_reconciliation_says_when_the_test_payments_do_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile"]) == IMPOSSIBLE
    assert "is it serving on PORT 8765?" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["0", "-1", "x", "99999999999"])
def test_a_period_that_is_none_is_a_usage_error(days: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["reconcile", f"--days={days}"])

    assert stopped.value.code == IMPOSSIBLE


def test_a_database_that_is_not_there_is_said_so(
    installation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:9/none"
    monkeypatch.setenv("DATABASE_URL", nowhere)
    monkeypatch.setenv("MIGRATION_DATABASE_URL", nowhere)

    assert main(["publish"]) == IMPOSSIBLE
    assert "Check DATABASE_URL" in capsys.readouterr().err
    assert installation.is_dir()


@pytest.mark.usefixtures("installation")
def test_a_database_that_may_forget_orders_is_not_served(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests' own server is such a one: it trades durability for speed."""
    assert main(["serve"]) == IMPOSSIBLE
    assert "could lose paid orders" in capsys.readouterr().err


@pytest.mark.usefixtures("installation")
def test_a_taken_port_is_said_to_be_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))

        assert main(["serve"]) == IMPOSSIBLE

    assert "is taken" in capsys.readouterr().err


def test_production_names_every_default_it_would_run_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in list(os.environ):
        if key.startswith(("STRIPE_", "SECRET_", "SIGNING_", "BASE_URL", "SMTP_")):
            monkeypatch.delenv(key)
    monkeypatch.setenv("TARIFA_MODE", "production")

    assert main(["publish"]) == IMPOSSIBLE
    said = capsys.readouterr().err
    assert "SECRET_KEY" in said
    assert "STRIPE_API_KEY" in said


@pytest.mark.usefixtures("installation")
def test_the_impact_of_a_draft_is_said_and_written(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = installation / "prices"
    prices.mkdir()
    (prices / "price_rows.csv").write_text(
        "list,sku,unit,model,tiers\nPUBLIC-EUR,CRUNCHY-ARMCHAIR,each,flat,0:1000\n", encoding="utf-8"
    )
    assert main(["import", "prices"]) == DONE
    capsys.readouterr()

    assert main(["impact", "--months", "12", "--csv", "impact"]) == DONE

    said = capsys.readouterr().out
    assert "past orders: 0 orders, 0 lines" in said
    assert "open quotes: 0 quotes, 0 lines" in said
    names = ("totals", "companies", "categories", "skus", "steps", "lines")
    assert {path.name for path in (installation / "impact").iterdir()} == {
        f"{kind}-{name}.csv" for kind in ("orders", "quotes") for name in names
    }
    assert main(["impact", "--csv", "impact"]) == IMPOSSIBLE
    assert "exists already" in capsys.readouterr().err
    assert main(["impact", "not-an-id"]) == IMPOSSIBLE
