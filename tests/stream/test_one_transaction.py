"""A flush is one transaction on either broker: records for elsewhere, rows and positions, all of them or nothing.

    begin ── dead letters, strays ── rows ── positions ── all have arrived? ── commit ── acknowledge

No Kafka is needed: its producer is a fake that notes what it is asked to do. The embedded log is the real one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # it has no types

from schemas.rows.positions import POSITIONS_KEY
from schemas.topics import ALL_TOPICS, APP_ID, CHANGELOG, DEAD_LETTERS, POLLS, ZONES
from schemas.values import StoreId
from stream.brokers.embedded.broker import EmbeddedBroker
from stream.brokers.embedded.errors import UnknownPartition
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.kafka.broker import KafkaWriter
from stream.brokers.partitions import partition_of
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, WriterLost
from stream.brokers.records import Record

PARTITIONS = 4
OURS = 3
S1 = StoreId("s1")
ELSEWHERE = (partition_of(S1, PARTITIONS) + 1) % PARTITIONS
"""A partition that is not the one of the key."""
LETTER = Outgoing(DEAD_LETTERS, None, b"s1", b"{", (("dlq.reason", b"why"),))
STRAY = Outgoing(POLLS, ELSEWHERE, b"s1", b"{}", (("storepulse.stamp", b"7 3 4"),), 7)
FIRST: Rows = [(b"Ss1", b"1"), (b"Ss2", None)]
LAST: Rows = [(POSITIONS_KEY, b'{"store-polls":5}')]


class BrokenTable(Exception):
    """What reading a table on the way raises."""


async def slices(*parts: Rows | Exception) -> AsyncIterator[Rows]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


# Kafka


class Batch:
    """As much of aiokafka's batch builder as we fill."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None]] = []

    def append(self, *, key: bytes, value: bytes | None, timestamp: int) -> object:
        self.rows.append((key, value))
        return timestamp

    def record_count(self) -> int:
        return len(self.rows)


class NotingProducer:
    """As much of aiokafka's producer as a flush takes. What it is sent arrives at once, unless `holds_back`."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.batches: list[list[tuple[bytes, bytes | None]]] = []
        self.waiting: list[asyncio.Future[Any]] = []
        self.holds_back = False

    async def begin_transaction(self) -> None:
        self.did.append("begin")

    async def send(self, topic: str, value: bytes, key: bytes, **rest: Any) -> asyncio.Future[Any]:
        self.did.append("send")
        self.sent.append({"topic": topic, "value": value, "key": key, **rest})
        return self._arriving(0)

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert (topic, partition) == (CHANGELOG, OURS)
        self.did.append("rows")
        self.batches.append(batch.rows)
        return self._arriving(40 + sum(map(len, self.batches[:-1])))

    async def commit_transaction(self) -> None:
        self.did.append("commit")

    def _arriving(self, offset: int) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self.holds_back:
            self.waiting.append(future)
        else:
            future.set_result(SimpleNamespace(offset=offset))
        return future


async def test_kafka_gets_what_is_for_elsewhere_and_all_rows_in_one_transaction() -> None:
    producer = NotingProducer()
    await KafkaWriter(OURS, producer).write(slices(FIRST, LAST), [LETTER, STRAY], {POLLS: 5})
    assert producer.did == ["begin", "send", "send", "rows", "rows", "commit"]
    assert producer.batches == [FIRST, LAST]


async def test_kafka_is_told_partition_time_and_headers_of_what_goes_elsewhere() -> None:
    """None lets Kafka choose: by the key, and now."""
    producer = NotingProducer()
    await KafkaWriter(OURS, producer).write(slices(LAST), [LETTER, STRAY], {})
    letter, stray = producer.sent
    assert (letter["partition"], letter["timestamp_ms"]) == (None, None)
    assert letter["headers"] == [("dlq.reason", b"why")]
    assert (stray["partition"], stray["timestamp_ms"]) == (ELSEWHERE, 7)
    assert stray["headers"] == [("storepulse.stamp", b"7 3 4")]


@pytest.mark.parametrize("late", [0, 1, 2])
async def test_kafka_commits_nothing_before_letters_strays_and_rows_have_all_arrived(late: int) -> None:
    """The letter, the stray or the rows are the last that arrive."""
    producer = NotingProducer()
    producer.holds_back = True
    writing = asyncio.create_task(KafkaWriter(OURS, producer).write(slices(LAST), [LETTER, STRAY], {}))
    await _turns()
    for number, future in enumerate(producer.waiting):
        if number != late:
            future.set_result(SimpleNamespace(offset=40))
    await _turns()
    assert ("commit" in producer.did, writing.done()) == (False, False)
    producer.waiting[late].set_result(SimpleNamespace(offset=40))
    await writing
    assert producer.did[-1] == "commit"


@pytest.mark.parametrize("refused", [0, 1, 2])
async def test_a_letter_a_stray_or_a_row_that_kafka_refuses_loses_the_writer_and_commits_nothing(
    refused: int,
) -> None:
    producer = NotingProducer()
    producer.holds_back = True
    writer = KafkaWriter(OURS, producer)
    writing = asyncio.create_task(writer.write(slices(LAST), [LETTER, STRAY], {}))
    await _turns()
    for number, future in enumerate(producer.waiting):
        if number == refused:
            future.set_exception(KafkaError("no"))
        else:
            future.set_result(SimpleNamespace(offset=40))
    with pytest.raises(WriterLost):
        await writing
    assert "commit" not in producer.did
    with pytest.raises(WriterLost, match="it was lost before"):
        await writer.write(slices(LAST), [], {})
    assert producer.did.count("begin") == 1


async def test_rows_that_cannot_be_made_lose_the_writer_and_are_no_fault_of_kafkas() -> None:
    producer = NotingProducer()
    writer = KafkaWriter(OURS, producer)
    with pytest.raises(BrokenTable):
        await writer.write(slices(FIRST, BrokenTable()), [LETTER], {})
    assert "commit" not in producer.did
    assert writer.is_lost


async def test_a_flush_on_kafka_takes_up_its_rows_and_the_marker_of_its_transaction() -> None:
    """r r │ P ·     offsets 40, 41, 42, and 43 for the marker"""
    writer = KafkaWriter(OURS, NotingProducer())
    assert await writer.write(slices(FIRST, LAST), [LETTER], {}) == 43


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# The embedded log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path / "log.db") as log:
        for spec in ALL_TOPICS:
            log.declare_topic(spec.name, PARTITIONS, spec.cleanup)
        yield log


@pytest.fixture
async def writer(tmp_path: Path, log: EmbeddedLog) -> AsyncIterator[PartitionWriter]:
    broker = EmbeddedBroker(tmp_path / "log.db")
    yield (await broker.own([OURS]))[OURS]
    await broker.close()


def all_of(log: EmbeddedLog) -> list[Record]:
    return [each for at in sorted(log.end_offsets()) for each in log.read(*at, 0, 1000, 1 << 20)]


async def test_the_log_gets_what_is_for_elsewhere_rows_and_positions_at_once(
    writer: PartitionWriter, log: EmbeddedLog
) -> None:
    last = await writer.write(slices(FIRST, LAST), [LETTER, STRAY], {POLLS: 5, ZONES: 2})
    stray, letter, *rows = all_of(log)
    assert [(each.key, each.value) for each in rows] == [*FIRST, *LAST]
    assert {each.partition for each in rows} == {OURS}
    assert last == rows[-1].offset == 2
    assert (stray.topic, stray.partition, stray.timestamp_ms) == (POLLS, ELSEWHERE, 7)
    assert (letter.topic, letter.partition) == (DEAD_LETTERS, partition_of(S1, PARTITIONS))
    assert letter.timestamp_ms == rows[0].timestamp_ms > 1_700_000_000_000
    assert log.committed(APP_ID) == {(POLLS, OURS): 5, (ZONES, OURS): 2}


@pytest.mark.parametrize("outgoing", [[LETTER], [STRAY]])
async def test_rows_that_cannot_be_made_leave_the_log_as_it_was(
    writer: PartitionWriter, log: EmbeddedLog, outgoing: list[Outgoing]
) -> None:
    with pytest.raises(BrokenTable):
        await writer.write(slices(FIRST, BrokenTable()), outgoing, {POLLS: 5})
    assert (all_of(log), log.committed(APP_ID)) == ([], {})


async def test_what_cannot_be_sent_elsewhere_leaves_the_log_as_it_was(
    writer: PartitionWriter, log: EmbeddedLog
) -> None:
    nowhere = Outgoing(POLLS, PARTITIONS, b"s1", b"{}")
    with pytest.raises(UnknownPartition):
        await writer.write(slices(FIRST, LAST), [LETTER, nowhere], {POLLS: 5})
    assert (all_of(log), log.committed(APP_ID)) == ([], {})
