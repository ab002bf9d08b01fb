"""Records of `store-zones`: the time zone of a store.

Owns: their JSON, and how it is read. Must not know: which broker carries it.

    {"store_id": "s", "timezone_str": "America/Chicago"}
    null                                                    forgets it
"""

import msgspec

from schemas.events.stores import decoded, forgotten_store, store_of
from schemas.opening_hours import parse_zone
from schemas.values import StoreId


class _ZoneMessage(msgspec.Struct):
    store_id: str
    timezone_str: str


_decode_zone = msgspec.json.Decoder(_ZoneMessage).decode
_encode = msgspec.json.Encoder().encode


def decode_zone(key: bytes | None, value: bytes | None) -> tuple[StoreId, str | None]:
    """The zone in one record, None to forget it. Raises Rejected."""
    if value is None:
        return forgotten_store(key), None
    message = decoded(_decode_zone, value)
    return store_of(key, message.store_id), parse_zone(message.timezone_str)


def encode_zone(store_id: StoreId, zone: str) -> bytes:
    """The zone of one store."""
    return _encode(_ZoneMessage(store_id, zone))
