"""What else the machine did while the bench measured: figures of a busy machine are not those of a quiet one.

Owns: reading processor time. Must not know: what is measured.
"""

import os
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STAT: Final = Path("/proc/stat")
_IDLE: Final = (3, 4)
"""Of the columns of /proc/stat: idle, and waiting for a disk."""
_COUNTED: Final = 8
"""Columns of /proc/stat that add up; those after them are parts of others."""


class Neighbours:
    """Counts from the moment that it is made."""

    def __init__(self) -> None:
        self._began_s, self._busy_s, self._ours_s = time.monotonic(), _busy_s(), _ours_s()

    def cores(self) -> float:
        """How many cores, on average, were taken by other programs; by ours, only those that have ended count."""
        others_s = (_busy_s() - self._busy_s) - (_ours_s() - self._ours_s)
        return max(0.0, others_s / (time.monotonic() - self._began_s))


def _busy_s() -> float:
    ticks = [int(text) for text in _STAT.read_text().split("\n", 1)[0].split()[1 : _COUNTED + 1]]
    return (sum(ticks) - sum(ticks[column] for column in _IDLE)) / _TICKS


def _ours_s() -> float:
    return sum(os.times()[:4])
