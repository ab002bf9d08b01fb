"""A store's state as it stands in the table, and its versioned bytes.

Owns: the keys and values of the one table `stores`, in RocksDB and in its changelog alike. Must not know:
how a state is computed (stream.core.ledger) or who stores it.

Keys, in three ranges of the same table:

    M <name>                      meta: the zone database, the positions applied so far
    S <store id>                  head: all that a report needs of one store, in one value
    P <store id> NUL <day, 4 B>   page: the polls of one store on one UTC day

A report scans the range S alone: one row a store, already in the order of the report. A live poll rewrites
one head and one page, whatever the store's history. Heads are derived from pages, zone and week; they are
stored because reading them is what makes a report cheap.

Head, little-endian, a multiple of 8 bytes (so that many of them can be parsed as one array):

    u8 version, u8 has_week, u16 zone_length, u32 marks, i64 latest, i64 carry, u32 days, u32 rows
    marks x i64 code      status changes (see schemas.values for codes)
    marks x i64 up_us     uptime accumulated at each change; ~up_us where the day is folded
    days x (u32 day, u32 active, u32 inactive)
    zone (UTF-8), rows x (5 B day and start_us, 5 B end_us), padding

Page: u8 version, then 5 B a poll: its code relative to the day.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.values import DAY_US, HoursRow, StoreId, Week

Int64s = npt.NDArray[np.int64]

HEAD_VERSION: Final = 1
PAGE_VERSION: Final = 1

HEAD_PREFIX: Final = b"S"
HEAD_END: Final = b"T"
PAGE_PREFIX: Final = b"P"
_META_PREFIX: Final = b"M"
META_ZONE_DATABASE: Final = b"Mzone-database"
META_PARTITIONS: Final = b"Mpartitions"
_META_APPLIED: Final = b"Mapplied\0"

NO_POLL: Final = -1
"""Stands for "no poll" where a code is expected."""

_HEADER: Final = struct.Struct("<BBHIqqII")
_ROW_BYTES: Final = 10
_POLL_BYTES: Final = 5
_PAGE_HEADER: Final = bytes((PAGE_VERSION,))


class NewerState(Exception):
    """A stored value was written by a newer version of storepulse, and is left untouched.

    Carries the version found and the newest one this program reads.
    """

    def __init__(self, what: str, found: int, known: int) -> None:
        super().__init__(
            f"the stored {what} has format {found}, this storepulse reads up to {known}: "
            "it was written by a newer version; upgrade, or point --state at another folder"
        )
        self.found = found
        self.known = known


class NewerZone(NewerState):
    """A store is in a `zone` that our zone `database` lacks: whoever took it in had a newer one."""

    def __init__(self, zone: str, database: str) -> None:
        Exception.__init__(
            self,
            f"a store is in zone {zone!r}, which zone database {database} of this process lacks: its state was "
            "written with a newer one. Install the same release of storepulse here, with the pytz that it pins, "
            "or a newer one",
        )
        self.zone = zone
        self.database = database


class MalformedRow(ValueError):
    """A row that no version of storepulse wrote. Carries its key and what is wrong with it."""

    def __init__(self, key: bytes | None, fault: str) -> None:
        super().__init__(f"row {key!r}: {fault}")
        self.key = key
        self.fault = fault


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """All that a report needs of one store.

    `zone` and `week` are None where nothing was said of them. `latest` is the code of the latest poll,
    `carry` that of the latest poll older than every page; NO_POLL where there is none. `days` has a row
    (UTC day, active polls, inactive polls) a page, ascending. `mark_codes` and `mark_ups` are described
    in stream.core.ledger.
    """

    zone: str | None
    week: Week | None
    latest: int
    carry: int
    days: Int64s
    mark_codes: Int64s
    mark_ups: Int64s

    @property
    def is_known(self) -> bool:
        """True where polls, hours or a zone name the store: it has a row in the report."""
        return self.zone is not None or self.week is not None or self.latest != NO_POLL


NO_INTS: Final[Int64s] = np.empty(0, np.int64)
NO_DAYS: Final[Int64s] = np.empty((0, 3), np.int64)
EMPTY_HEAD: Final = Head(None, None, NO_POLL, NO_POLL, NO_DAYS, NO_INTS, NO_INTS)


def head_key(store_id: StoreId) -> bytes:
    """The key of a store's head."""
    return HEAD_PREFIX + store_id.encode()


def pages_prefix(store_id: StoreId) -> bytes:
    """What the keys of all pages of one store start with, and no other key."""
    return PAGE_PREFIX + store_id.encode() + b"\0"


def page_key(store_id: StoreId, day: int) -> bytes:
    """The key of a store's page of UTC `day`."""
    return pages_prefix(store_id) + day.to_bytes(4, "big")


def applied_key(topic: str) -> bytes:
    """The key under which a partition keeps the next offset of `topic` to be applied."""
    return _META_APPLIED + topic.encode()


def encode_head(head: Head) -> bytes:
    """The bytes of a head; equal heads give equal bytes."""
    zone = (head.zone or "").encode()
    week = head.week or ()
    body = b"".join(
        (
            _HEADER.pack(
                HEAD_VERSION,
                head.week is not None,
                len(zone),
                len(head.mark_codes),
                head.latest,
                head.carry,
                len(head.days),
                len(week),
            ),
            head.mark_codes.tobytes(),
            head.mark_ups.tobytes(),
            head.days.astype("<u4").tobytes(),
            zone,
            _encode_week(week),
        )
    )
    return body + bytes(-len(body) % 8)


def decode_head(value: bytes) -> Head:
    """The head in `value`. Raises NewerState."""
    version, has_week, zone_length, marks, latest, carry, days, rows = _HEADER.unpack_from(value)
    _refuse_newer("head", version, HEAD_VERSION)
    codes_at = _HEADER.size
    days_at = codes_at + 16 * marks
    zone_at = days_at + 12 * days
    rows_at = zone_at + zone_length
    return Head(
        zone=value[zone_at:rows_at].decode() or None,
        week=decode_week(value[rows_at : rows_at + rows * _ROW_BYTES]) if has_week else None,
        latest=latest,
        carry=carry,
        days=np.frombuffer(value, "<u4", 3 * days, days_at).astype(np.int64).reshape(-1, 3),
        mark_codes=np.frombuffer(value, np.int64, marks, codes_at),
        mark_ups=np.frombuffer(value, np.int64, marks, codes_at + 8 * marks),
    )


@lru_cache(maxsize=65_536)
def _encode_week(week: Week) -> bytes:
    return b"".join(
        (row.day * DAY_US + row.start_us).to_bytes(5, "little") + row.end_us.to_bytes(5, "little")
        for row in week
    )


@lru_cache(maxsize=65_536)
def decode_week(rows: bytes) -> Week:
    """The week in the packed rows of a head."""
    week = []
    for at in range(0, len(rows), _ROW_BYTES):
        day, start_us = divmod(int.from_bytes(rows[at : at + 5], "little"), DAY_US)
        week.append(HoursRow(day, start_us, int.from_bytes(rows[at + 5 : at + 10], "little")))
    return tuple(week)


def encode_pages(pages: Mapping[int, Int64s]) -> dict[int, bytes]:
    """The bytes of some pages by UTC day; codes ascending, all of their day."""
    if not pages:
        return {}
    sizes = list(map(len, pages.values()))
    bases = np.repeat(np.array(list(pages), np.int64) * (2 * DAY_US), sizes)
    relative = np.concatenate([*pages.values()]) - bases
    packed = relative.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :_POLL_BYTES].tobytes()
    values, at = {}, 0
    for day, size in zip(pages, sizes, strict=True):
        end = at + size * _POLL_BYTES
        values[day] = _PAGE_HEADER + packed[at:end]
        at = end
    return values


def decode_pages(pages: Mapping[int, bytes]) -> Int64s:
    """The codes of some pages by UTC day, in the order of the mapping. Raises NewerState."""
    if not pages:
        return NO_INTS
    _refuse_newer("page", max(value[0] for value in pages.values()), PAGE_VERSION)
    sizes = [len(value) // _POLL_BYTES for value in pages.values()]
    packed = np.frombuffer(b"".join([value[1:] for value in pages.values()]), np.uint8)
    wide = np.zeros((sum(sizes), 8), np.uint8)
    wide[:, :_POLL_BYTES] = packed.reshape(-1, _POLL_BYTES)
    codes: Int64s = wide.view("<i8").ravel() + np.repeat(
        np.array(list(pages), np.int64) * (2 * DAY_US), sizes
    )
    return codes


@dataclass(frozen=True, slots=True, eq=False)
class HeadColumns:
    """Many heads as columns, for computing a report over all of them at once.

    `schedules` holds each distinct (zone, week) once, packed (see decode_schedule), and `schedule_of` says
    which one is store i's. Its marks are `mark_codes[first_mark[i] : first_mark[i + 1]]`; ups likewise.
    """

    schedules: list[bytes]
    schedule_of: Int64s
    latest: Int64s
    carry: Int64s
    first_mark: Int64s
    mark_codes: Int64s
    mark_ups: Int64s


def decode_heads(values: Sequence[bytes]) -> HeadColumns:
    """Parse many heads in a few array operations. Raises NewerState."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    words = np.frombuffer(b"".join(values), "<i8")
    at = (np.cumsum(lengths) - lengths) // 8
    first = words[at]
    if len(first):
        _refuse_newer("head", int((first & 0xFF).max()), HEAD_VERSION)
    marks = first >> 32
    first_mark = np.concatenate(([0], np.cumsum(marks)))
    code_words = np.repeat(at + _HEADER.size // 8 - first_mark[:-1], marks) + np.arange(first_mark[-1])
    tails_at = (_HEADER.size + 16 * marks + 12 * (words[at + 3] & 0xFFFFFFFF)).tolist()
    index: dict[bytes, int] = {}
    schedule_of = [
        index.setdefault(value[2:4] + value[tail_at:], len(index))
        for value, tail_at in zip(values, tails_at, strict=True)
    ]
    return HeadColumns(
        schedules=list(index),
        schedule_of=np.array(schedule_of, np.int64),
        latest=words[at + 1],
        carry=words[at + 2],
        first_mark=first_mark,
        mark_codes=words[code_words],
        mark_ups=words[code_words + np.repeat(marks, marks)],
    )


def decode_schedule(packed: bytes) -> tuple[str | None, Week]:
    """The zone and week in a packed schedule: zone length, zone, rows and padding, as they end a head."""
    rows_at = 2 + int.from_bytes(packed[:2], "little")
    rows = packed[rows_at : len(packed) - (len(packed) - rows_at) % _ROW_BYTES]
    return packed[2:rows_at].decode() or None, decode_week(rows)


def check_row(key: bytes | None, value: bytes | None) -> None:
    """Raise MalformedRow or NewerState for a row that cannot be one of ours; cheap, so not every flaw is seen."""
    kind = (key or b"")[:1]
    if key is None or kind not in (HEAD_PREFIX, PAGE_PREFIX, _META_PREFIX):
        raise MalformedRow(key, "no such key")
    if value is None or kind == _META_PREFIX:
        return
    if not value:
        raise MalformedRow(key, "empty value")
    _refuse_newer(
        *(("head", value[0], HEAD_VERSION) if kind == HEAD_PREFIX else ("page", value[0], PAGE_VERSION))
    )
    if kind == PAGE_PREFIX and len(value) % _POLL_BYTES != 1:
        raise MalformedRow(key, f"a page of {len(value)} bytes")
    if kind == HEAD_PREFIX and len(value) != _head_size(value):
        raise MalformedRow(key, f"a head of {len(value)} bytes")


def _head_size(value: bytes) -> int:
    """The size that a head's header asks for; -1 where there is no whole header."""
    if len(value) < _HEADER.size:
        return -1
    _, _, zone_length, marks, _, _, days, rows = _HEADER.unpack_from(value)
    size = _HEADER.size + 16 * marks + 12 * days + zone_length + rows * _ROW_BYTES
    return int(size + -size % 8)


def _refuse_newer(what: str, found: int, known: int) -> None:
    if found > known:
        raise NewerState(what, found, known)
