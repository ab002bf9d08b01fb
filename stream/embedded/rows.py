"""Many rows in few steps, between SQLite and Python.

Python lets go of its global lock at every step of a statement, that is at every row. In a process whose event
loop is busy, the thread at the log may then wait 5 ms to get it back, a row: 1,000 rows took up to 14 s. So
rows are inserted hundreds to a statement, and read as one text that SQLite puts together.

Owns: the columns of a table of records. Must not know: topics, offsets' meaning, transactions.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

Row = tuple[int, int, bytes | None, bytes | None, bytes | None]
"""Offset, timestamp in milliseconds, key, value, headers."""

COLUMNS: Final = (
    "offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB"
)

_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Rows to a statement: the largest that fits comes first, so that few different statements are prepared."""


class Sketch(msgspec.Struct, frozen=True, gc=False):
    """A record without its value."""

    offset: int
    timestamp_ms: int
    is_tombstone: bool
    key: bytes | None


def insert(db: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    """Add `rows` to `table`."""
    start = 0
    for size in _CHUNKS:
        statement = f"INSERT INTO {table} VALUES " + ",".join(["(?,?,?,?,?)"] * size)
        while len(rows) - start >= size:
            db.execute(statement, [field for row in rows[start : start + size] for field in row])
            start += size


def delete(db: sqlite3.Connection, table: str, offsets: Sequence[int]) -> None:
    """Remove the records at `offsets` from `table`."""
    db.execute(
        f"DELETE FROM {table} WHERE offset IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(offsets).decode(),),
    )


def select(
    db: sqlite3.Connection, table: str, from_offset: int, max_records: int, max_bytes: int
) -> list[Row]:
    """Rows from `from_offset` on: at most `max_records`, none once those before it hold `max_bytes`."""
    (to_offset,) = db.execute(
        f"""
        SELECT max(offset) FROM (
            SELECT offset, sum(size) OVER (ORDER BY offset) - size AS bytes_before FROM (
                SELECT offset, ifnull(length(key), 0) + ifnull(length(value), 0) AS size
                FROM {table} WHERE offset >= ? ORDER BY offset LIMIT ?
            )
        ) WHERE bytes_before < ?
        """,
        (from_offset, max_records, max_bytes),
    ).fetchone()
    if to_offset is None:
        return []
    sizes, content = db.execute(
        f"""
        SELECT
            group_concat(offset || ',' || timestamp_ms || ',' || ifnull(length(key), -1) || ','
                || ifnull(length(value), -1) || ',' || ifnull(length(headers), -1), ','),
            group_concat(hex(key) || hex(value) || hex(headers), '')
        FROM (SELECT * FROM {table} WHERE offset BETWEEN ? AND ? ORDER BY offset)
        """,
        (from_offset, to_offset),
    ).fetchone()
    return _rows(sizes, bytes.fromhex(content)) if sizes else []


def sketch(
    db: sqlite3.Connection, table: str, from_offset: int, to_offset: int, max_records: int
) -> list[Sketch]:
    """The first `max_records` of [from_offset, to_offset), without their values."""
    (listing,) = db.execute(
        f"""
        SELECT group_concat(
            offset || ',' || timestamp_ms || ',' || (value IS NULL) || ','
                || CASE WHEN key IS NULL THEN '-' ELSE hex(key) END, ';')
        FROM (
            SELECT * FROM {table} WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?
        )
        """,
        (from_offset, to_offset, max_records),
    ).fetchone()
    return [_sketch(*line.split(",")) for line in listing.split(";")] if listing else []


def _rows(sizes: str, content: bytes) -> list[Row]:
    fields = iter([int(field) for field in sizes.split(",")])
    found: list[Row] = []
    at = 0
    for offset, timestamp_ms, *lengths in zip(fields, fields, fields, fields, fields, strict=True):
        pieces: list[bytes | None] = []
        for length in lengths:
            if length < 0:
                pieces.append(None)
            else:
                pieces.append(content[at : at + length])
                at += length
        key, value, headers = pieces
        found.append((offset, timestamp_ms, key, value, headers))
    return found


def _sketch(offset: str, timestamp_ms: str, is_tombstone: str, key: str) -> Sketch:
    return Sketch(
        int(offset), int(timestamp_ms), is_tombstone == "1", None if key == "-" else bytes.fromhex(key)
    )
