"""How sure a number is: what of the open time polls confirm, and the bounds that follow (rule 2.9).

Owns: confirmed, turning and assumed time, bounds, verdicts. Must not know: where polls come from, what a report is.

Two consecutive polls of a store that lie no further apart than the gap vouch for the time between them:

    polls       a     a        i   i                       a        gap: ├────────┤
    time        ├─────┼────────┼───┼───────────────────────┼──
                confirmed turning confirmed     assumed      assumed
                  up              down

With C the open time, which never goes back, the open time of [p, q) within [from, to) is
clip(C(q)) − clip(C(p)), where clip moves a reading into [C(from), C(to)]. So each poll is read once for all spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from schemas.arrays import Bools, Int64s
from schemas.summaries import Summaries
from stream.core.calendar import OpenTimes, blocks, calendar_of
from stream.core.changes import owners
from stream.core.windows import Spans, Window

PERCENT: Final = 10_000
"""A target is a whole number of ten-thousandths of a percent: 99.5 % is 995_000."""


class Verdict(Enum):
    """What can be said of a store against a target."""

    NOT_OPEN = "not open"
    NO_DATA = "no data"
    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class StorePolls:
    """Polls of some stores, packed and ascending: those of store i are `packed[first[i] : first[i + 1]]`.

    Repeats, and polls of one instant that disagree, may be among them.
    """

    first: Int64s
    packed: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Confidence:
    """Of each store in one span: its open time, and what of it is confirmed up, confirmed down, and turning.

    `has_poll`: whether a poll lies in the span, or no further from it than the gap.
    """

    open_us: Int64s
    confirmed_up_us: Int64s
    confirmed_down_us: Int64s
    turning_us: Int64s
    has_poll: Bools

    @property
    def assumed_us(self) -> Int64s:
        """Open time that no two polls vouch for."""
        assumed: Int64s = self.open_us - self.confirmed_up_us - self.confirmed_down_us - self.turning_us
        return assumed

    @property
    def least_up_us(self) -> Int64s:
        """The lower bound of the uptime."""
        return self.confirmed_up_us

    @property
    def most_up_us(self) -> Int64s:
        """The upper bound of the uptime."""
        most: Int64s = self.open_us - self.confirmed_down_us
        return most


def confidence(
    summaries: Summaries, polls: StorePolls, spans: Sequence[Window | Spans], gap_us: int
) -> list[Confidence]:
    """What is confirmed in each span, of every store. Polls count wherever they lie, also after a span."""
    if not spans:
        return []
    edges = [edge for span in spans for edge in (span.from_us, span.to_us)]
    from_us, to_us = min(int(np.min(edge)) for edge in edges), max(int(np.max(edge)) for edge in edges)
    store, at_us, active = _near(polls, from_us - gap_us, to_us + gap_us)
    reach = blocks(from_us - gap_us, to_us + gap_us)
    open_times = OpenTimes([calendar_of(hours).open_time(*reach) for hours in summaries.opening_hours])
    pairs = _Pairs(store, at_us, active, open_times.read_us(summaries.hours_of[store], at_us), gap_us)
    return [_within(span, open_times, summaries.hours_of, pairs) for span in spans]


def verdicts(found: Confidence, target: int) -> list[Verdict]:
    """Of each store, against a target in ten-thousandths of a percent of the open time; compared exactly."""
    wanted = found.open_us.astype(object) * target
    reached = found.least_up_us.astype(object) * 100 * PERCENT >= wanted
    reachable = found.most_up_us.astype(object) * 100 * PERCENT >= wanted
    cases = zip(found.open_us.tolist(), found.has_poll.tolist(), reached, reachable, strict=True)
    return [_verdict(*case) for case in cases]


def _verdict(open_us: int, has_poll: bool, reached: bool, reachable: bool) -> Verdict:
    if not open_us:
        return Verdict.NOT_OPEN
    if not has_poll:
        return Verdict.NO_DATA
    if reached:
        return Verdict.MET
    return Verdict.UNDECIDED if reachable else Verdict.MISSED


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Polls of all stores, one an instant: whose, when, whether active, and the open time of their store then."""

    store: Int64s
    at_us: Int64s
    active: Bools
    open_time_us: Int64s
    gap_us: int


def _near(polls: StorePolls, from_us: int, to_us: int) -> tuple[Int64s, Int64s, Bools]:
    """The polls in a span, both ends included, one an instant: at one instant `inactive` wins (rule 2.1)."""
    store, at_us = owners(polls.first), polls.packed >> 1
    near = (at_us >= from_us) & (at_us <= to_us)
    store, at_us, active = store[near], at_us[near], (polls.packed & 1 == 1)[near]
    is_first = np.ones(len(store), bool)
    is_first[1:] = (store[1:] != store[:-1]) | (at_us[1:] != at_us[:-1])
    return store[is_first], at_us[is_first], active[is_first]


def _within(span: Window | Spans, open_times: OpenTimes, hours_of: Int64s, polls: _Pairs) -> Confidence:
    from_us, to_us = (
        np.broadcast_to(np.asarray(each), hours_of.shape) for each in (span.from_us, span.to_us)
    )
    begin_us, end_us = open_times.read_us(hours_of, span.from_us), open_times.read_us(hours_of, span.to_us)
    store, at_us, gap_us = polls.store, polls.at_us, polls.gap_us
    is_near = (at_us >= from_us[store] - gap_us) & (at_us <= to_us[store] + gap_us)
    first = np.flatnonzero(
        (store[1:] == store[:-1]) & (at_us[1:] - at_us[:-1] <= gap_us) & is_near[1:] & is_near[:-1]
    )
    of_pair, was, then = store[first], polls.active[first], polls.active[first + 1]
    least, most = begin_us[of_pair], end_us[of_pair]
    open_us = np.clip(polls.open_time_us[first + 1], least, most) - np.clip(
        polls.open_time_us[first], least, most
    )

    def of_each(which: Bools) -> Int64s:
        """Sums of whole numbers below 2**53, so a double has them exactly."""
        sums = np.bincount(of_pair[which], weights=open_us[which], minlength=len(hours_of))
        return sums.astype(np.int64)

    return Confidence(
        open_us=end_us - begin_us,
        confirmed_up_us=of_each(was & then),
        confirmed_down_us=of_each(~was & ~then),
        turning_us=of_each(was != then),
        has_poll=np.bincount(store[is_near], minlength=len(hours_of)) > 0,
    )
