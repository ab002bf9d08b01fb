"""What the records of the source topics mean, by rules 3, in the plainest way.

Owns: which record counts, which must be sent on, which is a dead letter. Shares no code with the product but
Kafka's own hash. Must not know: brokers, processes, reports.

The state of a partition is a function of the records in that partition alone, copies that were sent on to it
included: a copy carries in a header when and where its record was first written (its stamp).

    polls           a set for each store; a null empties it. A copy written before the last null does not count.
    hours, zones    the record with the greatest stamp holds. One written to the right partition counts with at
                    least the timestamp of the store's one before it there; so there is one order, whoever is late.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from tests.oracle import zone_of

POLLS: Final = "store-polls"
HOURS: Final = "store-hours"
ZONES: Final = "store-zones"
TOPICS: Final = (POLLS, HOURS, ZONES)
STAMP_HEADER: Final = "storepulse.stamp"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_AHEAD_US: Final = 5 * 60 * 1_000_000
_DAY_TIME: Final = re.compile(r"\d\d:\d\d:\d\d")
_STATUS_OF: Final = {"A": "active", "I": "inactive"}

Rows = tuple[tuple[int, str, str], ...]


class Stamp(NamedTuple):
    """When and where a record was first written; greater is later."""

    timestamp_ms: int
    partition: int
    offset: int


_FIRST: Final = Stamp(-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Written:
    """A record as it stands in a source topic. `stamp` is that of the record of which it is a copy."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    stamp: Stamp | None = None

    @property
    def first_written(self) -> Stamp:
        """Its own stamp, or that which it carries."""
        return self.stamp or Stamp(self.timestamp_ms, self.partition, self.offset)


class Letter(NamedTuple):
    """A record, or part of one, that belongs to the dead letters: where it stands."""

    topic: str
    partition: int
    offset: int
    reason: str


class Bad(ValueError):
    """A record that contributes nothing; its text is the reason."""


class Said(NamedTuple):
    """What a record says of a store: polls, rows of hours or a zone; None forgets. `bad`: why single polls are."""

    store_id: str
    what: Any
    bad: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one store."""

    polls: frozenset[tuple[int, str]] = frozenset()
    hours: Rows | None = None
    zone: str | None = None


@dataclass(slots=True)
class Meaning:
    """What some records mean: the stores that are known, the dead letters, and the strays by their stamps."""

    stores: dict[str, Known] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    strays: list[tuple[str, Stamp]] = field(default_factory=list)
    copies: list[tuple[str, Stamp]] = field(default_factory=list)


def home_of(store_id: str, partitions: int) -> int:
    """The partition of a store."""
    return int((murmur2(store_id.encode()) & 0x7FFFFFFF) % partitions)


def meaning_of_partition(records: Iterable[Written], partition: int, partitions: int) -> Meaning:
    """What the records of one partition, in the order of the log topic by topic, mean for its stores."""
    meaning, stores = Meaning(), _Stores()
    for record in records:
        assert record.partition == partition
        if record.stamp is not None:
            meaning.copies.append((record.topic, record.stamp))
        try:
            said = read(record)
            is_home = home_of(said.store_id, partitions) == partition
            if not is_home and record.topic == POLLS and said.what is None:
                raise Bad("misplaced_tombstone")
        except Bad as bad:
            meaning.letters.append(_letter(record, str(bad)))
            continue
        if is_home:
            stores.take(record, said)
            meaning.letters += [_letter(record, reason) for reason in dict.fromkeys(said.bad)]
        else:
            meaning.strays.append((record.topic, record.first_written))
    meaning.stores = stores.known()
    return meaning


def meaning_of_originals(records: Iterable[Written], partitions: int) -> Meaning:
    """What the records that producers wrote mean, wherever they put them. Copies are left out; strays count."""
    originals = [record for record in records if record.stamp is None]
    whole = Meaning()
    for partition in range(partitions):
        here = [record for record in originals if record.partition == partition]
        sent_on = [
            _copy(record, partition) for record in originals if _strays_to(record, partitions) == partition
        ]
        found = meaning_of_partition(here + sent_on, partition, partitions)
        whole.stores |= found.stores
        whole.letters += found.letters
        whole.strays += found.strays
    return whole


class _Stores:
    """What the records so far make of the stores of a partition."""

    def __init__(self) -> None:
        self._polls: dict[str, set[tuple[int, str]]] = {}
        self._forgotten: dict[str, Stamp] = {}
        self._last: dict[tuple[str, str], tuple[Stamp, Any]] = {}
        self._clock: dict[tuple[str, str], int] = {}

    def take(self, record: Written, said: Said) -> None:
        stamp = record.first_written
        if record.stamp is None:
            at = (record.topic, said.store_id)
            self._clock[at] = max(self._clock.get(at, -1), stamp.timestamp_ms)
            stamp = stamp._replace(timestamp_ms=self._clock[at])
        if record.topic != POLLS:
            held = self._last.get((record.topic, said.store_id), (_FIRST, None))
            self._last[record.topic, said.store_id] = max(held, (stamp, said.what), key=lambda each: each[0])
        elif said.what is None:
            self._polls[said.store_id] = set()
            self._forgotten[said.store_id] = stamp
        elif record.stamp is None or stamp > self._forgotten.get(said.store_id, _FIRST):
            self._polls.setdefault(said.store_id, set()).update(said.what)

    def known(self) -> dict[str, Known]:
        stores = self._polls.keys() | {store_id for _, store_id in self._last}
        found = {
            store_id: Known(
                frozenset(self._polls.get(store_id, ())),
                self._last.get((HOURS, store_id), (_FIRST, None))[1],
                self._last.get((ZONES, store_id), (_FIRST, None))[1],
            )
            for store_id in stores
        }
        return {store_id: known for store_id, known in found.items() if known != Known()}


@lru_cache(maxsize=100_000)
def read(record: Written) -> Said:
    """What one record says. Raises Bad."""
    key = None if record.key is None else record.key.decode()
    if record.value is None:
        if not key:
            raise Bad("no store id")
        return Said(key, None)
    try:
        message = json.loads(record.value)
        store_id = message["store_id"]
    except (ValueError, KeyError, TypeError):
        raise Bad("not the JSON this topic takes") from None
    if key is not None and key != store_id:
        raise Bad("key differs from the value's store")
    latest_us = record.first_written.timestamp_ms * 1000 + _MAX_AHEAD_US
    if record.topic == POLLS:
        return _polls(store_id, message, latest_us)
    return Said(store_id, _rows(message) if record.topic == HOURS else _zone(message))


def _polls(store_id: str, message: Mapping[str, Any], latest_us: int) -> Said:
    if "timestamps_us" not in message:
        at_us = instant_us(message["timestamp_utc"])
        if message["status"] not in _STATUS_OF.values():
            raise Bad("unknown status")
        if at_us > latest_us:
            raise Bad("poll more than 5 minutes ahead of its record")
        return Said(store_id, frozenset({(at_us, message["status"])}))
    good, bad = set(), []
    for at_us, letter in zip(message["timestamps_us"], message["statuses"], strict=True):
        if letter not in _STATUS_OF:
            bad.append("unknown status")
        elif at_us > latest_us:
            bad.append("poll more than 5 minutes ahead of its record")
        else:
            good.add((at_us, _STATUS_OF[letter]))
    return Said(store_id, frozenset(good), tuple(bad))


def _rows(message: Mapping[str, Any]) -> Rows:
    rows = []
    for row in message["hours"]:
        if not 0 <= row["day"] <= 6:
            raise Bad("day outside 0 to 6")
        if not all(_DAY_TIME.fullmatch(row[name]) for name in ("start_time_local", "end_time_local")):
            raise Bad("no time of day")
        rows.append((row["day"], row["start_time_local"], row["end_time_local"]))
    return tuple(sorted(set(rows)))


def _zone(message: Mapping[str, Any]) -> str:
    zone = str(message["timezone_str"])
    try:
        zone_of(zone)
    except (FileNotFoundError, IsADirectoryError):
        raise Bad("unknown zone") from None
    return zone


def instant_us(text: str) -> int:
    """The instant of `2024-03-01 12:00:00.5 UTC`. Raises Bad."""
    try:
        at = datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)
    except ValueError:
        raise Bad("unparseable time") from None
    return (at - _EPOCH) // timedelta(microseconds=1)


def _strays_to(record: Written, partitions: int) -> int | None:
    """The partition that a stray must be sent on to; None for what is no stray."""
    try:
        said = read(record)
    except Bad:
        return None
    home = home_of(said.store_id, partitions)
    is_sent_on = home != record.partition and not (record.topic == POLLS and said.what is None)
    return home if is_sent_on else None


def _copy(record: Written, partition: int) -> Written:
    return Written(
        record.topic,
        partition,
        record.offset,
        record.timestamp_ms,
        record.key,
        record.value,
        record.first_written,
    )


def _letter(record: Written, reason: str) -> Letter:
    return Letter(record.topic, record.partition, record.offset, reason)
