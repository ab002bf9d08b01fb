"""The oracle against a second, still plainer method: look at one instant after another.

`Sampler` never turns wall time into UTC by a rule: it writes down what pytz shows at each UTC minute and
looks wall times up in that. It makes no segments either: an instant is up, down or closed.
"""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import pytz
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.opening_hours import HoursRow, Week
from schemas.values import DAY_US, HOUR_US, MINUTE_US, Poll, Status
from tests.builders import polls as polls_of
from tests.builders import row_texts, rows, status_words, utc
from tests.oracle import oracle_uptime_us
from tests.profiles import examples
from tests.strategies import Case, cases

START = datetime(1970, 1, 1)  # noqa: DTZ001 (pytz.fromutc takes UTC without a zone)


class Sampler:
    """Answers for instants of [first_us, last_us]. Zones must change on whole minutes (all do, from 1972)."""

    def __init__(self, zone: str, week: Week, polls: tuple[Poll, ...], first_us: int, last_us: int) -> None:
        self.polls, self.week = polls, week
        self.opened: list[tuple[int, int]] = []
        self._clock = pytz.timezone(zone)
        self._instant_of = self._look_at_each_minute(first_us - 4 * DAY_US, last_us + 4 * DAY_US)
        today = self._shown(first_us) // DAY_US
        for day in range(today - 2, self._shown(last_us) // DAY_US + 3):
            self.opened += [self._span(day, row) for row in week if row.day == (day + 3) % 7]

    def answer(self, at_us: int) -> str:
        """`up`, `down` or `closed`."""
        if self.week and not any(start <= at_us < end for start, end in self.opened):
            return "closed"
        past = [poll for poll in self.polls if poll.at_us <= at_us]
        latest_us = max((poll.at_us for poll in past), default=0)
        said = {poll.status for poll in past if poll.at_us == latest_us}
        return "down" if Status.INACTIVE in said else "up"

    def _shown(self, at_us: int) -> int:
        shown = self._clock.fromutc(START + timedelta(microseconds=at_us)).replace(tzinfo=None)
        return (shown - START) // timedelta(microseconds=1)

    def _look_at_each_minute(self, first_us: int, last_us: int) -> dict[int, int]:
        instants: dict[int, int] = {}
        minutes = range(first_us // MINUTE_US * MINUTE_US, last_us, MINUTE_US)
        for now, after in pairwise((at_us, self._shown(at_us)) for at_us in minutes):
            instants.setdefault(now[1], now[0])
            for skipped in range(now[1] + MINUTE_US, after[1], MINUTE_US):
                instants[skipped] = now[0] + skipped - now[1]
        return instants

    def _span(self, day: int, row: HoursRow) -> tuple[int, int]:
        length = row.end_us - row.start_us + (DAY_US if row.end_us <= row.start_us else 0)
        walls = (day * DAY_US + row.start_us, day * DAY_US + row.start_us + length)
        start, end = (self._instant_of[wall - wall % MINUTE_US] + wall % MINUTE_US for wall in walls)
        return start, end


def answer_of_oracle(case: Case, from_us: int, to_us: int) -> tuple[int, int]:
    return oracle_uptime_us(status_words(case.polls), row_texts(case.week), case.zone, from_us, to_us)


def whole_minutes(case: Case) -> Case:
    """The same case with every time cut to its minute, so that looking once a minute misses nothing."""
    return Case(
        case.zone,
        tuple(
            HoursRow(row.day, row.start_us // MINUTE_US * MINUTE_US, row.end_us // MINUTE_US * MINUTE_US)
            for row in case.week
        ),
        tuple(Poll(poll.store_id, poll.at_us // MINUTE_US * MINUTE_US, poll.status) for poll in case.polls),
        case.as_of_us // MINUTE_US * MINUTE_US,
    )


FRIDAY_THAT_NEVER_WAS = Case(
    "Pacific/Apia",
    tuple(rows("Thu-Sat 09:00-17:00", "Fri 22:00-03:00")),
    tuple(polls_of("2011-12-30 20:00 inactive", "2011-12-30 23:15 active")),
    utc("2011-12-31 12:00"),
)
HALF_AN_HOUR_TWICE = Case(
    "Australia/Lord_Howe",
    tuple(rows("Sat,Sun 01:45-02:15 23:00-01:50")),
    tuple(polls_of("2023-04-01 14:50 inactive", "2023-04-01 14:50 active")),
    utc("2023-04-01 20:00"),
)


@pytest.mark.long
@given(case=cases().map(whole_minutes), hours=st.integers(1, 27))
@example(case=FRIDAY_THAT_NEVER_WAS, hours=27)
@example(case=HALF_AN_HOUR_TWICE, hours=24)
@settings(max_examples=examples(100))
def test_the_oracle_adds_up_what_looking_once_a_minute_counts(case: Case, hours: int) -> None:
    from_us = case.as_of_us - hours * HOUR_US
    sampler = Sampler(case.zone, case.week, case.polls, from_us, case.as_of_us)
    answers = [sampler.answer(at_us) for at_us in range(from_us, case.as_of_us, MINUTE_US)]
    counted = (answers.count("up") * MINUTE_US, answers.count("down") * MINUTE_US)
    assert answer_of_oracle(case, from_us, case.as_of_us) == counted


@pytest.mark.long
@given(case=cases(), data=st.data())
@settings(max_examples=examples(100))
def test_the_oracle_is_right_at_single_instants(case: Case, data: st.DataObject) -> None:
    first_us = case.as_of_us - DAY_US
    sampler = Sampler(case.zone, case.week, case.polls, first_us, case.as_of_us)
    edges = {case.as_of_us, first_us, *(poll.at_us for poll in case.polls)}
    edges |= {edge for span in sampler.opened for edge in span}
    inside = [edge + step for edge in edges for step in (-1, 0) if first_us <= edge + step < case.as_of_us]
    drawn = data.draw(st.lists(st.integers(first_us, case.as_of_us - 1), max_size=10))
    oracle_of = {"up": (1, 0), "down": (0, 1), "closed": (0, 0)}
    for at_us in (*inside, *drawn):
        assert answer_of_oracle(case, at_us, at_us + 1) == oracle_of[sampler.answer(at_us)], at_us


@pytest.mark.parametrize(
    ("case", "at", "answer"),
    [
        (FRIDAY_THAT_NEVER_WAS, "2011-12-30 19:30", "up"),
        (FRIDAY_THAT_NEVER_WAS, "2011-12-30 20:00", "down"),
        (FRIDAY_THAT_NEVER_WAS, "2011-12-31 03:00", "closed"),
        (HALF_AN_HOUR_TWICE, "2023-04-01 14:44", "up"),  # the first 01:44, +11:00
        (HALF_AN_HOUR_TWICE, "2023-04-01 15:44", "down"),  # 02:14, +10:30
        (HALF_AN_HOUR_TWICE, "2023-04-01 15:45", "closed"),
    ],
)
def test_sampling_itself_by_hand(case: Case, at: str, answer: str) -> None:
    sampler = Sampler(case.zone, case.week, case.polls, utc(at), utc(at) + 1)
    assert sampler.answer(utc(at)) == answer
