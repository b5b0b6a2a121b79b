"""A partner's program looks after its webhooks by the API alone."""

from collections.abc import AsyncIterator

import pytest

from accounts.webhooks.delivery import Deliveries
from kernel.outgoing import Sender
from tests.receiver import Receiver, receiving
from tests.web.api.partners import ACME, GLOBEX, Program, key_of, order_of
from tests.web.conftest import Shop, _open

BASE = "/api/v1/webhook-endpoints"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def shop(demo_database_url: str) -> AsyncIterator[Shop]:
    """One that sends to this machine."""
    async with _open(demo_database_url, WEBHOOKS_TO_LOOPBACK="on") as opened:
        yield opened


async def work(shop: Shop) -> None:
    await shop.services.jobs.run_pending()


async def test_from_an_endpoint_to_a_verified_event_and_its_replay(shop: Shop, receiver: Receiver) -> None:
    program = Program(shop, await key_of(shop, ACME))
    made = await program.post(BASE, json={"url": receiver.url, "event_types": ["order.created"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret, path = made.json()["secret"], made.headers["location"]
    order = await order_of(shop, ACME)
    await work(shop)

    [received] = receiver.received
    assert received.is_signed_by(secret)
    assert received.type == "order.created"
    page = (await program.get(f"{path}/messages")).json()
    [message] = page["messages"]
    assert (message["id"], message["state"], message["last"]["status"]) == (received.id, "delivered", 204)
    file = (await program.get(f"/api/v1/webhook-messages/{message['id']}")).json()
    assert file["body"]["data"]["number"] == order.number
    linked = await program.get(file["body"]["data"]["url"].removeprefix("http://127.0.0.1:8000"))
    assert linked.json()["number"] == order.number

    assert (await program.post(f"/api/v1/webhook-messages/{message['id']}/replay")).status_code == 202
    again = await program.post(
        f"{path}/replay", json={"since": "2026-11-21T00:00:00Z", "until": "2026-11-21T00:00:01Z", "delivered_too": True}
    )
    assert again.json() == {"count": 0}
    await work(shop)
    assert [each.body for each in receiver.received] == [received.body] * 2


async def test_the_secret_is_in_no_other_answer_nor_in_the_database_for_a_repeated_call(shop: Shop) -> None:
    program = Program(shop, await key_of(shop, ACME))
    asked = {"url": "https://hooks.acme.example/", "event_types": ["order.paid"]}
    first, again = [await program.post(BASE, json=asked, headers={"idempotency-key": "one"}) for _ in range(2)]
    secret = first.json()["secret"]
    assert again.content == first.content
    rotated = await program.post(f"{first.headers['location']}/secret")
    assert rotated.json()["secret"] not in {secret, None}
    assert rotated.json()["endpoint"]["previous_secret_until"] == "2026-11-22T12:01:00Z"

    listed = await program.get(BASE)
    assert len(listed.json()["endpoints"]) == 1
    for answer in (listed, await program.get(first.headers["location"])):
        assert "whsec_" not in answer.text
    async with shop.services.db.engine.connect() as connection:
        rows = (await connection.exec_driver_sql("select set_config('tarifa.scope', 'staff', true)")).all()
        rows = (await connection.exec_driver_sql("select body from api_call where body is not null")).all()
    assert rows
    assert not any(b"whsec_" in bytes(row[0]) for row in rows)


async def test_answers_are_revalidated(shop: Shop) -> None:
    program = Program(shop, await key_of(shop, ACME))
    made = await program.post(BASE, json={"url": "https://hooks.acme.example/", "event_types": ["order.paid"]})
    path = made.headers["location"]
    message = (await program.post(f"{path}/test")).json()
    for each in (BASE, path, f"{path}/messages", f"/api/v1/webhook-messages/{message['id']}"):
        first = await program.get(each)
        fresh = await program.get(each, headers={"if-none-match": first.headers["etag"]})
        assert (first.status_code, fresh.status_code, fresh.content) == (200, 304, b"")
    await program.patch(path, json={"description": "Other"})
    assert (await program.get(path, headers={"if-none-match": (await program.get(BASE)).headers["etag"]})).is_success


async def test_messages_come_in_pages(shop: Shop) -> None:
    program = Program(shop, await key_of(shop, ACME))
    made = await program.post(BASE, json={"url": "https://hooks.acme.example/", "event_types": ["order.paid"]})
    path = made.headers["location"]
    sent = [(await program.post(f"{path}/test")).json()["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = (await program.get(f"{path}/messages?limit=2&state=pending{cursor}")).json()
        seen += [message["id"] for message in page["messages"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert seen == sent[::-1]
    assert (await program.get(f"{path}/messages?cursor=W10")).json()["type"] == "/problems/page-not-found"


async def test_switched_off_changed_and_deleted(shop: Shop, receiver: Receiver) -> None:
    program = Program(shop, await key_of(shop, ACME))
    made = await program.post(BASE, json={"url": receiver.url, "event_types": ["order.paid"]})
    path = made.headers["location"]
    off = await program.patch(path, json={"enabled": False})
    assert off.json()["state"] == "off"
    refused = await program.post(f"{path}/test")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/webhook-endpoint-off")
    on = await program.patch(path, json={"enabled": True, "event_types": ["order.lapsed", "order.created"]})
    assert (on.json()["state"], on.json()["event_types"]) == ("on", ["order.created", "order.lapsed"])
    gone = await program.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await program.delete(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"url": "https://169.254.169.254/", "event_types": ["order.paid"]}, 422, "webhook-url-refused"),
        ({"url": "https://hooks.acme.example:5432/", "event_types": ["order.paid"]}, 422, "webhook-url-refused"),
        ({"url": "ftp://hooks.acme.example/", "event_types": ["order.paid"]}, 400, "malformed"),
        ({"url": "https://hooks.acme.example/", "event_types": []}, 400, "malformed"),
        ({"url": "https://hooks.acme.example/", "event_types": ["order.shipped"]}, 400, "malformed"),
        ({"url": "https://hooks.acme.example/", "event_types": ["order.paid"], "secret": "x"}, 400, "malformed"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused(
    shop: Shop, body: dict[str, object], status: int, problem: str
) -> None:
    program = Program(shop, await key_of(shop, ACME))
    answer = await program.post(BASE, json=body)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")
    assert (await program.get(f"/problems/{problem}", headers={"accept": "text/html"})).status_code == 200


async def test_a_key_that_cannot_read_orders_cannot_be_told_of_them(shop: Shop) -> None:
    program = Program(shop, await key_of(shop, ACME, ["webhooks:manage", "prices:read"]))
    refused = await program.post(BASE, json={"url": "https://hooks.acme.example/", "event_types": ["order.paid"]})
    taken = await program.post(BASE, json={"url": "https://hooks.acme.example/", "event_types": ["price.changed"]})

    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/scope-missing")
    assert refused.json()["scope"] == "orders:read"
    assert taken.status_code == 201


async def test_another_companys_answer_as_what_does_not_exist(shop: Shop) -> None:
    acme, globex = [Program(shop, await key_of(shop, email)) for email in (ACME, GLOBEX)]
    made = await acme.post(BASE, json={"url": "https://hooks.acme.example/", "event_types": ["order.paid"]})
    path = made.headers["location"]
    message = (await acme.post(f"{path}/test")).json()["id"]
    missing = "00000000-0000-7000-8000-000000000000"
    for method, theirs in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("GET", f"{path}/messages"),
        ("POST", f"{path}/secret"),
        ("POST", f"{path}/test"),
        ("POST", f"{path}/replay"),
        ("GET", f"/api/v1/webhook-messages/{message}"),
        ("POST", f"/api/v1/webhook-messages/{message}/replay"),
    ):
        body = {"since": "2026-11-20T00:00:00Z"} if theirs.endswith("replay") and theirs.startswith(BASE) else {}
        own = path.rpartition("/")[2]
        answers = [
            await globex.request(method, each, json=body)
            for each in (theirs, theirs.replace(own, missing).replace(message, missing))
        ]
        assert [answer.status_code for answer in answers] == [404, 404], (method, theirs)
        assert answers[0].content == answers[1].content
    assert (await acme.get(path)).status_code == 200


async def test_the_application_sends_by_the_guarded_sender_and_to_loopback_only_where_it_is_told_to(
    shop: Shop, demo_database_url: str
) -> None:
    deliveries = shop.services.deliveries
    assert isinstance(deliveries, Deliveries)
    assert isinstance(deliveries._sender, Sender)
    assert deliveries._sender.loopback
    async with _open(demo_database_url) as plain:
        assert not plain.services.deliveries._sender.loopback
