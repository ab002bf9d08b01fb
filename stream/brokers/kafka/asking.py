"""Questions to Apache Kafka, asked until it answers, and clients of aiokafka that are left behind where they hang.

Owns: which errors waiting mends. Must not know: what is asked, Faust.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    BrokerNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    ReplicaNotAvailableError,
    UnknownError,
)

from schemas.topics import APP_ID
from stream.brokers.connection import start_client

log = structlog.get_logger(__name__)
T = TypeVar("T")

RETRY_SECONDS: Final = 0.5
"""From one attempt to the next."""
_SAY_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 3.0
"""How long a client may take to close."""
_PASSING: Final = (
    BrokerNotAvailableError,
    KafkaConnectionError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    ReplicaNotAvailableError,
    UnknownError,
)
"""What waiting mends, beside what aiokafka calls retriable. A code that it does not know is an UnknownError."""


class Asking:
    """A consumer that only asks, connected when first needed; `isolation_level` says where a topic ends for it."""

    def __init__(self, options: Mapping[str, Any], isolation_level: str) -> None:
        self._options = {**options, "isolation_level": isolation_level}
        self._connecting = asyncio.Lock()
        self._consumer: Any = None
        self._patience = Patience()

    async def ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """The answer to a question to the consumer; see Patience."""

        async def once() -> T:
            return await question(await self._connected())

        return await self._patience.wait_for(once)

    async def ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Where partitions of a topic end."""
        asked = [TopicPartition(topic, partition) for partition in partitions]
        ends = await self.ask(lambda consumer: consumer.end_offsets(asked))
        return {tp.partition: offset for tp, offset in ends.items()}

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(**self._options, group_id=APP_ID, enable_auto_commit=False)
                await started(consumer)
                self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            await close_client(self._consumer)
            self._consumer = None


class Patience:
    """Tries again while the broker is away, for ever, and says so now and then."""

    def __init__(self) -> None:
        self._said_s: float | None = None

    async def wait_for(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` gives in the end. Raises at once what no waiting mends, KafkaError and OSError among that.

        Whoever gives it up finds the broker's last error as the cause of the cancellation.
        """
        last: Exception | None = None
        try:
            while True:
                try:
                    return await attempt()
                except (KafkaError, OSError) as error:  # TimeoutError is one
                    if not _passes(error):
                        raise
                    last = error
                self._say(last)
                await asyncio.sleep(RETRY_SECONDS)
        except asyncio.CancelledError as given_up:
            raise given_up from last

    def _say(self, error: Exception) -> None:
        now_s = time.monotonic()
        if self._said_s is None or now_s - self._said_s > _SAY_SECONDS:
            self._said_s = now_s
            log.warning("Kafka does not answer a question; asking again until it does", cause=repr(error))


def _passes(error: Exception) -> bool:
    """Whether waiting may mend an error; rights, passwords and certificates it does not."""
    if isinstance(error, OSError):
        return not isinstance(error, ssl.SSLCertVerificationError)
    return isinstance(error, _PASSING) or bool(getattr(error, "retriable", False))


async def started(consumer: Any) -> None:
    try:
        await start_client(consumer)
    except BaseException:
        await close_client(consumer)
        raise


async def close_client(client: Any) -> None:
    """Close a client of aiokafka, which may wait for a broker that is gone; then it is left behind."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait({stopping}, timeout=CLOSE_SECONDS)
    stopping.add_done_callback(seen)
    stopping.cancel()


def seen(future: "asyncio.Future[Any]") -> None:
    """Look at how a future ended, which asyncio would complain about otherwise."""
    if not future.cancelled():
        future.exception()
