"""What a worker's settings do to a running one, on the embedded log: metrics port, flushes, retention, copies."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from schemas.rows.positions import POSITIONS_KEY
from schemas.settings import Settings
from schemas.topics import ALL_TOPICS, CHANGELOG, DEAD_LETTERS, POLLS, SOURCES
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord
from tests.e2e.commands import command, ended
from tests.e2e.harness import (
    applied,
    free_port,
    report_of,
    sample_data,
    storepulse,
    until,
    wait_until_applied,
)
from tests.oracle import report_of_folder

_DAY_MS: Final = 86_400_000
_POLL: Final = b'{"store_id":"s","status":"active","timestamp_utc":"2023-01-25 12:00:00 UTC"}'
_SOURCES: Final = tuple(spec.name for spec in SOURCES)


@pytest.fixture
def three_polls(tmp_path: Path) -> Path:
    return folder_of_polls(tmp_path / "three", 3)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def folder_of_polls(folder: Path, count: int) -> Path:
    """One store, a poll a minute."""
    folder.mkdir()
    rows = [f"s,active,2023-01-25 12:{minute:02}:00 UTC" for minute in range(count)]
    (folder / "store_status.csv").write_text("\n".join(["store_id,status,timestamp_utc", *rows, ""]))
    return folder


def polls_taken(port: int, host: str = "127.0.0.1") -> float | None:
    """What Prometheus reads there; None where nobody answers."""
    try:
        text = httpx.get(f"http://{host}:{port}/metrics", timeout=10).raise_for_status().text
    except httpx.TransportError:
        return None
    found = re.search(r"^storepulse_polls_taken_total (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def listening(pid: int) -> list[tuple[str, int]]:
    """The addresses that a process listens on."""
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    ours = [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in held]
    return [
        (socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16))
        for address, port in (each.split(":") for each in ours)
    ]


def send(folder: Path, state: Path, *args: object) -> None:
    ran = storepulse("replay", folder, *args, state=state)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.long
def test_a_worker_counts_the_polls_it_takes_on_its_metrics_port(three_polls: Path, tmp_path: Path) -> None:
    port = free_port()
    with command("worker", state=tmp_path / "state", worker_metrics_port=port) as worker:
        worker.until_says("worker ready")
        assert polls_taken(port) == 0
        send(three_polls, worker.state)
        until("three polls are counted", lambda: polls_taken(port) == 3)
        send(three_polls, worker.state)
        until("the same three are counted as repeats", lambda: polls_taken(port) == 6)
        assert worker.stop() == 0


@pytest.mark.long
def test_the_metrics_are_served_on_the_host_of_the_settings(tmp_path: Path) -> None:
    port = free_port()
    with command("worker", state=tmp_path / "state", host="127.0.0.2", worker_metrics_port=port) as worker:
        worker.until_says("worker ready")
        assert listening(worker.process.pid) == [("127.0.0.2", port)]
        assert polls_taken(port, "127.0.0.2") == 0


@pytest.mark.parametrize("settings", [{}, {"worker_metrics_port": 0}], ids=["by default", "with 0"])
def test_no_metrics_are_served(settings: dict[str, int], tmp_path: Path) -> None:
    with command("worker", state=tmp_path / "state", **settings) as worker:
        worker.until_says("worker ready")
        assert listening(worker.process.pid) == []


@pytest.mark.long
def test_a_metrics_port_in_use_ends_the_worker_with_one_sentence_and_loses_nothing(
    three_polls: Path, taken_port: int, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    send(three_polls, state)
    refused = ended("worker", state=state, worker_metrics_port=taken_port)
    assert refused.process.returncode == 4
    assert refused.stderr == (
        f"storepulse: the worker cannot serve its metrics on 127.0.0.1:{taken_port} (Address already in use): "
        "choose another STOREPULSE_WORKER_METRICS_PORT, 0 for none, or stop what has it\n"
    )
    port = free_port()
    with command("worker", state=state, worker_metrics_port=port):
        until("what was sent before is taken", lambda: polls_taken(port) == 3)


@pytest.mark.long
def test_a_report_needs_no_metrics_port(three_polls: Path, taken_port: int, tmp_path: Path) -> None:
    """A worker that runs all the time may have it, in the same environment."""
    out = tmp_path / "report.csv"
    args = ("report", "--data", three_polls, "--out", out)
    made = ended(*args, state=tmp_path / "state", worker_metrics_port=taken_port)
    assert made.process.returncode == 0, made.stderr
    assert out.read_text() == report_of_folder(three_polls)


def flushes(state: Path) -> int:
    """How many flushes the changelog has: each ends with a row of positions."""
    with EmbeddedLog(Settings(state=state).log_path) as log:
        return sum(record.key == POSITIONS_KEY for record in log.read(CHANGELOG, 0, 0, 10_000, 1 << 30))


@pytest.mark.long
@pytest.mark.parametrize(
    ("flush_seconds", "least", "most"), [(0.001, 6, 20), (4, 1, 3)], ids=["a short", "a long"]
)
def test_a_flush_takes_the_polls_of_its_time(
    flush_seconds: float, least: int, most: int, tmp_path: Path
) -> None:
    """Twenty polls in two seconds: written one by one or together, but for those of a worker's first flush."""
    data = folder_of_polls(tmp_path / "twenty", 20)
    with command("worker", state=tmp_path / "state", flush_seconds=flush_seconds) as worker:
        worker.until_says("worker ready")
        send(data, worker.state, "--speed", 600)
        wait_until_applied(worker.state, {(POLLS, 0): 20}, seconds=30)
        assert least <= flushes(worker.state) <= most


_TIDY: Final = (
    "-c",
    "import stream.brokers.embedded.consumer as consumer; consumer.PERIOD_S = 0.1; "
    "from scripts.cli.main import main; main()",
)
"""Looks for what may leave the log ten times a second, not once a minute."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """
    offset of a poll      0 1 2   3 4 5   6 7 8
    written, days ago     3       1       0

    and two dead letters, three days old.
    """
    state, now_ms = tmp_path / "state", time.time_ns() // 1_000_000
    state.mkdir()
    with EmbeddedLog(Settings(state=state).log_path) as log:
        for spec in ALL_TOPICS:
            log.declare_topic(spec.name, 1, spec.cleanup)
        for days in (3, 1, 0):
            log.append([NewRecord(POLLS, 0, b"s", _POLL, now_ms - days * _DAY_MS)] * 3)
        log.append([NewRecord(DEAD_LETTERS, 0, b"s", b"?", now_ms - 3 * _DAY_MS)] * 2)
    return state


def left_in_log(state: Path, topic: str) -> list[int]:
    """The offsets that are still there."""
    with EmbeddedLog(Settings(state=state).log_path) as log:
        return [record.offset for record in log.read(topic, 0, 0, 10_000, 1 << 30)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, [3, 4, 5, 6, 7, 8]),
        ({"log_retention_days": 0.5}, [6, 7, 8]),
        ({"log_retention_days": 0}, [8]),  # the last of a partition always stays
    ],
    ids=["two days by default", "half a day", "none"],
)
def test_applied_polls_stay_in_the_log_for_their_time(
    settings: dict[str, float], left: list[int], state: Path
) -> None:
    with command("worker", state=state, program=_TIDY, **settings) as worker:
        until(f"the polls {left} are left", lambda: left_in_log(state, POLLS) == left, 20)
        assert worker.stop() == 0
    assert applied(state)[POLLS, 0] == 9


@pytest.mark.long
def test_polls_that_wait_in_memory_stay_in_the_log_however_old(state: Path) -> None:
    """The first flush of a worker waits for nothing: what was there at its start is applied, and goes."""
    with command("worker", state=state, program=_TIDY, log_retention_days=0, flush_seconds=60):
        until("what is applied has gone", lambda: left_in_log(state, POLLS) == [8], 20)
        with EmbeddedLog(Settings(state=state).log_path) as log:
            log.append([NewRecord(POLLS, 0, b"s", _POLL, 0)] * 3)
            log.append([NewRecord(DEAD_LETTERS, 0, b"s", b"?", 0)])
        until("an earlier dead letter has gone", lambda: left_in_log(state, DEAD_LETTERS) == [2], 20)
        assert applied(state)[POLLS, 0] == 9
        assert left_in_log(state, POLLS)[-3:] == [9, 10, 11]


@pytest.mark.long
def test_copies_of_partitions_are_kept_on_kafka_alone(tmp_path: Path) -> None:
    """One worker has all of an embedded log: nobody is there to keep a copy, and nothing is missing."""
    data = sample_data(tmp_path / "data", stores=50)
    made = {"partitions": 3, "standby_replicas": 2}
    with command("worker", state=tmp_path / "state", **made) as worker:
        worker.until_says("worker ready")
        ran = ended("replay", data, state=worker.state, **made)
        assert ran.process.returncode == 0, ran.stderr
        with EmbeddedLog(Settings(state=worker.state).log_path) as log:
            sent = {at: end for at, end in log.end_offsets().items() if at[0] in _SOURCES and end}
        assert {partition for _, partition in sent} == {0, 1, 2}
        wait_until_applied(worker.state, sent)
        assert report_of(worker.state, tmp_path / "report.csv") == report_of_folder(data)
        assert worker.stop() == 0
        served = [
            line["partitions"] for line in map(json.loads, worker.stderr.splitlines()) if "unserved_s" in line
        ]
    assert served == [[0, 1, 2]]
