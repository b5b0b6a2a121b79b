"""A company's own rules of buying, written by its administrator."""

import uuid
from typing import Final

import msgspec
from litestar import get, post
from litestar.types import ControllerRouterHandler

from accounts.details import DetailsRefused
from accounts.policies import ApprovalRule, Policy
from kernel.errors import DomainError
from kernel.money import Money
from web.amounts import typed_money
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import N_, field_errors, sentence
from web.shop.account import LimitMalformed

RULE_WORDS: Final[dict[ApprovalRule, str]] = {
    ApprovalRule.NEVER: N_("Signatories order alone, up to their limits"),
    ApprovalRule.ABOVE: N_("Above an amount, somebody else approves"),
    ApprovalRule.ALWAYS: N_("Somebody else approves every order"),
}


@get("/account/policy", include_in_schema=False, summary="How the company buys")
async def policy_page(request: AnyRequest) -> Html:
    return await _show(request)


@post("/account/policy", include_in_schema=False, summary="Change how the company buys")
async def change_policy(request: AnyRequest) -> Html:
    form, locale, principal = await read_form(request), locale_of(request), principal_of(request)
    assert principal.company is not None, "the role table lets in members only"
    errors: dict[str, str] = {}
    amounts: dict[str, Money | None] = {}
    for field in ("approval_above", "two_signatures_above"):
        try:
            amounts[field] = _amount(form.get(field), principal.company.currency)
        except LimitMalformed as error:
            errors[field] = sentence(error, locale)
    try:
        policy = Policy(
            approval=_rule(form),
            approval_above=amounts.get("approval_above"),
            approval_of=frozenset(_people(form)),
            two_signatures_above=amounts.get("two_signatures_above"),
            copies=tuple(line.strip().lower() for line in form.get("copies").split("\n") if line.strip()),
            wait_days=int(form.get("wait_days")) if form.get("wait_days").isdecimal() else 0,
        )
        if not errors:
            await services_of(request).buying_policies.change(principal, policy)
    except DetailsRefused as error:
        errors |= field_errors(error, locale)
    if errors:
        return await _show(request, form=form, errors=errors, status=422)
    return redirect("/account/policy?saved=yes")


async def _show(
    request: AnyRequest, *, form: Form | None = None, errors: dict[str, str] | None = None, status: int = 200
) -> Html:
    services, principal = services_of(request), principal_of(request)
    assert principal.company is not None, "the role table lets in members only"
    policy = await services.buying_policies.find(principal.company, principal)
    above, two = policy.approval_above, policy.two_signatures_above
    values = {
        "approval": policy.approval.value,
        "approval_above": "" if above is None else above.decimal,
        "two_signatures_above": "" if two is None else two.decimal,
        "copies": "\n".join(policy.copies),
        "wait_days": str(policy.wait_days),
    }
    named = {str(person) for person in policy.approval_of}
    if form is not None:
        values |= form.as_dict()
        named = set(form.all("approval_of"))
    members = await services.members.list_members(principal)
    return page(
        request,
        "account/policy.html",
        status=status,
        values=values,
        named=named,
        members=members,
        approvers=[each for each in members if each.membership.signatory and each.membership.role.value != "buyer"],
        rule_words=RULE_WORDS,
        errors=errors or {},
        saved=request.query_params.get("saved") == "yes",
    )


def _rule(form: Form) -> ApprovalRule:
    """What is none is the strictest: nobody meant to loosen anything."""
    try:
        return ApprovalRule(form.get("approval"))
    except ValueError:
        return ApprovalRule.ALWAYS


def _people(form: Form) -> list[uuid.UUID]:
    found = []
    for text in form.all("approval_of"):
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue  # none of the boxes we drew
    return found


def _amount(text: str, currency: str) -> Money | None:
    """:raises LimitMalformed: for anything but an amount from 0 on, or nothing"""
    if not text:
        return None
    try:
        amount = typed_money(text, currency)
    except (DomainError, msgspec.ValidationError):
        raise LimitMalformed from None
    if amount.minor < 0:
        raise LimitMalformed
    return amount


HANDLERS: list[ControllerRouterHandler] = [policy_page, change_policy]
