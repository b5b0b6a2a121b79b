"""Stripe's errors, as the API answers them."""

from typing import Any

JsonObject = dict[str, Any]


class StripeError(Exception):
    """An answer that is not 200.

    *saved* says whether an idempotency key remembers it: Stripe saves what an operation answered once it began,
    but not a refusal of the parameters before that. *keep_effects* is for a declined card: the charge that failed
    and its events exist although the caller gets an error.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        saved: bool = True,
        keep_effects: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.saved = saved
        self.keep_effects = keep_effects
        fields = {"type": kind, "message": message, "code": code, "param": param, **more}
        self.body: JsonObject = {"error": {name: value for name, value in fields.items() if value is not None}}
        if code is not None:
            self.body["error"]["doc_url"] = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"


def invalid(message: str, *, code: str | None = None, param: str | None = None, saved: bool = True) -> StripeError:
    return StripeError(400, "invalid_request_error", message, code=code, param=param, saved=saved)


def missing(kind: str, object_id: str, *, param: str, in_path: bool) -> StripeError:
    """No such object: 404 where the path names it, 400 where a parameter does."""
    status = 404 if in_path else 400
    message = f"No such {kind}: '{object_id}'"
    return StripeError(status, "invalid_request_error", message, code="resource_missing", param=param)


def not_implemented(what: str) -> StripeError:
    message = (
        f"The Stripe twin does not implement {what}. It is a test server for what this project uses; "
        "see docs/stripe-twin.md for what it can do, or set STRIPE_API_KEY to use a real Stripe sandbox."
    )
    return StripeError(501, "api_error", message, saved=False)
