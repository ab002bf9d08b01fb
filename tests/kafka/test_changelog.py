"""The changelog gives lost tables back; what others write to it is refused, or undone."""

import asyncio
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from _pytest.mark.structures import ParameterSet
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types

from query_api.errors import StateRestoring
from schemas.events.polls import encode_poll
from schemas.rows.day_blocks import DAY_BLOCK_PREFIX
from schemas.rows.summaries import EMPTY_SUMMARY, SUMMARY_PREFIX, SUMMARY_VERSION, summary_key
from schemas.settings import Settings
from schemas.topics import CHANGELOG, DEAD_LETTERS, MAX_RECORD_BYTES, POLLS
from schemas.values import StoreId
from stream.brokers.kafka.broker import TRANSACTIONAL_ID
from stream.tables.rocks import open_table, stored_offset, write_rows
from tests.e2e.harness import snapshot_of, until, wait_until_applied
from tests.kafka.broker import Kafka, write
from tests.kafka.harness import Fleet, Sample, ends_of, fleet, produce, records_of, sample_in

_STORE = StoreId("another-store")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


@pytest.mark.long
def test_a_worker_that_lost_its_folder_recovers_in_a_running_fleet(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        lost = ours.ready_worker("lost")
        ours.ready_worker("other")
        replay = ours.start_replay(sample.folder, "--speed", 100_000)
        time.sleep(4)  # a moment in the middle, not a wait for anything
        lost.kill()
        shutil.rmtree(lost.state)
        ours.worker("lost")
        ours.done(replay)
        assert ours.report() == sample.report


@pytest.mark.parametrize("of", ["polls", pytest.param("hours and zones", marks=pytest.mark.long)])
def test_all_workers_lose_their_folders_after_the_replay(
    of: str, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    """What is in the topics is committed, so all must come from the changelog."""
    with fleet(clean_kafka.url, tmp_path) as ours:
        workers = [ours.worker("a"), ours.worker("b")]
        ours.replay(sample.folder)
        assert ours.report() == sample.report
        for worker in workers:
            worker.kill()
            shutil.rmtree(worker.state)
        for name in ("a", "b"):
            ours.worker(name)
        ours.replay(only(of, sample, tmp_path / "again"))
        assert ours.report() == sample.report


def only(of: str, sample: Sample, folder: Path) -> Path:
    """The sample, or without any poll but one."""
    shutil.copytree(sample.folder, folder)
    if of != "polls":
        polls = pl.read_csv(folder / "store_status.csv", infer_schema=False)
        polls.head(1).write_csv(folder / "store_status.csv")
    return folder


JUNK = {
    "a key of nobody": (b"zjunk", b"junk", "no such key"),
    "a value that is no summary": (
        summary_key(_STORE),
        bytes([SUMMARY_VERSION]) + b"junk",
        "a summary of 5 bytes",
    ),
    "an empty value": (summary_key(_STORE), b"", "empty value"),
    "a newer version": (
        summary_key(_STORE),
        bytes([SUMMARY_VERSION + 1]) + EMPTY_SUMMARY[1:],
        f"format {SUMMARY_VERSION + 1}",
    ),
    "an unknown kind": (b"Zjunk", b"junk", "of an unknown kind"),
}


_STOPPING_ONLY = ("a newer version", "an unknown kind")
"""They are never left out."""


def kinds_of_junk(kinds: Iterable[str], *quick: str) -> list[ParameterSet]:
    """Each kind of junk; those that are not `quick` take a broker's replay each, and wait for `make test-long`."""
    return [pytest.param(kind, marks=[] if kind in quick else [pytest.mark.long]) for kind in kinds]


def append_junk(ours: Fleet, sample: Sample, kind: str) -> int:
    """Replay the sample, stop everything, and append junk to partition 7 of the changelog; its offset."""
    ours.worker("first")
    ours.replay(sample.folder)
    assert ours.report() == sample.report
    ours.close()
    key, value, _ = JUNK[kind]
    (offset,) = produce(ours.url, CHANGELOG, [(key, value, 7)])
    return offset


@pytest.mark.parametrize("kind", kinds_of_junk(JUNK, "a key of nobody"))
def test_junk_in_the_changelog_stops_the_worker_that_must_recover_from_it_and_is_named(
    kind: str, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    *_, fault = JUNK[kind]
    with fleet(clean_kafka.url, tmp_path) as ours:
        offset = append_junk(ours, sample, kind)
        recovering = ours.worker("second")
        assert recovering.wait(60) == 4
    assert fault in recovering.text
    assert f"{CHANGELOG}, partition 7, offset {offset}" in recovering.text
    assert "Traceback" not in recovering.text


@pytest.mark.parametrize(
    "kind", kinds_of_junk([kind for kind in JUNK if kind not in _STOPPING_ONLY], "an empty value")
)
def test_junk_in_the_changelog_is_left_out_where_that_is_set(
    kind: str, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path, malformed_changelog="skip") as ours:
        offset = append_junk(ours, sample, kind)
        recovering = ours.ready_worker("second")
        ours.replay(sample.folder)
        assert ours.report() == sample.report
        assert f"{CHANGELOG}, partition 7, offset {offset}" in recovering.text


def test_a_replica_says_of_junk_what_a_worker_says(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.done(ours.run("topics", state="topics"))
        (offset,) = produce(ours.url, CHANGELOG, [(b"zjunk", b"junk", 7)])
        replica = ours.run("replica", state="host")
        assert replica.wait(60) == 4
        assert f"{CHANGELOG}, partition 7, offset {offset}" in replica.text
        assert "Traceback" not in replica.text
        skipping = ours.run("replica", state="skipping", malformed_changelog="skip")
        ours.worker(malformed_changelog="skip")
        ours.replay(sample.folder)
        ends = {at: end for at, end in ends_of(ours.url, POLLS).items() if end}
        wait_until_applied(skipping.state, ends)


@pytest.mark.parametrize("command", ["worker", "replica"])
def test_a_table_that_was_away_for_a_day_comes_back_without_what_was_deleted_meanwhile(
    command: str, clean_kafka: Kafka, tmp_path: Path
) -> None:
    """A store whose deletion Kafka does not keep any more, in a table of two days ago."""
    gone = {summary_key(StoreId("gone")): EMPTY_SUMMARY}
    with fleet(clean_kafka.url, tmp_path, partitions=1) as ours:
        ours.ready_worker()
        produce(ours.url, POLLS, [(_STORE.encode(), poll_of(_STORE), 0)])
        ours.report()
        ours.close()
        state = tmp_path / ("worker" if command == "worker" else "replica-1")
        with_rows(state, gone, hours=48)
        assert stores_in(state) == [_STORE, "gone"]
        ours.run(command, state=state.name)
        until("the store is gone", lambda: stores_in(state) == [_STORE])


def test_a_replica_does_not_wait_for_a_worker_that_died_in_a_transaction(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    """Kafka ends such a transaction after a minute; what it has is nobody's."""
    with fleet(clean_kafka.url, tmp_path, partitions=1) as ours:
        worker = ours.ready_worker()
        produce(ours.url, POLLS, [(_STORE.encode(), poll_of(_STORE), 0)])
        ours.report()
        worker.kill()
        asyncio.run(_leave_open(clean_kafka.bootstrap))
        replica = ours.run("replica", state="late")
        until("the replica can be read", lambda: stores_in(replica.state) == [_STORE], seconds=30)


async def _leave_open(bootstrap: str) -> None:
    """Write a row in a transaction of the partition's, and be gone without a word."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=TRANSACTIONAL_ID.format(partition=0)
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(CHANGELOG, EMPTY_SUMMARY, summary_key(StoreId("never")), partition=0)
    producer._sender._sender_task.cancel()
    with suppress(asyncio.CancelledError):
        await producer._sender._sender_task
    await producer.client.close()
    producer._closed = True


def with_rows(state: Path, rows: dict[bytes, bytes], hours: float) -> None:
    """Put rows into a table that nobody has open, and have it be so old."""
    table = open_table(Settings(state=state).table_path(0))
    offset = stored_offset(table)
    del table[b"__complete__"]
    write_rows(table, rows.items(), offset or 0, time.time() - hours * 3600)
    table.close()


def stores_in(state: Path) -> list[str]:
    """The stores that can be read from a state folder; none while it is being restored."""
    with suppress(StateRestoring), snapshot_of(state) as snapshot:
        return [store_id for chunk in snapshot.chunks() for store_id in chunk.store_ids]
    return []


def test_a_poll_sent_in_a_transaction_leaves_no_lag(clean_kafka: Kafka, tmp_path: Path) -> None:
    """The marker of the transaction takes an offset, too."""

    async def send() -> None:
        async with (
            AIOKafkaProducer(bootstrap_servers=clean_kafka.bootstrap, transactional_id="another") as producer,
            producer.transaction(),
        ):
            await producer.send_and_wait(POLLS, poll_of(_STORE), partition=0)

    with fleet(clean_kafka.url, tmp_path, partitions=1) as ours:
        ours.ready_worker()
        asyncio.run(send())
        assert ends_of(ours.url, POLLS) == {(POLLS, 0): 2}
        ours.run("replica", state="host")
        api = ours.api("host")
        wait_until_applied(tmp_path / "host", {(POLLS, 0): 1})
        api.wait_until_current()


def poll_of(store_id: StoreId) -> bytes:
    return encode_poll(store_id, "active", "2024-01-01 00:00:00 UTC")


def test_junk_as_large_as_a_record_may_be_becomes_a_cut_dead_letter_and_stops_nothing(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    junk = b"x" * (MAX_RECORD_BYTES - 100)
    with fleet(clean_kafka.url, tmp_path, partitions=1) as ours:
        worker = ours.ready_worker()
        write(clean_kafka.bootstrap, POLLS, junk, poll_of(_STORE), max_request_size=2 * MAX_RECORD_BYTES)
        wait_until_applied(worker.state, {(POLLS, 0): 2})
        (letter,) = records_of(ours.url, DEAD_LETTERS)
    assert junk.startswith(letter.value)
    assert dict(letter.headers)["dlq.truncated"] == b"key 0, value %d bytes" % len(junk)


def rows_in_changelog(ours: Fleet, partition: int) -> dict[bytes, bytes]:
    """The heads and pages of a partition as they stand."""
    return {
        record.key: record.value
        for record in records_of(ours.url, CHANGELOG)
        if record.partition == partition and record.key[:1] in (SUMMARY_PREFIX, DAY_BLOCK_PREFIX)
    }
