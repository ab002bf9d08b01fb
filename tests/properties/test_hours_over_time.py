"""Dated hours, special days and closures: the core gives what the oracle's plain definition gives."""

from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events.hours import decode_hours, encode_hours
from schemas.opening_hours import DatedWeek, OpeningHours, SpecialDay, StoreHours, week_of
from schemas.rows.opening_hours import decode_opening_hours, encode_opening_hours
from schemas.rows.summaries import decode_summaries, decode_summary
from schemas.values import DAY_US, HOUR_US, Poll, StoreId, day_of
from stream.core.calendar import Calendar
from stream.core.totals import totals
from stream.core.windows import Window
from tests.builders import at, hourly, rows, status_words
from tests.core.shelf import Shelf
from tests.hours_strategies import store_hours, words
from tests.oracle_hours import uptime_us
from tests.profiles import examples
from tests.strategies import as_ofs, poll_sets, zones


@dataclass(frozen=True)
class Case:
    zone: str
    hours: StoreHours
    polls: tuple[Poll, ...]
    as_of_us: int

    @property
    def windows(self) -> list[Window]:
        return [Window(self.as_of_us - length, self.as_of_us) for length in (HOUR_US, DAY_US, 7 * DAY_US)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone = draw(zones())
    polls = draw(poll_sets(zone))
    as_of_us = draw(as_ofs(polls))
    return Case(zone, draw(store_hours(as_of_us)), polls, as_of_us)


def core_answer(shelf: Shelf, windows: list[Window]) -> list[tuple[int, int]]:
    summaries = decode_summaries([shelf.bytes[0]])
    every = totals(summaries, windows, lambda _, day: shelf.load([day]))
    return [(int(each.up_us[0]), int(each.down_us[0])) for each in every]


@settings(max_examples=examples(400))
@given(cases())
def test_open_time_uptime_and_what_is_excluded_are_the_oracles(case: Case) -> None:
    shelf = Shelf().add(case.polls).set_all_hours(OpeningHours(case.zone, case.hours))
    calendar = Calendar(OpeningHours(case.zone, case.hours))
    answers = core_answer(shelf, case.windows)
    for window, (up_us, down_us) in zip(case.windows, answers, strict=True):
        excluded = calendar.excluded_time(window.from_us, window.to_us)
        excluded_us = sum(end - start for start, end in excluded.intervals(window.from_us, window.to_us))
        assert (up_us, down_us, excluded_us) == uptime_us(
            status_words(case.polls), words(case.hours), case.zone, window.from_us, window.to_us
        )


@settings(max_examples=examples(200))
@given(cases())
def test_opening_hours_survive_their_bytes_and_their_record(case: Case) -> None:
    hours = OpeningHours(case.zone, case.hours)
    assert decode_opening_hours(encode_opening_hours(hours)) == hours
    store_id = StoreId("s1")
    assert decode_hours(b"s1", encode_hours(store_id, case.hours)) == (store_id, case.hours)


@settings(max_examples=examples(300))
@given(cases(), st.data())
def test_hours_that_change_lead_where_they_would_have_led_at_once(case: Case, data: st.DataObject) -> None:
    """Each change derives again only from the first day on which it may tell."""
    before = data.draw(store_hours(case.as_of_us))
    some_as_before = data.draw(st.permutations([before, case.hours]))[0]
    first = StoreHours(case.hours.weekly, some_as_before.special_days, case.hours.closures[:1])
    expected = Shelf().add(case.polls).set_all_hours(OpeningHours(case.zone, case.hours)).bytes
    shelf = Shelf().add(case.polls)
    for hours in (before, first, StoreHours(case.hours.weekly), case.hours):
        shelf.set_all_hours(OpeningHours(case.zone, hours))
    assert shelf.bytes == expected


def test_a_dated_change_reads_no_day_before_its_own(case_polls: tuple[Poll, ...]) -> None:
    """Monday to Sunday polled hourly; other hours from Saturday on: the blocks of Monday to Tuesday stay unread."""
    shelf = Shelf("UTC", week_of(rows("daily 09:00-17:00"))).add(case_polls)
    saturday = day_of(at("Sat 00:00"))
    known = decode_summary(shelf.bytes[0]).hours.hours
    assert known is not None
    dated = DatedWeek(saturday, week_of(rows("daily 10:00-12:00")))
    changed = OpeningHours("UTC", StoreHours((*known.weekly, dated)))
    read = shelf.days_read_by(lambda: shelf.set_all_hours(changed))
    assert min(read) >= saturday - 4
    assert shelf.bytes == Shelf().add(case_polls).set_all_hours(changed).bytes


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "UTC", "America/Chicago", "Pacific/Niue"])
def test_a_single_special_day_is_derived_again_wherever_its_date_lies(
    case_polls: tuple[Poll, ...], zone: str
) -> None:
    """14 hours ahead of UTC, a local Thursday begins on Wednesday."""
    plain = StoreHours((DatedWeek(None, week_of(rows("daily 00:00-24:00"))),))
    thursday = day_of(at("Thu 00:00"))
    special = OpeningHours(zone, StoreHours(plain.weekly, (SpecialDay(thursday, ()),)))
    shelf = Shelf().add(case_polls).set_all_hours(OpeningHours(zone, plain)).set_all_hours(special)
    assert shelf.bytes == Shelf().add(case_polls).set_all_hours(special).bytes


@pytest.fixture
def case_polls() -> tuple[Poll, ...]:
    return tuple(hourly(at("Mon 00:00"), "AAIAAAAI" * 21))


def test_the_strategies_reach_the_trouble() -> None:
    """A rest of a night that goes with a special day, and one that stays."""
    found = {"goes": False, "stays": False}

    @settings(max_examples=300, database=None)
    @given(cases())
    def look(case: Case) -> None:
        assume(case.hours.special_days)
        days = {each.day for each in case.hours.special_days}
        rests = [row for week in case.hours.weekly for row in week.rows if row.start_us == 0 and row.end_us]
        for day in days:
            weekdays = {row.day for row in rests}
            found["goes"] |= (day + 1 + 3) % 7 in weekdays and day + 1 not in days
            found["stays"] |= (day + 3) % 7 in weekdays and day - 1 not in days

    look()
    assert all(found.values()), found
