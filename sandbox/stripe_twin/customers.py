"""Customers: one per buying company."""

from sandbox.stripe_twin.account import Account, merged_metadata, only, page
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.store import Record

_COPIED = ("address", "description", "email", "name", "phone", "preferred_locales", "shipping", "tax_exempt")


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (*_COPIED, "metadata"), "Customers.create")
    customer = account.create(
        "customer",
        address=None,
        currency=None,
        delinquent=False,
        invoice_prefix=None,
        name=None,
        phone=None,
        preferred_locales=[],
        tax_exempt="none",
        test_clock=None,
    )
    _set(customer, params)
    account.save(customer)
    account.emit("customer.created", customer)
    return customer.body


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Customers.retrieve")
    customer = account.load("customer", ids[0], param="id")
    return _tombstone(customer) if customer.private.get("deleted") else customer.body


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (*_COPIED, "metadata"), "Customers.update")
    customer = _living(account, ids[0])
    before = {name: customer.body[name] for name in (*_COPIED, "metadata")}
    _set(customer, params)
    account.save(customer)
    changed = {name: value for name, value in before.items() if customer.body[name] != value}
    if changed:
        account.emit("customer.updated", customer, previous=changed)
    return customer.body


def delete(account: Account, ids: tuple[str, ...], _params: JsonObject) -> JsonObject:
    customer = _living(account, ids[0])
    customer.private["deleted"] = True
    account.save(customer)
    account.emit("customer.deleted", customer)
    return _tombstone(customer)


def list_customers(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("email", "created", "limit", "starting_after", "ending_before"), "Customers.list")
    return page(account, "customer", "/v1/customers", params, equal=("email",))


def _living(account: Account, customer_id: str) -> Record:
    customer = account.load("customer", customer_id, param="id")
    if customer.private.get("deleted"):
        raise invalid(f"Customer {customer_id} has been deleted", code="resource_missing", param="id")
    return customer


def _tombstone(customer: Record) -> JsonObject:
    return {"id": customer.id, "object": "customer", "deleted": True}


def _set(customer: Record, params: JsonObject) -> None:
    for name in _COPIED:
        if name in params:
            customer.body[name] = _nulled(params[name])
    if "email" in params and params["email"] and "@" not in params["email"]:
        raise invalid(f"Invalid email address: {params['email']}", code="email_invalid", param="email")
    customer.body["metadata"] = merged_metadata(customer.body["metadata"], params.get("metadata"))


_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def _nulled(value: object) -> object:
    """A hash or text as Stripe shows it: empty text is null, and an address has all of its lines."""
    if isinstance(value, dict):
        filled = dict.fromkeys(_ADDRESS) if set(value) <= set(_ADDRESS) else {}
        return {**filled, **{name: _nulled(item) for name, item in value.items()}}
    return None if value == "" else value
