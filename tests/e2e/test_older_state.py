"""State of an older version: it opens, migrates, and gives the same bytes; and how that version meets ours."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from query_api.errors import StateRestoring
from query_api.snapshots.reader import Reader
from schemas.positions import Positions
from schemas.rows.high_water import HIGH_WATER_KEY
from schemas.rows.positions import APPLIED_PREFIX
from schemas.rows.summaries import SUMMARY_VERSION
from schemas.rows.table_format import FORMAT_KEY, encode_format
from schemas.settings import Settings
from schemas.table_scans import Table, rows_of
from schemas.topics import CHANGELOG, POLLS, SOURCES
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord
from stream.tables.rocks import open_table
from tests import older
from tests.core import dd7560e
from tests.e2e.harness import report_of, running, snapshot_of, until, wait_until_applied


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return older.unpack(tmp_path)


@contextmanager
def table_of(state: Path, partition: int) -> Iterator[Table]:
    table = open_table(Settings(state=state).table_path(partition))
    yield table
    table.close()


def is_whole(state: Path) -> bool:
    reader = Reader(Settings(state=state))
    try:
        return reader.standing().whole
    finally:
        reader.close()


def source_ends(state: Path) -> Positions:
    with EmbeddedLog(state / "log.db") as log:
        names = {spec.name for spec in SOURCES}
        return {at: end for at, end in log.end_offsets().items() if at[0] in names and end}


def test_tables_of_dd7560e_are_migrated_and_give_its_report(state: Path, tmp_path: Path) -> None:
    with running("worker", state=state):
        until("the tables are whole", lambda: is_whole(state))
        wait_until_applied(state, source_ends(state))
        assert report_of(state, tmp_path / "report.csv") == older.REPORT
    for partition in range(older.PARTITIONS):
        with table_of(state, partition) as table:
            rows = dict(rows_of(table))
            summaries = [value for key, value in rows.items() if key[:1] == b"S" and key != FORMAT_KEY]
            assert {value[0] for value in summaries} == {SUMMARY_VERSION}
            assert rows[FORMAT_KEY] == encode_format()
            assert HIGH_WATER_KEY in rows
            assert not [key for key in rows if key.startswith(APPLIED_PREFIX)]


def test_a_log_of_dd7560e_fills_tables_that_are_gone(state: Path, tmp_path: Path) -> None:
    shutil.rmtree(state / "worker")
    with running("worker", state=state):
        until("the tables are whole", lambda: is_whole(state))
        wait_until_applied(state, source_ends(state))
        assert report_of(state, tmp_path / "report.csv") == older.REPORT


def test_what_comes_after_a_migration_is_told_as_if_there_had_been_none(state: Path, tmp_path: Path) -> None:
    """The same polls again change nothing, and a late one changes what it would have changed."""
    with EmbeddedLog(state / "log.db") as log:
        polls = log.read(POLLS, 0, 0, 1_000, 1 << 26)
        again = [
            NewRecord(POLLS, 0, each.key, each.value, each.timestamp_ms, each.headers) for each in polls[:3]
        ]
        log.append(again)
    with running("worker", state=state):
        until("the tables are whole", lambda: is_whole(state))
        wait_until_applied(state, source_ends(state))
        assert report_of(state, tmp_path / "report.csv") == older.REPORT


def test_tables_that_no_worker_of_ours_has_looked_through_are_no_report(state: Path) -> None:
    """An older worker, which may still be writing them, says nowhere whether they are whole."""
    with pytest.raises(StateRestoring, match="no worker has looked through the table"), snapshot_of(state):
        pass


def test_dd7560e_stops_in_words_at_what_we_write_whatever_its_settings(state: Path) -> None:
    """Read in the order of the log, no row of ours is malformed to it, so it leaves none out; and one ends it."""
    before = len(changelog_of(state))
    with running("worker", state=state):
        until("the tables are whole", lambda: is_whole(state))
        wait_until_applied(state, source_ends(state))
        assert len(changelog_of(state)) > before
    newer = 0
    for key, value in changelog_of(state):
        with suppress(dd7560e.Newer):
            dd7560e.check_row(key, value)
            continue
        newer += 1
    assert newer >= 13


def changelog_of(state: Path) -> list[tuple[bytes | None, bytes | None]]:
    return [(each.key, each.value) for each in older.records(state) if each.topic == CHANGELOG]
