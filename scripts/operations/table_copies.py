"""A table as it was at one moment, beside its live writer: read, and copied row by row.

Owns: how long to try to get a whole view (schemas.table_views), and how its rows get into a new RocksDB. Must not
know: what the rows mean, or where copies go.

A `rocksdict.Checkpoint` is no way round this: one made of a secondary lacks all that is in the write-ahead logs.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import rocksdict

from schemas.settings import Settings
from schemas.table_scans import RowsUnreadable, Table, rows_of
from schemas.table_views import LOST_LOGS, View
from schemas.topics import TABLE
from scripts.operations.errors import TableUnreadable
from stream.tables.rocks import open_table

PATIENCE_S: Final = 30.0
"""How long to try to get a whole view. Opening one takes some 10 ms, a busy worker's logs go after seconds."""

_AGAIN_SECONDS: Final = 0.05
_BATCH_BYTES: Final = 1 << 20


def partitions_in(settings: Settings) -> list[int]:
    """The partitions that have a table in the state folder, ascending; those still being made are left out."""
    numbers = (path.stem.rpartition("-")[2] for path in settings.tables_dir.glob(f"{TABLE}-*.db"))
    return sorted(
        int(number)
        for number in numbers
        if number.isdecimal() and (settings.table_path(int(number)) / "CURRENT").exists()
    )


@contextmanager
def still_table(path: Path) -> Iterator[Table]:
    """The table at `path` as it is at one moment between two flushes, until the block ends.

    Its writer, if there is one, is not held up. Raises TableUnreadable after `PATIENCE_S`, and where the block
    meets rows that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="storepulse-") as folder:
        table = _whole_view(path, Path(folder))
        try:
            yield table
        except RowsUnreadable as error:
            raise TableUnreadable(error.path, error.cause) from error
        finally:
            table.close()


def copy_rows(table: Table, path: Path) -> None:
    """Make a table at `path` with all rows of `table`, also those that it keeps for itself.

    14,092 stores, 113,000 rows: half a second. Raises RowsUnreadable, and what RocksDB raises of the copy.
    """
    copy = open_table(path)
    try:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows_of(table):
            batch.put(key, value)
            if batch.size_in_bytes() > _BATCH_BYTES:
                copy.write(batch)
                batch = rocksdict.WriteBatch(raw_mode=True)
        copy.write(batch)
        copy.flush()
    finally:
        copy.close()


def _whole_view(path: Path, folder: Path) -> Table:
    """A secondary of the table, opened while no write-ahead log of it went."""
    deadline, attempt = time.monotonic() + PATIENCE_S, 0
    while True:
        attempt += 1
        try:
            (folder / str(attempt)).mkdir()
            view = View.open(path, folder / str(attempt))
        except Exception as error:  # rocksdict has no narrower one; files that go under our hands too
            cause = str(error)
        else:
            if view is not None:
                return view.table
            cause = LOST_LOGS
        if time.monotonic() > deadline:
            raise TableUnreadable(path, f"tried for {PATIENCE_S:g} s; {cause}")
        time.sleep(_AGAIN_SECONDS)
