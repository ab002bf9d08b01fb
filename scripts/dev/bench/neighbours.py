"""The machine, and what else it did while the bench measured: a busy machine gives other figures than a quiet one.

Owns: reading the processor's kind, its load, and processor time. Must not know: what is measured.
"""

import os
import platform
import time
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STAT: Final = Path("/proc/stat")
_CPUINFO: Final = Path("/proc/cpuinfo")
_IDLE: Final = (3, 4)
"""Of the columns of /proc/stat: idle, and waiting for a disk."""
_COUNTED: Final = 8
"""Columns of /proc/stat that add up; those after them are parts of others."""


class Neighbours:
    """Counts from the moment that it is made."""

    def __init__(self) -> None:
        self._began_s, self._busy_s, self._ours_s = time.monotonic(), _busy_s(), _ours_s()
        self._load = os.getloadavg()[0]

    def machine(self) -> str:
        """Processor, cores, load average of the minute before it began, cores taken by others since."""
        return (
            f"{processor_in(_CPUINFO.read_text())}, {os.cpu_count()} cores, of which other programs took "
            f"{self.cores():.2g}; load average before {self._load:.2f}"
        )

    def cores(self) -> float:
        """How many cores, on average, were taken by other programs; by ours, only those that have ended count."""
        others_s = (_busy_s() - self._busy_s) - (_ours_s() - self._ours_s)
        return max(0.0, others_s / (time.monotonic() - self._began_s))


def processor_in(cpuinfo: str) -> str:
    """The first processor's name in the text of /proc/cpuinfo; where that has none, the architecture."""
    named = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(named, platform.machine())


def _busy_s() -> float:
    ticks = [int(text) for text in _STAT.read_text().split("\n", 1)[0].split()[1 : _COUNTED + 1]]
    return (sum(ticks) - sum(ticks[column] for column in _IDLE)) / _TICKS


def _ours_s() -> float:
    return sum(os.times()[:4])
