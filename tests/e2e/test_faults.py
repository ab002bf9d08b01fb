"""Whatever happens on the way, the report is the same to the byte (rule 2.7)."""

import random
import time
from pathlib import Path

import polars as pl
import pytest

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.values import StoreId
from scripts.cli.progress import Progress
from scripts.csv_input import RejectsWriter, find_input
from scripts.replay import replay
from stream.brokers.opening import open_sink
from stream.state_lock import held
from tests.e2e.harness import (
    kill,
    report_of,
    running,
    sample_data,
    storepulse,
    until,
    wait_until_applied,
    wipe_tables,
)
from tests.oracle import report_of_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_data(tmp_path_factory.mktemp("data"), stores=300)


@pytest.fixture(scope="module")
def expected(data: Path) -> str:
    return report_of_folder(data)


def send(state: Path, folder: Path, speed: float | None = None) -> Positions:
    with open_sink(Settings(state=state)) as sink, RejectsWriter(None) as rejects:
        return replay(find_input(folder), sink, rejects, Progress(quiet=True), speed).positions


def report_after(state: Path, positions: Positions) -> str:
    """Run a worker until the state reflects `positions`; the report then."""
    with running("worker", state=state):
        wait_until_applied(state, positions)
        return report_of(state, state / "r.csv")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_a_worker_killed_at_random_points_changes_nothing(
    seed: int, data: Path, expected: str, tmp_path: Path
) -> None:
    """One poll a record, so that there are many points to be killed at."""
    random_, state = random.Random(seed), tmp_path / "state"
    positions = send(state, data, speed=1e9)
    for _ in range(3):
        with running("worker", state=state) as worker:
            time.sleep(random_.uniform(0.3, 1.6))  # a random moment, not a wait for anything
            kill(worker)
    assert report_after(state, positions) == expected


def test_tables_wiped_right_after_a_kill_are_rebuilt_from_the_changelog(
    data: Path, expected: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    positions = send(state, data)
    with running("worker", state=state) as worker:
        wait_until_applied(state, positions)
        kill(worker)
    wipe_tables(state)
    assert report_after(state, positions) == expected


@pytest.mark.long
def test_tables_wiped_in_the_middle_of_a_replay_are_rebuilt(
    data: Path, expected: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    positions = send(state, data, speed=1e9)
    for seconds in (0.9, 1.3):
        with running("worker", state=state) as worker:
            time.sleep(seconds)  # a moment in the middle, not a wait for anything
            kill(worker)
        wipe_tables(state)
    assert report_after(state, positions) == expected


def test_a_replay_run_twice_and_in_another_order_changes_nothing(
    data: Path, expected: str, tmp_path: Path
) -> None:
    """The second time shuffled, one poll a record, hours and zones last."""
    state, shuffled = tmp_path / "state", tmp_path / "shuffled"
    shuffled.mkdir()
    for name in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        lines = pl.read_csv(data / name, infer_schema=False)
        lines.sample(fraction=1.0, shuffle=True, seed=7).write_csv(shuffled / name)
    with running("worker", state=state):
        wait_until_applied(state, send(state, shuffled))
        assert report_of(state, tmp_path / "r.csv") == expected
        wait_until_applied(state, send(state, data, speed=1e9))
        assert report_of(state, tmp_path / "r.csv") == expected


def test_hours_and_zones_that_come_after_the_polls_give_the_same_report(
    data: Path, expected: str, tmp_path: Path
) -> None:
    state, polls_only = tmp_path / "state", tmp_path / "polls"
    polls_only.mkdir()
    (polls_only / "store_status.csv").symlink_to(data / "store_status.csv")
    with running("worker", state=state):
        wait_until_applied(state, send(state, polls_only))
        wait_until_applied(state, send(state, data))
        assert report_of(state, tmp_path / "r.csv") == expected


def test_the_number_of_partitions_changes_nothing(
    data: Path, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREPULSE_PARTITIONS", "5")
    ran = storepulse("report", "--data", data, "--out", tmp_path / "r.csv", "--state", tmp_path / "state")
    assert ran.returncode == 0, ran.stderr
    assert len(list((tmp_path / "state" / "worker" / "v1" / "tables").glob("stores-*.db"))) == 5
    assert (tmp_path / "r.csv").read_text() == expected


@pytest.mark.long
def test_faust_s_own_loop_gives_the_same_report(
    data: Path, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREPULSE_DRAIN", "messages")
    with running("worker", state=tmp_path / "state"):
        wait_until_applied(tmp_path / "state", send(tmp_path / "state", data, speed=1e9))
    assert report_of(tmp_path / "state", tmp_path / "r.csv") == expected


def test_a_second_worker_on_one_state_folder_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running("worker", state=state):
        until("the first worker has the lock", lambda: held(Settings(state=state).worker_lock))
        refused = storepulse("worker", state=state, seconds=30)
    assert refused.returncode == 4
    assert "one worker at a time" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_store_forgotten_in_all_three_topics_leaves_the_report(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running("worker", state=state):
        wait_until_applied(state, send(state, data))
        before = report_of(state, tmp_path / "r.csv")
        store_id = StoreId(before.splitlines()[1].split(",")[0])
        with open_sink(Settings(state=state)) as sink:
            for topic in ("store-polls", "store-hours", "store-zones"):
                sink.send(topic, store_id, None)
            positions = sink.flush()
        wait_until_applied(state, positions)
        assert report_of(state, tmp_path / "r.csv").splitlines()[1:] == before.splitlines()[2:]
        wait_until_applied(state, send(state, data))
        assert report_of(state, tmp_path / "r.csv") == before
