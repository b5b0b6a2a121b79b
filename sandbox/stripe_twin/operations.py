"""Which operation of the contract is answered by which function; what is absent here answers 501."""

from collections.abc import Callable, Mapping

from sandbox.stripe_twin import customers, disputes, endpoints, payments, refunds, sessions
from sandbox.stripe_twin.account import Account
from sandbox.stripe_twin.errors import JsonObject

OPERATIONS: Mapping[str, Callable[[Account, tuple[str, ...], JsonObject], JsonObject]] = {
    "BalanceTransactions.list": payments.list_balance_transactions,
    "BalanceTransactions.retrieve": payments.retrieve_balance_transaction,
    "Charges.list": payments.list_charges,
    "Charges.retrieve": payments.retrieve_charge,
    "Checkout.Sessions.create": sessions.create,
    "Checkout.Sessions.expire": sessions.expire,
    "Checkout.Sessions.list": sessions.list_sessions,
    "Checkout.Sessions.listLineItems": sessions.list_line_items,
    "Checkout.Sessions.retrieve": sessions.retrieve,
    "Checkout.Sessions.update": sessions.update,
    "Customers.create": customers.create,
    "Customers.del": customers.delete,
    "Customers.list": customers.list_customers,
    "Customers.retrieve": customers.retrieve,
    "Customers.update": customers.update,
    "Disputes.close": disputes.close,
    "Disputes.list": disputes.list_disputes,
    "Disputes.retrieve": disputes.retrieve,
    "Disputes.update": disputes.update,
    "Events.list": endpoints.list_events,
    "Events.retrieve": endpoints.retrieve_event,
    "PaymentIntents.cancel": payments.cancel,
    "PaymentIntents.capture": payments.capture,
    "PaymentIntents.list": payments.list_intents,
    "PaymentIntents.retrieve": payments.retrieve,
    "PaymentIntents.update": payments.update,
    "PaymentMethods.retrieve": payments.retrieve_payment_method,
    "Refunds.create": refunds.create,
    "Refunds.list": refunds.list_refunds,
    "Refunds.retrieve": refunds.retrieve,
    "Refunds.update": refunds.update,
    "WebhookEndpoints.create": endpoints.create,
    "WebhookEndpoints.del": endpoints.delete,
    "WebhookEndpoints.list": endpoints.list_endpoints,
    "WebhookEndpoints.retrieve": endpoints.retrieve,
    "WebhookEndpoints.update": endpoints.update,
}
