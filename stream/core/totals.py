"""Uptime of many stores at once, from their summaries.

Owns: the arithmetic of a report over all stores, as array operations. Must not know: where summaries come from
and how cells are printed.

With C the open time, U the uptime accumulated at a change and a the status after it, the uptime of
[from, to), whose ends lie after changes i and j, is

    i = j:   a_i · (C(to) − C(from))
    i < j:   a_i · (C(change i+1) − C(from))  +  U_j − U_{i+1}  +  a_j · (C(to) − C(change j))

Every instant at which open time is read lies inside the window, whatever the store's history.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from schemas.arrays import Bools, Int64s
from schemas.opening_hours import OpeningHours
from schemas.summaries import PACKED_PER_DAY, Summaries
from stream.core.calendar import OpenTimes, blocks, calendar_of
from stream.core.changes import accumulate, changes_of, owners
from stream.core.windows import Spans, Window

Edge = int | Int64s
"""An end of a span: one instant for all stores, or one for each."""

LoadDay = Callable[[int, int], Int64s]
"""Hands out the packed polls of store i on a UTC day, ascending."""


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Open time and uptime of each store in one span; downtime is the rest of the open time (rule 2.5)."""

    open_us: Int64s
    up_us: Int64s

    @property
    def down_us(self) -> Int64s:
        """Open time that was not uptime."""
        down: Int64s = self.open_us - self.up_us
        return down


@dataclass(frozen=True, slots=True, eq=False)
class _At:
    """All stores at one edge: their open time, and how many changes lie at or before it."""

    open_time_us: Int64s
    changes: Int64s


def totals(summaries: Summaries, spans: Sequence[Window | Spans], load_day: LoadDay) -> list[Totals]:
    """Open time and uptime of every store in each span: the same window for all, or one with edges of its own.

    `load_day` is asked only for compacted days (stream.core.changes) in which a span begins or ends.
    """
    edges = {_name(edge): edge for span in spans for edge in (span.from_us, span.to_us)}
    if not edges or not len(summaries.latest):
        return [Totals(np.zeros_like(summaries.latest), np.zeros_like(summaries.latest)) for _ in spans]
    summaries = _expand(summaries, edges.values(), load_day)
    reach = blocks(min(map(_least, edges.values())), max(map(_greatest, edges.values())))
    open_times = _open_times(tuple(summaries.opening_hours), *reach)
    at = {
        name: _At(_open_time_us(open_times, summaries, edge), _changes_until(summaries, edge))
        for name, edge in edges.items()
    }
    return [_totals(summaries, open_times, at[_name(span.from_us)], at[_name(span.to_us)]) for span in spans]


def _totals(summaries: Summaries, open_times: OpenTimes, begin: _At, end: _At) -> Totals:
    """One span, by the formula above, from all stores at its ends."""
    i, j = begin.changes, end.changes
    open_us = end.open_time_us - begin.open_time_us
    was_up = _is_active(summaries, i)
    up_us = np.where(was_up, open_us, 0)
    changed = (j > i).nonzero()[0]
    next_, last = (
        summaries.first_change[changed] + i[changed],
        summaries.first_change[changed] + j[changed] - 1,
    )
    hours = summaries.hours_of[changed]
    first_us = open_times.read_us(hours, summaries.change_polls[next_] >> 1) - begin.open_time_us[changed]
    last_us = end.open_time_us[changed] - open_times.read_us(hours, summaries.change_polls[last] >> 1)
    up_us[changed] = (
        np.where(was_up[changed], first_us, 0)
        + (_up_us(summaries, last) - _up_us(summaries, next_))
        + np.where(summaries.change_polls[last] & 1, last_us, 0)
    )
    return Totals(open_us, up_us)


def _name(edge: Edge) -> int:
    """Tells edges apart: equal instants are one edge, an array is the one that it is."""
    return edge if isinstance(edge, int) else -id(edge)


def _least(edge: Edge) -> int:
    return edge if isinstance(edge, int) else int(edge.min())


def _greatest(edge: Edge) -> int:
    return edge if isinstance(edge, int) else int(edge.max())


@lru_cache(maxsize=4)
def _open_times(opening_hours: tuple[OpeningHours, ...], from_us: int, to_us: int) -> OpenTimes:
    """The open time of some opening hours, together; reports that follow each other share it."""
    return OpenTimes([calendar_of(hours).open_time(from_us, to_us) for hours in opening_hours])


def _open_time_us(open_times: OpenTimes, summaries: Summaries, edge: Edge) -> Int64s:
    """The open time of each store at an edge: read once for each opening hours where it is one instant."""
    if isinstance(edge, int):
        return open_times.read_us(np.arange(len(summaries.opening_hours)), edge)[summaries.hours_of]
    return open_times.read_us(summaries.hours_of, edge)


def _changes_until(summaries: Summaries, edge: Edge) -> Int64s:
    """How many changes of each store lie at or before an edge."""
    until_us = edge if isinstance(edge, int) else edge[owners(summaries.first_change)]
    reached = np.concatenate(([0], np.cumsum(summaries.change_polls >> 1 <= until_us)))
    count: Int64s = reached[summaries.first_change[1:]] - reached[summaries.first_change[:-1]]
    return count


def _is_active(summaries: Summaries, count: Int64s) -> Bools:
    """The status of each store after its first `count` changes."""
    polls = np.append(summaries.change_polls, 1)
    active: Bools = (count == 0) | (polls[summaries.first_change[:-1] + count - 1] & 1 == 1)
    return active


def _up_us(summaries: Summaries, changes: Int64s) -> Int64s:
    """The uptime accumulated at each of some changes, of compacted days or not."""
    up_us = summaries.change_up_us[changes]
    plain: Int64s = np.where(up_us < 0, ~up_us, up_us)
    return plain


def _expand(summaries: Summaries, edges: Iterable[Edge], load_day: LoadDay) -> Summaries:
    """The summaries with all changes of those compacted days in which a span begins or ends.

    A compacted day has two changes, its first and its last. They make room for those that its day block tells:

        change_polls    … 7 8 │ first last │ 9 …       ▶     … 7 8 │ first a b c d last │ 9 …
                        kept    at `change`                   kept
    """
    kept_polls: list[Int64s] = []
    kept_up_us: list[Int64s] = []
    grown = np.zeros(len(summaries.hours_of), np.int64)
    end = 0
    for change, store in _compacted_at(summaries, edges):
        polls, up_us = _day_changes(summaries, change, store, load_day)
        kept_polls += [summaries.change_polls[end:change], polls]
        kept_up_us += [summaries.change_up_us[end:change], up_us]
        grown[store] += len(polls) - 2
        end = change + 2
    if not end:
        return summaries
    return replace(
        summaries,
        change_polls=np.concatenate((*kept_polls, summaries.change_polls[end:])),
        change_up_us=np.concatenate((*kept_up_us, summaries.change_up_us[end:])),
        first_change=summaries.first_change + np.concatenate(([0], np.cumsum(grown))),
    )


def _compacted_at(summaries: Summaries, edges: Iterable[Edge]) -> list[tuple[int, int]]:
    """The first changes of those compacted days in which an edge lies, ascending, and the store of each."""
    is_compacted = np.append(summaries.change_up_us, 0) < 0
    found: set[tuple[int, int]] = set()
    for edge in edges:
        last = summaries.first_change[:-1] + _changes_until(summaries, edge) - 1
        stores = np.flatnonzero((last >= summaries.first_change[:-1]) & is_compacted[last])
        found.update(zip(last[stores].tolist(), stores.tolist(), strict=True))
    return sorted(found)


def _day_changes(summaries: Summaries, change: int, store: int, load_day: LoadDay) -> tuple[Int64s, Int64s]:
    """All changes of the compacted day that starts at `change`, and the uptime accumulated at each."""
    first = int(summaries.change_polls[change])
    changes = changes_of(load_day(store, first // PACKED_PER_DAY), was_active=not first & 1)
    if not len(
        changes
    ):  # the summary is there and its day block not yet, where somebody crashed between the two
        changes = summaries.change_polls[change : change + 2]
    calendar = calendar_of(summaries.opening_hours[summaries.hours_of[store]])
    return changes, accumulate(
        [calendar], changes, np.array([0]), ~summaries.change_up_us[change : change + 1]
    )
