"""Faust's transport over Apache Kafka: its own aiokafka driver, with our drain loop and batches.

Owns: what differs from the driver: records reach the agents a fetch at a time, and a flush of the table is
sent as whole record batches. Found under the entry point `faust.transports: kafka`, before Faust's own.
Must not know: topics by name, or what records mean.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, cast

from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.transports import ConsumerT, ProducerT
from mode.threads import WorkerThread

from stream.drain import Drain, DrainingConsumer
from stream.embedded.log import Record
from stream.record_batches import Row, append_many

_FETCH_WAIT_MS: Final = 100
"""How long the broker waits for records before it answers that there are none."""


class _Thread(WorkerThread):
    """Faust's thread for aiokafka; one that waits for ever does not keep the process alive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """The driver's, whose fetches come back sooner where there is nothing to fetch.

    A broker answers the requests of a connection one after another, so what a rebalance has to ask waits for the
    fetch before it: up to 1.5 s, several times over.
    """

    Worker = _Thread

    _fetching: "asyncio.Future[Any] | None" = None

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        self._fetching = asyncio.ensure_future(super()._fetch_records(*args, **kwargs))
        try:
            await asyncio.wait({self._fetching})
        finally:
            self._fetching.cancel()
        return {} if self._fetching.cancelled() else self._fetching.result()

    def stop_fetching(self) -> None:
        """End a fetch that waits. To be called from another thread."""
        self.thread_loop.call_soon_threadsafe(self._cancel_fetch)

    def _cancel_fetch(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS  # the driver has it as a literal
        return consumer


class Consumer(DrainingConsumer, driver.Consumer):
    """The driver's consumer, drained by us."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        message = super()._to_message(tp, record)
        if isinstance(message.value, list):
            message.value = cast(Any, [_record(each) for each in message.value])
        return message

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's
        self._is_idle.clear()
        try:
            # A copy, because Faust changes the set, and takes an empty one for all partitions.
            return await super()._getmany(set(active_partitions or ()), timeout)
        finally:
            self._is_idle.set()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop fetching, and let Faust commit what it can.

        No fetch may outlast this: it would wait for the next assignment and take records of that. They are dropped
        because the flow is stopped, and where recovery has chosen its place in a changelog by then, the table would
        have a hole.
        """
        self.stop_flow()
        await super().on_partitions_revoked(revoked)
        cast(_ConsumerThread, self._thread).stop_fetching()
        await self._is_idle.wait()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to what is committed, and where nothing is, to the beginning.

        The driver leaves a partition without a commit where it is. But a rebalance or a recovery may have dropped
        a fetch of it, which nobody would ever see again.
        """
        committed = await super().seek_to_committed()
        changelogs = self.app.tables.changelog_topics
        rest = [tp for tp, offset in committed.items() if not (offset and offset > 0)]
        streams = [tp for tp in rest if tp.topic not in changelogs]
        if streams:
            await self.seek_wait(await self.earliest_offsets(*streams))
        return committed

    async def still_owns(self, partition: TP) -> bool:
        """Ask the group's coordinator, with a commit of what is committed already."""
        if partition not in self.assignment():
            return False
        committed = {
            tp: offset for tp, offset in self._committed_offset.items() if offset and tp in self.assignment()
        }
        return await self._commit(committed) if committed else True

    async def keys_between(self, partition: TP, first: int, last: int) -> set[bytes]:
        """The keys of the records from offset `first` to `last`, read apart from what the group reads."""
        reader = cast(Any, self._thread)._create_client_consumer(self.transport)
        at, keys = TopicPartition(*partition), set[bytes]()
        await reader.start()
        try:
            reader.assign([at])
            reader.seek(at, first)
            while await reader.position(at) <= last:
                for record in (await reader.getmany(at, timeout_ms=500)).get(at, ()):
                    keys.add(record.key or b"")
        finally:
            await reader.stop()
        return keys


class Producer(driver.Producer):
    """The driver's producer, which can also append many records at once."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"enable_idempotence": True}

    async def append_many(self, records: Iterable[Row]) -> dict[TP, int]:
        """Append (topic, partition, key, value) in order; the last offset of each partition, once all are there.

        Not atomic: after an error, a prefix may have been appended. Raises ProducerSendError.
        """
        try:
            offsets = await append_many(self._ensure_producer(), records)
        except KafkaError as error:
            raise ProducerSendError(f"cannot append: {error!r}") from error
        return {TP(*partition): offset for partition, offset in offsets.items()}


class Transport(driver.Transport):
    """What Faust finds for `kafka://`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer

    #: Topics whose records reach the stream a batch at a time. Set it before the app starts.
    batched_topics: frozenset[str] = frozenset()

    #: Which loop hands them over, ours or Faust's own. Set it before the app starts.
    drain: Drain = "batches"

    #: A worker that was away for too long may have missed deletions in a changelog.
    drops_tombstones: ClassVar[bool] = True

    #: Kafka's own retention applies; see the topics' settings.
    retention_ms: int = 0


def _record(record: Any) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        -1 if record.timestamp is None else record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
