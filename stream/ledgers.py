"""What was said of stores and is not yet in the table: collected, settled, written, then acknowledged.

Owns: write-behind. News of stores gathers in memory for a moment; a flush merges it into each store's
ledger, writes the changed rows in batches, and only then acknowledges the events it came from. Must not
know: topics' JSON (stream.agents), RocksDB (stream.tables), arithmetic (stream.core).

    agents ── news ──▶ pending[partition][store] ── flush ──▶ merge ──▶ table.write ──▶ acknowledge

A crash loses only news that was never acknowledged: the broker delivers it again, and merging a poll twice
changes nothing. Of one store the head is written before its pages: whatever prefix of that is in a
changelog, delivering the same news again leads to the same rows (stream.core.ledger.Settled).
"""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
import structlog
from prometheus_client import Counter

from schemas.state import (
    EMPTY_HEAD,
    HEAD_PREFIX,
    META_PARTITIONS,
    META_ZONE_DATABASE,
    NO_INTS,
    Int64s,
    applied_key,
    decode_head,
    decode_pages,
    encode_head,
    encode_pages,
    head_key,
    page_key,
    pages_prefix,
)
from schemas.values import StoreId, Week
from stream.core.clock import ZONE_DATABASE
from stream.core.ledger import LoadPages, forget_polls, merge, reschedule
from stream.errors import PartitionsAdded
from stream.tables import StoreTable

log = structlog.get_logger(__name__)

POLLS_TAKEN: Final = Counter("storepulse_polls_taken", "Polls taken from store-polls, repeats included")

_SLICE: Final = 256
"""Stores settled between two looks at the event loop; while one slice is being written, the next is settled."""
_BACKLOG_SECONDS: Final = 2.0
"""How long a flush waits, at most, while more news is in the log."""
_MOST_PENDING_POLLS: Final = 250_000
"""Polls in memory past which agents wait for a flush."""


class _Unchanged:
    """Stands where news says nothing of a zone or a week."""


_UNCHANGED: Final = _Unchanged()


@dataclass(slots=True)
class News:
    """What was said of one store since it was last settled."""

    forgets_polls: bool = False
    codes: "array[int]" = field(default_factory=partial(array, "q"))
    zone: str | _Unchanged | None = _UNCHANGED
    week: Week | _Unchanged | None = _UNCHANGED


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
        self._retention_days = retention_days
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
                await asyncio.wait_for(self._a_reason_to_flush(), _BACKLOG_SECONDS)
            except TimeoutError:
                self._waiting.clear()  # some may be of partitions that left
            await self.flush()

    async def _a_reason_to_flush(self) -> None:
        """Returns a moment after all that is in the log was taken, or at once in a hurry."""
        await self._caught_up.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._flush_seconds)

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
        stores, writing = iter(pending.news.items()), None
        while part := list(islice(stores, _SLICE)):
            changes: dict[bytes, bytes | None] = {}
            for store_id, news in part:
                self._settle(partition, store_id, news, changes)
            if writing is not None:
                await writing
            writing = asyncio.create_task(self._table.write(partition, changes)) if changes else None
            await asyncio.sleep(0)
        if writing is not None:
            await writing
        await self._table.write(partition, self._positions(partition, pending.applied))
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

    def _settle(
        self, partition: int, store_id: StoreId, news: News, changes: dict[bytes, bytes | None]
    ) -> None:
        """Add to `changes` what the news of one store does to its rows."""
        load: LoadPages = partial(self._load_pages, partition, store_id)
        stored = self._table.get(partition, head_key(store_id))
        head, dropped = decode_head(stored) if stored else EMPTY_HEAD, dict[bytes, bytes | None]()
        if news.forgets_polls:
            head = forget_polls(head)
            dropped = dict.fromkeys(self._table.keys(partition, pages_prefix(store_id)))
            load = _no_pages
        zone = head.zone if isinstance(news.zone, _Unchanged) else news.zone
        week = head.week if isinstance(news.week, _Unchanged) else news.week
        if (zone, week) != (head.zone, head.week):
            head = reschedule(head, zone, week, load)
        pages: dict[bytes, bytes | None] = {}
        if news.codes:
            settled = merge(head, np.frombuffer(news.codes, np.int64), load, self._retention_days)
            head = settled.head
            dropped.update((page_key(store_id, day), None) for day in settled.dropped)
            pages.update((page_key(store_id, day), page) for day, page in encode_pages(settled.pages).items())
        row = encode_head(head) if head.is_known else None
        if row != stored:
            changes[head_key(store_id)] = row
        changes.update(dropped)
        changes.update(pages)

    async def _on_recovered(self, partition: int) -> None:
        """Rebuild every head that was made with another zone database (SPEC 2.4). Raises PartitionsAdded."""
        made_for = int(self._table.get(partition, META_PARTITIONS) or self._partitions)
        if made_for != self._partitions:
            raise PartitionsAdded(self._partitions, made_for)
        made_with = self._table.get(partition, META_ZONE_DATABASE)
        is_empty = next(self._table.keys(partition, HEAD_PREFIX), None) is None
        if made_with == ZONE_DATABASE.encode() or (made_with is None and is_empty):
            return
        log.info(
            "rebuilding for another zone database", partition=partition, was=made_with, now=ZONE_DATABASE
        )
        for keys in _batches(self._table.keys(partition, HEAD_PREFIX), _SLICE):
            await self._table.write(partition, {key: self._rebuilt(partition, key) for key in keys})
        await self._table.write(partition, {META_ZONE_DATABASE: ZONE_DATABASE.encode()})

    def _rebuilt(self, partition: int, key: bytes) -> bytes:
        store_id = StoreId(key.removeprefix(HEAD_PREFIX).decode())
        head = decode_head(self._table.get(partition, key) or b"")
        return encode_head(
            reschedule(
                head,
                head.zone,
                head.week,
                partial(self._load_pages, partition, store_id),
            )
        )

    def _load_pages(self, partition: int, store_id: StoreId, days: list[int]) -> Int64s:
        if not days:
            return NO_INTS
        values = self._table.get_many(partition, [page_key(store_id, day) for day in days])
        return decode_pages({day: page for day, page in zip(days, values, strict=True) if page is not None})

    def _of(self, partition: int) -> _Pending:
        return self._pending.get(partition) or self._pending.setdefault(partition, _Pending())


def _no_pages(_: list[int]) -> Int64s:
    return NO_INTS


def _batches(keys: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while batch := list(islice(keys, size)):
        yield batch
