"""A store's pages on a shelf: what the table does for the ledger, in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from schemas.state import (
    EMPTY_HEAD,
    EMPTY_PAGE,
    Head,
    Int64s,
    decode_days,
    decode_head,
    decode_heads,
    decode_pages,
    encode_heads,
    encode_pages,
    encode_schedule,
)
from schemas.values import Poll, Week, code_of
from stream.core.merge import NewsColumns, settle

Row = bytes
Pages = dict[int, bytes]


class Shelf:
    """One store's head and pages, kept as the bytes that the table would hold."""

    def __init__(self, zone: str | None = None, week: Week | None = None, retention_days: int = 14) -> None:
        self._head = EMPTY_HEAD
        self._pages: Pages = {}
        self._retention_days = retention_days
        if zone is not None or week is not None:
            self.reschedule(zone, week)

    @property
    def head(self) -> Head:
        return decode_head(self._head)

    @property
    def bytes(self) -> tuple[bytes, Pages]:
        return self._head, self._pages

    def load(self, days: Iterable[int]) -> Int64s:
        known = [day for day in days if day in self._pages]
        return decode_pages(known, [self._pages[day] for day in known])[0]

    def add(self, polls: Iterable[Poll]) -> "Shelf":
        settle_together([self], [list(polls)], retention_days=self._retention_days)
        return self

    def reschedule(self, zone: str | None, week: Week | None) -> "Shelf":
        settle_together([self], [[]], {0: encode_schedule(zone, week)}, retention_days=self._retention_days)
        return self

    def forget_polls(self) -> None:
        settle_together([self], [[]], forgets=[True], retention_days=self._retention_days)
        self._pages.clear()

    def add_but_crash(self, polls: Iterable[Poll], rows_written: int) -> None:
        """Merge polls, of whose rows only the first few are written (see stream.core.merge.Settled)."""
        settle_together([self], [list(polls)], retention_days=self._retention_days, rows_written=rows_written)

    def writes(self, head: Row, dropped: Iterable[int], pages: Pages) -> list[Callable[[], object]]:
        return [
            partial(setattr, self, "_head", head),
            *(partial(self._pages.pop, day, None) for day in dropped),
            *(partial(self._pages.__setitem__, day, page) for day, page in pages.items()),
        ]

    def codes(self) -> Int64s:
        return self.load(sorted(self._pages))


def settle_together(
    shelves: Sequence[Shelf],
    polls: Sequence[Sequence[Poll]],
    schedules: Mapping[int, bytes] | None = None,
    *,
    forgets: Sequence[bool] | None = None,
    retention_days: int = 14,
    rows_written: int | None = None,
) -> None:
    """Settle news of several stores in one go; of each only the first rows are written, if a number says so."""

    def load(stores: Int64s, days: Int64s) -> tuple[Int64s, Int64s]:
        pages = zip(stores.tolist(), days.tolist(), strict=True)
        values = [shelves[store].bytes[1].get(day, EMPTY_PAGE) for store, day in pages]
        return decode_pages(days.tolist(), values)

    news = NewsColumns(
        forgets=np.array(forgets or [False] * len(shelves)),
        schedules=schedules or {},
        first=np.cumsum([0, *map(len, polls)]),
        codes=np.array(
            [code_of(poll.at_us, poll.status) for of_store in polls for poll in of_store], np.int64
        ),
    )
    values = [shelf.bytes[0] for shelf in shelves]
    settled = settle(decode_heads(values), decode_days(values), news, load, retention_days)
    written = encode_pages(settled.pages.days, settled.pages.counts, settled.pages.codes)
    heads = encode_heads(settled.heads, settled.days)
    for number, (shelf, head) in enumerate(zip(shelves, heads, strict=True)):
        dropped = settled.dropped_days[settled.dropped_stores == number].tolist()
        mine = np.flatnonzero(settled.pages.stores == number).tolist()
        pages = {int(settled.pages.days[at]): written[at] for at in mine}
        for write in shelf.writes(head, dropped, pages)[:rows_written]:
            write()
