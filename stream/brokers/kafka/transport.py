"""Faust's transport over Apache Kafka: its own aiokafka driver, with our drain loop and batches.

Owns: what differs from the driver: of transactions only what was committed is read, records reach the agents a
fetch at a time together with the position behind them, and reading begins where the tables say. Found under the
entry point `faust.transports: kafka`, before Faust's own. Must not know: topics by name, what records mean, who
writes tables (stream.brokers.kafka.broker).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final, cast

import structlog
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.transports import ConsumerT
from mode.threads import WorkerThread

from stream.brokers.drain import Batch, Delivery, DrainingConsumer
from stream.brokers.faust_internals import positions, read_committed, request_rejoin
from stream.brokers.kafka.broker import record_of

log = structlog.get_logger(__name__)

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

    async def on_start(self) -> None:
        """Faust calls this when the thread starts."""
        self._told: dict[Any, int] = {}
        await super().on_start()

    async def on_thread_stop(self) -> None:
        """Faust calls this when the thread ends.

        While a broker is away, a fetch that aiokafka cancels to stop hands its cancellation on to us.
        """
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    async def _fetch_records(  # type: ignore[override]  # the rest goes to the driver as it came
        self, consumer: Any, active_partitions: set[TP], **options: Any
    ) -> Any:
        self._fetching = asyncio.ensure_future(super()._fetch_records(consumer, active_partitions, **options))
        try:
            await asyncio.wait({self._fetching})
        finally:
            self._fetching.cancel()
        if self._fetching.cancelled():
            return {}
        return self._with_positions(consumer, self._fetching.result(), active_partitions)

    def _with_positions(self, consumer: Any, fetched: Mapping[Any, list[Any]], active: set[TP]) -> Any:
        """What was fetched, and how far each partition was read: markers and aborted records take offsets too."""
        position_of, batches = positions(consumer), {}
        for tp in map(_plain, active):
            records, position = list(fetched.get(tp, ())), position_of(tp)
            if position is None or (not records and position == self._told.get(tp)):
                continue
            self._told[tp] = position
            batches[TP(*tp)] = Batch(records, position)
        return batches

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self._told.update({_plain(tp): offset for tp, offset in partitions.items()})
        await super()._seek_wait(consumer, partitions)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit for people's tools; nothing of ours depends on it, so what goes wrong ends nothing."""
        consumer = self._ensure_consumer()
        try:
            await consumer.commit(
                {_plain(tp): offset for tp, offset in offsets.items() if tp in self.assignment()}
            )
        except KafkaError as error:
            log.info("offsets are not committed now", cause=repr(error))
            return False
        return True

    def rejoin(self) -> None:
        """Take our place in the group again. To be called from another thread."""
        consumer = self._ensure_consumer()
        self.thread_loop.call_soon_threadsafe(request_rejoin, consumer)

    def pause_changelogs(self, topics: set[str]) -> None:
        """Fetch nothing of these. To be called from another thread."""
        consumer = self._ensure_consumer()
        mine = [tp for tp in consumer.assignment() if tp.topic in topics]
        if mine:
            self.thread_loop.call_soon_threadsafe(consumer.pause, *mine)

    def stop_fetching(self) -> None:
        """End a fetch that waits. To be called from another thread."""
        self.thread_loop.call_soon_threadsafe(self._cancel_fetch)

    def _cancel_fetch(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        read_committed(consumer, _FETCH_WAIT_MS)
        return consumer


class Consumer(DrainingConsumer, driver.Consumer):
    """The driver's consumer, drained by us."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's
        self._is_idle.clear()
        try:
            # A copy, because Faust changes the set, and takes an empty one for all partitions.
            return await super()._getmany(set(active_partitions or ()), timeout)
        finally:
            self._is_idle.set()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop fetching, and let Faust commit what it can.

        No fetch may outlast this: it would wait for the next assignment and take records of that.
        """
        self.stop_flow()
        await super().on_partitions_revoked(revoked)
        cast(_ConsumerThread, self._thread).stop_fetching()
        await self._is_idle.wait()

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        message = super()._to_message(tp, record)
        if isinstance(record, Batch):
            message.value = cast(Any, [record_of(each) for each in record.records])
        return message

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Faust calls this with what is ours from now on; changelogs are read by a consumer of their own."""
        cast(_ConsumerThread, self._thread).pause_changelogs(self.app.tables.changelog_topics)
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the tables say."""
        checkpoint = self._delivery.checkpoint
        if checkpoint is None:
            return await super().seek_to_committed()
        positions = self._checkpoints(checkpoint)
        await self.seek_wait(positions)
        return positions

    def rejoin(self) -> None:
        """Take our place in the group again: what is assigned then is taken over again."""
        cast(_ConsumerThread, self._thread).rejoin()


class Transport(driver.Transport):
    """What Faust finds for `kafka://`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer

    def __init__(self, *args: Any, delivery: Delivery = Delivery(), **kwargs: Any) -> None:  # noqa: B008  # frozen
        super().__init__(*args, **kwargs)
        self.delivery = delivery


def _plain(tp: Any) -> Any:
    return TopicPartition(tp.topic, tp.partition)
