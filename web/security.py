"""What every answer carries, and the proof that a form was ours."""

import hashlib
import hmac
from urllib.parse import urlsplit

from litestar import Request
from litestar.types import Message, Scope

from kernel.errors import DomainError
from kernel.settings import Settings

UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
STRIPE_CHECKOUT = "https://checkout.stripe.com"


class ForgedRequest(DomainError):
    """An unsafe request that did not come from our own page."""

    problem = "forged-request"
    status = 403
    title = "This form was not sent from this site"


def content_security_policy(payment_origin: str) -> str:
    """Only our own files; forms may lead to us and to the payment page."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        f"form-action 'self' {payment_origin}; frame-ancestors 'none'; base-uri 'none'"
    )


class SecurityHeaders:
    """A `before_send` hook, which unlike middleware also reaches 404, 405 and 500. What a handler said itself stays."""

    def __init__(self, settings: Settings) -> None:
        headers = {
            "content-security-policy": content_security_policy(payment_origin(settings)),
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
        if settings.https:
            headers["strict-transport-security"] = "max-age=63072000; includeSubDomains; preload"
        headers["cache-control"] = "no-store"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, message: Message, scope: Scope) -> None:  # noqa: ARG002 - the hook's signature
        if message["type"] != "http.response.start":
            return
        said = list(message.get("headers", ()))
        names = {name.lower() for name, _ in said}
        message["headers"] = [*said, *(header for header in self._headers if header[0] not in names)]


def payment_origin(settings: Settings) -> str:
    """Return where the hosted payment page lives: Stripe, or the test server beside us."""
    if settings.stripe_api_base is None:
        return STRIPE_CHECKOUT
    parts = urlsplit(settings.stripe_api_base)
    return f"{parts.scheme}://{parts.netloc}"


def form_token(secret_key: str, session_token: str | None) -> str:
    """Return the token that a form of this session carries; a visitor without one has a token of that state."""
    message = b"form:" + (session_token or "").encode()
    return hmac.new(secret_key.encode(), message, hashlib.sha256).hexdigest()[:40]


def require_same_origin(request: Request) -> bool:  # type: ignore[type-arg] # any user, auth and state types will do
    """Refuse an unsafe request that says it comes from elsewhere.

    Returns whether the browser vouched for the origin, by Sec-Fetch-Site or Origin.

    :raises ForgedRequest: when it comes from another site
    """
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin", "none"}:
        raise ForgedRequest("The request came from another site. Open the page here and send the form again.")
    origin = request.headers.get("origin")
    if origin == "null" and site == "same-origin":
        return True  # our own `Referrer-Policy: no-referrer` makes browsers send a form's Origin as null
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise ForgedRequest("The request came from another site. Open the page here and send the form again.")
    return site is not None or origin is not None


def require_form_token(presented: str, secret_key: str, session_token: str | None, *, vouched: bool) -> None:
    """Refuse a form whose token is not this session's.

    A page opened before the session began carries the token of a visitor without one; it counts where the browser
    vouched for the origin.

    :raises ForgedRequest: otherwise
    """
    accepted = [form_token(secret_key, session_token)]
    if vouched:
        accepted.append(form_token(secret_key, None))
    if not any(hmac.compare_digest(presented.encode("utf-8", "replace"), token.encode()) for token in accepted):
        raise ForgedRequest(
            "This page is from before you logged in or out. Go back, reload it and send the form again; "
            "your cart is as you left it."
        )
