"""Child processes that end with their parent, whatever ends it.

Owns: starting a storepulse command as a child, the lifeline between the two, and stopping it. Must not know:
what the child does.

The lifeline is a pipe whose writing end only the parent has. When the parent is gone, also by kill -9, the
kernel closes it; the child, reading the other end, sees that and stops.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from schemas.own_files import open_own
from schemas.settings import Settings

_LIFELINE: Final = "STOREPULSE_LIFELINE"
_COMMAND: Final = (sys.executable, "-m", "scripts.cli")
_STOP_SECONDS: Final = 10.0
"""How long a child may take to stop cleanly before it is killed."""
_TAIL_BYTES: Final = 4000
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class ChildEnded(Exception):
    """A child ended when it should not have. Carries its name, exit code and the last it printed."""

    def __init__(self, name: str, code: int, tail: str) -> None:
        super().__init__(f"the {name} ended with exit code {code}:\n{tail}")
        self.name = name
        self.code = code
        self.tail = tail


class Child:
    """A running `storepulse <args>`. What it prints goes to `log`, or where our own stderr goes.

    `command` and `folder` are those of another storepulse; by default it is this one.
    """

    def __init__(
        self,
        name: str,
        args: Sequence[str],
        environment: Mapping[str, str],
        log: Path | None = None,
        *,
        command: Sequence[str] = _COMMAND,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self._log = log
        self._lifeline: int | None
        reading, self._lifeline = os.pipe()
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
        output = os.fdopen(open_own(log, _APPEND), "ab") if log else sys.stderr
        try:
            self._process = subprocess.Popen(
                [*command, *args],
                cwd=folder,
                env={**os.environ, **environment, _LIFELINE: str(reading)},
                pass_fds=(reading,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(reading)
            if log:
                output.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raises ChildEnded if it has."""
        code = self._process.poll()
        if code is not None:
            raise ChildEnded(self.name, code, self._tail())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to stop, then insist."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        if self._log is None:
            return "(see above)"
        data = self._log.read_bytes()[-_TAIL_BYTES:]
        return data.decode(errors="replace").strip()


def worker_of(settings: Settings) -> Child:
    """A worker of one command's own, its output in a file of the state folder; its metrics are for nobody."""
    environment = {
        "STOREPULSE_BROKER": settings.broker,
        "STOREPULSE_STATE": str(settings.state),
        "STOREPULSE_WORKER_METRICS_PORT": "0",  # that of the environment may be a running worker's
    }
    return Child("worker", ["worker"], environment, settings.state / "worker.log")


def follow_parent() -> None:
    """In a child: stop when the parent is gone. Without a parent of ours, does nothing."""
    lifeline = os.environ.pop(_LIFELINE, None)
    if lifeline is not None:
        threading.Thread(target=_wait_for_end, args=(int(lifeline),), name="lifeline", daemon=True).start()


def _wait_for_end(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
