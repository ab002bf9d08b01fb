"""Taking partitions over: fence, restore, read positions.

Owns: the order of these steps, which is the proof that nothing is lost, and copies that are kept in step. Must not
know: which broker it is, Faust.

    1. fence      whoever wrote the partition before can write no more
    2. restore    the table, to the end of the changelog as it is after that
    3. begin      the sources, from the positions in the table; what is gone before those is a loss

The other way round, a last flush of the old owner could be missed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from schemas.rows.facts import TOPICS_KEY, decode_topics
from schemas.table_scans import Table
from schemas.topics import CHANGELOG, SOURCES
from stream.brokers.ports import Broker, WriterLost
from stream.errors import LogReplaced
from stream.tables.follower import READ_SECONDS, Follower, changelog_of, is_of_another
from stream.tables.rocks import is_too_old, is_whole, stored_offset
from stream.tables.store_table import StoreRows
from stream.worker.losses import TopicSpan, resumption
from stream.worker.write_behind import WriteBehind

log = structlog.get_logger(__name__)

_TOPICS: Final = (*(spec.name for spec in SOURCES), CHANGELOG)


class TakeOver:
    """Takes over the partitions of each assignment.

    `let_in` is called when they are ours to write, before their tables are restored, which may take long; `rejoin`
    when somebody else became the writer of one meanwhile. `crash` is told what ends the copies of other partitions.
    """

    def __init__(
        self,
        broker: Broker,
        table: StoreRows,
        write_behind: WriteBehind,
        *,
        skip_malformed: bool,
        let_in: Callable[[], object],
        rejoin: Callable[[], object],
        crash: Callable[[Exception], object],
    ) -> None:
        self._broker = broker
        self._table = table
        self._write_behind = write_behind
        self._skip_malformed = skip_malformed
        self._let_in = let_in
        self._rejoin = rejoin
        self._crash = crash
        self._copying: asyncio.Task[None] | None = None

    async def __call__(self, actives: list[int], standbys: list[int]) -> None:
        """Take over `actives`, and keep copies of `standbys` in step from now on.

        Raises TopicsUnusable, PartitionsAdded, MalformedChangelog, NewerState, and what broker and RocksDB raise.
        """
        await self.stop_copying()
        began_s = time.monotonic()
        writers = await self._broker.own(actives)
        self._let_in()
        try:
            ids = await self._broker.topic_ids(_TOPICS)
            ends = await self._broker.changelog.ends(actives) if actives else {}
            unwritten = [p for p in actives if await self._can_fill(p, ends[p], ids)]
            if unwritten and self._broker.log_file is not None:
                raise LogReplaced(self._broker.log_file)
            tables = {p: self._opened(p, ends[p], ids) for p in actives if p not in unwritten}
            await Follower(self._broker.changelog, skip_malformed=self._skip_malformed).restore(tables)
            spans = await self._spans(actives, ids)
            for partition in actives:
                await self._write_behind.begin(
                    partition, writers[partition], spans[partition], ids, rewrites_all=partition in unwritten
                )
                del writers[partition]
        except WriterLost as error:
            log.warning("a partition is taken over again", partition=error.partition, cause=error.cause)
            self._rejoin()
            return
        finally:
            for writer in writers.values():
                await writer.close()
        log.info("partitions taken over", partitions=actives, seconds=round(time.monotonic() - began_s, 3))
        if standbys:
            self._copying = asyncio.create_task(self._copy(standbys))

    async def look_for_losses(self) -> None:
        """Have a partition taken over again where its topics are not what was applied any more, also where no
        record tells of it: a topic that was deleted and made again may stay empty. Raises what the broker raises.
        """
        before = self._write_behind.all_taken()
        ids, spans = await self._broker.topic_ids(_TOPICS), await self._broker.spans(list(before))
        for partition in {partition for _, partition in before}:
            is_ours = bool(ids) and self._write_behind.owns(partition)
            if is_ours and self._write_behind.topic_id(partition, CHANGELOG) not in ("", ids.get(CHANGELOG)):
                self._write_behind.lose(partition, "the changelog was deleted")
        for (topic, partition), taken_to in before.items():
            span = TopicSpan(*spans[topic, partition], None, ids.get(topic, ""))
            is_still = (
                self._write_behind.owns(partition)
                and self._write_behind.taken_to(partition, topic) == taken_to
            )
            found = (
                resumption(taken_to, self._write_behind.topic_id(partition, topic), span)
                if is_still
                else None
            )
            if found is not None and found.why:
                self._write_behind.lose(partition, found.why)

    async def stop_copying(self) -> None:
        """Leave the copies as they are."""
        if self._copying is not None:
            self._copying.cancel()
            # Not for its result: to suppress its cancellation would hide ours.
            await asyncio.wait({self._copying})
            self._copying = None

    async def _copy(self, standbys: list[int]) -> None:
        try:
            ids, ends = (
                await self._broker.topic_ids(_TOPICS),
                await self._broker.changelog.readable_ends(standbys),
            )
            tables = {partition: self._opened(partition, ends[partition], ids) for partition in standbys}
            follower = Follower(self._broker.changelog, skip_malformed=self._skip_malformed)
            await follower.follow(tables)
        except Exception as error:
            self._crash(error)

    async def _can_fill(self, partition: int, end: int, ids: Mapping[str, str]) -> bool:
        """Whether a whole table stands beside a changelog that was made again, and has not been filled since."""
        table, found = self._table.rows(partition), ids.get(CHANGELOG)
        if stored_offset(table) is None or not is_whole(table):
            return False
        if end == 0:
            return found is None or changelog_of(table) != found
        return is_of_another(table, found) and not await self._names_itself(partition, end, found)

    async def _names_itself(self, partition: int, end: int, changelog_id: str | None) -> bool:
        """Whether the changelog says that all is in it: who fills one says so, who did not notice does not."""
        reader, position = self._broker.changelog, 0
        await reader.begin({partition: 0})
        while position < end:
            for stretch in await reader.read(READ_SECONDS):
                position = stretch.position
                if any(
                    each.key == TOPICS_KEY and decode_topics(each.value).get(CHANGELOG) == changelog_id
                    for each in stretch.records
                ):
                    return True
        return False

    def _opened(self, partition: int, end: int, ids: Mapping[str, str]) -> Table:
        """The table, without its rows where those cannot be gone on with."""
        table = self._table.rows(partition)
        offset = stored_offset(table)
        if offset is not None and (offset >= end or is_of_another(table, ids.get(CHANGELOG))):
            log.warning(
                "the table is of another changelog, or ahead of it; reading all of that again",
                partition=partition,
            )
            return self._table.emptied(partition)
        if self._broker.forgets_deletions and is_too_old(table):
            log.warning("the table is too old to go on with; reading all again", partition=partition)
            return self._table.emptied(partition)
        return table

    async def _spans(self, actives: list[int], ids: Mapping[str, str]) -> dict[int, dict[str, TopicSpan]]:
        every = [(spec.name, partition) for partition in actives for spec in SOURCES]
        if not every:
            return {}
        spans, committed = await self._broker.spans(every), await self._broker.committed(every)
        return {
            partition: {
                topic: TopicSpan(
                    *spans[topic, partition], committed.get((topic, partition)), ids.get(topic, "")
                )
                for topic, at in every
                if at == partition
            }
            for partition in actives
        }
