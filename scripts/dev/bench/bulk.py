"""The whole command `report`: CSVs in, report out, nothing running before or after.

Owns: the rows on bulk replay. Must not know: how it is done.
"""

from collections.abc import Iterator

from scripts.dev.bench.bench import Bench
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.service import seconds_of, storepulse


def measure_bulk(bench: Bench) -> Iterator[Row]:
    """`storepulse report` on the embedded log, beside the polars batch."""
    out, ours, batch = bench.scratch / "bulk.csv", [], []
    for _ in range(bench.runs):
        ours.append(storepulse("report", "--data", bench.data, "--out", out))
        batch.append(
            seconds_of("scripts.dev.bench.peers.polars_batch", bench.data, bench.scratch / "batch.csv")
        )
    what = "CSVs to report, whole command, embedded"
    yield Row("bulk", what, "s", ours, Target(3.5), "polars batch (keeps nothing)", batch)
