"""Values of the program in the words of the API.

Owns: how instants and spans are spelt in answers. Must not know: where the values come from.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal

import numpy as np

from query_api.health import Health
from query_api.snapshots.standing import Standing
from query_api.stores.explain import Account, Downtimes, OpenSpan, StoreStory
from schemas.api.health import HealthParts, HealthReport, Lag, LossSeen, RestoringTable, Tables
from schemas.api.stores import (
    ClosureSeen,
    DatedWeekSeen,
    DayAccount,
    DaySpan,
    HoursOverTime,
    OpenInterval,
    PollSeen,
    SpecialDaySeen,
    StoreDetail,
    StoreDowntime,
    StoresWithDowntime,
    WeekRow,
    WindowAccount,
)
from schemas.opening_hours import StoreHours, Week, format_date, format_day_time
from schemas.values import DAY_US, HOUR_US, MINUTE_US, date_of_day, format_timestamp, status_of
from stream.core.calendar import Calendar
from stream.core.cells import hundredths

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOWS: Final[
    tuple[tuple[Literal["last_hour", "last_day", "last_week"], Literal["minutes", "hours"], int], ...]
] = (
    ("last_hour", "minutes", MINUTE_US),
    ("last_day", "hours", HOUR_US),
    ("last_week", "hours", HOUR_US),
)


def store_detail(story: StoreStory) -> StoreDetail:
    """All about one store."""
    hours = story.calendar.hours
    detail = StoreDetail(
        store_id=story.store_id,
        as_of=format_timestamp(story.as_of_us),
        timezone=story.calendar.zone,
        timezone_given=story.summary.hours.zone is not None,
        always_open=hours == StoreHours(),
        week=_week(hours.undated),
        polls=[
            PollSeen(timestamp_utc=format_timestamp(packed >> 1), status=status_of(packed).value)
            for packed in story.packed.tolist()
        ],
        windows=[
            _window(story.calendar, account, *named)
            for account, named in zip(story.windows, _WINDOWS, strict=True)
        ],
        days=[_day(story.calendar, account) for account in story.days],
    )
    return detail if hours.is_plain else detail.model_copy(update={"hours_over_time": _over_time(hours)})


def _week(week: Week) -> list[WeekRow]:
    return [WeekRow(day=row.day, **_span(row.start_us, row.end_us)) for row in week]


def _span(start_us: int, end_us: int) -> dict[str, str]:
    return {"start_time_local": format_day_time(start_us), "end_time_local": format_day_time(end_us)}


def _over_time(hours: StoreHours) -> HoursOverTime:
    return HoursOverTime(
        dated_weeks=[
            DatedWeekSeen(valid_from=format_date(each.valid_from), week=_week(each.rows))
            for each in hours.weekly
            if each.valid_from is not None
        ],
        special_days=[
            SpecialDaySeen(
                date=format_date(each.day),
                spans=[DaySpan(**_span(*span)) for span in each.spans],
                reason=each.reason,
            )
            for each in hours.special_days
        ],
        closures=[
            ClosureSeen(
                from_utc=format_timestamp(each.from_us),
                to_utc=format_timestamp(each.to_us),
                reason=each.reason,
            )
            for each in hours.closures
        ],
    )


def stores_with_downtime(found: Downtimes) -> StoresWithDowntime:
    """The stores that were down most."""
    return StoresWithDowntime(
        as_of=format_timestamp(found.as_of_us),
        total=found.stores,
        stores=[
            StoreDowntime(
                store_id=each.store_id,
                downtime_last_week=_cell(each.down_us, HOUR_US),
                uptime_last_week=_cell(each.up_us, HOUR_US),
                downtime_us=each.down_us,
                uptime_us=each.up_us,
            )
            for each in found.most
        ],
    )


def health_report(health: Health) -> HealthReport:
    """Whether the service is ready, part by part."""
    standing = health.standing
    return HealthReport(
        status=_status(health),
        ready=health.ready,
        parts=HealthParts(process="ok", broker=health.broker, worker=health.worker, state=health.state),
        lag=Lag(records=health.lag_records, seconds=round(health.trailing_s, 3)),
        tables=None if standing is None else _tables(standing),
        losses=[] if standing is None else _losses(standing),
    )


def _status(health: Health) -> Literal["ok", "degraded", "replaying", "restoring", "failing"]:
    if health.restoring:
        return "restoring"
    if health.replaying:
        return "replaying"
    if not health.ready:
        return "failing"
    return "degraded" if health.degraded else "ok"


def _tables(standing: Standing) -> Tables:
    unfinished = standing.unfinished
    return Tables(
        partitions=standing.partitions,
        whole=sum(table.whole for table in standing.tables.values()),
        restoring=[
            RestoringTable(
                partition=partition,
                reached=table.reached if table else None,
                target=table.target if table else None,
            )
            for partition in unfinished
            for table in (standing.tables.get(partition),)
        ],
    )


def _losses(standing: Standing) -> list[LossSeen]:
    return [
        LossSeen(
            topic=topic,
            partition=partition,
            from_offset=loss.from_offset,
            to_offset=None if loss.to_offset < 0 else loss.to_offset,
            noticed=format_timestamp(loss.noticed_ms * 1000),
            why=loss.why,
        )
        for (topic, partition), losses in standing.losses.items()
        for loss in losses
    ]


def _window(
    calendar: Calendar,
    account: Account,
    name: Literal["last_hour", "last_day", "last_week"],
    unit: Literal["minutes", "hours"],
    unit_us: int,
) -> WindowAccount:
    return WindowAccount(
        window=name,
        from_utc=format_timestamp(account.window.from_us),
        to_utc=format_timestamp(account.window.to_us),
        unit=unit,
        uptime=_cell(account.up_us, unit_us),
        downtime=_cell(account.down_us, unit_us),
        uptime_us=account.up_us,
        downtime_us=account.down_us,
        intervals=[_interval(calendar, span) for span in account.spans],
    )


def _interval(calendar: Calendar, span: OpenSpan) -> OpenInterval:
    return OpenInterval(
        from_utc=format_timestamp(span.from_us),
        to_utc=format_timestamp(span.to_us),
        from_local=_local(calendar, span.from_us),
        to_local=_local(calendar, span.to_us),
        status="active" if span.active else "inactive",
        span_us=span.to_us - span.from_us,
    )


def _day(calendar: Calendar, account: Account) -> DayAccount:
    return DayAccount(
        date=date_of_day(calendar.wall_us(account.window.from_us) // DAY_US).isoformat(),
        from_utc=format_timestamp(account.window.from_us),
        to_utc=format_timestamp(account.window.to_us),
        uptime_us=account.up_us,
        downtime_us=account.down_us,
    )


def _local(calendar: Calendar, at_us: int) -> str:
    offset = timezone(timedelta(microseconds=calendar.wall_us(at_us) - at_us))
    at = _EPOCH + timedelta(microseconds=at_us)
    return at.astimezone(offset).isoformat(timespec="microseconds")


def _cell(span_us: int, unit_us: int) -> float:
    """The number that the report prints for a span."""
    return int(hundredths(np.array([span_us], np.int64), unit_us)[0]) / 100
