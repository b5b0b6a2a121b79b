"""API keys of the finance desk's own people: made, shown once, revoked; and what they changed."""

from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.details import NameRefused
from accounts.key_service import NoSuchKey, TooManyKeys, UnknownScope
from accounts.model import DeskScope
from kernel.errors import DomainError
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.sentences import sentence

CALLS_SHOWN: Final = 30
SCOPE_WORDS: Final[dict[DeskScope, str]] = {
    DeskScope.READ: N_("read drafts, publications and impact"),
    DeskScope.EDIT: N_("change drafts and submit them"),
    DeskScope.APPROVE: N_("approve or return what others wrote"),
    DeskScope.PUBLISH: N_("publish and roll back"),
}


@get("/desk/keys", include_in_schema=False, summary="API keys of the desk")
async def keys(request: AnyRequest) -> Html:
    return await _show(request, Form([]), {})


@post("/desk/keys", include_in_schema=False, summary="Make an API key for yourself")
async def create_key(request: AnyRequest) -> Html:
    """The key is on this very answer and never again: only a digest of it is kept."""
    form = await read_form(request)
    try:
        key, text = await services_of(request).staff_keys.create(
            principal_of(request), name=form.get("key_name"), scopes=form.all("scope")
        )
    except (NameRefused, TooManyKeys) as error:
        return await _show(request, form, {"key_name": error})
    except UnknownScope as error:
        return await _show(request, form, {f"scope-{next(iter(DeskScope)).name.lower()}": error})
    return page(request, "desk/key.html", key=key, text=text)


@post("/desk/keys/{key_id:str}/revocation", include_in_schema=False, summary="Revoke an API key of the desk")
async def revoke_key(request: AnyRequest, key_id: FromPath[str]) -> Html:
    try:
        await services_of(request).staff_keys.revoke(principal_of(request), key_id)
    except NoSuchKey as error:
        return await _show(request, Form([]), {"keys": error})
    return redirect("/desk/keys")


HANDLERS: list[ControllerRouterHandler] = [keys, create_key, revoke_key]


async def _show(request: AnyRequest, form: Form, errors: dict[str, DomainError]) -> Html:
    services, principal = services_of(request), principal_of(request)
    listed = await services.staff_keys.list_keys(principal)
    return page(
        request,
        "desk/keys.html",
        status=422 if errors else 200,
        keys=listed,
        names={key.key_id: key.name for key, _ in listed},
        calls=await services.staff_keys.list_calls(principal, limit=CALLS_SHOWN),
        now=services.clock.now(),
        scope_words=SCOPE_WORDS,
        ticked=form.all("scope"),
        values=form.as_dict(),
        errors={field: sentence(error, locale_of(request)) for field, error in errors.items()},
    )
