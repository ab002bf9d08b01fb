"""Files of the state folder: what stands in the place of one is not followed to files that are not ours."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from query_api.snapshots.lease import Lease, claimed, lives, locked, reap_dead
from schemas.atomic_write import PART, WholeFile, atomic_write, remove_parts
from schemas.own_files import NotOurs, check_own, open_own
from schemas.settings import Settings
from scripts.cli.processes import Child
from stream.brokers.embedded.errors import LogNotWritable
from stream.brokers.embedded.turn import Turn
from stream.brokers.replay_target import ReplayTarget
from stream.state_lock import StateLock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A file of somebody else."""
    path = tmp_path / "foreign"
    path.write_text("not ours")
    return path


def claim(folder: Path) -> None:
    with claimed(folder):
        pass


def lock(path: Path) -> None:
    with locked(path):
        pass


OPENERS: dict[str, Callable[[Path], object]] = {
    "worker.lock": lambda state: StateLock(state / "worker.lock").take(),
    "worker.log": lambda state: Child("worker", ["--help"], {}, state / "worker.log").stop(),
    "claim": claim,
    "some.lock": lambda state: lock(state / "some.lock"),
}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("target", ["foreign", "absent"])
def test_a_link_is_not_followed(name: str, target: str, state: Path, foreign: Path) -> None:
    (state / name).symlink_to(foreign.with_name(target))
    with pytest.raises(NotOurs, match="is a symbolic link and no file of storepulse's own"):
        OPENERS[name](state)
    assert foreign.read_text() == "not ours"
    assert not foreign.with_name("absent").exists()
    assert (state / name).is_symlink()


@pytest.mark.parametrize("name", OPENERS)
def test_a_fifo_is_not_waited_for(name: str, state: Path) -> None:
    os.mkfifo(state / name)
    with pytest.raises(NotOurs, match="is no regular file"):
        OPENERS[name](state)


def test_the_turn_of_the_log_follows_no_link(state: Path, foreign: Path) -> None:
    (state / "log.db-turn").symlink_to(foreign.with_name("absent"))
    with pytest.raises(LogNotWritable, match="is a symbolic link"):
        Turn(state / "log.db", 1)
    assert not foreign.with_name("absent").exists()


def test_how_far_a_replay_reaches_is_written_over_no_other_file(state: Path, foreign: Path) -> None:
    for name in ("replaying.json", "replaying.new"):
        (state / name).symlink_to(foreign)
    target = ReplayTarget(state)
    target.begin()
    assert target.read() == "pending"
    target.reach({("store-polls", 0): 7})
    assert target.read() == {("store-polls", 0): 7}
    target.clear()
    assert foreign.read_text() == "not ours"


def test_a_link_among_the_leases_is_a_dead_one(state: Path, foreign: Path) -> None:
    me = Lease(state)
    (state / "other.lock").symlink_to(foreign)
    assert not lives(state, "other")
    assert reap_dead(state) == ["other"]
    assert foreign.read_text() == "not ours"
    assert lives(state, me.name)
    me.end()


def test_an_own_file_is_opened_and_made_as_told(state: Path) -> None:
    path = state / "file"
    check_own(path)
    with pytest.raises(FileNotFoundError):
        open_own(path, os.O_RDWR)
    os.close(open_own(path, os.O_RDWR | os.O_CREAT))
    check_own(path)
    assert path.stat().st_size == 0


def test_an_atomic_write_takes_the_place_of_a_link(state: Path, foreign: Path) -> None:
    (state / "r.csv").symlink_to(foreign)
    with atomic_write(state / "r.csv") as file:
        file.write(b"ours")
    assert not (state / "r.csv").is_symlink()
    assert (state / "r.csv").read_text() == "ours"
    assert foreign.read_text() == "not ours"


def test_a_file_in_the_making_is_dropped_without_a_trace(state: Path) -> None:
    (state / "r.csv").write_text("old")
    whole = WholeFile(state / "r.csv")
    whole.file.write(b"half")
    whole.drop()
    assert [path.name for path in state.iterdir()] == ["r.csv"]
    assert (state / "r.csv").read_text() == "old"


def test_a_full_disk_is_said_with_the_name_of_the_file(state: Path) -> None:
    with pytest.raises(OSError, match=r"No space.*r\.csv"), atomic_write(state / "r.csv"):
        Path("/dev/full").write_text("x" * 100_000)
    assert not list(state.iterdir())


def test_the_longest_name_has_room_for_its_unfinished_file(state: Path) -> None:
    path = state / ("\N{SNOWMAN}" * 85)
    with atomic_write(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"


def test_what_was_left_unfinished_is_removed_and_nothing_else(state: Path) -> None:
    for name in ("rejects.csv", "other.csv"):
        WholeFile(state / name).file.close()
    (state / "rejects.csv").write_text("old")
    remove_parts(state / "rejects.csv")
    left = sorted(path.name for path in state.iterdir())
    assert left[1:] == ["rejects.csv"]
    assert left[0].startswith(".other.csv.")
    assert left[0].endswith(PART)


def test_the_worker_says_whose_lock_it_is_not(state: Path, foreign: Path) -> None:
    lock_path = Settings(state=state).worker_lock
    lock_path.symlink_to(foreign)
    with pytest.raises(NotOurs) as refused:
        StateLock(lock_path).take()
    assert (refused.value.path, refused.value.kind) == (lock_path, "a symbolic link")
