"""The topics as they stand, read back with read_committed.

Owns: reading whole topics, and turning what aiokafka gives into values. Must not know: what records mean.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from schemas.positions import Positions
from schemas.topics import DEAD_LETTERS
from stream.brokers.records import Record
from tests.chaos.meaning import STAMP_HEADER, TOPICS, Letter, Stamp, Written

_WAIT_MS: Final = 100
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Tape:
    """All records of the source topics that are committed now, in order, and the dead letters."""

    records: tuple[Written, ...]
    letters: tuple[Letter, ...]

    @property
    def ends(self) -> Positions:
        """Of each (topic, partition), the offset behind its last record."""
        return {(record.topic, record.partition): record.offset + 1 for record in self.records}

    def of_partition(self, partition: int) -> Sequence[Written]:
        """The records of one partition."""
        return [record for record in self.records if record.partition == partition]


def tape_of(bootstrap: str, partitions: int) -> Tape:
    """Read it all, up to where it ends now.

    An open transaction hides what stands behind it, as it does for everyone.
    """
    return tape_from(asyncio.run(_read(bootstrap, partitions)))


def tape_from(found: Sequence[Any]) -> Tape:
    """The tape of records as aiokafka or the embedded log gives them."""
    sources = sorted(
        (each for each in found if each.topic in TOPICS),
        key=lambda record: (TOPICS.index(record.topic), record.partition, record.offset),
    )
    letters = (each for each in found if each.topic == DEAD_LETTERS)
    return Tape(tuple(map(_written, sources)), tuple(map(_letter, letters)))


async def _read(bootstrap: str, partitions: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        assigned = [
            TopicPartition(topic, partition)
            for topic in (*TOPICS, DEAD_LETTERS)
            for partition in range(partitions)
        ]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        ends = await consumer.end_offsets(assigned)
        found: list[Any] = []
        async with asyncio.timeout(_SECONDS):
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=_WAIT_MS)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


def _written(record: Any) -> Written:
    stamp = dict(record.headers).get(STAMP_HEADER)
    return Written(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms if isinstance(record, Record) else record.timestamp,
        record.key,
        record.value,
        None if stamp is None else Stamp(*map(int, stamp.split())),
    )


def _letter(record: Any) -> Letter:
    headers = {name: value.decode() for name, value in record.headers}
    return Letter(
        headers["dlq.topic"], int(headers["dlq.partition"]), int(headers["dlq.offset"]), headers["dlq.reason"]
    )
