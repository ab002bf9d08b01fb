"""What a worker makes of records that other programs wrote: good, bad, stray, and none at all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from query_api.errors import OtherZoneDatabase
from schemas.opening_hours import week_of
from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY
from schemas.rows.summaries import decode_day_counts, decode_summaries, encode_summaries, summary_key
from schemas.rows.table_format import FORMAT_KEY
from schemas.settings import Settings
from schemas.summaries import StoreSummary
from schemas.topics import ALL_TOPICS, DEAD_LETTERS, HOURS, MAX_RECORD_BYTES, POLLS, ZONES
from schemas.values import MINUTE_US, StoreId
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.partitions import partition_of
from stream.brokers.records import NewRecord, Record
from stream.core.calendar import ZONE_DATABASE
from stream.tables.rocks import open_table
from tests.builders import rows, utc
from tests.e2e.harness import running, snapshot_of, storepulse, until, wait_until_applied

pytestmark = pytest.mark.slow

NOON_MS = utc("2024-03-14 12:00") // 1000
PARTITIONS = 4


@dataclass
class Fleet:
    """A worker on an embedded log of four partitions, and a producer of our own."""

    settings: Settings
    log: EmbeddedLog

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None = None,
        at_ms: int = NOON_MS,
    ) -> None:
        """Append a record dated noon, and wait until the worker has applied it."""
        target = (
            partition_of(StoreId((key or b"s1").decode()), PARTITIONS) if partition is None else partition
        )
        (offset,) = self.log.append([NewRecord(topic, target, key, value, at_ms)])
        wait_until_applied(self.settings.state, {(topic, target): offset + 1})

    def send_poll(self, value: bytes, key: bytes = b"s1", partition: int | None = None) -> None:
        self.send(POLLS, key, value, partition)

    def summary(self, store_id: str = "s1") -> StoreSummary | None:
        with snapshot_of(self.settings.state) as snapshot:
            return snapshot.summary(StoreId(store_id))

    def latest_us(self) -> int | None:
        with snapshot_of(self.settings.state) as snapshot:
            return snapshot.latest_us()

    def dead_letters(self) -> list[tuple[Record, dict[str, str]]]:
        found = [
            record
            for partition in range(PARTITIONS)
            for record in self.log.read(DEAD_LETTERS, partition, 0, 100, 1 << 30)
        ]
        return [(record, {name: content.decode() for name, content in record.headers}) for record in found]


def declare_all(log: EmbeddedLog, partitions: int) -> None:
    """Declare all topics, as a worker would before anything is sent."""
    for topic in ALL_TOPICS:
        log.declare_topic(topic.name, partitions, topic.cleanup)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("STOREPULSE_PARTITIONS", str(PARTITIONS))
    settings = Settings(state=tmp_path / "state", partitions=PARTITIONS)
    with EmbeddedLog(settings.log_path) as log:
        declare_all(log, PARTITIONS)
        with running("worker", state=settings.state):
            yield Fleet(settings, log)


def poll(status: str = "active", at: str = "2024-03-14 11:00:00 UTC", store_id: object = "s1") -> bytes:
    return json.dumps({"store_id": store_id, "status": status, "timestamp_utc": at}).encode()


def counts(summary: StoreSummary | None) -> tuple[int, int]:
    """Active and inactive polls."""
    return (0, 0) if summary is None else (int(summary.days[:, 1].sum()), int(summary.days[:, 2].sum()))


def test_one_poll_is_counted_with_or_without_a_key(fleet: Fleet) -> None:
    fleet.send_poll(poll())
    fleet.send(POLLS, None, poll(at="2024-03-14T11:30:00Z"), partition_of(StoreId("s1"), PARTITIONS))
    assert counts(fleet.summary()) == (2, 0)
    assert fleet.dead_letters() == []


def test_bad_records_go_to_the_dead_letters_as_they_came_and_stop_nothing(fleet: Fleet) -> None:
    bad = {
        b"{": "not the JSON this topic takes",
        poll(status="asleep"): "unknown status",
        poll(at="soon"): "unparseable time",
        poll(at="1969-12-31 00:00:00 UTC"): "instant before 1970",
        poll(at="2999-01-01 00:00:00 UTC"): "poll more than 5 minutes ahead of its record",
        poll(at="2024-03-14 12:05:01 UTC"): "poll more than 5 minutes ahead of its record",
        poll(store_id=17): "no store id",
        poll(store_id=""): "no store id",
        poll(store_id="s2"): "key differs from the value's store",
        b'{"store_id": "s1", "x": ' + 100_000 * b"[" + 100_000 * b"]" + b"}": "not the JSON this topic takes",
    }
    for value in bad:
        fleet.send_poll(value)
    fleet.send_poll(poll(at="2024-03-14 12:05:00 UTC"))
    assert counts(fleet.summary()) == (1, 0)
    letters = fleet.dead_letters()
    assert {record.value: headers["dlq.reason"] for record, headers in letters} == bad
    assert {record.key for record, _ in letters} == {b"s1"}
    home = partition_of(StoreId("s1"), PARTITIONS)
    places = {(h["dlq.topic"], h["dlq.partition"], h["dlq.offset"]) for _, h in letters}
    assert places == {(POLLS, str(home), str(offset)) for offset in range(len(bad))}


def test_in_a_many_polls_record_the_good_count_and_the_header_names_the_bad(fleet: Fleet) -> None:
    at_us = [utc(f"2024-03-14 0{hour}:00") for hour in range(4)]
    fleet.send_poll(json.dumps({"store_id": "s1", "timestamps_us": at_us, "statuses": "AIxA"}).encode())
    assert counts(fleet.summary()) == (2, 1)
    ((_, headers),) = fleet.dead_letters()
    assert headers["dlq.index"] == "2"
    assert headers["dlq.reason"] == "unknown status"


def test_what_is_no_instant_in_a_many_polls_record_leaves_the_others(fleet: Fleet) -> None:
    at_us = [utc("2024-03-14 01:00"), 2**63, None, 1.5, "noon", utc("2024-03-14 02:00"), -1]
    fleet.send_poll(json.dumps({"store_id": "s1", "timestamps_us": at_us, "statuses": "AAAAAIA"}).encode())
    assert counts(fleet.summary()) == (1, 1)
    letters = {headers["dlq.reason"]: headers["dlq.index"] for _, headers in fleet.dead_letters()}
    assert letters == {"unparseable time": "1,2,3,4", "instant before 1970": "6"}


def test_a_record_in_another_partition_is_sent_on_and_counted_once_in_its_own(fleet: Fleet) -> None:
    """As librdkafka's hash would put it; the store must not become two half-known ones."""
    home = partition_of(StoreId("s1"), PARTITIONS)
    fleet.send(ZONES, b"s1", b'{"store_id": "s1", "timezone_str": "Asia/Kolkata"}')
    fleet.send_poll(poll(), partition=(home + 1) % PARTITIONS)
    wait_until_applied(fleet.settings.state, {(POLLS, home): 1})
    summary = fleet.summary()
    assert counts(summary) == (1, 0)
    assert summary is not None
    assert summary.hours.zone == "Asia/Kolkata"


def test_a_poll_whose_record_has_no_timestamp_cannot_be_judged_and_is_no_bug_of_ours(fleet: Fleet) -> None:
    """Kafka hands out -1 where the producer said no time; what needs none is taken, and sent on, all the same."""
    elsewhere = (partition_of(StoreId("s1"), PARTITIONS) + 1) % PARTITIONS
    fleet.send_poll(poll())
    fleet.send(POLLS, b"s1", poll(status="inactive"), at_ms=-1)
    fleet.send(POLLS, b"s1", poll(status="inactive"), elsewhere, at_ms=-1)
    fleet.send(ZONES, b"s1", b'{"store_id": "s1", "timezone_str": "Asia/Kolkata"}', elsewhere, at_ms=-1)
    wait_until_applied(fleet.settings.state, {(ZONES, partition_of(StoreId("s1"), PARTITIONS)): 1})
    summary = fleet.summary()
    assert summary is not None
    assert (counts(summary), summary.hours.zone) == ((1, 0), "Asia/Kolkata")
    reasons = [headers["dlq.reason"] for _, headers in fleet.dead_letters()]
    assert reasons == ["record without a timestamp"] * 2


def test_a_dead_letter_too_large_for_a_record_is_cut_and_says_so(fleet: Fleet) -> None:
    """With its headers a dead letter is larger than the record that it comes from."""
    room = MAX_RECORD_BYTES - 100
    junk, key = b"{" + b"x" * room, b"k" * room
    fleet.send(POLLS, b"s1", junk)
    fleet.send(POLLS, key, b"{", partition=0)
    fleet.send_poll(poll())
    assert counts(fleet.summary()) == (1, 0)
    letters = {headers["dlq.truncated"]: record for record, headers in fleet.dead_letters()}
    assert letters.keys() == {
        f"key 2, value {room + 1} bytes",
        f"key {room}, value 1 bytes",
    }
    for letter in letters.values():
        kept, whole = (letter.value, junk) if letter.key == b"s1" else (letter.key, key)
        assert kept
        assert whole.startswith(kept)
        assert MAX_RECORD_BYTES - 2000 < len(letter.key or b"") + len(letter.value or b"") < MAX_RECORD_BYTES


def test_a_stray_record_too_large_to_be_sent_on_is_a_dead_letter(fleet: Fleet) -> None:
    home = partition_of(StoreId("s1"), PARTITIONS)
    fleet.send_poll(
        (poll() + b" " * MAX_RECORD_BYTES)[: MAX_RECORD_BYTES - 2], partition=(home + 1) % PARTITIONS
    )
    ((letter, headers),) = fleet.dead_letters()
    assert headers["dlq.reason"] == "too large to be sent on"
    assert (letter.value or b"").startswith(poll())
    assert fleet.summary() is None


def test_a_bad_row_rejects_the_whole_week_and_the_last_good_one_stays(fleet: Fleet) -> None:
    row = '{"day": %d, "start_time_local": "09:00", "end_time_local": "%s"}'
    good = f'{{"store_id": "s1", "hours": [{row % (0, "17:00")}]}}'.encode()
    fleet.send(HOURS, b"s1", good)
    for bad_row in (row % (7, "17:00"), row % (1, "25:00")):
        fleet.send(HOURS, b"s1", f'{{"store_id": "s1", "hours": [{row % (1, "12:00")}, {bad_row}]}}'.encode())
    summary = fleet.summary()
    assert summary is not None
    assert summary.hours.week == week_of(rows("Mon 09:00-17:00"))
    assert [headers["dlq.reason"] for _, headers in fleet.dead_letters()] == [
        "day outside 0 to 6",
        "no time of day",
    ]


def test_an_unknown_zone_makes_no_store_known(fleet: Fleet) -> None:
    fleet.send(ZONES, b"s1", b'{"store_id": "s1", "timezone_str": "Mars/Olympus"}')
    assert fleet.summary() is None


def test_a_null_forgets_what_its_topic_said(fleet: Fleet) -> None:
    fleet.send_poll(poll())
    fleet.send(ZONES, b"s1", b'{"store_id": "s1", "timezone_str": "Asia/Kolkata"}')
    fleet.send(POLLS, b"s1", None)
    summary = fleet.summary()
    assert summary is not None
    assert (counts(summary), summary.hours.zone) == ((0, 0), "Asia/Kolkata")
    fleet.send_poll(poll(status="inactive", at="2024-03-14 11:10:00 UTC"))
    assert counts(fleet.summary()) == (0, 1)
    fleet.send(POLLS, b"s1", None)
    fleet.send(ZONES, b"s1", None)
    assert fleet.summary() is None


def test_where_the_latest_poll_is_forgotten_the_one_before_it_is_the_latest(fleet: Fleet) -> None:
    fleet.send_poll(poll())
    fleet.send_poll(poll(store_id="s2", at="2024-03-14 11:30:00 UTC"), key=b"s2")
    assert fleet.latest_us() == utc("2024-03-14 11:30")
    fleet.send(POLLS, b"s2", None)
    assert fleet.latest_us() == utc("2024-03-14 11:00")
    fleet.send(POLLS, b"s1", None)
    assert fleet.latest_us() is None


def _is_readable(settings: Settings) -> bool:
    try:
        with snapshot_of(settings.state):
            return True
    except OtherZoneDatabase:
        return False


def test_a_state_of_another_zone_database_or_version_is_derived_again(tmp_path: Path) -> None:
    """Up for 30 minutes; the older database gave a microsecond more, the older version kept no high-water mark."""
    settings = Settings(state=tmp_path / "state", partitions=1)
    with EmbeddedLog(settings.log_path) as log:
        declare_all(log, 1)
        for status, at in (("inactive", "10:00"), ("active", "11:00"), ("inactive", "11:30")):
            log.append([NewRecord(POLLS, 0, b"s1", poll(status, f"2024-03-14 {at}:00 UTC"), NOON_MS)])
    with running("worker", state=settings.state):
        wait_until_applied(settings.state, {(POLLS, 0): 3})
    table, key = open_table(settings.table_path(0)), summary_key(StoreId("s1"))
    summary, high_water = cast(bytes, table[key]), table[HIGH_WATER_KEY]
    summaries = decode_summaries([summary])
    assert summaries.change_up_us.tolist() == [0, 0, 30 * MINUTE_US]
    (table[key],) = encode_summaries(
        replace(summaries, change_up_us=summaries.change_up_us + 1), decode_day_counts([summary])
    )
    table[ZONE_DATABASE_KEY] = b"1999a"
    del table[HIGH_WATER_KEY], table[FORMAT_KEY]
    table.close()
    with running("worker", state=settings.state):
        until("the table is derived again", lambda: _is_readable(settings))
    table = open_table(settings.table_path(0))
    assert (table[key], table[HIGH_WATER_KEY], table[ZONE_DATABASE_KEY]) == (
        summary,
        high_water,
        ZONE_DATABASE.encode(),
    )
    table.close()


def test_a_state_with_a_zone_of_a_newer_database_stops_the_worker_with_what_to_do(tmp_path: Path) -> None:
    """Kolkata becomes a zone that is not there, the database one of the future; so all is to be rebuilt."""
    settings = Settings(state=tmp_path / "state", partitions=1)
    with EmbeddedLog(settings.log_path) as log:
        declare_all(log, 1)
        zone = b'{"store_id": "s1", "timezone_str": "Asia/Kolkata"}'
        log.append(
            [NewRecord(topic, 0, b"s1", value, NOON_MS) for topic, value in ((POLLS, poll()), (ZONES, zone))]
        )
        log.append([NewRecord(POLLS, 0, b"s1", poll("inactive", "2024-03-14 11:30:00 UTC"), NOON_MS)])
    with running("worker", state=settings.state):
        wait_until_applied(settings.state, {(POLLS, 0): 2, (ZONES, 0): 1})
    table, key = open_table(settings.table_path(0)), summary_key(StoreId("s1"))
    table[key] = cast(bytes, table[key]).replace(b"Asia/Kolkata", b"Mars/Olympus")
    table[ZONE_DATABASE_KEY] = b"2999a"
    table.close()
    refused = storepulse("worker", state=settings.state, seconds=60)
    assert refused.returncode == 4
    last = refused.stderr.splitlines()[-1]
    assert "'Mars/Olympus'" in last
    assert "Install the same release of storepulse" in last
