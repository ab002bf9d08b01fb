"""Answers about stores and their polls.

Owns: the names, units and bounds of every field. Must not know: how an answer is found.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.api.common import Answer, LocalInstant, Microseconds, UtcInstant


class MaxTimestamp(Answer):
    """The latest poll."""

    max_timestamp: Annotated[
        UtcInstant | None, Field(description="The latest poll over all stores (UTC); null before the first")
    ]


class StatusCounts(Answer):
    """Polls retained: each store's last `retention_days`, and the one before."""

    active: Annotated[int, Field(ge=0, description="Polls that say active")]
    inactive: Annotated[int, Field(ge=0, description="Polls that say inactive")]
    total: Annotated[int, Field(ge=0, description="Both")]


class StoreDowntime(Answer):
    """A store that was down during its business hours of the last week."""

    store_id: Annotated[str, Field(description="The store")]
    downtime_last_week: Annotated[float, Field(ge=0, description="As in the report: hours, two decimals")]
    uptime_last_week: Annotated[float, Field(ge=0, description="As in the report: hours, two decimals")]
    downtime_us: Annotated[Microseconds, Field(description="The same downtime, exact, in microseconds")]
    uptime_us: Annotated[Microseconds, Field(description="The same uptime, exact, in microseconds")]


class StoresWithDowntime(Answer):
    """The stores with downtime in the last 7 x 24 hours, most first, equal ones by id."""

    as_of: Annotated[
        UtcInstant, Field(description="Where the week ends: the latest poll over all stores (UTC)")
    ]
    total: Annotated[int, Field(ge=0, description="All stores with downtime, listed or not")]
    stores: Annotated[list[StoreDowntime], Field(description="The first `limit` of them")]


class WeekRow(Answer):
    """One row of business hours, on the wall clock of the store."""

    day: Annotated[int, Field(ge=0, le=6, description="Local weekday: 0 is Monday, 6 is Sunday")]
    start_time_local: Annotated[str, Field(description="Opens, wall time", examples=["09:00:00"])]
    end_time_local: Annotated[
        str,
        Field(
            description="Closes, wall time, up to 24:00:00; at or before the start: on the next day",
            examples=["17:00:00"],
        ),
    ]


class DatedWeekSeen(Answer):
    """Weekly hours that hold for the local dates from one on, until the next dated ones."""

    valid_from: Annotated[str, Field(description="The first local date", examples=["2024-03-01"])]
    week: Annotated[list[WeekRow], Field(description="Opening hours, by weekday and start; none: closed")]


class DaySpan(Answer):
    """One span of a special day, on the wall clock of the store."""

    start_time_local: Annotated[str, Field(description="Opens, wall time", examples=["09:00:00"])]
    end_time_local: Annotated[
        str, Field(description="Closes, wall time, as in a row of the week", examples=["13:00:00"])
    ]


class SpecialDaySeen(Answer):
    """The hours of one local date, in the place of the weekly ones."""

    date: Annotated[str, Field(description="The local date", examples=["2024-12-24"])]
    spans: Annotated[list[DaySpan], Field(description="When the store is open; none: closed")]
    reason: Annotated[str, Field(description="Why, where somebody said so")]


class ClosureSeen(Answer):
    """A span that is cut out of the open time: half-open, from it on, up to but without its end."""

    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC)")]
    reason: Annotated[str, Field(description="Why, where somebody said so")]


class HoursOverTime(Answer):
    """What a store's hours are beside the week that holds for all time."""

    dated_weeks: Annotated[list[DatedWeekSeen], Field(description="By date, ascending")]
    special_days: Annotated[list[SpecialDaySeen], Field(description="By date, ascending")]
    closures: Annotated[list[ClosureSeen], Field(description="By their beginnings, ascending")]


class PollSeen(Answer):
    """One poll of the store."""

    timestamp_utc: Annotated[UtcInstant, Field(description="When (UTC)")]
    status: Annotated[Literal["active", "inactive"], Field(description="What it found")]


class OpenInterval(Answer):
    """A stretch of business hours with one status: half-open, from it on, up to but without its end."""

    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC)")]
    from_local: Annotated[LocalInstant, Field(description="Begins, on the wall clock of the store")]
    to_local: Annotated[LocalInstant, Field(description="Ends, on the wall clock of the store")]
    status: Annotated[Literal["active", "inactive"], Field(description="That of the latest poll before")]
    span_us: Annotated[Microseconds, Field(description="How long, in microseconds")]


class WindowAccount(Answer):
    """One window of the report, and the stretches of business hours that its numbers are the sums of."""

    window: Annotated[Literal["last_hour", "last_day", "last_week"], Field(description="Which window")]
    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC): as_of")]
    unit: Annotated[Literal["minutes", "hours"], Field(description="The unit of uptime and downtime")]
    uptime: Annotated[float, Field(ge=0, description="As in the report, in `unit`, two decimals")]
    downtime: Annotated[float, Field(ge=0, description="As in the report, in `unit`, two decimals")]
    uptime_us: Annotated[Microseconds, Field(description="Exact, in microseconds")]
    downtime_us: Annotated[Microseconds, Field(description="Exact, in microseconds")]
    intervals: Annotated[list[OpenInterval], Field(description="Ascending; together, all business hours")]


class DayAccount(Answer):
    """One local calendar day of the last week; the first and the last are cut where the week is."""

    date: Annotated[str, Field(description="The day on the wall clock of the store", examples=["2023-01-25"])]
    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC)")]
    uptime_us: Annotated[Microseconds, Field(description="Business time with status active, in microseconds")]
    downtime_us: Annotated[
        Microseconds, Field(description="Business time with status inactive, in microseconds")
    ]


class StoreDetail(Answer):
    """All that is known of one store, and how its row of the report comes about."""

    store_id: Annotated[str, Field(description="The store")]
    as_of: Annotated[UtcInstant, Field(description="Where the windows end (UTC)")]
    timezone: Annotated[str, Field(description="IANA zone in force", examples=["America/Chicago"])]
    timezone_given: Annotated[bool, Field(description="False where the zone is the default")]
    always_open: Annotated[bool, Field(description="True where no hours are known: open 24/7")]
    week: Annotated[list[WeekRow], Field(description="Business hours, by weekday and start")]
    hours_over_time: Annotated[
        HoursOverTime | None,
        Field(description="Dated weeks, special days and closures; absent where the store has none of them"),
    ] = None
    polls: Annotated[list[PollSeen], Field(description="Every poll retained, ascending")]
    windows: Annotated[list[WindowAccount], Field(description="Last hour, day and week")]
    days: Annotated[list[DayAccount], Field(description="The last week by local day, ascending")]
