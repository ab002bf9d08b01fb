"""The whole command, the backlog and live polls on a real Kafka, whose broker already runs.

Owns: the rows on Kafka, beside other programs that take the same polls from the same topic. Must not know: how the
broker is run.

Each run begins on a broker without topics: a report has all that was ever sent to them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from schemas.settings import Settings
from scripts.dev.bench.backlog import Taken, taker
from scripts.dev.bench.bench import KAFKA_PARTITIONS, Bench
from scripts.dev.bench.empty_broker import lent, make_empty
from scripts.dev.bench.peer import peer_rate
from scripts.dev.bench.quix import quix_python
from scripts.dev.bench.reports import check_same
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.service import BenchFailed, storepulse
from scripts.dev.bench.visible import live_service, visible_rows

_KAFKA: Final = "kafka://"


def measure_kafka(bench: Bench) -> Iterator[Row]:
    """`storepulse report`, a worker with a backlog, and one with live polls, each on Kafka."""
    with lent(bootstrap_of(bench)):
        yield _bulk(bench)
        yield from _backlog(bench)
        yield from _live(bench)


def bootstrap_of(bench: Bench) -> str:
    """`host:port` of the broker."""
    return bench.kafka.removeprefix(_KAFKA)


def fresh_on_kafka(bench: Bench, name: str) -> Settings:
    """Settings of a new, empty state folder, on the broker, which has no topics then."""
    make_empty(bootstrap_of(bench))
    return bench.fresh(name, bench.kafka)


def report_on_kafka(bench: Bench, settings: Settings, out: Path, revision: Revision = OURS) -> float:
    """Seconds of the whole command; the worker's clean stop is part of it."""
    where = ("--broker", settings.broker, "--state", settings.state)
    return storepulse("report", "--data", bench.data, "--out", out, *where, revision=revision)


def _bulk(bench: Bench) -> Row:
    """Each run with a state folder of its own."""
    out, embedded, ours = bench.scratch / "kafka.csv", bench.scratch / "embedded.csv", []
    storepulse("report", "--data", bench.data, "--out", embedded)
    for _ in range(bench.runs):
        settings = fresh_on_kafka(bench, "kafka-state")
        ours.append(report_on_kafka(bench, settings, out))
        check_same("storepulse on Kafka", out, embedded.read_bytes())
        bench.forget(settings)
    return Row("kafka", "CSVs to report, whole command, Kafka, broker running", "s", ours, Target(6))


def _live(bench: Bench) -> Iterator[Row]:
    """On a state that has all of the data."""
    settings = fresh_on_kafka(bench, "kafka-live")
    report_on_kafka(bench, settings, bench.scratch / "kafka-live.csv")
    with live_service(bench, settings) as live:
        yield from visible_rows(bench, live, "kafka", (Target(234), Target(885)))
    bench.forget(settings)


def _backlog(bench: Bench) -> Iterator[Row]:
    count, few = bench.count(1_000_000, 100_000), bench.count(30_000, 5_000)
    settings, bootstrap = bench.fresh("on-kafka", bench.kafka), bootstrap_of(bench)
    # Each has a group of its own: one that went on where another has committed would never reach its count.
    faust = (few, bench.kafka, settings.state / "faust", few)
    quix = (count, bootstrap, settings.state / "quix", count)
    peers: dict[str, Callable[[int], float]] = {
        "stock Faust agent, same topic": lambda nth: peer_rate(
            "stock_faust", *faust, f"faust-{nth}", KAFKA_PARTITIONS
        ),
        "Quix Streams, same topic": lambda nth: peer_rate(
            "quix_streams", *quix, f"quix-{nth}", python=quix_python()
        ),
        "bare aiokafka: decode and drop": lambda _: peer_rate("bare_aiokafka", count, bootstrap, count),
    }
    taken, theirs = list[Taken](), {peer: list[float]() for peer in peers}
    for nth in range(bench.runs):
        with taker(bench, fresh_on_kafka(bench, settings.state.name)) as worker:
            taken.append(worker.take(count))
        for peer, rate in list(peers.items()):
            try:
                theirs[peer].append(rate(nth))
            except BenchFailed as error:
                bench.miss(peer, error)
                del peers[peer]
    yield from _rows([run.polls / run.seconds for run in taken], theirs)
    peaks = [run.peak_mb for run in taken]
    yield Row("kafka", "worker's most memory in the backlog, Kafka", "MB", peaks, Target(350))
    bench.forget(settings)


def _rows(rates: list[float], theirs: dict[str, list[float]]) -> Iterator[Row]:
    """Our rate beside that of each peer."""
    for (peer, rate), least_ratio in zip(theirs.items(), (10, 1, None), strict=True):
        target = Target(None, 60_000, least_ratio)
        yield Row("kafka", "backlog, one poll a record, Kafka", "/s", rates, target, peer, rate)
