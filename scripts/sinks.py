"""Where commands send records: the embedded log, or Kafka.

Owns: batching records towards a broker and the positions they reached. Must not know: what they say.
"""

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from schemas.settings import Settings
from schemas.topics import MOST_RECORD_BYTES
from schemas.values import StoreId
from stream.connection import client_options, start_client
from stream.embedded.log import EmbeddedLog, Headers, NewRecord
from stream.errors import BrokerLost
from stream.partitions import partition_of
from stream.record_batches import append_many
from stream.topics import declare_topics, reach

T = TypeVar("T")

Positions = dict[tuple[str, int], int]
"""The next offset of each (topic, partition)."""

_BATCH_BYTES: Final = 4 << 20
_KAFKA_BATCH_BYTES: Final = 512 << 10
_START_SECONDS: Final = 10.0
_OUTAGE_MS: Final = 300_000
"""For how long records wait for a broker that is down, before the replay gives up."""


class Sink(ABC):
    """Takes records in order; leaving the context without an error flushes."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._waiting: list[NewRecord] = []
        self._bytes = 0
        self._reached: Positions = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self._close()

    def send(self, topic: str, store_id: StoreId, value: bytes | None) -> None:
        """Send one record to its store's partition; may keep it until the next flush."""
        self.send_to(topic, partition_of(store_id, self.partitions), store_id.encode(), value)

    def send_to(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Send one record to a partition that is known already; may keep it until the next flush."""
        now_ms = time.time_ns() // 1_000_000
        self._waiting.append(NewRecord(topic, partition, key, value, now_ms, headers))
        self._bytes += len(value or b"")
        if self._bytes > _BATCH_BYTES:
            self.flush()

    def flush(self) -> Positions:
        """Wait until the broker has all of it; the positions reached so far."""
        self._reached.update(self._append(self._waiting))
        self._waiting, self._bytes = [], 0
        return dict(self._reached)

    @abstractmethod
    def _append(self, records: list[NewRecord]) -> Positions:
        """Append records, and wait until the broker has them; the positions reached."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of the broker."""


class EmbeddedSink(Sink):
    """Appends to the embedded log, some megabytes a transaction."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(asyncio.run(declare_topics(settings)))
        self._log = EmbeddedLog(settings.log_path)

    def _append(self, records: list[NewRecord]) -> Positions:
        offsets = self._log.append(records)
        return {
            (record.topic, record.partition): offset + 1
            for record, offset in zip(records, offsets, strict=True)
        }

    def _close(self) -> None:
        self._log.close()


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
        max_request_size=MOST_RECORD_BYTES,
        request_timeout_ms=_OUTAGE_MS,
    )
    try:
        async with asyncio.timeout(_START_SECONDS):  # aiokafka asks for the id of a producer for ever
            await start_client(producer)
    except BaseException:
        await producer.stop()
        raise
    return producer


def open_sink(settings: Settings) -> Sink:
    """The sink of the configured broker. Raises the broker's errors."""
    return EmbeddedSink(settings) if settings.is_embedded else KafkaSink(settings)
