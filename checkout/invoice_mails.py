"""What an invoice's buyer is written: sent, overdue, paid, credited; in English and Spanish."""

from typing import Final

from checkout.mails import amount_text, day_text
from checkout.model import Order
from checkout.terms_model import CreditNote, Invoice
from kernel.mail import Mail

_LETTERS: Final = {
    "invoice_sent": {
        "en": (
            "Invoice {invoice} for order {number}: {due}, due {due_at}",
            (
                "Your order {number} is released, and this is its invoice {invoice} over {amount}.\n\n"
                "What happens next: pay {due} by {due_at}, by card or by bank transfer, as the invoice says:\n{url}\n"
                "When you transfer, name the number of the invoice."
            ),
        ),
        "es": (
            "Factura {invoice} del pedido {number}: {due}, vence el {due_at}",
            (
                "Hemos liberado su pedido {number}; esta es su factura {invoice} por {amount}.\n\n"
                "Próximo paso: pague {due} antes del {due_at}, con tarjeta o por transferencia:\n{url}\n"
                "Si hace una transferencia, indique el número de la factura."
            ),
        ),
    },
    "invoice_overdue": {
        "en": (
            "Reminder: invoice {invoice} was due {due_at}",
            (
                "Invoice {invoice} for order {number} was due on {due_at}, and {due} of it is open by our books.\n\n"
                "What happens next: pay it here, by card or by bank transfer:\n{url}\n"
                "If you have paid already, this letter has crossed your payment. If something is wrong, write to us."
            ),
        ),
        "es": (
            "Recordatorio: la factura {invoice} venció el {due_at}",
            (
                "La factura {invoice} del pedido {number} venció el {due_at} y quedan {due} por pagar según "
                "nuestros libros.\n\nPróximo paso: páguela aquí, con tarjeta o por transferencia:\n{url}\n"
                "Si ya ha pagado, este aviso se ha cruzado con su pago. Si algo no es correcto, escríbanos."
            ),
        ),
    },
    "invoice_paid": {
        "en": ("Invoice {invoice}: paid, thank you", "Invoice {invoice} for order {number} is paid. Thank you."),
        "es": (
            "Factura {invoice}: pagada, gracias",
            "La factura {invoice} del pedido {number} está pagada. Gracias.",
        ),
    },
}
_CREDITED: Final = {
    "en": (
        "Credit note {note} on invoice {invoice}: {amount}",
        (
            "We have credited you {amount} on invoice {invoice} of order {number} by the credit note {note}:\n{url}\n\n"
            "{due} of the invoice is to be paid now."
        ),
    ),
    "es": (
        "Nota de abono {note} de la factura {invoice}: {amount}",
        (
            "Le hemos abonado {amount} de la factura {invoice} del pedido {number} con la nota {note}:\n{url}\n\n"
            "De la factura quedan {due} por pagar."
        ),
    ),
}


def invoice_mail(kind: str, invoice: Invoice, order: Order, *, base_url: str) -> Mail:
    """The letter *kind* about an invoice: one of the names above."""
    locale = "es" if order.locale.startswith("es") else "en"
    subject, text = _LETTERS[kind][locale]
    values = {
        "invoice": invoice.number or "",
        "number": order.number,
        "amount": amount_text(invoice.amount, locale),
        "due": amount_text(invoice.due, locale),
        "due_at": "" if invoice.due_at is None else day_text(invoice.due_at, locale),
        "url": invoice.hosted_url or f"{base_url}/orders/{order.number}",
    }
    return Mail(to=order.email, subject=subject.format(**values), text=f"{text.format(**values)}\n", kind=kind)


def credit_mail(note: CreditNote, invoice: Invoice, order: Order, *, base_url: str) -> Mail:
    """The letter `credit_note_issued`."""
    locale = "es" if order.locale.startswith("es") else "en"
    subject, text = _CREDITED[locale]
    values = {
        "note": note.number or "",
        "invoice": invoice.number or "",
        "number": order.number,
        "amount": amount_text(note.amount, locale),
        "due": amount_text(invoice.due, locale),
        "url": note.pdf_url or f"{base_url}/orders/{order.number}",
    }
    return Mail(
        to=order.email, subject=subject.format(**values), text=f"{text.format(**values)}\n", kind="credit_note_issued"
    )
