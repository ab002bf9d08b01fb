"""This revision and another one, by turns in one run: whole command, backlog, live polls, report.

Owns: what is measured of both, and in which order. Must not know: how the two differ.

Each is known by its commands, its topics and its HTTP alone. Polls are sent to it by its own sender, as an embedded
log is its own as well. Each turn begins with a state folder of its own and, on Kafka, without topics.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from scripts.dev.bench.backlog import taker
from scripts.dev.bench.bench import Bench, Part
from scripts.dev.bench.compared import Compared
from scripts.dev.bench.empty_broker import lent
from scripts.dev.bench.on_kafka import bootstrap_of, fresh_on_kafka, report_on_kafka
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Unit, spread
from scripts.dev.bench.service import serving, storepulse
from scripts.dev.bench.visible import WHAT, live_service, p50_and_p99, seconds_of_live

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """Measured once a turn; `once` has a value for each of `whats`, in `unit`."""

    whats: tuple[str, ...]
    unit: Unit
    once: Callable[[Bench, Revision], Values]

    def by_turns(self, theirs: Revision, bench: Bench) -> Iterator[Compared]:
        """Theirs, ours, theirs, ours, …"""
        values = list[tuple[Values, Values]]()
        for _ in range(bench.runs):
            values.append((self._turn(bench, theirs, "theirs"), self._turn(bench, OURS, "ours")))
        for nth, what in enumerate(self.whats):
            yield Compared(what, self.unit, [b[nth] for _, b in values], [a[nth] for a, _ in values])

    def _turn(self, bench: Bench, revision: Revision, whose: str) -> Values:
        measured = self.once(bench, revision)
        bench.say(f"   {whose}: {', '.join(spread([value], self.unit) for value in measured)}")
        return measured


def parts_beside(theirs: Revision) -> dict[str, Part]:
    """A part for each measure, by its name."""
    return {name: partial(measure.by_turns, theirs) for name, measure in MEASURES.items()}


def _command(bench: Bench, revision: Revision) -> Values:
    out = bench.scratch / "command.csv"
    return (storepulse("report", "--data", bench.data, "--out", out, revision=revision),)


def _command_on_kafka(bench: Bench, revision: Revision) -> Values:
    with lent(bootstrap_of(bench)):
        settings = fresh_on_kafka(bench, "command")
        return (report_on_kafka(bench, settings, bench.scratch / "command.csv", revision),)


def _backlog(bench: Bench, revision: Revision) -> Values:
    count = bench.count(1_000_000, 100_000)
    with taker(bench, bench.fresh("backlog"), revision) as worker:
        return (count / worker.take(count).seconds,)


def _backlog_on_kafka(bench: Bench, revision: Revision) -> Values:
    count = bench.count(1_000_000, 100_000)
    with lent(bootstrap_of(bench)), taker(bench, fresh_on_kafka(bench, "backlog"), revision) as worker:
        return (count / worker.take(count).seconds,)


def _live(bench: Bench, revision: Revision) -> Values:
    with live_service(bench, bench.replayed("live", revision), revision) as live:
        return p50_and_p99(live.visible_ms(seconds_of_live(bench)))


def _live_on_kafka(bench: Bench, revision: Revision) -> Values:
    with lent(bootstrap_of(bench)):
        settings = fresh_on_kafka(bench, "live")
        report_on_kafka(bench, settings, bench.scratch / "live.csv", revision)
        with live_service(bench, settings, revision) as live:
            return p50_and_p99(live.visible_ms(seconds_of_live(bench)))


def _report(bench: Bench, revision: Revision) -> Values:
    with serving(bench.replayed("report", revision), revision) as (_, calls):
        calls.report()
        return (median(calls.report().seconds for _ in range(bench.count(25, 5))),)


MEASURES: Final = {
    "command": Measure(("CSVs to report, whole command, embedded",), "s", _command),
    "command-kafka": Measure(
        ("CSVs to report, whole command, Kafka, broker running",), "s", _command_on_kafka
    ),
    "backlog": Measure(("backlog, one poll a record, embedded",), "/s", _backlog),
    "backlog-kafka": Measure(("backlog, one poll a record, Kafka",), "/s", _backlog_on_kafka),
    "live": Measure((f"{WHAT}, embedded, p50", f"{WHAT}, embedded, p99"), "ms", _live),
    "live-kafka": Measure((f"{WHAT}, Kafka, p50", f"{WHAT}, Kafka, p99"), "ms", _live_on_kafka),
    "report": Measure(("report, POST to last CSV byte, nothing new",), "s", _report),
}
