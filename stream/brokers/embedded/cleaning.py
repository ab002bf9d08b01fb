"""How old records leave a partition: compaction and trimming.

Owns: which records may go, and the short steps in which they do, so that other processes are never kept
waiting for long. Must not know: topics by name, clocks.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from stream.brokers.embedded import rows
from stream.brokers.embedded.database import Database, records_table

STEP_ROWS: Final = 5_000
"""Rows that one transaction looks at."""

MAX_KEYS: Final = 500_000
"""Keys that a compaction holds in memory at once (75 MB); with more it goes over the partition again."""


class PartitionState(msgspec.Struct, frozen=True):
    """Where a partition ends and how far compaction has come."""

    end_offset: int
    clean_end: int
    clean_records: int

    @property
    def dirty_ratio(self) -> float:
        """Share of the records above `clean_end`, counting each offset as one record."""
        dirty = self.end_offset - self.clean_end
        return dirty / (dirty + self.clean_records) if dirty else 0.0


def state_of(db: sqlite3.Connection, partition_id: int) -> PartitionState:
    """The partition's row in the table of partitions."""
    row = db.execute(
        "SELECT end_offset, clean_end, clean_records FROM partitions WHERE id = ?", (partition_id,)
    ).fetchone()
    return PartitionState(*row)


def compact(
    database: Database, partition_id: int, tombstones_before_ms: int, max_keys: int = MAX_KEYS
) -> int:
    """Do what `EmbeddedLog.compact` says, as Kafka does: find each new key's last offset, then sweep."""
    with database.reading() as db:
        state = state_of(db, partition_id)
    removed = 0
    while state.clean_end < state.end_offset:
        last_offsets, swept_to = _last_offsets(database, partition_id, state, max_keys)
        gone, left = _sweep(database, partition_id, last_offsets, swept_to, tombstones_before_ms)
        removed += gone
        with database.transaction() as db:
            db.execute(
                "UPDATE partitions SET clean_end = ?, clean_records = ? WHERE id = ? AND clean_end < ?",
                (swept_to, left, partition_id, swept_to),
            )
        state = PartitionState(state.end_offset, swept_to, left)
    return removed


def trim(database: Database, partition_id: int, before_offset: int, older_than_ms: int) -> int:
    """Do what `EmbeddedLog.trim` says.

    Timestamps need not be in order: a step looks at the next `STEP_ROWS` records and removes the old ones
    among them. The first step without an old record is the last, so a stray record from the future stays
    without keeping those behind it.
    """
    removed = 0
    for _, step in _steps(database, partition_id, 0, before_offset):
        old = [row.offset for row in step if row.timestamp_ms < older_than_ms]
        if not old:
            break
        _delete(database, partition_id, old)
        removed += len(old)
    return removed


def _last_offsets(
    database: Database, partition_id: int, state: PartitionState, max_keys: int
) -> tuple[dict[bytes, int], int]:
    """Last offset of each key above `clean_end`, and the offset up to which it was looked."""
    last_offsets: dict[bytes, int] = {}
    for next_offset, step in _steps(database, partition_id, state.clean_end, state.end_offset):
        last_offsets.update((row.key_digest, row.offset) for row in step if row.key_digest is not None)
        if len(last_offsets) >= max_keys:
            return last_offsets, next_offset
    return last_offsets, state.end_offset


def _sweep(
    database: Database,
    partition_id: int,
    last_offsets: dict[bytes, int],
    swept_to: int,
    tombstones_before_ms: int,
) -> tuple[int, int]:
    """Remove what is replaced below `swept_to`: how many records went, and how many are left there."""
    gone = left = 0
    for _, step in _steps(database, partition_id, 0, swept_to):
        doomed = []
        for row in step:
            if row.key_digest is None:
                continue
            is_replaced = last_offsets.get(row.key_digest, -1) > row.offset
            is_spent = row.is_tombstone and row.timestamp_ms < tombstones_before_ms
            if is_replaced or is_spent:
                doomed.append(row.offset)
        _delete(database, partition_id, doomed)
        gone += len(doomed)
        left += len(step) - len(doomed)
    return gone, left


def _steps(
    database: Database, partition_id: int, from_offset: int, to_offset: int
) -> Iterator[tuple[int, list[rows.Sketch]]]:
    """Records of [from_offset, to_offset) in steps, each with the offset after it; values are not read."""
    while True:
        with database.reading() as db:
            step = rows.sketch(db, records_table(partition_id), from_offset, to_offset, STEP_ROWS)
        if not step:
            return
        from_offset = step[-1].offset + 1
        yield from_offset, step


def _delete(database: Database, partition_id: int, offsets: list[int]) -> None:
    """Remove the records at `offsets`, but never the partition's last one."""
    if not offsets:
        return
    with database.transaction() as db:
        last = state_of(db, partition_id).end_offset - 1
        rows.delete(db, records_table(partition_id), [offset for offset in offsets if offset != last])
