"""API hosts without a worker: a replica and an API each, and what /health says of them."""

import shutil
import signal
from pathlib import Path
from typing import Final

import pytest

from query_api.health import MAX_TRAILING_S
from schemas.topics import POLLS
from schemas.values import format_timestamp
from tests.e2e.harness import until
from tests.kafka.broker import Kafka
from tests.kafka.harness import SESSION_SECONDS, Api, Fleet, Sample, fleet, sample_in
from tests.oracle import report_of_folder

_AS_OF_US: Final = 1_710_460_800_000_000
"""2024-03-15 00:00 UTC, some hours before the sample's latest poll."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


def host(ours: Fleet, name: str) -> Api:
    """A replica, and an API beside it."""
    ours.run("replica", state=name)
    return ours.api(name)


def test_two_hosts_answer_with_the_same_bytes_and_for_each_others_reports(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reports").symlink_to(shared)
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.worker()
        ours.replay(sample.folder)
        one, two = host(ours, "one"), host(ours, "two")
        for api in (one, two):
            api.wait_until_current()
        report_id, as_of = one.trigger(), format_timestamp(_AS_OF_US)
        assert one.fetch(report_id) == two.fetch(report_id) == two.report() == sample.report
        at_midnight = one.report(as_of=as_of)
        assert at_midnight == two.report(as_of=as_of) == report_of_folder(sample.folder, _AS_OF_US)


def test_tables_wiped_under_a_running_api_are_noticed_and_come_back(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.worker()
        ours.replay(sample.folder)
        replica = ours.run("replica", state="host")
        api = ours.api("host")
        api.wait_until_current()
        replica.kill()
        shutil.rmtree(replica.state / "worker")
        until("/health says that polls are not readable", lambda: api.health()["lag"]["records"][POLLS] > 0)
        ours.run("replica", state="host")
        api.wait_until_current()
        assert api.report() == sample.report


@pytest.mark.long
def test_a_worker_that_is_gone_or_stopped_is_noticed_and_so_is_its_return(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.done(ours.run("topics", state="topics"))
        api = host(ours, "host")
        api.wait_for(503)
        assert "start `storepulse worker`" in api.health()["parts"]["worker"]
        worker = ours.worker()
        api.wait_for(200)
        worker.send(signal.SIGSTOP)
        ours.replay(sample.folder)
        api.wait_for(503, 10 * SESSION_SECONDS)
        assert api.health()["lag"]["records"][POLLS] > 0
        worker.send(signal.SIGCONT)
        api.wait_until_current()
        assert api.report() == sample.report
        assert worker.exit_code is None


@pytest.mark.soak
def test_a_worker_that_stalls_without_leaving_is_noticed_by_the_lag(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    """Its session outlasts the stall, so the broker takes it for alive."""
    with fleet(clean_kafka.url, tmp_path, session_seconds=4 * MAX_TRAILING_S) as ours:
        worker = ours.ready_worker()
        api = host(ours, "host")
        api.wait_until_current()
        worker.send(signal.SIGSTOP)
        ours.replay(sample.folder)
        assert api.status() == 200
        api.wait_for(503, 2 * MAX_TRAILING_S)
        health = api.health()
        assert health["parts"]["worker"] == "ok"
        assert "the worker is stuck, or too slow" in health["parts"]["state"]
        worker.send(signal.SIGCONT)
        api.wait_until_current()
        assert api.report() == sample.report
