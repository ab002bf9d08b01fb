"""Running storepulse as its users do: as processes, with files and ports.

Owns: starting commands, waiting for them with a deadline, ending them by their id. Must not know: what a
report should say (tests.oracle).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from query_api.reports.report import write_report
from query_api.snapshots.reader import Reader, Snapshot
from schemas.positions import Positions
from schemas.settings import Settings
from scripts.sample import write_sample

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_sample = pytest.mark.skipif(not (SHARED / "sample").exists(), reason="needs ../shared/data/sample")
needs_full = pytest.mark.skipif(not (SHARED / "full").exists(), reason="needs ../shared/data/full")

_KEPT = ("STOREPULSE_DRAIN", "STOREPULSE_PARTITIONS")


def storepulse(
    *args: object, state: Path | None = None, seconds: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        _command(args), env=_environment(state), capture_output=True, text=True, timeout=seconds, check=False
    )


@contextmanager
def running(*args: object, state: Path) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs until the block ends; its output goes to `<state>/<command>.out`."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / f"{args[0]}.out").open("a") as out:
        process = subprocess.Popen(_command(args), env=_environment(state), stdout=out, stderr=out, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{args[0]} did not stop within 20 s of SIGTERM") from None


def kill(process: "subprocess.Popen[str]") -> None:
    """kill -9, and wait until it is gone."""
    process.kill()
    process.wait()


def until(what: str, is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `is_so`; fail with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def wait_for_exit(process: "subprocess.Popen[str]", seconds: float = 30) -> int:
    return process.wait(seconds)


@contextmanager
def snapshot_of(state: Path) -> Iterator[Snapshot]:
    """The tables of a state folder as they are now, through a reader of its own."""
    reader = Reader(Settings(state=state))
    try:
        with reader.snapshot() as snapshot:
            yield snapshot
    finally:
        reader.close()


def applied(state: Path) -> Positions:
    """How far the readable state reflects the topics."""
    reader = Reader(Settings(state=state))
    try:
        return reader.standing().applied
    finally:
        reader.close()


def wait_until_applied(state: Path, positions: Positions, seconds: float = 60) -> None:
    """Wait until the state reflects the topics up to `positions`."""

    def reached() -> bool:
        now = applied(state)
        return all(now.get(partition, 0) >= offset for partition, offset in positions.items())

    until(f"applied up to {positions}", reached, seconds)


def report_of(state: Path, out: Path) -> str:
    """The report of the state as it stands."""
    with snapshot_of(state) as snapshot:
        write_report(snapshot, None, out)
    return out.read_text()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wipe_tables(state: Path) -> None:
    """Delete all tables, as a lost disk would; a worker killed at once may have made none."""
    if (state / "worker").exists():
        shutil.rmtree(state / "worker")


def processes_of(state: Path) -> list[int]:
    """Ids of processes whose environment names this state folder."""
    named = f"STOREPULSE_STATE={state}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if named in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return [pid for pid in found if pid != os.getpid()]


def sample_data(folder: Path, stores: int = 200, days: int = 8, seed: int = 1) -> Path:
    """A small sample data set."""
    write_sample(folder, stores=stores, days=days, seed=seed)
    return folder


def _command(args: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "scripts.cli", *map(str, args)]


def _environment(state: Path | None) -> dict[str, str]:
    """Ours, less what would make a test depend on who runs it; these are what a test may choose."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith("STOREPULSE_")
    }
    return kept if state is None else {**kept, "STOREPULSE_STATE": str(state)}
