"""Where replay sends records: the embedded log, or Kafka.

Owns: batching records towards a broker and the positions they reached. Must not know: what they say.
"""

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self

from schemas.settings import Settings
from schemas.topics import ALL_TOPICS
from schemas.values import StoreId
from stream.embedded.log import EmbeddedLog, NewRecord
from stream.partitions import partition_of

Positions = dict[tuple[str, int], int]
"""The next offset of each (topic, partition)."""

_BATCH_BYTES: Final = 4 << 20


class Sink(AbstractContextManager["Sink"], Protocol):
    """Takes records in order; leaving the context without an error flushes."""

    def send(self, topic: str, store_id: StoreId, value: bytes | None) -> None:
        """Send one record to its store's partition; may keep it until the next flush."""

    def flush(self) -> Positions:
        """Wait until the broker has all of it; the positions reached so far."""

    def topics(self) -> list[tuple[str, int, str]]:
        """The declared topics: name, partitions, clean-up."""


class EmbeddedSink(Sink):
    """Appends to the embedded log, some megabytes a transaction."""

    def __init__(self, settings: Settings) -> None:
        self._partitions = settings.partitions or 1
        self._log = EmbeddedLog(settings.log_path)
        self._waiting: list[NewRecord] = []
        self._bytes = 0
        self._reached: Positions = {}
        for topic in ALL_TOPICS:
            self._log.declare_topic(topic.name, self._partitions, topic.cleanup)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
        self._log.close()

    def send(self, topic: str, store_id: StoreId, value: bytes | None) -> None:
        partition = partition_of(store_id, self._partitions)
        self._waiting.append(
            NewRecord(topic, partition, store_id.encode(), value, time.time_ns() // 1_000_000)
        )
        self._bytes += len(value or b"")
        if self._bytes > _BATCH_BYTES:
            self.flush()

    def flush(self) -> Positions:
        for record, offset in zip(self._waiting, self._log.append(self._waiting), strict=True):
            self._reached[record.topic, record.partition] = offset + 1
        self._waiting, self._bytes = [], 0
        return dict(self._reached)

    def topics(self) -> list[tuple[str, int, str]]:
        return [(name, info.partitions, info.cleanup) for name, info in self._log.topics().items()]


def open_sink(settings: Settings) -> Sink:
    """The sink of the configured broker. Raises the broker's errors."""
    return EmbeddedSink(settings)
