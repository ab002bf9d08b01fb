"""special_days.csv: the hours of single dates.

Owns: how the columns of that file become special days. Must not know: lines and quotes, nor weekly hours.
"""

from pathlib import Path
from typing import Final

import polars as pl

from schemas.opening_hours import SpecialDay, parse_date, parse_hours_row
from schemas.values import Rejected, RejectReason, StoreId, parse_store_id
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import Layout, iter_rows, never_sure

EVERY_STORE: Final = StoreId("*")
"""Stands for all stores that the other files name."""

_CLOSED: Final = -1
"""Stands for a start where a row says closed."""
_SCHEMA: Final = {
    "store_id": pl.String,
    "date": pl.Int64,
    "start_us": pl.Int64,
    "end_us": pl.Int64,
    "reason": pl.String,
}


def read_special_days(path: Path, sink: RejectSink) -> dict[StoreId, dict[int, SpecialDay]]:
    """The special days in `path`, by store (EVERY_STORE: of all) and day number.

    Rows with times outweigh one that says closed, on the same date; the first reason that is given counts. Bad
    lines go to `sink` as they are met; what it raises ends the reading. Raises a CsvInputError where the file as
    a whole is at fault.
    """
    spans: dict[tuple[StoreId, int], set[tuple[int, int]]] = {}
    reasons: dict[tuple[StoreId, int], str] = {}
    for frame in iter_rows(path, _LAYOUT, sink):
        for store_id, date, start_us, end_us, reason in frame.iter_rows():
            of_day = spans.setdefault((store_id, date), set())
            if start_us != _CLOSED:
                of_day.add((start_us, end_us))
            if reason:
                reasons.setdefault((store_id, date), reason)
    found: dict[StoreId, dict[int, SpecialDay]] = {}
    for (store_id, date), of_day in spans.items():
        day = SpecialDay(date, tuple(sorted(of_day)), reasons.get((store_id, date), ""))
        found.setdefault(store_id, {})[date] = day
    return found


def _parse(store_id: str, date: str, start: str, end: str, reason: str) -> tuple[StoreId, int, int, int, str]:
    store, day = parse_store_id(store_id), parse_date(date.strip())
    if not start.strip() and not end.strip():
        return store, day, _CLOSED, _CLOSED, reason.strip()
    if not start.strip() or not end.strip():
        raise Rejected(RejectReason.BAD_HOURS, f"{start},{end}")
    row = parse_hours_row(0, start, end)
    return store, day, row.start_us, row.end_us, reason.strip()


_LAYOUT: Final = Layout(
    (("store_id",), ("date",), ("start_time_local",), ("end_time_local",)),
    _SCHEMA,
    never_sure(_SCHEMA),
    _parse,
    (("reason",),),
)
