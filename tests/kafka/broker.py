"""Topics and groups of a broker, as a test needs them: written, read back, and gone.

Owns: small questions to a Kafka through aiokafka. Must not know: who started the broker.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NoError,
    NotCoordinatorForGroupError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DeleteGroupsRequest  # type: ignore[import-untyped]

from schemas.topics import APP_ID

OUR_PREFIXES: Final = ("store-", f"{APP_ID}-")
_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_NON_EMPTY_GROUP: Final = 68
_GROUP_ID_NOT_FOUND: Final = 69
"""https://kafka.apache.org/protocol.html#protocol_error_codes; aiokafka has no class for these two."""
_NOT_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


class Kafka(NamedTuple):
    """A running broker, whoever started it."""

    bootstrap: str
    """`host:port`, or several of them with commas between."""

    @property
    def url(self) -> str:
        """As `--broker` and STOREPULSE_BROKER take it."""
        return f"kafka://{self.bootstrap}"


def create_topic(bootstrap: str, topic: str, partitions: int = 1, **options: Any) -> None:
    """Make a topic; `options` say how to connect."""

    async def create() -> None:
        async with _Admin(bootstrap, **options) as admin:
            answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
            _check(code for _, code, *_ in answer.topic_errors)

    asyncio.run(create())


def write(bootstrap: str, topic: str, *values: bytes, **options: Any) -> None:
    """Append the values to partition 0; when it returns, the broker has them."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **options) as producer:
            for value in values:
                await producer.send_and_wait(topic, value, partition=0)

    asyncio.run(send())


def read(bootstrap: str, topic: str, **options: Any) -> list[bytes]:
    """All values in partition 0, from the first to the last there is now."""

    async def receive() -> list[bytes]:
        values: list[bytes] = []
        partition = TopicPartition(topic, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", **options)
        try:
            await consumer.start()
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                values.append((await consumer.getone()).value)
        finally:
            await consumer.stop()
        return values

    return asyncio.run(asyncio.wait_for(receive(), _SECONDS))


def commit(bootstrap: str, topic: str, offset: int) -> None:
    """Commit `offset` of partition 0 for storepulse's consumer group."""

    async def send() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=APP_ID, enable_auto_commit=False)
        try:
            await consumer.start()
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.commit({TopicPartition(topic, 0): offset})
        finally:
            await consumer.stop()

    asyncio.run(send())


def committed(bootstrap: str, topic: str) -> int | None:
    """The offset of partition 0 that storepulse's consumer group committed; None where it has none."""

    async def ask() -> int | None:
        async with _Admin(bootstrap) as admin:
            offsets = await admin.list_consumer_group_offsets(APP_ID)
            found = offsets.get(TopicPartition(topic, 0))
            return None if found is None else int(found.offset)

    return asyncio.run(ask())


def our_topics(bootstrap: str) -> list[str]:
    """The topics that storepulse made."""

    async def ask() -> list[str]:
        async with _Admin(bootstrap) as admin:
            return await _our_topics(admin)

    return asyncio.run(ask())


def wipe(bootstrap: str) -> None:
    """Delete storepulse's topics and its consumer group, and wait until they are gone.

    A group that a killed worker was in is gone only after that worker's session has timed out. Raises TimeoutError.
    """
    asyncio.run(_wipe(bootstrap))


class _Admin:
    def __init__(self, bootstrap: str, **options: Any) -> None:
        self._bootstrap, self._options = bootstrap, options

    async def __aenter__(self) -> Any:
        self._client: Any = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, **self._options)
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def _wipe(bootstrap: str) -> None:
    async with _Admin(bootstrap) as admin:

        async def topics_gone() -> bool:
            topics = await _our_topics(admin)
            if not topics:
                return True
            answer = await admin.delete_topics(topics)
            _check((code for _, code, *_ in answer.topic_error_codes), UnknownTopicOrPartitionError)
            return False

        async def group_gone() -> bool:
            try:
                coordinator = await admin.find_coordinator(APP_ID)
            except _NOT_YET:
                return False
            answer = await admin._client.send(coordinator, DeleteGroupsRequest([APP_ID]))
            codes = {code for _, code in answer.results} - {_GROUP_ID_NOT_FOUND}
            _check(codes - {_NON_EMPTY_GROUP}, *_NOT_YET)
            return codes <= {NoError.errno}

        await _until(f"the group {APP_ID} is deleted", group_gone)
        await _until(f"the topics of {APP_ID} are deleted", topics_gone)


async def _our_topics(admin: Any) -> list[str]:
    return sorted(topic for topic in await admin.list_topics() if topic.startswith(OUR_PREFIXES))


async def _until(what: str, is_so: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not await is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_SECONDS:g} s: {what}")
        await asyncio.sleep(_POLL_SECONDS)


def _check(codes: Any, *harmless: type[Exception]) -> None:
    for code in codes:
        error = for_code(code)
        if error not in (NoError, *harmless):
            raise error()
