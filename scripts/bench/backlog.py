"""A backlog of live polls, one a record: how fast one worker takes it in, in how much memory.

Owns: the rows on the backlog, on the embedded log. Must not know: which broker (scripts.bench.on_kafka measures the
same there).

The worker is stopped by a signal while the backlog is sent, so its start does not count and the sender takes none
of its time.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.settings import Settings
from schemas.topics import CHANGELOG, POLLS
from scripts.bench.bench import Bench
from scripts.bench.peer import peer_rate
from scripts.bench.rows import Row, Target
from scripts.bench.service import Watch, child, forget_peak, peak_mb
from scripts.bench.workload import Workload, send_hours_and_zones, send_polls
from scripts.sinks import Positions
from stream.embedded.log import EmbeddedLog

IDLE_S = 2.0
"""After so long without news a worker has written and committed all that it had."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking in a backlog of `polls` took."""

    polls: int
    seconds: float
    peak_mb: float


def measure_backlog(bench: Bench) -> Iterator[Row]:
    """One worker on the embedded log, beside a stock Faust agent on the same log."""
    count, few = bench.count(1_000_000, 100_000), bench.count(30_000, 5_000)
    taken, faust, written_kb = list[Taken](), list[float](), list[float]()
    for nth in range(bench.runs):
        settings = bench.fresh("backlog")
        before, run = take_backlog(bench, settings, count)
        taken.append(run)
        written_kb.append(changelog_kb(settings, before) / count)
        more = (settings.broker, settings.state / "faust", few, f"peer-{nth}", 1)
        faust.append(peer_rate("stock_faust", few, *more))
    what = "backlog, one poll a record, embedded"
    rates = [run.polls / run.seconds for run in taken]
    yield Row("backlog", what, "/s", rates, Target(None, 100_000, 10), "stock Faust agent, same log", faust)
    peaks = [run.peak_mb for run in taken]
    yield Row("backlog", "worker's most memory in the backlog", "MB", peaks, Target(350))
    yield Row("backlog", "changelog a poll in the backlog", "KB", written_kb, Target(0.2))


def take_backlog(bench: Bench, settings: Settings, count: int) -> tuple[Positions, Taken]:
    """Have one worker take `count` polls; where the topics ended before, and what it took."""
    workload = Workload(bench.stores)
    with Watch(settings) as watch, child(settings, "worker") as worker:
        send_hours_and_zones(bench, settings)
        watch.wait_for(send_polls(settings, workload, 0, 1), worker)
        time.sleep(IDLE_S)
        before = changelog_ends(settings) if settings.is_embedded else {}
        os.kill(worker.pid, signal.SIGSTOP)
        target = send_polls(settings, workload, 1, count)
        forget_peak(worker.pid)
        began = time.perf_counter()
        os.kill(worker.pid, signal.SIGCONT)
        watch.wait_for({at: end for at, end in target.items() if at[0] == POLLS}, worker)
        took = time.perf_counter() - began
        peak = peak_mb(worker.pid)
    return before, Taken(count, took, peak)


def changelog_ends(settings: Settings) -> Positions:
    """Where each partition of the embedded changelog ends."""
    with EmbeddedLog(settings.log_path) as log:
        return {at: end for at, end in log.end_offsets().items() if at[0] == CHANGELOG}


def changelog_kb(settings: Settings, since: Positions) -> float:
    """Keys and values that the embedded changelog was given since then, as records in a row.

    Where a compaction has already taken some away, they count as large as those that are left.
    """
    total = 0.0
    with EmbeddedLog(settings.log_path) as log:
        for (topic, partition), start in since.items():
            at, found, size, end = start, 0, 0, log.end_offset(topic, partition)
            while records := log.read(topic, partition, at, 10_000, 64 << 20):
                found += len(records)
                size += sum(len(record.key or b"") + len(record.value or b"") for record in records)
                at = records[-1].offset + 1
            total += size / max(1, found) * (end - start)
    return total / 1024
