"""The topics of an embedded log, as the consumer and the producer of one app know them together."""

import logging
from collections.abc import Iterable

from faust.types import AppT

from stream.brokers.embedded.log import Cleanup
from stream.brokers.embedded.threads import LogThread

logger = logging.getLogger(__name__)


class Topics:
    """Number of partitions of each topic that was declared, by whichever process."""

    def __init__(self, app: AppT) -> None:
        self._app = app
        self._partitions: dict[str, int] = {}

    def partitions(self, topic: str) -> int:
        """Number of partitions; 0 if nobody is known to have declared the topic."""
        return self._partitions.get(topic, 0)

    async def learn(self, thread: LogThread) -> None:
        """Read what the log has."""
        found = await thread.submit(lambda log: log.topics())
        self._partitions = {name: topic.partitions for name, topic in found.items()}

    async def ensure(self, thread: LogThread, topics: Iterable[str]) -> None:
        """Find `topics`, and declare missing ones as a broker that creates topics by itself would."""
        if all(topic in self._partitions for topic in topics):
            return
        await self.learn(thread)
        for topic in set(topics) - self._partitions.keys():
            await self.declare(thread, topic, self._app.conf.topic_partitions, compacting=False)

    async def declare(self, thread: LogThread, topic: str, partitions: int, *, compacting: bool) -> None:
        """Declare `topic`, unless the app may not. Raises `PartitionCountChanged`."""
        if not self._app.conf.topic_allow_declare:
            logger.warning("Topic %s is not declared: topic_allow_declare is off", topic)
            return
        cleanup: Cleanup = "compact" if compacting else "delete"
        await thread.submit(lambda log: log.declare_topic(topic, partitions, cleanup))
        self._partitions[topic] = partitions
