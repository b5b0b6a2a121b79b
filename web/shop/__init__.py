"""Buyer pages."""

from litestar.types import ControllerRouterHandler

from web.shop import (
    account,
    approvals,
    buying_policy,
    cart,
    catalog,
    checkout,
    document_versions,
    documents,
    entrance,
    framework,
    invoices,
    ledger,
    orders,
    packages,
    privacy,
    quotes,
    receipts,
    renderings,
    tax_papers,
)


def routes() -> list[ControllerRouterHandler]:
    """Every page of the shop."""
    return [
        *catalog.HANDLERS,
        *entrance.HANDLERS,
        *cart.HANDLERS,
        *checkout.HANDLERS,
        *approvals.HANDLERS,
        *packages.HANDLERS,
        *orders.HANDLERS,
        *quotes.HANDLERS,
        *documents.HANDLERS,
        *document_versions.HANDLERS,
        *ledger.HANDLERS,
        *receipts.HANDLERS,
        *renderings.HANDLERS,
        *account.HANDLERS,
        *privacy.HANDLERS,
        *invoices.HANDLERS,
        *framework.HANDLERS,
        *buying_policy.HANDLERS,
        *tax_papers.HANDLERS,
    ]
