"""One partition's rows in RocksDB, as Faust lays them out.

Owns: opening a partition's RocksDB, the key under which it keeps its changelog offset, writing rows together
with that offset. Must not know: what rows mean, or who writes them (a worker or a replica).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

import rocksdict
from faust.stores.rocksdb import Store

Table = rocksdict.Rdict
"""The rows of one partition."""

OFFSET_KEY: Final[bytes] = Store.offset_key
"""Where Faust keeps the offset of the last changelog record that the rows reflect."""

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


def rows_of(table: Table) -> Iterator[tuple[bytes, bytes]]:
    """All rows of `table`, as they are now."""
    return (
        (key, value)
        for key, value in cast("Iterable[tuple[bytes, bytes]]", table.items())
        if key != OFFSET_KEY
    )


def stored_offset(table: Table) -> int | None:
    """The offset of the last changelog record in `table`, None where it has none."""
    offset = table.get(OFFSET_KEY)
    return None if offset is None else int(offset)


def write_rows(table: Table, rows: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
    """Write rows (None deletes) and the changelog offset that they reach, as one WriteBatch."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in rows:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    batch.put(OFFSET_KEY, str(offset).encode())
    table.write(batch)
