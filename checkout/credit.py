"""Paying later: which companies may, after how many days, and up to what they owe at once. Finance decides.

What a company owes on terms is counted anew whenever it orders, with the company's terms locked, so that orders placed
at once never exceed the limit together; the database counts again behind it (migration 29).
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from accounts.store import find_company_by_code
from checkout import terms_store
from checkout.terms_model import CreditChange, CreditTerms
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.money import Money

REASON_MOST: Final = 1000
NET_DAYS_MOST: Final = 365
CHANGES_SHOWN: Final = 50

CHANGE: Final = Failpoint("checkout.credit.change")


class CreditExceeded(Conflict):
    """`extra["left"]` is what of the credit is left, `extra["total"]` what the order comes to, both in
    `extra["currency"]`.
    """

    problem = "credit-limit-exceeded"
    title = "The order is more than the credit that is left"

    def __init__(self, left: Money, total: Money) -> None:
        self.left, self.total = left, total
        super().__init__(
            f"{left} of your credit is left and the order comes to {total}. Nothing was ordered: pay this order now, "
            "order less, or ask us for a higher limit.",
            left=left.decimal,
            total=total.decimal,
            currency=total.currency,
        )


class CreditUnavailable(Conflict):
    problem = "credit-unavailable"
    title = "This order cannot be paid by invoice"


class CreditCompanyUnknown(NotFound):
    problem = "credit-company-unknown"
    title = "There is no such company"


class CreditMoved(Conflict):
    problem = "credit-moved"
    title = "The company's terms were changed meanwhile"


class CreditChangeUnusable(Refused):
    problem = "credit-change-unusable"
    title = "A change of terms needs something to change and a reason"


class CreditCurrencyFixed(Conflict):
    problem = "credit-currency-fixed"
    title = "The currency is fixed while something is open"


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """A company's terms as they stand, and what of the limit is used."""

    net_days: int
    limit: Money
    used: Money

    @property
    def left(self) -> Money:
        """Never below nothing: a limit may have been lowered below what is open."""
        return max(self.limit - self.used, Money.zero(self.limit.currency))

    def covers(self, total: Money) -> bool:
        return total.currency == self.limit.currency and total <= self.left


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What finance gives: an invoice is due *net_days* after it is made, and *limit* is the most that is open."""

    net_days: int
    limit: Money

    def as_kept(self) -> dict[str, Any]:
        return {
            "net_days": self.net_days,
            "limit": {"amount": self.limit.decimal, "currency": self.limit.currency},
        }


class CompanyCredit(msgspec.Struct, frozen=True, kw_only=True):
    """A company at the desk. *credit* None: it never had terms. *open_*: whether it may order on them now."""

    company: Company
    credit: Credit | None
    open_: bool


class CreditControl:
    """The desk's side; callers have checked that finance asks."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def list_companies(self) -> tuple[CompanyCredit, ...]:
        """Every company that has or had terms, by code."""
        async with self.db.reading(for_staff()) as session:
            found = await terms_store.list_terms(session)
        return tuple(
            CompanyCredit(company=company, credit=_credit(terms, used), open_=terms.withdrawn_at is None)
            for terms, company, used in found
        )

    async def find(self, code: str) -> tuple[CompanyCredit, Sequence[CreditChange]]:
        """A company with its terms, and what was decided about them, newest first.

        :raises CreditCompanyUnknown: when there is no company of this code
        """
        async with self.db.reading(for_staff()) as session:
            company = await _company(session, code)
            terms = await terms_store.find_terms(session, company.id)
            credit = None if terms is None else await _counted(session, terms)
            changes = await terms_store.list_credit_changes(session, company.id, limit=CHANGES_SHOWN)
        known = CompanyCredit(company=company, credit=credit, open_=terms is not None and terms.withdrawn_at is None)
        return known, changes

    async def change(
        self, code: str, terms: Terms | None, *, shown: Terms | None, reason: str, by: uuid.UUID | None
    ) -> CreditChange:
        """Give a company *terms*, or withdraw them with None. *shown*: those it had when *by* decided.

        What is open stays as it was agreed: a lower limit or none only refuses further orders.

        :raises CreditCompanyUnknown: when there is no company of this code
        :raises CreditMoved: when it has others than *shown* by now; nothing is changed
        :raises CreditChangeUnusable: when nothing changes, the days are none, or there is no reason
        :raises CreditCurrencyFixed: when something is open in another currency
        """
        reason, now = reason.strip(), self.clock.now()
        if not 0 < len(reason) <= REASON_MOST or "\x00" in reason:
            raise CreditChangeUnusable(f"Say why in 1 to {REASON_MOST:,} characters.")
        if terms is not None and not (1 <= terms.net_days <= NET_DAYS_MOST and not terms.limit.minor < 0):
            raise CreditChangeUnusable(f"Give 1 to {NET_DAYS_MOST} days, and a limit that is not below 0.")
        async with self.db.begin(for_staff(), CHANGE) as session:
            company = await _company(session, code, lock=True)
            kept = await terms_store.lock_terms(session, company.id)
            before = None if kept is None or kept.withdrawn_at is not None else _terms(kept)
            if before != shown:
                raise CreditMoved(f"The terms of {code} were changed meanwhile. Look at them again.")
            if before == terms:
                raise CreditChangeUnusable("Nothing is changed: these are the terms already.")
            if terms is not None and await terms_store.is_open_in_other_currency(
                session, company.id, terms.limit.currency
            ):
                raise CreditCurrencyFixed("Orders in the other currency are open. They have to be paid first.")
            if kept is None:
                assert terms is not None, "withdrawing what is not there changes nothing"
                kept = CreditTerms(
                    company_id=company.id,
                    net_days=terms.net_days,
                    limit_minor=terms.limit.minor,
                    currency=terms.limit.currency,
                    changed_at=now,
                )
                session.add(kept)
            elif terms is not None:
                kept.net_days, kept.limit_minor, kept.currency = (
                    terms.net_days,
                    terms.limit.minor,
                    terms.limit.currency,
                )
            kept.changed_at, kept.withdrawn_at = now, now if terms is None else None
            change = CreditChange(
                id=new_id(),
                company_id=company.id,
                before=None if before is None else before.as_kept(),
                after=None if terms is None else terms.as_kept(),
                reason=reason,
                changed_by=by,
                changed_at=now,
            )
            session.add(change)
        return change


async def standing(session: AsyncSession, company_id: uuid.UUID, currency: str) -> Credit | None:
    """A company's credit for an order in *currency* as it is now; None: it pays at once."""
    terms = await terms_store.find_terms(session, company_id)
    if terms is None or terms.withdrawn_at is not None or terms.currency != currency:
        return None
    return await _counted(session, terms)


async def claim(session: AsyncSession, company_id: uuid.UUID, total: Money) -> Credit:
    """Lock a company's terms and see that *total* more is within them: the caller's order holds it from its commit on.

    :raises CreditUnavailable: when the company has no terms in this currency any more
    :raises CreditExceeded: when less is left
    """
    terms = await terms_store.lock_terms(session, company_id)
    if terms is None or terms.withdrawn_at is not None or terms.currency != total.currency:
        raise CreditUnavailable("Your company cannot pay this order by invoice. Nothing was ordered: pay it now.")
    credit = await _counted(session, terms)
    if not credit.covers(total):
        raise CreditExceeded(credit.left, total)
    return credit


async def _counted(session: AsyncSession, terms: CreditTerms) -> Credit:
    return _credit(terms, await terms_store.open_exposure(session, terms.company_id, terms.currency))


def _credit(terms: CreditTerms, used: int) -> Credit:
    return Credit(net_days=terms.net_days, limit=terms.limit, used=Money(used, terms.currency))


def _terms(kept: CreditTerms) -> Terms:
    return Terms(net_days=kept.net_days, limit=kept.limit)


async def _company(session: AsyncSession, code: str, *, lock: bool = False) -> Company:
    company = await find_company_by_code(session, code) if code.isprintable() else None
    if company is None:
        raise CreditCompanyUnknown(f"There is no company {code[:60]!r}.")
    if lock:
        await session.refresh(company, with_for_update=True)
    return company
