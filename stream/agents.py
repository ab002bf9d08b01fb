"""The agents: what each source topic's records mean for the stores' ledgers.

Owns: reading records, turning bad ones away to the dead letters, sending strays to their partition. Must not
know: how news becomes rows (stream.ledgers), which broker this is.

A store belongs to the partition that murmur2 gives its key. A record that an outside producer put elsewhere
(librdkafka hashes with CRC32) is sent on, with its own timestamp, and counted.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import faust
import structlog
from faust.streams import Stream
from faust.types import EventT
from prometheus_client import Counter

from schemas.events import cut_to_size, dead_letter_headers, decode_hours, decode_polls, decode_zone
from schemas.many_polls import NO_REJECTS, RejectedPolls, Rejects
from schemas.state import Int64s
from schemas.topics import DEAD_LETTERS, HOURS, MOST_RECORD_BYTES, POLLS, ZONES
from schemas.values import Rejected, RejectReason, StoreId, Week
from stream.drain import RawSchema, records_of
from stream.embedded.log import Record
from stream.ledgers import Ledgers
from stream.partitions import partition_of

log = structlog.get_logger(__name__)
T = TypeVar("T")
Codes = Int64s | list[int]
Headers = list[tuple[str, bytes]]

RECORDS_REJECTED: Final = Counter("storepulse_records_rejected", "Records turned away", ["topic", "reason"])
RECORDS_FORWARDED: Final = Counter(
    "storepulse_records_forwarded", "Records sent on to their store's partition", ["topic"]
)

_MOST_PAYLOAD_BYTES: Final = MOST_RECORD_BYTES - 1024
"""Keys, values and headers of one record; the rest is for what Kafka puts around them."""
_HEADER_BYTES: Final = 10
"""What Kafka puts around a header, at most."""
_LARGE_BYTES: Final = 1 << 20
"""A record from this size on is sent alone: a dozen of the largest in one request are more than a broker takes."""


@dataclass(frozen=True, slots=True)
class Intake(Generic[T]):
    """How one source topic is taken in: reading a record (or raising Rejected), and adding what it says."""

    topic: str
    read: Callable[[Record], tuple[StoreId, T, Rejects]]
    add: Callable[[Ledgers, int, StoreId, T], None]


def _read_polls(record: Record) -> tuple[StoreId, Codes | None, Rejects]:
    polls = decode_polls(record.key, record.value, record.timestamp_ms)
    return polls.store_id, polls.codes, polls.rejects


def _add_polls(ledgers: Ledgers, partition: int, store_id: StoreId, codes: Codes | None) -> None:
    if codes is None:
        ledgers.forget_polls(partition, store_id)
    elif len(codes):
        ledgers.add_polls(partition, store_id, codes)


def _read_week(record: Record) -> tuple[StoreId, Week | None, Rejects]:
    return *decode_hours(record.key, record.value), NO_REJECTS


def _add_week(ledgers: Ledgers, partition: int, store_id: StoreId, week: Week | None) -> None:
    ledgers.news_of(partition, store_id).week = week


def _read_zone(record: Record) -> tuple[StoreId, str | None, Rejects]:
    return *decode_zone(record.key, record.value), NO_REJECTS


def _add_zone(ledgers: Ledgers, partition: int, store_id: StoreId, zone: str | None) -> None:
    ledgers.news_of(partition, store_id).zone = zone


INTAKES: Final = (
    Intake(POLLS, _read_polls, _add_polls),
    Intake(HOURS, _read_week, _add_week),
    Intake(ZONES, _read_zone, _add_zone),
)


def add_agents(app: faust.App, ledgers: Ledgers, partitions: int) -> None:
    """Declare an agent for each source topic; `partitions` is the count they all have."""
    for intake in INTAKES:
        topic = app.topic(intake.topic, schema=RawSchema(), partitions=partitions, allow_empty=True)
        reader = _TopicReader(app, ledgers, partitions, cast(Intake[Any], intake))
        app.agent(topic, name=intake.topic)(cast(Any, reader.read_events))


class _TopicReader(Generic[T]):
    """Takes in the events of one topic; each carries one record or a batch of one partition's."""

    def __init__(self, app: faust.App, ledgers: Ledgers, partitions: int, intake: Intake[T]) -> None:
        self._app = app
        self._ledgers = ledgers
        self._partitions = partitions
        self._read = intake.read
        self._add = intake.add
        self._topic = intake.topic

    async def read_events(self, stream: Stream[object]) -> None:
        """The agent. Events are acknowledged by the ledgers, when what they say is written."""
        async for event in stream.noack().events():
            try:
                await self._take_event(event)
            except Exception as error:
                # Faust would start the agent again behind this event, and lose the rest of it.
                await self._app.crash(error)
                raise

    async def _take_event(self, event: EventT[Any]) -> None:
        message = event.message
        sent = [await problem for problem in self._take(message.partition, records_of(message))]
        next_offset = message.offset + 1
        await self._ledgers.taken(
            message.partition,
            message.topic,
            next_offset,
            sent,
            event.ack,
            more_waits=next_offset < (self._app.consumer.highwater(message.tp) or 0),
        )

    def _take(self, partition: int, records: list[Record]) -> Iterator[Awaitable[Awaitable[object]]]:
        """Add what the records say. Those that must be sent elsewhere come out, as sends to be awaited."""
        for record in records:
            try:
                store_id, said, rejects = self._read(record)
            except Rejected as reject:
                yield self._send_dead_letter(partition, record, reject.reason)
                continue
            except Exception as error:
                # A record that we cannot judge must not stop all others; this is a bug of ours all the same.
                log.exception(
                    "a record cannot be read", topic=self._topic, offset=record.offset, error=repr(error)
                )
                yield self._send_dead_letter(partition, record, RejectReason.UNREADABLE)
                continue
            if partition_of(store_id, self._partitions) != partition:
                yield self._forward(partition, store_id, record)
                continue
            self._add(self._ledgers, partition, store_id, said)
            for reason, polls in rejects.items():
                yield self._send_dead_letter(partition, record, reason, polls)

    async def _forward(self, partition: int, store_id: StoreId, record: Record) -> Awaitable[object]:
        key, headers = store_id.encode(), list(record.headers)
        if _size_of(key, record.value, headers) > _MOST_PAYLOAD_BYTES:
            return await self._send_dead_letter(partition, record, RejectReason.TOO_LARGE)
        RECORDS_FORWARDED.labels(self._topic).inc()
        has_time = record.timestamp_ms >= 0
        return await self._send(
            self._topic,
            key,
            record.value,
            headers,
            partition=partition_of(store_id, self._partitions),
            # Faust cuts it to milliseconds again
            timestamp_s=(record.timestamp_ms + 0.5) / 1000 if has_time else None,
        )

    async def _send_dead_letter(
        self, partition: int, record: Record, reason: RejectReason, polls: RejectedPolls | None = None
    ) -> Awaitable[object]:
        RECORDS_REJECTED.labels(self._topic, reason.value).inc()
        headers = dead_letter_headers(reason, self._topic, partition, record.offset, polls)
        value = (
            b"" if record.key is None and record.value is None else record.value
        )  # Kafka wants one of them
        room = _MOST_PAYLOAD_BYTES - _size_of(None, None, headers)
        key, value, truncated = cut_to_size(record.key, value, room)
        return await self._send(DEAD_LETTERS, key, value, headers + truncated)

    async def _send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        *,
        partition: int | None = None,
        timestamp_s: float | None = None,
    ) -> Awaitable[object]:
        sent = await self._app.producer.send(topic, key, value, partition, timestamp_s, headers)
        if _size_of(key, value, headers) >= _LARGE_BYTES:
            await sent
        return sent


def _size_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes of key, value and headers in a Kafka record."""
    around = sum(len(name.encode()) + len(content or b"") + _HEADER_BYTES for name, content in headers)
    return len(key or b"") + len(value or b"") + around
