"""Log in, sign up, reset a password, accept an invitation, prove an e-mail: the doors."""

from typing import Final

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.types import ControllerRouterHandler

from accounts.details import DetailsRefused
from accounts.limits import TooManyAttempts
from accounts.passwords import WeakPassword
from accounts.principal import PrincipalKind
from accounts.service import (
    CodeExpired,
    EmailTaken,
    NoCompany,
    OpenedSession,
    StaffCannotJoin,
    TokenExpired,
    WrongCode,
    WrongCredentials,
)
from kernel.errors import DomainError
from web.buyers import CURRENCIES
from web.countries import country_options
from web.http import (
    AnyRequest,
    Form,
    Html,
    address_of,
    locale_of,
    principal_of,
    read_form,
    safe_next,
    services_of,
    session_cookie,
    session_cookie_name,
    session_token_of,
)
from web.pages import page, redirect
from web.sentences import field_errors, heading, sentence

NO_VALUES: Final[dict[str, str]] = {}
SIGN_UP_FIELDS: Final = ("email", "name", "company_name", "country", "tax_id", "currency")
SIGN_UP_ORDER: Final = ("company_name", "country", "tax_id", "currency", "name", "email", "password")
"""As they stand on the page, so that the summary above them reads in the same order."""


async def entered(request: AnyRequest, opened: OpenedSession, target: str) -> Html:
    """Let in: the browser's cart joins the company's, and the session goes on under its new secret."""
    services = services_of(request)
    if opened.principal.kind is PrincipalKind.MEMBER:
        await services.carts.join(opened.principal)
    default = "/desk" if opened.principal.kind is PrincipalKind.STAFF else "/"
    return redirect(safe_next(target, default) or default, cookies=[session_cookie(services.settings, opened.token)])


@get("/login", include_in_schema=False, summary="Log in")
async def log_in_page(request: AnyRequest) -> Html:
    target = safe_next(request.query_params.get("next", ""), "")
    if principal_of(request).person_id is not None:
        return redirect(target or "/")
    return page(request, "account/login.html", values={"next": target}, errors={}, notice=_notice(request))


@post("/login", include_in_schema=False, summary="Log in")
async def log_in(request: AnyRequest) -> Html:
    form = await read_form(request)
    try:
        opened = await services_of(request).accounts.log_in(
            email=form.get("email"),
            password=_password(form, "password"),
            token=session_token_of(request),
            address=address_of(request),
        )
    except (WrongCredentials, TooManyAttempts, NoCompany) as error:
        errors = {"email": sentence(error, locale_of(request))}
        _shown(request, "login", errors)
        status = 429 if isinstance(error, TooManyAttempts) else 422
        return page(request, "account/login.html", status=status, values=form.as_dict(), errors=errors, notice="")
    return await entered(request, opened, form.get("next"))


@post("/logout", include_in_schema=False, summary="Log out")
async def log_out(request: AnyRequest) -> Html:
    services = services_of(request)
    token = session_token_of(request)
    if token is not None:
        await services.accounts.log_out(token)
    gone = Cookie(
        key=session_cookie_name(services.settings),
        value="",
        path="/",
        max_age=0,
        httponly=True,
        secure=services.settings.https,
        samesite="lax",
    )
    return redirect("/", cookies=[gone])


@get("/signup", include_in_schema=False, summary="Make a company account")
async def sign_up_page(request: AnyRequest) -> Html:
    values = {"next": safe_next(request.query_params.get("next", ""), ""), "country": "ES", "currency": "EUR"}
    checkout = await services_of(request).checkouts.find(principal_of(request))
    if checkout is not None:  # nothing typed in checkout is asked again
        values |= {"email": checkout.email or "", "tax_id": checkout.tax_id or "", "currency": checkout.currency}
    if checkout is not None and checkout.ship_to is not None:
        values |= {"company_name": checkout.ship_to.name, "country": checkout.ship_to.country}
    return _sign_up_form(request, values, {}, 200)


@post("/signup", include_in_schema=False, summary="Make a company account")
async def sign_up(request: AnyRequest) -> Html:
    """One short step, inside checkout or apart from it: the code to prove the e-mail is asked for next."""
    form = await read_form(request)
    try:
        opened = await services_of(request).accounts.sign_up(
            **{name: form.get(name) for name in SIGN_UP_FIELDS},
            password=_password(form, "password"),
            locale=locale_of(request),
            token=session_token_of(request),
            address=address_of(request),
        )
    except DetailsRefused as error:
        return _sign_up_form(request, form.as_dict(), field_errors(error, locale_of(request)), 422)
    except EmailTaken as error:
        return _sign_up_form(request, form.as_dict(), {"email": sentence(error, locale_of(request))}, 422)
    except TooManyAttempts as error:
        return _sign_up_form(request, form.as_dict(), {"email": sentence(error, locale_of(request))}, 429)
    return await entered(request, opened, form.get("next") or "/verify-email")


@get("/verify-email", include_in_schema=False, summary="Prove an e-mail address")
async def verify_page(request: AnyRequest) -> Html:
    target = safe_next(request.query_params.get("next", ""), "")
    if principal_of(request).email_verified:
        return redirect(target or "/account")
    return page(request, "account/verify.html", values={"next": target}, errors={}, sent=False)


@post("/verify-email", include_in_schema=False, summary="Prove an e-mail address")
async def verify(request: AnyRequest) -> Html:
    form, services, principal = await read_form(request), services_of(request), principal_of(request)
    try:
        if form.has("again"):
            await services.accounts.send_email_code(principal)
            return page(request, "account/verify.html", values=form.as_dict(), errors={}, sent=True)
        opened = await services.accounts.confirm_email_code(principal, form.get("code")[:40])
    except (WrongCode, CodeExpired, TooManyAttempts) as error:
        errors = {"code": sentence(error, locale_of(request))}
        _shown(request, "verify", errors)
        return page(request, "account/verify.html", status=422, values=form.as_dict(), errors=errors, sent=False)
    target = safe_next(form.get("next"), "/account")
    return redirect(target, cookies=[session_cookie(services.settings, opened.token)])


@get("/password-reset", include_in_schema=False, summary="Ask for a new password, or set one by the link")
async def reset_page(request: AnyRequest) -> Html:
    token = request.query_params.get("token", "")
    if token:
        return page(request, "account/reset.html", token=token, values=NO_VALUES, errors={})
    return page(request, "account/reset_request.html", values=NO_VALUES, errors={}, sent=False)


@post("/password-reset", include_in_schema=False, summary="Ask for a new password")
async def request_reset(request: AnyRequest) -> Html:
    """Answer the same whether the address has an account or not."""
    form = await read_form(request)
    try:
        await services_of(request).accounts.request_password_reset(form.get("email"), address=address_of(request))
    except TooManyAttempts as error:
        errors = {"email": sentence(error, locale_of(request))}
        return page(request, "account/reset_request.html", status=429, values=form.as_dict(), errors=errors, sent=False)
    return page(request, "account/reset_request.html", values=form.as_dict(), errors={}, sent=True)


@post("/password-reset/new", include_in_schema=False, summary="Set a new password")
async def reset(request: AnyRequest) -> Html:
    form = await read_form(request)
    token = form.get("token")
    try:
        await services_of(request).accounts.reset_password(token, _password(form, "password"))
    except (WeakPassword, TokenExpired) as error:
        errors = {"password": sentence(error, locale_of(request))}
        return page(request, "account/reset.html", status=422, token=token, values=NO_VALUES, errors=errors)
    return redirect("/login?notice=password-set")


@get("/invitation", include_in_schema=False, summary="Join a company")
async def invitation_page(request: AnyRequest) -> Html:
    return await _invitation(request, request.query_params.get("token", ""), NO_VALUES, {}, 200)


@post("/invitation", include_in_schema=False, summary="Join a company")
async def accept_invitation(request: AnyRequest) -> Html:
    form, locale = await read_form(request), locale_of(request)
    token = form.get("token")
    try:
        opened = await services_of(request).accounts.accept_invitation(
            token,
            name=form.get("name"),
            password=_password(form, "password"),
            locale=locale,
            visitor_token=session_token_of(request),
            address=address_of(request),
        )
    except DetailsRefused as error:
        return await _invitation(request, token, form.as_dict(), field_errors(error, locale), 422)
    except (WrongCredentials, TooManyAttempts, StaffCannotJoin, EmailTaken) as error:
        return await _invitation(request, token, form.as_dict(), {"password": sentence(error, locale)}, 422)
    return await entered(request, opened, "/")


HANDLERS: list[ControllerRouterHandler] = [
    log_in_page,
    log_in,
    log_out,
    sign_up_page,
    sign_up,
    verify_page,
    verify,
    request_reset,
    reset_page,
    reset,
    invitation_page,
    accept_invitation,
]


async def _invitation(
    request: AnyRequest, token: str, values: dict[str, str], errors: dict[str, str], status: int
) -> Html:
    try:
        invitation = await services_of(request).accounts.find_invitation(token)
    except TokenExpired as error:
        return _gone(request, error)
    return page(
        request,
        "account/invitation.html",
        status=status,
        token=token,
        invitation=invitation,
        values=values,
        errors=errors,
    )


def _gone(request: AnyRequest, error: DomainError) -> Html:
    return page(
        request,
        "problem.html",
        status=404,
        heading=heading(404, locale_of(request)),
        detail=sentence(error, locale_of(request)),
        number=404,
        slug=error.problem,
    )


def _sign_up_form(request: AnyRequest, values: dict[str, str], errors: dict[str, str], status: int) -> Html:
    _shown(request, "signup", errors)
    errors = dict(sorted(errors.items(), key=lambda error: SIGN_UP_ORDER.index(error[0])))
    return page(
        request,
        "account/signup.html",
        status=status,
        values=values,
        errors=errors,
        countries=country_options(locale_of(request)),
        currencies=CURRENCIES,
    )


def _shown(request: AnyRequest, step: str, errors: dict[str, str]) -> None:
    """Count which fields buyers stumble over."""
    if errors:
        services_of(request).journey.note(
            "error_shown", journey=principal_of(request).visitor_id, step=step, fields=sorted(errors)
        )


def _password(form: Form, name: str) -> str:
    """A password as typed: blanks at its ends are part of it."""
    return form.raw(name)[:2000]


def _notice(request: AnyRequest) -> str:
    return "password-set" if request.query_params.get("notice") == "password-set" else ""
