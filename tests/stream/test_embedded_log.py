"""Facts about the embedded log: order, durability, cleaning, and what it says when something is wrong."""

import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.topics import CHANGELOG, MAX_RECORD_BYTES
from stream.brokers.embedded import cleaning
from stream.brokers.embedded.errors import (
    LogBusy,
    LogDamaged,
    LogFull,
    LogNotWritable,
    LogTooNew,
    NotALog,
    PartitionCountChanged,
    RecordTooLarge,
    UnknownPartition,
)
from stream.brokers.embedded.log import EmbeddedLog, TopicInfo
from stream.brokers.records import CUT_HEADER, NewRecord, Record

EVERYTHING = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(path) as log:
        log.declare_topic("polls", 2, "delete")
        log.declare_topic("hours", 1, "compact")
        yield log


def record(
    topic: str,
    partition: int = 0,
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    timestamp_ms: int = 1_000,
) -> NewRecord:
    return NewRecord(topic, partition, key, value, timestamp_ms)


def read_all(log: EmbeddedLog, topic: str, partition: int = 0) -> list[Record]:
    return log.read(topic, partition, 0, EVERYTHING, EVERYTHING)


def offsets_of(log: EmbeddedLog, topic: str, partition: int = 0) -> list[int]:
    return [found.offset for found in read_all(log, topic, partition)]


def wait_until(is_so: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.002)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Appending and reading


def test_records_come_back_as_they_were_appended(log: EmbeddedLog) -> None:
    log.append(
        [
            NewRecord(
                "polls", 1, b"8139926242460185114", b"{}", 1_674_389_379_388, (("why", b"late"), ("n", b""))
            ),
            NewRecord("polls", 1, None, b"\x00\xff", 0),
            NewRecord("polls", 1, b"", None, 5),
        ]
    )

    assert read_all(log, "polls", 1) == [
        Record(
            "polls", 1, 0, 1_674_389_379_388, b"8139926242460185114", b"{}", (("why", b"late"), ("n", b""))
        ),
        Record("polls", 1, 1, 0, None, b"\x00\xff"),
        Record("polls", 1, 2, 5, b"", None),
    ]


def test_each_partition_counts_its_own_offsets(log: EmbeddedLog) -> None:
    records = [record("polls", 0), record("polls", 1), record("polls", 1), record("polls", 0)]

    assert log.append(records) == [0, 0, 1, 1]
    assert log.append(records) == [2, 2, 3, 3]
    assert log.end_offsets() == {("polls", 0): 4, ("polls", 1): 4, ("hours", 0): 0}


def test_an_append_that_fails_writes_nothing(log: EmbeddedLog) -> None:
    with pytest.raises(UnknownPartition, match="it has 2, numbered from 0"):
        log.append([record("polls", 0), record("polls", 2)])
    with pytest.raises(UnknownPartition, match="nobody declared the topic"):
        log.append([record("polls", 0), record("weather", 0)])

    assert read_all(log, "polls") == []
    assert log.end_offset("polls", 0) == 0


def test_a_read_is_cut_by_records_and_by_bytes(log: EmbeddedLog) -> None:
    log.append(record("polls", value=b"x" * 99) for _ in range(10))

    assert [found.offset for found in log.read("polls", 0, 4, 3, EVERYTHING)] == [4, 5, 6]
    assert [found.offset for found in log.read("polls", 0, 4, EVERYTHING, 250)] == [4, 5, 6]
    assert log.read("polls", 0, 10, EVERYTHING, EVERYTHING) == []


def test_a_record_larger_than_a_fetch_is_still_read(log: EmbeddedLog) -> None:
    log.append([record("polls", value=b"x" * 100_000), record("polls")])

    assert [found.offset for found in log.read("polls", 0, 0, EVERYTHING, 1_000)] == [0]


def test_what_was_written_is_there_when_the_log_is_opened_again(log: EmbeddedLog, path: Path) -> None:
    log.append([record("polls", 1)])
    log.commit("worker", {("polls", 1): 1})
    log.close()

    with EmbeddedLog(path) as again:
        assert offsets_of(again, "polls", 1) == [0]
        assert again.committed("worker") == {("polls", 1): 1}
        assert again.append([record("polls", 1)]) == [1]


def test_a_thousand_records_take_few_steps(log: EmbeddedLog) -> None:
    """Each step may cost 5 ms beside a busy event loop (see `stream.brokers.embedded.rows`)."""
    statements: list[str] = []
    with log._database.reading() as db:
        db.set_trace_callback(statements.append)

    log.append(record("polls", value=b"%d" % n) for n in range(1_000))
    assert len(statements) <= 20
    statements.clear()
    assert len(read_all(log, "polls")) == 1_000
    assert len(statements) == 2, "and each gives one row"


def test_every_byte_survives(log: EmbeddedLog) -> None:
    content = bytes(range(256)) * 3
    log.append([record("polls", key=content, value=content[::-1]), record("polls", key=b"", value=b"")])

    assert [(one.key, one.value) for one in read_all(log, "polls")] == [(content, content[::-1]), (b"", b"")]


def test_groups_commit_apart_from_each_other(log: EmbeddedLog) -> None:
    log.commit("worker", {("polls", 0): 3, ("polls", 1): 4})
    log.commit("other", {("polls", 0): 1})
    log.commit("worker", {("polls", 0): 5})

    assert log.committed("worker") == {("polls", 0): 5, ("polls", 1): 4}
    assert log.committed("other") == {("polls", 0): 1}
    assert log.committed("nobody") == {}


def test_a_write_elsewhere_is_noticed(log: EmbeddedLog, path: Path) -> None:
    with EmbeddedLog(path) as other:
        before = log.changes()
        log.append([record("polls")])
        assert log.changes() == before, "our own write is no news to us"

        other.append([record("polls")])
        assert log.changes() != before


# Topics


def test_declaring_a_topic_again_changes_nothing(log: EmbeddedLog) -> None:
    log.append([record("polls")])
    log.declare_topic("polls", 2, "delete")

    assert offsets_of(log, "polls") == [0]


def test_another_partition_count_is_refused(log: EmbeddedLog) -> None:
    with pytest.raises(PartitionCountChanged, match="Set the partition count back to 2") as caught:
        log.declare_topic("polls", 3, "delete")

    assert (caught.value.topic, caught.value.old, caught.value.new) == ("polls", 2, 3)
    assert log.topics()["polls"] == TopicInfo(2, "delete")


def test_the_latest_cleanup_of_a_topic_holds(log: EmbeddedLog) -> None:
    log.declare_topic("polls", 2, "compact")

    assert log.topics() == {"hours": TopicInfo(1, "compact"), "polls": TopicInfo(2, "compact")}


# Compaction
#
#   offset   0 1 2 3 4 5
#   key      a b a c b a
#   kept           c b a


def hours(keys: str, **same: int) -> list[NewRecord]:
    return [record("hours", key=key.encode(), value=f"{n}".encode(), **same) for n, key in enumerate(keys)]


def test_compaction_keeps_the_last_record_of_each_key(log: EmbeddedLog) -> None:
    log.append(hours("abacba"))

    assert log.compact("hours", 0) == 3
    assert [(found.offset, found.key) for found in read_all(log, "hours")] == [
        (3, b"c"),
        (4, b"b"),
        (5, b"a"),
    ]
    assert (log.begin_offset("hours", 0), log.end_offset("hours", 0)) == (3, 6)


def test_compaction_goes_on_where_it_stopped(log: EmbeddedLog) -> None:
    log.append(hours("abc"))
    log.compact("hours", 0)
    log.append(hours("ba"))

    assert log.compact("hours", 0) == 2
    assert [(found.offset, found.key) for found in read_all(log, "hours")] == [
        (2, b"c"),
        (3, b"b"),
        (4, b"a"),
    ]


def test_compaction_with_little_memory_keeps_the_same_records(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "STEP_ROWS", 2)
    monkeypatch.setattr(cleaning, "MAX_KEYS", 2)
    log.append(hours("abacbabcdaab"))  # a, b, c, d end at 10, 11, 7, 8

    assert log.compact("hours", 0) == 8
    assert offsets_of(log, "hours") == [7, 8, 10, 11]


def test_compaction_of_many_steps_keeps_the_last_of_each_key(log: EmbeddedLog) -> None:
    for _ in range(4):
        log.append(record("hours", key=b"%d" % key) for key in range(6_000))

    assert log.compact("hours", 0) == 18_000
    assert offsets_of(log, "hours") == list(range(18_000, 24_000))


def test_the_last_record_stays_even_as_an_old_tombstone(log: EmbeddedLog) -> None:
    log.append([record("hours", key=b"a"), record("hours", key=b"a", value=None, timestamp_ms=1)])

    log.compact("hours", 0, tombstones_before_ms=10**15)

    assert [(found.offset, found.value) for found in read_all(log, "hours")] == [(1, None)]


def test_a_tombstone_goes_once_it_is_old_enough(log: EmbeddedLog) -> None:
    log.append(
        [
            record("hours", key=b"a"),
            record("hours", key=b"a", value=None, timestamp_ms=10),
            record("hours", key=b"b", value=None, timestamp_ms=20),
            record("hours", key=b"c"),
        ]
    )

    assert log.compact("hours", 0, tombstones_before_ms=20) == 2
    assert offsets_of(log, "hours") == [2, 3]


def test_records_without_a_key_survive_compaction(log: EmbeddedLog) -> None:
    log.append([record("hours", key=None), record("hours", key=None), record("hours", key=b"a")])

    assert log.compact("hours", 0) == 0


def test_the_dirty_ratio_tells_how_much_is_new(log: EmbeddedLog) -> None:
    assert log.dirty_ratio("hours", 0) == 0.0
    log.append(hours("abcabc"))
    assert log.dirty_ratio("hours", 0) == 1.0
    log.compact("hours", 0)
    assert log.dirty_ratio("hours", 0) == 0.0
    log.append(hours("a"))
    assert log.dirty_ratio("hours", 0) == 0.25, "one new record beside three clean ones"


# Trimming


def test_only_applied_and_old_records_are_trimmed(log: EmbeddedLog) -> None:
    log.append(record("polls", timestamp_ms=n) for n in range(10))

    assert log.trim("polls", 0, before_offset=8, older_than_ms=5) == 5
    assert log.trim("polls", 0, before_offset=7, older_than_ms=100) == 2
    assert offsets_of(log, "polls") == [7, 8, 9]


def test_offsets_go_on_after_everything_was_trimmed(log: EmbeddedLog) -> None:
    log.append(record("polls") for _ in range(3))
    log.trim("polls", 0, before_offset=3, older_than_ms=2_000)

    # The last one stays, as a landmark for whoever waits for it.
    assert (log.begin_offset("polls", 0), log.end_offset("polls", 0)) == (2, 3)
    assert log.append([record("polls")]) == [3]


def test_a_record_from_the_future_does_not_keep_those_behind_it(log: EmbeddedLog) -> None:
    log.append([record("polls", timestamp_ms=10**14), *(record("polls", timestamp_ms=1) for _ in range(4))])

    assert log.trim("polls", 0, before_offset=4, older_than_ms=100) == 3
    assert offsets_of(log, "polls") == [0, 4]


# Several processes

APPENDING = """
    import sys
    from pathlib import Path
    from stream.brokers.embedded.log import EmbeddedLog, NewRecord
    with EmbeddedLog(Path(sys.argv[1])) as log:
        log.declare_topic("polls", 2, "delete")
        print("ready", flush=True)
        for group in range(int(sys.argv[3])):
            log.append(NewRecord("polls", n % 2, sys.argv[2].encode(), b"%d" % group, 0) for n in range(20))
"""


def test_two_processes_append_at_once_and_nothing_is_lost(path: Path) -> None:
    writers = [start(APPENDING, path, name, 150) for name in ("ann", "bob")]
    for writer in writers:
        _, errors = writer.communicate(timeout=30)
        assert writer.returncode == 0, errors

    with EmbeddedLog(path) as log:
        for partition in (0, 1):
            found = read_all(log, "polls", partition)
            assert [one.offset for one in found] == list(range(3_000))
            for name in (b"ann", b"bob"):
                groups = [int(one.value or b"") for one in found if one.key == name]
                assert groups == [group for group in range(150) for _ in range(10)], "in the order sent"


def test_a_killed_writer_leaves_whole_groups(log: EmbeddedLog, path: Path) -> None:
    writer = start(APPENDING, path, "ann", 1_000_000)
    wait_until(lambda: log.end_offset("polls", 0) > 500, "the writer is under way")
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=10)

    ends = log.end_offsets()
    assert ends["polls", 0] == ends["polls", 1]
    assert ends["polls", 0] % 10 == 0
    assert offsets_of(log, "polls") == list(range(ends["polls", 0]))
    assert log.append([record("polls")]) == [ends["polls", 0]]


def test_many_may_open_a_log_that_is_not_there_yet(path: Path) -> None:
    def open_and_declare(_: int) -> int:
        with EmbeddedLog(path) as log:
            log.declare_topic("polls", 4, "delete")
            return len(log.topics())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(open_and_declare, range(8))) == [1] * 8


def test_compaction_lets_other_writers_in(log: EmbeddedLog, path: Path) -> None:
    for _ in range(6):
        log.append(record("hours", key=b"%d" % key) for key in range(10_000))
    with EmbeddedLog(path) as other, ThreadPoolExecutor(1) as threads:
        compacting = threads.submit(log.compact, "hours", 0)
        appended = 0
        while not compacting.done():
            other.append([record("polls")])
            appended += 1

        assert compacting.result() == 50_000
        assert appended > 10


# What goes wrong, and what is said


def test_a_full_disk_writes_nothing_and_says_so(log: EmbeddedLog) -> None:
    log.append([record("polls")])
    with log._database.reading() as db:
        db.execute("PRAGMA max_page_count = 30")

    with pytest.raises(LogFull, match="Free some space"):
        log.append(record("polls", value=b"x" * 1_000) for _ in range(1_000))

    assert offsets_of(log, "polls") == [0]
    with log._database.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    assert log.append([record("polls")]) == [1]


def test_a_file_size_limit_writes_nothing_and_says_so(log: EmbeddedLog, path: Path) -> None:
    log.append([record("polls")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises((LogDamaged, LogFull), match=str(path)):
            log.append(record("polls", value=b"x" * 10_000) for _ in range(1_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert offsets_of(log, "polls") == [0]
    assert log.append([record("polls")]) == [1]


def test_a_log_that_stays_locked_is_reported(log: EmbeddedLog, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with EmbeddedLog(path, busy_timeout_s=0.05) as hurried:
        with pytest.raises(LogBusy, match=r"locked for more than 0\.05 s"):
            hurried.append([record("polls")])
        holder.execute("ROLLBACK")
        assert hurried.append([record("polls")]) == [0]
    holder.close()


@pytest.mark.parametrize("content", [b"store_id,status\n" * 100, b"hello"])
def test_a_file_of_another_kind_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(NotALog, match="not a storepulse log"):
        EmbeddedLog(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE bookmarks (url TEXT)")
    foreign.close()

    with pytest.raises(NotALog):
        EmbeddedLog(path)


def test_a_log_of_a_newer_version_is_refused(log: EmbeddedLog, path: Path) -> None:
    with log._database.reading() as db:
        db.execute("PRAGMA user_version = 7")
    log.close()

    with pytest.raises(LogTooNew, match="has version 7; this program knows versions up to 2") as caught:
        EmbeddedLog(path)
    assert (caught.value.found, caught.value.supported) == (7, 2)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LogNotWritable, match="choose another state folder"):
        EmbeddedLog(tmp_path / "file" / "log.db")


def test_a_log_of_version_1_is_read(path: Path) -> None:
    """The file as version 1 makes it, spelled out: change it only together with a new version."""
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE topics (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, cleanup TEXT NOT NULL)
            WITHOUT ROWID;
        CREATE TABLE partitions (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
            end_offset INTEGER NOT NULL DEFAULT 0, clean_end INTEGER NOT NULL DEFAULT 0,
            clean_records INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition));
        CREATE TABLE commits (group_id TEXT NOT NULL, partition_id INTEGER NOT NULL,
            next_offset INTEGER NOT NULL, PRIMARY KEY (group_id, partition_id)) WITHOUT ROWID;
        CREATE TABLE records_1 (offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL,
            key BLOB, value BLOB, headers BLOB);
        INSERT INTO topics VALUES ('polls', 1, 'delete');
        INSERT INTO partitions VALUES (1, 'polls', 0, 8, 0, 0);
        INSERT INTO commits VALUES ('worker', 1, 8);
        INSERT INTO records_1 VALUES (7, 1000, x'6b', NULL, x'9192a3776879c4036f6c64');
        PRAGMA application_id = 1397771335;
        PRAGMA user_version = 1;
        """
    )
    db.close()

    with EmbeddedLog(path) as log:
        assert log.topics() == {"polls": TopicInfo(1, "delete")}
        assert read_all(log, "polls") == [Record("polls", 0, 7, 1_000, b"k", None, (("why", b"old"),))]
        assert (log.begin_offset("polls", 0), log.end_offset("polls", 0)) == (7, 8)
        assert log.committed("worker") == {("polls", 0): 8}


# Large records


def append_as_before(log: EmbeddedLog, key: str, value: str, headers: str = "NULL") -> None:
    """Append to polls 0 as older versions did, which took a record of any size; the fields in SQL."""
    with log._database.transaction() as db:
        table = f"records_{log._id('polls', 0)}"
        (end,) = db.execute(
            "SELECT end_offset FROM partitions WHERE id = ?", (log._id("polls", 0),)
        ).fetchone()
        db.execute(f"INSERT INTO {table} VALUES (?, 1000, {key}, {value}, {headers})", (end,))
        db.execute("UPDATE partitions SET end_offset = ? WHERE id = ?", (end + 1, log._id("polls", 0)))


def more_memory_kb(path: Path, work: str) -> int:
    """How much more memory some work on an open log takes, in a process of its own."""
    script = f"""
        import resource, sys
        from pathlib import Path
        from stream.brokers.embedded.log import EmbeddedLog
        with EmbeddedLog(Path(sys.argv[1])) as log:
            log.read("polls", 1, 0, 100, 1 << 20)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            {work}
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    child = start(script, path)
    out, problem = child.communicate(timeout=60)
    assert child.returncode == 0, problem
    return int(out)


def test_a_record_that_kafka_would_not_take_is_refused_in_words(log: EmbeddedLog) -> None:
    most = MAX_RECORD_BYTES
    with pytest.raises(RecordTooLarge, match=r"topic 'polls' has 16,777,217 bytes; 16,777,216 is the most"):
        log.append([record("polls"), record("polls", value=bytes(most))])
    with pytest.raises(RecordTooLarge):
        log.append([record("polls", key=bytes(most + 1), value=None)])
    with pytest.raises(RecordTooLarge):
        log.append([NewRecord("polls", 0, b"", b"", 1, (("", b""),) * (most // 10 + 1))])
    assert read_all(log, "polls") == []

    log.append([record("polls", value=bytes(most - 1)), record("polls", key=bytes(most), value=None)])
    assert [len(found.value or b"") for found in log.read("polls", 0, 0, 1, 1)] == [most - 1]
    assert [len(found.key or b"") for found in log.read("polls", 0, 1, 1, 1)] == [most]


def test_a_row_of_the_table_may_be_larger(log: EmbeddedLog) -> None:
    """A day's day block is what many good records add up to: refusing it would stop the worker at each start."""
    log.declare_topic(CHANGELOG, 1, "compact")
    log.append([record(CHANGELOG, value=bytes(MAX_RECORD_BYTES + 1))])
    assert [len(found.value or b"") for found in read_all(log, CHANGELOG)] == [MAX_RECORD_BYTES + 1]


def test_a_larger_one_that_an_older_version_took_is_read_without_what_is_in_it(log: EmbeddedLog) -> None:
    log.append([record("polls", key=b"before")])
    append_as_before(log, "x'6b'", "zeroblob(17000000)")
    append_as_before(log, "zeroblob(17000000)", "NULL")
    append_as_before(log, "x'6b'", "x'76'", "zeroblob(17000000)")
    log.append([record("polls", key=b"behind")])

    found = [each for at in range(5) for each in log.read("polls", 0, at, 1, 1)]
    assert found == [
        Record("polls", 0, 0, 1000, b"before", b"v"),
        Record("polls", 0, 1, 1000, b"k", b"", ((CUT_HEADER, b"key 1, value 17000000 bytes"),)),
        Record("polls", 0, 2, 1000, None, b"", ((CUT_HEADER, b"key 17000000, value 0 bytes"),)),
        Record("polls", 0, 3, 1000, b"k", b"", ((CUT_HEADER, b"key 1, value 1 bytes"),)),
        Record("polls", 0, 4, 1000, b"behind", b"v"),
    ]
    assert log.read("polls", 0, 0, 100, 1 << 30) == found


@pytest.mark.slow
def test_reading_costs_no_more_memory_than_what_is_handed_out(log: EmbeddedLog, path: Path) -> None:
    append_as_before(log, "x'6b'", "zeroblob(120000000)")
    append_as_before(log, "zeroblob(60000000)", "x'76'")
    assert more_memory_kb(path, "assert len(log.read('polls', 0, 0, 100, 1 << 30)) == 2") < 40_000
    log.append([record("polls", value=bytes(MAX_RECORD_BYTES - 1))])
    assert more_memory_kb(path, "assert len(log.read('polls', 0, 2, 100, 1)) == 1") < 60_000


@pytest.mark.slow
def test_cleaning_costs_little_memory_whatever_the_keys(log: EmbeddedLog, path: Path) -> None:
    append_as_before(log, "zeroblob(60000000)", "x'76'")
    for nth in range(40):
        log.append([record("polls", key=b"%d" % (nth % 20) + bytes(1 << 20), value=None)])
    append_as_before(log, "zeroblob(60000000)", "x'76'")
    assert more_memory_kb(path, "assert log.compact('polls', 0) == 21") < 60_000
    trim = "log.trim('polls', 0, before_offset=41, older_than_ms=10**12)"
    assert more_memory_kb(path, f"assert {trim} == 20") < 60_000


def test_small_and_large_records_are_read_together(log: EmbeddedLog) -> None:
    sizes = [0, 1, 65_535, 65_536, 70_000, 3, 1 << 20, 5]
    log.append([record("polls", key=None, value=bytes([nth]) * size) for nth, size in enumerate(sizes)])
    found = read_all(log, "polls") + log.read("polls", 0, 7, 10, 10)
    assert [each.value for each in found] == [bytes([nth]) * size for nth, size in enumerate(sizes)]


def test_headers_count_as_bytes_of_a_read(log: EmbeddedLog) -> None:
    log.append([NewRecord("polls", 0, b"k", b"v", 1, (("h", bytes(1000)),)) for _ in range(10)])
    assert len(log.read("polls", 0, 0, 10, 1500)) == 2
