"""The spans of time that a report looks at.

Owns: the three windows, spans with edges of their own, and the span of instants that `as_of` may name. Must not
know: stores or calendars.
"""

from dataclasses import dataclass
from typing import Final

from schemas.arrays import Int64s
from schemas.values import DAY_US, HOUR_US

WEEK_US: Final = 7 * DAY_US


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open span [from_us, to_us)."""

    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """For each of some stores a half-open span of its own: [from_us[i], to_us[i]). A local day is one."""

    from_us: Int64s
    to_us: Int64s


def windows(as_of_us: int) -> tuple[Window, Window, Window]:
    """The last hour, 24 hours and 7 x 24 hours before `as_of_us` (rule 2.6), in the order of the report."""
    return (
        Window(as_of_us - HOUR_US, as_of_us),
        Window(as_of_us - DAY_US, as_of_us),
        Window(as_of_us - WEEK_US, as_of_us),
    )


def answerable(latest_us: int, now_us: int, retention_days: int) -> Window:
    """The instants that `as_of` may name (rule 2.8), both ends included.

    `latest_us` is the fleet's latest poll, `now_us` the wall clock.
    """
    return Window(latest_us - (retention_days * DAY_US - WEEK_US), max(latest_us, now_us))
