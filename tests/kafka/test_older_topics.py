"""Topics that an older version filled, changelog and all: ours goes on with them, and gives the same bytes."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

from stream.brokers.records import Record
from tests import older
from tests.kafka.broker import Kafka
from tests.kafka.harness import fleet


def send(url: str, records: list[Record]) -> None:
    """Append records as they were, in order, with their times and headers."""

    async def run() -> None:
        servers = url.removeprefix("kafka://")
        async with AIOKafkaProducer(
            bootstrap_servers=servers, acks="all", max_request_size=1 << 24
        ) as producer:
            sent = [
                await producer.send(
                    each.topic, each.value, each.key, each.partition, each.timestamp_ms, list(each.headers)
                )
                for each in records
            ]
            for each in sent:
                await each

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("drain", ["batches", "messages"])
def test_topics_and_changelog_of_dd7560e_give_its_report(
    clean_kafka: Kafka, tmp_path: Path, drain: str
) -> None:
    records = older.records(older.unpack(tmp_path))
    with fleet(clean_kafka.url, tmp_path / "fleet", partitions=older.PARTITIONS, drain=drain) as ours:
        ours.done(ours.run("topics", state="topics"))
        send(clean_kafka.url, records)
        worker = ours.ready_worker("worker")
        assert ours.report() == older.REPORT
        assert "migrating" in worker.text
