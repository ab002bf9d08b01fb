"""A store's state as it stands in the table, and its versioned bytes.

Owns: the keys and values of the one table `stores`, in RocksDB and in its changelog alike. Must not know:
how a state is computed (stream.core.merge) or who stores it.

Keys, in three ranges of the same table:

    M <name>                      meta: the zone database, the positions applied so far, how far polls reach
    Mstamps NUL <store id>        which records of the store held (schemas.stamps)
    Mloss NUL <topic>             records that were gone before they were applied (schemas.whole)
    S NUL                         the format of the table (see FORMAT_KEY)
    S <store id>                  head: all that a report needs of one store, in one value
    P <store id> NUL <day, 4 B>   page: the polls of one store on one UTC day

A flush changes all rows that it changes at once, and the row of positions is the last of them: whoever follows the
changelog holds rows back until that one.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.stamps import STAMPS_BYTES, STAMPS_VERSION
from schemas.topics import SOURCES
from schemas.values import DAY_US, HoursRow, StoreId, Week

Int64s = npt.NDArray[np.int64]

HEAD_VERSION: Final = 1
PAGE_VERSION: Final = 1

HEAD_PREFIX: Final = b"S"
HEAD_FIRST: Final = b"S\1"
"""Heads begin here: no store id has a NUL in it."""
HEAD_END: Final = b"T"
FORMAT_KEY: Final = b"S\0"
"""The row that says which format a table has. It stands where heads do and is as long as an empty one, so that a
version which knows nothing of it finds a head of a newer version there, and refuses in words."""
TABLE_FORMAT: Final = 2
"""1 had no format row, and a row of positions for each topic."""
PAGE_PREFIX: Final = b"P"
_META_PREFIX: Final = b"M"
META_ZONE_DATABASE: Final = b"Mzone-database"
META_PARTITIONS: Final = b"Mpartitions"
META_EXTENT: Final = b"Mextent"
META_POSITIONS: Final = b"Mpositions"
META_TOPICS: Final = b"Mtopics"
STAMPS_PREFIX: Final = b"Mstamps\0"
APPLIED_PREFIX: Final = b"Mapplied\0"
"""Of format 1: the positions, a row each topic."""

DAY_CODES: Final = 2 * DAY_US
"""The codes of one UTC day."""
NO_POLL: Final = -1
"""Stands for "no poll" where a code is expected."""

_HEADER: Final = struct.Struct("<B3sIqqII")
_SCHEDULE: Final = struct.Struct("<BH")
_DAY_BYTES: Final = 12
_ROW_BYTES: Final = 10
_POLL_BYTES: Final = 5

NO_SCHEDULE: Final = bytes(3)
"""The packed schedule of a store of which neither zone nor week was said (see encode_schedule)."""


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
    in stream.core.changes.
    """

    zone: str | None
    week: Week | None
    latest: int
    carry: int
    days: Int64s
    mark_codes: Int64s
    mark_ups: Int64s


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the polls of some stores reach: the greatest of their heads' `latest`, and of their `carry`.

    As it is stored it may be one more: where a poll was overruled by an inactive one of the same instant.
    """

    latest: int = NO_POLL
    carry: int = NO_POLL

    def __or__(self, other: "Extent") -> "Extent":
        return Extent(max(self.latest, other.latest), max(self.carry, other.carry))

    def bounds(self, other: "Extent") -> bool:
        """Whether without these polls the `other` extent, of which they are part, may be less."""
        return NO_POLL < other.latest <= self.latest or NO_POLL < other.carry <= self.carry


NO_INTS: Final[Int64s] = np.empty(0, np.int64)
EMPTY_HEAD: Final = _HEADER.pack(HEAD_VERSION, NO_SCHEDULE, 0, NO_POLL, NO_POLL, 0, 0)
"""The head of a store of which nothing was said, or all was forgotten: it has no row in a report."""
EMPTY_PAGE: Final = bytes((PAGE_VERSION,))
"""A page without polls; none is ever stored."""


def head_key(store_id: StoreId) -> bytes:
    """The key of a store's head."""
    return HEAD_PREFIX + store_id.encode()


def pages_prefix(store_id: StoreId) -> bytes:
    """What the keys of all pages of one store start with, and no other key."""
    return PAGE_PREFIX + store_id.encode() + b"\0"


def page_key(store_id: StoreId, day: int) -> bytes:
    """The key of a store's page of UTC `day`."""
    return pages_prefix(store_id) + day.to_bytes(4, "big")


def stamps_key(store_id: StoreId) -> bytes:
    """The key of a store's stamps."""
    return STAMPS_PREFIX + store_id.encode()


def applied_key(topic: str) -> bytes:
    """The key under which a table of format 1 kept the next offset of `topic` to be applied."""
    return APPLIED_PREFIX + topic.encode()


def encode_positions(positions: Mapping[str, int]) -> bytes:
    """By topic, the next offset that a partition is to apply."""
    return msgspec.json.encode(dict(sorted(positions.items())))


def decode_positions(get: Callable[[bytes], bytes | None]) -> dict[str, int]:
    """The positions of one table, of whatever format; `get` gives the value of a row."""
    value = get(META_POSITIONS)
    if value is not None:
        return msgspec.json.decode(value, type=dict[str, int])
    applied = {source.name: get(applied_key(source.name)) for source in SOURCES}
    return {topic: int(offset) for topic, offset in applied.items() if offset is not None}


def encode_topics(ids: Mapping[str, str]) -> bytes:
    """By topic, what its broker calls it beside its name: another id is another topic."""
    return msgspec.json.encode(dict(sorted(ids.items())))


def decode_topics(value: bytes | None) -> dict[str, str]:
    """The topics that a table was made from; none where it does not say."""
    return msgspec.json.decode(value, type=dict[str, str]) if value else {}


def encode_format() -> bytes:
    """The value under FORMAT_KEY."""
    return bytes((TABLE_FORMAT,)) + EMPTY_HEAD[1:]


def format_of(value: bytes | None) -> int:
    """The format of a table, given its value under FORMAT_KEY. Raises NewerState."""
    if value is None:
        return 1
    _refuse_newer("table", value[0], TABLE_FORMAT)
    return value[0]


def ends_flush(key: bytes) -> bool:
    """Whether the row of `key` is the last one of a flush."""
    return key == META_POSITIONS or key.startswith(APPLIED_PREFIX)


def decode_head(value: bytes) -> Head:
    """The head in `value`. Raises NewerState."""
    version, schedule, marks, latest, carry, days, rows = _HEADER.unpack_from(value)
    _refuse_newer("head", version, HEAD_VERSION)
    codes_at = _HEADER.size
    days_at = codes_at + 16 * marks
    zone_at = days_at + _DAY_BYTES * days
    end = zone_at + _SCHEDULE.unpack(schedule)[1] + _ROW_BYTES * rows
    zone, week = decode_schedule(schedule + value[zone_at:end])
    return Head(
        zone=zone,
        week=week,
        latest=latest,
        carry=carry,
        days=np.frombuffer(value, "<u4", 3 * days, days_at).astype(np.int64).reshape(-1, 3),
        mark_codes=np.frombuffer(value, np.int64, marks, codes_at),
        mark_ups=np.frombuffer(value, np.int64, marks, codes_at + 8 * marks),
    )


def encode_extent(extent: Extent) -> bytes:
    """The bytes under META_EXTENT."""
    return f"{extent.latest} {extent.carry}".encode()


def decode_extent(value: bytes | None) -> Extent:
    """What is under META_EXTENT in one table."""
    return Extent(*map(int, value.split())) if value else Extent()


_MOST_REMEMBERED_ROWS: Final = 50
"""Of a week that a cache may keep: bounded in count, the caches are bounded in bytes too."""


def encode_schedule(zone: str | None, week: Week | None) -> bytes:
    """A zone and a week, packed: u8 has_week, u16 zone_length, zone, rows."""
    is_usual = week is None or len(week) <= _MOST_REMEMBERED_ROWS
    return (_remembered_encoding if is_usual else _encode_schedule)(zone, week)


def _encode_schedule(zone: str | None, week: Week | None) -> bytes:
    name = (zone or "").encode()
    rows = [
        (row.day * DAY_US + row.start_us).to_bytes(5, "little") + row.end_us.to_bytes(5, "little")
        for row in week or ()
    ]
    return b"".join((_SCHEDULE.pack(week is not None, len(name)), name, *rows))


def decode_schedule(packed: bytes) -> tuple[str | None, Week | None]:
    """The zone and week in a packed schedule; None where nothing was said."""
    is_usual = len(packed) <= _ROW_BYTES * _MOST_REMEMBERED_ROWS
    return (_remembered_decoding if is_usual else _decode_schedule)(packed)


def _decode_schedule(packed: bytes) -> tuple[str | None, Week | None]:
    has_week, zone_length = _SCHEDULE.unpack_from(packed)
    rows_at = _SCHEDULE.size + zone_length
    zone = packed[_SCHEDULE.size : rows_at].decode() or None
    if not has_week:
        return zone, None
    week = []
    for at in range(rows_at, len(packed), _ROW_BYTES):
        day, start_us = divmod(int.from_bytes(packed[at : at + 5], "little"), DAY_US)
        week.append(HoursRow(day, start_us, int.from_bytes(packed[at + 5 : at + 10], "little")))
    return zone, tuple(week)


_remembered_encoding = lru_cache(maxsize=65_536)(_encode_schedule)
_remembered_decoding = lru_cache(maxsize=65_536)(_decode_schedule)


def encode_pages(days: Int64s, counts: Int64s, codes: Int64s) -> list[bytes]:
    """The bytes of some pages: of UTC day `days[i]`, with the next `counts[i]` of `codes`, ascending."""
    relative = codes - np.repeat(days * DAY_CODES, counts)
    packed = relative.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :_POLL_BYTES].tobytes()
    ends = (np.cumsum(counts) * _POLL_BYTES).tolist()
    return [EMPTY_PAGE + packed[start:end] for start, end in pairwise([0, *ends])]


def decode_pages(days: Sequence[int], values: Sequence[bytes]) -> tuple[Int64s, Int64s]:
    """The codes of some pages, of UTC day `days[i]` each, one after the other; and how many each has.

    Raises NewerState.
    """
    if not values:
        return NO_INTS, NO_INTS
    _refuse_newer("page", max(value[0] for value in values), PAGE_VERSION)
    counts = np.fromiter(map(len, values), np.int64, len(values)) // _POLL_BYTES
    packed = np.frombuffer(b"".join([value[1:] for value in values]), np.uint8)
    wide = np.zeros((len(packed) // _POLL_BYTES, 8), np.uint8)
    wide[:, :_POLL_BYTES] = packed.reshape(-1, _POLL_BYTES)
    codes: Int64s = wide.view("<i8").ravel() + np.repeat(np.array(days, np.int64) * DAY_CODES, counts)
    return codes, counts


@dataclass(frozen=True, slots=True, eq=False)
class HeadColumns:
    """Many heads as columns, to compute on all of them at once.

    `schedules` holds each distinct (zone, week) once, packed (see encode_schedule), and `schedule_of` says
    which one is store i's. Its marks are `mark_codes[first_mark[i] : first_mark[i + 1]]`; ups likewise.
    """

    schedules: list[bytes]
    schedule_of: Int64s
    latest: Int64s
    carry: Int64s
    first_mark: Int64s
    mark_codes: Int64s
    mark_ups: Int64s

    @property
    def extent(self) -> Extent:
        """How far the polls of these stores reach."""
        return self.extent_of(np.ones(len(self.latest), bool))

    def extent_of(self, which: npt.NDArray[np.bool_]) -> Extent:
        """How far the polls of some of these stores reach."""
        return Extent(
            int(self.latest.max(initial=NO_POLL, where=which)),
            int(self.carry.max(initial=NO_POLL, where=which)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DayColumns:
    """The days of many heads: store i's are `rows[first[i] : first[i + 1]]`, each as in Head.days."""

    first: Int64s
    rows: Int64s


def decode_heads(values: Sequence[bytes]) -> HeadColumns:
    """Parse many heads, all but their days, in a few array operations. Raises NewerState."""
    words, at = _words(values)
    marks, counts = words[at] >> 32, words[at + 3]
    first_mark = np.concatenate(([0], np.cumsum(marks)))
    code_words = np.repeat(at + _HEADER.size // 8 - first_mark[:-1], marks) + np.arange(first_mark[-1])
    tails_at = _HEADER.size + 16 * marks + _DAY_BYTES * (counts & 0xFFFFFFFF)
    ends_at = tails_at + (words[at] >> 16 & 0xFFFF) + _ROW_BYTES * (counts >> 32)
    index: dict[bytes, int] = {}
    schedule_of = [
        index.setdefault(value[1:4] + value[tail_at:end_at], len(index))
        for value, tail_at, end_at in zip(values, tails_at.tolist(), ends_at.tolist(), strict=True)
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


def decode_days(values: Sequence[bytes]) -> DayColumns:
    """The days of many heads. Raises NewerState."""
    words, at = _words(values)
    counts = words[at + 3] & 0xFFFFFFFF
    first = np.concatenate(([0], np.cumsum(counts)))
    starts = 2 * at + (_HEADER.size + 16 * (words[at] >> 32)) // 4
    fields = np.repeat(starts - 3 * first[:-1], 3 * counts) + np.arange(3 * first[-1])
    return DayColumns(first, words.view("<u4")[fields].astype(np.int64).reshape(-1, 3))


def _words(values: Sequence[bytes]) -> tuple[Int64s, Int64s]:
    """Heads end to end as 64-bit words, and where each begins."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    words, at = np.frombuffer(b"".join(values), "<i8"), (np.cumsum(lengths) - lengths) // 8
    if len(values):
        _refuse_newer("head", int((words[at] & 0xFF).max()), HEAD_VERSION)
    return words, at


def encode_heads(heads: HeadColumns, days: DayColumns) -> list[bytes]:
    """The bytes of each head; equal heads give equal bytes."""
    codes, ups, rows = heads.mark_codes.tobytes(), heads.mark_ups.tobytes(), days.rows.astype("<u4").tobytes()
    schedules = [
        (packed[:3], (len(packed) - _SCHEDULE.unpack_from(packed)[1]) // _ROW_BYTES, packed[3:])
        for packed in heads.schedules
    ]
    values = []
    for schedule, latest, carry, (mark, last_mark), (day, last_day) in zip(
        heads.schedule_of.tolist(),
        heads.latest.tolist(),
        heads.carry.tolist(),
        pairwise(heads.first_mark.tolist()),
        pairwise(days.first.tolist()),
        strict=True,
    ):
        start, week_rows, tail = schedules[schedule]
        body = b"".join(
            (
                _HEADER.pack(HEAD_VERSION, start, last_mark - mark, latest, carry, last_day - day, week_rows),
                codes[8 * mark : 8 * last_mark],
                ups[8 * mark : 8 * last_mark],
                rows[_DAY_BYTES * day : _DAY_BYTES * last_day],
                tail,
            )
        )
        values.append(body + bytes(-len(body) % 8))
    return values


def check_row(key: bytes | None, value: bytes | None) -> None:
    """Raise MalformedRow or NewerState for a row that cannot be one of ours; cheap, so not every flaw is seen."""
    kind = (key or b"")[:1]
    if key is None or kind not in (HEAD_PREFIX, PAGE_PREFIX, _META_PREFIX):
        raise MalformedRow(key, "no such key")
    if value and key.startswith(STAMPS_PREFIX):
        _refuse_newer("stamps", value[0], STAMPS_VERSION)
        if len(value) != STAMPS_BYTES:
            raise MalformedRow(key, f"stamps of {len(value)} bytes")
    if value is None or kind == _META_PREFIX:
        return
    if not value:
        raise MalformedRow(key, "empty value")
    if key == FORMAT_KEY:
        format_of(value)
        return
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
    _, schedule, marks, _, _, days, rows = _HEADER.unpack_from(value)
    size = _HEADER.size + 16 * marks + _DAY_BYTES * days + rows * _ROW_BYTES
    size += _SCHEDULE.unpack(schedule)[1]
    return int(size + -size % 8)


def _refuse_newer(what: str, found: int, known: int) -> None:
    if found > known:
        raise NewerState(what, found, known)
