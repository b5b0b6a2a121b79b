"""Approval before ordering: who asks, who places, and that nothing but the approver's act binds anybody."""

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from accounts.model import Authority, MemberRole, Membership, Person
from accounts.policies import NO_POLICY, ApprovalReason, ApprovalRule, BuyingPolicies, Policy
from accounts.principal import Principal
from agreements.model import Acceptance
from agreements.service import PresentationStale, SignatoryRequired, UnusableComment
from catalog.service import InsufficientStock
from checkout.approval_model import ApprovalRequest, ApprovalState
from checkout.approvals import (
    ApprovalClosed,
    ApprovalNotNeeded,
    Approvals,
    ApprovalUnknown,
    ApproverMissing,
    NotApprover,
    Opened,
    OwnApproval,
)
from checkout.checkouts import CheckoutFrozen, PriceChanged
from checkout.model import Checkout, Order
from checkout.needs import ApprovalNeeded
from checkout.states import EventRefused, State
from kernel.db import for_accounts, for_staff
from kernel.ids import new_id
from kernel.mail import OutgoingMail
from kernel.money import Money
from tests.checkout.conftest import BOXES, DIGEST, House, book

TOTAL = Money(25761, "EUR")  # of two armchairs, with freight and tax


def euros(amount: int) -> Money:
    return Money(amount * 100, "EUR")


async def colleague(
    house: House, role: MemberRole, *, signatory: bool = True, limit: Money | None = None, locale: str = "en"
) -> Principal:
    """Somebody else of Acme."""
    company = house.acme.company
    assert company is not None
    async with house.database.begin(for_accounts()) as session:
        person = Person(
            id=new_id(),
            email=f"{new_id()}@acme.example",
            name=f"The {role.value}",
            locale=locale,
            password_hash="-",
            created_at=house.clock.now(),
        )
        session.add(person)
        await session.flush()
        session.add(
            Membership(
                company_id=company.id,
                person_id=person.id,
                role=role,
                signatory=signatory,
                authority=Authority.APPOINTED if signatory else None,
                signing_limit_minor=None if limit is None else limit.minor,
                currency=None if limit is None else limit.currency,
                created_at=house.clock.now(),
            )
        )
    return msgspec.structs.replace(
        house.acme,
        visitor_id=new_id(),
        person_id=person.id,
        email=person.email,
        name=person.name,
        role=role,
        signatory=signatory,
        signing_limit=limit,
    )


@pytest.fixture
def approvals(house: House) -> Approvals:
    return Approvals(house.checkouts)


@pytest.fixture
async def clerk(house: House) -> Principal:
    """Fills carts and may not sign."""
    return await colleague(house, MemberRole.BUYER, signatory=False)


@pytest.fixture
async def chief(house: House) -> Principal:
    """Approves without limit."""
    return await colleague(house, MemberRole.APPROVER)


async def set_policy(house: House, by: Principal, policy: Policy) -> None:
    admin = msgspec.structs.replace(by, role=MemberRole.ADMIN)
    await BuyingPolicies(house.database, house.clock).change(admin, policy)


async def ask(house: House, approvals: Approvals, buyer: Principal, note: str = "Please") -> ApprovalRequest:
    """Two armchairs, sent for approval."""
    await house.fill(buyer)
    await house.details(buyer)
    return await approvals.send(buyer, note=note, locale="en")


async def opened(approvals: Approvals, chief: Principal, request: ApprovalRequest, locale: str = "en") -> Opened:
    return await approvals.open(chief, request.id, locale=locale, template_digest=DIGEST, stylesheet_digest=DIGEST)


async def approve(approvals: Approvals, chief: Principal, request: ApprovalRequest, shown: Opened) -> Order:
    return await approvals.approve(
        chief,
        request.id,
        presentation_id=shown.presentation.id,
        ticked=BOXES,
        job_title="Head of purchasing",
        ip="192.0.2.1",
        user_agent="tests",
    )


async def states(house: House) -> tuple[State, ApprovalState]:
    [checkout], [request] = await house.rows(Checkout), await house.rows(ApprovalRequest)
    return checkout.state, request.state


async def test_a_clerk_asks_and_an_approver_places_the_order(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    with pytest.raises(SignatoryRequired):
        await house.fill(clerk)
        await house.details(clerk)
        await house.review(clerk)

    request = await approvals.send(clerk, note="For the new office", locale="en")
    assert (request.reason, request.total) == (ApprovalReason.NOT_SIGNATORY, TOTAL)
    assert await states(house) == (State.AWAITING, ApprovalState.WAITING)
    assert await house.stock() == (100, 0, 0)
    assert await house.rows(Order) == []

    shown = await opened(approvals, chief, request)
    assert (shown.changes, shown.previous_total, shown.totals.total) == ((), None, TOTAL)
    assert shown.presentation.button_label == "Approve and place order - obligation to pay"
    order = await approve(approvals, chief, request, shown)

    assert await states(house) == (State.PAYABLE, ApprovalState.APPROVED)
    [acceptance] = await house.rows(Acceptance)
    assert (acceptance.order_id, acceptance.actor_id) == (order.id, chief.person_id)
    assert (order.person_id, order.email) == (clerk.person_id, clerk.email), "the order is the buyer's"
    [step] = await house.orders.history(clerk, order.number)
    assert (step.event, step.before, step.person_id) == ("accept", State.AWAITING, chief.person_id)
    trail = await approvals.of_order(clerk, order.id)
    assert trail is not None
    assert (trail.asker, trail.approver) == ("The buyer", "The approver")
    assert await house.carts.count_lines(clerk) == 0
    letters = {(mail.kind, mail.recipient) for mail in await house.rows(OutgoingMail)}
    assert {
        ("approval_asked", chief.email),
        ("order_received", clerk.email),
        ("approval_given", chief.email),
    } <= letters
    await house.check_invariants()


async def test_the_buttons_say_in_spanish_that_one_binds(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    shown = await opened(approvals, chief, await ask(house, approvals, clerk), "es")

    assert shown.presentation.button_label == "Aprobar y hacer el pedido con obligación de pago"
    [agree] = [each for each in shown.presentation.statements if each.id == "agree"]
    assert "«Aprobar y hacer el pedido con obligación de pago»" in agree.text


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(approval=ApprovalRule.ALWAYS), ApprovalReason.POLICY),
        (Policy(approval=ApprovalRule.ABOVE, approval_above=euros(257)), ApprovalReason.POLICY),
        (Policy(approval=ApprovalRule.ABOVE, approval_above=TOTAL), None),
        (Policy(approval=ApprovalRule.ABOVE, approval_above=Money(10**9, "USD")), ApprovalReason.POLICY),
        (NO_POLICY, None),
    ],
)
def test_the_policy_says_whose_orders_need_approval(policy: Policy, reason: ApprovalReason | None) -> None:
    assert policy.approval_reason(new_id(), TOTAL) is reason


async def test_a_signatory_whom_the_policy_names_cannot_order_alone(
    house: House, approvals: Approvals, chief: Principal
) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    assert house.acme.person_id is not None
    await set_policy(house, chief, Policy(approval_of=frozenset({house.acme.person_id})))

    with pytest.raises(ApprovalNeeded) as refusal:
        await house.accept(house.acme, review)
    assert refusal.value.extra == {"reason": "named"}
    with pytest.raises(ApprovalNeeded):
        await house.review(house.acme)
    assert await house.rows(Order) == []

    request = await approvals.send(house.acme, note="", locale="en")
    with pytest.raises(CheckoutFrozen):
        await house.accept(house.acme, review)  # what was shown before the policy is not a way around it
    await approve(approvals, chief, request, await opened(approvals, chief, request))


async def test_nobody_sends_for_approval_what_they_may_order_alone(house: House, approvals: Approvals) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)

    with pytest.raises(ApprovalNotNeeded):
        await approvals.send(house.acme, note="", locale="en")


async def test_nobody_approves_their_own_not_even_in_the_database(
    house: House, approvals: Approvals, chief: Principal
) -> None:
    other = await colleague(house, MemberRole.ADMIN)
    await set_policy(house, other, Policy(approval=ApprovalRule.ALWAYS))
    request = await ask(house, approvals, chief)

    with pytest.raises(OwnApproval):
        await opened(approvals, chief, request)
    with pytest.raises(OwnApproval):
        await approvals.reject(chief, request.id, note="No")
    with pytest.raises(sa.exc.IntegrityError, match="ck_approval_request_other"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(
                    "update approval_request set state = 'approved', closed_by = requested_by, closed_at = now(), "
                    "order_id = gen_random_uuid()"
                )
            )
    assert (await approve(approvals, other, request, await opened(approvals, other, request))).total == TOTAL


async def test_nobody_approves_above_their_limit(house: House, approvals: Approvals, clerk: Principal) -> None:
    modest = await colleague(house, MemberRole.APPROVER, limit=euros(200))
    with pytest.raises(ApproverMissing):
        await ask(house, approvals, clerk)
    chief = await colleague(house, MemberRole.APPROVER, limit=TOTAL)
    request = await approvals.send(clerk, note="", locale="en")

    with pytest.raises(SignatoryRequired) as refusal:
        await opened(approvals, modest, request)
    assert refusal.value.extra["reason"] == "above_limit"
    assert [each.recipient for each in await house.rows(OutgoingMail)] == [chief.email]
    shown = await opened(approvals, chief, request)
    house.books.publish(book("100.01", root="b"), house.clock.now())
    with pytest.raises(PriceChanged):
        await approve(approvals, chief, request, shown)
    with pytest.raises(SignatoryRequired):  # two cents more are above the limit
        await opened(approvals, chief, request)


async def test_who_signs_but_approves_nothing_cannot_approve(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    request = await ask(house, approvals, clerk)

    with pytest.raises(NotApprover):
        await opened(approvals, house.acme, request)
    with pytest.raises(NotApprover):
        await opened(approvals, await colleague(house, MemberRole.ADMIN, signatory=False), request)
    with pytest.raises(ApprovalUnknown):
        await opened(approvals, house.globex, request)
    assert [each.for_me for each in await approvals.list_requests(chief)] == [True]
    assert [each.for_me for each in await approvals.list_requests(clerk)] == [False]
    assert await approvals.list_requests(house.acme) == ()
    assert await approvals.list_requests(house.globex) == ()


async def test_the_approver_sees_what_changed_since_it_was_asked(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    request = await ask(house, approvals, clerk)
    first = await opened(approvals, chief, request)
    house.books.publish(book("110", root="b"), house.clock.now())

    with pytest.raises(PriceChanged):
        await approve(approvals, chief, request, first)
    shown = await opened(approvals, chief, request)

    assert (shown.previous_total, shown.totals.total) == (TOTAL, Money(28181, "EUR"))
    assert [(each.name, each.before, each.after) for each in shown.changes] == [
        ("2 each CRUNCHY-ARMCHAIR", "200.00", "220.00"),
        ("goods", "200.00", "220.00"),
        ("tax", "44.71", "48.91"),
    ]
    assert (await approve(approvals, chief, request, shown)).total == Money(28181, "EUR")


async def test_stock_is_judged_at_the_approvers_act(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    await house.fill(clerk, quantity="60")
    await house.details(clerk)
    request = await approvals.send(clerk, note="", locale="en")
    shown = await opened(approvals, chief, request)
    await house.place(quantity="50")

    with pytest.raises(InsufficientStock):
        await approve(approvals, chief, request, shown)
    assert [each.state for each in await house.rows(ApprovalRequest)] == [ApprovalState.WAITING]


async def test_a_rejection_gives_the_cart_back_with_the_reason(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    request = await ask(house, approvals, clerk)
    shown = await opened(approvals, chief, request)
    with pytest.raises(UnusableComment):
        await approvals.reject(chief, request.id, note=" ")

    await approvals.reject(chief, request.id, note="One chair is enough")
    await approvals.reject(chief, request.id, note="One chair is enough")

    assert await states(house) == (State.OPEN, ApprovalState.REJECTED)
    [letter] = [mail for mail in await house.rows(OutgoingMail) if mail.kind == "approval_rejected"]
    assert letter.recipient == clerk.email
    assert "One chair is enough" in letter.text
    assert await house.carts.count_lines(clerk) == 1
    with pytest.raises(ApprovalClosed):
        await approve(approvals, chief, request, shown)
    house.clock.advance(seconds=1)
    again = await approvals.send(clerk, note="", locale="en")
    with pytest.raises(PresentationStale):  # shown before it was sent anew
        await approve(approvals, chief, again, shown)


@pytest.mark.parametrize("edit", ["cart", "details", "withdraw"])
async def test_an_edit_by_the_buyer_takes_it_back(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal, edit: str
) -> None:
    request = await ask(house, approvals, clerk)
    shown = await opened(approvals, chief, request)

    if edit == "cart":
        await house.fill(clerk, quantity="1")
    elif edit == "details":
        await house.details(clerk, po_number="PO-8")
    else:
        await approvals.withdraw(clerk, request.id)
        await approvals.withdraw(clerk, request.id)

    assert await states(house) == (State.OPEN, ApprovalState.WITHDRAWN)
    with pytest.raises(ApprovalClosed):
        await approve(approvals, chief, request, shown)
    assert await house.rows(Order) == []


async def test_only_who_asked_takes_it_back(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    request = await ask(house, approvals, clerk)

    with pytest.raises(ApprovalUnknown):
        await approvals.withdraw(chief, request.id)


async def test_a_request_expires_by_our_clock(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    await set_policy(house, chief, Policy(wait_days=2))
    request = await ask(house, approvals, clerk)
    house.clock.advance(days=2, seconds=-1)
    await approvals.sweep()
    assert await states(house) == (State.AWAITING, ApprovalState.WAITING)

    house.clock.advance(seconds=1)
    with pytest.raises(ApprovalClosed):
        await opened(approvals, chief, request)
    await approvals.sweep()
    await approvals.sweep()

    assert await states(house) == (State.OPEN, ApprovalState.EXPIRED)
    assert (await house.mails()).count("approval_expired") == 1


@pytest.mark.usefixtures("chief")
async def test_what_waits_cannot_be_reviewed_and_sending_twice_is_one_request(
    house: House, approvals: Approvals, clerk: Principal
) -> None:
    request = await ask(house, approvals, clerk)

    assert (await approvals.send(clerk, note="again", locale="en")).id == request.id
    with pytest.raises(EventRefused):
        await house.review(clerk)
    assert (await house.mails()).count("approval_asked") == 1


async def test_approvers_who_act_at_once_make_one_order(
    house: House, approvals: Approvals, clerk: Principal, chief: Principal
) -> None:
    other = await colleague(house, MemberRole.ADMIN)
    request = await ask(house, approvals, clerk)
    shown = [(each, await opened(approvals, each, request)) for each in (chief, other)]

    answers: list[Any] = await asyncio.gather(
        *(approve(approvals, who, request, what) for who, what in shown for _ in range(4)),
        house.fill(clerk, quantity="1"),
        return_exceptions=True,
    )

    orders = await house.rows(Order)
    made = {answer.id for answer in answers if isinstance(answer, Order)}
    assert made == {order.id for order in orders}
    assert len(orders) <= 1
    assert all(answer is None or isinstance(answer, Order | ApprovalClosed) for answer in answers), answers
    [request_now] = await house.rows(ApprovalRequest)
    assert request_now.state is (ApprovalState.APPROVED if orders else ApprovalState.WITHDRAWN)
    await house.check_invariants()


async def test_the_policy_only_grows_and_is_the_companys_own(house: House, chief: Principal) -> None:
    await set_policy(house, chief, Policy(approval=ApprovalRule.ALWAYS))
    house.clock.advance(seconds=1)
    await set_policy(house, chief, Policy(copies=("legal@acme.example",), two_signatures_above=euros(5000)))
    policies = BuyingPolicies(house.database, house.clock)
    assert chief.company is not None
    assert house.globex.company is not None

    held = await policies.find(chief.company, chief)
    assert (held.approval, held.copies, held.two_signatures_above) == (
        ApprovalRule.NEVER,
        ("legal@acme.example",),
        euros(5000),
    )
    assert await policies.find(house.globex.company, house.globex) == NO_POLICY
    with pytest.raises(sa.exc.ProgrammingError) as refusal:
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text("update buying_policy set wait_days = 1"))
    assert isinstance(refusal.value.orig, psycopg.errors.InsufficientPrivilege)
