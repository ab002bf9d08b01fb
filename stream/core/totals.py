"""Uptime of many stores at once, from their heads.

Owns: the arithmetic of a report over all stores, as array operations. Must not know: where heads come from
and how cells are printed.

With C the business clock, U the uptime accumulated at a mark and a the status after it, the uptime of
[from, to), whose ends lie after marks i and j, is

    i = j:   a_i · (C(to) − C(from))
    i < j:   a_i · (C(mark i+1) − C(from))  +  U_j − U_{i+1}  +  a_j · (C(to) − C(mark j))

Every instant at which the clock is read lies inside the window, whatever the store's history.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from schemas.state import DAY_CODES, HeadColumns, Int64s
from stream.core.calendar import ReadingsStack, blocks, clock_of_schedule
from stream.core.changes import accumulate, changes_of
from stream.core.windows import Window

LoadDay = Callable[[int, int], Int64s]
"""Hands out the codes of store i on a UTC day, ascending."""


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Open time and uptime of each store in one window; downtime is the rest of the open time (rule 2.5)."""

    open_us: Int64s
    up_us: Int64s

    @property
    def down_us(self) -> Int64s:
        """Open time that was not uptime."""
        down: Int64s = self.open_us - self.up_us
        return down


def totals(heads: HeadColumns, spans: Sequence[Window], load_day: LoadDay) -> list[Totals]:
    """Open time and uptime of every store in each window.

    `load_day` is asked only for folded days (stream.core.changes) in which a window begins or ends.
    """
    edges = sorted({at for span in spans for at in (span.from_us, span.to_us)})
    heads = _unfold(heads, edges, load_day)
    stack = _stack(tuple(heads.schedules), *blocks(edges[0], edges[-1]))
    every_schedule = np.arange(len(heads.schedules))
    reads = {at: stack.read_us(every_schedule, at)[heads.schedule_of] for at in edges}
    until = {at: _marks_until(heads, at) for at in edges}
    return [_totals(heads, stack, span, reads, until) for span in spans]


def _totals(
    heads: HeadColumns,
    stack: ReadingsStack,
    span: Window,
    reads: dict[int, Int64s],
    until: dict[int, Int64s],
) -> Totals:
    """One window, by the formula above; `reads` and `until` hold the clocks and marks at its ends."""
    i, j = until[span.from_us], until[span.to_us]
    open_us = reads[span.to_us] - reads[span.from_us]
    was_up = _is_active(heads, i)
    up_us = np.where(was_up, open_us, 0)
    changed = (j > i).nonzero()[0]
    next_, last = heads.first_mark[changed] + i[changed], heads.first_mark[changed] + j[changed] - 1
    schedules = heads.schedule_of[changed]
    first_us = stack.read_us(schedules, heads.mark_codes[next_] >> 1) - reads[span.from_us][changed]
    last_us = reads[span.to_us][changed] - stack.read_us(schedules, heads.mark_codes[last] >> 1)
    up_us[changed] = (
        np.where(was_up[changed], first_us, 0)
        + (_up_us(heads, last) - _up_us(heads, next_))
        + np.where(heads.mark_codes[last] & 1, last_us, 0)
    )
    return Totals(open_us, up_us)


@lru_cache(maxsize=4)
def _stack(schedules: tuple[bytes, ...], from_us: int, to_us: int) -> ReadingsStack:
    """The clocks of some schedules, together; reports that follow each other share it."""
    return ReadingsStack([clock_of_schedule(schedule).readings(from_us, to_us) for schedule in schedules])


def _marks_until(heads: HeadColumns, at_us: int) -> Int64s:
    """How many marks of each store lie at or before an instant."""
    reached = np.concatenate(([0], np.cumsum(heads.mark_codes >> 1 <= at_us)))
    count: Int64s = reached[heads.first_mark[1:]] - reached[heads.first_mark[:-1]]
    return count


def _is_active(heads: HeadColumns, count: Int64s) -> npt.NDArray[np.bool_]:
    """The status of each store after its first `count` marks."""
    codes = np.append(heads.mark_codes, 1)
    active: npt.NDArray[np.bool_] = (count == 0) | (codes[heads.first_mark[:-1] + count - 1] & 1 == 1)
    return active


def _up_us(heads: HeadColumns, marks: Int64s) -> Int64s:
    """The uptime accumulated at each of some marks, folded or not."""
    ups = heads.mark_ups[marks]
    plain: Int64s = np.where(ups < 0, ~ups, ups)
    return plain


def _unfold(heads: HeadColumns, edges: Sequence[int], load_day: LoadDay) -> HeadColumns:
    """The heads with all marks of those folded days in which a window begins or ends."""
    folded = np.append(heads.mark_ups, 0) < 0
    needed: set[tuple[int, int]] = set()
    for at_us in edges:
        marks = heads.first_mark[:-1] + _marks_until(heads, at_us) - 1
        stores = np.flatnonzero((marks >= heads.first_mark[:-1]) & folded[marks])
        needed.update(zip(marks[stores].tolist(), stores.tolist(), strict=True))
    if not needed:
        return heads
    codes, ups, grown = [], [], np.zeros(len(heads.schedule_of), np.int64)
    start = 0
    for mark, store in sorted(needed):
        detail, detail_ups = _detail(heads, mark, store, load_day)
        codes += [heads.mark_codes[start:mark], detail]
        ups += [heads.mark_ups[start:mark], detail_ups]
        grown[store] += len(detail) - 2
        start = mark + 2
    return replace(
        heads,
        mark_codes=np.concatenate((*codes, heads.mark_codes[start:])),
        mark_ups=np.concatenate((*ups, heads.mark_ups[start:])),
        first_mark=heads.first_mark + np.concatenate(([0], np.cumsum(grown))),
    )


def _detail(heads: HeadColumns, mark: int, store: int, load_day: LoadDay) -> tuple[Int64s, Int64s]:
    """All marks of the folded day that starts at `mark`."""
    first = int(heads.mark_codes[mark])
    changes = changes_of(load_day(store, first // DAY_CODES), was_active=not first & 1)
    if not len(changes):  # the head is there and its page not yet, where somebody crashed between the two
        changes = heads.mark_codes[mark : mark + 2]
    clock = clock_of_schedule(heads.schedules[heads.schedule_of[store]])
    return changes, accumulate([clock], changes, np.array([0]), ~heads.mark_ups[mark : mark + 1])
