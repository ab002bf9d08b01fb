"""A store's pages on a shelf: what the table does for the ledger, in memory."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from schemas.state import (
    EMPTY_HEAD,
    Head,
    Int64s,
    decode_head,
    decode_pages,
    encode_head,
    encode_pages,
)
from schemas.values import Poll, Week, code_of
from stream.core.ledger import Settled, forget_polls, merge, reschedule


class Shelf:
    """One store's head and pages, kept as the bytes that the table would hold."""

    def __init__(self, zone: str | None = None, week: Week | None = None, retention_days: int = 14) -> None:
        self._head = encode_head(EMPTY_HEAD)
        self._pages: dict[int, bytes] = {}
        self._retention_days = retention_days
        if zone is not None or week is not None:
            self.reschedule(zone, week)

    @property
    def head(self) -> Head:
        return decode_head(self._head)

    @property
    def bytes(self) -> tuple[bytes, dict[int, bytes]]:
        return self._head, self._pages

    def load(self, days: Iterable[int]) -> Int64s:
        return decode_pages({day: self._pages[day] for day in days if day in self._pages})

    def add(self, polls: Iterable[Poll]) -> "Shelf":
        codes = np.array([code_of(poll.at_us, poll.status) for poll in polls], np.int64)
        if len(codes):
            self._put(merge(self.head, codes, self.load, self._retention_days))
        return self

    def reschedule(self, zone: str | None, week: Week | None) -> "Shelf":
        self._head = encode_head(reschedule(self.head, zone, week, self.load))
        return self

    def forget_polls(self) -> None:
        self._head = encode_head(forget_polls(self.head))
        self._pages.clear()

    def add_but_crash(self, polls: Iterable[Poll], rows_written: int) -> None:
        """Merge polls, of whose rows only the first few are written (see stream.core.ledger.Settled)."""
        codes = np.array([code_of(poll.at_us, poll.status) for poll in polls], np.int64)
        self._put(merge(self.head, codes, self.load, self._retention_days), rows_written)

    def _put(self, settled: Settled, rows_written: int | None = None) -> None:
        writes: list[Callable[[], object]] = [partial(setattr, self, "_head", encode_head(settled.head))]
        writes += [partial(self._pages.pop, day, None) for day in settled.dropped]
        writes += [
            partial(self._pages.__setitem__, day, page) for day, page in encode_pages(settled.pages).items()
        ]
        for write in writes[:rows_written]:
            write()

    def codes(self) -> Int64s:
        return self.load(sorted(self._pages))
