"""The last step of a report: exact microseconds become the cells of a row.

Owns: units, rounding and printing (rule 2.6). Must not know: where the numbers come from. This is the only
place where anything is rounded.
"""

from typing import Final

import numpy as np

from schemas.arrays import Int64s
from schemas.values import HOUR_US, MINUTE_US

COLUMNS: Final = (
    "store_id",
    "uptime_last_hour",
    "downtime_last_hour",
    "uptime_last_day",
    "downtime_last_day",
    "uptime_last_week",
    "downtime_last_week",
)
WINDOW_NAMES: Final = ("last_hour", "last_day", "last_week")
"""What the columns of each window end with."""
CONFIDENCE: Final = ("confirmed_up", "confirmed_down", "turning", "assumed")
BOUNDS: Final = ("uptime_min", "uptime_max")
"""What the columns that a report adds when asked begin with (rule 2.9)."""
UNITS_US: Final = (MINUTE_US, HOUR_US, HOUR_US)
"""The unit of each window's cells: the hour in minutes, day and week in hours."""

_MAX_HUNDREDTHS: Final = 7 * 24 * 100
"""A week's window is 168 hours on the clock, also where daylight saving makes a local week longer."""


def hundredths(span_us: Int64s, unit_us: int) -> Int64s:
    """Hundredths of a unit, rounded half to even. `span_us` >= 0; `unit_us` a multiple of 200."""
    step = unit_us // 100
    whole, rest = np.divmod(span_us, step)
    up = (2 * rest > step) | ((2 * rest == step) & (whole & 1 == 1))
    rounded: Int64s = whole + up
    return rounded


def _cell(hundredths_: int) -> str:
    whole, rest = divmod(hundredths_, 100)
    return f"{whole}.{rest // 10}" if rest % 10 == 0 else f"{whole}.{rest:02d}"


CELLS: Final[tuple[str, ...]] = tuple(_cell(h) for h in range(_MAX_HUNDREDTHS + 1))
"""Every text a cell can have, by its hundredths: `45.0`, `18.5`, `142.33`."""
