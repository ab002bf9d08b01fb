"""Standby replicas: workers keep copies of each other's partitions, and take over from them.

partition    0 1 2 3
first        ■ ■ c c        ■ serves   c keeps a copy
second       c c ■ ■
"""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.positions import Positions
from schemas.topics import CHANGELOG, SOURCES
from tests.e2e.commands import command, until_nothing_is_left
from tests.e2e.harness import sample_data, until, wait_until_applied
from tests.kafka.broker import Kafka
from tests.kafka.harness import Fleet, Process, ends_of, fleet
from tests.oracle import report_of_folder

pytestmark = pytest.mark.long

_PARTITIONS: Final = 4


def sent(ours: Fleet) -> Positions:
    """How far all source topics reach."""
    return {at: end for at, end in ends_of(ours.url, *(spec.name for spec in SOURCES)).items() if end}


def half_of(data: Path, folder: Path) -> Path:
    """The same stores with the first half of their polls."""
    shutil.copytree(data, folder)
    polls = (data / "store_status.csv").read_text().splitlines(keepends=True)
    (folder / "store_status.csv").write_text("".join(polls[: len(polls) // 2]))
    return folder


def logged(worker: Process, event: str) -> Iterator[dict[str, Any]]:
    for line in worker.text.splitlines():
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event:
            yield said


def restored(worker: Process) -> int:
    """Records of the changelog that a worker read before it could serve."""
    return sum(line["records"] for line in logged(worker, "tables restored"))


def served(worker: Process) -> list[int]:
    """The partitions that it serves now."""
    every: list[list[int]] = [line["partitions"] for line in logged(worker, "partitions served")]
    return every[-1]


def serve_half_each(one: Process, other: Process) -> bool:
    return len(served(one)) == len(served(other)) == _PARTITIONS // 2


@pytest.mark.timeout(240)
def test_a_worker_keeps_a_copy_of_what_the_other_serves_and_takes_over_from_it(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    data = sample_data(tmp_path / "data", stores=120)
    with fleet(clean_kafka.url, tmp_path / "fleet", partitions=_PARTITIONS, standby_replicas=1) as ours:
        first, second = ours.ready_worker("first"), ours.ready_worker("second")
        until("each serves two partitions", lambda: serve_half_each(first, second))
        for part in (half_of(data, tmp_path / "half"), data):  # the copies follow
            ours.replay(part)
            for worker in (first, second):
                wait_until_applied(worker.state, sent(ours), seconds=30)
        read_before = restored(first)
        second.kill()
        until("the first serves all", lambda: len(served(first)) == _PARTITIONS)
        assert restored(first) == read_before
        without_a_copy = ours.ready_worker("third")
        until("each serves two partitions again", lambda: serve_half_each(first, without_a_copy))
        assert restored(without_a_copy) > 100
        assert ours.report() == report_of_folder(data)


@pytest.mark.timeout(240)
def test_a_worker_reads_no_more_than_its_copy_lacks(clean_kafka: Kafka, tmp_path: Path) -> None:
    """Polls that came while the copy was away: the worker that kept it was stopped, and is the only one then."""
    early, late = sample_data(tmp_path / "early", stores=200), sample_data(tmp_path / "late", stores=10)
    with fleet(clean_kafka.url, tmp_path / "fleet", partitions=_PARTITIONS, standby_replicas=1) as ours:
        first, second = ours.ready_worker("first"), ours.ready_worker("second")
        until("each serves two partitions", lambda: serve_half_each(first, second))
        ours.replay(early)
        for worker in (first, second):
            wait_until_applied(worker.state, sent(ours), seconds=30)
        assert first.stop() == 0
        read_before, known = restored(first), ends_of(ours.url, CHANGELOG)
        until("the second serves all", lambda: len(served(second)) == _PARTITIONS)
        ours.replay(late)
        wait_until_applied(second.state, sent(ours), seconds=30)
        second.kill()
        missing = sum(end - known[at] for at, end in ends_of(ours.url, CHANGELOG).items())
        again = ours.ready_worker("first")
        until("the first serves all", lambda: len(served(again)) == _PARTITIONS)
        assert 0 < restored(again) - read_before <= missing < sum(known.values()) / 2


@pytest.mark.timeout(240)
def test_without_the_setting_no_copy_is_kept(clean_kafka: Kafka, tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data", stores=60)
    with fleet(clean_kafka.url, tmp_path / "fleet", partitions=_PARTITIONS) as ours:
        first, second = ours.ready_worker("first"), ours.ready_worker("second")
        until("each serves two partitions", lambda: serve_half_each(first, second))
        ours.replay(data)
        second.kill()
        until("the first serves all", lambda: len(served(first)) == _PARTITIONS)
        wait_until_applied(first.state, sent(ours), seconds=30)
        assert restored(first) > 0


def test_ctrl_c_ends_a_replica_with_0(clean_kafka: Kafka, tmp_path: Path) -> None:
    with command("replica", state=tmp_path / "state", broker=clean_kafka.url) as replica:
        replica.until_says("replica follows")
        replica.interrupt()
        assert replica.ends(8) == 0, replica.stderr
        assert "Traceback" not in replica.stderr
        until_nothing_is_left(replica.state)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_worker_on_kafka_with_0(
    number: signal.Signals, clean_kafka: Kafka, tmp_path: Path
) -> None:
    with command("worker", state=tmp_path / "state", broker=clean_kafka.url) as worker:
        worker.until_says("worker ready")
        worker.process.send_signal(number)
        assert worker.ends(12) == 0, worker.stderr
        assert "Traceback" not in worker.stderr
