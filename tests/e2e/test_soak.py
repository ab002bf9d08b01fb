"""Long rounds of kills and lost tables; `make soak` runs them."""

import random
import time
from pathlib import Path

import pytest

from schemas.settings import Settings
from scripts.cli.progress import Progress
from scripts.csv_input import RejectsWriter, find_input
from scripts.replay import replay
from stream.brokers.opening import open_sink
from tests.e2e.harness import (
    SHARED,
    kill,
    needs_full,
    report_of,
    running,
    sample_data,
    wait_until_applied,
    wipe_tables,
)
from tests.oracle import report_of_folder


def soak(data: Path, state: Path, seed: int, speed: float | None) -> str:
    """Kill the worker five times in the middle of a replay, wiping its tables now and then; the report after."""
    random_ = random.Random(seed)
    with open_sink(Settings(state=state)) as sink, RejectsWriter(None) as rejects:
        positions = replay(find_input(data), sink, rejects, Progress(quiet=True), speed).positions
    for _ in range(5):
        with running("worker", state=state) as worker:
            time.sleep(random_.uniform(0.4, 3.0))  # a random moment, not a wait for anything
            kill(worker)
        if random_.random() < 0.4:
            wipe_tables(state)
    with running("worker", state=state):
        wait_until_applied(state, positions, seconds=300)
        return report_of(state, state / "r.csv")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(8))
def test_kills_and_lost_tables_in_live_replays_change_nothing(seed: int, tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data", stores=1500, seed=seed)
    assert soak(data, tmp_path / "state", seed, speed=1e9) == report_of_folder(data)


@pytest.mark.soak
@pytest.mark.timeout(900)
@needs_full
@pytest.mark.parametrize("seed", range(4))
def test_kills_and_lost_tables_in_bulk_replays_of_the_full_data_change_nothing(
    seed: int, tmp_path: Path
) -> None:
    assert soak(SHARED / "full", tmp_path / "state", seed, speed=None) == report_of_folder(SHARED / "full")
