"""Records of `store-hours`: all opening hours of a store but its zone.

Owns: their JSON, and how it is read. Must not know: which broker carries it. With ROW for
`{"day": 0, "start_time_local": "09:00:00", "end_time_local": "17:00:00"}`:

    format 1   {"store_id": "s", "hours": [ROW, …]}
    format 2   {"store_id": "s", "format": 2,
                "weekly": [{"valid_from": null, "hours": [ROW, …]}, {"valid_from": "2024-03-01", "hours": []}],
                "special_days": [{"date": "2024-12-25", "hours": [ROW, …], "reason": "Christmas"}],
                "closures": [{"from": "2024-05-01 10:00 UTC", "to": "2024-05-01 12:00 UTC", "reason": "…"}]}
    null       forgets them

A record replaces all that was there before. Format 1 is written wherever it can say all. The rows of a special day
need no `day`.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from schemas.events.stores import decoded, forgotten_store, store_of
from schemas.opening_hours import (
    DatedWeek,
    HoursRow,
    SpecialDay,
    StoreHours,
    Week,
    format_date,
    format_day_time,
    parse_closure,
    parse_date,
    parse_hours_row,
    plain_hours,
    week_of,
    weekday_of,
)
from schemas.values import Rejected, RejectReason, StoreId, format_timestamp


class _Row(msgspec.Struct, omit_defaults=True):
    day: int
    start_time_local: str
    end_time_local: str
    valid_from: Raw | UnsetType = UNSET


class _Message(msgspec.Struct, omit_defaults=True):
    """Format 1, and what tells the others from it."""

    store_id: str
    hours: list[_Row] | UnsetType = UNSET
    format: Raw | UnsetType = UNSET
    weekly: Raw | UnsetType = UNSET
    special_days: Raw | UnsetType = UNSET
    closures: Raw | UnsetType = UNSET


class _WeeklyRow(msgspec.Struct, forbid_unknown_fields=True):
    day: int
    start_time_local: str
    end_time_local: str


class _DayRow(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    start_time_local: str
    end_time_local: str
    day: int | UnsetType = UNSET


class _Weekly(msgspec.Struct, forbid_unknown_fields=True):
    valid_from: str | None
    hours: list[_WeeklyRow]


class _SpecialDay(msgspec.Struct, forbid_unknown_fields=True):
    date: str
    hours: list[_DayRow]
    reason: str = ""


class _Closure(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: str
    to: str
    reason: str = ""


class _Message2(msgspec.Struct, forbid_unknown_fields=True):
    store_id: str
    format: int
    weekly: list[_Weekly]
    special_days: list[_SpecialDay] = []
    closures: list[_Closure] = []


_decode = msgspec.json.Decoder(_Message).decode
_decode_2 = msgspec.json.Decoder(_Message2).decode
_encode = msgspec.json.Encoder().encode
_FORMAT_1: Final = (UNSET, Raw(b"1"))
_FORMAT_2: Final = Raw(b"2")


def decode_hours(key: bytes | None, value: bytes | None) -> tuple[StoreId, StoreHours | None]:
    """The opening hours in one record, None to forget them. One bad row rejects the record. Raises Rejected."""
    if value is None:
        return forgotten_store(key), None
    message = decoded(_decode, value)
    store_id = store_of(key, message.store_id)
    if message.format == _FORMAT_2:
        return store_id, _hours_of(decoded(_decode_2, value))
    others = (message.weekly, message.special_days, message.closures)
    if message.format not in _FORMAT_1 or message.hours is UNSET or any(each is not UNSET for each in others):
        raise Rejected(RejectReason.NOT_JSON, f"format {message.format!r}")
    if any(row.valid_from is not UNSET for row in message.hours):
        raise Rejected(RejectReason.NOT_JSON, "valid_from in a row of format 1")
    return store_id, plain_hours(_week(message.hours))


def encode_hours(store_id: StoreId, hours: StoreHours) -> bytes:
    """All opening hours of one store, in format 1 where that can say them."""
    if hours.is_plain:
        return _encode({"store_id": store_id, "hours": list(map(_row, hours.undated))})
    return _encode(
        {
            "store_id": store_id,
            "format": 2,
            "weekly": [
                {
                    "valid_from": None if week.valid_from is None else format_date(week.valid_from),
                    "hours": list(map(_row, week.rows)),
                }
                for week in hours.weekly
            ],
            "special_days": [
                {
                    "date": format_date(each.day),
                    "hours": [_day_row(*span) for span in each.spans],
                    "reason": each.reason,
                }
                for each in hours.special_days
            ],
            "closures": [
                {
                    "from": format_timestamp(each.from_us),
                    "to": format_timestamp(each.to_us),
                    "reason": each.reason,
                }
                for each in hours.closures
            ],
        }
    )


def _hours_of(message: _Message2) -> StoreHours:
    weekly = [
        DatedWeek(None if each.valid_from is None else parse_date(each.valid_from), _week(each.hours))
        for each in message.weekly
    ]
    special_days = [_special_day(each) for each in message.special_days]
    closures = [parse_closure(each.from_, each.to, each.reason) for each in message.closures]
    _refuse_twice(week.valid_from for week in weekly)
    _refuse_twice(each.day for each in special_days)
    return StoreHours(
        weekly=tuple(
            week
            for week in sorted(weekly, key=lambda week: (week.valid_from is not None, week.valid_from))
            if week.rows or week.valid_from is not None
        ),
        special_days=tuple(sorted(special_days, key=lambda each: each.day)),
        closures=tuple(sorted(closures)),
    )


def _special_day(message: _SpecialDay) -> SpecialDay:
    day = parse_date(message.date)
    for row in message.hours:
        if row.day not in (UNSET, weekday_of(day)):
            raise Rejected(RejectReason.BAD_DAY, f"{row.day} for {message.date}")
    rows = [parse_hours_row(0, row.start_time_local, row.end_time_local) for row in message.hours]
    return SpecialDay(day, tuple(sorted({(row.start_us, row.end_us) for row in rows})), message.reason)


def _week(rows: "Iterable[_Row | _WeeklyRow]") -> Week:
    return week_of([parse_hours_row(row.day, row.start_time_local, row.end_time_local) for row in rows])


def _refuse_twice(dates: Iterable[int | None]) -> None:
    every = list(dates)
    if len(set(every)) < len(every):
        raise Rejected(RejectReason.TWO_FOR_ONE_DATE, "")


def _row(row: HoursRow) -> dict[str, Any]:
    return {"day": row.day, **_day_row(row.start_us, row.end_us)}


def _day_row(start_us: int, end_us: int) -> dict[str, str]:
    return {"start_time_local": format_day_time(start_us), "end_time_local": format_day_time(end_us)}
