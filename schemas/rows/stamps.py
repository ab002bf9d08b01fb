"""Row `M stamps NUL <store id>`: which records of a store held (schemas.stamps).

Owns: key, layout and version. Must not know: what the stamps decide.

It stands apart from the summary because no report reads it, and because it outlives the store: the stamps of a
forgotten store are kept, so that a record forwarded late does not bring it back.
"""

import struct
from typing import Final

import numpy as np

from schemas.stamps import Held, Stamp, StoreStamps
from schemas.values import StoreId

STAMPS_VERSION: Final = 1
STAMPS_PREFIX: Final = b"Mstamps\0"

_STAMP: Final = [("timestamp_ms", "<i8"), ("partition", "<u4"), ("offset", "<i8")]
_HELD: Final = [*_STAMP, ("floor_ms", "<i8")]
LAYOUT: Final = np.dtype(
    [("version", "u1"), ("changed_day", "<u4"), ("hours", _HELD), ("zone", _HELD), ("forgotten", _STAMP)]
)
"""`changed_day`: the UTC day on which it was last written."""
_ROW: Final = struct.Struct("<BI" + 2 * "qIqq" + "qIq")
"""LAYOUT for one row: numpy takes several times as long for so little."""


def stamps_key(store_id: StoreId) -> bytes:
    """The key of a store's stamps."""
    return STAMPS_PREFIX + store_id.encode()


def encode_stamps(stamps: StoreStamps) -> bytes:
    """The bytes of a store's stamps."""
    hours, zone = stamps.hours, stamps.zone
    return _ROW.pack(
        STAMPS_VERSION,
        stamps.changed_day,
        *hours.stamp,
        hours.floor_ms,
        *zone.stamp,
        zone.floor_ms,
        *stamps.forgotten,
    )


def decode_stamps(value: bytes | None) -> StoreStamps:
    """The stamps in such bytes; none where there are none."""
    if not value:
        return StoreStamps()
    _, day, *fields = _ROW.unpack(value)
    hours, zone = Held(Stamp(*fields[0:3]), fields[3]), Held(Stamp(*fields[4:7]), fields[7])
    return StoreStamps(hours, zone, Stamp(*fields[8:11]), day)


def fault_in(value: bytes) -> str | None:
    """What is wrong with stamps of a version that we know, as far as their size tells."""
    return None if len(value) == LAYOUT.itemsize else f"stamps of {len(value)} bytes"


assert _ROW.size == LAYOUT.itemsize
