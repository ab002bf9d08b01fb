"""Write-behind at its edges: who waits and for how long, what is counted, who is acknowledged when one is lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.rows.high_water import HIGH_WATER_KEY, decode_high_water
from schemas.rows.losses import Loss, encode_losses, loss_key
from schemas.rows.positions import POSITIONS_KEY
from schemas.rows.stamps import decode_stamps, encode_stamps, stamps_key
from schemas.rows.summaries import summary_key
from schemas.stamps import Held, Stamp, StoreStamps
from schemas.summaries import NO_POLL, HighWater
from schemas.topics import DEAD_LETTERS, HOURS, POLLS, SOURCES
from schemas.values import DAY_US, StoreId, pack_poll
from stream.brokers.ports import Outgoing, WriterLost
from stream.worker import flush_timing
from stream.worker import write_behind as module
from stream.worker.losses import TopicSpan
from stream.worker.write_behind import WriteBehind
from tests.builders import poll
from tests.stream.lists import ListWriter, Tables

S1 = StoreId("s1")
TODAY = time.time_ns() // (1000 * DAY_US)
SOON_S = 5.0
"""More than anything here takes, and less than whoever waits in vain."""


class Worker:
    """WriteBehind of some partitions, and who was acknowledged, as (partition, next offset), in order."""

    def __init__(self, folder: Path, partitions: int, flush_seconds: float = 0.0) -> None:
        self.table = Tables(folder)
        self.lost: list[int] = []
        self.write_behind = WriteBehind(
            self.table, partitions, 14, flush_seconds, lambda: self.lost.append(1)
        )
        self.writers = [ListWriter(partition) for partition in range(partitions)]
        self.acknowledged: list[tuple[int, int]] = []

    async def begin(self, partition: int = 0, first: int = 0) -> None:
        spans = {spec.name: TopicSpan(first, 1000, None, "") for spec in SOURCES}
        await self.write_behind.begin(partition, self.writers[partition], spans, {}, rewrites_all=False)

    def add(self, when: str, store_id: str = "s1", partition: int = 0) -> None:
        said = poll(when)
        self.write_behind.add_polls(partition, StoreId(store_id), [pack_poll(said.at_us, said.status)])

    async def taken(self, next_offset: int, partition: int = 0, topic: str = POLLS) -> None:
        """Returns as soon as more may be taken in."""
        async with asyncio.timeout(SOON_S):
            await self.write_behind.taken(
                partition,
                topic,
                next_offset,
                lambda: self.acknowledged.append((partition, next_offset)),
                more_waits=False,
            )

    def stores(self, partition: int = 0) -> list[bytes]:
        return list(self.table.summary_keys(partition))

    def packed(self, when: str) -> int:
        said = poll(when)
        return pack_poll(said.at_us, said.status)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(tmp_path, 1)
    await worker.begin()
    yield worker
    worker.table.close()


# Several partitions in one flush


@pytest.fixture
async def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """Partition 0 and 1 have a store each, 2 has five, and two stores are a slice. Their topics begin apart."""
    monkeypatch.setattr(module, "_SLICE", 2)
    worker = Worker(tmp_path, 3)
    for partition in range(3):
        await worker.begin(partition, first=10 * partition)
    worker.add("Mon 10:00 active", "a")
    worker.add("Mon 11:00 active", "b", partition=1)
    for number in range(5):
        worker.add(f"Mon 1{number}:30 active", f"c{number}", partition=2)
    worker.add("Mon 19:00 active", "c0", partition=2)
    for partition in range(3):
        worker.write_behind.send(partition, Outgoing(DEAD_LETTERS, None, b"%d" % partition, b"{", ()))
        await worker.taken(10 * partition + 3, partition)
    yield worker
    worker.table.close()


async def test_of_three_partitions_the_one_whose_writer_is_lost_alone_goes_without_its_flush(
    three: Worker,
) -> None:
    """0 is lost, 1 is merged with it in one go, 2 in three slices of its own."""
    three.writers[0].fails = WriterLost(0, "fenced")
    await three.write_behind.flush()
    assert [three.write_behind.owns(partition) for partition in range(3)] == [False, True, True]
    assert [len(writer.flushes) for writer in three.writers] == [0, 1, 1]
    assert [three.stores(partition) for partition in range(3)] == [
        [],
        [b"Sb"],
        [b"Sc0", b"Sc1", b"Sc2", b"Sc3", b"Sc4"],
    ]
    assert three.table.get(0, POSITIONS_KEY) is None
    assert three.table.get(1, POSITIONS_KEY) == b'{"store-hours":10,"store-polls":13,"store-zones":10}'
    assert three.table.get(2, POSITIONS_KEY) == b'{"store-hours":20,"store-polls":23,"store-zones":20}'
    assert [three.write_behind.written_to(partition, POLLS) for partition in range(3)] == [0, 13, 23]
    assert [each.key for writer in three.writers[1:] for each in writer.flushes[0].outgoing] == [b"1", b"2"]
    assert sorted(three.acknowledged) == [(0, 3), (1, 13), (2, 23)]
    assert three.lost == [1]


async def test_each_partition_has_the_mark_of_its_own_stores_whichever_slice_they_are_in(
    three: Worker,
) -> None:
    """The one that reaches furthest of partition 2 is in its first slice."""
    await three.write_behind.flush()
    marks = [decode_high_water(three.table.get(partition, HIGH_WATER_KEY)) for partition in range(3)]
    assert marks == [
        HighWater(three.packed(when), NO_POLL)
        for when in ("Mon 10:00 active", "Mon 11:00 active", "Mon 19:00 active")
    ]


async def test_slices_of_one_flush_are_one_write_with_one_row_of_positions_at_its_end(three: Worker) -> None:
    await three.write_behind.flush()
    keys = [key for key, _ in three.writers[2].flushes[0].rows]
    assert [key for key in keys if key == POSITIONS_KEY] == keys[-1:]
    assert [key for key in keys if key[:2] == b"Sc"] == [b"Sc0", b"Sc1", b"Sc2", b"Sc3", b"Sc4"]


async def test_a_partition_is_acknowledged_by_its_own_write_while_another_still_writes(three: Worker) -> None:
    three.writers[2].gate = asyncio.Event()
    flushing = asyncio.create_task(three.write_behind.flush())
    await three.writers[2].writing.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert sorted(three.acknowledged) == [(0, 3), (1, 13)]
    assert [three.write_behind.written_to(partition, POLLS) for partition in range(3)] == [3, 13, 20]
    three.writers[2].gate.set()
    await flushing
    assert three.acknowledged[-1] == (2, 23)


# Given up in the midst of a flush


@pytest.mark.parametrize("is_released", [True, False])
async def test_what_is_written_after_a_partition_was_given_up_is_for_its_next_owner_to_read(
    worker: Worker, is_released: bool
) -> None:
    """The table is as the last flush left it: the changelog has more, and whoever restores finds it there."""
    writer = worker.writers[0]
    writer.gate = asyncio.Event()
    worker.add("Mon 10:00 active")
    await worker.taken(1)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await writer.writing.wait()
    if is_released:
        await worker.write_behind.release()
    else:
        worker.write_behind.lose(0, "a test")
    writer.gate.set()
    await flushing
    assert len(writer.flushes) == 1
    assert (worker.stores(), worker.table.get(0, POSITIONS_KEY)) == ([], None)


# Room


async def test_whoever_waits_for_room_makes_the_flush_due_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long updates may gather otherwise: an hour, here."""
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 0)
    monkeypatch.setattr(flush_timing, "BACKLOG_SECONDS", 3600.0)
    worker = Worker(tmp_path, 1, flush_seconds=3600.0)
    await worker.begin()
    flushing = asyncio.create_task(worker.write_behind.keep_flushing())
    worker.add("Mon 10:00 active")
    await worker.taken(1)
    assert worker.acknowledged == [(0, 1)]
    flushing.cancel()
    worker.table.close()


async def test_there_is_room_again_when_the_flush_is_written_and_not_before(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 0)
    writer = worker.writers[0]
    writer.gate = asyncio.Event()
    worker.add("Mon 10:00 active")
    waiting = asyncio.create_task(worker.taken(1))
    await asyncio.sleep(0)
    flushing = asyncio.create_task(worker.write_behind.flush())
    await writer.writing.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done()
    writer.gate.set()
    await asyncio.gather(flushing, waiting)
    assert worker.stores() == [b"Ss1"]


async def test_as_many_polls_as_memory_may_hold_hold_nobody_up(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 2)
    for offset in range(2):
        worker.add(f"Mon 1{offset}:00 active")
        await worker.taken(offset + 1)
    assert worker.acknowledged == []


async def test_polls_that_were_forgotten_before_they_were_written_take_up_no_room(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING_POLLS", 2)
    for offset in range(0, 6, 3):
        for minute in range(2):
            worker.add(f"Mon 10:0{minute} active")
            await worker.taken(offset + minute + 1)
        worker.write_behind.forget_polls(0, S1, Stamp(5, 0, offset + 2))
        await worker.taken(offset + 3)
    assert worker.acknowledged == []


# What a flush writes


async def test_a_poll_that_comes_again_writes_the_positions_alone(worker: Worker) -> None:
    for offset in range(2):
        worker.add("Mon 10:00 active")
        await worker.taken(offset + 1)
        await worker.write_behind.flush()
    assert worker.writers[0].flushes[1].rows == [(POSITIONS_KEY, b'{"store-polls":2}')]


async def test_records_for_elsewhere_go_out_once(worker: Worker) -> None:
    worker.write_behind.send(0, Outgoing(DEAD_LETTERS, None, b"s1", b"{"))
    for offset in range(2):
        worker.add(f"Mon 1{offset}:00 active")
        await worker.taken(offset + 1)
        await worker.write_behind.flush()
    assert [len(flush.outgoing) for flush in worker.writers[0].flushes] == [1, 0]


async def test_two_forgettings_in_one_flush_count_with_the_later_clock_and_the_later_offset(
    worker: Worker,
) -> None:
    """The second one's producer has a clock that goes 30 ms after the first's."""
    for offset, time_ms in enumerate((50, 20)):
        worker.write_behind.forget_polls(0, S1, Stamp(time_ms, 0, offset))
        await worker.taken(offset + 1)
    assert worker.write_behind.is_forgotten(0, S1, Stamp(40, 3, 9))
    await worker.write_behind.flush()
    assert decode_stamps(worker.table.get(0, stamps_key(S1))).forgotten == Stamp(50, 0, 1)


# What operators accept


async def test_who_accepts_losses_accepts_those_of_that_very_millisecond(worker: Worker) -> None:
    losses = tuple(Loss(0, 4, noticed_ms, "why") for noticed_ms in (99, 100, 101))
    worker.table.rows(0)[loss_key(HOURS)] = encode_losses(losses)
    worker.write_behind.accept_losses(0, 100)
    await worker.taken(1)
    await worker.write_behind.flush()
    assert dict(worker.writers[0].flushes[0].rows)[loss_key(HOURS)] == encode_losses(losses[2:])


# Old stamps


@pytest.mark.parametrize(("days_ago", "is_kept"), [(400, True), (401, False)])
async def test_the_stamps_of_a_forgotten_store_are_kept_for_400_days(
    worker: Worker, days_ago: int, is_kept: bool
) -> None:
    rows = worker.table.rows(0)
    stamps = StoreStamps(zone=Held(Stamp(1, 0, 0), 1), changed_day=TODAY - days_ago)
    rows[stamps_key(S1)] = encode_stamps(stamps)
    rows[b"Mswept"] = b"%d" % (TODAY - 31)
    await worker.begin()
    assert (worker.table.get(0, stamps_key(S1)) is not None) == is_kept


@pytest.mark.parametrize(("days_ago", "is_swept"), [(29, False), (30, True)])
async def test_old_stamps_are_looked_for_every_30_days(worker: Worker, days_ago: int, is_swept: bool) -> None:
    worker.table.rows(0)[b"Mswept"] = b"%d" % (TODAY - days_ago)
    worker.table.rows(0)[summary_key(S1)] = b"\2" + bytes(7) + b"\xff" * 16 + bytes(8)
    await worker.begin()
    assert (worker.table.get(0, b"Mswept") != b"%d" % (TODAY - days_ago)) == is_swept
