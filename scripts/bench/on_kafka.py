"""The whole command and the backlog on a real Kafka, whose broker already runs.

Owns: the rows on Kafka, beside other programs that take the same polls from the same topic. Must not know: how the
broker is run.

Each run begins on a broker without topics: a report has all that was ever sent to them.
"""

from collections.abc import Callable, Iterator
from typing import Final

from schemas.settings import Settings
from scripts.bench.backlog import Taken, take_backlog
from scripts.bench.bench import Bench
from scripts.bench.empty_broker import check_empty, make_empty
from scripts.bench.peer import peer_rate
from scripts.bench.quix import quix_python
from scripts.bench.reports import check_same
from scripts.bench.rows import Row, Target
from scripts.bench.service import BenchFailed, storepulse

_PARTITIONS: Final = 12
_KAFKA: Final = "kafka://"


def measure_kafka(bench: Bench) -> Iterator[Row]:
    """`storepulse report` and a worker with a backlog, each on Kafka."""
    bootstrap = bench.kafka.removeprefix(_KAFKA)
    check_empty(bootstrap)
    try:
        yield _bulk(bench, bootstrap)
        yield from _backlog(bench, bootstrap)
    finally:
        make_empty(bootstrap)


def _bulk(bench: Bench, bootstrap: str) -> Row:
    """Each run with a state folder of its own; the worker's clean stop is part of it."""
    out, embedded, ours = bench.scratch / "kafka.csv", bench.scratch / "embedded.csv", []
    storepulse("report", "--data", bench.data, "--out", embedded)
    args = ("--data", bench.data, "--broker", bench.kafka)
    for _ in range(bench.runs):
        make_empty(bootstrap)
        ours.append(storepulse("report", *args, "--out", out, "--state", bench.fresh("kafka-state").state))
        check_same("storepulse on Kafka", out, embedded.read_bytes())
    return Row("kafka", "CSVs to report, whole command, Kafka, broker running", "s", ours, Target(6))


def _backlog(bench: Bench, bootstrap: str) -> Iterator[Row]:
    count, few = bench.count(1_000_000, 100_000), bench.count(30_000, 5_000)
    settings = Settings(state=bench.scratch / "on-kafka", broker=bench.kafka)
    # Each has a group of its own: one that went on where another has committed would never reach its count.
    faust = (few, bench.kafka, settings.state / "faust", few)
    quix = (count, bootstrap, settings.state / "quix", count)
    peers: dict[str, Callable[[int], float]] = {
        "stock Faust agent, same topic": lambda nth: peer_rate(
            "stock_faust", *faust, f"faust-{nth}", _PARTITIONS
        ),
        "Quix Streams, same topic": lambda nth: peer_rate(
            "quix_streams", *quix, f"quix-{nth}", python=quix_python()
        ),
        "bare aiokafka: decode and drop": lambda _: peer_rate("bare_aiokafka", count, bootstrap, count),
    }
    taken, theirs = list[Taken](), {peer: list[float]() for peer in peers}
    for nth in range(bench.runs):
        make_empty(bootstrap)
        bench.fresh(settings.state.name)
        taken.append(take_backlog(bench, settings, count)[1])
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
