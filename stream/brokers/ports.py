"""What a worker needs of a broker beside Faust's transport, whichever broker it is.

Owns: the ports, and the values that cross them. Must not know: Kafka, SQLite, Faust.

    own(partitions) ──▶ a writer each        whoever wrote before can write no more
    changelog       ──▶ restore the tables   to the end that was asked for after that
    spans           ──▶ read the sources     from where the tables say

The table is the checkpoint: a flush appends rows, positions and records for elsewhere, all or nothing. So whatever
befalls a writer, its updates can be dropped: whoever owns the partition next begins where the table says.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stream.brokers.records import Headers, Record, TopicPartition

Rows = Sequence[tuple[bytes, bytes | None]]
"""New values by key; None deletes. Of one key the last counts."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record for another topic or partition; without a partition its key decides, as everywhere.

    `timestamp_ms`: milliseconds since 1970, None for now.
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


class WriterLost(Exception):
    """A partition's writer cannot write any more: fenced out, timed out, or cut off. What it had is dropped.

    Carries the partition and the client's text.
    """

    def __init__(self, partition: int, cause: str) -> None:
        super().__init__(f"partition {partition} cannot be written from here any more ({cause})")
        self.partition = partition
        self.cause = cause


class PartitionWriter(Protocol):
    """The one who may write to a partition's changelog, until somebody else becomes it."""

    @property
    def is_lost(self) -> bool:
        """Whether it can write no more."""

    async def write(
        self, slices: AsyncIterator[Rows], outgoing: Sequence[Outgoing], positions: Mapping[str, int]
    ) -> int:
        """Append a flush, all of it or nothing: records for elsewhere, the rows of all slices, positions by topic.

        Returns the last changelog offset that the flush takes up. One flush at a time. Raises WriterLost, and
        what `slices` raises; after any of these it is lost.
        """

    async def close(self) -> None:
        """Let go, soon. A flush that is under way ends too: it is written, or it raises WriterLost."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some records of one partition of the changelog, in order, and the offset from which to read on.

    Between the last record and `position` there is nothing: markers of transactions, and rows of aborted ones.
    """

    partition: int
    records: Sequence[Record]
    position: int


class ChangelogReader(Protocol):
    """Reads the changelog; of transactions only what was committed."""

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Where the changelog ends now, open transactions included. Raises what the broker raises."""

    async def readable_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Where that ends which can be read now: before an open transaction. Raises what the broker raises."""

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from now on, each from an offset, and no others."""

    async def read(self, timeout_s: float) -> list[Stretch]:
        """What comes next; the position of every partition, also where it has no record. Waits at most so long."""

    async def close(self) -> None:
        """Let go of the broker."""


class Broker(Protocol):
    """What the worker asks of the broker."""

    @property
    def changelog(self) -> ChangelogReader:
        """The changelog, to be read by one at a time."""

    @property
    def forgets_deletions(self) -> bool:
        """Whether tombstones leave the changelog while nobody reads it."""

    @property
    def log_file(self) -> Path | None:
        """The file that is the log; None where it is nobody's file."""

    async def own(self, partitions: Collection[int]) -> dict[int, PartitionWriter]:
        """Become the writer of these partitions; nobody who was it before can write from then on.

        Tries again while the broker does not answer, for ever. Raises TopicsUnusable where it will not have us.
        """

    async def spans(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Of each (topic, partition), the offset of the oldest record that is left and that of the next to come."""

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """What the workers' group has committed, where it has."""

    async def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """What the broker calls these topics beside their names; nothing where it cannot say."""

    async def close(self) -> None:
        """Let go of the broker."""
