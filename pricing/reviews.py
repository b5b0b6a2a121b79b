"""Review of drafts: an author submits one, another person approves or returns it, anybody comments.

Each step is a row that names the version of the draft it was about; an edit makes the next version, about which nothing
was said yet. So an approval cannot outlive what it approved.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.ids import new_id
from pricing import content as leaf
from pricing import store
from pricing.model import Approval, DraftState, PriceDraft, PriceReview, ReviewStep

COMMENT_MOST: Final = 2000
_AFTER: Final[dict[ReviewStep, set[ReviewStep | None]]] = {
    ReviewStep.SUBMITTED: {None, ReviewStep.RETURNED},
    ReviewStep.APPROVED: {ReviewStep.SUBMITTED, ReviewStep.APPROVED},
    ReviewStep.RETURNED: {ReviewStep.SUBMITTED, ReviewStep.APPROVED},
}
"""Which step may follow which, within one version of the draft; None: nothing was said yet."""


class DraftNotFound(NotFound):
    problem = "price-draft-not-found"
    title = "There is no such price draft"


class DraftClosed(Conflict):
    problem = "price-draft-closed"
    title = "This draft was published or discarded"


class DraftMoved(Conflict):
    problem = "price-draft-moved"
    title = "The draft was edited meanwhile"


class ReviewOutOfTurn(Conflict):
    problem = "price-review-out-of-turn"
    title = "The review has moved on"


class ApproverIsAuthor(Refused):
    problem = "price-approver-is-author"
    title = "Whoever wrote or submitted a draft does not approve it"


class CommentUnusable(Refused):
    problem = "price-comment-unusable"
    title = "A comment is a sentence"


class NotApproved(Refused):
    problem = "price-not-approved"
    title = "The draft is not approved"


class SecondApprovalMissing(NotApproved):
    """The draft moves more than one approver may let pass."""

    problem = "price-second-approval-missing"
    title = "The draft needs a second approver"


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What a publication records: how it came to be allowed, and by whose approval, if by anybody's."""

    approval: Approval
    by: uuid.UUID | None = None
    at: datetime | None = None
    second_by: uuid.UUID | None = None
    second_at: datetime | None = None


class Reviews:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def list_steps(self, draft_id: uuid.UUID) -> Sequence[PriceReview]:
        """All that was said of the draft, oldest first."""
        async with self.db.begin(for_staff()) as session:
            return await store.list_reviews(session, draft_id)

    async def list_standing(self, drafts: Iterable[PriceDraft]) -> dict[uuid.UUID, ReviewStep]:
        """By id, where the review of each draft as it is now stands; without those about which nothing was said."""
        versions = {draft.id: draft.version for draft in drafts}
        steps: dict[uuid.UUID, list[PriceReview]] = {}
        async with self.db.begin(for_staff()) as session:
            for each in await store.list_reviews_of(session, versions.keys()):
                steps.setdefault(each.draft_id, []).append(each)
        found = {draft_id: standing(said, versions[draft_id]) for draft_id, said in steps.items()}
        return {draft_id: last.step for draft_id, last in found.items() if last is not None}

    async def take(
        self, draft_id: uuid.UUID, step: ReviewStep, *, version: int, by: uuid.UUID, comment: str = ""
    ) -> None:
        """Take a step of the review. *version*: of the draft that *by* looked at. Who returns a draft or comments says
        something.

        :raises DraftMoved: when the draft was edited since
        :raises ReviewOutOfTurn: when the step doesn't follow the last one, such as approving what nobody submitted
        :raises ApproverIsAuthor: when *by* opened, edited or submitted what they would approve
        :raises CommentUnusable: when the comment is missing where it is needed, or too long
        :raises DraftNotFound, DraftClosed: when there is no open draft of this id
        """
        leaf.storable(comment)
        comment = comment.strip()
        needed = step in {ReviewStep.RETURNED, ReviewStep.COMMENTED}
        if len(comment) > COMMENT_MOST or (needed and not comment):
            raise CommentUnusable(f"Write 1 to {COMMENT_MOST:,} characters.")
        async with self.db.begin(for_staff()) as session:
            draft = await store.lock_draft(session, draft_id)
            if draft is None:
                raise DraftNotFound("There is no such draft.")
            if draft.state is not DraftState.OPEN:
                raise DraftClosed(f"The draft {draft.title!r} is {draft.state.value}. Open a new one.")
            if step is not ReviewStep.COMMENTED:
                await _in_turn(session, draft, step, version=version, by=by)
            session.add(
                PriceReview(
                    id=new_id(),
                    draft_id=draft_id,
                    draft_version=draft.version,
                    step=step,
                    comment=comment,
                    person_id=by,
                    taken_at=self.clock.now(),
                )
            )


def standing(steps: Sequence[PriceReview], version: int) -> PriceReview | None:
    """The last step taken about this version of the draft, comments aside."""
    about = [each for each in steps if each.draft_version == version and each.step is not ReviewStep.COMMENTED]
    return about[-1] if about else None


def approvals(steps: Sequence[PriceReview], version: int) -> list[PriceReview]:
    """The approvals that stand about this version of the draft, oldest first, each by somebody else."""
    found: list[PriceReview] = []
    for each in steps:
        if each.draft_version != version or each.step is ReviewStep.COMMENTED:
            continue
        found = [*found, each] if each.step is ReviewStep.APPROVED else []
    return found


async def approved(
    session: AsyncSession, draft: PriceDraft, *, by: uuid.UUID | None, required: bool, second: bool = False
) -> Approved:
    """How the draft, as it is, may be published by *by*. *second*: two have to approve it.

    :raises NotApproved: when an approval is required of a person, and missing
    :raises SecondApprovalMissing: when there is but one of two
    """
    given = approvals(await store.list_reviews(session, draft.id), draft.version)
    if len(given) > second:
        other = given[1] if len(given) > 1 else None
        return Approved(
            approval=Approval.GIVEN,
            by=given[0].person_id,
            at=given[0].taken_at,
            second_by=None if other is None else other.person_id,
            second_at=None if other is None else other.taken_at,
        )
    if by is None:
        return Approved(approval=Approval.HOUSE)
    if required and given:
        raise SecondApprovalMissing("This draft moves so much that a second colleague has to approve it, as it is now.")
    if required:
        raise NotApproved("Somebody other than its authors has to approve this draft, as it is now. Submit it first.")
    return Approved(approval=Approval.OFF)


async def _in_turn(session: AsyncSession, draft: PriceDraft, step: ReviewStep, *, version: int, by: uuid.UUID) -> None:
    if draft.version != version:
        raise DraftMoved("The draft was edited since you looked at it. Look at it again.")
    steps = await store.list_reviews(session, draft.id)
    last = standing(steps, version)
    if (None if last is None else last.step) not in _AFTER[step]:
        raise ReviewOutOfTurn("Somebody else took this step first, or the one before it is missing.")
    if step is ReviewStep.APPROVED:
        authors = await store.list_authors(session, draft.id)
        if by in authors or by in _submitters(steps, version):
            raise ApproverIsAuthor("Whoever wrote or submitted a draft cannot approve it. Ask a colleague.")
        if by in {each.person_id for each in approvals(steps, version)}:
            raise ReviewOutOfTurn("You have approved it. A second approval is somebody else's.")


def _submitters(steps: Sequence[PriceReview], version: int) -> set[uuid.UUID]:
    return {each.person_id for each in steps if each.step is ReviewStep.SUBMITTED and each.draft_version == version}
