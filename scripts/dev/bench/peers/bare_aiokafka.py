"""A bare consumer: it fetches polls from Kafka, decodes them, and drops them.

    python -m scripts.dev.bench.peers.bare_aiokafka HOST:PORT COUNT

Owns: the least that any Python program on aiokafka must do; what storepulse takes beyond this is the cost of its
work. It prints the seconds from its start to its last poll of COUNT.
"""

import asyncio
import sys
import time
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]  # it has no types

TOPIC = "store-polls"


class Poll(msgspec.Struct):
    """One poll."""

    store_id: str
    status: str
    timestamp_utc: str


async def consume(bootstrap: str, count: int) -> float:
    """Seconds for `count` polls of all partitions, connecting included: the first fetch may bring them all."""
    began = time.perf_counter()
    consumer: Any = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        await _take(consumer, count)
        return time.perf_counter() - began
    finally:
        await consumer.stop()


async def _take(consumer: Any, count: int) -> None:
    decode, taken = msgspec.json.Decoder(Poll).decode, 0
    while taken < count:
        fetched = await consumer.getmany(timeout_ms=500)
        for records in fetched.values():
            for record in records:
                decode(record.value)
            taken += len(records)


if __name__ == "__main__":
    print(f"seconds {asyncio.run(consume(sys.argv[1], int(sys.argv[2])))}", flush=True)
