"""What checkout holds of a person: where an order went and to whom, notes that name them, what Stripe said of who paid.

The order itself, its amounts and its postings are the contract's and name nobody but the company.
"""
# ruff: noqa: S608 - the statements are made of constants of this file

from typing import Final

from accounts.personal_data import Holding, Room
from accounts.privacy_model import RecordKind
from checkout.states import FINAL, OF_ORDER
from kernel.mail import ERASED_RECIPIENT

_CUT_OFF: Final = "coalesce(CAST(CAST(:befores AS jsonb) ->> c.country AS timestamptz), :before)"
_UNFINISHED: Final = ", ".join(f"'{state.value}'" for state in OF_ORDER if state not in FINAL)
_NO_ADDRESS: Final = """ship_to || '{"name": "-", "line1": "-", "line2": "", "postal_code": "-", "city": "-"}'"""
"""Country and region stay: the tax rests on them."""
_THEIR_CALLS: Final = (
    "attempt_id IN (SELECT a.id FROM payment_attempt a JOIN customer_order o ON o.id = a.order_id"
    " WHERE o.person_id = ANY (:people) AND a.state IN ('succeeded', 'dead')) AND answered_at IS NOT NULL"
    " AND step <> 'create_refund'"
)
_THEIR_EVENTS: Final = (
    "handled_at IS NOT NULL AND (payload::text ~* :named"
    " OR payload #>> '{data,object,metadata,order_number}' IN"
    " (SELECT number FROM customer_order WHERE person_id = ANY (:people)))"
)
_SHORT_EVENT: Final = (
    "jsonb_build_object('id', payload -> 'id', 'object', 'event', 'type', payload -> 'type', 'data',"
    " jsonb_build_object('object', jsonb_build_object('id', payload #> '{data,object,id}',"
    " 'object', payload #> '{data,object,object}',"
    " 'metadata', coalesce(payload #> '{data,object,metadata}', '{}')), 'erased', true))"
)
_NOTES: Final = (
    ("refund", "note"),
    ("refund", "detail"),
    ("liability", "detail"),
    ("liability", "resolution"),
    ("payment_attempt", "detail"),
    ("credit_note", "note"),
    ("credit_note", "detail"),
    ("invoice", "detail"),
)


def _names_in(table: str, column: str) -> str:
    return (
        f"UPDATE {table} SET {column} = regexp_replace({column}, :named, :instead, 'gi')"
        f" WHERE company_id = ANY (:companies) AND {column} ~* :named"
    )


ROOM: Final = Room(
    holdings=(
        Holding(
            name="checkout-details",
            table="checkout",
            kind=RecordKind.UNCONCLUDED,
            says={
                "en": "Addresses you typed at checkout",
                "es": "Direcciones que escribió al tramitar el pedido",
            },
            rows="SELECT created_at AS since, email, ship_to, po_number FROM checkout"
            " WHERE person_id = ANY (:people) AND (email IS NOT NULL OR ship_to IS NOT NULL)",
            erase=(
                (
                    "UPDATE checkout SET email = NULL, ship_to = NULL, details_saved_at = NULL"
                    " WHERE person_id = ANY (:people) AND created_at <= :before"
                ),
            ),
            expire=(
                (
                    "UPDATE checkout k SET email = NULL, ship_to = NULL, details_saved_at = NULL FROM company c"
                    f" WHERE c.id = k.company_id AND k.ship_to IS NOT NULL AND k.updated_at <= {_CUT_OFF}"
                    " AND c.id <> ALL (:held) AND (k.person_id IS NULL OR k.person_id <> ALL (:held_people))"
                ),
                (
                    "UPDATE checkout SET email = NULL, ship_to = NULL, details_saved_at = NULL"
                    " WHERE company_id IS NULL AND ship_to IS NOT NULL AND updated_at <= :before"
                ),
            ),
        ),
        Holding(
            name="order-contacts",
            table="customer_order",
            kind=RecordKind.ORDER_CONTACT,
            says={
                "en": "E-mail address of your orders, and your name in their delivery address",
                "es": "Correo electrónico de sus pedidos y su nombre en la dirección de entrega",
            },
            rows="SELECT placed_at AS since, number, email, po_number FROM customer_order"
            f" WHERE person_id = ANY (:people) AND email <> '{ERASED_RECIPIENT}'",
            erase=(
                (
                    f"UPDATE customer_order SET email = '{ERASED_RECIPIENT}'"
                    " WHERE person_id = ANY (:people) AND placed_at <= :before"
                ),
                (
                    "UPDATE customer_order SET ship_to ="
                    " CAST(regexp_replace(CAST(ship_to AS text), :named, :instead, 'gi') AS jsonb)"
                    " WHERE company_id = ANY (:companies) AND CAST(ship_to AS text) ~* :named"
                ),
                (
                    "UPDATE customer_order SET po_number = regexp_replace(po_number, :named, :instead, 'gi')"
                    " WHERE company_id = ANY (:companies) AND po_number ~* :named"
                ),
                (
                    "UPDATE checkout SET ship_to = NULL WHERE company_id = ANY (:companies)"
                    " AND CAST(ship_to AS text) ~* :named"
                ),
                (
                    f"UPDATE customer_order SET email = '{ERASED_RECIPIENT}'"
                    " WHERE company_id = ANY (:companies) AND lower(email) = ANY (:emails)"
                ),
            ),
            expire=(
                (
                    f"UPDATE customer_order o SET email = '{ERASED_RECIPIENT}' FROM company c WHERE c.id = o.company_id"
                    f" AND o.email <> '{ERASED_RECIPIENT}' AND o.state NOT IN ({_UNFINISHED})"
                    f" AND o.placed_at <= {_CUT_OFF} AND c.id <> ALL (:held) AND o.person_id <> ALL (:held_people)"
                ),
            ),
        ),
        Holding(
            name="order-addresses",
            table="customer_order",
            kind=RecordKind.ORDER_ADDRESS,
            says={
                "en": "Delivery addresses of your orders",
                "es": "Direcciones de entrega de sus pedidos",
            },
            rows="SELECT placed_at AS since, number, ship_to FROM customer_order"
            " WHERE person_id = ANY (:people) AND ship_to ->> 'line1' <> '-'",
            erase=(
                (
                    f"UPDATE customer_order SET ship_to = {_NO_ADDRESS}"
                    " WHERE person_id = ANY (:people) AND placed_at <= :before"
                ),
            ),
            expire=(
                (
                    f"UPDATE customer_order o SET ship_to = {_NO_ADDRESS} FROM company c WHERE c.id = o.company_id"
                    f" AND o.ship_to ->> 'line1' <> '-' AND o.state NOT IN ({_UNFINISHED})"
                    f" AND o.placed_at <= {_CUT_OFF} AND c.id <> ALL (:held) AND o.person_id <> ALL (:held_people)"
                ),
            ),
        ),
        Holding(
            name="order-notes",
            table="order_event",
            also=("refund", "liability", "payment_attempt", "credit_note", "invoice"),
            kind=RecordKind.ORDER_CONTACT,
            says={
                "en": "Your name in notes on orders, refunds and cases",
                "es": "Su nombre en notas de pedidos, reembolsos y casos",
            },
            rows="SELECT at AS since, detail FROM order_event WHERE company_id = ANY (:companies) AND detail ~* :named"
            " UNION ALL SELECT requested_at, note FROM refund WHERE company_id = ANY (:companies)"
            " AND concat(note, ' ', detail) ~* :named"
            " UNION ALL SELECT opened_at, resolution FROM liability WHERE company_id = ANY (:companies)"
            " AND concat(detail, ' ', resolution) ~* :named",
            erase=(
                "SELECT tarifa_forget_words_of_orders(:companies, :named, :instead)",
                *(_names_in(table, column) for table, column in _NOTES),
            ),
        ),
        Holding(
            name="approval-notes",
            table="approval_request",
            kind=RecordKind.ORDER_CONTACT,
            says={
                "en": "What you wrote when you asked for or gave an approval, and your name in such notes",
                "es": "Lo que escribió al pedir o dar una aprobación y su nombre en esas notas",
            },
            rows="SELECT requested_at AS since, note, closing_note FROM approval_request"
            " WHERE company_id = ANY (:companies) AND ((requested_by = ANY (:people) AND note <> '')"
            " OR (closed_by = ANY (:people) AND closing_note <> '') OR concat(note, ' ', closing_note) ~* :named)",
            erase=(
                (
                    "UPDATE approval_request SET note = '' WHERE company_id = ANY (:companies) AND note <> ''"
                    " AND (requested_by = ANY (:people) OR note ~* :named) AND requested_at <= :before"
                ),
                (
                    "UPDATE approval_request SET closing_note = '' WHERE company_id = ANY (:companies)"
                    " AND closing_note <> '' AND (closed_by = ANY (:people) OR closing_note ~* :named)"
                    " AND requested_at <= :before"
                ),
            ),
        ),
        Holding(
            name="payment-messages",
            table="stripe_event",
            kind=RecordKind.PAYMENT,
            says={
                "en": "What the payment provider told us of your payments",
                "es": "Lo que el proveedor de pagos nos comunicó de sus pagos",
            },
            rows=f"SELECT received_at AS since, id, type FROM stripe_event"
            f" WHERE {_THEIR_EVENTS} AND payload #> '{{data,erased}}' IS NULL",
            erase=(
                f"UPDATE stripe_event SET payload = {_SHORT_EVENT} WHERE {_THEIR_EVENTS} AND received_at <= :before",
            ),
            expire=(
                (
                    f"UPDATE stripe_event SET payload = {_SHORT_EVENT} WHERE handled_at IS NOT NULL"
                    " AND payload #> '{data,erased}' IS NULL AND received_at <= :before"
                    " AND NOT EXISTS (SELECT 1 FROM customer_order o WHERE o.number ="
                    " payload #>> '{data,object,metadata,order_number}'"
                    " AND (o.company_id = ANY (:held) OR o.person_id = ANY (:held_people)))"
                ),
            ),
        ),
        Holding(
            name="payment-calls",
            table="stripe_call",
            also=("stripe_customer",),
            kind=RecordKind.PAYMENT,
            says={
                "en": "What we asked the payment provider for your payments",
                "es": "Lo que pedimos al proveedor de pagos para sus pagos",
            },
            rows="SELECT created_at AS since, step, sent_at FROM stripe_call"
            f" WHERE {_THEIR_CALLS} AND request <> '{{}}'",
            erase=(
                (
                    "UPDATE stripe_call SET request = '{}', answer = jsonb_build_object('id', answer -> 'id', 'object',"
                    f" answer -> 'object') WHERE {_THEIR_CALLS} AND created_at <= :before"
                ),
                (
                    "UPDATE stripe_call SET request = regexp_replace(request, :named, :instead, 'gi'),"
                    " answer = CAST(regexp_replace(CAST(answer AS text), :named, :instead, 'gi') AS jsonb)"
                    " WHERE company_id = ANY (:companies) AND answered_at IS NOT NULL"
                    " AND concat(request, ' ', CAST(answer AS text)) ~* :named"
                ),
                (
                    "UPDATE stripe_customer SET request = regexp_replace(request, :named, :instead, 'gi')"
                    " WHERE company_id = ANY (:companies) AND request ~* :named"
                ),
            ),
        ),
        Holding(
            name="orders",
            table="customer_order",
            kind=RecordKind.CONTRACT,
            says={
                "en": "Orders and postings of the company: lines, amounts and tax, without you",
                "es": "Pedidos y asientos de la empresa: líneas, importes e impuestos, sin sus datos",
            },
            rows="SELECT placed_at AS since, number, total_minor, currency FROM customer_order"
            " WHERE person_id = ANY (:people)",
        ),
    ),
    companies=("SELECT company_id FROM customer_order WHERE person_id = ANY (:people)",),
    journeys=(
        "SELECT visitor_id FROM cart WHERE person_id = ANY (:people)",
        "SELECT visitor_id FROM checkout WHERE person_id = ANY (:people)",
        "SELECT visitor_id FROM customer_order WHERE person_id = ANY (:people)",
    ),
    emails=(
        f"SELECT lower(email) FROM customer_order WHERE person_id = ANY (:people) AND email <> '{ERASED_RECIPIENT}'",
    ),
    unfinished=(
        (
            "SELECT DISTINCT 'approval ' || id AS reference FROM approval_request"
            " WHERE state = 'waiting' AND requested_by = ANY (:people)"
        ),
        f"SELECT number AS reference FROM customer_order WHERE person_id = ANY (:people) AND state IN ({_UNFINISHED})",
    ),
    impersonal=frozenset(
        {
            *("cart", "cart_line", "order_line", "stock_reservation", "ledger_posting", "reconciliation"),
            *("credit_terms", "credit_change", "invoice_receipt", "cash_movement", "dispute", "dispute_event"),
            *("tax_calculation", "vat_number_check"),
            "saved_card",  # brand and last four digits of the company's
        }
    ),
)
