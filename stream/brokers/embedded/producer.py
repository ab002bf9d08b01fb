"""Faust's producer over an embedded log.

Owns: group commit, and telling each sender what became of its record. Must not know: what records mean.

Records that are sent while one transaction is being written make up the next, so a busy producer pays one
fsync for thousands of records and a quiet one adds no delay.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Final, cast

from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]  # it has no types
from faust.exceptions import NotReady, ProducerSendError
from faust.transport import base
from faust.transport.producer import ProducerBuffer
from faust.types import TP, HeadersArg, RecordMetadata
from mode import Seconds

from stream.brokers.embedded.errors import UnknownPartition
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.embedded.shared import Shared
from stream.brokers.embedded.threads import LogThread
from stream.brokers.records import NewRecord

GROUP_RECORDS: Final = 10_000
"""Records of one transaction at most: other writers wait for it."""

MAX_PENDING: Final = 20_000
"""Records that may wait to be written; more senders are held up."""

BUFFER_MESSAGES: Final = 20_000
"""Faust's own bound for `send_soon` is 100, and past it every stream stalls for a warning."""

Sent = tuple[NewRecord, asyncio.Future[RecordMetadata]]


class _Buffer(ProducerBuffer):
    """Faust's buffer of `send_soon`, which tells when nothing is between its queue and the producer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._underway = 0
        self._none_underway = asyncio.Event()

    async def _send_pending(self, fut: Any) -> None:
        self._underway += 1
        try:
            await super()._send_pending(fut)
        finally:
            self._underway -= 1
            if not self._underway:
                self._none_underway.set()

    async def until_handed_over(self) -> None:
        """Wait until the producer has all that was taken out of the queue, also by Faust's own task."""
        while self._underway:
            self._none_underway.clear()
            await self._none_underway.wait()


class Producer(base.Producer):
    """Appends what it is sent; a record is durable once its future is done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._embedded = cast(Shared, self.transport)
        self._log = LogThread(self._embedded.path)
        self._partition_for = self.partitioner or DefaultPartitioner()
        self._pending: list[Sent] = []
        self._sent = 0
        self._written = 0
        self._writing: asyncio.Future[list[int]] | None = None
        self._is_scheduled = False
        self._failure: BaseException | None = None
        self._is_open = False
        self.buffer = _Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app
        self.buffer.max_messages = BUFFER_MESSAGES

    async def on_start(self) -> None:
        """Open the log."""
        await super().on_start()
        await self._embedded.topics.learn(self._log)
        self._is_open = True

    async def on_stop(self) -> None:
        """Write what is left."""
        await super().on_stop()
        await self.flush()

    async def on_shutdown(self) -> None:
        """Close the log, after Faust's buffer has stopped too."""
        await super().on_shutdown()
        try:
            await self.flush()
        finally:
            self._is_open = False
            await self._log.close()

    async def send(  # noqa: PLR0917  # Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Queue a record; the future gives its offset once it is durable, or raises `ProducerSendError`.

        `timestamp` is in seconds since 1970, the wall clock's if None. Waits while too many are queued.
        """
        if not self._is_open:
            raise NotReady("Producer service not yet started")
        await self._embedded.topics.ensure(self._log, [topic])
        packed = list(headers.items()) if isinstance(headers, Mapping) else headers
        self.app.on_produce_message.send(
            key=key, value=value, partition=partition, timestamp=timestamp, headers=packed
        )
        record = NewRecord(
            topic,
            self._checked_partition(topic, key, partition),
            key,
            value,
            int((time.time() if timestamp is None else timestamp) * 1000),
            tuple((name, bytes(content or b"")) for name, content in packed or ()),
        )
        written: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self._pending.append((record, written))
        self._sent += 1
        self._schedule()
        while len(self._pending) > MAX_PENDING:
            await self._write_and_wait()
        return written

    async def send_and_wait(  # noqa: PLR0917  # Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Send a record and wait until it is durable."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    async def flush(self) -> None:
        """Wait until everything sent so far is durable.

        Raises `ProducerSendError` if anything sent since the last flush was not: a commit that follows must
        not happen.
        """
        buffer = cast(_Buffer, self.buffer)
        for _ in range(buffer.pending.qsize()):
            # Faust's own flush gives up after 0.1 s without a send, so its queue is emptied here.
            if not buffer.pending.empty():
                await buffer._send_pending(buffer.pending.get_nowait())
        await buffer.until_handed_over()
        sent = self._sent
        while self._written < sent:
            await self._write_and_wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise ProducerSendError(str(failure)) from failure

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 20.0,  # noqa: ASYNC109  # Faust's signature
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Declare a topic; replication, retention and the rest of Kafka's settings do not apply here."""
        await self._embedded.topics.declare(self._log, topic, partitions, compacting=bool(compacting))

    def key_partition(self, topic: str, key: bytes) -> TP:
        """The partition that Kafka's own partitioner picks for `key`. Raises `UnknownPartition`."""
        return TP(topic, self._checked_partition(topic, key, None))

    def supports_headers(self) -> bool:
        """Headers are kept."""
        return True

    def _checked_partition(self, topic: str, key: bytes | None, partition: int | None) -> int:
        count = self._embedded.topics.partitions(topic)
        if partition is None and count:
            every = range(count)
            return self._partition_for(key, every, every)
        if partition is None or not 0 <= partition < count:
            raise UnknownPartition(topic, partition or 0, count)
        return partition

    def _schedule(self) -> None:
        """Write soon: when `producer_linger` has passed, or when the transaction under way is done."""
        if self._writing is None and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_later(self.linger_ms / 1000, self._write_group)

    def _write_group(self) -> None:
        """Give the log's thread one transaction."""
        self._is_scheduled = False
        if self._writing is not None or not self._pending:
            return
        group, self._pending = self._pending[:GROUP_RECORDS], self._pending[GROUP_RECORDS:]
        self._writing = self._log.submit(partial(_append, group))
        self._writing.add_done_callback(partial(self._tell, group))

    def _tell(self, group: list[Sent], appended: asyncio.Future[list[int]]) -> None:
        """Tell the senders of `group`, and go on with those who came meanwhile."""
        self._writing = None
        self._written += len(group)
        error = appended.exception()
        self._failure = error or self._failure
        for number, (record, written) in enumerate(group):
            if written.done():
                continue
            if error is not None:
                written.set_exception(ProducerSendError(str(error)))
            else:
                written.set_result(_metadata(record, appended.result()[number]))
        self._embedded.wake_consumer()
        self._write_group()

    async def _write_and_wait(self) -> None:
        self._write_group()
        if self._writing is not None:
            await asyncio.wait([self._writing])


def _append(group: list[Sent], log: EmbeddedLog) -> list[int]:
    return log.append(record for record, _ in group)


def _metadata(record: NewRecord, offset: int) -> RecordMetadata:
    partition = TP(record.topic, record.partition)
    return RecordMetadata(record.topic, record.partition, partition, offset, record.timestamp_ms, 0)
