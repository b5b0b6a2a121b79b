"""How the pages look, and looked, on which somebody binds a company: the legal desk's way to all that was captured."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.renderings import Rendering, Renderings
from web.evidence import template_digest
from web.http import LOCALES, AnyRequest, Html, services_of
from web.labels import N_
from web.pages import page
from web.shop.account import LANGUAGES
from web.shop.approvals import APPROVAL_TEMPLATE
from web.shop.checkout import REVIEW_TEMPLATE
from web.shop.framework import TEMPLATE as FRAMEWORK_TEMPLATE
from web.shop.packages import TEMPLATE as PACKAGE_TEMPLATE
from web.shop.renderings import RenderingUnknown, served

STEPS: Final = (
    (REVIEW_TEMPLATE, N_("The buyer's step")),
    (APPROVAL_TEMPLATE, N_("The approver's step")),
    (PACKAGE_TEMPLATE, N_("The signatory's page")),
    (FRAMEWORK_TEMPLATE, N_("The framework agreement")),
)
"""The pages on which somebody binds a company; the browser tests capture each in every language and width, and of the
framework agreement what programs are shown.
"""


class Look(msgspec.Struct, frozen=True):
    """A template with what was captured of it, by language. *missing*: names of what should have been."""

    template: str
    """Its digest without the algorithm, as it stands in addresses."""
    name: str
    by_locale: dict[str, list[Rendering]]
    missing: list[str]

    @classmethod
    def of(cls, kept: Renderings, digest: str, name: str = "") -> "Look":
        found: dict[str, list[Rendering]] = {}
        for each in kept.find(digest):
            found.setdefault(each.locale, []).append(each)
        missing = kept.missing(digest, LOCALES, programs=digest == template_digest(FRAMEWORK_TEMPLATE))
        return cls(digest.removeprefix("sha256:"), name, found, missing)


@get("/desk/agreements/renderings", include_in_schema=False, summary="How the agreement step looks and looked")
async def renderings(request: AnyRequest) -> Html:
    kept = services_of(request).renderings
    now = {template_digest(template): name for template, name in STEPS}
    return page(
        request,
        "desk/agreement_renderings.html",
        languages=dict(LANGUAGES),
        current=[Look.of(kept, digest, name) for digest, name in now.items()],
        earlier=[Look.of(kept, digest) for digest in kept.list_templates() if digest not in now],
    )


@get(
    "/desk/agreements/renderings/{template:str}/{rendering:str}",
    include_in_schema=False,
    summary="One picture or page of a step",
)
async def rendering_of_template(
    request: AnyRequest, template: FromPath[str], rendering: FromPath[str]
) -> Response[bytes]:
    """:raises RenderingUnknown: when none of this name was captured of this template"""
    found = services_of(request).renderings.read(f"sha256:{template}", rendering)
    if found is None:
        raise RenderingUnknown("No rendering of this name was captured of this template.")
    return served(found)


HANDLERS: list[ControllerRouterHandler] = [renderings, rendering_of_template]
