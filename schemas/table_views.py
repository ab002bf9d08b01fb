"""Views of a RocksDB that another process is writing: read-only, and of one moment between two of its writes.

Owns: RocksDB's secondaries, and when one is whole. Must not know: what rows mean, how long to try.

A worker writes each flush as one WriteBatch, so the state between any two of them is exact. A secondary shows such
a state, unless a write-ahead log went while it was opened or caught up:

    we read the manifest │ the worker moves log 7 into a file, deletes log 7, goes on in log 8 │ we read log 8

Then rows of log 7 are missing among newer ones. (With a log going 15 times a second, 65 of 395 openings were torn
so, and 1 of 2,516 catch-ups; each of them had lost a log.) A log that was there before and still is afterwards was
read to its end, so a view counts only where none went.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import rocksdict

from schemas.table_scans import Table

LOST_LOGS: Final = "its write-ahead logs went faster than they were read"
"""Why there is no view, where one never was whole."""

_LOG_BYTES: Final = 1 << 20
_LOG: Final = ".log"
_MANIFEST: Final = "MANIFEST-"


class View:
    """A view of the RocksDB at `path`, which keeps its own files in `folder`: `table`, as of the last catch-up."""

    def __init__(self, table: Table, path: Path, folder: Path, written: dict[str, int]) -> None:
        self.table = table
        self._path = path
        self.folder = folder
        self._written = written

    @classmethod
    def open(cls, path: Path, folder: Path, cache: rocksdict.Cache | None = None) -> Self | None:
        """A new one; None where it is not whole. Blocks are kept in `cache`, where there is one.

        Raises what RocksDB raises.
        """
        options = rocksdict.Options(raw_mode=True)
        if cache is not None:
            blocks = rocksdict.BlockBasedOptions()
            blocks.set_block_cache(cache)
            options.set_block_based_table_factory(blocks)
        options.set_max_open_files(-1)  # keeps files readable that the writer deletes
        options.set_keep_log_file_num(1)
        options.set_max_log_file_size(_LOG_BYTES)
        written = _written(path)
        table = Table(str(path), options, access_type=rocksdict.AccessType.secondary(str(folder)))
        if _lost_a_log(written, path):
            table.close()
            return None
        return cls(table, path, folder, written)

    def catch_up(self) -> bool:
        """Show the RocksDB as it is now; False: the view is not whole any more. Raises what RocksDB raises.

        Where no log has grown, none came and none went, there is nothing to catch up with.
        """
        written = _written(self._path)
        if written == self._written:
            return True
        self.table.try_catch_up_with_primary()
        self._written = written
        return not _lost_a_log(written, self._path)

    def close(self) -> None:
        """Close it, and remove its own files."""
        self.table.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _written(path: Path) -> dict[str, int]:
    """The sizes of the write-ahead logs, which never go back to a name they had, and of the manifest."""
    sizes = {}
    with os.scandir(path) as entries:
        for each in entries:
            if each.name.endswith(_LOG) or each.name.startswith(_MANIFEST):
                with suppress(FileNotFoundError):  # it went just now
                    sizes[each.name] = each.stat().st_size
    return sizes


def _lost_a_log(written: dict[str, int], path: Path) -> bool:
    """Whether a write-ahead log that was there has gone."""
    return not all(os.path.exists(f"{path}/{name}") for name in written if name.endswith(_LOG))
