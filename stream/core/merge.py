"""Merging updates into the states of stores: their polls, day by day, and the summaries that follow from them.

Owns: merging, retention. Must not know: where day blocks are kept, what a report looks like, what time it is.

The law (rule 2.7): a summary is a pure function of the set of polls and the opening hours. Merging is therefore
commutative, associative and idempotent, and this module holds it by construction: whatever changes, all
from the first affected day on is derived again from the day blocks, by one and the same function.

Stores are merged many at a time, in array operations over all their polls, and none hears of another:

    summaries   ──┐           which days are affected, and which are dropped (retention)
    updates     ──┼── merge   polls of those days: kept ∪ new, each instant once        ──▶ day blocks, dropped days
    day blocks  ──┘           days and changes: those before ∪ those derived            ──▶ summaries
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from schemas.arrays import NO_INTS, Bools, Int64s
from schemas.opening_hours import OpeningHours
from schemas.summaries import NO_POLL, PACKED_PER_DAY, DayCounts, Summaries
from schemas.values import DAY_US
from stream.core.changes import Polls, changes_before, derive_changes, owners, run_lasts, run_starts
from stream.core.wall_hours import NEVER

LoadDayBlocks = Callable[[Int64s, Int64s], tuple[Int64s, Int64s]]
"""Hands out the packed polls in the day block of store `stores[i]` and UTC day `days[i]`, ascending, one block
after the other; and how many each has, 0 where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class UpdateColumns:
    """What was said of some stores.

    `forgets`: whether the polls of before are forgotten. `opening_hours`: by store, those that hold from now on and
    for the past (rule 2.2), and the UTC day from which all is derived again. `packed`: polls in any order and with
    any repeats, those of store i from `first[i]` up to `first[i + 1]`.
    """

    forgets: Bools
    opening_hours: Mapping[int, tuple[OpeningHours, int]]
    first: Int64s
    packed: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class DayBlocks:
    """Day blocks to write.

    Each is of store `stores[i]` and UTC day `days[i]`, with the next `counts[i]` of the `packed` polls.
    """

    stores: Int64s
    days: Int64s
    counts: Int64s
    packed: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """What updates lead to: the new summaries, day blocks to write, and (store, UTC day) of those to be deleted.

    They are to be written in this order, summaries, deletions, day blocks, so that whatever prefix of it survives a
    crash, there is no day block that counts but the summary does not know; the same updates again then lead to the
    same state. Of a store that forgets, all day blocks are to be deleted after its summary and before its new ones.
    """

    summaries: Summaries
    days: DayCounts
    dropped_stores: Int64s
    dropped_days: Int64s
    day_blocks: DayBlocks


@dataclass(frozen=True, slots=True, eq=False)
class _Retained:
    """What retention leaves.

    For each store the first UTC day whose polls are kept, and the baseline before it; of all new polls and of all
    days that there were, which count.
    """

    floor_day: Int64s
    baseline: Int64s
    is_fresh: Bools
    is_kept: Bools


def merge(
    summaries: Summaries,
    days: DayCounts,
    updates: UpdateColumns,
    load: LoadDayBlocks,
    retention_days: int,
) -> Merged:
    """Merge updates into the states of some stores.

    The day blocks of all days from a store's first affected one on are loaded: one for a poll in order, more for
    a late one, all where the opening hours changed.
    """
    summaries, days = _forget(_with_hours(summaries, updates.opening_hours), days, updates.forgets)
    of_poll, of_day, day = owners(updates.first), owners(days.first), days.rows[:, 0]
    retained_ = _retain(summaries, days, updates, load, retention_days)
    dropped_stores, dropped_days = of_day[~retained_.is_kept], day[~retained_.is_kept]

    fresh_of, fresh = of_poll[retained_.is_fresh], updates.packed[retained_.is_fresh]
    first_day = np.full(len(summaries.latest), NEVER)
    np.minimum.at(first_day, fresh_of, fresh // PACKED_PER_DAY)
    for store, (_, since_day) in updates.opening_hours.items():
        first_day[store] = min(first_day[store], max(since_day, retained_.floor_day[store]))
    for whole in (dropped_stores, retained_.baseline != summaries.baseline):
        first_day[whole] = retained_.floor_day[whole]

    is_before = retained_.is_kept & (day < first_day[of_day])
    is_affected = day >= first_day[of_day]
    kept_of, kept = _load(of_day[is_affected], day[is_affected], load)
    polls = _union(retained_.floor_day, retention_days + 1, (kept_of, fresh_of), (kept, fresh))

    has_days_before = np.bincount(of_day[is_before], minlength=len(first_day)) > 0
    before = changes_before(summaries, retained_.baseline, first_day, has_days_before)
    changes = derive_changes(summaries, before, polls)
    return Merged(
        summaries=replace(
            summaries,
            latest=_derive_latest(summaries.latest, polls),
            baseline=retained_.baseline,
            first_change=_firsts(changes.stores, len(first_day)),
            change_polls=changes.polls,
            change_up_us=changes.up_us,
        ),
        days=_derive_days(of_day[is_before], days.rows[is_before], polls, len(first_day)),
        dropped_stores=dropped_stores,
        dropped_days=dropped_days,
        day_blocks=_changed_day_blocks(polls),
    )


def retained(packed: Int64s, baseline: int, retention_days: int) -> Int64s:
    """Exactly the polls of rule 2.8: `retention_days` back from the store's latest, and the one before.

    `packed` are those in all day blocks of one store, ascending. Blocks are dropped by the day, so they reach a
    little further; no window can tell.
    """
    if not len(packed):
        return packed
    floor = 2 * ((int(packed[-1]) >> 1) - retention_days * DAY_US)
    first = int(np.searchsorted(packed, floor))
    if first:
        return packed[first - 1 :]
    return packed if baseline == NO_POLL else np.concatenate(([baseline], packed))


def _with_hours(summaries: Summaries, opening_hours: Mapping[int, tuple[OpeningHours, int]]) -> Summaries:
    """The summaries with other opening hours of some stores."""
    if not opening_hours:
        return summaries
    hours_of = summaries.hours_of.copy()
    hours_of[list(opening_hours)] = len(summaries.opening_hours) + np.arange(len(opening_hours))
    every = [*summaries.opening_hours, *(hours for hours, _ in opening_hours.values())]
    return replace(summaries, opening_hours=every, hours_of=hours_of)


def _forget(summaries: Summaries, days: DayCounts, forgets: Bools) -> tuple[Summaries, DayCounts]:
    """The summaries without any poll of the stores that forget; hours and zone stay (rules 3)."""
    if not forgets.any():
        return summaries, days
    of_change, of_day = owners(summaries.first_change), owners(days.first)
    has_change, has_day = ~forgets[of_change], ~forgets[of_day]
    return replace(
        summaries,
        latest=np.where(forgets, NO_POLL, summaries.latest),
        baseline=np.where(forgets, NO_POLL, summaries.baseline),
        first_change=_firsts(of_change[has_change], len(forgets)),
        change_polls=summaries.change_polls[has_change],
        change_up_us=summaries.change_up_us[has_change],
    ), DayCounts(_firsts(of_day[has_day], len(forgets)), days.rows[has_day])


def _retain(
    summaries: Summaries,
    days: DayCounts,
    updates: UpdateColumns,
    load: LoadDayBlocks,
    retention_days: int,
) -> _Retained:
    """Move the floor of each store up to `retention_days` before its latest poll.

    Of what lies below, the last poll becomes the baseline.
    """
    of_poll, of_day, day = owners(updates.first), owners(days.first), days.rows[:, 0]
    latest = summaries.latest.copy()
    np.maximum.at(latest, of_poll, updates.packed)
    floor_day = latest // PACKED_PER_DAY - retention_days
    is_old = updates.packed < (floor_day * PACKED_PER_DAY)[of_poll]
    is_dropped = day < floor_day[of_day]
    baseline = _later(summaries.baseline, of_poll[is_old], updates.packed[is_old])
    baseline = _later(baseline, *_last_polls(of_day[is_dropped], day[is_dropped], load))
    return _Retained(floor_day, baseline, ~is_old, ~is_dropped)


def _later(latest: Int64s, stores: Int64s, packed: Int64s) -> Int64s:
    """The latest of each store's poll so far and some more; at one instant `inactive` wins (rule 2.1)."""
    inactive_last = latest ^ 1
    np.maximum.at(inactive_last, stores, packed ^ 1)
    return inactive_last ^ 1


def _last_polls(stores: Int64s, days: Int64s, load: LoadDayBlocks) -> tuple[Int64s, Int64s]:
    """The store and the packed poll of the last poll in each store's last day block."""
    last = run_lasts(stores)
    of_poll, packed = _load(stores[last], days[last], load)
    last = run_lasts(of_poll)
    return of_poll[last], packed[last]


def _load(stores: Int64s, days: Int64s, load: LoadDayBlocks) -> tuple[Int64s, Int64s]:
    """The polls in some day blocks, each with its store."""
    if not len(stores):
        return NO_INTS, NO_INTS
    packed, counts = load(stores, days)
    return np.repeat(stores, counts), packed


def _union(
    floor_day: Int64s, max_days: int, stores: tuple[Int64s, Int64s], packed: tuple[Int64s, Int64s]
) -> Polls:
    """Kept and new polls of some stores as a set; of one instant the `inactive` one (rule 2.1).

    The polls of a store lie within `max_days` from its `floor_day` on. So each fits into one number, whose order is
    that of stores, instants, statuses, and kept before new:

        key     ┌───────────────────────────────────────────┬────────┬────────┐
                │ nth store · max_days + nth day, then µs   │ status │ is new │
                └───────────────────────────────────────────┴────────┴────────┘
                └──────────── place ─────────────────────────────────┘
                                                             the same instant: all but the two last bits
    """
    assert len(floor_day) * max_days * PACKED_PER_DAY < 1 << 62, "the keys of all stores must fit int64"
    base = (np.arange(len(floor_day)) * max_days - floor_day) * PACKED_PER_DAY
    key = np.concatenate(packed) + base[np.concatenate(stores)] << 1
    key[len(packed[0]) :] |= 1
    key.sort()
    instant = key >> 2
    key = key[run_starts(instant)]
    place = key >> 1
    day_place = place // PACKED_PER_DAY
    starts = run_starts(day_place)
    nth_store, nth_day = np.divmod(day_place[starts], max_days)
    counts = np.diff(starts, append=len(place))
    return Polls(
        packed=place - np.repeat(base[nth_store], counts),
        is_new=key & 1 == 1,
        starts=starts,
        stores=nth_store,
        days=nth_day + floor_day[nth_store],
        counts=counts,
    )


def _derive_latest(latest: Int64s, polls: Polls) -> Int64s:
    """The latest poll of each store, which is as it was where no day is affected."""
    last = run_lasts(polls.stores)
    latest = latest.copy()
    latest[polls.stores[last]] = polls.packed[(polls.starts + polls.counts - 1)[last]]
    return latest


def _derive_days(stores: Int64s, rows: Int64s, polls: Polls, count: int) -> DayCounts:
    """All days: those before, and those counted from the polls after them."""
    active = np.add.reduceat(polls.packed & 1, polls.starts) if len(polls.starts) else NO_INTS
    counted = np.stack((polls.days, active, polls.counts - active), axis=1)
    stores = np.concatenate((stores, polls.stores))
    order = stores.argsort(kind="stable")
    return DayCounts(_firsts(stores, count), np.concatenate((rows, counted))[order])


def _changed_day_blocks(polls: Polls) -> DayBlocks:
    """The day blocks of those days that got a poll."""
    changed = np.logical_or.reduceat(polls.is_new, polls.starts) if len(polls.starts) else polls.is_new
    return DayBlocks(
        polls.stores[changed],
        polls.days[changed],
        polls.counts[changed],
        polls.packed[np.repeat(changed, polls.counts)],
    )


def _firsts(stores: Int64s, count: int) -> Int64s:
    """Where the items of each of `count` stores begin, and the end of the last."""
    return np.concatenate(([0], np.cumsum(np.bincount(stores, minlength=count))))
