"""`bin/tarifa keys` and `bin/tarifa ledger` over an installation."""

import json
import os
import shutil
from pathlib import Path

import psycopg
import pytest

from kernel.db import libpq_url
from tests.conftest import TEST_VAR
from web.cli import main

DONE, FOUND, IMPOSSIBLE = 0, 1, 2


@pytest.fixture
def keyring(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the installation's keyring, for this test to change."""
    path = installation / "keyring.json"
    shutil.copyfile(TEST_VAR / "demo" / "keyring.json", path)
    path.chmod(0o600)
    monkeypatch.setenv("SIGNING_KEYRING", str(path))
    return path


def head_now(folder: Path) -> Path:
    """The last signed head, kept as a file."""
    with psycopg.connect(libpq_url(os.environ["MIGRATION_DATABASE_URL"])) as connection:
        row = connection.execute("select note from acceptance_ledger_checkpoint order by size desc limit 1").fetchone()
    assert row is not None
    path = folder / "head.txt"
    path.write_text(row[0])
    return path


@pytest.mark.usefixtures("keyring")
def test_keys_are_listed_and_exchanged_on_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == DONE
    assert capsys.readouterr().out.count("active") == 7

    assert main(["keys", "rotate", "ledger", "--days", "30"]) == DONE
    assert "signs from now on" in capsys.readouterr().out
    assert main(["keys", "--json"]) == FOUND, "a key that ends within 60 days is found"
    keys = json.loads(capsys.readouterr().out)
    assert sorted(key["state"] for key in keys if key["purpose"] == "ledger") == ["ends soon", "retired"]
    assert main(["keys", "rotate", "annex"]) == DONE
    assert "encrypts from now on" in capsys.readouterr().out
    for refused in ("house", "nonsense"):
        assert main(["keys", "rotate", refused]) == IMPOSSIBLE
        assert "name one of: ledger" in capsys.readouterr().err


@pytest.mark.usefixtures("keyring")
def test_the_ledger_is_recomputed_and_held_against_a_head_from_before(
    installation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate", "presentation"]) == DONE
    assert main(["keys", "rotate", "seal"]) == DONE
    kept = head_now(installation)
    capsys.readouterr()

    assert main(["ledger", "--against", "head.txt"]) == DONE
    assert "head.txt: 2 rows, the ledger grew from it" in capsys.readouterr().out
    kept.write_text(kept.read_text().replace("\n2\n", "\n1\n"))
    assert main(["ledger", "--against", "head.txt"]) == FOUND
    assert "the ledger was rewritten since" in capsys.readouterr().out
    with psycopg.connect(libpq_url(os.environ["MIGRATION_DATABASE_URL"])) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', true)")
        connection.execute("alter table acceptance_ledger disable trigger user")
        connection.execute("update acceptance_ledger set leaf_digest = sha256('x') where seq = 1")
    assert main(["ledger"]) == FOUND
    assert "Row 1 of 2 does not follow" in capsys.readouterr().out
    kept.write_text("nonsense")
    assert main(["ledger", "--against", "head.txt"]) == IMPOSSIBLE
    assert main(["ledger", "--against", "absent.txt"]) == IMPOSSIBLE
