"""Each of rules 2 as the oracle reads it, with numbers worked by hand."""

import gzip
from pathlib import Path

import pytest
import zstandard

from schemas.opening_hours import HoursRow
from schemas.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Poll
from tests.builders import at, hourly, poll_words, polls, row_texts, rows, status_words, utc
from tests.oracle import cell, oracle_report, oracle_uptime_us, report_of_folder, retained

ALWAYS: list[HoursRow] = []


def spent(
    said: list[Poll], week: list[HoursRow], first: str, last: str, zone: str = "UTC"
) -> tuple[int, int]:
    """(uptime, downtime) in us between two UTC instants."""
    return oracle_uptime_us(status_words(said), row_texts(week), zone, utc(first), utc(last))


def open_us(week: list[HoursRow], first: str, last: str, zone: str = "UTC") -> int:
    up_us, down_us = spent([], week, first, last, zone)
    assert down_us == 0
    return up_us


# --- status (rule 2.1) ---


def test_a_store_is_active_before_its_first_poll() -> None:
    #  09 ---- up ---- 10 I--- down --- 12
    said = polls("2023-01-23 10:00 inactive")
    assert spent(said, ALWAYS, "2023-01-23 09:00", "2023-01-23 12:00") == (HOUR_US, 2 * HOUR_US)


def test_a_poll_before_the_window_carries_into_it() -> None:
    said = polls("2023-01-01 10:00 inactive", "2023-01-23 11:00 active")
    assert spent(said, ALWAYS, "2023-01-23 09:00", "2023-01-23 12:00") == (HOUR_US, 2 * HOUR_US)


def test_a_poll_counts_from_its_own_instant_and_a_window_excludes_its_end() -> None:
    said = polls("2023-01-23 10:00 inactive")
    assert spent(said, ALWAYS, "2023-01-23 10:00", "2023-01-23 10:00:01") == (0, SECOND_US)
    assert spent(said, ALWAYS, "2023-01-23 09:00", "2023-01-23 10:00") == (HOUR_US, 0)


@pytest.mark.parametrize("order", [1, -1])
def test_inactive_wins_where_polls_of_one_instant_disagree(order: int) -> None:
    said = polls("Mon 10:00 active", "Mon 10:00 inactive")[::order]
    assert spent(said, ALWAYS, "2023-01-23 10:00", "2023-01-23 11:00") == (0, HOUR_US)


def test_the_order_of_polls_says_nothing() -> None:
    #  10 A, 11 A, 12 I, 13 I, (14), 15 A, 16
    said = hourly(utc("2023-01-23 10:00"), "AAII.A")
    for order in (said, said[::-1], said[3:] + said[:3]):
        assert spent(order, ALWAYS, "2023-01-23 10:00", "2023-01-23 16:00") == (3 * HOUR_US, 3 * HOUR_US)


# --- business hours (rule 2.2) ---


def test_no_row_at_all_is_open_all_week() -> None:
    assert open_us(ALWAYS, "2023-01-16", "2023-01-23") == 7 * DAY_US


def test_a_weekday_without_rows_is_closed() -> None:
    assert open_us(rows("Mon-Fri 09:00-17:00"), "2023-01-16", "2023-01-23") == 40 * HOUR_US
    assert open_us(rows("Mon-Fri 09:00-17:00"), "2023-01-21", "2023-01-23") == 0


def test_rows_that_touch_overlap_or_repeat_count_once() -> None:
    #  09 ======= 12
    #        11 ======= 13 ==== 14
    week = rows("Mon 09:00-12:00 11:00-13:00 13:00-14:00 09:00-12:00")
    assert open_us(week, "2023-01-23", "2023-01-24") == 5 * HOUR_US


def test_an_end_of_23_59_59_leaves_a_hole_of_a_second() -> None:
    week = rows("daily 00:00:00-23:59:59")
    assert open_us(week, "2023-01-16", "2023-01-23") == 7 * (DAY_US - SECOND_US)


def test_24_00_00_closes_at_midnight() -> None:
    assert open_us(rows("daily 00:00-24:00:00"), "2023-01-16", "2023-01-23") == 7 * DAY_US
    assert open_us(rows("Mon 22:00-24:00:00"), "2023-01-16", "2023-01-23") == 2 * HOUR_US


def test_an_end_before_its_start_is_on_the_next_day() -> None:
    #  Sun 22 ===| Mon ==== 02
    week = rows("Sun 22:00-02:00")
    assert open_us(week, "2023-01-22", "2023-01-23") == 2 * HOUR_US
    assert open_us(week, "2023-01-23", "2023-01-24") == 2 * HOUR_US


def test_an_end_at_its_start_is_a_day_later() -> None:
    assert open_us(rows("Mon 09:00-09:00"), "2023-01-16", "2023-01-23") == DAY_US
    assert open_us(rows("Mon 00:00-00:00"), "2023-01-23", "2023-01-24") == DAY_US


# --- zones and daylight saving (rules 2.3 and 2.4) ---


def test_the_local_weekday_counts() -> None:
    #  Sunday 20:00-21:00 in New York is Monday 01:00-02:00 UTC
    week = rows("Sun 20:00-21:00")
    assert open_us(week, "2023-01-23 01:00", "2023-01-23 02:00", "America/New_York") == HOUR_US


@pytest.mark.parametrize(
    ("span", "length_us"),
    [
        ("01:30-03:30", HOUR_US),  # 06:30Z to 07:30Z: the clock skips an hour
        ("02:15-02:45", 30 * MINUTE_US),  # both skipped: 07:15Z to 07:45Z
        ("02:30-03:15", 0),  # 07:30Z to 07:15Z: inverted, does not count
        ("02:00-03:00", 0),  # both 07:00Z: empty
        ("00:00-24:00", 23 * HOUR_US),
        ("02:30-02:30", 23 * HOUR_US),  # 07:30Z to 06:30Z of Monday
    ],
)
def test_opening_hours_when_clocks_go_forward(span: str, length_us: int) -> None:
    week = rows(f"Sun {span}")
    assert open_us(week, "2023-03-11", "2023-03-14", "America/New_York") == length_us


@pytest.mark.parametrize(
    ("span", "length_us"),
    [
        ("01:30-02:30", 2 * HOUR_US),  # 05:30Z to 07:30Z: an hour runs twice
        ("01:15-01:45", 30 * MINUTE_US),  # the first time only
        ("00:30-01:30", HOUR_US),
        ("00:00-24:00", 25 * HOUR_US),
    ],
)
def test_opening_hours_when_clocks_go_back(span: str, length_us: int) -> None:
    week = rows(f"Sun {span}")
    assert open_us(week, "2023-11-04", "2023-11-07", "America/New_York") == length_us


def test_hours_of_a_skipped_day_fall_on_the_next() -> None:
    #  Apia had no Friday 2011-12-30: its 09:00-17:00 at -10:00 is Saturday's 09:00-17:00 at +14:00
    friday, both = rows("Fri 09:00-17:00"), rows("Fri,Sat 09:00-17:00")
    for week in (friday, both):
        assert open_us(week, "2011-12-30 19:00", "2011-12-31 03:00", "Pacific/Apia") == 8 * HOUR_US
    assert open_us(both, "2011-12-30", "2012-01-01", "Pacific/Apia") == 8 * HOUR_US


# --- the report (rule 2.6) ---


@pytest.mark.parametrize(
    ("spent_us", "unit_us", "text"),
    [
        (0, MINUTE_US, "0.0"),
        (45 * MINUTE_US, MINUTE_US, "45.0"),
        (18 * HOUR_US + 30 * MINUTE_US, HOUR_US, "18.5"),
        (142 * HOUR_US + 20 * MINUTE_US, HOUR_US, "142.33"),
        (7 * DAY_US, HOUR_US, "168.0"),
        (300_000, MINUTE_US, "0.0"),  # 0.005: a half goes to even
        (300_001, MINUTE_US, "0.01"),
        (900_000, MINUTE_US, "0.02"),  # 0.015
        (1_500_000, MINUTE_US, "0.02"),  # 0.025
        (1_500_001, MINUTE_US, "0.03"),
        (HOUR_US - 1, MINUTE_US, "60.0"),
    ],
)
def test_a_cell_is_rounded_once_a_half_to_even(spent_us: int, unit_us: int, text: str) -> None:
    assert cell(spent_us, unit_us) == text


HEADER = (
    "store_id,uptime_last_hour,downtime_last_hour,uptime_last_day,downtime_last_day,"
    "uptime_last_week,downtime_last_week\n"
)


def test_the_report_has_a_row_for_each_store_named_anywhere_ordered_as_text() -> None:
    report = oracle_report(
        poll_words([*polls("Mon 10:00 inactive", store_id="9"), *polls("Mon 12:00 active", store_id="10")]),
        {"a": row_texts(rows("Mon 05:00-05:30"))},  # Chicago: 11:00 to 11:30 UTC
        {"9": "Asia/Kathmandu", "Z": "UTC"},
    )
    assert report == (
        HEADER
        + "10,60.0,0.0,24.0,0.0,168.0,0.0\n"
        + "9,0.0,60.0,22.0,2.0,166.0,2.0\n"
        + "Z,60.0,0.0,24.0,0.0,168.0,0.0\n"
        + "a,30.0,0.0,0.5,0.0,0.5,0.0\n"
    )


def test_a_report_may_look_back_from_before_the_latest_poll() -> None:
    said = poll_words(polls("Mon 10:00 inactive", "Mon 11:00 active"))
    assert oracle_report(said, {}, {}, at("Mon 10:15")) == HEADER + "s1,45.0,15.0,23.75,0.25,167.75,0.25\n"


def test_no_poll_and_no_as_of_is_a_failure() -> None:
    with pytest.raises(ValueError, match="no poll"):
        oracle_report([], {}, {"s1": "UTC"})


# --- retention (rule 2.8) ---


def test_retention_keeps_a_stores_own_last_days_and_the_poll_that_carries_into_them() -> None:
    kept = polls(
        "2023-01-09 12:00 active",  # the latest that is older
        "2023-01-10 12:00 inactive",  # exactly 14 days before the store's latest poll
        "2023-01-10 12:00 active",
        "2023-01-24 12:00 active",
    )
    gone = polls("2023-01-08 12:00 inactive", "2023-01-09 11:59:59 active")
    quiet = polls("2022-06-01 inactive", store_id="s2")  # other stores' polls do not age it
    assert retained(poll_words([*kept, *gone, *quiet]), 14) == {*poll_words(kept), *poll_words(quiet)}


def test_of_older_polls_that_disagree_the_inactive_one_is_kept() -> None:
    said = polls("2023-01-01 active", "2023-01-01 inactive", "2023-01-24 active")
    assert retained(poll_words(said), 14) == set(poll_words(said[1:]))


# --- folders of CSVs ---

REPORT_OF_FOLDER = HEADER + "7,60.0,0.0,22.5,1.5,61.5,1.5\n8,60.0,0.0,24.0,0.0,168.0,0.0\n"


def test_a_folder_is_read_in_each_form(tmp_path: Path) -> None:
    #  store 7, New York; as_of is Tue 24 10:00 local; inactive Mon 10:30 to 12:00, inside the last day
    #  last day:  Mon 10 ======= Tue 10: 24 h
    #  last week: Tue 17 10 === 24 (14 h), Sun 09 === 24 (15 h), Mon (24 h), Tue 00 === 10 (10 h): 63 h
    status = (
        "store_id,status,timestamp_utc\r\n"
        "7,active,2023-01-23 17:00:00.5 UTC\r\n"
        "7,inactive,2023-01-23 15:30:00.500000 UTC\r\n"
        "8,active,2023-01-24T15:00:00Z\r\n"
    )
    hours = (
        "end_time_local,dayOfWeek,store_id,start_time_local,note\n"
        "24:00:00,0,7,00:00:00,x\n24:00:00,1,7,00:00,x\n24:00:00,6,7,09:00:00,x\n"
    )
    (tmp_path / "store_status.csv").write_text(status, encoding="utf-8-sig", newline="")
    (tmp_path / "menu_hours.csv.gz").write_bytes(gzip.compress(hours.encode()))
    (tmp_path / "timezones.csv.zst").write_bytes(
        zstandard.compress(b"store_id,timezone_str\n7,America/New_York\n")
    )
    assert report_of_folder(tmp_path) == REPORT_OF_FOLDER
