"""The benchmark book is what the aims speak of."""

from itertools import islice

from benchmarks.book import NOON, bare_entries, benchmark_buyers, benchmark_content, benchmark_entries
from pricing.engine import Rules, Severity, check
from pricing.engine.memory import checked
from pricing.engine.rules import admits, in_scope


def test_a_thousand_companies_make_fifty_classes_and_meet_three_levels_of_a_hundred_lists() -> None:
    frame, _ = benchmark_entries(10_000)
    rules = Rules(frame)
    buyers = benchmark_buyers()
    assert len({buyer.company for buyer in buyers}) == 1_000
    assert len({frozenset(rules.lists_for("EUR", buyer)) for buyer in buyers}) == 50
    assert len(frame.lists) == 100
    for buyer in buyers:
        levels = {noun.code.partition("-")[0] for noun in frame.lists if admits(noun.audience, buyer)}
        assert levels == {"OPEN", "SEGMENT", "CONTRACT"}


def test_every_sku_has_ten_rows_of_four_tiers_and_two_rules() -> None:
    frame, entries = benchmark_entries(10_000)
    found = list(entries)
    assert sum(len(entry.rows) for entry in found) == 10_000
    for entry in found[:100]:
        assert len({row.list for row in entry.rows}) == 10
        assert {len(row.tiers) for row in entry.rows} == {4}
        assert len([rule for rule in frame.adjustments if in_scope(rule.scope, entry.facts)]) == 2


def test_it_is_a_content_that_may_be_published_and_a_beginning_of_every_larger_one() -> None:
    frame, entries = benchmark_entries(500)
    found = [checked(entry) for entry in entries]
    assert found == sorted(found, key=lambda entry: entry.facts.sku.encode())
    assert found == list(islice(benchmark_entries(100_000)[1], 50))
    content = benchmark_content(500)
    assert content.lists == frame.lists
    assert [finding for finding in check(content, at=NOON) if finding.severity is Severity.ERROR] == []


def test_the_bare_book_has_one_row_a_sku_and_no_rules() -> None:
    frame, entries = bare_entries(30)
    assert [len(entry.rows) for entry in entries] == [1] * 30
    assert len(frame.lists) == 1
    assert not frame.adjustments
