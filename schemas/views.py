"""Views of a RocksDB that another process is writing: read-only, and of one moment between two of its writes.

Owns: RocksDB's secondaries, and when one is whole. Must not know: what rows mean, how long to try.

A worker writes each flush as one WriteBatch, so the state between any two of them is exact. A secondary shows such
a state, unless a write-ahead log went while it was opened or caught up:

    we read the manifest │ the worker moves log 7 into a file, deletes log 7, goes on in log 8 │ we read log 8

Then rows of log 7 are missing among newer ones. (With a log going 15 times a second, 65 of 395 openings were torn
so, and 1 of 2,516 catch-ups; each of them had lost a log.) A log that was there before and still is afterwards was
read to its end, so a view counts only where none went.
"""

from pathlib import Path
from typing import Final

import rocksdict

from schemas.rows import Table

LOST_LOGS: Final = "its write-ahead logs went faster than they were read"
"""Why there is no view, where one never was whole."""

_LOG_BYTES: Final = 1 << 20


def open_view(path: Path, folder: Path, cache: rocksdict.Cache | None = None) -> Table | None:
    """A view of the RocksDB at `path`, which keeps its own files in `folder`; None where it is not whole.

    Blocks are kept in `cache`, where there is one. Raises what RocksDB raises.
    """
    options = rocksdict.Options(raw_mode=True)
    if cache is not None:
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_cache(cache)
        options.set_block_based_table_factory(blocks)
    options.set_max_open_files(-1)  # keeps files readable that the writer deletes
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_LOG_BYTES)
    logs = _logs_of(path)
    view = Table(str(path), options, access_type=rocksdict.AccessType.secondary(str(folder)))
    if logs <= _logs_of(path):
        return view
    view.close()
    return None


def catch_up(view: Table, path: Path) -> bool:
    """Have a view of the RocksDB at `path` show it as it is now; False: it is not whole any more.

    Raises what RocksDB raises.
    """
    logs = _logs_of(path)
    view.try_catch_up_with_primary()
    return logs <= _logs_of(path)


def _logs_of(path: Path) -> set[str]:
    """The write-ahead logs, which never go back to a name they had."""
    return {each.name for each in path.glob("*.log")}
