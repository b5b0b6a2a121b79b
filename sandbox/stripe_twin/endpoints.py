"""Webhook endpoints and events, as the API shows them."""

from sandbox.stripe_twin.account import Account, merged_metadata, only, page, random_id
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.store import Record

EVENT_LIFE = 30 * 24 * 60 * 60


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("api_version", "description", "enabled_events", "metadata", "url"), "WebhookEndpoints.create")
    if params.get("api_version", account.contract.version) != account.contract.version:
        raise invalid(f"The Stripe twin speaks only API version {account.contract.version}.", param="api_version")
    endpoint = add(
        account,
        url=params["url"],
        secret=random_id("whsec_", 32),
        events=params["enabled_events"],
        description=params.get("description"),
        metadata=merged_metadata(None, params.get("metadata")),
    )
    return {**endpoint.body, "secret": endpoint.private["secrets"][0]["secret"]}  # shown this once, as Stripe does


def add(
    account: Account,
    *,
    url: str,
    secret: str,
    events: list[str],
    description: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Record:
    return account.create(
        "webhook_endpoint",
        private={"secrets": [{"secret": secret, "until": None}]},
        api_version=account.contract.version,
        description=description,
        enabled_events=events,
        metadata=metadata or {},
        status="enabled",
        url=url,
    )


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "WebhookEndpoints.retrieve")
    return account.load("webhook_endpoint", ids[0], param="id").body


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("description", "disabled", "enabled_events", "metadata", "url"), "WebhookEndpoints.update")
    endpoint = account.load("webhook_endpoint", ids[0], param="id")
    endpoint.body.update({name: params[name] for name in ("description", "enabled_events", "url") if name in params})
    if "disabled" in params:
        endpoint.body["status"] = "disabled" if params["disabled"] else "enabled"
    endpoint.body["metadata"] = merged_metadata(endpoint.body["metadata"], params.get("metadata"))
    account.save(endpoint)
    return endpoint.body


def delete(account: Account, ids: tuple[str, ...], _params: JsonObject) -> JsonObject:
    endpoint = account.load("webhook_endpoint", ids[0], param="id")
    endpoint.body["status"] = "disabled"
    endpoint.private["deleted"] = True
    account.save(endpoint)
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


def list_endpoints(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("limit", "starting_after", "ending_before"), "WebhookEndpoints.list")
    return page(account, "webhook_endpoint", "/v1/webhook_endpoints", params)


def retrieve_event(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Events.retrieve")
    event = account.load("event", ids[0], param="id")
    if event.body["created"] < account.now() - EVENT_LIFE:
        return account.load("event", "expired:" + event.id, param="id").body
    return event.body


def list_events(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """Events of the last 30 days; older ones are gone, as at Stripe."""
    only(params, ("type", "types", "created", "limit", "starting_after", "ending_before"), "Events.list")
    created = params.get("created", {})
    created = {"gte": created, "lte": created} if isinstance(created, int) else dict(created)
    created["gte"] = max(created.get("gte", 0), account.now() - EVENT_LIFE)
    wanted = params.pop("types", None)
    listed = {**params, "created": created}
    if wanted is None:
        return page(account, "event", "/v1/events", listed, equal=("type",))
    return page(account, "event", "/v1/events", listed, one_of=("type", wanted))
