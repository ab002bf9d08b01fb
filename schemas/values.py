"""The values that cross every boundary, and how their texts are read.

Owns: store ids, statuses, polls and their packed codes, weeks of business hours, zone names, and the
parsing of each from text. Must not know: where the text came from (CSV, topic, HTTP) or what is done with it.

An instant is an int: microseconds since 1970-01-01 UTC. A packed poll, a *code*, is `at_us * 2 + active`:
codes sort by instant, and at one instant `inactive` comes first, so "the first code of an instant" is the
tie rule (rule 2.1).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, NewType

import pytz

StoreId = NewType("StoreId", str)

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

DEFAULT_ZONE: Final = "America/Chicago"
MOST_STORE_ID_BYTES: Final = 256
"""Of UTF-8 (rules 1)."""
LATEST_INSTANT_US: Final = 253_402_300_800 * SECOND_US
"""The first instant of the year 10000: no text that we read or print reaches it."""

_MOST_QUOTED: Final = 200
_MOST_REMEMBERED: Final = 64
"""Characters of a text that a cache may keep: caches are bounded by count, and so by bytes too."""
_MOST_KNOWN_ID_BYTES: Final = 8 << 20
"""The keys of a store's rows must fit a record."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""


class Status(Enum):
    """What a poll says of a store."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class RejectReason(Enum):
    """Why an input was turned away. The values are what operators see in files and DLQ headers."""

    BROKEN_LINE = "broken line"
    NOT_JSON = "not the JSON this topic takes"
    NO_STORE_ID = "no store id"
    BAD_STORE_ID = "store id over 256 bytes of UTF-8, or with control characters"
    UNKNOWN_STATUS = "unknown status"
    BAD_TIME = "unparseable time"
    BEFORE_1970 = "instant before 1970"
    TOO_FAR_AHEAD = "poll more than 5 minutes ahead of its record"
    KEY_MISMATCH = "key differs from the value's store"
    BAD_DAY = "day outside 0 to 6"
    BAD_HOURS = "no time of day"
    UNKNOWN_ZONE = "unknown zone"
    NO_TIMESTAMP = "record without a timestamp"
    UNREADABLE = "cannot be read"
    TOO_LARGE = "too large to be sent on"
    MISPLACED_TOMBSTONE = "misplaced_tombstone"


class Rejected(ValueError):
    """An input that contributes nothing (rules 3, "Bad input").

    Carries the reason and the text that was refused; the message has the first 200 characters of it.
    """

    def __init__(self, reason: RejectReason, text: str) -> None:
        super().__init__(f"{reason.value}: {text[:_MOST_QUOTED]!r}")
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class Poll:
    """One observation: `status` of `store_id` at `at_us`."""

    store_id: StoreId
    at_us: int
    status: Status


class HoursRow(NamedTuple):
    """One row of business hours on local weekday `day` (0 = Monday).

    `start_us` and `end_us` are wall time since local midnight, in microseconds: 0 <= start_us < 24 h,
    0 <= end_us <= 24 h. `end_us <= start_us` runs past midnight (rule 2.2).
    """

    day: int
    start_us: int
    end_us: int


Week = tuple[HoursRow, ...]
"""A store's business hours, sorted and without repeats. Empty means open 24/7."""


def week_of(rows: "list[HoursRow] | tuple[HoursRow, ...]") -> Week:
    """The canonical week of `rows`: sorted, each row once, so that equal weeks are equal values."""
    return tuple(sorted(set(rows)))


def code_of(at_us: int, status: Status) -> int:
    """The packed poll (see the module's docstring)."""
    return at_us * 2 + (status is Status.ACTIVE)


def status_of(code: int) -> Status:
    """The status inside a packed poll."""
    return Status.ACTIVE if code & 1 else Status.INACTIVE


def parse_store_id(text: str | None) -> StoreId:
    """A store id as it stands (rules 1); white space around it is dropped.

    Raises Rejected(NO_STORE_ID or BAD_STORE_ID).
    """
    store_id = parse_known_store_id(text)
    if _utf8_bytes(store_id) > MOST_STORE_ID_BYTES or _CONTROL.search(store_id):
        raise Rejected(RejectReason.BAD_STORE_ID, store_id)
    return store_id


def parse_known_store_id(text: str | None) -> StoreId:
    """The id of a store that may be known from older versions, which took any text without NUL.

    It names a store to be read or forgotten, never a new one. Raises Rejected(NO_STORE_ID or BAD_STORE_ID).
    """
    stripped = (text or "").strip()
    if not stripped or "\0" in stripped:
        raise Rejected(RejectReason.NO_STORE_ID, text or "")
    if _utf8_bytes(stripped) > _MOST_KNOWN_ID_BYTES:
        raise Rejected(RejectReason.BAD_STORE_ID, stripped)
    return StoreId(stripped)


def _utf8_bytes(text: str) -> int:
    """Bytes of a text in UTF-8. Raises Rejected(BAD_STORE_ID) where it has none, for half a surrogate pair."""
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise Rejected(RejectReason.BAD_STORE_ID, text) from None


def parse_status(text: str) -> Status:
    """`active` or `inactive`, exactly. Raises Rejected(UNKNOWN_STATUS)."""
    try:
        return Status(text)
    except ValueError:
        raise Rejected(RejectReason.UNKNOWN_STATUS, text) from None


_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?"
    r" ?(UTC|Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> int:
    """The instant (us) of `2023-01-22 12:09:39.388884 UTC` or an ISO 8601 date-time.

    Fractions past 6 digits are cut, a missing offset means UTC (rules 3).
    Raises Rejected(BAD_TIME or BEFORE_1970).
    """
    usual = _usual_timestamp(text)
    if usual is not None:
        return usual
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise Rejected(RejectReason.BAD_TIME, text)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        whole = datetime(
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=_zone(offset),
        )
    except ValueError:
        raise Rejected(RejectReason.BAD_TIME, text) from None
    at_us = (whole - _EPOCH) // timedelta(microseconds=1) + int((fraction or "")[:6].ljust(6, "0"))
    if not 0 <= at_us < LATEST_INSTANT_US:
        raise Rejected(RejectReason.BEFORE_1970 if at_us < 0 else RejectReason.BAD_TIME, text)
    return at_us


def _usual_timestamp(text: str) -> int | None:
    """The instant of `2023-01-22 12:09:39.388884 UTC`, the form of nearly all polls; None for any other text.

    The standard library reads more forms than we do, hence the look at the shape first.
    """
    if text[-4:] != " UTC" or text[4:5] + text[7:8] + text[10:11] + text[13:14] + text[16:17] != "-- ::":
        return None
    try:
        at = datetime.fromisoformat(text[:-4])
    except ValueError:
        return None
    since = at.replace(tzinfo=UTC) - _EPOCH if at.tzinfo is None and at.year >= 1970 else None
    return None if since is None else since.days * DAY_US + since.seconds * SECOND_US + since.microseconds


def _zone(offset: str | None) -> timezone:
    if offset in (None, "UTC", "Z"):
        return UTC
    digits = offset[1:].replace(":", "")
    if digits[2:] >= "60":
        raise ValueError(offset)
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(ahead if offset[0] == "+" else -ahead)


def format_timestamp(at_us: int) -> str:
    """`2023-01-22T12:09:39.388884Z`: ISO 8601 in UTC, always with six digits of fraction."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_DAY_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?", re.ASCII)


def parse_day_time(text: str) -> int:
    """Wall time since local midnight (us) of `HH:MM`, `HH:MM:SS` or with a fraction; up to `24:00:00`.

    Raises Rejected(BAD_HOURS).
    """
    return _remembered_day_time(text) if len(text) <= _MOST_REMEMBERED else _day_time(text)


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


def day_of(at_us: int) -> int:
    """The UTC day of an instant: days since 1970-01-01."""
    return at_us // DAY_US


def date_of_day(day: int) -> date:
    """The calendar date of a day number."""
    return date.fromordinal(719_163 + day)
