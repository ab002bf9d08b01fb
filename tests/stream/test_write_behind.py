"""Write-behind: what is in one flush, what it writes, and when it is acknowledged."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from schemas.compatibility import NewerState
from schemas.rows.facts import PARTITIONS_KEY, TOPICS_KEY, ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY, decode_high_water
from schemas.rows.losses import Loss, decode_losses, encode_losses, loss_key
from schemas.rows.positions import POSITIONS_KEY, applied_key
from schemas.rows.stamps import STAMPS_PREFIX, decode_stamps, encode_stamps, stamps_key
from schemas.rows.summaries import EMPTY_SUMMARY, decode_summary, summary_key
from schemas.rows.table_format import FORMAT_KEY
from schemas.stamps import Held, Stamp, StoreStamps
from schemas.summaries import HighWater, StoreSummary
from schemas.table_scans import RowsUnreadable
from schemas.topics import DEAD_LETTERS, HOURS, POLLS, SOURCES, ZONES
from schemas.values import DAY_US, StoreId, pack_poll
from stream.brokers.ports import Outgoing, WriterLost
from stream.core.calendar import ZONE_DATABASE
from stream.errors import PartitionsAdded
from stream.tables.rocks import open_table, stored_offset, write_rows
from stream.worker import flush_timing
from stream.worker import write_behind as module
from stream.worker.losses import TopicSpan
from stream.worker.write_behind import WriteBehind
from tests.broken import break_a_block
from tests.builders import poll
from tests.profiles import examples
from tests.stream.lists import ListWriter, Tables, eventually

S1 = StoreId("s1")
TODAY = time.time_ns() // (1000 * DAY_US)


@dataclass
class Worker:
    """WriteBehind over a table of our own; partition 0 is ours, under `writer`."""

    table: Tables
    write_behind: WriteBehind
    writer: ListWriter
    lost: list[int]
    acknowledged: list[int] = field(default_factory=list)

    async def begin(
        self,
        spans: dict[str, TopicSpan] | None = None,
        ids: dict[str, str] | None = None,
        writer: ListWriter | None = None,
    ) -> None:
        self.writer = writer or self.writer
        every = {spec.name: TopicSpan(0, 1000, None, "") for spec in SOURCES} | (spans or {})
        await self.write_behind.begin(0, self.writer, every, ids or {}, rewrites_all=False)

    def add(self, when: str, store_id: str = "s1") -> None:
        said = poll(when, store_id)
        self.write_behind.add_polls(0, said.store_id, [pack_poll(said.at_us, said.status)])

    async def take(self, when: str, offset: int, store_id: str = "s1") -> None:
        """Take in a poll that stands at `offset` of store-polls."""
        self.add(when, store_id)
        await self.taken(offset + 1)

    async def taken(self, next_offset: int, topic: str = POLLS) -> None:
        await self.write_behind.taken(
            0, topic, next_offset, lambda: self.acknowledged.append(next_offset), more_waits=False
        )

    def summary(self, store_id: str = "s1") -> StoreSummary | None:
        value = self.table.get(0, summary_key(StoreId(store_id)))
        return value if value is None else decode_summary(value)

    def polls(self, store_id: str = "s1") -> int:
        summary = self.summary(store_id)
        return 0 if summary is None else int(summary.days[:, 1:].sum())

    def positions(self) -> bytes | None:
        return self.table.get(0, POSITIONS_KEY)

    def losses(self, topic: str = POLLS) -> tuple[Loss, ...]:
        return decode_losses(self.table.get(0, loss_key(topic)))


def new_worker(folder: Path) -> Worker:
    table, lost = Tables(folder), list[int]()
    write_behind = WriteBehind(table, 4, 14, 0.001, lambda: lost.append(1))
    return Worker(table, write_behind, ListWriter(0), lost)


@pytest.fixture
def unbegun(tmp_path: Path) -> Iterator[Worker]:
    worker = new_worker(tmp_path)
    yield worker
    worker.table.close()


@pytest.fixture
async def worker(unbegun: Worker) -> Worker:
    await unbegun.begin()
    return unbegun


# What is in a flush


async def test_a_flush_writes_rows_then_what_the_table_says_of_itself_and_its_positions_last(
    worker: Worker,
) -> None:
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    (flush,) = worker.writer.flushes
    assert flush.rows[0][0] == b"Ss1"
    assert flush.rows[-1] == (POSITIONS_KEY, b'{"store-polls":7}')
    rows = dict(flush.rows)
    assert rows[FORMAT_KEY] == b"\3" + EMPTY_SUMMARY[1:]
    assert rows[PARTITIONS_KEY] == b"4"
    assert rows[ZONE_DATABASE_KEY] == ZONE_DATABASE.encode()
    assert {key: worker.table.get(0, key) for key in rows} == rows
    assert stored_offset(worker.table.rows(0)) == len(worker.writer.log) - 1


async def test_what_a_table_says_of_itself_already_is_not_written_again(worker: Worker) -> None:
    for offset, hour in enumerate((10, 11)):
        await worker.take(f"Mon {hour}:00 active", offset)
        await worker.write_behind.flush()
    kinds = [key[:2] for key, _ in worker.writer.flushes[1].rows]
    assert kinds == [b"Ss", b"Ps", b"Me", b"Mp"]


async def test_positions_are_those_of_the_news_in_the_flush(worker: Worker) -> None:
    """A poll that is taken in while a flush is being written belongs to the next one."""
    worker.writer.gate = asyncio.Event()
    await worker.take("Mon 10:00 active", 0)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await worker.writer.writing.wait()
    await worker.take("Mon 11:00 active", 1)
    assert (worker.write_behind.taken_to(0, POLLS), worker.write_behind.written_to(0, POLLS)) == (2, 0)
    worker.writer.gate.set()
    await flushing
    assert worker.writer.flushes[0].positions[POLLS] == 1
    assert (worker.polls(), worker.positions()) == (1, b'{"store-polls":1}')
    assert worker.write_behind.written_to(0, POLLS) == 1
    assert worker.acknowledged == [1]
    await worker.write_behind.flush()
    assert (worker.polls(), worker.positions()) == (2, b'{"store-polls":2}')
    assert worker.acknowledged == [1, 2]


async def test_a_poll_taken_in_while_a_flush_is_merged_belongs_to_the_next_one(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices let others have a turn, and the row of positions is made after all of them."""
    monkeypatch.setattr(module, "_SLICE", 1)
    for offset in range(3):
        await worker.take("Mon 10:00 active", offset, f"s{offset}")
    flushing = asyncio.create_task(worker.write_behind.flush())
    await asyncio.sleep(0)
    while not worker.writer.flushes:
        await worker.take("Mon 11:00 active", worker.write_behind.taken_to(0, POLLS), "late")
        await asyncio.sleep(0)
    await flushing
    assert worker.positions() == b'{"store-polls":3}'
    assert worker.polls("late") == 0
    await worker.write_behind.flush()
    assert worker.polls("late") == 1
    assert worker.positions() == b'{"store-polls":%d}' % worker.write_behind.taken_to(0, POLLS)


async def test_positions_of_topics_that_say_nothing_new_stay(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 4)
    await worker.taken(9, ZONES)
    await worker.write_behind.flush()
    await worker.take("Mon 11:00 active", 5)
    await worker.write_behind.flush()
    assert worker.positions() == b'{"store-polls":6,"store-zones":9}'


async def test_dead_letters_and_strays_go_out_with_the_positions_that_note_them(worker: Worker) -> None:
    letter = Outgoing(DEAD_LETTERS, None, b"s1", b"{", (("dlq.reason", b"why"),))
    stray = Outgoing(POLLS, 3, b"s9", b"{}", (("storepulse.stamp", b"1 0 4"),), 1)
    for offset, each in enumerate((letter, stray)):
        worker.write_behind.send(0, each)
        await worker.taken(offset + 1)
    await worker.write_behind.flush()
    (flush,) = worker.writer.flushes
    assert flush.outgoing == [letter, stray]
    assert flush.positions[POLLS] == 2
    await worker.take("Mon 10:00 active", 2)
    await worker.write_behind.flush()
    assert worker.writer.flushes[1].outgoing == []


# Acknowledged


async def test_nothing_is_acknowledged_before_writer_and_table_have_it(worker: Worker) -> None:
    seen: list[tuple[int, int]] = []
    worker.writer.gate = asyncio.Event()
    worker.add("Mon 10:00 active")
    await worker.write_behind.taken(
        0, POLLS, 1, lambda: seen.append((len(worker.writer.flushes), worker.polls())), more_waits=False
    )
    flushing = asyncio.create_task(worker.write_behind.flush())
    await worker.writer.writing.wait()
    assert seen == []
    worker.writer.gate.set()
    await flushing
    assert seen == [(1, 1)]


class NoRoom:
    """A RocksDB on a full disk."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def write(self, _: object) -> None:
        raise OSError("IO error: No space left on device: While appending to file")


@pytest.mark.parametrize("is_table", [True, False])
async def test_an_error_of_table_or_writer_ends_the_flushing_and_acknowledges_nothing(
    worker: Worker, is_table: bool
) -> None:
    if is_table:
        worker.table.opened[0] = NoRoom(worker.table.rows(0))  # type: ignore[assignment]
    else:
        worker.writer.fails = OSError("No space left on device")
    flushing = asyncio.create_task(worker.write_behind.keep_flushing())
    await worker.take("Mon 10:00 active", 0)
    with pytest.raises(OSError, match="No space left on device"):
        async with asyncio.timeout(5):
            await flushing
    assert worker.acknowledged == []
    assert worker.lost == []
    assert worker.write_behind.written_to(0, POLLS) == 0
    assert len(worker.writer.flushes) == is_table


# Writers that are lost


async def test_when_a_writer_is_lost_its_news_is_dropped_and_acknowledged(worker: Worker) -> None:
    """Who owns the partition next begins where the table says; Faust waits for acknowledgements to rejoin."""
    worker.writer.fails = WriterLost(0, "fenced")
    await worker.take("Mon 10:00 active", 0)
    await worker.write_behind.flush()
    assert worker.acknowledged == [1]
    assert (worker.lost, worker.write_behind.owns(0), worker.polls()) == ([1], False, 0)
    assert worker.writer.is_closed
    worker.writer.fails = None
    await worker.begin(writer=ListWriter(0))
    assert worker.write_behind.taken_to(0, POLLS) == 0
    await worker.write_behind.flush()
    assert worker.writer.flushes == []


async def test_what_came_while_the_flush_failed_is_dropped_too(worker: Worker) -> None:
    worker.writer.fails, worker.writer.gate = WriterLost(0, "fenced"), asyncio.Event()
    await worker.take("Mon 10:00 active", 0)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await worker.writer.writing.wait()
    await worker.take("Mon 11:00 active", 1)
    worker.writer.gate.set()
    await flushing
    assert sorted(worker.acknowledged) == [1, 2]
    await worker.begin(writer=ListWriter(0))
    await worker.write_behind.flush()
    assert worker.writer.flushes == []


async def test_news_is_never_written_by_a_writer_that_was_made_after_it_came(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 0)
    after = ListWriter(0)
    await worker.begin(writer=after)
    await worker.write_behind.flush()
    assert after.flushes == []
    assert worker.acknowledged == [1]


async def test_a_flush_that_fails_behind_a_take_over_leaves_the_new_writer_its_partition(
    worker: Worker,
) -> None:
    worker.writer.fails, worker.writer.gate = WriterLost(0, "fenced"), asyncio.Event()
    old = worker.writer
    await worker.take("Mon 10:00 active", 0)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await old.writing.wait()
    await worker.begin(writer=ListWriter(0))
    await worker.take("Mon 11:00 active", 0)
    assert old.gate is not None
    old.gate.set()
    await flushing
    assert (worker.lost, worker.write_behind.owns(0)) == ([], True)
    await worker.write_behind.flush()
    assert (worker.polls(), worker.acknowledged) == (1, [1, 1])


async def test_a_partition_that_is_lost_takes_no_other_with_it(worker: Worker) -> None:
    other = ListWriter(1)
    spans = {spec.name: TopicSpan(0, 9, None, "") for spec in SOURCES}
    await worker.write_behind.begin(1, other, spans, {}, rewrites_all=False)
    worker.writer.fails = WriterLost(0, "fenced")
    await worker.take("Mon 10:00 active", 0)
    worker.write_behind.add_polls(1, S1, [pack_poll(0, poll("Mon 10:00 active").status)])
    await worker.write_behind.taken(1, POLLS, 1, lambda: None, more_waits=False)
    await worker.write_behind.flush()
    assert (worker.write_behind.owns(0), worker.write_behind.owns(1)) == (False, True)
    assert len(other.flushes) == 1


async def test_released_partitions_drop_what_is_pending_and_close_their_writers(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 0)
    await worker.write_behind.release()
    assert worker.acknowledged == [1]
    assert worker.writer.is_closed
    assert not worker.write_behind.owns(0)
    await worker.write_behind.flush()
    assert worker.writer.flushes == []


# Where a table reads on


async def test_a_new_table_begins_where_the_topic_does(unbegun: Worker) -> None:
    await unbegun.begin({POLLS: TopicSpan(4, 9, None, "")})
    assert unbegun.write_behind.taken_to(0, POLLS) == 4
    assert unbegun.write_behind.written_to(0, POLLS) == 4
    assert unbegun.writer.flushes == []
    assert unbegun.losses() == ()


async def test_a_table_goes_on_where_it_is_whatever_the_group_has_committed(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    await worker.begin({POLLS: TopicSpan(0, 9, 900, ""), HOURS: TopicSpan(2, 9, None, "")})
    assert worker.write_behind.taken_to(0, POLLS) == 7
    assert worker.write_behind.taken_to(0, HOURS) == 2


async def test_a_loss_is_noted_in_the_table_with_where_reading_goes_on(worker: Worker) -> None:
    """▲ at 2, [4·····9)"""
    before = REGISTRY.get_sample_value("storepulse_losses_total", {"topic": POLLS}) or 0.0
    await worker.take("Mon 10:00 active", 1)
    await worker.write_behind.flush()
    await worker.begin({POLLS: TopicSpan(4, 9, None, "")})
    (loss,) = worker.losses()
    assert (loss.from_offset, loss.to_offset) == (2, 4)
    assert abs(loss.noticed_ms - time.time() * 1000) < 60_000
    assert worker.positions() == b'{"store-polls":4}'
    assert dict(worker.writer.flushes[-1].rows)[loss_key(POLLS)] == encode_losses((loss,))
    assert REGISTRY.get_sample_value("storepulse_losses_total", {"topic": POLLS}) == before + 1


async def test_a_loss_is_noted_once_and_the_next_one_beside_it(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 1)
    await worker.write_behind.flush()
    for first in (4, 4, 6):
        await worker.begin({POLLS: TopicSpan(first, 9, None, "")})
    assert [(loss.from_offset, loss.to_offset) for loss in worker.losses()] == [(2, 4), (4, 6)]


async def test_losses_stay_until_they_are_accepted(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 1)
    await worker.write_behind.flush()
    await worker.begin({topic: TopicSpan(4, 9, 2, "") for topic in (POLLS, ZONES)})
    await worker.take("Mon 11:00 active", 4)
    await worker.write_behind.flush()
    assert len(worker.losses(POLLS)) == len(worker.losses(ZONES)) == 1
    noticed_ms = worker.losses(POLLS)[0].noticed_ms
    worker.write_behind.accept_losses(0, noticed_ms - 1)
    await worker.taken(6)
    await worker.write_behind.flush()
    assert len(worker.losses(POLLS)) == 1, "whoever accepts knows of nothing that is noticed later"
    worker.write_behind.accept_losses(0, noticed_ms + 1000)
    worker.write_behind.accept_losses(0, noticed_ms - 1)
    await worker.taken(7)
    await worker.write_behind.flush()
    assert (worker.losses(POLLS), worker.losses(ZONES)) == ((), ())
    assert dict(worker.writer.flushes[-1].rows)[loss_key(ZONES)] is None
    await worker.begin({POLLS: TopicSpan(4, 9, None, "")})
    assert worker.losses() == ()


async def test_a_topic_that_nothing_had_come_for_yet_loses_what_comes_and_goes(worker: Worker) -> None:
    """▲ at 0, [500····  and the table knows of other topics: it is not new"""
    await worker.taken(3, HOURS)
    await worker.write_behind.flush()
    await worker.begin({POLLS: TopicSpan(500, 900, None, "")})
    (loss,) = worker.losses()
    assert (loss.from_offset, loss.to_offset) == (0, 500)


async def test_a_changelog_without_its_beginning_is_no_table(worker: Worker) -> None:
    """It was made again while somebody wrote. Polls that are not in it are in the topic, maybe."""
    worker.table.rows(0).put(POSITIONS_KEY, b'{"store-polls":800}')
    await worker.begin({POLLS: TopicSpan(4, 900, 800, "")})
    assert worker.write_behind.taken_to(0, POLLS) == 4
    (loss,) = worker.losses()
    assert (loss.from_offset, loss.to_offset) == (0, 4)


async def test_a_topic_that_was_made_again_is_a_loss_and_its_new_id_is_noted(worker: Worker) -> None:
    await worker.begin({POLLS: TopicSpan(0, 9, None, "A")}, {POLLS: "A"})
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    assert worker.table.get(0, TOPICS_KEY) == b'{"store-polls":"A"}'
    for _ in range(2):
        await worker.begin({POLLS: TopicSpan(0, 9, None, "B")}, {POLLS: "B"})
        assert worker.write_behind.taken_to(0, POLLS) == 0
    assert [(loss.from_offset, loss.to_offset) for loss in worker.losses()] == [(7, -1)]
    assert worker.table.get(0, TOPICS_KEY) == b'{"store-polls":"B"}'


# Older and newer tables


async def test_a_table_of_format_1_becomes_one_of_this_one(worker: Worker) -> None:
    """A row of positions for each topic becomes one for all; nothing else changes."""
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    rows = worker.table.rows(0)
    for key in (FORMAT_KEY, POSITIONS_KEY, TOPICS_KEY):
        del rows[key]
    rows[applied_key(POLLS)], rows[applied_key(ZONES)] = b"7", b"3"
    await worker.begin()
    assert (worker.write_behind.taken_to(0, POLLS), worker.write_behind.taken_to(0, ZONES)) == (7, 3)
    written = dict(worker.writer.flushes[-1].rows)
    assert (written[applied_key(POLLS)], written[applied_key(ZONES)]) == (None, None)
    assert written[POSITIONS_KEY] == b'{"store-polls":7,"store-zones":3}'
    assert worker.table.get(0, FORMAT_KEY) == b"\3" + EMPTY_SUMMARY[1:]
    assert list(worker.table.keys(0, b"Mapplied")) == []
    assert worker.polls() == 1
    flushes = len(worker.writer.flushes)
    await worker.begin()
    assert len(worker.writer.flushes) == flushes


async def test_a_table_of_format_1_without_an_high_water_mark_gets_one(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    high_water = worker.table.get(0, HIGH_WATER_KEY)
    del worker.table.rows(0)[HIGH_WATER_KEY]
    del worker.table.rows(0)[FORMAT_KEY]
    worker.table.rows(0)[applied_key(POLLS)] = b"7"
    del worker.table.rows(0)[POSITIONS_KEY]
    await worker.begin()
    assert worker.table.get(0, HIGH_WATER_KEY) == high_water is not None


async def test_a_table_of_a_newer_format_is_refused_and_left_as_it_is(unbegun: Worker) -> None:
    newer = b"\4" + EMPTY_SUMMARY[1:]
    unbegun.table.rows(0)[FORMAT_KEY] = newer
    with pytest.raises(NewerState, match="table has format 4, this storepulse reads up to 3"):
        await unbegun.begin()
    assert not unbegun.write_behind.owns(0)
    assert unbegun.writer.flushes == []
    assert unbegun.table.get(0, FORMAT_KEY) == newer


async def test_a_table_of_another_partition_count_is_refused(unbegun: Worker) -> None:
    unbegun.table.rows(0)[PARTITIONS_KEY] = b"6"
    with pytest.raises(PartitionsAdded):
        await unbegun.begin()


async def test_the_stamps_of_stores_that_were_forgotten_long_ago_go_once_a_month(worker: Worker) -> None:
    """Of those of 401 days ago only where no summary is left; younger ones stay."""
    await worker.take("Mon 10:00 active", 0, "here")
    await worker.write_behind.flush()
    rows = worker.table.rows(0)
    for store_id, days_ago in (("gone", 401), ("here", 401), ("young", 399)):
        stamps = StoreStamps(zone=Held(Stamp(1, 0, 0), 1), changed_day=TODAY - days_ago)
        rows[stamps_key(StoreId(store_id))] = encode_stamps(stamps)
    every = [stamps_key(StoreId(store_id)) for store_id in ("gone", "here", "young")]
    for days_ago, left in ((29, every), (31, every[1:])):
        rows[b"Mswept"] = b"%d" % (TODAY - days_ago)
        await worker.begin()
        assert list(worker.table.keys(0, b"Mstamps")) == left
    assert int(worker.table.get(0, b"Mswept") or 0) in (TODAY, TODAY + 1)


# Quiet partitions


@pytest.mark.slow
async def test_a_partition_that_nothing_comes_for_writes_its_positions_now_and_then(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its table stays young enough to go on with, and the broker does not forget the writer."""
    await worker.take("Mon 10:00 active", 6)
    await worker.write_behind.flush()
    monkeypatch.setattr(module, "NOTE_SECONDS", 0.02)
    flushing = asyncio.create_task(worker.write_behind.keep_flushing())
    await eventually(lambda: len(worker.writer.flushes) == 3)
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    assert worker.writer.flushes[2].rows == [(POSITIONS_KEY, b'{"store-polls":7}')]
    assert stored_offset(worker.table.rows(0)) == len(worker.writer.log) - 1


async def test_a_partition_that_nothing_ever_came_for_writes_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTE_SECONDS", 0.02)
    monkeypatch.setattr(flush_timing, "BACKLOG_SECONDS", 0.01)
    flushing = asyncio.create_task(worker.write_behind.keep_flushing())
    await asyncio.sleep(0.2)
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    assert worker.writer.flushes == []


# How far polls reach


def counted(worker: Worker) -> HighWater:
    """The high-water mark by looking at every summary."""
    summaries = [
        decode_summary(worker.table.get(0, key) or EMPTY_SUMMARY) for key in worker.table.summary_keys(0)
    ]
    return HighWater(
        max((summary.latest for summary in summaries), default=-1),
        max((summary.baseline for summary in summaries), default=-1),
    )


async def test_the_high_water_mark_is_what_a_count_of_all_summaries_gives_also_after_forgetting(
    worker: Worker,
) -> None:
    """s3 has the latest poll, s2 the latest of those that retention keeps for their status alone."""
    offset = 0
    for store_id, days in {"s1": (1, 40), "s2": (5, 60), "s3": (2, 61)}.items():
        for day in days:
            worker.write_behind.add_polls(
                0, StoreId(store_id), [pack_poll(day * DAY_US, poll("Mon 10:00 active").status)]
            )
        await worker.taken(offset := offset + 1)
    await worker.write_behind.flush()
    last = 2 * 61 * DAY_US + 1
    assert (
        decode_high_water(worker.table.get(0, HIGH_WATER_KEY))
        == counted(worker)
        == HighWater(last, 10 * DAY_US + 1)
    )
    for forgotten, high_water in (
        ("s3", HighWater(120 * DAY_US + 1, 10 * DAY_US + 1)),
        ("s2", HighWater(80 * DAY_US + 1, 2 * DAY_US + 1)),
        ("s1", HighWater()),
    ):
        worker.write_behind.forget_polls(0, StoreId(forgotten), Stamp(1, 0, offset))
        await worker.taken(offset := offset + 1)
        await worker.write_behind.flush()
        assert decode_high_water(worker.table.get(0, HIGH_WATER_KEY)) == counted(worker) == high_water


FORGET = st.just(-1)
DAYS = st.one_of(FORGET, st.integers(0, 60))
"""A poll on a day, or the forgetting of all polls."""


@settings(max_examples=examples(60))
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), DAYS), max_size=6), max_size=5))
def test_the_high_water_mark_is_what_a_count_gives_whatever_is_said_and_forgotten(
    tmp_path_factory: pytest.TempPathFactory, flushes: list[list[tuple[int, int]]]
) -> None:
    async def run(worker: Worker) -> None:
        await worker.begin()
        offset, active = 0, poll("Mon 10:00 active").status
        for flush in flushes:
            for store, day in flush:
                store_id = StoreId(f"s{store}")
                if day < 0:
                    worker.write_behind.forget_polls(0, store_id, Stamp(1, 0, offset))
                else:
                    worker.write_behind.add_polls(0, store_id, [pack_poll(day * DAY_US, active)])
                await worker.taken(offset := offset + 1)
            await worker.write_behind.flush()
            assert decode_high_water(worker.table.get(0, HIGH_WATER_KEY)) == counted(worker)

    worker = new_worker(tmp_path_factory.mktemp("table"))
    asyncio.run(run(worker))
    worker.table.close()


# Forgetting


async def test_forgetting_takes_what_stands_before_it_and_leaves_what_follows(worker: Worker) -> None:
    await worker.take("Mon 10:00 active", 0)
    await worker.write_behind.flush()
    worker.add("Mon 11:00 active")
    worker.write_behind.forget_polls(0, S1, Stamp(5, 0, 2))
    await worker.take("Mon 12:00 inactive", 3)
    await worker.write_behind.flush()
    summary = worker.summary()
    assert summary is not None
    assert summary.days[:, 1:].tolist() == [[0, 1]]
    assert list(worker.table.keys(0, b"P")) == [
        key for key, day_block in worker.writer.flushes[1].rows if key[:1] == b"P" and day_block
    ]


async def test_what_was_forgotten_is_known_while_pending_while_being_written_and_after(
    worker: Worker,
) -> None:
    """A copy of an earlier record may come at any of these moments."""
    before, after = Stamp(4, 3, 9), Stamp(6, 3, 9)

    def verdicts() -> tuple[bool, bool]:
        return worker.write_behind.is_forgotten(0, S1, before), worker.write_behind.is_forgotten(0, S1, after)

    assert verdicts() == (False, False)
    worker.writer.gate = asyncio.Event()
    worker.write_behind.forget_polls(0, S1, Stamp(5, 0, 0))
    await worker.taken(1)
    assert verdicts() == (True, False)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await worker.writer.writing.wait()
    assert verdicts() == (True, False)
    worker.writer.gate.set()
    await flushing
    assert verdicts() == (True, False)
    assert decode_stamps(worker.table.get(0, stamps_key(S1))).forgotten == Stamp(5, 0, 0)


async def test_a_later_forgetting_counts_with_the_time_of_the_one_before(worker: Worker) -> None:
    """Its producer's clock went back; in the log it is later all the same."""
    for offset, time_ms in enumerate((50, 20)):
        worker.write_behind.forget_polls(0, S1, Stamp(time_ms, 0, offset))
        await worker.taken(offset + 1)
        await worker.write_behind.flush()
    assert worker.write_behind.is_forgotten(0, S1, Stamp(40, 3, 9))
    assert decode_stamps(worker.table.get(0, stamps_key(S1))).forgotten == Stamp(50, 0, 1)


# Memory


async def test_who_brings_more_polls_than_memory_may_hold_waits_for_a_flush(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 2)
    for offset in range(2):
        await worker.take(f"Mon 1{offset}:00 active", offset)
    waiting = asyncio.create_task(worker.take("Mon 12:00 active", 2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    await worker.write_behind.flush()
    await waiting
    await worker.take("Mon 13:00 active", 3)


async def test_who_brings_more_for_elsewhere_than_memory_may_hold_waits_for_a_flush(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_OUTGOING_BYTES", 1000)
    for offset, size in enumerate((900, 200)):
        worker.write_behind.send(0, Outgoing(DEAD_LETTERS, None, b"", bytes(size)))
        taken = asyncio.create_task(worker.taken(offset + 1))
        for _ in range(5):
            await asyncio.sleep(0)
        assert taken.done() == (size == 900)
    await worker.write_behind.flush()
    await taken
    worker.write_behind.send(0, Outgoing(DEAD_LETTERS, None, b"", bytes(900)))
    await worker.taken(3)


async def test_who_waits_for_room_does_not_wait_for_the_moment_that_news_may_gather(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 0)
    write_behind = WriteBehind(worker.table, 4, 14, 3600.0, lambda: None)
    worker.write_behind = write_behind
    await worker.begin()
    flushing = asyncio.create_task(write_behind.keep_flushing())
    async with asyncio.timeout(5):
        await worker.take("Mon 10:00 active", 0)
    assert worker.polls() == 1
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing


async def test_who_waits_for_room_goes_on_when_the_partitions_leave(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 0)
    waiting = asyncio.create_task(worker.take("Mon 10:00 active", 0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await worker.write_behind.release()
    await waiting


# A table that cannot be read to its end


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Worker]:
    """5,000 summaries and 5,000 stamps, of which some in the middle cannot be read."""
    for prefix, partition in ((b"S", 0), (STAMPS_PREFIX, 1)):
        table, random_ = open_table(tmp_path / f"{partition}.db"), random.Random(1)
        write_rows(table, [(prefix + b"%05d" % number, random_.randbytes(64)) for number in range(5_000)], 7)
        table.flush()
        table.close()
        break_a_block(tmp_path / f"{partition}.db")
    worker = new_worker(tmp_path)
    yield worker
    worker.table.close()


async def test_a_changelog_is_not_filled_with_the_part_of_a_table_that_can_be_read(broken: Worker) -> None:
    spans = {spec.name: TopicSpan(0, 1000, None, "") for spec in SOURCES}
    with pytest.raises(RowsUnreadable):
        await broken.write_behind.begin(0, broken.writer, spans, {}, rewrites_all=True)
    assert broken.writer.flushes == []
    assert not broken.write_behind.owns(0)


def test_summaries_and_stamps_that_cannot_be_read_are_no_end_of_them(broken: Worker) -> None:
    with pytest.raises(RowsUnreadable):
        list(broken.table.summary_keys(0))
    with pytest.raises(RowsUnreadable):
        list(broken.table.keys(1, STAMPS_PREFIX))
