"""The separate program agrees with the engine, finds every changed digit, and says what it cannot check."""

import ast
import json
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import digest
from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, Quote, QuoteRequest, TaxInput, quote, root
from pricing.engine import replay as replay_module
from pricing.engine.book import (
    AmountEffect,
    Bound,
    BuyGetEffect,
    Conditions,
    Cost,
    CurrencyPrice,
    FixedPriceEffect,
    MarginLimit,
    Package,
    PercentEffect,
    PercentStep,
    PriceLimit,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    Scope,
    Side,
    Strategy,
    TaxLevel,
)
from pricing.engine.disclose import disclosed
from pricing.engine.leaves import leaves as leaves_of
from pricing.engine.proofs import Prover
from pricing.engine.replay import Checked, main, replay
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    GLOBEX,
    INITECH,
    NOW,
    STOOL,
    VAT,
    at_least,
    content,
    day,
    in_euro,
    layer,
    only,
    public,
    row,
    rule,
    under,
)
from tests.pricing.engine.test_laws import asked, buyers, contents, taxes

KEY = b"house"
ROOT = Path(__file__).parents[3]


def ask(
    of: BookContent, *lines: str, buyer: Buyer = ACME, tax: TaxInput | None = None, currency: str = "EUR"
) -> tuple[bytes, bytes]:
    """The two documents: the answer, and the leaves shown for it."""
    requests = []
    for line in lines:
        quantity, *unit, sku = line.split()
        requests.append(LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None))
    request = QuoteRequest(buyer=buyer, currency=currency, lines=tuple(requests), tax=tax)
    answer = quote(request, book=MemoryBook(of, root=root(of, KEY)), at=NOW)
    return documents(of, answer)


def documents(of: BookContent, answer: Quote) -> tuple[bytes, bytes]:
    return msgspec.json.encode(answer), msgspec.json.encode(disclosed(of, KEY, answer))


def floor(price: str, *, disclosed: bool = True, side: Side = Side.FLOOR, code: str = "FLOOR") -> Bound:
    limit = PriceLimit(prices=(CurrencyPrice(currency="USD", price=price), CurrencyPrice(currency="EUR", price=price)))
    return Bound(code=code, side=side, scope=Scope(everything=True), limit=limit, disclosed=disclosed)


def retold(answer: Any, leaves: bytes) -> Checked:
    """The check of a changed answer whose author could change the leaves' document too."""
    told = json.loads(leaves)
    told["answer"] = digest(answer)
    return replay(json.dumps(answer).encode(), json.dumps(told).encode())


def rich() -> BookContent:
    """Something of everything a trace can tell."""
    return content(
        row("1:10 10:8.4+2 50:7.9", ends_at=day(30)),
        row("1:9", of="TRADE"),
        row(">0:30+5 >10:25", sku="STOOL", model="graduated"),
        row("0:1.5", sku="ROPE"),
        lists=(public(), public("TRADE", audience=only(segments=("trade",)), starts_at=day(1, 12))),
        skus=(msgspec.structs.replace(CHAIR, break_group="SEATS"), STOOL, content().skus[1]),
        layers=(
            layer("unit", "first", "second", combine="sum"),
            layer("line", "first", pick="lowest"),
            layer("order", "first", "second"),
        ),
        adjustments=(
            rule("SEASON", "3.335"),
            rule("MANY", "5", group="second", conditions=at_least("20"), ends_at=day(1, 12)),
            rule("SOON", "7", starts_at=day(1, 12)),
            rule("LATE", "8", ends_at=day(1)),
            rule("ELSEWHERE", "9", conditions=Conditions(countries=("FR",))),
            rule("DOLLARS", "9", conditions=Conditions(currencies=("USD",))),
            rule("BIG", "4", layer="line", conditions=in_euro(min_line_amount="100")),
            rule("SMALL", "2", layer="line", conditions=in_euro(max_line_amount="100")),
            rule("LESS", "1", layer="line", conditions=in_euro(max_subtotal="100000")),
            rule("FEW", "1", layer="line", conditions=Conditions(max_quantity="2")),
            rule("SETS", BuyGetEffect(buy="9", get="1"), layer="line"),
            rule("TABLE", QuantityTableEffect(steps=(PercentStep(from_="30", percent="5"),)), layer="line"),
            rule("ORDER", AmountEffect(amount="1.01"), layer="order", conditions=in_euro()),
            rule("ORDER-2", "1", layer="order", group="second", conditions=in_euro(min_subtotal="50")),
            rule("ORDER-3", "9", layer="order", group="second", conditions=in_euro(min_subtotal="90000")),
            rule("ORDER-4", "0.5", layer="order", group="second", priority=-1),
        ),
        bounds=(floor("8.25"), floor("0.01", disclosed=False, code="SECRET")),
    )


RICH = ("12 CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR", "13 STOOL", "2.25 ROPE")


def test_an_answer_follows_from_the_leaves_shown_for_it() -> None:
    found = replay(*ask(rich(), *RICH, tax=VAT))

    assert found.findings == ()
    assert found.unchecked == (replay_module._LEFT_OUT,)
    assert any("shown leaves" in said for said in found.checked)
    assert sum("steps" in said for said in found.checked) == 4


def test_the_same_follows_from_the_leaves_and_the_nodes_beside_them() -> None:
    answer, leaves = ask(rich(), *RICH, tax=VAT)
    pruned = Prover(leaves_of(rich(), KEY)).disclose(msgspec.json.decode(answer, type=Quote))
    told = msgspec.to_builtins(pruned)

    found = replay(answer, msgspec.json.encode(pruned))
    moved = {**told, "places": [told["places"][0], *told["places"][:-1]]}
    other = {**told, "nodes": [*told["nodes"][:-1], "00" * 32]}

    assert found == replay(answer, leaves)
    assert {leaf["kind"] for leaf in told["shown"]} == {leaf["kind"] for leaf in json.loads(leaves)["shown"]}
    assert any(
        finding.startswith("The leaves that share a place: ")
        for finding in replay(answer, json.dumps(moved).encode()).findings
    )
    assert any("root" in finding for finding in replay(answer, json.dumps(other).encode()).findings)
    short = {**told, "places": told["places"][1:]}
    assert replay(answer, json.dumps(short).encode()).findings[0].startswith("The documents are not of the expected")


def test_nobody_elses_price_and_no_cost_is_shown() -> None:
    secret = content(
        row("1:10"),
        row("1:7.77", of="CONTRACT"),
        row("1:30", sku="STOOL"),
        lists=(public(), public("CONTRACT", audience=only(company="initech"))),
        bounds=(Bound(code="M", side=Side.FLOOR, scope=Scope(everything=True), limit=MarginLimit(percent="5")),),
        costs=(Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="6.66"), Cost(sku="STOOL", currency="EUR", cost="1")),
    )

    answer, leaves = ask(secret, "1 CRUNCHY-ARMCHAIR")

    told = json.loads(leaves)
    assert replay(answer, leaves).findings == ()
    assert {leaf["kind"] for leaf in told["shown"]} == {"strategy", "policy", "layers", "list", "row", "sku"}
    assert b"7.77" not in leaves
    assert b"6.66" not in leaves
    assert len(told["digests"]) == 8


@given(contents(), st.lists(asked, max_size=5), buyers, st.none() | taxes)
@settings(deadline=None, max_examples=60)
def test_the_two_programs_agree_on_any_book_and_question(
    of: BookContent, lines: list[LineRequest], buyer: Buyer, tax: TaxInput | None
) -> None:
    named = MemoryBook(of, root=root(of, KEY))
    request = QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines), tax=tax)

    answer = quote(request, book=named, at=NOW + timedelta(hours=1))

    assert replay(*documents(of, answer)).findings == ()


def test_every_changed_digit_of_either_document_is_found() -> None:
    of = content(
        row("1:10 20:8.4+2"),
        skus=(CHAIR,),
        adjustments=(rule("SEASON", "3.335"), rule("MANY", "5", conditions=at_least("20"), priority=1)),
        bounds=(floor("9.8", disclosed=False),),
    )
    answer, leaves = ask(of, "12 CRUNCHY-ARMCHAIR", tax=VAT)
    assert replay(answer, leaves).findings == ()

    for position in [match.start() for match in re.finditer(rb"\d", answer)]:
        assert replay(_flipped(answer, position), leaves).findings, answer[position - 40 : position + 1]
    for position in [match.start() for match in re.finditer(rb"\d", leaves)]:
        assert replay(answer, _flipped(leaves, position)).findings, leaves[position - 40 : position + 1]


def test_a_changed_digit_is_found_even_when_the_leaves_are_said_to_be_for_the_changed_answer() -> None:
    """But for the second of the question and the cliff hint, which no shown leaf decides."""
    answer, leaves = ask(rich(), *RICH, tax=VAT)
    told = json.loads(answer)
    del told["at"]
    text = json.dumps(told)

    for position in [match.start() for match in re.finditer(r"\d", text)][::5]:
        changed = json.loads(_flipped(text.encode(), position))
        changed["at"] = json.loads(answer)["at"]
        for line, original in zip(changed["lines"], told["lines"], strict=True):
            line["trace"]["cliff"] = original["trace"]["cliff"]
        if changed != json.loads(answer):
            assert retold(changed, leaves).findings, text[position - 60 : position + 1]


def _flipped(document: bytes, position: int) -> bytes:
    digit = (document[position] - ord("0") + 1) % 10 or 1
    return document[:position] + str(digit).encode() + document[position + 1 :]


PACKAGES = {"model": "package", "sku": "STOOL"}


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (content(row(">0:20 >2:15+3", package=Package(size="5"), **PACKAGES)), "11 STOOL"),
        (content(row(">0:20 >2:15+3", package=Package(size="5", round_up=False), **PACKAGES)), "4 STOOL"),
        (content(row(">0:20 >2:15+3", package=Package(size="5", whole_quantity=True), **PACKAGES)), "14 STOOL"),
        (content(row(">0:20", package=Package(size="5", free="3", whole_quantity=True), **PACKAGES)), "2 STOOL"),
        (content(row("1:10+5", unit="box"), adjustments=(rule("OFF", AmountEffect(amount="1"), conditions=in_euro()),)),
         "2 box CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), adjustments=(rule("FIXED", FixedPriceEffect(price="6"), conditions=in_euro()),)),
         "2 CRUNCHY-ARMCHAIR"),
        (content(row("0:10+5")), "0 CRUNCHY-ARMCHAIR"),
        (content(row("0:10"), adjustments=(rule("LINE", "5", layer="line"),)), "0 CRUNCHY-ARMCHAIR"),
        (content(row(">0:10"), adjustments=(rule("UP", PercentEffect(percent="5", surcharge=True)),)),
         "2 CRUNCHY-ARMCHAIR"),
        (content(row(">0:10", model="graduated"),
                 adjustments=(rule("OFF", AmountEffect(amount="1"), conditions=in_euro()),)), "2 CRUNCHY-ARMCHAIR"),
        (content(row("1:10 3:9"), row("1:9.5 4:8", of="OTHER"), strategy=Strategy.MERGE_BREAKS,
                 lists=(public(mergeable=True), public("OTHER", mergeable=True, priority=-1))), "1 CRUNCHY-ARMCHAIR"),
        (content(row("1:10 3:9"), row("1:9.5 4:8", of="OTHER"), strategy=Strategy.LOWEST,
                 lists=(public(), public("OTHER", priority=-1))), "1 CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), row(">3:9", of="OTHER"), row("5:9", of="THIRD"), row("1:1", of="PAST"),
                 lists=(public(), public("OTHER", priority=1), public("THIRD", priority=2),
                        public("PAST", priority=3, ends_at=day(1)))), "1 CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), adjustments=(rule("A", "5"), rule("B", "40", exclusive=True), rule("C", "3"))),
         "1 CRUNCHY-ARMCHAIR"),
        (
            content(
                row("1:10"),
                adjustments=(rule("TABLE", QuantityTableEffect(steps=(PercentStep(from_="2", percent="5"),))),),
            ),
            "3 CRUNCHY-ARMCHAIR",
        ),
        (content(row(">0:20+5", sku="STOOL", model="graduated")), "3 STOOL"),
        (content(row("1:1.005"), policy=RoundingPolicy(round_unit=False)), "3 CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), bounds=(floor("11"), floor("12", side=Side.CEILING, code="TOP"))), "3 CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), bounds=(floor("3.001", side=Side.CEILING, code="TOP"),),
                 policy=RoundingPolicy(round_unit=False)), "3 CRUNCHY-ARMCHAIR"),
        (content(row("1:10"), adjustments=(rule("GIFT", AmountEffect(amount="50"), conditions=in_euro()),)),
         "3 CRUNCHY-ARMCHAIR"),
    ],
)  # fmt: skip
def test_each_kind_of_row_rule_and_bound_is_worked_out_again(of: BookContent, line: str) -> None:
    found = replay(*ask(of, line))

    assert found.findings == ()
    assert found.unchecked == (replay_module._LEFT_OUT,) or any("hint" in said for said in found.unchecked)


@pytest.mark.parametrize("level", list(TaxLevel))
@pytest.mark.parametrize("treatment", ["standard", "reverse_charge", "exempt"])
def test_tax_of_every_level_and_treatment_is_worked_out_again(level: TaxLevel, treatment: str) -> None:
    of = content(
        row("0:9.99"),
        row("0:8.88", sku="STOOL", of="GROSS"),
        row("0:7.7", sku="ROPE"),
        lists=(public(), public("GROSS", tax_included=True)),
        policy=RoundingPolicy(tax_level=level, tax=Rounding(decimals=3)),
    )

    answer, leaves = ask(
        of, "3 CRUNCHY-ARMCHAIR", "2 box CRUNCHY-ARMCHAIR", "7 STOOL", "1.5 ROPE", tax=under(treatment)
    )

    assert replay(answer, leaves).findings == ()
    assert replay(*ask(of, "0 CRUNCHY-ARMCHAIR", tax=under(treatment))).findings == ()
    changed = json.loads(answer)
    changed["lines"][0]["total"] = "99.99"
    assert retold(changed, leaves).findings


def test_a_step_by_an_undisclosed_bound_counts_as_unchecked() -> None:
    hidden = content(row("1:10"), bounds=(floor("11", disclosed=False),))
    margin = content(
        row("1:10"),
        bounds=(
            Bound(
                code="MARGIN", side=Side.FLOOR, scope=Scope(everything=True), limit=MarginLimit(percent="50"),
                disclosed=True,
            ),
        ),
        costs=(Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="6"),),
    )  # fmt: skip

    for of in (hidden, margin):
        found = replay(*ask(of, "2 CRUNCHY-ARMCHAIR"))
        assert found.findings == ()
        assert sum("house bound" in said for said in found.unchecked) == 1


def test_the_hint_that_more_costs_less_counts_as_unchecked_and_the_next_break_is_checked() -> None:
    answer, leaves = ask(content(row("1:10 11:8")), "10 CRUNCHY-ARMCHAIR")

    found = replay(answer, leaves)

    assert found.findings == ()
    assert found.unchecked[1:] == ("CRUNCHY-ARMCHAIR per each: the hint that 11 cost less (88.00)",)
    changed = json.loads(answer)
    changed["lines"][0]["trace"]["next_break"]["unit_price"] = "7.00"
    assert any("next break" in said for said in retold(changed, leaves).findings)


def test_an_order_discount_that_a_house_bound_stops_counts_as_unchecked() -> None:
    order = rule("ORDER", AmountEffect(amount="15"), layer="order", conditions=in_euro())
    lines = "1 CRUNCHY-ARMCHAIR", "1 STOOL"
    hidden = content(row("1:10"), row("1:10", sku="STOOL"), adjustments=(order,), bounds=(floor("5", disclosed=False),))
    shown = msgspec.structs.replace(hidden, bounds=(floor("5"),))

    assert any("spread" in said for said in replay(*ask(hidden, *lines)).unchecked)
    assert replay(*ask(shown, *lines)).unchecked == (replay_module._LEFT_OUT,)
    assert replay(*ask(hidden, *lines)).findings == replay(*ask(shown, *lines)).findings == ()


def test_a_surcharge_on_the_order_is_spread_up_to_the_shown_ceilings() -> None:
    order = rule("FREIGHT", AmountEffect(amount="15", surcharge=True), layer="order", conditions=in_euro())
    of = content(row("1:10"), row("1:10", sku="STOOL"), adjustments=(order,))
    bound = msgspec.structs.replace(of, bounds=(floor("12", side=Side.CEILING),))

    for one in (of, bound):
        found = replay(*ask(one, "1 CRUNCHY-ARMCHAIR", "1 STOOL"))
        assert found == found._replace(findings=(), unchecked=(replay_module._LEFT_OUT,))


def test_order_rules_in_a_sum_are_judged_from_where_the_layer_began() -> None:
    of = content(
        row("1:10"),
        layers=(layer("order", "first", "second", combine="sum"),),
        adjustments=(
            rule("ONE", "10", layer="order"),
            rule("TWO", "10", layer="order", group="second"),
        ),
    )

    assert replay(*ask(of, "1 CRUNCHY-ARMCHAIR")).findings == ()


def test_a_refused_line_is_named_and_its_break_group_still_adds_up() -> None:
    of = content(
        row("1:10 10:8"),
        row("1:30", sku="STOOL", starts_at=day(1, 12)),
        skus=(*(msgspec.structs.replace(one, break_group="SEATS") for one in (CHAIR, STOOL)), content().skus[1]),
        adjustments=(rule("ORDER", "1", layer="order"),),
    )

    found = replay(*ask(of, "6 CRUNCHY-ARMCHAIR", "6 STOOL", "1 SOFA", "1 ROPE"))

    assert found.findings == ()
    assert sum("refused" in said for said in found.unchecked) == 3


def test_a_trace_with_more_losers_than_it_names_is_accepted() -> None:
    many = tuple(rule(f"R{number}", "1", conditions=at_least("50")) for number in range(25))
    orders = tuple(
        rule(f"O{number}", "1", layer="order", conditions=in_euro(min_subtotal="9000")) for number in range(25)
    )

    assert replay(*ask(content(row("1:10"), adjustments=(*many, *orders)), "1 CRUNCHY-ARMCHAIR")).findings == ()


def test_what_is_missing_or_made_up_is_found() -> None:
    of = rich()
    answer, leaves = ask(of, *RICH, tax=VAT)

    def changed(change: Any) -> tuple[str, ...]:
        told = json.loads(answer)
        change(told)
        return retold(told, leaves).findings

    assert any("accounted for" in said for said in changed(lambda told: told["lines"][0]["trace"]["losers"].pop()))
    assert any("accounted for" in said for said in changed(lambda told: told["order_losers"].pop()))
    assert any("beyond" in said for said in changed(lambda told: _repeat(told["lines"][2]["trace"]["steps"])))
    assert any("beaten" in said for said in changed(lambda told: _by(told["lines"], "SOLO")))
    assert any("refused" in said for said in changed(_refuse))
    assert changed(lambda told: told["lines"][0]["trace"].update(list="NO-SUCH-LIST"))
    assert changed(lambda told: told["order_steps"][0].update(rule="NO-SUCH-RULE"))
    assert changed(lambda told: told["lines"][3].update(sku="SOFA"))
    assert changed(lambda told: told["lines"][3].update(quantity="1e999999999"))
    assert changed(lambda told: told.update(currency="XXX"))


def _repeat(steps: list[Any]) -> None:
    steps.append(steps[-1])


def _by(lines: list[Any], code: str) -> None:
    for line in lines:
        for loser in line["trace"]["losers"]:
            if loser["reason"] == "beaten":
                loser["params"]["by"] = code


def _refuse(told: Any) -> None:
    line = told["lines"].pop()
    told["lines"].append(
        {
            "outcome": "refused", "requested": line["requested"], "sku": line["sku"], "unit": line["unit"],
            "quantity": line["quantity"], "reason": "unknown_sku", "params": {}, "valid_until": None,
        }
    )  # fmt: skip


def test_a_rule_of_an_unknown_layer_or_documents_that_are_none_are_findings() -> None:
    of = content(row("1:10"), adjustments=(rule("SEASON", "3"),))
    answer, leaves = ask(of, "1 CRUNCHY-ARMCHAIR")
    told = json.loads(leaves)
    for leaf in told["shown"]:
        if leaf["kind"] == "adjustment":
            leaf["content"]["layer"] = "attic"

    assert any("not there" in said for said in replay(answer, json.dumps(told).encode()).findings)
    assert replay(answer.replace(b'"quantity":"1"', b'"quantity":1.5'), leaves).findings
    for nonsense in (b"", b"[]", b"\xff", b"{}", b"[" * 100_000, b'{"answer":1.5}'):
        assert replay(nonsense, leaves).findings
        assert replay(answer, nonsense).findings


def test_the_command_says_what_it_checked_and_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, leaves = ask(rich(), *RICH, tax=VAT)
    for name, document in (("answer", answer), ("leaves", leaves), ("wrong", answer.replace(b"8.25", b"8.26"))):
        (tmp_path / name).write_bytes(document)

    assert main([str(tmp_path / "answer"), str(tmp_path / "leaves")]) == 0
    said = capsys.readouterr().out
    assert "Checked: CRUNCHY-ARMCHAIR per each" in said
    assert "Not checked: that nothing better was left out" in said
    assert main([str(tmp_path / "wrong"), str(tmp_path / "leaves")]) == 1
    assert "WRONG: " in capsys.readouterr().out
    assert main([str(tmp_path / "absent"), str(tmp_path / "leaves")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main([]) == 2
    assert "Give two files" in capsys.readouterr().err


def test_run_as_a_program_it_exits_with_how_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["replay", str(tmp_path / "absent"), str(tmp_path / "absent")])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(replay_module.__file__, run_name="__main__")

    assert ended.value.code == 2


def test_a_partner_runs_it_from_files_alone(tmp_path: Path) -> None:
    answer, leaves = ask(rich(), *RICH, buyer=GLOBEX)
    (tmp_path / "answer.json").write_bytes(answer)
    (tmp_path / "leaves.json").write_bytes(leaves)

    ran = subprocess.run(
        [sys.executable, "-m", "pricing.engine.replay", tmp_path / "answer.json", tmp_path / "leaves.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Checked: " in ran.stdout


def test_it_shares_no_code_with_the_engine() -> None:
    tree = ast.parse(Path(replay_module.__file__).read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip

    ours = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert ours == {"kernel", "kernel.canonical", "kernel.money"}


def test_a_contract_of_one_company_is_replayed_with_its_own_list() -> None:
    of = content(
        row("1:10"), row("1:8", of="CONTRACT"), lists=(public(), public("CONTRACT", audience=only(company="initech")))
    )

    answer, leaves = ask(of, "3 CRUNCHY-ARMCHAIR", buyer=INITECH)

    assert b'"less_specific"' in answer
    assert replay(answer, leaves).findings == ()


def test_who_replays_an_answer_needs_no_numpy() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pricing.engine.replay, pricing.engine.verify; print('numpy' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert loaded.stdout == "False\n"


def test_only_what_was_asked_for_is_shown_beside_the_nodes() -> None:
    of = content(row("1:10"), row("1:20", sku="STOOL"))
    answer, leaves = ask(of, "1 STOOL")

    pruned = Prover(leaves_of(of, KEY)).disclose(msgspec.json.decode(answer, type=Quote))

    assert [leaf.key for leaf in pruned.shown if leaf.kind == "sku"] == [("STOOL",)]
    assert replay(answer, msgspec.json.encode(pruned)) == replay(answer, leaves)
