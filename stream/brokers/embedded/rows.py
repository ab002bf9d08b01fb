"""Many rows in few steps, between SQLite and Python.

Python lets go of its global lock at every step of a statement, that is at every row. In a process whose event
loop is busy, the thread at the log may then wait 5 ms to get it back, a row: 1,000 rows took up to 14 s. So
rows are inserted hundreds to a statement, and read as one text that SQLite puts together. Such a text takes some
times the memory of what is in it, so large rows are read one by one, and those that are too large not at all.

Owns: the columns of a table of records. Must not know: topics, offsets' meaning, transactions.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

Row = tuple[int, int, bytes | None, bytes | None, bytes | None]
"""Offset, timestamp in milliseconds, key, value, headers."""

COLUMNS: Final = (
    "offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key BLOB, value BLOB, headers BLOB"
)

_CHUNKS: Final = (256, 64, 16, 4, 1)
"""Rows to a statement: the largest that fits comes first, so that few different statements are prepared."""


_SIZE: Final = "ifnull(length(key), 0) + ifnull(length(value), 0) + ifnull(length(headers), 0)"
_LARGE_BYTES: Final = 1 << 16
"""A row from this size on is read alone."""
_IS_LARGE: Final = -2
"""Stands for the length of such a row's key."""
_LONG_KEY_BYTES: Final = 1024
_BLOB_BYTES: Final = 1 << 20
"""How much of a long key is in memory at a time."""


class Sketch(msgspec.Struct, frozen=True, gc=False):
    """A record without its value, and with 16 bytes that stand for its key."""

    offset: int
    timestamp_ms: int
    is_tombstone: bool
    key_digest: bytes | None


class Oversized(msgspec.Struct, frozen=True, gc=False):
    """A row that is too large to be read: its sizes in bytes, and its key where that is not large."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    key_bytes: int
    value_bytes: int


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


def select(  # noqa: PLR0917  # where, and three bounds
    db: sqlite3.Connection, table: str, from_offset: int, max_records: int, max_bytes: int, max_row_bytes: int
) -> list[Row | Oversized]:
    """Rows from `from_offset` on: at most `max_records`, none once those before it hold `max_bytes`.

    Of a row of more than `max_row_bytes`, only what tells of it.
    """
    to_offset, largest = db.execute(
        f"""
        SELECT max(offset), max(size) FROM (
            SELECT offset, size, sum(size) OVER (ORDER BY offset) - size AS bytes_before FROM (
                SELECT offset, {_SIZE} AS size FROM {table} WHERE offset >= ? ORDER BY offset LIMIT ?
            )
        ) WHERE bytes_before < ?
        """,
        (from_offset, max_records, max_bytes),
    ).fetchone()
    if to_offset is None:
        return []
    is_small = "1" if largest < _LARGE_BYTES else f"{_SIZE} < {_LARGE_BYTES}"
    sizes, content = db.execute(
        f"""
        SELECT group_concat(sizes, ','), group_concat(content, '') FROM (
            SELECT
                offset || ',' || timestamp_ms || ',' || CASE WHEN {is_small}
                    THEN ifnull(length(key), -1) || ',' || ifnull(length(value), -1) || ','
                        || ifnull(length(headers), -1)
                    ELSE '{_IS_LARGE},0,0' END AS sizes,
                CASE WHEN {is_small} THEN hex(key) || hex(value) || hex(headers) ELSE '' END AS content
            FROM {table} WHERE offset BETWEEN ? AND ? ORDER BY offset
        )
        """,
        (from_offset, to_offset),
    ).fetchone()
    return list(_rows(db, table, sizes, bytes.fromhex(content), max_row_bytes)) if sizes else []


def sketch(
    db: sqlite3.Connection, table: str, from_offset: int, to_offset: int, max_records: int
) -> list[Sketch]:
    """The first `max_records` of [from_offset, to_offset), without their values."""
    (listing,) = db.execute(
        f"""
        SELECT group_concat(line, ';') FROM (
            SELECT offset || ',' || timestamp_ms || ',' || (length(value) IS NULL) || ',' || CASE
                WHEN length(key) IS NULL THEN '-'
                WHEN length(key) > {_LONG_KEY_BYTES} THEN '+'
                ELSE hex(key) END AS line
            FROM {table} WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?
        )
        """,
        (from_offset, to_offset, max_records),
    ).fetchone()
    return [_sketch(db, table, *line.split(",")) for line in listing.split(";")] if listing else []


def _rows(
    db: sqlite3.Connection, table: str, sizes: str, content: bytes, max_row_bytes: int
) -> Iterator[Row | Oversized]:
    fields = iter([int(field) for field in sizes.split(",")])
    at = 0
    for offset, timestamp_ms, *lengths in zip(fields, fields, fields, fields, fields, strict=True):
        if lengths[0] == _IS_LARGE:
            yield _large_row(db, table, offset, max_row_bytes)
            continue
        pieces: list[bytes | None] = []
        for length in lengths:
            if length < 0:
                pieces.append(None)
            else:
                pieces.append(content[at : at + length])
                at += length
        key, value, headers = pieces
        yield offset, timestamp_ms, key, value, headers


def _large_row(db: sqlite3.Connection, table: str, offset: int, max_row_bytes: int) -> Row | Oversized:
    """The row at `offset`, read alone; of one that is too large, what tells of it."""
    timestamp_ms, size, key_bytes, value_bytes = db.execute(
        f"SELECT timestamp_ms, {_SIZE}, ifnull(length(key), 0), ifnull(length(value), 0)"
        f" FROM {table} WHERE offset = ?",
        (offset,),
    ).fetchone()
    if size > max_row_bytes:
        key = "key" if key_bytes < _LARGE_BYTES else "NULL"
        (kept,) = db.execute(f"SELECT {key} FROM {table} WHERE offset = ?", (offset,)).fetchone()
        return Oversized(offset, timestamp_ms, kept, key_bytes, value_bytes)
    key, value, headers = db.execute(
        f"SELECT key, value, headers FROM {table} WHERE offset = ?", (offset,)
    ).fetchone()
    return offset, timestamp_ms, key, value, headers


def _sketch(  # noqa: PLR0917  # a row's own columns
    db: sqlite3.Connection, table: str, offset: str, timestamp_ms: str, is_tombstone: str, key: str
) -> Sketch:
    digest = hashlib.blake2b(digest_size=16)
    if key == "+":
        with db.blobopen(table, "key", int(offset), readonly=True) as blob:
            while piece := blob.read(_BLOB_BYTES):
                digest.update(piece)
    elif key != "-":
        digest.update(bytes.fromhex(key))
    return Sketch(
        int(offset), int(timestamp_ms), is_tombstone == "1", None if key == "-" else digest.digest()
    )
