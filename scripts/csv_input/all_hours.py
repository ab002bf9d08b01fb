"""All that a folder says of when its stores are open, but for their zones.

Owns: putting the three files together, store by store. Must not know: how a file is read, topics.

    menu_hours.csv ──┐
    special_days.csv ┼──▶ StoreHours by store      `*` in the last two: every store that any file names
    closures.csv   ──┘
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from schemas.opening_hours import SpecialDay, StoreHours
from schemas.values import StoreId
from scripts.csv_input.closures import read_closures
from scripts.csv_input.errors import HoursMissing
from scripts.csv_input.folder import InputFolder
from scripts.csv_input.hours import Hours, read_hours
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.special_days import EVERY_STORE, read_special_days

_NONE: Final = Hours({}, frozenset())


@dataclass(frozen=True, slots=True)
class AllHours:
    """By store, all its opening hours; `stores_with_bad_rows` as in scripts.csv_input.hours.Hours."""

    hours: dict[StoreId, StoreHours]
    stores_with_bad_rows: frozenset[StoreId]


def read_all_hours(
    folder: InputFolder, others: Callable[[], Iterable[StoreId]], sink: RejectSink
) -> AllHours:
    """What the files of `folder` say of hours.

    `others`: the stores that its other files name; asked where `*` stands. Raises HoursMissing, and as the readers
    of the files do.
    """
    if folder.hours is None and (folder.special_days or folder.closures):
        raise HoursMissing(folder.polls.parent)
    weekly = _NONE if folder.hours is None else read_hours(folder.hours, sink)
    special = {} if folder.special_days is None else read_special_days(folder.special_days, sink)
    closures = {} if folder.closures is None else read_closures(folder.closures, sink)
    special_of_all, closures_of_all = special.pop(EVERY_STORE, {}), closures.pop(EVERY_STORE, set())
    named = weekly.weekly.keys() | special.keys() | closures.keys()
    starred = weekly.weekly.keys() | set(others()) if special_of_all or closures_of_all else set()
    known: dict[StoreHours, StoreHours] = {}
    hours: dict[StoreId, StoreHours] = {}
    for store_id in sorted(named | starred):
        of_all = store_id in starred
        mine = StoreHours(
            weekly.weekly.get(store_id, ()),
            _special_days(special.get(store_id, {}), special_of_all if of_all else {}),
            tuple(sorted(closures.get(store_id, set()) | (closures_of_all if of_all else set()))),
        )
        hours[store_id] = known.setdefault(mine, mine)
    return AllHours(hours, weekly.stores_with_bad_rows)


def _special_days(own: dict[int, SpecialDay], of_all: dict[int, SpecialDay]) -> tuple[SpecialDay, ...]:
    """A store's own rows for a date replace those of all stores."""
    return tuple(day for _, day in sorted({**of_all, **own}.items()))
