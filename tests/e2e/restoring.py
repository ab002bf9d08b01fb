"""Asking for reports all the while tables are being rebuilt.

Owns: a large state and how it is sent, the brake on whoever rebuilds, the asks, and what may be answered when.
Must not know: which broker it is, or whether a worker or a replica rebuilds.

    rebuild     ▕▏ ▕▏ ▕▏ ▕▏ ▕▏ ▕▏  …        runs for a few ms between two asks, and is frozen during each
    asks          ▕▏ ▕▏ ▕▏ ▕▏ ▕▏ ▕▏  …      trigger, fetch, /health; and look at the tables ourselves

While it is frozen nothing changes: what we see of the tables ourselves is what the API sees.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from query_api.errors import StateUnreadable
from query_api.snapshots.reader import Reader
from query_api.snapshots.standing import Standing
from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import StoreId
from stream.brokers.opening import open_sink
from tests.builders import utc
from tests.e2e.harness import free_port, until
from tests.kafka.harness import Api, Fleet, Process

STORES: Final = 100_000
ASKS: Final = 200
PATIENT: Final = {"report_patience_seconds": 600}
"""Settings of an API under which no report gives up during a rebuild."""

_LEAST_EARLY: Final = 50
_BRAKED_ASKS: Final = 150
_PULSE_SECONDS: Final = 0.004
"""How long whoever rebuilds runs between two asks; later longer, so that the last asks see the end."""
_LATE_PULSE_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 30.0
_LEAST_STEPS: Final = 3
"""A rebuild applies some megabytes at a time, and tells of its progress then."""
_MINUTE_US: Final = 60_000_000
_NOON_US: Final = utc("2023-01-25 12:00")


def send_stores(state: Path, broker: str) -> Positions:
    """Send two polls of each of many stores; the positions of their topic then."""
    with open_sink(Settings(state=state, broker=broker)) as sink:
        for number in range(STORES):
            first_us = _NOON_US - (number % 600 + 1) * _MINUTE_US
            statuses = ("AI", "IA", "AA")[number % 3]
            value = (
                f'{{"store_id":"s{number}","timestamps_us":[{first_us},{_NOON_US}],"statuses":"{statuses}"}}'
            )
            sink.send(POLLS, StoreId(f"s{number}"), value.encode())
        return sink.flush()


@dataclass(slots=True)
class Asked:
    """What came of the asks. `early` of them were answered before the rebuild ended, `refused` with 503."""

    early: int = 0
    refused: int = 0
    report_ids: list[str] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    """What /health said of the tables, each time that it was something else."""
    faults: list[str] = field(default_factory=list)


class AskedApi:
    """An API that is asked; started before whoever rebuilds the tables of its folder."""

    def __init__(self, ours: Fleet, state: str) -> None:
        port = free_port()
        self.api = Api(ours.run("api", "--port", port, state=state, **PATIENT), port)
        self.url = f"http://127.0.0.1:{port}"
        until(f"the API answers: {self.api.process.output}", lambda: self.api.status() is not None)


def ask_during(rebuild: Process, asked_api: AskedApi, expected: str) -> Asked:
    """Ask while `rebuild` rebuilds the tables of the API's folder, and check every answer."""
    asked, api = Asked(), asked_api.api
    with (
        standing_in(api.process.state) as tables,
        httpx.Client(base_url=asked_api.url, timeout=_ANSWER_SECONDS) as client,
    ):
        _wait_for_a_target(tables, rebuild)
        for nth in range(ASKS):
            with frozen(rebuild):
                _ask(asked, client, tables)
            time.sleep(_PULSE_SECONDS if nth < _BRAKED_ASKS else _LATE_PULSE_SECONDS)
    api.wait_for(200, seconds=120)
    for report_id in asked.report_ids:
        _check(asked, report_id, api.fetch(report_id), expected)
    return asked


def verify(asked: Asked) -> None:
    """Fail where an answer was wrong, or too few came early enough to mean something."""
    print(
        f"{asked.early} of {ASKS} asks before the end, {asked.refused} refused, "
        f"{len(asked.progress)} steps of progress by /health"
    )
    assert not asked.faults, "\n".join(asked.faults[:20])
    assert _LEAST_EARLY <= asked.early < ASKS
    assert len(asked.progress) >= _LEAST_STEPS


class _Tables:
    """How the tables of a folder stand, or None where there are none to be read yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def look(self) -> Standing | None:
        try:
            return self._reader.standing()
        except StateUnreadable:
            return None


@contextmanager
def standing_in(state: Path) -> Iterator[_Tables]:
    """A look of our own at the tables of a state folder."""
    reader = Reader(Settings(state=state))
    try:
        yield _Tables(reader)
    finally:
        reader.close()


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Stop a process for as long as the block takes."""
    process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send(signal.SIGCONT)


def _wait_for_a_target(tables: _Tables, rebuild: Process) -> None:
    """Let a process start, in steps too short for it to rebuild much unseen."""
    deadline = time.monotonic() + 120
    while True:
        assert time.monotonic() < deadline, f"no rebuild began: {rebuild.output}"
        assert rebuild.exit_code is None, rebuild.text
        with frozen(rebuild):
            standing = tables.look()
        if standing is not None and any(table.target for table in standing.tables.values()):
            return
        time.sleep(5 * _PULSE_SECONDS)


def _ask(asked: Asked, api: httpx.Client, tables: _Tables) -> None:
    standing = tables.look()
    is_whole = standing is not None and standing.whole
    asked.early += not is_whole
    triggered = api.post("/trigger_report")
    if triggered.status_code == 503:
        asked.refused += 1
    elif triggered.status_code == 200:
        report_id = str(triggered.json()["report_id"])
        asked.report_ids.append(report_id)
        answer = api.get(f"/get_report/{report_id}")
        if not is_whole and (answer.status_code, answer.text) != (200, '{"status":"Running"}'):
            asked.faults.append(f"while not whole {report_id} was {answer.status_code} {answer.text[:200]}")
    else:
        asked.faults.append(f"a report was asked for: {triggered.status_code} {triggered.text}")
    if not is_whole:
        health = api.get("/health")
        _check_health(asked, health.status_code, health.json())


def _check_health(asked: Asked, status: int, health: dict[str, Any]) -> None:
    tables = health["tables"]
    if (status, health["status"], health["ready"]) != (503, "restoring", False) or not tables["restoring"]:
        asked.faults.append(f"while not whole /health was {status} {health}")
        return
    if tables["whole"] + len(tables["restoring"]) != tables["partitions"]:
        asked.faults.append(f"partitions do not add up: {tables}")
    for table in tables["restoring"]:
        if table["target"] is not None and not (table["reached"] or 0) < table["target"]:
            asked.faults.append(f"a partition that is not whole has reached its target: {table}")
    if tables not in asked.progress[-1:]:
        asked.progress.append(tables)


def _check(asked: Asked, report_id: str, report: str, expected: str) -> None:
    if report != expected:
        rows = report.count("\n") - 1
        asked.faults.append(f"report {report_id} of {rows} rows is not the one that was made at first")
