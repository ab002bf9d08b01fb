"""Reading ranges of tables, fast, and in one order over all partitions.

Owns: how far to read, and how much ahead. Must not know: what the rows say, when tables catch up. All that reads
here raises schemas.table_scans.RowsUnreadable where a table is broken.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import rocksdict

from schemas.rows.day_blocks import day_blocks_prefix
from schemas.rows.summaries import FIRST_SUMMARY, SUMMARIES_END
from schemas.table_scans import Table, check_nothing_after, first_value, rows_of
from schemas.values import StoreId

_DAY_BYTES: Final = 4
_DAY_BYTES_AND_NUL: Final = _DAY_BYTES + 1
_READ_AHEAD_BYTES: Final = 2 * 1024 * 1024


def summary_scan(table: Table) -> "SummaryScan":
    """All summaries of one table."""
    options = until(SUMMARIES_END)
    return SummaryScan(table, table.items(from_key=FIRST_SUMMARY, read_opt=options), options)


def value_of(table: Table, key: bytes) -> bytes | None:
    """The value of one row, None where there is none: the one that a scan would find.

    Not by `table.get`: where the primary has moved rows to a file that it wrote after the secondary last read its
    log, RocksDB's get finds the older value in the secondary's memory first. An iterator takes the newest.
    """
    return first_value(table, key, until(key + b"\0"))


def rows_from(table: Table, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """The few rows whose keys begin with `prefix`, which ends in NUL."""
    return list(rows_of(table, prefix, until(prefix[:-1] + b"\1")))


def day_block_rows(table: Table, first: str, last: str) -> Iterator[tuple[bytes, int, bytes]]:
    """The day blocks of the stores from one to another, ascending: id, UTC day and value of each."""
    options = until(day_blocks_prefix(StoreId(last))[:-1] + b"\1")
    for key, value in rows_of(table, day_blocks_prefix(StoreId(first)), options):
        yield key[1:-_DAY_BYTES_AND_NUL], int.from_bytes(key[-_DAY_BYTES:], "big"), value


def until(to_key: bytes) -> rocksdict.ReadOptions:
    """Read on up to, and without, a key.

    Whoever iterates must hold on to the options: the iterator reads the key from their memory.
    """
    options = rocksdict.ReadOptions()
    options.set_iterate_upper_bound(to_key)
    options.set_readahead_size(_READ_AHEAD_BYTES)
    return options


@dataclass(slots=True)
class SummaryScan:
    """The rows of one table from a key on, and those read that are not yet handed out."""

    table: Table
    more: Iterator[Any]
    options: rocksdict.ReadOptions
    last: bytes = FIRST_SUMMARY
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def fill(self, size: int) -> None:
        """Read on until there are `size` rows, or the table ends.

        No list of tuples: that would be work for the garbage collector, row by row. And rocksdict's `items`, though
        its end must be looked into: an iterator that is asked for its status takes a tenth longer.
        """
        add_key, add_value = self.keys.append, self.values.append
        for key, value in islice(self.more, size - len(self.keys)):
            add_key(key)
            add_value(value)
        self.last = self.keys[-1] if self.keys else self.last
        if len(self.keys) < size:
            check_nothing_after(self.last, self.table, self.options)

    def take(self, bound: bytes | None) -> tuple[list[bytes], list[bytes]]:
        """Hand out the rows up to a key (None: all)."""
        end = len(self.keys) if bound is None else bisect_right(self.keys, bound)
        taken = self.keys[:end], self.values[:end]
        del self.keys[:end], self.values[:end]
        return taken


def ascending(scans: Sequence[SummaryScan], size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The rows of several ascending scans as one ascending sequence, in parts of up to `size` rows.

    Rows are final up to the least of the last keys read from the scans that may have more to give.
    """
    share = max(1, size // max(1, len(scans)))
    while True:
        for scan in scans:
            scan.fill(share)
        bound = min((scan.keys[-1] for scan in scans if len(scan.keys) == share), default=None)
        parts = [part for scan in scans if (part := scan.take(bound))[0]]
        if not parts:
            return
        yield parts[0] if len(parts) == 1 else _in_order(parts)


def _in_order(parts: Sequence[tuple[list[bytes], list[bytes]]]) -> tuple[list[bytes], list[bytes]]:
    keys = [key for part in parts for key in part[0]]
    values = [value for part in parts for value in part[1]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [keys[i] for i in order], [values[i] for i in order]
