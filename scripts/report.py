"""The command `report`: a folder of CSVs in, a report out, nothing running before or after.

Owns: the order of things: a worker of our own, replay, waiting until all of it is readable, the report.
Must not know: how any of them works.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from query_api.reader import Reader
from query_api.report import ReportFacts, check_as_of, write_report
from schemas.settings import Settings
from scripts.csv_input import InputFolder, RejectsWriter
from scripts.processes import Child
from scripts.progress import Progress
from scripts.replay import ReplaySummary, replay
from scripts.sinks import Positions, open_sink

_LOOK_SECONDS: Final = 0.05


def make_report(
    settings: Settings,
    worker: Child,
    data: InputFolder,
    out: Path,
    as_of_us: int | None,
    *,
    rejects: RejectsWriter,
    progress: Progress,
) -> tuple[ReplaySummary, ReportFacts]:
    """Replay `data` to the running `worker` and write the report to `out`, whole or not at all.

    Raises CsvInputError, ChildEnded, QueryError and the broker's errors.
    """
    with ExitStack() as stack:
        sink = stack.enter_context(open_sink(settings))
        summary = replay(data, sink, rejects, progress)
        reader = Reader(settings)
        stack.callback(reader.close)
        wait_until_readable(reader, summary.positions, worker)
        with reader.snapshot() as snapshot:
            check_as_of(snapshot, as_of_us, time.time_ns() // 1000, settings.retention_days)
            return summary, write_report(snapshot, as_of_us, out)


def wait_until_readable(reader: Reader, positions: Positions, worker: Child) -> None:
    """Wait until the readable state reflects the topics up to `positions`. Raises ChildEnded."""
    while True:
        with reader.snapshot() as snapshot:
            applied = snapshot.applied()
        if all(applied.get(partition, 0) >= offset for partition, offset in positions.items()):
            return
        worker.check()
        time.sleep(_LOOK_SECONDS)
