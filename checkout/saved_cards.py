"""Cards that a buyer agreed, on Stripe's page, to keep for the company's later orders. Stripe holds them."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from checkout import store
from checkout.model import CallOutcome, Order, SavedCard
from checkout.stripe_gateway import CardSeen, StripeGateway
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import NotFound
from kernel.failpoints import Failpoint
from kernel.ids import new_id

REMOVE: Final = Failpoint("checkout.card.remove")
DETACHED: Final = Failpoint("checkout.card.detached")
DETACHED_AT_ONCE: Final = 50

log = structlog.get_logger(__name__)


class CardUnknown(NotFound):
    problem = "saved-card-unknown"
    title = "This card is not kept any more"


class SavedCards:
    """A company's cards. Callers have checked that members ask, and that who removes one is its admin."""

    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway

    async def list_cards(self, principal: Principal) -> Sequence[SavedCard]:
        """Those that are kept, the last saved first, expired ones among them."""
        if principal.company_id is None:
            return ()
        async with self.db.reading(principal.db_scope()) as session:
            return await store.list_saved_cards(session, principal.company_id)

    async def remove(self, principal: Principal, card_id: uuid.UUID) -> None:
        """From now on nobody can pay with it here; Stripe forgets it now or, if it can't be asked, at a later sweep.

        :raises CardUnknown: when it is not the company's, or was removed before
        """
        async with self.db.begin(principal.db_scope(), REMOVE) as session:
            card = await store.lock_saved_card(session, card_id)
            if card is None or card.company_id != principal.company_id or card.removed_at is not None:
                raise CardUnknown("This card is not kept any more.")
            card.removed_at, card.removed_by = self.clock.now(), principal.person_id
        await self._detach(card)

    async def detach_removed(self) -> None:
        """Have Stripe forget what was removed while it could not be asked."""
        async with self.db.reading(for_staff()) as session:
            cards = await store.list_cards_to_detach(session, limit=DETACHED_AT_ONCE)
        for card in cards:
            await self._detach(card)

    async def _detach(self, card: SavedCard) -> None:
        answer = await self.gateway.detach_card(card.payment_method_id, key=f"tarifa-{card.id}-detach")
        if answer.outcome not in {CallOutcome.DONE, CallOutcome.REFUSED}:
            log.warning("card not detached yet", card=str(card.id), detail=answer.detail)
            return
        async with self.db.begin(for_staff(), DETACHED) as session:
            stored = await store.lock_saved_card(session, card.id)
            assert stored is not None, "cards are never deleted"
            stored.detached_at = self.clock.now()


def expired(card: SavedCard, now: datetime) -> bool:
    """Cards are good until the end of the month that stands on them."""
    return (card.expires_year, card.expires_month) < (now.year, now.month)


async def keep_card(session: AsyncSession, order: Order, card: CardSeen, *, now: datetime) -> None:
    """The buyer paid *order* and ticked that the card be kept; told again, nothing changes."""
    customer_id = await store.find_stripe_customer(session, order.company_id)
    if customer_id is None or card.customer_id != customer_id or not card.kept:
        return
    await store.insert_saved_card(
        session,
        SavedCard(
            id=new_id(),
            company_id=order.company_id,
            payment_method_id=card.id,
            brand=card.brand,
            last4=card.last4,
            expires_month=card.expires_month,
            expires_year=card.expires_year,
            saved_by=order.person_id,
            saved_at=now,
        ),
    )
