"""Reports over HTTP, beside programs that make the same report without keeping anything ready.

Owns: the rows on asking for a report. Must not know: how one is made.
"""

from collections.abc import Iterator
from pathlib import Path

from scripts.dev.bench.bench import Bench
from scripts.dev.bench.peer import peer
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.service import Api, BenchFailed, Watch, api, child, seconds_of


def measure_reports(bench: Bench) -> Iterator[Row]:
    """The first report of an API; a later one beside the polars batch and beside DuckDB."""
    settings = bench.replayed("reports")
    with Watch(settings) as watch, child(settings, "worker") as worker:
        watch.wait_for(watch.applied(), worker)
        first = []
        for _ in range(bench.runs):
            with api(settings) as calls:
                first.append(calls.report().seconds)
        what = f"report of {len(bench.stores):,} polled stores, POST to last CSV byte"
        yield Row("reports", "first report after the API starts", "s", first, Target(0.3))
        with api(settings) as calls:
            ours, batch = beside_batch(bench, calls)
            yield Row("reports", what, "s", ours, Target(0.05, None, 10), "polars batch on the CSVs", batch)
            ours, by_sql = beside_duckdb(bench, calls)
            yield Row("reports", what, "s", ours, Target(0.05, None, 5), "DuckDB, loaded and open", by_sql)
    bench.forget(settings)


def beside_batch(bench: Bench, calls: Api) -> tuple[list[float], list[float]]:
    """Seconds of a warm report and of the batch job, by turns. Raises BenchFailed where the two differ."""
    out = bench.scratch / "batch.csv"
    warm = calls.report()
    ours, batch = [], []
    for _ in range(bench.runs):
        batch.append(seconds_of("scripts.dev.bench.peers.polars_batch", bench.data, out))
        ours.append(calls.report().seconds)
    check_same("polars batch", out, warm.csv)
    return ours, batch


def beside_duckdb(bench: Bench, calls: Api) -> tuple[list[float], list[float]]:
    """The same beside SQL on a DuckDB file that was loaded before. Raises BenchFailed where the two differ."""
    out, ours, by_sql = bench.scratch / "duckdb.csv", [], []
    with peer("duckdb_report", bench.data, bench.scratch / "polls.duckdb") as duckdb:
        duckdb.seconds(word="loaded")
        warm, _ = calls.report(), duckdb.seconds(str(out))
        for _ in range(bench.runs):
            by_sql.append(duckdb.seconds(str(out)))
            ours.append(calls.report().seconds)
    check_same("DuckDB", out, warm.csv)
    return ours, by_sql


def check_same(peer: str, path: Path, csv: bytes) -> None:
    """Raise BenchFailed where a peer's report differs from ours: it would not have done the same job."""
    theirs, ours = path.read_bytes().split(b"\n"), csv.split(b"\n")
    different = sum(a != b for a, b in zip(theirs, ours, strict=False)) + abs(len(theirs) - len(ours))
    if different:
        raise BenchFailed(f"the report of {peer} differs from ours in {different:,} lines: {path}")
