"""The one table, `stores`: a Faust table over RocksDB whose rows are written in batches.

Owns: where a partition's rows are, in which order changelog and RocksDB are written, and
what happens when a partition has been recovered. Must not know: what the rows mean (schemas.state).

A batch goes to the changelog first, and when that is confirmed to RocksDB as one WriteBatch with the
changelog offset in it. So a row in RocksDB is always in the changelog, and after a crash Faust's own
recovery reads on from the stored offset. Faust's dict interface (`table[key] = value`) is not used: it
wants a current stream event, and costs a changelog send and two puts a row.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

import faust
from faust.stores.rocksdb import Store as RocksDBStore
from faust.tables.manager import TableManager
from faust.types import TP

from schemas.topics import TABLE
from stream.drain import RawSchema
from stream.rocks import Table, open_table, write_rows

Changes = Mapping[bytes, bytes | None]
"""New values by key; None deletes. Written in the order of the mapping."""


class BatchProducer(Protocol):
    """What the table asks of the transport's producer, besides Faust's interface."""

    def append_many(
        self, records: Iterable[tuple[str, int, bytes | None, bytes | None]]
    ) -> Awaitable[dict[TP, int]]:
        """Append (topic, partition, key, value) in order; the last offsets, when the broker has them all."""


class _Store(RocksDBStore):
    """Faust's RocksDB store over files that are opened by stream.rocks.

    Faust's own options are a 2 GiB block cache and a 64 MiB write buffer for every partition.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "options": {}, "driver": "rocksdict"})

    def _open_for_partition(self, partition: int) -> Table:
        return open_table(self.partition_path(partition))

    def partition(self, partition: int) -> Table:
        """The RocksDB of one partition, opened if need be."""
        return cast(Table, self._db_for_partition(partition))


class StoreTable(faust.Table):  # type: ignore[type-arg]  # keys and values are bytes, and not through a dict
    """The rows of all stores of the partitions that this worker has."""

    recovered: Callable[[int], Awaitable[None]] | None = None
    """Awaited with each active partition when its rows are complete, before events flow."""

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
        """Write a batch of rows: changelog, then RocksDB, atomically there. Raises what the broker raises."""
        producer = cast(BatchProducer, self.app.producer)
        changelog = TP(self.changelog_topic_name, partition)
        offsets = await producer.append_many((*changelog, key, value) for key, value in changes.items())
        write_rows(self._rows(partition), changes.items(), offsets[changelog])

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Faust calls this when the changelog has been read."""
        await super().on_recovery_completed(active_tps, standby_tps)
        if self.recovered is not None:
            for tp in sorted(active_tps):
                await self.recovered(tp.partition)

    def _rows(self, partition: int) -> Table:
        return cast(_Store, self.data).partition(partition)


class PromptTableManager(TableManager):
    """Faust's manager of tables, without its sleep of a second at start."""

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


def store_table(app: faust.App, partitions: int) -> StoreTable:
    """Declare the table on `app`."""
    table = StoreTable(app, name=TABLE, partitions=partitions, schema=RawSchema())
    return cast(StoreTable, app.tables.add(table))
