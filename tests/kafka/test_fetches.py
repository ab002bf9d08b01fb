"""Facts about which records Kafka hands to a worker again."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from prometheus_client import REGISTRY

from schemas.settings import Settings
from schemas.topics import POLLS
from stream.app import create_app
from stream.topics import declare_topics
from tests.kafka.broker import Kafka
from tests.kafka.harness import produce

_POLLS = 6


async def test_what_was_fetched_before_a_first_commit_is_fetched_again_after_a_seek(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    """A rebalance drops fetches that were not handed out yet, and seeks: then they must come once more."""
    settings = Settings(state=tmp_path, broker=clean_kafka.url, partitions=1)
    app = create_app(settings, await declare_topics(settings))
    app.conf.broker_commit_interval = 3600
    before = taken()
    await app.start()
    try:
        await asyncio.to_thread(produce, clean_kafka.url, POLLS, [poll(hour) for hour in range(_POLLS)])
        await eventually(lambda: taken() - before == _POLLS, "the polls are taken")
        await app.consumer.perform_seek()
        await eventually(lambda: taken() - before == 2 * _POLLS, "the polls are taken again")
    finally:
        await app.stop()


async def test_no_fetch_outlasts_a_revocation(clean_kafka: Kafka, tmp_path: Path) -> None:
    """It would take records of the next assignment, and Faust would drop them."""
    settings = Settings(state=tmp_path, broker=clean_kafka.url, partitions=1)
    app = create_app(settings, await declare_topics(settings))
    await app.start()
    try:
        consumer = cast(Any, app.consumer)
        await eventually(lambda: bool(consumer.assignment()), "partitions are assigned")
        fetching = asyncio.create_task(consumer._getmany(consumer.assignment(), 3600))
        await asyncio.sleep(0)
        assert not fetching.done()
        await consumer.on_partitions_revoked(consumer.assignment())
        assert fetching.done()
        assert not consumer.flow_active
    finally:
        await app.stop()


def poll(hour: int) -> tuple[bytes, bytes, int]:
    """Key, value and partition of a poll."""
    said = {"store_id": "s", "status": "active", "timestamp_utc": f"2024-03-14 {hour:02}:00:00 UTC"}
    return b"s", json.dumps(said).encode(), 0


def taken() -> float:
    """Polls that were taken in this process, repeats included."""
    return REGISTRY.get_sample_value("storepulse_polls_taken_total") or 0.0


async def eventually(is_so: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    """Wait until `is_so`; fail with `what` after the deadline."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.02)
