"""The separate program at edges: of periods, of cents, of its own texts."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pricing.engine.book import RoundingPolicy, TaxLevel
from pricing.engine.replay import main, replay
from tests.pricing.engine.cast import NOW, VAT, content, public, row
from tests.pricing.engine.test_replay import RICH, ask, retold, rich

HOUR = timedelta(hours=1)


def two_lists(**dates: Any) -> tuple[dict[str, Any], bytes]:
    """The answer of a book whose list FIRST prices before OTHER, whose dates are given."""
    lists = public("FIRST", priority=2), public("OTHER", priority=1, **dates)
    answer, leaves = ask(content(row("1:10", of="FIRST"), row("1:11", of="OTHER"), lists=lists), "1 CRUNCHY-ARMCHAIR")
    assert replay(answer, leaves).findings == ()
    return json.loads(answer), leaves


def test_a_list_that_begins_now_may_not_be_said_to_begin_yet() -> None:
    answer, leaves = two_lists(starts_at=NOW)
    (loser,) = answer["lines"][0]["trace"]["losers"]
    assert loser["reason"] == "lower_priority"

    loser.update(reason="starts", params={"at": "2026-11-21T12:00:00Z"})

    assert any("OTHER" in said for said in retold(answer, leaves).findings)


def test_a_list_that_ends_now_has_ended() -> None:
    answer, leaves = two_lists(ends_at=NOW)
    (loser,) = answer["lines"][0]["trace"]["losers"]

    assert (loser["reason"], loser["params"]) == ("ended", {"at": "2026-11-21T12:00:00Z"})
    assert retold(answer, leaves).findings == ()


def test_a_list_that_ends_later_may_not_be_said_to_have_ended() -> None:
    answer, leaves = two_lists(ends_at=NOW + HOUR)
    (loser,) = answer["lines"][0]["trace"]["losers"]

    loser.update(reason="ended", params={"at": "2026-11-21T13:00:00Z"})

    assert any("OTHER" in said for said in retold(answer, leaves).findings)


def test_the_odd_cent_of_an_orders_tax_falls_where_the_engine_lets_it_fall() -> None:
    of = content(row("0:0.03"), row("0:0.03", unit="box"), policy=RoundingPolicy(tax_level=TaxLevel.ORDER))

    for asked in (("1 CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR"), ("1 box CRUNCHY-ARMCHAIR", "1 CRUNCHY-ARMCHAIR")):
        assert replay(*ask(of, *asked, tax=VAT)).findings == ()


def test_the_command_says_each_thing_under_its_own_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, leaves = ask(rich(), *RICH, tax=VAT)
    for name, document in (("answer", answer), ("leaves", leaves), ("wrong", answer.replace(b"8.25", b"8.26"))):
        (tmp_path / name).write_bytes(document)

    main([str(tmp_path / "wrong"), str(tmp_path / "leaves")])
    words = {line.split(":")[0] for line in capsys.readouterr().out.splitlines()}
    main([])

    assert words == {"Taken as asked", "Checked", "Not checked", "WRONG"}
    assert capsys.readouterr().err == "Give two files: python -m pricing.engine.replay ANSWER.json LEAVES.json\n"
