"""What Hypothesis draws: weeks, zones, polls and reports' instants, thick where rules meet.

Owns: where the trouble is (clock changes, midnights, touching rows, ties, late polls). Must not know: what is
computed from it. Years 1975 to 2036: after 2037 pytz knows no daylight saving, before 1972 it rounds the
offset of Monrovia.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise

from hypothesis import strategies as st

from schemas.opening_hours import DEFAULT_ZONE, HoursRow, Week, week_of
from schemas.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Poll, Status, StoreId
from tests.builders import poll_words, row_texts, utc
from tests.oracle import EPOCH, instant_of, zone_of

ZONES = (
    "UTC",
    "America/New_York",
    "America/Chicago",
    "Asia/Kathmandu",  # +05:45
    "America/St_Johns",  # changed at 00:01 for years, by two hours in 1988
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Europe/Dublin",  # negative daylight saving: winter is the exception
    "Africa/Casablanca",  # negative daylight saving, in Ramadan; four changes a year for a while
    "Antarctica/Troll",  # two hours of daylight saving
    "Pacific/Apia",  # had no 2011-12-30
    "Pacific/Kiritimati",  # +14; had no 1994-12-31
)
FIRST_US = utc("1975-01-01")
LAST_US = utc("2036-12-31")

JITTERS_US = tuple(
    sign * size
    for size in (0, 1, SECOND_US, MINUTE_US, 30 * MINUTE_US, HOUR_US, HOUR_US + 1, 2 * HOUR_US)
    for sign in (1, -1)
)
"""Steps from an interesting instant: onto it, just off it, across a clock change of half an hour to two."""

MIDNIGHTS = (0, 1, -1, -7, 7, -8, 10, -10)
"""Local midnights that polls gather at, in days from the anchor's."""
LANDMARKS = 1 + len(MIDNIGHTS)

DAY_TIMES_US = (
    0,
    MINUTE_US,
    HOUR_US,
    HOUR_US + 30 * MINUTE_US,
    2 * HOUR_US,
    2 * HOUR_US + 30 * MINUTE_US,
    3 * HOUR_US,
    9 * HOUR_US,
    12 * HOUR_US,
    17 * HOUR_US,
    22 * HOUR_US + 17 * SECOND_US,
    23 * HOUR_US,
    DAY_US - SECOND_US,
)
"""Wall times at which clocks change, stores open and close, and days end."""


@dataclass(frozen=True, slots=True)
class Case:
    """One store and the instant that a report looks back from."""

    zone: str
    week: Week
    polls: tuple[Poll, ...]
    as_of_us: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Several stores, polls of each in an order of no meaning; a store may lack a zone, a week or polls."""

    polls: tuple[Poll, ...]
    weeks: dict[StoreId, Week]
    zones: dict[StoreId, str]
    as_of_us: int

    def words(
        self,
    ) -> tuple[list[tuple[str, int, str]], dict[str, list[tuple[int, str, str]]], dict[str, str]]:
        """Polls, hours and zones as `oracle_report` takes them."""
        hours = {str(store_id): row_texts(week) for store_id, week in self.weeks.items()}
        return poll_words(self.polls), hours, {str(store_id): zone for store_id, zone in self.zones.items()}


@cache
def clock_changes(zone: str) -> tuple[int, ...]:
    """Each instant (us) from 1975 to 2036 at which the zone's offset from UTC changes."""
    changes = []
    for day_us in range(FIRST_US, LAST_US, DAY_US):
        if _offset(zone, day_us) != _offset(zone, day_us + DAY_US):
            changes.append(_change_between(zone, day_us, day_us + DAY_US))
    return tuple(changes)


def _change_between(zone: str, before_us: int, after_us: int) -> int:
    seconds = range(before_us, after_us + 1, SECOND_US)
    before = _offset(zone, before_us)
    return seconds[bisect_right(seconds, False, key=lambda at_us: _offset(zone, at_us) != before)]


def _offset(zone: str, at_us: int) -> timedelta | None:
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(zone_of(zone)).utcoffset()


@cache
def zones() -> st.SearchStrategy[str]:
    """A zone name; every kind of clock change is among them."""
    return st.sampled_from(ZONES)


@cache
def day_times() -> st.SearchStrategy[int]:
    """Wall time since midnight (us), below 24 h: an interesting one, or any second."""
    return st.one_of(
        st.sampled_from(DAY_TIMES_US),
        st.integers(0, 24 * 3600 - 1).map(lambda second: second * SECOND_US),
    )


def _day_shapes() -> st.SearchStrategy[list[tuple[int, int]]]:
    """The (start, end) pairs of one kind of day."""
    anything = st.lists(
        st.tuples(day_times(), st.one_of(day_times(), st.just(DAY_US))), min_size=1, max_size=3
    )
    around_the_clock = st.just([(0, DAY_US)])
    one_second_hole = st.just([(0, DAY_US - SECOND_US)])
    split = st.lists(day_times(), min_size=4, max_size=4, unique=True).map(
        lambda times: [(times[0], times[1]), (times[2], times[3])]
    )
    in_order = st.lists(day_times(), min_size=3, max_size=4, unique=True).map(sorted)
    touching = in_order.map(lambda times: list(pairwise(times)))
    overlapping = in_order.map(lambda times: [(times[0], times[2]), (times[1], times[-1])])
    overnight = in_order.map(lambda times: [(times[-1], times[0])])
    whole_day_from = day_times().map(lambda time: [(time, time)])
    return st.one_of(
        anything, split, touching, overlapping, overnight, whole_day_from, one_second_hole, around_the_clock
    )


@cache
def weeks() -> st.SearchStrategy[Week]:
    """Business hours: none, one shape on some days, or unlike days; a day may be missing."""
    some_days = st.sets(st.integers(0, 6), min_size=1)
    alike = st.builds(
        lambda days, shape: week_of([HoursRow(day, *span) for day in days for span in shape]),
        some_days | st.just(set(range(7))),
        _day_shapes(),
    )
    unlike = st.dictionaries(st.integers(0, 6), _day_shapes(), min_size=1, max_size=4).map(
        lambda shapes: week_of([HoursRow(day, *span) for day, shape in shapes.items() for span in shape])
    )
    return st.one_of(st.just(()), alike, unlike)


@cache
def anchors(zone: str) -> st.SearchStrategy[int]:
    """An instant (us) for polls to gather round: most often a clock change of the zone."""
    anywhere = st.integers(FIRST_US // HOUR_US, LAST_US // HOUR_US).map(lambda hour: hour * HOUR_US)
    changes = clock_changes(zone)
    if not changes:
        return anywhere
    latest_or_rare = st.sampled_from((changes[0], changes[-1], *_widest(zone)))
    return st.one_of(st.sampled_from(changes), latest_or_rare, anywhere)


@cache
def _widest(zone: str) -> tuple[int, ...]:
    """The clock changes that are unlike the zone's usual ones: a day skipped, a double summer."""

    def jump(at_us: int) -> timedelta:
        before, after = _offset(zone, at_us - 1), _offset(zone, at_us)
        assert before is not None
        assert after is not None
        return abs(after - before)

    sizes = [jump(at_us) for at_us in clock_changes(zone)]
    return tuple(at_us for at_us, size in zip(clock_changes(zone), sizes, strict=True) if size == max(sizes))[
        :8
    ]


@cache
def _places(max_size: int) -> st.SearchStrategy[list[tuple[int, int, Status]]]:
    """For each poll: which landmark, how far from it (us), and the status."""
    step = st.one_of(
        st.sampled_from(JITTERS_US),
        st.sampled_from(JITTERS_US),
        st.integers(-3 * DAY_US, 3 * DAY_US),
    )
    return st.lists(
        st.tuples(st.integers(0, LANDMARKS - 1), step, st.sampled_from(Status)), max_size=max_size
    )


def poll_sets(zone: str, store_id: str = "s1", max_size: int = 12) -> st.SearchStrategy[tuple[Poll, ...]]:
    """Up to `max_size` polls of one store within about 20 days, in an order of no meaning; may be empty.

    They gather at clock changes and local midnights, so that repeats and same-instant disagreements are
    common.
    """
    return st.builds(
        lambda anchor_us, places: _polls_at(zone, anchor_us, store_id, places),
        anchors(zone),
        _places(max_size),
    )


def _polls_at(
    zone: str, anchor_us: int, store_id: str, places: list[tuple[int, int, Status]]
) -> tuple[Poll, ...]:
    landmarks = _landmarks(zone, anchor_us)
    return tuple(Poll(StoreId(store_id), landmarks[which] + step, status) for which, step, status in places)


def _landmarks(zone: str, anchor_us: int) -> list[int]:
    """An anchor and the local midnights about it: its own, its neighbours', those at the edges of windows."""
    today = (EPOCH + timedelta(microseconds=anchor_us)).astimezone(zone_of(zone)).replace(tzinfo=None)
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    midnights = [midnight + timedelta(days=ahead) for ahead in MIDNIGHTS]
    return [anchor_us, *(instant_of(wall, zone) for wall in midnights)]


_SPOTS = st.tuples(
    st.integers(0, 99),
    st.one_of(st.sampled_from(JITTERS_US), st.integers(-7 * DAY_US, 10 * DAY_US)),
)


def as_ofs(polls: Iterable[Poll], retention_days: int = 14) -> st.SearchStrategy[int]:
    """An instant (us) that a report of these polls may look back from (rule 2.8).

    From the latest poll − (retention_days − 7 days) to 17 days past it; often the latest poll, or an instant
    at which a poll enters or leaves a window. Without polls: about the middle of the years.
    """
    instants = sorted({poll.at_us for poll in polls}) or [(FIRST_US + LAST_US) // 2]
    return _SPOTS.map(lambda spot: _as_of(instants, retention_days, *spot))


def _as_of(instants: list[int], retention_days: int, which: int, step_us: int) -> int:
    earliest_us = instants[-1] - (retention_days - 7) * DAY_US
    edges = [at_us + length for length in (0, HOUR_US, DAY_US, 7 * DAY_US) for at_us in instants[::-1]]
    if which % 4 == 0:
        return instants[-1]
    return max(earliest_us, edges[which // 4 % len(edges)] + step_us)


@st.composite
def cases(draw: st.DrawFn, retention_days: int = 14) -> Case:
    """One store with an instant to report at."""
    zone = draw(zones())
    polls = draw(poll_sets(zone))
    return Case(zone, draw(weeks()), polls, draw(as_ofs(polls, retention_days)))


@st.composite
def fleets(draw: st.DrawFn, max_stores: int = 3, retention_days: int = 14) -> Fleet:
    """Up to `max_stores` stores round one instant, at least one poll among them."""
    anchor_us = draw(anchors(draw(zones())))
    polls = [Poll(StoreId("s0"), anchor_us, draw(st.sampled_from(Status)))]
    fleet_weeks: dict[StoreId, Week] = {}
    fleet_zones: dict[StoreId, str] = {}
    for number, (zone, week, places) in enumerate(draw(_stores(max_stores))):
        store_id = StoreId(f"s{number}")
        polls += _polls_at(zone or DEFAULT_ZONE, anchor_us, store_id, places)
        if zone is not None:
            fleet_zones[store_id] = zone
        if week:
            fleet_weeks[store_id] = week
    return Fleet(tuple(polls), fleet_weeks, fleet_zones, draw(as_ofs(polls, retention_days)))


@cache
def _stores(
    max_stores: int,
) -> st.SearchStrategy[list[tuple[str | None, Week, list[tuple[int, int, Status]]]]]:
    store = st.tuples(st.none() | zones(), weeks(), _places(6))
    return st.lists(store, min_size=1, max_size=max_stores)
