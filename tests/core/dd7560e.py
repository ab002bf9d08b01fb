"""How revision dd7560e judged a row of the changelog, with the names that it had: kept to be asked, never changed.

It is the first version whose state is out there. With `malformed_changelog: skip` it left out what is malformed,
and stopped at what is newer.
"""

import struct
from typing import Final

_HEADER: Final = struct.Struct("<B3sIqqII")
_SCHEDULE: Final = struct.Struct("<BH")


class Malformed(Exception):
    """Left out under `skip`: such a row is lost to it."""


class Newer(Exception):
    """It ends in words, whatever its settings."""


def check_row(key: bytes | None, value: bytes | None) -> None:
    kind = (key or b"")[:1]
    if key is None or kind not in (b"S", b"P", b"M"):
        raise Malformed("no such key")
    if value is None or kind == b"M":
        return
    if not value:
        raise Malformed("empty value")
    if value[0] > 1:
        raise Newer(value[0])
    if kind == b"P" and len(value) % 5 != 1:
        raise Malformed(f"a page of {len(value)} bytes")
    if kind == b"S" and len(value) != _head_size(value):
        raise Malformed(f"a head of {len(value)} bytes")


def _head_size(value: bytes) -> int:
    if len(value) < _HEADER.size:
        return -1
    _, schedule, marks, _, _, days, rows = _HEADER.unpack_from(value)
    size = _HEADER.size + 16 * marks + 12 * days + rows * 10
    size += _SCHEDULE.unpack(schedule)[1]
    return int(size + -size % 8)
