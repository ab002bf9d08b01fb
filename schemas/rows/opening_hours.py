"""The stored bytes of opening hours: a part of a summary, opaque to all but this module.

Owns: their layout and versions. Must not know: which row they stand in.

    nothing was said    no bytes at all
    version 1           u8 version, u8 has_hours, u16 zone_bytes, zone (UTF-8), then 10 B for each weekly row:
                        u40 day * 24 h + start_us, u40 end_us, little-endian
    version 2           u8 version, u8 has_hours, u16 zone_bytes, zone (UTF-8), StoreHours in MessagePack

Version 1 is written wherever it can say all.
"""

import struct
from functools import lru_cache
from typing import Final

import msgspec

from schemas.compatibility import refuse_newer
from schemas.opening_hours import NOTHING_SAID, HoursRow, OpeningHours, StoreHours, plain_hours
from schemas.values import DAY_US

HOURS_VERSION: Final = 2
_PLAIN_VERSION: Final = 1

_HEADER: Final = struct.Struct("<BBH")
_TIME_BYTES: Final = 5
_ROW_BYTES: Final = 2 * _TIME_BYTES
_MAX_REMEMBERED_ROWS: Final = 50
"""Rows of a week that a cache may keep: bounded in count, the caches are bounded in bytes too."""


def encode_opening_hours(hours: OpeningHours) -> bytes:
    """The bytes of opening hours; equal ones give equal bytes."""
    is_usual = hours.hours is None or _size(hours.hours) <= _MAX_REMEMBERED_ROWS
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
    version, has_hours, zone_bytes = _HEADER.unpack_from(value)
    rest = len(value) - _HEADER.size - zone_bytes
    if version == _PLAIN_VERSION:
        is_sound = rest >= 0 and rest % _ROW_BYTES == 0 if has_hours else rest == 0
    else:
        is_sound = rest > 0 and bool(has_hours)
    return None if is_sound else f"opening hours of {len(value)} bytes, {zone_bytes} of a zone"


def _size(hours: StoreHours) -> int:
    rows = sum(1 + len(week.rows) for week in hours.weekly)
    return rows + sum(1 + len(day.spans) for day in hours.special_days) + len(hours.closures)


def _encode(hours: OpeningHours) -> bytes:
    if hours == NOTHING_SAID:
        return b""
    zone = (hours.zone or "").encode()
    is_plain = hours.hours is None or hours.hours.is_plain
    version = _PLAIN_VERSION if is_plain else HOURS_VERSION
    body = b"".join(map(_encode_row, hours.week)) if is_plain else _encode_hours(hours.hours)
    return _HEADER.pack(version, hours.hours is not None, len(zone)) + zone + body


def _decode(value: bytes) -> OpeningHours:
    if not value:
        return NOTHING_SAID
    version, has_hours, zone_bytes = _HEADER.unpack_from(value)
    refuse_newer("opening hours", version, HOURS_VERSION)
    body_at = _HEADER.size + zone_bytes
    zone = value[_HEADER.size : body_at].decode() or None
    if not has_hours:
        return OpeningHours(zone)
    if version == _PLAIN_VERSION:
        rows = range(body_at, len(value), _ROW_BYTES)
        return OpeningHours(zone, plain_hours(tuple(_row(value[at : at + _ROW_BYTES]) for at in rows)))
    return OpeningHours(zone, _decode_hours(value[body_at:]))


def _encode_row(row: HoursRow) -> bytes:
    start = (row.day * DAY_US + row.start_us).to_bytes(_TIME_BYTES, "little")
    return start + row.end_us.to_bytes(_TIME_BYTES, "little")


def _row(value: bytes) -> HoursRow:
    day, start_us = divmod(int.from_bytes(value[:_TIME_BYTES], "little"), DAY_US)
    return HoursRow(day, start_us, int.from_bytes(value[_TIME_BYTES:], "little"))


_encode_hours = msgspec.msgpack.Encoder().encode
_decode_hours = msgspec.msgpack.Decoder(StoreHours).decode
_remembered_encoding = lru_cache(maxsize=65_536)(_encode)
_remembered_decoding = lru_cache(maxsize=65_536)(_decode)
