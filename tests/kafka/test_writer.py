"""The writer of a partition on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.rows.positions import POSITIONS_KEY
from schemas.settings import Settings
from stream.brokers.kafka.broker import KafkaBroker
from stream.brokers.ports import Rows, WriterLost
from stream.brokers.topics import declare_topics
from tests.kafka.broker import Kafka

_SECONDS = 30


async def test_a_flush_under_way_ends_where_its_writer_is_let_go(clean_kafka: Kafka, tmp_path: Path) -> None:
    """Whoever flushes waited for it for ever, and so did the next rebalance."""
    settings = Settings(state=tmp_path, broker=clean_kafka.url, partitions=1)
    await declare_topics(settings)
    broker, is_sending = KafkaBroker(settings), asyncio.Event()

    async def rows() -> AsyncIterator[Rows]:
        yield [(POSITIONS_KEY, b"{}")]
        is_sending.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(_SECONDS):
        writer = (await broker.own([0]))[0]
        writing = asyncio.create_task(writer.write(rows(), [], {}))
        await is_sending.wait()
        await writer.close()
        with pytest.raises(WriterLost, match="let go"):
            await writing
        await broker.close()
