"""Which of several records holds, however often and late the strays among them are forwarded (rules 3)."""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.rows.stamps import LAYOUT, decode_stamps, encode_stamps
from schemas.stamps import (
    NEVER,
    STAMP_HEADER,
    Held,
    LastSaid,
    Stamp,
    StoreStamps,
    forgetting,
    stamp_header,
    stamp_in,
)
from tests.profiles import examples

RIGHT = 2
"""The partition of the store."""
TIMES_MS = st.integers(-1, 6)
"""Few, so that records meet at one instant, and clocks go back."""


@dataclass(frozen=True)
class Arrival:
    """A record as it comes to the right partition: with its original's stamp where it is a forwarded copy."""

    timestamp_ms: int
    value: str
    original: Stamp | None = None


@dataclass(frozen=True)
class History:
    """All that comes to the right partition, in its log's order, and after how many arrivals there is a flush."""

    arrivals: list[Arrival]
    flushes: list[int]

    def chunks(self) -> list[list[tuple[int, Arrival]]]:
        cuts = [0, *self.flushes, len(self.arrivals)]
        numbered = list(enumerate(self.arrivals))
        return [numbered[first:last] for first, last in pairwise(cuts)]


@st.composite
def histories(draw: st.DrawFn) -> History:
    direct = [Arrival(time, f"direct {n}") for n, time in enumerate(draw(st.lists(TIMES_MS, max_size=6)))]
    places = st.tuples(TIMES_MS, st.sampled_from([0, 1, 3, 7]))
    strays = [
        Arrival(0, f"stray {n}", Stamp(time, partition, n))
        for n, (time, partition) in enumerate(draw(st.lists(places, max_size=5)))
    ]
    copies = [copy for copy in strays for _ in range(draw(st.integers(1, 3)))]
    arrivals = list(direct)
    for copy in draw(st.permutations(copies)):
        arrivals.insert(draw(st.integers(0, len(arrivals))), copy)
    return History(arrivals, sorted(draw(st.lists(st.integers(0, len(arrivals)), max_size=4))))


def held_by_the_rule(history: History) -> str | None:
    """As rules 3 say: the greatest stamp; a direct one counts with at least the time of the one before it."""
    stamped: list[tuple[Stamp, str]] = []
    before_ms = -1
    for offset, arrival in enumerate(history.arrivals):
        if arrival.original is None:
            before_ms = max(before_ms, arrival.timestamp_ms)
            stamped.append((Stamp(before_ms, RIGHT, offset), arrival.value))
        else:
            stamped.append((arrival.original, arrival.value))
    return max(stamped)[1] if stamped else None


def held_by_us(history: History) -> str | None:
    """What is told and merged flush by flush, with nothing but bytes kept in between."""
    row, holds = None, None
    for chunk in history.chunks():
        said: LastSaid[str] = LastSaid()
        for offset, arrival in chunk:
            if arrival.original is None:
                said.say_direct(Stamp(arrival.timestamp_ms, RIGHT, offset), arrival.value)
            else:
                said.say_stray(arrival.original, arrival.value)
        held, value, is_new = said.resolve(decode_stamps(row).hours)
        holds = value if is_new else holds
        row = encode_stamps(StoreStamps(hours=held))
    return holds


@settings(max_examples=examples(250))
@given(histories())
def test_the_record_that_the_rule_names_holds(history: History) -> None:
    holds = held_by_the_rule(history)
    event((holds or "nothing").split()[0])
    assert held_by_us(history) == holds


@settings(max_examples=examples(150))
@given(histories(), st.randoms(use_true_random=False))
def test_when_copies_come_and_how_often_changes_nothing(history: History, chance: Random) -> None:
    """Direct records keep their order; the copies fall anywhere among them, some of them again."""
    arrivals = [each for each in history.arrivals if each.original is None]
    copies = [each for each in history.arrivals if each.original is not None]
    copies += copies[: chance.randrange(len(copies) + 1)]
    chance.shuffle(copies)
    for copy in copies:
        arrivals.insert(chance.randrange(len(arrivals) + 1), copy)
    flushes = sorted(chance.randrange(len(arrivals) + 1) for _ in range(3))
    assert held_by_us(History(arrivals, flushes)) == held_by_us(history)


def test_by_hand() -> None:
    """The picture of schemas.stamps: A@10, B@7 that counts as 10, the stray S@11 again and again, C@12."""
    stray = Arrival(99, "S", Stamp(11, 5, 0))
    a, b, c = Arrival(10, "A"), Arrival(7, "B"), Arrival(12, "C")
    for arrivals, holds in (
        ([a, b], "B"),
        ([a, stray, b], "S"),
        ([stray, a, b, stray], "S"),
        ([a, b, stray, c], "C"),
        ([a, b, c, stray, stray], "C"),
    ):
        for flush in range(len(arrivals) + 1):
            assert held_by_us(History(arrivals, [flush])) == holds


@settings(max_examples=examples(100))
@given(st.lists(TIMES_MS, min_size=1, max_size=8), st.lists(st.integers(0, 8), max_size=3))
def test_the_last_forgetting_counts_with_the_greatest_time_so_far(
    times: list[int], flushes: list[int]
) -> None:
    row: bytes | None = None
    forgotten = NEVER
    for offset, time_ms in enumerate(times):
        if offset in flushes:
            row = encode_stamps(StoreStamps(forgotten=forgotten))
            forgotten = decode_stamps(row).forgotten
        forgotten = forgetting(Stamp(time_ms, RIGHT, offset), forgotten)
    assert forgotten == Stamp(max(times), RIGHT, len(times) - 1)


# Bytes

STAMPS = StoreStamps(
    hours=Held(Stamp(1_710_417_600_000, 5, 41), 1_710_417_500_000),
    zone=Held(Stamp(-1, 0, 7), -1),
    forgotten=NEVER,
    changed_day=19_796,
)
STAMPS_V1 = bytes.fromhex(
    "01544d0000"
    "005ed53c8e010000050000002900000000000000"
    "60d7d33c8e010000"
    "ffffffffffffffff000000000700000000000000"
    "ffffffffffffffff"
    "00000000000000c0000000000000000000000000"
)
"""Version, day; hours and its floor; zone and its floor; forgetting."""


def test_what_version_1_wrote_is_read_for_ever() -> None:
    assert decode_stamps(STAMPS_V1) == STAMPS
    assert encode_stamps(STAMPS) == STAMPS_V1
    assert len(STAMPS_V1) == LAYOUT.itemsize


def test_a_store_without_stamps_has_those_of_no_record() -> None:
    assert decode_stamps(None) == StoreStamps()
    assert Stamp(-1, 0, 0) > NEVER


LONGS, INTS = st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, (1 << 32) - 1)
STAMP = st.builds(Stamp, LONGS, INTS, LONGS)
HELD = st.builds(Held, STAMP, LONGS)


@given(st.builds(StoreStamps, HELD, HELD, STAMP, INTS))
def test_stamps_come_back_from_their_bytes(stamps: StoreStamps) -> None:
    assert decode_stamps(encode_stamps(stamps)) == stamps


# The header of a forwarded copy


@given(st.builds(Stamp, st.integers(-1, 1 << 62), INTS, st.integers(0, (1 << 63) - 1)))
def test_a_copy_says_when_and_where_its_original_was_written(stamp: Stamp) -> None:
    assert stamp_in([("other", b"1 2 3"), stamp_header(stamp)]) == stamp


def test_the_header_is_ascii() -> None:
    assert stamp_header(Stamp(1_710_417_600_000, 5, 41)) == ("storepulse.stamp", b"1710417600000 5 41")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1 2",
        b"1 2 3 4",
        b"one 2 3",
        b"-2 0 0",
        b"1 -1 0",
        b"1 0 -1",
        b"1 4294967296 0",
        b"9223372036854775808 0 0",
        b"\xff 0 0",
        b"9" * 100_000,
    ],
)
def test_a_header_that_we_did_not_write_says_nothing(content: bytes) -> None:
    assert stamp_in([(STAMP_HEADER, content)]) is None


def test_a_header_of_ours_counts_behind_one_that_says_nothing() -> None:
    """A stray that came with a header of that name is forwarded with both."""
    stamp = Stamp(11, 5, 0)
    assert stamp_in([(STAMP_HEADER, b"?"), stamp_header(stamp)]) == stamp
