"""What a feed is of: a published book and an instant at which it was in force.

A partner who names the two it last had gets what changed since. A book counts as at hand while few publications have
come after it; to bring back an older one would cost more than the whole feed of today does.
"""

from datetime import datetime, timedelta
from typing import Final

from kernel.errors import DomainError, NotFound
from pricing.books import InForce, NoBookPublished, PriceBooks
from pricing.compiled import CompiledBook

PUBLICATIONS_AT_HAND: Final = 12


class FeedGone(DomainError):
    problem = "price-feed-gone"
    status = 410
    title = "This state of the feed is no longer at hand"


class NotInForceThen(NotFound):
    problem = "price-book-not-in-force"
    title = "That price book was not in force at that instant"


def period_of(books: PriceBooks, root: str, at: datetime, *, now: datetime) -> InForce:
    """The publication of *root* that was in force at *at*.

    :raises NotInForceThen: when *root* was not in force then, or *at* is to come
    :raises FeedGone: when too many publications have come since
    :raises BookUnavailable: as `PriceBooks.in_force`
    """
    current = books.in_force(now)
    try:
        found = books.in_force(at)
    except NoBookPublished:
        found = None
    if found is None or found.root != root or at > now:
        raise NotInForceThen("This root was not in force at this instant. `GET /api/v1/price-books` lists what was.")
    if found.number < current.number - PUBLICATIONS_AT_HAND:
        raise FeedGone(
            f"More than {PUBLICATIONS_AT_HAND} price books have come since. Take the whole feed again: "
            "`GET /api/v1/price-feed` without a cursor."
        )
    return found


async def book_of(books: PriceBooks, root: str, at: datetime, *, now: datetime) -> CompiledBook:
    """As `period_of`, the book itself."""
    return await books.load(period_of(books, root, at, now=now).root)


def last_in_force(books: PriceBooks, root: str, *, now: datetime) -> datetime:
    """The last instant, up to *now*, at which *root* was in force.

    :raises NotInForceThen: when it never was
    """
    end = now
    for entry in reversed(books.published()):
        if entry.effective_at > now:
            continue
        if entry.root == root:
            return end
        end = entry.effective_at - _MOMENT
    raise NotInForceThen("This root was never in force. `GET /api/v1/price-books` lists those that were.")


_MOMENT: Final = timedelta(microseconds=1)
