"""The ledgers of some stores: their polls, day by day, and the marks that follow from them.

Owns: merging news into stores' states, retention. Must not know: where pages are kept, what a report looks
like, what time it is.

The law (rule 2.7): a head is a pure function of the set of polls, the zone and the week. Merging is therefore
commutative, associative and idempotent, and this module holds it by construction: whatever changes, all
from the first affected day on is derived again from the pages, by one and the same function.

Stores are settled many at a time, in array operations over all their polls, and none hears of another:

    heads ──┐           which days are affected, and which dropped (retention)
    news  ──┼── settle  polls of those days: kept pages ∪ news, each instant once      ──▶ pages, dropped days
    pages ──┘           marks and days: those before the first affected day ∪ derived  ──▶ heads
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from schemas.state import DAY_CODES, NO_INTS, NO_POLL, DayColumns, HeadColumns, Int64s
from schemas.values import DAY_US
from stream.core.changes import Bools, Polls, derive_marks, marks_before, owners, run_lasts, run_starts

_NEVER: Final = 1 << 22
"""A UTC day after all others."""

LoadPages = Callable[[Int64s, Int64s], tuple[Int64s, Int64s]]
"""Hands out the codes on the page of store `stores[i]` and UTC day `days[i]`, ascending, one page after the
other; and how many each page has, 0 where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class NewsColumns:
    """What was said of some stores.

    `forgets`: whether the polls of before are forgotten. `schedules`: by store, the packed schedule that holds from
    now on, and for all of the past (rule 2.2); also a known one, to derive all anew. `codes`: polls in any order
    and with any repeats, those of store i from `first[i]` up to `first[i + 1]`.
    """

    forgets: Bools
    schedules: Mapping[int, bytes]
    first: Int64s
    codes: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """Pages to write: of store `stores[i]` and UTC day `days[i]`, with the next `counts[i]` of `codes`."""

    stores: Int64s
    days: Int64s
    counts: Int64s
    codes: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What news leads to: the new heads, pages to write, and (store, UTC day) of those to be deleted.

    They are to be written in this order, heads, deletions, pages, so that whatever prefix of it survives a crash,
    there is no page that counts but the head does not know; the same news again then leads to the same state.
    Of a store that forgets, all pages are to be deleted after its head and before its new pages.
    """

    heads: HeadColumns
    days: DayColumns
    dropped_stores: Int64s
    dropped_days: Int64s
    pages: Pages


def settle(
    heads: HeadColumns, days: DayColumns, news: NewsColumns, load: LoadPages, retention_days: int
) -> Settled:
    """Merge news into the states of some stores.

    The pages of all days from a store's first affected one on are loaded: one page for a poll in order, more for
    a late one, all where zone or week changed.
    """
    heads, days = _forget(_reschedule(heads, news.schedules), days, news.forgets)
    of_code, of_day, day = owners(news.first), owners(days.first), days.rows[:, 0]
    latest = heads.latest.copy()
    np.maximum.at(latest, of_code, news.codes)
    floor_day = latest // DAY_CODES - retention_days

    is_old, is_dropped = news.codes < (floor_day * DAY_CODES)[of_code], day < floor_day[of_day]
    dropped_stores, dropped_days = of_day[is_dropped], day[is_dropped]
    carry = _latest(heads.carry, of_code[is_old], news.codes[is_old])
    carry = _latest(carry, *_last_polls(dropped_stores, dropped_days, load))

    is_fresh = ~is_old
    fresh_of, fresh = of_code[is_fresh], news.codes[is_fresh]
    first_day = np.full(len(latest), _NEVER)
    np.minimum.at(first_day, fresh_of, fresh // DAY_CODES)
    for anew in (list(news.schedules), dropped_stores, carry != heads.carry):
        first_day[anew] = floor_day[anew]
    is_kept, is_before = day >= first_day[of_day], ~is_dropped & (day < first_day[of_day])
    kept_of, kept = _load(of_day[is_kept], day[is_kept], load)
    polls = _merge(floor_day, retention_days + 1, (kept_of, fresh_of), (kept, fresh))

    has_days_before = np.bincount(of_day[is_before], minlength=len(latest)) > 0
    marks = derive_marks(heads, marks_before(heads, carry, first_day, has_days_before), polls)
    return Settled(
        heads=replace(
            heads,
            latest=_derive_latest(heads.latest, polls),
            carry=carry,
            first_mark=_firsts(marks.stores, len(latest)),
            mark_codes=marks.codes,
            mark_ups=marks.ups,
        ),
        days=_derive_days(of_day[is_before], days.rows[is_before], polls, len(latest)),
        dropped_stores=dropped_stores,
        dropped_days=dropped_days,
        pages=_changed_pages(polls),
    )


def retained(codes: Int64s, carry: int, retention_days: int) -> Int64s:
    """Exactly the polls of rule 2.8: `retention_days` back from the store's latest, and the one before.

    `codes` are those of all pages of one store, ascending. Pages are dropped by the day, so they reach a little
    further; no window can tell.
    """
    if not len(codes):
        return codes
    floor = 2 * ((int(codes[-1]) >> 1) - retention_days * DAY_US)
    first = int(np.searchsorted(codes, floor))
    if first:
        return codes[first - 1 :]
    return codes if carry == NO_POLL else np.concatenate(([carry], codes))


def _reschedule(heads: HeadColumns, schedules: Mapping[int, bytes]) -> HeadColumns:
    """The heads with other zones and weeks."""
    if not schedules:
        return heads
    schedule_of = heads.schedule_of.copy()
    schedule_of[list(schedules)] = len(heads.schedules) + np.arange(len(schedules))
    return replace(heads, schedules=[*heads.schedules, *schedules.values()], schedule_of=schedule_of)


def _forget(heads: HeadColumns, days: DayColumns, forgets: Bools) -> tuple[HeadColumns, DayColumns]:
    """The heads without any poll of the stores that forget; hours and zone stay (rules 3)."""
    if not forgets.any():
        return heads, days
    of_mark, of_day = owners(heads.first_mark), owners(days.first)
    has_mark, has_day = ~forgets[of_mark], ~forgets[of_day]
    return replace(
        heads,
        latest=np.where(forgets, NO_POLL, heads.latest),
        carry=np.where(forgets, NO_POLL, heads.carry),
        first_mark=_firsts(of_mark[has_mark], len(forgets)),
        mark_codes=heads.mark_codes[has_mark],
        mark_ups=heads.mark_ups[has_mark],
    ), DayColumns(_firsts(of_day[has_day], len(forgets)), days.rows[has_day])


def _latest(latest: Int64s, stores: Int64s, codes: Int64s) -> Int64s:
    """The latest of each store's poll so far and some more; at one instant `inactive` wins (rule 2.1)."""
    inactive_last = latest ^ 1
    np.maximum.at(inactive_last, stores, codes ^ 1)
    return inactive_last ^ 1


def _last_polls(stores: Int64s, days: Int64s, load: LoadPages) -> tuple[Int64s, Int64s]:
    """The last poll on the last of each store's pages: of which store, and its code."""
    last = run_lasts(stores)
    of_poll, codes = _load(stores[last], days[last], load)
    last = run_lasts(of_poll)
    return of_poll[last], codes[last]


def _load(stores: Int64s, days: Int64s, load: LoadPages) -> tuple[Int64s, Int64s]:
    """The polls of some pages: of which store, and their codes."""
    if not len(stores):
        return NO_INTS, NO_INTS
    codes, counts = load(stores, days)
    return np.repeat(stores, counts), codes


def _merge(
    floor_day: Int64s, most_days: int, stores: tuple[Int64s, Int64s], codes: tuple[Int64s, Int64s]
) -> Polls:
    """Kept and new polls of some stores as a set, of one instant the `inactive` one (rule 2.1).

    A store's polls lie within `most_days` from its `floor_day` on. So each fits, behind those of the stores before
    it, into one number, whose order is that of stores, instants, statuses, and kept before new.
    """
    base = (np.arange(len(floor_day)) * most_days - floor_day) * DAY_CODES
    keys = np.concatenate(codes) + base[np.concatenate(stores)] << 1
    keys[len(codes[0]) :] |= 1
    keys.sort()
    keys = keys[run_starts(keys >> 2)]
    ordered = keys >> 1
    day = ordered // DAY_CODES
    starts = run_starts(day)
    of_day, nth_day = np.divmod(day[starts], most_days)
    counts = np.diff(starts, append=len(day))
    return Polls(
        codes=ordered - np.repeat(base[of_day], counts),
        is_news=keys & 1 == 1,
        starts=starts,
        stores=of_day,
        days=nth_day + floor_day[of_day],
        counts=counts,
    )


def _derive_latest(latest: Int64s, polls: Polls) -> Int64s:
    """The latest poll of each store, which is as it was where no day is affected."""
    last = run_lasts(polls.stores)
    latest = latest.copy()
    latest[polls.stores[last]] = polls.codes[(polls.starts + polls.counts - 1)[last]]
    return latest


def _derive_days(stores: Int64s, rows: Int64s, polls: Polls, count: int) -> DayColumns:
    """All days: those before, and those counted from the polls after them."""
    active = np.add.reduceat(polls.codes & 1, polls.starts) if len(polls.starts) else NO_INTS
    counted = np.stack((polls.days, active, polls.counts - active), axis=1)
    stores = np.concatenate((stores, polls.stores))
    order = stores.argsort(kind="stable")
    return DayColumns(_firsts(stores, count), np.concatenate((rows, counted))[order])


def _changed_pages(polls: Polls) -> Pages:
    """The pages of those days that got a poll."""
    changed = np.logical_or.reduceat(polls.is_news, polls.starts) if len(polls.starts) else polls.is_news
    return Pages(
        polls.stores[changed],
        polls.days[changed],
        polls.counts[changed],
        polls.codes[np.repeat(changed, polls.counts)],
    )


def _firsts(stores: Int64s, count: int) -> Int64s:
    """Where the items of each of `count` stores begin, and the end of the last."""
    return np.concatenate(([0], np.cumsum(np.bincount(stores, minlength=count))))
