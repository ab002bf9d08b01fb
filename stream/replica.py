"""A replica: the tables of all partitions, filled from the changelog, for API hosts without a worker.

Owns: following the changelog and where it stands. Must not know: what the rows mean, Faust. It writes the very
layout that a worker would, offset key and all, so that the query API has one reader.

Positions are stored with the rows, in one WriteBatch: a replica that is killed goes on where its rows end.
A table that did not follow for longer than Kafka keeps tombstones is made anew (stream.rocks).
"""

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]  # it has no types

from schemas.settings import Settings
from schemas.state import MalformedRow, NewerState, check_row
from schemas.topics import CHANGELOG
from stream.connection import client_options
from stream.embedded.lock import StateLock
from stream.errors import MalformedChangelog
from stream.rocks import NOTE_SECONDS, Table, note_complete, open_current_table, stored_offset, write_rows
from stream.topics import declare_topics

log = structlog.get_logger(__name__)

_FETCH_MS: Final = 500


def run_replica(settings: Settings) -> None:
    """Run a replica until SIGTERM or SIGINT. Raises LockHeld, TopicsUnusable, and what aiokafka raises."""
    with StateLock(settings.worker_lock):
        asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    partitions = await declare_topics(settings)
    following = asyncio.create_task(Replica(settings, partitions).follow())
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


class Replica:
    """Follows the `partitions` of the changelog into the tables of a state folder."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._settings = settings
        self._partitions = partitions
        self._tables: dict[int, Table] = {}

    async def follow(self) -> None:
        """Follow until cancelled. Raises MalformedChangelog, NewerState, and what aiokafka and RocksDB raise."""
        consumer = AIOKafkaConsumer(
            **client_options(self._settings), enable_auto_commit=False, fetch_max_wait_ms=_FETCH_MS
        )
        await consumer.start()
        try:
            await self._begin(consumer)
            noted_s = time.monotonic()
            while True:
                fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
                for partition, records in fetched.items():
                    await asyncio.to_thread(self._apply, partition.partition, records)
                if time.monotonic() - noted_s > NOTE_SECONDS:
                    noted_s = time.monotonic()
                    await self._note_complete(consumer)
        finally:
            await consumer.stop()
            self.close()

    def close(self) -> None:
        """Close all tables."""
        while self._tables:
            self._tables.popitem()[1].close()

    async def _begin(self, consumer: Any) -> None:
        """Open every table and seek to what it lacks."""
        assigned = [TopicPartition(CHANGELOG, partition) for partition in range(self._partitions)]
        consumer.assign(assigned)
        ends: Mapping[Any, int] = await consumer.end_offsets(assigned)
        for tp in assigned:
            path = self._settings.table_path(tp.partition)
            table, offset = _opened(path, ends[tp])
            self._tables[tp.partition] = table
            consumer.seek(tp, 0 if offset is None else offset + 1)
            log.info("replica follows", partition=tp.partition, has=offset, log_end=ends[tp])

    def _apply(self, partition: int, records: list[Any]) -> None:
        rows = [(record.key, record.value) for record in records if self._is_row(partition, record)]
        write_rows(self._tables[partition], rows, records[-1].offset, records[-1].timestamp / 1000)

    async def _note_complete(self, consumer: Any) -> None:
        """Note for each table that has all there is when the broker last said so."""
        for tp in consumer.assignment():
            end, asked_ms = consumer.highwater(tp), consumer.last_poll_timestamp(tp)
            if end is not None and asked_ms and await consumer.position(tp) >= end:
                note_complete(self._tables[tp.partition], asked_ms / 1000)

    def _is_row(self, partition: int, record: Any) -> bool:
        """Whether a changelog record is a row of ours. Raises MalformedChangelog, NewerState."""
        try:
            check_row(record.key, record.value)
        except NewerState as error:
            what = f"row at {CHANGELOG}, partition {partition}, offset {record.offset},"
            raise NewerState(what, error.found, error.known) from None
        except MalformedRow as error:
            found = MalformedChangelog(CHANGELOG, partition, record.offset, error)
            if self._settings.malformed_changelog == "stop":
                raise found from None
            log.error("left out", fault=str(found))
            return False
        return True


def _opened(path: Path, log_end: int) -> tuple[Table, int | None]:
    """The table and the offset it reaches; made anew where that is past the end of a changelog that began anew."""
    table = open_current_table(path)
    offset = stored_offset(table)
    if offset is None or offset < log_end:
        return table, offset
    log.warning("table is of an older changelog; making it anew", path=str(path))
    table.close()
    shutil.rmtree(path)
    return open_current_table(path), None
