"""The rows of a RocksDB, read to their true end.

Owns: iterating, and telling the end of the rows from a fault. Must not know: what rows mean, who writes them.

    rows  ─ ─ ─ ─ block ─ ─ ─ ─ ┆ broken block ┆ ─ ─ ─ ─ block ─ ─ ─ ─ end
                                ▲                                      ▲
                   not valid, status() raises             not valid, status() is silent

At both RocksDB's iterator is just not valid any more. The `items`, `keys` and `values` of rocksdict never ask for
the status: to them the rows end at the fault. So whoever scans does it here, or ends with `check_nothing_after`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import rocksdict

Table = rocksdict.Rdict
"""What rows are read from."""


class RowsUnreadable(Exception):
    """The table at `path` has rows that RocksDB cannot read; `cause` is its text."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            f"the table {path} is broken, some of its rows cannot be read ({cause}): look at the disk; then stop "
            "whoever writes it, move that folder away and start again, which rebuilds it from the changelog"
        )
        self.path = path
        self.cause = cause


def rows_of(
    table: Table, from_key: bytes = b"", options: rocksdict.ReadOptions | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """The rows from a key on, ascending. Raises RowsUnreadable."""
    rows = table.iter(read_opt=options)
    rows.seek(from_key)
    while rows.valid():
        yield rows.key(), rows.value()
        rows.next()
    _check_end(rows, table)


def keys_of(table: Table, from_key: bytes = b"") -> Iterator[bytes]:
    """The keys from a key on, ascending. Raises RowsUnreadable."""
    rows = table.iter()
    rows.seek(from_key)
    while rows.valid():
        yield rows.key()
        rows.next()
    _check_end(rows, table)


def rows_within(table: Table, ranges: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The rows of some ranges [from_key, last_key], read with one iterator. Raises RowsUnreadable.

    Where there is a row under `last_key`, nothing behind it is looked at: it may be broken, or long deleted.
    """
    found, rows = {}, table.iter()
    for from_key, last_key in ranges:
        rows.seek(from_key)
        while rows.valid() and (key := rows.key()) <= last_key:
            found[key] = rows.value()
            if key == last_key:
                break
            rows.next()
        if not rows.valid():
            _check_end(rows, table)
    return found


def first_value(table: Table, from_key: bytes, options: rocksdict.ReadOptions) -> bytes | None:
    """The value of the first row from a key on, None where there is none. Raises RowsUnreadable."""
    rows = table.iter(read_opt=options)
    rows.seek(from_key)
    if rows.valid():
        return cast(bytes, rows.value())
    _check_end(rows, table)
    return None


def check_nothing_after(key: bytes, table: Table, options: rocksdict.ReadOptions) -> None:
    """Raises RowsUnreadable where a scan that ended at `key`, with the same options, has not come to the end.

    Only of a table that nobody has written, or caught up, since that scan began.
    """
    rows = table.iter(read_opt=options)
    rows.seek(key)
    if rows.valid() and rows.key() == key:
        rows.next()
    if rows.valid():
        raise RowsUnreadable(Path(table.path()), "some were read at the second attempt only")
    _check_end(rows, table)


def _check_end(rows: rocksdict.RdictIter, table: Table) -> None:
    """Raises RowsUnreadable where `rows`, which are not valid any more, stopped at a fault."""
    try:
        rows.status()
    except Exception as error:  # rocksdict has no narrower one
        raise RowsUnreadable(Path(table.path()), str(error)) from error
