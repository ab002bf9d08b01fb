"""What Hypothesis draws of opening hours over time, thick where the rules meet (rules 2.2a to 2.2d).

Owns: where the trouble is: cut nights, dates at which weekly hours change, special days beside each other and on
clock changes, closures across them. Must not know: what is computed from it.
"""

from datetime import date, timedelta

from hypothesis import strategies as st

from schemas.opening_hours import (
    Closure,
    DatedWeek,
    HoursRow,
    SpecialDay,
    StoreHours,
    format_day_time,
    week_of,
)
from schemas.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.oracle_hours import Hours
from tests.strategies import JITTERS_US, day_times, weeks

EPOCH_DATE = date(1970, 1, 1)

NIGHT_ENDS = st.sampled_from(
    (0, DAY_US, DAY_US - SECOND_US, DAY_US - MINUTE_US, DAY_US - MINUTE_US - SECOND_US, 2 * HOUR_US)
)
"""Where the first row of a night ends: at midnight, near it, just not near enough, or on past it."""
REST_ENDS = st.sampled_from((2 * HOUR_US, 7 * HOUR_US, 7 * HOUR_US + SECOND_US, 12 * HOUR_US))


@st.composite
def cut_nights(draw: st.DrawFn) -> tuple[HoursRow, ...]:
    """A night on some weekdays, written as two rows, or as one that runs on."""
    rows = []
    for day in draw(st.sets(st.integers(0, 6), min_size=1)):
        rows.append(HoursRow(day, 18 * HOUR_US, draw(NIGHT_ENDS)))
        if draw(st.booleans()):
            rows.append(HoursRow((day + 1) % 7, 0, draw(REST_ENDS)))
    return week_of(rows)


@st.composite
def store_hours(draw: st.DrawFn, around_us: int) -> StoreHours:
    """Opening hours whose dates and closures lie within ten days of an instant."""
    today = around_us // DAY_US
    days = st.integers(today - 10, today + 3)
    week = st.one_of(cut_nights(), weeks())
    dated = draw(st.dictionaries(days, week, max_size=3))
    undated = draw(week)
    span = st.tuples(day_times(), st.one_of(day_times(), st.just(DAY_US)))
    special = draw(st.dictionaries(days, st.lists(span, max_size=2), max_size=4))
    ends = st.tuples(days, st.sampled_from(JITTERS_US), st.integers(1, 3 * DAY_US))
    closures = [
        Closure(day * DAY_US + step, day * DAY_US + step + length)
        for day, step, length in draw(st.lists(ends, max_size=3))
    ]
    return StoreHours(
        weekly=(
            *((DatedWeek(None, undated),) if undated else ()),
            *(DatedWeek(day, rows) for day, rows in sorted(dated.items())),
        ),
        special_days=tuple(
            SpecialDay(day, tuple(sorted(set(spans)))) for day, spans in sorted(special.items())
        ),
        closures=tuple(sorted(closures, key=lambda each: (each.from_us, each.to_us))),
    )


def words(hours: StoreHours) -> Hours:
    """Opening hours as the oracle takes them."""
    return Hours(
        weekly={
            None if week.valid_from is None else _date(week.valid_from): [
                (row.day, format_day_time(row.start_us), format_day_time(row.end_us)) for row in week.rows
            ]
            for week in hours.weekly
        },
        special_days={
            _date(each.day): [(format_day_time(start), format_day_time(end)) for start, end in each.spans]
            for each in hours.special_days
        },
        closures=[(each.from_us, each.to_us) for each in hours.closures],
    )


def _date(day: int) -> date:
    return EPOCH_DATE + timedelta(days=day)
