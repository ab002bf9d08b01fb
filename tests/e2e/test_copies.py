"""State folders that were copied with `cp`, so that tables and log are not of one moment.

A worker that is given one either refuses it in a sentence, or makes its tables again from the log and is exact. It
never lives on with tables that know more than the log: what is sent next would be taken for applied.
"""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from query_api.errors import QueryError
from schemas.events.polls import encode_poll
from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import StoreId
from stream.brokers.opening import open_sink
from tests.e2e.harness import report_of, running, until, wait_until_applied
from tests.e2e.log_oracle import ends, oracle_of

LOG_FILES = "log.db*"


def send(state: Path, *instants: str) -> Positions:
    """A poll of each of three stores at each instant, one record each."""
    with open_sink(Settings(state=state)) as sink:
        for at in instants:
            for store, status in (("s1", "active"), ("s2", "inactive"), ("s3", "active")):
                sink.send(POLLS, StoreId(store), encode_poll(StoreId(store), status, at))
        return sink.flush()


def worked(state: Path, *instants: str) -> None:
    """Send polls, and run a worker until they are applied."""
    positions = send(state, *instants)
    with running("worker", state=state):
        wait_until_applied(state, positions)


def copied(state: Path, copy: Path, pattern: str) -> None:
    """`cp -r` of what a pattern names; what is there stays."""
    copy.mkdir(exist_ok=True)
    for path in state.glob(pattern):
        if path.is_dir():
            shutil.copytree(path, copy / path.name)
        elif not (copy / path.name).exists():
            shutil.copyfile(path, copy / path.name)


def check_refused_or_exact(copy: Path, out: Path) -> None:
    """What the worker makes of a copy, after one more poll of each store was sent to it."""
    send(copy, "2023-01-25T13:30:00Z")
    expected = oracle_of(copy / "log.db")

    def is_exact() -> bool:
        with suppress(QueryError):
            return report_of(copy, out) == expected
        return False

    with running("worker", state=copy) as worker:
        until("the worker ended, or is exact", lambda: worker.poll() is not None or is_exact(), 30)
        code = worker.poll()
    if code is not None:
        said = (copy / "worker.out").read_text()
        assert code == 4, said
        assert "Traceback" not in said
        (sentence,) = [line for line in said.splitlines() if line.startswith("storepulse: ")]
        assert str(copy) in sentence


def test_a_log_that_was_copied_before_the_tables_is_refused_or_made_exact(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    worked(state, "2023-01-25T10:00:00Z", "2023-01-25T11:00:00Z")
    copied(state, copy, LOG_FILES)
    worked(state, "2023-01-25T12:00:00Z", "2023-01-25T13:00:00Z")
    copied(state, copy, "worker")
    check_refused_or_exact(copy, tmp_path / "r.csv")


def test_tables_whose_log_is_missing_are_refused_or_made_again(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    worked(state, "2023-01-25T10:00:00Z", "2023-01-25T11:00:00Z")
    copied(state, copy, "worker")
    check_refused_or_exact(copy, tmp_path / "r.csv")


@pytest.mark.parametrize("partitions", ["1", "3"])
def test_tables_that_were_copied_before_the_log_are_exact(
    partitions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREPULSE_PARTITIONS", partitions)
    state, copy = tmp_path / "state", tmp_path / "copy"
    worked(state, "2023-01-25T10:00:00Z", "2023-01-25T11:00:00Z")
    copied(state, copy, "worker")
    worked(state, "2023-01-25T12:00:00Z", "2023-01-25T13:00:00Z")
    copied(state, copy, LOG_FILES)
    with running("worker", state=copy):
        wait_until_applied(copy, ends(copy / "log.db"))
        assert report_of(copy, tmp_path / "r.csv") == oracle_of(copy / "log.db")
