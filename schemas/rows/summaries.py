"""Row `S <store id>`: the summary of a store, all that a report needs of it in one value.

Owns: key, layout and version. Must not know: how a summary is computed (stream.core), who stores it.

A report scans this range alone: one row for each store, already in the order of the report. A summary is derived
from day blocks and opening hours, and stored because reading it is what makes a report cheap. Little-endian, a
multiple of 8 bytes, so that many of them can be parsed as one array:

    HEADER
    changes x i64 packed poll      the polls that changed the status
    changes x i64 up_us            uptime accumulated at each; ~up_us where the day is compacted
    days x DAY
    opening hours                  `hours_bytes` long (schemas.rows.opening_hours)
    padding

Version 1 (revision dd7560e and before) had `has_week, zone_bytes` behind the version, the number of weekly rows in
the place of `hours_bytes`, and zone and rows in that of the opening hours. Its other fields stood where they stand
now.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from schemas.arrays import Int64s
from schemas.compatibility import refuse_newer
from schemas.opening_hours import NOTHING_SAID
from schemas.rows import opening_hours
from schemas.rows.opening_hours import decode_opening_hours, encode_opening_hours
from schemas.summaries import NO_POLL, DayCounts, StoreSummary, Summaries
from schemas.values import StoreId

SUMMARY_VERSION: Final = 2
SUMMARY_PREFIX: Final = b"S"
FIRST_SUMMARY: Final = b"S\1"
"""Summaries begin here: no store id has a NUL in it."""
SUMMARIES_END: Final = b"T"

HEADER: Final = np.dtype(
    [
        ("version", "u1"),
        ("unused", "u1", 3),
        ("changes", "<u4"),
        ("latest", "<i8"),
        ("baseline", "<i8"),
        ("days", "<u4"),
        ("hours_bytes", "<u4"),
    ]
)
DAY: Final = np.dtype([("day", "<u4"), ("active", "<u4"), ("inactive", "<u4")])
_WORD_BYTES: Final = 8
_CHANGE_BYTES: Final = 16
_HEADER_WORDS: Final = HEADER.itemsize // _WORD_BYTES
_HEADER: Final = struct.Struct("<BxxxIqqII")
"""HEADER for one summary: numpy takes ten times as long for so little."""

_HEADER_1: Final = struct.Struct("<BBHIqqII")
_WEEKLY_ROW_BYTES_1: Final = 10

EMPTY_SUMMARY: Final = _HEADER.pack(SUMMARY_VERSION, 0, NO_POLL, NO_POLL, 0, 0)
"""The summary of a store of which nothing was said, or all was forgotten: it has no row in a report."""


def summary_key(store_id: StoreId) -> bytes:
    """The key of a store's summary."""
    return SUMMARY_PREFIX + store_id.encode()


def decode_summary(value: bytes) -> StoreSummary:
    """The summary in `value`. Raises NewerState."""
    value = _current(value)
    _, changes, latest, baseline, days, hours_bytes = _HEADER.unpack_from(value)
    up_at = HEADER.itemsize + _WORD_BYTES * changes
    days_at = up_at + _WORD_BYTES * changes
    hours_at = days_at + DAY.itemsize * days
    return StoreSummary(
        hours=decode_opening_hours(value[hours_at : hours_at + hours_bytes]),
        latest=latest,
        baseline=baseline,
        days=np.frombuffer(value, "<u4", 3 * days, days_at).astype(np.int64).reshape(-1, 3),
        change_polls=np.frombuffer(value, np.int64, changes, HEADER.itemsize),
        change_up_us=np.frombuffer(value, np.int64, changes, up_at),
    )


def decode_summaries(values: Sequence[bytes]) -> Summaries:
    """Parse many summaries, all but their days, in a few array operations. Raises NewerState."""
    values, words, first_word, headers = _parsed(values)
    changes = headers["changes"].astype(np.int64)
    first_change = _firsts(changes)
    # of each change: the word behind its store's header, and as many on as the store has changes before it
    behind_header = np.repeat(first_word + _HEADER_WORDS - first_change[:-1], changes)
    poll_word = behind_header + np.arange(first_change[-1])
    hours_at = HEADER.itemsize + _CHANGE_BYTES * changes + DAY.itemsize * headers["days"].astype(np.int64)
    hours_end = hours_at + headers["hours_bytes"]
    index: dict[bytes, int] = {}
    hours_of = [
        index.setdefault(value[start:end], len(index))
        for value, start, end in zip(values, hours_at.tolist(), hours_end.tolist(), strict=True)
    ]
    return Summaries(
        opening_hours=list(map(decode_opening_hours, index)),
        hours_of=np.array(hours_of, np.int64),
        latest=headers["latest"].astype(np.int64),
        baseline=headers["baseline"].astype(np.int64),
        first_change=first_change,
        change_polls=words[poll_word],
        change_up_us=words[poll_word + np.repeat(changes, changes)],
    )


def decode_day_counts(values: Sequence[bytes]) -> DayCounts:
    """The days of many summaries. Raises NewerState."""
    _, words, first_word, headers = _parsed(values)
    days = headers["days"].astype(np.int64)
    first = _firsts(days)
    halves_before = 2 * (first_word + _HEADER_WORDS + 2 * headers["changes"].astype(np.int64))
    field = np.repeat(halves_before - 3 * first[:-1], 3 * days) + np.arange(3 * first[-1])
    return DayCounts(first, words.view("<u4")[field].astype(np.int64).reshape(-1, 3))


def encode_summaries(summaries: Summaries, days: DayCounts) -> list[bytes]:
    """The bytes of each summary; equal summaries give equal bytes."""
    polls, up_us = summaries.change_polls.tobytes(), summaries.change_up_us.tobytes()
    counts = days.rows.astype("<u4").tobytes()
    every_hours = list(map(encode_opening_hours, summaries.opening_hours))
    values = []
    for hours_of, latest, baseline, (change, end_change), (day, end_day) in zip(
        summaries.hours_of.tolist(),
        summaries.latest.tolist(),
        summaries.baseline.tolist(),
        pairwise(summaries.first_change.tolist()),
        pairwise(days.first.tolist()),
        strict=True,
    ):
        hours = every_hours[hours_of]
        body = b"".join(
            (
                _HEADER.pack(
                    SUMMARY_VERSION, end_change - change, latest, baseline, end_day - day, len(hours)
                ),
                polls[_WORD_BYTES * change : _WORD_BYTES * end_change],
                up_us[_WORD_BYTES * change : _WORD_BYTES * end_change],
                counts[DAY.itemsize * day : DAY.itemsize * end_day],
                hours,
            )
        )
        values.append(_padded(body))
    return values


def fault_in(value: bytes) -> str | None:
    """What is wrong with a summary of a version that we know, as far as sizes tell. Raises NewerState."""
    if not value[0] or len(value) < HEADER.itemsize or len(value) != _size(value):
        return f"a summary of {len(value)} bytes"
    version, changes, _, _, days, hours_bytes = _HEADER.unpack_from(value)
    hours_at = HEADER.itemsize + _CHANGE_BYTES * changes + DAY.itemsize * days
    return None if version == 1 else opening_hours.fault_in(value[hours_at : hours_at + hours_bytes])


def _size(value: bytes) -> int:
    """The size that a header asks for."""
    version, changes, _, _, days, tail = _HEADER.unpack_from(value)
    if version == 1:
        tail = tail * _WEEKLY_ROW_BYTES_1 + _HEADER_1.unpack_from(value)[2]
    size = HEADER.itemsize + _CHANGE_BYTES * changes + DAY.itemsize * days + tail
    return int(size + -size % _WORD_BYTES)


def _current(value: bytes) -> bytes:
    """The same summary in the newest version. Raises NewerState."""
    refuse_newer("summary", value[0], SUMMARY_VERSION)
    if value[0] == SUMMARY_VERSION:
        return value
    _, has_week, zone_bytes, changes, latest, baseline, days, rows = _HEADER_1.unpack_from(value)
    tail_at = HEADER.itemsize + _CHANGE_BYTES * changes + DAY.itemsize * days
    tail = value[tail_at : tail_at + zone_bytes + rows * _WEEKLY_ROW_BYTES_1]
    hours = struct.pack("<BBH", 1, has_week, zone_bytes) + tail if has_week or zone_bytes else b""
    header = _HEADER.pack(SUMMARY_VERSION, changes, latest, baseline, days, len(hours))
    return _padded(header + value[HEADER.itemsize : tail_at] + hours)


def _padded(body: bytes) -> bytes:
    return body + bytes(-len(body) % _WORD_BYTES)


def _parsed(values: Sequence[bytes]) -> tuple[Sequence[bytes], Int64s, Int64s, np.ndarray]:
    """Summaries in the newest version; end to end as 64-bit words; where each begins there; their headers."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    words: Int64s = np.frombuffer(b"".join(values), "<i8")
    first_word = (np.cumsum(lengths) - lengths) // _WORD_BYTES
    headers = words[first_word[:, None] + np.arange(_HEADER_WORDS)].view(HEADER).ravel()
    if (headers["version"] != SUMMARY_VERSION).any():
        return _parsed(list(map(_current, values)))
    return values, words, first_word, headers


def _firsts(counts: Int64s) -> Int64s:
    """Where the items of each store begin, and the end of the last."""
    return np.concatenate(([0], np.cumsum(counts)))


assert _HEADER.size == HEADER.itemsize == _HEADER_1.size
assert decode_opening_hours(b"") == NOTHING_SAID
