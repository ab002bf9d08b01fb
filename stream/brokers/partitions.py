"""Which partition a store belongs to.

Owns: the hash. Must not know: topics or brokers. It is the default of Kafka's Java client and of aiokafka, so
that records of most producers already are where they belong.
"""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]  # it has no types

from schemas.values import StoreId

_MAX_REMEMBERED: Final = 1_000_000
_LONGEST_REMEMBERED: Final = 64
"""Characters of a remembered id: real ids fit, and all of them together are bounded in bytes too."""


def partition_of(store_id: StoreId, partitions: int) -> int:
    """The partition of a store among `partitions`."""
    return (_remembered if len(store_id) <= _LONGEST_REMEMBERED else _hashed)(store_id, partitions)


def _hashed(store_id: StoreId, partitions: int) -> int:
    return int((murmur2(store_id.encode()) & 0x7FFFFFFF) % partitions) if partitions > 1 else 0


_remembered = lru_cache(maxsize=_MAX_REMEMBERED)(_hashed)


def partition_of_key(key: bytes | None, partitions: int) -> int:
    """The partition of a record's key; that of records without one is 0."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions) if key is not None and partitions > 1 else 0
