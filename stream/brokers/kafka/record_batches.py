"""Many records to Kafka at once, as whole record batches.

Owns: filling batches and following the offsets that they get. Must not know: Faust, or what records mean.
"""

import asyncio
import time
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

import aiokafka  # type: ignore[import-untyped]  # it has no types

Row = tuple[str, int, bytes | None, bytes | None]
"""Topic, partition, key, value."""

LARGE_BYTES: Final = 1 << 20
"""A record from this size on is sent alone: a dozen of the largest in one request are more than a broker takes."""


async def append_many(
    producer: aiokafka.AIOKafkaProducer, records: Iterable[Row]
) -> dict[tuple[str, int], int]:
    """Append (topic, partition, key, value) in whole record batches; the last offset of each partition.

    Returns when the broker has them all; a partition's records should stand together. Raises KafkaError.
    """
    timestamp_ms = time.time_ns() // 1_000_000
    sent: list[tuple[tuple[str, int], int, asyncio.Future[Any]]] = []
    for (topic, partition), rows in groupby(records, key=lambda row: row[:2]):
        for batch in batches(producer, ((key, value) for _, _, key, value in rows), timestamp_ms):
            future = await producer.send_batch(batch, topic, partition=partition)
            sent.append(((topic, partition), batch.record_count(), future))
    return {partition: (await future).offset + count - 1 for partition, count, future in sent}


def batches(
    producer: aiokafka.AIOKafkaProducer, rows: Iterable[tuple[bytes | None, bytes | None]], timestamp_ms: int
) -> Iterable[Any]:
    """Keys and values for one partition as full record batches, the last one maybe not full."""
    batch = producer.create_batch()
    for key, value in rows:
        if batch.append(key=key, value=value, timestamp=timestamp_ms) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=timestamp_ms)
    if batch.record_count():
        yield batch
