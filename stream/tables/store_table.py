"""The one table, `stores`: a Faust table over RocksDB whose rows are read and written in batches.

Owns: the RocksDBs that are open, and the rows in them. Must not know: what the rows mean (schemas.state), how
RocksDB is opened (stream.tables.rocks), how rows reach the changelog (stream.brokers.ports) or come back from it
(stream.tables.follower).

Faust's dict interface (`table[key] = value`) is not used: it wants a current stream event, and costs a
changelog send and two puts a row.
"""

from collections.abc import Callable, Coroutine, Iterator
from itertools import takewhile
from typing import Any, Final, cast

import faust
from faust.stores.rocksdb import Store as RocksDBStore

from schemas.state import HEAD_END, HEAD_FIRST
from schemas.table_scans import Table, keys_of
from schemas.topics import TABLE
from stream.brokers.drain import RawSchema
from stream.tables.rocks import open_table, remove_table

_BUFFERED: Final = 2


class _Store(RocksDBStore):
    """Faust's RocksDB store over files that are opened by stream.tables.rocks.

    Faust's own options are a 2 GiB block cache and a 64 MiB write buffer for every partition.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "options": {}, "driver": "rocksdict"})

    def _open_for_partition(self, partition: int) -> Table:
        return open_table(self.partition_path(partition))

    def partition(self, partition: int) -> Table:
        """The RocksDB of one partition, opened if need be."""
        return cast(Table, self._db_for_partition(partition))

    def made_anew(self, partition: int) -> Table:
        """The RocksDB of one partition, empty."""
        remove_table(self.partition(partition), self.partition_path(partition))
        del self._dbs[partition]
        return self.partition(partition)


class StoreTable(faust.Table):  # type: ignore[type-arg]  # keys and values are bytes, and not through a dict
    """The rows of all stores of the partitions that this worker has."""

    leaving: Callable[[], None] | None = None
    """Called when partitions are about to go: Faust then waits until all events are acknowledged."""

    keep_flushing: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Runs for as long as the table does. A task of the app would begin later than the first events flow."""

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

    def rows(self, partition: int) -> Table:
        """The RocksDB of one partition."""
        return cast(_Store, self.data).partition(partition)

    def made_anew(self, partition: int) -> Table:
        """The RocksDB of one partition, without any rows."""
        return cast(_Store, self.data).made_anew(partition)

    def get(self, partition: int, key: bytes) -> bytes | None:  # type: ignore[override]
        """The value of a row, None where there is none."""
        return cast(bytes | None, self.rows(partition).get(key))

    def get_many(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The values of some rows, None where there is none."""
        return cast(list[bytes | None], self.rows(partition).get(cast(Any, keys)))

    def keys(self, partition: int, prefix: bytes) -> Iterator[bytes]:  # type: ignore[override]
        """The keys that start with `prefix`, ascending. Raises RowsUnreadable."""
        return takewhile(lambda key: key.startswith(prefix), keys_of(self.rows(partition), prefix))

    def head_keys(self, partition: int) -> Iterator[bytes]:
        """The keys of all heads, ascending. Raises RowsUnreadable."""
        return takewhile(lambda key: key < HEAD_END, keys_of(self.rows(partition), HEAD_FIRST))


def store_table(app: faust.App, partitions: int) -> StoreTable:
    """Declare the table on `app`. What ends it ends the app."""
    table = StoreTable(
        app,
        name=TABLE,
        partitions=partitions,
        schema=RawSchema(),
        recovery_buffer_size=_BUFFERED,
        standby_buffer_size=1,
        beacon=app.beacon,
    )
    return cast(StoreTable, app.tables.add(table))
