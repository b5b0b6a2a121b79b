"""Which segments a company is in: what price lists and rules ask of a buyer, besides its code and country.

It is the buyer's, not the price book's, so it holds at once, without a draft; see ADR 14.
"""

import re
import uuid
from collections.abc import Collection, Sequence
from typing import Final

from accounts import store
from accounts.member_service import NoSuchCompany
from accounts.model import Company, SegmentChange
from accounts.webhooks.outbox import QUEUE, TELL_PRICES_TASK
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, Refused
from kernel.ids import new_id
from kernel.jobs import enqueue

REASON_MOST: Final = 1000
SEGMENTS_MOST: Final = 50
SEGMENT: Final = re.compile(r"[^\x00-\x1f\x7f;]{1,200}")
"""Files join them by semicolons."""


class SegmentsMoved(Conflict):
    """*segments*: those that the company is in now."""

    problem = "segments-moved"
    title = "The company's segments were changed meanwhile"


class SegmentChangeUnusable(Refused):
    problem = "segment-change-unusable"
    title = "A change of segments needs something to change, usable codes and a reason"


class Segments:
    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def find(self, code: str) -> Company:
        """:raises NoSuchCompany: when there is no company of this code"""
        async with self._db.begin(for_staff()) as session:
            return _found(await store.find_company_by_code(session, code), code)

    async def assign(
        self, code: str, segments: Collection[str], *, shown: Collection[str], reason: str, by: uuid.UUID | None
    ) -> SegmentChange:
        """Let the company be in *segments* and no others. *shown*: those it was in when *by* decided.

        :raises NoSuchCompany: when there is no company of this code
        :raises SegmentsMoved: when it is in others than *shown* by now; nothing is changed
        :raises SegmentChangeUnusable: when nothing changes, a code cannot be used, or there is no reason
        """
        wanted, reason = sorted(set(segments)), reason.strip()
        if not 0 < len(reason) <= REASON_MOST or "\x00" in reason:
            raise SegmentChangeUnusable(f"Say why in 1 to {REASON_MOST:,} characters.")
        unusable = [segment for segment in wanted if SEGMENT.fullmatch(segment) is None or segment != segment.strip()]
        if unusable:
            raise SegmentChangeUnusable(f"{unusable[0]!r} is no code: 1 to 200 characters, without semicolons.")
        if len(wanted) > SEGMENTS_MOST:
            raise SegmentChangeUnusable(f"A company is in at most {SEGMENTS_MOST} segments.")
        async with self._db.begin(for_staff()) as session:
            known = _found(await store.find_company_by_code(session, code), code)
            company = _found(await store.lock_company(session, known.id), code)
            before = sorted(set(company.segments))
            if before != sorted(set(shown)):
                named = ", ".join(before) or "none"
                raise SegmentsMoved(f"{code} is in these segments by now: {named}. Look again.", segments=before)
            if before == wanted:
                raise SegmentChangeUnusable(f"{code} is in these segments already.")
            company.segments = wanted
            change = SegmentChange(
                id=new_id(),
                company_id=company.id,
                before=before,
                after=wanted,
                reason=reason,
                changed_by=by,
                changed_at=self._clock.now(),
            )
            session.add(change)
            # the trigger on the company's row tells every worker; its partner programs are told from here
            await enqueue(session, TELL_PRICES_TASK, {}, queue=QUEUE)
            return change

    async def list_companies(
        self, *, after: str = "", segment: str | None = None, limit: int | None = None
    ) -> Sequence[Company]:
        """By code: those after a code, in a segment, and so many at most."""
        async with self._db.begin(for_staff()) as session:
            return await store.list_companies(session, after=after, segment=segment, limit=limit)

    async def list_changes(self, *, company_id: uuid.UUID | None = None, limit: int) -> Sequence[SegmentChange]:
        """The newest first: of all companies, or of one."""
        async with self._db.begin(for_staff()) as session:
            return await store.list_segment_changes(session, company_id, limit)


def _found(company: Company | None, code: str) -> Company:
    if company is None:
        raise NoSuchCompany(f"There is no company {code}.")
    return company
