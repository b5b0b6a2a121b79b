"""Who is asked for which document, tried on an order before it happens; and what the law of a country adds."""

import uuid
from typing import Final

import msgspec
from litestar import get, post
from litestar.types import ControllerRouterHandler

from agreements.legal_model import DocumentRule
from agreements.rule_desk import LOCALES, RuleMoved, RuleNotFound, RuleTerms, RuleUnusable
from agreements.rules import Condition, Judged, OrderFacts
from kernel.errors import DomainError
from kernel.money import MalformedDecimal, Money
from web.amounts import AmountTooLarge, typed_money
from web.buyers import CURRENCIES
from web.countries import country_options
from web.desk.agreement_words import errors_of
from web.desk.fields import COUNTRY, Typed, instant_field
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.sentences import sentence

CONDITIONS: Final[dict[Condition, str]] = {
    "period": N_("it does not hold at this time"),
    "country": N_("it is for other countries"),
    "category": N_("it is for other goods"),
    "company": N_("it is for other companies"),
    "amount": N_("it is for other totals"),
}
VERSION_MOST: Final = 9


class TriedDocument(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    asked: bool
    judged: tuple[Judged, ...]


@get("/desk/agreements/rules", include_in_schema=False, summary="Which documents an order is asked for")
async def rules(request: AnyRequest) -> Html:
    """With a company or country, what an order of it would be asked for, and why."""
    services, asked = services_of(request), {key: request.query_params.get(key, "") for key in _TRY_FIELDS}
    companies = await services.segments.list_companies()
    errors: dict[str, str] = {}
    tried: list[TriedDocument] | None = None
    if any(asked.values()):
        facts = await _facts(request, asked, errors)
        if facts is not None:
            judged = await services.rule_desk.try_it(facts)
            tried = [
                TriedDocument(code=code, asked=any(each.applies for each in found), judged=tuple(found))
                for code, found in judged.items()
            ]
    return page(
        request,
        "desk/agreement_rules.html",
        rules=await services.rule_desk.list_rules(),
        now=services.clock.now(),
        tried=tried,
        companies=[("", "-"), *((company.code, f"{company.name} ({company.country})") for company in companies)],
        countries=[("", "-"), *country_options(locale_of(request))],
        currencies=CURRENCIES,
        conditions=CONDITIONS,
        values={"currency": CURRENCIES[0], **asked},
        errors=errors,
        money=Money,
    )


@get("/desk/agreements/rule", include_in_schema=False, summary="A rule of documents")
async def rule_page(request: AnyRequest) -> Html:
    """Of the id in `id`; without one, a new rule."""
    found = await _rule(request)
    return await _show(request, found, values=_values_of(found, request), errors={})


@post("/desk/agreements/rule", include_in_schema=False, summary="Change or add a rule of documents")
async def save_rule(request: AnyRequest) -> Html:
    form, locale = await read_form(request), locale_of(request)
    found = await _rule(request)
    typed = Typed(form, locale)
    starts_at, ends_at = typed.window()
    companies = {company.code for company in await services_of(request).segments.list_companies()}
    chosen = typed.codes("companies")
    categories = typed.codes("categories")
    if not companies.issuperset(chosen):
        typed.errors |= errors_of(["companies"], locale)
    if not (await services_of(request).catalog.category_paths()).keys() >= set(categories):
        typed.errors |= errors_of(["categories"], locale)
    currency = form.get("currency") or None
    amounts = [_minor(typed, name, currency) for name in ("amount_from", "amount_to")]
    if not typed.errors:
        try:
            await services_of(request).rule_desk.put(
                None if found is None else found.id,
                RuleTerms(
                    document=form.get("document") if found is None else found.document.code,
                    name=form.get("name"),
                    starts_at=starts_at or services_of(request).clock.now(),
                    ends_at=ends_at,
                    countries=typed.letters("countries", COUNTRY, "country") or None,
                    categories=categories or None,
                    companies=chosen or None,
                    currency=currency,
                    from_minor=amounts[0],
                    to_minor=amounts[1],
                ),
                version=_version(form),
                by=_person(request),
            )
        except RuleUnusable as error:
            typed.errors |= errors_of(error.fields, locale)
        except RuleMoved as error:
            return await _show(request, await _rule(request), values=form.as_dict(), errors={}, refused=error)
        else:
            return redirect("/desk/agreements/rules")
    return await _show(request, found, values=form.as_dict(), errors=typed.errors)


@get("/desk/agreements/countries", include_in_schema=False, summary="What the law of a country adds to the step")
async def countries(request: AnyRequest) -> Html:
    return await _countries(request, values={}, errors={})


@post("/desk/agreements/countries", include_in_schema=False, summary="Change what the law of a country adds")
async def save_country(request: AnyRequest) -> Html:
    form, locale = await read_form(request), locale_of(request)
    try:
        await services_of(request).rule_desk.put_profile(
            form.get("country"),
            onerous={each: form.get(f"onerous_{each}") for each in LOCALES},
            business={each: form.get(f"business_{each}") for each in LOCALES},
            version=_version(form),
            by=_person(request),
        )
    except RuleUnusable as error:
        named = errors_of(error.fields, locale)
        return await _countries(request, values=form.as_dict(), errors=named)
    except RuleMoved as error:
        return await _countries(request, values={}, errors={}, refused=error)
    return redirect("/desk/agreements/countries")


HANDLERS: list[ControllerRouterHandler] = [rules, rule_page, save_rule, countries, save_country]

_TRY_FIELDS: Final = ("company", "country", "total", "currency", "categories")


async def _facts(request: AnyRequest, asked: dict[str, str], errors: dict[str, str]) -> OrderFacts | None:
    """The order that the form describes; a company brings its own country."""
    locale, services = locale_of(request), services_of(request)
    companies = {company.code: company for company in await services.segments.list_companies()}
    company = companies.get(asked["company"])
    country = asked["country"] or ("" if company is None else company.country)
    if COUNTRY.fullmatch(country) is None:
        errors |= errors_of(["country"], locale)
    categories = [line.strip() for line in asked["categories"].split("\n") if line.strip()]
    paths = await services.catalog.category_paths()
    if not paths.keys() >= set(categories):
        errors |= errors_of(["categories"], locale)
    total = None
    if asked["total"]:
        typed = Typed(Form([("amount_to", asked["total"])]), locale)
        minor = _minor(typed, "amount_to", asked["currency"])
        if minor is None:
            errors["total"] = typed.errors.get("amount_to", "")
        else:
            total = Money(minor, asked["currency"])
    if errors:
        return None
    held = {above for code in categories for above in paths[code]}
    return OrderFacts(
        country=country, company=None if company is None else company.code, categories=frozenset(held), total=total
    )


def _minor(typed: Typed, name: str, currency: str | None) -> int | None:
    number = typed.decimal(name)
    if number is None:
        return None
    if currency not in CURRENCIES:
        typed.errors |= errors_of(["currency"], typed.locale)
        return None
    try:
        return typed_money(number, currency).minor
    except AmountTooLarge:
        typed.refuse(name, "too_large")
        return None
    except MalformedDecimal:
        typed.refuse(name, "too_fine", currency=currency)
        return None


async def _rule(request: AnyRequest) -> DocumentRule | None:
    """:raises RuleNotFound: when the address names one that there is not"""
    text = request.query_params.get("id")
    if text is None:
        return None
    try:
        return await services_of(request).rule_desk.find(uuid.UUID(text))
    except ValueError:
        raise RuleNotFound("There is no such rule.") from None


def _values_of(rule: DocumentRule | None, request: AnyRequest) -> dict[str, str]:
    if rule is None:
        return {"document": request.query_params.get("document", ""), "starts_at": ""}

    def amount(minor: int | None) -> str:
        return "" if minor is None or rule.currency is None else Money(minor, rule.currency).decimal

    return {
        "document": rule.document.code,
        "name": rule.name,
        "countries": ", ".join(rule.countries or ()),
        "categories": "\n".join(rule.categories or ()),
        "companies": "\n".join(rule.companies or ()),
        "currency": rule.currency or "",
        "amount_from": amount(rule.from_minor),
        "amount_to": amount(rule.to_minor),
        "starts_at": instant_field(rule.starts_at),
        "ends_at": instant_field(rule.ends_at),
    }


async def _show(
    request: AnyRequest,
    rule: DocumentRule | None,
    *,
    values: dict[str, str],
    errors: dict[str, str],
    refused: DomainError | None = None,
) -> Html:
    documents = await services_of(request).publishing.list_documents()
    return page(
        request,
        "desk/agreement_rule.html",
        status=409 if refused else 422 if errors else 200,
        rule=rule,
        theirs=_values_of(rule, request) if refused else None,
        action="/desk/agreements/rule" + ("" if rule is None else f"?id={rule.id}"),
        documents=[(view.document.code, view.document.code) for view in documents],
        currencies=[("", "-"), *((code, code) for code in CURRENCIES)],
        refused=None if refused is None else sentence(refused, locale_of(request)),
        values=values,
        errors=errors,
    )


async def _countries(
    request: AnyRequest, *, values: dict[str, str], errors: dict[str, str], refused: DomainError | None = None
) -> Html:
    profiles = await services_of(request).rule_desk.list_profiles()
    asked = values.get("country") or request.query_params.get("country", "")
    found = next((profile for profile in profiles if profile.country == asked), None)
    kept = {"country": asked}
    if found is not None:
        kept |= {f"onerous_{locale}": text for locale, text in found.onerous_reference.items()}
        kept |= {f"business_{locale}": text for locale, text in found.business_reference.items()}
    return page(
        request,
        "desk/agreement_countries.html",
        status=409 if refused else 422 if errors else 200,
        profiles=profiles,
        names=dict(country_options(locale_of(request))),
        found=found,
        values={**kept, **values},
        errors=errors,
        refused=None if refused is None else sentence(refused, locale_of(request)),
    )


def _person(request: AnyRequest) -> uuid.UUID:
    person_id = principal_of(request).person_id
    assert person_id is not None, "the legal desk is people"
    return person_id


def _version(form: Form) -> int:
    """Of what the page showed; 0 for what is new."""
    text = form.get("version")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= VERSION_MOST else 0
