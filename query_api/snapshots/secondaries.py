"""RocksDB secondaries: read-only views of tables that another process is writing.

Owns: finding the tables, when to open, catch up and open again, and the files that secondaries keep for
themselves. Must not know: what is in the tables, when a view is whole (schemas.table_views).

A set follows the folder of tables: a partition that came is opened, one that went is closed, and one that was
deleted and made again is opened again. RocksDB says nothing of the last (it serves the deleted files on), so
we compare the IDENTITY that every RocksDB is given when it is made. A partition that is not there yet has
nothing to say.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import rocksdict

from query_api.errors import FolderUnwritable, TableUnreadable, system_text
from schemas.table_scans import Table
from schemas.table_views import LOST_LOGS, View
from schemas.topics import TABLE

_MAX_OPENINGS: Final = 50
"""Times to open a secondary again. It takes some 10 ms, and a busy worker's logs go after seconds."""
_PARTITION: Final = re.compile(rf"{re.escape(TABLE)}-(\d+)\.db", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Secondary:
    """One open secondary, and of which table it is."""

    identity: bytes
    view: View


@dataclass(slots=True)
class Secondaries:
    """A secondary of each partition's table, for one snapshot at a time."""

    tables_dir: Path
    folder: Path
    numbers: Iterator[int]
    cache: rocksdict.Cache
    open: dict[int, _Secondary] = field(default_factory=dict)

    def tables(self) -> dict[int, Table]:
        """The open tables, by partition."""
        return {partition: secondary.view.table for partition, secondary in sorted(self.open.items())}

    def close_all(self) -> None:
        """Close every table and remove its folder."""
        while self.open:
            self.open.popitem()[1].view.close()

    def catch_up(self) -> None:
        """Follow the tables folder, and each table. Raises StateUnreadable."""
        found = _tables_in(self.tables_dir)
        for partition in self.open.keys() - found.keys():
            self.open.pop(partition).view.close()
        for partition, (path, identity) in found.items():
            if not self._caught_up(partition, identity):
                self._open(partition, path, identity)

    def _caught_up(self, partition: int, identity: bytes) -> bool:
        secondary = self.open.get(partition)
        if secondary is None:
            return False
        if secondary.identity == identity:
            with suppress(Exception):  # rocksdict has no narrower one; a table that fails is opened again
                if secondary.view.catch_up():
                    return True
        self.open.pop(partition).view.close()
        return False

    def _open(self, partition: int, path: Path, identity: bytes) -> None:
        folder = self.folder / str(next(self.numbers))
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise FolderUnwritable(folder, system_text(error)) from error
        try:
            view = self._whole_view(path, folder)
        except Exception as error:  # as above
            shutil.rmtree(folder, ignore_errors=True)
            if _identity(path) == identity:
                raise TableUnreadable(partition, str(error)) from error
            return  # deleted under our hands: nothing to say until it is made again
        self.open[partition] = _Secondary(identity, view)

    def _whole_view(self, path: Path, folder: Path) -> View:
        for _ in range(_MAX_OPENINGS):
            view = View.open(path, folder, self.cache)
            if view is not None:
                return view
        raise OSError(LOST_LOGS)


def _tables_in(folder: Path) -> dict[int, tuple[Path, bytes]]:
    """The tables in a folder, by partition, with their identity; those still being made are left out."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _PARTITION.fullmatch(path.name)
        identity = _identity(path) if match else b""
        if match and identity:
            found[int(match[1])] = (path, identity)
    return found


def _identity(path: Path) -> bytes:
    """What RocksDB named a database when it made it; empty where there is none that can be opened yet."""
    try:
        return (path / "IDENTITY").read_bytes() if (path / "CURRENT").exists() else b""
    except FileNotFoundError:
        return b""
