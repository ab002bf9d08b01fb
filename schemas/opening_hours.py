"""All that says when a store is open, as one value.

Owns: weekly hours, zone names, and the parsing of both from text. Must not know: where the text came from, how the
value is stored (schemas.rows.opening_hours), how it becomes open time (stream.core.calendar).
"""

import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import pytz

from schemas.values import DAY_US, SECOND_US, Rejected, RejectReason, parse_timestamp

DEFAULT_ZONE: Final = "America/Chicago"
A_MONDAY: Final = -3
"""Day number of a Monday: 1970-01-01 was a Thursday."""
_MAX_REMEMBERED: Final = 64
"""Characters of a text that a cache may keep: caches are bounded by count, and so by bytes too."""


class HoursRow(NamedTuple):
    """One row of opening hours on local weekday `day` (0 = Monday).

    `start_us` and `end_us` are wall time since local midnight, in microseconds: 0 <= start_us < 24 h,
    0 <= end_us <= 24 h. `end_us <= start_us` runs past midnight (rule 2.2).
    """

    day: int
    start_us: int
    end_us: int


Week = tuple[HoursRow, ...]
"""A store's opening hours, sorted and without repeats. Empty means open 24/7."""


def week_of(rows: "list[HoursRow] | tuple[HoursRow, ...]") -> Week:
    """The canonical week of `rows`: sorted, each row once, so that equal weeks are equal values."""
    return tuple(sorted(set(rows)))


class DatedWeek(msgspec.Struct, frozen=True, cache_hash=True, array_like=True, gc=False):
    """Weekly hours that hold for the local dates from `valid_from` on, until the next dated ones (rule 2.2a).

    `valid_from` is a day number: local days since 1970-01-01. None: undated, for all time. A dated week without
    rows is closed. An undated one is not kept without rows, because it says the same as none.
    """

    valid_from: int | None
    rows: Week


class SpecialDay(msgspec.Struct, frozen=True, cache_hash=True, array_like=True, gc=False):
    """The hours of one local date, `day`, in the place of the weekly ones (rule 2.2b).

    `spans` are (start_us, end_us) of wall time as in HoursRow, sorted and without repeats; none: closed.
    """

    day: int
    spans: tuple[tuple[int, int], ...]
    reason: str = ""


class Closure(msgspec.Struct, frozen=True, order=True, cache_hash=True, array_like=True, gc=False):
    """[from_us, to_us) that is cut out of the open time and counted apart, as `excluded` (rule 2.2c).

    Closures are ordered by start, end and reason.
    """

    from_us: int
    to_us: int
    reason: str = ""


class StoreHours(msgspec.Struct, frozen=True, cache_hash=True, array_like=True, gc=False):
    """All that one record of `store-hours` says: weekly hours, special days and closures.

    Each is sorted: `weekly` by date, the undated one first, one for each date; `special_days` by day, one for each;
    `closures` in their own order.
    """

    weekly: tuple[DatedWeek, ...] = ()
    special_days: tuple[SpecialDay, ...] = ()
    closures: tuple[Closure, ...] = ()

    @property
    def undated(self) -> Week:
        """The weekly hours without a date."""
        return self.weekly[0].rows if self.weekly and self.weekly[0].valid_from is None else ()

    @property
    def is_plain(self) -> bool:
        """Whether undated weekly hours are all there is."""
        return self == plain_hours(self.undated)


def plain_hours(week: Week) -> StoreHours:
    """Weekly hours for all time; none: open 24/7."""
    return StoreHours((DatedWeek(None, week),) if week else ())


class OpeningHours(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """When a store is open: `hours` on the walls of `zone`. Each is None where nothing was said of it.

    Without a zone a store is in DEFAULT_ZONE, without hours it is always open.
    """

    zone: str | None = None
    hours: StoreHours | None = None

    @property
    def week(self) -> Week:
        """The weekly hours without a date."""
        return self.hours.undated if self.hours is not None else ()


NOTHING_SAID: Final = OpeningHours()


_DAY_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?", re.ASCII)


def parse_day_time(text: str) -> int:
    """Wall time since local midnight (us) of `HH:MM`, `HH:MM:SS` or with a fraction; up to `24:00:00`.

    Raises Rejected(BAD_HOURS).
    """
    return _remembered_day_time(text) if len(text) <= _MAX_REMEMBERED else _day_time(text)


def _day_time(text: str) -> int:
    match = _DAY_TIME.fullmatch(text.strip())
    if match is None:
        raise Rejected(RejectReason.BAD_HOURS, text)
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    at_us = (hour * 3600 + minute * 60 + second) * SECOND_US + int((match[4] or "").ljust(6, "0"))
    if minute > 59 or second > 59 or at_us > DAY_US:
        raise Rejected(RejectReason.BAD_HOURS, text)
    return at_us


_remembered_day_time = lru_cache(maxsize=4096)(_day_time)


def format_day_time(at_us: int) -> str:
    """`HH:MM:SS`, with a fraction only where there is one."""
    seconds, fraction = divmod(at_us, SECOND_US)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


def parse_date(text: str) -> int:
    """The day number (local days since 1970-01-01) of `YYYY-MM-DD`. Raises Rejected(BAD_DATE)."""
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError(text)
        return date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        raise Rejected(RejectReason.BAD_DATE, text) from None


def format_date(day: int) -> str:
    """`YYYY-MM-DD` of a day number."""
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()


def weekday_of(day: int) -> int:
    """The weekday of a day number: 0 is Monday."""
    return (day - A_MONDAY) % 7


def parse_day(text: str | int) -> int:
    """Weekday 0 (Monday) to 6. Raises Rejected(BAD_DAY)."""
    try:
        day = int(text)
    except ValueError:
        day = -1
    if isinstance(text, bool) or not 0 <= day <= 6:
        raise Rejected(RejectReason.BAD_DAY, str(text))
    return day


def parse_hours_row(day: str | int, start: str, end: str) -> HoursRow:
    """One row from its three texts. `24:00:00` is an end only. Raises Rejected(BAD_DAY or BAD_HOURS)."""
    row = HoursRow(parse_day(day), parse_day_time(start), parse_day_time(end))
    if row.start_us >= DAY_US:
        raise Rejected(RejectReason.BAD_HOURS, start)
    return row


def parse_closure(from_text: str, to_text: str, reason: str) -> Closure:
    """A closure from its three texts. Raises Rejected(BAD_CLOSURE, or as parse_timestamp does)."""
    from_us, to_us = parse_timestamp(from_text), parse_timestamp(to_text)
    if to_us <= from_us:
        raise Rejected(RejectReason.BAD_CLOSURE, f"{from_text} to {to_text}")
    return Closure(from_us, to_us, reason)


def parse_zone(text: str) -> str:
    """An IANA zone name of the pinned database. Raises Rejected(UNKNOWN_ZONE), also for an empty name."""
    name = text.strip()
    if name not in pytz.all_timezones_set:
        raise Rejected(RejectReason.UNKNOWN_ZONE, text)
    return name
