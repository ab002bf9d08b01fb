"""Following the changelog at its edges: what a table says of itself while a part of a flush is at hand.

In the pictures r is a row, P the row of positions that ends a flush, · an offset without a record. Reads end at |.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from schemas.rows.positions import applied_key
from schemas.rows.summaries import EMPTY_SUMMARY
from schemas.table_scans import Table
from schemas.topics import POLLS
from stream.errors import ChangelogCut
from stream.tables import follower as module
from stream.tables.follower import Follower
from stream.tables.rocks import is_whole, open_table, rows_of, stored_offset, write_rows
from tests.stream.lists import MARKER, ListChangelog, Slot, eventually, positions

COMPLETE_KEY = b"__complete__"
WHOLE: tuple[Slot, ...] = ((b"Ss1", EMPTY_SUMMARY), positions(), MARKER)
"""r P ·"""


def row(number: int) -> tuple[bytes, bytes]:
    return b"Ss%d" % number, EMPTY_SUMMARY


def stores_in(table: Table) -> list[int]:
    return [int(key[2:]) for key, _ in rows_of(table) if key.startswith(b"Ss")]


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    table = open_table(tmp_path / "0.db")
    yield table
    table.close()


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


async def test_a_table_is_not_whole_while_rows_of_it_are_held_back(table: Table) -> None:
    """r P · r | P ·    the end that was asked for is reached, and stands inside of a flush"""
    changelog = ListChangelog({0: [*WHOLE, row(2)]})
    async with following(changelog, table):
        await settled(changelog)
        assert (is_whole(table), stores_in(table)) == (False, [1])
        changelog.logs[0] += [positions(2), MARKER]
        await eventually(lambda: is_whole(table))
        assert stores_in(table) == [1, 2]


async def test_a_flush_larger_than_may_be_held_is_applied_by_a_restore_before_it_ends(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """r r r | r r P ·   nobody reads the table meanwhile"""
    monkeypatch.setattr(module, "_HELD_ROWS", 3)
    changelog = ListChangelog({0: [*map(row, range(5)), positions(), MARKER]})
    changelog.fetched[0] = 3
    restoring = asyncio.create_task(Follower(changelog, skip_malformed=False).restore({0: table}))
    await eventually(lambda: stores_in(table) == [0, 1, 2])
    assert not is_whole(table)
    del changelog.fetched[0]
    assert await restoring == 6
    assert (is_whole(table), stores_in(table)) == (True, [0, 1, 2, 3, 4])


async def test_rows_that_are_in_the_table_are_not_read_again(table: Table) -> None:
    """r P | · r P ·"""
    write_rows(table, [row(1), positions()], 1)
    changelog = ListChangelog({0: [*WHOLE, row(2), positions(2), MARKER]})
    assert await Follower(changelog, skip_malformed=False).restore({0: table}) == 2
    assert stores_in(table) == [1, 2]


async def test_a_changelog_that_ends_before_what_was_read_of_it_ends_the_follower(table: Table) -> None:
    """r P · then only r: it was deleted, and somebody writes to a new one"""
    changelog = ListChangelog({0: [*WHOLE]})
    task = asyncio.create_task(Follower(changelog, skip_malformed=False).follow({0: table}))
    await eventually(lambda: is_whole(table) and changelog.positions.get(0) == 3)
    changelog.logs[0] = [row(9)]
    changelog.positions[0] = 0
    with pytest.raises(ChangelogCut) as cut:
        async with asyncio.timeout(5):
            await task
    assert (cut.value.partition, cut.value.position) == (0, 3)
    assert stores_in(table) == [1]


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_table_that_has_not_all_is_not_noted_as_complete(
    table: Table, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """r P · r |         read, and held back: whoever went on behind it would never apply it

    r P · | r P ·     not read yet: its deletions may be forgotten before it is
    """
    monkeypatch.setattr(module, "NOTE_SECONDS", -1.0)
    changelog = ListChangelog({0: [*WHOLE]})
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        await settled(changelog)
        changelog.fetched[0] = 4 if is_held else 3
        changelog.logs[0] += [row(2)] if is_held else [row(2), positions(2), MARKER]
        await settled(changelog)
        noted = table.get(COMPLETE_KEY)
        await changelog.read_again(5)
        assert (table.get(COMPLETE_KEY), stored_offset(table)) == (noted, 2)
        changelog.logs[0] += [positions(2), MARKER] if is_held else []
        del changelog.fetched[0]
        await eventually(lambda: stored_offset(table) == 5)
        await eventually(lambda: table.get(COMPLETE_KEY) != noted)


async def test_a_row_of_positions_of_format_1_ends_a_flush_and_its_deletion_does_not(table: Table) -> None:
    """r A · then × r P ·     × deletes A: it is the first row of the flush that migrates"""
    applied = applied_key(POLLS)
    changelog = ListChangelog({0: [row(1), (applied, b"1"), MARKER]})
    async with following(changelog, table):
        await eventually(lambda: is_whole(table))
        changelog.logs[0] += [row(2), (applied, b"2"), MARKER]
        await eventually(lambda: stores_in(table) == [1, 2])
        changelog.logs[0] += [(applied, None)]
        await settled(changelog)
        assert table.get(applied) == b"2"
        changelog.logs[0] += [row(3), positions(3), MARKER]
        await eventually(lambda: stores_in(table) == [1, 2, 3])
        assert table.get(applied) is None
        assert is_whole(table)
