"""Terms and credit limits: which companies pay by invoice, what they owe, and who decided it, when and why."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from litestar import get, post
from litestar.types import ControllerRouterHandler

from checkout.credit import (
    NET_DAYS_MOST,
    REASON_MOST,
    CompanyCredit,
    CreditChangeUnusable,
    CreditCurrencyFixed,
    CreditMoved,
    Terms,
)
from checkout.terms_model import CreditChange
from kernel.errors import DomainError, Malformed
from kernel.money import MalformedDecimal, Money, UnknownCurrency
from web.amounts import AmountTooLarge, typed_money
from web.desk.fields import CURRENCY, Typed
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

FOUND_SHOWN: Final = 50
REFUSALS: Final = (CreditChangeUnusable, CreditCurrencyFixed, CreditMoved)


@get("/desk/credit", include_in_schema=False, summary="Which companies pay by invoice, and what they owe")
async def credit_page(request: AnyRequest) -> Html:
    services = services_of(request)
    text = request.query_params.get("q", "").strip()[:200]
    wanted, found = text.casefold(), []
    if text:
        companies = await services.segments.list_companies()
        found = [company for company in companies if wanted in f"{company.code} {company.name}".casefold()]
    return page(
        request,
        "desk/credit.html",
        companies=await services.credit.list_companies(),
        q=text,
        found=found[:FOUND_SHOWN],
        done=request.query_params.get("changed", "")[:200],
    )


@get("/desk/credit/company", include_in_schema=False, summary="The terms of a company")
async def company_page(request: AnyRequest) -> Html:
    company, changes = await services_of(request).credit.find(request.query_params.get("code", "")[:200])
    return await _company(request, company, changes, Typed(Form([]), locale_of(request)))


@post("/desk/credit/company", include_in_schema=False, summary="Give, change or withdraw the terms of a company")
async def change_terms(request: AnyRequest) -> Html:
    services, locale = services_of(request), locale_of(request)
    company, changes = await services.credit.find(request.query_params.get("code", "")[:200])
    typed = Typed(await read_form(request), locale)
    reason = typed.text("reason", required=True, most=REASON_MOST)
    terms = None if typed.form.get("action") == "withdraw" else _typed_terms(typed)
    if typed.errors:
        return await _company(request, company, changes, typed, status=422)
    try:
        await services.credit.change(
            company.company.code,
            terms,
            shown=_shown_terms(typed.form),
            reason=reason,
            by=principal_of(request).person_id,
        )
    except REFUSALS as error:
        company, changes = await services.credit.find(company.company.code)
        return await _company(request, company, changes, typed, refusal=error, status=error.status)
    return redirect(f"/desk/credit?{urlencode({'changed': company.company.name})}")


HANDLERS: Final[list[ControllerRouterHandler]] = [credit_page, company_page, change_terms]


async def _company(
    request: AnyRequest,
    company: CompanyCredit,
    changes: Sequence[CreditChange],
    typed: Typed,
    *,
    refusal: DomainError | None = None,
    status: int = 200,
) -> Html:
    given = company.credit if company.open_ else None
    begun = {"currency": company.company.currency}
    if given is not None:
        begun = {"net_days": str(given.net_days), "limit": given.limit.decimal, "currency": given.limit.currency}
    return page(
        request,
        "desk/credit_company.html",
        status=status,
        company=company.company,
        credit=company.credit,
        given=given,
        shown="" if given is None else f"{given.net_days};{given.limit.decimal};{given.limit.currency}",
        changes=changes,
        names=await names_of(services_of(request), [change.changed_by for change in changes]),
        action=f"/desk/credit/company?{urlencode({'code': company.company.code})}",
        values=begun | typed.form.as_dict(),
        errors=typed.errors,
        refusal="" if refusal is None else sentence(refusal, typed.locale),
    )


def _typed_terms(typed: Typed) -> Terms | None:
    """None where something is wrong, which *typed* says then."""
    net_days = typed.whole("net_days")
    if not 1 <= net_days <= NET_DAYS_MOST:
        typed.refuse("net_days", "net_days")
    currency = typed.text("currency", required=True).upper()
    if CURRENCY.fullmatch(currency) is None:
        typed.refuse("currency", "currency_one")
    amount = typed.decimal("limit", required=True)
    if amount is None or "currency" in typed.errors:
        return None
    try:
        limit = typed_money(amount, currency)
    except AmountTooLarge:
        typed.refuse("limit", "too_large")
    except MalformedDecimal:
        typed.refuse("limit", "too_fine", currency=currency)
    except UnknownCurrency:
        typed.refuse("currency", "currency_one")
    else:
        return Terms(net_days=net_days, limit=limit)
    return None


def _shown_terms(form: Form) -> Terms | None:
    """The terms that the form was opened with; what it says unreadably fits none, so that it is a clash."""
    try:
        net_days, amount, currency = form.get("shown").split(";")
        return Terms(net_days=int(net_days), limit=Money.parse(amount, currency))
    except (ValueError, Malformed):
        return None
