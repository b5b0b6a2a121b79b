"""One table of who may call what. A route that is not in it keeps the application from starting."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from accounts.model import FINANCE_ROLES, LEGAL_ROLES, DeskScope, KeyScope, MemberRole
from accounts.principal import Principal, PrincipalKind


class Access(StrEnum):
    """Who may call a route."""

    ANYONE = "anyone"
    MEMBER = "member"
    """Whoever is logged in for a company."""
    COMPANY_ADMIN = "company admin"
    LOGGED_IN = "logged in"
    FINANCE = "finance"
    LEGAL = "legal"
    """The legal desk: documents, evidence, privacy."""
    STAFF = "staff"
    PRICES_KEY = "prices key"
    """The price API: open to all at public prices; a presented key must carry the scope `prices:read`."""
    QUOTES_KEY = "quotes key"
    """As the price API, with the scope `quotes:create`."""
    SIGNED_QUOTES_KEY = "signed quotes key"
    """A key with the scope `quotes:create`, and nobody without one: a promise is made to somebody."""
    ORDERS_KEY = "orders key"
    """A key with the scope `orders:read`, and nobody without one."""
    WEBHOOKS_KEY = "webhooks key"
    """A key with the scope `webhooks:manage`, and nobody without one."""
    DESK_READ_KEY = "desk:read key"
    """A key of somebody at the finance desk, with the scope `desk:read`; the next three likewise. No company's key."""
    DESK_EDIT_KEY = "desk:edit key"
    DESK_APPROVE_KEY = "desk:approve key"
    DESK_PUBLISH_KEY = "desk:publish key"


KEY_SCOPES: Final[dict[Access, KeyScope | DeskScope]] = {
    Access.PRICES_KEY: KeyScope.PRICES_READ,
    Access.QUOTES_KEY: KeyScope.QUOTES_CREATE,
    Access.SIGNED_QUOTES_KEY: KeyScope.QUOTES_CREATE,
    Access.ORDERS_KEY: KeyScope.ORDERS_READ,
    Access.WEBHOOKS_KEY: KeyScope.WEBHOOKS_MANAGE,
    Access.DESK_READ_KEY: DeskScope.READ,
    Access.DESK_EDIT_KEY: DeskScope.EDIT,
    Access.DESK_APPROVE_KEY: DeskScope.APPROVE,
    Access.DESK_PUBLISH_KEY: DeskScope.PUBLISH,
}
DESKS: Final = {Access.FINANCE: FINANCE_ROLES, Access.LEGAL: LEGAL_ROLES}
BY_KEY: Final = frozenset({PrincipalKind.PARTNER, PrincipalKind.STAFF_KEY})


def allows(access: Access, principal: Principal) -> bool:
    """Say whether *principal* may call a route of this *access*."""
    match access:
        case Access.ANYONE:
            return True
        case Access.PRICES_KEY | Access.QUOTES_KEY:
            return principal.kind not in BY_KEY or KEY_SCOPES[access] in principal.scopes
        case Access.ORDERS_KEY | Access.SIGNED_QUOTES_KEY | Access.WEBHOOKS_KEY:
            return principal.kind is PrincipalKind.PARTNER and KEY_SCOPES[access] in principal.scopes
        case Access.DESK_READ_KEY | Access.DESK_EDIT_KEY | Access.DESK_APPROVE_KEY | Access.DESK_PUBLISH_KEY:
            return principal.kind is PrincipalKind.STAFF_KEY and KEY_SCOPES[access] in principal.scopes
        case Access.LOGGED_IN:
            return principal.person_id is not None and principal.kind not in BY_KEY
        case Access.MEMBER:
            return principal.kind is PrincipalKind.MEMBER
        case Access.COMPANY_ADMIN:
            return principal.kind is PrincipalKind.MEMBER and principal.role is MemberRole.ADMIN
        case Access.STAFF:
            return principal.kind is PrincipalKind.STAFF
        case Access.FINANCE | Access.LEGAL:
            return principal.kind is PrincipalKind.STAFF and principal.staff_role in DESKS[access]


# Each line: method, path template, who. Keep it sorted by path, so that a reader finds a route at once.
ROUTES: Final[tuple[tuple[str, str, Access], ...]] = (
    ("GET", "/", Access.ANYONE),
    ("GET", "/.well-known/jwks.json", Access.ANYONE),
    ("GET", "/.well-known/tarifa-keys.json", Access.ANYONE),
    ("GET", "/.well-known/tarifa-ledger/checkpoint", Access.ANYONE),
    ("GET", "/.well-known/tarifa-ledger/checkpoints/{size}", Access.ANYONE),
    ("GET", "/.well-known/tarifa-ledger/consistency", Access.ANYONE),
    ("GET", "/.well-known/tarifa-ledger/inclusion", Access.ANYONE),
    ("GET", "/account", Access.MEMBER),
    ("GET", "/account/approvals", Access.MEMBER),
    ("GET", "/account/approvals/{request_id}", Access.MEMBER),
    ("POST", "/account/approvals/{request_id}/order", Access.MEMBER),
    ("POST", "/account/approvals/{request_id}/rejection", Access.MEMBER),
    ("POST", "/account/approvals/{request_id}/withdrawal", Access.MEMBER),
    ("POST", "/account/cards/{card}/removal", Access.COMPANY_ADMIN),
    ("POST", "/account/details", Access.MEMBER),
    ("POST", "/account/invitations", Access.COMPANY_ADMIN),
    ("POST", "/account/invitations/{invitation}/withdrawal", Access.COMPANY_ADMIN),
    ("GET", "/account/invoices", Access.MEMBER),
    ("POST", "/account/keys", Access.COMPANY_ADMIN),
    ("POST", "/account/keys/{key_id}/revocation", Access.COMPANY_ADMIN),
    ("GET", "/account/members/{person}", Access.COMPANY_ADMIN),
    ("POST", "/account/members/{person}", Access.COMPANY_ADMIN),
    ("POST", "/account/members/{person}/removal", Access.COMPANY_ADMIN),
    ("GET", "/account/packages", Access.MEMBER),
    ("GET", "/account/packages/{package_id}", Access.MEMBER),
    ("GET", "/account/packages/{package_id}/evidence.json", Access.MEMBER),
    ("POST", "/account/packages/{package_id}/parties/{party_id}/invitation", Access.MEMBER),
    ("POST", "/account/packages/{package_id}/refusal", Access.MEMBER),
    ("POST", "/account/packages/{package_id}/signature", Access.MEMBER),
    ("GET", "/account/packages/{package_id}/signed.pdf", Access.MEMBER),
    ("POST", "/account/packages/{package_id}/withdrawal", Access.MEMBER),
    ("GET", "/account/policy", Access.COMPANY_ADMIN),
    ("POST", "/account/policy", Access.COMPANY_ADMIN),
    ("GET", "/account/privacy", Access.MEMBER),
    ("POST", "/account/privacy/consents", Access.MEMBER),
    ("POST", "/account/privacy/exports", Access.MEMBER),
    ("GET", "/account/privacy/exports/{export}", Access.MEMBER),
    ("GET", "/account/tax", Access.MEMBER),
    ("POST", "/account/tax/certificates", Access.MEMBER),
    ("GET", "/api-reference", Access.ANYONE),
    ("GET", "/api/v1/desk/companies", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/comparison", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/acknowledgements", Access.DESK_EDIT_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/approval", Access.DESK_APPROVE_KEY),
    ("DELETE", "/api/v1/desk/drafts/{draft}/change", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/changes", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/comments", Access.DESK_EDIT_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/discard", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/findings", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/impacts", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/impacts/{impact}", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/impacts/{impact}/{table}", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/imports", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/imports", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/imports/{file}", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/imports/{file}/acceptance", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/imports/{file}/changes", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/imports/{file}/comparison", Access.DESK_EDIT_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/imports/{file}/discard", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/imports/{file}/errors.csv", Access.DESK_READ_KEY),
    ("DELETE", "/api/v1/desk/drafts/{draft}/object", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/object", Access.DESK_READ_KEY),
    ("PUT", "/api/v1/desk/drafts/{draft}/object", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/objects", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/preview", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/prices.xlsx", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/prices.zip", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/publication", Access.DESK_PUBLISH_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/return", Access.DESK_APPROVE_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/review", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/drafts/{draft}/rows", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/drafts/{draft}/submission", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/orders/{number}/prices", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/publications", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/publications/{number}", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/publications/{number}/prices.xlsx", Access.DESK_READ_KEY),
    ("GET", "/api/v1/desk/publications/{number}/prices.zip", Access.DESK_READ_KEY),
    ("POST", "/api/v1/desk/publications/{number}/rollback", Access.DESK_PUBLISH_KEY),
    ("GET", "/api/v1/desk/segments", Access.DESK_READ_KEY),
    ("PUT", "/api/v1/desk/segments", Access.DESK_EDIT_KEY),
    ("GET", "/api/v1/desk/skus/{sku}/history", Access.DESK_READ_KEY),
    ("GET", "/api/v1/feed.csv", Access.PRICES_KEY),
    ("GET", "/api/v1/feed.parquet", Access.PRICES_KEY),
    ("GET", "/api/v1/orders", Access.ORDERS_KEY),
    ("GET", "/api/v1/orders/{number}", Access.ORDERS_KEY),
    ("GET", "/api/v1/price-book", Access.PRICES_KEY),
    ("GET", "/api/v1/price-books", Access.PRICES_KEY),
    ("GET", "/api/v1/price-books/current", Access.PRICES_KEY),
    ("GET", "/api/v1/price-books/{root}/delta", Access.PRICES_KEY),
    ("GET", "/api/v1/price-books/{root}/proofs/{kind}", Access.PRICES_KEY),
    ("GET", "/api/v1/price-feed", Access.PRICES_KEY),
    ("GET", "/api/v1/price-history/{sku}", Access.PRICES_KEY),
    ("GET", "/api/v1/prices/{sku}", Access.PRICES_KEY),
    ("POST", "/api/v1/quotes", Access.QUOTES_KEY),
    ("POST", "/api/v1/signed-quotes", Access.SIGNED_QUOTES_KEY),
    ("GET", "/api/v1/signed-quotes/{quote_id}", Access.SIGNED_QUOTES_KEY),
    ("GET", "/api/v1/signed-quotes/{quote_id}/document", Access.SIGNED_QUOTES_KEY),
    ("GET", "/api/v1/signed-quotes/{quote_id}/order", Access.SIGNED_QUOTES_KEY),
    ("GET", "/api/v1/signed-quotes/{quote_id}/package", Access.SIGNED_QUOTES_KEY),
    ("GET", "/api/v1/webhook-endpoints", Access.WEBHOOKS_KEY),
    ("POST", "/api/v1/webhook-endpoints", Access.WEBHOOKS_KEY),
    ("DELETE", "/api/v1/webhook-endpoints/{endpoint_id}", Access.WEBHOOKS_KEY),
    ("GET", "/api/v1/webhook-endpoints/{endpoint_id}", Access.WEBHOOKS_KEY),
    ("PATCH", "/api/v1/webhook-endpoints/{endpoint_id}", Access.WEBHOOKS_KEY),
    ("GET", "/api/v1/webhook-endpoints/{endpoint_id}/messages", Access.WEBHOOKS_KEY),
    ("POST", "/api/v1/webhook-endpoints/{endpoint_id}/replay", Access.WEBHOOKS_KEY),
    ("POST", "/api/v1/webhook-endpoints/{endpoint_id}/secret", Access.WEBHOOKS_KEY),
    ("POST", "/api/v1/webhook-endpoints/{endpoint_id}/test", Access.WEBHOOKS_KEY),
    ("GET", "/api/v1/webhook-messages/{message_id}", Access.WEBHOOKS_KEY),
    ("POST", "/api/v1/webhook-messages/{message_id}/replay", Access.WEBHOOKS_KEY),
    ("GET", "/cart", Access.ANYONE),
    ("POST", "/cart/currency", Access.ANYONE),
    ("POST", "/cart/lines", Access.ANYONE),
    ("POST", "/cart/lines/{position}", Access.ANYONE),
    ("POST", "/cart/lines/{position}/removal", Access.ANYONE),
    ("POST", "/cart/quote", Access.MEMBER),
    ("POST", "/cart/quote/removal", Access.MEMBER),
    ("GET", "/catalog", Access.ANYONE),
    ("GET", "/catalog/{category}", Access.ANYONE),
    ("GET", "/checkout/approval", Access.MEMBER),
    ("POST", "/checkout/approval", Access.MEMBER),
    ("POST", "/checkout/decline", Access.MEMBER),
    ("GET", "/checkout/declined", Access.MEMBER),
    ("GET", "/checkout/details", Access.ANYONE),
    ("POST", "/checkout/details", Access.ANYONE),
    ("POST", "/checkout/legal-review", Access.MEMBER),
    ("POST", "/checkout/orders", Access.ANYONE),
    ("POST", "/checkout/paying", Access.MEMBER),
    ("GET", "/checkout/review", Access.ANYONE),
    ("GET", "/checkout/signatures", Access.MEMBER),
    ("POST", "/checkout/signatures", Access.MEMBER),
    ("GET", "/desk", Access.STAFF),
    ("GET", "/desk/agreements", Access.LEGAL),
    ("POST", "/desk/agreements", Access.LEGAL),
    ("GET", "/desk/agreements/countries", Access.LEGAL),
    ("POST", "/desk/agreements/countries", Access.LEGAL),
    ("GET", "/desk/agreements/documents/{code}", Access.LEGAL),
    ("POST", "/desk/agreements/documents/{code}/drafts", Access.LEGAL),
    ("POST", "/desk/agreements/documents/{code}/withdrawal", Access.LEGAL),
    ("GET", "/desk/agreements/drafts/{draft}", Access.LEGAL),
    ("POST", "/desk/agreements/drafts/{draft}", Access.LEGAL),
    ("POST", "/desk/agreements/drafts/{draft}/discard", Access.LEGAL),
    ("POST", "/desk/agreements/drafts/{draft}/publication", Access.LEGAL),
    ("POST", "/desk/agreements/drafts/{draft}/review", Access.LEGAL),
    ("GET", "/desk/agreements/drafts/{draft}/texts/{language}", Access.LEGAL),
    ("POST", "/desk/agreements/drafts/{draft}/texts/{language}", Access.LEGAL),
    ("GET", "/desk/agreements/drafts/{draft}/texts/{language}/pdf", Access.LEGAL),
    ("GET", "/desk/agreements/log", Access.LEGAL),
    ("GET", "/desk/agreements/notices", Access.LEGAL),
    ("GET", "/desk/agreements/rule", Access.LEGAL),
    ("POST", "/desk/agreements/rule", Access.LEGAL),
    ("GET", "/desk/agreements/rules", Access.LEGAL),
    ("GET", "/desk/credit", Access.FINANCE),
    ("GET", "/desk/credit/company", Access.FINANCE),
    ("POST", "/desk/credit/company", Access.FINANCE),
    ("GET", "/desk/disputes", Access.STAFF),
    ("POST", "/desk/disputes", Access.FINANCE),
    ("GET", "/desk/disputes/{dispute}", Access.STAFF),
    ("POST", "/desk/disputes/{dispute}/concession", Access.FINANCE),
    ("POST", "/desk/disputes/{dispute}/evidence", Access.FINANCE),
    ("GET", "/desk/exemptions", Access.FINANCE),
    ("POST", "/desk/exemptions/{certificate}", Access.FINANCE),
    ("GET", "/desk/invoices", Access.STAFF),
    ("GET", "/desk/keys", Access.FINANCE),
    ("POST", "/desk/keys", Access.FINANCE),
    ("POST", "/desk/keys/{key_id}/revocation", Access.FINANCE),
    ("GET", "/desk/money", Access.STAFF),
    ("GET", "/desk/money/cases/{case}", Access.FINANCE),
    ("POST", "/desk/money/cases/{case}", Access.FINANCE),
    ("POST", "/desk/money/events/{event}", Access.FINANCE),
    ("POST", "/desk/money/reconciliations", Access.FINANCE),
    ("GET", "/desk/orders", Access.STAFF),
    ("GET", "/desk/orders/{number}", Access.STAFF),
    ("GET", "/desk/orders/{number}/bundle.zip", Access.STAFF),
    ("GET", "/desk/orders/{number}/cancellation", Access.FINANCE),
    ("POST", "/desk/orders/{number}/cancellation", Access.FINANCE),
    ("GET", "/desk/orders/{number}/cases/{case}", Access.FINANCE),
    ("POST", "/desk/orders/{number}/cases/{case}", Access.FINANCE),
    ("GET", "/desk/orders/{number}/charge", Access.FINANCE),
    ("POST", "/desk/orders/{number}/charge", Access.FINANCE),
    ("GET", "/desk/orders/{number}/invoice", Access.STAFF),
    ("POST", "/desk/orders/{number}/invoice", Access.FINANCE),
    ("GET", "/desk/orders/{number}/prices", Access.STAFF),
    ("GET", "/desk/orders/{number}/refund", Access.FINANCE),
    ("POST", "/desk/orders/{number}/refund", Access.FINANCE),
    ("POST", "/desk/orders/{number}/release", Access.STAFF),
    ("GET", "/desk/payments", Access.STAFF),
    ("GET", "/desk/payments/calls", Access.STAFF),
    ("GET", "/desk/payments/events", Access.STAFF),
    ("GET", "/desk/price-audits", Access.FINANCE),
    ("GET", "/desk/prices", Access.FINANCE),
    ("GET", "/desk/prices/compare", Access.FINANCE),
    ("GET", "/desk/prices/compare.csv", Access.FINANCE),
    ("POST", "/desk/prices/drafts", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/acknowledgements", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/bound", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/bound", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/discard", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/export/{form}", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/files", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/files", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/files/{file}", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/files/{file}/acceptance", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/files/{file}/comparison", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/files/{file}/discard", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/files/{file}/errors.csv", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/files/{file}/parts", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/files/{file}/parts", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/formula", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/formula", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/impact", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/impact", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/impact/{impact}/{table}", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/layers", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/layers", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/limits", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/list", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/list", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/lists", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/preview", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/price", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/price", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/publication", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/publication", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/quantity-rule", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/quantity-rule", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/review", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/rounding", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/rounding", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/rule", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/rule", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/rules", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/sku", Access.FINANCE),
    ("GET", "/desk/prices/drafts/{draft}/strategy", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/strategy", Access.FINANCE),
    ("POST", "/desk/prices/drafts/{draft}/undo", Access.FINANCE),
    ("GET", "/desk/prices/history", Access.FINANCE),
    ("GET", "/desk/prices/publications/{number}", Access.FINANCE),
    ("GET", "/desk/prices/publications/{number}/export/{form}", Access.FINANCE),
    ("POST", "/desk/prices/publications/{number}/rollback", Access.FINANCE),
    ("GET", "/desk/prices/segments", Access.FINANCE),
    ("GET", "/desk/prices/segments/company", Access.FINANCE),
    ("POST", "/desk/prices/segments/company", Access.FINANCE),
    ("GET", "/desk/privacy", Access.LEGAL),
    ("POST", "/desk/privacy/holds", Access.LEGAL),
    ("POST", "/desk/privacy/holds/{hold}/lifting", Access.LEGAL),
    ("POST", "/desk/privacy/periods", Access.LEGAL),
    ("POST", "/desk/privacy/plans", Access.LEGAL),
    ("GET", "/desk/privacy/plans/{plan}", Access.LEGAL),
    ("POST", "/desk/privacy/plans/{plan}/approval", Access.LEGAL),
    ("GET", "/desk/privacy/plans/{plan}/letter/{form}", Access.LEGAL),
    ("POST", "/desk/privacy/plans/{plan}/withdrawal", Access.LEGAL),
    ("GET", "/desk/signatures", Access.LEGAL),
    ("POST", "/desk/signatures/policy", Access.LEGAL),
    ("GET", "/desk/signatures/{package_id}", Access.LEGAL),
    ("GET", "/desk/signatures/{package_id}/evidence.json", Access.LEGAL),
    ("POST", "/desk/signatures/{package_id}/refusal", Access.LEGAL),
    ("POST", "/desk/signatures/{package_id}/signature", Access.LEGAL),
    ("GET", "/desk/signatures/{package_id}/signed.pdf", Access.LEGAL),
    ("GET", "/desk/webhooks", Access.STAFF),
    ("GET", "/desk/webhooks/messages/{message_id}", Access.STAFF),
    ("POST", "/desk/webhooks/messages/{message_id}/replay", Access.STAFF),
    ("GET", "/desk/webhooks/{endpoint_id}", Access.STAFF),
    ("POST", "/desk/webhooks/{endpoint_id}/replay", Access.STAFF),
    ("GET", "/documents", Access.ANYONE),
    ("GET", "/documents/{code}/{label}/{language}", Access.ANYONE),
    ("GET", "/documents/{code}/{label}/{language}/changes", Access.ANYONE),
    ("GET", "/documents/{code}/{label}/{language}/pdf", Access.ANYONE),
    ("GET", "/health/live", Access.ANYONE),
    ("GET", "/health/ready", Access.ANYONE),
    ("GET", "/invitation", Access.ANYONE),
    ("POST", "/invitation", Access.ANYONE),
    ("GET", "/legal-review/{token}", Access.ANYONE),
    ("GET", "/login", Access.ANYONE),
    ("POST", "/login", Access.ANYONE),
    ("POST", "/logout", Access.ANYONE),
    ("GET", "/openapi.json", Access.ANYONE),
    ("GET", "/orders", Access.MEMBER),
    ("GET", "/orders/{number}", Access.MEMBER),
    ("GET", "/orders/{number}/bundle.zip", Access.MEMBER),
    ("POST", "/orders/{number}/cancellation", Access.MEMBER),
    ("GET", "/orders/{number}/payment", Access.MEMBER),
    ("POST", "/orders/{number}/payment", Access.MEMBER),
    ("GET", "/orders/{number}/payment/return", Access.MEMBER),
    ("GET", "/orders/{number}/prices", Access.MEMBER),
    ("GET", "/orders/{number}/receipt", Access.MEMBER),
    ("GET", "/orders/{number}/receipt.json", Access.MEMBER),
    ("GET", "/orders/{number}/receipt.pdf", Access.MEMBER),
    ("POST", "/orders/{number}/reorder", Access.MEMBER),
    ("GET", "/password-reset", Access.ANYONE),
    ("POST", "/password-reset", Access.ANYONE),
    ("POST", "/password-reset/new", Access.ANYONE),
    ("GET", "/prices", Access.ANYONE),
    ("GET", "/prices/audit", Access.ANYONE),
    ("GET", "/prices/audit.json", Access.ANYONE),
    ("GET", "/problems", Access.ANYONE),
    ("GET", "/problems/{slug}", Access.ANYONE),
    ("GET", "/products/{code}", Access.ANYONE),
    ("GET", "/quick-order", Access.ANYONE),
    ("POST", "/quick-order", Access.ANYONE),
    ("GET", "/quotes", Access.MEMBER),
    ("GET", "/quotes/{quote_id}", Access.MEMBER),
    ("GET", "/quotes/{quote_id}/document", Access.MEMBER),
    ("POST", "/quotes/{quote_id}/order", Access.MEMBER),
    ("GET", "/quotes/{quote_id}/package", Access.MEMBER),
    ("GET", "/search", Access.ANYONE),
    ("GET", "/signing/{token}", Access.ANYONE),
    ("GET", "/signing/{token}/signed.pdf", Access.ANYONE),
    ("GET", "/signup", Access.ANYONE),
    ("POST", "/signup", Access.ANYONE),
    ("GET", "/skus/{code}/price", Access.ANYONE),
    ("GET", "/static/{digest}/{name}", Access.ANYONE),
    ("GET", "/tarifa-verify.pyz", Access.ANYONE),
    ("GET", "/unsubscribe/{token}", Access.ANYONE),
    ("POST", "/unsubscribe/{token}", Access.ANYONE),
    ("GET", "/verify-email", Access.LOGGED_IN),
    ("POST", "/verify-email", Access.LOGGED_IN),
    ("GET", "/verify.py", Access.ANYONE),
    ("GET", "/verify_quote.py", Access.ANYONE),
    ("POST", "/webhooks/stripe", Access.ANYONE),
)
TABLE: Final = {(method, path): access for method, path, access in ROUTES}


def allowed_methods(path: str) -> str:
    """The methods of a path template, as an `Allow` header says them."""
    methods = {method for method, template in TABLE if template == path}
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def missing(routes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the (method, path) pairs of *routes* that the table does not name."""
    return sorted(set(routes) - set(TABLE))
