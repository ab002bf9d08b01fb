"""Opening hours over time by their plain definition (rules 2.2a to 2.2d): the oracle's part for them.

Owns: which rows hold on which date, and what is open at an instant. Shares no code with the product. Slow: each
question is asked of each date and each instant by itself. Must not know: stream, query_api, schemas.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from tests.oracle import EPOCH, MICROSECOND, instant_of, status_at_each, wall_time

Row = tuple[int, str, str]
"""Weekday (0 is Monday), start and end as they are written."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Hours:
    """All that a record of `store-hours` says. `weekly`: by the date from which it holds, None for all time."""

    weekly: Mapping[date | None, Sequence[Row]] = field(default_factory=dict)
    special_days: Mapping[date, Sequence[tuple[str, str]]] = field(default_factory=dict)
    closures: Sequence[tuple[int, int]] = ()


def rows_in_force(hours: Hours, day: date) -> Sequence[Row] | None:
    """The weekly rows that hold on a date; None: it is open all day for want of hours (rule 2.2a)."""
    begun = [since for since in hours.weekly if since is not None and since <= day]
    if begun:
        return hours.weekly[max(begun)]
    return hours.weekly.get(None) or None


def weekly_of(hours: Hours, day: date) -> list[tuple[str, str]]:
    """The weekly hours of one date, as they are written."""
    rows = rows_in_force(hours, day)
    if rows is None:
        return [("00:00:00", "24:00:00")]
    return [(start, end) for weekday, start, end in rows if weekday == day.weekday()]


def reaches_midnight(start: str, end: str) -> bool:
    """Whether a row goes to midnight and no further (rule 2.2b)."""
    if wall_time(end) == timedelta(0):
        return True
    return wall_time(end) >= wall_time("23:59:00") and wall_time(end) > wall_time(start)


def is_rest_of_a_night(hours: Hours, day: date, start: str, end: str) -> bool:
    """Whether a weekly row of a date belongs to the night that began on the day before (rule 2.2b)."""
    is_early = wall_time(start) == timedelta(0) and timedelta(0) < wall_time(end) <= wall_time("07:00:00")
    return is_early and any(reaches_midnight(*row) for row in weekly_of(hours, day - ONE_DAY))


def rows_of(hours: Hours, day: date) -> list[tuple[str, str]]:
    """The rows that begin on a date, once special days have taken their place."""
    rows = []
    for row in weekly_of(hours, day):
        belongs_to = day - ONE_DAY if is_rest_of_a_night(hours, day, *row) else day
        if belongs_to not in hours.special_days:
            rows.append(row)
    return rows + list(hours.special_days.get(day, ()))


def spans(hours: Hours, zone: str, from_us: int, to_us: int) -> list[tuple[int, int]]:
    """The spans that the hours give, in UTC, that may touch [from_us, to_us): not united, closures not cut out."""
    found = []
    day = _date(from_us) - timedelta(days=3)
    while day <= _date(to_us) + timedelta(days=3):
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (a wall time has no zone)
        for start, end in rows_of(hours, day):
            last = midnight + ONE_DAY if wall_time(end) <= wall_time(start) else midnight
            found.append(
                (instant_of(midnight + wall_time(start), zone), instant_of(last + wall_time(end), zone))
            )
        day += ONE_DAY
    return [(start_us, end_us) for start_us, end_us in found if start_us < end_us]


def uptime_us(
    polls_of_store: Iterable[tuple[int, str]], hours: Hours, zone: str, from_us: int, to_us: int
) -> tuple[int, int, int]:
    """Open microseconds in [from_us, to_us) with status active, with status inactive, and those excluded."""
    known = status_at_each(polls_of_store)
    instants = sorted(known)
    by_hours = spans(hours, zone, from_us, to_us)
    edges = {from_us, to_us, *instants, *(end for span in (*by_hours, *hours.closures) for end in span)}
    up_us = down_us = excluded_us = 0
    for begin_us, next_us in pairwise(sorted(edge for edge in edges if from_us <= edge <= to_us)):
        polls_so_far = bisect_right(instants, begin_us)
        status = known[instants[polls_so_far - 1]] if polls_so_far else "active"
        if not any(start <= begin_us < end for start, end in by_hours):
            continue
        if any(start <= begin_us < end for start, end in hours.closures):
            excluded_us += next_us - begin_us
        elif status == "active":
            up_us += next_us - begin_us
        else:
            down_us += next_us - begin_us
    return up_us, down_us, excluded_us


def _date(at_us: int) -> date:
    return (EPOCH + at_us * MICROSECOND).astimezone(UTC).date()
