"""Running a peer that says itself how long its work took.

Owns: how such a peer is started, heard and ended. Must not know: what it does.

A peer is called as `python -m scripts.dev.bench.peers.<name> ARGS…` and prints `seconds X`. One that takes polls
from a broker does so once, X being from its first record to the last one that it was to take, and may go on
running until it is told to end. One that answers does so for each line that it is given.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.dev.bench.service import BenchFailed

_PATIENCE_S: Final = 120.0
_END_S: Final = 15.0
_ROOT: Final = Path(__file__).parents[3]


class Peer:
    """A running peer."""

    def __init__(self, name: str, args: tuple[object, ...], python: Path | str) -> None:
        self._name = name
        command = [str(python), "-m", f"scripts.dev.bench.peers.{name}", *map(str, args)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._said: list[str] = []
        assert self._process.stderr is not None
        threading.Thread(target=self._said.extend, args=(self._process.stderr,), daemon=True).start()

    def seconds(self, asked: str = "", word: str = "seconds") -> float:
        """The next time that it says, after it was given the line `asked`. Raises BenchFailed."""
        impatient = threading.Timer(_PATIENCE_S, self._process.kill)
        impatient.start()
        try:
            if asked:
                print(asked, file=self._process.stdin, flush=True)
            for line in self._process.stdout or ():
                if line.startswith(f"{word} "):
                    return float(line.split()[1])
        except BrokenPipeError:
            pass
        finally:
            impatient.cancel()
        code = self._process.wait()
        said = "".join(self._said)[-2000:]
        raise BenchFailed(f"{self._name} ended without a result, exit code {code}: {said}")

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def peer(name: str, *args: object, python: Path | str = sys.executable) -> Iterator[Peer]:
    """A peer until the block ends."""
    running = Peer(name, args, python)
    try:
        yield running
    finally:
        running.end()


def peer_rate(name: str, count: int, *args: object, python: Path | str = sys.executable) -> float:
    """Records a second that a peer takes, of `count`. Raises BenchFailed."""
    with peer(name, *args, python=python) as running:
        return count / running.seconds()
