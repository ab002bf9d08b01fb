"""Tables of older versions become tables of this one, in one flush, whatever they lack; others are left alone.

format 1  S of version 1, M applied … ──▶ format 2  M positions ──▶ format 3  S of version 2
"""

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.compatibility import NewerState
from schemas.rows.day_blocks import day_block_key
from schemas.rows.facts import PARTITIONS_KEY, SWEPT_KEY, TOPICS_KEY, ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY, decode_high_water
from schemas.rows.losses import loss_key
from schemas.rows.positions import POSITIONS_KEY, applied_key
from schemas.rows.stamps import encode_stamps, stamps_key
from schemas.rows.summaries import SUMMARY_VERSION, decode_summary, summary_key
from schemas.rows.table_format import FORMAT_KEY, TABLE_FORMAT, encode_format
from schemas.settings import Settings
from schemas.stamps import StoreStamps
from schemas.summaries import NO_POLL, HighWater
from schemas.topics import CHANGELOG, POLLS, SOURCES, ZONES
from schemas.values import DAY_US, StoreId, day_of
from stream.brokers.ports import WriterLost
from stream.core.calendar import ZONE_DATABASE
from stream.tables.follower import Follower
from stream.tables.rocks import rows_of, write_rows
from stream.tables.store_table import StoreRows
from stream.worker.losses import TopicSpan
from stream.worker.migrations import MIGRATIONS
from stream.worker.write_behind import WriteBehind
from tests import older
from tests.builders import at
from tests.core.test_stored_bytes import DAY_BLOCK_V1, SUMMARY_V1, SUMMARY_V2
from tests.stream.lists import ListChangelog, ListWriter, Slot, Tables

S1 = StoreId("s1")
TODAY = b"%d" % (time.time_ns() // (1000 * DAY_US))
LATEST = 2 * at("Mon 14:00:00.5") + 1
"""The latest poll of SUMMARY_V1."""
STORE = {day_block_key(S1, day_of(at("Mon 00:00"))): DAY_BLOCK_V1}
FACTS = {
    PARTITIONS_KEY: b"4",
    ZONE_DATABASE_KEY: ZONE_DATABASE.encode(),
    HIGH_WATER_KEY: b"%d -1" % LATEST,
}
FORMAT_1 = {**STORE, **FACTS, b"Ss1": SUMMARY_V1, applied_key(POLLS): b"7", applied_key(ZONES): b"3"}
FORMAT_2 = {
    **STORE,
    **FACTS,
    b"Ss1": SUMMARY_V1,
    FORMAT_KEY: b"\2" + encode_format()[1:],
    POSITIONS_KEY: b'{"store-polls":7,"store-zones":3}',
    TOPICS_KEY: b"{}",
    SWEPT_KEY: TODAY,
}
FORMAT_3 = {**FORMAT_2, b"Ss1": SUMMARY_V2, FORMAT_KEY: encode_format()}
"""The same store in a table of each format."""
OLDER = pytest.mark.parametrize("old", [FORMAT_1, FORMAT_2], ids=["format 1", "format 2"])


class Worker:
    """WriteBehind over a table that an older version left; partition 0 becomes ours when it begins."""

    def __init__(self, table: StoreRows) -> None:
        self.table = table
        self.write_behind = WriteBehind(table, 4, 14, 0.0, lambda: None)
        self.writer = ListWriter(0)

    def left(self, rows: dict[bytes, bytes]) -> None:
        write_rows(self.table.rows(0), rows.items(), 70, time.time())

    async def begin(self, *, rewrites_all: bool = False, partition: int = 0) -> None:
        if self.writer.is_lost:
            self.writer = ListWriter(partition)
        spans = {spec.name: TopicSpan(0, 1000, None, "") for spec in SOURCES}
        await self.write_behind.begin(partition, self.writer, spans, {}, rewrites_all=rewrites_all)

    def rows(self, partition: int = 0) -> dict[bytes, bytes]:
        return dict(rows_of(self.table.rows(partition)))

    def written(self) -> list[list[bytes]]:
        """The keys of each flush."""
        return [[key for key, _ in flush.rows] for flush in self.writer.flushes]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    table = Tables(tmp_path)
    yield Worker(table)
    table.close()


# What becomes of a table


def test_formats_follow_each_other_up_to_the_newest_and_what_is_derived_again_comes_last() -> None:
    *formats, derived = MIGRATIONS
    assert [(each.from_, each.to) for each in formats] == [(1, 2), (2, 3)]
    assert formats[-1].to == TABLE_FORMAT
    assert {each.what for each in formats} == {"format"}
    assert (derived.what, derived.from_, derived.to) == ("zone database", None, ZONE_DATABASE)


@OLDER
async def test_an_older_table_becomes_one_of_this_format_in_one_flush(
    worker: Worker, old: dict[bytes, bytes]
) -> None:
    worker.left(old)
    await worker.begin()
    assert worker.rows() == FORMAT_3
    (flush,) = worker.writer.flushes
    assert flush.rows[-1] == (POSITIONS_KEY, b'{"store-polls":7,"store-zones":3}')
    assert [key for key, _ in flush.rows].count(POSITIONS_KEY) == 1
    assert (worker.write_behind.taken_to(0, POLLS), worker.write_behind.taken_to(0, ZONES)) == (7, 3)


@OLDER
async def test_a_migration_writes_what_changes_and_no_more(worker: Worker, old: dict[bytes, bytes]) -> None:
    worker.left(old)
    await worker.begin()
    (keys,) = worker.written()
    gone = sorted(old.keys() - FORMAT_3.keys())
    said = [FORMAT_KEY] if old is FORMAT_2 else [FORMAT_KEY, TOPICS_KEY, SWEPT_KEY]
    assert keys == [*gone, b"Ss1", HIGH_WATER_KEY, *said, POSITIONS_KEY]


@pytest.mark.parametrize("partition", range(older.PARTITIONS))
async def test_the_tables_that_dd7560e_left_say_the_same_afterwards(tmp_path: Path, partition: int) -> None:
    table = StoreRows(Settings(state=older.unpack(tmp_path)).table_path)
    worker = Worker(table)
    worker.write_behind = WriteBehind(table, older.PARTITIONS, 14, 0.0, lambda: None)
    before = worker.rows(partition)
    await worker.begin(partition=partition)
    assert len(worker.writer.flushes) == 1
    after = worker.rows(partition)
    summaries = [key for key in before if key > b"S\1"]
    assert len(summaries) > 1
    for key in summaries:
        assert (before[key][0], after[key][0]) == (1, SUMMARY_VERSION)
        old, new = decode_summary(before[key]), decode_summary(after[key])
        assert (old.hours, old.latest, old.baseline) == (new.hours, new.latest, new.baseline)
        for name in ("days", "change_polls", "change_up_us"):
            assert getattr(old, name).tolist() == getattr(new, name).tolist()
    assert after[HIGH_WATER_KEY] == before[HIGH_WATER_KEY]
    assert {key for key in before if key[:1] == b"P"} == {key for key in after if key[:1] == b"P"}
    table.rows(partition).close()


# How far polls reach


def reaching(latest: int) -> bytes:
    """SUMMARY_V1 as if its latest poll were another one."""
    return SUMMARY_V1[:8] + struct.pack("<q", latest) + SUMMARY_V1[16:]


@OLDER
@pytest.mark.parametrize("stored", [None, b"-1 -1", b"9223372036854775807 4"])
async def test_a_high_water_mark_that_is_missing_or_wrong_is_counted(
    worker: Worker, old: dict[bytes, bytes], stored: bytes | None
) -> None:
    wrong = {key: value for key, value in old.items() if key != HIGH_WATER_KEY}
    worker.left(wrong if stored is None else {**wrong, HIGH_WATER_KEY: stored})
    await worker.begin()
    assert worker.rows()[HIGH_WATER_KEY] == FACTS[HIGH_WATER_KEY]
    assert len(worker.writer.flushes) == 1


async def test_the_mark_of_a_large_table_is_that_of_all_its_stores(worker: Worker) -> None:
    """1,100 stores are more than two slices; the first one reaches furthest."""
    stores = {summary_key(StoreId(f"s{n:04d}")): reaching(LATEST + 2 * (n == 0)) for n in range(1_100)}
    worker.left({**FACTS, **stores, applied_key(POLLS): b"7"})
    await worker.begin()
    assert decode_high_water(worker.rows()[HIGH_WATER_KEY]) == HighWater(LATEST + 2, NO_POLL)
    assert all(worker.rows()[key][0] == SUMMARY_VERSION for key in stores)
    assert len(worker.writer.flushes) == 1


# Crashes


def lose_the_writer(worker: Worker) -> None:
    worker.writer.fails = WriterLost(0, "a test")


def end_the_process(worker: Worker) -> None:
    worker.writer.fails = KeyboardInterrupt()  # type: ignore[assignment]  # or anything else that ends it


@OLDER
@pytest.mark.parametrize("crash", [lose_the_writer, end_the_process])
async def test_a_crash_before_the_flush_leaves_the_old_table_and_the_next_start_migrates_it(
    worker: Worker, old: dict[bytes, bytes], crash: Callable[[Worker], None]
) -> None:
    worker.left(old)
    crash(worker)
    with pytest.raises((WriterLost, KeyboardInterrupt)):
        await worker.begin()
    assert worker.rows() == old
    assert decode_summary(worker.rows()[b"Ss1"]).latest == LATEST
    assert not worker.write_behind.owns(0)
    await worker.begin()
    assert (worker.rows(), len(worker.writer.flushes)) == (FORMAT_3, 1)


@OLDER
async def test_a_crash_between_the_changelog_and_the_table_is_made_good_by_the_changelog(
    worker: Worker, old: dict[bytes, bytes]
) -> None:
    """The flush is in the changelog; the table is restored from there, and is then of the newest format."""
    worker.left(old)
    await worker.begin()
    flush = worker.writer.log
    other = Worker(Tables(Path(worker.table.rows(0).path()).parent / "other"))
    write_rows(other.table.rows(0), old.items(), 70, time.time())
    before: list[Slot] = [None] * 71
    changelog = ListChangelog({0: before + flush})
    await Follower(changelog, skip_malformed=False).restore({0: other.table.rows(0)})
    assert other.rows() == FORMAT_3
    await other.begin()
    assert other.writer.flushes == []
    other.table.rows(0).close()


# Tables that are left alone


async def test_a_table_of_the_newest_format_writes_nothing(worker: Worker) -> None:
    worker.left(FORMAT_3)
    await worker.begin()
    assert (worker.written(), worker.rows()) == ([], FORMAT_3)


@OLDER
async def test_a_table_that_was_migrated_is_not_migrated_again(
    worker: Worker, old: dict[bytes, bytes]
) -> None:
    worker.left(old)
    for _ in range(3):
        await worker.begin()
    assert len(worker.writer.flushes) == 1


async def test_an_empty_table_writes_nothing(worker: Worker) -> None:
    await worker.begin()
    assert (worker.written(), worker.rows()) == ([], {})


async def test_a_table_of_a_newer_format_is_refused_whatever_else_is_in_it(worker: Worker) -> None:
    newer = {**FORMAT_1, FORMAT_KEY: b"\4" + encode_format()[1:]}
    worker.left(newer)
    with pytest.raises(NewerState):
        await worker.begin()
    assert (worker.written(), worker.rows()) == ([], newer)


# Tables that lack something


@pytest.mark.parametrize("old", [FORMAT_1, FORMAT_2, FORMAT_3], ids=["1", "2", "3"])
async def test_a_table_without_positions_begins_where_the_topics_do(
    worker: Worker, old: dict[bytes, bytes]
) -> None:
    """As where it was restored from the beginning of a changelog alone. Nothing was committed: nothing is lost."""
    gone = (POSITIONS_KEY, applied_key(POLLS), applied_key(ZONES))
    worker.left({key: value for key, value in old.items() if key not in gone})
    await worker.begin()
    assert worker.write_behind.taken_to(0, POLLS) == 0
    rows = worker.rows()
    assert loss_key(POLLS) not in rows
    assert rows == {key: value for key, value in FORMAT_3.items() if key != POSITIONS_KEY} | (
        {} if old is FORMAT_3 else {POSITIONS_KEY: b"{}"}
    )


# Another zone database

OFF_BY_ONE = {
    **FORMAT_3,
    b"Ss1": SUMMARY_V2.replace(struct.pack("<2q", 0, 0), struct.pack("<2q", 1, 1)),
    ZONE_DATABASE_KEY: b"1999a",
}
"""The uptime accumulated up to each change is a microsecond more than ours."""


@pytest.mark.parametrize("says", [True, False])
async def test_a_table_of_another_zone_database_is_derived_again_in_one_flush(
    worker: Worker, says: bool
) -> None:
    """Also where it does not say of which it is."""
    old = OFF_BY_ONE if says else {k: v for k, v in OFF_BY_ONE.items() if k != ZONE_DATABASE_KEY}
    assert old[b"Ss1"] != SUMMARY_V2
    worker.left(old)
    await worker.begin()
    assert worker.rows() == FORMAT_3
    assert list(dict.fromkeys(*worker.written())) == [b"Ss1", ZONE_DATABASE_KEY, POSITIONS_KEY]
    await worker.begin()
    assert len(worker.writer.flushes) == 1


async def test_an_older_table_of_another_zone_database_takes_both_steps_in_one_flush(worker: Worker) -> None:
    worker.left({**FORMAT_1, ZONE_DATABASE_KEY: b"1999a"})
    await worker.begin()
    assert worker.rows() == FORMAT_3
    assert len(worker.writer.flushes) == 1


async def test_a_table_without_stores_has_nothing_to_derive_again(worker: Worker) -> None:
    """Only the stamps of a store that was forgotten."""
    rows = {key: value for key, value in FORMAT_3.items() if key not in (b"Ss1", *STORE)}
    stamps = encode_stamps(StoreStamps(changed_day=int(TODAY)))
    worker.left({**rows, ZONE_DATABASE_KEY: b"1999a", stamps_key(S1): stamps})
    await worker.begin()
    assert worker.written() == []


# While the changelog must be filled again


@pytest.mark.parametrize("old", [FORMAT_1, FORMAT_2, FORMAT_3, OFF_BY_ONE], ids=["1", "2", "3", "zones"])
async def test_a_changelog_is_filled_and_its_table_migrated_in_one_flush_and_tells_all_alone(
    worker: Worker, tmp_path: Path, old: dict[bytes, bytes]
) -> None:
    worker.left(old)
    await worker.begin(rewrites_all=True)
    assert worker.rows() == FORMAT_3
    (keys,) = worker.written()
    assert [key for key in keys if key == POSITIONS_KEY] == keys[-1:]
    again = Tables(tmp_path / "again")
    changelog = ListChangelog({0: worker.writer.log})
    await Follower(changelog, skip_malformed=False).restore({0: again.rows(0)})
    assert dict(rows_of(again.rows(0))) == FORMAT_3
    again.close()


@pytest.mark.parametrize("rewrites_all", [False, True])
async def test_nothing_of_the_flush_that_migrates_a_table_ends_one_before_its_end(
    worker: Worker, tmp_path: Path, rewrites_all: bool
) -> None:
    """Whoever follows it row by row sees the old table until the new one is there, never what is between.

    Rows of positions of format 1 end flushes of format 1; this one deletes them, or has them from the refill.
    """
    worker.left(FORMAT_1)
    await worker.begin(rewrites_all=rewrites_all)
    copy = Tables(tmp_path / "copy")
    begins: list[Slot] = [] if rewrites_all else [*FORMAT_1.items()]
    changelog = ListChangelog({0: begins})
    follower = Follower(changelog, skip_malformed=False)
    await follower._begin({0: copy.rows(0)})
    while begins and changelog.positions[0] < len(begins):
        await follower._step(is_final=True)
    before = dict(rows_of(copy.rows(0)))
    seen = []
    for slot in worker.writer.log:
        changelog.logs[0].append(slot)
        await follower._step(is_final=False)
        seen.append(dict(rows_of(copy.rows(0))))
    assert seen[-1] == FORMAT_3
    assert all(each in (before, FORMAT_3) for each in seen)
    copy.close()


async def test_a_changelog_id_is_noted_by_the_flush_that_fills_it(worker: Worker) -> None:
    worker.left(FORMAT_1)
    spans = {spec.name: TopicSpan(0, 1000, None, "") for spec in SOURCES}
    await worker.write_behind.begin(0, worker.writer, spans, {CHANGELOG: "C"}, rewrites_all=True)
    assert worker.rows() == {**FORMAT_3, TOPICS_KEY: b'{"storepulse-stores-changelog":"C"}'}
