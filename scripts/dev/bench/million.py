"""A million stores: loading, reports, and the rebuilding of tables that were lost.

Owns: the rows on very many stores, and on recovery, beside those of the known data. Must not know: how a report is
streamed, or a table rebuilt.

Loading a million stores takes minutes, and so does rebuilding their tables: each is done once. Reports of them are
measured as often as all else.
"""

import shutil
import time
from collections.abc import Iterator
from typing import Final

from schemas.settings import Settings
from schemas.topics import CHANGELOG
from scripts.dev.bench.bench import Bench
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.service import Watch, api, child, forget_peak, peak_mb, storepulse
from stream.brokers.embedded.log import EmbeddedLog

_DAYS: Final = 1
_AT_ONCE: Final = 10_000
_BYTES: Final = 64 << 20


def measure_million(bench: Bench) -> Iterator[Row]:
    """Reports of a million stores; recovery of few and of many."""
    known = bench.replayed("recovery")
    yield from _recovery(bench, known, f"{len(bench.stores):,} stores", bench.runs)
    bench.forget(known)
    count = bench.count(1_000_000, 20_000)
    data, settings = bench.scratch / "million", bench.fresh("million-state")
    storepulse("sample", data, "--stores", count, "--days", _DAYS)
    args = ("--data", data, "--out", bench.scratch / "million.csv", "--state", settings.state)
    took = storepulse("report", *args)
    yield Row("million", f"{count:,} stores: CSVs to report, whole command", "s", [took])
    shutil.rmtree(data)
    yield from _reports(bench, settings, count)
    yield from _recovery(bench, settings, f"{count:,} stores", 1)
    bench.forget(settings)


def _reports(bench: Bench, settings: Settings, count: int) -> Iterator[Row]:
    """Reports over HTTP, read a piece at a time, and what the API needs for them."""
    seconds, peaks = list[float](), list[float]()
    with Watch(settings) as watch, child(settings, "worker") as worker:
        watch.wait_for(watch.applied(), worker)
        with api(settings) as calls:
            for _ in range(bench.runs):
                forget_peak(calls.process.pid)
                seconds.append(calls.report_in_pieces())
                peaks.append(peak_mb(calls.process.pid))
    yield Row("million", f"{count:,} stores: report, POST to last CSV byte", "s", seconds, Target(12))
    yield Row("million", f"{count:,} stores: API's most memory, report streamed", "MB", peaks, Target(1000))


def _recovery(bench: Bench, settings: Settings, what: str, runs: int) -> Iterator[Row]:
    """The worker's tables are deleted; how soon another worker has them again, its start included."""
    with Watch(settings) as watch:
        before = watch.applied()
    records, seconds = _changelog_records(settings), list[float]()
    for _ in range(runs):
        shutil.rmtree(settings.worker_dir)
        began = time.perf_counter()
        with child(settings, "worker") as worker, Watch(settings) as watch:
            watch.wait_for(before, worker)
            seconds.append(time.perf_counter() - began)
    rates = [records / took for took in seconds]
    yield Row("million", f"tables rebuilt from {records:,} changelog records, {what}", "s", seconds)
    yield Row("million", f"changelog records read a second in that, {what}", "/s", rates)


def _changelog_records(settings: Settings) -> int:
    """Records in the embedded changelog; compaction has taken others away."""
    found = 0
    with EmbeddedLog(settings.log_path) as log:
        for (topic, partition), _ in log.end_offsets().items():
            at = 0
            while topic == CHANGELOG and (records := log.read(topic, partition, at, _AT_ONCE, _BYTES)):
                found, at = found + len(records), records[-1].offset + 1
    return found
