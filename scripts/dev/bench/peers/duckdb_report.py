"""The same exact report by SQL, from a DuckDB file that holds the polls and is kept open.

    python -m scripts.dev.bench.peers.duckdb_report DIR DATABASE < one file name a report

Owns: a whole program that a user could have instead of storepulse, written to be fast; it shares no code with the
product. It takes well-formed files only, and says `loaded X`, then `seconds X` for each report that it is asked
for.

When loading it numbers the stores in the order of their ids, sorts the polls, of one store and instant keeps one
(inactive wins), and works out when each store is open, in UTC, its spans put together. The report is one query:
runs of inactive polls, cut to business hours and windows, summed as integers.
"""

import sys
import time
from pathlib import Path

import duckdb

from scripts.dev.bench.peers.polars_batch import DAY, WINDOWS, open_spans, read

LOAD = """
CREATE TABLE stores AS
    SELECT store_id, (row_number() OVER (ORDER BY store_id) - 1)::INTEGER AS store
    FROM (SELECT store_id FROM raw_polls UNION SELECT store_id FROM raw_hours UNION SELECT store_id FROM raw_zones);

CREATE TABLE polls AS
    SELECT store,
        epoch_us(replace(timestamp_utc, ' UTC', '')::TIMESTAMP) AS polled,
        bool_and(status = 'active') AS active
    FROM raw_polls JOIN stores USING (store_id) GROUP BY ALL ORDER BY store, polled;
"""

SPANS = """
CREATE TABLE spans AS
    WITH found AS (SELECT store, opens, closes FROM read_parquet($spans) JOIN stores USING (store_id)),
    starting AS (
        SELECT *, (opens > coalesce(max(closes) OVER (
            PARTITION BY store ORDER BY opens, closes ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), -1))::INTEGER AS starts FROM found),
    numbered AS (
        SELECT *, sum(starts) OVER (PARTITION BY store ORDER BY opens, closes ROWS UNBOUNDED PRECEDING) AS island
        FROM starting)
    SELECT store, min(opens) AS opens, max(closes) AS closes FROM numbered GROUP BY store, island
    UNION ALL
    SELECT store, 0, 1::BIGINT << 62 FROM stores WHERE store_id NOT IN (SELECT store_id FROM raw_hours)
    ORDER BY store, opens;
"""


def load(folder: Path, path: Path) -> duckdb.DuckDBPyConnection:
    """Load the CSVs of `folder` into a new database."""
    base = duckdb.connect(str(path))
    for name, file in (("polls", "store_status"), ("hours", "menu_hours"), ("zones", "timezones")):
        source = str(next(folder.glob(f"{file}.csv*")))
        base.read_csv(source, all_varchar=True).create_view(f"raw_{name}")
    base.execute(LOAD)
    low, high = base.execute("SELECT min(polled), max(polled) FROM polls").fetchall()[0]
    hours = read(folder, "menu_hours").rename({"dayOfWeek": "day"}, strict=False)
    zones = read(folder, "timezones").unique("store_id", keep="last").select("store_id", "timezone_str")
    days = range(min(low, high - 7 * DAY) // DAY - 3, high // DAY + 3)
    parquet = path.with_suffix(".parquet")
    open_spans(hours, zones, days).write_parquet(parquet)
    base.execute(SPANS, {"spans": str(parquet)})
    return base


def overlap(length: int, since: str, until: str) -> str:
    """How much of a span lies in the window of that length."""
    return f"sum(greatest(0, least({until}, now) - greatest({since}, now - {length})))::BIGINT"


def cell(spent: str, unit: int) -> str:
    """Hundredths of a unit, half to even, with one decimal where the second is zero."""
    step = unit // 100
    rest = f"2 * ({spent} % {step})"
    hundredths = f"({spent} // {step} + ({rest} + ({spent} // {step}) % 2 > {step})::BIGINT)"
    return f"regexp_replace(printf('%d.%02d', {hundredths} // 100, {hundredths} % 100), '0$', '')"


def query() -> str:
    """The report's one query."""
    opened = ", ".join(f"{overlap(length, 'opens', 'closes')} AS open_{name}" for name, length, _ in WINDOWS)
    downed = ", ".join(
        f"{overlap(length, 'greatest(since, opens)', 'least(until, closes)')} AS down_{name}"
        for name, length, _ in WINDOWS
    )
    cells = ", ".join(
        f"{cell(f'(coalesce(open_{name}, 0) - coalesce(down_{name}, 0))', unit)} AS uptime_last_{name}, "
        f"{cell(f'coalesce(down_{name}, 0)', unit)} AS downtime_last_{name}"
        for name, _, unit in WINDOWS
    )
    return f"""
    WITH latest AS MATERIALIZED (SELECT max(polled) AS now FROM polls),
    changes AS (
        SELECT store, polled, active FROM polls
        QUALIFY active <> lag(active, 1, true) OVER (PARTITION BY store ORDER BY polled)),
    runs AS (
        SELECT store, active, polled AS since,
            lead(polled, 1, 1::BIGINT << 62) OVER (PARTITION BY store ORDER BY polled) AS until
        FROM changes),
    week AS (SELECT store, opens, closes, now FROM spans, latest WHERE closes > now - {7 * DAY} AND opens < now),
    open AS (SELECT store, {opened} FROM week GROUP BY store),
    down AS (
        SELECT store, {downed} FROM runs JOIN week USING (store)
        WHERE NOT active AND since < closes AND opens < until AND until > now - {7 * DAY} GROUP BY store)
    SELECT store_id, {cells}
    FROM stores LEFT JOIN open USING (store) LEFT JOIN down USING (store) ORDER BY store
    """


def main() -> None:
    """Load, then make a report for each line."""
    began = time.perf_counter()
    base = load(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"loaded {time.perf_counter() - began}", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        base.execute(f"COPY ({query()}) TO '{line.strip()}' (HEADER, DELIMITER ',')")
        print(f"seconds {time.perf_counter() - began}", flush=True)


if __name__ == "__main__":
    main()
