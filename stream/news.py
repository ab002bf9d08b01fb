"""What was said of stores and is not yet settled.

Owns: how news of one store adds up, and news of many as columns. Must not know: what it does to a store's state
(stream.core.ledger), where it comes from.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from schemas.state import HeadColumns, decode_schedule, encode_schedule
from schemas.values import Week
from stream.core.ledger import NewsColumns


class Unchanged:
    """Stands where news says nothing of a zone or a week."""


UNCHANGED: Final = Unchanged()


@dataclass(slots=True)
class News:
    """What was said of one store since it was last settled."""

    forgets_polls: bool = False
    codes: "array[int]" = field(default_factory=partial(array, "q"))
    zone: str | Unchanged | None = UNCHANGED
    week: Week | Unchanged | None = UNCHANGED
    derives_anew: bool = False

    def schedule_after(self, known: bytes) -> bytes:
        """The packed schedule that holds once this is settled."""
        zone, week = decode_schedule(known)
        return encode_schedule(
            zone if isinstance(self.zone, Unchanged) else self.zone,
            week if isinstance(self.week, Unchanged) else self.week,
        )


def columns_of(heads: HeadColumns, news: Sequence[News]) -> NewsColumns:
    """The news of some stores, put together."""
    schedules = {}
    for store, (of_store, known) in enumerate(zip(news, heads.schedule_of.tolist(), strict=True)):
        if of_store.zone is not UNCHANGED or of_store.week is not UNCHANGED or of_store.derives_anew:
            schedule = of_store.schedule_after(heads.schedules[known])
            if schedule != heads.schedules[known] or of_store.derives_anew:
                schedules[store] = schedule
    return NewsColumns(
        forgets=np.array([of_store.forgets_polls for of_store in news]),
        schedules=schedules,
        first=np.cumsum([0, *(len(of_store.codes) for of_store in news)]),
        codes=np.frombuffer(b"".join(of_store.codes for of_store in news), np.int64),
    )
