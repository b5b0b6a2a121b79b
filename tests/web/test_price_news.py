"""Companies are told of price books and of prices when they take effect, of what they may see and of nothing else."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.principal import Principal, PrincipalKind
from accounts.webhooks.events import SCOPES, EventType
from accounts.webhooks.model import WebhookEndpoint, WebhookMessage
from kernel.db import for_staff
from kernel.ids import new_id
from tests.described import assert_described
from tests.web.api.partners import ACME, INITECH, Program, key_of, person
from tests.web.api.test_feed_delta import flat, publish
from tests.web.conftest import Shop

PRICES = (EventType.PRICE_BOOK_PUBLISHED, EventType.PRICE_CHANGED)
ARMCHAIR = ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", "")


async def listen(shop: Shop, email: str, event_types: Sequence[EventType] = PRICES) -> WebhookEndpoint:
    """An endpoint of the person's company."""
    company = (await person(shop, email)).company
    program = Principal(
        kind=PrincipalKind.PARTNER, visitor_id=new_id(), company=company, scopes=frozenset(SCOPES.values())
    )
    endpoint, _ = await shop.services.webhooks.create(
        program, url="https://hooks.partner.example/", event_types=event_types
    )
    return endpoint


async def told(shop: Shop, endpoint: WebhookEndpoint) -> list[dict[str, Any]]:
    """Everything told to the endpoint by now, after another sweep, in order."""
    await shop.services.price_news.sweep()
    async with shop.services.db.begin(for_staff()) as session:
        query = sa.select(WebhookMessage).where(WebhookMessage.endpoint_id == endpoint.id)
        bodies = [msgspec.json.decode(row.body) for row in await session.scalars(query.order_by(WebhookMessage.id))]
    for body in bodies:
        assert_described(body)
    return bodies


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


async def test_what_was_in_force_when_it_began_to_listen_is_not_told(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)

    assert await told(shop, endpoint) == []


async def test_a_publication_is_told_when_it_takes_effect_and_not_before(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    pricing = shop.services.pricing
    draft = await pricing.open_draft(by=None, title="Tomorrow")
    leaf = await pricing.find_leaf(draft.id, "row", ARMCHAIR)
    changed = {**msgspec.to_builtins(leaf.content), **flat("260")}
    await pricing.put_change(draft.id, "row", ARMCHAIR, changed, by=None, expected=leaf.seen)
    tomorrow = shop.clock.now() + timedelta(days=1)
    entry = await pricing.publish(draft.id, by=None, acknowledge="A test", effective_at=tomorrow)
    shop.clock.set(tomorrow - timedelta(microseconds=1))
    assert EventType.PRICE_BOOK_PUBLISHED not in types(await told(shop, endpoint))

    shop.clock.set(tomorrow)
    messages = await told(shop, endpoint)

    published = next(each for each in messages if each["type"] == "price_book.published")
    assert published == {
        "type": "price_book.published",
        "timestamp": tomorrow.isoformat().replace("+00:00", "Z"),
        "data": {
            "number": entry.number,
            "root": shop.services.books.in_force(tomorrow).root,
            "effective_at": tomorrow.isoformat().replace("+00:00", "Z"),
            "url": "http://127.0.0.1:8000/api/v1/price-books/current",
        },
    }
    assert types(messages)[-1] == "price.changed"
    assert types(await told(shop, endpoint)) == types(messages), "told once"


async def test_a_worker_that_looked_earlier_and_wrote_first_does_not_hide_the_news(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await listen(shop, ACME)
    earlier = shop.clock.now()
    await publish(shop, ("row", ARMCHAIR, flat("260")))
    later = shop.clock.now()
    state_of, before_it_writes = shop.services.price_news._state, [earlier]

    async def overtaken(context: Any) -> Any:
        if before_it_writes:
            shop.clock.set(before_it_writes.pop())
            await shop.services.price_news.sweep()
            shop.clock.set(later)
        return await state_of(context)

    monkeypatch.setattr(shop.services.price_news, "_state", overtaken)

    assert types(await told(shop, endpoint)) == ["price_book.published", "price.changed"]
    assert not before_it_writes


async def test_a_worker_whose_clock_is_behind_tells_of_no_prices_that_went_back(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    earlier = shop.clock.now()
    await publish(shop, ("row", ARMCHAIR, flat("260")))
    messages = await told(shop, endpoint)

    shop.clock.set(earlier)

    assert await told(shop, endpoint) == messages


async def test_a_change_of_prices_names_its_skus_and_the_delta_that_tells_more(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    program = Program(shop, await key_of(shop, ACME))
    before = (await program.get("/api/v1/price-feed?limit=1")).json()
    await publish(shop, ("row", ARMCHAIR, flat("260")), ("row", ("PUBLIC-EUR", "STUBBORN-GLUE", "each", ""), flat("9")))
    data = (await told(shop, endpoint))[-1]["data"]
    delta = (await program.get(data["delta_url"])).json()

    after = (await program.get("/api/v1/price-feed?limit=1")).json()
    assert data["to"] == {"root": after["root"], "at": after["at"]}
    assert data["since"]["root"] == before["root"]
    assert data["reader"] == after["reader"]
    rows = delta["added"] + delta["changed"] + delta["removed"]
    assert set(data["skus"]) == {row["sku"] for row in rows} == {"CRUNCHY-ARMCHAIR", "STUBBORN-GLUE"}
    assert (data["sku_count"], data["more"]) == (2, False)


async def test_who_sees_no_change_is_told_of_the_book_alone(shop: Shop) -> None:
    """The contract is Initech's: that its price moved is nobody else's to learn."""
    initech, acme = await listen(shop, INITECH), await listen(shop, ACME)
    await publish(shop, ("row", ("CONTRACT-INITECH", "CRUNCHY-ARMCHAIR", "each", ""), flat("1.23")))

    messages = await told(shop, initech)
    assert types(messages) == ["price_book.published", "price.changed"]
    assert messages[-1]["data"]["skus"] == ["CRUNCHY-ARMCHAIR"]
    assert types(await told(shop, acme)) == ["price_book.published"]


async def test_an_edge_inside_a_book_is_told_at_its_instant(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    program = Program(shop, await key_of(shop, ACME))
    leaf_starts = shop.clock.now() + timedelta(hours=2)
    await publish(shop, ("row", ARMCHAIR, {"ends_at": leaf_starts.isoformat().replace("+00:00", "Z")}))
    begun = len(await told(shop, endpoint))
    shop.clock.set(leaf_starts - timedelta(microseconds=1))
    assert len(await told(shop, endpoint)) == begun

    shop.clock.set(leaf_starts)
    messages = await told(shop, endpoint)

    assert types(messages[begun:]) == ["price.changed"]
    data = messages[-1]["data"]
    assert messages[-1]["timestamp"] == data["to"]["at"] == leaf_starts.isoformat().replace("+00:00", "Z")
    assert data["since"]["root"] == data["to"]["root"]
    assert "CRUNCHY-ARMCHAIR" in data["skus"]
    delta = (await program.get(data["delta_url"])).json()
    assert {row["sku"] for row in delta["added"] + delta["changed"] + delta["removed"]} == set(data["skus"])


async def test_other_terms_of_the_company_ask_it_to_take_the_whole_feed(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    assert await told(shop, endpoint) == []
    async with shop.services.db.begin(for_staff()) as session:
        await session.execute(sa.text("update company set segments = array['another'] where code = 'acme'"))
    [message] = await told(shop, endpoint)

    assert message["type"] == "price.changed"
    data = message["data"]
    assert (data["since"], data["sku_count"], data["more"], data["skus"]) == (None, None, True, [])
    assert data["delta_url"] is None
    assert data["feed_url"] == "http://127.0.0.1:8000/api/v1/price-feed"
    assert len(await told(shop, endpoint)) == 1


async def test_several_changes_slept_over_are_told_at_once(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    await publish(shop, ("row", ARMCHAIR, flat("260")))
    await publish(shop, ("row", ARMCHAIR, flat("261")))

    assert types(await told(shop, endpoint)) == ["price_book.published", "price_book.published", "price.changed"]


async def test_what_changed_while_nobody_listened_is_not_told(shop: Shop) -> None:
    endpoint = await listen(shop, ACME)
    await told(shop, endpoint)
    staff = await person(shop, "finance@meridian.example")
    await shop.services.webhooks.change(staff, endpoint.id, on=False)
    await publish(shop, ("row", ARMCHAIR, flat("260")))
    shop.clock.advance(minutes=1)
    await shop.services.webhooks.change(staff, endpoint.id, on=True)

    assert await told(shop, endpoint) == []
    shop.clock.advance(minutes=1)
    await publish(shop, ("row", ARMCHAIR, flat("261")))
    assert types(await told(shop, endpoint)) == ["price_book.published", "price.changed"]


@pytest.mark.parametrize("asked", [(EventType.PRICE_CHANGED,), (EventType.PRICE_BOOK_PUBLISHED,)])
async def test_only_what_was_asked_for_is_told(shop: Shop, asked: tuple[EventType, ...]) -> None:
    endpoint = await listen(shop, ACME, asked)
    await publish(shop, ("row", ARMCHAIR, flat("260")))

    assert types(await told(shop, endpoint)) == [asked[0].value]
