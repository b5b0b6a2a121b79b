"""Staff's pages."""

from litestar.types import ControllerRouterHandler

from web.desk import (
    agreement_drafts,
    agreement_notices,
    agreement_rules,
    agreements,
    book_pages,
    charges,
    credit,
    disputes,
    drafts,
    history,
    impact_pages,
    keys,
    money,
    orders,
    payments,
    preview,
    price_audits,
    price_pages,
    prices,
    refunds,
    rule_pages,
    segments,
    sheets,
    start,
    unknown_money,
    webhooks,
)


def routes() -> list[ControllerRouterHandler]:
    """Every page of the desk."""
    return [
        *start.HANDLERS,
        *orders.HANDLERS,
        *refunds.HANDLERS,
        *charges.HANDLERS,
        *money.HANDLERS,
        *unknown_money.HANDLERS,
        *disputes.HANDLERS,
        *credit.HANDLERS,
        *payments.HANDLERS,
        *prices.HANDLERS,
        *history.HANDLERS,
        *drafts.HANDLERS,
        *price_pages.HANDLERS,
        *rule_pages.HANDLERS,
        *book_pages.HANDLERS,
        *preview.HANDLERS,
        *segments.HANDLERS,
        *webhooks.HANDLERS,
        *sheets.HANDLERS,
        *impact_pages.HANDLERS,
        *price_audits.HANDLERS,
        *agreements.HANDLERS,
        *agreement_drafts.HANDLERS,
        *agreement_rules.HANDLERS,
        *agreement_notices.HANDLERS,
        *keys.HANDLERS,
    ]
