"""The hosted payment page and the bank's 3D Secure page: plain HTML that works without JavaScript."""

from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from urllib.parse import quote, urlsplit

from sandbox.stripe_twin.cards import TEST_CARDS, UNKNOWN_CARD
from sandbox.stripe_twin.currencies import decimals, display
from sandbox.stripe_twin.debits import ROUTING_NUMBER, TEST_ACCOUNTS
from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.sessions import may_save
from sandbox.stripe_twin.spanish import Say, speaker
from sandbox.stripe_twin.store import Record

_LAYOUT = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} ({test_payments})</title>
<link rel="stylesheet" href="/assets/twin.css">
</head>
<body>
<p class="banner" role="note"><strong>{banner}</strong> {notice}</p>
<main>
{content}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class FormState:
    """What was typed, and what is wrong with it: *field* is the field to mend, or None for the whole card."""

    fields: dict[str, str]
    message: str | None = None
    field: str | None = None
    method: str = "card"


_TITLES = {
    "card": "Pay with card",
    "sepa_debit": "Pay by SEPA Direct Debit",
    "us_bank_account": "Pay by US bank account",
}


def payment_page(session: Record, state: FormState, language: str) -> str:
    say, body = speaker(language), session.body
    total = escape(display(body["amount_total"], body["currency"]))
    back = body["cancel_url"]
    email = (body["customer_details"] or {}).get("email") or body["customer_email"]
    items = zip_longest(session.private["line_items"], session.private["details"])
    content = f"""<div class="columns">
<section class="summary" aria-labelledby="summary-title">
{f'<p><a href="{escape(back)}">&larr; {say("Back to the shop")}</a></p>' if back else ""}
<h1 id="summary-title"><span class="muted">{say("Amount due")}</span> <span class="amount">{total}</span></h1>
<ul class="lines">{"".join(_line(item, detail, say) for item, detail in items)}</ul>
<p class="total"><span>{say("Total due")}</span> <strong>{total}</strong></p>
</section>
<section class="payment" id="pay" aria-labelledby="payment-title">
<h2 id="payment-title">{say(_TITLES[state.method])}</h2>
{_other_methods(session, state, say)}
{alert(state, say)}
<form method="post" action="/c/pay/{session.id}" novalidate>
<input type="hidden" name="method" value="{state.method}">
{_email_field(state, email, say)}
{card_fields(state, say, may_save=may_save(session)) if state.method == "card" else _account_fields(state, say)}
<button type="submit" class="pay">{say("Pay")} {total}</button>
</form>
{_card_table(session.id, say) if state.method == "card" else _account_table(session.id, state.method, say)}
</section>
</div>"""
    return framed(f"{say('Pay')} {total}", content, language)


def authentication_page(session: Record, intent: Record, language: str) -> str:
    say = speaker(language)
    total = escape(display(intent.body["amount"], intent.body["currency"]))
    content = f"""<section class="card" aria-labelledby="bank-title">
<h1 id="bank-title">{say("Your bank asks: is this you?")}</h1>
<p>{say("3D Secure check for a payment of")} <strong>{total}</strong>.
{say("A real bank would ask for its app or a code; here you choose how it ends.")}</p>
<form method="post">
<button type="submit" name="answer" value="pass" class="pay">{say("Complete authentication")}</button>
<button type="submit" name="answer" value="fail" class="quiet">{say("Fail authentication")}</button>
</form>
<p><a href="/c/pay/{session.id}">{say("Use another card instead")}</a></p>
</section>"""
    return framed(say("Confirm your payment"), content, language)


def closed_page(session: Record, language: str) -> str:
    """For a Session that is complete or expired: what happened, and the way back."""
    say = speaker(language)
    if session.body["status"] == "complete" and session.body["payment_status"] == "unpaid":
        url = session.body["success_url"].replace("{CHECKOUT_SESSION_ID}", quote(session.id))
        title, text, link = "This payment is under way", "There is nothing more to do here.", "Go to your order"
    elif session.body["status"] == "complete":
        url = session.body["success_url"].replace("{CHECKOUT_SESSION_ID}", quote(session.id))
        title, text, link = "This order is paid", "There is nothing more to pay here.", "Go to your order"
    else:
        url = session.body["cancel_url"] or session.body["success_url"]
        title, text = "This payment page has expired", "Nothing was charged. Start the payment again from the shop."
        link = "Back to the shop"
    content = f"""<section class="card"><h1>{say(title)}</h1><p>{say(text)}</p>
<p><a class="pay" href="{escape(url)}">{say(link)}</a></p></section>"""
    return framed(say(title), content, language)


def message_page(title: str, text: str, language: str) -> str:
    """*title* is translated; *text* is given as it shall stand."""
    heading = speaker(language)(title)
    content = f'<section class="card"><h1>{heading}</h1><p>{escape(text)}</p></section>'
    return framed(heading, content, language)


def content_security_policy(session: Record | None) -> str:
    """Forms may lead to the twin and, by redirect, to the shop: Chromium checks form-action on redirects too."""
    origins = ["'self'"]
    if session is not None:
        for url in (session.body["success_url"], session.body["cancel_url"]):
            parts = urlsplit(url or "")
            if parts.netloc:
                origins.append(f"{parts.scheme}://{parts.netloc}")
    return (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {' '.join(dict.fromkeys(origins))}"
    )


def framed(title: str, content: str, language: str) -> str:
    say = speaker(language)
    return _LAYOUT.format(
        language=language,
        title=title,
        test_payments=say("test payments"),
        banner=say("TEST PAYMENTS"),
        notice=say("This page stands in for Stripe. No money moves, and no real card is accepted."),
        content=content,
    )


def _line(item: JsonObject, detail: str | None, say: Say) -> str:
    amount = escape(display(item["amount_total"], item["currency"]))
    notes = [detail] if detail else []
    if item["quantity"] > 1:
        notes.append(f"{say('Qty')} {item['quantity']:,}, {_unit(item)} {say('each')}")
    muted = "".join(f'<br><span class="muted">{escape(note)}</span>' for note in notes)
    return f"<li><span>{escape(item['description'] or '')}{muted}</span> <span>{amount}</span></li>"


def _unit(item: JsonObject) -> str:
    price = item["price"]
    if price["unit_amount"] is not None:
        return display(price["unit_amount"], price["currency"])
    return f"{price['unit_amount_decimal']} / {10 ** decimals(price['currency'])} {price['currency'].upper()}"


def alert(state: FormState, say: Say) -> str:
    if not state.message:
        return ""
    again = f" {say('Try another card.')}" if state.field is None else ""
    return f'<p class="alert" role="alert" tabindex="-1" autofocus>{escape(say(state.message))}{again}</p>'


def _email_field(state: FormState, email: str | None, say: Say) -> str:
    if email is not None:
        return (
            f'<input type="hidden" name="email" value="{escape(email)}">'
            f'<p class="field"><span class="label">{say("E-mail")}</span> <span>{escape(email)}</span></p>'
        )
    return _field(state, say, "email", "E-mail", "buyer@acme.example", autocomplete="email", inputmode="email")


def _field(
    state: FormState,
    say: Say,
    name: str,
    label: str,
    placeholder: str,
    *,
    autocomplete: str,
    inputmode: str = "numeric",
) -> str:
    wrong = state.field == name
    mark = f' aria-invalid="true" aria-describedby="{name}-error"' if wrong else ""
    error = f'<span class="error" id="{name}-error">{escape(say(state.message or ""))}</span>' if wrong else ""
    return (
        f'<p class="field"><label for="{name}">{say(label)}</label>'
        f'<input id="{name}" name="{name}" inputmode="{inputmode}" autocomplete="{autocomplete}"'
        f' placeholder="{placeholder}" value="{escape(state.fields.get(name, ""))}"{mark}>{error}</p>'
    )


def _other_methods(session: Record, state: FormState, say: Say) -> str:
    others = [method for method in session.body["payment_method_types"] if method != state.method]
    links = (f'<a href="/c/pay/{session.id}?method={method}#pay">{say(_TITLES[method])}</a>' for method in others)
    return f'<p class="methods">{say("Or:")} {" · ".join(links)}</p>' if others else ""


def card_fields(state: FormState, say: Say, *, may_save: bool = False) -> str:
    return f"""{_field(state, say, "number", "Card number", "1234 1234 1234 1234", autocomplete="cc-number")}
<div class="pair">
{_field(state, say, "expiry", "Expiry date", say("MM / YY"), autocomplete="cc-exp")}
{_field(state, say, "cvc", "Security code", "CVC", autocomplete="cc-csc")}
</div>
{_field(state, say, "name", "Name on card", say("Full name"), autocomplete="cc-name", inputmode="text")}
{_save_tick(state, say) if may_save else ""}"""


def _save_tick(state: FormState, say: Say) -> str:
    ticked = " checked" if state.fields.get("save") == "yes" else ""
    label = say("Keep this card for later payments to the shop")
    return f'<p><input type="checkbox" id="save" name="save" value="yes"{ticked}> <label for="save">{label}</label></p>'


def _account_fields(state: FormState, say: Say) -> str:
    if state.method == "sepa_debit":
        number = _field(state, say, "number", "IBAN", "AT61 1904 3002 3457 3201", autocomplete="off", inputmode="text")
    else:
        number = _field(state, say, "routing", "Routing number", ROUTING_NUMBER, autocomplete="off") + _field(
            state, say, "number", "Account number", "000123456789", autocomplete="off"
        )
    holder = _field(
        state, say, "name", "Account holder", say("Company or full name"), autocomplete="organization", inputmode="text"
    )
    mandate = say("By paying you authorise the shop to debit this account. The bank takes some days to say yes or no.")
    return f'{number}{holder}<p class="muted">{mandate}</p>'


def _account_table(session_id: str, method: str, say: Say) -> str:
    rows = "".join(
        f'<tr><td><a href="/c/pay/{session_id}?account={bank.number}#pay"><code>{bank.number}</code></a></td>'
        f"<td>{say(bank.title)}</td></tr>"
        for bank in TEST_ACCOUNTS
        if bank.method == method
    )
    return f"""<details class="cards" open><summary>{say("Test accounts")}</summary>
<p class="muted">{say("Choose a number to fill in the form.")}</p>
<table><thead><tr><th scope="col">{say("Number")}</th><th scope="col">{say("What happens")}</th></tr></thead>
<tbody>{rows}</tbody></table></details>"""


def _card_table(session_id: str, say: Say) -> str:
    rows = "".join(
        f'<tr><td><a href="/c/pay/{session_id}?card={card.number}#pay"><code>{_grouped(card.number)}</code></a></td>'
        f"<td>{say(card.title)}</td></tr>"
        for card in TEST_CARDS
    )
    return f"""<details class="cards" open><summary>{say("Test cards")}</summary>
<p class="muted">{say("Choose a number to fill in the form. Any future date and any security code will do.")}</p>
<table><thead><tr><th scope="col">{say("Number")}</th><th scope="col">{say("What happens")}</th></tr></thead>
<tbody>{rows}
<tr><td>{say(UNKNOWN_CARD.title)}</td><td>{say("Declined: not a test card")}</td></tr></tbody></table></details>"""


def _grouped(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))
