"""A state folder made by hand, as its worker would have it open.

Owns: tables and log that fit together. Must not know: who copies or reads them.
"""

import asyncio
from pathlib import Path

from schemas.rows.local import WHOLE_KEY
from schemas.settings import Settings
from schemas.topics import CHANGELOG, POLLS
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord
from stream.brokers.topics import declare_topics
from tests.builders import polls
from tests.query_api.tables import Tables


class StateFolder:
    """Two partitions, whole, with three stores; of each, ten records of the polls are applied."""

    def __init__(self, state: Path) -> None:
        self.settings = Settings(state=state, partitions=2)
        asyncio.run(declare_topics(self.settings))
        self.log = EmbeddedLog(self.settings.log_path)
        self.tables = Tables(self.settings, partitions=2)
        for partition in range(2):
            self.append(partition, 10)
            self.log.append([NewRecord(CHANGELOG, partition, b"S", b"row", 0)] * 8)
            self.tables.apply(POLLS, 10, partition)
            self.tables.put(WHOLE_KEY, b"1", partition)
        for store_id in ("s1", "s2", "s3"):
            self.tables.add(polls("Mon 10:00 active", "Mon 11:00 inactive", store_id=store_id))

    def append(self, partition: int, records: int) -> None:
        """More polls, written in 1970."""
        self.log.append([NewRecord(POLLS, partition, b"s1", b"{}", 0)] * records)

    def close(self) -> None:
        """Let go of tables and log."""
        self.tables.close()
        self.log.close()
