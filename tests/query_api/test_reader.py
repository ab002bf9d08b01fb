"""A snapshot shows the tables as they are when it begins, whatever the worker does to them."""

import threading
from pathlib import Path

import numpy as np
import pytest

from query_api.errors import (
    FolderUnwritable,
    OtherZoneDatabase,
    ReaderClosed,
    StateRestoring,
    TableBroken,
    TableUnreadable,
)
from query_api.snapshots.reader import Reader
from query_api.snapshots.standing import Standing
from schemas.compatibility import NewerState
from schemas.opening_hours import week_of
from schemas.rows.day_blocks import day_block_key, day_blocks_prefix, encode_day_blocks
from schemas.rows.facts import PARTITIONS_KEY, ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY
from schemas.rows.losses import Loss
from schemas.rows.summaries import SUMMARY_VERSION, summary_key
from schemas.settings import Settings
from schemas.summaries import NO_POLL, PACKED_PER_DAY
from schemas.topics import POLLS, ZONES
from schemas.values import DAY_US, LATEST_INSTANT_US, Poll, StoreId, day_of, pack_poll
from tests.builders import at, poll, polls, rows, utc
from tests.core.shelf import Shelf
from tests.query_api.tables import Tables


def ids(reader: Reader) -> list[str]:
    with reader.snapshot() as snapshot:
        return [store_id for chunk in snapshot.chunks() for store_id in chunk.store_ids]


def latest_us(reader: Reader) -> int | None:
    with reader.snapshot() as snapshot:
        return snapshot.latest_us()


def secondaries(settings: Settings) -> list[Path]:
    return sorted(path for path in (settings.state / "secondary").glob("*") if path.is_dir())


def test_an_empty_state_has_no_store_and_no_position(tables: Tables, reader: Reader) -> None:
    assert ids(reader) == []
    with reader.snapshot() as snapshot:
        assert snapshot.latest_us() is None
        assert snapshot.applied() == {}
        assert snapshot.summary(StoreId("s1")) is None


def test_before_the_worker_ever_ran_there_is_no_state(reader: Reader) -> None:
    with pytest.raises(StateRestoring, match="no partition has a table here yet"):
        ids(reader)
    assert reader.standing() == Standing({}, None)


def test_a_partition_that_is_still_being_made_is_missing(settings: Settings, reader: Reader) -> None:
    settings.table_path(0).mkdir(parents=True)
    with pytest.raises(StateRestoring, match="no partition has a table here yet"):
        ids(reader)


def test_a_state_without_one_of_its_partitions_is_not_read(settings: Settings, reader: Reader) -> None:
    """What the tables say counts, and what the broker says where there are none of the last partitions."""
    tables = Tables(settings, 3)
    tables.remove_partition(1)
    with pytest.raises(StateRestoring, match="2 of 3 partitions are whole; no table for partition 1"):
        ids(reader)
    assert reader.standing().unfinished == (1,)
    tables.close()


def test_how_many_partitions_there_must_be_says_the_broker_where_no_table_does(
    settings: Settings, reader: Reader
) -> None:
    tables = Tables(settings, 2)
    for partition in (0, 1):
        tables.remove(PARTITIONS_KEY, partition)
    with pytest.raises(StateRestoring, match="how many partitions there are is not known yet"):
        ids(reader)
    reader.expect_partitions(3)
    with pytest.raises(StateRestoring, match="2 of 3 partitions are whole; no table for partition 2"):
        ids(reader)
    reader.expect_partitions(2)
    assert ids(reader) == []
    tables.close()


def test_a_table_that_is_being_restored_is_not_read_and_says_how_far_it_is(
    settings: Settings, reader: Reader
) -> None:
    tables = Tables(settings, 2)
    tables.add([poll("Mon 10:00 active", store_id=f"s{number}") for number in range(9)])
    tables.restore(123, 4560, partition=1)
    with pytest.raises(StateRestoring, match=r"1 of 2 .* partition 1 is being restored: 123 of 4,560"):
        ids(reader)
    table = reader.standing().tables[1]
    assert (table.whole, table.reached, table.target) == (False, 123, 4560)
    tables.make_whole(1)
    assert len(ids(reader)) == 9
    tables.close()


def test_a_table_as_an_older_version_left_it_is_not_read_until_a_worker_has_been_at_it(
    tables: Tables, reader: Reader
) -> None:
    tables.restore(7, target=None)
    with pytest.raises(StateRestoring, match="no worker has looked through the table of partition 0 yet"):
        ids(reader)


def test_a_row_that_says_whole_and_was_moved_to_a_file_and_deleted_again_is_gone(
    tables: Tables, reader: Reader
) -> None:
    assert ids(reader) == []
    tables.flush()
    tables.restore(1, 2)
    tables.flush()
    assert not reader.standing().whole
    tables.make_whole()
    tables.compact()
    assert ids(reader) == []


def test_losses_are_told_by_topic_and_partition_until_they_are_accepted(
    settings: Settings, reader: Reader
) -> None:
    tables = Tables(settings, 2)
    first, second = Loss(10, 20, 1000, "retention"), Loss(30, -1, 2000, "the topic was made again")
    tables.lose(POLLS, first, second, partition=1)
    tables.lose(ZONES, first)
    with reader.snapshot() as snapshot:
        assert snapshot.standing.losses == {(ZONES, 0): (first,), (POLLS, 1): (first, second)}
    tables.lose(POLLS, partition=1)
    assert reader.standing().losses == {(ZONES, 0): (first,)}
    tables.close()


def test_each_snapshot_sees_what_a_live_worker_wrote_before_it(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active"))
    assert latest_us(reader) == utc("2023-01-23 10:00")
    tables.add(polls("Mon 11:00 active"))
    assert latest_us(reader) == utc("2023-01-23 11:00")


def test_a_snapshot_does_not_change_while_the_worker_writes_on(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active"))
    with reader.snapshot() as snapshot:
        tables.add([poll("Mon 12:00 inactive"), poll("Mon 12:00 active", store_id="s2")])
        tables.compact()
        with reader.snapshot() as later:
            assert later.latest_us() == utc("2023-01-23 12:00")
        assert snapshot.latest_us() == utc("2023-01-23 10:00")
        assert [chunk.store_ids for chunk in snapshot.chunks()] == [["s1"]]


def test_files_that_the_worker_rewrites_and_deletes_stay_readable(tables: Tables, reader: Reader) -> None:
    for hour in range(24):
        tables.add(polls(f"Mon {hour:02d}:00 active"))
        tables.flush() if hour % 2 else tables.compact()
        assert latest_us(reader) == utc(f"2023-01-23 {hour:02d}:00")


def test_a_restart_of_the_worker_goes_unnoticed(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active"))
    assert ids(reader) == ["s1"]
    tables.reopen()
    tables.add(polls("Mon 11:00 active"))
    assert latest_us(reader) == utc("2023-01-23 11:00")


def test_a_table_deleted_and_made_again_is_read_again(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active", store_id="old"))
    assert ids(reader) == ["old"]
    tables.delete()
    assert reader.standing().tables == {}
    tables.add_partition()
    assert ids(reader) == []
    tables.add(polls("Mon 09:00 active", store_id="new"))
    assert ids(reader) == ["new"]


def test_a_table_made_again_between_two_snapshots_is_not_taken_for_the_old_one(
    tables: Tables, reader: Reader
) -> None:
    tables.add(polls("Mon 10:00 active", store_id="old"))
    assert ids(reader) == ["old"]
    tables.delete()
    tables.add_partition()
    tables.add(polls("Mon 09:00 active", store_id="new"))
    assert ids(reader) == ["new"]


def test_partitions_that_come_are_read_too_and_stores_stay_in_order(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active", store_id="b"))
    assert ids(reader) == ["b"]
    tables.add_partition()
    tables.add([poll("Mon 10:00 active", store_id=store_id) for store_id in "acdefgh"])
    assert ids(reader) == list("abcdefgh")


@pytest.mark.parametrize("partitions", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_stores_come_in_the_order_of_their_ids_bytes_whatever_the_partitions_and_chunks(
    settings: Settings, partitions: int, chunk: int
) -> None:
    some = ["10", "9", "1", "Z", "a", "é", "z\u0301", "\U0001f355", "\uffee", "a b", "a,b", 'a"', "a\nb"]
    every = [*some, *(f"store-{number}" for number in range(60))]
    tables, reader = Tables(settings, partitions), Reader(settings, chunk)
    tables.add([poll("Mon 10:00 active", store_id=store_id) for store_id in every])
    with reader.snapshot() as snapshot:
        chunks = [each.store_ids for each in snapshot.chunks()]
    assert [store_id for ids_ in chunks for store_id in ids_] == sorted(every, key=str.encode)
    assert max(map(len, chunks)) <= max(chunk, partitions)
    reader.close()
    tables.close()


def test_positions_are_those_of_every_partition(settings: Settings, reader: Reader) -> None:
    tables = Tables(settings, 2)
    tables.apply(POLLS, 12, partition=0)
    tables.apply(POLLS, 7, partition=1)
    tables.apply(ZONES, 3, partition=1)
    with reader.snapshot() as snapshot:
        assert snapshot.applied() == {(POLLS, 0): 12, (POLLS, 1): 7, (ZONES, 1): 3}
    tables.close()


def test_summary_and_polls_of_one_store_are_found_in_whatever_partition(
    settings: Settings, reader: Reader
) -> None:
    tables = Tables(settings, 4)
    week = week_of(rows("Mon 09:00-17:00"))
    for number in range(9):
        tables.name(f"s{number}", "Europe/Berlin", week)
        tables.add(polls("Mon 10:00 active", "Tue 10:00 inactive", store_id=f"s{number}"))
        tables.add(polls("Mon 10:00 active", store_id=f"s{number}0"))
    with reader.snapshot() as snapshot:
        summary = snapshot.summary(StoreId("s5"))
        assert summary is not None
        assert (summary.hours.zone, summary.hours.week) == ("Europe/Berlin", week)
        assert [packed >> 1 for packed in snapshot.polls(StoreId("s5"), summary).tolist()] == [
            utc("2023-01-23 10:00"),
            utc("2023-01-24 10:00"),
        ]
        assert len(snapshot.day_block(StoreId("s5"), utc("2023-01-24") // 86_400_000_000)) == 1
        assert len(snapshot.day_block(StoreId("s5"), 0)) == 0
    tables.close()


def test_state_made_with_another_zone_database_is_refused(tables: Tables, reader: Reader) -> None:
    tables.put(ZONE_DATABASE_KEY, b"1999a")
    with pytest.raises(OtherZoneDatabase, match="1999a"), reader.snapshot():
        pass


def test_a_summary_that_a_newer_version_wrote_is_refused(tables: Tables, reader: Reader) -> None:
    tables.put(summary_key(StoreId("s1")), bytes((SUMMARY_VERSION + 1,)) + bytes(63))
    with pytest.raises(NewerState):
        ids(reader)


def test_a_broken_table_is_named_and_read_again_once_it_is_repaired(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active"))
    current = tables.path(0) / "CURRENT"
    good = current.read_bytes()
    current.write_bytes(b"MANIFEST-999999\n")
    with pytest.raises(TableUnreadable, match="partition 0"):
        ids(reader)
    current.write_bytes(good)
    assert ids(reader) == ["s1"]


@pytest.mark.parametrize("chunk", [7, 1_000, 32_768])
def test_summaries_that_cannot_be_read_are_no_end_of_the_stores(
    tables: Tables, settings: Settings, chunk: int
) -> None:
    tables.break_rows(summary_key(StoreId("s")), Shelf().add(polls("Mon 10:00 active")).bytes[0])
    reader = Reader(settings, chunk)
    with pytest.raises(TableBroken):
        ids(reader)
    reader.close()


def test_a_summary_that_cannot_be_read_is_no_store_without_one(tables: Tables, reader: Reader) -> None:
    value = Shelf().add(polls("Mon 10:00 active")).bytes[0]
    tables.break_rows(summary_key(StoreId("s")), value)
    ids = [StoreId(f"s{number:05d}") for number in range(5_000)]
    with pytest.raises(TableBroken), reader.snapshot() as snapshot:
        assert all(snapshot.summary(store_id) is not None for store_id in ids)


def test_day_blocks_that_cannot_be_read_are_no_store_without_polls(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active", store_id="a"))
    tables.break_rows(day_blocks_prefix(StoreId("a")), bytes(8))
    summary = Shelf().add(polls("Mon 10:00 active")).summary
    with pytest.raises(TableBroken), reader.snapshot() as snapshot:
        snapshot.polls(StoreId("a"), summary)


def test_a_folder_where_nothing_can_be_written_is_named(
    tables: Tables, settings: Settings, reader: Reader
) -> None:
    in_the_way = settings.state / "secondary"
    in_the_way.touch()
    with pytest.raises(FolderUnwritable, match="secondary, which cannot be written"):
        ids(reader)
    in_the_way.unlink()
    assert ids(reader) == []


def test_snapshots_in_many_threads_each_see_a_whole_state(tables: Tables, reader: Reader) -> None:
    seen: list[tuple[int | None, int, int]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            with reader.snapshot() as snapshot:
                summary = snapshot.summary(StoreId("a"))
                assert summary is not None
                packed = snapshot.polls(StoreId("a"), summary)
                seen.append((snapshot.latest_us(), summary.latest >> 1, int(packed[-1]) >> 1))

    tables.add([poll("Mon 00:00 active", store_id="a")])
    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for minute in range(1, 60):
        tables.add([poll(f"Mon 00:{minute:02d} active", store_id="a")])
        tables.flush() if minute % 20 == 0 else None
    stop.set()
    for thread in threads:
        thread.join()
    assert len(seen) >= 6
    assert all(len(set(instants)) == 1 for instants in seen)
    assert latest_us(reader) == utc("2023-01-23 00:59")


def test_a_table_that_does_not_say_how_far_its_polls_reach_is_counted(
    settings: Settings, reader: Reader
) -> None:
    """As an older version left it, and as a replica has it until it has read the whole changelog."""
    tables = Tables(settings)
    tables.add(polls("Mon 10:00 active", store_id="a") + polls("Mon 11:00 active", store_id="b"))
    tables.remove(HIGH_WATER_KEY)
    assert latest_us(reader) == at("Mon 11:00")
    tables.close()


def test_a_row_that_was_moved_to_a_file_since_the_last_look_is_seen_by_every_way_of_reading(
    tables: Tables, reader: Reader
) -> None:
    """log   00:00 ── read ── 00:01, then moved to a file with 00:00"""
    tables.add(polls("Mon 00:00 active", store_id="a"))
    assert latest_us(reader) == at("Mon 00:00")
    tables.add(polls("Mon 00:01 active", store_id="a"))
    tables.apply(POLLS, 2)
    tables.flush()
    with reader.snapshot() as snapshot:
        summary = snapshot.summary(StoreId("a"))
        assert summary is not None
        day_blocks = (
            snapshot.polls(StoreId("a"), summary),
            snapshot.day_block(StoreId("a"), day_of(at("Mon 00:00"))),
        )
        (chunk,) = snapshot.chunks()
        seen = {snapshot.latest_us(), summary.latest >> 1, int(chunk.columns.latest[0]) >> 1}
        assert seen | {int(packed[-1]) >> 1 for packed in day_blocks} == {at("Mon 00:01")}
        assert snapshot.applied() == {(POLLS, 0): 2}


def test_a_closed_reader_leaves_no_files_and_answers_no_more(tables: Tables, settings: Settings) -> None:
    reader = Reader(settings)
    assert ids(reader) == []
    assert len(secondaries(settings)) == 1
    reader.close()
    reader.close()
    assert list((settings.state / "secondary").iterdir()) == []
    with pytest.raises(ReaderClosed), reader.snapshot():
        pass


def test_closing_ends_a_scan_at_its_next_chunk(tables: Tables, settings: Settings) -> None:
    reader = Reader(settings, chunk=1)
    tables.add([poll("Mon 10:00 active", store_id=store_id) for store_id in "abc"])
    with reader.snapshot() as snapshot:
        chunks = snapshot.chunks()
        assert next(chunks).store_ids == ["a"]
        closing = threading.Thread(target=reader.close)
        closing.start()
        assert reader.closing.wait(10), "close() never began"
        with pytest.raises(ReaderClosed):
            next(chunks)
    closing.join()
    assert list((settings.state / "secondary").iterdir()) == []


def test_what_dead_processes_left_is_removed_and_what_live_ones_use_is_not(
    tables: Tables, settings: Settings
) -> None:
    living = Reader(settings)
    assert ids(living) == []
    (used,) = secondaries(settings)
    dead = settings.state / "secondary" / "123-abc"
    (dead / "0").mkdir(parents=True)
    dead.with_suffix(".lock").touch()
    fresh = Reader(settings)
    assert ids(fresh) == []
    assert not dead.exists()
    assert used in secondaries(settings)
    assert ids(living) == []
    fresh.close()
    living.close()


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_the_polls_of_many_stores_are_those_of_each_with_its_baseline_first(
    settings: Settings, chunk: int
) -> None:
    """Over three partitions. What lies on days that no summary knows does not count."""
    tables = Tables(settings, partitions=3)
    every = {
        f"s{nth}": polls(*(f"Mon+{7 * week} 10:0{nth} active" for week in range(nth + 1)), store_id=f"s{nth}")
        for nth in range(5)
    }
    tables.add([each for of_store in every.values() for each in of_store]).name("quiet")
    tables.put(day_block_key(StoreId("s0"), 3), tables_block(every["s0"]), 0)
    reader = Reader(settings, chunk)
    try:
        with reader.snapshot() as snapshot:
            found: dict[str, list[int]] = {}
            expected: dict[str, list[int]] = {}
            for part in snapshot.chunks():
                of_part = snapshot.polls_of(part, 0, LATEST_INSTANT_US)
                for nth, store_id in enumerate(part.store_ids):
                    found[store_id] = of_part.packed[slice(*of_part.first[nth : nth + 2].tolist())].tolist()
                    summary = snapshot.summary(store_id)
                    assert summary is not None
                    before = [] if summary.baseline == NO_POLL else [summary.baseline]
                    expected[store_id] = before + snapshot.polls(store_id, summary).tolist()
    finally:
        reader.close()
        tables.close()
    assert found == expected
    assert found["quiet"] == []
    assert [len(found[f"s{nth}"]) for nth in range(5)] == [1, 2, 3, 4, 4], "the baseline and what is retained"


def tables_block(of_store: list[Poll]) -> bytes:
    (poll, *_) = of_store
    packed = np.array([3 * PACKED_PER_DAY + pack_poll(poll.at_us % DAY_US, poll.status)], np.int64)
    return encode_day_blocks(np.array([3]), np.array([1]), packed)[0]
