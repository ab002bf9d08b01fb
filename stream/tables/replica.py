"""A replica: the tables of all partitions, filled from the changelog, for API hosts without a worker.

Owns: a process that follows all partitions. Must not know: what the rows mean, Faust, how tables are brought up to
date (stream.tables.follower). It writes the very layout that a worker would, offset key and all, so that the query
API has one reader.

Positions are stored with the rows, in one WriteBatch: a replica that is killed goes on where its rows end.
"""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from schemas.settings import Settings
from schemas.table_scans import Table
from schemas.topics import CHANGELOG
from stream.brokers.kafka.broker import KafkaBroker
from stream.brokers.topics import declare_topics
from stream.state_lock import StateLock
from stream.tables.follower import Follower, is_of_another
from stream.tables.rocks import is_too_old, open_table, remove_table, stored_offset

log = structlog.get_logger(__name__)


def run_replica(settings: Settings) -> None:
    """Run a replica until SIGTERM or SIGINT. Raises LockHeld, TopicsUnusable, and what aiokafka raises."""
    with StateLock(settings.worker_lock):
        asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    following = asyncio.create_task(_follow(settings))
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def _follow(settings: Settings) -> None:
    """Follow until cancelled. Raises as `run_replica` does, and MalformedChangelog, NewerState."""
    partitions = await declare_topics(settings)
    broker, tables = KafkaBroker(settings), dict[int, Table]()
    try:
        ends = await broker.changelog.readable_ends(range(partitions))
        changelog_id = (await broker.topic_ids([CHANGELOG])).get(CHANGELOG)
        for partition in range(partitions):
            tables[partition] = _opened(settings.table_path(partition), ends[partition], changelog_id)
        log.info("replica follows", reached=_reached(tables), log_end=ends)
        follower = Follower(broker.changelog, skip_malformed=settings.malformed_changelog == "skip")
        await follower.follow(tables)
    finally:
        await broker.close()
        for table in tables.values():
            table.close()


def _opened(path: Path, log_end: int, changelog_id: str | None) -> Table:
    """The table; emptied where it is of another changelog, past the end of this one, or too old to go on with."""
    table = open_table(path)
    offset = stored_offset(table)
    if offset is None or not (offset >= log_end or is_of_another(table, changelog_id) or is_too_old(table)):
        return table
    log.warning("table is of an older changelog, or too old to go on with; making it again", path=str(path))
    remove_table(table, path)
    return open_table(path)


def _reached(tables: Mapping[int, Table]) -> dict[int, int | None]:
    return {partition: stored_offset(table) for partition, table in tables.items()}
