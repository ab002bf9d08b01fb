"""Reading ranges of a table: what lies behind them is not looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.table_scans import Table, rows_within
from stream.tables.rocks import open_table, write_rows


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = open_table(tmp_path / "0.db")
    write_rows(table, [(key, key * 2) for key in (b"a", b"b", b"c", b"m", b"x")], 1)
    yield table
    table.close()


class Watched:
    """A table that notes which keys its iterator stands on."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.seen: list[bytes] = []

    def iter(self) -> Any:
        return WatchedRows(self._table.iter(), self.seen)


class WatchedRows:
    def __init__(self, rows: Any, seen: list[bytes]) -> None:
        self._rows = rows
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def key(self) -> Any:
        self._seen.append(self._rows.key())
        return self._seen[-1]


def test_ranges_are_read_to_their_last_key_and_no_row_behind_it(table: Table) -> None:
    """a b c │ m │ x: after b nothing is looked at, nor after m."""
    watched: Any = Watched(table)
    assert rows_within(watched, [(b"a", b"b"), (b"m", b"m")]) == {b"a": b"aa", b"b": b"bb", b"m": b"mm"}
    assert watched.seen == [b"a", b"b", b"m"]


def test_a_range_whose_last_key_is_not_there_ends_all_the_same(table: Table) -> None:
    assert rows_within(table, [(b"b", b"l"), (b"n", b"w"), (b"x", b"z")]) == {
        b"b": b"bb",
        b"c": b"cc",
        b"x": b"xx",
    }
