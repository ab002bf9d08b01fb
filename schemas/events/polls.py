"""Records of `store-polls`: their JSON, how it is read, and why some of it is turned away.

Owns: the JSON of one poll, and of a record that forgets polls. Must not know: which broker carries it, many polls
in one record (schemas.events.many_polls).

    {"store_id": "s", "status": "active", "timestamp_utc": "2023-01-22 12:09:39.388884 UTC"}
    {"store_id": "s", "timestamps_us": [1674389379388884, …], "statuses": "AI…"}
    null                                                    forgets the store's polls

In the many-polls form, poll k is at `timestamps_us[k]` and `statuses[k]` is A (active) or I (inactive).
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.arrays import Int64s
from schemas.events.many_polls import NO_REJECTS, Rejects, read_polls
from schemas.events.stores import decoded, forgotten_store, store_of
from schemas.values import (
    LATEST_INSTANT_US,
    MINUTE_US,
    Rejected,
    RejectReason,
    Status,
    StoreId,
    pack_poll,
    parse_timestamp,
)

ACCEPT_LOSS_HEADER: Final = "storepulse.accept-loss"
"""A record with this header, whatever its key and value, accepts all losses of its partition."""

MAX_AHEAD_US: Final = 5 * MINUTE_US
"""A poll further ahead of its record's own timestamp is refused (rules 3)."""

_NOT_SAID: Final = msgspec.Raw(b"null")


class _PollMessage(msgspec.Struct):
    store_id: str
    status: str | None = None
    timestamp_utc: str | None = None
    timestamps_us: msgspec.Raw = _NOT_SAID
    statuses: str = ""


@dataclass(frozen=True, slots=True)
class DecodedPolls:
    """The good polls of one record, as codes, and why the others of a many-polls record were turned away.

    `packed` is None where the record forgets all polls of the store.
    """

    store_id: StoreId
    packed: Int64s | list[int] | None
    rejects: Rejects


_ACTIVE: Final = {status.value: pack_poll(0, status) for status in Status}

_decode_poll = msgspec.json.Decoder(_PollMessage).decode
_encode = msgspec.json.Encoder().encode


def decode_polls(key: bytes | None, value: bytes | None, recorded_ms: int) -> DecodedPolls:
    """The polls in one record; `recorded_ms` is the record's own timestamp, negative where it has none.

    Raises Rejected. Without a timestamp no poll can be judged as it was the first time, so none is taken.
    """
    if value is None:
        return DecodedPolls(forgotten_store(key), None, NO_REJECTS)
    if recorded_ms < 0:
        raise Rejected(RejectReason.NO_TIMESTAMP, str(recorded_ms))
    message = decoded(_decode_poll, value)
    store_id = store_of(key, message.store_id)
    latest_us = min(recorded_ms * 1000 + MAX_AHEAD_US, LATEST_INSTANT_US - 1)
    many = message.timestamps_us
    if many is not _NOT_SAID and many != _NOT_SAID:
        return _many_polls(store_id, bytes(many), message.statuses, latest_us)
    active = _ACTIVE.get(message.status or "")
    if active is None:
        raise Rejected(RejectReason.UNKNOWN_STATUS, message.status or "")
    at_us = parse_timestamp(message.timestamp_utc or "")
    if at_us > latest_us:
        raise Rejected(RejectReason.TOO_FAR_AHEAD, message.timestamp_utc or "")
    return DecodedPolls(store_id, [at_us * 2 + active], NO_REJECTS)


def encode_poll(store_id: StoreId, status: str, timestamp_utc: str) -> bytes:
    """One poll a record, as an outside producer would write it."""
    return _encode({"store_id": store_id, "status": status, "timestamp_utc": timestamp_utc})


def encode_polls(store_id: StoreId, timestamps_us: list[int], statuses: str) -> bytes:
    """Many polls of one store in one record; `statuses` has a letter, A or I, for each instant."""
    return _encode({"store_id": store_id, "timestamps_us": timestamps_us, "statuses": statuses})


def _many_polls(store_id: StoreId, timestamps_us: bytes, statuses: str, latest_us: int) -> DecodedPolls:
    if timestamps_us[:1] != b"[":
        raise Rejected(RejectReason.NOT_JSON, "timestamps_us is no array")
    return DecodedPolls(store_id, *read_polls(timestamps_us, statuses, latest_us))


assert LATEST_INSTANT_US < 1 << 62, "a code must fit 63 bits"
