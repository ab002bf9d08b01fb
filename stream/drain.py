"""How fetched records reach the streams: whole batches for some topics, one message each for the rest.

Owns: the consumer's drain loop, the position up to which it may commit, and the schema that hands bytes
through. Works on every transport: put `DrainingConsumer` in front of a driver's consumer class. Must not
know: where records come from or what they mean.

Faust's own loop makes four asyncio tasks a message; here a whole fetch shares them. A batch is one message
whose value is the list of records of one partition and fetch, and whose offset is the last record's.

Commits: Faust notes the holes between offsets and counts them as acknowledged as soon as a later offset is.
With batches that would commit past one that is still unacknowledged, and lose it in a crash. So the offsets
handed out are kept in order here, and the commit goes up to the first that is not acknowledged, whatever was
compacted or trimmed in between. Acknowledging and committing stay Faust's.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, Literal, cast

from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.transport.consumer import Consumer
from faust.types import TP, AppT, ConsumerMessage, EventT, Message
from mode import ServiceT
from mode.utils.queues import FlowControlEvent

from stream.embedded.log import Record

RecordMap = Mapping[TP, list[Any]]
Drain = Literal["batches", "messages"]
"""Our loop, or Faust's own with its commit arithmetic."""

YIELD_EVERY = 100
"""Messages after which other coroutines get a turn."""


class Batch:
    """The records of one partition and fetch, at least one, on their way to become one message."""

    __slots__ = ("records",)

    def __init__(self, records: list[Any]) -> None:
        self.records = records


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
    """A consumer that hands over batches for the topics in `transport.batched_topics` (by default none)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._handed_out: defaultdict[TP, deque[int]] = defaultdict(deque)
        self._changed = asyncio.Event()
        super().__init__(*args, **kwargs)
        self._drain: Drain = getattr(self.transport, "drain", "batches")

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Fetch and deliver until this consumer or its `fetcher` stops."""
        if self._drain == "messages":
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
        changelogs = self.app.tables.changelog_topics
        changelog_queue = cast(TableManager, self.app.tables).changelog_queue
        generation_id = self.app.consumer_generation_id
        for number, (tp, message) in enumerate(fetched):
            if not self.flow_active or self.app.consumer_generation_id != generation_id:
                return
            read_offset = self._read_offset[tp]
            if read_offset is not None and message.offset < read_offset:
                continue
            if acks_enabled_for(tp.topic):
                self._handed_out[tp].append(message.offset)
                await self._commit_if_due()
            # Recovery is at work on a full queue; the conductor would make two tasks a message to wait for room.
            while tp.topic in changelogs and changelog_queue.full():  # noqa: ASYNC110  # no event tells of room
                await asyncio.sleep(0)
            await self.callback(message)
            self._read_offset[tp] = message.offset
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _commit_if_due(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    def _new_offset(self, tp: TP) -> int | None:
        """Offset after the last message of the acknowledged ones in front; None if the first is not."""
        if self._drain == "messages":
            return super()._new_offset(tp)
        handed_out, acked_index = self._handed_out[tp], self._acked_index[tp]
        last: int | None = None
        while handed_out and handed_out[0] in acked_index:
            last = handed_out.popleft()
        if last is None:
            return None
        self._acked[tp][:] = [offset for offset in self._acked[tp] if offset > last]
        acked_index.intersection_update(self._acked[tp])
        return last + 1

    def ack(self, message: Message) -> bool:
        """Note that a message was dealt with. Streams also say so of one that a rebalance made them skip."""
        return message.tracked and super().ack(message)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets; what was handed out after them will be so again."""
        await super().perform_seek()
        self._handed_out.clear()
        self._acked.clear()
        self._acked_index.clear()

    async def seek(self, partition: TP, offset: int) -> None:
        """Go to `offset` of one partition, and hand out from there."""
        await super().seek(partition, offset)
        self._handed_out.pop(partition, None)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was handed out, once Faust has committed what it could."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._handed_out.pop(tp, None)

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
        batched_topics: frozenset[str] = getattr(self.transport, "batched_topics", frozenset())
        return {
            tp: [Batch(records)] if tp.topic in batched_topics else records
            for tp, records in fetched.items()
            if records
        }

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Batch):
            return self._single_message(tp, record)
        message = self._single_message(tp, record.records[-1])
        message.key, message.value, message.headers = None, cast(Any, record.records), None
        return message

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
