"""From the changelog back to tables: what is applied together, and when a table is whole.

In the pictures r is a row, P the row of positions that ends a flush, · an offset without a record. Reads end at |.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import rocksdict

from schemas.compatibility import NewerState
from schemas.rows.positions import POSITIONS_KEY
from schemas.rows.summaries import EMPTY_SUMMARY
from schemas.table_scans import Table
from stream.errors import MalformedChangelog
from stream.tables.follower import Follower
from stream.tables.rocks import begin_restore, is_whole, open_table, rows_of, stored_offset, write_rows
from tests.stream.lists import MARKER, ListChangelog, Slot, eventually, positions

HEAD = b"Ss%d"


def row(number: int) -> tuple[bytes, bytes]:
    """The summary of a store; only its key matters here."""
    return HEAD % number, EMPTY_SUMMARY


def stores_in(table: Table) -> list[int]:
    """The numbers of the stores that have a row."""
    return [int(key[2:]) for key, _ in rows_of(table) if key.startswith(b"Ss")]


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    table = open_table(tmp_path / "0.db")
    yield table
    table.close()


def reader(*slots: Slot, per_read: int = 1_000) -> ListChangelog:
    changelog = ListChangelog({0: list(slots)})
    changelog.per_read = per_read
    return changelog


async def restored(changelog: ListChangelog, table: Table, *, skip_malformed: bool = False) -> int:
    return await Follower(changelog, skip_malformed=skip_malformed).restore({0: table})


@asynccontextmanager
async def following(changelog: ListChangelog, table: Table) -> AsyncIterator[None]:
    task = asyncio.create_task(Follower(changelog, skip_malformed=False).follow({0: table}))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def settled(changelog: ListChangelog) -> None:
    """Returns when the follower has looked at all that can be read, and at nothing a few times more."""
    await eventually(lambda: changelog.positions.get(0) == changelog.reads_end())
    await changelog.read_again(3)


# Restoring


async def test_a_restore_takes_the_table_to_the_end_and_only_then_makes_it_whole(table: Table) -> None:
    """r P · | r P ·"""
    changelog = reader(row(1), positions(), MARKER, row(2), positions(), MARKER, per_read=3)
    states = []
    read = changelog.read

    async def noting(timeout_s: float) -> Any:
        states.append((is_whole(table), stores_in(table)))
        return await read(timeout_s)

    changelog.read = noting  # type: ignore[method-assign]
    assert await restored(changelog, table) == 4
    assert states == [(False, []), (False, [1])]
    assert (is_whole(table), stores_in(table), stored_offset(table)) == (True, [1, 2], 5)


async def test_a_whole_table_that_is_behind_is_not_whole_until_it_is_at_the_end(table: Table) -> None:
    changelog = reader(row(1), positions(), MARKER)
    await restored(changelog, table)
    changelog.logs[0] += [row(2), positions(), MARKER]
    changelog.stable[0] = 3
    task = asyncio.create_task(restored(changelog, table))
    await eventually(lambda: not is_whole(table))
    changelog.stable[0] = 6
    assert await task == 2
    assert is_whole(table)


async def test_a_table_at_the_end_is_whole_without_a_read(table: Table) -> None:
    write_rows(table, [row(1)], 2)
    begin_restore(table, 3)
    assert await restored(reader(row(1), positions(), MARKER), table) == 0
    assert is_whole(table)


async def test_an_empty_changelog_makes_an_empty_table_whole(table: Table) -> None:
    assert await restored(reader(), table) == 0
    assert (is_whole(table), stored_offset(table)) == (True, None)


async def test_a_restore_ends_by_position_where_the_last_offsets_hold_no_record(table: Table) -> None:
    """r P · · ·   an aborted transaction is at the end"""
    await restored(reader(row(1), positions(), MARKER, MARKER, MARKER), table)
    assert (is_whole(table), stored_offset(table)) == (True, 4)


async def test_rows_at_the_end_whose_flush_never_ended_are_applied_by_a_restore(table: Table) -> None:
    """r P · r   all writers are fenced out, so no row of positions will follow"""
    await restored(reader(row(1), positions(), MARKER, row(2)), table)
    assert (is_whole(table), stores_in(table), stored_offset(table)) == (True, [1, 2], 3)


async def test_a_restore_goes_on_where_the_table_is(table: Table) -> None:
    changelog = reader(row(1), positions(), MARKER, row(2), positions(), MARKER)
    write_rows(table, [], 2)
    assert await restored(changelog, table) == 2
    assert stores_in(table) == [2]


async def test_of_a_row_the_last_value_holds_and_a_null_deletes_it(table: Table) -> None:
    slots: list[Slot] = [row(1), row(2), positions(1), MARKER, (HEAD % 1, None), positions(2), MARKER]
    await restored(reader(*slots, per_read=1), table)
    assert stores_in(table) == [2]
    assert table.get(POSITIONS_KEY) == b'{"store-polls":2}'


# Following


async def test_a_follower_holds_rows_back_until_the_row_that_ends_their_flush(table: Table) -> None:
    """r P · r r | P"""
    changelog = reader(row(1), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [row(2), row(3)]
        await settled(changelog)
        assert (is_whole(table), stores_in(table)) == (True, [1])
        changelog.logs[0] += [positions(2), MARKER]
        await eventually(lambda: stores_in(table) == [1, 2, 3])
        assert table.get(POSITIONS_KEY) == b'{"store-polls":2}'
        assert is_whole(table)


async def test_a_flush_that_many_reads_bring_is_applied_as_one(table: Table) -> None:
    """r | r | … | P   at no moment is a part of it there"""
    changelog = reader(row(0), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.per_read = 1
        changelog.logs[0] += [*map(row, range(1, 40)), positions(2), MARKER]
        seen = set()
        async with asyncio.timeout(5):
            while len(stores_in(table)) < 40:
                seen.add(len(stores_in(table)))
                await asyncio.sleep(0.001)
        assert seen == {1}
        assert is_whole(table)


async def test_what_stands_behind_an_ended_flush_waits_for_its_own_end(table: Table) -> None:
    """r P · r P · r   in one read: two flushes are applied, the third is not"""
    changelog = reader(row(1), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [row(2), positions(2), MARKER, row(3)]
        await eventually(lambda: stores_in(table) == [1, 2])
        await settled(changelog)
        assert (stores_in(table), stored_offset(table)) == ([1, 2], 4)


async def test_a_large_flush_that_a_restore_began_in_the_middle_of_is_applied_before_the_table_is_whole(
    table: Table,
) -> None:
    """r r r r r r|r r P   the end that was asked for stands inside; its rows are too many to be held back.

    A stranger's open transaction hides what stands behind `|`.
    """
    large = b"P" + b"s\0" + bytes(4), b"\1" + bytes(5 << 20)
    changelog = reader(*map(row, range(5)), large)
    changelog.logs[0] += [row(5), row(6), positions(), MARKER]
    changelog.stable[0] = 6
    states = []
    async with following(changelog, table):
        await eventually(lambda: changelog.asked == ["ends", "begin"])
        for readable in range(6, 11):
            changelog.stable[0] = readable
            await settled(changelog)
            states.append((len(stores_in(table)), is_whole(table)))
    assert [stores for stores, whole in states if whole] == [7, 7], states


# Holes


async def test_a_hole_makes_a_table_not_whole_until_the_end_that_is_asked_for_then(table: Table) -> None:
    """r P · · · r P ·   compaction took rows away, so what is left of the flush may not be all of it"""
    changelog = reader(row(1), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [MARKER, MARKER, row(2), positions(2), MARKER]
        changelog.logs[0] += [row(3), positions(3), MARKER]
        changelog.fetched[0] = 8
        await eventually(lambda: not is_whole(table))
        await settled(changelog)
        assert not is_whole(table)
        changelog.fetched[0] = 11
        await eventually(lambda: is_whole(table))
        assert stores_in(table) == [1, 2, 3]


async def test_a_hole_inside_a_flush_is_one_too(table: Table) -> None:
    """r P · r · r P ·"""
    changelog = reader(row(1), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [row(2), MARKER, row(4), positions(2), MARKER]
        changelog.fetched[0] = 7
        await eventually(lambda: not is_whole(table))
        changelog.fetched[0] = 8
        await eventually(lambda: is_whole(table) and stores_in(table) == [1, 2, 4])


async def test_offsets_without_a_record_at_the_end_of_a_read_are_a_hole_too(table: Table) -> None:
    """r P · · · | r P ·   else the rows behind them would seem to follow what was read"""
    changelog = reader(row(1), positions(), MARKER)
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [MARKER, MARKER, row(2), positions(2), MARKER]
        changelog.fetched[0] = 5
        await eventually(lambda: not is_whole(table))
        await settled(changelog)
        assert not is_whole(table)
        changelog.fetched[0] = 8
        await eventually(lambda: is_whole(table) and stores_in(table) == [1, 2])


async def test_a_marker_is_no_hole(table: Table) -> None:
    """r P · r P · …   one offset without a record behind each flush, however the reads fall"""
    for per_read in (1, 2, 3, 100):
        changelog = reader(row(1), positions(), MARKER, per_read=per_read)
        async with following(changelog, table):
            await eventually(lambda: is_whole(table))
            for number in range(5):
                changelog.logs[0] += [row(number), positions(), MARKER]
            await settled(changelog)
        assert changelog.asked.count("ends") == 1, f"{per_read} offsets a read"


async def test_a_marker_behind_which_a_table_goes_on_is_no_hole(table: Table) -> None:
    """r P | · r P ·   the table was left before it read the marker"""
    write_rows(table, [row(1)], 1)
    changelog = reader(row(1), positions())
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [MARKER, row(2), positions(2), MARKER]
        await eventually(lambda: stores_in(table) == [1, 2])
    assert changelog.asked.count("ends") == 1


# Rows that are none of ours

NEWER_SUMMARY = b"Ss1", b"\3" + EMPTY_SUMMARY[1:]


async def test_a_malformed_row_stops_with_its_place(table: Table) -> None:
    with pytest.raises(MalformedChangelog, match="partition 0, offset 1:"):
        await restored(reader(row(1), (b"huh", b"?"), positions(), MARKER), table)
    assert not is_whole(table)


async def test_a_malformed_row_can_be_left_out_by_setting(table: Table) -> None:
    slots: list[Slot] = [row(1), (b"huh", b"?"), (b"Ss2", b""), positions(), MARKER]
    await restored(reader(*slots), table, skip_malformed=True)
    assert [key for key, _ in rows_of(table)] == [POSITIONS_KEY, b"Ss1"]
    assert is_whole(table)


async def test_what_is_left_out_is_no_hole(table: Table) -> None:
    changelog = reader(row(1), positions(), MARKER)
    task = asyncio.create_task(Follower(changelog, skip_malformed=True).follow({0: table}))
    await eventually(lambda: is_whole(table))
    changelog.logs[0] += [row(2), (b"huh", b"?"), positions(2), MARKER]
    await eventually(lambda: stores_in(table) == [1, 2])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert changelog.asked.count("ends") == 1


@pytest.mark.parametrize("skip_malformed", [True, False])
async def test_a_newer_row_always_stops(table: Table, skip_malformed: bool) -> None:
    with pytest.raises(NewerState, match=r"offset 1, has format 3"):
        await restored(
            reader(row(1), NEWER_SUMMARY, positions(), MARKER), table, skip_malformed=skip_malformed
        )
    assert not is_whole(table)


@pytest.mark.parametrize("skip_malformed", [False, True])
@pytest.mark.parametrize("value", [b"\3what", None])
async def test_a_row_of_an_unknown_kind_always_stops(
    table: Table, skip_malformed: bool, value: bytes | None
) -> None:
    """What a newer version writes, or deletes, must never be left out: it would be missing after an upgrade."""
    unknown = b"S\0hs1", value
    with pytest.raises(NewerState, match="partition 0, offset 1, is of an unknown kind"):
        await restored(reader(row(1), unknown, positions(), MARKER), table, skip_malformed=skip_malformed)
    assert table.get(unknown[0]) is None


# Cancelled


class SlowTable:
    """A RocksDB whose write takes until it is let go on."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.writing = threading.Event()
        self.go_on = threading.Event()
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def write(self, batch: rocksdict.WriteBatch) -> None:
        if self.is_of_rows():
            self.writing.set()
            assert self.go_on.wait(5)
        self.writes += 1
        self._table.write(batch)

    def is_of_rows(self) -> bool:
        """StatusChanges of whole and not whole are written by the event loop, rows by a thread."""
        return threading.current_thread() is not threading.main_thread()


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_cancelled_in_the_middle_of_a_write_nothing_is_written_later(
    table: Table, cancellations: int
) -> None:
    """Whoever has the partition next would find its rows overwritten by ours."""
    slow: Any = SlowTable(table)
    task = asyncio.create_task(restored(reader(row(1), positions(), MARKER), slow))
    await eventually(slow.writing.is_set)
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    written = slow.writes
    await asyncio.sleep(0.02)
    assert slow.writes == written
    assert stores_in(table) == [1]
