"""What stands behind the numbers of one store, and what the polls of all stores add up to.

Owns: intervals, local days, counts of polls: everything that a person asks who doubts a report. Must not
know: HTTP, JSON. The intervals are cut again from polls and opening hours, not from accumulators, so that
they are a second answer that must agree with the first.
"""

from dataclasses import dataclass
from heapq import nsmallest
from itertools import pairwise

import numpy as np

from query_api.errors import NothingPolled, UnknownStore
from query_api.reports.report import chunk_totals
from query_api.snapshots.reader import Snapshot
from schemas.arrays import Int64s
from schemas.rows.summaries import decode_summary
from schemas.summaries import NO_POLL, StoreSummary
from schemas.values import DAY_US, StoreId
from stream.core.calendar import Calendar, calendar_of
from stream.core.changes import changes_of
from stream.core.merge import retained
from stream.core.windows import Window, windows


@dataclass(frozen=True, slots=True)
class OpenSpan:
    """[from_us, to_us): a stretch of opening hours with one status."""

    from_us: int
    to_us: int
    active: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A window and the stretches of opening hours in it, ascending; they add up to its numbers."""

    window: Window
    spans: tuple[OpenSpan, ...]

    @property
    def up_us(self) -> int:
        """Open time with status active."""
        return sum(span.to_us - span.from_us for span in self.spans if span.active)

    @property
    def down_us(self) -> int:
        """Open time with status inactive."""
        return sum(span.to_us - span.from_us for span in self.spans if not span.active)


@dataclass(frozen=True, slots=True, eq=False)
class StoreStory:
    """All about one store at one instant.

    `packed` are the polls retained (rule 2.8), ascending. `days` are the local calendar days that the week's
    window meets, the first and the last cut by it.
    """

    store_id: StoreId
    summary: StoreSummary
    calendar: Calendar
    packed: Int64s
    as_of_us: int
    windows: tuple[Account, ...]
    days: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Downtime:
    """A store that was down in opening hours, and for how long it was up."""

    store_id: StoreId
    down_us: int
    up_us: int


@dataclass(frozen=True, slots=True)
class Downtimes:
    """The stores with downtime in the week before `as_of_us`, most first: some of `stores`."""

    as_of_us: int
    stores: int
    most: list[Downtime]


def story_of(snapshot: Snapshot, store_id: StoreId, as_of_us: int | None, retention_days: int) -> StoreStory:
    """All about one store, looking back from `as_of_us`, None for the latest poll over all stores.

    Raises UnknownStore, NothingPolled.
    """
    summary = snapshot.summary(store_id)
    if summary is None:
        raise UnknownStore(store_id)
    as_of_us = _as_of(snapshot, as_of_us)
    packed = retained(snapshot.polls(store_id, summary), summary.baseline, retention_days)
    calendar = calendar_of(summary.hours)
    spans = windows(as_of_us)
    return StoreStory(
        store_id=store_id,
        summary=summary,
        calendar=calendar,
        packed=packed,
        as_of_us=as_of_us,
        windows=tuple(account(calendar, packed, span) for span in spans),
        days=tuple(account(calendar, packed, day) for day in local_days(calendar, spans[-1])),
    )


def account(calendar: Calendar, packed: Int64s, window: Window) -> Account:
    """The opening hours in a window, cut where the status changes. `packed` ascending."""
    changes = changes_of(packed, was_active=True)
    at_us = changes >> 1
    open_time = calendar.open_time(window.from_us, window.to_us)
    spans = []
    for open_us, close_us in open_time.intervals(window.from_us, window.to_us):
        first, last = np.searchsorted(at_us, (open_us, close_us), side="right").tolist()
        cuts = [cut for cut in at_us[first:last].tolist() if cut < close_us]
        active = first == 0 or bool(changes[first - 1] & 1)
        for from_us, to_us in pairwise([open_us, *cuts, close_us]):
            spans.append(OpenSpan(from_us, to_us, active))
            active = not active
    return Account(window, tuple(spans))


def local_days(calendar: Calendar, window: Window) -> list[Window]:
    """A window cut at local midnights."""
    midnights = calendar.midnights_us(window.from_us, window.to_us)
    return [Window(*edges) for edges in pairwise([window.from_us, *midnights, window.to_us])]


def count_statuses(snapshot: Snapshot, retention_days: int) -> tuple[int, int]:
    """How many active and inactive polls are retained over all stores (rule 2.8)."""
    active = inactive = 0
    for chunk in snapshot.chunks():
        for store_id, value in zip(chunk.store_ids, chunk.values, strict=True):
            summary = decode_summary(value)
            if summary.latest == NO_POLL:
                continue
            floor_us = (summary.latest >> 1) - retention_days * DAY_US
            whole = summary.days[summary.days[:, 0] > floor_us // DAY_US]
            edge = _retained_before(snapshot, store_id, summary, whole, retention_days)
            up = int((edge & 1).sum())
            active += int(whole[:, 1].sum()) + up
            inactive += int(whole[:, 2].sum()) + len(edge) - up
    return active, inactive


def _retained_before(
    snapshot: Snapshot, store_id: StoreId, summary: StoreSummary, whole: Int64s, retention_days: int
) -> Int64s:
    """The polls retained from before the days that are retained whole: mostly none, or one."""
    if len(whole) < len(summary.days):
        every = retained(snapshot.polls(store_id, summary), summary.baseline, retention_days)
        return every[: len(every) - int(whole[:, 1:].sum())]
    return np.array([summary.baseline] if summary.baseline != NO_POLL else [], np.int64)


def most_downtime(snapshot: Snapshot, limit: int) -> Downtimes:
    """The `limit` stores with most downtime in the last week; equal ones by id. Raises NothingPolled."""
    as_of_us = _as_of(snapshot, None)
    most: list[Downtime] = []
    stores = 0
    for chunk in snapshot.chunks():
        (week,) = chunk_totals(snapshot, chunk, windows(as_of_us)[-1:])
        down = np.flatnonzero(week.down_us)
        stores += len(down)
        found = [
            Downtime(chunk.store_ids[i], down_us, up_us)
            for i, down_us, up_us in zip(
                down.tolist(), week.down_us[down].tolist(), week.up_us[down].tolist(), strict=True
            )
        ]
        most = nsmallest(limit, most + found, key=_most_first)
    return Downtimes(as_of_us, stores, most)


def _most_first(downtime: Downtime) -> tuple[int, str]:
    return -downtime.down_us, downtime.store_id


def _as_of(snapshot: Snapshot, as_of_us: int | None) -> int:
    as_of_us = snapshot.latest_us() if as_of_us is None else as_of_us
    if as_of_us is None:
        raise NothingPolled
    return as_of_us
