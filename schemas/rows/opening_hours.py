"""The stored bytes of opening hours: a part of a summary, opaque to all but this module.

Owns: their layout and version. Must not know: which row they stand in.

    nothing was said    no bytes at all
    version 1           u8 version, u8 has_week, u16 zone_bytes, zone (UTF-8), then 10 B for each weekly row:
                        u40 day * 24 h + start_us, u40 end_us, little-endian
"""

import struct
from functools import lru_cache
from typing import Final

from schemas.compatibility import refuse_newer
from schemas.opening_hours import NOTHING_SAID, HoursRow, OpeningHours
from schemas.values import DAY_US

HOURS_VERSION: Final = 1

_HEADER: Final = struct.Struct("<BBH")
_TIME_BYTES: Final = 5
_ROW_BYTES: Final = 2 * _TIME_BYTES
_MAX_REMEMBERED_ROWS: Final = 50
"""Rows of a week that a cache may keep: bounded in count, the caches are bounded in bytes too."""


def encode_opening_hours(hours: OpeningHours) -> bytes:
    """The bytes of opening hours; equal ones give equal bytes."""
    is_usual = hours.week is None or len(hours.week) <= _MAX_REMEMBERED_ROWS
    return (_remembered_encoding if is_usual else _encode)(hours)


def decode_opening_hours(value: bytes) -> OpeningHours:
    """The opening hours in such bytes. Raises NewerState."""
    is_usual = len(value) <= _ROW_BYTES * _MAX_REMEMBERED_ROWS
    return (_remembered_decoding if is_usual else _decode)(value)


def fault_in(value: bytes) -> str | None:
    """What is wrong with opening hours, as far as their size tells. Raises NewerState."""
    if not value:
        return None
    refuse_newer("opening hours", value[0], HOURS_VERSION)
    if len(value) < _HEADER.size:
        return f"opening hours of {len(value)} bytes"
    _, has_week, zone_bytes = _HEADER.unpack_from(value)
    rows = len(value) - _HEADER.size - zone_bytes
    is_sound = rows >= 0 and rows % _ROW_BYTES == 0 if has_week else rows == 0
    return None if is_sound else f"opening hours of {len(value)} bytes, {zone_bytes} of a zone"


def _encode(hours: OpeningHours) -> bytes:
    if hours == NOTHING_SAID:
        return b""
    zone = (hours.zone or "").encode()
    rows = [
        (row.day * DAY_US + row.start_us).to_bytes(_TIME_BYTES, "little")
        + row.end_us.to_bytes(_TIME_BYTES, "little")
        for row in hours.week or ()
    ]
    return b"".join((_HEADER.pack(HOURS_VERSION, hours.week is not None, len(zone)), zone, *rows))


def _decode(value: bytes) -> OpeningHours:
    if not value:
        return NOTHING_SAID
    version, has_week, zone_bytes = _HEADER.unpack_from(value)
    refuse_newer("opening hours", version, HOURS_VERSION)
    rows_at = _HEADER.size + zone_bytes
    zone = value[_HEADER.size : rows_at].decode() or None
    if not has_week:
        return OpeningHours(zone)
    return OpeningHours(
        zone, tuple(_row(value[at : at + _ROW_BYTES]) for at in range(rows_at, len(value), _ROW_BYTES))
    )


def _row(value: bytes) -> HoursRow:
    day, start_us = divmod(int.from_bytes(value[:_TIME_BYTES], "little"), DAY_US)
    return HoursRow(day, start_us, int.from_bytes(value[_TIME_BYTES:], "little"))


_remembered_encoding = lru_cache(maxsize=65_536)(_encode)
_remembered_decoding = lru_cache(maxsize=65_536)(_decode)
