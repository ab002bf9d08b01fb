"""Where commands send records, whichever broker it is.

Owns: batching records towards a broker and the positions they reached. Must not know: what they say, which broker
takes them (stream.brokers.opening).
"""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self, TypeVar

from schemas.positions import Positions
from schemas.values import StoreId
from stream.brokers.partitions import partition_of
from stream.brokers.records import Headers, NewRecord

T = TypeVar("T")

_BATCH_BYTES: Final = 4 << 20


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
