"""What was said of stores and is not yet in the table: collected, settled, written, then acknowledged.

Owns: write-behind. News of stores gathers in memory for a moment; a flush merges it into each store's ledger and
writes, per partition and all or nothing, the rows that change, the positions that they reach, and records for
elsewhere. Must not know: topics' JSON (stream.worker.agents), RocksDB (stream.tables.store_table), brokers,
arithmetic (stream.core).

    agents ── news ──▶ pending[partition][store] ── flush ──▶ settle ──▶ writer ──▶ table ──▶ acknowledge

Pending news keeps the writer under which it came. Where that is lost, the news is dropped with it: whoever
takes the partition over next begins at the positions in the table.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import structlog
from prometheus_client import Counter

from schemas.stamps import Stamp, decode_stamps
from schemas.state import (
    APPLIED_PREFIX,
    FORMAT_KEY,
    HEAD_PREFIX,
    META_EXTENT,
    META_PARTITIONS,
    META_POSITIONS,
    META_TOPICS,
    META_ZONE_DATABASE,
    STAMPS_PREFIX,
    TABLE_FORMAT,
    Extent,
    Int64s,
    decode_extent,
    decode_positions,
    decode_topics,
    encode_extent,
    encode_format,
    encode_positions,
    encode_topics,
    format_of,
    head_key,
    stamps_key,
)
from schemas.topics import SOURCES
from schemas.values import DAY_US, StoreId
from schemas.whole import Loss, decode_losses, encode_losses, loss_key
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, WriterLost
from stream.core.calendar import ZONE_DATABASE
from stream.errors import PartitionsAdded
from stream.tables.rocks import NOTE_SECONDS, RowBatch, rows_of
from stream.tables.store_table import StoreTable
from stream.worker.losses import TopicSpan, resumption
from stream.worker.merging import SettledRows, Settling, StoreNews, batches
from stream.worker.updates import News

log = structlog.get_logger(__name__)

POLLS_TAKEN: Final = Counter("storepulse_polls_taken", "Polls taken from store-polls, repeats included")
LOSSES: Final = Counter(
    "storepulse_losses", "Spans of records that were gone before they were applied", ["topic"]
)
WRITERS_LOST: Final = Counter("storepulse_writers_lost", "Partitions that could not be written any more")

_SLICE: Final = 512
"""Stores settled between two looks at the event loop; while one slice is being sent, the next is settled."""
_BACKLOG_SECONDS: Final = 2.0
"""How long a flush waits, at most, while more news is in the log."""
_MOST_PENDING_POLLS: Final = 250_000
"""Polls in memory past which agents wait for a flush."""
_MOST_OUTGOING_BYTES: Final = 32 << 20
"""The same for records on their way elsewhere."""
_REWRITTEN_AT_ONCE: Final = 2_000
_META_SWEPT: Final = b"Mswept"
_SWEEP_DAYS: Final = 30
_STAMPS_DAYS: Final = 400
"""How long the stamps of a forgotten store are kept (rules 3)."""


@dataclass(slots=True)
class _Pending:
    """News of one partition, how far it reaches, the writer under which it came, and what to do after."""

    writer: PartitionWriter
    positions: dict[str, int]
    news: dict[StoreId, News] = field(default_factory=dict)
    outgoing: list[Outgoing] = field(default_factory=list)
    acknowledge: list[Callable[[], object]] = field(default_factory=list)
    accepts_losses_ms: int = 0
    """An operator knows of the losses that were noticed until then, in milliseconds since 1970."""


@dataclass(slots=True)
class _Partition:
    """A partition that is ours: its writer, how far each topic was taken in, and how far it is written."""

    writer: PartitionWriter
    taken: dict[str, int]
    written: dict[str, int]
    topic_ids: dict[str, str]
    written_s: float
    is_over: bool = False
    """Whether it was given up: what is still being written then is for the next owner to read."""


class Ledgers:
    """The ledgers of all stores of the partitions that are ours.

    `lose` is called when a partition cannot be written any more, for the worker to take its place anew.
    """

    def __init__(
        self,
        table: StoreTable,
        partitions: int,
        retention_days: int,
        flush_seconds: float,
        lose: Callable[[], object],
    ) -> None:
        self._table = table
        self._partitions = partitions
        self._settling = Settling(table, retention_days)
        self._flush_seconds = flush_seconds
        self._lose = lose
        self._ours: dict[int, _Partition] = {}
        self._pending: dict[int, _Pending] = {}
        self._flushing: dict[int, _Pending] = {}
        """What was pending when the flush began that is under way: the table may not have it yet."""
        self._closing: set[asyncio.Future[None]] = set()
        """Writers on their way out; asyncio alone would not keep them."""
        self._polls = 0
        self._outgoing_bytes = 0
        self._waiting: set[tuple[str, int]] = set()
        self._news_came = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        table.leaving = self.hurry
        table.keep_flushing = self.keep_flushing

    async def begin(
        self,
        partition: int,
        writer: PartitionWriter,
        spans: Mapping[str, TopicSpan],
        topic_ids: Mapping[str, str],
        *,
        rewrites_all: bool,
    ) -> None:
        """A partition is ours from now on, and its table whole: bring it up to date, and find where to read on.

        `spans` has what the broker says of each source topic. `rewrites_all` where the changelog lacks all rows.
        Raises NewerState, PartitionsAdded, WriterLost, and what broker and RocksDB raise.
        """
        made_for = int(self._table.get(partition, META_PARTITIONS) or self._partitions)
        if made_for != self._partitions:
            raise PartitionsAdded(self._partitions, made_for)
        format_of(self._table.get(partition, FORMAT_KEY))
        get = self._table.rows(partition).get
        positions, known = decode_positions(get), decode_topics(get(META_TOPICS))
        if get(META_POSITIONS) is not None and get(FORMAT_KEY) is None:
            # Of a changelog that was made again while somebody wrote: it lacks the rest.
            positions, known = {}, {}
        is_new = not positions
        losses: dict[str, Loss] = {}
        for topic, span in spans.items():
            found = resumption(None if is_new else positions.get(topic, 0), known.get(topic, ""), span)
            if found.why:
                now_ms = time.time_ns() // 1_000_000
                losses[topic] = Loss(found.lost_from, found.lost_to, now_ms, found.why)
            positions[topic] = found.offset
        ours = _Partition(writer, dict(positions), dict(positions), dict(topic_ids), time.monotonic())
        first = [
            *self._losses_noted(partition, losses),
            *self._migration(partition),
            *self._old_stamps(partition),
        ]
        if rewrites_all:
            log.warning("filling a changelog that was made again from the table", partition=partition)
            await self._rewrite(partition, ours, first)
        elif first:
            await self._write(partition, ours, _slices(iter(first)), positions)
        await self._migrate_heads(partition, ours)
        self._ours[partition] = ours

    async def release(self) -> None:
        """No partition is ours any more; what is pending is dropped."""
        ours, self._ours = self._ours, {}
        for each in ours.values():
            each.is_over = True
        dropped, self._pending = self._pending, {}
        for pending in dropped.values():
            for acknowledge in pending.acknowledge:
                acknowledge()
        self._polls, self._outgoing_bytes = 0, 0
        self._waiting.clear()
        self._room.set()
        await asyncio.gather(*(each.writer.close() for each in ours.values()))

    def owns(self, partition: int) -> bool:
        """Whether news of a partition can be taken in now."""
        return partition in self._ours and not self._ours[partition].writer.is_lost

    def taken_to(self, partition: int, topic: str) -> int:
        """The next offset of `topic` to be taken in; 0 where the partition is not ours."""
        return self._ours[partition].taken[topic] if partition in self._ours else 0

    def all_taken(self) -> dict[tuple[str, int], int]:
        """The next offset to be taken in of each (topic, partition) that is ours."""
        return {
            (topic, partition): offset
            for partition, ours in self._ours.items()
            for topic, offset in ours.taken.items()
        }

    def written_to(self, partition: int, topic: str) -> int:
        """The same of what is written."""
        return self._ours[partition].written[topic] if partition in self._ours else 0

    def topic_id(self, partition: int, topic: str) -> str:
        """The id of the topic that a partition is made from; "" where it has none."""
        return self._ours[partition].topic_ids.get(topic, "")

    def lose(self, partition: int, cause: str) -> None:
        """Give a partition up, and have it taken over anew: so what is there is compared with what was applied."""
        log.warning("a partition is taken over anew", partition=partition, cause=cause)
        WRITERS_LOST.inc()
        pending = self._pending.pop(partition, None)
        ours = self._ours.pop(partition, None)
        if ours is not None:
            ours.is_over = True
            closing = asyncio.ensure_future(ours.writer.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        for acknowledge in pending.acknowledge if pending else ():
            acknowledge()
        self._lose()

    def news_of(self, partition: int, store_id: StoreId) -> News:
        """The news of one store, to be added to."""
        pending = self._pending.get(partition) or self._of(partition)
        return pending.news.get(store_id) or pending.news.setdefault(store_id, News())

    def add_polls(self, partition: int, store_id: StoreId, codes: Int64s | list[int]) -> None:
        """More polls of a store, as codes."""
        held = self.news_of(partition, store_id).codes
        if isinstance(codes, list):
            held.fromlist(codes)
        else:
            held.frombytes(codes.tobytes())
        self._polls += len(codes)

    def forget_polls(self, partition: int, store_id: StoreId, stamp: Stamp) -> None:
        """Forget the polls that came before this moment."""
        news = self.news_of(partition, store_id)
        before = news.forgets
        news.forgets = (
            stamp if before is None else max(stamp, stamp._replace(timestamp_ms=before.timestamp_ms))
        )
        self._polls -= len(news.codes)
        del news.codes[:]

    def is_forgotten(self, partition: int, store_id: StoreId, stamp: Stamp) -> bool:
        """Whether polls of a record that was written at `stamp` were forgotten since."""
        forgotten = decode_stamps(self._table.get(partition, stamps_key(store_id))).forgotten
        for batch in (self._flushing.get(partition), self._pending.get(partition)):
            if batch is not None and store_id in batch.news:
                forgotten = batch.news[store_id].forgotten_after(forgotten)
        return stamp < forgotten

    def knows(self, partition: int, store_id: StoreId) -> bool:
        """Whether the table has anything of a store."""
        return self._table.get(partition, head_key(store_id)) is not None

    def accept_losses(self, partition: int, said_ms: int) -> None:
        """An operator knows of all losses that were noticed up to then, in milliseconds since 1970."""
        pending = self._of(partition)
        pending.accepts_losses_ms = max(pending.accepts_losses_ms, said_ms)

    def send(self, partition: int, outgoing: Outgoing) -> None:
        """A record for elsewhere, to be sent with the news of `partition`."""
        self._of(partition).outgoing.append(outgoing)
        self._outgoing_bytes += len(outgoing.key or b"") + len(outgoing.value or b"")

    async def taken(
        self,
        partition: int,
        topic: str,
        next_offset: int,
        acknowledge: Callable[[], object],
        *,
        more_waits: bool,
    ) -> None:
        """All news up to `next_offset` of a topic was added; acknowledge it once it is written.

        Where `more_waits` in the log, a flush can wait for it too: the more news a store has, the less each costs.
        Waits itself while too much is in memory.
        """
        pending = self._of(partition)
        self._ours[partition].taken[topic] = pending.positions[topic] = next_offset
        pending.acknowledge.append(acknowledge)
        self._news_came.set()
        (self._waiting.add if more_waits else self._waiting.discard)((topic, partition))
        if self._waiting:
            self._caught_up.clear()
        else:
            self._caught_up.set()
        if self._polls > _MOST_PENDING_POLLS or self._outgoing_bytes > _MOST_OUTGOING_BYTES:
            self._room.clear()
            self.hurry()
            await self._room.wait()

    def hurry(self) -> None:
        """Flush now: memory is full, or partitions are about to go."""
        self._caught_up.set()
        self._hurry.set()

    async def keep_flushing(self) -> None:
        """Flush a moment after news came, for ever. What a flush raises ends it: our caller stops the worker."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_SECONDS / 2):
                    await self._news_came.wait()
            if not self._news_came.is_set():
                self._note_idle_partitions()
            try:
                async with asyncio.timeout(_BACKLOG_SECONDS):
                    await self._a_reason_to_flush()
            except TimeoutError:
                self._waiting.clear()  # some may be of partitions that left
            await self.flush()

    async def _a_reason_to_flush(self) -> None:
        """Returns a moment after all that is in the log was taken, or at once in a hurry."""
        await self._caught_up.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._flush_seconds):
                await self._hurry.wait()

    def _note_idle_partitions(self) -> None:
        """Have the positions written where nothing was for long.

        It proves that a partition is still ours, so that its table notes that it has everything, and keeps the
        broker from forgetting the writer.
        """
        for partition, ours in self._ours.items():
            if time.monotonic() - ours.written_s > NOTE_SECONDS and any(ours.written.values()):
                self._of(partition)
                self.hurry()

    async def flush(self) -> None:
        """Write all that is pending and acknowledge it."""
        for event in (self._news_came, self._caught_up, self._hurry):
            event.clear()
        POLLS_TAKEN.inc(self._polls)
        self._flushing, self._pending, self._polls, self._outgoing_bytes = self._pending, {}, 0, 0
        few = self._few()
        settled = self._settling.settled(few) if few else {}
        await asyncio.gather(
            *(self._flush(*each, settled.get(each[0])) for each in self._flushing.items()),
        )
        self._flushing = {}
        self._room.set()

    def _is_ours(self, partition: int, pending: _Pending) -> bool:
        """Whether the partition is ours as it was when its news came."""
        return partition in self._ours and self._ours[partition].writer is pending.writer

    def _few(self) -> list[StoreNews]:
        """The news of partitions that have little of it: all of these are settled in one go."""
        few: list[StoreNews] = []
        for partition, pending in self._flushing.items():
            if self._is_ours(partition, pending) and len(few) + len(pending.news) <= _SLICE:
                few += _store_news(partition, pending.news.items())
        return few

    async def _flush(self, partition: int, pending: _Pending, settled: SettledRows | None) -> None:
        """Write one partition's news; where they are few, they are settled already."""
        ours = self._ours.get(partition)
        try:
            if ours is not None and self._is_ours(partition, pending):
                flush = self._settled(partition, pending, settled)
                await self._write(partition, ours, flush, pending.positions, pending.outgoing)
        except WriterLost as error:
            if self._ours.get(partition) is ours:
                self.lose(partition, error.cause)
        for acknowledge in pending.acknowledge:
            acknowledge()

    async def _write(
        self,
        partition: int,
        ours: _Partition,
        slices: AsyncIterator[Rows],
        positions: Mapping[str, int],
        outgoing: Sequence[Outgoing] = (),
    ) -> None:
        """One flush: to the broker, and when that has it, to the table.

        Where the table then fails, what we raise ends the worker: it must never flush on that table again.
        """
        batch, began_s = RowBatch(), time.time()

        async def noted() -> AsyncIterator[Rows]:
            async for rows in slices:
                batch.add(rows)
                yield rows
            last = [*self._about(partition, ours), (META_POSITIONS, _encoded(positions))]
            batch.add(last)
            yield last

        offset = await ours.writer.write(noted(), outgoing, positions)
        if ours.is_over:
            return
        batch.write(self._table.rows(partition), offset, began_s)
        ours.written, ours.written_s = dict(positions), time.monotonic()

    async def _rewrite(self, partition: int, ours: _Partition, changed: Rows) -> None:
        """Write all rows of a table to a changelog that has none, and those that change with it, in one flush."""
        table, batch, began_s = self._table.rows(partition), RowBatch(), time.time()
        rows = (row for row in rows_of(table) if row[0] != META_POSITIONS)
        last = [*changed, *self._about(partition, ours), (META_POSITIONS, _encoded(ours.taken))]
        batch.add(last)
        offset = await ours.writer.write(_slices(chain(rows, last)), (), ours.taken)
        batch.write(table, offset, began_s)

    async def _settled(
        self, partition: int, pending: _Pending, settled: SettledRows | None
    ) -> AsyncIterator[Rows]:
        """The rows that pending news changes, some stores at a time unless they are settled already."""
        reached = decode_extent(self._table.get(partition, META_EXTENT))
        extent, recounts = Extent(), False
        for each in self._slices_of(partition, pending) if settled is None else (settled,):
            extent, recounts = extent | each.extent, recounts or each.forgotten.bounds(reached)
            yield each.rows
            await asyncio.sleep(0)
        if recounts:
            reached = await self._settling.counted_extent(partition, without=pending.news)
        if recounts or reached | extent != reached:
            yield [(META_EXTENT, encode_extent(reached | extent))]
        if pending.accepts_losses_ms:
            yield list(self._losses_accepted(partition, pending.accepts_losses_ms))

    def _slices_of(self, partition: int, pending: _Pending) -> Iterator[SettledRows]:
        for part in batches(_store_news(partition, pending.news.items()), _SLICE):
            yield self._settling.settled(part)[partition]

    def _about(self, partition: int, ours: _Partition) -> list[tuple[bytes, bytes | None]]:
        """What a table says of itself, where it does not say so yet."""
        ids = {**decode_topics(self._table.get(partition, META_TOPICS)), **ours.topic_ids}
        said = {
            FORMAT_KEY: encode_format(),
            META_ZONE_DATABASE: self._table.get(partition, META_ZONE_DATABASE) or ZONE_DATABASE.encode(),
            META_PARTITIONS: str(self._partitions).encode(),
            META_TOPICS: encode_topics(ids),
            _META_SWEPT: self._table.get(partition, _META_SWEPT)
            or b"%d" % (time.time_ns() // (1000 * DAY_US)),
        }
        return [(key, value) for key, value in said.items() if self._table.get(partition, key) != value]

    def _losses_noted(
        self, partition: int, losses: Mapping[str, Loss]
    ) -> Iterator[tuple[bytes, bytes | None]]:
        for topic, loss in losses.items():
            log.error(
                "records were lost: see /health, and when you know of it, run storepulse accept-loss",
                topic=topic,
                partition=partition,
                from_offset=loss.from_offset,
                to_offset=None if loss.to_offset < 0 else loss.to_offset,
                why=loss.why,
            )
            LOSSES.labels(topic).inc()
            known = decode_losses(self._table.get(partition, loss_key(topic)))
            yield loss_key(topic), encode_losses((*known, loss))

    def _losses_accepted(self, partition: int, said_ms: int) -> Iterator[tuple[bytes, bytes | None]]:
        """The rows without what was noticed up to then: nobody accepts what comes later, or is read again."""
        for key in (loss_key(spec.name) for spec in SOURCES):
            losses = decode_losses(self._table.get(partition, key))
            left = tuple(loss for loss in losses if loss.noticed_ms > said_ms)
            if left != losses:
                yield key, encode_losses(left) if left else None

    def _migration(self, partition: int) -> list[tuple[bytes, bytes | None]]:
        """From format 1: the rows of positions become one."""
        if format_of(self._table.get(partition, FORMAT_KEY)) == TABLE_FORMAT:
            return []
        return [(key, None) for key in self._table.keys(partition, APPLIED_PREFIX)]

    def _old_stamps(self, partition: int) -> Iterator[tuple[bytes, bytes | None]]:
        """The stamps of stores that were forgotten long ago, looked for once a month."""
        today = time.time_ns() // (1000 * DAY_US)
        if today - int(self._table.get(partition, _META_SWEPT) or today) < _SWEEP_DAYS:
            return
        for key in self._table.keys(partition, STAMPS_PREFIX):
            head = HEAD_PREFIX + key.removeprefix(STAMPS_PREFIX)
            stamps = decode_stamps(self._table.get(partition, key))
            if today - stamps.changed_day > _STAMPS_DAYS and self._table.get(partition, head) is None:
                yield key, None
        yield _META_SWEPT, str(today).encode()

    async def _migrate_heads(self, partition: int, ours: _Partition) -> None:
        """Count how far polls reach where an older version did not; rebuild heads of another zone database.

        See rule 2.4.
        """
        is_empty = next(self._table.head_keys(partition), None) is None
        made_with = self._table.get(partition, META_ZONE_DATABASE)
        if is_empty:
            return
        if self._table.get(partition, META_EXTENT) is None:
            reached = await self._settling.counted_extent(partition)
            await self._write(
                partition, ours, _slices(iter([(META_EXTENT, encode_extent(reached))])), ours.taken
            )
        if made_with == ZONE_DATABASE.encode():
            return
        log.info(
            "rebuilding for another zone database", partition=partition, was=made_with, now=ZONE_DATABASE
        )
        await self._write(partition, ours, self._rebuilt(partition), ours.taken)

    async def _rebuilt(self, partition: int) -> AsyncIterator[Rows]:
        for keys in batches(self._table.head_keys(partition), _SLICE):
            part = ((StoreId(key[1:].decode()), News(derives_anew=True)) for key in keys)
            yield self._settling.settled(list(_store_news(partition, part)))[partition].rows
            await asyncio.sleep(0)
        yield [(META_ZONE_DATABASE, ZONE_DATABASE.encode())]

    def _of(self, partition: int) -> _Pending:
        pending = self._pending.get(partition)
        if pending is None:
            ours = self._ours[partition]
            pending = self._pending[partition] = _Pending(ours.writer, dict(ours.taken))
        return pending


def _store_news(partition: int, news: Iterable[tuple[StoreId, News]]) -> Iterator[StoreNews]:
    return (StoreNews(partition, *each) for each in news)


def _encoded(taken: Mapping[str, int]) -> bytes:
    """The row of positions; a topic that nothing was taken from has none."""
    return encode_positions({topic: offset for topic, offset in taken.items() if offset})


async def _slices(rows: Iterator[tuple[bytes, bytes | None]]) -> AsyncIterator[Rows]:
    for part in batches(rows, _REWRITTEN_AT_ONCE):
        yield part
