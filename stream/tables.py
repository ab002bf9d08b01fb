"""The one table, `stores`: a Faust table over RocksDB whose rows are written in batches.

Owns: in which order changelog and RocksDB are written, how rows come back from the changelog, and what is done
when somebody else wrote to it. Must not know: what the rows mean (schemas.state), how RocksDB is opened
(stream.rocks).

A batch goes to the changelog first, and when that is confirmed to RocksDB as one WriteBatch with the
changelog offset in it. So a row in RocksDB is always in the changelog, and after a crash Faust's own
recovery reads on from the stored offset. Faust's dict interface (`table[key] = value`) is not used: it
wants a current stream event, and costs a changelog send and two puts a row.

Only the owner of a partition writes its changelog, so its records follow each other without a hole. A hole
means that a worker which lost the partition while it was stopped or cut off, and did not know, wrote stale
rows when it woke up. The owner then writes all rows of the partition again, which makes its own the last ones.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol, cast

import faust
import structlog
from faust.stores.rocksdb import Store as RocksDBStore
from faust.tables.manager import TableManager
from faust.types import TP, EventT

from schemas.state import MalformedRow, NewerState, check_row
from schemas.topics import TABLE
from stream.drain import RawSchema, records_of
from stream.errors import LostPartition, MalformedChangelog
from stream.rocks import (
    NOTE_SECONDS,
    Table,
    note_complete,
    open_current_table,
    open_table,
    rows_of,
    stored_offset,
    write_rows,
)

log = structlog.get_logger(__name__)

Changes = Mapping[bytes, bytes | None]
"""New values by key; None deletes. Written in the order of the mapping."""

_REWRITTEN_AT_ONCE: Final = 2_000
_EVENTS_BUFFERED: Final = 2
"""Changelog events (each a fetch) that recovery applies together. With 1, Faust would go on reading for ever."""


class BatchProducer(Protocol):
    """What the table asks of the transport's producer, besides Faust's interface."""

    def append_many(
        self, records: Iterable[tuple[str, int, bytes | None, bytes | None]]
    ) -> Awaitable[dict[TP, int]]:
        """Append (topic, partition, key, value) in order; the last offsets, when the broker has them all."""


class ChangelogConsumer(Protocol):
    """What the table asks of the transport's consumer, besides Faust's interface."""

    def still_owns(self, partition: TP) -> Awaitable[bool]:
        """Whether the broker still takes us for the owner."""

    def keys_between(self, partition: TP, first: int, last: int) -> Awaitable[set[bytes]]:
        """The keys of the records from offset `first` to `last`; only asked where others can have written."""


class _Store(RocksDBStore):
    """Faust's RocksDB store over files that are opened by stream.rocks.

    Faust's own options are a 2 GiB block cache and a 64 MiB write buffer for every partition.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "options": {}, "driver": "rocksdict"})

    def _open_for_partition(self, partition: int) -> Table:
        drops_tombstones = getattr(self.app.transport, "drops_tombstones", False)
        return (open_current_table if drops_tombstones else open_table)(self.partition_path(partition))

    def partition(self, partition: int) -> Table:
        """The RocksDB of one partition, opened if need be."""
        return cast(Table, self._db_for_partition(partition))

    def is_open(self, partition: int) -> bool:
        """Whether the RocksDB of one partition is open now."""
        return partition in self._dbs


class StoreTable(faust.Table):  # type: ignore[type-arg]  # keys and values are bytes, and not through a dict
    """The rows of all stores of the partitions that this worker has."""

    recovered: Callable[[int], Awaitable[None]] | None = None
    """Awaited with each active partition when its rows are complete, before events flow."""

    leaving: Callable[[], None] | None = None
    """Called when partitions are about to go: Faust then waits until all events are acknowledged."""

    keep_flushing: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Runs for as long as the table does. A task of the app would begin later than the first events flow."""

    skips_malformed = False
    """Whether a changelog record that is no row is left out, instead of stopping the worker."""

    _malformed: MalformedChangelog | None = None
    _owned: frozenset[TP] | set[TP] = frozenset()

    def _new_store(self) -> _Store:
        return _Store(
            self.app.conf.store,
            self.app,
            self,
            table_name=self.name,
            key_type=bytes,
            value_type=bytes,
            loop=self.loop,
        )

    async def on_start(self) -> None:
        """Faust calls this before anything is read."""
        await super().on_start()
        if self.keep_flushing is not None:
            self.add_future(self.keep_flushing())

    def get(self, partition: int, key: bytes) -> bytes | None:  # type: ignore[override]
        """The value of a row, None where there is none."""
        return cast(bytes | None, self._rows(partition).get(key))

    def get_many(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The values of some rows, None where there is none."""
        return cast(list[bytes | None], self._rows(partition).get(cast(Any, keys)))

    def keys(self, partition: int, prefix: bytes) -> Iterator[bytes]:  # type: ignore[override]
        """The keys that start with `prefix`, ascending."""
        for key in self._rows(partition).keys(from_key=prefix):
            if not cast(bytes, key).startswith(prefix):
                return
            yield cast(bytes, key)

    async def write(self, partition: int, changes: Changes) -> None:
        """Write a batch of rows: changelog, then RocksDB, atomically there.

        Raises LostPartition, and what the broker raises.
        """
        if not changes:
            return
        before = stored_offset(self._rows(partition))
        first, now_s = 0 if before is None else before + 1, time.time()
        last = await self._append(partition, changes)
        write_rows(self._rows(partition), changes.items(), last, now_s)
        if last - first + 1 != len(changes):
            await self._write_again(partition, first, last)

    async def _append(self, partition: int, changes: Changes) -> int:
        producer = cast(BatchProducer, self.app.producer)
        changelog = TP(self.changelog_topic_name, partition)
        return (await producer.append_many((*changelog, key, value) for key, value in changes.items()))[
            changelog
        ]

    async def _write_again(self, partition: int, first: int, last: int) -> None:
        """Make our rows the last ones in the changelog; from `first` to `last` others wrote to it too.

        What they wrote and we do not have (a store that was forgotten, a page that was dropped) is deleted again.
        """
        consumer = cast(ChangelogConsumer, self.app.consumer)
        changelog = TP(self.changelog_topic_name, partition)
        if not await consumer.still_owns(changelog):
            raise LostPartition(partition)
        log.warning("somebody else wrote to our changelog; writing all rows again", partition=partition)
        table = self._rows(partition)
        theirs = await consumer.keys_between(changelog, first, last)
        await self.write(partition, {key: None for key in theirs if _is_ours(key) and key not in table})
        rows = iter(rows_of(table))
        while part := dict(islice(rows, _REWRITTEN_AT_ONCE)):
            await self.write(partition, part)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Faust calls this in recovery and as a standby; each event is a fetch of one partition."""
        for event in batch:
            if self._malformed is not None:
                return  # we are about to stop; the rows as they stand are sound
            message = event.message
            rows = [
                (cast(bytes, record.key), record.value)
                for record in records_of(message)
                if self._is_row(message.partition, record)
            ]
            write_rows(self._rows(message.partition), rows, message.offset, message.timestamp or 0)

    def _is_row(self, partition: int, record: Any) -> bool:
        """Whether a changelog record is one of our rows. Where it must stop the worker, raises."""
        try:
            check_row(record.key, record.value)
        except (MalformedRow, NewerState) as error:
            found = MalformedChangelog(self.changelog_topic_name, partition, record.offset, error)
            if self.skips_malformed and isinstance(error, MalformedRow):
                log.error("left out", fault=str(found))
                return False
            self._stop_because(found)
        return True

    def _stop_because(self, error: MalformedChangelog) -> None:
        """Faust's recovery logs what is raised and waits on, so the worker is told itself."""
        self._malformed = error
        self._stopping = asyncio.ensure_future(self.app.crash(error))
        raise error

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Faust calls this when the changelog has been read."""
        await super().on_recovery_completed(active_tps, standby_tps)
        self._owned = set(active_tps)
        for tp in active_tps:
            note_complete(self._rows(tp.partition), time.time())
        if self.recovered is not None:
            for tp in sorted(active_tps):
                await self._check_recovered(tp.partition, self.recovered)

    async def _check_recovered(self, partition: int, recovered: Callable[[int], Awaitable[None]]) -> None:
        """Faust's recovery would log what is raised here and wait on, so the worker is told itself."""
        try:
            await recovered(partition)
        except Exception as error:
            await self.app.crash(error)
            raise

    @faust.Service.task
    async def _keep_noting(self) -> None:
        """Note now and then that nothing was missed, also where nothing is written for days."""
        consumer, store = cast(ChangelogConsumer, self.app.consumer), cast(_Store, self.data)
        while not self.should_stop:
            await self.sleep(NOTE_SECONDS)
            now_s = time.time()
            for tp in sorted(self._owned):
                if await consumer.still_owns(tp) and store.is_open(tp.partition):
                    note_complete(store.partition(tp.partition), now_s)

    def _rows(self, partition: int) -> Table:
        return cast(_Store, self.data).partition(partition)


def _is_ours(key: bytes) -> bool:
    """Whether a key is that of one of our rows; the deletion of any other would be junk itself."""
    try:
        check_row(key, None)
    except MalformedRow:
        return False
    return True


class PromptTableManager(TableManager):
    """Faust's manager of tables, without its sleep of a second at start; tables hear of partitions that leave."""

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        super().on_partitions_revoked(revoked)
        for table in self.values():
            if isinstance(table, StoreTable) and table.leaving is not None:
                table.leaving()


def store_table(app: faust.App, partitions: int) -> StoreTable:
    """Declare the table on `app`."""
    table = StoreTable(
        app,
        name=TABLE,
        partitions=partitions,
        schema=RawSchema(),
        recovery_buffer_size=_EVENTS_BUFFERED,
        standby_buffer_size=1,
    )
    return cast(StoreTable, app.tables.add(table))
