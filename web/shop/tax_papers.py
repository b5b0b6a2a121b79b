"""What is known of a company's tax id, and the certificates by which it buys without tax."""

from datetime import date
from typing import Final

from litestar import get, post
from litestar.types import ControllerRouterHandler

from accounts.exemption_model import CertificateState
from accounts.exemptions import NUMBER_LONGEST, CertificateUnusable
from accounts.model import TaxIdCheck
from accounts.tax import UnknownCountry, check_tax_id
from accounts.vies import NothingToAsk
from kernel.errors import DomainError, Refused
from web.countries import country_options
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.sentences import sentence

FIELDS: Final = ("country", "number", "authority", "expires_on")
STATE_WORDS: Final = {
    CertificateState.PENDING: N_("being looked at"),
    CertificateState.ACCEPTED: N_("accepted"),
    CertificateState.REFUSED: N_("refused"),
    CertificateState.WITHDRAWN: N_("withdrawn"),
}
CHECK_WORDS: Final = {
    TaxIdCheck.ABSENT: N_("None is given: deliveries within the EU bear tax."),
    TaxIdCheck.UNCHECKED: N_("Given, and not checked: we do not know the form of that country's ids."),
    TaxIdCheck.WELL_FORMED: N_("Its form and check digits hold."),
}


class DayMalformed(Refused):
    problem = "day-malformed"
    title = "Write the day as 2027-12-31"


@get("/account/tax", include_in_schema=False, summary="The company's tax id and exemptions")
async def tax_page(request: AnyRequest) -> Html:
    return await _show(request, Form([]), {})


@post("/account/tax/certificates", include_in_schema=False, summary="Name an exemption certificate")
async def submit(request: AnyRequest) -> Html:
    form, services = await read_form(request), services_of(request)
    try:
        await services.exemptions.submit(
            principal_of(request),
            country=form.get("country"),
            number=form.get("number"),
            authority=form.get("authority"),
            expires_on=_day(form.get("expires_on")),
        )
    except DayMalformed as error:
        return await _show(request, form, {"expires_on": error})
    except UnknownCountry as error:
        return await _show(request, form, {"country": error})
    except CertificateUnusable as error:
        return await _show(request, form, {"number": error})
    return redirect("/account/tax#certificates")


@post("/account/tax/check", include_in_schema=False, summary="Ask the tax office about the VAT number")
async def ask(request: AnyRequest) -> Html:
    services = services_of(request)
    await read_form(request)
    try:
        await services.vies.ask(principal_of(request), requester=services.merchant.tax_id)
    except NothingToAsk as error:
        return await _show(request, Form([]), {"tax_id": error})
    return redirect("/account/tax")


HANDLERS: Final[list[ControllerRouterHandler]] = [tax_page, submit, ask]


async def _show(request: AnyRequest, form: Form, errors: dict[str, DomainError]) -> Html:
    services, principal, locale = services_of(request), principal_of(request), locale_of(request)
    assert principal.company is not None, "the table lets members in"
    countries = country_options(locale)
    return page(
        request,
        "account/tax.html",
        status=422 if errors else 200,
        check=CHECK_WORDS[check_tax_id(principal.company.tax_id, principal.company.country).check],
        asked=await services.vies.last(principal),
        asks=services.vies.url is not None,
        certificates=await services.exemptions.of_company(principal),
        state_words=STATE_WORDS,
        today=services.clock.now().date(),
        countries=[("", ""), *countries],
        country_names=dict(countries),
        values={name: form.get(name) for name in FIELDS},
        errors={name: sentence(error, locale) for name, error in errors.items()},
        number_longest=NUMBER_LONGEST,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DayMalformed("Write the day as 2027-12-31.") from None
