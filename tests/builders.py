"""Small constructors that let a test say its values the way people do.

Owns: how tests spell instants, weeks and polls. Must not know: what is computed from them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.opening_hours import HoursRow, OpeningHours, Week, format_day_time, parse_hours_row, plain_hours
from schemas.values import Poll, Status, StoreId
from tests.oracle import EPOCH, MICROSECOND, instant_of, wall_time

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONDAY = "2023-01-23"
"""The Monday that tests mean unless they name another."""


def utc(text: str) -> int:
    """The instant (us) of `2023-01-23`, `2023-01-23 10:00`, `2023-01-23 10:00:30.5`: always UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def local(text: str, zone: str) -> int:
    """The instant (us) of the wall time `2023-01-23 10:00` in `zone`; of two, the first."""
    return instant_of(datetime.fromisoformat(text), zone)


def at(text: str, monday: str = MONDAY, zone: str = "UTC") -> int:
    """The instant (us) of `Tue 12:00` in the week of `monday`; `Tue+7 12:00` is a week later."""
    day, time = text.split()
    ahead = timedelta(days=DAYS.index(day[:3]) + int(day[3:] or 0)) + wall_time(time)
    return instant_of(datetime.fromisoformat(monday) + ahead, zone)


def rows(*texts: str) -> list[HoursRow]:
    """Business hours from `Mon-Fri 09:00-12:00 13:00-17:00`, `Sat,Sun 22:00-02:00`, `daily 00:00-24:00`."""
    made = []
    for text in texts:
        days, *spans = text.split()
        for day in _days(days):
            made += [parse_hours_row(day, *span.split("-")) for span in spans]
    return made


def _days(text: str) -> list[int]:
    if text == "daily":
        return list(range(7))
    days: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        days += range(DAYS.index(first), DAYS.index(last or first) + 1)
    return days


def poll(text: str, store_id: str = "s1", monday: str = MONDAY, zone: str = "UTC") -> Poll:
    """One poll from `Mon 10:00 active` (see `at`) or `2023-01-23 10:00 active` (UTC)."""
    when, _, status = text.rpartition(" ")
    at_us = utc(when) if when[0].isdigit() else at(when, monday, zone)
    return Poll(StoreId(store_id), at_us, Status(status))


def polls(*texts: str, store_id: str = "s1", monday: str = MONDAY, zone: str = "UTC") -> list[Poll]:
    """One store's polls, in the order given (see `poll`)."""
    return [poll(text, store_id, monday, zone) for text in texts]


def hourly(first_us: int, statuses: str, store_id: str = "s1") -> list[Poll]:
    """A poll an hour from `first_us` on: `AAI` is active, active, inactive; `.` is an hour without one."""
    named = {"A": Status.ACTIVE, "I": Status.INACTIVE}
    return [
        Poll(StoreId(store_id), first_us + hour * 3_600_000_000, named[letter])
        for hour, letter in enumerate(statuses)
        if letter != "."
    ]


def row_texts(week: Iterable[HoursRow]) -> list[tuple[int, str, str]]:
    """Rows as the oracle takes them: (day, local start, local end)."""
    return [(row.day, format_day_time(row.start_us), format_day_time(row.end_us)) for row in week]


def poll_words(of_stores: Iterable[Poll]) -> list[tuple[str, int, str]]:
    """Polls as `oracle_report` and `retained` take them: (store id, instant in us, status)."""
    return [(poll.store_id, poll.at_us, poll.status.value) for poll in of_stores]


def status_words(of_one_store: Iterable[Poll]) -> list[tuple[int, str]]:
    """Polls as `oracle_uptime_us` takes them: (instant in us, status)."""
    return [(poll.at_us, poll.status.value) for poll in of_one_store]


def opening_hours(zone: str | None, week: Week | None) -> OpeningHours:
    """A zone, and weekly hours for all time; None: nothing was said of it."""
    return OpeningHours(zone, None if week is None else plain_hours(week))
