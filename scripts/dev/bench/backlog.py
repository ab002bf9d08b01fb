"""A backlog of live polls, one a record: how fast one worker takes it in, in how much memory.

Owns: the rows on the backlog, on the embedded log. Must not know: which broker (scripts.dev.bench.on_kafka
measures the same there).

The worker is stopped by a signal while the backlog is sent, so its start does not count and the sender takes none
of its time. Its end is looked for by few GETs of the polls that come last, then by a report, which names the
positions that it has.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from schemas.positions import Positions, covers
from schemas.settings import Settings
from schemas.topics import CHANGELOG
from scripts.cli.processes import Child
from scripts.dev.bench.bench import Bench, partitions_of
from scripts.dev.bench.peer import peer_rate
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.sender import send_all
from scripts.dev.bench.service import Api, forget_peak, peak_mb, serving, until
from scripts.dev.bench.workload import Poll, Workload, send_hours_and_zones
from stream.brokers.embedded.log import EmbeddedLog

_IDLE_S: Final = 2.0
"""After so long without news a worker has written and committed all that it had."""
_LOOK_S: Final = 0.1
"""Between two GETs: often enough to tell a second from another, and no work beside the worker's."""


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
        with taker(bench, settings) as worker:
            before = changelog_ends(settings)
            taken.append(worker.take(count))
        written_kb.append(changelog_kb(settings, before) / count)
        more = (settings.broker, settings.state / "faust", few, f"peer-{nth}", 1)
        faust.append(peer_rate("stock_faust", few, *more))
    what = "backlog, one poll a record, embedded"
    rates = [run.polls / run.seconds for run in taken]
    yield Row("backlog", what, "/s", rates, Target(None, 100_000, 10), "stock Faust agent, same log", faust)
    peaks = [run.peak_mb for run in taken]
    yield Row("backlog", "worker's most memory in the backlog", "MB", peaks, Target(350))
    yield Row("backlog", "changelog a poll in the backlog", "KB", written_kb, Target(0.2))


@dataclass(frozen=True, slots=True)
class Taker:
    """A worker that has taken hours, zones and the workload's first poll, and waits for more."""

    settings: Settings
    workload: Workload
    revision: Revision
    worker: Child
    calls: Api

    def take(self, count: int) -> Taken:
        """Have it take `count` polls that are there at once."""
        last = self.workload.last_polls(1, count, partitions_of(self.settings))
        os.kill(self.worker.pid, signal.SIGSTOP)
        ends = send_all(self.settings, self.workload, 1, count, self.revision)
        forget_peak(self.worker.pid)
        began = time.perf_counter()
        os.kill(self.worker.pid, signal.SIGCONT)
        self.wait_for(last)
        until(f"a report of {ends}", lambda: covers(self.calls.report().position, ends), self.worker)
        return Taken(count, time.perf_counter() - began, peak_mb(self.worker.pid))

    def wait_for(self, polls: list[Poll]) -> None:
        """Wait until each can be read."""
        for store, _, at_us in polls:
            seen = partial(self.calls.has_poll, store, at_us)
            until(f"the last poll of store {store}", seen, self.worker, _LOOK_S)


@contextmanager
def taker(bench: Bench, settings: Settings, revision: Revision = OURS) -> Iterator[Taker]:
    """A worker on a new, empty state folder, which waits for a backlog."""
    with serving(settings, revision) as (worker, calls):
        waiting = Taker(settings, Workload(bench.stores), revision, worker, calls)
        send_hours_and_zones(bench, settings, revision)
        send_all(settings, waiting.workload, 0, 1, revision)
        waiting.wait_for(list(waiting.workload.polls(0, 1)))
        time.sleep(_IDLE_S)
        yield waiting


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
