"""What is made of the records of a topic: taken in once, sent on, turned away, or seen to be missing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.hours import encode_hours
from schemas.events.polls import ACCEPT_LOSS_HEADER, encode_poll
from schemas.events.zones import encode_zone
from schemas.opening_hours import plain_hours, week_of
from schemas.rows.day_blocks import day_blocks_prefix, decode_day_blocks
from schemas.rows.losses import decode_losses, loss_key
from schemas.rows.positions import POSITIONS_KEY
from schemas.rows.summaries import EMPTY_SUMMARY, decode_summary, summary_key
from schemas.rows.table_format import FORMAT_KEY, encode_format
from schemas.stamps import STAMP_HEADER
from schemas.summaries import StoreSummary
from schemas.topics import DEAD_LETTERS, HOURS, POLLS, SOURCES, ZONES
from schemas.values import StoreId, day_of
from stream.brokers.partitions import partition_of
from stream.brokers.ports import Outgoing
from stream.brokers.records import Headers, Record
from stream.worker.agents import INTAKES, _TopicReader
from stream.worker.losses import TopicSpan
from stream.worker.write_behind import WriteBehind
from tests.builders import rows, utc
from tests.profiles import examples
from tests.stream.lists import ListBroker, ListChangelog, Tables, eventually

PARTITIONS = 4
S1 = StoreId("s1")
HOME = partition_of(S1, PARTITIONS)
ASTRAY = (HOME + 1) % PARTITIONS
FURTHER_ASTRAY = (HOME + 2) % PARTITIONS
NOON_MS = utc("2024-03-14 12:00") // 1000
IN_YEARS_MS = utc("2100-01-01 00:00") // 1000


@dataclass
class Message:
    """What an event knows of where it came from."""

    topic: str
    partition: int
    offset: int
    value: list[Record]

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)


@dataclass
class Event:
    message: Message
    acks: int = 0

    def ack(self) -> None:
        self.acks += 1


class Events:
    """A stream that ends."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def noack(self) -> "Events":
        return self

    async def events(self) -> AsyncIterator[Event]:
        for event in self._events:
            yield event


@dataclass
class App:
    """What the reader asks of Faust."""

    end: int = 0
    crashed_with: list[Exception] = field(default_factory=list)

    @property
    def consumer(self) -> "App":
        return self

    def highwater(self, _: TP) -> int:
        return self.end

    async def crash(self, error: Exception) -> None:
        self.crashed_with.append(error)


class Fleet:
    """The readers of a worker that has all partitions, and topics over lists."""

    def __init__(self, folder: Path) -> None:
        self.table = Tables(folder)
        self.lost: list[int] = []
        self.write_behind = WriteBehind(self.table, PARTITIONS, 14, 0.0, lambda: self.lost.append(1))
        self.broker = ListBroker(ListChangelog({number: [] for number in range(PARTITIONS)}))
        self.app = App()
        self.logs: dict[tuple[str, int], list[Record]] = {
            (spec.name, number): [] for spec in SOURCES for number in range(PARTITIONS)
        }
        self.dead: list[Outgoing] = []
        self._told: dict[int, int] = {}
        app: Any = self.app
        self._readers = {
            intake.topic: _TopicReader[Any](app, self.write_behind, self.broker, PARTITIONS, intake)
            for intake in INTAKES
        }

    async def begin(self, partition: int) -> None:
        """Have a partition, or have it again."""
        writers = await self.broker.own([partition])
        spans = {spec.name: TopicSpan(*self.span(spec.name, partition), None, "") for spec in SOURCES}
        await self.write_behind.begin(partition, writers[partition], spans, {}, rewrites_all=False)
        self._told[partition] = 0

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        return self.broker.topics.get((topic, partition), (0, len(self.logs[topic, partition])))

    def send(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = b"s1",
        at_ms: int = NOON_MS,
        headers: Headers = (),
    ) -> Record:
        log = self.logs[topic, partition]
        record = Record(topic, partition, len(log), at_ms, key, value, headers)
        log.append(record)
        self.broker.topics[topic, partition] = 0, len(log)
        return record

    async def read(self, topic: str, partition: int, first: int = 0, last: int | None = None) -> Event:
        """Hand the records from `first` to before `last` over, as one event."""
        records = self.logs[topic, partition][first:last]
        return await self.hand_over(topic, partition, records, records[-1].offset + 1)

    async def hand_over(self, topic: str, partition: int, records: list[Record], next_offset: int) -> Event:
        event = Event(Message(topic, partition, next_offset - 1, records))
        stream: Any = Events([event])
        await self._readers[topic].read_events(stream)
        return event

    async def flush(self) -> None:
        """Flush, and let what was sent elsewhere arrive there."""
        await self.write_behind.flush()
        for partition, told in self._told.items():
            flushes = self.broker.writers[partition][-1].flushes
            for flush in flushes[told:]:
                for each in flush.outgoing:
                    self._arrive(each)
            self._told[partition] = len(flushes)

    def _arrive(self, each: Outgoing) -> None:
        if each.topic == DEAD_LETTERS:
            self.dead.append(each)
            return
        assert each.partition is not None
        at_ms = NOON_MS if each.timestamp_ms is None else each.timestamp_ms
        self.send(each.topic, each.partition, each.value, key=each.key, at_ms=at_ms, headers=each.headers)

    def summary(self) -> StoreSummary:
        return decode_summary(self.table.get(HOME, summary_key(S1)) or EMPTY_SUMMARY)

    def polls(self) -> int:
        return int(self.summary().days[:, 1:].sum())


def new_fleet(folder: Path) -> Fleet:
    return Fleet(folder)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = new_fleet(tmp_path)
    for partition in range(PARTITIONS):
        await fleet.begin(partition)
    yield fleet
    fleet.table.close()


def poll(at: str = "11:00", status: str = "active") -> bytes:
    return encode_poll(S1, status, f"2024-03-14 {at}:00 UTC")


ZONE = encode_zone(S1, "Asia/Kolkata")


# Which records are taken in


async def test_records_that_come_again_are_skipped(fleet: Fleet) -> None:
    """A bad one among them would be told twice."""
    for value in (poll("10:00"), b"{", poll("11:00"), b"["):
        fleet.send(POLLS, HOME, value)
    await fleet.read(POLLS, HOME, 0, 3)
    again = await fleet.read(POLLS, HOME, 1, 4)
    whole = await fleet.read(POLLS, HOME, 0, 2)
    assert whole.acks == 1
    assert again.acks == 0
    await fleet.flush()
    assert again.acks == 1
    assert [letter.value for letter in fleet.dead] == [b"{", b"["]
    assert (fleet.polls(), fleet.write_behind.written_to(HOME, POLLS)) == (2, 4)


async def test_a_batch_without_records_moves_the_position(fleet: Fleet) -> None:
    """Markers, and records of aborted transactions, take offsets too."""
    event = await fleet.hand_over(POLLS, HOME, [], 3)
    await fleet.flush()
    assert event.acks == 1
    assert fleet.write_behind.written_to(HOME, POLLS) == 3


async def test_a_gap_that_the_broker_explains_is_no_loss(fleet: Fleet) -> None:
    """r · · · r   what is missing was compacted away, aborted, or a marker: the topic begins before it"""
    for at in ("10:00", "10:01", "10:02", "11:00"):
        fleet.send(POLLS, HOME, poll(at))
    await fleet.read(POLLS, HOME, 0, 1)
    await fleet.read(POLLS, HOME, 3, 4)
    await fleet.flush()
    assert (fleet.lost, fleet.polls()) == ([], 2)
    assert fleet.write_behind.written_to(HOME, POLLS) == 4


async def test_a_gap_that_the_broker_does_not_explain_has_the_partition_taken_over_again(
    fleet: Fleet,
) -> None:
    """r × × [ r   retention took what was not read yet: the take-over notes it"""
    for at in ("10:00", "10:01", "10:02", "11:00"):
        fleet.send(POLLS, HOME, poll(at))
    await fleet.read(POLLS, HOME, 0, 1)
    await fleet.flush()
    fleet.broker.topics[POLLS, HOME] = 3, 4
    event = await fleet.read(POLLS, HOME, 3, 4)
    assert (fleet.lost, fleet.write_behind.owns(HOME), event.acks) == ([1], False, 1)
    await fleet.begin(HOME)
    (loss,) = decode_losses(fleet.table.get(HOME, loss_key(POLLS)))
    assert (loss.from_offset, loss.to_offset) == (1, 3)
    await fleet.read(POLLS, HOME, 3, 4)
    await fleet.flush()
    assert fleet.polls() == 2


async def test_a_topic_that_begins_again_under_us_has_the_partition_taken_over_again(fleet: Fleet) -> None:
    for at in ("10:00", "11:00"):
        fleet.send(POLLS, HOME, poll(at))
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    fleet.broker.topics[POLLS, HOME] = 0, 1
    event = await fleet.read(POLLS, HOME, 0, 1)
    assert (fleet.lost, event.acks) == ([1], 1)
    await fleet.begin(HOME)
    (loss,) = decode_losses(fleet.table.get(HOME, loss_key(POLLS)))
    assert (loss.from_offset, loss.to_offset) == (1, 2)


async def test_what_comes_for_a_partition_that_is_not_ours_is_acknowledged_and_nothing_else(
    fleet: Fleet,
) -> None:
    """Whoever takes it over begins where the table says."""
    fleet.send(POLLS, HOME, poll())
    fleet.write_behind.lose(HOME, "a test")
    event = await fleet.read(POLLS, HOME)
    assert event.acks == 1
    await fleet.begin(HOME)
    await fleet.flush()
    assert fleet.polls() == 0
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    assert fleet.polls() == 1


async def test_an_event_is_acknowledged_once_its_polls_are_in_the_table(fleet: Fleet) -> None:
    fleet.send(POLLS, HOME, poll())
    event = await fleet.read(POLLS, HOME)
    assert (event.acks, fleet.polls()) == (0, 0)
    await fleet.flush()
    assert (event.acks, fleet.polls()) == (1, 1)


async def test_while_more_is_in_the_log_a_flush_waits_for_it(fleet: Fleet) -> None:
    """The more updates a store has, the less each poll costs; and the last of it makes the flush go."""
    for at in ("10:00", "10:30", "11:00"):
        fleet.send(POLLS, HOME, poll(at))
    fleet.app.end = 3
    flushing = asyncio.create_task(fleet.write_behind.keep_flushing())
    await fleet.read(POLLS, HOME, 0, 1)
    await fleet.read(POLLS, HOME, 1, 2)
    await asyncio.sleep(0.05)
    writer = fleet.broker.writers[HOME][0]
    assert writer.flushes == []
    await fleet.read(POLLS, HOME, 2, 3)
    await eventually(lambda: len(writer.flushes) == 1, within_s=1.0)
    flushing.cancel()
    assert writer.flushes[0].positions[POLLS] == 3


async def test_what_goes_wrong_ends_the_worker_and_is_not_acknowledged(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would begin behind the event otherwise, and lose the rest of it."""

    async def no_spans(partitions: object) -> Any:
        raise ConnectionError("no answer")

    monkeypatch.setattr(fleet.broker, "spans", no_spans)
    fleet.send(POLLS, HOME, poll())
    fleet.send(POLLS, HOME, poll())
    with pytest.raises(ConnectionError):
        await fleet.read(POLLS, HOME, 1)
    assert [str(error) for error in fleet.app.crashed_with] == ["no answer"]


# Strays


async def test_a_stray_is_sent_on_with_its_time_and_the_stamp_of_where_it_was_written(fleet: Fleet) -> None:
    for value in (b"{", poll()):
        fleet.send(POLLS, ASTRAY, value, at_ms=NOON_MS + 7, headers=(("trace", b"x"),))
    event = await fleet.read(POLLS, ASTRAY)
    await fleet.flush()
    assert event.acks == 1
    (copy,) = fleet.logs[POLLS, HOME]
    stamp = f"{NOON_MS + 7} {ASTRAY} 1".encode()
    assert copy.headers == (("trace", b"x"), (STAMP_HEADER, stamp))
    assert (copy.key, copy.value, copy.timestamp_ms) == (b"s1", poll(), NOON_MS + 7)
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    assert fleet.polls() == 1


async def test_a_stray_without_a_key_is_sent_on_with_one(fleet: Fleet) -> None:
    fleet.send(ZONES, ASTRAY, ZONE, key=None)
    await fleet.read(ZONES, ASTRAY)
    await fleet.flush()
    assert [copy.key for copy in fleet.logs[ZONES, HOME]] == [b"s1"]


async def test_a_copy_that_is_sent_on_again_keeps_the_stamp_of_its_original(fleet: Fleet) -> None:
    """As where somebody copied a topic from a cluster with another number of partitions."""
    fleet.send(ZONES, ASTRAY, ZONE)
    await fleet.read(ZONES, ASTRAY)
    await fleet.flush()
    (copy,) = fleet.logs[ZONES, HOME]
    fleet.send(ZONES, FURTHER_ASTRAY, copy.value, at_ms=NOON_MS + 99, headers=copy.headers)
    await fleet.read(ZONES, FURTHER_ASTRAY)
    await fleet.flush()
    assert (
        fleet.logs[ZONES, HOME][1].headers
        == copy.headers
        == ((STAMP_HEADER, b"%d %d 0" % (NOON_MS, ASTRAY)),)
    )


@pytest.mark.parametrize(
    ("stray_ms", "holds"), [(NOON_MS - 1, "Europe/Paris"), (NOON_MS + 1, "Asia/Kolkata")]
)
async def test_a_stray_that_is_sent_on_late_and_often_overrules_only_what_was_written_before_it(
    fleet: Fleet, stray_ms: int, holds: str
) -> None:
    fleet.send(ZONES, ASTRAY, ZONE, at_ms=stray_ms)
    fleet.send(ZONES, HOME, encode_zone(S1, "Europe/Paris"))
    await fleet.read(ZONES, HOME)
    await fleet.flush()
    assert fleet.summary().hours.zone == "Europe/Paris"
    (stray,) = fleet.logs[ZONES, ASTRAY]
    stamp = (STAMP_HEADER, b"%d %d 0" % (stray_ms, ASTRAY))
    for _ in range(2):
        fleet.send(ZONES, HOME, stray.value, at_ms=stray_ms, headers=(stamp,))
        await fleet.read(ZONES, HOME)
        await fleet.flush()
        assert fleet.summary().hours.zone == holds


async def test_hours_obey_the_same_rule_and_so_does_forgetting_them(fleet: Fleet) -> None:
    """A week at noon, a stray null a millisecond later, an older week that a slow clock wrote behind the first."""
    week, older = rows("Mon 09:00-17:00"), rows("Tue 09:00-17:00")
    fleet.send(HOURS, HOME, encode_hours(S1, plain_hours(week_of(week))))
    await fleet.read(HOURS, HOME)
    await fleet.flush()
    assert fleet.summary().hours.week == week_of(week)
    fleet.send(HOURS, ASTRAY, None, at_ms=NOON_MS + 1)
    await fleet.read(HOURS, ASTRAY)
    await fleet.flush()
    await fleet.read(HOURS, HOME)
    await fleet.flush()
    assert fleet.table.get(HOME, summary_key(S1)) is None
    fleet.send(HOURS, HOME, encode_hours(S1, plain_hours(week_of(older))), at_ms=NOON_MS - 1000)
    await fleet.read(HOURS, HOME)
    await fleet.flush()
    assert fleet.table.get(HOME, summary_key(S1)) is None
    fleet.send(HOURS, HOME, encode_hours(S1, plain_hours(week_of(older))), at_ms=NOON_MS + 2)
    await fleet.read(HOURS, HOME)
    await fleet.flush()
    assert fleet.summary().hours.week == week_of(older)


# Forgetting


async def test_a_copy_of_a_poll_written_before_the_last_forgetting_stays_forgotten(fleet: Fleet) -> None:
    """Before the flush, after it, and after a restart."""
    fleet.send(POLLS, ASTRAY, poll("11:00"))
    fleet.send(POLLS, HOME, None, at_ms=NOON_MS + 1)
    copy = (STAMP_HEADER, b"%d %d 0" % (NOON_MS, ASTRAY))
    fleet.send(POLLS, HOME, poll("11:00"), headers=(copy,))
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    assert fleet.polls() == 0
    fleet.send(POLLS, HOME, poll("11:00"), headers=(copy,))
    await fleet.begin(HOME)
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    assert fleet.polls() == 0
    fleet.send(POLLS, HOME, poll("11:30"))
    await fleet.read(POLLS, HOME)
    await fleet.flush()
    assert fleet.polls() == 1


async def test_a_null_in_the_wrong_partition_is_a_dead_letter_that_says_where_it_belongs(
    fleet: Fleet,
) -> None:
    """Which polls it means would depend on when it arrives."""
    fleet.send(POLLS, HOME, poll())
    fleet.send(POLLS, ASTRAY, None)
    await fleet.read(POLLS, HOME)
    await fleet.read(POLLS, ASTRAY)
    await fleet.flush()
    (letter,) = fleet.dead
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"s1", None)
    assert headers["dlq.reason"] == b"misplaced_tombstone"
    assert headers["dlq.right_partition"] == b"%d" % HOME
    assert headers["dlq.partition"] == b"%d" % ASTRAY
    assert len(fleet.logs[POLLS, HOME]) == 1
    assert fleet.polls() == 1


@pytest.mark.parametrize(("topic", "value"), [(ZONES, ZONE), (HOURS, encode_hours(S1, plain_hours(())))])
async def test_a_null_of_hours_or_zones_is_sent_on(fleet: Fleet, topic: str, value: bytes) -> None:
    fleet.send(topic, HOME, value)
    fleet.send(topic, ASTRAY, None, at_ms=NOON_MS + 1)
    await fleet.read(topic, ASTRAY)
    await fleet.flush()
    await fleet.read(topic, HOME)
    await fleet.flush()
    assert fleet.table.get(HOME, summary_key(S1)) is None
    assert fleet.dead == []


Arrival = tuple[str, int, int]
"""`null`, `direct`, or a copy of `stray`; its record's time, in ms; which one it is."""
STRAYS_MS = (1, 3, 3, 6)
"""When the strays were written, in ms after noon; stray n polled at n minutes past 10."""
ARRIVALS = st.one_of(
    st.tuples(st.just("null"), st.integers(0, 8), st.just(0)),
    st.tuples(st.just("direct"), st.integers(0, 8), st.integers(0, 9)),
    st.tuples(st.just("stray"), st.just(0), st.integers(0, len(STRAYS_MS) - 1)),
)


def polled_by_the_rule(arrivals: list[Arrival]) -> set[int]:
    """Minutes past 10 of the polls that count: written to the store's partition, or at all, after the last null."""
    nulls = [(time, offset) for offset, (kind, time, _) in enumerate(arrivals) if kind == "null"]
    forgotten = (max(time for time, _ in nulls), HOME, nulls[-1][1]) if nulls else (-1, 0, 0)
    counting = arrivals[forgotten[2] + 1 :] if nulls else arrivals
    direct = {20 + number for kind, _, number in counting if kind == "direct"}
    strays = {number for kind, _, number in counting if kind == "stray"}
    return direct | {number for number in strays if (STRAYS_MS[number], ASTRAY, number) > forgotten}


@settings(max_examples=examples(60))
@given(st.lists(ARRIVALS, max_size=9), st.lists(st.integers(0, 9), max_size=3))
def test_what_counts_after_forgetting_is_what_was_written_after_it(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[Arrival], flushes: list[int]
) -> None:
    """Whatever comes how often and late, and however it is split into flushes."""

    async def run(fleet: Fleet) -> None:
        await fleet.begin(HOME)
        for kind, time_ms, number in arrivals:
            if kind == "null":
                fleet.send(POLLS, HOME, None, at_ms=NOON_MS + time_ms)
            elif kind == "direct":
                fleet.send(POLLS, HOME, poll(f"10:{20 + number}"), at_ms=NOON_MS + time_ms)
            else:
                at_ms = NOON_MS + STRAYS_MS[number]
                stamp = (STAMP_HEADER, b"%d %d %d" % (at_ms, ASTRAY, number))
                fleet.send(POLLS, HOME, poll(f"10:0{number}"), at_ms=at_ms, headers=(stamp,))
        cuts = sorted({0, *(cut for cut in flushes if cut < len(arrivals)), len(arrivals)})
        for first, last in pairwise(cuts):
            await fleet.read(POLLS, HOME, first, last)
            await fleet.flush()

    fleet = new_fleet(tmp_path_factory.mktemp("table"))
    asyncio.run(run(fleet))
    day_blocks = [fleet.table.get(HOME, key) or b"" for key in fleet.table.keys(HOME, day_blocks_prefix(S1))]
    ten = utc("2024-03-14 10:00")
    packed, _ = decode_day_blocks([day_of(ten)] * len(day_blocks), day_blocks)
    fleet.table.close()
    assert {(code // 2 - ten) // 60_000_000 for code in packed.tolist()} == polled_by_the_rule(arrivals)


# Others


@pytest.mark.parametrize(("key", "value"), [(None, None), (b"", b""), (b"s1", b"{"), (b"s1", poll())])
async def test_a_record_that_accepts_losses_says_nothing_else_whatever_is_in_it(
    fleet: Fleet, key: bytes | None, value: bytes | None
) -> None:
    fleet.broker.topics[POLLS, HOME] = 3, 4
    fleet.logs[POLLS, HOME] += [Record(POLLS, HOME, n, NOON_MS, b"s1", poll()) for n in range(3)]
    fleet.write_behind.lose(HOME, "a test")
    fleet.table.rows(HOME)[FORMAT_KEY] = encode_format()
    fleet.table.rows(HOME)[POSITIONS_KEY] = b'{"store-polls":1}'
    await fleet.begin(HOME)
    assert len(decode_losses(fleet.table.get(HOME, loss_key(POLLS)))) == 1
    fleet.send(POLLS, HOME, value, key=key, at_ms=IN_YEARS_MS, headers=((ACCEPT_LOSS_HEADER, b""),))
    await fleet.read(POLLS, HOME, 3)
    await fleet.flush()
    assert decode_losses(fleet.table.get(HOME, loss_key(POLLS))) == ()
    assert (fleet.polls(), fleet.dead, fleet.write_behind.written_to(HOME, POLLS)) == (0, [], 4)


async def test_a_bug_in_reading_a_record_is_a_dead_letter_and_stops_no_other(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader: Any = fleet._readers[ZONES]
    reads: list[Callable[..., Any]] = [reader._read]

    def read(record: Record, origin: object) -> Any:
        if record.offset == 0:
            raise ZeroDivisionError
        return reads[0](record, origin)

    monkeypatch.setattr(reader, "_read", read)
    for _ in range(2):
        fleet.send(ZONES, HOME, ZONE)
    await fleet.read(ZONES, HOME)
    await fleet.flush()
    (letter,) = fleet.dead
    assert dict(letter.headers)["dlq.offset"] == b"0"
    assert fleet.summary().hours.zone == "Asia/Kolkata"
