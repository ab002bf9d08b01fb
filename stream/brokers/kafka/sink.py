"""Where commands send records to Kafka.

Owns: a producer in a thread of its own, and batches. Must not know: what the records say.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import MAX_RECORD_BYTES
from stream.brokers.connection import client_options, start_client
from stream.brokers.kafka.record_batches import append_many
from stream.brokers.records import NewRecord
from stream.brokers.sink import Sink
from stream.brokers.topics import declare_topics, reach
from stream.errors import BrokerLost

T = TypeVar("T")

_KAFKA_BATCH_BYTES: Final = 512 << 10
_START_SECONDS: Final = 10.0
_OUTAGE_MS: Final = 300_000
"""For how long records wait for a broker that is down, before the replay gives up."""


class KafkaSink(Sink):
    """Sends to Kafka through an idempotent aiokafka producer, whose event loop runs in a thread of ours."""

    def __init__(self, settings: Settings) -> None:
        self._thread = LoopThread()
        try:
            super().__init__(self._thread.run(declare_topics(settings)))
            self._producer = self._thread.run(reach(settings, lambda: _started_producer(settings)))
        except BaseException:
            self._thread.stop()
            raise

    def _append(self, records: list[NewRecord]) -> Positions:
        try:
            reached = self._thread.run(self._appended(records))
        except KafkaError as error:
            raise BrokerLost(str(error)) from error
        return {partition: offset + 1 for partition, offset in reached.items()}

    async def _appended(self, records: list[NewRecord]) -> Positions:
        """The last offsets. Those with headers go one by one, after the others: there are few of them."""
        plain = sorted(
            (record for record in records if not record.headers), key=lambda row: (row.topic, row.partition)
        )
        reached = await append_many(
            self._producer, ((row.topic, row.partition, row.key, row.value) for row in plain)
        )
        for row in records:
            if row.headers:
                sent = await self._producer.send_and_wait(
                    row.topic, row.value, row.key, row.partition, row.timestamp_ms, list(row.headers)
                )
                reached[row.topic, row.partition] = sent.offset
        return reached

    def _close(self) -> None:
        try:
            self._thread.run(self._producer.stop())
        finally:
            self._thread.stop()


class LoopThread:
    """An event loop in a thread, for callers that have none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-sink", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _started_producer(settings: Settings) -> Any:
    producer = AIOKafkaProducer(
        **client_options(settings),
        enable_idempotence=True,
        max_batch_size=_KAFKA_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=_OUTAGE_MS,
    )
    try:
        async with asyncio.timeout(_START_SECONDS):  # aiokafka asks for the id of a producer for ever
            await start_client(producer)
    except BaseException:
        await producer.stop()
        raise
    return producer
