"""Row `P <store id> NUL <UTC day, u32 big-endian>`: the polls of a store on one UTC day.

Owns: key, layout and version. Must not know: which polls are kept, and for how long (stream.core.merge).

    u8 version, then a u40 for each poll, little-endian and ascending: the packed poll, relative to the day's first
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from schemas.arrays import NO_INTS, Int64s
from schemas.compatibility import refuse_newer
from schemas.summaries import PACKED_PER_DAY
from schemas.values import StoreId

DAY_BLOCK_VERSION: Final = 1
DAY_BLOCK_PREFIX: Final = b"P"
EMPTY_DAY_BLOCK: Final = bytes((DAY_BLOCK_VERSION,))
"""A day block without polls; none is ever stored."""

_POLL_BYTES: Final = 5
_WORD_BYTES: Final = 8

assert PACKED_PER_DAY < 1 << 8 * _POLL_BYTES


def day_blocks_prefix(store_id: StoreId) -> bytes:
    """What the keys of all day blocks of one store start with, and no other key."""
    return DAY_BLOCK_PREFIX + store_id.encode() + b"\0"


def day_block_key(store_id: StoreId, day: int) -> bytes:
    """The key of a store's day block of UTC `day`."""
    return day_blocks_prefix(store_id) + day.to_bytes(4, "big")


def encode_day_blocks(days: Int64s, counts: Int64s, packed: Int64s) -> list[bytes]:
    """The bytes of some day blocks: of UTC day `days[i]`, with the next `counts[i]` of the `packed` polls."""
    relative = packed - np.repeat(days * PACKED_PER_DAY, counts)
    stored = relative.astype("<i8").view(np.uint8).reshape(-1, _WORD_BYTES)[:, :_POLL_BYTES].tobytes()
    ends = (np.cumsum(counts) * _POLL_BYTES).tolist()
    return [EMPTY_DAY_BLOCK + stored[start:end] for start, end in pairwise([0, *ends])]


def decode_day_blocks(days: Sequence[int], values: Sequence[bytes]) -> tuple[Int64s, Int64s]:
    """The packed polls of some day blocks, of UTC day `days[i]` each, one after the other; and how many each has.

    Raises NewerState.
    """
    if not values:
        return NO_INTS, NO_INTS
    refuse_newer("day block", max(value[0] for value in values), DAY_BLOCK_VERSION)
    counts = np.fromiter(map(len, values), np.int64, len(values)) // _POLL_BYTES
    stored = np.frombuffer(b"".join([value[1:] for value in values]), np.uint8).reshape(-1, _POLL_BYTES)
    relative = np.zeros((len(stored), _WORD_BYTES), np.uint8)
    relative[:, :_POLL_BYTES] = stored
    packed: Int64s = relative.view("<i8").ravel() + np.repeat(
        np.array(days, np.int64) * PACKED_PER_DAY, counts
    )
    return packed, counts


def fault_in(value: bytes) -> str | None:
    """What is wrong with a day block of a version that we know, as far as its size tells."""
    return None if len(value) % _POLL_BYTES == len(EMPTY_DAY_BLOCK) else f"a day block of {len(value)} bytes"
