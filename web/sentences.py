"""What an error says to a person, in their language: by the error's stable slug, with what it carries.

The rooms raise errors with English messages, which the API shows. Pages show these sentences; an error without one
shows its message.
"""

from collections.abc import Mapping
from typing import Any, Final

from accounts.details import DetailsRefused
from kernel.errors import DomainError
from web.labels import N_
from web.pages import translations

__all__ = ["N_", "SENTENCES", "field_errors", "sentence", "sentence_of"]

SENTENCES: Final[dict[str, str]] = {
    # accounts
    "wrong-credentials": N_("E-mail or password is wrong. Check both, or ask for a new password."),
    "too-many-attempts": N_("Too many attempts. Wait a while and try again."),
    "email-taken": N_("This address has an account. Log in with it, or ask for a new password."),
    "email-malformed": N_("Write an e-mail address like name@company.example."),
    "name-refused": N_("Write a name of up to 200 characters."),
    "weak-password": N_("Choose a longer or less common password: at least 12 characters, no well-known one."),
    "unknown-country": N_("Choose a country from the list."),
    "tax-id-malformed": N_("This tax id does not have the form of the country's. Check it, or leave it empty."),
    "wrong-code": N_("This is not the code. Compare it with the last letter we sent."),
    "code-expired": N_("This code does not work any more. Ask for a new one."),
    "token-expired": N_("This link does not work any more. Ask for a new one."),
    "no-company": N_("You belong to no company now. Ask an admin of your company to invite you again."),
    "already-member": N_("This person belongs to your company already."),
    "last-admin": N_("Make somebody else an admin first: a company needs one."),
    "too-many-keys": N_("Two keys of this name are alive. Revoke the older one first."),
    # cart
    "sku-unknown": N_("We do not sell %(sku)s. Check the SKU, or search for it."),
    "unit-unknown": N_("%(sku)s is not sold in this unit."),
    "quantity-refused": N_("Write a quantity above 0 in which this is sold, like 12 or 2.5."),
    "cart-line-unknown": N_("This line is not in the cart any more; another tab may have removed it."),
    "cart-full": N_("A cart holds 500 lines. Order these first."),
    "currency-fixed": N_("Your company buys in one currency, which is part of its account."),
    # checkout
    "cart-empty": N_("The cart is empty."),
    "cart-not-orderable": N_("Some lines of the cart cannot be ordered as they are. Mend them first."),
    "insufficient-stock": N_("There is not enough in stock any more. Look at the marked lines."),
    "email-not-verified": N_("Type the code we sent to your address."),
    "price-changed": N_("The total has changed since you saw it. Nothing was ordered: look at it and accept again."),
    "job-title-missing": N_("Write your job title."),
    "box-not-ticked": N_("Tick this box to go on."),
    "presentation-stale": N_("What you agreed to has changed meanwhile. Read it again and accept again."),
    "signatory-required": N_("Only a signatory of your company can place this order. Ask one to log in and accept."),
    "order-not-payable": N_("This order cannot be paid any more."),
    "order-not-cancellable": N_("This order cannot be cancelled any more."),
    "payment-unavailable": N_("The payment page cannot be reached. Your order stands; try again in a minute."),
    # everywhere
    "forged-request": N_("This page is from before you logged in or out. Reload it and send the form again."),
    "not-found": N_("There is nothing here, or it is not yours to see."),
    "conflict": N_("Somebody else changed this first. Look at it again."),
    "unavailable": N_("This does not work at the moment. Try again in a minute."),
    "malformed": N_("The address or the form could not be read."),
}


def sentence(error: DomainError, locale: str) -> str:
    """Return the error's sentence in *locale*."""
    return sentence_of(error.problem, error.message, error.extra, locale)


def sentence_of(problem: str, message: str, extra: Mapping[str, Any], locale: str) -> str:
    """Do as `sentence` for an error known by its parts; *message* where there is no sentence."""
    text = SENTENCES.get(problem)
    if text is None:
        return message
    translated = translations(locale).gettext(text)
    try:
        return translated % {key: str(value) for key, value in extra.items()} if "%(" in translated else translated
    except KeyError:
        return message


def field_errors(error: DetailsRefused, locale: str) -> dict[str, str]:
    """Return the sentence of each refused field, by the field's name."""
    return {each.field: sentence_of(each.problem, each.message, {}, locale) for each in error.errors}
