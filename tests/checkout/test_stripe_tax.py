"""Tax by Stripe: calculated before the order is shown, kept as its input, never inside the last act."""

import dataclasses

import msgspec
import pytest

from agreements.service import PresentationStale
from checkout.checkouts import Checkouts
from checkout.model import Order
from checkout.repricing import price_again
from checkout.stripe_tax import StripeTax, TaxCalculationRow, TaxUnavailable
from checkout.tax import TaxNotKnown, TaxTreatment
from checkout.tax_calculation import TaxCalculation, read
from kernel.canonical import digest
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import ADDRESS, TOO_LONG_SECONDS, House, make_member

CALCULATIONS = "/v1/tax/calculations"


@pytest.fixture
def taxed(house: House) -> House:
    """The house, having chosen Stripe Tax."""
    old = house.checkouts
    checkouts = Checkouts(
        old.db, old.clock, old.books, old.catalog, old.agreements, base_url=old.base_url,
        stripe_tax=StripeTax(old.db, old.clock, house.gateway),
    )  # fmt: skip
    return dataclasses.replace(house, checkouts=checkouts)


def calculations(house: House) -> int:
    return len(house.twin.control.objects("tax.calculation"))


async def ready(house: House) -> None:
    await house.fill(house.acme, "MANUAL", "3")
    await house.fill(house.acme)
    await house.details(house.acme)


async def test_an_order_bears_stripes_tax_and_keeps_what_it_said(taxed: House) -> None:
    await ready(taxed)

    review = await taxed.review(taxed.acme)
    assert (await taxed.review(taxed.acme)).totals == review.totals
    order = await taxed.accept(taxed.acme, review)

    assert calculations(taxed) == 1  # asked once, before the first review; never by the last act
    (theirs,) = taxed.twin.control.objects("tax.calculation")
    kept = msgspec.convert(order.tax_inputs["calculation"], TaxCalculation)
    assert (order.total_minor, order.tax_minor) == (theirs["amount_total"], theirs["tax_amount_exclusive"])
    assert kept.id == theirs["id"]
    assert kept.taxes == ("1.20", "42.00")  # books at 4 %, armchairs at 21 %
    assert kept.freight_tax == str(review.totals.freight_tax.decimal)
    said = msgspec.json.decode(msgspec.json.encode(kept))
    assert digest({name: value for name, value in said.items() if name != "digest"}) == kept.digest
    assert order.canonical["tax_inputs"]["calculation"] == said
    assert [line.tax_percent for line in (await taxed.order(order)).lines] == ["4", "21"]
    assert sum(row.tax.minor for row in review.totals.tax_rows) == order.tax_minor
    assert sum(row.taxable.minor for row in review.totals.tax_rows) == order.goods_minor + order.freight_minor


async def test_the_replay_uses_what_was_kept(taxed: House) -> None:
    await ready(taxed)
    order = await taxed.order(await taxed.accept(taxed.acme, await taxed.review(taxed.acme)))

    assert all(line.holds for line in price_again(order, taxed.books.by_root(order.price_root)))

    other = msgspec.convert(order.tax_inputs["calculation"], TaxCalculation)
    order.tax_inputs = order.tax_inputs | {
        "calculation": msgspec.to_builtins(msgspec.structs.replace(other, taxes=("1.20", "42.01")))
    }
    again = price_again(order, taxed.books.by_root(order.price_root))
    assert [line.differs for line in again] == [(), ("tax",)]


@pytest.mark.parametrize(
    "fault",
    [Fault("timeout", seconds=TOO_LONG_SECONDS), Fault("error", status=500), Fault("reset")],
    ids=lambda each: each.kind,
)
async def test_when_stripe_does_not_answer_nothing_is_lost(taxed: House, fault: Fault) -> None:
    await ready(taxed)
    taxed.twin.control.add_fault(dataclasses.replace(fault, method="POST", path=CALCULATIONS))

    with pytest.raises(TaxUnavailable, match="Nothing is lost"):
        await taxed.review(taxed.acme)

    assert await taxed.rows(Order) == []
    assert len((await taxed.carts.priced(taxed.acme)).lines) == 2
    order = await taxed.accept(taxed.acme, await taxed.review(taxed.acme))
    assert order.tax_inputs["calculation"]["id"]


async def test_an_address_that_stripe_cannot_place_is_refused(taxed: House) -> None:
    await ready(taxed)
    taxed.twin.control.add_fault(Fault("error", method="POST", path=CALCULATIONS, status=400))

    with pytest.raises(TaxNotKnown, match="check the address"):
        await taxed.review(taxed.acme)


async def test_the_last_act_never_calculates(taxed: House) -> None:
    await ready(taxed)
    review = await taxed.review(taxed.acme)
    await taxed.fill(taxed.acme)  # another tab

    with pytest.raises(PresentationStale, match="Nothing was ordered"):
        await taxed.accept(taxed.acme, review)
    assert calculations(taxed) == 1

    order = await taxed.accept(taxed.acme, await taxed.review(taxed.acme))
    assert calculations(taxed) == 2
    assert order.tax_minor == taxed.twin.control.objects("tax.calculation")[0]["tax_amount_exclusive"]


async def test_a_calculation_of_another_day_is_made_again(taxed: House) -> None:
    await ready(taxed)
    await taxed.review(taxed.acme)
    taxed.clock.advance(days=1)

    await taxed.review(taxed.acme)

    assert calculations(taxed) == 2
    assert len(await taxed.rows(TaxCalculationRow)) == 2


async def test_of_where_the_goods_go_only_what_decides_the_tax_is_kept(taxed: House) -> None:
    await ready(taxed)
    await taxed.review(taxed.acme)

    (kept,) = await taxed.rows(TaxCalculationRow)
    (asked,) = taxed.twin.control.objects("tax.calculation")
    assert asked["customer_details"]["address"]["line1"]
    assert msgspec.json.decode(kept.request)["customer_details"]["address"] == {"country": "ES"}
    assert kept.request_digest.startswith("sha256:")
    await taxed.review(taxed.acme)
    assert calculations(taxed) == 1, "it is found by its digest"


@pytest.mark.parametrize(
    ("country", "tax_id", "treatment", "percents"),
    [
        ("FR", "FR40303265045", TaxTreatment.REVERSE_CHARGE, {"0"}),
        ("FR", None, TaxTreatment.DESTINATION, {"20"}),
        ("US", None, TaxTreatment.EXPORT, {"0"}),
    ],
)
async def test_stripe_says_why(
    taxed: House, country: str, tax_id: str | None, treatment: TaxTreatment, percents: set[str]
) -> None:
    buyer = await make_member(taxed.database, taxed.clock, name="Initech", country=country, tax_id=tax_id)
    await taxed.fill(buyer)
    await taxed.details(buyer, msgspec.structs.replace(ADDRESS, country=country), tax_id=tax_id)

    order = await taxed.accept(buyer, await taxed.review(buyer))

    assert order.tax_inputs["treatment"] == treatment
    assert order.tax_inputs["vat_number"] == (tax_id if treatment is TaxTreatment.REVERSE_CHARGE else None)
    assert {line.tax_percent for line in (await taxed.order(order)).lines} == percents


async def test_an_answer_about_other_lines_is_not_taken(taxed: House) -> None:
    await ready(taxed)
    priced = await taxed.carts.priced(taxed.acme)
    await taxed.review(taxed.acme)
    (theirs,) = taxed.twin.control.objects("tax.calculation")

    read(theirs, priced.quote)
    for spoilt in (
        theirs | {"tax_amount_exclusive": theirs["tax_amount_exclusive"] + 1},
        theirs | {"line_items": theirs["line_items"] | {"data": theirs["line_items"]["data"][:1]}},
        theirs | {"shipping_cost": None},
    ):
        with pytest.raises(msgspec.ValidationError):
            read(spoilt, priced.quote)
