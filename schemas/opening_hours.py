"""All that says when a store is open, as one value.

Owns: weekly hours, zone names, and the parsing of both from text. Must not know: where the text came from, how the
value is stored (schemas.rows.opening_hours), how it becomes open time (stream.core.calendar).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import pytz

from schemas.values import DAY_US, SECOND_US, Rejected, RejectReason

DEFAULT_ZONE: Final = "America/Chicago"
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


class OpeningHours(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """When a store is open: `week` on the walls of `zone`. Each is None where nothing was said of it.

    Without a zone a store is in DEFAULT_ZONE, without a week it is always open.
    """

    zone: str | None = None
    week: Week | None = None


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


def parse_zone(text: str) -> str:
    """An IANA zone name of the pinned database. Raises Rejected(UNKNOWN_ZONE), also for an empty name."""
    name = text.strip()
    if name not in pytz.all_timezones_set:
        raise Rejected(RejectReason.UNKNOWN_ZONE, text)
    return name
