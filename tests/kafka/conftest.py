"""Fixtures: a real Kafka for tests, or a skip that says what is missing.

STOREPULSE_TEST_KAFKA   bootstrap servers of a running one, `host:port,host:port`; otherwise one is started
STOREPULSE_REQUIRE_KAFKA=1   what would be skipped for want of a Kafka fails instead
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.dev.kafka.broker import KafkaBroker
from scripts.dev.kafka.configuration import QUICK
from scripts.dev.kafka.errors import LocalKafkaError
from scripts.dev.kafka.libs import fetch
from scripts.dev.kafka.tools import JAVA
from tests.kafka.broker import Kafka, wipe

GIVEN: Final = os.environ.get("STOREPULSE_TEST_KAFKA", "")
REQUIRED: Final = os.environ.get("STOREPULSE_REQUIRE_KAFKA", "") == "1"
NEEDED: Final = "needs Java 17 and Maven, or STOREPULSE_TEST_KAFKA"
NEEDED_TO_START: Final = "needs Java 17 and Maven"

NewKafka = Callable[..., KafkaBroker]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running broker, the same one for all tests. Tests that use topics take `clean_kafka`."""
    if GIVEN:
        yield Kafka(GIVEN)
        return
    _require(NEEDED)
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), properties=QUICK)
    broker.start()
    yield Kafka(broker.bootstrap)
    broker.stop()


@pytest.fixture
def clean_kafka(kafka: Kafka) -> Kafka:
    """The same without a topic or group of storepulse."""
    wipe(kafka.bootstrap)
    return kafka


@pytest.fixture
def new_kafka(tmp_path: Path) -> Iterator[NewKafka]:
    """Starts brokers that are the test's own: `new_kafka(security="ssl")`. They are gone after it."""
    _require(NEEDED_TO_START)
    brokers: list[KafkaBroker] = []

    def start(**options: Any) -> KafkaBroker:
        options["properties"] = {**QUICK, **options.get("properties", {})}
        brokers.append(KafkaBroker(tmp_path / f"kafka-{len(brokers)}", **options))
        brokers[-1].start()
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def own_kafka(new_kafka: NewKafka) -> KafkaBroker:
    """A broker that the test may stop, kill and start again."""
    return new_kafka()


def _require(needed: str) -> None:
    try:
        JAVA.find()
        fetch()
    except LocalKafkaError as error:
        reason = f"{needed}: {error}"
        if REQUIRED:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
