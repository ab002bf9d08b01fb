"""Taking partitions over: the order of the steps, and what becomes of a table that does not fit its changelog."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.compatibility import NewerState
from schemas.rows.facts import PARTITIONS_KEY, TOPICS_KEY, ZONE_DATABASE_KEY, decode_topics
from schemas.rows.high_water import HIGH_WATER_KEY
from schemas.rows.local import TARGET_KEY, WHOLE_KEY
from schemas.rows.losses import decode_losses, loss_key
from schemas.rows.positions import POSITIONS_KEY
from schemas.rows.summaries import EMPTY_SUMMARY, summary_key
from schemas.rows.table_format import FORMAT_KEY, encode_format
from schemas.stamps import Stamp
from schemas.topics import CHANGELOG, POLLS, SOURCES
from schemas.values import StoreId, pack_poll
from stream.brokers.ports import PartitionWriter, WriterLost
from stream.core.calendar import ZONE_DATABASE
from stream.errors import MalformedChangelog
from stream.tables.rocks import finish_restore, is_whole, rows_of, stored_offset, write_rows
from stream.worker.takeover import TakeOver
from stream.worker.write_behind import WriteBehind
from tests.builders import poll
from tests.stream.lists import MARKER, ListBroker, ListChangelog, Slot, Tables, eventually, positions

S1 = StoreId("s1")
HOUR_S = 3600.0


class Worker:
    """What takes partitions over, and all that it has to do with."""

    def __init__(self, folder: Path) -> None:
        self.changelog = ListChangelog({0: [], 1: []})
        self.broker = ListBroker(self.changelog, {(spec.name, p): (0, 9) for spec in SOURCES for p in (0, 1)})
        self.broker.ids = {CHANGELOG: "C", POLLS: "P"}
        self.table = Tables(folder)
        self.write_behind = WriteBehind(self.table, 2, 14, 0.0, lambda: None)
        self.crashes: list[Exception] = []
        self.take_over = TakeOver(
            self.broker,
            self.table,
            self.write_behind,
            skip_malformed=False,
            let_in=self.note_let_in,
            rejoin=self.note_rejoin,
            crash=self.crashes.append,
        )

    def note_let_in(self) -> None:
        self.broker.asked.append("let in")

    def note_rejoin(self) -> None:
        self.broker.asked.append("rejoin")

    def log(self, *slots: Slot, partition: int = 0) -> None:
        self.changelog.logs[partition] += slots

    def left(
        self, offset: int, *rows: tuple[bytes, bytes | None], whole: bool = True, hours_ago: float = 0
    ) -> None:
        """The table as a worker left it so long ago, with the changelog up to `offset` in it."""
        complete_s = time.time() - hours_ago * HOUR_S
        write_rows(self.table.rows(0), rows, offset, complete_s)
        if whole:
            finish_restore(self.table.rows(0), offset + 1, complete_s)

    def stores(self, partition: int = 0) -> list[bytes]:
        return [key for key, _ in rows_of(self.table.rows(partition)) if key.startswith(b"Ss")]


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    await worker.take_over.stop_copying()
    worker.table.close()


def summary(store_id: str) -> tuple[bytes, bytes]:
    return summary_key(StoreId(store_id)), EMPTY_SUMMARY


BEGINNING = (FORMAT_KEY, encode_format())
"""A row of the first flush of every changelog."""


# The order


async def test_first_fence_then_ask_for_the_end_then_restore_then_ask_where_the_topics_begin(
    worker: Worker,
) -> None:
    worker.log(summary("s1"), positions(), MARKER)
    await worker.take_over([0], [])
    first = [worker.broker.asked.index(step) for step in ("own", "let in", "ends", "begin", "spans")]
    assert first == sorted(first)
    assert first[0] == 0


async def test_the_last_flush_of_whoever_had_it_before_is_not_missed(worker: Worker) -> None:
    """It lands in the very moment of fencing; after that, nothing of theirs does."""
    own = worker.broker.own

    async def own_late(partitions: Collection[int]) -> dict[int, PartitionWriter]:
        worker.log(summary("s2"), positions(7), MARKER)
        return await own(partitions)

    worker.log(summary("s1"), BEGINNING, positions(3), MARKER)
    (before,) = (await own([0])).values()
    worker.broker.own = own_late  # type: ignore[method-assign]
    await worker.take_over([0], [])
    assert worker.stores() == [b"Ss1", b"Ss2"]
    assert is_whole(worker.table.rows(0))
    assert worker.write_behind.taken_to(0, POLLS) == 7
    with pytest.raises(WriterLost):
        await before.write(_no_rows(), (), {})


async def _no_rows() -> AsyncIterator[list[tuple[bytes, bytes | None]]]:
    yield []


async def test_what_is_written_then_goes_into_the_changelog_and_the_table(worker: Worker) -> None:
    await worker.take_over([0, 1], [])
    said = poll("Mon 10:00 active")
    worker.write_behind.add_polls(1, S1, [pack_poll(said.at_us, said.status)])
    await worker.write_behind.taken(1, POLLS, 5, lambda: None, more_waits=False)
    await worker.write_behind.flush()
    assert worker.changelog.logs[1][-2:] == [(POSITIONS_KEY, b'{"store-polls":5}'), MARKER]
    assert (worker.stores(0), worker.stores(1)) == ([], [b"Ss1"])
    assert decode_topics(worker.table.get(1, TOPICS_KEY)) == {CHANGELOG: "C", POLLS: "P"}
    await worker.take_over([0, 1], [])
    assert worker.write_behind.taken_to(1, POLLS) == 5


async def test_nothing_to_take_over_asks_for_nothing_but_names(worker: Worker) -> None:
    await worker.take_over([], [])
    assert "ends" not in worker.broker.asked
    assert "spans" not in worker.broker.asked


async def test_where_it_fails_no_writer_is_left_open(worker: Worker) -> None:
    worker.log((b"Ss1", b"\3" + EMPTY_SUMMARY[1:]), positions(), MARKER)
    with pytest.raises(NewerState):
        await worker.take_over([0, 1], [])
    assert all(writer.is_closed for writers in worker.broker.writers.values() for writer in writers)
    assert not worker.write_behind.owns(0)
    assert not is_whole(worker.table.rows(0))


# Tables that do not fit


async def test_a_table_at_the_end_of_its_changelog_goes_on(worker: Worker) -> None:
    worker.log(summary("s1"), BEGINNING, positions(3), MARKER)
    worker.left(3, summary("s1"), BEGINNING, positions(3))
    await worker.take_over([0], [])
    assert worker.table.made == []
    assert worker.write_behind.taken_to(0, POLLS) == 3


async def test_a_table_ahead_of_its_changelog_is_made_again(worker: Worker) -> None:
    """The changelog came back from a copy that is older than the table."""
    worker.log(summary("s1"), BEGINNING, positions(3), MARKER)
    worker.left(4, summary("s1"), summary("s2"), BEGINNING, positions(5))
    await worker.take_over([0], [])
    assert worker.table.made == [0]
    assert worker.stores() == [b"Ss1"]
    assert worker.write_behind.taken_to(0, POLLS) == 3
    assert is_whole(worker.table.rows(0))


OLD = [
    summary("s1"),
    summary("s2"),
    (FORMAT_KEY, encode_format()),
    (PARTITIONS_KEY, b"2"),
    (ZONE_DATABASE_KEY, ZONE_DATABASE.encode()),
    (HIGH_WATER_KEY, b"-1 -1"),
    (TOPICS_KEY, b'{"store-polls":"P","storepulse-stores-changelog":"B"}'),
    (POSITIONS_KEY, b'{"store-polls":5}'),
]
"""The rows of a table whose changelog was another one."""


async def test_a_whole_table_beside_a_changelog_that_was_made_again_fills_it(worker: Worker) -> None:
    worker.left(800, *OLD)
    await worker.take_over([0], [])
    assert worker.table.made == []
    (writer,) = worker.broker.writers[0]
    filling = writer.flushes[0].rows
    ids = b'{"store-polls":"P","storepulse-stores-changelog":"C"}'
    assert dict(filling) == {**dict(OLD), TOPICS_KEY: ids, b"Mswept": worker.table.get(0, b"Mswept")}
    assert filling[-1][0] == POSITIONS_KEY
    assert worker.changelog.logs[0] == [*filling, MARKER]
    assert not {key for key, _ in filling} & {WHOLE_KEY, TARGET_KEY}
    assert stored_offset(worker.table.rows(0)) == len(filling)
    assert worker.write_behind.taken_to(0, POLLS) == 5
    assert is_whole(worker.table.rows(0))


async def test_what_was_lost_is_noted_in_the_flush_that_fills_a_changelog(worker: Worker) -> None:
    """All topics were deleted. After it the table knows the new ones, so nobody would notice a second time."""
    worker.broker.ids = {CHANGELOG: "C", POLLS: "Q"}
    worker.left(800, *OLD)
    await worker.take_over([0], [])
    (flush,) = worker.broker.writers[0][0].flushes
    (loss,) = decode_losses(dict(flush.rows)[loss_key(POLLS)])
    assert (loss.from_offset, loss.to_offset) == (5, -1)
    assert decode_losses(worker.table.get(0, loss_key(POLLS))) == (loss,)


async def test_a_changelog_that_was_filled_is_one_to_go_on_with(worker: Worker) -> None:
    worker.left(800, *OLD)
    await worker.take_over([0], [])
    for _ in range(2):
        await worker.take_over([0], [])
        worker.write_behind.forget_polls(0, S1, Stamp(1, 0, 0))
        await worker.write_behind.taken(0, POLLS, 6, lambda: None, more_waits=False)
        await worker.write_behind.flush()
    assert [len(writer.flushes) for writer in worker.broker.writers[0]] == [1, 1, 1]
    assert decode_topics(worker.table.get(0, TOPICS_KEY))[CHANGELOG] == "C"
    assert worker.table.made == []


async def test_a_changelog_filled_in_the_last_moment_before_a_crash_fits_its_table(worker: Worker) -> None:
    """The flush is in the changelog; the offset in the table is still one of the old changelog."""
    worker.left(800, *OLD)
    worker.log(*OLD[:-1], (TOPICS_KEY, b'{"storepulse-stores-changelog":"C"}'), OLD[-1], MARKER)
    await worker.take_over([0], [])
    assert worker.table.made == [0]
    assert worker.stores() == [b"Ss1", b"Ss2"]
    assert worker.write_behind.taken_to(0, POLLS) == 5


@pytest.mark.parametrize("is_copy", [False, True])
async def test_a_table_of_another_changelog_is_made_again_also_where_its_offset_lies_inside_of_this_one(
    worker: Worker, is_copy: bool
) -> None:
    """Another worker has filled the changelog that was made again: before our offset stand rows that we lack."""
    worker.left(1, *OLD)
    worker.log(summary("s3"), (TOPICS_KEY, b'{"storepulse-stores-changelog":"C"}'), positions(7), MARKER)
    await worker.take_over([1] if is_copy else [0], [0] if is_copy else [])
    await eventually(lambda: worker.stores() == [b"Ss3"] and is_whole(worker.table.rows(0)))
    assert worker.table.made == [0]


async def test_a_whole_table_fills_a_changelog_that_somebody_wrote_to_who_did_not_notice(
    worker: Worker,
) -> None:
    """A worker that had the partition when the changelog was deleted wrote what was new, and no more."""
    worker.left(800, *OLD)
    worker.log(summary("s3"), positions(7), MARKER)
    await worker.take_over([0], [])
    assert worker.table.made == []
    assert [len(writer.flushes) for writer in worker.broker.writers[0]] == [1]
    assert worker.stores() == [b"Ss1", b"Ss2"]
    assert worker.write_behind.taken_to(0, POLLS) == 5


async def test_a_changelog_that_is_deleted_under_a_worker_has_its_partitions_taken_over_again(
    worker: Worker,
) -> None:
    await worker.take_over([0], [])
    await worker.take_over.look_for_losses()
    assert worker.write_behind.owns(0)
    worker.broker.ids[CHANGELOG] = "D"
    await worker.take_over.look_for_losses()
    assert not worker.write_behind.owns(0)


async def test_a_writer_that_is_lost_while_its_partition_begins_is_no_fault(worker: Worker) -> None:
    worker.broker.writer_fails = WriterLost(0, "a test")
    worker.left(800, *OLD)
    with capture_logs() as logs:
        await worker.take_over([0], [])
    assert "partitions taken over" not in [each["event"] for each in logs]
    assert worker.broker.asked[-1] == "rejoin"
    assert not worker.write_behind.owns(0)
    assert all(writer.is_closed for writer in worker.broker.writers[0])


async def test_who_is_told_to_stop_while_copies_come_to_their_end_stops(worker: Worker) -> None:
    """Else a take-over that was given up would go on, and fence whoever has the partitions now."""
    await worker.take_over([0], [1])
    may_end = asyncio.Event()

    async def ends_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    worker.take_over._copying = asyncio.create_task(ends_late())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(worker.take_over([0], [1]))
    await asyncio.sleep(0.01)
    stopping.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_a_table_that_does_not_say_which_changelog_it_is_of_goes_on(worker: Worker) -> None:
    """One of format 1, or made where the broker has no ids."""
    worker.left(2, summary("s1"), positions(3))
    worker.log(summary("s1"), positions(3), MARKER, summary("s2"), positions(4), MARKER)
    await worker.take_over([0], [])
    assert worker.table.made == []
    assert worker.stores() == [b"Ss1", b"Ss2"]


async def test_a_table_that_is_not_whole_fills_no_changelog(worker: Worker) -> None:
    worker.left(800, *OLD, whole=False)
    worker.broker.commits[POLLS, 0] = 5
    await worker.take_over([0], [])
    assert worker.table.made == [0]
    assert worker.stores() == []
    assert worker.write_behind.taken_to(0, POLLS) == 0
    (loss,) = decode_losses(worker.table.get(0, loss_key(POLLS)))
    assert "the table is gone" in loss.why


async def test_a_table_beside_its_own_changelog_that_was_emptied_is_made_again(worker: Worker) -> None:
    """The log says the same id, so it was not made again: a table ahead of its log."""
    worker.left(800, *OLD)
    worker.broker.ids[CHANGELOG] = "B"
    await worker.take_over([0], [])
    assert worker.table.made == [0]


@pytest.mark.parametrize(
    ("forgets", "hours_ago", "made"), [(True, 21, [0]), (True, 19, []), (False, 999, [])]
)
async def test_a_table_that_was_away_while_deletions_were_forgotten_is_made_again(
    worker: Worker, forgets: bool, hours_ago: float, made: list[int]
) -> None:
    """s2 was deleted meanwhile, and nothing says so any more."""
    worker.broker.forgets_deletions = forgets
    worker.left(2, summary("s1"), summary("s2"), positions(3), hours_ago=hours_ago)
    worker.log(MARKER, MARKER, MARKER, summary("s1"), positions(4), MARKER)
    await worker.take_over([0], [])
    assert worker.table.made == made
    assert worker.stores() == ([b"Ss1"] if made else [b"Ss1", b"Ss2"])


# Copies of other partitions


async def test_copies_follow_until_they_are_told_to_stop(worker: Worker) -> None:
    await worker.take_over([0], [1])
    worker.log(summary("s9"), positions(), MARKER, partition=1)
    await eventually(lambda: worker.stores(1) == [b"Ss9"] and is_whole(worker.table.rows(1)))
    assert not worker.write_behind.owns(1)
    await worker.take_over.stop_copying()
    worker.log(summary("s8"), positions(), MARKER, partition=1)
    await asyncio.sleep(0.02)
    assert worker.stores(1) == [b"Ss9"]


async def test_what_ends_a_copy_ends_the_worker(worker: Worker) -> None:
    await worker.take_over([0], [1])
    worker.log((b"huh", b"?"), positions(), MARKER, partition=1)
    await eventually(lambda: bool(worker.crashes))
    assert isinstance(worker.crashes[0], MalformedChangelog)


async def test_a_copy_becomes_ours_where_it_is(worker: Worker) -> None:
    await worker.take_over([0], [1])
    worker.log(summary("s9"), BEGINNING, positions(4), MARKER, partition=1)
    await eventually(lambda: worker.stores(1) == [b"Ss9"])
    await worker.take_over([0, 1], [])
    assert worker.table.made == []
    assert worker.write_behind.taken_to(1, POLLS) == 4
