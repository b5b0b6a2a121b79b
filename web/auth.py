"""Who asks, and whether they may: resolved once per request, before any handler runs."""

from http import HTTPStatus
from urllib.parse import quote

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from accounts.principal import Principal, PrincipalKind
from kernel.errors import DomainError, NotFound
from kernel.ids import new_id
from web.access import BY_KEY, KEY_SCOPES, TABLE, Access, allowed_methods, allows
from web.api.rates import count_request
from web.api.repeats import answer_once, idempotency_key
from web.edge import require_text
from web.http import AnyRequest, locale_of, read_form, services_of, session_token_of
from web.security import UNSAFE_METHODS, require_form_token, require_same_origin

API_PREFIX = "/api/"
WEBHOOK_PREFIX = "/webhooks/"
UNSUBSCRIBE_PREFIX = "/unsubscribe/"
"""Its link is signed: mail programs post to it without a form of ours."""
OWN_GUARD = (API_PREFIX, WEBHOOK_PREFIX, UNSUBSCRIBE_PREFIX)
"""These never look at cookies, so no browser can be tricked into calling them."""


TRUSTED_PRINCIPAL = "tarifa.principal"
"""In a scope of our own making, who asks; a server never puts it there, so no client can."""


class Unauthenticated(DomainError):
    problem = "unauthenticated"
    status = 401
    title = "Log in or present an API key"


class ScopeMissing(DomainError):
    problem = "scope-missing"
    status = 403
    title = "The API key does not carry the scope"


class Authentication(ASGIMiddleware):
    """Puts the principal into the request's state and holds the role table."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request: AnyRequest = Request(scope, receive=receive, send=send)
        require_text(scope)
        if request.method == "OPTIONS":
            allow = Response(b"", status_code=204, headers={"allow": allowed_methods(scope["path_template"])})
            await allow.to_asgi_response(app=None, request=request)(scope, receive, send)
            return
        access = TABLE[(request.method, scope["path_template"])]
        path, trusted = scope["path"], scope.get(TRUSTED_PRINCIPAL)
        principal = trusted if isinstance(trusted, Principal) else await self._principal(request)
        scope["state"]["principal"] = principal
        if path.startswith(API_PREFIX) and trusted is None:
            await count_request(request, principal)
        if not allows(access, principal):
            answer = _refuse(request, access, principal)
            await answer.to_asgi_response(app=None, request=request)(scope, receive, send)
            return
        if request.method in UNSAFE_METHODS and not path.startswith(OWN_GUARD):
            vouched = require_same_origin(request)
            presented = request.headers.get("x-form-token") or (await read_form(request)).get("form_token")
            require_form_token(
                presented,
                services_of(request).settings.secret_key,
                session_token_of(request),
                vouched=vouched,
            )
        if path.startswith(API_PREFIX):
            if principal.kind is PrincipalKind.STAFF_KEY and request.method in UNSAFE_METHODS:
                await services_of(request).staff_keys.note_call(principal, request.method, path)
            name = idempotency_key(request, principal) if request.method in UNSAFE_METHODS else None
            if name is not None:
                await answer_once(request, principal, name, next_app, receive, send)
                return
        scope["state"]["cart_lines"] = await self._cart_lines(request, principal)
        if principal.kind is PrincipalKind.MEMBER and principal.company_id is not None and request.method == "GET":
            scope["state"]["agreement_news"] = await services_of(request).notices.news_for(
                principal.company_id, locale_of(request)
            )
        await next_app(scope, receive, send)

    async def _cart_lines(self, request: AnyRequest, principal: Principal) -> int:
        """What the head of every page says of the cart; nothing is asked for a visitor who has none."""
        if principal.session_id is None or principal.kind not in {PrincipalKind.VISITOR, PrincipalKind.MEMBER}:
            return 0
        return await services_of(request).carts.count_lines(principal)

    async def _principal(self, request: AnyRequest) -> Principal:
        services = services_of(request)
        path = request.scope["path"]
        if path.startswith(API_PREFIX):
            header = request.headers.get("authorization")
            if header is None:
                return Principal.visitor(new_id())
            scheme, _, key = header.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("Present the API key as `Authorization: Bearer trf_...`.")
            return await services.api_keys.authenticate_key(key.strip())
        if path.startswith(("/static/", "/health/", WEBHOOK_PREFIX)):
            return Principal.visitor(new_id())
        token = session_token_of(request)
        return await services.accounts.authenticate(token)


def _refuse(request: AnyRequest, access: Access, principal: Principal) -> Response[bytes]:
    path = request.scope["path"]
    if path.startswith(API_PREFIX):
        if principal.kind in BY_KEY:
            scope = KEY_SCOPES[access].value
            asked = "Make one at the desk." if scope.startswith("desk:") else "Ask your admin for one."
            raise ScopeMissing(f"This call needs a key with the scope {scope}. {asked}", scope=scope)
        raise Unauthenticated("Present an API key as `Authorization: Bearer trf_...`.")
    if principal.person_id is not None:  # logging in again would change nothing, and lead back here
        if access is Access.COMPANY_ADMIN and principal.kind is PrincipalKind.MEMBER:
            raise NotFound("Only an admin of your company sees this page.")
        raise NotFound("There is nothing here, or it is not yours to see.")
    target = path if request.method == "GET" else "/"
    location = f"/login?next={quote(target, safe='/')}"
    return Response(b"", status_code=HTTPStatus.SEE_OTHER, headers={"location": location})
