"""What an error says to a person, in their language: by the error's stable slug, with what it carries.

The rooms raise errors with English messages, which the API shows. Pages show these sentences; an error without one
shows its message.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from accounts.details import DetailsRefused
from kernel.errors import DomainError
from pricing.engine.explain import refusal_text
from pricing.engine.request import RefusedLine
from web.labels import N_
from web.pages import labels, translations

__all__ = ["N_", "SENTENCES", "field_errors", "heading", "refusal_sentence", "sentence", "sentence_of"]

UNIT_PARAMS: Final = {"unit", "units"}

SENTENCES: Final[dict[str, str]] = {
    # accounts
    "wrong-credentials": N_("E-mail or password is wrong. Check both, or ask for a new password."),
    "too-many-attempts": N_("Too many attempts. Wait a while and try again."),
    "email-taken": N_("This address has an account. Log in with it, or ask for a new password."),
    "email-malformed": N_("Write an e-mail address like name@company.example."),
    "name-refused": N_("Write your name, in up to 200 characters."),
    "company_name.name-refused": N_("Write the name of the company, in up to 200 characters."),
    "weak-password": N_("Choose a longer or less common password: at least 12 characters, no well-known one."),
    "unknown-country": N_("Choose a country from the list."),
    "tax-id-malformed": N_("This tax id does not have the form of the country's. Check it, or leave it empty."),
    "wrong-code": N_("This is not the code. Compare it with the last letter we sent."),
    "code-expired": N_("This code does not work any more. Ask for a new one."),
    "token-expired": N_("This link does not work any more. Ask for a new one."),
    "staff-cannot-join": N_("Staff of the shop cannot join a company. Use another address."),
    "log-in-required": N_("Log in first."),
    "not-allowed": N_("Your role does not allow this. Ask an admin of your company."),
    "no-such-member": N_("This person does not belong to your company any more."),
    "no-such-invitation": N_("This invitation is not there any more."),
    "no-such-key": N_("This key is not there any more."),
    "unknown-scope": N_("Choose what the key may do from the list."),
    "no-company": N_("You belong to no company now. Ask an admin of your company to invite you again."),
    "already-member": N_("This person belongs to your company already."),
    "last-admin": N_("Make somebody else an admin first: a company needs one."),
    "too-many-keys": N_("Two keys of this name are alive. Revoke the older one first."),
    "role-unknown": N_("Choose a role from the list."),
    "limit-malformed": N_("Write an amount like 5000, or leave it empty for no limit."),
    # webhooks
    "webhook-url-refused": N_("We send nothing to this address. Write https:// and a full host name."),
    "webhook-endpoint-unknown": N_("This webhook address is not there any more."),
    "webhook-message-unknown": N_("This message is not there any more. Messages are kept for 30 days."),
    "webhook-endpoint-off": N_("This webhook address is switched off. Its company can switch it on."),
    "too-many-webhook-endpoints": N_("A company has ten webhook addresses at most. Delete one first."),
    # cart
    "sku-unknown": N_("We do not sell %(sku)s. Check the SKU, or search for it."),
    "unit-unknown": N_("%(sku)s is sold by: %(units)s."),
    "quantity-refused": N_("Write a quantity above 0, like 12; to take a line out, remove it."),
    "quantity-not-whole": N_("%(sku)s is sold in whole units only. Write a quantity like 12."),
    "quantity-too-large": N_("That is more than anyone can deliver. Write to us for an offer."),
    "pasted-line-malformed": N_("Write SKU, quantity and, if need be, the unit on each line."),
    "cart-line-unknown": N_("This line is not in the cart any more; another tab may have removed it."),
    "cart-full": N_("A cart holds 500 lines. Order these first."),
    "signed-quote-not-found": N_("Your company has no signed quote of this number. Check it."),
    "signed-quote-void": N_("This quote expired or was ordered already. Ask for a new one."),
    "currency-fixed": N_("Your company buys in one currency, which is part of its account."),
    # checkout
    "field-missing": N_("Fill this in."),
    "field-refused": N_("This is too long, or holds signs that cannot be printed."),
    "reason-missing": N_("Choose a reason, so that we can mend what keeps you."),
    "comment-unusable": N_("Write up to 2,000 characters of plain text."),
    "total-not-chargeable": N_("A card cannot be charged this total. Add something to the order, or write to us."),
    "freight-not-known": N_("We have no freight rate to this country in this currency. Write to us for an offer."),
    "presentation-not-found": N_("This page is out of date. Read it as it is now and accept again."),
    "presentation-foreign": N_("This page was shown to somebody else. Read it as it is now and accept yourself."),
    "cart-empty": N_("The cart is empty."),
    "cart-not-orderable": N_("Some lines of the cart cannot be ordered as they are. Mend them first."),
    "insufficient-stock": N_("There is not enough in stock any more. Look at the marked lines."),
    "email-not-verified": N_("Type the code we sent to your address."),
    "price-changed": N_("The total has changed since you saw it. Nothing was ordered: look at it and accept again."),
    "approval-needed": N_("A colleague of yours has to approve this order. Send it for approval; that binds nobody."),
    "approval-unknown": N_("There is no such request for approval, or it is not yours to see."),
    "approval-closed": N_("This request does not wait any more: it was answered, taken back, or it expired."),
    "approval-not-needed": N_("You may place this order yourself; nobody has to approve it."),
    "approver-missing": N_("Nobody else of your company may approve an order of this total."),
    "own-approval": N_("You asked for this order yourself; somebody else of your company has to approve it."),
    "not-approver": N_("You are no approver who may sign for your company. Ask an administrator of it."),
    "signatures-needed": N_("More than one person signs this order. Send it to them; that binds nobody."),
    "signatures-not-needed": N_("One person is enough for this order."),
    "signatories-refused": N_(
        "Choose exactly %(needed)s who may sign this total. Where somebody has to approve too, leave an approver out."
    ),
    "package-unknown": N_("There is nothing to sign here, or it is not yours to see. A link may have expired."),
    "package-stale": N_("What is to be signed has changed. Nobody can sign it any more; the buyer can send it anew."),
    "not-your-turn": N_("Somebody else is due to sign, or it has ended."),
    "typed-name-missing": N_("Type your name."),
    "amount-malformed": N_("Write amounts like 10000.00 EUR, one on each line."),
    "checkout-frozen": N_("This order waits for somebody else of your company. Take it back to change it."),
    "package-event-refused": N_("This is not possible any more: somebody signed, declined or changed it meanwhile."),
    "wait-days-refused": N_("Choose from 1 to 30 days."),
    "copies-refused": N_("Write up to five e-mail addresses, one on each line."),
    "amount-missing": N_("Write an amount above which orders need approval."),
    "job-title-missing": N_("Write your job title."),
    "box-not-ticked": N_("Tick this box to go on."),
    "presentation-stale": N_("What you agreed to has changed meanwhile. Read it again and accept again."),
    "signatory-required": N_("Only a signatory of your company can place this order. Ask one to log in and accept."),
    "presentation-consumed": N_("This order is placed already. You find it among your orders."),
    "agreement-needs-account": N_("Log in first: an order needs somebody who accepts it."),
    "document-not-found": N_("There is no such document or version."),
    "ledger-size-unknown": N_("The ledger has no such size, or no head of it was signed."),
    "framework-not-found": N_("There is no such framework agreement, or it is not yours to see."),
    "framework-ended": N_("This framework agreement has ended already."),
    "framework-ending-unusable": N_("Say why it ends, in up to 2,000 characters."),
    "framework-missing": N_("No framework agreement covers orders by your programs. A signatory can accept one."),
    "framework-outdated": N_(
        "The documents changed since the framework agreement was accepted. A signatory has to accept it anew."
    ),
    "framework-exceeded": N_("The order comes to more than the framework agreement covers."),
    "document-rule-not-found": N_("There is no such rule."),
    "document-rule-moved": N_("Somebody else changed this since you opened the page. Look at it again."),
    "document-rule-unusable": N_("Something in the rule cannot be kept. Mend the marked fields."),
    "document-draft-not-found": N_("There is no such draft. Somebody may have sent you another address."),
    "document-draft-closed": N_("This draft was published or discarded. Open a new one."),
    "document-draft-moved": N_("Somebody else edited the draft since you opened this page. Look at it again."),
    "document-draft-exists": N_(
        "This version is being drafted already. Go on with that draft, or choose another label."
    ),
    "document-review-out-of-turn": N_(
        "Somebody else took this step first, or the one before it is missing. Look again."
    ),
    "document-approver-is-author": N_("Whoever wrote or submitted a draft cannot approve it. Ask a colleague."),
    "document-not-approved": N_("Somebody other than its authors has to approve the draft as it is now."),
    "document-draft-unusable": N_("Something in the draft cannot be kept. Mend the marked fields."),
    "document-text-missing": N_("Write the text in at least one language first."),
    "document-code-taken": N_("There is a document of this code already. Choose another code."),
    "document-label-taken": N_(
        "This label is published with another text, and is never used again. Choose a new label."
    ),
    "document-source-unusable": N_(
        "Begin with “# Title”, then a first section “## …” that sums up the material terms, then the terms; at most "
        "500,000 characters."
    ),
    "receipt-not-found": N_("There is no such receipt, or it is not yours to see."),
    "review-not-found": N_("This link does not work any more. Ask the person who sent it for a new one."),
    "order-unknown": N_("There is no such order, or it is not yours to see."),
    "tax-not-known": N_("We do not know the tax for a delivery to this country. Write to us for an offer."),
    "order-not-payable": N_("This order cannot be paid any more."),
    "nothing-to-refund": N_("Nothing is left to give back, or it is on its way already. Look at the order again."),
    "refund-too-large": N_("At most %(left)s %(currency)s can be given back of this order."),
    "payment-disputed": N_(
        "The buyer's bank disputes this payment and may give the money back itself. Answer the dispute, or concede it, "
        "under Disputes; given back as well, it would be lost twice."
    ),
    "dispute-unknown": N_("There is no such dispute. Look at the list of disputes again."),
    "dispute-not-answerable": N_("This dispute is decided, or its answer is on its way. Look at it again."),
    "certificate-unusable": N_("Name its number and who issued it; one that has expired cannot be taken."),
    "certificate-unknown": N_("There is no such certificate. Look at the list again."),
    "certificate-reviewed": N_("Somebody has looked at this certificate already. Look at the list again."),
    "day-malformed": N_("Write the day as 2027-12-31."),
    "vat-number-not-asked": N_("There is no VAT number that we ask the tax office about."),
    "tax-unavailable": N_(
        "The tax cannot be calculated at the moment. Nothing was ordered and nothing is lost; please try again."
    ),
    "liability-unknown": N_("There is no such case. Look at the order again."),
    "payment-provider-unavailable": N_("The payment provider does not answer at the moment. Try again in a minute."),
    "credit-limit-exceeded": N_(
        "%(left)s %(currency)s of your credit is left and the order comes to %(total)s %(currency)s. Pay it now, order "
        "less, or ask us for a higher limit."
    ),
    "order-not-releasable": N_("This order waits for no release. Look at it again."),
    "nothing-to-credit": N_(
        "Nothing of this can be credited now. Credit what is due first, or look at the order again."
    ),
    "credit-too-large": N_("At most %(left)s %(currency)s can be credited. To credit all of it, cancel the order."),
    "invoice-not-open": N_("This order has no open invoice. Look at it again."),
    "credit-unavailable": N_("Your company cannot pay this order by invoice. Pay it now, or ask us for terms."),
    "credit-company-unknown": N_("There is no such company."),
    "credit-moved": N_("Somebody else changed the terms of this company meanwhile. Look at them again."),
    "credit-change-unusable": N_("A change of terms needs something to change, 1 to 365 days, and a reason."),
    "credit-currency-fixed": N_("Orders in the other currency are open. They have to be paid first."),
    "stripe-event-unknown": N_("No such event waits. Somebody may have looked at it already."),
    "order-not-cancellable": N_("This order cannot be cancelled any more."),
    "saved-card-unknown": N_("This card is not kept any more, or has expired. Choose another way to pay."),
    "card-declined": N_(
        "The card was not charged: your bank declined it. Your order stands; pay with another card or another way."
    ),
    "card-confirmation-needed": N_("Your bank asks you to confirm this payment yourself. Pay on the payment page."),
    "payment-uncertain": N_(
        "We do not know yet whether your card was charged, and are looking at it. Nobody can pay this order twice "
        "meanwhile; look here again in a minute."
    ),
    "nothing-held": N_("Nothing is held for this order any more: it was taken, let go, or has expired."),
    "charge-not-open": N_("No charge of this order waits for a person any more."),
    "payment-unavailable": N_("The payment page cannot be reached. Your order stands; try again in a minute."),
    # catalogue and prices
    "product-unknown": N_("There is no such product, or it is not on sale any more. Search for another."),
    "category-unknown": N_("There is no such category. Browse the catalogue instead."),
    "query-too-long": N_("This search is too long. Write fewer words."),
    "no-price-audit": N_("No audit has been made yet."),
    "no-price-book": N_("Prices are not published yet. Try again later."),
    "price-book-unavailable": N_("Prices cannot be shown at the moment. Try again in a minute."),
    # prices at the desk
    "price-effective-too-soon": N_("Choose a later instant: all channels need the lead time to switch together."),
    "price-publication-out-of-order": N_(
        "Another publication takes effect later than that. Choose its instant or a later one."
    ),
    "price-publication-contended": N_("Others are publishing at the same time. Try again."),
    "price-findings": N_("Errors stop the publication; they stand below."),
    "price-warnings": N_("Each warning needs an acknowledgement with a reason first; they stand below."),
    "price-warning-gone": N_("The warnings are others by now. Look at them again."),
    "price-reason-unusable": N_("Write a reason of up to 1,000 characters."),
    "segments-moved": N_("Somebody else changed the segments of this company meanwhile. Look at them again."),
    "segment-change-unusable": N_("A change of segments needs something to change, usable codes and a reason."),
    "price-draft-moved": N_("The draft was edited since you opened this page. Look at it again."),
    "price-review-out-of-turn": N_("Somebody else took this step first, or the one before it is missing. Look again."),
    "price-approver-is-author": N_("Whoever wrote or submitted a draft cannot approve it. Ask a colleague."),
    "price-comment-unusable": N_("Write a comment of up to 2,000 characters."),
    "price-second-approval-missing": N_("A second colleague has to approve the draft as it is now."),
    "price-not-approved": N_("Somebody other than its authors has to approve the draft as it is now."),
    "price-impact-not-found": N_("This impact is not there any more. Work it out again."),
    "price-impact-outdated": N_("The draft or the published prices changed since. Work it out again."),
    "price-impact-clash": N_("Others published changes of the same. “Check and publish” shows both sides."),
    "price-impact-window": N_("Choose the last 1, 3 or 12 months."),
    "price-import-not-found": N_("This file is not here any more. Upload it again."),
    "price-import-closed": N_("This file is not at that point any more. Look at it again."),
    "price-import-too-large": N_("The file is larger than this installation takes. Split it."),
    "price-import-part-misplaced": N_("A part of the file is missing. Choose the file again."),
    "price-import-malformed": N_("Choose a file that is not empty."),
    "price-export-form-unknown": N_("Prices are exported as a workbook (xlsx) or as CSV files (csv)."),
    "price-object-not-exportable": N_(
        "A rule of this draft is for nothing at all, which no file can say. Mend it first."
    ),
    "sheet-cell-too-long": N_("%(cell)s holds more than a spreadsheet takes. Export as CSV files instead."),
    "price-draft-clash": N_("Somebody else changed the same; both sides stand below."),
    "price-draft-not-found": N_("There is no such draft."),
    "price-draft-closed": N_("This draft was published or discarded. Begin a new one."),
    "price-publication-not-found": N_("There is no such publication."),
    "price-object-not-found": N_("There is no such object in this draft. It may have been removed."),
    "price-change-gone": N_("This change is not in the draft any more, or somebody has edited it. Look at it again."),
    "rendering-unknown": N_("No picture of this step was kept."),
    # privacy
    "erasure-subject-unknown": N_("Nobody has this e-mail address or code. Check it."),
    "erasure-plan-unknown": N_("There is no such plan."),
    "erasure-plan-refused": N_("Name a person by e-mail or a company by code, a day that has come, and a reason."),
    "erasure-plan-out-of-turn": N_("This plan is approved, carried out or withdrawn already. Look at it again."),
    "erasure-approver-is-author": N_("Whoever made the plan cannot approve it. Ask a colleague of the legal desk."),
    "erasure-plan-changed": N_("What is held has changed since you opened the plan. Read it again, then approve."),
    "erasure-on-hold": N_("A legal hold stands: %(reason)s"),
    "erasure-business-unfinished": N_("Not finished yet: %(references)s. It has to end before anything is erased."),
    "legal-hold-unknown": N_("This hold is lifted already."),
    "retention-periods-unusable": N_("The file of periods cannot be read. Compare it with the one of the demo."),
    "retention-period-refused": N_("Write 0 to 36,525 days, a country we know or none, and why in both languages."),
    "data-export-unknown": N_("This copy is not there any more. Ask for a new one."),
    "data-export-too-soon": N_("A copy is being made. It will be on this page in some minutes."),
    "consent-link-unknown": N_("This link is incomplete. Copy it whole from the letter."),
    # everywhere
    "unauthenticated": N_("Log in first."),
    "malformed-form": N_("The form could not be read: it is too long, or holds signs that are no text, such as NUL."),
    "refused": N_("This cannot be done as things stand."),
    "forbidden": N_("Your role does not allow this."),
    "scope-missing": N_("Your role does not allow this."),
    "method-not-allowed": N_("This address is not meant to be opened like this. Start from the page before."),
    "too-large": N_("This is too long. Send it in parts."),
    "idempotency-key-reused": N_("This cannot be done as things stand."),
    "call-in-progress": N_("This does not work at the moment. Try again in a minute."),
    "too-many-requests": N_("Too many attempts. Wait a while and try again."),
    "internal": N_("The error is on our side and has been recorded. Nothing was charged."),
    "forged-request": N_("This page is from before you logged in or out. Reload it and send the form again."),
    "not-found": N_("There is nothing here, or it is not yours to see."),
    "conflict": N_("Somebody else changed this first. Look at it again."),
    "unavailable": N_("This does not work at the moment. Try again in a minute."),
    "malformed": N_("The address or the form could not be read."),
}

HEADINGS: Final[dict[int, str]] = {
    400: N_("This could not be read"),
    403: N_("Not allowed"),
    404: N_("Not found"),
    405: N_("Not meant to be opened like this"),
    409: N_("This has changed meanwhile"),
    413: N_("Too long"),
    429: N_("Too many attempts"),
    500: N_("Something went wrong"),
    503: N_("Not available at the moment"),
}
"""Of the page that shows an error alone, by its status."""


def heading(status: int, locale: str) -> str:
    """Return what stands above an error that has a page of its own."""
    return translations(locale).gettext(HEADINGS.get(status, HEADINGS[500]))


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
        return translated % _readable(extra, locale) if "%(" in translated else translated
    except KeyError:
        return message


def refusal_sentence(line: RefusedLine, locale: str) -> str:
    """Say why a line has no price, its units by their names."""
    params = {name: _units(value, locale) if name in UNIT_PARAMS else value for name, value in line.params.items()}
    return refusal_text(msgspec.structs.replace(line, params=params), locale)


def _readable(extra: Mapping[str, Any], locale: str) -> dict[str, str]:
    return {
        name: _units(", ".join(value) if isinstance(value, list) else str(value), locale)
        if name in UNIT_PARAMS
        else str(value)
        for name, value in extra.items()
    }


def _units(codes: str, locale: str) -> str:
    return ", ".join(labels(locale).unit(code, 2) for code in codes.split(", "))


def field_errors(error: DetailsRefused, locale: str) -> dict[str, str]:
    """Return the sentence of each refused field, by the field's name."""
    return {
        each.field: sentence_of(
            each.problem if f"{each.field}.{each.problem}" not in SENTENCES else f"{each.field}.{each.problem}",
            each.message,
            {},
            locale,
        )
        for each in error.errors
    }
