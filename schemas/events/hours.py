"""Records of `store-hours`: all opening hours of a store but its zone.

Owns: their JSON, and how it is read. Must not know: which broker carries it.

    {"store_id": "s", "hours": [{"day": 0, "start_time_local": "09:00:00", "end_time_local": "17:00:00"}, …]}
    null                                                    forgets them
"""

from collections.abc import Sequence

import msgspec

from schemas.events.stores import decoded, forgotten_store, store_of
from schemas.opening_hours import HoursRow, Week, format_day_time, parse_hours_row, week_of
from schemas.values import StoreId


class _HoursRowMessage(msgspec.Struct):
    day: int
    start_time_local: str
    end_time_local: str


class _HoursMessage(msgspec.Struct):
    store_id: str
    hours: list[_HoursRowMessage]


_decode_hours = msgspec.json.Decoder(_HoursMessage).decode
_encode = msgspec.json.Encoder().encode


def decode_hours(key: bytes | None, value: bytes | None) -> tuple[StoreId, Week | None]:
    """The week in one record, None to forget it. One bad row rejects the record. Raises Rejected."""
    if value is None:
        return forgotten_store(key), None
    message = decoded(_decode_hours, value)
    store_id = store_of(key, message.store_id)
    return store_id, week_of(
        [parse_hours_row(row.day, row.start_time_local, row.end_time_local) for row in message.hours]
    )


def encode_hours(store_id: StoreId, week: Sequence[HoursRow]) -> bytes:
    """The whole week of one store."""
    hours = [
        _HoursRowMessage(row.day, format_day_time(row.start_us), format_day_time(row.end_us)) for row in week
    ]
    return _encode(_HoursMessage(store_id, hours))
