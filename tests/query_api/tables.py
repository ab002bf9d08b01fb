"""What a worker would have written, by the core alone: RocksDB tables with a live primary.

Owns: the rows of some stores, spread over partitions, written as they change. Must not know: Faust, topics.
"""

import shutil
import zlib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import rocksdict

from schemas.opening_hours import OpeningHours, StoreHours, Week
from schemas.rows.day_blocks import day_block_key
from schemas.rows.facts import PARTITIONS_KEY, ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY, encode_high_water
from schemas.rows.local import OFFSET_KEY, TARGET_KEY, WHOLE_KEY
from schemas.rows.losses import Loss, encode_losses, loss_key
from schemas.rows.positions import applied_key
from schemas.rows.summaries import summary_key
from schemas.settings import Settings
from schemas.summaries import HighWater
from schemas.values import Poll, StoreId
from stream.core.calendar import ZONE_DATABASE
from tests.broken import break_a_block
from tests.core.shelf import Shelf


class Tables:
    """The tables of a state folder, open for writing while readers look on; whole unless told otherwise."""

    def __init__(self, settings: Settings, partitions: int = 1) -> None:
        self._settings = settings
        self._shelves: dict[StoreId, Shelf] = {}
        self._primaries: dict[int, rocksdict.Rdict] = {}
        self._high_water = HighWater()
        for _ in range(partitions):
            self.add_partition()

    def add_partition(self) -> None:
        """Another, empty and whole partition; stores stay where they are."""
        partition = len(self._primaries)
        path = self.path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        primary = rocksdict.Rdict(str(path), options)
        self._primaries[partition] = primary
        primary[ZONE_DATABASE_KEY] = ZONE_DATABASE.encode()
        primary[PARTITIONS_KEY] = str(len(self._primaries)).encode()
        primary[OFFSET_KEY] = b"7"
        primary[WHOLE_KEY] = b""

    def remove_partition(self, partition: int) -> None:
        """Delete one table; nothing can be written to it any more."""
        self._primaries.pop(partition).close()
        shutil.rmtree(self.path(partition))

    def path(self, partition: int) -> Path:
        """Where the RocksDB of a partition is."""
        return self._settings.table_path(partition)

    def add(self, polls: Iterable[Poll]) -> "Tables":
        """Merge polls of any stores."""
        for store_id, of_store in groupby(sorted(polls, key=lambda poll: poll.store_id), _store):
            before = set(self._shelf(store_id).bytes[1])
            self._shelf(store_id).add(of_store)
            self._write(store_id, before)
        return self

    def name(self, store_id: str, zone: str | None = None, week: Week | None = None) -> "Tables":
        """Say zone and week of a store."""
        shelf = self._shelf(StoreId(store_id))
        before = set(shelf.bytes[1])
        shelf.set_hours(zone, week)
        self._write(StoreId(store_id), before)
        return self

    def set_hours(self, store_id: str, hours: StoreHours) -> "Tables":
        """Say all opening hours of a store, in no zone."""
        shelf = self._shelf(StoreId(store_id))
        before = set(shelf.bytes[1])
        shelf.set_all_hours(OpeningHours(None, hours))
        self._write(StoreId(store_id), before)
        return self

    def apply(self, topic: str, offset: int, partition: int = 0) -> None:
        """Say that a topic is applied up to `offset`."""
        self.put(applied_key(topic), str(offset).encode(), partition)

    def restore(self, reached: int, target: int | None, partition: int = 0) -> None:
        """Begin to restore a table, or get on with it: without a target, as an older version left it."""
        self.put(OFFSET_KEY, str(reached).encode(), partition)
        if target is not None:
            self.put(TARGET_KEY, str(target).encode(), partition)
        self.remove(WHOLE_KEY, partition)

    def make_whole(self, partition: int = 0) -> None:
        """Say that a table is restored."""
        self.put(WHOLE_KEY, b"1", partition)

    def lose(self, topic: str, *losses: Loss, partition: int = 0) -> None:
        """Say what was lost of a topic; nothing: that it was accepted."""
        self.put(loss_key(topic), encode_losses(losses), partition)

    def put(self, key: bytes, value: bytes, partition: int = 0) -> None:
        """Write one row as it is."""
        self._primaries[partition][key] = value

    def remove(self, key: bytes, partition: int = 0) -> None:
        """Delete one row."""
        del self._primaries[partition][key]

    def flush(self) -> None:
        """Move what is in memory to files, which deletes logs that readers follow."""
        for primary in self._primaries.values():
            primary.flush()

    def compact(self) -> None:
        """Rewrite all files, which deletes those that readers hold open."""
        for primary in self._primaries.values():
            primary.flush()
            primary.compact_range(None, None)

    def break_rows(self, key: bytes, value: bytes, partition: int = 0) -> None:
        """Write 5,000 rows below `key`, of which some in the middle cannot be read."""
        for number in range(5_000):
            self.put(key + b"%05d" % number, value, partition)
        self.flush()
        break_a_block(self.path(partition))

    def delete(self) -> None:
        """Remove every table, as an operator does who wants them rebuilt."""
        self.close()
        partitions = list(self._primaries)
        self._primaries.clear()
        self._shelves.clear()
        self._high_water = HighWater()
        for partition in partitions:
            shutil.rmtree(self.path(partition))

    def close(self) -> None:
        """Let go of the tables."""
        for primary in self._primaries.values():
            primary.close()

    def reopen(self) -> None:
        """What a restart of the worker does."""
        self.close()
        options = rocksdict.Options(raw_mode=True)
        self._primaries = {
            partition: rocksdict.Rdict(str(self.path(partition)), options) for partition in self._primaries
        }

    def _shelf(self, store_id: StoreId) -> Shelf:
        return self._shelves.setdefault(store_id, Shelf(retention_days=self._settings.retention_days))

    def _write(self, store_id: StoreId, days_before: set[int]) -> None:
        summary, day_blocks = self._shelf(store_id).bytes
        batch = rocksdict.WriteBatch(raw_mode=True)
        for day in days_before - day_blocks.keys():
            batch.delete(day_block_key(store_id, day))
        for day, day_block in day_blocks.items():
            batch.put(day_block_key(store_id, day), day_block)
        batch.put(summary_key(store_id), summary)
        reached = self._shelf(store_id).summary
        self._high_water |= HighWater(reached.latest, reached.baseline)
        batch.put(
            HIGH_WATER_KEY, encode_high_water(self._high_water)
        )  # of some partitions too much, of all together not
        self._primaries[zlib.crc32(store_id.encode()) % len(self._primaries)].write(batch)


def _store(poll: Poll) -> StoreId:
    return poll.store_id
