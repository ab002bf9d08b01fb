"""Changes of status, with the uptime accumulated up to each.

Owns: which polls change a status, the accumulators, compaction. Must not know: polls that are not at hand, stored
bytes. Here and in stream.core.merge the packed polls of several stores stand one store after the other, those of
each ascending; two arrays beside them say where the items of each store begin, and whose each item is.

Before its first change a store is active; statuses alternate; the first change's uptime is 0, so that dropped
history cannot leak in.

    polls    a    a    i    i    i    a    a    i              a = active, i = inactive
    status   ▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁
    changes            0              1         2
    up_us              0              0         open time between 1 and 2

So the uptime of any window is a difference of two changes and two readings of the open time (stream.core.totals).

A day with more than COMPACT_ABOVE changes is compacted: the summary keeps its first and last change, and the first
one's up_us is stored as ~up_us. The day's block has the rest. This bounds a summary whatever the polls do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.arrays import Bools, Int64s
from schemas.summaries import PACKED_PER_DAY, Summaries
from stream.core.calendar import Calendar, OpenTime, OpenTimes, calendar_of

COMPACT_ABOVE: Final = 16
"""More changes of status than this in one UTC day are compacted."""
_MAX_SPANS_US: Final = 1 << 60
"""Spans that may be read together: all of them stand end to end in int64 (stream.core.calendar.OpenTimes)."""


@dataclass(frozen=True, slots=True, eq=False)
class Polls:
    """Polls of some stores, ascending and one an instant, and whether the updates brought each.

    Their days: where each begins, of which store and UTC day it is, how many polls it has.
    """

    packed: Int64s
    is_new: Bools
    starts: Int64s
    stores: Int64s
    days: Int64s
    counts: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class StatusChanges:
    """Changes of status of some stores, and of which store each is, ascending."""

    stores: Int64s
    polls: Int64s
    up_us: Int64s

    def only(self, which: Int64s | Bools) -> "StatusChanges":
        """Some of them."""
        return StatusChanges(self.stores[which], self.polls[which], self.up_us[which])


def run_starts(values: Int64s) -> Int64s:
    """Where each run of equal values begins."""
    begins = np.empty(len(values), bool)
    begins[:1] = True
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins.nonzero()[0]


def run_lasts(values: Int64s) -> Int64s:
    """Where each run of equal values, none of them negative, has its last one."""
    return np.diff(values, append=-1).nonzero()[0]


def owners(first: Int64s) -> Int64s:
    """Of which store each item is, where those of store i are from `first[i]` up to `first[i + 1]`."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


def is_change(packed: Int64s, starts: Int64s, was_active: Bools) -> Bools:
    """Which polls change the status of their store.

    `starts` and `was_active` have an entry for each store of which there are polls: where they begin, and the
    status before the first of them.
    """
    active = packed & 1 == 1
    before = np.empty_like(active)
    before[1:] = active[:-1]
    before[starts] = was_active
    changed: Bools = active != before
    return changed


def changes_of(packed: Int64s, *, was_active: bool) -> Int64s:
    """Those polls of one store that change its status, given the one before the first of them."""
    starts = np.arange(min(1, len(packed)))
    changes: Int64s = packed[is_change(packed, starts, np.full(len(starts), was_active))]
    return changes


def accumulate(calendars: Sequence[Calendar], changes: Int64s, starts: Int64s, start_us: Int64s) -> Int64s:
    """The uptime accumulated at each of some successive changes of status.

    Store i has a calendar, at least one change from `starts[i]` on, and `start_us[i]` accumulated at that one.
    """
    if not len(changes):
        return changes
    at_us = changes >> 1
    counts = np.diff(starts, append=len(changes))
    open_us = _open_time_us(calendars, at_us, starts, counts)
    up_us = np.empty(len(changes), np.int64)
    np.multiply(open_us[1:] - open_us[:-1], changes[:-1] & 1, out=up_us[1:])
    up_us[starts] = 0
    up_us = up_us.cumsum()
    up_us += np.repeat(start_us - up_us[starts], counts)
    return up_us


def _open_time_us(calendars: Sequence[Calendar], at_us: Int64s, starts: Int64s, counts: Int64s) -> Int64s:
    """The open time of each store at its instants.

    Stores of one calendar and near instants share what is prepared.
    """
    every: dict[int, tuple[int, OpenTime]] = {}
    index = []
    spans = list(zip(at_us[starts].tolist(), at_us[starts + counts - 1].tolist(), strict=True))
    half = len(spans) // 2
    if half and sum(to_us - from_us for from_us, to_us in spans) > _MAX_SPANS_US:
        middle = starts[half]
        return np.concatenate(
            (
                _open_time_us(calendars[:half], at_us[:middle], starts[:half], counts[:half]),
                _open_time_us(calendars[half:], at_us[middle:], starts[half:] - middle, counts[half:]),
            )
        )
    for calendar, (from_us, to_us) in zip(calendars, spans, strict=True):
        prepared = calendar.open_time(from_us, to_us)
        index.append(every.setdefault(id(prepared), (len(every), prepared))[0])
    open_times = OpenTimes([prepared for _, prepared in every.values()])
    return open_times.read_us(np.repeat(np.array(index, np.int64), counts), at_us)


def changes_before(
    summaries: Summaries, baseline: Int64s, first_day: Int64s, has_days_before: Bools
) -> StatusChanges:
    """The changes that stay: those before the first affected day.

    Where no day stays, that is the baseline if it is down.
    """
    of_change = owners(summaries.first_change)
    is_before = summaries.change_polls < (first_day * PACKED_PER_DAY)[of_change]
    kept = StatusChanges(of_change, summaries.change_polls, summaries.change_up_us)
    down = np.flatnonzero(~has_days_before & (baseline & 1 == 0))  # NO_POLL is odd
    return _by_store(
        StatusChanges(down, baseline[down], np.zeros_like(down)),
        kept.only(has_days_before[of_change] & is_before),
    )


def derive_changes(summaries: Summaries, before: StatusChanges, polls: Polls) -> StatusChanges:
    """All changes: those `before`, and those that follow from the polls after them."""
    last = before.only(run_lasts(before.stores))
    was_active = np.ones(len(summaries.latest), bool)
    was_active[last.stores] = last.polls & 1 == 1

    first_of_store = run_starts(polls.stores)
    changed = is_change(polls.packed, polls.starts[first_of_store], was_active[polls.stores[first_of_store]])
    nth_day = np.repeat(np.arange(len(polls.days)), polls.counts)[changed]
    after = StatusChanges(polls.stores[nth_day], polls.packed[changed], np.zeros_like(nth_day))
    up_us = _accumulated_after(summaries, last, after)
    keep, up_us = _compact(up_us, nth_day)
    return _by_store(before, StatusChanges(after.stores[keep], after.polls[keep], up_us[keep]))


def _accumulated_after(summaries: Summaries, last: StatusChanges, after: StatusChanges) -> Int64s:
    """The uptime accumulated at each change `after` the `last` one of its store, which may have none.

    Where a store was up, its open time runs on from the last change before; else that may be long ago, and is not
    read.
    """
    has_more = np.isin(last.stores, after.stores)
    runs_on = last.only((last.polls & 1 == 1) & has_more)
    every = _by_store(runs_on, after)
    starts = run_starts(every.stores)
    of_start = every.stores[starts]
    start_us = np.zeros(len(summaries.latest), np.int64)
    start_us[last.stores] = last.up_us
    calendars = [calendar_of(summaries.opening_hours[at]) for at in summaries.hours_of[of_start].tolist()]
    up_us = accumulate(calendars, every.polls, starts, start_us[of_start])
    return np.delete(up_us, starts[np.isin(of_start, runs_on.stores)])


def _compact(up_us: Int64s, days: Int64s) -> tuple[Bools, Int64s]:
    """Which changes to keep, and all up_us, those of the first in a compacted day inverted.

    `days` tells the days of each store apart.
    """
    starts = run_starts(days)
    counts = np.diff(starts, append=len(days))
    is_compacted = counts > COMPACT_ABOVE
    keep = np.repeat(~is_compacted, counts)
    if is_compacted.any():
        first = starts[is_compacted]
        keep[first] = True
        keep[first + counts[is_compacted] - 1] = True
        up_us = up_us.copy()
        up_us[first] = ~up_us[first]
    return keep, up_us


def _by_store(first: StatusChanges, then: StatusChanges) -> StatusChanges:
    """Two lists of changes as one; those of a store in the first come before those in the second."""
    stores = np.concatenate((first.stores, then.stores))
    order = stores.argsort(kind="stable")
    polls, up_us = np.concatenate((first.polls, then.polls)), np.concatenate((first.up_us, then.up_us))
    return StatusChanges(stores[order], polls[order], up_us[order])
