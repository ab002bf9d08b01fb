"""What the HTTP API says, as its callers see it.

Owns: the names, units and bounds of every field of every answer. Must not know: how an answer is found.
Instants are texts in ISO 8601, UTC, with six digits of fraction: `2023-01-25T18:13:22.479220Z`. Spans of time
are whole microseconds where the name ends in `_us`, else hours or minutes as the report prints them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

UtcInstant = Annotated[
    str,
    Field(
        description="An instant: ISO 8601, UTC, microseconds",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        examples=["2023-01-25T18:13:22.479220Z"],
    ),
]
LocalInstant = Annotated[
    str,
    Field(
        description="The same instant as the wall clock of the store shows it, with its offset from UTC",
        examples=["2023-01-25T12:13:22.479220-06:00"],
    ),
]
Microseconds = Annotated[int, Field(ge=0, description="A span of time, in microseconds")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(BaseModel):
    """An error, as problem details of RFC 9457 (`application/problem+json`)."""

    type: Annotated[str, Field(description="Kind of problem; `about:blank`: the status says it all")] = (
        "about:blank"
    )
    title: Annotated[str, Field(description="The kind of problem in a few words", examples=["Not Found"])]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status", examples=[404])]
    detail: Annotated[str, Field(description="What was wrong this time, and what to do about it")]
    instance: Annotated[str, Field(description="The path that was asked for", examples=["/get_report/x"])]
    earliest_as_of: Annotated[
        str | None, Field(description="Where as_of was out of bounds: the first instant it may name (UTC)")
    ] = None
    latest_as_of: Annotated[
        str | None, Field(description="Where as_of was out of bounds: the last instant it may name (UTC)")
    ] = None


class ReportStarted(_Answer):
    """A report was asked for and is being made."""

    report_id: Annotated[
        str, Field(description="Fetch the report by this id (a UUID)", json_schema_extra={"format": "uuid"})
    ]


class ReportRunning(_Answer):
    """The report is not made yet: ask again."""

    status: Annotated[Literal["Running"], Field(description="Where the report stands")] = "Running"


class ReportFailed(_Answer):
    """The report could not be made, and will not be."""

    status: Annotated[Literal["Failed"], Field(description="Where the report stands")] = "Failed"
    error: Annotated[str, Field(description="Why, and what to do about it")]


class MaxTimestamp(_Answer):
    """The latest poll."""

    max_timestamp: Annotated[
        UtcInstant | None, Field(description="The latest poll over all stores (UTC); null before the first")
    ]


class StatusCounts(_Answer):
    """Polls retained: each store's last `retention_days`, and the one before."""

    active: Annotated[int, Field(ge=0, description="Polls that say active")]
    inactive: Annotated[int, Field(ge=0, description="Polls that say inactive")]
    total: Annotated[int, Field(ge=0, description="Both")]


class StoreDowntime(_Answer):
    """A store that was down during its business hours of the last week."""

    store_id: Annotated[str, Field(description="The store")]
    downtime_last_week: Annotated[float, Field(ge=0, description="As in the report: hours, two decimals")]
    uptime_last_week: Annotated[float, Field(ge=0, description="As in the report: hours, two decimals")]
    downtime_us: Annotated[Microseconds, Field(description="The same downtime, exact, in microseconds")]
    uptime_us: Annotated[Microseconds, Field(description="The same uptime, exact, in microseconds")]


class StoresWithDowntime(_Answer):
    """The stores with downtime in the last 7 x 24 hours, most first, equal ones by id."""

    as_of: Annotated[
        UtcInstant, Field(description="Where the week ends: the latest poll over all stores (UTC)")
    ]
    total: Annotated[int, Field(ge=0, description="All stores with downtime, listed or not")]
    stores: Annotated[list[StoreDowntime], Field(description="The first `limit` of them")]


class WeekRow(_Answer):
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


class PollSeen(_Answer):
    """One poll of the store."""

    timestamp_utc: Annotated[UtcInstant, Field(description="When (UTC)")]
    status: Annotated[Literal["active", "inactive"], Field(description="What it found")]


class OpenInterval(_Answer):
    """A stretch of business hours with one status: half-open, from it on, up to but without its end."""

    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC)")]
    from_local: Annotated[LocalInstant, Field(description="Begins, on the wall clock of the store")]
    to_local: Annotated[LocalInstant, Field(description="Ends, on the wall clock of the store")]
    status: Annotated[Literal["active", "inactive"], Field(description="That of the latest poll before")]
    span_us: Annotated[Microseconds, Field(description="How long, in microseconds")]


class WindowAccount(_Answer):
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


class DayAccount(_Answer):
    """One local calendar day of the last week; the first and the last are cut where the week is."""

    date: Annotated[str, Field(description="The day on the wall clock of the store", examples=["2023-01-25"])]
    from_utc: Annotated[UtcInstant, Field(description="Begins (UTC)")]
    to_utc: Annotated[UtcInstant, Field(description="Ends (UTC)")]
    uptime_us: Annotated[Microseconds, Field(description="Business time with status active, in microseconds")]
    downtime_us: Annotated[
        Microseconds, Field(description="Business time with status inactive, in microseconds")
    ]


class StoreDetail(_Answer):
    """All that is known of one store, and how its row of the report comes about."""

    store_id: Annotated[str, Field(description="The store")]
    as_of: Annotated[UtcInstant, Field(description="Where the windows end (UTC)")]
    timezone: Annotated[str, Field(description="IANA zone in force", examples=["America/Chicago"])]
    timezone_given: Annotated[bool, Field(description="False where the zone is the default")]
    always_open: Annotated[bool, Field(description="True where no hours are known: open 24/7")]
    week: Annotated[list[WeekRow], Field(description="Business hours, by weekday and start")]
    polls: Annotated[list[PollSeen], Field(description="Every poll retained, ascending")]
    windows: Annotated[list[WindowAccount], Field(description="Last hour, day and week")]
    days: Annotated[list[DayAccount], Field(description="The last week by local day, ascending")]


class HealthParts(_Answer):
    """Each part: `ok`, or what is wrong with it."""

    process: Annotated[str, Field(description="This API")]
    broker: Annotated[str, Field(description="The log: embedded, or Kafka")]
    worker: Annotated[str, Field(description="What applies the log to the tables")]
    state: Annotated[str, Field(description="The tables that reports are read from")]


class Lag(_Answer):
    """How far the readable state trails the log. The age of the polls plays no part."""

    records: Annotated[
        dict[str, int] | None,
        Field(description="Records not yet applied, by topic; null where it cannot be told"),
    ]
    seconds: Annotated[
        float,
        Field(
            ge=0, description="For how long some record in the log has been waiting to be applied, in seconds"
        ),
    ]


class RestoringTable(_Answer):
    """A partition whose table is missing or not whole."""

    partition: Annotated[int, Field(ge=0, description="Which partition")]
    reached: Annotated[
        int | None,
        Field(
            description="Up to which offset of the changelog the table is restored; null where there is none"
        ),
    ]
    target: Annotated[
        int | None,
        Field(description="Which offset it must reach; null where no worker or replica has been at it yet"),
    ]


class Tables(_Answer):
    """The tables that reports are read from: all of them must be there and whole."""

    partitions: Annotated[
        int | None, Field(description="How many partitions there are; null where nobody says yet")
    ]
    whole: Annotated[int, Field(ge=0, description="Partitions whose table is there and whole")]
    restoring: Annotated[list[RestoringTable], Field(description="The others, ascending")]


class LossSeen(_Answer):
    """Records that were gone from the log before they were applied: offsets [from_offset, to_offset)."""

    topic: Annotated[str, Field(description="Which topic")]
    partition: Annotated[int, Field(ge=0, description="Which partition")]
    from_offset: Annotated[int, Field(ge=0, description="The first offset lost")]
    to_offset: Annotated[
        int | None, Field(description="The first offset after them; null where nobody can tell")
    ]
    noticed: Annotated[UtcInstant, Field(description="When it was noticed (UTC)")]
    why: Annotated[str, Field(description="How they were lost")]


class HealthReport(_Answer):
    """Whether reports can be asked for and will be up to date."""

    status: Annotated[
        Literal["ok", "degraded", "replaying", "restoring", "failing"],
        Field(
            description=(
                "degraded: ready, but records were lost and nobody has accepted that; restoring: some table is "
                "missing or not whole; replaying: the data given to `up --data` is not all readable yet; failing: "
                "see the parts"
            )
        ),
    ]
    ready: Annotated[bool, Field(description="True with 200, false with 503")]
    parts: Annotated[HealthParts, Field(description="Part by part")]
    lag: Annotated[Lag, Field(description="How far the readable state trails the log")]
    tables: Annotated[
        Tables | None, Field(description="What the tables say of themselves; null where they cannot be read")
    ]
    losses: Annotated[list[LossSeen], Field(description="What was lost, until an operator accepts it")]


class Alive(_Answer):
    """The process answers; nothing is said of its parts."""

    status: Annotated[Literal["alive"], Field(description="Always alive")] = "alive"
