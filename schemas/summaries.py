"""What is known of stores, as values to compute with.

Owns: a store's summary, and the summaries of many stores as columns. Must not know: how they are stored
(schemas.rows.summaries), how they are computed (stream.core).

A store's polls stand in day blocks, one for each UTC day. Its summary has all that a report needs:

    latest, baseline    the latest poll, and the latest poll that is older than every day block
    days                for each day block: the UTC day, and how many polls are active and inactive
    change_polls        the polls that changed the status (stream.core.changes)
    change_up_us        the uptime accumulated at each of them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.arrays import Bools, Int64s
from schemas.opening_hours import OpeningHours
from schemas.values import DAY_US

NO_POLL: Final = -1
"""Stands for "no poll" where a packed poll is expected. It is odd, as an active poll is."""
PACKED_PER_DAY: Final = 2 * DAY_US
"""The packed polls of UTC day d are those from d * PACKED_PER_DAY up to (d + 1) * PACKED_PER_DAY."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreSummary:
    """All that a report needs of one store.

    `latest` and `baseline` are packed polls, NO_POLL where there is none. `days` has a row (UTC day, active polls,
    inactive polls) for each day block, ascending. `change_polls` and `change_up_us` have an entry for each change.
    """

    hours: OpeningHours
    latest: int
    baseline: int
    days: Int64s
    change_polls: Int64s
    change_up_us: Int64s


@dataclass(frozen=True, slots=True)
class HighWater:
    """How far the polls of some stores reach: the greatest of their summaries' `latest`, and of their `baseline`.

    As it is stored it may be one more: where a poll was overruled by an inactive one of the same instant.
    """

    latest: int = NO_POLL
    baseline: int = NO_POLL

    def __or__(self, other: "HighWater") -> "HighWater":
        return HighWater(max(self.latest, other.latest), max(self.baseline, other.baseline))

    def bounds(self, other: "HighWater") -> bool:
        """Whether the mark of these stores may fall when the `other` polls, a part of theirs, are forgotten."""
        return NO_POLL < other.latest <= self.latest or NO_POLL < other.baseline <= self.baseline


@dataclass(frozen=True, slots=True, eq=False)
class Summaries:
    """The summaries of many stores as columns, to compute on all of them at once.

    `opening_hours` holds each distinct value once, and `hours_of[i]` says which one is that of store i. The changes
    of store i are `change_polls[first_change[i] : first_change[i + 1]]`; `change_up_us` likewise.
    """

    opening_hours: Sequence[OpeningHours]
    hours_of: Int64s
    latest: Int64s
    baseline: Int64s
    first_change: Int64s
    change_polls: Int64s
    change_up_us: Int64s

    @property
    def high_water(self) -> HighWater:
        """How far the polls of these stores reach."""
        return self.high_water_of(np.ones(len(self.latest), bool))

    def high_water_of(self, which: Bools) -> HighWater:
        """How far the polls of some of these stores reach."""
        return HighWater(
            int(self.latest.max(initial=NO_POLL, where=which)),
            int(self.baseline.max(initial=NO_POLL, where=which)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DayCounts:
    """The days of many summaries: those of store i are `rows[first[i] : first[i + 1]]`, each as in StoreSummary."""

    first: Int64s
    rows: Int64s
