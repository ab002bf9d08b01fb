"""What was said of stores and is not yet in the table: collected, settled, written, then acknowledged.

Owns: write-behind. News of stores gathers in memory for a moment; a flush merges it into each store's
ledger, writes the changed rows in batches, and only then acknowledges the events it came from. Must not
know: topics' JSON (stream.agents), RocksDB (stream.tables), arithmetic (stream.core).

    agents ── news ──▶ pending[partition][store] ── flush ──▶ settle ──▶ table.write ──▶ acknowledge

A crash loses only news that was never acknowledged: the broker delivers it again, and merging a poll twice
changes nothing. Of one store the head is written before its pages: whatever prefix of that is in a
changelog, delivering the same news again leads to the same rows (stream.core.ledger.Settled).

How far polls reach (schemas.state.Extent) is written with, and before, the heads that reach further. Where a
store forgets that reached as far, the row goes with its polls, and is there again when all heads were counted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import Counter

from schemas.state import (
    HEAD_PREFIX,
    META_EXTENT,
    META_PARTITIONS,
    META_ZONE_DATABASE,
    Int64s,
    applied_key,
    decode_extent,
    encode_extent,
)
from schemas.values import StoreId
from stream.core.clock import ZONE_DATABASE
from stream.errors import PartitionsAdded
from stream.news import News
from stream.settling import Settling, batches
from stream.tables import StoreTable

log = structlog.get_logger(__name__)

POLLS_TAKEN: Final = Counter("storepulse_polls_taken", "Polls taken from store-polls, repeats included")

_SLICE: Final = 512
"""Stores settled between two looks at the event loop; while one slice is being written, the next is settled."""
_BACKLOG_SECONDS: Final = 2.0
"""How long a flush waits, at most, while more news is in the log."""
_MOST_PENDING_POLLS: Final = 250_000
"""Polls in memory past which agents wait for a flush."""


@dataclass(slots=True)
class _Pending:
    """News of one partition, the positions it reaches to, and what to do when it is written."""

    news: dict[StoreId, News] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    sent: list[Awaitable[object]] = field(default_factory=list)
    acknowledge: list[Callable[[], object]] = field(default_factory=list)


class Ledgers:
    """The ledgers of all stores of the assigned partitions."""

    def __init__(self, table: StoreTable, partitions: int, retention_days: int, flush_seconds: float) -> None:
        self._table = table
        self._partitions = partitions
        self._settling = Settling(table, retention_days)
        self._flush_seconds = flush_seconds
        self._pending: dict[int, _Pending] = {}
        self._polls = 0
        self._waiting: set[tuple[str, int]] = set()
        self._news_came = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        table.recovered = self._on_recovered
        table.leaving = self.hurry
        table.keep_flushing = self.keep_flushing

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

    def forget_polls(self, partition: int, store_id: StoreId) -> None:
        """Forget the polls that came before this moment."""
        news = self.news_of(partition, store_id)
        news.forgets_polls = True
        del news.codes[:]

    async def taken(
        self,
        partition: int,
        topic: str,
        next_offset: int,
        sent: list[Awaitable[object]],
        acknowledge: Callable[[], object],
        *,
        more_waits: bool,
    ) -> None:
        """All news up to `next_offset` of a topic was added; acknowledge it once it is written.

        `sent` are messages on their way elsewhere (dead letters, strays) that must arrive before that. Where
        `more_waits` in the log, a flush can wait for it too: the more news a store has, the less each costs.
        Waits itself while too much is in memory.
        """
        pending = self._of(partition)
        pending.applied[topic] = next_offset
        pending.sent += sent
        pending.acknowledge.append(acknowledge)
        self._news_came.set()
        (self._waiting.add if more_waits else self._waiting.discard)((topic, partition))
        if self._waiting:
            self._caught_up.clear()
        else:
            self._caught_up.set()
        if self._polls > _MOST_PENDING_POLLS:
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
            await self._news_came.wait()
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

    async def flush(self) -> None:
        """Write all that is pending and acknowledge it."""
        for event in (self._news_came, self._caught_up, self._hurry):
            event.clear()
        POLLS_TAKEN.inc(self._polls)
        pending, self._pending, self._polls = self._pending, {}, 0
        for partition, batch in sorted(pending.items()):
            await self._flush(partition, batch)
        self._room.set()

    async def _flush(self, partition: int, pending: _Pending) -> None:
        await asyncio.gather(*pending.sent)
        writing, reached, recounts = None, decode_extent(self._table.get(partition, META_EXTENT)), False
        for part in batches(iter(pending.news.items()), _SLICE):
            settled = self._settling.settled(partition, part)
            changes, recounts = settled.changes, recounts or settled.forgotten.bounds(reached)
            if recounts:
                changes = {META_EXTENT: None, **changes}
            elif reached | settled.extent != reached:
                reached |= settled.extent
                changes = {META_EXTENT: encode_extent(reached), **changes}
            if writing is not None:
                await writing
            writing = asyncio.create_task(self._table.write(partition, changes)) if changes else None
            await asyncio.sleep(0)
        if writing is not None:
            await writing
        positions = self._positions(partition, pending.applied)
        if recounts:
            positions[META_EXTENT] = encode_extent(await self._settling.counted_extent(partition))
        await self._table.write(partition, positions)
        for acknowledge in pending.acknowledge:
            acknowledge()

    def _positions(self, partition: int, applied: dict[str, int]) -> dict[bytes, bytes | None]:
        changes: dict[bytes, bytes | None] = {
            applied_key(topic): str(offset).encode() for topic, offset in applied.items()
        }
        if self._table.get(partition, META_ZONE_DATABASE) is None:
            changes[META_ZONE_DATABASE] = ZONE_DATABASE.encode()
            changes[META_PARTITIONS] = str(self._partitions).encode()
        return changes

    async def _on_recovered(self, partition: int) -> None:
        """Add what an older version did not keep, and rebuild every head that was made with another zone database.

        See SPEC 2.4. Raises PartitionsAdded.
        """
        made_for = int(self._table.get(partition, META_PARTITIONS) or self._partitions)
        if made_for != self._partitions:
            raise PartitionsAdded(self._partitions, made_for)
        made_with = self._table.get(partition, META_ZONE_DATABASE)
        is_empty = next(self._table.keys(partition, HEAD_PREFIX), None) is None
        if not is_empty and self._table.get(partition, META_EXTENT) is None:
            reached = await self._settling.counted_extent(partition)
            await self._table.write(partition, {META_EXTENT: encode_extent(reached)})
        if made_with == ZONE_DATABASE.encode() or (made_with is None and is_empty):
            return
        log.info(
            "rebuilding for another zone database", partition=partition, was=made_with, now=ZONE_DATABASE
        )
        reached = decode_extent(self._table.get(partition, META_EXTENT))
        for keys in batches(self._table.keys(partition, HEAD_PREFIX), _SLICE):
            part = [
                (StoreId(key.removeprefix(HEAD_PREFIX).decode()), News(derives_anew=True)) for key in keys
            ]
            settled = self._settling.settled(partition, part)
            reached |= settled.extent
            await self._table.write(partition, {META_EXTENT: encode_extent(reached), **settled.changes})
        await self._table.write(partition, {META_ZONE_DATABASE: ZONE_DATABASE.encode()})

    def _of(self, partition: int) -> _Pending:
        return self._pending.get(partition) or self._pending.setdefault(partition, _Pending())
