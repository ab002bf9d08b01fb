"""A state folder is copied beside its writers: whole, for us alone, and as of positions that it names."""

import asyncio
import json
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rocksdict

from query_api.reports.files import ReportFiles, ReportState, ReportStatus
from query_api.snapshots.reader import Reader
from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.local import OFFSET_KEY, TARGET_KEY, WHOLE_KEY
from schemas.settings import Settings
from schemas.table_scans import rows_of
from schemas.topics import CHANGELOG, HOURS, POLLS
from schemas.values import StoreId
from scripts.operations.backup import FACTS, back_up
from scripts.operations.errors import (
    LogTrimmed,
    NothingThere,
    TableAhead,
    TableNotWhole,
    TableUnreadable,
    TargetUnusable,
)
from scripts.operations.table_copies import copy_rows, still_table
from stream.brokers.embedded.errors import LogError
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord
from stream.brokers.topics import declare_topics
from stream.core.calendar import ZONE_DATABASE
from tests.broken import break_a_block
from tests.e2e.harness import storepulse, until
from tests.scripts.state_folder import StateFolder

pytestmark = pytest.mark.slow

_COMPLETE_ID = "561fe984-0000-4000-8000-000000000001"
_EVICTED_ID = "561fe984-0000-4000-8000-000000000002"
_RUNNING_ID = "561fe984-0000-4000-8000-000000000003"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    made = StateFolder(tmp_path / "state")
    yield made
    made.close()


def store_ids(state: Path) -> list[StoreId]:
    reader = Reader(Settings(state=state))
    try:
        with reader.snapshot() as snapshot:
            return [store_id for chunk in snapshot.chunks() for store_id in chunk.store_ids]
    finally:
        reader.close()


def rows_in(settings: Settings, partition: int) -> dict[bytes, bytes]:
    with still_table(settings.table_path(partition)) as table:
        return dict(rows_of(table))


def test_the_copy_opens_with_all_stores_and_names_its_positions(folder: StateFolder, tmp_path: Path) -> None:
    made = back_up(folder.settings, tmp_path / "copy")
    assert store_ids(tmp_path / "copy") == ["s1", "s2", "s3"]
    assert made.positions == {
        "store-polls": {0: 10, 1: 10},
        "store-hours": {0: 0, 1: 0},
        "store-zones": {0: 0, 1: 0},
    }
    written = json.loads((tmp_path / "copy" / FACTS).read_text())
    assert written["positions"]["store-polls"] == {"0": 10, "1": 10}
    assert written["zone_database"] == ZONE_DATABASE
    assert written["storepulse"] == made.storepulse
    assert written["made_at"] == made.made_at


def test_the_zone_database_named_is_the_one_that_the_tables_were_made_with(
    folder: StateFolder, tmp_path: Path
) -> None:
    folder.tables.put(ZONE_DATABASE_KEY, b"1999z")
    assert back_up(folder.settings, tmp_path / "copy").zone_database == "1999z"


def test_rows_that_a_table_keeps_for_itself_are_copied_too(folder: StateFolder, tmp_path: Path) -> None:
    folder.tables.put(b"__complete__", b"1700000000.0")
    back_up(folder.settings, tmp_path / "copy")
    copied = rows_in(Settings(state=tmp_path / "copy"), 0)
    assert copied == rows_in(folder.settings, 0)
    assert copied[OFFSET_KEY] == b"7"
    assert copied[WHOLE_KEY] == b"1"
    assert copied[b"__complete__"] == b"1700000000.0"


def test_the_log_of_the_copy_has_every_record(folder: StateFolder, tmp_path: Path) -> None:
    folder.append(0, 5)
    back_up(folder.settings, tmp_path / "copy")
    with EmbeddedLog(tmp_path / "copy" / "log.db") as copy:
        assert copy.end_offsets() == folder.log.end_offsets()
        assert copy.topics() == folder.log.topics()
        assert copy.read(POLLS, 0, 0, 100, 10**6) == folder.log.read(POLLS, 0, 0, 100, 10**6)
        copy.append([NewRecord(POLLS, 0, b"s1", b"{}", 0)])
    assert (tmp_path / "copy" / "log.db").read_bytes()[18:20] == b"\2\2"  # SQLite's mark of a write-ahead log


def test_a_log_elsewhere_comes_into_the_copy(folder: StateFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    folder.log.copy_to(elsewhere)
    folder.settings.log_path.unlink()
    back_up(Settings(state=folder.settings.state, broker=f"embedded://{elsewhere}"), tmp_path / "copy")
    with EmbeddedLog(tmp_path / "copy" / "log.db") as copy:
        assert copy.end_offset(POLLS, 0) == 10


def test_a_state_without_tables_is_copied_with_its_log(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state")
    asyncio.run(declare_topics(settings))
    assert back_up(settings, tmp_path / "copy").positions[POLLS] == {}
    assert (tmp_path / "copy" / "log.db").exists()


@pytest.mark.parametrize(
    ("target", "said"), [(b"20", ": 10 of 20."), (None, ".")], ids=["how far it must get is known", "unknown"]
)
def test_a_table_that_is_being_restored_is_refused_and_nothing_is_left(
    target: bytes | None, said: str, folder: StateFolder, tmp_path: Path
) -> None:
    folder.tables.remove(WHOLE_KEY, 1)
    folder.tables.put(OFFSET_KEY, b"10", 1)
    if target is not None:
        folder.tables.put(TARGET_KEY, target, 1)
    with pytest.raises(TableNotWhole, match=f"^partition 1 is being restored{said} Its table"):
        back_up(folder.settings, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_log_that_was_trimmed_behind_a_table_is_no_copy(folder: StateFolder, tmp_path: Path) -> None:
    folder.append(1, 10)
    assert folder.log.trim(POLLS, 1, before_offset=15, older_than_ms=1) == 15
    with pytest.raises(
        LogTrimmed, match=r"5 times: of store-polls, partition 1, .* before 10, .* begins at 15"
    ):
        back_up(folder.settings, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_log_that_begins_where_the_table_ends_is_enough(folder: StateFolder, tmp_path: Path) -> None:
    folder.append(1, 10)
    folder.log.trim(POLLS, 1, before_offset=10, older_than_ms=1)
    assert back_up(folder.settings, tmp_path / "copy").positions[POLLS][1] == 10


def test_compaction_takes_nothing_that_the_copy_needs(folder: StateFolder, tmp_path: Path) -> None:
    folder.log.append([NewRecord(HOURS, 0, b"s1", b"{}", 0)] * 5)
    folder.log.compact(HOURS, 0)
    assert folder.log.begin_offset(HOURS, 0) == 4
    assert back_up(folder.settings, tmp_path / "copy").positions[HOURS][0] == 0


@pytest.mark.parametrize(("topic", "end"), [(POLLS, 10), (CHANGELOG, 8)])
def test_tables_that_know_more_than_the_log_are_refused(
    topic: str, end: int, folder: StateFolder, tmp_path: Path
) -> None:
    if topic == POLLS:
        folder.tables.apply(POLLS, end + 1, 1)
    else:
        folder.tables.put(OFFSET_KEY, str(end).encode(), 1)
    with pytest.raises(
        TableAhead, match=rf"partition 1 has the records of {topic} before {end + 1}, .* at {end}"
    ):
        back_up(folder.settings, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_nobody_else_can_read_the_copy(folder: StateFolder, tmp_path: Path) -> None:
    ReportFiles(folder.settings.reports_dir).write(_RUNNING_ID, state_of(ReportStatus.RUNNING))
    back_up(folder.settings, tmp_path / "copy")
    copy = tmp_path / "copy"
    modes = {stat.filemode(path.stat().st_mode) for path in (copy, *copy.rglob("*"))}
    assert modes == {"drwx------", "-rw-------"}


def test_an_empty_folder_is_taken_and_anything_else_left_alone(folder: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    back_up(folder.settings, tmp_path / "empty")
    assert (tmp_path / "empty" / FACTS).exists()
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path / "empty", tmp_path / "file"):
        with pytest.raises(TargetUnusable, match="something is there"):
            back_up(folder.settings, taken)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_to_an_empty_folder_is_followed(folder: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    back_up(folder.settings, tmp_path / "link")
    assert (tmp_path / "real" / FACTS).exists()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("inside", ["", "backups", "worker/v1"])
def test_a_copy_inside_of_the_state_folder_is_refused(inside: str, folder: StateFolder) -> None:
    with pytest.raises(TargetUnusable, match="in the state folder itself"):
        back_up(folder.settings, folder.settings.state / inside)


def test_a_folder_whose_parent_is_missing_is_refused(folder: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable, match="nowhere is no folder"):
        back_up(folder.settings, tmp_path / "nowhere" / "copy")


def test_a_state_folder_that_is_none_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(NothingThere, match="no log at"):
        back_up(Settings(state=tmp_path / "typo"), tmp_path / "copy")
    with pytest.raises(NothingThere, match="no table at"):
        back_up(Settings(state=tmp_path / "typo", broker="kafka://127.0.0.1:1"), tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def test_on_kafka_tables_and_reports_are_copied_and_the_broker_is_not_asked(
    folder: StateFolder, tmp_path: Path
) -> None:
    ran = storepulse(
        "backup", tmp_path / "copy", "--broker", "kafka://127.0.0.1:1", state=folder.settings.state
    )
    assert ran.returncode == 0, ran.stderr
    assert "store-polls\tpartition 1\t10\n" in ran.stdout
    assert "the log is Kafka's" in ran.stderr
    assert store_ids(tmp_path / "copy") == ["s1", "s2", "s3"]
    assert not (tmp_path / "copy" / "log.db").exists()


def test_the_command_prints_the_positions_and_refuses_in_a_sentence(
    folder: StateFolder, tmp_path: Path
) -> None:
    done = storepulse("backup", tmp_path / "copy", state=folder.settings.state)
    assert (done.returncode, done.stdout.splitlines()[:2]) == (
        0,
        ["store-polls\tpartition 0\t10", "store-polls\tpartition 1\t10"],
    )
    refused = storepulse("backup", tmp_path / "copy", state=folder.settings.state)
    assert refused.returncode == 4
    assert refused.stderr.startswith("storepulse: no backup can be made as")
    assert "Traceback" not in refused.stderr


def state_of(status: ReportStatus) -> ReportState:
    return ReportState(version=1, status=status, requested_at_us=0, maker="1-dead")


def test_finished_reports_are_copied_and_one_without_its_rows_is_not(
    folder: StateFolder, tmp_path: Path
) -> None:
    reports = ReportFiles(folder.settings.reports_dir)
    for report_id in (_COMPLETE_ID, _EVICTED_ID):
        reports.write(report_id, state_of(ReportStatus.COMPLETE))
    reports.write(_RUNNING_ID, state_of(ReportStatus.RUNNING))
    reports.csv_path(_COMPLETE_ID).write_text("store_id\n")
    (reports.folder / ".x.json.123.part").write_text("half")
    (reports.folder / "linked.csv").symlink_to("/etc/passwd")
    reports.makers.mkdir()
    back_up(folder.settings, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy" / "reports").iterdir()}
    assert names == {f"{_COMPLETE_ID}.json", f"{_COMPLETE_ID}.csv", f"{_RUNNING_ID}.json"}


def test_rows_that_cannot_be_read_are_no_end_of_the_table(tmp_path: Path) -> None:
    """RocksDB's iterator stops at a broken block as it does at the end; a copy without the rest is none."""
    path, options, random_ = tmp_path / "table.db", rocksdict.Options(raw_mode=True), random.Random(1)
    options.create_if_missing(True)
    with_rows = rocksdict.Rdict(str(path), options)
    for number in range(5_000):
        with_rows[b"S%05d" % number] = random_.randbytes(100)
    with_rows.flush()
    with_rows.close()
    break_a_block(path)
    with pytest.raises(TableUnreadable, match="checksum mismatch"), still_table(path) as table:
        copy_rows(table, tmp_path / "copy.db")


def test_a_copy_never_shows_half_a_flush_nor_a_hole_between_two(tmp_path: Path) -> None:
    """The writer's files are small, so that its write-ahead logs go while tables are opened.

    Flush n writes rows R<n>-0 to R<n>-4 and the position n + 1, and deletes the rows of flush n - 50.
    """
    path, enough = tmp_path / "stores-0.db", threading.Event()
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(1 << 20)
    table = rocksdict.Rdict(str(path), options)

    def flush(number: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for row in range(5):
            batch.put(b"R%08d-%d" % (number, row), bytes(200))
            if number >= 50:
                batch.delete(b"R%08d-%d" % (number - 50, row))
        batch.put(b"M", b"%d" % (number + 1))
        table.write(batch)

    def flush_until_enough() -> None:
        number = 1
        while not enough.wait(0.000_01):
            flush(number)
            number += 1

    flush(0)
    writer = threading.Thread(target=flush_until_enough)
    writer.start()
    try:
        for nth in range(60):
            copy = tmp_path / f"copy-{nth}.db"
            with still_table(path) as still:
                copy_rows(still, copy)
            with still_table(copy) as copied:
                rows = dict(rows_of(copied))
            end = int(rows.pop(b"M"))
            assert set(rows) == {
                b"R%08d-%d" % (number, row) for number in range(max(0, end - 50), end) for row in range(5)
            }
    finally:
        enough.set()
        writer.join()
        table.close()


def test_a_log_is_copied_as_of_one_moment_however_busy_its_writers_are(tmp_path: Path) -> None:
    with EmbeddedLog(tmp_path / "log.db") as log:
        log.declare_topic(POLLS, 2, "delete")
        log.append([NewRecord(POLLS, 0, b"s", random.Random(1).randbytes(1_000), 0)] * 20_000)
        enough = threading.Event()

        def append_until_enough() -> None:
            with EmbeddedLog(tmp_path / "log.db") as other:
                while not enough.is_set():
                    other.append([NewRecord(POLLS, partition, b"s", b"v", 0) for partition in (0, 1)])

        writer = threading.Thread(target=append_until_enough)
        writer.start()
        try:
            with log.still():
                ends = log.end_offsets()
                log.copy_to(tmp_path / "copy.db")
                assert log.end_offsets() == ends
        finally:
            enough.set()
            writer.join()
        assert log.end_offset(POLLS, 1) > ends[POLLS, 1]
    with EmbeddedLog(tmp_path / "copy.db") as copy:
        assert copy.end_offsets() == ends


def test_a_copy_onto_a_file_that_cannot_be_made_names_that_file(tmp_path: Path) -> None:
    with EmbeddedLog(tmp_path / "log.db") as log, pytest.raises(LogError, match="nowhere"):
        log.copy_to(tmp_path / "nowhere" / "copy.db")


def test_a_backup_that_is_told_to_stop_leaves_nothing(folder: StateFolder, tmp_path: Path) -> None:
    for _ in range(30):
        folder.log.append([NewRecord(POLLS, 0, b"s1", bytes(1_000_000), 0)] * 10)
    (tmp_path / "copies").mkdir()
    command = [sys.executable, "-m", "scripts.cli", "backup", str(tmp_path / "copies" / "copy")]
    with subprocess.Popen([*command, "--state", str(folder.settings.state)]) as process:
        until("the copy has begun", lambda: any((tmp_path / "copies").iterdir()))
        process.terminate()
        assert process.wait(20) == 143
    assert not list((tmp_path / "copies").iterdir())
