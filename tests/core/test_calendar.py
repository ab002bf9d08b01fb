"""The calendar reads time zones through names that pytz does not promise."""

from typing import Any

import numpy as np
import pytest
import pytz

from schemas.opening_hours import OpeningHours, week_of
from schemas.values import DAY_US, HOUR_US
from stream.core.calendar import Calendar, OpenTimes, offsets_of
from tests.builders import local, opening_hours, rows, utc
from tests.strategies import ZONES, clock_changes


def test_pytz_still_lists_a_zones_transitions_under_the_names_we_read() -> None:
    zone: Any = pytz.timezone("America/New_York")
    assert len(zone._utc_transition_times) == len(zone._transition_info) > 200


def test_the_wall_times_that_each_offset_claims_ascend_in_every_zone() -> None:
    for zone in pytz.all_timezones:
        assert np.all(np.diff(offsets_of(zone).claimed_to_us) > 0), zone


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_offset_is_known(zone: str) -> None:
    known = set(offsets_of(zone).change_us.tolist())
    assert {at_us for at_us in clock_changes(zone) if at_us < utc("2036-01-01")} <= known


def test_a_zone_that_never_changed_has_one_offset() -> None:
    assert offsets_of("UTC").offset_us.tolist() == [0]
    assert offsets_of("Etc/GMT+5").offset_us.tolist() == [-5 * HOUR_US]


def test_local_midnights_stand_where_local_days_begin() -> None:
    calendar = Calendar(OpeningHours("America/New_York"))
    from_us, to_us = utc("2023-03-11 12:00"), utc("2023-03-14 00:00")
    days = ("2023-03-12", "2023-03-13")
    assert calendar.midnights_us(from_us, to_us) == [local(day, "America/New_York") for day in days]


def test_stacked_calendars_read_as_each_of_them_alone() -> None:
    weeks = ((), week_of(rows("Mon-Fri 09:00-17:00")), week_of(rows("Sat 22:00-04:00")))
    calendars = [
        Calendar(opening_hours(zone, week))
        for zone in ("America/New_York", "Asia/Kathmandu")
        for week in weeks
    ]
    from_us = utc("2023-03-10")
    open_time = [calendar.open_time(from_us, from_us + 7 * DAY_US) for calendar in calendars]
    at_us = from_us + np.arange(0, 7 * DAY_US, 13 * 60_000_001)
    stack = OpenTimes(open_time)
    for number, alone in enumerate(open_time):
        open_us = [
            sum(close_us - open_us for open_us, close_us in alone.intervals(from_us, until_us))
            for until_us in at_us.tolist()
        ]
        read_us = stack.read_us(np.full(len(at_us), number), at_us)
        assert (read_us - read_us[0]).tolist() == open_us
