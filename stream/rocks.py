"""One partition's rows in RocksDB, as Faust lays them out.

Owns: opening a partition's RocksDB, the key under which it keeps its changelog offset, writing rows together
with that offset, and when rows are too old to go on with. Must not know: what rows mean, or who writes them (a
worker or a replica).

Kafka keeps the tombstones of a compacted topic for a day (delete.retention.ms). Whoever comes back later may have
missed deletions, and must begin anew. So a table says up to when it has all that was written to the changelog: the
time at which it was begun, that of the last record applied, or that of the last look which found nothing more.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

import rocksdict
import structlog
from faust.stores.rocksdb import Store

log = structlog.get_logger(__name__)

Table = rocksdict.Rdict
"""The rows of one partition."""

OFFSET_KEY: Final[bytes] = Store.offset_key
"""Where Faust keeps the offset of the last changelog record that the rows reflect."""

NOTE_SECONDS: Final = 600.0
"""How often a table that nothing is written to notes that it is complete."""
_COMPLETE_KEY: Final = b"__complete__"
_MOST_AWAY_SECONDS: Final = 20 * 3600
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
    return Table(str(path), options=options)


def open_current_table(path: Path) -> Table:
    """Open, or make, the RocksDB of one partition; made anew where it may have missed deletions."""
    table, now_s = open_table(path), time.time()
    if stored_offset(table) is not None and now_s - _complete_s(table) > _MOST_AWAY_SECONDS:
        log.warning("table is too old to go on with; making it anew", path=str(path))
        table.close()
        shutil.rmtree(path)
        table = open_table(path)
    if stored_offset(table) is None:
        note_complete(table, now_s)
    return table


def note_complete(table: Table, at_s: float) -> None:
    """Note that `table` has all that was in the changelog at an instant, in seconds since 1970."""
    if at_s > _complete_s(table):
        table[_COMPLETE_KEY] = repr(at_s).encode()


def _complete_s(table: Table) -> float:
    return float(table.get(_COMPLETE_KEY) or 0)


def rows_of(table: Table) -> Iterator[tuple[bytes, bytes]]:
    """All rows of `table`, as they are now."""
    return (
        (key, value)
        for key, value in cast("Iterable[tuple[bytes, bytes]]", table.items())
        if key not in (OFFSET_KEY, _COMPLETE_KEY)
    )


def stored_offset(table: Table) -> int | None:
    """The offset of the last changelog record in `table`, None where it has none."""
    offset = table.get(OFFSET_KEY)
    return None if offset is None else int(offset)


def write_rows(
    table: Table, rows: Iterable[tuple[bytes, bytes | None]], offset: int, written_s: float
) -> None:
    """Write rows (None deletes), the changelog offset they reach, and when that was written, as one WriteBatch."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    batch.put(OFFSET_KEY, str(offset).encode())
    if written_s > _complete_s(table):
        batch.put(_COMPLETE_KEY, repr(written_s).encode())
    table.write(batch)
