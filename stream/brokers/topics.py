"""Declaring the topics, on whichever broker: the same names, clean-up and co-partitioning.

Owns: which topics must exist with how many partitions, and refusing what cannot work. Must not know: what is
sent on them.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import (  # type: ignore[import-untyped]
    BrokerNotAvailableError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    for_code,
)

from schemas.settings import Settings
from schemas.topics import ALL_TOPICS, CHANGELOG_TOPIC, SOURCES
from stream.brokers.connection import bootstrap_servers, client_options, start_client, try_servers
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.faust_internals import network_client
from stream.errors import BrokerUnreachable, PartitionsChanged, PartitionsDiffer, TopicsUnusable

log = structlog.get_logger(__name__)
T = TypeVar("T")

_CO_PARTITIONED: Final = frozenset(spec.name for spec in (*SOURCES, CHANGELOG_TOPIC))
_EMBEDDED_PARTITIONS: Final = 1
_KAFKA_PARTITIONS: Final = 12
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 8.0
_REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    ssl.SSLCertVerificationError,
)
"""What no waiting will mend."""


async def declare_topics(settings: Settings) -> int:
    """Declare all topics on the configured broker; how many partitions they have.

    Raises TopicsUnusable and stream.brokers.embedded.errors.LogError.
    """
    return _declare_embedded(settings) if settings.is_embedded else await _declare_on_kafka(settings)


def _declare_embedded(settings: Settings) -> int:
    with EmbeddedLog(settings.log_path) as embedded:
        found = {name: info.partitions for name, info in embedded.topics().items()}
        partitions = agreed_count(found, settings.partitions, _EMBEDDED_PARTITIONS)
        for spec in ALL_TOPICS:
            if spec.name not in found:
                embedded.declare_topic(spec.name, partitions, spec.cleanup)
        return partitions


async def _declare_on_kafka(settings: Settings) -> int:
    return await reach(settings, lambda: _declared(settings))


async def _declared(settings: Settings) -> int:
    admin = await _connected_admin(settings)
    try:
        names = [spec.name for spec in ALL_TOPICS]
        described = await admin.describe_topics(names)
        found = {each["topic"]: len(each["partitions"]) for each in described if each["partitions"]}
        partitions = agreed_count(found, settings.partitions, _KAFKA_PARTITIONS)
        missing = [
            NewTopic(
                spec.name,
                partitions,
                settings.replication,
                topic_configs={"cleanup.policy": spec.cleanup, "max.message.bytes": str(spec.max_bytes)},
            )
            for spec in ALL_TOPICS
            if spec.name not in found
        ]
        if missing:
            await _create(admin, missing)
        return partitions
    finally:
        await admin.close()


async def reach(settings: Settings, connect: Callable[[], Awaitable[T]]) -> T:
    """Connect to Kafka and ask what is to be asked, trying again with growing pauses.

    Raises BrokerUnreachable after the patience set, and at once TopicsUnusable where password, certificate
    or rights are wrong.
    """
    deadline, wait_s = time.monotonic() + settings.kafka_patience_seconds, _FIRST_WAIT_S
    servers = bootstrap_servers(settings)
    while True:
        try:
            return await connect()
        except _REFUSALS as error:
            raise TopicsUnusable(
                f"the Kafka broker at {', '.join(servers)} was reached, but one side refuses the other ({error}): "
                "check the STOREPULSE_KAFKA_* settings, and what that user may do"
            ) from None
        except (KafkaError, OSError) as error:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise BrokerUnreachable(servers, settings.kafka_patience_seconds, str(error)) from None
            log.warning(
                "no Kafka broker answers yet",
                servers=servers,
                cause=str(error),
                next_try_s=round(min(wait_s, left_s), 1),
            )
            await asyncio.sleep(min(wait_s, left_s))
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


async def _connected_admin(settings: Settings) -> Any:
    await try_servers(settings)
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await start_client(admin)
    except BaseException:
        await admin.close()
        raise
    return admin


def agreed_count(found: Mapping[str, int], wanted: int | None, default: int) -> int:
    """The one count that all co-partitioned topics have, or are to have.

    Raises PartitionsDiffer, and PartitionsChanged where it is not what is `wanted`.
    """
    counts = {topic: count for topic, count in found.items() if topic in _CO_PARTITIONED}
    if len(set(counts.values())) > 1:
        raise PartitionsDiffer(counts)
    if not counts:
        return default if wanted is None else wanted
    count = next(iter(counts.values()))
    if wanted not in (None, count):
        raise PartitionsChanged(count, wanted or 0)
    return count


async def _create(admin: Any, topics: list[NewTopic]) -> None:
    """Create topics; somebody else may have created one meanwhile.

    Raises TopicsUnusable, and KafkaError where asking again may help.
    """
    try:
        response = await admin.create_topics(topics)
    except AttributeError as missing:  # of a controller that is None, in aiokafka
        if network_client(admin).cluster.controller is None:
            raise BrokerNotAvailableError("Kafka names no controller yet") from missing
        raise
    for topic, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error.retriable:
            raise error(f"topic {topic} {rest}")
        if code and error is not TopicAlreadyExistsError:
            raise TopicsUnusable(f"cannot create topic {topic}: {error.__name__} {rest}")
