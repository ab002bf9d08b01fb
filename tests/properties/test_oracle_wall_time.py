"""Wall time → UTC by the oracle, against a scan of UTC minutes that only asks "what does the clock show?"."""

from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import pairwise

import pytest
import pytz

from tests.builders import local, utc
from tests.oracle import EPOCH, MICROSECOND, instant_of, zone_of
from tests.strategies import FIRST_US, LAST_US, ZONES, clock_changes

MINUTE = timedelta(minutes=1)
DAY_US = timedelta(days=1) // MICROSECOND


def clock(zone: str, at_us: int) -> datetime:
    """What a clock on the wall shows at an instant."""
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(zone_of(zone)).replace(tzinfo=None)


def walls_round(zone: str, change_us: int) -> dict[datetime, int]:
    """The instant of every wall minute round a clock change, by RFC 5545's words and a scan."""
    jump = abs(clock(zone, change_us) - clock(zone, change_us - 1))
    reach_us = (jump + timedelta(hours=3)) // MICROSECOND
    minutes_us = range(change_us - reach_us, change_us + reach_us, MINUTE // MICROSECOND)
    instants: dict[datetime, int] = {}
    for now_us, next_us in pairwise(minutes_us):
        shown, shown_next = clock(zone, now_us), clock(zone, next_us)
        instants.setdefault(shown, now_us)  # of two occurrences the first
        skipped = shown + MINUTE
        while skipped < shown_next:  # as if the clock had gone on at the offset before the gap
            instants[skipped] = now_us + (skipped - shown) // MICROSECOND
            skipped += MINUTE
    return instants


@pytest.mark.parametrize("zone", ZONES)
def test_each_wall_minute_round_each_clock_change_is_read_by_rfc_5545(zone: str) -> None:
    expected = {
        (change_us, wall): at_us
        for change_us in clock_changes(zone)
        for wall, at_us in walls_round(zone, change_us).items()
    }
    read = {(change_us, wall): instant_of(wall, zone) for change_us, wall in expected}
    assert read == expected


@pytest.mark.parametrize("zone", ZONES)
def test_the_oracles_zones_are_the_products_zones(zone: str) -> None:
    days = range(FIRST_US, LAST_US, DAY_US)
    edges = [change_us + step for change_us in clock_changes(zone) for step in (-1, 0)]
    for at_us in (*days, *edges):
        at = EPOCH + timedelta(microseconds=at_us)
        assert at.astimezone(pytz.timezone(zone)).replace(tzinfo=None) == clock(zone, at_us), at


def test_both_zone_databases_are_of_one_release() -> None:
    assert version("tzdata") == version("pytz")


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2023-03-12 02:30", "America/New_York", "2023-03-12 07:30"),  # a gap: still -05:00
        ("2023-11-05 01:30", "America/New_York", "2023-11-05 05:30"),  # twice: -04:00 comes first
        ("2023-10-01 02:15", "Australia/Lord_Howe", "2023-09-30 15:45"),  # a gap of half an hour
        ("2023-04-02 01:45", "Australia/Lord_Howe", "2023-04-01 14:45"),  # twice within half an hour
        ("2023-10-29 01:30", "Europe/Dublin", "2023-10-29 00:30"),  # twice, the first is standard time
        ("2023-03-26 01:30", "Europe/Dublin", "2023-03-26 01:30"),  # a gap into standard time
        ("2023-03-19 02:30", "Africa/Casablanca", "2023-03-19 01:30"),  # twice, as Ramadan nears
        ("2023-04-23 02:30", "Africa/Casablanca", "2023-04-23 02:30"),  # a gap after it
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-30 22:00"),  # the day that never was: -10:00
        ("2011-12-31 12:00", "Pacific/Apia", "2011-12-30 22:00"),  # +14:00: the same instant
        ("2023-03-26 02:30", "Antarctica/Troll", "2023-03-26 02:30"),  # a gap of two hours
        ("2006-10-29 00:00:30", "America/St_Johns", "2006-10-29 02:30:30"),  # before the change at 00:01
        ("2006-10-28 23:30", "America/St_Johns", "2006-10-29 02:00"),  # twice, over a midnight
        ("2023-01-22 12:00", "Asia/Kathmandu", "2023-01-22 06:15"),
    ],
)
def test_wall_times_worked_by_hand(wall: str, zone: str, instant: str) -> None:
    assert local(wall, zone) == utc(instant)
