"""Which of several records holds: stamps, and what is remembered of them (rules 3).

Owns: when a record was first written, how a forwarded copy says so, and which of two values of a last-one-wins
topic holds. Must not know: what the values are, or how stamps are stored (schemas.rows.stamps).

A stamp is (timestamp, partition, offset) of where a record was first written. The greatest stamp holds. A record
that was written to the right partition, a *direct* one, counts with at least the timestamp of the direct one before
it, whatever its producer's clock said; so among direct ones the log's order holds. A forwarded copy carries the
stamp of its original in a header.

    partition 2 (right)     A@10   B@7 ▶ counts as 10, behind A      C@12
    partition 5 (stray)     S@11, forwarded once, twice, a year later: above B, below C, each time
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

STAMP_HEADER: Final = "storepulse.stamp"
"""`timestamp_ms partition offset` in ASCII, on a record that was sent on to its store's partition."""

_NEVER_MS: Final = -(1 << 62)
_STAMP: Final = struct.Struct("<qIq")
"""What the three numbers of a stamp must fit."""


class Stamp(NamedTuple):
    """When a record was first written, in the order in which records hold.

    `timestamp_ms` is the record's own, in milliseconds since 1970; -1 where it has none.
    """

    timestamp_ms: int
    partition: int
    offset: int


NEVER: Final = Stamp(_NEVER_MS, 0, 0)
"""Less than any record's stamp."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of a store's records on one topic.

    `stamp` is that of the record that holds, `floor_ms` the greatest timestamp of the direct ones so far.
    """

    stamp: Stamp = NEVER
    floor_ms: int = _NEVER_MS


@dataclass(slots=True)
class LastSaid(Generic[T]):
    """What the records of one store on a last-one-wins topic said since they were last merged.

    Of direct records the last one holds, so one is enough; of forwarded copies the one with the greatest stamp.
    """

    direct: tuple[Stamp, T] | None = None
    stray: tuple[Stamp, T] | None = None

    def say_direct(self, stamp: Stamp, value: T) -> None:
        """A record of the right partition, in the order of the log."""
        before_ms = _NEVER_MS if self.direct is None else self.direct[0].timestamp_ms
        self.direct = stamp._replace(timestamp_ms=max(before_ms, stamp.timestamp_ms)), value

    def say_stray(self, stamp: Stamp, value: T) -> None:
        """A forwarded copy, with its original's stamp; in any order, any number of times."""
        if self.stray is None or stamp > self.stray[0]:
            self.stray = stamp, value

    def resolve(self, held: Held) -> tuple[Held, T | None, bool]:
        """What holds after `held`: its memory, the value, and whether there is a new value at all."""
        value, changed = None, False
        if self.direct is not None:
            stamp, said = self.direct
            stamp = stamp._replace(timestamp_ms=max(held.floor_ms, stamp.timestamp_ms))
            held = replace(held, floor_ms=stamp.timestamp_ms)
            if stamp > held.stamp:
                held, value, changed = replace(held, stamp=stamp), said, True
        if self.stray is not None and self.stray[0] > held.stamp:
            held, value, changed = replace(held, stamp=self.stray[0]), self.stray[1], True
        return held, value, changed


@dataclass(frozen=True, slots=True)
class StoreStamps:
    """The stamps of one store: of its hours, its zone, and the last time that its polls were forgotten."""

    hours: Held = Held()
    zone: Held = Held()
    forgotten: Stamp = NEVER
    changed_day: int = 0
    """The UTC day (days since 1970) on which this was last written."""


def forgetting(stamp: Stamp, before: Stamp) -> Stamp:
    """The stamp of a null on store-polls, given that of the one before it in the log."""
    return stamp._replace(timestamp_ms=max(stamp.timestamp_ms, before.timestamp_ms))


def stamp_header(stamp: Stamp) -> tuple[str, bytes]:
    """The header of a forwarded copy."""
    return STAMP_HEADER, b"%d %d %d" % stamp


def stamp_in(headers: Sequence[tuple[str, bytes]]) -> Stamp | None:
    """The stamp that a forwarded copy carries; None for any other record."""
    for name, content in headers:
        if name == STAMP_HEADER and (stamp := _stamp_of(content)) is not None:
            return stamp
    return None


def _stamp_of(content: bytes) -> Stamp | None:
    """A header that is none of ours says nothing."""
    try:
        stamp = Stamp(*map(int, content[:64].split(b" ")))
        _STAMP.pack(*stamp)
    except (TypeError, ValueError, struct.error):
        return None
    return stamp if stamp.timestamp_ms >= -1 and stamp.offset >= 0 else None
