"""Facts about Faust on the embedded log: our loop with a checkpoint, and Faust's own with commits and tables.

Run as a program, this file is the worker that the tests kill: `test_embedded_transport.py FOLDER MODE`.
"""

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import faust
import pytest
from faust.exceptions import ImproperlyConfigured, ProducerSendError
from faust.tables.manager import TableManager
from faust.types import TP
from yarl import URL

from stream.brokers.drain import Delivery, Drain, KeepingFlow, RawSchema, records_of
from stream.brokers.embedded.errors import PartitionCountChanged, UnknownPartition
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.embedded.producer import Producer
from stream.brokers.embedded.transport import Transport, log_path
from stream.brokers.records import NewRecord, Record

pytestmark = pytest.mark.slow

PARTITIONS = 3
GROUP = "counting"
EVERYTHING = 1_000_000


class PromptTables(TableManager):
    """Faust's tables without the second that they sleep before they start."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


def new_app(folder: Path, **settings: Any) -> faust.App:
    app = faust.App(
        GROUP,
        broker=f"embedded://{folder}/log.db",
        store="rocksdb://",
        datadir=str(folder / "tables"),
        web_enabled=False,
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        broker_commit_interval=0.1,
        TableManager=PromptTables,
        **settings,
    )
    app.flow_control = KeepingFlow()
    app.transport = Transport(app.conf.broker_consumer, app, delivery=Delivery(drain="messages"))
    return app


def counting_table(app: faust.App) -> Any:
    return app.Table(
        "counts",
        default=int,
        partitions=PARTITIONS,
        key_type=bytes,
        options={"block_cache_size": 2**20, "write_buffer_size": 2**20},
    )


@asynccontextmanager
async def running(app: faust.App) -> AsyncIterator[faust.App]:
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def eventually(is_so: Callable[[], bool], what: str, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path / "log.db") as log:
        yield log


def polls(numbers: range, partition: int | None = None) -> list[NewRecord]:
    """Polls of 51 stores; a store keeps to its partition."""
    return [
        NewRecord(
            "polls", n % PARTITIONS if partition is None else partition, b"s%d" % (n % 51), b"%d" % n, n
        )
        for n in numbers
    ]


def committed_everything(log: EmbeddedLog, topic: str) -> bool:
    ends = {tp: end for tp, end in log.end_offsets().items() if tp[0] == topic and end}
    commits = log.committed(GROUP)
    return all(commits.get(tp) == end for tp, end in ends.items())


# Producing


async def test_a_sent_record_is_in_the_log_with_its_time_and_headers(
    tmp_path: Path, log: EmbeddedLog
) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    producer = new_app(tmp_path).producer
    await producer.start()

    metadata = await producer.send_and_wait("polls", b"k", b"v", 1, 1674389379.388, {"why": b"late"})
    before_ms = int(time.time() * 1000)
    await producer.send_and_wait("polls", b"k", None, 1, None, None)
    await producer.stop()

    assert (metadata.topic_partition, metadata.offset) == (TP("polls", 1), 0)
    first, second = log.read("polls", 1, 0, 10, EVERYTHING)
    assert first == Record("polls", 1, 0, 1_674_389_379_388, b"k", b"v", (("why", b"late"),))
    assert before_ms <= second.timestamp_ms <= int(time.time() * 1000)


@pytest.mark.parametrize(("key", "partition"), [(b"foobar", 6), (b"21", 0)])
async def test_keys_land_where_kafka_puts_them(tmp_path: Path, key: bytes, partition: int) -> None:
    """murmur2("foobar") = -790332482 and murmur2("21") = -973932308 in Kafka's own tests; 12 partitions."""
    app = new_app(tmp_path)
    await app.producer.start()
    await app.producer.create_topic("polls", 12, 1)

    assert app.producer.key_partition("polls", key) == TP("polls", partition)
    assert app.consumer.key_partition("polls", key) == partition
    assert app.consumer.key_partition("polls", key, 3) == 3
    assert app.consumer.key_partition("weather", key) is None
    assert (await app.producer.send_and_wait("polls", key, b"", None, None, None)).partition == partition
    await app.producer.stop()


async def test_many_sends_arrive_in_order(tmp_path: Path, log: EmbeddedLog) -> None:
    producer = new_app(tmp_path).producer
    await producer.start()
    sent = [await producer.send("polls", b"k", b"%d" % n, 0, None, None) for n in range(25_000)]
    offsets = [(await one).offset for one in sent]
    await producer.stop()

    assert offsets == list(range(25_000))
    found = log.read("polls", 0, 0, EVERYTHING, EVERYTHING)
    assert [one.value for one in found] == [b"%d" % n for n in range(25_000)]


async def test_flush_waits_for_what_was_sent_soon(tmp_path: Path, log: EmbeddedLog) -> None:
    app = new_app(tmp_path)
    topic = app.topic("polls", schema=RawSchema())
    await app.producer.start()
    await app.producer.create_topic("polls", PARTITIONS, 1)
    for n in range(3_000):
        topic.send_soon(key=b"k", value=b"%d" % n, partition=0)

    await app.producer.flush()

    assert log.end_offset("polls", 0) == 3_000
    await app.producer.stop()


async def test_flush_ends_although_others_keep_sending(tmp_path: Path, log: EmbeddedLog) -> None:
    producer = new_app(tmp_path).producer
    await producer.start()

    async def send_on_and_on() -> None:
        while True:
            await producer.send("polls", b"k", b"v", 0, None, None)
            await asyncio.sleep(0)

    sending = asyncio.create_task(send_on_and_on())
    for _ in range(5):
        sent = await producer.send("polls", b"k", b"v", 0, None, None)
        await asyncio.wait_for(producer.flush(), 5)
        assert isinstance(sent, asyncio.Future)
        assert sent.done()
    sending.cancel()
    await producer.stop()


async def test_closing_writes_what_is_left(tmp_path: Path, log: EmbeddedLog) -> None:
    producer = new_app(tmp_path).producer
    await producer.start()
    for n in range(100):
        await producer.send("polls", b"k", b"%d" % n, 0, None, None)
    await producer.stop()

    assert log.end_offset("polls", 0) == 100


async def test_a_full_disk_reaches_sender_and_flush(tmp_path: Path) -> None:
    producer = new_app(tmp_path).producer
    assert isinstance(producer, Producer)
    await producer.start()
    await producer.create_topic("polls", PARTITIONS, 1)
    await producer._log.submit(lambda log: log._database._connection.execute("PRAGMA max_page_count = 1"))

    sent = await producer.send("polls", b"k", b"x" * 1_000_000, 0, None, None)
    with pytest.raises(ProducerSendError, match="Free some space"):
        await producer.flush()
    with pytest.raises(ProducerSendError, match="Free some space"):
        await sent

    await producer._log.submit(lambda log: log._database._connection.execute("PRAGMA max_page_count = 9999"))
    assert (await producer.send_and_wait("polls", b"k", b"v", 0, None, None)).offset == 0
    await producer.stop()


async def test_a_partition_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    producer = new_app(tmp_path).producer
    await producer.start()

    with pytest.raises(UnknownPartition):
        await producer.send("polls", b"k", b"v", PARTITIONS, None, None)
    await producer.stop()


async def test_another_partition_count_is_refused(tmp_path: Path) -> None:
    producer = new_app(tmp_path).producer
    await producer.start()
    await producer.create_topic("polls", 3, 1, compacting=True)

    with pytest.raises(PartitionCountChanged):
        await producer.create_topic("polls", 4, 1)
    await producer.stop()


# Consuming


class Applied:
    """A checkpoint over a dict, which can outlive an app as a table does."""

    def __init__(self, written: dict[tuple[str, int], int] | None = None) -> None:
        self.written = {} if written is None else written
        self.released = 0

    def written_to(self, partition: int, topic: str) -> int:
        return self.written.get((topic, partition), 0)

    def owns(self, partition: int) -> bool:
        return True

    async def release(self) -> None:
        self.released += 1

    def has_everything(self, log: EmbeddedLog, topic: str) -> bool:
        ends = {tp: end for tp, end in log.end_offsets().items() if tp[0] == topic and end}
        return all(self.written.get(tp) == end for tp, end in ends.items())


class Fleet:
    """An app with one agent that keeps what it gets, applies it at once, or leaves that to the test.

    `loop`: "batches" is our loop, which hands over batches; "messages" is Faust's; both with a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        loop: str = "batches",
        applied: Applied | None = None,
        *,
        by_hand: bool = False,
        **settings: Any,
    ) -> None:
        self.app = new_app(folder, **settings)
        self.applied = applied or Applied()
        self.events: list[Any] = []
        topics = frozenset({"polls"} if loop == "batches" else ())
        delivery = Delivery(cast(Drain, loop), topics, self.applied)
        self.app.transport = Transport(self.app.conf.broker_consumer, self.app, delivery=delivery)
        topic = self.app.topic("polls", schema=RawSchema(), partitions=PARTITIONS)

        async def keep(stream: Any) -> None:
            async for event in stream.noack().events():
                self.events.append(event)
                if not by_hand:
                    self.apply(event)

        self.app.agent(topic, name="keep")(keep)

    def apply(self, event: Any) -> None:
        """Note that the table has it, and acknowledge it."""
        message = event.message
        self.applied.written[message.topic, message.partition] = message.offset + 1
        event.ack()

    @property
    def records(self) -> list[Record]:
        """All records so far, whether they came one by one or in batches."""
        return [record for event in self.events for record in records_of(event.message)]

    @property
    def numbers(self) -> list[int]:
        """What the polls so far say, in order."""
        return sorted(int(record.value or b"") for record in self.records)


@pytest.mark.parametrize("loop", ["batches", "messages"])
async def test_every_record_reaches_the_stream_once(tmp_path: Path, log: EmbeddedLog, loop: str) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(1_000)))
    fleet = Fleet(tmp_path, loop)
    async with running(fleet.app):
        await eventually(lambda: fleet.applied.has_everything(log, "polls"), "the backlog")
        log.append(polls(range(1_000, 1_010)))
        await eventually(
            lambda: fleet.applied.has_everything(log, "polls"), "what another connection appended"
        )

    assert fleet.numbers == list(range(1_010))


async def test_a_batch_is_one_message_for_a_partition_and_fetch(tmp_path: Path, log: EmbeddedLog) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(300)))
    fleet = Fleet(tmp_path)
    async with running(fleet.app):
        await eventually(lambda: len(fleet.events) == PARTITIONS, "one batch of each partition")

    by_partition = {event.message.partition: event for event in fleet.events}
    message = by_partition[2].message
    assert (message.key, message.offset, message.timestamp) == (None, 99, None)
    assert [one.offset for one in by_partition[2].value] == list(range(100))
    assert by_partition[2].value[0] == Record("polls", 2, 0, 2, b"s2", b"2")


async def test_one_by_one_keeps_key_time_and_headers(tmp_path: Path, log: EmbeddedLog) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append([NewRecord("polls", 0, b"k", None, 1_500, (("why", b"late"),))])
    fleet = Fleet(tmp_path, "messages")
    async with running(fleet.app):
        await eventually(lambda: len(fleet.events) == 1, "the record")

    [event] = fleet.events
    assert (event.key, event.value, event.headers) == (b"k", None, {"why": b"late"})
    assert (event.message.timestamp, event.message.generation_id) == (1.5, 1)
    assert fleet.records == [Record("polls", 0, 0, 1_500, b"k", None, (("why", b"late"),))]


@pytest.mark.parametrize("loop", ["batches", "messages"])
async def test_a_restart_goes_on_where_the_checkpoint_says(
    tmp_path: Path, log: EmbeddedLog, loop: str
) -> None:
    """Whatever the group has committed."""
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(30)))
    log.commit(GROUP, {("polls", 0): 2, ("polls", 1): 10})
    first = Fleet(tmp_path, loop)
    async with running(first.app):
        await eventually(lambda: first.applied.has_everything(log, "polls"), "the first thirty")
    log.append(polls(range(30, 40)))

    second = Fleet(tmp_path, loop, Applied(first.applied.written))
    async with running(second.app):
        await eventually(lambda: second.applied.has_everything(log, "polls"), "the next ten")

    assert first.numbers == list(range(30))
    assert second.numbers == list(range(30, 40))


@pytest.mark.parametrize("loop", ["batches", "messages"])
async def test_trimmed_and_compacted_offsets_hold_nothing_up(
    tmp_path: Path, log: EmbeddedLog, loop: str
) -> None:
    """Partition 0 starts at 40; partition 1 has holes, the first of them right after offset 0."""
    log.declare_topic("polls", PARTITIONS, "compact")
    log.append(polls(range(100), partition=0))
    log.trim("polls", 0, before_offset=40, older_than_ms=10**15)
    keys = [b"first", *([b"again"] * 9), *([b"more"] * 5), b"last"]
    log.append(NewRecord("polls", 1, key, b"1", 0) for key in keys)
    log.compact("polls", 1)
    fleet = Fleet(tmp_path, loop)
    async with running(fleet.app):
        await eventually(lambda: fleet.applied.has_everything(log, "polls"), "both partitions")

    assert fleet.applied.written == {("polls", 0): 100, ("polls", 1): 16}
    assert len(fleet.records) == 60 + 4


async def test_with_a_checkpoint_the_consumer_commits_what_that_has_and_writes_nothing(
    tmp_path: Path, log: EmbeddedLog
) -> None:
    """Partition 0: batch 0 to 9, batch 10 to 19. The second is acknowledged first; the writer commits with rows."""
    log.declare_topic("polls", PARTITIONS, "delete")
    fleet = Fleet(tmp_path, by_hand=True, stream_wait_empty=False)
    async with running(fleet.app) as app:
        for batch in (1, 2):
            log.append(polls(range(10), partition=0))
            await eventually(lambda: len(fleet.events) == batch, f"batch {batch}")  # noqa: B023  # awaited here
        consumer: Any = app.consumer
        fleet.events[1].ack()
        assert consumer._new_offset(TP("polls", 0)) is None
        fleet.apply(fleet.events[0])
        assert consumer._new_offset(TP("polls", 0)) == 10
        fleet.apply(fleet.events[1])
        assert consumer._new_offset(TP("polls", 0)) == 20
        assert consumer._acked[TP("polls", 0)] == []
        await app.consumer.commit()
        assert log.committed(GROUP) == {}


async def test_a_batch_that_was_not_applied_comes_again(tmp_path: Path, log: EmbeddedLog) -> None:
    """Acknowledged it was, as when its writer was lost."""
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(10), partition=0))
    first = Fleet(tmp_path, by_hand=True)
    async with running(first.app):
        await eventually(lambda: first.numbers == list(range(10)), "the batch")
        first.events[0].ack()

    second = Fleet(tmp_path, applied=Applied(first.applied.written))
    async with running(second.app):
        await eventually(lambda: second.numbers == list(range(10)), "the batch again")


@pytest.mark.parametrize("loop", ["batches", "messages"])
async def test_a_rebalance_loses_nothing_and_gives_the_partitions_up_first(
    tmp_path: Path, log: EmbeddedLog, loop: str
) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    fleet = Fleet(tmp_path, loop)
    async with running(fleet.app) as app:
        for number in range(3):
            log.append(polls(range(number * 100, number * 100 + 100)))
            before = fleet.applied.released
            app.consumer.rejoin()  # type: ignore[attr-defined]  # ours
            await eventually(lambda: fleet.applied.released > before, "partitions are given up")  # noqa: B023
            await eventually(lambda: not app.rebalancing, "the rebalance is over")
        await eventually(lambda: fleet.applied.has_everything(log, "polls"), "all is applied")

    assert set(fleet.numbers) == set(range(300))


async def test_what_was_handed_out_and_not_applied_comes_again_after_a_rebalance(
    tmp_path: Path, log: EmbeddedLog
) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(10), partition=0))
    fleet = Fleet(tmp_path, by_hand=True)
    async with running(fleet.app) as app:
        await eventually(lambda: len(fleet.events) == 1, "the batch")
        fleet.events[0].ack()  # else Faust waits for it
        app.consumer.rejoin()  # type: ignore[attr-defined]  # ours
        await eventually(lambda: len(fleet.events) == 2, "the batch again")
        fleet.apply(fleet.events[1])
    assert [record.offset for record in fleet.records] == [*range(10), *range(10)]


async def test_a_full_stream_goes_on_as_soon_as_it_has_room(tmp_path: Path, log: EmbeddedLog) -> None:
    """Faust sleeps a second whenever every partition is held back; 60 fetches would take a minute."""
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(120), partition=0))
    fleet = Fleet(tmp_path, stream_buffer_maxsize=1, broker_max_poll_records=2)
    async with running(fleet.app):
        await eventually(lambda: len(fleet.records) == 120, "60 batches of 2", within_s=5.0)


# An app of somebody else's, with Faust's own loop, commits and tables


class Plain:
    """An app with one agent, without a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.app = new_app(folder)
        self.numbers: list[int] = []

        async def keep(stream: Any) -> None:
            async for value in stream:
                self.numbers.append(int(value))

        topic = self.app.topic("polls", schema=RawSchema(), partitions=PARTITIONS)
        self.app.agent(topic, name="keep")(keep)


async def test_a_plain_app_goes_on_after_its_commit(tmp_path: Path, log: EmbeddedLog) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    for numbers in (range(30), range(30, 40)):
        log.append(polls(numbers))
        plain = Plain(tmp_path)
        async with running(plain.app):
            await eventually(lambda: committed_everything(log, "polls"), "all is committed")
        assert sorted(plain.numbers) == list(numbers)


async def test_a_commit_beyond_the_log_starts_over(tmp_path: Path, log: EmbeddedLog) -> None:
    """The log was deleted and filled again, while the caller's commits came back from a backup."""
    log.declare_topic("polls", PARTITIONS, "delete")
    log.append(polls(range(10), partition=0))
    log.commit(GROUP, {("polls", 0): 500})
    plain = Plain(tmp_path)
    async with running(plain.app):
        await eventually(lambda: len(plain.numbers) == 10, "the new log from its start")
        await eventually(lambda: log.committed(GROUP) == {("polls", 0): 10}, "the commit is good again")


async def test_a_rebalance_keeps_a_plain_table(tmp_path: Path, log: EmbeddedLog) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    app = new_app(tmp_path)
    counts = counting_table(app)

    async def count(stream: Any) -> None:
        async for event in stream.events():
            counts[event.key] += 1

    app.agent(app.topic("polls", schema=RawSchema(), partitions=PARTITIONS), name="count")(count)
    async with running(app):
        for _ in range(3):
            log.append(polls(range(102)))
            await eventually(lambda: committed_everything(log, "polls"), "102 polls")
            await app.consumer.subscribe(["polls", f"{GROUP}-counts-changelog"])
            await eventually(lambda: app.rebalancing, "the rebalance has begun")
            await eventually(lambda: not app.rebalancing, "the rebalance is over")

    assert counted(log) == {b"s%d" % n: 6 for n in range(51)}


# A worker that is killed


def counted(log: EmbeddedLog) -> Counter[bytes]:
    """What the changelog says of each key."""
    changelog = f"{GROUP}-counts-changelog"
    latest: Counter[bytes] = Counter()
    for partition in range(PARTITIONS if changelog in log.topics() else 0):
        for found in log.read(changelog, partition, 0, EVERYTHING, EVERYTHING):
            latest[found.key or b""] = int(found.value or b"0")
    return latest


class Workers:
    """Starts this very file as a worker, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self, mode: str = "count") -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._folder), mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, how: signal.Signals) -> str:
        """What the worker printed until it ended."""
        assert self._process is not None
        self._process.send_signal(how)
        output, errors = self._process.communicate(timeout=20)
        assert self._process.returncode in {0, -signal.SIGKILL}, errors
        return output

    def result(self) -> str:
        assert self._process is not None
        output, errors = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, errors
        return output


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path)
    yield workers
    if workers._process is not None and workers._process.poll() is None:
        workers._process.kill()
        workers._process.communicate(timeout=10)


@pytest.mark.long
async def test_counts_hold_through_kills_cleaning_and_lost_tables(
    tmp_path: Path, log: EmbeddedLog, workers: Workers
) -> None:
    """At least once: no poll may be missing from a count, some may be in it twice."""
    changelog = f"{GROUP}-counts-changelog"
    log.declare_topic("polls", PARTITIONS, "delete")
    log.declare_topic(changelog, PARTITIONS, "compact")
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    true = Counter[bytes]()
    for kill in range(3):
        records = polls(range(2_000))
        log.append(records)
        true.update(record.key or b"" for record in records)
        before = sum(log.end_offset(changelog, p) for p in range(PARTITIONS))
        target = before + chance.randrange(1, 1_500)
        workers.start()
        await eventually(
            lambda: sum(log.end_offset(changelog, p) for p in range(PARTITIONS)) >= target,  # noqa: B023
            f"{target} changes, kill {kill} of seed {seed}",
        )
        workers.end(signal.SIGKILL)
        for partition in range(PARTITIONS):
            log.compact(changelog, partition)
            applied = log.committed(GROUP).get(("polls", partition), 0)
            log.trim("polls", partition, before_offset=applied, older_than_ms=10**15)
        if kill == 1:
            shutil.rmtree(tmp_path / "tables")

    workers.start()
    await eventually(lambda: committed_everything(log, "polls"), "a last worker counts the rest")
    workers.end(signal.SIGTERM)

    counts = counted(log)
    assert {key: (true[key], counts[key]) for key in true if counts[key] < true[key]} == {}, f"seed {seed}"
    shutil.rmtree(tmp_path / "tables")
    workers.start("dump")
    assert json.loads(workers.result()) == {key.decode(): count for key, count in counts.items()}


async def test_a_clean_stop_and_start_counts_exactly(log: EmbeddedLog, workers: Workers) -> None:
    log.declare_topic("polls", PARTITIONS, "delete")
    for _ in range(2):
        log.append(polls(range(510)))
        workers.start()
        await eventually(lambda: committed_everything(log, "polls"), "510 polls")
        workers.end(signal.SIGTERM)

    assert counted(log) == {b"s%d" % n: 20 for n in range(51)}


# Settings


def test_a_broker_url_names_a_file() -> None:
    assert log_path(URL("embedded:///var/lib/store%20pulse/log.db")) == Path("/var/lib/store pulse/log.db")


@pytest.mark.parametrize("url", ["embedded://", "embedded:///", "embedded://state/log.db"])
def test_a_broker_url_without_a_full_path_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="names no file"):
        log_path(URL(url))


def test_exactly_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="at_least_once"):
        _ = new_app(tmp_path, processing_guarantee="exactly_once").consumer


# The worker


async def work(folder: Path, mode: str) -> None:
    app = new_app(folder)
    counts = counting_table(app)
    topic = app.topic("polls", schema=RawSchema(), partitions=PARTITIONS)

    async def count(stream: Any) -> None:
        async for event in stream.events():
            counts[event.key] += 1

    app.agent(topic, name="count")(count)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await app.start()
    if mode == "dump":
        print(json.dumps({key.decode(): number for key, number in counts.items()}))
    else:
        await stopping.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
