"""Where bad lines go.

Owns: what is kept of a bad line, the rejects file, the counts. Must not know: how a line is judged.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from schemas.atomic_write import WholeFile, naming
from schemas.values import RejectReason
from scripts.csv_input.errors import CsvInputError

LONGEST_TEXT: Final = 500
"""Characters kept of a bad line; enough to find it, whatever a damaged file holds."""

MAX_WRITTEN: Final = 1_000_000
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

    The file takes the place of an older one on leaving the context, header and all, so that what stands in it is of
    one run; also where an error ends the run, but not where the user or a full disk does. Without `path` they are
    only counted. With `strict` the first is written, then raised as StrictStop. Raises OSError.
    """

    def __init__(self, path: Path | None, *, strict: bool = False, max_written: int = MAX_WRITTEN) -> None:
        self.counts: Counter[RejectReason] = Counter()
        self._path = path
        self._strict = strict
        self._max_written = max_written
        self._whole: WholeFile | None = None

    @property
    def total(self) -> int:
        """All rejects so far, written or not."""
        return self.counts.total()

    def __enter__(self) -> Self:
        if self._path is not None:
            with naming(self._path):
                self._whole = WholeFile(self._path)
            self._rows = csv.writer(codecs.getwriter("utf-8")(self._whole.file), lineterminator="\n")
            self._write("file", "line", "reason", "text")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole, self._whole = self._whole, None
        if whole is None or self._path is None:
            return
        if error is None or isinstance(error, Exception):
            with naming(self._path):
                whole.keep()
        else:
            whole.drop()

    def __call__(self, reject: Reject) -> None:
        """Take one reject. Raises StrictStop where the writer is strict."""
        self.counts[reject.reason] += 1
        if self.total <= self._max_written:
            self._write(reject.file, reject.line, reject.reason.value, reject.text)
        if self._strict:
            raise StrictStop(reject)

    def _write(self, *cells: str | int) -> None:
        if self._whole is None or self._path is None:
            return
        try:
            with naming(self._path):
                self._rows.writerow(cells)
        except OSError:
            self._whole.drop()
            self._whole = None
            raise
