"""Marks: the changes of status of stores, with the uptime accumulated up to each.

Owns: which polls change a status, the accumulators, folding. Must not know: polls that are not at hand,
storage. Here and in stream.core.merge the codes of several stores stand one store after the other, those of
each ascending.

Before its first mark a store is active; statuses alternate; the first mark's uptime is 0, so that dropped
history cannot leak in.

    polls    a    a    i    i    i    a    a    i              a = active, i = inactive
    status   ▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁
    marks              0              1         2
    up_us              0              0         open time between 1 and 2, on the business clock

So the uptime of any window is a difference of two marks and two readings of the clock (stream.core.totals).

A day with more than FOLD_AT changes is folded: the head keeps its first and last mark, and the first one's
up_us is stored as ~up_us. The day's page has the rest. This bounds a head whatever the polls do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.state import DAY_CODES, HeadColumns, Int64s
from stream.core.calendar import BusinessClock, Readings, ReadingsStack, clock_of_schedule

Bools = npt.NDArray[np.bool_]

FOLD_AT: Final = 16
"""More changes of status than this in one UTC day are folded."""


@dataclass(frozen=True, slots=True, eq=False)
class Polls:
    """Polls of some stores, ascending and one an instant, and whether the news brought each.

    Their days: where each begins, of which store and UTC day it is, how many polls it has.
    """

    codes: Int64s
    is_news: Bools
    starts: Int64s
    stores: Int64s
    days: Int64s
    counts: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Marks of some stores, and of which store each is, ascending."""

    stores: Int64s
    codes: Int64s
    ups: Int64s


def run_starts(values: Int64s) -> Int64s:
    """Where each run of equal values begins."""
    begins = np.empty(len(values), bool)
    begins[:1] = True
    np.not_equal(values[1:], values[:-1], out=begins[1:])
    return begins.nonzero()[0]


def run_lasts(values: Int64s) -> Int64s:
    """Where each run of equal values, none of them negative, has its last one."""
    return np.diff(values, append=-1).nonzero()[0]


def is_change(codes: Int64s, starts: Int64s, was_active: Bools) -> Bools:
    """Which codes change the status of their store.

    Of the stores, those of which there are codes: where they begin, and the status before the first of them.
    """
    active = codes & 1 == 1
    before = np.empty_like(active)
    before[1:] = active[:-1]
    before[starts] = was_active
    changed: Bools = active != before
    return changed


def changes_of(codes: Int64s, *, was_active: bool) -> Int64s:
    """Those codes of one store that change its status, given the one before the first of them."""
    begins = np.arange(min(1, len(codes)))
    changes: Int64s = codes[is_change(codes, begins, np.full(len(begins), was_active))]
    return changes


def accumulate(clocks: Sequence[BusinessClock], codes: Int64s, starts: Int64s, start_us: Int64s) -> Int64s:
    """The uptime accumulated at each of some successive changes of status.

    Store i has a clock, at least one change from `starts[i]` on, and `start_us[i]` accumulated at that one.
    """
    if not len(codes):
        return codes
    at_us = codes >> 1
    counts = np.diff(starts, append=len(codes))
    read_us = _read_us(clocks, at_us, starts, counts)
    ups = np.empty(len(codes), np.int64)
    np.multiply(read_us[1:] - read_us[:-1], codes[:-1] & 1, out=ups[1:])
    ups[starts] = 0
    ups = ups.cumsum()
    ups += np.repeat(start_us - ups[starts], counts)
    return ups


def _read_us(clocks: Sequence[BusinessClock], at_us: Int64s, starts: Int64s, counts: Int64s) -> Int64s:
    """Each store's clock read at its instants. Stores with the same clock and near instants share a preparation."""
    readings: dict[int, tuple[int, Readings]] = {}
    index = []
    ends = zip(at_us[starts].tolist(), at_us[starts + counts - 1].tolist(), strict=True)
    for clock, (from_us, to_us) in zip(clocks, ends, strict=True):
        reading = clock.readings(from_us, to_us)
        index.append(readings.setdefault(id(reading), (len(readings), reading))[0])
    stack = ReadingsStack([reading for _, reading in readings.values()])
    return stack.read_us(np.repeat(np.array(index, np.int64), counts), at_us)


def marks_before(heads: HeadColumns, carry: Int64s, first_day: Int64s, has_days_before: Bools) -> Marks:
    """The marks that stay: those before the first affected day, or where no day is, the carry if it is down."""
    of_mark = owners(heads.first_mark)
    stays = has_days_before[of_mark] & (heads.mark_codes < (first_day * DAY_CODES)[of_mark])
    carried = np.flatnonzero(~has_days_before & (carry & 1 == 0))  # NO_POLL is odd
    return _by_store(
        Marks(carried, carry[carried], np.zeros_like(carried)),
        Marks(of_mark[stays], heads.mark_codes[stays], heads.mark_ups[stays]),
    )


def derive_marks(heads: HeadColumns, before: Marks, polls: Polls) -> Marks:
    """All marks: those `before`, and those that follow from the polls after them."""
    last = run_lasts(before.stores)
    is_up, up_us = np.ones(len(heads.latest), bool), np.zeros(len(heads.latest), np.int64)
    is_up[before.stores[last]] = before.codes[last] & 1 == 1
    up_us[before.stores[last]] = before.ups[last]

    first_of_store = run_starts(polls.stores)
    changed = is_change(polls.codes, polls.starts[first_of_store], is_up[polls.stores[first_of_store]])
    nth_day = np.repeat(np.arange(len(polls.days)), polls.counts)[changed]
    after = Marks(polls.stores[nth_day], polls.codes[changed], np.zeros_like(nth_day))

    # Where a store was up, its clock runs on from the last mark before; else that may be long ago.
    goes_on = last[is_up[before.stores[last]] & np.isin(before.stores[last], after.stores)]
    every = _by_store(Marks(before.stores[goes_on], before.codes[goes_on], before.ups[goes_on]), after)
    starts = run_starts(every.stores)
    of_start = every.stores[starts]
    clocks = [clock_of_schedule(heads.schedules[at]) for at in heads.schedule_of[of_start].tolist()]
    ups = accumulate(clocks, every.codes, starts, up_us[of_start])
    ups_after = np.delete(ups, starts[np.isin(of_start, before.stores[goes_on])])
    keep, ups = _fold(ups_after, nth_day)
    return _by_store(before, Marks(after.stores[keep], after.codes[keep], ups[keep]))


def _fold(ups: Int64s, days: Int64s) -> tuple[Bools, Int64s]:
    """Which marks to keep, and all ups, those of folded days marked; `days` tells each store's days apart."""
    starts = run_starts(days)
    counts = np.diff(starts, append=len(days))
    folded = counts > FOLD_AT
    keep = np.repeat(~folded, counts)
    if folded.any():
        first = starts[folded]
        keep[first] = True
        keep[first + counts[folded] - 1] = True
        ups = ups.copy()
        ups[first] = ~ups[first]
    return keep, ups


def _by_store(first: Marks, then: Marks) -> Marks:
    """Two runs of marks as one; those of a store in the first come before those in the second."""
    stores = np.concatenate((first.stores, then.stores))
    order = stores.argsort(kind="stable")
    codes, ups = np.concatenate((first.codes, then.codes)), np.concatenate((first.ups, then.ups))
    return Marks(stores[order], codes[order], ups[order])


def owners(first: Int64s) -> Int64s:
    """Of which store each item is, where store i's are those from `first[i]` up to `first[i + 1]`."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))
