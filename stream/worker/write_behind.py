"""What was said of stores and is not yet in the table: collected, merged, written, then acknowledged.

Owns: write-behind. Updates of stores gather in memory for a moment; a flush merges them and writes, per partition
and all or nothing, the rows that change, the positions that they reach, and records for elsewhere. Must not know:
topics' JSON (stream.worker.agents), RocksDB (stream.tables), brokers, arithmetic (stream.core), when a flush is
due (stream.worker.flush_timing).

    agents ── updates ──▶ pending[partition][store] ── flush ──▶ merge ──▶ writer ──▶ table ──▶ acknowledge

Pending updates keep the writer under which they came. Where that is lost, they are dropped with it: whoever
takes the partition over next begins at the positions in the table.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Counter

from schemas.arrays import Int64s
from schemas.rows.facts import (
    PARTITIONS_KEY,
    SWEPT_KEY,
    TOPICS_KEY,
    ZONE_DATABASE_KEY,
    decode_topics,
    encode_topics,
)
from schemas.rows.high_water import HIGH_WATER_KEY, decode_high_water, encode_high_water
from schemas.rows.losses import Loss, decode_losses, encode_losses, loss_key
from schemas.rows.positions import POSITIONS_KEY, decode_positions, encode_positions, ends_flush
from schemas.rows.stamps import STAMPS_PREFIX, decode_stamps, stamps_key
from schemas.rows.summaries import SUMMARY_PREFIX, summary_key
from schemas.rows.table_format import FORMAT_KEY, encode_format
from schemas.stamps import Stamp
from schemas.topics import SOURCES
from schemas.values import DAY_US, StoreId
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, WriterLost
from stream.core.calendar import ZONE_DATABASE
from stream.errors import PartitionsAdded
from stream.tables.rocks import NOTE_SECONDS, RowBatch
from stream.tables.store_table import StoreRows
from stream.worker.flush_timing import Event, FlushTiming, State
from stream.worker.high_water import HighWaterKeeper
from stream.worker.losses import TopicSpan, resumption
from stream.worker.merging import MergedRows, Merger, StoreUpdates, batches
from stream.worker.migrations import Migrating, migrated, migrations_of
from stream.worker.updates import Updates

log = structlog.get_logger(__name__)

POLLS_TAKEN: Final = Counter("storepulse_polls_taken", "Polls taken from store-polls, repeats included")
LOSSES: Final = Counter(
    "storepulse_losses", "Spans of records that were gone before they were applied", ["topic"]
)
WRITERS_LOST: Final = Counter("storepulse_writers_lost", "Partitions that could not be written any more")

_SLICE: Final = 512
"""Stores merged between two looks at the event loop; while one slice is being sent, the next is merged."""
_MAX_PENDING_POLLS: Final = 250_000
"""Polls in memory past which agents wait for a flush."""
_MAX_OUTGOING_BYTES: Final = 32 << 20
"""The same for records on their way elsewhere."""
_REWRITTEN_AT_ONCE: Final = 2_000
_SWEEP_DAYS: Final = 30
_STAMPS_DAYS: Final = 400
"""How long the stamps of a forgotten store are kept (rules 3)."""


@dataclass(slots=True)
class _Pending:
    """Updates of one partition, how far it reaches, the writer under which it came, and what to do after."""

    writer: PartitionWriter
    positions: dict[str, int]
    updates: dict[StoreId, Updates] = field(default_factory=dict)
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


class WriteBehind:
    """The updates of all stores of the partitions that are ours.

    `lose` is called when a partition cannot be written any more, for the worker to take its place again.
    """

    def __init__(
        self,
        table: StoreRows,
        partitions: int,
        retention_days: int,
        flush_seconds: float,
        lose: Callable[[], object],
    ) -> None:
        self._table = table
        self._partitions = partitions
        self._merger = Merger(table, retention_days)
        self._lose = lose
        self._ours: dict[int, _Partition] = {}
        self._pending: dict[int, _Pending] = {}
        self._flushing: dict[int, _Pending] = {}
        """What was pending when the flush began that is under way: the table may not have it yet."""
        self._closing: set[asyncio.Future[None]] = set()
        """Writers on their way out; asyncio alone would not keep them."""
        self._polls = 0
        self._outgoing_bytes = 0
        self._more_waits: set[tuple[str, int]] = set()
        """Where the log has more than was taken."""
        self._timing = FlushTiming(flush_seconds, time.monotonic())
        self._timing_changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

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
        made_for = int(self._table.get(partition, PARTITIONS_KEY) or self._partitions)
        if made_for != self._partitions:
            raise PartitionsAdded(self._partitions, made_for)
        migrations = migrations_of(self._table, partition)
        positions, losses = self._resumed(partition, spans)
        ours = _Partition(writer, dict(positions), dict(positions), dict(topic_ids), time.monotonic())
        first = [*self._losses_noted(partition, losses), *self._old_stamps(partition)]
        if rewrites_all:
            log.warning("filling a changelog that was made again from the table", partition=partition)
        if rewrites_all or migrations or first:
            refill = (row for row in self._table.all_rows(partition) if not ends_flush(row[0]))
            changed = migrated(migrations, Migrating(partition, self._table, self._merger))
            flush = _chained(first, changed)
            await self._write(partition, ours, flush, positions, refill=refill if rewrites_all else ())
        self._ours[partition] = ours

    def _resumed(
        self, partition: int, spans: Mapping[str, TopicSpan]
    ) -> tuple[dict[str, int], dict[str, Loss]]:
        """Where each topic is read on, and what of it is lost before that."""
        get = self._table.rows(partition).get
        positions, known = decode_positions(get), decode_topics(get(TOPICS_KEY))
        if get(POSITIONS_KEY) is not None and get(FORMAT_KEY) is None:
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
        return positions, losses

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
        self._more_waits.clear()
        self._has_room.set()
        await asyncio.gather(*(each.writer.close() for each in ours.values()))

    def owns(self, partition: int) -> bool:
        """Whether updates of a partition can be taken in now."""
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
        """Give a partition up, and have it taken over again: so what is there is compared with what was applied."""
        log.warning("a partition is taken over again", partition=partition, cause=cause)
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

    def updates_of(self, partition: int, store_id: StoreId) -> Updates:
        """The updates of one store, to be added to."""
        pending = self._pending.get(partition) or self._of(partition)
        return pending.updates.get(store_id) or pending.updates.setdefault(store_id, Updates())

    def add_polls(self, partition: int, store_id: StoreId, packed: Int64s | list[int]) -> None:
        """More polls of a store, as packed polls."""
        held = self.updates_of(partition, store_id).packed
        if isinstance(packed, list):
            held.fromlist(packed)
        else:
            held.frombytes(packed.tobytes())
        self._polls += len(packed)

    def forget_polls(self, partition: int, store_id: StoreId, stamp: Stamp) -> None:
        """Forget the polls that came before this moment."""
        updates = self.updates_of(partition, store_id)
        before = updates.forgets
        updates.forgets = (
            stamp if before is None else max(stamp, stamp._replace(timestamp_ms=before.timestamp_ms))
        )
        self._polls -= len(updates.packed)
        del updates.packed[:]

    def is_forgotten(self, partition: int, store_id: StoreId, stamp: Stamp) -> bool:
        """Whether polls of a record that was written at `stamp` were forgotten since."""
        forgotten = decode_stamps(self._table.get(partition, stamps_key(store_id))).forgotten
        for batch in (self._flushing.get(partition), self._pending.get(partition)):
            if batch is not None and store_id in batch.updates:
                forgotten = batch.updates[store_id].forgotten_after(forgotten)
        return stamp < forgotten

    def knows(self, partition: int, store_id: StoreId) -> bool:
        """Whether the table has anything of a store."""
        return self._table.get(partition, summary_key(store_id)) is not None

    def accept_losses(self, partition: int, said_ms: int) -> None:
        """An operator knows of all losses that were noticed up to then, in milliseconds since 1970."""
        pending = self._of(partition)
        pending.accepts_losses_ms = max(pending.accepts_losses_ms, said_ms)

    def send(self, partition: int, outgoing: Outgoing) -> None:
        """A record for elsewhere, to be sent with the updates of `partition`."""
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
        """All updates up to `next_offset` of a topic were added; acknowledge them once they are written.

        Where `more_waits` in the log, a flush can wait for it too: the more updates a store has, the less each
        costs. Waits itself while too much is in memory.
        """
        pending = self._of(partition)
        self._ours[partition].taken[topic] = pending.positions[topic] = next_offset
        pending.acknowledge.append(acknowledge)
        (self._more_waits.add if more_waits else self._more_waits.discard)((topic, partition))
        self._on(Event.TAKEN_MORE_WAITS if self._more_waits else Event.TAKEN_ALL)
        if self._polls > _MAX_PENDING_POLLS or self._outgoing_bytes > _MAX_OUTGOING_BYTES:
            self._has_room.clear()
            self.hurry()
            await self._has_room.wait()

    def hurry(self) -> None:
        """Flush now: memory is full, or partitions are about to go."""
        self._on(Event.HURRY)

    async def keep_flushing(self) -> None:
        """Flush when it is due, for ever. What a flush raises ends it: our caller stops the worker."""
        while True:
            await self._until_it_is_due()
            await self.flush()
            self._on(Event.FLUSH_ENDS_MORE_WAITS if self._more_waits else Event.FLUSH_ENDS)

    async def _until_it_is_due(self) -> None:
        while self._timing.state is not State.DUE:
            self._timing_changed.clear()
            ends_s = self._timing.ends_s()
            left_s = NOTE_SECONDS / 2 if ends_s is None else max(0.0, ends_s - time.monotonic())
            try:
                async with asyncio.timeout(left_s):
                    await self._timing_changed.wait()
            except TimeoutError:
                if self._timing.is_overdue(time.monotonic()):
                    self._more_waits.clear()  # some may be of partitions that left
                self._note_idle_partitions()
                self._on(Event.TIME_IS_UP)

    def _on(self, event: Event) -> None:
        if self._timing.on(event, time.monotonic()):
            self._timing_changed.set()

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
        self._on(Event.FLUSH_BEGINS)
        POLLS_TAKEN.inc(self._polls)
        self._flushing, self._pending, self._polls, self._outgoing_bytes = self._pending, {}, 0, 0
        few = self._few()
        merged = self._merger.merged(few) if few else {}
        await asyncio.gather(
            *(
                self._flush(partition, pending, merged.get(partition))
                for partition, pending in self._flushing.items()
            ),
        )
        self._flushing = {}
        self._has_room.set()

    def _is_ours(self, partition: int, pending: _Pending) -> bool:
        """Whether the partition is ours as it was when its updates came."""
        return partition in self._ours and self._ours[partition].writer is pending.writer

    def _few(self) -> list[StoreUpdates]:
        """The updates of partitions that have few: all of them are merged in one go."""
        few: list[StoreUpdates] = []
        for partition, pending in self._flushing.items():
            if self._is_ours(partition, pending) and len(few) + len(pending.updates) <= _SLICE:
                few += _store_updates(partition, pending.updates.items())
        return few

    async def _flush(self, partition: int, pending: _Pending, merged: MergedRows | None) -> None:
        """Write one partition's updates; where they are few, they are merged already."""
        ours = self._ours.get(partition)
        try:
            if ours is not None and self._is_ours(partition, pending):
                flush = self._merged(partition, pending, merged)
                await self._write(partition, ours, flush, pending.positions, pending.outgoing)
        except WriterLost as error:
            if self._ours.get(partition) is ours:
                self.lose(partition, error.cause)
        for acknowledge in pending.acknowledge:
            acknowledge()

    async def _write(  # noqa: PLR0917  # what is written, then what goes with it
        self,
        partition: int,
        ours: _Partition,
        slices: AsyncIterator[Rows],
        positions: Mapping[str, int],
        outgoing: Sequence[Outgoing] = (),
        refill: Iterable[tuple[bytes, bytes | None]] = (),
    ) -> None:
        """One flush: to the broker, and when that has it, to the table.

        `refill`: rows that the table has, and the changelog not. Where the table then fails, what we raise ends the
        worker: it must never flush on that table again.
        """
        batch, began_s = RowBatch(), time.time()

        async def noted() -> AsyncIterator[Rows]:
            for part in batches(iter(refill), _REWRITTEN_AT_ONCE):
                yield part
            async for rows in slices:
                batch.add(rows)
                yield rows
            last = [*self._about(partition, ours), (POSITIONS_KEY, encode_positions(positions))]
            batch.add(last)
            yield last

        offset = await ours.writer.write(noted(), outgoing, positions)
        if ours.is_over:
            return
        batch.write(self._table.rows(partition), offset, began_s)
        ours.written, ours.written_s = dict(positions), time.monotonic()

    async def _merged(
        self, partition: int, pending: _Pending, merged: MergedRows | None
    ) -> AsyncIterator[Rows]:
        """The rows that pending updates change, some stores at a time unless they are merged already."""
        high_water = HighWaterKeeper(decode_high_water(self._table.get(partition, HIGH_WATER_KEY)))
        for each in self._slices_of(partition, pending) if merged is None else (merged,):
            high_water.add(each.high_water, each.forgotten)
            yield each.rows
            await asyncio.sleep(0)
        others = None
        if high_water.must_count:
            others = await self._merger.counted_high_water(partition, without=pending.updates)
        if (mark := high_water.after(others)) is not None:
            yield [(HIGH_WATER_KEY, encode_high_water(mark))]
        if pending.accepts_losses_ms:
            yield list(self._losses_accepted(partition, pending.accepts_losses_ms))

    def _slices_of(self, partition: int, pending: _Pending) -> Iterator[MergedRows]:
        for part in batches(_store_updates(partition, pending.updates.items()), _SLICE):
            yield self._merger.merged(part)[partition]

    def _about(self, partition: int, ours: _Partition) -> list[tuple[bytes, bytes | None]]:
        """What a table says of itself, where it does not say so yet."""
        ids = {**decode_topics(self._table.get(partition, TOPICS_KEY)), **ours.topic_ids}
        said = {
            FORMAT_KEY: encode_format(),
            ZONE_DATABASE_KEY: self._table.get(partition, ZONE_DATABASE_KEY) or ZONE_DATABASE.encode(),
            PARTITIONS_KEY: str(self._partitions).encode(),
            TOPICS_KEY: encode_topics(ids),
            SWEPT_KEY: self._table.get(partition, SWEPT_KEY) or b"%d" % (time.time_ns() // (1000 * DAY_US)),
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

    def _old_stamps(self, partition: int) -> Iterator[tuple[bytes, bytes | None]]:
        """The stamps of stores that were forgotten long ago, looked for once a month."""
        today = time.time_ns() // (1000 * DAY_US)
        if today - int(self._table.get(partition, SWEPT_KEY) or today) < _SWEEP_DAYS:
            return
        for key in self._table.keys(partition, STAMPS_PREFIX):
            summary = SUMMARY_PREFIX + key.removeprefix(STAMPS_PREFIX)
            stamps = decode_stamps(self._table.get(partition, key))
            if today - stamps.changed_day > _STAMPS_DAYS and self._table.get(partition, summary) is None:
                yield key, None
        yield SWEPT_KEY, str(today).encode()

    def _of(self, partition: int) -> _Pending:
        pending = self._pending.get(partition)
        if pending is None:
            ours = self._ours[partition]
            pending = self._pending[partition] = _Pending(ours.writer, dict(ours.taken))
        return pending


def _store_updates(partition: int, updates: Iterable[tuple[StoreId, Updates]]) -> Iterator[StoreUpdates]:
    return (StoreUpdates(partition, *each) for each in updates)


async def _chained(first: Rows, then: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    if first:
        yield first
    async for rows in then:
        yield rows
