"""A store's day blocks on a shelf: what the table does for the write-behind, in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from schemas.arrays import Int64s
from schemas.opening_hours import OpeningHours, Week
from schemas.rows.day_blocks import EMPTY_DAY_BLOCK, decode_day_blocks, encode_day_blocks
from schemas.rows.summaries import (
    EMPTY_SUMMARY,
    decode_day_counts,
    decode_summaries,
    decode_summary,
    encode_summaries,
)
from schemas.summaries import StoreSummary
from schemas.values import Poll, pack_poll
from stream.core.merge import UpdateColumns, merge
from stream.core.wall_hours import first_difference
from tests.builders import opening_hours

Row = bytes
DayBlocks = dict[int, bytes]


class Shelf:
    """One store's summary and day blocks, kept as the bytes that the table would hold."""

    def __init__(self, zone: str | None = None, week: Week | None = None, retention_days: int = 14) -> None:
        self._summary = EMPTY_SUMMARY
        self._day_blocks: DayBlocks = {}
        self._retention_days = retention_days
        self.read: set[int] = set()
        if zone is not None or week is not None:
            self.set_hours(zone, week)

    @property
    def summary(self) -> StoreSummary:
        return decode_summary(self._summary)

    @property
    def bytes(self) -> tuple[bytes, DayBlocks]:
        return self._summary, self._day_blocks

    def days_read_by(self, change: Callable[[], object]) -> set[int]:
        """The days whose blocks a change reads."""
        self.read = set()
        change()
        return self.read

    def load(self, days: Iterable[int]) -> Int64s:
        known = [day for day in days if day in self._day_blocks]
        return decode_day_blocks(known, [self._day_blocks[day] for day in known])[0]

    def add(self, polls: Iterable[Poll]) -> "Shelf":
        merge_together([self], [list(polls)], retention_days=self._retention_days)
        return self

    def set_hours(self, zone: str | None, week: Week | None) -> "Shelf":
        merge_together([self], [[]], {0: opening_hours(zone, week)}, retention_days=self._retention_days)
        return self

    def set_all_hours(self, hours: OpeningHours) -> "Shelf":
        merge_together([self], [[]], {0: hours}, retention_days=self._retention_days)
        return self

    def forget_polls(self) -> None:
        merge_together([self], [[]], forgets=[True], retention_days=self._retention_days)
        self._day_blocks.clear()

    def add_but_crash(self, polls: Iterable[Poll], rows_written: int) -> None:
        """Merge polls, of whose rows only the first few are written (see stream.core.merge.Merged)."""
        merge_together([self], [list(polls)], retention_days=self._retention_days, rows_written=rows_written)

    def read_block(self, day: int) -> Row:
        """The block of a day; notes that it was read."""
        self.read.add(day)
        return self._day_blocks.get(day, EMPTY_DAY_BLOCK)

    def writes(
        self, summary: Row, dropped: Iterable[int], day_blocks: DayBlocks
    ) -> list[Callable[[], object]]:
        return [
            partial(setattr, self, "_summary", summary),
            *(partial(self._day_blocks.pop, day, None) for day in dropped),
            *(partial(self._day_blocks.__setitem__, day, day_block) for day, day_block in day_blocks.items()),
        ]

    def packed(self) -> Int64s:
        return self.load(sorted(self._day_blocks))


def merge_together(
    shelves: Sequence[Shelf],
    polls: Sequence[Sequence[Poll]],
    opening_hours: Mapping[int, OpeningHours] | None = None,
    *,
    forgets: Sequence[bool] | None = None,
    retention_days: int = 14,
    rows_written: int | None = None,
) -> None:
    """Settle updates of several stores in one go; of each only the first rows are written, if a number says so."""

    def load(stores: Int64s, days: Int64s) -> tuple[Int64s, Int64s]:
        day_blocks = zip(stores.tolist(), days.tolist(), strict=True)
        values = [shelves[store].read_block(day) for store, day in day_blocks]
        return decode_day_blocks(days.tolist(), values)

    values = [shelf.bytes[0] for shelf in shelves]
    known = [decode_summary(value).hours for value in values]
    updates = UpdateColumns(
        forgets=np.array(forgets or [False] * len(shelves)),
        opening_hours={
            store: (hours, first_difference(known[store], hours))
            for store, hours in (opening_hours or {}).items()
        },
        first=np.cumsum([0, *map(len, polls)]),
        packed=np.array(
            [pack_poll(poll.at_us, poll.status) for of_store in polls for poll in of_store], np.int64
        ),
    )
    merged = merge(decode_summaries(values), decode_day_counts(values), updates, load, retention_days)
    written = encode_day_blocks(merged.day_blocks.days, merged.day_blocks.counts, merged.day_blocks.packed)
    summaries = encode_summaries(merged.summaries, merged.days)
    for number, (shelf, summary) in enumerate(zip(shelves, summaries, strict=True)):
        dropped = merged.dropped_days[merged.dropped_stores == number].tolist()
        mine = np.flatnonzero(merged.day_blocks.stores == number).tolist()
        day_blocks = {int(merged.day_blocks.days[at]): written[at] for at in mine}
        for write in shelf.writes(summary, dropped, day_blocks)[:rows_written]:
            write()
