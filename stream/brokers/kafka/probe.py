"""What the API may ask of Kafka and of the workers' group (query_api.ports).

Owns: log-end positions, and whether a worker lives. Must not know: HTTP.
"""

import asyncio
import time
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # it has no types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import APP_ID, SOURCES
from stream.brokers.connection import client_options, start_client
from stream.brokers.replay_target import ReplayTarget
from stream.state_lock import held

_PROBE_TIMEOUT_MS: Final = 4_000
_PARTITIONS_KNOWN_S: Final = 5.0
_SOURCES: Final = frozenset(spec.name for spec in SOURCES)


class KafkaProbe:
    """Asks Kafka: ends of the logs, and whether the group of the workers has members."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target = ReplayTarget(settings.state)
        self._connecting = asyncio.Lock()
        self._consumer: Any = None
        self._admin: Any = None
        self._partitions: list[TopicPartition] = []
        self._partitions_s = 0.0

    async def end_offsets(self) -> Positions:
        await self._connect()
        ends = await self._consumer.end_offsets(await self._source_partitions())
        return {(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    async def worker_alive(self) -> bool:
        """Whether there is a worker anywhere, and whoever fills the tables here, if anybody ever did."""
        lock = self._settings.worker_lock
        if lock.exists() and not await asyncio.to_thread(held, lock):
            return False
        await self._connect()
        (response,) = await self._admin.describe_consumer_groups([APP_ID])
        return any(group["members"] for group in response.to_object()["groups"])

    def replay_target(self) -> Positions | Literal["pending"] | None:
        return self._target.read()

    async def close(self) -> None:
        async with self._connecting:
            if self._admin is not None:
                await self._consumer.stop()
                await self._admin.close()

    async def _source_partitions(self) -> list[TopicPartition]:
        """The partitions of the topics, asked for again after some seconds: their number hardly ever changes."""
        if not self._partitions or time.monotonic() - self._partitions_s > _PARTITIONS_KNOWN_S:
            self._partitions = [
                TopicPartition(topic["topic"], each["partition"])
                for topic in await self._admin.describe_topics(sorted(_SOURCES))
                for each in topic["partitions"]
            ]
            self._partitions_s = time.monotonic()
        return self._partitions

    async def _connect(self) -> None:
        """Connect once; the clients find lost brokers again by themselves."""
        async with self._connecting:
            if self._admin is not None:
                return
            options = {**client_options(self._settings), "request_timeout_ms": _PROBE_TIMEOUT_MS}
            consumer, admin = AIOKafkaConsumer(**options), AIOKafkaAdminClient(**options)
            try:
                await start_client(consumer)
                await start_client(admin)
            except BaseException:
                await consumer.stop()
                await admin.close()
                raise
            self._consumer, self._admin = consumer, admin
