"""Laws that hold for any book and any question."""

from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import canonical_json
from kernel.money import Mode
from pricing.engine import BookContent, BookError, Buyer, LineRequest, MemoryBook, Quote, QuoteRequest, quote, root
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Conditions,
    CurrencyPrice,
    FixedPriceEffect,
    Package,
    PercentEffect,
    PriceLimit,
    PriceRow,
    Rounding,
    RoundingPolicy,
    Scope,
    Side,
    Strategy,
    TaxLevel,
)
from pricing.engine.request import PricedLine, RefusedLine, Treatment
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    ROPE,
    STOOL,
    VAT,
    layer,
    public,
    row,
    rule,
    under,
)

SKUS = ("CRUNCHY-ARMCHAIR", "STOOL", "ROPE")


def numbers(most: int, places: int) -> st.SearchStrategy[str]:
    return st.integers(0, most * 10**places).map(lambda units: _normal(units, places))


def _normal(units: int, places: int) -> str:
    text = f"{units // 10**places}.{units % 10**places:0{places}}" if places else str(units)
    return text.rstrip("0").rstrip(".") if places else text


@st.composite
def rows(draw: st.DrawFn, sku: str, of: str) -> PriceRow:
    begins = sorted(draw(st.sets(st.integers(1, 30), max_size=3)))
    bound = draw(st.sampled_from(["", ">"]))
    said = " ".join(f"{bound}{begin}:{draw(numbers(100, 4))}+{draw(numbers(5, 2))}" for begin in [0, *begins])
    model = draw(st.sampled_from(["volume", "graduated", "package"])) if bound else "volume"
    more: dict[str, Any] = {"model": model}
    if model == "package":
        more["package"] = Package(
            size=draw(st.sampled_from(["1", "3", "2.5"])),
            round_up=draw(st.booleans()),
            free=draw(st.sampled_from(["0", "2"])),
            whole_quantity=draw(st.booleans()),
        )
    if sku == "CRUNCHY-ARMCHAIR":
        more["unit"] = draw(st.sampled_from(["each", "box"]))
    return row(said, sku=sku, of=of, **more)


@st.composite
def rules(draw: st.DrawFn, number: int) -> Adjustment:
    level = draw(st.sampled_from(["unit", "line", "order"]))
    effects: list[st.SearchStrategy[Any]] = [
        st.builds(PercentEffect, percent=numbers(100, 2), surcharge=st.booleans()),
        st.builds(AmountEffect, amount=numbers(20, 3), surcharge=st.booleans()),
    ]
    if level == "unit":
        effects.append(st.builds(FixedPriceEffect, price=numbers(50, 2)))
    if level == "line":
        effects.append(st.builds(BuyGetEffect, buy=st.sampled_from(["1", "2"]), get=st.sampled_from(["1", "3"])))
    quantity = None if level == "order" else draw(st.none() | numbers(20, 0))
    return rule(
        f"R{number}",
        draw(st.one_of(effects)),
        layer=level,
        group=draw(st.sampled_from(["first", "second"])),
        scope=draw(st.sampled_from([Scope(everything=True), Scope(categories=("seating",)), Scope(skus=("ROPE",))])),
        audience=draw(st.sampled_from([Audience(), Audience(company="acme"), Audience(segments=("trade",))])),
        conditions=Conditions(
            currencies=("EUR",),
            min_quantity=quantity,
            min_subtotal=None if level == "unit" else draw(st.none() | numbers(300, 0)),
        ),
        priority=draw(st.integers(0, 2)),
        exclusive=draw(st.booleans()),
        starts_at=draw(st.sampled_from([None, NOW, NOW + timedelta(days=1)])),
    )


@st.composite
def contents(draw: st.DrawFn) -> BookContent:
    codes = ["LIST", "TRADE", "GROSS"]
    lists = (
        public("LIST", mergeable=draw(st.booleans())),
        public("TRADE", audience=Audience(segments=("trade",)), mergeable=True),
        public("GROSS", audience=Audience(company="initech"), tax_included=True),
    )
    floor = Bound(
        code="FLOOR",
        side=Side.FLOOR,
        scope=Scope(categories=("seating",)),
        limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price=draw(numbers(10, 4))),)),
    )
    return BookContent(
        strategy=draw(st.sampled_from(Strategy)),
        policy=RoundingPolicy(
            unit=Rounding(decimals=draw(st.sampled_from([None, 4])), mode=draw(st.sampled_from(Mode))),
            line=Rounding(decimals=draw(st.sampled_from([None, 4, 0])), mode=draw(st.sampled_from(Mode))),
            tax=Rounding(decimals=draw(st.sampled_from([None, 3]))),
            round_unit=draw(st.booleans()),
            tax_level=draw(st.sampled_from(TaxLevel)),
        ),
        lists=lists,
        skus=(CHAIR, STOOL, ROPE),
        rows=tuple(draw(rows(sku, code)) for sku in SKUS for code in draw(st.sets(st.sampled_from(codes)))),
        layers=tuple(
            layer(level, "first", "second", combine=draw(st.sampled_from(["sequence", "sum"])) if level != "unit" else
                  "sequence", pick=draw(st.sampled_from(["priority", "lowest"])))
            for level in ("unit", "line", "order")
        ),
        adjustments=tuple(draw(rules(number)) for number in range(draw(st.integers(0, 5)))),
        bounds=draw(st.sampled_from([(), (floor,)])),
    )  # fmt: skip


buyers = st.sampled_from([GUEST, ACME, GLOBEX, INITECH])
taxes = st.sampled_from([VAT, *(under(treatment) for treatment in Treatment)])
sound = st.builds(LineRequest, sku=st.sampled_from(SKUS), quantity=st.integers(0, 40).map(str))
asked = sound | st.builds(
    LineRequest,
    sku=st.sampled_from([*SKUS, "NO-SUCH-THING"]),
    quantity=st.integers(0, 40).map(str) | st.sampled_from(["0.5", "2.25", "-1", "NaN"]),
    unit=st.sampled_from([None, "each", "box", "metre"]),
)


def answer(content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any) -> Quote:
    request = QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines), tax=tax)
    return quote(request, book=MemoryBook(content, root="r"), at=NOW)


def exact(text: str) -> Fraction:
    return Fraction(text)


@given(contents(), st.lists(asked, max_size=5), buyers, taxes, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_lines_changes_no_amount(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any, random: Any
) -> None:
    shuffled = random.sample(lines, len(lines))

    one, other = answer(content, lines, buyer, tax), answer(content, shuffled, buyer, tax)

    assert (one.net, one.tax, one.total, one.valid_until) == (other.net, other.tax, other.total, other.valid_until)
    assert sorted(map(_unnumbered, one.lines)) == sorted(map(_unnumbered, other.lines))


def _unnumbered(line: PricedLine | RefusedLine) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(line, requested=()))


@given(contents(), st.lists(asked, max_size=5), buyers, taxes)
@settings(deadline=None, max_examples=50)
def test_the_order_of_a_books_objects_changes_nothing(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any
) -> None:
    turned = msgspec.structs.replace(
        content,
        lists=content.lists[::-1],
        rows=content.rows[::-1],
        skus=content.skus[::-1],
        adjustments=content.adjustments[::-1],
    )
    one, other = answer(content, lines, buyer, tax), answer(turned, lines, buyer, tax)

    assert one.total == other.total
    assert [_amounts(line) for line in one.lines] == [_amounts(line) for line in other.lines]
    assert root(content, b"k") == root(turned, b"k")


def _amounts(line: PricedLine | RefusedLine) -> tuple[str, ...]:
    return (line.reason,) if isinstance(line, RefusedLine) else (line.net, line.total, line.trace.list)


@given(contents(), st.lists(asked, max_size=5), buyers, taxes)
@settings(deadline=None, max_examples=50)
def test_steps_lead_to_the_line_and_lines_to_the_total(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any
) -> None:
    found = answer(content, lines, buyer, tax)
    priced = [line for line in found.lines if isinstance(line, PricedLine)]

    for line in priced:
        steps = line.trace.steps
        for before, after in pairwise(steps):
            assert after.before == before.after
        assert exact(steps[-1].after) == exact(line.subtotal) + exact(line.order_adjustment)
        assert exact(line.net) + exact(line.tax or "0") == exact(line.total)
        assert exact(line.net) >= 0
    if found.total is not None:
        assert found.net is not None
        assert found.tax is not None
        assert found.net + found.tax == found.total
        cent = Fraction(1, 100)
        assert abs(sum((exact(line.net) for line in priced), Fraction()) - exact(found.net.decimal)) <= 2 * cent
        assert len(priced) == len(found.lines)
    else:
        assert len(priced) < len(found.lines)


@given(contents(), st.lists(asked, max_size=4), st.lists(asked, max_size=4), buyers)
@settings(deadline=None, max_examples=50)
def test_batches_do_not_touch_each_other(
    content: BookContent, lines: list[LineRequest], others: list[LineRequest], buyer: Buyer
) -> None:
    """Without rules on the order or its subtotal a line costs the same in any company."""
    alone = msgspec.structs.replace(
        content,
        policy=msgspec.structs.replace(content.policy, tax_level=TaxLevel.LINE),
        adjustments=tuple(
            msgspec.structs.replace(one, conditions=Conditions(currencies=("EUR",)))
            for one in content.adjustments
            if one.layer != "order"
        ),
    )
    mine = {(line.sku, line.unit) for line in lines}
    apart = [line for line in others if (line.sku, line.unit) not in mine and line.unit is not None]
    lines = [line for line in lines if line.unit is not None]

    together = {line.requested: line for line in answer(alone, [*lines, *apart], buyer, VAT).lines}

    for line in answer(alone, lines, buyer, VAT).lines:
        assert together[line.requested] == line


@given(contents(), st.lists(asked, max_size=5), buyers, taxes)
@settings(deadline=None, max_examples=50)
def test_a_rule_that_cannot_match_changes_no_amount(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any
) -> None:
    for_nobody = Audience(company="nobody")
    idle = rule("IDLE", "50", audience=for_nobody), rule("OVER", "50", scope=Scope(brands=("none",)))
    more = msgspec.structs.replace(content, adjustments=(*idle, *content.adjustments))

    assert answer(content, lines, buyer, tax) == answer(more, lines, buyer, tax)


@given(contents(), sound, buyers)
@settings(deadline=None, max_examples=100)
def test_what_a_line_says_of_more_units_comes_true(content: BookContent, asked: LineRequest, buyer: Buyer) -> None:
    (line,) = answer(content, [asked], buyer, VAT).lines
    if isinstance(line, RefusedLine):
        return

    def of(quantity: str) -> PricedLine | RefusedLine:
        return answer(content, [LineRequest(sku=asked.sku, quantity=quantity)], buyer, VAT).lines[0]

    if line.trace.cliff is not None:
        there = of(line.trace.cliff.quantity)
        assert isinstance(there, PricedLine)
        assert there.subtotal == line.trace.cliff.subtotal
        assert exact(there.subtotal) < exact(line.subtotal)
    if line.trace.next_break is not None:
        there = of(line.trace.next_break.quantity)
        assert isinstance(there, PricedLine)
        if there.trace.list == line.trace.list:
            assert there.list_price == line.trace.next_break.unit_price
            if line.trace.cliff is None and line.trace.row_quantity != "0":
                units = exact(line.trace.row_quantity) + exact(there.trace.row_quantity)
                assert exact(there.subtotal) >= exact(line.subtotal) - units / 100 - 2  # what rounding may turn


@given(contents(), st.lists(asked, max_size=5), buyers, taxes)
@settings(deadline=None, max_examples=50)
def test_the_same_question_has_the_same_bytes_and_they_can_be_signed(
    content: BookContent, lines: list[LineRequest], buyer: Buyer, tax: Any
) -> None:
    of, request = MemoryBook(content, root="r"), QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines), tax=tax)

    first = canonical_json(quote(request, book=of, at=NOW))

    assert canonical_json(quote(request, book=of, at=NOW)) == first
    assert canonical_json(quote(request, book=MemoryBook(content, root="r"), at=NOW)) == first
    assert msgspec.json.decode(msgspec.json.encode(quote(request, book=of, at=NOW)), type=Quote) == quote(
        request, book=of, at=NOW
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.data())
def test_graduated_slices_add_up_wherever_they_are_cut(prices: list[int], data: st.DataObject) -> None:
    said = " ".join(f">{number * 10}:{price}" for number, price in enumerate(prices))
    of = MemoryBook(
        BookContent(lists=(public(),), skus=(STOOL,), rows=(row(said, sku="STOOL", model="graduated"),)), root="r"
    )
    quantity = data.draw(st.integers(1, 60))
    costs = [_cost(of, amount) for amount in (quantity - 1, quantity)]
    owner = min((quantity - 1) // 10, len(prices) - 1)

    assert costs[1] - costs[0] == prices[owner]


def _cost(of: MemoryBook, quantity: int) -> Fraction:
    request = QuoteRequest(buyer=GUEST, currency="EUR", lines=(LineRequest(sku="STOOL", quantity=str(quantity)),))
    found = quote(request, book=of, at=NOW).total
    assert found is not None
    return exact(found.decimal)


@given(
    st.lists(
        st.builds(LineRequest, sku=st.text() | st.sampled_from(SKUS), quantity=st.text(), unit=st.none() | st.text())
    ),
    st.builds(
        Buyer, company=st.none() | st.text(), segments=st.lists(st.text()).map(tuple), country=st.none() | st.text()
    ),
    st.text(max_size=5),
)
def test_no_question_however_hostile_ends_in_anything_but_a_price_or_a_reason(
    lines: list[LineRequest], buyer: Buyer, currency: str
) -> None:
    of = MemoryBook(
        BookContent(lists=(public(),), skus=(CHAIR, STOOL, ROPE), rows=(row("0:1", sku="STOOL"),)), root="r"
    )

    found = quote(QuoteRequest(buyer=buyer, currency=currency, lines=tuple(lines)), book=of, at=NOW)

    assert sorted(number for line in found.lines for number in line.requested) == list(range(len(lines)))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_become_a_book_unnoticed(data: bytes) -> None:
    try:
        content = msgspec.json.decode(data, type=BookContent)
        MemoryBook(content, root="r")
    except (msgspec.MsgspecError, BookError, UnicodeDecodeError):
        return
    assert msgspec.json.decode(msgspec.json.encode(content), type=BookContent) == content
