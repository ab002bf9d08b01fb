"""When a store is open on its own walls: from opening hours to spans of wall time, date by date.

Owns: which rows hold on which local date (rules 2.2a, 2.2b). Must not know: zones, instants, polls.

    weekly hours in force ──▶ rows of each date ──▶ special days take their place ──▶ spans of wall time
                                      └── the rest of a night goes with the date on which that night began
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.arrays import NO_INTS, Bools, Int64s
from schemas.opening_hours import A_MONDAY, OpeningHours, StoreHours
from schemas.values import DAY_US, HOUR_US, MINUTE_US

EVERY_DAY: Final = -(1 << 22)
"""A UTC day before all others."""
NEVER: Final = 1 << 22
"""A UTC day after all others."""
_REACH_DAYS: Final = 4
"""What a local date says lies no earlier than this many days before its UTC day: offset, skipped date."""
_REST_ENDS_US: Final = 7 * HOUR_US
"""A row that starts at midnight and ends by then may be the rest of the night before."""
_NEAR_MIDNIGHT_US: Final = DAY_US - MINUTE_US
"""A row that ends from here on reaches midnight."""


@dataclass(frozen=True, slots=True, eq=False)
class WallSpans:
    """Spans of wall time: each belongs to a local `day`, and is [start_us, end_us) from that day's midnight on."""

    day: Int64s
    start_us: Int64s
    end_us: Int64s

    def only(self, which: Bools) -> "WallSpans":
        """Some of them."""
        return WallSpans(self.day[which], self.start_us[which], self.end_us[which])


def wall_spans(hours: StoreHours, first_day: int, last_day: int) -> WallSpans:
    """The spans that begin on the local days from `first_day` to `last_day`, as they were given: not united."""
    weekly = _weekly(hours, first_day, last_day)
    if not hours.special_days:
        return weekly
    special_days = [each.day for each in hours.special_days]
    is_rest = _is_rest_of_a_night(hours, weekly, first_day)
    belongs_to = np.where(is_rest, weekly.day - 1, weekly.day)
    kept = weekly.only(~np.isin(belongs_to, special_days))
    special = [
        (each.day, start_us, end_us)
        for each in hours.special_days
        if first_day <= each.day <= last_day
        for start_us, end_us in each.spans
    ]
    return _joined(kept, _spans(np.array(special, np.int64).reshape(-1, 3).T))


def first_difference(one: OpeningHours, other: OpeningHours) -> int:
    """The UTC day from which on the open time of two opening hours may differ; EVERY_DAY: all of it may."""
    ours, theirs = one.hours or StoreHours(), other.hours or StoreHours()
    if one.zone != other.zone or ours.undated != theirs.undated:
        return EVERY_DAY
    dates = [week.valid_from for week in set(ours.weekly) ^ set(theirs.weekly) if week.valid_from is not None]
    dates += [each.day for each in set(ours.special_days) ^ set(theirs.special_days)]
    days = [day - _REACH_DAYS for day in dates]
    days += [each.from_us // DAY_US for each in set(ours.closures) ^ set(theirs.closures)]
    return min(days, default=NEVER)


def _weekly(hours: StoreHours, first_day: int, last_day: int) -> WallSpans:
    """The spans of the weekly hours alone, each date by those in force on it."""
    days = np.arange(first_day, last_day + 1)
    spans = WallSpans(NO_INTS, NO_INTS, NO_INTS)
    for in_force, rows in _in_force(hours, days):
        mine = days[in_force]
        if rows is None:
            all_day = np.stack((mine, np.zeros_like(mine), np.full_like(mine, DAY_US)))
            spans = _joined(spans, _spans(all_day))
            continue
        row = np.array(rows, np.int64).reshape(-1, 3)
        nth_day, nth_row = np.nonzero((mine[:, None] - A_MONDAY) % 7 == row[None, :, 0])
        spans = _joined(spans, _spans(np.stack((mine[nth_day], row[nth_row, 1], row[nth_row, 2]))))
    return spans


def _in_force(hours: StoreHours, days: Int64s) -> list[tuple[Bools, tuple[tuple[int, int, int], ...] | None]]:
    """Of each version of the weekly hours the days on which it is in force, and its rows; None: open all day."""
    dated = [week for week in hours.weekly if week.valid_from is not None]
    version = np.searchsorted(np.array([week.valid_from for week in dated], np.int64), days, side="right")
    every = [hours.undated or None, *(week.rows for week in dated)]
    return [(version == number, rows) for number, rows in enumerate(every) if (version == number).any()]


def _is_rest_of_a_night(hours: StoreHours, weekly: WallSpans, first_day: int) -> Bools:
    """Which weekly rows begin at midnight as the rest of a night: one of the day before ends there."""
    may_be: Bools = (weekly.start_us == 0) & (weekly.end_us <= _REST_ENDS_US)
    if not may_be.any():
        return may_be
    before = _weekly(hours, first_day - 1, int(weekly.day.max()))
    reaches_midnight = before.only((before.end_us >= _NEAR_MIDNIGHT_US) & (before.end_us <= DAY_US))
    is_rest: Bools = may_be & np.isin(weekly.day - 1, reaches_midnight.day)
    return is_rest


def _spans(rows: Int64s) -> WallSpans:
    """Spans from three lists: days, starts, and ends as they were written (rule 2.2)."""
    day, start_us, end_us = rows
    return WallSpans(day, start_us, end_us + DAY_US * (end_us <= start_us))


def _joined(one: WallSpans, other: WallSpans) -> WallSpans:
    return WallSpans(
        np.concatenate((one.day, other.day)),
        np.concatenate((one.start_us, other.start_us)),
        np.concatenate((one.end_us, other.end_us)),
    )
