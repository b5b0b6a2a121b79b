"""How long what is kept: periods as data, and the job that deletes what is older.

No period is written in code. `bin/tarifa retention FILE` or the desk sets one, by country of the buyer and kind of
record; a kind without a period is kept until somebody asks for its erasure.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import privacy_store
from accounts.personal_data import Holding, Room
from accounts.principal import Principal
from accounts.privacy_model import RecordKind, RetentionPeriod
from accounts.tax import COUNTRIES
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Malformed, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id

log = structlog.get_logger(__name__)

EXPIRE: Final = Failpoint("privacy.expire")
DAYS_MOST: Final = 36_525
BASIS_MOST: Final = 500


class UnusablePeriods(Malformed):
    problem = "retention-periods-unusable"
    title = "These periods cannot be loaded"


class PeriodRefused(Refused):
    problem = "retention-period-refused"
    title = "This period cannot be kept"


class GivenPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period as a file or a form gives it."""

    kind: RecordKind
    country: str | None
    days: int
    obligatory: bool
    basis: dict[str, str]
    """Why, in `en` and `es`."""


class Periods:
    """The periods that hold, by kind and country."""

    def __init__(self, rows: Sequence[RetentionPeriod]) -> None:
        self._rows = {(row.kind, row.country): row for row in rows}

    def find(self, kind: RecordKind, country: str | None) -> RetentionPeriod | None:
        """Of the country, else the one for all others."""
        return self._rows.get((kind, country)) or self._rows.get((kind, None))

    def longest(self, kind: RecordKind, countries: Sequence[str]) -> RetentionPeriod | None:
        """Of those that oblige where *countries* are, the longest."""
        found = [self.find(kind, country) for country in countries or (None,)]
        return max((row for row in found if row is not None and row.obligatory), key=lambda row: row.days, default=None)

    def of_countries(self, kind: RecordKind) -> dict[str, RetentionPeriod]:
        return {country: row for (each, country), row in self._rows.items() if each is kind and country is not None}

    def listed(self) -> list[RetentionPeriod]:
        return sorted(self._rows.values(), key=lambda row: (list(RecordKind).index(row.kind), row.country or ""))


class Retention:
    """*rooms* as the composition root joins them."""

    def __init__(self, db: Database, clock: Clock, rooms: Sequence[Room]) -> None:
        self._db = db
        self._clock = clock
        self._journeys = [statement for room in rooms for statement in room.journeys]
        self._holdings = [holding for room in rooms for holding in room.holdings if holding.expire]

    async def periods(self) -> Periods:
        async with self._db.reading(for_staff()) as session:
            return Periods(await privacy_store.list_periods(session))

    async def set(self, given: Sequence[GivenPeriod], *, by: Principal | None) -> int:
        """Let these periods hold from now on; how many differ from what held.

        :raises PeriodRefused: naming the first that cannot be kept; none is
        """
        for each in given:
            _refuse_unusable(each)
        async with self._db.begin(for_staff()) as session:
            standing, now = Periods(await privacy_store.list_periods(session)), self._clock.now()
            changed = [each for each in given if not _same(standing, each)]
            session.add_all(
                RetentionPeriod(
                    id=new_id(),
                    country=each.country,
                    kind=each.kind,
                    days=each.days,
                    obligatory=each.obligatory,
                    basis_en=each.basis["en"],
                    basis_es=each.basis["es"],
                    set_by=None if by is None else by.person_id,
                    set_at=now,
                )
                for each in changed
            )
        return len(changed)

    async def expire(self) -> dict[str, int]:
        """Delete what is older than its period, but nothing under a hold; rows by holding. A job calls this daily."""
        done = {}
        for holding in self._holdings:
            async with self._db.begin(for_staff(), EXPIRE) as session:
                done[holding.name] = await self._expire(session, holding)
        log.info("old records deleted", **{name: count for name, count in done.items() if count})
        return done

    async def _expire(self, session: AsyncSession, holding: Holding) -> int:
        periods, now = Periods(await privacy_store.list_periods(session)), self._clock.now()
        values: dict[str, Any] = {
            **await privacy_store.held(session, self._journeys),
            "now": now,
            "before": _before(now, periods.find(holding.kind, None)),
            "befores": befores(now, periods.of_countries(holding.kind)),
        }
        return sum([await privacy_store.run(session, statement, values) for statement in holding.expire])


def read_periods(path: Path) -> list[GivenPeriod]:
    """:raises UnusablePeriods: when the file is none of JSON periods"""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[GivenPeriod])
    except (OSError, msgspec.DecodeError) as error:
        raise UnusablePeriods(f"{path.name}: {error}") from error


def befores(now: datetime, rows: Mapping[str, RetentionPeriod]) -> str:
    """By country, the instant before which records are too old: JSON, for a statement."""
    return msgspec.json.encode({country: now - timedelta(days=row.days) for country, row in rows.items()}).decode()


def _before(now: datetime, row: RetentionPeriod | None) -> datetime | None:
    return None if row is None else now - timedelta(days=row.days)


def _same(periods: Periods, given: GivenPeriod) -> bool:
    found = periods.find(given.kind, given.country)
    return (
        found is not None
        and found.country == given.country
        and (found.days, found.obligatory) == (given.days, given.obligatory)
        and (found.basis_en, found.basis_es) == (given.basis["en"], given.basis["es"])
    )


def _refuse_unusable(given: GivenPeriod) -> None:
    if given.country is not None and given.country not in COUNTRIES:
        raise PeriodRefused(f"{given.country!r} is no country we know; write its two letters, or leave it empty.")
    if not 0 <= given.days <= DAYS_MOST:
        raise PeriodRefused(f"A period has 0 to {DAYS_MOST:,} days.")
    if set(given.basis) != {"en", "es"} or not all(0 < len(text) <= BASIS_MOST for text in given.basis.values()):
        raise PeriodRefused(f"Say in English and in Spanish why, in up to {BASIS_MOST} characters each.")
