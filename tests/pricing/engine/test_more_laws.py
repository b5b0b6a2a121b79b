"""Laws of more units, of splitting, of spreading, and of how much work a question can cause."""

import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.money import fixed, normal
from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, QuoteRequest, quote
from pricing.engine.book import AmountEffect, Bound, CurrencyPrice, PriceLimit, Scope, Side, SkuFacts, Strategy
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import ACME, NOW, ROPE, ask, book, in_euro, layer, public, row, rule, tiers, total
from tests.pricing.engine.test_laws import answer, asked, buyers, contents, exact, numbers, taxes

# --- Graduated rows ---


@st.composite
def graduated(draw: st.DrawFn) -> str:
    begins = sorted(draw(st.sets(st.integers(1, 40), max_size=4)))
    return " ".join(f">{begin}:{draw(numbers(50, 4))}+{draw(numbers(5, 2))}" for begin in [0, *begins])


hundredths = st.integers(0, 5000)


def rope(said: str) -> MemoryBook:
    return book(row(said, sku="ROPE", model="graduated"), skus=(ROPE,), layers=())


def cost(of: MemoryBook, quantity: int) -> Fraction:
    """Of *quantity* hundredths of a metre of rope."""
    return exact(total(of, f"{_hundredths(quantity)} ROPE"))


def _hundredths(number: int) -> str:
    return normal(fixed(number, 2))


@given(graduated(), hundredths, hundredths)
@settings(deadline=None, max_examples=100)
def test_more_units_never_cost_less_under_graduated_rows(said: str, one: int, other: int) -> None:
    assert cost(rope(said), min(one, other)) <= cost(rope(said), max(one, other))


@given(graduated(), st.integers(1, 4500), hundredths)
@settings(deadline=None, max_examples=100)
def test_a_slice_cut_in_two_at_the_same_price_costs_the_same(said: str, cut: int, quantity: int) -> None:
    parts, bound = said.split(" "), Fraction(cut, 100)
    begins = [exact(tier.above or "") for tier in tiers(said)]
    before = sum(begin < bound for begin in begins)
    price = parts[before - 1].split(":")[1].split("+")[0]
    second_half = [] if bound in begins else [f">{_hundredths(cut)}:{price}"]
    halved = " ".join([*parts[:before], *second_half, *parts[before:]])

    assert cost(rope(halved), quantity) == cost(rope(said), quantity)


@given(graduated(), hundredths)
@settings(deadline=None, max_examples=100)
def test_a_graduated_amount_is_the_sum_of_its_slices(said: str, quantity: int) -> None:
    wanted, slices = Fraction(quantity, 100), Fraction()
    begins = [exact(tier.above or "") for tier in tiers(said)]
    for tier, begin, end in zip(tiers(said), begins, [*begins[1:], wanted], strict=True):
        if wanted > begin:
            slices += (min(wanted, end) - begin) * exact(tier.unit_price) + exact(tier.flat_fee)

    assert abs(cost(rope(said), quantity) - slices) <= Fraction(1, 200)


# --- Orders ---


@given(contents(), st.lists(asked, max_size=6), buyers, taxes)
@settings(deadline=None, max_examples=50)
def test_what_the_order_rules_take_is_what_the_lines_lose(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any
) -> None:
    found = answer(content, lines, buyer, tax)
    priced = [line for line in found.lines if isinstance(line, PricedLine)]

    running = sum((exact(line.subtotal) for line in priced), Fraction())
    for step in found.order_steps:
        assert exact(step.before or "") == running
        running = exact(step.after)

    taken = sum((exact(line.order_adjustment) for line in priced), Fraction())
    assert running == sum((exact(line.subtotal) for line in priced), Fraction()) + taken


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8), st.integers(1, 40_000))
@settings(deadline=None, max_examples=50)
def test_an_amount_off_the_order_is_spread_in_proportion_to_the_cent(cents: list[int], off: int) -> None:
    skus = tuple(SkuFacts(sku=f"S{number}") for number in range(len(cents)))
    rows = [row(f"0:{_hundredths(amount)}", sku=facts.sku) for amount, facts in zip(cents, skus, strict=True)]
    discount = rule("OFF", AmountEffect(amount=_hundredths(off)), layer="order", conditions=in_euro())

    found = ask(book(*rows, skus=skus, adjustments=(discount,)), *(f"1 {facts.sku}" for facts in skus))
    taken = [-100 * exact(line.order_adjustment) for line in found.lines if isinstance(line, PricedLine)]

    assert sum(taken) == min(off, sum(cents))
    for part, amount in zip(taken, cents, strict=True):
        assert abs(part - amount * min(Fraction(1), Fraction(off, sum(cents)))) < 1


# --- Work ---


def calls(of: MemoryBook, lines: Sequence[LineRequest], buyer: Buyer = ACME) -> int:
    """How many functions are called or left for one answer: what a clock would say on a machine without load."""
    request = QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines))
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        quote(request, book=of, at=NOW)
    finally:
        sys.setprofile(before)
    return counted


CHAIRS = [LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="7")]


def one_line(*parts: Any, **more: Any) -> int:
    return calls(book(*parts, **more), CHAIRS)


def in_many_groups(size: int, level: str, *, exclusive: bool) -> int:
    groups = [f"G{number}" for number in range(size)]
    rules = [rule(f"R{group}", "1", layer=level, group=group) for group in groups]
    rules += [rule(f"X{group}", "1", layer=level, group=group, exclusive=True) for group in groups if exclusive]
    return one_line(row("1:10"), layers=(layer(level, *groups),), adjustments=tuple(rules))


def in_one_group(size: int, level: str) -> int:
    rules = tuple(rule(f"R{number}", "1", layer=level) for number in range(size))
    return one_line(row("1:10"), layers=(layer(level, "first", pick="lowest"),), adjustments=rules)


def in_many_layers(size: int) -> int:
    layers = tuple(layer("unit", code=f"L{number}") for number in range(size))
    rules = tuple(rule(f"R{number}", "1", layer=f"L{number}") for number in range(size))
    return one_line(row("1:10"), layers=layers, adjustments=rules)


def not_reached_yet(size: int) -> int:
    rules = (rule(f"R{number}", "1", conditions=in_euro(min_quantity=str(10 + number))) for number in range(size))
    return one_line(row("1:10"), adjustments=tuple(rules))


def with_tiers(size: int, model: str) -> int:
    bound = ">" if model == "graduated" else ""
    said = " ".join(f"{bound}{number}:{1000 - number}" for number in range(size))
    return one_line(row(said, model=model))


def in_many_lists(size: int, strategy: Strategy) -> int:
    lists = tuple(public(f"L{number}", priority=number, mergeable=True) for number in range(size))
    rows = (row(f"{number}:10 {number + 99}:9", of=f"L{number}") for number in range(size))
    return one_line(*rows, lists=lists, strategy=strategy)


def in_one_order(size: int, floors: Callable[[int], int]) -> int:
    """Lines of 10.00, of which a discount of nine tenths takes what their floors leave, in cents."""
    skus = tuple(SkuFacts(sku=f"S{number}") for number in range(size))
    bounds = tuple(
        Bound(
            code=f"F{number}",
            side=Side.FLOOR,
            scope=Scope(skus=(facts.sku,)),
            limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price=_hundredths(1000 - floors(number))),)),
        )
        for number, facts in enumerate(skus)
    )
    rows = (row("1:10", sku=facts.sku) for facts in skus)
    of = book(*rows, skus=skus, bounds=bounds, adjustments=(rule("R", "90", layer="order"),))
    return calls(of, [LineRequest(sku=facts.sku, quantity="1") for facts in skus])


@pytest.mark.parametrize(
    "work",
    [
        *(
            pytest.param(lambda size, at=at, alone=alone: in_many_groups(size, at, exclusive=alone), id=f"groups-{at}")
            for at in ("unit", "line", "order")
            for alone in (False, True)
        ),
        *(pytest.param(lambda size, at=at: in_one_group(size, at), id=f"group-{at}") for at in ("unit", "line")),
        pytest.param(in_many_layers, id="layers"),
        pytest.param(not_reached_yet, id="hints"),
        *(pytest.param(lambda size, of=of: with_tiers(size, of), id=of) for of in ("volume", "graduated")),
        *(pytest.param(lambda size, by=by: in_many_lists(size, by), id=by.value) for by in Strategy),
        pytest.param(lambda size: in_one_order(size, lambda _: 0), id="lines"),
        pytest.param(lambda size: in_one_order(size, lambda number: number % 1000), id="floors"),
    ],
)
def test_four_times_the_rules_tiers_lists_or_lines_are_at_most_five_times_the_work(work: Callable[[int], int]) -> None:
    assert work(96) <= 5 * work(24)


@given(contents(), st.lists(asked, max_size=6), buyers)
@settings(deadline=None, max_examples=25)
def test_whatever_book_and_question_the_work_is_bounded_by_their_size(
    content: BookContent, lines: list[LineRequest], buyer: Buyer
) -> None:
    size = len(content.lists) + len(content.adjustments) + len(content.bounds)
    size += sum(len(priced.tiers) for priced in content.rows)

    assert calls(MemoryBook(content, root="r"), lines, buyer) <= 200 * (1 + len(lines)) * (1 + size)
