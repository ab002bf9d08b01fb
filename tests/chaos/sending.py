"""What producers of a round send, made from chance alone.

Owns: batches of records of some tens of stores: polls in order, late and repeated, hours, zones, forgetting,
strays, bad ones. Must not know: when they are sent.

    AS_OF − 25 d … − 20 d      the oldest polls: of stores that poll again, retention drops them
    AS_OF − 3 d … AS_OF        all others
"""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from tests.chaos.actions import Note
from tests.chaos.meaning import HOURS, POLLS, ZONES, home_of

AS_OF_US: Final = 1_709_510_400_000_000
"""2024-03-04 00:00 UTC. Every poll is before it, so every report of a round can look back from it."""
_MINUTE_US: Final = 60_000_000
_DAY_US: Final = 86_400_000_000
_BEGIN_US: Final = AS_OF_US - 3 * _DAY_US
_STEP_US: Final = 17 * _MINUTE_US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

ZONE_NAMES: Final = (
    "America/New_York",
    "America/Denver",
    "Europe/Dublin",
    "Asia/Kolkata",
    "Pacific/Auckland",
)
_MAX_SKEW_MS: Final = 20_000
_WEIGHTS: Final = {
    "single": 8,
    "many": 5,
    "late": 3,
    "repeated": 2,
    "hours": 3,
    "zone": 3,
    "forget": 2,
    "stray": 5,
    "stray hours or zone": 4,
    "stray forgetting": 2,
    "bad": 2,
}
STRAY_KINDS: Final = ("stray", "stray hours or zone", "stray forgetting")
QUIET_KINDS: Final = tuple(kind for kind in _WEIGHTS if kind not in STRAY_KINDS)


class Sending:
    """Makes batches, each going on where the one before ended. `kinds` are the sorts of records among them."""

    def __init__(
        self, chance: Random, stores: int, partitions: int, kinds: tuple[str, ...] = tuple(_WEIGHTS)
    ) -> None:
        self._chance = chance
        self._partitions = partitions
        self._kinds = kinds
        self._stores = [str(481_966_498_820_158_900 + 7 * number) for number in range(stores)]
        self._now_us = _BEGIN_US
        self._sent: list[tuple[str, int, str]] = []

    def opening(self) -> tuple[Note, ...]:
        """What is sent first: of every store polls, of most hours and a zone, of some old polls as well."""
        notes = []
        for store_id in self._stores:
            if self._chance.random() < 0.7:
                notes.append(self._hours(store_id))
            if self._chance.random() < 0.7:
                notes.append(self._zone(store_id))
            if self._chance.random() < 0.5:
                notes.append(self._old_polls(store_id))
            notes.append(self._single(store_id))
        return tuple(notes)

    def batch(self, size: int) -> tuple[Note, ...]:
        """Some records; story time goes on by a quarter of an hour."""
        weights = [_WEIGHTS[kind] for kind in self._kinds]
        kinds = self._chance.choices(self._kinds, weights, k=size)
        return tuple(self._note(kind) for kind in kinds)

    def dropping(self) -> tuple[Note, ...]:
        """Old polls of some stores, and at once new ones, so that retention drops them."""
        stores = self._chance.sample(self._stores, len(self._stores) // 2)
        return tuple(note for each in stores for note in (self._old_polls(each), self._single(each)))

    def forgetting(self) -> tuple[Note, ...]:
        """Nulls for all that is known of some stores, and then a poll of half of them."""
        stores = self._chance.sample(self._stores, len(self._stores) // 3)
        nulls = [self._home(topic, each, None) for each in stores for topic in (POLLS, HOURS, ZONES)]
        return (*nulls, *(self._single(each) for each in stores[::2]))

    def strays(self) -> tuple[Note, ...]:
        """Records that librdkafka would have put elsewhere, nulls among them."""
        return tuple(self._note(kind) for kind in STRAY_KINDS * 4 if kind in self._kinds)

    def forgetting_of(self, note: Note) -> Note:
        """The null, where it belongs, that forgets what a record of polls says."""
        return self._home(POLLS, (note.key or b"").decode(), None)

    def _note(self, kind: str) -> Note:
        store_id = self._chance.choice(self._stores)
        makers: dict[str, Callable[[str], Note]] = {
            "single": self._single,
            "many": self._many,
            "late": self._late,
            "repeated": self._repeated,
            "hours": self._hours,
            "zone": self._zone,
            "forget": self._forget,
            "stray": lambda each: self._elsewhere(
                self._chance.choice((self._single, self._many, self._late))(each)
            ),
            "stray hours or zone": lambda each: self._elsewhere(
                self._chance.choice((self._hours, self._zone, self._forget_hours_or_zone))(each)
            ),
            "stray forgetting": lambda each: self._elsewhere(self._home(POLLS, each, None)),
            "bad": self._bad,
        }
        return makers[kind](store_id)

    def _single(self, store_id: str) -> Note:
        self._now_us = min(self._now_us + self._chance.randrange(_STEP_US // 4), AS_OF_US - 1)
        return self._one_poll(store_id, self._now_us, self._status())

    def _late(self, store_id: str) -> Note:
        return self._one_poll(store_id, self._chance.randrange(_BEGIN_US, self._now_us + 1), self._status())

    def _repeated(self, store_id: str) -> Note:
        return self._one_poll(*self._chance.choice(self._sent)) if self._sent else self._single(store_id)

    def _many(self, store_id: str) -> Note:
        first_us = self._chance.randrange(_BEGIN_US, self._now_us + 1)
        times = sorted(
            self._chance.randrange(first_us, self._now_us + 1) for _ in range(self._chance.randrange(2, 30))
        )
        return self._many_polls(store_id, times)

    def _old_polls(self, store_id: str) -> Note:
        from_us = AS_OF_US - 25 * _DAY_US
        return self._many_polls(store_id, [from_us + self._chance.randrange(5 * _DAY_US) for _ in range(12)])

    def _one_poll(self, store_id: str, at_us: int, status: str) -> Note:
        self._sent.append((store_id, at_us, status))
        at = (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
        return self._home(POLLS, store_id, {"status": status, "timestamp_utc": at})

    def _many_polls(self, store_id: str, times: list[int]) -> Note:
        letters = "".join(self._chance.choice("AI") for _ in times)
        return self._home(POLLS, store_id, {"timestamps_us": times, "statuses": letters})

    def _hours(self, store_id: str) -> Note:
        days = self._chance.sample(range(7), self._chance.randrange(1, 8))
        rows = [self._row(day) for day in days for _ in range(self._chance.choice((1, 1, 2)))]
        return self._skewed(self._home(HOURS, store_id, {"hours": rows}))

    def _row(self, day: int) -> dict[str, Any]:
        start, end = self._chance.randrange(24), self._chance.randrange(24)
        return {"day": day, "start_time_local": f"{start:02d}:15:00", "end_time_local": f"{end:02d}:59:59"}

    def _zone(self, store_id: str) -> Note:
        return self._skewed(self._home(ZONES, store_id, {"timezone_str": self._chance.choice(ZONE_NAMES)}))

    def _forget(self, store_id: str) -> Note:
        return self._home(self._chance.choice((POLLS, HOURS, ZONES)), store_id, None)

    def _forget_hours_or_zone(self, store_id: str) -> Note:
        return self._home(self._chance.choice((HOURS, ZONES)), store_id, None)

    def _bad(self, store_id: str) -> Note:
        good = self._one_poll(store_id, self._now_us, "active")
        self._sent.pop()
        bad: tuple[tuple[str, Any], ...] = (
            (POLLS, b"{nonsense"),
            (POLLS, {"status": "asleep", "timestamp_utc": "2024-03-01 00:00:00 UTC"}),
            (POLLS, {"timestamps_us": [self._now_us, self._now_us], "statuses": "AX"}),
            (POLLS, {"status": "active", "timestamp_utc": "2999-01-01 00:00:00 UTC"}),
            (HOURS, {"hours": [{**self._row(0), "day": 7}]}),
            (ZONES, {"timezone_str": "Mars/Olympus"}),
        )
        topic, value = self._chance.choice(bad)
        if isinstance(value, bytes):
            return Note(topic, good.partition, good.key, value)
        return self._home(topic, store_id, value)

    def _home(self, topic: str, store_id: str, says: dict[str, Any] | None) -> Note:
        value = None if says is None else json.dumps({"store_id": store_id, **says}).encode()
        return Note(topic, home_of(store_id, self._partitions), store_id.encode(), value)

    def _skewed(self, note: Note) -> Note:
        """Some producers' clocks are off."""
        if self._chance.random() < 0.7:
            return note
        skew_ms = self._chance.randrange(-_MAX_SKEW_MS, _MAX_SKEW_MS)
        return Note(note.topic, note.partition, note.key, note.value, skew_ms)

    def _elsewhere(self, note: Note) -> Note:
        """Where librdkafka would put it, which for some keys is where it belongs."""
        partition = zlib.crc32(note.key or b"") % self._partitions
        return Note(note.topic, partition, note.key, note.value, note.skew_ms)

    def _status(self) -> str:
        return self._chance.choice(("active", "inactive"))
