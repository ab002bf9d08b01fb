"""How many reports the folder has room for.

Owns: the bounds on their number and bytes, and making room. Must not know: what a report is, who asks for one.

The oldest go first, but none within an hour after it was made, and none that is being downloaded: rather than
that, no further one is made. Reports that failed have no rows and are counted apart; of those the oldest go.
"""

import threading
import time
from typing import Final

from query_api.errors import ReportsFull
from query_api.reports.files import Kept, ReportFiles

_LOOK_AGAIN_S: Final = 60.0
"""Other hosts fill the folder too."""
_STILL_FULL_S: Final = 1.0
"""Looking costs milliseconds; a burst of questions at a full folder must not look for each of them."""
_SPARE: Final = 100
"""Where some must go, a hundredth of all goes, so that the next ones need not look."""


class Room:
    """The room in a folder of reports, by count and by bytes. Any thread may ask."""

    def __init__(self, files: ReportFiles, most: int, max_bytes: int) -> None:
        self._files = files
        self._most = most
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._full_until_s = float("-inf")
        self._made = 0
        self._bytes = 0
        self._failed = 0

    def look(self) -> None:
        """Count the reports that are there; let go of those beyond the bounds. Raises OSError."""
        with self._lock:
            self._tidy(0, 0)

    def check(self) -> None:
        """Raises ReportsFull where there is no room for another report, OSError."""
        with self._lock:
            self._make_room(0)

    def take(self, csv_bytes: int) -> None:
        """Take the room of a report of so many bytes. Raises ReportsFull, OSError."""
        with self._lock:
            self._make_room(csv_bytes)
            self._made, self._bytes = self._made + 1, self._bytes + csv_bytes

    def ended(self, *, failed: bool) -> None:
        """Look round once in a while, and where too many have failed. Raises OSError."""
        with self._lock:
            self._failed += failed
            if self._failed > self._most or time.monotonic() - self._looked_s > _LOOK_AGAIN_S:
                self._tidy(0, 0)

    def _make_room(self, more_bytes: int) -> None:
        if not self._fits(1, more_bytes) and time.monotonic() > self._full_until_s:
            self._tidy(1, more_bytes)
        if not self._fits(1, more_bytes):
            self._full_until_s = max(self._full_until_s, self._looked_s + _STILL_FULL_S)
            raise ReportsFull(self._made, self._bytes)

    def _fits(self, more: int, more_bytes: int) -> bool:
        return self._made + more <= self._most and self._bytes + more_bytes <= self._max_bytes

    def _tidy(self, more: int, more_bytes: int) -> None:
        """Count what is there. Where `more` do not fit, let go of the oldest until they do, with some to spare."""
        made: list[Kept] = []
        failed: list[Kept] = []
        for kept in self._files.by_age():
            (failed if kept.csv_bytes is None else made).append(kept)
        self._made, self._bytes = len(made), sum(kept.csv_bytes or 0 for kept in made)
        if not self._fits(more, more_bytes):
            more, more_bytes = more + self._most // _SPARE, more_bytes + self._max_bytes // _SPARE
        for kept in made:
            if self._fits(more, more_bytes):
                break
            if self._files.let_go(kept):
                self._made, self._bytes = self._made - 1, self._bytes - (kept.csv_bytes or 0)
        self._failed = self._without_surplus(failed)
        self._looked_s = time.monotonic()

    def _without_surplus(self, failed: list[Kept]) -> int:
        """Let go of the oldest that failed, past as many as may be; how many are left."""
        left = len(failed)
        for kept in failed:
            if left <= self._most:
                break
            self._files.let_go(kept)
            left -= 1  # gone, or it runs and has not failed
        return left
