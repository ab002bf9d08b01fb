"""What a table says of itself beside its rows: how far it is, whether it is whole, and how old."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from schemas.rows.local import TARGET_KEY, WHOLE_KEY
from schemas.table_scans import RowsUnreadable, Table
from stream.tables.rocks import (
    RowBatch,
    begin_restore,
    finish_restore,
    is_too_old,
    is_whole,
    open_table,
    remove_table,
    rows_of,
    stored_offset,
    write_rows,
)
from tests.broken import break_a_block

HOUR_S = 3600.0


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = open_table(tmp_path / "folder" / "t.db")
    yield table
    table.close()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Table]:
    """5,000 summaries, of which some in the middle cannot be read."""
    path, random_ = tmp_path / "folder" / "t.db", random.Random(1)
    table = open_table(path)
    write_rows(table, [(b"S%05d" % number, random_.randbytes(100)) for number in range(5_000)], 7)
    table.flush()
    table.close()
    break_a_block(path)
    table = open_table(path)
    yield table
    table.close()


def hours_ago(hours: float) -> float:
    return time.time() - hours * HOUR_S


def test_a_new_table_has_no_rows_is_not_whole_and_is_not_too_old(table: Table) -> None:
    assert list(rows_of(table)) == []
    assert (stored_offset(table), is_whole(table), is_too_old(table)) == (None, False, False)


def test_rows_are_written_with_the_offset_that_they_reach(table: Table) -> None:
    """Of one key the last value counts; None deletes."""
    write_rows(table, [(b"Ss1", b"1"), (b"Ss2", b"2"), (b"Ss1", b"3"), (b"Ss2", None)], 7)
    assert stored_offset(table) == 7
    assert list(rows_of(table)) == [(b"Ss1", b"3")]


def test_a_batch_writes_nothing_before_it_is_written(table: Table) -> None:
    batch = RowBatch()
    batch.add([(b"Ss1", b"1")])
    batch.add([(b"Ss1", None), (b"Ss2", b"2")])
    assert list(rows_of(table)) == []
    batch.write(table, 3)
    assert list(rows_of(table)) == [(b"Ss2", b"2")]


def test_rows_are_those_of_the_changelog_alone(table: Table) -> None:
    write_rows(table, [(b"Mpositions", b"{}")], 7, time.time())
    begin_restore(table, 9)
    assert [key for key, _ in rows_of(table)] == [b"Mpositions"]


def test_rows_that_cannot_be_read_are_no_end_of_the_table(broken: Table) -> None:
    """Whoever copied the rows before them would take a part for all."""
    with pytest.raises(RowsUnreadable, match=r"t\.db is broken.*checksum mismatch.*rebuilds it"):
        list(rows_of(broken))


def test_a_table_is_whole_from_the_end_of_a_restore_to_the_beginning_of_the_next(table: Table) -> None:
    begin_restore(table, 9)
    assert (is_whole(table), table.get(TARGET_KEY), table.get(WHOLE_KEY)) == (False, b"9", None)
    write_rows(table, [(b"Ss1", b"1")], 8)
    assert not is_whole(table)
    finish_restore(table, 9, time.time())
    assert (is_whole(table), table.get(TARGET_KEY), stored_offset(table)) == (True, None, 8)
    write_rows(table, [(b"Ss1", b"2")], 12)
    assert is_whole(table)
    begin_restore(table, 20)
    assert (is_whole(table), table.get(TARGET_KEY)) == (False, b"20")


def test_a_table_that_has_all_of_an_empty_changelog_has_no_offset(table: Table) -> None:
    finish_restore(table, 0, time.time())
    assert (is_whole(table), stored_offset(table)) == (True, None)


def test_what_a_table_says_of_itself_is_still_there_when_it_is_opened_again(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.db")
    write_rows(table, [(b"Ss1", b"1")], 7)
    finish_restore(table, 8, time.time())
    table.close()
    table = open_table(tmp_path / "t.db")
    assert (is_whole(table), stored_offset(table), is_too_old(table)) == (True, 7, False)
    table.close()


def test_a_table_that_is_removed_is_gone_with_all_that_it_said(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.db")
    finish_restore(table, 8, time.time())
    remove_table(table, tmp_path / "t.db")
    assert not (tmp_path / "t.db").exists()


# Kafka forgets deletions after a day


def test_a_table_can_be_removed_while_somebody_opens_it(tmp_path: Path) -> None:
    """Opening a RocksDB, as a reader too, makes rocksdict write a file beside its own."""
    path, is_over = tmp_path / "t.db", threading.Event()

    def keep_opening() -> None:
        while not is_over.is_set():
            with suppress(FileNotFoundError):
                (path / "rocksdict-config.json").write_text("{}")

    with ThreadPoolExecutor() as pool:
        opening = pool.submit(keep_opening)
        try:
            for _ in range(100):
                remove_table(open_table(path), path)
        finally:
            is_over.set()
        opening.result()
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_of_a_removal_that_was_cut_off_goes_with_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    open_table(path).close()
    path.rename(tmp_path / "t.db.removed")
    open_table(path).close()
    assert [each.name for each in tmp_path.iterdir()] == ["t.db"]


def test_a_table_that_was_away_for_less_than_kafka_keeps_tombstones_can_be_gone_on_with(table: Table) -> None:
    write_rows(table, [(b"Ss1", b"row")], 7, hours_ago(19))
    assert not is_too_old(table)


def test_a_table_that_was_away_for_longer_is_too_old_however_new_its_files(table: Table) -> None:
    write_rows(table, [(b"Ss1", b"row")], 7, hours_ago(21))
    assert is_too_old(table)


def test_rows_of_a_restore_make_a_table_no_younger(table: Table) -> None:
    """A changelog keeps the last row of a key for years: only its end makes the table current."""
    write_rows(table, [(b"Ss1", b"row")], 7, hours_ago(21))
    write_rows(table, [(b"Ss2", b"row")], 8)
    assert is_too_old(table)
    finish_restore(table, 9, time.time())
    assert not is_too_old(table)


def test_a_first_restore_that_is_cut_off_can_be_gone_on_with(table: Table) -> None:
    """Else a worker that is restarted, or loses its place, while it restores would begin again for ever."""
    begin_restore(table, 100)
    write_rows(table, [(b"Ss1", b"row")], 7)
    assert not is_too_old(table)


def test_a_later_restore_makes_a_table_no_younger_before_it_ends(table: Table) -> None:
    write_rows(table, [(b"Ss1", b"row")], 7, hours_ago(21))
    begin_restore(table, 100)
    assert is_too_old(table)


def test_a_table_that_nothing_is_written_to_stays_young_while_somebody_looks(table: Table) -> None:
    write_rows(table, [(b"Ss1", b"row")], 7, hours_ago(200))
    finish_restore(table, 8, hours_ago(1))
    assert not is_too_old(table)


def test_a_table_that_does_not_say_how_old_it_is_is_too_old(table: Table) -> None:
    write_rows(table, [(b"Ss1", b"row")], 7)
    assert is_too_old(table)
