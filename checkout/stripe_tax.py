"""Tax by Stripe, where the house has chosen it: calculated before the buyer is shown an order, kept as its input.

Nothing is calculated inside a transaction: who prices an order and finds no calculation for exactly what it asks says
so, its transaction ends, the calculation is made and kept, and the order is priced again. The last act never
calculates: what it needs was kept when the order was shown, or the buyer is shown it again.
"""

import uuid
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from agreements.service import PresentationStale
from checkout.stripe_gateway import StripeGateway
from checkout.tax_calculation import TaxCalculation, read, without_place
from kernel.canonical import canonical_json, digest
from kernel.clock import Clock
from kernel.db import Base, Database, for_company
from kernel.errors import Unavailable
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from pricing.engine.request import Quote

VALID_FOR: Final = timedelta(days=1)
ROUNDS_MOST: Final = 3
"""An approver's basket, paid on terms or at once, asks for one each."""

CALCULATED: Final = Failpoint("checkout.tax.calculated")


class TaxUnavailable(Unavailable):
    problem = "tax-unavailable"
    title = "The tax cannot be calculated at the moment"


class TaxNotCalculated(PresentationStale):
    """Nobody has asked Stripe about exactly this order, or it was too long ago: it has to be shown again."""

    def __init__(self, *, checkout_id: uuid.UUID, company_id: uuid.UUID, request: dict[str, Any], quote: Quote) -> None:
        self.checkout_id, self.company_id = checkout_id, company_id
        self.request, self.quote = request, quote
        super().__init__(
            "Nothing was ordered: the tax has to be calculated again. Look at it and accept again.", changed=["order"]
        )


class TaxCalculationRow(Base, kw_only=True):
    """A calculation, with the digest of the request it answers, and that request without street and town. Never
    changed, not even when a person is erased: it names nobody.
    """

    __tablename__ = "tax_calculation"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    checkout_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("checkout.id"))
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    request_digest: Mapped[str]
    request: Mapped[str]
    stripe_calculation_id: Mapped[str]
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    calculated_at: Mapped[datetime]


class StripeTax:
    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway

    async def find(
        self,
        session: AsyncSession,
        *,
        checkout_id: uuid.UUID,
        company_id: uuid.UUID,
        request: dict[str, Any],
        quote: Quote,
    ) -> TaxCalculation:
        """The kept calculation of exactly *request*.

        :raises TaxNotCalculated: when there is none, or it is too old
        """
        query = (
            sa.select(TaxCalculationRow.result)
            .where(
                TaxCalculationRow.checkout_id == checkout_id,
                TaxCalculationRow.request_digest == digest(request),
                TaxCalculationRow.calculated_at > self.clock.now() - VALID_FOR,
            )
            .order_by(TaxCalculationRow.calculated_at)
            .limit(1)
        )
        found = await session.scalar(query)
        if found is None:
            raise TaxNotCalculated(checkout_id=checkout_id, company_id=company_id, request=request, quote=quote)
        return msgspec.convert(found, TaxCalculation)

    async def calculate(self, missing: TaxNotCalculated) -> None:
        """Ask Stripe, with no transaction open, and keep what it said.

        :raises TaxUnavailable: when it doesn't answer in time, or not with a calculation of this order
        :raises checkout.tax.TaxNotKnown: when it refuses the address
        """
        answer = await self.gateway.calculate_tax(missing.request)
        try:
            if answer is None:
                raise TaxUnavailable("The tax could not be calculated. Nothing is lost; please try again in a minute.")
            calculation = read(answer, missing.quote)
        except (msgspec.ValidationError, ValueError) as error:
            raise TaxUnavailable("The tax could not be calculated. Nothing is lost; please try again.") from error
        async with self.db.begin(for_company(missing.company_id), CALCULATED) as session:
            session.add(
                TaxCalculationRow(
                    id=new_id(),
                    checkout_id=missing.checkout_id,
                    company_id=missing.company_id,
                    request_digest=digest(missing.request),
                    request=canonical_json(without_place(missing.request)).decode(),
                    stripe_calculation_id=calculation.id,
                    result=msgspec.to_builtins(calculation),
                    calculated_at=self.clock.now(),
                )
            )


class HasStripeTax(Protocol):
    @property
    def stripe_tax(self) -> StripeTax | None: ...


S = TypeVar("S", bound=HasStripeTax)
P = ParamSpec("P")
T = TypeVar("T")


def calculating(
    act: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Have *act* done again once the tax is calculated whose lack ended it."""

    @wraps(act)
    async def again(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ROUNDS_MOST):
            try:
                return await act(self, *args, **kwargs)
            except TaxNotCalculated as missing:
                if self.stripe_tax is None:
                    raise
                await self.stripe_tax.calculate(missing)
        return await act(self, *args, **kwargs)

    return again
