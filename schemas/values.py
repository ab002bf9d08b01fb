"""The values that cross every boundary, and how their texts are read.

Owns: store ids, statuses, polls and their packed form, and the parsing of each from text. Must not know: where the
text came from (CSV, topic, HTTP) or what is done with it.

An instant is an int: microseconds since 1970-01-01 UTC. A *packed poll* is `at_us * 2 + active`: packed polls sort
by instant, and at one instant `inactive` comes first, so that "the first packed poll of an instant" is how rule 2.1
breaks ties.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Final, NewType

StoreId = NewType("StoreId", str)

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

MAX_STORE_ID_BYTES: Final = 256
"""Of UTF-8 (rules 1)."""
LATEST_INSTANT_US: Final = 253_402_300_800 * SECOND_US
"""The first instant of the year 10000: no text that we read or print reaches it."""

_MAX_QUOTED: Final = 200
_MAX_KNOWN_ID_BYTES: Final = 8 << 20
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
    BAD_DATE = "no date (YYYY-MM-DD)"
    BAD_CLOSURE = "closure that ends before it begins"
    TWO_FOR_ONE_DATE = "two entries for one date"
    NO_TIMESTAMP = "record without a timestamp"
    UNREADABLE = "cannot be read"
    TOO_LARGE = "too large to be sent on"
    MISPLACED_TOMBSTONE = "misplaced_tombstone"


class Rejected(ValueError):
    """An input that contributes nothing (rules 3, "Bad input").

    Carries the reason and the text that was refused; the message has the first 200 characters of it.
    """

    def __init__(self, reason: RejectReason, text: str) -> None:
        super().__init__(f"{reason.value}: {text[:_MAX_QUOTED]!r}")
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class Poll:
    """One observation: `status` of `store_id` at `at_us`."""

    store_id: StoreId
    at_us: int
    status: Status


def pack_poll(at_us: int, status: Status) -> int:
    """The packed poll (see the module's docstring)."""
    return at_us * 2 + (status is Status.ACTIVE)


def status_of(packed: int) -> Status:
    """The status inside a packed poll."""
    return Status.ACTIVE if packed & 1 else Status.INACTIVE


def parse_store_id(text: str | None) -> StoreId:
    """A store id as it stands (rules 1); white space around it is dropped.

    Raises Rejected(NO_STORE_ID or BAD_STORE_ID).
    """
    store_id = parse_known_store_id(text)
    if _utf8_bytes(store_id) > MAX_STORE_ID_BYTES or _CONTROL.search(store_id):
        raise Rejected(RejectReason.BAD_STORE_ID, store_id)
    return store_id


def parse_known_store_id(text: str | None) -> StoreId:
    """The id of a store that may be known from older versions, which took any text without NUL.

    It names a store to be read or forgotten, never a new one. Raises Rejected(NO_STORE_ID or BAD_STORE_ID).
    """
    stripped = (text or "").strip()
    if not stripped or "\0" in stripped:
        raise Rejected(RejectReason.NO_STORE_ID, text or "")
    if _utf8_bytes(stripped) > _MAX_KNOWN_ID_BYTES:
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


def day_of(at_us: int) -> int:
    """The UTC day of an instant: days since 1970-01-01."""
    return at_us // DAY_US


def date_of_day(day: int) -> date:
    """The calendar date of a day number."""
    return date.fromordinal(719_163 + day)
