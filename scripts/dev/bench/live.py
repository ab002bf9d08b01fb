"""Live polls: how soon a poll is in a report, and what reports and ingest do to each other.

Owns: the rows on polls that come at a steady rate. Must not know: how anything is written or read.

A report says which log position it was made from, so a poll is visible in the first report whose position lies
past it. Reports are asked for one after another; the wait for the next one is part of the latency. How soon a poll
can be read by itself is another row (scripts.dev.bench.visible).
"""

import time
from collections.abc import Iterator
from statistics import median
from typing import Final

import numpy as np

from schemas.topics import POLLS
from scripts.dev.bench.bench import Bench
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.sender import Sent
from scripts.dev.bench.service import Api, Watch
from scripts.dev.bench.visible import RATE, Live, live_service, visible_rows

_FLOW_RATE: Final = 10_000
_PAUSE_S: Final = 0.5
"""Between two reports while polls flow."""
_SETTLE_S: Final = 2.0


def measure_live(bench: Bench) -> Iterator[Row]:
    """Latency at 1,000 polls/s; reports and ingest beside each other at 10,000 polls/s."""
    settings = bench.replayed("live")
    with live_service(bench, settings) as live, Watch(settings) as watch:
        live.calls.report()
        yield from _latency(bench, live)
        yield from visible_rows(bench, live, "live", (Target(), Target()))
        yield from _beside_each_other(bench, live, watch)
    bench.forget(settings)


def _seconds(bench: Bench) -> int:
    return bench.count(15, 6)


def _latency(bench: Bench, live: Live) -> Iterator[Row]:
    p50, p99 = list[float](), list[float]()
    for _ in range(bench.runs):
        waits, weights = _latencies_ms(live, _seconds(bench))
        p50.append(_quantile(waits, weights, 0.5))
        p99.append(_quantile(waits, weights, 0.99))
    what = f"poll sent to visible in a report, {RATE:,} polls/s"
    yield Row("live", f"{what}, p50", "ms", p50, Target(150))
    yield Row("live", f"{what}, p99", "ms", p99, Target(1000))


def _beside_each_other(bench: Bench, live: Live, watch: Watch) -> Iterator[Row]:
    slower, lost, seconds = list[float](), list[float](), _seconds(bench)
    for _ in range(bench.runs):
        time.sleep(_SETTLE_S)
        idle_s = _report_s(live.calls, seconds / 3)
        _, alone = _flow(live, watch, seconds, with_reports=False)
        busy_s, beside = _flow(live, watch, seconds, with_reports=True)
        slower.append(busy_s / idle_s)
        lost.append(100 * (1 - beside / alone))
    yield Row("live", f"report while {_FLOW_RATE:,} polls/s flow, against idle", "×", slower, Target(1.5))
    yield Row("live", "polls taken less for a report each half second", "%", lost, Target(10))


def _latencies_ms(live: Live, seconds: int) -> tuple[list[float], list[float]]:
    """From the sending of polls to the end of the first report that has them, and how many polls that was."""
    waits, weights, waiting = [], [], list[Sent]()
    with live.sending(RATE, seconds) as sender:
        while not sender.ended or waiting:
            waiting += sender.newly_sent()
            position, now_s = live.calls.report().position, time.time()
            seen = [sent for sent in waiting if position.get(sent.at, 0) >= sent.end]
            waits += [(now_s - sent.at_s) * 1000 for sent in seen]
            weights += [sent.polls for sent in seen]
            waiting = [sent for sent in waiting if position.get(sent.at, 0) < sent.end]
    return waits, weights


def _quantile(values: list[float], weights: list[float], share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(np.array(weights)[order])
    return float(np.array(values)[order][np.searchsorted(reached, share * reached[-1])])


def _report_s(calls: Api, seconds: float) -> float:
    """The median time of a report, asked for now and then for so long."""
    took, until_s = [calls.report().seconds], time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(_PAUSE_S)
        took.append(calls.report().seconds)
    return median(took)


def _flow(live: Live, watch: Watch, seconds: int, *, with_reports: bool) -> tuple[float, float]:
    """While polls flow: the median time of a report (0 without), and the polls taken a second."""
    with live.sending(_FLOW_RATE, seconds) as sender:
        while not sender.newly_sent():
            time.sleep(_PAUSE_S / 10)
        time.sleep(_SETTLE_S)
        measured_s = seconds - 2 * _SETTLE_S
        before, began, took = _polls_taken(watch), time.monotonic(), 0.0
        if with_reports:
            took = _report_s(live.calls, measured_s)
        else:
            time.sleep(measured_s)
        rate = (_polls_taken(watch) - before) / (time.monotonic() - began)
    return took, rate


def _polls_taken(watch: Watch) -> int:
    return sum(end for (topic, _), end in watch.applied().items() if topic == POLLS)
