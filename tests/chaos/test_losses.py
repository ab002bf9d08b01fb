"""What is gone before it was applied is told, until an operator accepts it (rule 7.3)."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import RecordsToDelete  # type: ignore[import-untyped]

from schemas.topics import CHANGELOG, POLLS
from tests.chaos.actions import Note
from tests.chaos.sending import Sending
from tests.chaos.teller import Teller
from tests.chaos.world import Ground
from tests.e2e.harness import report_of, until, wait_until_applied, wipe_tables
from tests.kafka.broker import wipe
from tests.kafka.harness import Api, Fleet, asked, ends_of, fleet

pytestmark = pytest.mark.long

_BEFORE: Final = 30
_AFTER: Final = 20


def tell(ours: Fleet, notes: tuple[Note, ...]) -> None:
    with Teller(ours.url.removeprefix("kafka://")) as teller:
        teller.tell(notes)
        assert teller.drain(30)


def polls(sending: Sending, count: int) -> tuple[Note, ...]:
    return sending.batch(count)


def retention_passes(ours: Fleet, sending: Sending) -> None:
    """Polls come, are not read, and are deleted; others come."""
    tell(ours, polls(sending, _AFTER))
    end = ends_of(ours.url, POLLS)[POLLS, 0]

    async def delete(_: Any, admin: Any) -> None:
        await admin.delete_records({TopicPartition(POLLS, 0): RecordsToDelete(before_offset=end)})

    asked(ours.url, delete)
    tell(ours, polls(sending, 3))


def topic_is_made_again(ours: Fleet, sending: Sending) -> None:
    """Fewer polls are in it now than the table has applied."""
    delete_topic(ours, POLLS)
    tell(ours, polls(sending, 3))


def changelog_is_gone(ours: Fleet, _: Sending) -> None:
    """With the tables; what was applied cannot be told from what never came, but the group knows better."""
    delete_topic(ours, CHANGELOG)
    wipe_tables(ours.folder / "worker")


def delete_topic(ours: Fleet, topic: str) -> None:
    """Delete a topic and have it made again."""

    async def delete(_: Any, admin: Any) -> None:
        await admin.delete_topics([topic])

    asked(ours.url, delete)
    until(f"{topic} is gone", lambda: not ends_of(ours.url, topic))
    ours.done(ours.run("topics", state="topics"))


_LOSSES: Final[dict[str, Callable[[Fleet, Sending], None]]] = {
    "retention passed": retention_passes,
    "the topic was made again": topic_is_made_again,
    "table and changelog are gone": changelog_is_gone,
}


def says_loss(api: Api) -> bool:
    health = api.health()
    return api.status() == 200 and health["status"] == "degraded" and POLLS in json.dumps(health)


@pytest.mark.parametrize("loss", _LOSSES)
def test_a_loss_is_told_until_it_is_accepted(loss: str, chaos_ground: Ground, tmp_path: Path) -> None:
    wipe(chaos_ground.broker.bootstrap)
    sending = Sending(Random(1), stores=5, partitions=1, kinds=("single",))
    with fleet(chaos_ground.url, tmp_path, partitions=1) as ours:
        worker = ours.ready_worker()
        tell(ours, polls(sending, _BEFORE))
        wait_until_applied(worker.state, {(POLLS, 0): _BEFORE})
        assert worker.stop() == 0
        _LOSSES[loss](ours, sending)
        ours.worker()
        ours.run("replica", state="host")
        api = ours.api("host")
        until(f"/health says {loss}", lambda: says_loss(api))
        ours.done(ours.run("accept-loss", state="operator"))
        until("/health is fine again", lambda: api.health()["status"] == "ok")


def test_a_changelog_that_is_deleted_under_a_worker_is_filled_again(
    chaos_ground: Ground, tmp_path: Path
) -> None:
    """Nothing is lost, as long as the worker's folder is there."""
    wipe(chaos_ground.broker.bootstrap)
    sending = Sending(Random(1), stores=5, partitions=1, kinds=("single",))
    with fleet(chaos_ground.url, tmp_path, partitions=1) as ours:
        worker = ours.ready_worker()
        tell(ours, polls(sending, _BEFORE))
        wait_until_applied(worker.state, {(POLLS, 0): _BEFORE})
        delete_topic(ours, CHANGELOG)
        tell(ours, polls(sending, _AFTER))
        until("it is taken over again", lambda: "filling a changelog" in worker.text)
        wait_until_applied(worker.state, {(POLLS, 0): _BEFORE + _AFTER})
        report = ours.report()
        assert report == report_of(worker.state, tmp_path / "worker.csv")
        worker.kill()
        wipe_tables(worker.state)
        ours.worker()
        wait_until_applied(worker.state, {(POLLS, 0): _BEFORE + _AFTER})
        assert report_of(worker.state, tmp_path / "worker.csv") == report
        assert len(report.splitlines()) == 1 + 5
