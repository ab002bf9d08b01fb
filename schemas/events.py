"""Records on the source topics: their JSON, how it is read, and why some of it is turned away.

Owns: the JSON of `store-polls`, `store-hours` and `store-zones`, and the headers of dead letters. Must not
know: which broker carries them. A record's key is its store id in UTF-8; the value names the store too.

    store-polls   {"store_id": "s", "status": "active", "timestamp_utc": "2023-01-22 12:09:39.388884 UTC"}
                  {"store_id": "s", "timestamps_us": [1674389379388884, …], "statuses": "AI…"}
                  null                                                    forgets the store's polls
    store-hours   {"store_id": "s", "hours": [{"day": 0, "start_time_local": "09:00:00",
                   "end_time_local": "17:00:00"}, …]}                     the whole week; null forgets it
    store-zones   {"store_id": "s", "timezone_str": "America/Chicago"}    null forgets it

In the many-polls form, poll k is at `timestamps_us[k]` and `statuses[k]` is A (active) or I (inactive).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.many_polls import NO_REJECTS, RejectedPolls, Rejects, read_polls
from schemas.state import Int64s
from schemas.values import (
    LATEST_INSTANT_US,
    MINUTE_US,
    MOST_STORE_ID_BYTES,
    HoursRow,
    Rejected,
    RejectReason,
    Status,
    StoreId,
    Week,
    code_of,
    format_day_time,
    parse_hours_row,
    parse_known_store_id,
    parse_store_id,
    parse_timestamp,
    parse_zone,
    week_of,
)

MOST_AHEAD_US: Final = 5 * MINUTE_US
"""A poll further ahead of its record's own timestamp is refused (rules 3)."""

_NOT_SAID: Final = msgspec.Raw(b"null")


class _PollMessage(msgspec.Struct):
    store_id: str
    status: str | None = None
    timestamp_utc: str | None = None
    timestamps_us: msgspec.Raw = _NOT_SAID
    statuses: str = ""


class _HoursRowMessage(msgspec.Struct):
    day: int
    start_time_local: str
    end_time_local: str


class _HoursMessage(msgspec.Struct):
    store_id: str
    hours: list[_HoursRowMessage]


class _ZoneMessage(msgspec.Struct):
    store_id: str
    timezone_str: str


@dataclass(frozen=True, slots=True)
class Polls:
    """The good polls of one record, as codes, and why the others of a many-polls record were turned away.

    `codes` is None where the record forgets all polls of the store.
    """

    store_id: StoreId
    codes: Int64s | list[int] | None
    rejects: Rejects


_MOST_KNOWN: Final = 65_536
_known: Final[dict[tuple[bytes | None, str], StoreId]] = {}
"""Stores by key and name of a record. Long texts are left out, so that it is bounded in bytes too."""

_ACTIVE: Final = {status.value: code_of(0, status) for status in Status}

_decode_poll = msgspec.json.Decoder(_PollMessage).decode
_decode_hours = msgspec.json.Decoder(_HoursMessage).decode
_decode_zone = msgspec.json.Decoder(_ZoneMessage).decode
_encode = msgspec.json.Encoder().encode


def decode_polls(key: bytes | None, value: bytes | None, recorded_ms: int) -> Polls:
    """The polls in one record; `recorded_ms` is the record's own timestamp, negative where it has none.

    Raises Rejected. Without a timestamp no poll can be judged as it was the first time, so none is taken.
    """
    if value is None:
        return Polls(_forgotten_store(key), None, NO_REJECTS)
    if recorded_ms < 0:
        raise Rejected(RejectReason.NO_TIMESTAMP, str(recorded_ms))
    message = _decode(_decode_poll, value)
    store_id = _known.get((key, message.store_id)) or _store_of(key, message.store_id)
    latest_us = min(recorded_ms * 1000 + MOST_AHEAD_US, LATEST_INSTANT_US - 1)
    many = message.timestamps_us
    if many is not _NOT_SAID and many != _NOT_SAID:
        return _many_polls(store_id, bytes(many), message.statuses, latest_us)
    active = _ACTIVE.get(message.status or "")
    if active is None:
        raise Rejected(RejectReason.UNKNOWN_STATUS, message.status or "")
    at_us = parse_timestamp(message.timestamp_utc or "")
    if at_us > latest_us:
        raise Rejected(RejectReason.TOO_FAR_AHEAD, message.timestamp_utc or "")
    return Polls(store_id, [at_us * 2 + active], NO_REJECTS)


def decode_hours(key: bytes | None, value: bytes | None) -> tuple[StoreId, Week | None]:
    """The week in one record, None to forget it. One bad row rejects the record. Raises Rejected."""
    if value is None:
        return _forgotten_store(key), None
    message = _decode(_decode_hours, value)
    store_id = _store_of(key, message.store_id)
    return store_id, week_of(
        [parse_hours_row(row.day, row.start_time_local, row.end_time_local) for row in message.hours]
    )


def decode_zone(key: bytes | None, value: bytes | None) -> tuple[StoreId, str | None]:
    """The zone in one record, None to forget it. Raises Rejected."""
    if value is None:
        return _forgotten_store(key), None
    message = _decode(_decode_zone, value)
    return _store_of(key, message.store_id), parse_zone(message.timezone_str)


def encode_poll(store_id: StoreId, status: str, timestamp_utc: str) -> bytes:
    """One poll a record, as an outside producer would write it."""
    return _encode({"store_id": store_id, "status": status, "timestamp_utc": timestamp_utc})


def encode_polls(store_id: StoreId, timestamps_us: list[int], statuses: str) -> bytes:
    """Many polls of one store in one record; `statuses` has a letter, A or I, for each instant."""
    return _encode({"store_id": store_id, "timestamps_us": timestamps_us, "statuses": statuses})


def encode_hours(store_id: StoreId, week: Sequence[HoursRow]) -> bytes:
    """The whole week of one store."""
    hours = [
        _HoursRowMessage(row.day, format_day_time(row.start_us), format_day_time(row.end_us)) for row in week
    ]
    return _encode(_HoursMessage(store_id, hours))


def encode_zone(store_id: StoreId, zone: str) -> bytes:
    """The zone of one store."""
    return _encode(_ZoneMessage(store_id, zone))


def dead_letter_headers(  # noqa: PLR0917  # where it stood: topic, partition, offset, index
    reason: RejectReason,
    topic: str,
    partition: int,
    offset: int,
    polls: RejectedPolls | None = None,
    right_partition: int | None = None,
) -> list[tuple[str, bytes]]:
    """Headers that say where a dead letter came from and why.

    `dlq.index` names the bad polls of a many-polls one, `dlq.right_partition` where a misplaced one belongs.
    """
    headers = [
        ("dlq.reason", reason.value.encode()),
        ("dlq.topic", topic.encode()),
        ("dlq.partition", str(partition).encode()),
        ("dlq.offset", str(offset).encode()),
    ]
    if right_partition is not None:
        headers.append(("dlq.right_partition", str(right_partition).encode()))
    if polls is not None:
        unnamed = polls.count - len(polls.indexes)
        more = f" and {unnamed} more" if unnamed else ""
        headers.append(("dlq.index", (",".join(map(str, polls.indexes)) + more).encode()))
    return headers


def cut_to_size(
    key: bytes | None, value: bytes | None, most_bytes: int
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key and value of a dead letter, cut where they are longer than `most_bytes` together.

    Where they were cut, there is a header more, which says how long they had been.
    """
    sizes = len(key or b""), len(value or b"")
    if sum(sizes) <= most_bytes:
        return key, value, []
    key = key and key[:most_bytes]
    value = value and value[: most_bytes - len(key or b"")]
    return key, value, [("dlq.truncated", b"key %d, value %d bytes" % sizes)]


def _many_polls(store_id: StoreId, timestamps_us: bytes, statuses: str, latest_us: int) -> Polls:
    if timestamps_us[:1] != b"[":
        raise Rejected(RejectReason.NOT_JSON, "timestamps_us is no array")
    return Polls(store_id, *read_polls(timestamps_us, statuses, latest_us))


def _forgotten_store(key: bytes | None) -> StoreId:
    """The store that a record without a value is about."""
    return parse_known_store_id(_text_of(key))


def _store_of(key: bytes | None, named: str) -> StoreId:
    """The store that key and value agree on; a record without a key takes it from the value."""
    store_id, keyed = parse_store_id(named), _text_of(key)
    if keyed is not None and parse_known_store_id(keyed) != store_id:
        raise Rejected(RejectReason.KEY_MISMATCH, keyed)
    if len(key or b"") + len(named) <= 2 * MOST_STORE_ID_BYTES:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key, named] = store_id
    return store_id


def _text_of(key: bytes | None) -> str | None:
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise Rejected(RejectReason.KEY_MISMATCH, repr(key[:100])) from None


def _decode(decode: Any, value: bytes) -> Any:
    try:
        return decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = RejectReason.NO_STORE_ID if "store_id" in str(error) else RejectReason.NOT_JSON
        raise Rejected(reason, str(error)) from None


assert LATEST_INSTANT_US < 1 << 62, "a code must fit 63 bits"
