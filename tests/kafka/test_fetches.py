"""Facts about which records Kafka hands to a worker again."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from prometheus_client import REGISTRY

from schemas.settings import Settings
from schemas.topics import POLLS
from stream.brokers.topics import declare_topics
from stream.worker.app import Worker, create_worker
from tests.kafka.broker import Kafka
from tests.kafka.harness import produce

_POLLS = 6


async def test_what_was_taken_and_not_written_is_taken_again_where_a_writer_is_lost(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    """Nothing is flushed here for a minute, so the table says that reading begins at 0."""
    async with running(clean_kafka, tmp_path, flush_seconds=60.0) as worker:
        write_behind = worker.write_behind
        await eventually(lambda: write_behind.owns(0), "the partition is ours")
        await write_behind.flush()  # of nothing; a flush is due since the rebalance
        await send(clean_kafka, range(_POLLS))
        await eventually(lambda: write_behind.taken_to(0, POLLS) == _POLLS, "the polls are taken")
        write_behind.lose(0, "a test")
        assert not write_behind.owns(0)
        await eventually(lambda: write_behind.owns(0), "the partition is ours again")
        assert write_behind.written_to(0, POLLS) == 0
        await eventually(lambda: write_behind.taken_to(0, POLLS) == _POLLS, "the polls are taken again")
        write_behind.hurry()
        await eventually(lambda: write_behind.written_to(0, POLLS) == _POLLS, "they are written")


async def test_what_is_written_is_not_taken_again_after_a_seek(clean_kafka: Kafka, tmp_path: Path) -> None:
    """A rebalance seeks to where the table says, whatever the group has committed, which is nothing here."""
    async with running(clean_kafka, tmp_path) as worker:
        before = taken()
        await send(clean_kafka, range(_POLLS))
        await eventually(lambda: worker.write_behind.written_to(0, POLLS) == _POLLS, "the polls are written")
        await worker.app.consumer.perform_seek()
        await send(clean_kafka, range(_POLLS, _POLLS + 1))
        await eventually(
            lambda: worker.write_behind.written_to(0, POLLS) == _POLLS + 1, "the next one is written"
        )
        assert taken() - before == _POLLS + 1


async def test_no_fetch_outlasts_a_revocation(clean_kafka: Kafka, tmp_path: Path) -> None:
    """It would take records of the next assignment, and Faust would drop them."""
    async with running(clean_kafka, tmp_path) as worker:
        consumer = cast(Any, worker.app.consumer)
        await eventually(lambda: bool(consumer.assignment()), "partitions are assigned")
        fetching = asyncio.create_task(consumer._getmany(consumer.assignment(), 3600))
        await asyncio.sleep(0)
        assert not fetching.done()
        await consumer.on_partitions_revoked(consumer.assignment())
        assert fetching.done()
        assert not consumer.flow_active
        assert not worker.write_behind.owns(0)


async def test_no_flow_resumes_after_a_revocation(clean_kafka: Kafka, tmp_path: Path) -> None:
    """A fetch begun then waited for the next assignment, and that for the fetch: for a minute nobody joined."""
    async with running(clean_kafka, tmp_path) as worker:
        consumer = cast(Any, worker.app.consumer)
        await eventually(lambda: consumer.flow_active, "records flow")
        is_seeking, may_go_on = asyncio.Event(), asyncio.Event()

        async def seek() -> None:
            is_seeking.set()
            await may_go_on.wait()

        async def hold_the_next_seek(*_: Any, **__: Any) -> None:
            consumer.perform_seek = seek

        worker.app.on_rebalance_complete.connect(cast(Any, hold_the_next_seek), weak=False)
        worker.write_behind.lose(0, "a test")
        async with asyncio.timeout(30):
            await is_seeking.wait()
        await consumer.on_partitions_revoked(consumer.assignment())
        may_go_on.set()
        for _ in range(100):
            await asyncio.sleep(0.01)
            assert not consumer.flow_active


@asynccontextmanager
async def running(kafka: Kafka, state: Path, **more: Any) -> AsyncIterator[Worker]:
    """A worker of one partition, in this process, that commits nothing for people's tools."""
    settings = Settings(state=state, broker=kafka.url, partitions=1, **more)
    worker = create_worker(settings, await declare_topics(settings))
    worker.app.conf.broker_commit_interval = 3600
    await worker.app.start()
    try:
        yield worker
    finally:
        await worker.take_over.stop_copying()
        await worker.app.stop()
        await worker.write_behind.release()
        await worker.broker.close()


async def send(kafka: Kafka, hours: range) -> None:
    """One poll of one store for each hour."""
    await asyncio.to_thread(produce, kafka.url, POLLS, [poll(hour) for hour in hours])


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
