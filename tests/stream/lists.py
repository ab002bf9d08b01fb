"""A broker over lists, and the table without Faust: what the worker's parts are tested with in milliseconds.

Owns: ports of stream.brokers.ports that keep everything in memory, and open RocksDBs in
a folder. Must not know: what any test expects.

    log of a partition   r r P · r P ·         r  a row      P  the row of positions      ·  a marker: no record
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.rows.positions import POSITIONS_KEY
from schemas.table_scans import Table
from schemas.topics import CHANGELOG
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, Stretch, WriterLost
from stream.brokers.records import Record, TopicPartition
from stream.tables.store_table import StoreRows

Slot = tuple[bytes, bytes | None] | None
"""What takes an offset: key and value, or nothing that is ever read."""

MARKER: Slot = None


async def eventually(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait until `is_so`."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.001)


class ListChangelog:
    """See stream.brokers.ports.ChangelogReader; `logs` has what takes each offset of a partition."""

    def __init__(self, logs: dict[int, list[Slot]]) -> None:
        self.logs = logs
        self.per_read = 1_000
        """Offsets of one partition that a read gives at most."""
        self.stable: dict[int, int] = {}
        """Up to where a partition can be read, where a transaction is open."""
        self.fetched: dict[int, int] = {}
        """Up to where it is read, where the rest is slow to come."""
        self.asked: list[str] = []
        self.positions: dict[int, int] = {}
        self._reads = 0

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        self.asked.append("ends")
        return {partition: len(self.logs[partition]) for partition in partitions}

    async def readable_ends(self, partitions: Collection[int]) -> dict[int, int]:
        ends = await self.ends(partitions)
        return {partition: self.stable.get(partition, end) for partition, end in ends.items()}

    async def begin(self, positions: Mapping[int, int]) -> None:
        self.asked.append("begin")
        self.positions = dict(positions)

    async def read(self, timeout_s: float) -> list[Stretch]:
        await asyncio.sleep(0.001)
        self._reads += 1
        return [self._next(partition) for partition in self.positions]

    def _next(self, partition: int) -> Stretch:
        log, first = self.logs[partition], self.positions[partition]
        end = max(first, min(first + self.per_read, self.reads_end(partition)))
        self.positions[partition] = end
        slots = [(offset, slot) for offset, slot in enumerate(log[first:end], first) if slot is not None]
        records = [Record(CHANGELOG, partition, offset, 0, *slot) for offset, slot in slots]
        return Stretch(partition, records, end)

    def reads_end(self, partition: int = 0) -> int:
        """Up to where a partition is read now."""
        end = len(self.logs[partition])
        return min(end, self.stable.get(partition, end), self.fetched.get(partition, end))

    async def read_again(self, times: int) -> None:
        """Returns when it was read so many times more."""
        until = self._reads + times
        await eventually(lambda: self._reads >= until)

    async def close(self) -> None:
        self.asked.append("close")


@dataclass(frozen=True)
class Flush:
    """What a writer was given at once."""

    rows: list[tuple[bytes, bytes | None]]
    outgoing: list[Outgoing]
    positions: dict[str, int]


@dataclass
class ListWriter:
    """See stream.brokers.ports.PartitionWriter. Each flush ends with a marker, as on Kafka."""

    partition: int
    log: list[Slot] = field(default_factory=list)
    flushes: list[Flush] = field(default_factory=list)
    is_lost: bool = False
    is_closed: bool = False
    fails: Exception | None = None
    """Raised by the next write, which then has written nothing."""
    gate: asyncio.Event | None = None
    """While it is not set, a write that has taken in all of its rows waits before it is there."""
    writing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a write waits at the gate."""

    async def write(
        self, slices: AsyncIterator[Rows], outgoing: Sequence[Outgoing], positions: Mapping[str, int]
    ) -> int:
        if self.is_lost:
            raise WriterLost(self.partition, "it was lost before")
        rows = [row async for part in slices for row in part]
        if self.gate is not None:
            self.writing.set()
            await self.gate.wait()
            self.writing.clear()
        if self.fails is not None:
            self.is_lost = True
            raise self.fails
        self.log += [*rows, MARKER]
        self.flushes.append(Flush(rows, list(outgoing), dict(positions)))
        return len(self.log) - 1

    async def close(self) -> None:
        self.is_lost = self.is_closed = True


@dataclass
class ListBroker:
    """See stream.brokers.ports.Broker. Notes in `asked` what is asked of it, in order."""

    changelog: ListChangelog
    topics: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    commits: dict[TopicPartition, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    writers: dict[int, list[ListWriter]] = field(default_factory=dict)
    forgets_deletions: bool = True
    log_file: Path | None = None
    writer_fails: Exception | None = None
    """Raised by whatever is written."""

    @property
    def asked(self) -> list[str]:
        return self.changelog.asked

    async def own(self, partitions: Collection[int]) -> dict[int, PartitionWriter]:
        self.asked.append("own")
        for partition in partitions:
            for earlier in self.writers.setdefault(partition, []):
                earlier.is_lost = True
            writer = ListWriter(partition, self.changelog.logs[partition], fails=self.writer_fails)
            self.writers[partition].append(writer)
        return {partition: self.writers[partition][-1] for partition in partitions}

    async def spans(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        self.asked.append("spans")
        return {at: self.topics.get(at, (0, 0)) for at in partitions}

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked.append("committed")
        return {at: self.commits[at] for at in partitions if at in self.commits}

    async def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        self.asked.append("topic_ids")
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    async def close(self) -> None:
        self.asked.append("closed")


class Tables(StoreRows):
    """The rows of stores in RocksDBs in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda partition: folder / f"{partition}.db")
        self.made: list[int] = []
        """Partitions that were emptied."""

    def emptied(self, partition: int) -> Table:
        self.made.append(partition)
        return super().emptied(partition)

    def close(self) -> None:
        for table in self.opened.values():
            table.close()
        self.opened.clear()


def positions(offset: int = 1) -> tuple[bytes, bytes]:
    """The row that ends a flush."""
    return POSITIONS_KEY, b'{"store-polls":%d}' % offset
