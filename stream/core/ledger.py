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
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from schemas.state import NO_DAYS, NO_INTS, NO_POLL, Head, Int64s
from schemas.values import DAY_US, Week
from stream.core.clock import BusinessClock, clock_of

_DAY_CODES: Final = 2 * DAY_US
"""The codes of one UTC day."""

FOLD_AT: Final = 16
"""More changes of status than this in one UTC day are folded."""

LoadPages = Callable[[list[int]], Int64s]
"""Hands out the codes kept for some UTC days (ascending), ascending; nothing for a day without a page."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What a merge leads to: the new head, pages to write by day, and days whose pages are to be deleted.

    They are to be written in this order, so that whatever prefix of it survives a crash, there is no page that
    counts but the head does not know; merging the same polls again then leads to the same state.
    """

    head: Head
    pages: dict[int, Int64s]
    dropped: list[int]


def canonical(codes: Int64s) -> Int64s:
    """The polls of one store as a set: ascending, one an instant, and there `inactive` wins (SPEC 2.1)."""
    codes = codes.copy()
    codes.sort()
    at_us = codes >> 1
    keep = np.empty(len(codes), bool)
    keep[:1] = True
    np.not_equal(at_us[1:], at_us[:-1], out=keep[1:])
    return codes[keep]


def merge(head: Head, codes: Int64s, load: LoadPages, retention_days: int) -> Settled:
    """Merge polls, in any order and with any repeats, into a store's state.

    `codes` must not be empty. The pages of all days from the first affected one on are loaded: one page for
    a poll in order, more for a late one.
    """
    codes = canonical(codes)
    latest_us = max(head.latest, int(codes[-1])) >> 1
    floor_day = (latest_us - retention_days * DAY_US) // DAY_US
    split = int(codes.searchsorted(floor_day * _DAY_CODES))
    old, fresh = codes[:split], codes[split:]
    days: list[int] = head.days[:, 0].tolist()
    dropped = [day for day in days if day < floor_day]
    newest_dropped = load(dropped[-1:])[-1:] if dropped else NO_INTS
    carry = _latest([*old[-1:].tolist(), *newest_dropped.tolist(), head.carry])

    fresh_starts = _day_starts(fresh)
    fresh_days = (fresh[fresh_starts] // _DAY_CODES).tolist()
    from_start = bool(dropped) or carry != head.carry or not fresh_days
    first_day = floor_day if from_start else fresh_days[0]
    kept = load([day for day in days if day >= first_day])
    merged = canonical(np.concatenate((kept, fresh))) if len(kept) else fresh
    starts = _day_starts(merged) if len(kept) else fresh_starts
    after = _by_day(merged, starts)
    before = _by_day(kept, _day_starts(kept)) if len(kept) else {}
    changed = after
    if before:
        changed = {
            day: after[day]
            for day in fresh_days
            if day not in before or after[day].tobytes() != before[day].tobytes()
        }
    head = _derive(head, head.days[len(dropped) :], carry, first_day, _Part(merged, starts))
    return Settled(head, changed, dropped)


def reschedule(head: Head, zone: str | None, week: Week | None, load: LoadPages) -> Head:
    """The head read with another zone and week: a change of either is retroactive (SPEC 2.2).

    Also rebuilds a head that was made with another zone database.
    """
    head = Head(zone, week, head.latest, head.carry, head.days, head.mark_codes, head.mark_ups)
    if not len(head.days):
        return head
    codes = load(head.days[:, 0].tolist())
    return _derive(head, head.days, head.carry, 0, _Part(codes, _day_starts(codes)))


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


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Ascending codes, and where each UTC day begins in them."""

    codes: Int64s
    starts: Int64s


def _derive(head: Head, days: Int64s, carry: int, first_day: int, part: _Part) -> Head:
    """Derive marks, `latest` and the days from `first_day` on; `part` has all polls from there on.

    `days` and `carry` take the place of the head's; its zone and week hold.
    """
    codes = part.codes
    days_before = days[: days[:, 0].searchsorted(first_day)]
    if len(days_before):
        prefix = int(head.mark_codes.searchsorted(first_day * _DAY_CODES))
        codes_before, ups_before = head.mark_codes[:prefix], head.mark_ups[:prefix]
    else:
        is_down = carry != NO_POLL and not carry & 1
        codes_before = np.array([carry], np.int64) if is_down else NO_INTS
        ups_before = np.zeros(len(codes_before), np.int64)

    changes = day_changes(codes, was_active=not len(codes_before) or bool(codes_before[-1] & 1))
    ups = _continue(head, codes_before[-1:], ups_before[-1:], changes)
    changes, ups = _fold(changes, ups)
    return Head(
        zone=head.zone,
        week=head.week,
        latest=int(codes[-1]) if len(codes) else head.latest,
        carry=carry,
        days=np.concatenate((days_before, _count_days(part))),
        mark_codes=np.concatenate((codes_before, changes)),
        mark_ups=np.concatenate((ups_before, ups)),
    )


def _count_days(part: _Part) -> Int64s:
    """A row (UTC day, active polls, inactive polls) a day."""
    if not len(part.starts):
        return NO_DAYS
    counts = np.empty((len(part.starts), 3), np.int64)
    np.floor_divide(part.codes[part.starts], _DAY_CODES, out=counts[:, 0])
    np.add.reduceat(part.codes & 1, part.starts, out=counts[:, 1])
    counts[:-1, 2] = part.starts[1:]
    counts[-1, 2] = len(part.codes)
    counts[:, 2] -= part.starts + counts[:, 1]
    return counts


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
    read_us = clock.readings(int(at_us[0]), int(at_us[-1])).read_us(at_us)
    ups = np.empty(len(codes), np.int64)
    ups[0] = start_us
    np.multiply(read_us[1:] - read_us[:-1], codes[:-1] & 1, out=ups[1:])
    return ups.cumsum()


def _fold(changes: Int64s, ups: Int64s) -> tuple[Int64s, Int64s]:
    """Keep only the first and last change of a day that has more than FOLD_AT of them."""
    days = changes // _DAY_CODES
    if not (days[FOLD_AT:] == days[: max(0, len(days) - FOLD_AT)]).any():
        return changes, ups
    _, first, day_of_change, count = np.unique(
        days, return_index=True, return_inverse=True, return_counts=True
    )
    folded = count > FOLD_AT
    keep = ~folded[day_of_change]
    keep[first] = True
    keep[first + count - 1] = True
    ups = ups.copy()
    ups[first[folded]] = ~ups[first[folded]]
    return changes[keep], ups[keep]


def _latest(codes: list[int]) -> int:
    """The latest of some polls (NO_POLL among them counts as none); at one instant `inactive` wins."""
    latest_us = max(codes) >> 1
    return min(code for code in codes if code >> 1 == latest_us)


def _day_starts(codes: Int64s) -> Int64s:
    """Where each UTC day begins in some ascending codes."""
    days = codes // _DAY_CODES
    begins = np.empty(len(days), bool)
    begins[:1] = True
    np.not_equal(days[1:], days[:-1], out=begins[1:])
    return begins.nonzero()[0]


def _by_day(codes: Int64s, starts: Int64s) -> dict[int, Int64s]:
    """Ascending codes by UTC day."""
    days = (codes[starts] // _DAY_CODES).tolist()
    bounds = [*starts.tolist(), len(codes)]
    return {day: codes[start:end] for day, (start, end) in zip(days, pairwise(bounds), strict=True)}
