"""A quote prices a program's lines as a cart prices a person's."""

import itertools
from typing import Any

import msgspec
import pytest

from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of, person
from tests.web.conftest import Shop
from web.api import wire

LINES = [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "12"}, {"sku": "ANCH-M10-120", "quantity": "500"}]


async def quoted(program: Program, body: dict[str, Any]) -> wire.QuoteAnswer:
    answer = await program.post("/api/v1/quotes", json=body)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=wire.QuoteAnswer)


async def test_a_guest_gets_public_prices_with_root_trace_and_totals(read_only_shop: Shop) -> None:
    answer = await quoted(Program(read_only_shop), {"lines": LINES})

    assert answer.company is None
    assert answer.root == read_only_shop.services.books.at(read_only_shop.clock.now()).root
    chair, anchor = answer.lines
    assert isinstance(chair, wire.PricedLine)
    assert isinstance(anchor, wire.PricedLine)
    # 12 x 239.00 = 2868.00, less 2 % for a line from 1,000 EUR = 2810.64; 21 % VAT
    assert chair.list_price == wire.Money(amount="239.00", currency="EUR")
    assert chair.net == wire.Money(amount="2810.64", currency="EUR")
    assert [step.after for step in chair.trace.steps][-1] == "2810.64"
    assert answer.totals is not None
    # 500 x 1.10 = 550.00; (2810.64 + 550.00) = 3360.64; tax per line 590.23 + 115.50
    assert answer.totals.net.amount == "3360.64"
    assert answer.totals.tax.amount == "705.73"
    assert answer.totals.total.amount == "4066.37"


async def test_the_texts_come_in_the_language_asked_for(read_only_shop: Shop) -> None:
    answer = await quoted(Program(read_only_shop), {"lines": LINES[:1], "language": "es"})

    assert isinstance(answer.lines[0], wire.PricedLine)
    assert answer.lines[0].trace.steps[0].text == "Precio de la tarifa PUBLIC-EUR"


async def test_one_refused_line_leaves_no_totals(read_only_shop: Shop) -> None:
    answer = await quoted(Program(read_only_shop), {"lines": [*LINES, {"sku": "NO-SUCH-THING", "quantity": "1"}]})

    refused = answer.lines[2]
    assert isinstance(refused, wire.RefusedLine)
    assert (refused.reason, refused.text) == ("unknown_sku", "We do not sell NO-SUCH-THING.")
    assert answer.totals is None


async def test_lines_of_the_same_sku_become_one_and_say_which_they_were(read_only_shop: Shop) -> None:
    answer = await quoted(Program(read_only_shop), {"lines": [LINES[0], LINES[1], LINES[0]]})

    assert [line.requested for line in answer.lines] == [(0, 2), (1,)]
    assert answer.lines[0].quantity == "24"


@pytest.mark.parametrize("email", [ACME, GLOBEX, INITECH])
async def test_a_quote_comes_to_what_the_companys_cart_comes_to(partner_shop: Shop, email: str) -> None:
    buyer, services = await person(partner_shop, email), partner_shop.services
    skus = itertools.islice(services.books.at(partner_shop.clock.now()).skus(), 0, 400, 40)
    for number, sku in enumerate(skus):
        await services.carts.add(buyer, sku=sku, quantity=str(10 * (number + 1)))
    program = Program(partner_shop, await key_of(partner_shop, email))
    for country in (None, "ES", "DE", "US"):
        cart = await services.carts.priced(buyer, country=country)
        body: dict[str, Any] = {
            "lines": [{"sku": line.sku, "unit": line.unit, "quantity": line.quantity} for line in cart.lines]
        }
        answer = await quoted(program, body if country is None else {**body, "country": country})

        assert cart.totals is not None
        assert answer.totals is not None
        assert (answer.currency, answer.country) == (cart.currency, cart.country)
        assert answer.country_assumed == cart.country_assumed
        assert answer.totals.net.amount == cart.totals.goods.decimal
        assert answer.totals.tax.amount == (cart.totals.tax - cart.totals.freight_tax).decimal
        shown = [line.priced.total for line in cart.lines if line.priced is not None]
        assert [line.total.amount for line in answer.lines if isinstance(line, wire.PricedLine)] == shown


async def test_a_key_shows_its_companys_prices_and_no_others(partner_shop: Shop) -> None:
    skus = itertools.islice(partner_shop.services.books.at(partner_shop.clock.now()).skus(), 200)
    lines = {"lines": [{"sku": sku, "quantity": "10"} for sku in skus]}
    answers = {}
    for email in (ACME, GLOBEX):
        answer = await quoted(Program(partner_shop, await key_of(partner_shop, email)), lines)
        answers[answer.company] = [line.net.amount for line in answer.lines if isinstance(line, wire.PricedLine)]

    assert set(answers) == {"acme", "globex"}
    assert answers["acme"] != answers["globex"]


async def test_five_hundred_lines_are_priced_and_one_more_is_refused(read_only_shop: Shop) -> None:
    skus = list(itertools.islice(read_only_shop.services.books.at(read_only_shop.clock.now()).skus(), 501))
    program = Program(read_only_shop)

    full = await quoted(program, {"lines": [{"sku": sku, "quantity": "1"} for sku in skus[:500]]})
    over = await program.post("/api/v1/quotes", json={"lines": [{"sku": sku, "quantity": "1"} for sku in skus]})

    assert len(full.lines) == 500
    assert over.status_code == 400
    assert over.json()["errors"][0]["field"] == "lines"


async def test_a_quote_does_not_depend_on_the_order_of_its_lines(read_only_shop: Shop) -> None:
    program = Program(read_only_shop)
    there = await quoted(program, {"lines": LINES})
    back = await quoted(program, {"lines": LINES[::-1]})

    assert there.totals == back.totals


async def test_zeros_at_the_end_of_a_quantity_change_nothing(read_only_shop: Shop) -> None:
    program = Program(read_only_shop)
    answers = [
        await quoted(program, {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": quantity}]})
        for quantity in ("12", "12.0", "12.000000000000")
    ]

    assert answers[0].lines == answers[1].lines == answers[2].lines
