"""The interpreter says what rules 3 say, by hand."""

import json
import zlib
from typing import Final

from schemas.values import StoreId
from stream.brokers.partitions import partition_of
from tests.chaos.meaning import (
    HOURS,
    POLLS,
    ZONES,
    Known,
    Meaning,
    Stamp,
    Written,
    home_of,
    meaning_of_originals,
    meaning_of_partition,
)

_STORE: Final = "100"
_HOME: Final = home_of(_STORE, 3)
_AWAY: Final = (_HOME + 1) % 3


def poll(
    offset: int, second: int, partition: int = _HOME, ms: int | None = None, copy_of: Stamp | None = None
) -> Written:
    at = f"2024-03-01 00:00:{second:02d} UTC"
    value = {"store_id": _STORE, "status": "active", "timestamp_utc": at}
    return _written(POLLS, (partition, offset, ms), json.dumps(value).encode(), copy_of)


def forgotten(topic: str, offset: int, partition: int = _HOME, ms: int | None = None) -> Written:
    return _written(topic, (partition, offset, ms), None, None)


def zone(
    offset: int, name: str, partition: int = _HOME, ms: int | None = None, copy_of: Stamp | None = None
) -> Written:
    value = {"store_id": _STORE, "timezone_str": name}
    return _written(ZONES, (partition, offset, ms), json.dumps(value).encode(), copy_of)


def _written(
    topic: str, place: tuple[int, int, int | None], value: bytes | None, copy_of: Stamp | None
) -> Written:
    partition, offset, ms = place
    late_ms = 1_800_000_000_000 + (offset if ms is None else ms)
    return Written(topic, partition, offset, late_ms, _STORE.encode(), value, copy_of)


def at_home(*records: Written) -> Meaning:
    return meaning_of_partition(records, _HOME, 3)


def polled(meaning: Meaning) -> list[int]:
    """The seconds at which the store was polled."""
    return sorted(at_us // 1_000_000 % 60 for at_us, _ in meaning.stores.get(_STORE, Known()).polls)


def test_the_partition_of_a_store_is_the_product_s_and_rarely_that_of_librdkafka() -> None:
    stores = [StoreId(str(number)) for number in range(1000)]
    assert all(home_of(store, 12) == partition_of(store, 12) for store in stores)
    assert sum(home_of(store, 12) == zlib.crc32(store.encode()) % 12 for store in stores) < 130


def test_a_null_forgets_the_polls_that_stand_before_it_and_no_later_ones() -> None:
    assert polled(at_home(poll(0, 1), forgotten(POLLS, 1), poll(2, 3))) == [3]


def test_a_copy_counts_unless_its_record_was_written_before_the_last_null() -> None:
    base = 1_800_000_000_000
    before, after = Stamp(base, _AWAY, 7), Stamp(base + 9, _AWAY, 8)
    records = [forgotten(POLLS, 1, ms=5), poll(2, 20, copy_of=before), poll(3, 30, copy_of=after)]
    assert polled(at_home(*records)) == [30]


def test_a_null_in_the_wrong_partition_forgets_nothing_and_is_a_dead_letter() -> None:
    meaning = meaning_of_originals([poll(0, 1), forgotten(POLLS, 0, partition=_AWAY)], 3)
    assert polled(meaning) == [1]
    assert [letter.reason for letter in meaning.letters] == ["misplaced_tombstone"]
    assert not meaning.strays


def test_of_zones_the_record_with_the_greatest_stamp_holds_however_late_its_copy_arrives() -> None:
    old = Stamp(1_800_000_000_000, _AWAY, 0)
    meaning = at_home(zone(0, "Asia/Tokyo", ms=5), zone(1, "Europe/Rome", copy_of=old))
    assert meaning.stores[_STORE].zone == "Asia/Tokyo"


def test_among_records_of_the_right_partition_the_log_s_order_holds_whatever_their_clocks_said() -> None:
    meaning = at_home(zone(0, "Asia/Tokyo", ms=50), zone(1, "Europe/Rome", ms=20))
    assert meaning.stores[_STORE].zone == "Europe/Rome"


def test_a_stray_older_than_what_the_clock_had_reached_at_home_is_overruled() -> None:
    """Home: 50, then 20, which counts as 50. The stray of 30 was written earlier than that."""
    stray = Stamp(1_800_000_000_030, _AWAY, 0)
    meaning = at_home(
        zone(0, "Asia/Tokyo", ms=50), zone(1, "Europe/Rome", ms=20), zone(2, "Asia/Dhaka", copy_of=stray)
    )
    assert meaning.stores[_STORE].zone == "Europe/Rome"


def test_a_store_that_was_forgotten_everywhere_is_unknown() -> None:
    meaning = at_home(
        poll(0, 1), forgotten(POLLS, 1), zone(0, "Asia/Tokyo"), forgotten(ZONES, 1), forgotten(HOURS, 0)
    )
    assert not meaning.stores


def test_strays_mean_the_same_wherever_they_stand() -> None:
    records = [poll(0, 1), poll(0, 2, partition=_AWAY), zone(0, "Asia/Tokyo", partition=_AWAY)]
    meaning = meaning_of_originals(records, 3)
    assert polled(meaning) == [1, 2]
    assert meaning.stores[_STORE].zone == "Asia/Tokyo"
    assert [topic for topic, _ in meaning.strays] == [POLLS, ZONES]


def test_the_good_polls_of_a_record_count_beside_a_bad_one() -> None:
    value = {"store_id": _STORE, "timestamps_us": [1, 2], "statuses": "AX"}
    meaning = at_home(_written(POLLS, (_HOME, 4, None), json.dumps(value).encode(), None))
    assert meaning.stores[_STORE].polls == {(1, "active")}
    assert meaning.letters == [(POLLS, _HOME, 4, "unknown status")]
