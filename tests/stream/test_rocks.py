"""A table goes on from where it is, unless it was away for so long that deletions may be missing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.rocks import (
    Table,
    note_complete,
    open_current_table,
    open_table,
    rows_of,
    stored_offset,
    write_rows,
)

HOUR_S = 3600.0


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    table = open_current_table(path)
    yield table
    table.close()


def written(path: Path, hours_ago: float) -> None:
    """A table as it was left: one row, written to the changelog so long ago."""
    table = open_table(path)
    write_rows(table, [(b"Ss1", b"row")], 7, time.time() - hours_ago * HOUR_S)
    table.close()


def test_a_table_that_was_away_for_less_than_kafka_keeps_tombstones_goes_on(tmp_path: Path) -> None:
    written(tmp_path / "t.db", hours_ago=19)
    with opened(tmp_path / "t.db") as table:
        assert stored_offset(table) == 7
        assert list(rows_of(table)) == [(b"Ss1", b"row")]


def test_a_table_that_was_away_for_longer_is_made_anew_however_new_its_files(tmp_path: Path) -> None:
    written(tmp_path / "t.db", hours_ago=21)
    with opened(tmp_path / "t.db") as table:
        assert stored_offset(table) is None
        assert list(rows_of(table)) == []


def test_old_records_make_a_table_no_older_than_its_beginning(tmp_path: Path) -> None:
    """A changelog keeps the last row of a key for years: reading it from the start takes a restart, too."""
    for offset in (7, 8):
        with opened(tmp_path / "t.db") as table:
            assert stored_offset(table) in (None, offset - 1)
            write_rows(table, [(b"S%d" % offset, b"row")], offset, time.time() - 1000 * HOUR_S)
    with opened(tmp_path / "t.db") as table:
        assert [key for key, _ in rows_of(table)] == [b"S7", b"S8"]


def test_a_table_that_nothing_is_written_to_stays_current_while_somebody_looks(tmp_path: Path) -> None:
    written(tmp_path / "t.db", hours_ago=200)
    table = open_table(tmp_path / "t.db")
    note_complete(table, time.time() - HOUR_S)
    note_complete(table, time.time() - 100 * HOUR_S)
    table.close()
    with opened(tmp_path / "t.db") as table:
        assert stored_offset(table) == 7


def test_a_table_that_does_not_say_how_old_it_is_is_made_anew(tmp_path: Path) -> None:
    written(tmp_path / "t.db", hours_ago=0)
    table = open_table(tmp_path / "t.db")
    del table[b"__complete__"]
    table.close()
    with opened(tmp_path / "t.db") as table:
        assert stored_offset(table) is None
