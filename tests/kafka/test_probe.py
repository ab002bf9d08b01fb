"""What the API asks of a real Kafka, also while it is away."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from schemas.settings import Settings
from schemas.topics import APP_ID, POLLS
from scripts.dev.kafka.broker import KafkaBroker
from stream.brokers.kafka.probe import KafkaProbe
from stream.brokers.topics import declare_topics
from stream.state_lock import StateLock
from tests.kafka.broker import write

SECONDS = 60.0


async def asked(probe: KafkaProbe) -> dict[tuple[str, int], int]:
    async with asyncio.timeout(2):
        return await probe.end_offsets()


async def answered(probe: KafkaProbe) -> dict[tuple[str, int], int]:
    """What it answers once it answers at all."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(KafkaError, TimeoutError):
            return await asked(probe)
        await asyncio.sleep(0.2)
    raise AssertionError(f"no answer within {SECONDS} s")


@pytest.mark.long
async def test_ends_are_told_at_once_and_again_after_the_broker_was_away(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    settings = Settings(state=tmp_path, broker=f"kafka://{own_kafka.bootstrap}", partitions=3)
    await declare_topics(settings)
    probe = KafkaProbe(settings)
    assert sum((await probe.end_offsets()).values()) == 0
    await asyncio.to_thread(write, own_kafka.bootstrap, POLLS, b"1", b"2")
    ends = [await asked(probe) for _ in range(20)]
    assert all(each[POLLS, 0] == 2 and len(each) == 9 for each in ends)
    await asyncio.to_thread(own_kafka.kill)
    with pytest.raises((KafkaError, TimeoutError)):
        await asked(probe)
    await asyncio.to_thread(own_kafka.start)
    await asyncio.to_thread(write, own_kafka.bootstrap, POLLS, b"3")
    again = await answered(probe)
    assert again[POLLS, 0] == 3
    await probe.close()


async def test_whoever_filled_the_tables_here_and_is_gone_is_noticed_at_once(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """The group may have members for a whole session yet, and has those of other hosts."""
    settings = Settings(state=tmp_path, broker=f"kafka://{own_kafka.bootstrap}")
    await declare_topics(settings)
    probe = KafkaProbe(settings)
    async with AIOKafkaConsumer(POLLS, bootstrap_servers=own_kafka.bootstrap, group_id=APP_ID):
        with StateLock(settings.worker_lock):
            assert await probe.worker_alive()
        assert await probe.worker_alive() is False
    await probe.close()
