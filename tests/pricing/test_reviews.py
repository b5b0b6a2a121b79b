"""Somebody who never worked at a draft approves it, as it is, before a person may publish it."""

import uuid
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from accounts.member_service import Members
from accounts.model import StaffRole
from accounts.passwords import Passwords
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from pricing.model import Approval, DraftState, PricePublication, ReviewStep
from pricing.reviews import (
    ApproverIsAuthor,
    CommentUnusable,
    DraftClosed,
    DraftMoved,
    DraftNotFound,
    NotApproved,
    ReviewOutOfTurn,
    Reviews,
    standing,
)
from pricing.service import Pricing
from tests.pricing.test_publication import ANVIL, anvil_at, row

Person = Callable[[str], Awaitable[uuid.UUID]]


@pytest.fixture
def person(database: Database, clock: FixedClock) -> Person:
    """Make one of finance, by a name."""
    members = Members(database, clock, Passwords(), base_url="http://localhost")

    async def make(name: str) -> uuid.UUID:
        made = await members.create_staff(
            email=f"{name}@meridian.example", name=name, password="a-desk-of-six-drawers", role=StaffRole.FINANCE
        )
        return made.id

    return make


@pytest.fixture
def reviews(database: Database, clock: FixedClock) -> Reviews:
    return Reviews(database, clock)


async def put(pricing: Pricing, draft: uuid.UUID, price: str, by: uuid.UUID | None) -> int:
    """Set the anvil's price; returns the draft's version then."""
    seen = (await pricing.find_leaf(draft, "row", ANVIL)).seen
    await pricing.put_change(draft, "row", ANVIL, row(price), by=by, expected=seen)
    return (await pricing.find_draft(draft)).version


async def test_a_draft_is_submitted_approved_by_another_and_published_with_both_names(
    pricing: Pricing, reviews: Reviews, person: Person, clock: FixedClock
) -> None:
    author, colleague = await person("author"), await person("colleague")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    version = await put(pricing, draft, "81", author)
    with pytest.raises(NotApproved):
        await pricing.publish(draft, by=author, acknowledge="As meant")
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author, comment=" Please ")
    with pytest.raises(NotApproved):
        await pricing.publish(draft, by=colleague, acknowledge="As meant")
    with pytest.raises(ApproverIsAuthor):
        await reviews.take(draft, ReviewStep.APPROVED, version=version, by=author)
    clock.advance(seconds=60)
    approved_at = clock.now()
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=colleague)
    clock.advance(seconds=60)

    published = await pricing.publish(draft, by=author, acknowledge="As meant")

    assert (published.author_id, published.published_by) == (author, author)
    assert (published.approval, published.approved_by) == (Approval.GIVEN, colleague)
    assert published.approved_at == approved_at
    steps = await reviews.list_steps(draft)
    assert [(each.step, each.comment) for each in steps] == [
        (ReviewStep.SUBMITTED, "Please"),
        (ReviewStep.APPROVED, ""),
    ]
    for step in (ReviewStep.COMMENTED, ReviewStep.RETURNED):
        with pytest.raises(DraftClosed):
            await reviews.take(draft, step, version=version, by=colleague, comment="Too late")


async def test_an_edit_withdraws_the_approval_and_makes_its_author_one(
    pricing: Pricing, reviews: Reviews, person: Person
) -> None:
    author, colleague, third = await person("author"), await person("colleague"), await person("third")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    version = await put(pricing, draft, "81", author)
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=colleague)
    edited = await put(pricing, draft, "82", colleague)

    with pytest.raises(NotApproved):
        await pricing.publish(draft, by=author, acknowledge="As meant")
    with pytest.raises(DraftMoved):
        await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    await reviews.take(draft, ReviewStep.SUBMITTED, version=edited, by=third)
    for nobody in (author, colleague, third):
        with pytest.raises(ApproverIsAuthor):  # nothing is left of the first author's price, and yet
            await reviews.take(draft, ReviewStep.APPROVED, version=edited, by=nobody)
    assert (await pricing.find_draft(draft)).state is DraftState.OPEN


async def test_who_took_a_change_back_worked_at_the_draft_too(
    pricing: Pricing, reviews: Reviews, person: Person
) -> None:
    author, colleague = await person("author"), await person("colleague")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    await put(pricing, draft, "81", author)
    version = await put(pricing, draft, "80", colleague)
    assert await pricing.list_changes(draft) == ()
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    with pytest.raises(ApproverIsAuthor):
        await reviews.take(draft, ReviewStep.APPROVED, version=version, by=colleague)


async def test_steps_follow_each_other_and_say_why(pricing: Pricing, reviews: Reviews, person: Person) -> None:
    author, colleague = await person("author"), await person("colleague")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    for step in (ReviewStep.APPROVED, ReviewStep.RETURNED):
        with pytest.raises(ReviewOutOfTurn):
            await reviews.take(draft, step, version=0, by=colleague, comment="Why")
    await reviews.take(draft, ReviewStep.SUBMITTED, version=0, by=author)
    with pytest.raises(ReviewOutOfTurn):
        await reviews.take(draft, ReviewStep.SUBMITTED, version=0, by=author)
    for step, comment in ((ReviewStep.RETURNED, " "), (ReviewStep.COMMENTED, ""), (ReviewStep.APPROVED, "x" * 2001)):
        with pytest.raises(CommentUnusable):
            await reviews.take(draft, step, version=0, by=colleague, comment=comment)
    await reviews.take(draft, ReviewStep.COMMENTED, version=-1, by=colleague, comment="What of bolts?")
    await reviews.take(draft, ReviewStep.RETURNED, version=0, by=colleague, comment="Bolts as well")
    await reviews.take(draft, ReviewStep.SUBMITTED, version=0, by=author, comment="Next month")
    await reviews.take(draft, ReviewStep.APPROVED, version=0, by=colleague)
    await reviews.take(draft, ReviewStep.RETURNED, version=0, by=colleague, comment="On second thoughts")
    last = standing(await reviews.list_steps(draft), 0)
    assert last is not None
    assert last.step is ReviewStep.RETURNED
    with pytest.raises(NotApproved):
        await pricing.publish(draft, by=author)
    with pytest.raises(DraftNotFound):
        await reviews.take(uuid.uuid4(), ReviewStep.SUBMITTED, version=0, by=author)


async def test_the_command_line_a_desk_of_one_and_a_roll_back_need_no_approval_and_say_so(
    pricing: Pricing, person: Person, clock: FixedClock
) -> None:
    author = await person("author")
    house = await pricing.publish(await anvil_at(pricing, "81"), by=None, acknowledge="As meant")
    clock.set(house.effective_at)
    back = await pricing.roll_back(1, by=author, acknowledge="As meant")
    clock.set(back.effective_at)
    pricing.approval_required = False
    alone = await pricing.publish(await anvil_at(pricing, "82"), by=author, acknowledge="As meant")

    assert [each.approval for each in (house, back, alone)] == [Approval.HOUSE, Approval.RESTORED, Approval.OFF]
    assert all(each.approved_by is None and each.approved_at is None for each in (house, back, alone))


async def test_the_database_refuses_an_author_who_approves_and_an_approval_by_nobody(
    pricing: Pricing, database: Database, person: Person, clock: FixedClock
) -> None:
    author, colleague = await person("author"), await person("colleague")
    entry = (await pricing.list_publications())[0]
    again = {column.name: getattr(entry, column.name) for column in PricePublication.__table__.columns}
    again |= {"number": 2, "draft_id": None, "author_id": author, "approval": Approval.GIVEN}
    for by, at, law in (
        (author, clock.now(), "approved_by_another"),
        (None, None, "approved_by_one"),
        (colleague, None, "approved_by_one"),
    ):
        with pytest.raises(IntegrityError, match=law):
            async with database.begin(for_staff()) as session:
                await session.execute(
                    sa.insert(PricePublication).values(**again | {"approved_by": by, "approved_at": at})
                )
    async with database.begin(for_staff()) as session:
        given = again | {"approved_by": colleague, "approved_at": clock.now()}
        await session.execute(sa.insert(PricePublication).values(**given))
