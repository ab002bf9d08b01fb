"""A broker that stays away ends a worker, one that comes back does not; a disk without room ends it at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import StoreId
from scripts.dev.kafka.broker import KafkaBroker
from stream.brokers.opening import open_sink
from tests.builders import utc
from tests.e2e.harness import until, wait_until_applied
from tests.e2e.test_disk_full import _UNSHARE, needs_namespaces
from tests.kafka.broker import Kafka
from tests.kafka.harness import Api, fleet

_PATIENCE_SECONDS: Final = 4.0
_FROZEN_SECONDS: Final = 3.0
_LOOKS_SECONDS: Final = 15.0
"""A worker looks for its broker each 5 s, and ends at the first look after its patience; ending takes some."""
_HEALTH_SECONDS: Final = 5.0
_GONE_SECONDS: Final = 2.0
_NOON_US: Final = utc("2023-01-25 12:00")


@pytest.mark.long
def test_a_broker_that_stays_away_is_said_by_health_and_ends_the_worker(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    with fleet(
        f"kafka://{own_kafka.bootstrap}", tmp_path / "fleet", outage_seconds=_PATIENCE_SECONDS
    ) as ours:
        worker = ours.ready_worker()
        wait_until_applied(worker.state, send_polls(ours.url, tmp_path))
        api = ours.api("worker")
        api.wait_until_current()
        own_kafka.kill()
        killed_s = time.monotonic()
        until("/health fails for the broker", lambda: broker_part(api) != "ok", _HEALTH_SECONDS)
        said_after_s = time.monotonic() - killed_s
        assert worker.wait(40) == 4
        ended_after_s = time.monotonic() - killed_s
        health = api.health()
    print(f"/health said so after {said_after_s:.1f} s, the worker ended after {ended_after_s:.1f} s")
    assert (health["status"], health["ready"]) == ("failing", False)
    assert said_after_s < _HEALTH_SECONDS
    assert _PATIENCE_SECONDS < ended_after_s < _PATIENCE_SECONDS + _LOOKS_SECONDS
    last = worker.text.splitlines()[-1]
    assert last.startswith("storepulse: the broker was lost")
    assert f"no answer for {_PATIENCE_SECONDS:.0f} s" in last
    assert "Traceback" not in worker.text


def killed_and_started(broker: KafkaBroker) -> None:
    """As its machine's restart would."""
    broker.kill()
    broker.start()


def frozen_for_a_while(broker: KafkaBroker) -> None:
    """Connections stand, and nothing is answered, for less than the patience."""
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        time.sleep(_FROZEN_SECONDS)  # the outage itself, not a wait for anything
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.parametrize(
    ("outage", "patience_s"), [(killed_and_started, 40), (frozen_for_a_while, 5 * _FROZEN_SECONDS)]
)
def test_the_same_worker_goes_on_with_a_broker_that_came_back_in_time(
    outage: Callable[[KafkaBroker], None], patience_s: float, own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    with fleet(f"kafka://{own_kafka.bootstrap}", tmp_path / "fleet", outage_seconds=patience_s) as ours:
        worker = ours.ready_worker()
        wait_until_applied(worker.state, send_polls(ours.url, tmp_path))
        outage(own_kafka)
        wait_until_applied(worker.state, send_polls(ours.url, tmp_path))
        assert worker.exit_code is None
        assert worker.stop() == 0


@needs_namespaces
@pytest.mark.parametrize("on_kafka", [True, False], ids=["kafka", "embedded"])
def test_a_worker_whose_disk_is_full_at_a_flush_is_gone_at_once(
    on_kafka: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kafka: Kafka | None = request.getfixturevalue("clean_kafka") if on_kafka else None
    url = kafka.url if kafka else f"embedded://{tmp_path / 'log.db'}"
    with worker_on_small_disk(url, tmp_path) as (worker, output):
        until("the worker is ready", lambda: "worker ready" in output.read_text())
        fill(Path(f"/proc/{worker.pid}/root{tmp_path}/disk/ballast"))
        deadline = time.monotonic() + 60
        while worker.poll() is None:
            assert time.monotonic() < deadline, (
                f"the disk is full, and the worker lives: {output.read_text()}"
            )
            send_polls(url, tmp_path, stores=2_000)
            sent_s = time.monotonic()
            with suppress(subprocess.TimeoutExpired):
                worker.wait(2 * _GONE_SECONDS)
        ended_after_s = time.monotonic() - sent_s
    print(f"gone {ended_after_s:.1f} s after the polls that had no room were sent")
    assert ended_after_s < _GONE_SECONDS
    text = output.read_text()
    assert worker.returncode == 4, text
    assert text.splitlines()[-1].startswith(f"storepulse: no space left on the disk of {tmp_path}/disk/state")
    assert "Traceback" not in text


@contextmanager
def worker_on_small_disk(url: str, folder: Path) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    """A worker whose state folder is on a disk of its own, in `<folder>/disk`; and what it prints."""
    disk, output = folder / "disk", folder / "worker.out"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=32m tmpfs '{disk}' && exec {sys.executable} -m scripts.cli worker"
    environment = {
        "PATH": "/usr/bin:/bin",
        "STOREPULSE_BROKER": url,
        "STOREPULSE_STATE": f"{disk}/state",
        "STOREPULSE_PARTITIONS": "1",
    }
    with output.open("wb") as out:
        worker = subprocess.Popen([*_UNSHARE, "sh", "-c", script], env=environment, stdout=out, stderr=out)
    try:
        yield worker, output
    finally:
        worker.kill()
        worker.wait()


def fill(ballast: Path) -> None:
    """Leave no room on a disk."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def send_polls(url: str, folder: Path, stores: int = 50) -> Positions:
    """Send one poll of each of some stores; the positions then."""
    with open_sink(Settings(state=folder / "sender", broker=url)) as sink:
        for number in range(stores):
            value = f'{{"store_id":"s{number}","timestamps_us":[{_NOON_US}],"statuses":"A"}}'
            sink.send(POLLS, StoreId(f"s{number}"), value.encode())
        return sink.flush()


def broker_part(api: Api) -> Any:
    """What /health says of the broker."""
    return api.health()["parts"]["broker"]


@pytest.mark.long
def test_a_worker_that_the_group_does_not_let_in_ends(clean_kafka: Kafka, tmp_path: Path) -> None:
    """A frozen member keeps the group from forming, for as long as its session lasts."""
    with fleet(clean_kafka.url, tmp_path, session_seconds=60) as ours:
        ours.ready_worker("frozen").send(signal.SIGSTOP)
        late = ours.worker("late", outage_seconds=_PATIENCE_SECONDS)
        assert late.wait(40) == 5
    last = late.text.splitlines()[-1]
    assert "lost its partitions and got none again" in last
    assert "Traceback" not in late.text
