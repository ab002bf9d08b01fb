"""Records as every broker here has them.

Owns: what a record is, before and after it has an offset. Must not know: which broker keeps it, what it says.
"""

from typing import Final

import msgspec

Headers = tuple[tuple[str, bytes], ...]
TopicPartition = tuple[str, int]

CUT_HEADER: Final = "storepulse.cut"
"""The one header of a record that an older version took and that is too large to be read: how large it was."""


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to append. `timestamp_ms`: milliseconds since 1970-01-01 UTC. Without a value: a tombstone."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers = ()


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read: a `NewRecord` and the offset that it got."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
