"""Which rows hold on which local date: cut nights, special days and dated hours, worked by hand.

Fri 18:00 ▔▔▔▔▔▔ 24:00│00:00 ▔▔▔ 02:00 Sat      one night, written as two rows
"""

import pytest

from schemas.opening_hours import DatedWeek, SpecialDay, StoreHours, parse_date, week_of
from schemas.values import HOUR_US
from stream.core.wall_hours import wall_spans
from tests.builders import rows

FRIDAY = parse_date("2024-05-03")
SATURDAY = FRIDAY + 1


def spans_of(hours: StoreHours, day: int) -> list[tuple[float, float]]:
    """Start and end of the spans that begin on a day, in hours."""
    spans = wall_spans(hours, day, day)
    found = zip(spans.start_us.tolist(), spans.end_us.tolist(), strict=True)
    return sorted((start / HOUR_US, end / HOUR_US) for start, end in found)


def night(evening: str, morning: str) -> StoreHours:
    week = week_of(rows(f"Fri 18:00-{evening}", f"Sat 00:00-{morning} 12:00-14:00"))
    return StoreHours((DatedWeek(None, week),))


def closed(hours: StoreHours, *days: int) -> StoreHours:
    return StoreHours(hours.weekly, tuple(SpecialDay(day, ()) for day in days))


@pytest.mark.parametrize("evening", ["24:00", "00:00", "23:59", "23:59:59"])
@pytest.mark.parametrize("morning", ["02:00", "07:00"])
def test_the_rest_of_a_night_goes_with_the_day_on_which_it_began(evening: str, morning: str) -> None:
    assert spans_of(closed(night(evening, morning), FRIDAY), SATURDAY) == [(12, 14)]


@pytest.mark.parametrize(
    ("evening", "morning", "ends"),
    [("23:58:59", "02:00", 2), ("02:00", "02:00", 2), ("24:00", "07:00:01", 7 + 1 / 3600)],
    ids=["the evening ends before midnight", "it runs on past midnight", "the morning ends too late"],
)
def test_what_is_no_rest_of_a_night_stays(evening: str, morning: str, ends: float) -> None:
    assert spans_of(closed(night(evening, morning), FRIDAY), SATURDAY) == [(0, ends), (12, 14)]


def test_the_rest_of_a_night_stays_where_only_its_own_date_is_special() -> None:
    assert spans_of(closed(night("24:00", "02:00"), SATURDAY), SATURDAY) == [(0, 2)]


def test_a_cut_night_on_both_sides_of_special_days_is_gone() -> None:
    assert spans_of(closed(night("24:00", "02:00"), FRIDAY, SATURDAY), SATURDAY) == []


def test_a_day_that_is_open_for_want_of_hours_reaches_midnight() -> None:
    """Dated hours begin on Saturday, and nothing was said of Friday."""
    hours = StoreHours((DatedWeek(SATURDAY, week_of(rows("Sat 00:00-02:00"))),))
    assert spans_of(hours, FRIDAY) == [(0, 24)]
    assert spans_of(hours, SATURDAY) == [(0, 2)]
    assert spans_of(closed(hours, FRIDAY), SATURDAY) == []


def test_each_date_has_the_rows_of_its_own_version() -> None:
    """Closed from Saturday on: the night that began on Friday runs to its end under its own rows alone."""
    hours = StoreHours((*night("24:00", "02:00").weekly, DatedWeek(SATURDAY, ())))
    assert spans_of(hours, FRIDAY) == [(18, 24)]
    assert spans_of(hours, SATURDAY) == []


def test_a_special_day_has_its_own_rows_and_they_may_run_past_midnight() -> None:
    hours = StoreHours(
        night("24:00", "02:00").weekly, (SpecialDay(FRIDAY, ((20 * HOUR_US, 3 * HOUR_US),), "a feast"),)
    )
    assert spans_of(hours, FRIDAY) == [(20, 27)]
    assert spans_of(hours, SATURDAY) == [(12, 14)]
