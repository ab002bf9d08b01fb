"""A file whose lock says that its process lives, or that somebody reads it.

Owns: making and locking such files, and telling the living from the dead. The kernel drops the lock when the
process ends, kill -9 included, so no process id is ever guessed at; containers that share a folder all have a
process 1. Must not know: what the files stand beside.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from schemas.own_files import NotOurs, open_own

_SUFFIX = ".lock"
_CLAIM = "claim"


class Lease:
    """A locked file `<folder>/<name>.lock`, there for as long as this process lives or until `end`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{uuid4().hex[:12]}"
        self._path = folder / f"{self.name}{_SUFFIX}"
        unseen = folder / f".{self.name}.new"
        self._descriptor = open_own(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        unseen.rename(self._path)  # nobody sees the file before it is locked

    def end(self) -> None:
        """Remove the file; from now on `lives` says no. May be called twice."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def lives(folder: Path, name: str) -> bool:
    """Whether the process that has the lease `name` still runs."""
    try:
        with locked(folder / f"{name}{_SUFFIX}"):
            return False
    except BlockingIOError:
        return True
    except (FileNotFoundError, NotOurs):
        return False


def reap_dead(folder: Path) -> list[str]:
    """Remove the files of processes that are gone, and name them."""
    dead = []
    for path in folder.glob(f"*{_SUFFIX}"):
        if not lives(folder, path.stem):
            path.unlink(missing_ok=True)
            dead.append(path.stem)
    return dead


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an existing file.

    Raises BlockingIOError where another holds it, FileNotFoundError, schemas.own_files.NotOurs.
    """
    with _held(open_own(path, os.O_RDWR)):
        yield


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the one lock that all in `folder` compete for, its file made if missing. Raises as `locked` does."""
    with _held(open_own(folder / _CLAIM, os.O_RDWR | os.O_CREAT)):
        yield


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def shared(file: BinaryIO) -> None:
    """Share the lock of an open file until it is closed: meanwhile nobody gets it by `locked`."""
    fcntl.flock(file, fcntl.LOCK_SH)
