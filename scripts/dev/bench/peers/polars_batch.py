"""A batch job in polars: the same CSVs, the same exact report, nothing kept between two runs.

    python -m scripts.dev.bench.peers.polars_batch DIR OUT

Owns: a whole program that a user could have instead of storepulse, written to be fast; it shares no code with the
product. It takes well-formed files only, and does not look for bad lines.

Polls become one sorted array of packed integers, (store, instant, active); so do the ends of all business hours.
Uptime up to an instant is then a look-up in each.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

SECOND, DAY = 1_000_000, 86_400_000_000
WINDOWS = (("hour", DAY // 24, DAY // 24 // 60), ("day", DAY, DAY // 24), ("week", 7 * DAY, DAY // 24))
Ints = np.ndarray[Any, np.dtype[np.int64]]


def read(folder: Path, name: str) -> pl.DataFrame:
    """One of the files, all texts."""
    return pl.read_csv(next(folder.glob(f"{name}.csv*")), infer_schema=False)


def instants(text: pl.Expr) -> pl.Expr:
    """`2023-01-22 12:09:39.388884 UTC`, the fraction of any length, as microseconds."""
    whole = text.str.head(19).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", cache=False).to_physical()
    fraction = text.str.slice(20, 6).str.strip_chars_end(" UTC").str.pad_end(6, "0")
    return whole + fraction.cast(pl.Int64)


def wall(text: pl.Expr) -> pl.Expr:
    """`HH:MM:SS` as microseconds."""
    hours, minutes, seconds = (text.str.slice(at, 2).cast(pl.Int64) for at in (0, 3, 6))
    return ((hours * 60 + minutes) * 60 + seconds) * SECOND


def to_utc(spans: pl.DataFrame) -> pl.DataFrame:
    """Wall times `opens` and `closes` as instants (RFC 5545): the first of two; in a gap, the offset before it."""

    def local(column: pl.Expr, zone: str) -> pl.Expr:
        at = column.cast(pl.Datetime("us"))
        return at.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").to_physical()

    def instant(column: str, zone: str) -> pl.Expr:
        return pl.coalesce(local(pl.col(column), zone), local(pl.col(column) - DAY, zone) + DAY)

    return pl.concat(
        part.with_columns(instant("opens", zone), instant("closes", zone))
        for (zone,), part in spans.partition_by("timezone_str", as_dict=True).items()
    )


def report(folder: Path) -> pl.DataFrame:
    """The rows of the report, as texts."""
    polls = read(folder, "store_status").select(
        "store_id", at=instants(pl.col("timestamp_utc")), active=pl.col("status") == "active"
    )
    hours = read(folder, "menu_hours").rename({"dayOfWeek": "day"}, strict=False)
    zones = read(folder, "timezones").unique("store_id", keep="last").select("store_id", "timezone_str")
    ids = pl.concat((polls["store_id"].unique(), hours["store_id"], zones["store_id"])).unique().sort()
    kind = pl.Enum(ids)
    first, as_of = polls["at"].min(), polls["at"].max()
    assert isinstance(first, int)
    assert isinstance(as_of, int)
    start = min(first, as_of - 7 * DAY) - 1
    bits = 2 * (as_of - start) + 2

    store = polls["store_id"].cast(kind).to_physical().cast(pl.Int64).to_numpy()
    codes = store * bits + (polls["at"].to_numpy() - start) * 2 + polls["active"].to_numpy()
    codes = np.concatenate((codes, np.arange(len(ids)) * bits + 1))  # before its first poll a store is active
    codes.sort()
    codes = codes[np.append(True, codes[1:] >> 1 != codes[:-1] >> 1)]  # of one instant, inactive comes first
    changed = (codes[1:] & 1 != codes[:-1] & 1) | (codes[1:] // bits != codes[:-1] // bits)
    codes = codes[np.append(True, changed)]

    opens, closes, before, span = business_hours(hours, zones, kind, start, as_of)

    def clock(store: Ints, at: Ints) -> Ints:
        """Open time of stores up to instants after `start`."""
        past = np.searchsorted(closes, store * span + at, side="right")
        read: Ints = before[past] + np.maximum(store * span + at - opens[past], 0)
        return read

    of, at = np.divmod(codes, bits)
    at >>= 1
    clocks = clock(of, at)
    gained = np.zeros_like(clocks)
    np.cumsum(np.where((codes[:-1] & 1 == 1) & (of[1:] == of[:-1]), np.diff(clocks), 0), out=gained[1:])

    every = np.arange(len(ids))

    def up(until: int) -> tuple[Ints, Ints]:
        """Open time and uptime of all stores up to an instant."""
        edge = np.full(len(ids), until - start)
        last = np.searchsorted(codes, every * bits + 2 * edge + 1, side="right") - 1
        opened = clock(every, edge)
        return opened, gained[last] + (codes[last] & 1) * (opened - clocks[last])

    columns = {"store_id": ids}
    open_now, up_now = up(as_of)
    for name, length, unit in WINDOWS:
        open_then, up_then = up(as_of - length)
        uptime = up_now - up_then
        for side, spent in (("uptime", uptime), ("downtime", open_now - open_then - uptime)):
            columns[f"{side}_last_{name}"] = cells(spent, unit)
    return pl.DataFrame(columns)


def open_spans(hours: pl.DataFrame, zones: pl.DataFrame, days: range) -> pl.DataFrame:
    """From when to when stores with hours are open on local `days` since 1970; those of a store may overlap."""
    calendar = pl.DataFrame({"midnight": [day * DAY for day in days], "day": [(day + 3) % 7 for day in days]})
    rows = hours.select(
        "store_id",
        pl.col("day").cast(pl.Int64),
        begin=wall(pl.col("start_time_local")),
        end=wall(pl.col("end_time_local")),
    ).join(zones, on="store_id", how="left")
    rows = rows.with_columns(pl.col("timezone_str").fill_null("America/Chicago"))
    kinds = rows.select("timezone_str", "day", "begin", "end").unique()
    spans = kinds.join(calendar, on="day").with_columns(
        opens=pl.col("midnight") + pl.col("begin"),
        closes=pl.col("midnight") + pl.col("end") + DAY * (pl.col("end") <= pl.col("begin")),
    )
    spans = to_utc(spans).filter(pl.col("opens") < pl.col("closes"))
    found = rows.join(spans, on=("timezone_str", "day", "begin", "end"))
    return found.select("store_id", "opens", "closes")


def business_hours(
    hours: pl.DataFrame, zones: pl.DataFrame, kind: pl.Enum, start: int, as_of: int
) -> tuple[Ints, Ints, Ints, int]:
    """Opening and closing of every store, packed; the open time before each; the span of a store's packing."""
    days = range((start // DAY) - 3, (as_of // DAY) + 3)
    found = open_spans(hours, zones, days).with_columns(
        pl.col("store_id").cast(kind).to_physical().cast(pl.Int64)
    )
    low, high = (days[0] - 2) * DAY, (days[-1] + 3) * DAY
    span = high - low
    with_hours = hours["store_id"].unique().cast(kind).to_physical().to_numpy()
    without = np.setdiff1d(np.arange(len(kind.categories)), with_hours)
    base = found["store_id"].to_numpy() * span - start
    opens = np.concatenate((base + found["opens"].to_numpy(), without * span + low - start))
    closes = np.concatenate((base + found["closes"].to_numpy(), without * span + high - 1 - start))
    order = np.argsort(opens)
    opens, closes = opens[order], np.maximum.accumulate(closes[order])
    starts = np.flatnonzero(np.append(True, opens[1:] > closes[:-1]))  # overlapping and touching ones are one
    closes, opens = closes[np.append(starts[1:] - 1, len(closes) - 1)], opens[starts]
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(closes - opens)))
    return np.append(opens, np.iinfo(np.int64).max), closes, before, span


def cells(spent: Ints, unit: int) -> pl.Series:
    """Hundredths of a unit, half to even, with one decimal where the second is zero."""
    step = unit // 100
    whole, rest = np.divmod(spent, step)
    whole += (2 * rest > step) | ((2 * rest == step) & (whole & 1 == 1))
    texts = [
        f"{n // 100}.{n // 10 % 10}" if n % 10 == 0 else f"{n // 100}.{n % 100:02d}" for n in range(16_801)
    ]
    return pl.Series(texts).gather(whole)


if __name__ == "__main__":
    report(Path(sys.argv[1])).write_csv(sys.argv[2])
