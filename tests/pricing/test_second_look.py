"""A draft that moves more than one approver may let pass needs a second one, distinct from all who worked at it."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from kernel.db import Database, for_staff
from pricing.model import Approval, PricePublication, ReviewStep
from pricing.reviews import ApproverIsAuthor, NotApproved, ReviewOutOfTurn, Reviews, SecondApprovalMissing
from pricing.second_look import Policy
from pricing.service import Pricing
from tests.pricing.test_publication import ANVIL, anvil_at, row
from tests.pricing.test_reviews import Person, person, put, reviews

__all__ = ["person", "reviews"]


async def asked(pricing: Pricing, draft: uuid.UUID, **policy: Any) -> list[tuple[str, str]]:
    """What the policy demands of the draft, and what was found."""
    pricing.policy = Policy(**policy)
    pricing._found = ()
    return [(demand.reason, demand.found) for demand in (await pricing.examine(draft)).demands]


@pytest.mark.usefixtures("first")
async def test_each_threshold_demands_a_second_approver_once_it_is_passed(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "88")  # 10 % more than 80; its cost is 40

    assert await asked(pricing, draft) == []
    assert await asked(pricing, draft, percent="9.9") == [("percent", "+10.0")]
    assert await asked(pricing, draft, percent="10") == []
    assert await asked(pricing, draft, skus=0) == [("skus", "1")]
    assert await asked(pricing, draft, skus=1) == []
    assert await asked(pricing, draft, margin="60") == [("margin", "38.2")]  # Initech's 72, less the tools week
    assert await asked(pricing, draft, margin="30") == []
    assert await asked(pricing, draft, percent="1", skus=0, margin="99") == [
        ("skus", "1"), ("percent", "+10.0"), ("margin", "38.2"),
    ]  # fmt: skip


@pytest.mark.usefixtures("first")
async def test_a_rule_a_list_or_the_books_settings_touch_all_they_are_for(pricing: Pricing) -> None:
    draft = (await pricing.open_draft(title="Rules", by=None)).id
    rule = await pricing.find_leaf(draft, "adjustment", ("TOOLS-WEEK",))
    changed = {**rule.content, "effect": {"type": "percent", "percent": "20", "surcharge": False}}
    await pricing.put_change(draft, "adjustment", ("TOOLS-WEEK",), changed, by=None, expected=rule.seen)
    assert await asked(pricing, draft, skus=0) == [("skus", "2")]

    formula = {"list": "TRADE", "base": "PUBLIC", "percent": "-5"}
    await pricing.put_change(draft, "list", ("TRADE",), {"code": "TRADE", "currency": "EUR", "priority": -1}, by=None)
    await pricing.put_change(draft, "derivation", ("TRADE",), formula, by=None)
    assert await asked(pricing, draft, skus=0) == [("skus", "3")]

    draft = (await pricing.open_draft(title="Settings", by=None)).id
    standing = await pricing.find_leaf(draft, "strategy", ())
    await pricing.put_change(draft, "strategy", (), "lowest", by=None, expected=standing.seen)
    assert await asked(pricing, draft, skus=2) == [("skus", "3")]


@pytest.mark.usefixtures("first")
async def test_two_others_approve_before_it_is_published_and_both_are_kept(
    pricing: Pricing, reviews: Reviews, person: Person, database: Database
) -> None:
    pricing.policy = Policy(percent="5")
    author, one, two = await person("author"), await person("one"), await person("two")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    version = await put(pricing, draft, "88", author)
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=one)
    with pytest.raises(SecondApprovalMissing):
        await pricing.publish(draft, by=author, acknowledge="As meant")
    with pytest.raises(ReviewOutOfTurn):
        await reviews.take(draft, ReviewStep.APPROVED, version=version, by=one)
    with pytest.raises(ApproverIsAuthor):
        await reviews.take(draft, ReviewStep.APPROVED, version=version, by=author)
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=two, comment="Agreed")

    published = await pricing.publish(draft, by=author, acknowledge="As meant")

    assert (published.approval, published.approved_by, published.second_approved_by) == (Approval.GIVEN, one, two)
    assert [demand["reason"] for demand in published.demands] == ["percent"]
    again = {column.name: getattr(published, column.name) for column in PricePublication.__table__.columns}
    again |= {"number": 3, "draft_id": None}
    for wrong, law in (
        ({"second_approved_by": one}, "second_approver"),
        ({"second_approved_at": None}, "second_approver"),
        ({"second_approved_by": author}, "second_approver"),
        ({"second_approved_by": None, "second_approved_at": None}, "demands_met"),
    ):
        with pytest.raises(IntegrityError, match=law):
            async with database.begin(for_staff()) as session:
                await session.execute(sa.insert(PricePublication).values(**again | wrong))


@pytest.mark.usefixtures("first")
async def test_an_edit_or_a_return_withdraws_both_approvals(pricing: Pricing, reviews: Reviews, person: Person) -> None:
    pricing.policy = Policy(percent="5")
    author, one, two = await person("author"), await person("one"), await person("two")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    version = await put(pricing, draft, "88", author)
    for step, by in ((ReviewStep.SUBMITTED, author), (ReviewStep.APPROVED, one), (ReviewStep.RETURNED, two)):
        await reviews.take(draft, step, version=version, by=by, comment="Look again")
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=two)
    with pytest.raises(SecondApprovalMissing):
        await pricing.publish(draft, by=author, acknowledge="As meant")

    await put(pricing, draft, "89", author)
    with pytest.raises(NotApproved, match="other than its authors"):
        await pricing.publish(draft, by=author, acknowledge="As meant")


@pytest.mark.usefixtures("first")
async def test_a_small_change_needs_one_and_the_house_none(pricing: Pricing, reviews: Reviews, person: Person) -> None:
    pricing.policy = Policy(percent="5")
    author, one = await person("author"), await person("one")
    draft = (await pricing.open_draft(title="Anvils", by=author)).id
    version = await put(pricing, draft, "81", author)
    await reviews.take(draft, ReviewStep.SUBMITTED, version=version, by=author)
    await reviews.take(draft, ReviewStep.APPROVED, version=version, by=one)
    assert (await pricing.publish(draft, by=author, acknowledge="As meant")).demands == []

    draft = (await pricing.open_draft(title="Anvils", by=None)).id
    seen = (await pricing.find_leaf(draft, "row", ANVIL)).seen
    await pricing.put_change(draft, "row", ANVIL, row("120"), by=None, expected=seen)
    published = await pricing.publish(draft, by=None, acknowledge="As meant")
    assert (published.approval, len(published.demands)) == (Approval.HOUSE, 1)
