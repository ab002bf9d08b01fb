"""The agents: what each source topic's records say of the stores.

Owns: reading records, turning bad ones away to the dead letters, sending strays to their partition. Must not
know: how updates become rows (stream.worker.write_behind), which broker this is.

A store belongs to the partition that murmur2 gives its key. A record that an outside producer put elsewhere
(librdkafka hashes with CRC32) is sent on, with its own timestamp and the stamp of where it was first written, and
counted. What is sent on, and dead letters, go out in the flush that notes how far the topic was taken in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import faust
import msgspec
import structlog
from faust.streams import Stream
from faust.types import EventT
from msgspec.structs import replace
from prometheus_client import Counter

from schemas.arrays import Int64s
from schemas.events.dead_letters import cut_to_size, dead_letter_headers
from schemas.events.hours import decode_hours
from schemas.events.many_polls import NO_REJECTS, RejectedPolls, Rejects
from schemas.events.polls import ACCEPT_LOSS_HEADER, decode_polls
from schemas.events.zones import decode_zone
from schemas.opening_hours import StoreHours
from schemas.stamps import LastSaid, Stamp, stamp_header, stamp_in
from schemas.topics import DEAD_LETTERS, HOURS, MAX_RECORD_BYTES, POLLS, ZONES
from schemas.values import MAX_STORE_ID_BYTES, Rejected, RejectReason, StoreId
from stream.brokers.drain import RawSchema, records_of
from stream.brokers.partitions import partition_of
from stream.brokers.ports import Broker, Outgoing
from stream.brokers.records import CUT_HEADER, Record
from stream.worker.losses import TopicSpan, resumption
from stream.worker.write_behind import WriteBehind

log = structlog.get_logger(__name__)
T = TypeVar("T")
PackedPolls = Int64s | list[int]

RECORDS_REJECTED: Final = Counter("storepulse_records_rejected", "Records turned away", ["topic", "reason"])
RECORDS_FORWARDED: Final = Counter(
    "storepulse_records_forwarded", "Records sent on to their store's partition", ["topic"]
)

_MAX_PAYLOAD_BYTES: Final = MAX_RECORD_BYTES - 1024
"""Keys, values and headers of one record; the rest is for what Kafka puts around them."""
_HEADER_BYTES: Final = 10
"""What Kafka puts around a header, at most."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a record was first written: its stamp, and whether this is a forwarded copy of it."""

    stamp: Stamp
    is_copy: bool


@dataclass(frozen=True, slots=True)
class Intake(Generic[T]):
    """How one source topic is taken in: reading a record (or raising Rejected), and adding what it says."""

    topic: str
    read: Callable[[Record, Origin], tuple[StoreId, T, Rejects]]
    add: Callable[[WriteBehind, int, StoreId, T, Origin], None]


def _read_polls(record: Record, origin: Origin) -> tuple[StoreId, PackedPolls | None, Rejects]:
    polls = decode_polls(record.key, record.value, origin.stamp.timestamp_ms)
    return polls.store_id, polls.packed, polls.rejects


def _add_polls(
    write_behind: WriteBehind, partition: int, store_id: StoreId, packed: PackedPolls | None, origin: Origin
) -> None:
    if packed is None:
        write_behind.forget_polls(partition, store_id, origin.stamp)
    elif len(packed) and not (
        origin.is_copy and write_behind.is_forgotten(partition, store_id, origin.stamp)
    ):
        write_behind.add_polls(partition, store_id, packed)


def _read_hours(record: Record, _: Origin) -> tuple[StoreId, StoreHours | None, Rejects]:
    return *decode_hours(record.key, record.value), NO_REJECTS


def _add_hours(
    write_behind: WriteBehind, partition: int, store_id: StoreId, hours: StoreHours | None, origin: Origin
) -> None:
    updates = write_behind.updates_of(partition, store_id)
    updates.hours = updates.hours or LastSaid()
    (updates.hours.say_stray if origin.is_copy else updates.hours.say_direct)(origin.stamp, hours)


def _read_zone(record: Record, _: Origin) -> tuple[StoreId, str | None, Rejects]:
    return *decode_zone(record.key, record.value), NO_REJECTS


def _add_zone(
    write_behind: WriteBehind, partition: int, store_id: StoreId, zone: str | None, origin: Origin
) -> None:
    updates = write_behind.updates_of(partition, store_id)
    updates.zone = updates.zone or LastSaid()
    (updates.zone.say_stray if origin.is_copy else updates.zone.say_direct)(origin.stamp, zone)


INTAKES: Final = (
    Intake(POLLS, _read_polls, _add_polls),
    Intake(HOURS, _read_hours, _add_hours),
    Intake(ZONES, _read_zone, _add_zone),
)


def add_agents(app: faust.App, write_behind: WriteBehind, broker: Broker, partitions: int) -> None:
    """Declare an agent for each source topic; `partitions` is the count they all have."""
    for intake in INTAKES:
        topic = app.topic(intake.topic, schema=RawSchema(), partitions=partitions, allow_empty=True)
        reader = _TopicReader(app, write_behind, broker, partitions, cast(Intake[Any], intake))
        app.agent(topic, name=intake.topic)(cast(Any, reader.read_events))


class _TopicReader(Generic[T]):
    """Takes in the events of one topic; each carries one record or a batch of one partition's."""

    def __init__(
        self, app: faust.App, write_behind: WriteBehind, broker: Broker, partitions: int, intake: Intake[T]
    ) -> None:
        self._app = app
        self._write_behind = write_behind
        self._broker = broker
        self._partitions = partitions
        self._read = intake.read
        self._add = intake.add
        self._topic = intake.topic

    async def read_events(self, stream: Stream[object]) -> None:
        """The agent. Events are acknowledged by the write-behind, when what they say is written."""
        async for event in stream.noack().events():
            try:
                await self._take_event(event)
            except Exception as error:
                # Faust would start the agent again behind this event, and lose the rest of it.
                await self._app.crash(error)
                raise

    async def _take_event(self, event: EventT[Any]) -> None:
        message = event.message
        partition, next_offset, records = message.partition, message.offset + 1, records_of(message)
        if not await self._follows(partition, records[0].offset if records else next_offset):
            event.ack()  # whoever takes the partition over begins where the table says
            return
        taken_to = self._write_behind.taken_to(partition, self._topic)
        if next_offset <= taken_to:
            event.ack()
            return
        for record in records:
            if record.offset >= taken_to:
                self._take(partition, record)
        await self._write_behind.taken(
            partition,
            message.topic,
            next_offset,
            event.ack,
            more_waits=next_offset < (self._app.consumer.highwater(message.tp) or 0),
        )

    async def _follows(self, partition: int, first_offset: int) -> bool:
        """Whether what comes next can be taken in: the partition is ours, and nothing before it was lost.

        Offsets are missing also where markers of transactions stood, aborted records, or what compaction removed;
        and some come again. So the broker is asked what it has.
        """
        expected = self._write_behind.taken_to(partition, self._topic)
        if first_offset != expected and self._write_behind.owns(partition):
            at = (self._topic, partition)
            spans, ids = await self._broker.spans([at]), await self._broker.topic_ids([self._topic])
            span = TopicSpan(*spans[at], None, ids.get(self._topic, ""))
            if self._write_behind.owns(partition):
                found = resumption(expected, self._write_behind.topic_id(partition, self._topic), span)
                if found.why:
                    self._write_behind.lose(partition, found.why)
        return self._write_behind.owns(partition)

    def _take(self, partition: int, record: Record) -> None:
        """Add what a record says, or have it sent elsewhere: where it belongs, or to the dead letters."""
        if record.headers and self._is_for_us(partition, record):
            return
        copied = stamp_in(record.headers) if record.headers else None
        origin = Origin(copied or Stamp(record.timestamp_ms, partition, record.offset), copied is not None)
        try:
            store_id, said, rejects = self._read(record, origin)
        except Rejected as reject:
            self._reject(partition, record, reject.reason)
            return
        except Exception as error:
            # A record that we cannot judge must not stop all others; this is a bug of ours all the same.
            log.exception(
                "a record cannot be read", topic=self._topic, offset=record.offset, error=repr(error)
            )
            self._reject(partition, record, RejectReason.UNREADABLE)
            return
        right = partition_of(store_id, self._partitions)
        if right != partition:
            self._forward(partition, right, replace(record, key=store_id.encode()), origin)
        elif said is not None or self._may_forget(partition, store_id):
            self._add(self._write_behind, partition, store_id, said, origin)
            for reason, polls in rejects.items():
                self._reject(partition, record, reason, polls)

    def _may_forget(self, partition: int, store_id: StoreId) -> bool:
        """Whether forgetting a store is worth a row of stamps.

        Ids longer than we take now can only be those that older versions took.
        """
        return len(store_id) <= MAX_STORE_ID_BYTES or self._write_behind.knows(partition, store_id)

    def _is_for_us(self, partition: int, record: Record) -> bool:
        """Whether the headers say all that there is to a record; if so, it was heeded."""
        if self._topic == POLLS and any(name == ACCEPT_LOSS_HEADER for name, _ in record.headers):
            self._write_behind.accept_losses(partition, record.timestamp_ms)
            return True
        if record.headers[0][0] == CUT_HEADER:
            self._reject(partition, record, RejectReason.TOO_LARGE)
            return True
        return False

    def _forward(self, partition: int, right: int, record: Record, origin: Origin) -> None:
        """Send a stray to its store's partition, with the stamp of its original."""
        if self._topic == POLLS and record.value is None:
            self._reject(partition, record, RejectReason.MISPLACED_TOMBSTONE, right=right)
            return
        headers = record.headers if origin.is_copy else (*record.headers, stamp_header(origin.stamp))
        if _size_of(record.key, record.value, headers) > _MAX_PAYLOAD_BYTES:
            self._reject(partition, record, RejectReason.TOO_LARGE)
            return
        RECORDS_FORWARDED.labels(self._topic).inc()
        timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
        outgoing = Outgoing(self._topic, right, record.key, record.value, tuple(headers), timestamp_ms)
        self._write_behind.send(partition, outgoing)

    def _reject(
        self,
        partition: int,
        record: Record,
        reason: RejectReason,
        polls: RejectedPolls | None = None,
        right: int | None = None,
    ) -> None:
        """Send a bad record to the dead letters, as it came."""
        RECORDS_REJECTED.labels(self._topic, reason.value).inc()
        headers = dead_letter_headers(reason, self._topic, partition, record.offset, polls, right)
        value = (
            b"" if record.key is None and record.value is None else record.value
        )  # Kafka wants one of them
        room = _MAX_PAYLOAD_BYTES - _size_of(None, None, headers)
        key, value, truncated = cut_to_size(record.key, value, room)
        truncated += [("dlq.truncated", sizes) for name, sizes in record.headers if name == CUT_HEADER]
        self._write_behind.send(partition, Outgoing(DEAD_LETTERS, None, key, value, (*headers, *truncated)))


def _size_of(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    """Bytes of key, value and headers in a Kafka record."""
    around = sum(len(name.encode()) + len(content or b"") + _HEADER_BYTES for name, content in headers)
    return len(key or b"") + len(value or b"") + around
