"""The hosted payment page and the bank's 3D Secure page: plain HTML that works without JavaScript."""

from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlsplit

from sandbox.stripe_twin.cards import TEST_CARDS, UNKNOWN_CARD
from sandbox.stripe_twin.currencies import decimals, display
from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.store import Record

_LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} (test payments)</title>
<link rel="stylesheet" href="/assets/twin.css">
</head>
<body>
<p class="banner" role="note"><strong>TEST PAYMENTS</strong> This page stands in for Stripe. No money moves, and no
real card is accepted.</p>
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


def payment_page(session: Record, state: FormState) -> str:
    body = session.body
    total = display(body["amount_total"], body["currency"])
    back = body["cancel_url"]
    email = (body["customer_details"] or {}).get("email") or body["customer_email"]
    return _LAYOUT.format(
        title=f"Pay {total}",
        content=f"""<div class="columns">
<section class="summary" aria-labelledby="summary-title">
{f'<p><a href="{escape(back)}">&larr; Back to the shop</a></p>' if back else ""}
<h1 id="summary-title"><span class="muted">Amount due</span> <span class="amount">{escape(total)}</span></h1>
<ul class="lines">{"".join(_line(item) for item in session.private["line_items"])}</ul>
<p class="total"><span>Total due</span> <strong>{escape(total)}</strong></p>
</section>
<section class="payment" aria-labelledby="payment-title">
<h2 id="payment-title">Pay with card</h2>
{_alert(state)}
<form method="post" action="/c/pay/{session.id}" novalidate>
{_email_field(state, email)}
{_field(state, "number", "Card number", "1234 1234 1234 1234", inputmode="numeric", autocomplete="cc-number")}
<div class="pair">
{_field(state, "expiry", "Expiry date", "MM / YY", inputmode="numeric", autocomplete="cc-exp")}
{_field(state, "cvc", "Security code", "CVC", inputmode="numeric", autocomplete="cc-csc")}
</div>
{_field(state, "name", "Name on card", "Full name", inputmode="text", autocomplete="cc-name")}
<button type="submit" class="pay">Pay {escape(total)}</button>
</form>
{_card_table(session.id)}
</section>
</div>""",
    )


def authentication_page(session: Record, intent: Record) -> str:
    total = display(intent.body["amount"], intent.body["currency"])
    return _LAYOUT.format(
        title="Confirm your payment",
        content=f"""<section class="card" aria-labelledby="bank-title">
<h1 id="bank-title">Your bank asks: is this you?</h1>
<p>3D Secure check for a payment of <strong>{escape(total)}</strong>. A real bank would ask for its app or a code;
here you choose how it ends.</p>
<form method="post">
<button type="submit" name="answer" value="pass" class="pay">Complete authentication</button>
<button type="submit" name="answer" value="fail" class="quiet">Fail authentication</button>
</form>
<p><a href="/c/pay/{session.id}">Use another card instead</a></p>
</section>""",
    )


def closed_page(session: Record) -> str:
    """For a Session that is complete or expired: what happened, and the way back."""
    if session.body["status"] == "complete":
        url = session.body["success_url"].replace("{CHECKOUT_SESSION_ID}", quote(session.id))
        title, text, link = "This order is paid", "There is nothing more to pay here.", (url, "Go to your order")
    else:
        title, text = "This payment page has expired", "Nothing was charged. Start the payment again from the shop."
        link = (session.body["cancel_url"] or session.body["success_url"], "Back to the shop")
    return _LAYOUT.format(
        title=title,
        content=f"""<section class="card"><h1>{title}</h1><p>{text}</p>
<p><a class="pay" href="{escape(link[0])}">{link[1]}</a></p></section>""",
    )


def message_page(title: str, text: str) -> str:
    return _LAYOUT.format(
        title=escape(title), content=f'<section class="card"><h1>{escape(title)}</h1><p>{escape(text)}</p></section>'
    )


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


def _line(item: JsonObject) -> str:
    amount = display(item["amount_total"], item["currency"])
    detail = ""
    if item["quantity"] > 1:
        detail = f'<span class="muted">Qty {item["quantity"]:,}, {_unit(item)} each</span>'
    return (
        f"<li><span>{escape(item['description'] or '')}{f'<br>{detail}' if detail else ''}</span>"
        f" <span>{escape(amount)}</span></li>"
    )


def _unit(item: JsonObject) -> str:
    price = item["price"]
    if price["unit_amount"] is not None:
        return escape(display(price["unit_amount"], price["currency"]))
    return f"{escape(price['unit_amount_decimal'])} / {10 ** decimals(price['currency'])} {price['currency'].upper()}"


def _alert(state: FormState) -> str:
    return f'<p class="alert" role="alert">{escape(state.message)}</p>' if state.message else ""


def _email_field(state: FormState, email: str | None) -> str:
    if email is not None:
        return (
            f'<input type="hidden" name="email" value="{escape(email)}">'
            f'<p class="field"><span class="label">E-mail</span> <span class="fixed">{escape(email)}</span></p>'
        )
    return _field(state, "email", "E-mail", "buyer@acme.example", inputmode="email", autocomplete="email")


def _field(state: FormState, name: str, label: str, placeholder: str, *, inputmode: str, autocomplete: str) -> str:
    wrong = state.field == name
    mark = f' aria-invalid="true" aria-describedby="{name}-error"' if wrong else ""
    error = f'<span class="error" id="{name}-error">{escape(state.message or "")}</span>' if wrong else ""
    return (
        f'<p class="field"><label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" inputmode="{inputmode}" autocomplete="{autocomplete}"'
        f' placeholder="{placeholder}" value="{escape(state.fields.get(name, ""))}"{mark}>{error}</p>'
    )


def _card_table(session_id: str) -> str:
    rows = "".join(
        f'<tr><td><a href="/c/pay/{session_id}?card={card.number}"><code>{_grouped(card.number)}</code></a></td>'
        f"<td>{escape(card.title)}</td></tr>"
        for card in TEST_CARDS
    )
    return f"""<details class="cards" open><summary>Test cards</summary>
<p class="muted">Choose a number to fill in the form. Any future date and any security code will do.</p>
<table><thead><tr><th scope="col">Number</th><th scope="col">What happens</th></tr></thead><tbody>{rows}
<tr><td>{UNKNOWN_CARD.title}</td><td>Declined: not a test card</td></tr></tbody></table></details>"""


def _grouped(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))
