"""What an order's person is written: order received, paid, lapsed, cancelled, refunded; in English and Spanish."""

from datetime import datetime
from typing import Final

from checkout.model import Order, Refund
from kernel.mail import Mail
from kernel.money import Money

_SUBJECTS: Final = {
    "order_received": {
        "en": "Order {number}: received, {total} to pay",
        "es": "Pedido {number}: recibido, {total} por pagar",
    },
    "order_processing": {
        "en": "Order {number}: your bank is working on the payment",
        "es": "Pedido {number}: su banco está tramitando el pago",
    },
    "order_payment_failed": {
        "en": "Order {number}: the payment failed, please pay another way",
        "es": "Pedido {number}: el pago ha fallado, pague de otra forma",
    },
    "order_received_on_terms": {
        "en": "Order {number}: received, {total} by invoice",
        "es": "Pedido {number}: recibido, {total} mediante factura",
    },
    "order_authorised": {
        "en": "Order {number}: {total} are reserved on your card",
        "es": "Pedido {number}: {total} reservados en su tarjeta",
    },
    "order_hold_ended": {
        "en": "Order {number}: your card was not charged, please pay again",
        "es": "Pedido {number}: no se ha cobrado en su tarjeta, pague de nuevo",
    },
    "order_confirm_payment": {
        "en": "Order {number}: your bank asks you to confirm the payment",
        "es": "Pedido {number}: su banco le pide que confirme el pago",
    },
    "order_paid": {"en": "Order {number}: paid, thank you", "es": "Pedido {number}: pagado, gracias"},
    "order_lapsed": {"en": "Order {number}: lapsed, unpaid", "es": "Pedido {number}: caducado sin pago"},
    "order_cancelled": {"en": "Order {number}: cancelled", "es": "Pedido {number}: cancelado"},
    "order_refunded_whole": {
        "en": "Order {number}: cancelled and refunded",
        "es": "Pedido {number}: cancelado y reembolsado",
    },
}
_TEXTS: Final = {
    "order_received": {
        "en": "We have received your binding order {number} of {placed_at}.\n\n"
        "What happens next: pay by {pay_by} here, and we ship as soon as your payment arrives:\n{pay_url}\n"
        "The goods are reserved for you until then. Unpaid, the order lapses and nothing is owed.",
        "es": "Hemos recibido su pedido vinculante {number} del {placed_at}.\n\n"
        "Próximo paso: pague antes del {pay_by} aquí y lo enviaremos en cuanto llegue su pago:\n{pay_url}\n"
        "Hasta entonces le reservamos la mercancía. Sin pago, el pedido caduca y no se debe nada.",
    },
    "order_processing": {
        "en": "You have paid order {number} by direct debit. Thank you.\n\n"
        "What happens next: your bank takes up to seven working days. The goods stay reserved for you; we ship as soon "
        "as the money has come, and write to you then, or if the bank refuses. There is nothing you need to do.",
        "es": "Ha pagado el pedido {number} por adeudo directo. Gracias.\n\n"
        "Próximo paso: su banco tarda hasta siete días hábiles. Le mantenemos reservada la mercancía; la enviaremos "
        "en cuanto llegue el dinero, y entonces le escribiremos, o si el banco lo rechaza. No tiene que hacer nada.",
    },
    "order_payment_failed": {
        "en": "Your bank has refused the direct debit for order {number}. Nothing was paid; your order stands.\n\n"
        "What happens next: pay by {pay_by} here, by card or once more by direct debit:\n{pay_url}\n"
        "The goods are reserved for you until then. Unpaid, the order lapses and nothing is owed.",
        "es": "Su banco ha rechazado el adeudo directo del pedido {number}. No se ha pagado nada; su pedido sigue en "
        "pie.\n\n"
        "Próximo paso: pague antes del {pay_by} aquí, con tarjeta o de nuevo por adeudo directo:\n{pay_url}\n"
        "Hasta entonces le reservamos la mercancía. Sin pago, el pedido caduca y no se debe nada.",
    },
    "order_received_on_terms": {
        "en": "We have received your binding order {number} of {placed_at}.\n\n"
        "What happens next: we pack the goods, which are reserved for you, and send you the invoice. It is due\n"
        "{net_days} days after its date; how to pay it stands on it.",
        "es": "Hemos recibido su pedido vinculante {number} del {placed_at}.\n\n"
        "Próximo paso: preparamos la mercancía, que le hemos reservado, y le enviamos la factura. Vence a los\n"
        "{net_days} días de su fecha; en ella consta cómo pagarla.",
    },
    "order_authorised": {
        "en": "Your bank has reserved {total} on your card for order {number}. Nothing has been charged yet.\n\n"
        "What happens next: we look at your order, charge the card, and ship. The goods are reserved for you. There is "
        "nothing you need to do.",
        "es": "Su banco ha reservado {total} en su tarjeta para el pedido {number}. Aún no se ha cobrado nada.\n\n"
        "Próximo paso: revisamos su pedido, cobramos en la tarjeta y lo enviamos. Le hemos reservado la mercancía. No "
        "tiene que hacer nada.",
    },
    "order_hold_ended": {
        "en": "The amount reserved on your card for order {number} was not taken and is free again. Your order "
        "stands.\n\n"
        "What happens next: pay by {pay_by} here:\n{pay_url}\n"
        "The goods are reserved for you until then. Unpaid, the order lapses and nothing is owed.",
        "es": "El importe reservado en su tarjeta para el pedido {number} no se ha cobrado y vuelve a estar libre. Su "
        "pedido sigue en pie.\n\n"
        "Próximo paso: pague antes del {pay_by} aquí:\n{pay_url}\n"
        "Hasta entonces le reservamos la mercancía. Sin pago, el pedido caduca y no se debe nada.",
    },
    "order_confirm_payment": {
        "en": "Your bank did not let us charge the card you chose for order {number} without you. Nothing was paid.\n\n"
        "What happens next: pay by {pay_by} here, where your bank can ask you to confirm:\n{pay_url}\n"
        "The goods are reserved for you until then. Unpaid, the order lapses and nothing is owed.",
        "es": "Su banco no ha permitido cargar sin usted la tarjeta elegida para el pedido {number}. No se ha pagado "
        "nada.\n\n"
        "Próximo paso: pague antes del {pay_by} aquí, donde su banco podrá pedirle que confirme:\n{pay_url}\n"
        "Hasta entonces le reservamos la mercancía. Sin pago, el pedido caduca y no se debe nada.",
    },
    "order_paid": {
        "en": "Your payment for order {number} has arrived. Thank you.\n\n"
        "What happens next: we pack the goods and tell you when they leave.",
        "es": "Ha llegado su pago del pedido {number}. Gracias.\n\n"
        "Próximo paso: preparamos la mercancía y le avisamos cuando salga.",
    },
    "order_lapsed": {
        "en": "Order {number} was not paid by {pay_by} and has lapsed. Nothing was charged and nothing is owed.\n"
        "The goods are no longer reserved; you are welcome to order them again.",
        "es": "El pedido {number} no se pagó antes del {pay_by} y ha caducado. No se ha cobrado ni se debe nada.\n"
        "La mercancía ya no está reservada; puede volver a pedirla cuando quiera.",
    },
    "order_cancelled": {
        "en": "Order {number} was cancelled, as you asked. Nothing was charged and nothing is owed.",
        "es": "El pedido {number} se ha cancelado, como nos pidió. No se ha cobrado ni se debe nada.",
    },
    "order_refunded_whole": {
        "en": "Order {number} was cancelled and all you paid for it has been sent back to you. Nothing is owed.",
        "es": "El pedido {number} se ha cancelado y le hemos devuelto todo lo que pagó. No se debe nada.",
    },
}
_REFUNDED: Final = {
    "en": (
        "Order {number}: {amount} refunded",
        "We have sent {amount} back the way you paid order {number}. Banks take up to ten working days to show it.",
    ),
    "es": (
        "Pedido {number}: {amount} reembolsados",
        "Le hemos devuelto {amount} por el medio de pago del pedido {number}. Puede tardar diez días hábiles en verse.",
    ),
}
_PARTS: Final = {
    "en": ("Goods", "Freight", "Tax", "Total", "Your PO number", "Order and receipt"),
    "es": ("Mercancía", "Portes", "Impuestos", "Total", "Su número de pedido", "Pedido y justificante"),
}


def order_mail(kind: str, order: Order, *, base_url: str) -> Mail:
    """The letter *kind* about *order*: one of the names above."""
    locale = "es" if order.locale.startswith("es") else "en"
    values = {
        "number": order.number,
        "total": amount_text(order.total, locale),
        "placed_at": day_text(order.placed_at, locale),
        "pay_by": "" if order.pay_by is None else instant_text(order.pay_by, locale),
        "pay_url": f"{base_url}/orders/{order.number}/payment",
        "net_days": order.net_days,
    }
    goods, freight, tax, total, po_number, link = _PARTS[locale]
    lines = [
        f"  {line.quantity.normalize():f} {line.unit}  {line.sku}  {line.names.get(locale) or line.names['en']}"
        for line in order.lines
    ]
    sums = [
        f"  {goods}: {amount_text(order.goods, locale)}",
        f"  {freight}: {amount_text(order.freight, locale)}",
        f"  {tax}: {amount_text(order.tax, locale)}",
        f"  {total}: {amount_text(order.total, locale)}",
    ]
    ending = [f"{po_number}: {order.po_number}"] if order.po_number else []
    ending.append(f"{link}: {base_url}/orders/{order.number}")
    parts = (_TEXTS[kind][locale].format(**values), "\n".join(lines), "\n".join(sums), "\n".join(ending))
    return Mail(
        to=order.email, subject=_SUBJECTS[kind][locale].format(**values), text="\n\n".join(parts) + "\n", kind=kind
    )


def refund_mail(refund: Refund, order: Order, *, base_url: str) -> Mail:
    """The letter `refund_sent`: money is on its way back to the order's person."""
    locale = "es" if order.locale.startswith("es") else "en"
    subject, text = _REFUNDED[locale]
    values = {"number": order.number, "amount": amount_text(refund.amount, locale)}
    link = f"{_PARTS[locale][-1]}: {base_url}/orders/{order.number}"
    return Mail(
        to=order.email,
        subject=subject.format(**values),
        text=f"{text.format(**values)}\n\n{link}\n",
        kind="refund_sent",
    )


def amount_text(money: Money, locale: str) -> str:
    decimal = money.decimal.replace(".", ",") if locale == "es" else money.decimal
    return f"{decimal} {money.currency}"


def day_text(at: datetime, locale: str) -> str:
    return at.strftime("%d/%m/%Y" if locale == "es" else "%Y-%m-%d")


def instant_text(at: datetime, locale: str) -> str:
    return f"{day_text(at, locale)} {at:%H:%M} UTC"
