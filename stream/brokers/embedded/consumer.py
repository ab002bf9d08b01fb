"""Faust's consumer over an embedded log.

Owns: the assignment, the positions, and fetching. The one member of its group: every partition of the topics
it subscribes to is its own. Must not know: how messages are batched and committed (`stream.brokers.drain`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]  # it has no types
from faust.types import TP, ConsumerMessage
from faust.types.core import HeadersArg
from mode import Seconds

from stream.brokers.drain import Batch, DrainingConsumer, RecordMap
from stream.brokers.embedded.housekeeping import PERIOD_S, keep_bounded
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.embedded.shared import Shared
from stream.brokers.embedded.threads import LogThread, Watcher
from stream.brokers.embedded.topics import Topics
from stream.brokers.records import Record, TopicPartition

WATCH_PERIOD_S: Final = 0.02
"""How often the log is asked whether another process wrote to it."""

FETCH_RECORDS: Final = 10_000
"""Records of one partition in one fetch, unless `broker_max_poll_records` says another number."""

MEMBER: Final = "embedded"
"""Our name in the group that has no other member."""


class Cluster:
    """The part of a Kafka cluster's description that Faust's assignor asks for."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def partitions_for_topic(self, topic: str) -> set[int]:
        """The numbers of the topic's partitions; empty if nobody declared it."""
        return set(range(self._topics.partitions(topic)))


class Consumer(DrainingConsumer):
    """The only reader of its group in this log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._embedded = cast(Shared, self.transport)
        self._assigned: set[TP] = set()
        self._wanted: set[str] = set()
        self._positions: dict[TP, int] = {}
        self._end_offsets: dict[TopicPartition, int] = {}
        self._seeks = 0
        self._rebalancing = asyncio.Lock()
        self._fetching = LogThread(self._embedded.path)
        self._asking = LogThread(self._embedded.path)
        self._cleaning = LogThread(self._embedded.path)
        self._watcher: Watcher | None = None
        # Faust types this setting as a method.
        self._partitioner = cast(Any, self.app.conf).producer_partitioner or DefaultPartitioner()
        self._fetch_records = self.app.conf.broker_max_poll_records or FETCH_RECORDS
        self._fetch_bytes = self.app.conf.consumer_max_fetch_size

    async def on_start(self) -> None:
        """Open the log and watch it."""
        await super().on_start()
        await self._embedded.topics.learn(self._asking)
        self._watcher = Watcher(self._embedded.path, WATCH_PERIOD_S, self.wake)
        self.add_future(self._keep_bounded())

    async def _keep_bounded(self) -> None:
        """Do the broker's housekeeping, on a connection of its own."""
        while not self.should_stop:
            await self.sleep(PERIOD_S)
            reads = {tp.topic for tp in self._assigned}
            if reads:
                await self._cleaning.submit(
                    partial(
                        keep_bounded,
                        group=self.app.conf.id,
                        reads=reads,
                        retention_ms=self._delivery.retention_ms,
                    )
                )

    async def on_shutdown(self) -> None:
        """Close the log; everything that could use it has stopped."""
        await super().on_shutdown()
        if self._watcher is not None:
            self._watcher.stop()
        await self._fetching.close()
        await self._asking.close()
        await self._cleaning.close()

    def wake(self) -> None:
        """Look for new records now. To be called in the event loop."""
        self._changed.set()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Read `topics`, declaring unknown ones as a broker that creates topics by itself would."""
        self._wanted = set(topics)
        await self._embedded.topics.ensure(self._asking, self._wanted)
        # Faust's callbacks wait until this method has returned, so the rest happens in the background.
        self.rejoin()

    def rejoin(self) -> None:
        """Be assigned all that we read, again."""
        self.add_future(self._rebalance(self._wanted))

    async def _rebalance(self, topics: set[str]) -> None:
        app = self.app
        async with self._rebalancing:
            app.on_rebalance_start()
            await self.on_partitions_revoked(self._assigned)
            self._positions.clear()
            self._assigned = self._assign(topics)
            app.consumer_generation_id += 1
            await self.on_partitions_assigned(set(self._assigned), app.consumer_generation_id)

    def _assign(self, topics: set[str]) -> set[TP]:
        """Let Faust's assignor give us everything, so that its tables know what is theirs."""
        assignor = cast(Any, self.app.assignor)  # the interface lacks aiokafka's half of the class
        members = {MEMBER: assignor.metadata(topics)}
        mine = assignor.assign(Cluster(self._embedded.topics), members)[MEMBER]
        assignor.on_assignment(mine)
        return {TP(topic, partition) for topic, partitions in mine.assignment for partition in partitions}

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 30.0,  # noqa: ASYNC109  # Faust's signature
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Declare a topic; replication, retention and the rest of Kafka's settings do not apply here."""
        await self._embedded.topics.declare(self._asking, topic, partitions, compacting=bool(compacting))

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109  # Faust's signature
    ) -> RecordMap:
        """Records of every active partition: at once if there are any, else the first in `timeout` seconds.

        The set is Faust's own and may change meanwhile; whatever changes it sets `_changed`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.flow_active and not self.should_stop:
            self._changed.clear()
            fetched = await self._fetch(active_partitions or set())
            remaining_s = deadline - loop.time()
            if fetched or remaining_s <= 0:
                return fetched
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining_s):
                    await self._changed.wait()
        return {}

    async def _fetch(self, active_partitions: set[TP]) -> RecordMap:
        wanted = {tp: position for tp, position in self._positions.items() if tp in active_partitions}
        seeks = self._seeks
        read = partial(_read_all, wanted, self._fetch_records, self._fetch_bytes)
        self._end_offsets, fetched = await self._fetching.submit(read)
        if self._seeks != seeks or not self.flow_active:
            return {}  # somebody moved us while we were reading
        self._positions.update({tp: records[-1].offset + 1 for tp, records in fetched.items()})
        return cast(
            RecordMap, {tp: Batch(records, records[-1].offset + 1) for tp, records in fetched.items()}
        )

    def _single_message(self, tp: TP, record: Record) -> ConsumerMessage:
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms / 1000,
            0,  # timestamp type: as the producer gave it
            cast(HeadersArg, list(record.headers)),
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def resume_flow(self) -> None:
        """Fetch again."""
        super().resume_flow()
        self._changed.set()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the tables say; where there are none, to the committed offset of every assigned partition.

        A partition without a commit starts where `consumer_auto_offset_reset` says, and so does one whose commit
        lies beyond its end because the log was made again.
        """
        checkpoint = self._delivery.checkpoint
        if checkpoint is not None:
            found = self._checkpoints(checkpoint)
            self._move(found)
            return found
        streams = [tp for tp in self._assigned if not self._is_changelog_tp(tp)]
        reset_to_end = self.app.conf.consumer_auto_offset_reset == "latest"
        positions, committed = await self._asking.submit(
            partial(_committed_positions, self.app.conf.id, streams, reset_to_end)
        )
        self._move(positions)
        return committed

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to the given offsets."""
        self._move(partitions)
        for tp, offset in partitions.items():
            self._read_offset[tp] = offset or None

    async def _seek(self, partition: TP, offset: int) -> None:
        self._move({partition: offset})

    def _move(self, positions: Mapping[TP, int]) -> None:
        self._seeks += 1
        self._positions.update(positions)
        self._changed.set()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self._delivery.checkpoint is not None:
            return True  # it is in the log with the rows
        group = self.app.conf.id
        await self._asking.submit(lambda log: log.commit(group, cast(Mapping[TopicPartition, int], offsets)))
        return True

    def assignment(self) -> set[TP]:
        """Every partition that is ours."""
        return set(self._assigned)

    async def position(self, tp: TP) -> int | None:
        """Offset of the next record to fetch; None before the first seek."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """End offset of `tp` as the last fetch saw it."""
        return self._end_offsets.get(tp, 0)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """End offsets as they are now."""
        end_offsets = await self._asking.submit(lambda log: log.end_offsets())
        return {tp: end_offsets[tp] for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Offsets of the oldest records that are left."""
        return await self._asking.submit(lambda log: {tp: log.begin_offset(*tp) for tp in partitions})

    def topic_partitions(self, topic: str) -> int | None:
        """Number of partitions of a topic; None if nobody declared it."""
        return self._embedded.topics.partitions(topic) or None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """The partition given, or the one Kafka's partitioner picks for `key`; None for an unknown topic."""
        count = self.topic_partitions(topic)
        if count is None:
            return None
        every = range(count)
        return partition if partition is not None else int(self._partitioner(key, every, every))

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)


def _read_all(
    wanted: Mapping[TP, int], max_records: int, max_bytes: int, log: EmbeddedLog
) -> tuple[dict[TopicPartition, int], dict[TP, list[Record]]]:
    """The end offsets, and the next records of each wanted partition that has any."""
    end_offsets = log.end_offsets()
    fetched = {
        tp: log.read(tp.topic, tp.partition, position, max_records, max_bytes)
        for tp, position in wanted.items()
        if position < end_offsets.get(tp, 0)
    }
    return end_offsets, {tp: records for tp, records in fetched.items() if records}


def _committed_positions(
    group: str, partitions: Iterable[TP], reset_to_end: bool, log: EmbeddedLog
) -> tuple[dict[TP, int], dict[TP, int]]:
    """Where to read on in each partition, and the commits that are still good."""
    end_offsets = log.end_offsets()
    commits = log.committed(group)
    good = {tp: commits[tp] for tp in partitions if tp in commits and commits[tp] <= end_offsets[tp]}
    positions = {
        tp: good[tp] if tp in good else end_offsets[tp] if reset_to_end else log.begin_offset(*tp)
        for tp in partitions
    }
    return positions, good
