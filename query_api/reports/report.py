"""One report: all stores of a snapshot become the rows of a CSV file.

Owns: the text of a report, and which instants it may look back from. Must not know: who asked, ids of
reports, HTTP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from query_api.errors import AsOfOutside, NothingPolled
from query_api.snapshots.reader import Chunk, Snapshot
from query_api.snapshots.standing import Losses
from schemas.arrays import Int64s
from schemas.atomic_write import atomic_write
from schemas.positions import Positions
from schemas.report_columns import Extra
from stream.core.cells import BOUNDS, CELLS, COLUMNS, CONFIDENCE, UNITS_US, WINDOW_NAMES, hundredths
from stream.core.confidence import confidence
from stream.core.totals import Totals, totals
from stream.core.windows import WEEK_US, Window, answerable, windows

_CELLS: Final = np.array(CELLS, object)
_QUOTED: Final = ('"', ",", "\r", "\n")
"""A store id with one of these in it is quoted (RFC 4180)."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """Which columns a report adds, and how far apart two polls may be to vouch for the time between."""

    extras: frozenset[Extra]
    gap_us: int


PLAIN: Final = Sureness(frozenset(), 0)


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a report was made of.

    The instant it looks back from, its rows, how far the log was applied, and what of the log was lost before.
    """

    as_of_us: int
    stores: int
    applied: Positions
    losses: Losses


def write_report(
    snapshot: Snapshot, as_of_us: int | None, path: Path, sureness: Sureness = PLAIN
) -> ReportFacts:
    """Write the report of all stores to `path`, whole or not at all.

    `as_of_us` None means the latest poll over all stores. It is taken as it is: whether the answer is exact
    says `check_as_of`. Raises NothingPolled, OSError, ReaderClosed, schemas.compatibility.NewerState.
    """
    as_of_us = snapshot.latest_us() if as_of_us is None else as_of_us
    if as_of_us is None:
        raise NothingPolled
    stores, spans = 0, windows(as_of_us)
    with atomic_write(path) as file:
        file.write((",".join((*COLUMNS, *_names(sureness.extras))) + "\n").encode())
        for chunk in snapshot.chunks():
            every = chunk_totals(snapshot, chunk, spans)
            more = _more(snapshot, chunk, spans, sureness) if sureness.extras else []
            file.write(_rows(chunk, every, more).encode())
            stores += len(chunk.store_ids)
    return ReportFacts(as_of_us, stores, snapshot.applied(), snapshot.standing.losses)


def _names(extras: frozenset[Extra]) -> Iterator[str]:
    """The names of the columns that are added, window by window."""
    for window in WINDOW_NAMES:
        for names, extra in ((CONFIDENCE, Extra.CONFIDENCE), (BOUNDS, Extra.BOUNDS)):
            if extra in extras:
                yield from (f"{name}_{window}" for name in names)


def _more(
    snapshot: Snapshot, chunk: Chunk, spans: Sequence[Window], sureness: Sureness
) -> list[tuple[Int64s, int]]:
    """The columns that are added: the time spent by each store, and the unit in which it is printed."""
    gap_us = sureness.gap_us
    from_us, to_us = min(span.from_us for span in spans), max(span.to_us for span in spans)
    polls = snapshot.polls_of(chunk, from_us - gap_us, to_us + gap_us)
    columns: list[tuple[Int64s, int]] = []
    for found, unit_us in zip(confidence(chunk.columns, polls, spans, gap_us), UNITS_US, strict=True):
        if Extra.CONFIDENCE in sureness.extras:
            parts = (found.confirmed_up_us, found.confirmed_down_us, found.turning_us, found.assumed_us)
            columns += [(part, unit_us) for part in parts]
        if Extra.BOUNDS in sureness.extras:
            columns += [(found.least_up_us, unit_us), (found.most_up_us, unit_us)]
    return columns


def chunk_totals(snapshot: Snapshot, chunk: Chunk, spans: Sequence[Window]) -> list[Totals]:
    """Open time and uptime of a chunk's stores in each window."""

    def load_day(store: int, day: int) -> Int64s:
        return snapshot.day_block(chunk.store_ids[store], day)

    return totals(chunk.columns, spans, load_day)


def check_as_of(snapshot: Snapshot, as_of_us: int | None, now_us: int, retention_days: int) -> None:
    """Raise AsOfOutside where no exact answer can be given for a named instant (rule 2.8).

    Before the first poll any instant up to the wall clock, `now_us`, may be named. Where the retention was
    raised, polls of the time between were dropped: then all windows must begin after those.
    """
    if as_of_us is None:
        return
    latest_us = snapshot.latest_us()
    span = Window(0, now_us) if latest_us is None else answerable(latest_us, now_us, retention_days)
    known_from_us = snapshot.known_from_us()
    from_us = max(0, span.from_us, known_from_us + WEEK_US if known_from_us else 0)
    if not from_us <= as_of_us <= span.to_us:
        raise AsOfOutside(as_of_us, Window(from_us, span.to_us))


def warm_up(snapshot: Snapshot) -> None:
    """Do all that a report does but write it, so that the first one finds every calendar prepared."""
    latest_us = snapshot.latest_us()
    if latest_us is None:
        return
    for chunk in snapshot.chunks():
        _rows(chunk, chunk_totals(snapshot, chunk, windows(latest_us)))


def _rows(chunk: Chunk, every: Sequence[Totals], more: Sequence[tuple[Int64s, int]] = ()) -> str:
    columns = [
        (spent_us, unit_us)
        for total, unit_us in zip(every, UNITS_US, strict=True)
        for spent_us in (total.up_us, total.down_us)
    ]
    cells = [_CELLS[hundredths(spent_us, unit_us)].tolist() for spent_us, unit_us in (*columns, *more)]
    rows = zip(_quoted(chunk.store_ids), *cells, strict=True)
    return "\n".join(map(",".join, rows)) + "\n"


def _quoted(store_ids: Sequence[str]) -> Sequence[str]:
    every = "".join(store_ids)
    if not any(special in every for special in _QUOTED):
        return store_ids
    return [
        '"' + store_id.replace('"', '""') + '"' if any(map(store_id.__contains__, _QUOTED)) else store_id
        for store_id in store_ids
    ]
