"""Where bad lines go.

Owns: what is kept of a bad line, the rejects file, the counts. Must not know: how a line is judged.
"""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from schemas.values import RejectReason
from scripts.csv_input.errors import CsvInputError

LONGEST_TEXT: Final = 500
"""Characters kept of a bad line; enough to find it, whatever a damaged file holds."""

MOST_WRITTEN: Final = 1_000_000
"""Lines that a rejects file takes; those past it are counted only, so that the file has a bound."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that contributed nothing: `line` counts physical lines from 1, the header being one of them.

    `text` is the line as it stood, cut to LONGEST_TEXT characters; a byte that is no UTF-8 reads `\\xff`.
    """

    file: str
    line: int
    reason: RejectReason
    text: str


RejectSink = Callable[[Reject], None]
"""Takes each reject when it is found, in file order. What it raises ends the reading."""


class StrictStop(CsvInputError):
    """The first `reject` of a strict run."""

    def __init__(self, reject: Reject) -> None:
        super().__init__(
            f"{reject.file}, line {reject.line}: {reject.reason.value}: {reject.text!r}. "
            "Mend the line, or run without --strict to set bad lines aside."
        )
        self.reject = reject


class RejectsWriter:
    """A sink that counts rejects per reason and writes them to a CSV file (file,line,reason,text).

    The file is begun anew, header and all, on entering the context, so that what stands in it is of this run.
    Without `path` they are only counted. With `strict` the first is written, then raised as StrictStop.
    """

    def __init__(self, path: Path | None, *, strict: bool = False, most_written: int = MOST_WRITTEN) -> None:
        self.counts: Counter[RejectReason] = Counter()
        self._path = path
        self._strict = strict
        self._most_written = most_written
        self._file: TextIO | None = None

    @property
    def total(self) -> int:
        """All rejects so far, written or not."""
        return self.counts.total()

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._rows.writerow(("file", "line", "reason", "text"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __call__(self, reject: Reject) -> None:
        """Take one reject. Raises StrictStop where the writer is strict."""
        self.counts[reject.reason] += 1
        if self._file is not None and self.total <= self._most_written:
            self._rows.writerow((reject.file, reject.line, reject.reason.value, reject.text))
        if self._strict:
            raise StrictStop(reject)
