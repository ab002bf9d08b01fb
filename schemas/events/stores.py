"""Which store a record is about, and whether it is JSON at all: what the records of all source topics share.

Owns: keys, and how they must agree with values. Must not know: what else is in a record. A key is the store id in
UTF-8; the value names the store too.
"""

from typing import Any, Final

import msgspec

from schemas.values import (
    MAX_STORE_ID_BYTES,
    Rejected,
    RejectReason,
    StoreId,
    parse_known_store_id,
    parse_store_id,
)

_MAX_KNOWN: Final = 65_536
_known: Final[dict[tuple[bytes | None, str], StoreId]] = {}
"""Stores by key and name of a record. Long texts are left out, so that it is bounded in bytes too."""


def forgotten_store(key: bytes | None) -> StoreId:
    """The store that a record without a value is about. Raises Rejected."""
    return parse_known_store_id(_text_of(key))


def store_of(key: bytes | None, named: str) -> StoreId:
    """The store that key and value agree on; a record without a key takes it from the value.

    Raises Rejected.
    """
    return _known.get((key, named)) or _agreed(key, named)


def _agreed(key: bytes | None, named: str) -> StoreId:
    store_id, keyed = parse_store_id(named), _text_of(key)
    if keyed is not None and parse_known_store_id(keyed) != store_id:
        raise Rejected(RejectReason.KEY_MISMATCH, keyed)
    if len(key or b"") + len(named) <= 2 * MAX_STORE_ID_BYTES:
        if len(_known) >= _MAX_KNOWN:
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


def decoded(decode: Any, value: bytes) -> Any:
    """What a decoder of msgspec makes of a value. Raises Rejected."""
    try:
        return decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = RejectReason.NO_STORE_ID if "store_id" in str(error) else RejectReason.NOT_JSON
        raise Rejected(reason, str(error)) from None
