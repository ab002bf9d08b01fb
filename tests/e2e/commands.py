"""Commands as a terminal starts them: each in a process group of its own, its two outputs in files of their own.

Owns: starting one with the settings that a test chooses, and Ctrl-C. Must not know: what a command does.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.e2e.harness import processes_of, until

_STOP_SECONDS = 20.0


class Command:
    """A running `storepulse <args>`."""

    def __init__(self, args: tuple[object, ...], state: Path, settings: dict[str, Any]) -> None:
        state.parent.mkdir(parents=True, exist_ok=True)
        self.name = str(args[0])
        self.state = state
        self.output = state.with_name(f"{state.name}-{self.name}.out")
        self.errors = state.with_name(f"{state.name}-{self.name}.err")
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = start(*args, state=state, output=output, errors=errors, **settings)

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self.errors.read_text()

    def until_says(self, text: str, seconds: float = 60) -> None:
        """Wait until it says `text` on stderr; fails at once where it ends before."""

        def said() -> bool:
            has_ended = self.process.poll() is not None
            found = text in self.stderr
            assert found or not has_ended, f"{self.name} ended without saying {text!r}:\n{self.stderr}"
            return found

        until(f"{self.name} says {text!r}: {self.errors}", said, seconds)

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to its process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ends(self, within_s: float = 15) -> int:
        """Its exit code, when it has ended."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {within_s:g} s:\n{self.stderr}") from None

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.ends(_STOP_SECONDS)


@contextmanager
def command(*args: object, state: Path, **settings: Any) -> Iterator[Command]:
    """A command that runs until the block ends; `settings` are those of storepulse."""
    made = Command(args, state, settings)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.terminate()
            try:
                made.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                made.process.kill()
                made.process.wait()


def start(
    *args: object,
    state: Path,
    output: IO[bytes] | int,
    errors: IO[bytes] | int,
    program: Sequence[str] = ("-m", "scripts.cli.main"),
    **settings: object,
) -> "subprocess.Popen[bytes]":
    """Start a command with no settings but these; `program` is what Python runs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STOREPULSE_")}
    chosen = {f"STOREPULSE_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, *program, *map(str, args)],
        env={**clean, "STOREPULSE_STATE": str(state), **chosen},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def ended(*args: object, state: Path, within_s: float = 60, **settings: Any) -> Command:
    """A command that has come to its end."""
    made = Command(args, state, settings)
    try:
        made.ends(within_s)
    finally:
        made.process.kill()
        made.process.wait()
    return made


def until_nothing_is_left(state: Path, seconds: float = 10) -> None:
    """Wait until no process has `state` as its state folder."""
    until(f"no process of {state} is left", lambda: not processes_of(state), seconds)
