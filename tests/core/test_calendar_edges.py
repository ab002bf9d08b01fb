"""Calendars at their edges: of a block of days, of an interval, of a local day, of a change of clocks."""

import numpy as np
import pytest

from schemas.opening_hours import week_of
from schemas.values import DAY_US, HOUR_US, SECOND_US
from stream.core.calendar import Calendar, blocks, offsets_of
from tests.builders import local, opening_hours, row_texts, rows, utc
from tests.oracle import oracle_uptime_us

NEW_YORK = "America/New_York"
BLOCK_DAYS = blocks(0, 0)[1] // DAY_US


def calendar(zone: str, *texts: str) -> Calendar:
    return Calendar(opening_hours(zone, week_of(rows(*texts))))


def first_block_on(weekday: int) -> int:
    """A UTC day (of 2022 or later) on which a block begins, and that is this weekday: day 0 was a Thursday."""
    first = 19_000 // BLOCK_DAYS * BLOCK_DAYS
    return next(day for day in range(first, first + 7 * BLOCK_DAYS, BLOCK_DAYS) if (day + 3) % 7 == weekday)


# Blocks of days


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Pacific/Kiritimati", NEW_YORK])
@pytest.mark.parametrize("weekday", range(7))
@pytest.mark.parametrize("row", ["Sun 23:00-23:00", "Sat 23:00-23:00", "Mon 00:00-01:00"])
def test_the_first_and_last_hours_of_a_block_are_open_as_the_oracle_says(
    zone: str, weekday: int, row: str
) -> None:
    """A row of Sunday night, in the last zone of all, is still open on Tuesday noon in UTC.

    local   ┆ Sun ┆ Mon ┆ Tue          at UTC-12
                 ▔▔▔▔▔▔▔
    UTC           ┆ Mon ┆ Tue ┆
                         ▔▔▔       a block that begins on this Tuesday has no other row for it
    """
    first_us = first_block_on(weekday) * DAY_US
    last_us = first_us + BLOCK_DAYS * DAY_US
    for from_us, to_us in ((first_us, first_us + 12 * HOUR_US), (last_us - 12 * HOUR_US, last_us - 1)):
        spans = calendar(zone, row).open_time(from_us, to_us).intervals(from_us, to_us)
        open_us = sum(close_us - open_us for open_us, close_us in spans)
        assert (open_us, 0) == oracle_uptime_us([], row_texts(rows(row)), zone, from_us, to_us)


def test_what_is_asked_before_or_behind_the_span_that_was_asked_first_is_prepared_again() -> None:
    asked = calendar("UTC", "Mon 09:00-17:00")
    for monday in ("2023-03-06", "2022-03-07", "2024-03-04"):
        from_us = utc(monday)
        nine, five = utc(f"{monday} 09:00"), utc(f"{monday} 17:00")
        assert asked.open_time(from_us, from_us + DAY_US).intervals(from_us, from_us + DAY_US) == [
            (nine, five)
        ]


# Intervals


def test_rows_that_touch_are_one_interval() -> None:
    """9    12    15
    ├─────┼─────┤        a cut at 12:00 would be told as if something had changed
    """
    from_us = utc("2023-01-23")
    touching = calendar("UTC", "Mon 09:00-12:00 12:00-15:00").open_time(from_us, from_us + DAY_US)
    assert touching.intervals(from_us, from_us + DAY_US) == [
        (utc("2023-01-23 09:00"), utc("2023-01-23 15:00"))
    ]


def test_a_row_that_a_change_of_clocks_leaves_no_time_is_no_interval() -> None:
    """02:30 does not exist on 2023-03-12 in New York; it is 07:30 UTC, and so is 03:30."""
    from_us = utc("2023-03-12")
    prepared = calendar(NEW_YORK, "Sun 02:30-03:30").open_time(from_us, from_us + DAY_US)
    assert utc("2023-03-12 07:30") not in prepared.opens_us.tolist()
    assert utc("2023-03-19 06:30") in prepared.opens_us.tolist()


@pytest.mark.parametrize(("from_hour", "to_hour"), [("17:00", "20:00"), ("05:00", "09:00")])
def test_an_interval_that_only_touches_a_span_is_not_in_it(from_hour: str, to_hour: str) -> None:
    from_us, to_us = utc(f"2023-01-23 {from_hour}"), utc(f"2023-01-23 {to_hour}")
    assert calendar("UTC", "Mon 09:00-17:00").open_time(from_us, to_us).intervals(from_us, to_us) == []


# Local days


def test_a_span_from_midnight_to_midnight_has_only_those_between_inside() -> None:
    """0 ─────── 0 ─────── 0      clocks go forward on the second day: it has 23 hours"""
    first, second, third = (local(day, NEW_YORK) for day in ("2023-03-11", "2023-03-12", "2023-03-13"))
    asked = calendar(NEW_YORK, "Mon 09:00-17:00")
    assert asked.midnights_us(first, third) == [second]
    assert asked.midnights_us(first - 1, third + 1) == [first, second, third]


# Changes of clocks


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("2023-03-12 07:00", "2023-03-12 01:59:59", "2023-03-12 03:00"),
        ("2023-11-05 06:00", "2023-11-05 01:59:59", "2023-11-05 01:00"),
    ],
)
def test_at_the_very_instant_of_a_change_the_wall_shows_the_new_time(
    change: str, before: str, after: str
) -> None:
    asked = calendar(NEW_YORK, "Mon 09:00-17:00")
    assert asked.wall_us(utc(change) - SECOND_US) == utc(before)
    assert asked.wall_us(utc(change)) == utc(after)


@pytest.mark.parametrize(
    ("day", "row", "opens", "closes"),
    [
        ("2023-03-12", "Sun 03:00-04:00", "07:00", "08:00"),  # the first wall time behind the gap
        ("2023-11-05", "Sun 02:00-03:00", "07:00", "08:00"),  # the first behind those that occur twice
        (
            "2023-11-05",
            "Sun 01:00-02:00",
            "05:00",
            "07:00",
        ),  # the first that occurs twice, to the end of both
    ],
)
def test_the_first_wall_time_behind_a_change_is_read_with_the_new_offset(
    day: str, row: str, opens: str, closes: str
) -> None:
    from_us = utc(day)
    spans = calendar(NEW_YORK, row).open_time(from_us, from_us + DAY_US).intervals(from_us, from_us + DAY_US)
    assert spans == [(utc(f"{day} {opens}"), utc(f"{day} {closes}"))]


def test_each_instant_is_its_own_wall_time_read_back_unless_it_is_the_second_of_two() -> None:
    """Each minute from two hours before a change to two after, in each direction of New York's clocks."""
    offsets = offsets_of(NEW_YORK)
    for change, repeated in (("2023-03-12 07:00", range(0)), ("2023-11-05 06:00", range(60))):
        for minute in range(-120, 120):
            at_us = utc(change) + minute * 60 * SECOND_US
            back_us = int(offsets.utc_us(np.array([offsets.wall_us(at_us)]))[0])
            assert back_us == (at_us - HOUR_US if minute in repeated else at_us), (change, minute)
