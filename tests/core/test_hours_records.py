"""Records of store-hours: both formats, and what is turned away."""

import json
from typing import Any

import pytest

from schemas.events.hours import decode_hours, encode_hours
from schemas.opening_hours import (
    Closure,
    DatedWeek,
    HoursRow,
    SpecialDay,
    StoreHours,
    parse_date,
    plain_hours,
)
from schemas.values import HOUR_US, Rejected, RejectReason, StoreId
from tests.builders import utc

S1 = StoreId("s1")
ROW = {"day": 0, "start_time_local": "09:00:00", "end_time_local": "17:00:00"}
DAY_ROW = {"start_time_local": "10:00:00", "end_time_local": "12:00:00"}
MONDAY = HoursRow(0, 9 * HOUR_US, 17 * HOUR_US)
CLOSURE = {"from": "2024-05-01 10:00:00 UTC", "to": "2024-05-01T12:00:00Z"}
EMPTY: dict[str, Any] = {"store_id": "s1", "format": 2, "weekly": []}


def read(message: dict[str, Any]) -> StoreHours | None:
    return decode_hours(b"s1", json.dumps(message).encode())[1]


@pytest.mark.parametrize(
    "more", [{}, {"format": 1}, {"note": "any other key is ignored"}], ids=["as ever", "named", "more keys"]
)
def test_format_1_is_weekly_hours_for_all_time(more: dict[str, Any]) -> None:
    assert read({"store_id": "s1", "hours": [ROW, {**ROW, "note": 1}], **more}) == plain_hours((MONDAY,))


def test_format_2_says_everything() -> None:
    message = {
        **EMPTY,
        "weekly": [{"valid_from": "2024-03-01", "hours": []}, {"valid_from": None, "hours": [ROW]}],
        "special_days": [
            {"date": "2024-12-25", "hours": [], "reason": "Christmas"},
            {"date": "2024-12-24", "hours": [DAY_ROW]},
        ],
        "closures": [{**CLOSURE, "reason": "a power cut"}],
    }
    assert read(message) == StoreHours(
        (DatedWeek(None, (MONDAY,)), DatedWeek(parse_date("2024-03-01"), ())),
        (
            SpecialDay(parse_date("2024-12-24"), ((10 * HOUR_US, 12 * HOUR_US),)),
            SpecialDay(parse_date("2024-12-25"), (), "Christmas"),
        ),
        (Closure(utc("2024-05-01 10:00"), utc("2024-05-01 12:00"), "a power cut"),),
    )


@pytest.mark.parametrize("weekly", [[], [{"valid_from": None, "hours": []}]])
def test_no_weekly_hours_are_the_same_as_undated_ones_without_rows(weekly: list[Any]) -> None:
    assert read({**EMPTY, "weekly": weekly}) == plain_hours(())


@pytest.mark.parametrize("rows", [[], [ROW]])
def test_format_1_is_written_wherever_it_can_say_all(rows: list[Any]) -> None:
    message = {"store_id": "s1", "hours": rows}
    hours = read({**EMPTY, "weekly": [{"valid_from": None, "hours": rows}]})
    assert hours is not None
    assert json.loads(encode_hours(S1, hours)) == message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"store_id": "s1", "format": 3, "hours": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "format": "2", "weekly": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "format": None, "hours": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1"}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "weekly": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "hours": [], "weekly": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "hours": [], "special_days": []}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "hours": [], "closures": None}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "hours": [{**ROW, "valid_from": "2024-03-01"}]}, RejectReason.NOT_JSON),
        ({"store_id": "s1", "format": 2}, RejectReason.NOT_JSON),
        ({**EMPTY, "hours": []}, RejectReason.NOT_JSON),
        ({**EMPTY, "note": 1}, RejectReason.NOT_JSON),
        ({**EMPTY, "weekly": [{"hours": []}]}, RejectReason.NOT_JSON),
        ({**EMPTY, "weekly": [{"valid_from": None, "hours": [{**ROW, "note": 1}]}]}, RejectReason.NOT_JSON),
        ({**EMPTY, "weekly": [{"valid_from": "2024-3-1", "hours": []}]}, RejectReason.BAD_DATE),
        ({**EMPTY, "weekly": [{"valid_from": "2024-02-30", "hours": []}]}, RejectReason.BAD_DATE),
        ({**EMPTY, "weekly": [{"valid_from": None, "hours": [{**ROW, "day": 7}]}]}, RejectReason.BAD_DAY),
        ({**EMPTY, "weekly": 2 * [{"valid_from": "2024-03-01", "hours": []}]}, RejectReason.TWO_FOR_ONE_DATE),
        ({**EMPTY, "weekly": 2 * [{"valid_from": None, "hours": []}]}, RejectReason.TWO_FOR_ONE_DATE),
        ({**EMPTY, "special_days": 2 * [{"date": "2024-12-24", "hours": []}]}, RejectReason.TWO_FOR_ONE_DATE),
        ({**EMPTY, "special_days": [{"date": "soon", "hours": []}]}, RejectReason.BAD_DATE),
        (
            {**EMPTY, "special_days": [{"date": "2024-12-24", "hours": [{**DAY_ROW, "day": 2}]}]},
            RejectReason.BAD_DAY,
        ),
        (
            {
                **EMPTY,
                "special_days": [{"date": "2024-12-24", "hours": [{**DAY_ROW, "end_time_local": "25"}]}],
            },
            RejectReason.BAD_HOURS,
        ),
        ({**EMPTY, "closures": [{**CLOSURE, "to": CLOSURE["from"]}]}, RejectReason.BAD_CLOSURE),
        ({**EMPTY, "closures": [{**CLOSURE, "from": "then"}]}, RejectReason.BAD_TIME),
        ({**EMPTY, "closures": [{**CLOSURE, "note": 1}]}, RejectReason.NOT_JSON),
    ],
)
def test_a_record_that_is_not_wholly_good_is_turned_away(
    message: dict[str, Any], reason: RejectReason
) -> None:
    with pytest.raises(Rejected) as rejected:
        read(message)
    assert rejected.value.reason is reason


def test_a_special_day_may_name_its_weekday() -> None:
    """2024-12-24 is a Tuesday."""
    hours = read({**EMPTY, "special_days": [{"date": "2024-12-24", "hours": [{**DAY_ROW, "day": 1}]}]})
    assert hours is not None
    assert hours.special_days[0].spans == ((10 * HOUR_US, 12 * HOUR_US),)
