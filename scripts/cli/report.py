"""The command `report`: a folder of CSVs in, a report out, nothing running before or after.

Owns: the order of things: a worker of our own, replay, waiting until all of it is readable, the report.
Must not know: how any of them works.
"""

import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

from query_api.errors import WaitedTooLong
from query_api.reports.report import ReportFacts, Sureness, check_as_of, write_report
from query_api.snapshots.reader import Reader
from schemas.positions import Positions
from schemas.report_columns import Extra
from schemas.settings import Settings
from scripts.cli.processes import Child
from scripts.cli.progress import Progress
from scripts.csv_input import InputFolder, RejectsWriter
from scripts.replay import ReplaySummary, replay
from stream.brokers.opening import open_sink

_LOOK_SECONDS: Final = 0.05


def make_report(
    settings: Settings,
    worker: Child,
    data: InputFolder,
    out: Path,
    as_of_us: int | None,
    *,
    extras: frozenset[Extra] = frozenset(),
    rejects: RejectsWriter,
    progress: Progress,
) -> tuple[ReplaySummary, ReportFacts]:
    """Replay `data` to the running `worker` and write the report to `out`, whole or not at all.

    Raises CsvInputError, ChildEnded, QueryError (WaitedTooLong too) and the broker's errors.
    """
    with ExitStack() as stack:
        sink = stack.enter_context(open_sink(settings))
        summary = replay(data, sink, rejects, progress)
        reader = Reader(settings)
        stack.callback(reader.close)
        reader.expect_partitions(sink.partitions)
        wait_until_readable(reader, summary.positions, worker, settings.report_patience_seconds)
        with reader.snapshot() as snapshot:
            check_as_of(snapshot, as_of_us, time.time_ns() // 1000, settings.retention_days)
            sureness = Sureness(extras, settings.confidence_gap // timedelta(microseconds=1))
            return summary, write_report(snapshot, as_of_us, out, sureness)


def wait_until_readable(reader: Reader, positions: Positions, worker: Child, patience_s: float) -> None:
    """Wait until the tables are whole and reflect the topics up to `positions`.

    Raises ChildEnded where the worker ends, WaitedTooLong where nothing moves for `patience_s`.
    """
    moved_s, before = time.monotonic(), None
    while True:
        standing = reader.standing()
        obstacle = standing.obstacle(positions)
        if obstacle is None:
            return
        worker.check()
        if standing != before:
            moved_s, before = time.monotonic(), standing
        elif time.monotonic() - moved_s > patience_s:
            raise WaitedTooLong(patience_s, obstacle)
        time.sleep(_LOOK_SECONDS)
