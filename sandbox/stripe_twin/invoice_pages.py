"""The hosted page of an Invoice: what it is over, how to transfer the money, and a card form."""

from html import escape
from time import gmtime, strftime

from sandbox.stripe_twin.currencies import display
from sandbox.stripe_twin.pages import FormState, alert, card_fields, framed
from sandbox.stripe_twin.spanish import speaker
from sandbox.stripe_twin.store import Record


def invoice_page(invoice: Record, state: FormState, language: str) -> str:
    say, body = speaker(language), invoice.body
    due = escape(display(body["amount_remaining"], body["currency"]))
    lines = "".join(
        f"<li><span>{escape(line['description'] or '')}</span> "
        f"<span>{escape(display(line['amount'], line['currency']))}</span></li>"
        for line in body["lines"]["data"]
    )
    fields = "".join(
        f"<li><span>{escape(field['name'])}</span> <span>{escape(field['value'])}</span></li>"
        for field in body["custom_fields"] or ()
    )
    content = f"""<div class="columns">
<section class="summary" aria-labelledby="summary-title">
<h1 id="summary-title"><span class="muted">{say("Invoice")} {escape(body["number"] or "")}</span>
<span class="amount">{due}</span></h1>
<ul class="lines">{lines}{fields}</ul>
<p>{say("Due on")} {strftime("%Y-%m-%d", gmtime(body["due_date"] or 0))}</p>
</section>
<section class="payment" id="pay" aria-labelledby="payment-title">
{_payment(invoice, state, language, due)}
</section>
</div>"""
    return framed(f"{say('Invoice')} {escape(body['number'] or '')}", content, language)


def bank_page(invoice: Record, language: str) -> str:
    """The bank's 3D Secure page for a card on an Invoice."""
    say = speaker(language)
    content = f"""<section class="card" aria-labelledby="bank-title">
<h1 id="bank-title">{say("Your bank asks: is this you?")}</h1>
<form method="post" action="/i/{invoice.id}/3ds">
<button type="submit" name="answer" value="pass" class="pay">{say("Complete authentication")}</button>
<button type="submit" name="answer" value="fail" class="quiet">{say("Fail authentication")}</button>
</form></section>"""
    return framed(say("Confirm your payment"), content, language)


def _payment(invoice: Record, state: FormState, language: str, due: str) -> str:
    say, body = speaker(language), invoice.body
    if body["status"] == "paid":
        return f"<h2 id='payment-title'>{say('This order is paid')}</h2>"
    if body["status"] not in {"open", "uncollectible"}:
        return f"<h2 id='payment-title'>{say('This invoice is not to be paid any more')}</h2>"
    transfer = ""
    if "customer_balance" in invoice.private["allowed"]:
        transfer = f"<p>{say('Or transfer the amount and name the number of the invoice.')}</p>"
    return f"""<h2 id="payment-title">{say("Pay with card")}</h2>
{alert(state, say)}
<form method="post" action="/i/{invoice.id}" novalidate>
{card_fields(state, say)}
<input type="hidden" name="email" value="{escape(body["customer_email"] or "buyer@acme.example")}">
<button type="submit" class="pay">{say("Pay")} {due}</button>
</form>
{transfer}"""
