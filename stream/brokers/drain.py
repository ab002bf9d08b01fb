"""How fetched records reach the streams: whole batches for some topics, one message each for the rest.

Owns: the consumer's drain loop, where it reads on after a rebalance, and the schema that hands bytes through. Works
on every transport: put `DrainingConsumer` in front of a driver's consumer class. Must not know: where records come
from or what they mean.

Faust's own loop makes four asyncio tasks a message; here a whole fetch shares them. A batch is one message whose
value is the list of records of one partition and fetch, maybe none, and whose offset is that before which nothing
is left to be read: markers of transactions and aborted records stand between the last record and there.

The table is the checkpoint: reading begins where it says, and what the group commits is for people's tools.
Batches, and our loop, want one: Faust's own commits count a message as one offset, and only its own loop tells them
of offsets without a record. An app without a checkpoint asks for the drain "messages".
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from faust.serializers.schemas import Schema
from faust.transport.consumer import Consumer
from faust.types import TP, AppT, ConsumerMessage, EventT, Message
from mode import ServiceT
from mode.utils.queues import FlowControlEvent

from stream.brokers.records import Record

RecordMap = Mapping[TP, list[Any]]
Drain = Literal["batches", "messages"]
"""Our loop, or Faust's own."""

YIELD_EVERY = 100
"""Messages after which other coroutines get a turn."""


class Checkpoint(Protocol):
    """Knows how far each partition that is ours was applied."""

    def written_to(self, partition: int, topic: str) -> int:
        """The offset of a topic to read on from."""

    def owns(self, partition: int) -> bool:
        """Whether the partition is ours."""

    async def release(self) -> None:
        """The partitions are ours no more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How records reach the agents of an app.

    `drain`: which loop hands them over. `batched_topics`: whose records reach the stream a batch at a time.
    `checkpoint`: where reading begins; none where an app of somebody else's runs on our transport. `retention_ms`:
    how long applied records stay in an embedded log, in milliseconds; Kafka has its own.
    """

    drain: Drain = "batches"
    batched_topics: frozenset[str] = frozenset()
    checkpoint: Checkpoint | None = None
    retention_ms: int = 7 * 24 * 3_600_000


class Delivering(Protocol):
    """A transport of ours, as its consumer sees it."""

    @property
    def delivery(self) -> Delivery:
        """How records reach the agents."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one partition and fetch, to become one message, and the offset to read on from."""

    records: list[Any]
    next_offset: int


class KeepingFlow(FlowControlEvent):
    """Flow control that, resumed while it is active, leaves the queues as they are.

    Faust resumes twice after a rebalance: when recovery begins, and when the streams may go on. The second time it
    emptied the queues once more, of records that had been fetched since the seek and would never come again.
    """

    def resume(self) -> None:
        """Let messages through; drop those from before the flow was suspended."""
        if not self.is_active():
            super().resume()


class DrainingConsumer(Consumer):
    """A consumer that hands records over as its transport's `delivery` says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._changed = asyncio.Event()
        super().__init__(*args, **kwargs)
        self._delivery = cast(Delivering, self.transport).delivery

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Fetch and deliver until this consumer or its `fetcher` stops."""
        if self._delivery.drain == "messages":
            await super()._drain_messages(fetcher)
            return
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self.sleep(0)
                fetched = [item async for item in self.getmany(timeout=1.0)]
                if fetched:
                    await self.wait_first(self._deliver(fetched), self.suspend_flow.wait())
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _deliver(self, fetched: list[tuple[TP, Message]]) -> None:
        """Hand the messages to the conductor, until a rebalance makes them stale."""
        acks_enabled_for = self.app.topics.acks_enabled_for
        generation_id = self.app.consumer_generation_id
        for number, (tp, message) in enumerate(fetched):
            if not self.flow_active or self.app.consumer_generation_id != generation_id:
                return
            read_offset = self._read_offset[tp]
            if read_offset is not None and message.offset < read_offset:
                continue
            if acks_enabled_for(tp.topic):
                await self._commit_if_due()
            await self.callback(message)
            self._read_offset[tp] = message.offset
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _commit_if_due(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit for people's tools: how far the table is."""
        checkpoint = self._delivery.checkpoint
        if checkpoint is None:
            return super()._new_offset(tp)
        written = checkpoint.written_to(tp.partition, tp.topic)
        self._acked[tp][:] = [offset for offset in self._acked[tp] if offset >= written]
        self._acked_index[tp].intersection_update(self._acked[tp])
        return written or None

    def ack(self, message: Message) -> bool:
        """Note that a message was dealt with. Streams also say so of one that a rebalance made them skip."""
        return message.tracked and super().ack(message)

    async def perform_seek(self) -> None:
        """Go to where the table says; what was handed out after that will be so again."""
        await super().perform_seek()
        self._acked.clear()
        self._acked_index.clear()

    def _checkpoints(self, checkpoint: Checkpoint) -> dict[TP, int]:
        """Where to read on in each partition that is ours."""
        return {
            TP(*tp): checkpoint.written_to(tp.partition, tp.topic)
            for tp in self.assignment()
            if not self._is_changelog_tp(tp) and checkpoint.owns(tp.partition)
        }

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let Faust wait until all is written that can be, and give the partitions up."""
        await super().on_partitions_revoked(revoked)
        if self._delivery.checkpoint is not None:
            await self._delivery.checkpoint.release()

    def on_buffer_drop(self, tp: TP) -> None:
        """A stream has room again."""
        super().on_buffer_drop(tp)
        self._changed.set()

    def resume_partitions(self, tps: Any) -> None:
        """Fetch from `tps` again."""
        super().resume_partitions(tps)
        self._changed.set()

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109  # Faust's signature
    ) -> tuple[RecordMap | None, set[TP] | None]:
        """Fetch as Faust does, but do not sleep a second when every stream's buffer is full just now."""
        if self.flow_active and not self.app.client_only and not self._get_active_partitions():
            self._changed.clear()
            await self.wait_first(self._changed.wait(), timeout=timeout)
            return None, None
        records, active = await super()._wait_next_records(timeout)
        return self._batched(records or {}), active

    def _batched(self, fetched: RecordMap) -> RecordMap:
        """What the driver fetched, a `Batch` of each partition, as the messages that become of it."""
        messages: dict[TP, list[Any]] = {}
        for tp, batch in cast(Mapping[TP, Batch], fetched).items():
            if tp.topic in self._delivery.batched_topics or not batch.records:
                messages[tp] = [batch]
            else:
                is_behind_markers = batch.next_offset > batch.records[-1].offset + 1
                messages[tp] = batch.records + [Batch([], batch.next_offset)] * is_behind_markers
        return messages

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Batch):
            return self._single_message(tp, record)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.next_offset - 1,
            None,  # type: ignore[arg-type]  # each record has its own
            0,
            None,
            None,
            cast(Any, record.records),
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _single_message(self, tp: TP, record: Any) -> ConsumerMessage:
        """The message of one record, as the driver's own consumer makes it."""
        return super()._to_message(tp, record)  # type: ignore[safe-super]  # a driver's class comes next


def records_of(message: Message) -> list[Record]:
    """The records that reach an agent as one message: a batch, or one alone."""
    if isinstance(message.value, list):
        return message.value
    headers = message.headers.items() if isinstance(message.headers, Mapping) else message.headers
    return [
        Record(
            message.topic,
            message.partition,
            message.offset,
            -1 if message.timestamp is None else round(message.timestamp * 1000),
            message.key,
            message.value,
            tuple(headers or ()),
        )
    ]


class RawSchema(Schema[Any, Any]):
    """Keys and values reach the stream as they came: bytes, None, or for a batch the list of records."""

    def __init__(self) -> None:
        super().__init__(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
        )

    def compile(self, app: AppT, **_: Any) -> Any:
        """The function that makes an event of a message; it never fails, so it needs no error handlers."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:
            return create_event(message.key, message.value, message.headers, message)

        return decode
