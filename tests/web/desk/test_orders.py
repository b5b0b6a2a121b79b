"""Orders at the desk: found by state, and each with all that happened to it."""

from html import unescape

from checkout.repricing import price_again
from tests.web.conftest import PayingShop
from tests.web.desk.conftest import FINANCE, Clerk
from tests.web.test_checkout_pages import at_review, orders_of, place


async def test_the_file_of_an_order_says_why_each_price_and_what_happened(paying_shop: PayingShop) -> None:
    buyer, staff = paying_shop.client(), paying_shop.client()
    placed = await place(buyer, await at_review(buyer))
    assert placed.status_code == 303, placed.text
    (order,) = await orders_of(paying_shop)
    await staff.log_in(FINANCE)

    listed = (await staff.get("/desk/orders?state=payable")).text
    assert f'href="/desk/orders/{order.number}"' in listed
    assert order.number not in (await staff.get("/desk/orders?state=paid")).text
    assert "To be paid" in (await staff.get("/desk")).text

    page = unescape((await staff.get(f"/desk/orders/{order.number}")).text)
    assert order.price_root in page
    assert order.canonical_digest in page
    assert "List price PUBLIC-EUR" in page
    assert "create the payment page" in page
    assert "Accepted and ordered" in page
    assert "Publication 1" in page
    assert "Nothing is posted" in page
    assert 'lang="es"' in (await staff.get(f"/desk/orders/{order.number}?lang=es")).text


async def test_paid_orders_show_postings_that_sum_to_zero(paying_shop: PayingShop) -> None:
    buyer, staff = paying_shop.client(), paying_shop.client()
    await place(buyer, await at_review(buyer))
    (order,) = await orders_of(paying_shop)
    file = await paying_shop.services.order_files.open(order.number)
    session_id = file.attempts[0].attempt.session_id
    assert session_id is not None
    paying_shop.twin.control.pay_at_once(session_id)
    await paying_shop.services.payments.settle(order.id)
    await staff.log_in("support@meridian.example")

    page = unescape((await staff.get(f"/desk/orders/{order.number}")).text)

    assert "Stripe clearing" in page
    sums = page.split("<tfoot>")[1]
    assert "€0.00" in sums


async def test_an_order_that_is_none_is_a_page_that_says_so(paying_shop: PayingShop) -> None:
    staff = paying_shop.client()
    await staff.log_in("support@meridian.example")

    for number in ("T-2026-999999", "x"):
        assert (await staff.get(f"/desk/orders/{number}")).status_code == 404
    assert (await staff.get("/desk/orders?state=nonsense&before=nothing")).status_code == 200


async def test_older_orders_are_a_page_further(paying_shop: PayingShop) -> None:
    files = paying_shop.services.order_files
    numbers = []
    for email in ("buyer@acme.example", "compras@initech.example"):
        buyer = paying_shop.client()
        assert (await place(buyer, await at_review(buyer, email))).status_code == 303
    page = await files.page(state=None, before=None, size=1)
    while page.next_before is not None:
        numbers += [listed.order.number for listed in page.orders]
        page = await files.page(state=None, before=page.next_before, size=1)
    numbers += [listed.order.number for listed in page.orders]

    assert numbers == [order.number for order in reversed(await orders_of(paying_shop))]
    assert page.next_before is None


async def test_the_price_of_an_order_is_explained_and_holds_long_after_it_changed(paying_shop: PayingShop) -> None:
    buyer, staff, stranger = (paying_shop.client() for _ in range(3))
    await place(buyer, await at_review(buyer))
    (placed,) = await orders_of(paying_shop)
    order = (await paying_shop.services.order_files.open(placed.number)).order
    await staff.log_in(FINANCE)
    clerk = Clerk(staff)
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/strategy", strategy="lowest")
    await clerk.fill(f"{draft}/rounding", unit_decimals="0", unit_mode="up")
    await clerk.publish(draft)
    paying_shop.clock.advance(days=40)
    await staff.log_in(FINANCE)

    page = unescape(await clerk.get(f"/desk/orders/{order.number}/prices"))
    assert page.count('<span class="tag good">holds</span>') == len(order.lines)
    assert "List price PUBLIC-EUR" in page
    assert 'href="/desk/prices/publications/1"' in page

    await buyer.log_in("buyer@acme.example")
    own = unescape((await buyer.get(f"/orders/{order.number}/prices?lang=es")).text)
    assert own.count('<span class="tag good">correcto</span>') == len(order.lines)
    assert order.price_root in own
    assert "/desk/" not in own
    await stranger.log_in("compras@initech.example")
    assert (await stranger.get(f"/orders/{order.number}/prices")).status_code == 404


async def test_a_kept_price_that_does_not_follow_from_its_book_is_said_to_differ(paying_shop: PayingShop) -> None:
    buyer, staff = paying_shop.client(), paying_shop.client()
    await place(buyer, await at_review(buyer))
    (placed,) = await orders_of(paying_shop)
    order = (await paying_shop.services.order_files.open(placed.number)).order
    book = await paying_shop.services.books.load(order.price_root)
    assert all(line.holds for line in price_again(order, book))

    order.lines[0].net = "0.01"
    order.lines[0].trace = {**order.lines[0].trace, "list": "OTHER"}
    first, *others = price_again(order, book)
    assert (first.differs, all(line.holds for line in others)) == (("net", "trace"), True)

    order.canonical = {**order.canonical, "buyer": {**order.canonical["buyer"], "country": "ES"}}
    order.currency = "JPY"
    assert {line.reason for line in price_again(order, book)} == {"no_price_in_currency"}

    await staff.log_in("support@meridian.example")
    page = (await staff.get(f"/desk/orders/{order.number}/prices")).text
    assert "Publication 1" in page
    assert "/desk/prices/publications" not in page, "support sees no prices' pages"
