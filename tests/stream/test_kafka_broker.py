"""What a worker asks of Kafka while Kafka is away, and the writers of an assignment that came to nothing.

No Kafka is needed: the clients of aiokafka are fakes that fail as it does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from ssl import SSLCertVerificationError
from types import SimpleNamespace
from typing import Final

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import (  # type: ignore[import-untyped]
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from structlog.testing import capture_logs

from schemas.settings import Settings
from schemas.topics import CHANGELOG, POLLS
from stream.brokers.kafka import asking as kafka_asking
from stream.brokers.kafka import broker as kafka_broker
from stream.brokers.kafka.broker import KafkaBroker, KafkaWriter
from stream.brokers.ports import Rows, WriterLost
from stream.errors import BrokerLost, TopicsUnusable
from stream.worker import outage
from stream.worker.outage import Outage

_SECONDS: Final = 10.0
_PATIENCE_S: Final = 0.05
_AT: Final = (POLLS, 3)

Question = Callable[[KafkaBroker], Awaitable[object]]


ONE_BROKER = SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: {0}))
"""What a started client of aiokafka knows of the cluster."""


class FakeKafka:
    """Fails each call with the next of the errors, or for ever with one; where none is left it answers."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.for_ever: Exception | None = None
        self.sought: dict[TopicPartition, int] = {}

    def call(self) -> None:
        if self.for_ever is not None:
            raise self.for_ever
        if self.errors:
            raise self.errors.pop(0)


async def test_a_flush_that_comes_to_no_end_loses_its_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for a topic that was deleted, say."""

    class Waiting:
        async def begin_transaction(self) -> None:
            await asyncio.Event().wait()

    async def no_rows() -> AsyncIterator[Rows]:
        yield []

    monkeypatch.setattr(kafka_broker, "_TRANSACTION_SECONDS", _PATIENCE_S)
    writer = KafkaWriter(3, Waiting())
    with pytest.raises(WriterLost, match=r"not written within 0\.05 s"):
        await asyncio.wait_for(writer.write(no_rows(), [], {}), _SECONDS)
    assert writer.is_lost


class FakeConsumer:
    """As much of aiokafka's as we ask with."""

    client = ONE_BROKER

    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka

    async def start(self) -> None:
        self._kafka.call()

    async def stop(self) -> None:
        pass

    async def beginning_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(asked, 5)

    async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._kafka.call()
        return dict.fromkeys(asked, 9)

    async def committed(self, _: TopicPartition) -> int:
        self._kafka.call()
        return 7

    def assign(self, _: object) -> None:
        pass

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._kafka.sought[tp] = offset


class FakeProducers:
    """Producers by partition: of 1 none starts, of 2 it is refused, and only after that of 0 has started."""

    def __init__(self) -> None:
        self.started = {partition: asyncio.Event() for partition in range(4)}
        self.closed: list[int] = []

    def make(self, transactional_id: str, **_: object) -> "FakeProducer":
        return FakeProducer(self, int(transactional_id.removeprefix("storepulse-")))


class FakeProducer:
    """As much of aiokafka's as it takes to become a writer."""

    client = ONE_BROKER

    def __init__(self, all_of_them: FakeProducers, partition: int) -> None:
        self._all = all_of_them
        self._partition = partition

    async def start(self) -> None:
        if self._partition == 1:
            await asyncio.Event().wait()
        if self._partition == 2:
            await self._all.started[0].wait()
            raise TransactionalIdAuthorizationFailed
        self._all.started[self._partition].set()

    async def stop(self) -> None:
        self._all.closed.append(self._partition)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    kafka = FakeKafka()

    async def topic_ids(*_: object) -> dict[str, str]:
        kafka.call()
        return {POLLS: "id"}

    for module in (kafka_asking, kafka_broker):
        monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: FakeConsumer(kafka))
    monkeypatch.setattr(kafka_broker, "topic_ids", topic_ids)
    monkeypatch.setattr(kafka_asking, "RETRY_SECONDS", 0.001)
    return kafka


@pytest.fixture
def broker(fake: FakeKafka, tmp_path: Path) -> KafkaBroker:
    return KafkaBroker(Settings(state=tmp_path, broker="kafka://nowhere:9092"))


QUESTIONS: Final[dict[str, tuple[Question, object]]] = {
    "spans": (lambda broker: broker.spans([_AT]), {_AT: (5, 9)}),
    "committed": (lambda broker: broker.committed([_AT]), {_AT: 7}),
    "topic ids": (lambda broker: broker.topic_ids([POLLS]), {POLLS: "id"}),
    "ends": (lambda broker: broker.changelog.ends([3]), {3: 9}),
    "readable ends": (lambda broker: broker.changelog.readable_ends([3]), {3: 9}),
    "begin": (lambda broker: broker.changelog.begin({3: 4}), None),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_question_waits_for_a_broker_that_is_away(
    question: str, fake: FakeKafka, broker: KafkaBroker
) -> None:
    ask, answer = QUESTIONS[question]
    fake.errors = [
        KafkaConnectionError("unable to bootstrap"),
        KafkaTimeoutError("failed to get offsets"),
        NodeNotReadyError("not ready"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ]
    with capture_logs() as logs:
        assert await asyncio.wait_for(ask(broker), _SECONDS) == answer
    assert fake.errors == []
    assert [(each["log_level"], each["cause"]) for each in logs] == [
        ("warning", "KafkaConnectionError('unable to bootstrap')")
    ]
    if question == "begin":
        assert fake.sought == {TopicPartition(CHANGELOG, 3): 4}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "error",
    [
        TopicAuthorizationFailedError(),
        GroupAuthorizationFailedError(),
        SaslAuthenticationFailed("password"),
        SSLCertVerificationError("certificate"),
        KafkaError("who knows"),
    ],
    ids=["topic", "group", "password", "certificate", "unknown"],
)
async def test_what_waiting_does_not_mend_is_raised_at_once(
    question: str, error: Exception, fake: FakeKafka, broker: KafkaBroker
) -> None:
    fake.for_ever = error
    with pytest.raises(type(error)) as raised:
        await asyncio.wait_for(QUESTIONS[question][0](broker), _SECONDS)
    assert raised.value is error


async def test_a_broker_without_topic_ids_has_none(fake: FakeKafka, broker: KafkaBroker) -> None:
    await broker.spans([_AT])
    fake.for_ever = IncompatibleBrokerVersion("too old")
    assert await asyncio.wait_for(broker.topic_ids([POLLS]), _SECONDS) == {}


async def test_a_long_outage_is_said_now_and_then(
    fake: FakeKafka, broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0

    def monotonic() -> float:
        nonlocal now_s
        now_s += 25  # a try each 25 s: said at the first, the fourth and the seventh
        return now_s

    monkeypatch.setattr("stream.brokers.kafka.asking.time", SimpleNamespace(monotonic=monotonic))
    fake.errors = [NodeNotReadyError(f"try {number}") for number in range(1, 9)]
    with capture_logs() as logs:
        await broker.spans([_AT])
    assert [each["cause"] for each in logs] == [f"NodeNotReadyError('try {number}')" for number in (1, 4, 7)]


async def test_a_worker_ends_with_what_the_broker_said_last(
    fake: FakeKafka, broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question waits for ever, and whoever watches the broker gives it up each time."""
    monkeypatch.setattr(outage, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(outage, "_ANSWER_SECONDS", 0.05)
    fake.for_ever = NodeNotReadyError("node 1 is not ready")
    watched = Outage(_PATIENCE_S, lambda: broker.spans([_AT]))
    with pytest.raises(BrokerLost, match=r"no answer for 0 s: .*node 1 is not ready"):
        await asyncio.wait_for(watched.watch(), _SECONDS)


async def test_a_question_that_is_given_up_is_cancelled(fake: FakeKafka, broker: KafkaBroker) -> None:
    fake.for_ever = NodeNotReadyError("not ready")
    asking = asyncio.create_task(broker.topic_ids([POLLS]))
    await asyncio.sleep(0.01)  # some tries
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asking.cancelled()


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> FakeProducers:
    fakes = FakeProducers()
    monkeypatch.setattr(kafka_broker, "AIOKafkaProducer", fakes.make)
    return fakes


async def test_writers_of_an_assignment_that_is_given_up_are_closed(
    producers: FakeProducers, broker: KafkaBroker
) -> None:
    """Partitions 0 and 3 are ours when the next rebalance comes; 1 still waits for the broker."""
    owning = asyncio.create_task(broker.own([0, 1, 3]))
    async with asyncio.timeout(_SECONDS):
        await producers.started[0].wait()
        await producers.started[3].wait()
    owning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owning
    assert sorted(producers.closed) == [0, 1, 3]


async def test_writers_of_an_assignment_that_fails_are_closed_and_the_error_is_raised(
    producers: FakeProducers, broker: KafkaBroker
) -> None:
    """Partition 0 is ours, 1 still waits, and 2 is refused."""
    with pytest.raises(TopicsUnusable, match="does not let this worker write in transactions") as raised:
        await asyncio.wait_for(broker.own([0, 1, 2]), _SECONDS)
    assert isinstance(raised.value.__cause__, TransactionalIdAuthorizationFailed)
    assert sorted(producers.closed) == [0, 1, 2]


async def test_an_assignment_without_partitions_has_no_writers(broker: KafkaBroker) -> None:
    assert await broker.own([]) == {}
