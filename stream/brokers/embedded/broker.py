"""The embedded log as a worker needs it beside Faust's transport (see stream.brokers.ports).

Owns: a flush as one SQLite transaction, and the changelog read from the file. Must not know: Faust, what rows mean.
One worker writes a log, which a lock sees to: nobody has to be fenced out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from schemas.topics import APP_ID, CHANGELOG
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.embedded.threads import LogThread
from stream.brokers.partitions import partition_of_key
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, Stretch
from stream.brokers.records import NewRecord, TopicPartition

_READ_RECORDS: Final = 10_000
_READ_BYTES: Final = 16 << 20


class EmbeddedBroker:
    """See stream.brokers.ports.Broker."""

    forgets_deletions = False  # only a running worker compacts

    def __init__(self, path: Path) -> None:
        self.log_file: Path | None = path
        self._thread = LogThread(path)
        self.changelog = EmbeddedChangelog(self._thread)

    async def own(self, partitions: Collection[int]) -> dict[int, PartitionWriter]:
        """See stream.brokers.ports.Broker."""
        count = await self._thread.submit(lambda log: log.topics()[CHANGELOG].partitions)
        return {partition: EmbeddedWriter(partition, count, self._thread) for partition in partitions}

    async def spans(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """See stream.brokers.ports.Broker."""
        return await self._thread.submit(partial(_spans, partitions))

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See stream.brokers.ports.Broker."""
        offsets = await self._thread.submit(lambda log: log.committed(APP_ID))
        return {at: offsets[at] for at in partitions if at in offsets}

    async def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """See stream.brokers.ports.Broker. A topic lives as long as the log."""
        return dict.fromkeys(topics, await self._thread.submit(lambda log: log.identity()))

    async def close(self) -> None:
        """See stream.brokers.ports.Broker."""
        await self._thread.close()


class EmbeddedWriter:
    """Appends a partition's flushes, each in one transaction (see stream.brokers.ports.PartitionWriter)."""

    is_lost = False

    def __init__(self, partition: int, partitions: int, thread: LogThread) -> None:
        self.partition = partition
        self._partitions = partitions
        self._thread = thread

    async def write(
        self, slices: AsyncIterator[Rows], outgoing: Sequence[Outgoing], positions: Mapping[str, int]
    ) -> int:
        """See stream.brokers.ports.PartitionWriter.

        Raises stream.brokers.embedded.errors.LogError: then nothing was written.
        """
        now_ms = time.time_ns() // 1_000_000
        records = [self._elsewhere(each, now_ms) for each in outgoing]
        async for rows in slices:
            records += [NewRecord(CHANGELOG, self.partition, key, value, now_ms) for key, value in rows]
        commits = {(topic, self.partition): offset for topic, offset in positions.items()}
        offsets = await self._thread.submit(partial(_append, records, commits))
        return offsets[-1]

    def _elsewhere(self, each: Outgoing, now_ms: int) -> NewRecord:
        partition = partition_of_key(each.key, self._partitions) if each.partition is None else each.partition
        timestamp_ms = now_ms if each.timestamp_ms is None else each.timestamp_ms
        return NewRecord(each.topic, partition, each.key, each.value, timestamp_ms, each.headers)

    async def close(self) -> None:
        """See stream.brokers.ports.PartitionWriter."""


class EmbeddedChangelog:
    """The changelog in the file (see stream.brokers.ports.ChangelogReader)."""

    def __init__(self, thread: LogThread) -> None:
        self._thread = thread
        self._positions: dict[int, int] = {}

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """See stream.brokers.ports.ChangelogReader."""
        return await self._thread.submit(
            lambda log: {partition: log.end_offset(CHANGELOG, partition) for partition in partitions}
        )

    async def readable_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """See stream.brokers.ports.ChangelogReader."""
        return await self.ends(partitions)

    async def begin(self, positions: Mapping[int, int]) -> None:
        """See stream.brokers.ports.ChangelogReader."""
        self._positions = dict(positions)

    async def read(self, timeout_s: float) -> list[Stretch]:
        """See stream.brokers.ports.ChangelogReader."""
        stretches = await self._thread.submit(partial(_read, self._positions))
        self._positions = {each.partition: each.position for each in stretches}
        if not any(each.records for each in stretches):
            await asyncio.sleep(timeout_s)
        return stretches

    async def close(self) -> None:
        """See stream.brokers.ports.ChangelogReader. The thread is the broker's."""


def _append(records: list[NewRecord], commits: dict[TopicPartition, int], log: EmbeddedLog) -> list[int]:
    return log.append(records, APP_ID, commits)


def _spans(partitions: Collection[TopicPartition], log: EmbeddedLog) -> dict[TopicPartition, tuple[int, int]]:
    """Of a compacted topic nothing is lost that is not there any more: something later stands for it."""
    compacted = {name for name, info in log.topics().items() if info.cleanup == "compact"}
    return {
        at: (0 if at[0] in compacted else log.begin_offset(*at), log.end_offset(*at)) for at in partitions
    }


def _read(positions: Mapping[int, int], log: EmbeddedLog) -> list[Stretch]:
    """The next records of each partition; at the end of one, its end."""
    stretches = []
    for partition, position in positions.items():
        end = log.end_offset(CHANGELOG, partition)
        records = (
            log.read(CHANGELOG, partition, position, _READ_RECORDS, _READ_BYTES) if position < end else []
        )
        stretches.append(Stretch(partition, records, records[-1].offset + 1 if records else end))
    return stretches
