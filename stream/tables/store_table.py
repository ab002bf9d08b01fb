"""The one table, `stores`: a Faust table over RocksDB whose rows are read and written in batches.

Owns: the RocksDBs that are open, and the rows in them. Must not know: what the rows mean (schemas.rows), how
RocksDB is opened (stream.tables.rocks), how rows reach the changelog (stream.brokers.ports) or come back from it
(stream.tables.follower).

Faust's dict interface (`table[key] = value`) is not used: it wants a current stream event, and costs a
changelog send and two puts a row.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Protocol, cast

import faust
from faust.stores.rocksdb import Store as RocksDBStore

from schemas.rows.summaries import FIRST_SUMMARY, SUMMARIES_END
from schemas.table_scans import Table, keys_of
from schemas.topics import TABLE
from stream.brokers.drain import RawSchema
from stream.tables.rocks import open_table, remove_table, rows_of

_BUFFERED: Final = 2


class StoreRows:
    """The rows of all stores of the partitions that this worker has, in one RocksDB for each partition.

    `path_of` says where the RocksDB of a partition lies.
    """

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        self._path_of = path_of
        self.opened: dict[int, Table] = {}
        """By partition; Faust takes those out that leave."""

    def rows(self, partition: int) -> Table:
        """The RocksDB of one partition, opened if need be."""
        if partition not in self.opened:
            self.opened[partition] = open_table(self._path_of(partition))
        return self.opened[partition]

    def emptied(self, partition: int) -> Table:
        """The RocksDB of one partition, without any rows."""
        remove_table(self.rows(partition), self._path_of(partition))
        del self.opened[partition]
        return self.rows(partition)

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The value of a row, None where there is none."""
        return cast(bytes | None, self.rows(partition).get(key))

    def get_many(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The values of some rows, None where there is none."""
        return cast(list[bytes | None], self.rows(partition).get(cast(Any, keys)))

    def keys(self, partition: int, prefix: bytes) -> Iterator[bytes]:
        """The keys that start with `prefix`, ascending. Raises RowsUnreadable."""
        return takewhile(lambda key: key.startswith(prefix), keys_of(self.rows(partition), prefix))

    def summary_keys(self, partition: int) -> Iterator[bytes]:
        """The keys of all summaries, ascending. Raises RowsUnreadable."""
        return takewhile(lambda key: key < SUMMARIES_END, keys_of(self.rows(partition), FIRST_SUMMARY))

    def all_rows(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All rows that the changelog has too, as they are now. Raises RowsUnreadable."""
        return rows_of(self.rows(partition))


class Flushing(Protocol):
    """Whoever writes to the table, as the life of the table sees it."""

    def hurry(self) -> None:
        """Partitions are about to go: Faust then waits until all events are acknowledged."""

    async def keep_flushing(self) -> None:
        """Runs for as long as the table does. A task of the app would begin later than the first events flow."""


class _Store(RocksDBStore):
    """Faust's RocksDB store over files that are opened by stream.tables.rocks.

    Faust's own options are a 2 GiB block cache and a 64 MiB write buffer for every partition. Faust closes what it
    takes out of `_dbs`.
    """

    def __init__(self, *args: Any, rows: StoreRows, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "options": {}, "driver": "rocksdict"})
        self._rows = rows
        self._dbs = rows.opened

    def _open_for_partition(self, partition: int) -> Table:
        return self._rows.rows(partition)


class StoreTable(faust.Table):  # type: ignore[type-arg]  # keys and values are bytes, and not through a dict
    """The table as Faust sees it: when it begins, which partitions come and go, when it ends."""

    def __init__(self, app: faust.App, *, rows: StoreRows, flushing: Flushing, **options: Any) -> None:
        self._rows = rows
        self._flushing = flushing
        super().__init__(app, **options)

    def _new_store(self) -> _Store:
        return _Store(
            self.app.conf.store,
            self.app,
            self,
            table_name=self.name,
            key_type=bytes,
            value_type=bytes,
            loop=self.loop,
            rows=self._rows,
        )

    async def on_start(self) -> None:
        """Faust calls this before anything is read."""
        await super().on_start()
        self.add_future(self._flushing.keep_flushing())

    def on_leaving(self) -> None:
        """Some partitions are about to go."""
        self._flushing.hurry()


def store_table(app: faust.App, partitions: int, rows: StoreRows, flushing: Flushing) -> StoreTable:
    """Declare the table on `app`. What ends it ends the app."""
    table = StoreTable(
        app,
        rows=rows,
        flushing=flushing,
        name=TABLE,
        partitions=partitions,
        schema=RawSchema(),
        recovery_buffer_size=_BUFFERED,
        standby_buffer_size=1,
        beacon=app.beacon,
    )
    return cast(StoreTable, app.tables.add(table))
