"""STOREPULSE_LOG_LEVEL as running parts take it."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import POLLS
from tests.e2e.commands import Command, command, ended
from tests.e2e.harness import until, wait_until_applied

pytestmark = pytest.mark.long


def events(part: Command) -> list[str]:
    """What it logged; every line is one object."""
    logged: list[dict[str, Any]] = [json.loads(line) for line in part.stderr.splitlines()]
    return [line["event"] for line in logged]


def worked(tmp_path: Path, **settings: str) -> Command:
    """A worker that took a poll in and was stopped."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "store_status.csv").write_text(
        "store_id,status,timestamp_utc\ns,active,2023-01-25 12:00:00 UTC\n"
    )
    with command("worker", state=tmp_path / "state", **settings) as worker:
        assert ended("replay", data, state=worker.state).process.returncode == 0
        wait_until_applied(worker.state, {(POLLS, 0): 1})
        assert worker.stop() == 0
    return worker


_OUR_STEPS = [
    "worker starting",
    "partitions taken over",
    "partitions served",
    "worker ready",
    "worker stopping",
]


@pytest.mark.parametrize("settings", [{}, {"log_level": "INFO"}], ids=["by default", "INFO"])
def test_a_worker_says_its_steps_and_none_of_fausts(settings: dict[str, str], tmp_path: Path) -> None:
    assert events(worked(tmp_path, **settings)) == _OUR_STEPS


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_worker_without_trouble_says_nothing(level: str, tmp_path: Path) -> None:
    assert events(worked(tmp_path, log_level=level)) == []


def test_at_debug_a_worker_says_fausts_steps_between_its_own_in_one_form(tmp_path: Path) -> None:
    said = events(worked(tmp_path, log_level="DEBUG"))
    assert [event for event in said if event in _OUR_STEPS] == _OUR_STEPS
    assert "[^App]: Starting..." in said
    assert "[^App]: Started." in said


@pytest.mark.parametrize(("level", "expected"), [("INFO", ["API listening"]), ("ERROR", [])])
def test_an_api_says_where_it_listens(level: str, expected: list[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    with command("api", "--port", 0, state=state, log_level=level) as api:
        until("the API has begun", (state / "reports").exists)
        assert api.stop() == 0
    assert [event for event in events(api) if event == "API listening"] == expected
