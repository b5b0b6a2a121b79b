"""A company's account: who belongs to it and may sign, open invitations, API keys, one's own language."""

import uuid
from typing import Final

import msgspec
from litestar import get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.details import EmailMalformed, NameRefused
from accounts.key_service import NoSuchKey, TooManyKeys, UnknownScope
from accounts.limits import TooManyAttempts
from accounts.member_service import AlreadyMember, LastAdmin, NoSuchInvitation, NoSuchMember
from accounts.model import KeyScope, MemberRole
from checkout.saved_cards import CardUnknown, expired
from kernel.errors import DomainError, NotFound, Refused
from kernel.money import Money
from web.amounts import typed_money
from web.countries import country_options
from web.http import (
    LOCALES,
    AnyRequest,
    Form,
    Html,
    language_cookie_name,
    locale_of,
    principal_of,
    read_form,
    services_of,
)
from web.pages import LANGUAGE_DAYS, page, redirect
from web.sentences import N_, sentence

ROLE_WORDS: Final[dict[MemberRole, str]] = {
    MemberRole.BUYER: N_("buyer"),
    MemberRole.APPROVER: N_("approver"),
    MemberRole.ADMIN: N_("administrator"),
}
SCOPE_WORDS: Final[dict[KeyScope, str]] = {
    KeyScope.CATALOG_READ: N_("read the catalogue"),
    KeyScope.PRICES_READ: N_("read prices"),
    KeyScope.QUOTES_CREATE: N_("make quotes"),
    KeyScope.ORDERS_READ: N_("read orders"),
    KeyScope.ORDERS_CREATE: N_("place orders under your framework agreement"),
    KeyScope.WEBHOOKS_MANAGE: N_("manage webhooks"),
}
LANGUAGES: Final = (("en", "English"), ("es", "Español"))


class RoleUnknown(Refused):
    problem = "role-unknown"
    title = "Choose a role from the list"


class LimitMalformed(Refused):
    problem = "limit-malformed"
    title = "Write an amount like 5000, or leave it empty for no limit"


@get("/account", include_in_schema=False, summary="The company's account")
async def account_page(request: AnyRequest) -> Html:
    return await _show(request)


@post("/account/details", include_in_schema=False, summary="Change one's name and language")
async def change_details(request: AnyRequest) -> Html:
    form, services = await read_form(request), services_of(request)
    language = form.get("locale")
    try:
        await services.accounts.change_details(principal_of(request), name=form.get("name"), locale=language)
    except NameRefused as error:
        return await _refused(request, {"name": error}, form)
    chosen = Cookie(
        key=language_cookie_name(services.settings),
        value=language if language in LOCALES else LOCALES[0],
        path="/",
        secure=services.settings.https,
        samesite="lax",
        max_age=LANGUAGE_DAYS * 86400,
    )
    return redirect("/account", cookies=[chosen])


@post("/account/invitations", include_in_schema=False, summary="Invite a colleague")
async def invite(request: AnyRequest) -> Html:
    form = await read_form(request)
    try:
        await services_of(request).members.invite(principal_of(request), form.get("email"), _role(form))
    except (EmailMalformed, AlreadyMember, TooManyAttempts) as error:
        return await _refused(request, {"email": error}, form)
    except RoleUnknown as error:
        return await _refused(request, {"role": error}, form)
    return redirect("/account#invitations")


@post("/account/invitations/{invitation:uuid}/withdrawal", include_in_schema=False, summary="Withdraw an invitation")
async def withdraw_invitation(request: AnyRequest, invitation: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).members.withdraw_invitation(principal_of(request), invitation)
    except NoSuchInvitation as error:
        return await _refused(request, {"invitations": error}, Form([]))
    return redirect("/account#invitations")


@get("/account/members/{person:uuid}", include_in_schema=False, summary="What a member may do")
async def member_page(request: AnyRequest, person: FromPath[uuid.UUID]) -> Html:
    return await _show_member(request, person)


@post("/account/members/{person:uuid}", include_in_schema=False, summary="Change what a member may do")
async def change_member(request: AnyRequest, person: FromPath[uuid.UUID]) -> Html:
    form, services, principal = await read_form(request), services_of(request), principal_of(request)
    assert principal.company is not None, "the role table lets in members only"
    try:
        await services.members.change_member(
            principal,
            person,
            role=_role(form),
            signatory=form.get("signatory") == "yes",
            signing_limit=_limit(form.get("signing_limit"), principal.company.currency),
            job_title=form.get("job_title"),
        )
    except (RoleUnknown, LastAdmin) as error:
        return await _show_member(request, person, form, {"role": sentence(error, locale_of(request))})
    except LimitMalformed as error:
        return await _show_member(request, person, form, {"signing_limit": sentence(error, locale_of(request))})
    except NameRefused as error:
        return await _show_member(request, person, form, {"job_title": sentence(error, locale_of(request))})
    return redirect("/account#members")  # who changed their own rights has to log in again


@post("/account/members/{person:uuid}/removal", include_in_schema=False, summary="End a membership")
async def remove_member(request: AnyRequest, person: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).members.remove_member(principal_of(request), person)
    except (LastAdmin, NoSuchMember) as error:
        return await _refused(request, {"members": error}, Form([]))
    return redirect("/account#members")


@post("/account/keys", include_in_schema=False, summary="Make an API key")
async def create_key(request: AnyRequest) -> Html:
    """The key is on this very answer and never again: only a digest of it is kept."""
    form = await read_form(request)
    try:
        key, text = await services_of(request).api_keys.create_api_key(
            principal_of(request), name=form.get("key_name"), scopes=form.all("scope")
        )
    except (NameRefused, TooManyKeys) as error:
        return await _refused(request, {"key_name": error}, form)
    except UnknownScope as error:
        return await _refused(request, {f"scope-{next(iter(KeyScope)).name.lower()}": error}, form)
    return page(request, "account/key.html", key=key, text=text)


@post("/account/keys/{key_id:str}/revocation", include_in_schema=False, summary="Revoke an API key")
async def revoke_key(request: AnyRequest, key_id: FromPath[str]) -> Html:
    try:
        await services_of(request).api_keys.revoke_api_key(principal_of(request), key_id)
    except NoSuchKey as error:
        return await _refused(request, {"keys": error}, Form([]))
    return redirect("/account#keys")


@post("/account/cards/{card:uuid}/removal", include_in_schema=False, summary="Keep a card no longer")
async def remove_card(request: AnyRequest, card: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).payments.cards.remove(principal_of(request), card)
    except CardUnknown as error:
        return await _refused(request, {"cards": error}, Form([]))
    return redirect("/account#cards")


HANDLERS: list[ControllerRouterHandler] = [
    account_page,
    remove_card,
    change_details,
    invite,
    withdraw_invitation,
    member_page,
    change_member,
    remove_member,
    create_key,
    revoke_key,
]


async def _show(
    request: AnyRequest, *, errors: dict[str, str] | None = None, form: Form | None = None, status: int = 200
) -> Html:
    """Everybody sees the company and themselves; an administrator whose e-mail is proven sees the rest."""
    services, principal = services_of(request), principal_of(request)
    administers = principal.role is MemberRole.ADMIN and principal.email_verified
    typed = {} if form is None else form.as_dict()
    assert principal.company is not None, "the role table lets in members only"
    country, now = principal.company.country, services.clock.now()
    return page(
        request,
        "account/overview.html",
        status=status,
        administers=administers,
        country_name=dict(country_options(locale_of(request))).get(country, country),
        signatories=await services.members.list_signatories(principal),
        members=await services.members.list_members(principal) if administers else [],
        invitations=await services.members.list_invitations(principal) if administers else [],
        keys=await services.api_keys.list_api_keys(principal) if administers else [],
        approvals_waiting=await services.approvals.count_waiting(principal),
        cards=[(card, not expired(card, now)) for card in await services.payments.cards.list_cards(principal)],
        now=now,
        role_words=ROLE_WORDS,
        scope_words=SCOPE_WORDS,
        languages=LANGUAGES,
        values={"name": principal.name or "", "locale": principal.locale or "en", "role": "buyer", **typed},
        errors=errors or {},
    )


async def _refused(request: AnyRequest, errors: dict[str, DomainError], form: Form) -> Html:
    said = {field: sentence(error, locale_of(request)) for field, error in errors.items()}
    missing = all(error.status == NotFound.status for error in errors.values())
    return await _show(request, errors=said, form=form, status=NotFound.status if missing else 422)


async def _show_member(
    request: AnyRequest, person: uuid.UUID, form: Form | None = None, errors: dict[str, str] | None = None
) -> Html:
    members = await services_of(request).members.list_members(principal_of(request))
    row = next((member for member in members if member.person.id == person), None)
    if row is None:
        raise NoSuchMember("This person does not belong to your company any more.")
    limit = row.membership.signing_limit
    values = {
        "role": row.membership.role.value,
        "signatory": "yes" if row.membership.signatory else "",
        "signing_limit": "" if limit is None else limit.decimal,
        "job_title": row.membership.job_title or "",
    }
    if form is not None:
        values |= {"signatory": "", **form.as_dict()}
    status = 422 if errors else 200
    return page(
        request,
        "account/member.html",
        status=status,
        member=row,
        values=values,
        errors=errors or {},
        role_words=ROLE_WORDS,
    )


def _role(form: Form) -> MemberRole:
    """:raises RoleUnknown: for anything that is none"""
    try:
        return MemberRole(form.get("role"))
    except ValueError:
        raise RoleUnknown from None


def _limit(text: str, currency: str) -> Money | None:
    """:raises LimitMalformed: for anything but an amount above 0, or nothing"""
    if not text:
        return None
    try:
        limit = typed_money(text, currency)
    except (DomainError, msgspec.ValidationError):
        raise LimitMalformed from None
    if limit.minor <= 0:
        raise LimitMalformed
    return limit
