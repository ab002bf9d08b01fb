"""One partition's rows in RocksDB, as Faust lays them out.

Owns: opening a partition's RocksDB, the keys that it keeps beside its rows (schemas.rows.local), writing rows
together with the changelog offset that they reach, and when rows are too old to go on with. Must not know: what
rows mean, or who writes them (a worker or a replica).

Kafka keeps the tombstones of a compacted topic for a day (delete.retention.ms). Whoever comes back later may have
missed deletions, and must begin with an empty table. So a table says up to when it surely has all that was
written to the changelog: the time at which it was begun, or at which a flush began that nobody else could have
come before.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import rocksdict
import structlog

from schemas.rows.local import LOCAL_PREFIX, OFFSET_KEY, TARGET_KEY, WHOLE_KEY
from schemas.table_scans import Table
from schemas.table_scans import rows_of as every_row_of

log = structlog.get_logger(__name__)

NOTE_SECONDS: Final = 600.0
"""How often a partition that nothing is written to notes that it is complete."""
_COMPLETE_KEY: Final = b"__complete__"
_MAX_AWAY_SECONDS: Final = 20 * 3600
"""Less than a day, because reading what was missed takes its time too."""

_BLOCK_CACHE_BYTES: Final = 32 << 20
_WRITE_BUFFER_BYTES: Final = 16 << 20
_WAL_BYTES: Final = 64 << 20
_LOG_BYTES: Final = 1 << 20
_BLOOM_BITS: Final = 10


def open_table(path: Path) -> Table:
    """Open, or make, the RocksDB of one partition. Raises what RocksDB raises (another process has it, say)."""
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    blocks.set_block_cache(rocksdict.Cache(_BLOCK_CACHE_BYTES))
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_total_wal_size(_WAL_BYTES)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_LOG_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_what_is_away(path)
    return Table(str(path), options=options)


def remove_table(table: Table, path: Path) -> None:
    """Close a partition's RocksDB and remove its files.

    They are moved away first: a reader that opens the table meanwhile puts a file of rocksdict's beside them.
    """
    table.close()
    path.rename(_away(path))
    _remove_what_is_away(path)


def _away(path: Path) -> Path:
    return path.with_name(f"{path.name}.removed")


def _remove_what_is_away(path: Path) -> None:
    """Also what a process left that ended before it was gone."""
    with suppress(FileNotFoundError):
        shutil.rmtree(_away(path))


def is_too_old(table: Table) -> bool:
    """Whether deletions may have been missed that Kafka has forgotten by now."""
    return stored_offset(table) is not None and time.time() - _complete_s(table) > _MAX_AWAY_SECONDS


def is_whole(table: Table) -> bool:
    """Whether the table has followed the changelog to an end (schemas.rows.local)."""
    return table.get(WHOLE_KEY) is not None


def begin_restore(table: Table, end: int) -> None:
    """From now on nobody takes the table for whole, until the changelog was read up to offset `end`."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.delete(WHOLE_KEY)
    batch.put(TARGET_KEY, str(end).encode())
    if stored_offset(table) is None:
        batch.put(_COMPLETE_KEY, repr(time.time()).encode())  # who begins now misses no deletion from now on
    table.write(batch)


def finish_restore(table: Table, reached: int, complete_s: float) -> None:
    """The table is whole: it has all of the changelog below offset `reached`, as it was at `complete_s`."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(WHOLE_KEY, b"1")
    batch.delete(TARGET_KEY)
    if reached:
        batch.put(OFFSET_KEY, str(reached - 1).encode())
    batch.put(_COMPLETE_KEY, repr(complete_s).encode())
    table.write(batch)


def _complete_s(table: Table) -> float:
    return float(table.get(_COMPLETE_KEY) or 0)


def rows_of(table: Table) -> Iterator[tuple[bytes, bytes]]:
    """All rows of `table` that the changelog has too, as they are now. Raises RowsUnreadable."""
    return (row for row in every_row_of(table) if not row[0].startswith(LOCAL_PREFIX))


def stored_offset(table: Table) -> int | None:
    """The offset of the last changelog record in `table`, None where it has none."""
    offset = table.get(OFFSET_KEY)
    return None if offset is None else int(offset)


class RowBatch:
    """Rows on their way into one table, all at once."""

    def __init__(self) -> None:
        self._batch = rocksdict.WriteBatch(raw_mode=True)

    def add(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Put rows; None deletes. Of one key the last counts."""
        put, delete = self._batch.put, self._batch.delete
        for key, value in rows:
            if value is None:
                delete(key)
            else:
                put(key, value)

    def write(self, table: Table, offset: int, complete_s: float | None = None) -> None:
        """Write them, the changelog offset that they reach, and up to when the table then surely has everything."""
        self._batch.put(OFFSET_KEY, str(offset).encode())
        if complete_s is not None:
            self._batch.put(_COMPLETE_KEY, repr(complete_s).encode())
        table.write(self._batch)


def write_rows(
    table: Table, rows: Iterable[tuple[bytes, bytes | None]], offset: int, complete_s: float | None = None
) -> None:
    """Write rows in one go (see RowBatch)."""
    batch = RowBatch()
    batch.add(rows)
    batch.write(table, offset, complete_s)
