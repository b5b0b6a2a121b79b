"""How long secrets live."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from accounts.model import Person


class Lifetime(msgspec.Struct, frozen=True):
    """A session ends *idle* after its last use, and *absolute* after its beginning however much it is used."""

    idle: timedelta
    absolute: timedelta

    def expiry(self, created_at: datetime, now: datetime) -> datetime:
        return min(now + self.idle, created_at + self.absolute)


VISITOR: Final = Lifetime(timedelta(days=30), timedelta(days=180))
"""A cart is still there when the budget is approved; nothing of a company's can be seen by it."""
MEMBER: Final = Lifetime(timedelta(hours=12), timedelta(days=14))
STAFF: Final = Lifetime(timedelta(hours=2), timedelta(hours=12))

EMAIL_CODE: Final = timedelta(minutes=15)
PASSWORD_RESET: Final = timedelta(hours=1)
INVITATION: Final = timedelta(days=7)
API_KEY: Final = timedelta(days=365)
STAFF_KEY: Final = timedelta(days=90)
"""It changes every price: shorter than a partner's."""
USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""The last use of a session or key is written at most so often."""


def session_lifetime(person: Person | None) -> Lifetime:
    if person is None:
        return VISITOR
    return MEMBER if person.staff_role is None else STAFF
