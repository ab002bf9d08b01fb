"""menu_hours.csv: the weekly hours.

Owns: how the columns of that file become weekly hours, dated and undated. Must not know: lines and quotes (`table`
does), nor zones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from schemas.opening_hours import (
    DatedWeek,
    HoursRow,
    Week,
    parse_date,
    parse_day,
    parse_day_time,
    parse_hours_row,
    week_of,
)
from schemas.values import DAY_US, Rejected, StoreId, parse_store_id
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import USUAL_STORE_ID, Layout, iter_rows, mapped

Weekly = tuple[DatedWeek, ...]
"""The weekly hours of a store, the undated ones first, then by date."""

_COLUMNS: Final = (("store_id",), ("day", "dayOfWeek"), ("start_time_local",), ("end_time_local",))
_OPTIONAL: Final = (("valid_from",),)
_SCHEMA: Final = {
    "store_id": pl.String,
    "day": pl.Int64,
    "start_us": pl.Int64,
    "end_us": pl.Int64,
    "valid_from": pl.Int64,
}

_UNDATED: Final = -(1 << 31)
"""Stands for no date in the column valid_from, before all dates."""
_MAX_WAITING: Final = 1 << 20
"""Rows that wait to be compared with those before them; more where those are more, so that all stays linear."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The weekly hours of a file.

    `weekly` has every store with a good row. `stores_with_bad_rows` are those of which a row was rejected for
    its day, hours or date, with or without a good one left: a missing Monday reads as closed.
    """

    weekly: dict[StoreId, Weekly]
    stores_with_bad_rows: frozenset[StoreId]


def read_hours(path: Path, sink: RejectSink) -> Hours:
    """The weekly hours in `path`, the rows of a store put together wherever they stand.

    Bad lines go to `sink` as they are met; what it raises ends the reading. Raises a CsvInputError where the
    file as a whole is at fault.
    """
    bad: set[StoreId] = set()

    def parse(
        store_id: str, day: str, start: str, end: str, valid_from: str
    ) -> tuple[StoreId, int, int, int, int]:
        store = parse_store_id(store_id)
        try:
            row, since = parse_hours_row(day, start, end), _parse_since(valid_from)
        except Rejected:
            bad.add(store)
            raise
        return store, row.day, row.start_us, row.end_us, since

    layout = Layout(_COLUMNS, _SCHEMA, _values, parse, _OPTIONAL)
    rows = _distinct(iter_rows(path, layout, sink))
    return Hours(_weekly(rows), frozenset(bad))


def _parse_since(text: str) -> int:
    return parse_date(text.strip()) if text.strip() else _UNDATED


def _distinct(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all frames, each once: a small file may unpack to one row, repeated for gigabytes."""
    rows = pl.DataFrame(schema=_SCHEMA)
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame.unique(maintain_order=True))
        if sum(map(len, waiting)) > max(_MAX_WAITING, len(rows)):
            rows, waiting = pl.concat([rows, *waiting]).unique(maintain_order=True), []
    return pl.concat([rows, *waiting]).unique(maintain_order=True)


def _values(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.select(
        "store_id",
        mapped(texts["day"], parse_day, pl.Int64).alias("day"),
        mapped(texts["start_time_local"], parse_day_time, pl.Int64).alias("start_us"),
        mapped(texts["end_time_local"], parse_day_time, pl.Int64).alias("end_us"),
        mapped(texts["valid_from"], _parse_since, pl.Int64).alias("valid_from"),
    ).with_columns(
        sure=pl.col("store_id").str.contains(USUAL_STORE_ID)
        & pl.col("day").is_not_null()
        & (pl.col("start_us") < DAY_US)
        & pl.col("end_us").is_not_null()
        & pl.col("valid_from").is_not_null()
    )


def _weekly(rows: pl.DataFrame) -> dict[StoreId, Weekly]:
    """Stores that keep the same hours share one week: there are far fewer weeks than stores."""
    span = ["day", "start_us", "end_us"]
    spans = rows.select(span).unique().with_row_index("nth")
    hours_rows = [HoursRow(*row) for row in spans.select(span).iter_rows()]
    versions = (
        rows.join(spans, on=span, maintain_order="left")
        .group_by("store_id", "valid_from", maintain_order=True)
        .agg(pl.col("nth").unique().sort())
    )
    known: dict[tuple[int, ...], Week] = {}
    weekly: dict[StoreId, dict[int, Week]] = {}
    for store, since, nths in versions.iter_rows():
        key = tuple(nths)
        if key not in known:
            known[key] = week_of([hours_rows[nth] for nth in nths])
        weekly.setdefault(store, {})[since] = known[key]
    shared: dict[tuple[tuple[int, Week], ...], Weekly] = {}
    return {store: _shared(tuple(sorted(weeks.items())), shared) for store, weeks in weekly.items()}


def _shared(weeks: tuple[tuple[int, Week], ...], known: dict[tuple[tuple[int, Week], ...], Weekly]) -> Weekly:
    if weeks not in known:
        known[weeks] = tuple(DatedWeek(None if since == _UNDATED else since, week) for since, week in weeks)
    return known[weeks]
