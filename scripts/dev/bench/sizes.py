"""Sizes: what a store takes on the disk, what a live poll adds to the changelog.

Owns: the rows on bytes. Must not know: the format of what is stored.
"""

from collections.abc import Iterator
from typing import Final

from schemas.settings import Settings
from schemas.values import StoreId
from scripts.dev.bench.backlog import changelog_ends, changelog_kb
from scripts.dev.bench.bench import Bench, stores_of
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.service import Watch, child, storepulse
from scripts.dev.bench.workload import Workload, send_polls
from scripts.sample import write_sample

_DAYS: Final = 14
_POLLS_A_DAY: Final = 24 * 60
_LIVE: Final = 200
"""Live polls sent one by one, each after the one before was applied."""


def measure_sizes(bench: Bench) -> Iterator[Row]:
    """Hourly polls and a poll a minute, kept for 14 days."""
    for what, polls_a_day, stores, max_kb in (
        ("hourly polls", 24, bench.count(14_228, 1_000), 3),
        ("a poll a minute", _POLLS_A_DAY, bench.count(100, 20), 12),
    ):
        data, settings = bench.scratch / f"sizes-{polls_a_day}", bench.fresh("sizes")
        write_sample(data, stores, _DAYS, 0, polls_a_day)
        storepulse("report", "--data", data, "--out", bench.scratch / "sizes.csv", "--state", settings.state)
        if polls_a_day == 24:
            kb = sum(path.stat().st_size for path in settings.tables_dir.rglob("*") if path.is_file()) / 1024
            yield Row("sizes", f"tables a store, {what}, {_DAYS} days", "KB", [kb / stores], Target(3))
        written = list(_live_kb(bench, settings, stores_of(data)))
        yield Row("sizes", f"changelog a live poll, {what}", "KB", written, Target(max_kb))
        bench.forget(settings)


def _live_kb(bench: Bench, settings: Settings, stores: list[StoreId]) -> Iterator[float]:
    """Keys and values written to the changelog for a live poll, once a run, each of other polls."""
    count = bench.count(_LIVE, 50)
    with Watch(settings) as watch, child(settings, "worker") as worker:
        watch.wait_for(watch.applied(), worker)
        workload = Workload(stores, watch.latest_us())
        for run in range(bench.runs):
            before = changelog_ends(settings)
            for nth in range(run * count, (run + 1) * count):
                watch.wait_for(send_polls(settings, workload, nth, 1), worker)
            yield changelog_kb(settings, before) / count
