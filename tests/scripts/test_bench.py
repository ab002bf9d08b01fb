"""The bench: what a row says of itself, and that a peer does the same job as storepulse."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.rows import Row, Target, markdown_of
from tests.e2e.harness import needs_sample, sample_data, storepulse

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sample"


def test_fewer_seconds_than_the_peer_are_a_ratio_above_one() -> None:
    assert Row("p", "w", "s", [2, 1, 3], peer="x", theirs=[10, 8, 6]).ratio == 4


def test_more_polls_a_second_than_the_peer_are_a_ratio_above_one() -> None:
    assert Row("p", "w", "/s", [300], peer="x", theirs=[100]).ratio == 3


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(), None),
        (Target(most=2), True),
        (Target(most=1.9), False),
        (Target(least=2), True),
        (Target(least=2.1), False),
        (Target(most=2, least_ratio=5), True),
        (Target(most=2, least_ratio=5.1), False),
    ],
)
def test_a_target_is_met_when_each_of_its_bounds_holds(target: Target, met: bool | None) -> None:
    assert Row("p", "w", "s", [1, 2, 9], target, "x", [10]).met is met


def test_a_bound_on_the_ratio_says_nothing_without_a_peer() -> None:
    assert Row("p", "w", "s", [1], Target(least_ratio=2)).met is None


def test_the_polars_batch_makes_the_same_report_of_sample_data(tmp_path: Path) -> None:
    assert_same_report(sample_data(tmp_path / "data", stores=300), tmp_path)


@needs_sample
def test_the_polars_batch_makes_the_same_report_of_the_known_sample(tmp_path: Path) -> None:
    assert_same_report(SHARED, tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_duckdb_makes_the_same_report_of_sample_data(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("duckdb", reason="needs requirements-bench.lock")
    data, ours, theirs = (
        sample_data(tmp_path / "data", 300, seed=seed),
        tmp_path / "1.csv",
        tmp_path / "2.csv",
    )
    assert storepulse("report", "--data", data, "--out", ours).returncode == 0
    peer = [sys.executable, "-m", "scripts.bench.peers.duckdb_report", data, tmp_path / "base.duckdb"]
    subprocess.run([str(part) for part in peer], input=f"{theirs}\n", text=True, check=True, timeout=60)
    assert ours.read_text() == theirs.read_text()


def test_a_table_in_markdown_has_a_line_a_row_and_says_what_is_not_met() -> None:
    head, rule, line = markdown_of([Row("p", "w", "s", [2], Target(most=1), "x", [8])]).splitlines()
    assert head == "| what | storepulse | peer | peer's | ratio | target | met |"
    assert rule == "| --- | --: | --: | --: | --: | --: | --: |"
    assert line == "| w | 2 s | x | 8 s | 4.00× | ≤ 1 s | no |"


def assert_same_report(data: Path, folder: Path) -> None:
    ours, theirs = folder / "ours.csv", folder / "theirs.csv"
    done = storepulse("report", "--data", data, "--out", ours)
    assert done.returncode == 0, done.stderr
    batch = [sys.executable, "-m", "scripts.bench.peers.polars_batch", str(data), str(theirs)]
    subprocess.run(batch, check=True, timeout=60)
    assert ours.read_text() == theirs.read_text()
