from checkout.states import State
from kernel.money import Money
from tests.checkout.conftest import House


async def test_from_cart_to_paid_order(house: House) -> None:
    order = await house.place()
    assert order.state is State.PAYABLE
    assert order.number == "T-2026-000001"
    assert order.total == Money(25761, "EUR")
    assert await house.stock() == (98, 2, 0)

    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id).outcome == "paid"
    paid = await house.payments.returned(house.acme, order.number, session_id)

    assert paid.state is State.PAID
    assert await house.stock() == (98, 0, 2)
    assert await house.mails() == ["order_received", "order_paid"]
    await house.check_invariants()
