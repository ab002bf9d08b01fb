"""Ctrl-C, as a terminal sends it: SIGINT to the process group. Commands end in seconds, and leave nothing behind.

A command that was serving has done its work and ends with 0; one that was cut off in the middle of it with 130.
"""

import signal
from pathlib import Path
from typing import Final

import httpx
import pytest

from schemas.topics import POLLS
from tests.e2e.commands import Command, command, ended, until_nothing_is_left
from tests.e2e.harness import applied, free_port, processes_of, sample_data, until
from tests.oracle import report_of_folder

pytestmark = pytest.mark.long

_SECONDS: Final = 12.0
"""How long ending may take on a machine that does much else."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_data(tmp_path_factory.mktemp("data"), stores=100)


def ends_in_order(part: Command, code: int) -> None:
    """Interrupt it, and look for what it must not leave."""
    part.interrupt()
    assert part.ends(_SECONDS) == code, part.stderr
    assert "Traceback" not in part.stderr
    until_nothing_is_left(part.state)


def answers(port: int, path: str = "/health/live") -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_a_worker_ends_with_0_and_has_written_what_it_took(data: Path, tmp_path: Path) -> None:
    """Whatever waits in its memory for a flush is written on the way out or read again by the next."""
    state = tmp_path / "state"
    with command("worker", state=state) as worker:
        worker.until_says("worker ready")
        assert ended("replay", data, state=state).process.returncode == 0
        ends_in_order(worker, 0)
    out = tmp_path / "report.csv"
    made = ended("report", "--data", data, "--out", out, "--state", state, state=state)
    assert made.process.returncode == 0, made.stderr
    assert out.read_text() == report_of_folder(data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_api_ends_with_0(number: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with command("api", "--port", port, state=tmp_path / "state") as api:
        until("the API answers", lambda: answers(port))
        api.process.send_signal(number)
        assert api.ends(_SECONDS) == 0, api.stderr
        assert "Traceback" not in api.stderr


def test_up_ends_with_0_and_its_parts_with_it(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state"
    with command("up", "--port", port, state=state) as up:
        until("the API answers", lambda: answers(port))
        up.until_says("worker ready")
        assert len(processes_of(state)) == 3  # up, worker, api
        ends_in_order(up, 0)
        assert up.stderr.endswith("stopped\n")
    assert not answers(port)


def test_up_that_replays_ends_with_0_and_leaves_no_half_file(tmp_path: Path) -> None:
    """A folder so large that it is still being sent when the first polls are applied."""
    data, port, state = sample_data(tmp_path / "data", stores=4000), free_port(), tmp_path / "state"
    with command("up", "--port", port, "--data", data, state=state) as up:
        until("the replay has begun", lambda: bool(list(state.glob(".rejects*.part"))))
        ends_in_order(up, 0)
        assert "stores" not in up.stderr.splitlines()[-1]
    assert not list(state.rglob("*.part"))
    assert not (state / "replaying.json").exists()


def test_a_timed_replay_ends_with_130_and_what_it_sent_is_whole(data: Path, tmp_path: Path) -> None:
    state, rejects = tmp_path / "state", tmp_path / "rejects.csv"
    args = (data, "--speed", 600, "--rejects", rejects)
    with command("worker", state=state) as worker:
        worker.until_says("worker ready")
        with command("replay", *args, state=state) as replay:
            until("polls arrive", lambda: applied(state).get((POLLS, 0), 0) > 10)
            replay.interrupt()
            assert replay.ends(_SECONDS) == 130, replay.stderr
            assert "Traceback" not in replay.stderr
        assert ended("replay", data, state=state).process.returncode == 0
        ends_in_order(worker, 0)
    assert not list(tmp_path.rglob("*.part"))
    out = tmp_path / "report.csv"
    made = ended("report", "--data", data, "--out", out, "--state", state, state=state)
    assert (made.process.returncode, out.read_text()) == (0, report_of_folder(data))


def test_a_report_ends_with_130_and_leaves_neither_a_file_nor_a_worker(tmp_path: Path) -> None:
    """It is cut off while its worker applies what it sent."""
    data, state = sample_data(tmp_path / "data", stores=4000), tmp_path / "state"
    out, rejects = tmp_path / "report.csv", tmp_path / "rejects.csv"
    out.write_text("an earlier one")
    args = ("--data", data, "--out", out, "--rejects", rejects, "--state", state)
    with command("report", *args, state=state) as report:
        until("its worker is there", lambda: len(processes_of(state)) == 2)
        until("it has something to write", lambda: bool(list(tmp_path.glob(".rejects*.part"))))
        ends_in_order(report, 130)
    assert out.read_text() == "an earlier one"
    assert not rejects.exists()
    assert not list(tmp_path.rglob("*.part"))


def test_a_report_of_no_named_state_leaves_no_folder_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, temporary = sample_data(tmp_path / "data", stores=4000), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with command("report", "--data", data, "--out", tmp_path / "r.csv", state=tmp_path / "unused") as report:
        until("its worker works", lambda: bool(list(temporary.glob("storepulse-*/worker"))))
        (folder,) = temporary.iterdir()
        report.interrupt()
        assert report.ends(_SECONDS) == 130, report.stderr
        assert "Traceback" not in report.stderr
    until_nothing_is_left(folder)
    assert not list(temporary.iterdir())
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(("name", "code"), [("replica", 0), ("worker", 130), ("topics", 130)])
def test_a_part_that_waits_for_kafka_waits_no_longer(name: str, code: int, tmp_path: Path) -> None:
    settings = {"broker": f"kafka://127.0.0.1:{free_port()}", "kafka_patience_seconds": 600}
    with command(name, state=tmp_path / "state", **settings) as part:
        part.until_says("no Kafka broker answers yet")
        ends_in_order(part, code)
    assert part.output.read_text() == ""  # stdout is for results
