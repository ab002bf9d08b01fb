"""Facts about the lock on a state folder."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.state_lock import LockHeld, LockNotWritable, StateLock, held

HOLDING = """
import sys, time
from pathlib import Path
from stream.state_lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "worker.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_a_second_worker_is_refused(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockHeld, match=f"in use by process {holder.pid}: one worker at a time") as caught:
        StateLock(path).take()

    assert (caught.value.path, caught.value.pid) == (path, holder.pid)
    assert "--state" in str(caught.value), "it says what to do"


def test_a_second_lock_in_the_same_process_is_refused(path: Path) -> None:
    with StateLock(path), pytest.raises(LockHeld):
        StateLock(path).take()


def test_a_killed_worker_leaves_the_lock_free(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=10)

    assert not held(path)
    with StateLock(path):
        assert held(path)


def test_a_released_lock_can_be_taken_again(path: Path) -> None:
    with StateLock(path):
        pass
    with StateLock(path):
        pass


def test_a_lock_is_seen_from_outside(path: Path, holder: subprocess.Popen[str]) -> None:
    assert held(path)
    holder.communicate("", timeout=10)
    assert not held(path)


def test_looking_neither_makes_nor_takes_a_lock(path: Path) -> None:
    assert not held(path)
    assert not path.exists()
    with StateLock(path):
        pass
    assert not held(path)
    with StateLock(path):
        pass


def test_the_holder_is_noted_again_each_time(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("123456789012\n")
    with StateLock(path), pytest.raises(LockHeld) as caught:
        StateLock(path).take()

    assert caught.value.pid not in {None, 123456789012}


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LockNotWritable, match="choose another state folder"):
        StateLock(tmp_path / "file" / "worker.lock").take()
