"""Growth: what a report takes over the number of stores, what a live poll costs over stores and history.

Owns: the rows of the two curves, and handing them to the plot. Must not know: how they are drawn.

A live poll's cost is the processor time of a worker that has no backlog: polls come at a steady rate, and each
waits only for the next flush. What the worker uses while nothing comes is counted with them.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from schemas.settings import Settings
from scripts.dev.bench.bench import Bench, stores_of
from scripts.dev.bench.plot import Curve, draw
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.sender import sending
from scripts.dev.bench.service import BenchFailed, Watch, api, child, processor_s, storepulse
from scripts.dev.bench.workload import Workload
from scripts.sample import write_sample

PLOT: Final = Path(__file__).parents[3] / "docs" / "growth.svg"

_FLEETS: Final = (1_000, 4_000, 14_000, 50_000, 200_000)
_SMALL_FLEETS: Final = (200, 400, 1_000)
_DAYS: Final = (1, 7, 14)
_DAYS_STORES: Final = 4_000
_RATE: Final = 1_000
_SECONDS: Final = 5
_LINEAR: Final = 1.25
"""A report counts as linear where many stores take no more than this times as long, a store, as fewer do."""
_FLAT: Final = 1.25
"""A live poll counts as flat where it costs no more than this times as much at the end of its curve."""


def measure_growth(bench: Bench) -> Iterator[Row]:
    """Both curves, as rows; a full run draws them too."""
    fleets = _SMALL_FLEETS if bench.quick else _FLEETS
    reports, by_stores, by_days = Curve(), Curve(), Curve()
    for stores in fleets:
        report_s, poll_us = _measured(bench, stores, 1)
        reports.add(stores, report_s)
        by_stores.add(stores, poll_us)
        yield Row("growth", f"report of {stores:,} stores", "s", report_s)
        yield Row("growth", f"worker's processor time a live poll, {stores:,} stores", "µs", poll_us)
    for days in _DAYS:
        poll_us = _measured(bench, bench.count(_DAYS_STORES, fleets[0]), days)[1]
        by_days.add(days, poll_us)
        yield Row("growth", f"worker's processor time a live poll, days of history: {days}", "µs", poll_us)
    yield from _shapes(reports, by_stores, by_days)
    if bench.quick:
        return
    try:
        draw(PLOT, reports, by_stores, by_days)
    except BenchFailed as error:
        bench.miss("the plot", error)


def _shapes(reports: Curve, by_stores: Curve, by_days: Curve) -> Iterator[Row]:
    """How far the ends of each curve are from what the curve should be."""
    what = f"report time a store, {reports.x[-1]:,} stores against {reports.x[-3]:,}"
    a_store = [median(took) / stores for took, stores in zip(reports.y, reports.x, strict=True)]
    yield Row("growth", what, "×", [a_store[-1] / a_store[-3]], Target(_LINEAR))
    for curve, of in ((by_stores, "stores"), (by_days, "days")):
        what = f"cost of a live poll, {curve.x[-1]:,} {of} against {curve.x[0]:,}"
        yield Row("growth", what, "×", [median(curve.y[-1]) / median(curve.y[0])], Target(_FLAT))


def _measured(bench: Bench, stores: int, days: int) -> tuple[list[float], list[float]]:
    """Seconds of a report, and processor microseconds of a live poll, once a run."""
    data, settings = bench.scratch / "growth-data", bench.fresh("growth")
    write_sample(data, stores, days, 0)
    storepulse("report", "--data", data, "--out", bench.scratch / "growth.csv", "--state", settings.state)
    with Watch(settings) as watch, child(settings, "worker") as worker, api(settings) as calls:
        watch.wait_for(watch.applied(), worker)
        calls.report()
        report_s = [calls.report().seconds for _ in range(bench.runs)]
        workload, poll_us = Workload(stores_of(data), watch.latest_us()), list[float]()
        for run in range(bench.runs):
            poll_us.append(_poll_us(settings, workload, run * _RATE * _SECONDS, worker.pid))
    bench.forget(settings)
    return report_s, poll_us


def _poll_us(settings: Settings, workload: Workload, first: int, pid: int) -> float:
    began_s = processor_s(pid)
    with sending(settings, workload, first, _RATE, _SECONDS):
        pass
    return (processor_s(pid) - began_s) / (_RATE * _SECONDS) * 1e6
