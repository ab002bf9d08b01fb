"""The queue of one in front of the write lock.

SQLite wakes nobody when its write lock comes free: those who wait look again after growing sleeps, and a
process that writes without a pause keeps them out for many seconds. So whoever wants to write first takes the
turn, a `flock` on a file beside the log, and gives it up when it has the write lock. A writer that comes
straight back finds the turn taken by the one that waits, and has to let it go first.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from schemas.own_files import open_own
from stream.brokers.embedded.errors import LogBusy, LogNotWritable

LOOK_EVERY_S: Final = 0.001


class Turn:
    """The right to be the next writer of the log at `path`; waits at most `patience_s` seconds for it."""

    def __init__(self, path: Path, patience_s: float) -> None:
        self._path = path
        self._patience_s = patience_s
        try:
            self._descriptor = open_own(path.with_name(f"{path.name}-turn"), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise LogNotWritable(path, str(error)) from error

    def __enter__(self) -> None:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LogBusy(self._path, self._patience_s) from None
                time.sleep(LOOK_EVERY_S)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
