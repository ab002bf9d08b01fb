"""Row `M positions`: by topic, the next offset that a partition is to apply. It ends each flush.

Owns: key and layout (JSON), and the rows that tables of format 1 had in its place. Must not know: who reads on
there.

A flush changes all rows that it changes at once, and this row is the last of them: whoever follows the changelog
holds rows back until it comes.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from schemas.topics import SOURCES

POSITIONS_KEY: Final = b"Mpositions"
APPLIED_PREFIX: Final = b"Mapplied\0"
"""Of format 1: a row for each topic, `M applied NUL <topic>`, with a decimal number."""


def applied_key(topic: str) -> bytes:
    """The key under which a table of format 1 kept the next offset of `topic` to be applied."""
    return APPLIED_PREFIX + topic.encode()


def encode_positions(positions: Mapping[str, int]) -> bytes:
    """By topic, the next offset to be applied; a topic from which nothing was applied has none."""
    return msgspec.json.encode({topic: offset for topic, offset in sorted(positions.items()) if offset})


def decode_positions(get: Callable[[bytes], bytes | None]) -> dict[str, int]:
    """The positions of one table, of whatever format; `get` gives the value of a row."""
    value = get(POSITIONS_KEY)
    if value is not None:
        return msgspec.json.decode(value, type=dict[str, int])
    applied = {source.name: get(applied_key(source.name)) for source in SOURCES}
    return {topic: int(offset) for topic, offset in applied.items() if offset is not None}


def ends_flush(key: bytes) -> bool:
    """Whether the row of `key` is the last one of a flush."""
    return key == POSITIONS_KEY or key.startswith(APPLIED_PREFIX)
