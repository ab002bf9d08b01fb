"""One store's ledger: its polls, day by day, and the uptime accumulated at each change of status.

Owns: merging polls into a store's state, retention, and the marks. Must not know: where pages are kept,
what a report looks like, what time it is.

The law (SPEC 2.7): a head is a pure function of the set of polls, the zone and the week. Merging is therefore
commutative, associative and idempotent, and this module holds it by construction: whatever changes, all
from the first affected day on is derived again from the pages, by one and the same function.

Marks are the changes of status, with the uptime accumulated so far. Before its first mark a store is
active; statuses alternate; the first mark's uptime is 0, so that dropped history cannot leak in.

    polls    a    a    i    i    i    a    a    i              a = active, i = inactive
    status   ▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁
    marks              0              1         2
    up_us              0              0         open time between 1 and 2, on the business clock

So the uptime of any window is a difference of two marks and two readings of the clock (stream.core.fleet).

A day with more than FOLD_AT changes is folded: the head keeps its first and last mark, and the first one's
up_us is stored as ~up_us. The day's page has the rest. This bounds a head whatever the polls do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from schemas.state import NO_DAYS, NO_INTS, NO_POLL, Head, Int64s
from schemas.values import DAY_US, Week
from stream.core.clock import BusinessClock, clock_of

FOLD_AT: Final = 16
"""More changes of status than this in one UTC day are folded."""

LoadPage = Callable[[int], Int64s]
"""Hands out the codes kept for a UTC day, ascending; none where there is no page."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What a merge leads to: the new head, pages to write by day, and days whose pages are to be deleted."""

    head: Head
    pages: dict[int, Int64s]
    dropped: list[int]


def canonical(codes: Int64s) -> Int64s:
    """The polls of one store as a set: ascending, one an instant, and there `inactive` wins (SPEC 2.1)."""
    codes = np.sort(codes)
    keep = np.empty(len(codes), bool)
    keep[:1] = True
    np.not_equal(codes[1:] >> 1, codes[:-1] >> 1, out=keep[1:])
    return codes[keep]


def merge(head: Head, codes: Int64s, load: LoadPage, retention_days: int) -> Settled:
    """Merge polls, in any order and with any repeats, into a store's state.

    `codes` must not be empty. The pages of all days from the first affected one on are loaded: one page for
    a poll in order, more for a late one.
    """
    codes = canonical(codes)
    latest_us = max(head.latest, int(codes[-1])) >> 1
    floor_day = (latest_us - retention_days * DAY_US) // DAY_US
    old, fresh = np.split(codes, [np.searchsorted(codes, 2 * DAY_US * floor_day)])
    kept = head.days[head.days[:, 0] >= floor_day]
    dropped = [int(day) for day in head.days[: len(head.days) - len(kept), 0]]
    newest_dropped = load(dropped[-1])[-1:] if dropped else NO_INTS
    carry = _latest(np.concatenate((old[-1:], newest_dropped, [head.carry])))

    by_day = _split_days(fresh)
    from_start = bool(dropped) or carry != head.carry
    first_day = floor_day if from_start else min(by_day, default=floor_day)
    pages, changed = {}, {}
    for day in sorted({*by_day, *kept[kept[:, 0] >= first_day, 0].tolist()}):
        page = load(day)
        pages[day] = canonical(np.concatenate((page, by_day[day]))) if day in by_day else page
        if len(pages[day]) != len(page) or not np.array_equal(pages[day], page):
            changed[day] = pages[day]
    head = replace(head, carry=carry, days=kept)
    return Settled(_derive(head, first_day, pages), changed, dropped)


def reschedule(head: Head, zone: str | None, week: Week | None, load: LoadPage) -> Head:
    """The head read with another zone and week: a change of either is retroactive (SPEC 2.2).

    Also rebuilds a head that was made with another zone database.
    """
    head = replace(head, zone=zone, week=week)
    return _derive(head, 0, {int(day): load(int(day)) for day in head.days[:, 0]})


def forget_polls(head: Head) -> Head:
    """The head without any poll; hours and zone stay (SPEC 3, a null value on `store-polls`).

    All pages of the store are to be deleted.
    """
    return Head(head.zone, head.week, NO_POLL, NO_POLL, NO_DAYS, NO_INTS, NO_INTS)


def retained(codes: Int64s, carry: int, retention_days: int) -> Int64s:
    """Exactly the polls of SPEC 2.8: `retention_days` back from the store's latest, and the one before.

    `codes` are those of all its pages, ascending. Pages are dropped by the day, so they reach a little
    further; no window can tell.
    """
    if not len(codes):
        return codes
    floor = 2 * ((int(codes[-1]) >> 1) - retention_days * DAY_US)
    first = int(np.searchsorted(codes, floor))
    if first:
        return codes[first - 1 :]
    return codes if carry == NO_POLL else np.concatenate(([carry], codes))


def day_changes(codes: Int64s, was_active: bool) -> Int64s:
    """The codes that change the status, given the one before the first of them."""
    active = codes & 1
    before = np.empty_like(active)
    before[:1] = was_active
    before[1:] = active[:-1]
    changes: Int64s = codes[active != before]
    return changes


def _derive(head: Head, first_day: int, pages: dict[int, Int64s]) -> Head:
    """Derive days, marks and `latest` from `first_day` on; `pages` holds every page from there on."""
    from_code = 2 * DAY_US * first_day
    prefix = int(np.searchsorted(head.mark_codes, from_code))
    codes_before, ups_before = head.mark_codes[:prefix], head.mark_ups[:prefix]
    days_before = head.days[head.days[:, 0] < first_day]
    if not len(days_before):
        is_down = head.carry != NO_POLL and not head.carry & 1
        codes_before = np.array([head.carry], np.int64) if is_down else NO_INTS
        ups_before = np.zeros(len(codes_before), np.int64)

    codes = np.concatenate((NO_INTS, *pages.values()))
    was_active = not len(codes_before) or bool(codes_before[-1] & 1)
    changes = day_changes(codes, was_active)
    ups = _continue(head, codes_before[-1:], ups_before[-1:], changes)
    changes, ups = _fold(changes, ups)
    counts = [(day, up := int((page & 1).sum()), len(page) - up) for day, page in pages.items() if len(page)]
    return replace(
        head,
        latest=int(codes[-1]) if len(codes) else head.latest,
        days=np.concatenate((days_before, np.array(counts, np.int64).reshape(-1, 3))),
        mark_codes=np.concatenate((codes_before, changes)),
        mark_ups=np.concatenate((ups_before, ups)),
    )


def _continue(head: Head, last_code: Int64s, last_up: Int64s, changes: Int64s) -> Int64s:
    """The uptime accumulated at each change, going on from the last mark before them, if there is one."""
    if not len(changes):
        return NO_INTS
    clock = clock_of(head.zone, head.week or ())
    if not len(last_code):
        return accumulate(clock, changes, 0)
    if last_code[0] & 1:
        return accumulate(clock, np.concatenate((last_code, changes)), int(last_up[0]))[1:]
    return accumulate(clock, changes, int(last_up[0]))  # down since then, for however long


def accumulate(clock: BusinessClock, codes: Int64s, start_us: int) -> Int64s:
    """The uptime accumulated at each of some successive changes, `start_us` at the first one."""
    at_us = codes >> 1
    gained = np.diff(clock.readings(int(at_us[0]), int(at_us[-1])).read_us(at_us)) * (codes[:-1] & 1)
    ups: Int64s = start_us + np.concatenate((np.zeros(1, np.int64), np.cumsum(gained)))
    return ups


def _fold(changes: Int64s, ups: Int64s) -> tuple[Int64s, Int64s]:
    """Keep only the first and last change of a day that has more than FOLD_AT of them."""
    if len(changes) <= FOLD_AT:
        return changes, ups
    _, first, day_of_change, count = np.unique(
        changes // (2 * DAY_US), return_index=True, return_inverse=True, return_counts=True
    )
    folded = count > FOLD_AT
    if not folded.any():
        return changes, ups
    keep = ~folded[day_of_change]
    keep[first] = True
    keep[first + count - 1] = True
    ups = ups.copy()
    ups[first[folded]] = ~ups[first[folded]]
    return changes[keep], ups[keep]


def _latest(codes: Int64s) -> int:
    """The latest of some polls, NO_POLL where there is none; at one instant `inactive` wins."""
    return int(min((code for code in codes.tolist() if code >> 1 == codes.max() >> 1), default=NO_POLL))


def _split_days(codes: Int64s) -> dict[int, Int64s]:
    """Ascending codes by UTC day."""
    if not len(codes):
        return {}
    days = codes // (2 * DAY_US)
    starts = np.flatnonzero(np.diff(days)) + 1
    return {int(part[0] // (2 * DAY_US)): part for part in np.split(codes, starts)}
