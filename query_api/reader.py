"""Snapshots of the tables that a worker is writing.

Owns: RocksDB secondaries of the worker's tables, one folder a partition; when they catch up, when they are
opened anew. Must not know: what a report is, HTTP, Faust.

A secondary must not catch up while it is being read: what it hands out would change half way. So each
snapshot has a set of secondaries to itself, caught up once when the snapshot begins; sets are kept for the next.

    worker ──writes──▶ stores-0.db, stores-1.db, …
                          │ catch up        │ catch up
    snapshot 1 ◀── set a: secondary/<us>/0, 1        snapshot 2 ◀── set b: secondary/<us>/2, 3

A set follows the folder of tables: a partition that came is opened, one that went is closed, and one that was
deleted and made anew is opened again. RocksDB says nothing of the last (it serves the deleted files on), so
we compare the IDENTITY that every RocksDB is given when it is made. A partition that is not there yet has
nothing to say. Snapshots are not atomic across partitions.
"""

import re
import shutil
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, cast

import rocksdict

from query_api.errors import OtherZoneDatabase, ReaderClosed, StateUnreadable
from query_api.presence import Presence, bury_dead
from schemas.settings import Settings
from schemas.state import (
    HEAD_END,
    HEAD_PREFIX,
    META_ZONE_DATABASE,
    NO_INTS,
    NO_POLL,
    Head,
    HeadColumns,
    Int64s,
    applied_key,
    decode_head,
    decode_heads,
    decode_pages,
    head_key,
    page_key,
    pages_prefix,
)
from schemas.topics import SOURCES, TABLE
from schemas.values import StoreId
from stream.core.clock import ZONE_DATABASE

CHUNK: Final = 32_768
"""Stores handed out at a time: about 30 MB of heads."""
MOST_SNAPSHOTS: Final = 4
"""Snapshots alive at once; further ones wait."""

_BLOCK_CACHE_BYTES: Final = 64 * 1024 * 1024
_LOG_BYTES: Final = 1024 * 1024
_READ_AHEAD_BYTES: Final = 2 * 1024 * 1024
_PARTITION = re.compile(rf"{re.escape(TABLE)}-(\d+)\.db", re.ASCII)

Applied = dict[tuple[str, int], int]
"""Of each (topic, partition), the offset of the next record to be applied."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The heads of some stores, ascending by id, as they are stored and as columns."""

    store_ids: list[StoreId]
    values: Sequence[bytes]
    columns: HeadColumns


class Reader:
    """Hands out snapshots of the tables in a state folder. Any thread may ask.

    It can be made before there is a state, and opens nothing until asked. Stores are handed out `chunk` at a
    time. Its secondaries stand in `<state>/secondary/<process>-…`, removed by `close`; those of dead
    processes go when the first set opens.
    """

    def __init__(self, settings: Settings, chunk: int = CHUNK) -> None:
        self._tables_dir = settings.tables_dir
        self._chunk = chunk
        self._folder = settings.state / "secondary"
        self._gate = threading.BoundedSemaphore(MOST_SNAPSHOTS)
        self._lock = threading.Lock()
        self._presence: Presence | None = None
        self._idle: list[_Secondaries] = []
        self._numbers = count()
        self._cache = rocksdict.Cache(_BLOCK_CACHE_BYTES)
        self.closing = threading.Event()

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """The state as it is now, unchanged until the block ends.

        Raises StateUnreadable, OtherZoneDatabase, ReaderClosed; in the block also schemas.state.NewerState.
        """
        with self._gate:
            secondaries = self._take()
            try:
                secondaries.catch_up()
                yield Snapshot(secondaries.tables(), self.closing, self._chunk)
            finally:
                self._give_back(secondaries)

    def close(self) -> None:
        """End running snapshots at their next chunk, then close and remove all secondaries."""
        self.closing.set()
        for _ in range(MOST_SNAPSHOTS):
            self._gate.acquire()
        for _ in range(MOST_SNAPSHOTS):
            self._gate.release()
        with self._lock:
            while self._idle:
                self._idle.pop().close_all()
            if self._presence is not None:
                shutil.rmtree(self._folder / self._presence.name, ignore_errors=True)
                self._presence.end()
                self._presence = None

    def _take(self) -> "_Secondaries":
        with self._lock:
            if self.closing.is_set():
                raise ReaderClosed
            if self._idle:
                return self._idle.pop()
            if self._presence is None:
                self._presence = Presence(self._folder)
                self._clean()
            return _Secondaries(
                self._tables_dir, self._folder / self._presence.name, self._numbers, self._cache
            )

    def _give_back(self, secondaries: "_Secondaries") -> None:
        with self._lock:
            self._idle.append(secondaries)

    def _clean(self) -> None:
        """Remove the folders of dead processes. A folder's presence is there before it and goes after it."""
        bury_dead(self._folder)
        for path in self._folder.iterdir():
            if path.is_dir() and not path.with_suffix(".lock").exists():
                shutil.rmtree(path, ignore_errors=True)


class Snapshot:
    """The tables of all partitions at one moment (see Reader.snapshot)."""

    def __init__(self, tables: dict[int, rocksdict.Rdict], closing: threading.Event, chunk: int) -> None:
        self._tables = tables
        self._chunk = chunk
        self._closing = closing
        self._whole: Chunk | None = None
        for partition, table in tables.items():
            made_with = (table.get(META_ZONE_DATABASE) or ZONE_DATABASE.encode()).decode()
            if made_with != ZONE_DATABASE:
                raise OtherZoneDatabase(partition, made_with, ZONE_DATABASE)

    def chunks(self) -> Iterator[Chunk]:
        """All stores, ascending by id as text (UTF-8 byte order), some ten thousand at a time.

        Where one chunk holds them all it is read once, however often it is asked for.
        """
        if self._whole is not None:
            yield self._whole
            return
        chunk, chunks = None, 0
        scans = [_head_scan(table) for table in self._tables.values()]
        for keys, values in _ascending(scans, self._chunk):
            if self._closing.is_set():
                raise ReaderClosed
            chunk, chunks = _chunk(keys, values), chunks + 1
            yield chunk
        if chunks == 1:
            self._whole = chunk

    def latest_us(self) -> int | None:
        """The latest poll over all stores, None where there is none."""
        latest = max((int(chunk.columns.latest.max()) for chunk in self.chunks()), default=NO_POLL)
        return None if latest == NO_POLL else latest >> 1

    def head(self, store_id: StoreId) -> Head | None:
        """A store's head, None where the store is unknown."""
        value = self._get(head_key(store_id))
        return None if value is None else decode_head(value)

    def page(self, store_id: StoreId, day: int) -> Int64s:
        """The codes of one store on one UTC day, ascending."""
        value = self._get(page_key(store_id, day))
        return NO_INTS if value is None else decode_pages({day: value})

    def polls(self, store_id: StoreId) -> Int64s:
        """The codes on all pages of one store, ascending."""
        prefix = pages_prefix(store_id)
        options = _until(prefix[:-1] + b"\1")
        pages: dict[int, bytes] = {}
        for table in self._tables.values():
            rows: Iterator[Any] = table.items(from_key=prefix, read_opt=options)
            pages.update((int.from_bytes(key[len(prefix) :], "big"), value) for key, value in rows)
        return decode_pages(pages)

    def applied(self) -> Applied:
        """How far each source topic was applied when the snapshot began."""
        return {
            (source.name, partition): int(offset)
            for partition, table in self._tables.items()
            for source in SOURCES
            if (offset := table.get(applied_key(source.name))) is not None
        }

    def _get(self, key: bytes) -> bytes | None:
        for table in self._tables.values():
            value: bytes | None = table.get(key)
            if value is not None:
                return value
        return None


@dataclass(slots=True)
class _Secondary:
    """One open secondary: of which table, and where it keeps its own files."""

    identity: bytes
    table: rocksdict.Rdict
    folder: Path

    def close(self) -> None:
        self.table.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True)
class _Secondaries:
    """A secondary of each partition's table, for one snapshot at a time."""

    tables_dir: Path
    folder: Path
    numbers: Iterator[int]
    cache: rocksdict.Cache
    open: dict[int, _Secondary] = field(default_factory=dict)

    def tables(self) -> dict[int, rocksdict.Rdict]:
        """The open tables, by partition."""
        return {partition: secondary.table for partition, secondary in sorted(self.open.items())}

    def close_all(self) -> None:
        """Close every table and remove its folder."""
        while self.open:
            self.open.popitem()[1].close()

    def catch_up(self) -> None:
        """Follow the tables folder, and each table. Raises StateUnreadable."""
        found = _tables_in(self.tables_dir)
        for partition in self.open.keys() - found.keys():
            self.open.pop(partition).close()
        for partition, (path, identity) in found.items():
            if not self._caught_up(partition, identity):
                self._open(partition, path, identity)

    def _caught_up(self, partition: int, identity: bytes) -> bool:
        secondary = self.open.get(partition)
        if secondary is None:
            return False
        if secondary.identity == identity:
            with suppress(Exception):  # rocksdict has no narrower one; a table that fails is opened again
                secondary.table.try_catch_up_with_primary()
                return True
        self.open.pop(partition).close()
        return False

    def _open(self, partition: int, path: Path, identity: bytes) -> None:
        folder = self.folder / str(next(self.numbers))
        folder.mkdir(parents=True)
        try:
            table = rocksdict.Rdict(
                str(path), self._options(), access_type=rocksdict.AccessType.secondary(str(folder))
            )
        except Exception as error:  # as above
            shutil.rmtree(folder, ignore_errors=True)
            if _identity(path) == identity:
                raise StateUnreadable(partition, str(error)) from error
            return  # deleted under our hands: nothing to say until it is made anew
        self.open[partition] = _Secondary(identity, table, folder)

    def _options(self) -> rocksdict.Options:
        options, blocks = rocksdict.Options(raw_mode=True), rocksdict.BlockBasedOptions()
        blocks.set_block_cache(self.cache)
        options.set_block_based_table_factory(blocks)
        options.set_max_open_files(-1)  # keeps files readable that the primary deletes
        options.set_keep_log_file_num(1)
        options.set_max_log_file_size(_LOG_BYTES)
        return options


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


def _head_scan(table: rocksdict.Rdict) -> "_Scan":
    options = _until(HEAD_END)
    keys = table.keys(from_key=HEAD_PREFIX, read_opt=options)
    return _Scan(keys, table.values(from_key=HEAD_PREFIX, read_opt=options), options)


def _until(to_key: bytes) -> rocksdict.ReadOptions:
    """Read on up to, and without, a key.

    Whoever iterates must hold on to the options: the iterator reads the key from their memory.
    """
    options = rocksdict.ReadOptions()
    options.set_iterate_upper_bound(to_key)
    options.set_readahead_size(_READ_AHEAD_BYTES)
    return options


@dataclass(slots=True)
class _Scan:
    """The rows of one table from a key on, and those read that are not yet handed out.

    Keys and values are read apart: a tuple a row would be work for the garbage collector, row by row.
    """

    more_keys: Iterator[Any]
    more_values: Iterator[Any]
    options: rocksdict.ReadOptions
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)

    def fill(self, size: int) -> None:
        """Read on until there are `size` rows, or the table ends."""
        missing = size - len(self.keys)
        self.keys += islice(self.more_keys, missing)
        self.values += islice(self.more_values, missing)

    def take(self, bound: bytes | None) -> tuple[list[bytes], list[bytes]]:
        """Hand out the rows up to a key (None: all)."""
        end = len(self.keys) if bound is None else bisect_right(self.keys, bound)
        taken = self.keys[:end], self.values[:end]
        del self.keys[:end], self.values[:end]
        return taken


def _ascending(scans: Sequence[_Scan], size: int) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """The rows of several ascending scans as one ascending sequence, in parts of up to `size` rows.

    Rows are final up to the least of the last keys read from the scans that may have more to give.
    """
    share = max(1, size // max(1, len(scans)))
    while True:
        for scan in scans:
            scan.fill(share)
        bound = min((scan.keys[-1] for scan in scans if len(scan.keys) == share), default=None)
        keys: list[bytes] = []
        values: list[bytes] = []
        for scan in scans:
            taken = scan.take(bound)
            keys += taken[0]
            values += taken[1]
        if not keys:
            return
        order = sorted(range(len(keys)), key=keys.__getitem__)
        yield [keys[i] for i in order], [values[i] for i in order]


def _chunk(keys: list[bytes], values: list[bytes]) -> Chunk:
    separator = b"\0" + HEAD_PREFIX  # no id has a NUL in it
    ids = (b"\0" + b"\0".join(keys)).decode().split(separator.decode())[1:]
    return Chunk(cast(list[StoreId], ids), values, decode_heads(values))
