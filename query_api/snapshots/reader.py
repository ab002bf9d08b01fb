"""Snapshots of the tables that a worker is writing.

Owns: what can be asked of the tables, and who may ask when. Must not know: how RocksDB is followed
(query_api.snapshots.secondaries) or scanned (query_api.snapshots.scans), what makes a state whole
(query_api.snapshots.standing), what a report is, HTTP, Faust.

There is no snapshot of half a state: until all tables are there and whole, all that can be asked is how they stand.

A secondary must not catch up while it is being read: what it hands out would change half way. So each
snapshot has a set of secondaries to itself, caught up once when the snapshot begins; sets are kept for the next.

    worker ──writes──▶ stores-0.db, stores-1.db, …
                          │ catch up        │ catch up
    snapshot 1 ◀── set a: secondary/<us>/0, 1        snapshot 2 ◀── set b: secondary/<us>/2, 3

Snapshots are not atomic across partitions.
"""

import shutil
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, cast

import numpy as np
import rocksdict

from query_api.errors import (
    FolderUnwritable,
    OtherZoneDatabase,
    ReaderClosed,
    StateRestoring,
    TableBroken,
    system_text,
)
from query_api.snapshots.lease import Lease, reap_dead
from query_api.snapshots.scans import ascending, day_block_rows, rows_from, summary_scan, value_of
from query_api.snapshots.secondaries import Secondaries
from query_api.snapshots.standing import Standing, standing_of
from schemas.arrays import NO_INTS, Int64s
from schemas.positions import Positions
from schemas.rows.day_blocks import day_block_key, day_blocks_prefix, decode_day_blocks
from schemas.rows.high_water import HIGH_WATER_KEY, decode_high_water
from schemas.rows.summaries import (
    SUMMARY_PREFIX,
    decode_day_counts,
    decode_summaries,
    decode_summary,
    summary_key,
)
from schemas.settings import Settings
from schemas.summaries import NO_POLL, HighWater, StoreSummary, Summaries
from schemas.table_scans import RowsUnreadable, Table
from schemas.values import DAY_US, StoreId
from stream.core.calendar import ZONE_DATABASE
from stream.core.changes import owners
from stream.core.confidence import StorePolls

_DAYS: Final = 1 << 23
"""More than there are UTC days: a store and a day make one number."""
CHUNK: Final = 32_768
"""Stores handed out at a time: about 30 MB of summaries."""
MAX_SNAPSHOTS: Final = 4
"""Snapshots alive at once; further ones wait."""

_BLOCK_CACHE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The summaries of some stores, ascending by id, as they are stored and as columns."""

    store_ids: list[StoreId]
    values: Sequence[bytes]
    columns: Summaries


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
        self._gate = threading.BoundedSemaphore(MAX_SNAPSHOTS)
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._idle: list[Secondaries] = []
        self._numbers = count()
        self._cache = rocksdict.Cache(_BLOCK_CACHE_BYTES)
        self._expected: int | None = None
        self.closing = threading.Event()

    def expect_partitions(self, count: int | None) -> None:
        """Be told how many partitions the broker has. None, where it has none yet, changes nothing."""
        self._expected = count or self._expected

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """The state as it is now, unchanged until the block ends.

        Raises StateRestoring where it is not whole, other StateUnreadable, ReaderClosed; in the block also
        TableBroken, schemas.compatibility.NewerState.
        """
        with self._tables() as (tables, standing):
            obstacle = standing.obstacle()
            if obstacle is not None:
                raise StateRestoring(obstacle)
            yield Snapshot(tables, standing, self.closing, self._chunk)

    def standing(self) -> Standing:
        """How the tables stand now, whole or not. Raises StateUnreadable, ReaderClosed."""
        with self._tables() as (_, standing):
            return standing

    @contextmanager
    def _tables(self) -> Iterator[tuple[dict[int, Table], Standing]]:
        """Every table, caught up, to this block alone. Raises StateUnreadable, ReaderClosed.

        Where the block meets rows that cannot be read, it ends with TableBroken.
        """
        with self._gate:
            secondaries = self._take()
            try:
                secondaries.catch_up()
                tables = secondaries.tables()
                standing = standing_of(tables, self._expected)
                _refuse_other_zones(standing)
                yield tables, standing
            except RowsUnreadable as error:
                raise TableBroken(error.path, error.cause) from error
            finally:
                self._give_back(secondaries)

    def close(self) -> None:
        """End running snapshots at their next chunk, then close and remove all secondaries."""
        self.closing.set()
        for _ in range(MAX_SNAPSHOTS):
            self._gate.acquire()
        for _ in range(MAX_SNAPSHOTS):
            self._gate.release()
        with self._lock:
            while self._idle:
                self._idle.pop().close_all()
            if self._lease is not None:
                shutil.rmtree(self._folder / self._lease.name, ignore_errors=True)
                self._lease.end()
                self._lease = None

    def _take(self) -> "Secondaries":
        with self._lock:
            if self.closing.is_set():
                raise ReaderClosed
            if self._idle:
                return self._idle.pop()
            if self._lease is None:
                self._lease = self._appear()
            return Secondaries(self._tables_dir, self._folder / self._lease.name, self._numbers, self._cache)

    def _give_back(self, secondaries: "Secondaries") -> None:
        with self._lock:
            self._idle.append(secondaries)

    def _appear(self) -> Lease:
        """Make our lease, and remove the folders of dead processes.

        A folder's lease is there before it and goes after it. Raises FolderUnwritable.
        """
        try:
            lease = Lease(self._folder)
            reap_dead(self._folder)
        except OSError as error:
            raise FolderUnwritable(self._folder, system_text(error)) from error
        for path in self._folder.iterdir():
            if path.is_dir() and not path.with_suffix(".lock").exists():
                shutil.rmtree(path, ignore_errors=True)
        return lease


class Snapshot:
    """The tables of all partitions at one moment, whole (see Reader.snapshot)."""

    def __init__(
        self, tables: dict[int, Table], standing: Standing, closing: threading.Event, chunk: int
    ) -> None:
        self.standing = standing
        self._tables = tables
        self._chunk = chunk
        self._closing = closing
        self._high_water: HighWater | None = None

    def chunks(self) -> Iterator[Chunk]:
        """All stores, ascending by id as text (UTF-8 byte order), some ten thousand at a time."""
        scans = [summary_scan(table) for table in self._tables.values()]
        for keys, values in ascending(scans, self._chunk):
            if self._closing.is_set():
                raise ReaderClosed
            yield _chunk(keys, values)

    def latest_us(self) -> int | None:
        """The latest poll over all stores, None where there is none."""
        latest = self._reached().latest
        return None if latest == NO_POLL else latest >> 1

    def known_from_us(self) -> int:
        """The instant from which on the polls of every store are complete; 0 where none was ever dropped.

        For one store that is the instant of its baseline: all its polls after it are in day blocks.
        """
        baseline = self._reached().baseline
        return 0 if baseline == NO_POLL else baseline >> 1

    def _reached(self) -> HighWater:
        """How far the polls of all stores reach. A table that does not say is counted."""
        if self._high_water is None:
            self._high_water = HighWater()
            for table in self._tables.values():
                said = value_of(table, HIGH_WATER_KEY)
                self._high_water |= self._counted(table) if said is None else decode_high_water(said)
        return self._high_water

    def _counted(self, table: Table) -> HighWater:
        reached = HighWater()
        for _, values in ascending([summary_scan(table)], self._chunk):
            reached |= decode_summaries(values).high_water
        return reached

    def summary(self, store_id: StoreId) -> StoreSummary | None:
        """A store's summary, None where the store is unknown."""
        value = self._get(summary_key(store_id))
        return None if value is None else decode_summary(value)

    def day_block(self, store_id: StoreId, day: int) -> Int64s:
        """The packed polls of one store on one UTC day, ascending."""
        value = self._get(day_block_key(store_id, day))
        return NO_INTS if value is None else decode_day_blocks([day], [value])[0]

    def polls(self, store_id: StoreId, summary: StoreSummary) -> Int64s:
        """The packed polls in all day blocks of one store that its summary knows, ascending.

        After a crash there may be others, of days that were dropped: they do not count.
        """
        prefix, known = day_blocks_prefix(store_id), set(summary.days[:, 0].tolist())
        day_blocks: dict[int, bytes] = {}
        for table in self._tables.values():
            rows = rows_from(table, prefix)
            day_blocks.update((int.from_bytes(key[len(prefix) :], "big"), value) for key, value in rows)
        days = [day for day in day_blocks if day in known]
        return decode_day_blocks(days, [day_blocks[day] for day in days])[0]

    def polls_of(self, chunk: Chunk, from_us: int, to_us: int) -> StorePolls:
        """The polls of a chunk's stores on the UTC days of a span, and the baseline of each.

        Others than those of days that a summary knows do not count (see `polls`).
        """
        first_day, last_day = from_us // DAY_US, to_us // DAY_US
        index = {store_id.encode(): nth for nth, store_id in enumerate(chunk.store_ids)}
        stores, days, values = array("q"), array("q"), []
        for table in self._tables.values():
            for store_id, day, value in day_block_rows(table, chunk.store_ids[0], chunk.store_ids[-1]):
                if first_day <= day <= last_day and (nth := index.get(store_id)) is not None:
                    stores.append(nth)
                    days.append(day)
                    values.append(value)
        return _joined(chunk, np.array(stores, np.int64), np.array(days, np.int64), values)

    def applied(self) -> Positions:
        """How far each source topic was applied when the snapshot began."""
        return self.standing.applied

    def _get(self, key: bytes) -> bytes | None:
        for table in self._tables.values():
            value = value_of(table, key)
            if value is not None:
                return value
        return None


def _refuse_other_zones(standing: Standing) -> None:
    for partition, table in standing.tables.items():
        if table.zone_database not in (None, ZONE_DATABASE):
            raise OtherZoneDatabase(partition, str(table.zone_database), ZONE_DATABASE)


def _chunk(keys: list[bytes], values: list[bytes]) -> Chunk:
    separator = b"\0" + SUMMARY_PREFIX  # no id has a NUL in it
    ids = (b"\0" + b"\0".join(keys)).decode().split(separator.decode())[1:]
    return Chunk(cast(list[StoreId], ids), values, decode_summaries(values))


def _joined(chunk: Chunk, stores: Int64s, days: Int64s, values: list[bytes]) -> StorePolls:
    """The polls in some day blocks that count, and the baselines before them, store by store."""
    known = decode_day_counts(chunk.values)
    places, known_places = stores * _DAYS + days, owners(known.first) * _DAYS + known.rows[:, 0]
    order = places.argsort(kind="stable")
    counted = order[np.isin(places[order], known_places)]
    packed, sizes = decode_day_blocks(days[counted].tolist(), [values[nth] for nth in counted.tolist()])
    first = np.concatenate(([0], np.cumsum(sizes)))[
        np.searchsorted(stores[counted], np.arange(len(chunk.values) + 1))
    ]
    has_baseline = chunk.columns.baseline != NO_POLL
    packed = np.insert(packed, first[:-1][has_baseline], chunk.columns.baseline[has_baseline])
    return StorePolls(first + np.concatenate(([0], np.cumsum(has_baseline))), packed)
