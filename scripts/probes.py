"""What the API may ask of the broker and the worker.

Owns: log-end positions, whether a worker lives, and how far the data of `up --data` reaches. Must not know:
HTTP. query_api.broker says what a probe must answer; the API never sees which broker this is.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # it has no types
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from query_api.broker import BrokerProbe
from query_api.whole_file import whole_file
from schemas.settings import Settings
from schemas.topics import APP_ID, SOURCES
from scripts.sinks import Positions
from stream.connection import client_options, start_client, try_servers
from stream.embedded.lock import held
from stream.embedded.log import EmbeddedLog
from stream.topics import reach

_PROBE_TIMEOUT_MS: Final = 4_000
_PARTITIONS_KNOWN_S: Final = 5.0
_SOURCES: Final = frozenset(spec.name for spec in SOURCES)


class EmbeddedProbe(BrokerProbe):
    """Asks the embedded log, and looks at the worker's lock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target = ReplayTarget(settings.state)

    async def end_offsets(self) -> Positions:
        return await asyncio.to_thread(self._end_offsets)

    async def worker_alive(self) -> bool:
        return await asyncio.to_thread(held, self._settings.worker_lock)

    def replay_target(self) -> Positions | Literal["pending"] | None:
        return self._target.read()

    async def close(self) -> None:
        """There is nothing to let go of: each question opens the log anew."""

    def _end_offsets(self) -> Positions:
        with EmbeddedLog(self._settings.log_path) as log:
            return {tp: offset for tp, offset in log.end_offsets().items() if tp[0] in _SOURCES}


class ReplayTarget:
    """A file in the state folder by which `up --data` tells the API what must be readable first."""

    def __init__(self, state: Path) -> None:
        self._path = state / "replaying.json"

    def begin(self) -> None:
        """A replay has begun; how far it reaches is not known yet."""
        with whole_file(self._path) as file:
            file.write(b"null")

    def reach(self, positions: Positions) -> None:
        """The replay is sent; these positions must be applied."""
        listed = [[topic, partition, offset] for (topic, partition), offset in positions.items()]
        with whole_file(self._path) as file:
            file.write(json.dumps(listed).encode())

    def clear(self) -> None:
        """Nothing is being replayed."""
        self._path.unlink(missing_ok=True)

    def read(self) -> Positions | Literal["pending"] | None:
        """What must be applied, "pending" while that is not known, None where nothing was replayed."""
        try:
            listed = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return "pending" if listed is None else {(topic, p): offset for topic, p, offset in listed}


class KafkaProbe(BrokerProbe):
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


def open_probe(settings: Settings) -> BrokerProbe:
    """The probe of the configured broker. Raises stream.errors.TopicsUnusable where no Kafka answers at start."""
    if settings.is_embedded:
        return EmbeddedProbe(settings)
    asyncio.run(reach(settings, lambda: try_servers(settings)))
    return KafkaProbe(settings)
