"""The lock that keeps a second worker off a state folder.

Owns: one lock file and who holds it. The kernel releases the lock when its holder ends, kill -9 included; a
child that was forked (not started again) shares it. Must not know: what the lock protects.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from schemas.own_files import NotOurs, open_own

PATIENCE_S: Final = 0.5
"""How long `StateLock.take` tries: a `held` elsewhere has the file for microseconds, which refuses nobody."""


class LockHeld(Exception):
    """The lock file `path` is held by process `pid` (None: it did not say)."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"{path.parent} is in use by {holder}: one worker at a time. "
            "Stop that worker, or give this one another state folder (--state)."
        )
        self.path = path
        self.pid = pid


class LockNotWritable(Exception):
    """The lock file `path` cannot be made; `cause` is the system's text."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            f"The lock {path} cannot be written ({cause}). "
            f"Give this user the right to write in {path.parent}, or choose another state folder."
        )
        self.path = path


class StateLock:
    """An exclusive lock on the file `path`, which is made with its folder. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def take(self) -> None:
        """Take the lock and note our pid. Raises `LockHeld` after `PATIENCE_S`, `LockNotWritable`, `NotOurs`."""
        descriptor = _open(self.path)
        try:
            if not _locked_within(descriptor, PATIENCE_S):
                raise LockHeld(self.path, _pid_in(self.path))
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. The file stays: without it two workers could lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def held(path: Path) -> bool:
    """Whether a live process holds the lock at `path`. Takes nothing that could refuse a worker."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_own(path, os.O_RDWR | os.O_CREAT)
    except NotOurs:
        raise
    except OSError as error:
        raise LockNotWritable(path, str(error)) from error


def _locked_within(descriptor: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(path: Path) -> int | None:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() else None
