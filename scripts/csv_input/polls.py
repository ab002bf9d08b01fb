"""store_status.csv: the polls.

Owns: how the columns of that file become polls. Must not know: lines and quotes, nor what a poll is for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from schemas.values import (
    Rejected,
    RejectReason,
    Status,
    StoreId,
    parse_status,
    parse_store_id,
    parse_timestamp,
)
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import USUAL_STORE_ID, Layout, iter_rows

_SCHEMA: Final = {"store_id": pl.String, "at_us": pl.Int64, "active": pl.Boolean}
_USUAL_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]+)?(?: ?(?:UTC|Z|[+-]00(?::?00)?))?$"
)
_AFTER_FRACTION: Final = " UTCZ+-:0"  # the zeros that a fraction may lose with it are put back


def iter_polls(path: Path, latest_us: int, sink: RejectSink) -> Iterator[pl.DataFrame]:
    """The good polls of `path` in file order, as frames of `store_id: String, at_us: Int64, active: Boolean`.

    Nothing is sorted, no repeat dropped. A poll after `latest_us` is rejected as TOO_FAR_AHEAD. Memory is
    flat in the size of the file. Bad lines go to `sink` as they are met; what it raises ends the reading. Raises a
    CsvInputError, at the first `next`, where the file as a whole is at fault.
    """

    def values(texts: pl.DataFrame) -> pl.DataFrame:
        status = pl.col("status")
        return texts.select(
            "store_id",
            usual_instants(texts["timestamp_utc"]).alias("at_us"),
            (status == Status.ACTIVE.value).alias("active"),
            (
                pl.col("store_id").str.contains(USUAL_STORE_ID)
                & status.is_in([known.value for known in Status])
            ).alias("sure"),
        ).with_columns(pl.col("sure") & (pl.col("at_us") <= latest_us))

    def parse(store_id: str, status: str, timestamp: str) -> tuple[StoreId, int, bool]:
        store, active, at_us = parse_store_id(store_id), parse_status(status), parse_timestamp(timestamp)
        if at_us > latest_us:
            raise Rejected(RejectReason.TOO_FAR_AHEAD, timestamp)
        return store, at_us, active is Status.ACTIVE

    layout = Layout((("store_id",), ("status",), ("timestamp_utc",)), _SCHEMA, values, parse)
    yield from iter_rows(path, layout, sink)


def usual_instants(texts: pl.Series) -> pl.Series:
    """`parse_timestamp` of the texts of the usual form (UTC, to the second or finer), null for all others."""
    text = pl.col("text")
    fraction = text.str.slice(20, 6).str.strip_chars_end(_AFTER_FRACTION).str.pad_end(6, "0")
    frame = texts.to_frame("text")
    read = frame.select(
        is_usual=text.str.contains(_USUAL_TIME),
        second_us=_seconds(" "),
        fraction_us=fraction.cast(pl.Int64, strict=False),
    )
    if read["second_us"].null_count():
        iso_us = frame.select(_seconds("T")).to_series()
        read = read.with_columns(pl.col("second_us").fill_null(iso_us))
    at_us = pl.col("second_us") + pl.col("fraction_us")
    return read.select(pl.when(pl.col("is_usual") & (at_us >= 0)).then(at_us)).to_series()


def _seconds(between: str) -> pl.Expr:
    """The instants of the first 19 characters. Unlike a format with a fraction in it, this one is fast."""
    form = f"%Y-%m-%d{between}%H:%M:%S"
    whole = pl.col("text").str.head(19).str.to_datetime(form, time_unit="us", strict=False, cache=False)
    return whole.to_physical()
