"""The bench: what a row says of itself, and that a peer does the same job as storepulse."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.settings import Settings
from schemas.values import SECOND_US, StoreId
from scripts.cli.processes import ChildEnded
from scripts.dev.bench.bench import Bench
from scripts.dev.bench.beside import MEASURES, Measure
from scripts.dev.bench.compared import Compared, columns
from scripts.dev.bench.neighbours import processor_in
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Row, Target, markdown_of
from scripts.dev.bench.service import BenchFailed, child, seconds_of, until
from scripts.dev.bench.visible import live_service, p50_and_p99
from scripts.dev.bench.workload import Workload
from stream.brokers.partitions import partition_of
from tests.e2e.harness import needs_sample, sample_data, storepulse

pytestmark = pytest.mark.slow

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
    peer = [sys.executable, "-m", "scripts.dev.bench.peers.duckdb_report", data, tmp_path / "base.duckdb"]
    subprocess.run([str(part) for part in peer], input=f"{theirs}\n", text=True, check=True, timeout=60)
    assert ours.read_text() == theirs.read_text()


def test_a_table_in_markdown_has_a_line_a_row_and_says_what_is_not_met() -> None:
    head, rule, line = markdown_of([Row("p", "w", "s", [2], Target(most=1), "x", [8])]).splitlines()
    assert head == "| what | storepulse | peer | peer's | ratio | target | met |"
    assert rule == "| --- | --: | --: | --: | --: | --: | --: |"
    assert line == "| w | 2 s | x | 8 s | 4.00× | ≤ 1 s | no |"


def test_a_ratio_is_taken_pair_by_pair_and_not_of_the_medians() -> None:
    """The machine grew slower between the pairs: ours 10 % behind in each of them, and so it is told."""
    row = Compared("w", "s", ours=[1.1, 2.2, 4.4], theirs=[1, 2, 4])
    assert row.ratios == pytest.approx([1.1, 1.1, 1.1])
    assert Compared("w", "s", ours=[4, 1, 9], theirs=[1, 4, 3]).ratios == [4, 0.25, 3]


def test_fewer_polls_a_second_are_a_ratio_above_one_between_revisions() -> None:
    assert Compared("w", "/s", ours=[100], theirs=[150]).ratios == [1.5]


@pytest.mark.parametrize(("ours", "met"), [([110, 90, 300], True), ([111, 90, 300], False), ([50], True)])
def test_a_tenth_worse_is_within_the_bound_and_more_is_not(ours: list[float], met: bool) -> None:
    assert Compared("w", "ms", ours, [100] * len(ours)).met is met


def test_a_comparison_in_markdown_names_both_revisions_and_says_what_is_not_met() -> None:
    head, _, line = markdown_of([Compared("w", "s", [3], [2])], columns("ours", "old")).splitlines()
    assert head == "| what | ours | old | worse by, pair by pair | bound | met |"
    assert line == "| w | 3 s | 2 s | 1.5× | ≤ 1.10× | no |"


def test_a_measure_has_a_value_of_theirs_before_each_of_ours(tmp_path: Path) -> None:
    asked = list[str]()

    def once(_: Bench, revision: Revision) -> tuple[float, float]:
        asked.append(revision.root.name)
        return len(asked), 7

    measure = Measure(("first", "second"), "s", once)
    theirs = Revision(tmp_path / "theirs", Path(sys.executable))
    bench = Bench(2, True, tmp_path, lambda _: None)
    first, second = measure.by_turns(theirs, bench)
    assert asked == ["theirs", OURS.root.name] * 2
    assert (first.what, first.theirs, first.ours) == ("first", [1, 3], [2, 4])
    assert (second.what, second.theirs, second.ours) == ("second", [7, 7], [7, 7])


def test_the_p99_is_a_latency_that_was_measured() -> None:
    assert p50_and_p99([float(nth) for nth in range(200, 0, -1)]) == (100, 198)
    assert p50_and_p99([5.0]) == (5, 5)


def test_the_last_poll_of_a_partition_is_the_one_that_no_other_of_its_follows() -> None:
    workload = Workload([StoreId(f"s{nth}") for nth in range(40)])
    polls = list(workload.polls(3, 90))
    found = workload.last_polls(3, 90, 12)
    assert len(found) == len({partition_of(store, 12) for store, _, _ in polls}) > 1
    for last in found:
        after = polls[polls.index(last) + 1 :]
        assert partition_of(last[0], 12) not in {partition_of(store, 12) for store, _, _ in after}


def test_a_poll_of_the_workload_is_sent_to_the_second() -> None:
    polls = Workload([StoreId("a"), StoreId("b"), StoreId("c")], begin_us=7).polls(0, 9)
    assert all(at_us % SECOND_US == 0 for _, _, at_us in polls)


def test_the_processor_is_named_once() -> None:
    assert processor_in("processor\t: 0\nmodel name\t: X 9\n\nprocessor\t: 1\nmodel name\t: X 9\n") == "X 9"
    assert processor_in("processor\t: 0\n") == platform.machine()


def test_a_revision_runs_the_modules_of_its_own_folder(tmp_path: Path) -> None:
    """Whichever folder the bench runs in."""
    package = tmp_path / "scripts"
    package.mkdir()
    (package / "__init__.py").write_text('"""Another one."""')
    (package / "cli.py").write_text("import sys; sys.exit('the other one')")
    other = Revision(tmp_path, Path(sys.executable))
    with pytest.raises(BenchFailed, match="the other one"):
        seconds_of("scripts.cli", revision=other)
    settings = Settings(state=tmp_path / "state", broker="")
    with (
        child(settings, "worker", revision=other) as worker,
        pytest.raises(ChildEnded, match="the other one"),
    ):
        until("it ends", lambda: False, worker)


def test_a_work_tree_that_is_not_set_up_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = bench("--beside", tmp_path)
    assert done.returncode == 2
    assert "make .venv/runs" in done.stderr


def test_what_can_be_measured_is_listed() -> None:
    peers, beside = bench("--list").stdout.splitlines()
    assert peers.startswith("beside its peers: reports, bulk, backlog, live, ")
    assert beside == f"with --beside: {', '.join(MEASURES)}"


@pytest.mark.long
def test_live_polls_are_seen_after_they_were_sent(tmp_path: Path) -> None:
    """The whole instrument, on a service of its own: some of the polls are followed, and each becomes visible."""
    trial = Bench(1, True, tmp_path, lambda _: None, sample_data(tmp_path / "data", stores=300))
    with live_service(trial, trial.replayed("live")) as live:
        waits_ms = live.visible_ms(1)
    assert waits_ms
    assert min(waits_ms) > 0


def bench(*args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.dev.bench", *map(str, args)]
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def assert_same_report(data: Path, folder: Path) -> None:
    ours, theirs = folder / "ours.csv", folder / "theirs.csv"
    done = storepulse("report", "--data", data, "--out", ours)
    assert done.returncode == 0, done.stderr
    batch = [sys.executable, "-m", "scripts.dev.bench.peers.polars_batch", str(data), str(theirs)]
    subprocess.run(batch, check=True, timeout=60)
    assert ours.read_text() == theirs.read_text()
