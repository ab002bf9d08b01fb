"""Calendars: open time, as a clock that runs only while a store is open.

Owns local time, entirely: zones, their offsets, and how weekly hours of wall times become open intervals in UTC.
Must not know: polls, stores, stored bytes. Everything it hands out is integer microseconds UTC.

Wall time becomes UTC by RFC 5545 (rule 2.4): a wall time that occurs twice means the first, one that does
not exist is read with the offset in force before the gap. Both follow from one rule on the zone's offsets
alone, with no notion of daylight saving, so that it holds for Dublin and Casablanca too: period k of a
zone (between two changes of offset) claims every wall time below `change + max(offset before, after)`.

    clocks go forward: a gap on the wall         clocks go back: an overlap
    before ────────┤                             before ────────────────┤ claims both
                   ├┄┄ gap ┄┄├──── after                      ├─────────────── after
                     claimed by before

*Open time* at an instant is how long the store was open since a fixed anchor. It never goes back, and only its
differences have a meaning:

    open      ▁▁▁▁▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▔▔▔▔▔▔▔▔▁▁▁▁
    open time 0   0      8h       8h     16h          one reading: a look-up and a subtraction
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import pytz

from schemas.arrays import NO_INTS, Int64s
from schemas.compatibility import NewerZone
from schemas.opening_hours import A_MONDAY, DEFAULT_ZONE, OpeningHours, StoreHours
from schemas.values import DAY_US
from stream.core.wall_hours import wall_spans

ZONE_DATABASE: Final[str] = pytz.OLSON_VERSION  # type: ignore[attr-defined]  # missing in the stubs
"""The IANA release that every stored accumulator was made with (rule 2.4)."""

_REACH_DAYS: Final = 4
"""A local date's hours lie within this many days of its UTC day: offset, overnight row, skipped date."""
_BLOCK_US: Final = 16 * DAY_US
"""Open time is prepared for whole blocks of days, so that neighbouring questions share it."""
_FIRST_CHANGE_US: Final = -366 * DAY_US
"""Older changes of offset are dropped: no instant lies before 1970."""
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - pytz keeps its instants as naive UTC
_MICROSECOND: Final = timedelta(microseconds=1)
_ALWAYS: Final = 1 << 60
"""Further than any instant, and far enough from the ends of int64 to subtract."""


Intervals = tuple[Int64s, Int64s]
"""Where some intervals begin and where they end: ascending, disjoint, never touching."""


@dataclass(frozen=True, slots=True, eq=False)
class Offsets:
    """A zone as its changes of UTC offset (none after 2037, where the database ends).

    `offset_us[k]` is in force from `change_us[k - 1]` up to `change_us[k]`, and claims the wall times from
    `claimed_to_us[k - 1]` up to `claimed_to_us[k]`.
    """

    change_us: Int64s
    claimed_to_us: Int64s
    offset_us: Int64s

    def utc_us(self, wall_us: Int64s) -> Int64s:
        """Wall times (us since 1970-01-01 00:00 on the wall) as instants, by RFC 5545."""
        return wall_us - self.offset_us[np.searchsorted(self.claimed_to_us, wall_us, side="right")]

    def wall_us(self, at_us: int) -> int:
        """The wall time of an instant."""
        return at_us + int(self.offset_us[np.searchsorted(self.change_us, at_us, side="right")])


@lru_cache(maxsize=1024)
def offsets_of(zone: str) -> Offsets:
    """The offsets of an IANA zone. Raises NewerZone."""
    changes: list[int] = []
    offsets: list[int] = []
    for at_us, offset_us in _transitions(zone):
        if not offsets or at_us < _FIRST_CHANGE_US:
            offsets = [offset_us]
        elif offset_us != offsets[-1]:
            changes.append(at_us)
            offsets.append(offset_us)
    change_us, offset_us_of = np.array(changes, np.int64), np.array(offsets, np.int64)
    return Offsets(change_us, change_us + np.maximum(offset_us_of[:-1], offset_us_of[1:]), offset_us_of)


def _transitions(zone: str) -> list[tuple[int, int]]:
    """(instant, UTC offset from then on) as the database has them; a zone that never changed has one.

    pytz offers no public list of them; the names read here are held by a test.
    """
    try:
        tz = pytz.timezone(zone)
    except pytz.UnknownTimeZoneError:
        raise NewerZone(zone, ZONE_DATABASE) from None
    if not isinstance(tz, pytz.tzinfo.DstTzInfo):
        return [(-_ALWAYS, (tz.utcoffset(_EPOCH) or timedelta()) // _MICROSECOND)]
    return [
        ((at - _EPOCH) // _MICROSECOND, info[0] // _MICROSECOND)
        for at, info in zip(tz._utc_transition_times, tz._transition_info, strict=True)  # type: ignore[attr-defined]
    ]


@dataclass(frozen=True, slots=True, eq=False)
class OpenTime:
    """The open time of one calendar, prepared for the instants from `from_us` to `to_us`.

    The store is open from `opens_us[i]` to `closes_us[i]`: ascending, disjoint, never touching.
    `before_us[i]` is the open time before interval i, counted from the first. `opens_us` and `before_us` have
    one more entry: an interval that never comes, and the total. `least_us` is no greater, and `greatest_us` is
    greater, than any close and any instant that may be asked for.
    """

    from_us: int
    to_us: int
    opens_us: Int64s
    closes_us: Int64s
    before_us: Int64s
    least_us: int
    greatest_us: int

    def intervals(self, from_us: int, to_us: int) -> list[tuple[int, int]]:
        """The open intervals within [from_us, to_us), cut at its ends."""
        opens = np.maximum(self.opens_us[:-1], from_us).tolist()
        closes = np.minimum(self.closes_us, to_us).tolist()
        return [(opened, closed) for opened, closed in zip(opens, closes, strict=True) if opened < closed]


def blocks(from_us: int, to_us: int) -> tuple[int, int]:
    """The ends of the whole blocks of days in which some instants lie: what open time is prepared for."""
    return from_us // _BLOCK_US * _BLOCK_US, (to_us // _BLOCK_US + 1) * _BLOCK_US


class OpenTimes:
    """The open time of many calendars, to be read at many instants at once.

    Their intervals stand end to end in one sorted array. Calendar i takes up the span from the least to the
    greatest instant that it has or may be asked for, moved behind that of calendar i - 1:

        calendar 0   ├──▔▔──▔▔──▔▔──┤
        calendar 1                   ├─▔▔▔─▔▔▔─┤
        closes          ▲   ▲   ▲  ▲     ▲   ▲ ▲       the last of each: an interval that never comes
    """

    def __init__(self, every: Sequence[OpenTime]) -> None:
        least = np.array([each.least_us for each in every], np.int64)
        greatest = np.array([each.greatest_us for each in every], np.int64)
        widths = greatest - least + 1
        begins = np.cumsum(widths) - widths
        assert not len(begins) or 0 <= begins[-1] + widths[-1] < 4 * _ALWAYS, (
            "all spans together must fit int64"
        )
        self._shift_us = begins - least
        sizes = [len(each.before_us) for each in every]
        closes = [
            a for each, end in zip(every, greatest[:, None], strict=True) for a in (each.closes_us, end)
        ]
        self._closes = np.repeat(self._shift_us, sizes) + np.concatenate([NO_INTS, *closes])
        self._opens_us = np.concatenate([NO_INTS, *(each.opens_us for each in every)])
        self._before_us = np.concatenate([NO_INTS, *(each.before_us for each in every)])

    def read_us(self, index: Int64s, at_us: Int64s | int) -> Int64s:
        """The open time of calendar `index[k]` at `at_us[k]`, or of all at one instant, for which they are
        prepared.

        Only differences have a meaning.
        """
        past = np.searchsorted(self._closes, at_us + self._shift_us[index], side="right")
        read: Int64s = self._before_us[past] + np.maximum(at_us - self._opens_us[past], 0)
        return read


class Calendar:
    """When a store of some opening hours is open.

    Without hours it is open 24/7 (rule 2.2). Open time is kept for the span asked last, in whole blocks.
    """

    def __init__(self, hours: OpeningHours) -> None:
        self.zone = hours.zone or DEFAULT_ZONE
        self.hours = hours.hours or StoreHours()
        self._offsets = offsets_of(self.zone)
        self._is_plain = self.hours.is_plain
        week = self.hours.undated
        self._day = np.array([row.day for row in week], np.int64)
        self._start_us = np.array([row.start_us for row in week], np.int64)
        self._end_us = np.array(
            [row.end_us + DAY_US * (row.end_us <= row.start_us) for row in week], np.int64
        )
        self._prepared: OpenTime | None = None

    def open_time(self, from_us: int, to_us: int) -> OpenTime:
        """The open time, to be read at instants from `from_us` to `to_us` at least (both included)."""
        kept = self._prepared
        if kept is None or from_us < kept.from_us or to_us > kept.to_us:
            from_us, to_us = blocks(from_us, to_us)
            kept = self._prepared = _prepared(from_us, to_us, *self._open(from_us, to_us))
        return kept

    def excluded_time(self, from_us: int, to_us: int) -> OpenTime:
        """The same of the time that the hours would be open and closures take away (rule 2.2c)."""
        return _prepared(from_us, to_us, *_common(self._by_hours(from_us, to_us), self._closures()))

    def wall_us(self, at_us: int) -> int:
        """The wall time of an instant: us since 1970-01-01 00:00 on the wall."""
        return self._offsets.wall_us(at_us)

    def midnights_us(self, from_us: int, to_us: int) -> list[int]:
        """The local midnights in (from_us, to_us), as instants: where local days begin."""
        days = np.arange(self.wall_us(from_us) // DAY_US, self.wall_us(to_us) // DAY_US + 2)
        midnights = np.unique(self._offsets.utc_us(days * DAY_US))
        return [int(at) for at in midnights if from_us < at < to_us]

    def _open(self, from_us: int, to_us: int) -> Intervals:
        """Every open interval that meets [from_us, to_us], and some around it, as a union."""
        by_hours = self._by_hours(from_us, to_us)
        return _without(by_hours, self._closures()) if self.hours.closures else by_hours

    def _by_hours(self, from_us: int, to_us: int) -> Intervals:
        """The same, but for closures."""
        if not self.hours.weekly and not self.hours.special_days:
            return np.array([from_us - DAY_US]), np.array([to_us + DAY_US])
        first_day, last_day = from_us // DAY_US - _REACH_DAYS, to_us // DAY_US + _REACH_DAYS
        if self._is_plain:
            mondays = A_MONDAY + 7 * np.arange((first_day - A_MONDAY) // 7, (last_day - A_MONDAY) // 7 + 1)
            midnights = (mondays[:, None] + self._day[None, :]) * DAY_US
            opens, closes = (midnights + self._start_us).ravel(), (midnights + self._end_us).ravel()
        else:
            spans = wall_spans(self.hours, first_day, last_day)
            opens, closes = spans.day * DAY_US + spans.start_us, spans.day * DAY_US + spans.end_us
        return _union(self._offsets.utc_us(opens), self._offsets.utc_us(closes))

    def _closures(self) -> Intervals:
        ends = np.array([(each.from_us, each.to_us) for each in self.hours.closures], np.int64).reshape(-1, 2)
        return _union(ends[:, 0], ends[:, 1])


def _prepared(from_us: int, to_us: int, opens: Int64s, closes: Int64s) -> OpenTime:
    before = np.concatenate((NO_INTS, [0], np.cumsum(closes - opens)))
    ends = (*closes[:1].tolist(), *closes[-1:].tolist())
    least_us, greatest_us = min(from_us, to_us, *ends), max(from_us, to_us, *ends) + 1
    return OpenTime(from_us, to_us, np.append(opens, _ALWAYS), closes, before, least_us, greatest_us)


def _union(opens: Int64s, closes: Int64s) -> tuple[Int64s, Int64s]:
    """Disjoint, ascending intervals that cover the same instants; empty and inverted ones do not count."""
    counts = opens < closes
    order = np.argsort(opens[counts], kind="stable")
    opens, closes = opens[counts][order], closes[counts][order]
    reach = np.maximum.accumulate(closes)
    starts = np.flatnonzero(np.append(True, opens[1:] > reach[:-1])) if len(opens) else NO_INTS
    ends = np.append(starts[1:] - 1, len(opens) - 1) if len(opens) else NO_INTS
    return opens[starts], reach[ends]


def _common(one: Intervals, other: Intervals) -> Intervals:
    """What two unions have in common, as a union."""
    opens, closes = one
    first = np.searchsorted(other[1], opens, side="right")
    end = np.searchsorted(other[0], closes, side="left")
    pairs = np.repeat(np.arange(len(opens)), np.maximum(end - first, 0))
    nth = np.arange(len(pairs)) - np.searchsorted(pairs, pairs, side="left") + first[pairs]
    return np.maximum(opens[pairs], other[0][nth]), np.minimum(closes[pairs], other[1][nth])


def _without(one: Intervals, other: Intervals) -> Intervals:
    """What is left of a union without another."""
    least, greatest = -_ALWAYS, _ALWAYS
    gaps = np.concatenate(([least], other[1])), np.concatenate((other[0], [greatest]))
    return _common(one, gaps)


@lru_cache(maxsize=65_536)
def calendar_of(hours: OpeningHours) -> Calendar:
    """The calendar that all stores of the same opening hours share."""
    return Calendar(hours)
