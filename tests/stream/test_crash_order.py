"""The order of the rows of a store in a flush, and what a crash between any two of them leaves.

    summary ── stamps ── day blocks that go ── day blocks that come        ╳ anywhere, then the same updates again

A day block that counts must never be there while the summary does not know it: else it would count twice, or for
ever. And stamps must not say that a record held whose value the summary does not have.
"""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.opening_hours import OpeningHours
from schemas.rows.day_blocks import day_block_key
from schemas.rows.stamps import stamps_key
from schemas.rows.summaries import decode_summary, summary_key
from schemas.stamps import LastSaid, Stamp
from schemas.summaries import HighWater
from schemas.values import DAY_US, Status, StoreId, pack_poll
from stream.core.merge import merge
from stream.tables.rocks import rows_of, write_rows
from stream.worker import merging
from stream.worker.merging import Merger, StoreUpdates
from stream.worker.updates import Updates
from tests.stream.lists import Tables

S1 = StoreId("s1")
RETENTION_DAYS = 14


def polled(*days: int, minute: int = 0) -> "array[int]":
    """An active poll on each day, so many minutes after midnight."""
    return array("q", [_packed(day, minute) for day in days])


def _packed(day: int, minute: int = 0) -> int:
    return pack_poll(day * DAY_US + minute * 60_000_000, Status.ACTIVE)


def of(store_id: str, *days: int, partition: int = 0, minute: int = 0, forgets: bool = False) -> StoreUpdates:
    updates = Updates(Stamp(5, 0, 5) if forgets else None, polled(*days, minute=minute))
    return StoreUpdates(partition, StoreId(store_id), updates)


def in_zone(store_id: str, zone: str, partition: int = 0) -> StoreUpdates:
    said = LastSaid[str | None](direct=(Stamp(7, partition, 7), zone))
    return StoreUpdates(partition, StoreId(store_id), Updates(zone=said))


class World:
    """Tables of some partitions, and what is merged into them."""

    def __init__(self, folder: Path) -> None:
        self.tables = Tables(folder)
        self.merger = Merger(self.tables, RETENTION_DAYS)

    def apply(self, *part: StoreUpdates) -> None:
        for partition, merged in self.merger.merged(part).items():
            write_rows(self.tables.rows(partition), merged.rows, 1)

    def kinds(self, *part: StoreUpdates, partition: int = 0) -> list[tuple[bytes, bool]]:
        """Of each row that some updates change: its key, and whether it stays."""
        rows = self.merger.merged(part)[partition].rows
        return [(key, value is not None) for key, value in rows]

    def rows(self, partition: int = 0) -> dict[bytes, bytes]:
        """Those that count: a day block that its summary does not list does not, nor the day of stamps."""
        rows = dict(rows_of(self.tables.rows(partition)))
        return {
            key: value[5:] if key[:1] == b"M" else value
            for key, value in rows.items()
            if key[:1] != b"P" or _is_listed(key, rows)
        }


def _is_listed(block_key: bytes, rows: dict[bytes, bytes]) -> bool:
    store_id, day = block_key[1:-5].decode(), int.from_bytes(block_key[-4:], "big")
    summary = rows.get(summary_key(StoreId(store_id)))
    return summary is not None and day in decode_summary(summary).days[:, 0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "tables")
    yield world
    world.tables.close()


def block(day: int, store_id: StoreId = S1) -> bytes:
    return day_block_key(store_id, day)


# The order


def test_a_store_writes_its_summary_then_day_blocks_that_go_then_those_that_come(world: World) -> None:
    """Days 10 and 11 are older than 14 days before day 30."""
    world.apply(of("s1", 10, 11, 20))
    assert world.kinds(of("s1", 29, 30)) == [
        (summary_key(S1), True),
        (block(10), False),
        (block(11), False),
        (block(29), True),
        (block(30), True),
    ]


def test_a_store_that_forgets_drops_all_its_day_blocks_between_its_summary_and_its_new_ones(
    world: World,
) -> None:
    """Day 2 is among the old ones and the new ones: it must come, not go."""
    world.apply(of("s1", 1, 2, 3), of("s10", 1))
    assert world.kinds(of("s1", 2, forgets=True)) == [
        (summary_key(S1), True),
        (stamps_key(S1), True),
        (block(1), False),
        (block(2), False),
        (block(3), False),
        (block(2), True),
    ]


def test_what_was_said_of_a_zone_is_in_the_summary_before_the_stamps_say_that_it_held(world: World) -> None:
    world.apply(of("s1", 1))
    assert world.kinds(in_zone("s1", "Asia/Tokyo")) == [(summary_key(S1), True), (stamps_key(S1), True)]


def test_day_blocks_of_a_store_ascend_by_day_in_its_table(world: World) -> None:
    """255, 256: the greater byte of their number comes first in the key."""
    world.apply(of("s1", 260, 255, 256, 258))
    blocks = [key for key in world.rows() if key[:1] == b"P"]
    assert blocks == [block(day) for day in (255, 256, 258, 260)]


# Crashes

BEFORE = (of("s1", 10, 11, 20), of("s2", 8, 18), in_zone("s1", "Asia/Tokyo"))
CRASHED = {
    "late polls": (of("s1", 19, 20, minute=7), of("s2", 17)),
    "retention": (of("s1", 30), of("s2", 31, 32)),
    "forgetting": (of("s1", 11, 20, forgets=True), of("s2", forgets=True)),
    "a zone": (in_zone("s1", "Europe/Paris"), of("s2", 18, minute=3)),
    "a new store": (of("s3", 18, 19), in_zone("s4", "Asia/Tokyo")),
}


@pytest.mark.parametrize("news", CRASHED)
def test_whichever_first_rows_survive_a_crash_the_same_updates_again_lead_to_the_same_rows(
    tmp_path: Path, news: str
) -> None:
    updates = CRASHED[news]
    whole = World(tmp_path / "whole")
    for each in BEFORE:
        whole.apply(each)
    rows = whole.merger.merged(updates)[0].rows
    whole.apply(*updates)
    for survive in range(len(rows) + 1):
        crashed = World(tmp_path / str(survive))
        for each in BEFORE:
            crashed.apply(each)
        write_rows(crashed.tables.rows(0), rows[:survive], 1)
        crashed.apply(*updates)
        assert crashed.rows() == whole.rows(), f"after {survive} of {len(rows)} rows"
        crashed.tables.close()
    whole.tables.close()


# What does not change


def test_what_is_known_already_writes_nothing(world: World) -> None:
    world.apply(of("s1", 1, 2), of("s2", 3))
    assert world.kinds(of("s1", 2, 1, 2), of("s2", 3)) == []


def test_a_summary_of_the_newest_version_is_not_written_again(world: World) -> None:
    world.apply(of("s1", 1, 2))
    rewritten = world.merger.rewritten(0, [summary_key(S1)])
    assert (rewritten.rows, rewritten.high_water) == ([], HighWater(_packed(2)))


# Several partitions


def test_stores_of_several_partitions_keep_their_own_rows_stamps_and_marks(world: World) -> None:
    """Between each other in the order in which they came: 1, 0, 2, 1, 0."""
    every = [of(f"s{n}", n + 1, partition=partition) for n, partition in enumerate((1, 0, 2, 1, 0))]
    world.apply(*every)
    later = [
        StoreUpdates(each.partition, each.store_id, Updates(None, polled(10 + n), zone=_zone(n)))
        for n, each in enumerate(every)
    ]
    merged = world.merger.merged(later)
    world.apply(*later)
    for n, each in enumerate(every):
        rows = world.tables.rows(each.partition)
        summary = decode_summary(rows[summary_key(each.store_id)] or b"")
        assert summary.days[:, 0].tolist() == [n + 1, 10 + n]
        assert summary.hours == OpeningHours(f"Etc/GMT+{n + 1}")
        assert stamps_key(each.store_id) in rows
    marks = {partition: of_partition.high_water.latest for partition, of_partition in merged.items()}
    assert marks == {0: _packed(14), 1: _packed(13), 2: _packed(12)}


def _zone(number: int) -> LastSaid[str | None]:
    return LastSaid(direct=(Stamp(1, 0, number), f"Etc/GMT+{number + 1}"))


# Halving


class Sizes:
    """Notes of each merge how many stores it is of, and passes it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most_polls: int) -> None:
        self.stores: list[int] = []

        def noting(summaries: Any, *rest: Any) -> Any:
            self.stores.append(len(summaries.latest))
            return merge(summaries, *rest)

        monkeypatch.setattr(merging, "merge", noting)
        monkeypatch.setattr(merging, "_MAX_MERGED_POLLS", most_polls)


@pytest.mark.parametrize("are_stored", [True, False])
def test_slices_of_many_polls_are_halved_until_they_fit_also_where_those_are_stored(
    world: World, monkeypatch: pytest.MonkeyPatch, are_stored: bool
) -> None:
    """Eight stores of eleven polls each: two of them fit into 25."""
    stores = [f"s{n}" for n in range(8)]
    if are_stored:
        world.apply(*(of(store, *range(1, 11)) for store in stores))
    sizes = Sizes(monkeypatch, 25)
    days = range(11, 12) if are_stored else range(1, 12)
    world.apply(*(of(store, *days, partition=0) for store in stores))
    assert sizes.stores == [2, 2, 2, 2]
    assert [key for key in world.rows() if key[:1] == b"S"] == [summary_key(StoreId(s)) for s in stores]


def test_one_store_of_more_polls_than_fit_is_merged_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Sizes(monkeypatch, 2)
    world.apply(of("s1", 1, 2, 3, 4))
    assert sizes.stores == [1]
    assert decode_summary(world.rows()[summary_key(S1)]).days[:, 0].tolist() == [1, 2, 3, 4]


def test_halves_of_one_partition_are_put_together_and_so_are_their_marks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partition 0 is in both halves, 1 in the first, 2 in the second; the first store of 0 reaches furthest."""
    part: Sequence[StoreUpdates] = (
        of("a", 9),
        of("b", 2, partition=1),
        of("c", 3),
        of("d", 4, partition=2),
    )
    Sizes(monkeypatch, 1)
    merged = world.merger.merged(part)
    assert {partition: [key for key, _ in of_one.rows] for partition, of_one in merged.items()} == {
        0: [b"Sa", block(9, StoreId("a")), b"Sc", block(3, StoreId("c"))],
        1: [b"Sb", block(2, StoreId("b"))],
        2: [b"Sd", block(4, StoreId("d"))],
    }
    assert [merged[partition].high_water.latest for partition in range(3)] == [
        _packed(9),
        _packed(2),
        _packed(4),
    ]
