"""Records that others produce, with kcat: librdkafka's partitioner, no key, no sense."""

import csv
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import DEAD_LETTERS, HOURS, POLLS
from schemas.values import StoreId
from stream.brokers.partitions import partition_of
from tests.kafka.broker import Kafka
from tests.kafka.harness import Fleet, Sample, fleet, records_of, sample_in
from tests.oracle import report_of_folder

_LATER = "2024-03-15 23:30:00 UTC"
"""After every poll of the sample."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


@pytest.fixture
def ours(clean_kafka: Kafka, sample: Sample, tmp_path: Path) -> Iterator[Fleet]:
    """Two workers on twelve partitions, the sample replayed."""
    if shutil.which("kcat") is None:
        if os.environ.get("STOREPULSE_REQUIRE_KAFKA") == "1":
            pytest.fail("needs kcat", pytrace=False)
        pytest.skip("needs kcat")
    with fleet(clean_kafka.url, tmp_path / "fleet") as made:
        made.worker("a")
        made.worker("b")
        made.replay(sample.folder)
        yield made


def kcat(ours: Fleet, topic: str, *lines: str, keyed: bool = True) -> None:
    """Produce as kcat does when it is told nothing; a key ends at the first tab."""
    command = ["kcat", "-P", "-b", ours.url.removeprefix("kafka://"), "-t", topic, *(["-K", "\t"] * keyed)]
    subprocess.run(command, input="".join(f"{line}\n" for line in lines), text=True, check=True, timeout=60)


def poll(store_id: str, status: str = "inactive") -> str:
    return json.dumps({"store_id": store_id, "status": status, "timestamp_utc": _LATER})


def stray_store(sample: Sample) -> StoreId:
    """A store that has hours, and whose key librdkafka sends to another partition than ours."""
    with (sample.folder / "menu_hours.csv").open(newline="") as file:
        stores = sorted({StoreId(row["store_id"]) for row in csv.DictReader(file)})
    return next(store for store in stores if zlib.crc32(store.encode()) % 12 != partition_of(store, 12))


def with_another_poll(sample: Sample, folder: Path, store_id: StoreId) -> str:
    """What the oracle says of the sample and one poll more."""
    shutil.copytree(sample.folder, folder)
    with (folder / "store_status.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows.append({**rows[0], "store_id": store_id, "status": "inactive", "timestamp_utc": _LATER})
    with (folder / "store_status.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return report_of_folder(folder)


def test_a_poll_in_another_partition_than_ours_becomes_the_one_right_row(
    ours: Fleet, sample: Sample, tmp_path: Path
) -> None:
    store_id = stray_store(sample)
    kcat(ours, POLLS, f"{store_id}\t{poll(store_id)}")
    assert ours.report() == with_another_poll(sample, tmp_path / "more", store_id)
    found = [record for record in records_of(ours.url, POLLS) if record.value == poll(store_id).encode()]
    assert {record.partition for record in found} == {
        zlib.crc32(store_id.encode()) % 12,
        partition_of(store_id, 12),
    }
    assert len({record.timestamp for record in found}) == 1, "it is judged by when it was first recorded"


def test_a_poll_without_a_key_becomes_the_one_right_row(ours: Fleet, sample: Sample, tmp_path: Path) -> None:
    store_id = stray_store(sample)
    kcat(ours, POLLS, poll(store_id), keyed=False)
    assert ours.report() == with_another_poll(sample, tmp_path / "more", store_id)


def test_bad_records_land_whole_in_the_dead_letters_and_change_nothing(ours: Fleet, sample: Sample) -> None:
    store_id = stray_store(sample)
    bad = {
        "unknown status": (POLLS, store_id, poll(store_id, "asleep")),
        "not the JSON this topic takes": (POLLS, store_id, "{nonsense"),
        "key differs from the value's store": (POLLS, "another", poll(store_id)),
        "day outside 0 to 6": (
            HOURS,
            store_id,
            json.dumps(
                {
                    "store_id": store_id,
                    "hours": [{"day": 7, "start_time_local": "09:00:00", "end_time_local": "17:00:00"}],
                }
            ),
        ),
    }
    for topic, key, value in bad.values():
        kcat(ours, topic, f"{key}\t{value}")
    assert ours.report() == sample.report

    letters = {header(record, "dlq.reason"): record for record in records_of(ours.url, DEAD_LETTERS)}
    assert letters.keys() == bad.keys()
    for reason, (topic, key, value) in bad.items():
        letter = letters[reason]
        assert (letter.key, letter.value) == (key.encode(), value.encode())
        assert header(letter, "dlq.topic") == topic
        (original,) = [
            record
            for record in records_of(ours.url, topic)
            if record.partition == int(header(letter, "dlq.partition"))
            and record.offset == int(header(letter, "dlq.offset"))
        ]
        assert original.value == value.encode()


def header(record: Any, name: str) -> str:
    """One header of a record, as text."""
    return bytes(dict(record.headers)[name]).decode()
