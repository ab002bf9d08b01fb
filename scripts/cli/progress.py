"""Progress of long work: a bar on a terminal, plain lines elsewhere.

Owns: how it looks. Must not know: what the work is. Everything goes to stderr; stdout is for results.
"""

import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

_LINE_SECONDS: Final = 5.0
"""Elsewhere than on a terminal, a count is printed this often."""


class Progress:
    """A count that grows, and remarks beside it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._bar: RichProgress | None = None
        self._count = 0
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (
                SpinnerColumn(),
                TextColumn("{task.completed:,} {task.description}"),
                TimeElapsedColumn(),
            )
            self._bar = RichProgress(*columns, console=self._console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line, now."""
        self._console.print(text, markup=False)

    def advance(self, by: int, what: str) -> None:
        """`by` more of `what` are done."""
        self._count += by
        if self._bar is not None:
            task = self._bar.task_ids[0] if self._bar.task_ids else self._bar.add_task(what, total=None)
            self._bar.update(task, completed=self._count)
        elif time.monotonic() - self._printed_at > _LINE_SECONDS:
            self._printed_at = time.monotonic()
            self.say(f"{self._count:,} {what}")
