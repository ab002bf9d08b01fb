"""What was said of stores and is not yet settled.

Owns: how news of one store adds up, which of it holds, and news of many as columns. Must not know: what it does
to a store's state (stream.core.merge), where it comes from.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

from schemas.stamps import LastSaid, Stamp, StoreStamps, forgetting
from schemas.state import HeadColumns, decode_schedule, encode_schedule
from schemas.values import Week
from stream.core.merge import NewsColumns


class Unchanged:
    """Stands where news says nothing of a zone or a week."""


UNCHANGED: Final = Unchanged()


@dataclass(slots=True)
class News:
    """What was said of one store since it was last settled."""

    forgets: Stamp | None = None
    codes: "array[int]" = field(default_factory=partial(array, "q"))
    zone: LastSaid[str | None] | None = None
    week: LastSaid[Week | None] | None = None
    derives_anew: bool = False

    @property
    def is_stamped(self) -> bool:
        """Whether the stamps of the store change with this."""
        return not (self.forgets is None and self.zone is None and self.week is None)

    def forgotten_after(self, before: Stamp) -> Stamp:
        """The stamp of the last forgetting, this news included; `before` is that of the one before."""
        return before if self.forgets is None else forgetting(self.forgets, before)

    def settle(self, stamps: StoreStamps, today: int) -> tuple[StoreStamps, "Said"]:
        """The stamps after this news, of UTC day `today`, and what of it holds."""
        zone: str | Unchanged | None = UNCHANGED
        week: Week | Unchanged | None = UNCHANGED
        hours_held, zone_held = stamps.hours, stamps.zone
        if self.week is not None:
            hours_held, said_week, is_new = self.week.settle(stamps.hours)
            week = said_week if is_new else UNCHANGED
        if self.zone is not None:
            zone_held, said_zone, is_new = self.zone.settle(stamps.zone)
            zone = said_zone if is_new else UNCHANGED
        after = replace(
            stamps, hours=hours_held, zone=zone_held, forgotten=self.forgotten_after(stamps.forgotten)
        )
        return replace(after, changed_day=today), Said(zone, week)


@dataclass(frozen=True, slots=True)
class Said:
    """The zone and the week that hold from now on, UNCHANGED where the old ones do."""

    zone: str | Unchanged | None = UNCHANGED
    week: Week | Unchanged | None = UNCHANGED

    def schedule_after(self, known: bytes) -> bytes:
        """The packed schedule that holds once this is settled."""
        zone, week = decode_schedule(known)
        return encode_schedule(
            zone if isinstance(self.zone, Unchanged) else self.zone,
            week if isinstance(self.week, Unchanged) else self.week,
        )


_NOTHING_SAID: Final = Said()


def columns_of(heads: HeadColumns, news: Sequence[News], said: Mapping[int, Said]) -> NewsColumns:
    """The news of some stores, put together; `said` has what holds of it, by store."""
    schedules = {}
    for store in {*said, *(store for store, of_store in enumerate(news) if of_store.derives_anew)}:
        known = heads.schedules[int(heads.schedule_of[store])]
        schedule = said.get(store, _NOTHING_SAID).schedule_after(known)
        if schedule != known or news[store].derives_anew:
            schedules[store] = schedule
    return NewsColumns(
        forgets=np.array([of_store.forgets is not None for of_store in news]),
        schedules=schedules,
        first=np.cumsum([0, *(len(of_store.codes) for of_store in news)]),
        codes=np.frombuffer(b"".join(of_store.codes for of_store in news), np.int64),
    )
