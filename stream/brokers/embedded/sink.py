"""Where commands send records on one machine: the embedded log.

Owns: one transaction a batch. Must not know: what the records say.
"""

import asyncio

from schemas.positions import Positions
from schemas.settings import Settings
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord
from stream.brokers.sink import Sink
from stream.brokers.topics import declare_topics


class EmbeddedSink(Sink):
    """Appends to the embedded log, some megabytes a transaction."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(asyncio.run(declare_topics(settings)))
        self._log = EmbeddedLog(settings.log_path)

    def _append(self, records: list[NewRecord]) -> Positions:
        offsets = self._log.append(records)
        return {
            (record.topic, record.partition): offset + 1
            for record, offset in zip(records, offsets, strict=True)
        }

    def _close(self) -> None:
        self._log.close()
