"""Rules 2, on cases small enough to be worked by hand."""

import pytest

from schemas.arrays import NO_INTS
from schemas.opening_hours import week_of
from schemas.rows.summaries import decode_summaries
from schemas.values import DAY_US, HOUR_US, MINUTE_US
from stream.core.totals import totals
from stream.core.windows import Window, windows
from tests.builders import at, local, polls, rows, utc
from tests.core.shelf import Shelf


def hours_in(shelf: Shelf, from_us: int, to_us: int) -> tuple[float, float]:
    """Uptime and downtime, in hours."""
    summaries = decode_summaries([shelf.bytes[0]])
    (total,) = totals(summaries, [Window(from_us, to_us)], lambda _, day: shelf.load([day]))
    return int(total.up_us[0]) / HOUR_US, int(total.down_us[0]) / HOUR_US


def test_monday_is_six_hours_up_and_two_down() -> None:
    """Hours Mon to Fri 09:00 to 17:00, three polls on Monday.

    9        10        14        16   17
    ├────────a─────────i─────────a────┤
    ▔▔▔▔ up (carried back) ▔▔▔▔▁▁▁▁▁▁▁▁▔▔▔▔
    1 h   +  4 h up   2 h down   1 h up
    """
    shelf = Shelf("America/New_York", week_of(rows("Mon-Fri 09:00-17:00")))
    shelf.add(polls("Mon 10:00 active", "Mon 14:00 inactive", "Mon 16:00 active", zone="America/New_York"))
    midnight = at("Mon 00:00", zone="America/New_York")
    assert hours_in(shelf, midnight, midnight + 24 * HOUR_US) == (6.0, 2.0)


def test_status_carries_over_a_night_into_the_next_open_day() -> None:
    """Down at closing time stays down until a poll says otherwise.

    Mon 9       16 17            Tue 9   11      17
    ├────────────i─┤   closed    ├───────a───────┤
    ▔▔▔▔▔▔▔▔▔▔▔▔▔▁▁              ▁▁▁▁▁▁▁▁▔▔▔▔▔▔▔▔▔
         7 h up  1 h down         2 h down  6 h up
    """
    shelf = Shelf("UTC", week_of(rows("Mon-Fri 09:00-17:00")))
    shelf.add(polls("Tue 11:00 active", "Mon 16:00 inactive"))
    assert hours_in(shelf, at("Mon 00:00"), at("Tue 00:00")) == (7.0, 1.0)
    assert hours_in(shelf, at("Tue 00:00"), at("Wed 00:00")) == (6.0, 2.0)


def test_a_store_open_past_midnight_across_the_spring_change_of_clocks_loses_an_hour() -> None:
    """Sat 22:00 to 04:00 in New York on 2023-03-11: the wall skips 02:00 to 03:00.

    22    23    0     1     2=3   4
    ├─────┼─────┼─────┼─────┼─────┤        5 hours pass, not 6
    ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▁▁▁        inactive from 01:00
    """
    shelf = Shelf("America/New_York", week_of(rows("Sat 22:00-04:00")))
    shelf.add(polls("2023-03-12 06:00 inactive"))  # 01:00 in New York
    evening = local("2023-03-11 20:00", "America/New_York")
    assert hours_in(shelf, evening, evening + 12 * HOUR_US) == (3.0, 2.0)


def test_a_wall_time_that_occurs_twice_means_the_first() -> None:
    """01:30 on 2023-11-05 in New York occurs at 05:30 and 06:30 UTC; 01:30 to 02:30 is then two hours."""
    shelf = Shelf("America/New_York", week_of(rows("Sun 01:30-02:30")))
    assert hours_in(shelf, utc("2023-11-05"), utc("2023-11-06")) == (2.0, 0.0)
    assert hours_in(shelf, utc("2023-11-05 05:00"), utc("2023-11-05 05:30")) == (0.0, 0.0)


def test_a_wall_time_that_does_not_exist_is_read_with_the_offset_before_the_gap() -> None:
    """02:30 on 2023-03-12 in New York is 07:30 UTC, which the wall calls 03:30; so it is open half an hour."""
    shelf = Shelf("America/New_York", week_of(rows("Sun 02:30-04:00")))
    assert hours_in(shelf, utc("2023-03-12 07:30"), utc("2023-03-12 08:00")) == (0.5, 0.0)
    assert hours_in(shelf, utc("2023-03-12"), utc("2023-03-13")) == (0.5, 0.0)


def test_a_span_that_daylight_saving_inverts_does_not_count() -> None:
    """Sun 02:30 to 03:15 in New York on 2023-03-12 would run from 07:30 to 07:15 UTC."""
    shelf = Shelf("America/New_York", week_of(rows("Sun 02:30-03:15")))
    assert hours_in(shelf, utc("2023-03-12"), utc("2023-03-13")) == (0.0, 0.0)


def test_two_polls_at_one_instant_that_disagree_mean_inactive() -> None:
    for pair in (("active", "inactive"), ("inactive", "active")):
        shelf = Shelf().add(polls(*(f"Mon 10:00 {status}" for status in pair)))
        assert hours_in(shelf, at("Mon 09:00"), at("Mon 12:00")) == (1.0, 2.0)


def test_without_any_row_a_store_is_open_all_the_time() -> None:
    shelf = Shelf("America/New_York").add(polls("Mon 10:00 inactive"))
    assert hours_in(shelf, at("Mon 00:00"), at("Tue 00:00")) == (10.0, 14.0)


def test_with_rows_but_none_on_a_weekday_a_store_is_closed_that_day() -> None:
    shelf = Shelf("UTC", week_of(rows("Mon 09:00-17:00"))).add(polls("Mon 10:00 active"))
    assert hours_in(shelf, at("Tue 00:00"), at("Wed 00:00")) == (0.0, 0.0)


def test_overlapping_and_touching_rows_count_once() -> None:
    shelf = Shelf("UTC", week_of(rows("Mon 09:00-12:00 11:00-14:00 14:00-15:00 10:00-11:00")))
    assert hours_in(shelf, at("Mon 00:00"), at("Tue 00:00")) == (6.0, 0.0)


def test_an_end_of_23_59_59_leaves_a_hole_of_a_second() -> None:
    shelf = Shelf("UTC", week_of(rows("Mon 00:00-23:59:59", "Tue 00:00-24:00")))
    assert hours_in(shelf, at("Mon 00:00"), at("Wed 00:00"))[0] * 3600 == 2 * 86_400 - 1


def test_equal_start_and_end_run_to_the_same_wall_time_next_day() -> None:
    shelf = Shelf("UTC", week_of(rows("Mon 08:00-08:00")))
    assert hours_in(shelf, at("Mon 00:00"), at("Wed 00:00")) == (24.0, 0.0)


def test_a_missing_zone_means_chicago() -> None:
    shelf = Shelf(week=week_of(rows("Mon 09:00-17:00")))
    nine = local("2023-01-23 09:00", "America/Chicago")
    assert hours_in(shelf, nine - MINUTE_US, nine + 8 * HOUR_US) == (8.0, 0.0)


def test_a_poll_in_a_gap_between_two_known_ones_makes_the_later_repeat_count() -> None:
    """The repeat at 12:00 told nothing, until the poll of 11:00 arrived late.

    10        11        12        13
    a─────────┼─────────a─────────┤        up 3 h
    a─────────i─────────a─────────┤        up 2 h: the repeat brings it back up
    """
    shelf = Shelf().add(polls("Mon 10:00 active", "Mon 12:00 active"))
    assert hours_in(shelf, at("Mon 10:00"), at("Mon 13:00")) == (3.0, 0.0)
    shelf.add(polls("Mon 11:00 inactive"))
    assert hours_in(shelf, at("Mon 10:00"), at("Mon 13:00")) == (2.0, 1.0)


def test_the_latest_poll_before_retention_still_carries_its_status() -> None:
    shelf = Shelf(retention_days=8).add(
        polls("Mon 10:00 inactive", "Mon+20 10:00 active", "Mon+28 10:00 active")
    )
    assert hours_in(shelf, at("Mon+21 10:00"), at("Mon+28 10:00")) == (168.0, 0.0)
    shelf = Shelf(retention_days=8).add(polls("Mon 10:00 inactive", "Mon+28 10:00 active"))
    assert hours_in(shelf, at("Mon+21 10:00"), at("Mon+28 10:00")) == (0.0, 168.0)


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_polls_years_apart_cost_nothing_and_still_carry(status: str) -> None:
    shelf = Shelf().add(polls(f"1970-01-02 00:00 {status}", "2036-01-01 00:00 active"))
    expected = (24.0, 0.0) if status == "active" else (0.0, 24.0)
    assert hours_in(shelf, utc("2035-12-31"), utc("2036-01-01")) == expected


def test_a_compacted_day_whose_day_block_is_not_there_yet_keeps_no_report_from_being_made() -> None:
    """Summary and day block are written one after the other; between the two the summary's own changes must do."""
    changes = [f"Mon 10:{minute:02d} {'inactive' if minute % 2 else 'active'}" for minute in range(1, 40)]
    summaries = decode_summaries([Shelf().add(polls(*changes)).bytes[0]])
    every = totals(summaries, windows(at("Mon 10:20")), lambda *_: NO_INTS)
    assert [int(total.open_us[0]) for total in every] == [HOUR_US, DAY_US, 7 * DAY_US]
