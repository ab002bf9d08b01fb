"""What must hold of the oracle whatever is drawn; and the drawing does reach the trouble it is there for."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from schemas.opening_hours import Week
from schemas.values import DAY_US, SECOND_US
from tests.builders import poll_words, row_texts, status_words
from tests.oracle import business_spans, oracle_report, oracle_uptime_us, retained
from tests.strategies import Case, Fleet, cases, clock_changes, fleets, weeks


def report_of(fleet: Fleet, polls: list[tuple[str, int, str]]) -> str:
    _, hours, zone_names = fleet.words()
    return oracle_report(polls, hours, zone_names, fleet.as_of_us)


@given(case=cases(), cuts=st.lists(st.integers(0, 8 * DAY_US), min_size=2, max_size=5))
def test_windows_that_meet_add_up(case: Case, cuts: list[int]) -> None:
    said, week = status_words(case.polls), row_texts(case.week)
    edges = sorted(case.as_of_us - cut for cut in cuts)
    parts = [oracle_uptime_us(said, week, case.zone, *part) for part in pairwise(edges)]
    whole = oracle_uptime_us(said, week, case.zone, edges[0], edges[-1])
    assert whole == (sum(up_us for up_us, _ in parts), sum(down_us for _, down_us in parts))


@given(case=cases())
def test_uptime_and_downtime_add_up_to_open_time_whatever_the_polls_say(case: Case) -> None:
    span = (case.as_of_us - 7 * DAY_US, case.as_of_us)
    up_us, down_us = oracle_uptime_us(status_words(case.polls), row_texts(case.week), case.zone, *span)
    open_us, _ = oracle_uptime_us([], row_texts(case.week), case.zone, *span)
    assert up_us + down_us == open_us <= 7 * DAY_US


@given(fleet=fleets(), data=st.data())
def test_order_and_repeats_change_nothing(fleet: Fleet, data: st.DataObject) -> None:
    polls = poll_words(fleet.polls)
    shuffled = data.draw(st.permutations(polls + polls[: len(polls) // 2]))
    assert report_of(fleet, shuffled) == report_of(fleet, polls)


@pytest.mark.hypothesis
@pytest.mark.parametrize("retention_days", [8, 14])
def test_what_retention_drops_no_allowed_report_can_see(retention_days: int) -> None:
    @given(fleet=fleets(retention_days=retention_days))
    def holds(fleet: Fleet) -> None:
        polls = poll_words(fleet.polls)
        assert report_of(fleet, list(retained(polls, retention_days))) == report_of(fleet, polls)

    holds()


@given(fleet=fleets(), cut=st.integers(0, 20))
def test_retention_may_be_applied_at_any_time_along_the_way(fleet: Fleet, cut: int) -> None:
    polls = poll_words(fleet.polls)
    along_the_way = retained([*retained(polls[:cut], 8), *polls[cut:]], 8)
    assert along_the_way == retained(polls, 8)


# --- the strategies reach what they are for ---

FIRST_FOUND = settings(max_examples=2000, phases=[Phase.generate], derandomize=True, database=None)


def overlaps(week: Week) -> bool:
    return any(a.day == b.day and a.start_us < b.start_us < a.end_us for a in week for b in week)


def touches(week: Week) -> bool:
    return any(a.day == b.day and a.start_us < a.end_us == b.start_us for a in week for b in week)


@pytest.mark.parametrize(
    "kind",
    [
        lambda week: not week,
        overlaps,
        touches,
        lambda week: any(row.end_us == row.start_us for row in week),
        lambda week: any(row.end_us < row.start_us for row in week),
        lambda week: any(row.end_us == DAY_US for row in week),
        lambda week: any(row.end_us == DAY_US - SECOND_US for row in week),
        lambda week: any(row.start_us // SECOND_US % 60 for row in week),
        lambda week: 0 < len({row.day for row in week}) < 7,
        lambda week: len({row.day for row in week}) == 7,
        lambda week: len(week) > len({row.day for row in week}) > 2,
    ],
    ids=[
        *("empty", "overlap", "touch", "end==start", "overnight", "24:00:00", "23:59:59"),
        *("odd second", "missing day", "every day", "split"),
    ],
)
def test_each_kind_of_week_is_drawn(kind: Callable[[Week], bool]) -> None:
    find(weeks(), kind, settings=FIRST_FOUND)


def disagree(case: Case) -> bool:
    return len({poll.at_us for poll in case.polls}) < len(set(case.polls))


def an_open_clock_change(case: Case) -> bool:
    spans = business_spans(row_texts(case.week), case.zone, case.as_of_us - 7 * DAY_US, case.as_of_us)
    changes = [at_us for at_us in clock_changes(case.zone) if 0 <= case.as_of_us - at_us < 7 * DAY_US]
    return any(start < change_us < end for start, end in spans for change_us in changes)


@pytest.mark.parametrize(
    "kind",
    [
        disagree,
        an_open_clock_change,
        lambda case: len(set(case.polls)) < len(case.polls),
        lambda case: set(retained(poll_words(case.polls), 14)) != set(poll_words(case.polls)),
        lambda case: bool(case.polls) and case.as_of_us < max(poll.at_us for poll in case.polls),
        lambda case: bool(case.polls) and case.as_of_us > max(poll.at_us for poll in case.polls) + DAY_US,
        lambda case: not case.polls,
    ],
    ids=["disagreement", "open at a change", "repeat", "dropped", "as_of before", "as_of after", "no polls"],
)
def test_each_kind_of_case_is_drawn(kind: Callable[[Case], bool]) -> None:
    find(cases(), kind, settings=FIRST_FOUND)
