"""From the changelog back to tables: restoring them whole, and following it flush by flush.

Owns: which rows are applied together, and when a table may be taken for whole. Must not know: which broker carries
the changelog (`ChangelogReader`), what rows mean (schemas.rows), Faust.

    changelog   r r r P | r r P | r r …          r  a row      P  the row of positions, the last of each flush
                ───────── ───────
                one flush, applied as one

*Restoring*: rows are applied as they come, because nobody reads a table that is not whole. *Following*: rows are
held back until the one that ends their flush. Compaction removes rows, and then what is left of a flush is less
than was written; it shows as a hole in the offsets. Whoever meets one takes the table for not whole until it
has read as far as the changelog reached at that moment: what replaced the missing rows stands before that.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from schemas.compatibility import NewerState
from schemas.rows.facts import TOPICS_KEY, decode_topics
from schemas.rows.kinds import MalformedRow, check_row
from schemas.rows.positions import ends_flush
from schemas.table_scans import Table
from schemas.topics import CHANGELOG
from stream.brokers.ports import ChangelogReader, Stretch
from stream.brokers.records import Record
from stream.errors import ChangelogCut, MalformedChangelog
from stream.tables.rocks import NOTE_SECONDS, begin_restore, finish_restore, stored_offset, write_rows

log = structlog.get_logger(__name__)

READ_SECONDS: Final = 0.5
"""How long a read waits where there is nothing to be read."""
_HELD_BYTES: Final = 4 << 20
_HELD_ROWS: Final = 20_000
"""Rows held back by a restore, of one partition; past either they are applied before their flush ends."""
_SAY_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Partition:
    """One partition on its way from the changelog into its table."""

    table: Table
    position: int
    target: int | None
    """The end that was asked for, while the table is not whole."""
    asked_s: float
    may_begin_at: int
    """The greatest offset that the next record may have, unless compaction took some away."""
    held: list[Record] = field(default_factory=list)
    held_bytes: int = 0
    is_torn: bool = False
    """Whether the end of the flush that was applied last is still to come."""

    def hold(self, records: Sequence[Record]) -> None:
        self.held += records
        self.held_bytes += sum(len(record.value or b"") for record in records)

    def apply(self, count: int) -> None:
        """Write the first `count` of the rows that are held back."""
        rows, self.held = self.held[:count], self.held[count:]
        self.held_bytes = sum(len(record.value or b"") for record in self.held)
        if rows:
            # a held row has a key: check_row has seen to that
            write_rows(self.table, [(row.key or b"", row.value) for row in rows], rows[-1].offset)
            self.is_torn = not _ends_flush(rows[-1])


class Follower:
    """Brings tables up to the changelog, once or for ever."""

    def __init__(self, reader: ChangelogReader, *, skip_malformed: bool) -> None:
        self._reader = reader
        self._skip_malformed = skip_malformed
        self._partitions: dict[int, _Partition] = {}
        self._ends = reader.readable_ends
        self._said_s = 0.0

    async def restore(self, tables: Mapping[int, Table]) -> int:
        """Bring tables to the end of the changelog as it is now; how many records that took.

        For whoever has fenced out all other writers: what stands at the end without the row that ends a flush will
        never be ended, and is applied. A transaction that is open all the same is a stranger's; our rows may stand
        behind it, so it is waited for. Raises MalformedChangelog, NewerState, and what broker and RocksDB raise.
        """
        self._ends = self._reader.ends
        await self._begin(tables)
        began_s, count = time.monotonic(), 0
        self._said_s = began_s
        while any(each.target is not None for each in self._partitions.values()):
            count += await self._step(is_final=True)
            self._say_progress()
        await self._reader.begin({})
        if count:
            log.info("tables restored", records=count, seconds=round(time.monotonic() - began_s, 2))
        return count

    async def follow(self, tables: Mapping[int, Table]) -> None:
        """Follow until cancelled; nothing waits for a transaction that is open. Raises as `restore` does."""
        self._ends = self._reader.readable_ends
        await self._begin(tables)
        self._said_s = noted_s = time.monotonic()
        while True:
            await self._step(is_final=False)
            self._say_progress()
            if time.monotonic() - noted_s > NOTE_SECONDS:
                noted_s = time.monotonic()
                await self._note_complete()

    async def _note_complete(self) -> None:
        """Note of each table that has all there is that it has, also where nothing is written for days."""
        asked_s, ends = time.time(), await self._ends(self._partitions)
        for partition, each in self._partitions.items():
            if each.target is None and not each.held and each.position >= ends[partition]:
                finish_restore(each.table, each.position, asked_s)

    async def _begin(self, tables: Mapping[int, Table]) -> None:
        asked_s = time.time()
        ends = await self._ends(tables) if tables else {}
        self._partitions = {}
        for partition, table in tables.items():
            offset = stored_offset(table)
            position = 0 if offset is None else offset + 1
            if position < ends[partition]:
                begin_restore(table, ends[partition])
            else:
                finish_restore(table, position, asked_s)
            target = ends[partition] if position < ends[partition] else None
            self._partitions[partition] = _Partition(table, position, target, asked_s, position + 1)
        await self._reader.begin({number: each.position for number, each in self._partitions.items()})

    async def _step(self, *, is_final: bool) -> int:
        """Read once and take in what came; how many records that were."""
        stretches = await self._reader.read(READ_SECONDS)
        count = 0
        for stretch in stretches:
            each = self._partitions.get(stretch.partition)
            if each is None or stretch.position == each.position:
                continue
            if stretch.position < each.position:
                raise ChangelogCut(stretch.partition, each.position)
            has_hole, each.may_begin_at = _has_hole(each.may_begin_at, stretch)
            if each.target is None and has_hole:
                await self._read_past_hole(stretch.partition, each)
            await _finished(asyncio.to_thread(self._take, each, stretch, is_final=is_final))
            count += len(stretch.records)
        return count

    async def _read_past_hole(self, partition: int, each: _Partition) -> None:
        log.info("reading on behind a hole in the changelog", partition=partition)
        each.asked_s = time.time()
        each.target = (await self._ends([partition]))[partition]
        begin_restore(each.table, each.target)

    def _take(self, each: _Partition, stretch: Stretch, *, is_final: bool) -> None:
        before = len(each.held)
        each.hold([record for record in stretch.records if self._is_row(record)])
        each.position = stretch.position
        ended = _flushes_end(each.held, before)
        if each.target is None:
            each.apply(ended)
            return
        has_all = each.position >= each.target
        is_full = each.held_bytes > _HELD_BYTES or len(each.held) >= _HELD_ROWS
        each.apply(len(each.held) if (has_all and is_final) or is_full else ended)
        if has_all and not each.held and (is_final or not each.is_torn):
            finish_restore(each.table, each.position, each.asked_s)
            each.target = None

    def _is_row(self, record: Record) -> bool:
        """Whether a changelog record is a row of ours. Raises MalformedChangelog, NewerState."""
        try:
            check_row(record.key, record.value)
        except NewerState as error:
            place = f"{CHANGELOG}, partition {record.partition}, offset {record.offset}"
            raise error.found_in(f"row at {place},") from None
        except MalformedRow as error:
            found = MalformedChangelog(CHANGELOG, record.partition, record.offset, error)
            if not self._skip_malformed:
                raise found from None
            log.error("left out", fault=str(found))
            return False
        return True

    def _say_progress(self) -> None:
        """Say now and then what is missing, also where somebody else's open transaction keeps us waiting."""
        now_s = time.monotonic()
        missing = {
            number: f"{each.position} of {each.target}"
            for number, each in self._partitions.items()
            if each.target is not None
        }
        if not missing:
            self._said_s = now_s
        elif now_s - self._said_s > _SAY_SECONDS:
            self._said_s = now_s
            log.info(
                "restoring tables from the changelog", **{f"partition_{at}": of for at, of in missing.items()}
            )


def changelog_of(table: Table) -> str | None:
    """The id of the changelog that a table is of; None where it does not say."""
    return decode_topics(table.get(TOPICS_KEY)).get(CHANGELOG)


def is_of_another(table: Table, changelog_id: str | None) -> bool:
    """Whether a table is of another changelog than this one; not, where either does not say which it is."""
    made_from = changelog_of(table)
    return None not in (made_from, changelog_id) and made_from != changelog_id


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end also where we are cancelled: whoever comes next must not meet a write of ours."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # more than one may give us up
                await asyncio.wait({task})
        raise


def _ends_flush(record: Record) -> bool:
    """Whether this is the last row of its flush. A migration deletes positions of format 1 in the midst of one."""
    return record.value is not None and ends_flush(record.key or b"")


def _flushes_end(held: Sequence[Record], known: int) -> int:
    """How many of the held rows belong to flushes that are whole; none of the first `known` ends one."""
    for index in range(len(held) - 1, known - 1, -1):
        if _ends_flush(held[index]):
            return index + 1
    return 0


def _has_hole(may_begin_at: int, stretch: Stretch) -> tuple[bool, int]:
    """Whether offsets are missing that no marker explains, and the greatest offset that comes next without a hole.

    A flush is one transaction, and that has one marker: behind the row that ends it one offset may be missing.
    """
    has_hole = False
    for record in stretch.records:
        has_hole = has_hole or record.offset > may_begin_at
        may_begin_at = record.offset + (2 if _ends_flush(record) else 1)
    return has_hole or stretch.position > may_begin_at, max(may_begin_at, stretch.position)
