"""Row `S NUL`: the format of the table, which says what its other rows may be.

Owns: key, layout, and the number. Must not know: how a table gets from one format to the next
(stream.worker.migrations).

    1    no such row; a row of positions for each topic
    2    one row of positions; rows of stamps, losses and topics
    3    summaries of version 2, whose opening hours are opaque

The row stands where summaries do and begins with the number as a summary does with its version, so that a revision
which knows nothing of it finds a summary of a newer version there, and refuses in words.
"""

from typing import Final

from schemas.compatibility import refuse_newer
from schemas.rows import summaries

FORMAT_KEY: Final = b"S\0"
TABLE_FORMAT: Final = 3


def encode_format() -> bytes:
    """The value under FORMAT_KEY."""
    return bytes((TABLE_FORMAT,)) + summaries.EMPTY_SUMMARY[1:]


def decode_format(value: bytes | None) -> int:
    """The format of a table, given its value under FORMAT_KEY. Raises NewerState."""
    if value is None:
        return 1
    refuse_newer("table", value[0], TABLE_FORMAT)
    return value[0]
