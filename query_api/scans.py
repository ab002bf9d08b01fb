"""Reading ranges of tables, fast, and in one order over all partitions.

Owns: RocksDB iterators and what they need. Must not know: what the rows say, when tables catch up.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import rocksdict

from schemas.state import HEAD_END, HEAD_PREFIX

_READ_AHEAD_BYTES: Final = 2 * 1024 * 1024


def head_scan(table: rocksdict.Rdict) -> "HeadScan":
    options = until(HEAD_END)
    keys = table.keys(from_key=HEAD_PREFIX, read_opt=options)
    return HeadScan(keys, table.values(from_key=HEAD_PREFIX, read_opt=options), options)


def value_of(table: rocksdict.Rdict, key: bytes) -> bytes | None:
    """The value of one row, None where there is none: the one that a scan would find.

    Not by `table.get`: where the primary has moved rows to a file that it wrote after the secondary last read its
    log, RocksDB's get finds the older value in the secondary's memory first. An iterator takes the newest.
    """
    options = until(key + b"\0")
    value: bytes | None = next(table.values(from_key=key, read_opt=options), None)
    return value


def until(to_key: bytes) -> rocksdict.ReadOptions:
    """Read on up to, and without, a key.

    Whoever iterates must hold on to the options: the iterator reads the key from their memory.
    """
    options = rocksdict.ReadOptions()
    options.set_iterate_upper_bound(to_key)
    options.set_readahead_size(_READ_AHEAD_BYTES)
    return options


@dataclass(slots=True)
class HeadScan:
    """The rows of one table from a key on, and those read that are not yet handed out.

    Keys and values are read apart: a tuple a row would be work for the garbage collector, row by row.
    """

    more_keys: Iterator[Any]
    more_values: Iterator[Any]
    options: rocksdict.ReadOptions
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def fill(self, size: int) -> None:
        """Read on until there are `size` rows, or the table ends."""
        missing = size - len(self.keys)
        self.keys += islice(self.more_keys, missing)
        self.values += islice(self.more_values, missing)

    def take(self, bound: bytes | None) -> tuple[list[bytes], list[bytes]]:
        """Hand out the rows up to a key (None: all)."""
        end = len(self.keys) if bound is None else bisect_right(self.keys, bound)
        taken = self.keys[:end], self.values[:end]
        del self.keys[:end], self.values[:end]
        return taken


def ascending(scans: Sequence[HeadScan], size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The rows of several ascending scans as one ascending sequence, in parts of up to `size` rows.

    Rows are final up to the least of the last keys read from the scans that may have more to give.
    """
    share = max(1, size // max(1, len(scans)))
    while True:
        for scan in scans:
            scan.fill(share)
        bound = min((scan.keys[-1] for scan in scans if len(scan.keys) == share), default=None)
        keys: list[bytes] = []
        values: list[bytes] = []
        for scan in scans:
            taken = scan.take(bound)
            keys += taken[0]
            values += taken[1]
        if not keys:
            return
        order = sorted(range(len(keys)), key=keys.__getitem__)
        yield [keys[i] for i in order], [values[i] for i in order]
