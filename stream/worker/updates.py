"""What was said of stores and is not yet merged.

Owns: how what is said of one store adds up, what of it holds, and the updates of many stores as columns. Must not
know: what they do to a store's state (stream.core.merge), where they come from.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from schemas.opening_hours import OpeningHours, StoreHours
from schemas.stamps import LastSaid, Stamp, StoreStamps, forgetting
from schemas.summaries import Summaries
from stream.core.merge import UpdateColumns
from stream.core.wall_hours import EVERY_DAY, first_difference


class Unchanged:
    """Stands where updates say nothing of a zone or of hours."""


UNCHANGED: Final = Unchanged()


@dataclass(slots=True)
class Updates:
    """What was said of one store since it was last merged."""

    forgets: Stamp | None = None
    packed: "array[int]" = field(default_factory=partial(array, "q"))
    zone: LastSaid[str | None] | None = None
    hours: LastSaid[StoreHours | None] | None = None
    derives_again: bool = False

    @property
    def is_stamped(self) -> bool:
        """Whether the stamps of the store change with this."""
        return not (self.forgets is None and self.zone is None and self.hours is None)

    def forgotten_after(self, before: Stamp) -> Stamp:
        """The stamp of the last forgetting, these updates included; `before` is that of the one before."""
        return before if self.forgets is None else forgetting(self.forgets, before)

    def resolve(self, stamps: StoreStamps, today: int) -> tuple[StoreStamps, "Said"]:
        """The stamps after these updates, of UTC day `today`, and what of them holds."""
        zone: str | Unchanged | None = UNCHANGED
        hours: StoreHours | Unchanged | None = UNCHANGED
        hours_held, zone_held = stamps.hours, stamps.zone
        if self.hours is not None:
            hours_held, said_hours, is_new = self.hours.resolve(stamps.hours)
            hours = said_hours if is_new else UNCHANGED
        if self.zone is not None:
            zone_held, said_zone, is_new = self.zone.resolve(stamps.zone)
            zone = said_zone if is_new else UNCHANGED
        after = replace(
            stamps, hours=hours_held, zone=zone_held, forgotten=self.forgotten_after(stamps.forgotten)
        )
        return replace(after, changed_day=today), Said(zone, hours)


@dataclass(frozen=True, slots=True)
class Said:
    """The zone and the hours that hold from now on, UNCHANGED where the old ones do."""

    zone: str | Unchanged | None = UNCHANGED
    hours: StoreHours | Unchanged | None = UNCHANGED

    def hours_after(self, known: OpeningHours) -> OpeningHours:
        """The opening hours that hold once this is merged."""
        return OpeningHours(
            known.zone if isinstance(self.zone, Unchanged) else self.zone,
            known.hours if isinstance(self.hours, Unchanged) else self.hours,
        )


_NOTHING_SAID: Final = Said()


def columns_of(summaries: Summaries, updates: Sequence[Updates], said: Mapping[int, Said]) -> UpdateColumns:
    """The updates of some stores, put together; `said` has what holds of them, by store."""
    opening_hours = {}
    for store in {*said, *(store for store, each in enumerate(updates) if each.derives_again)}:
        known = summaries.opening_hours[int(summaries.hours_of[store])]
        after = said.get(store, _NOTHING_SAID).hours_after(known)
        since_day = EVERY_DAY if updates[store].derives_again else first_difference(known, after)
        if after != known or updates[store].derives_again:
            opening_hours[store] = after, since_day
    return UpdateColumns(
        forgets=np.array([each.forgets is not None for each in updates]),
        opening_hours=opening_hours,
        first=np.cumsum([0, *(len(each.packed) for each in updates)]),
        packed=np.frombuffer(b"".join(each.packed for each in updates), np.int64),
    )
