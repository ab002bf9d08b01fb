"""menu_hours.csv: the weeks.

Owns: how the columns of that file become weeks. Must not know: lines and quotes (`table` does), nor zones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from schemas.opening_hours import HoursRow, Week, parse_day, parse_day_time, parse_hours_row, week_of
from schemas.values import DAY_US, Rejected, StoreId, parse_store_id
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import USUAL_STORE_ID, Layout, iter_rows, mapped

_COLUMNS: Final = (("store_id",), ("day", "dayOfWeek"), ("start_time_local",), ("end_time_local",))
_SCHEMA: Final = {"store_id": pl.String, "day": pl.Int64, "start_us": pl.Int64, "end_us": pl.Int64}

_MAX_WAITING: Final = 1 << 20
"""Rows that wait to be compared with those before them; more where those are more, so that all stays linear."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The weeks of a file.

    `weeks` has every store with a good row. `stores_with_bad_rows` are those of which a row was rejected for
    its day or hours, with or without a good one left: a missing Monday reads as closed.
    """

    weeks: dict[StoreId, Week]
    stores_with_bad_rows: frozenset[StoreId]


def read_hours(path: Path, sink: RejectSink) -> Hours:
    """The weeks in `path`, the rows of a store put together wherever they stand.

    Bad lines go to `sink` as they are met; what it raises ends the reading. Raises a CsvInputError where the
    file as a whole is at fault.
    """
    bad: set[StoreId] = set()

    def parse(store_id: str, day: str, start: str, end: str) -> tuple[StoreId, int, int, int]:
        store = parse_store_id(store_id)
        try:
            row = parse_hours_row(day, start, end)
        except Rejected:
            bad.add(store)
            raise
        return store, row.day, row.start_us, row.end_us

    rows = _distinct(iter_rows(path, Layout(_COLUMNS, _SCHEMA, _values, parse), sink))
    return Hours(_weeks(rows), frozenset(bad))


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
    ).with_columns(
        sure=pl.col("store_id").str.contains(USUAL_STORE_ID)
        & pl.col("day").is_not_null()
        & (pl.col("start_us") < DAY_US)
        & pl.col("end_us").is_not_null()
    )


def _weeks(rows: pl.DataFrame) -> dict[StoreId, Week]:
    """Stores that keep the same hours share one week: there are far fewer weeks than stores."""
    span = list(_SCHEMA)[1:]
    spans = rows.select(span).unique().with_row_index("nth")
    hours_rows = [HoursRow(*row) for row in spans.select(span).iter_rows()]
    stores = (
        rows.join(spans, on=span, maintain_order="left")
        .group_by("store_id", maintain_order=True)
        .agg(pl.col("nth").unique().sort())
    )
    known: dict[tuple[int, ...], Week] = {}
    weeks = {}
    for store, nths in stores.iter_rows():
        key = tuple(nths)
        if key not in known:
            known[key] = week_of([hours_rows[nth] for nth in nths])
        weeks[store] = known[key]
    return weeks
