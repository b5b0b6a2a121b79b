"""Publications take effect in all workers at their instant, seen from outside; and a worker that errs is found."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from benchmarks.servers import running
from benchmarks.taking_effect import Answered, judged, taken_effect
from kernel.settings import Settings
from tests.pricing.books_at_random import NOON
from tests.pricing.conftest import CATALOGUE, PRICES
from web.services import build

OLD, NEW = "sha256:old", "sha256:new"
MOMENT = timedelta(milliseconds=1)


@pytest.mark.slow
async def test_two_workers_change_their_prices_at_the_instant_and_at_no_other(
    tmp_path: Path, database_url: str, folder: Callable[..., Path]
) -> None:
    environment = {"DATABASE_URL": database_url, "VAR": str(tmp_path), "PRICE_LEAD_TIME": "5"}
    environment |= {"STRIPE_WEBHOOK_SECRET": "whsec_test"}
    services = build(Settings.from_environment(environment))
    try:
        await services.books.refresh()
        imported = await services.pricing.import_folder(folder(CATALOGUE, PRICES), by=None)
        assert imported.draft_id is not None
        first = await services.pricing.publish(imported.draft_id, by=None, acknowledge="As meant")
        with running("worker", environment=environment) as one, running("worker", environment=environment) as other:
            await asyncio.sleep(max(0, (first.effective_at - services.clock.now()).total_seconds()))
            effect = await taken_effect(services, [one, other])
    finally:
        await services.gateway.close()
        await services.db.close()

    assert effect.faults == ()
    assert effect.answers > 20
    assert len(effect.last_old) == len(effect.first_new) == 2


def said(worker: int, minutes: int, root: str, *, at: int | None = None) -> Answered:
    sent = NOON + timedelta(minutes=minutes)
    return Answered(
        worker=worker,
        sent=sent,
        received=sent + MOMENT,
        root=root,
        at=sent if at is None else NOON + timedelta(minutes=at),
        price="1.00" if root == OLD else "2.00",
    )


RIGHT = (said(0, -2, OLD), said(1, -1, OLD), said(0, 0, NEW), said(1, 1, NEW))


def test_answers_of_the_right_book_on_either_side_are_no_fault() -> None:
    effect = judged(RIGHT, instant=NOON, old=OLD, new=NEW)

    assert effect.faults == ()
    assert effect.last_old == (timedelta(minutes=2), timedelta(minutes=1))
    assert effect.first_new == (timedelta(0), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (said(1, -3, NEW, at=0), "early"),
        (said(1, 3, OLD, at=-1), "late"),
        (said(0, 0, OLD), "late"),
        (said(0, 2, "sha256:other"), "neither"),
        (msgspec.structs.replace(said(0, 2, NEW), price="3.00"), "2 prices"),
    ],
)
def test_an_answer_too_early_or_too_late_is_found(wrong: Answered, fault: str) -> None:
    effect = judged((*RIGHT, wrong), instant=NOON, old=OLD, new=NEW)

    assert [each.partition(":")[0].startswith(fault) for each in effect.faults] == [True]


def test_a_worker_heard_on_one_side_only_is_no_proof() -> None:
    effect = judged(RIGHT[:3], instant=NOON, old=OLD, new=NEW)

    assert effect.faults == ("worker 1 was not heard on both sides of the instant",)
