"""`storepulse up`: worker and API together, driven with curl as the users of both dialects do."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    free_port,
    kill,
    processes_of,
    running,
    sample_data,
    storepulse,
    until,
    wait_for_exit,
)
from tests.oracle import report_of_folder


class Service:
    """A running `up`, asked with curl."""

    def __init__(self, port: int, process: "subprocess.Popen[str]") -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.process = process

    def curl(self, *args: str) -> str:
        ran = subprocess.run(["curl", "-s", *args], capture_output=True, text=True, timeout=30, check=False)
        return ran.stdout

    def status(self, path: str, *args: str) -> int:
        return int(self.curl("-o", "/dev/null", "-w", "%{http_code}", *args, self.base + path))

    def json(self, path: str, *args: str) -> Any:
        return json.loads(self.curl(*args, self.base + path))

    def download(self, path: str, out: Path) -> str:
        """Ask for a report until it is there, as a CSV and without a redirect."""

        def is_csv() -> bool:
            got = self.curl("-o", str(out), "-w", "%{http_code} %{content_type}", self.base + path)
            return got.startswith("200 text/csv")

        until(f"{path} is a CSV", is_csv)
        return out.read_text()

    def wait_until_ready(self) -> None:
        until("/health answers 200", lambda: self.status("/health") == 200)


@contextmanager
def service(state: Path, *args: object) -> Iterator[Service]:
    port = free_port()
    with running("up", "--port", port, *args, state=state) as process:
        yield Service(port, process)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_data(tmp_path_factory.mktemp("data"), stores=100)


@pytest.fixture(scope="module")
def up(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("up") / "state", "--data", data) as running_service:
        running_service.wait_until_ready()
        yield running_service


def test_the_first_dialect_triggers_polls_and_downloads(up: Service, data: Path, tmp_path: Path) -> None:
    report_id = up.json("/trigger_report", "-X", "POST")["report_id"]
    assert up.download(f"/get_report/{report_id}", tmp_path / "r.csv") == report_of_folder(data)


def test_the_second_dialect_triggers_polls_and_downloads(up: Service, data: Path, tmp_path: Path) -> None:
    report_id = up.json("/api/v1/trigger_report", "-X", "POST")["report_id"]
    path = f"/api/v1/get_report?report_id={report_id}"
    assert up.download(path, tmp_path / "r.csv") == report_of_folder(data)


def test_the_debug_calls_and_health_answer_in_both_dialects(up: Service) -> None:
    assert up.json("/api/v1/debug/max_timestamp")["max_timestamp"].startswith("2024-03-15T1")
    counts = up.json("/api/v1/debug/status_counts")
    assert counts["active"] > counts["inactive"] > 0
    worst = up.json("/api/v1/debug/stores_with_downtime")["stores"]
    assert [row["downtime_us"] for row in worst] == sorted(
        (row["downtime_us"] for row in worst), reverse=True
    )
    store = up.json(f"/api/v1/debug/store/{worst[0]['store_id']}")
    assert store["store_id"] == worst[0]["store_id"]
    assert {up.status(path) for path in ("/health", "/api/v1/health", "/health/live", "/docs", "/redoc")} == {
        200
    }


def test_unknown_and_malformed_report_ids_are_404_problems(up: Service) -> None:
    for path in ("/get_report/nonsense", "/api/v1/get_report?report_id=1de0a24c-45e5-424b-bac1-2eb5649cdd67"):
        assert up.status(path) == 404
        assert up.json(path)["status"] == 404


def test_killing_up_leaves_no_process_behind_and_it_starts_again(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with service(state, "--data", data) as first:
        first.wait_until_ready()
        assert len(processes_of(state)) == 3  # up, worker, api
        kill(first.process)
        until("worker and API are gone too", lambda: not processes_of(state), 20)
    with service(state) as second:
        second.wait_until_ready()
        report_id = second.json("/trigger_report", "-X", "POST")["report_id"]
        again = second.download(f"/get_report/{report_id}", tmp_path / "r.csv")
    assert again == report_of_folder(data)


def test_sigterm_stops_everything_within_seconds(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with service(state) as alone:
        until("the API answers", lambda: alone.status("/health/live") == 200)
        alone.process.terminate()
        assert wait_for_exit(alone.process, 20) == 0
    assert processes_of(state) == []


def test_a_port_in_use_is_said_and_nothing_is_started(up: Service, tmp_path: Path) -> None:
    port = up.base.rpartition(":")[2]
    ran = storepulse("up", "--port", port, state=tmp_path / "state", seconds=30)
    assert ran.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "state").exists()


def test_a_folder_without_polls_is_said_before_anything_starts(tmp_path: Path) -> None:
    ran = storepulse("up", "--data", tmp_path, state=tmp_path / "state", seconds=30)
    assert ran.returncode == 3
    assert "holds none of store_status.csv" in ran.stderr
