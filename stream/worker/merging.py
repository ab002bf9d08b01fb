"""From what was said of some stores to the rows of the table that change.

Owns: which rows are read, and how many stores are merged at once. Must not know: when that happens
(stream.worker.write_behind), how tables are written (stream.tables.store_table), arithmetic (stream.core).
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeVar, cast

import numpy as np

from schemas.arrays import Int64s
from schemas.rows.day_blocks import (
    EMPTY_DAY_BLOCK,
    day_block_key,
    day_blocks_prefix,
    decode_day_blocks,
    encode_day_blocks,
)
from schemas.rows.stamps import decode_stamps, encode_stamps, stamps_key
from schemas.rows.summaries import (
    EMPTY_SUMMARY,
    decode_day_counts,
    decode_summaries,
    encode_summaries,
    summary_key,
)
from schemas.summaries import HighWater
from schemas.values import DAY_US, StoreId
from stream.core.merge import merge
from stream.tables.store_table import StoreRows
from stream.worker.updates import Said, Updates, columns_of

T = TypeVar("T")

_MAX_MERGED_POLLS: Final = 400_000
"""Polls that may be put together at once, those of updates and of all day blocks, about 100 bytes each."""
_COUNTED_AT_ONCE: Final = 4096
"""Summaries looked at between two looks at the event loop."""

_Row = tuple[bytes, bytes | None]
"""Key, value."""


@dataclass(frozen=True, slots=True)
class MergedRows:
    """Rows to write; how far the polls of these stores reach, and those that were forgotten did."""

    rows: list[_Row]
    high_water: HighWater
    forgotten: HighWater

    def __or__(self, other: "MergedRows") -> "MergedRows":
        return MergedRows(
            self.rows + other.rows, self.high_water | other.high_water, self.forgotten | other.forgotten
        )


class StoreUpdates(NamedTuple):
    """What was said of one store, and the partition whose table has it."""

    partition: int
    store_id: StoreId
    updates: Updates


class Merger:
    """Merges the updates of stores, of one partition or of several.

    A call has a fixed cost of about two milliseconds, whatever it is of: so several partitions with few updates
    share one.
    """

    def __init__(self, table: StoreRows, retention_days: int) -> None:
        self._table = table
        self._retention_days = retention_days

    def merged(self, part: Sequence[StoreUpdates]) -> dict[int, MergedRows]:
        """What the updates of some stores do to their rows, by partition.

        Those of each store stand in the order of stream.core.merge.Merged.
        """
        partitions, store_ids = [each.partition for each in part], [each.store_id for each in part]
        updates = [each.updates for each in part]
        keys = list(map(summary_key, store_ids))
        values = [value or EMPTY_SUMMARY for value in self._values(partitions, keys)]
        summaries, days = decode_summaries(values), decode_day_counts(values)
        stamped, said = self._stamped(part)
        columns = columns_of(summaries, updates, said)
        if len(part) > 1 and len(columns.packed) + int(days.rows[:, 1:].sum()) > _MAX_MERGED_POLLS:
            half = len(part) // 2
            return _joined(self.merged(part[:half]), self.merged(part[half:]))
        load = partial(self._load_day_blocks, part)
        merged = merge(summaries, days, columns, load, self._retention_days)
        rows: dict[int, list[_Row]] = {partition: [] for partition in partitions}
        written = encode_summaries(merged.summaries, merged.days)
        for partition, key, row, was in zip(partitions, keys, written, values, strict=True):
            if row != was:
                rows[partition].append((key, None if row == EMPTY_SUMMARY else row))
        for store, row_of_stamps in stamped:
            rows[partitions[store]].append(row_of_stamps)
        for store in columns.forgets.nonzero()[0].tolist():
            day_blocks_of = self._table.keys(partitions[store], day_blocks_prefix(store_ids[store]))
            rows[partitions[store]] += [(key, None) for key in day_blocks_of]
        for store, key in _day_block_keys(part, merged.dropped_stores, merged.dropped_days):
            rows[partitions[store]].append((key, None))
        day_blocks = merged.day_blocks
        encoded = encode_day_blocks(day_blocks.days, day_blocks.counts, day_blocks.packed)
        block_keys = _day_block_keys(part, day_blocks.stores, day_blocks.days)
        for (store, key), block in zip(block_keys, encoded, strict=True):
            rows[partitions[store]].append((key, block))
        at = np.array(partitions)
        return {
            partition: MergedRows(
                of_partition,
                merged.summaries.high_water_of(at == partition),
                summaries.high_water_of(columns.forgets & (at == partition)),
            )
            for partition, of_partition in rows.items()
        }

    def rewritten(self, partition: int, keys: list[bytes]) -> MergedRows:
        """The summaries under some keys in the newest version, where they are not."""
        values = cast(list[bytes], self._table.get_many(partition, keys))
        summaries, days = decode_summaries(values), decode_day_counts(values)
        written = encode_summaries(summaries, days)
        rows: list[_Row] = [
            (key, value) for key, value, was in zip(keys, written, values, strict=True) if value != was
        ]
        return MergedRows(rows, summaries.high_water, HighWater())

    def _values(self, partitions: Sequence[int], keys: list[bytes]) -> list[bytes | None]:
        """The values of some rows, each of a partition, None where there is none."""
        places: dict[int, list[int]] = {}
        for place, partition in enumerate(partitions):
            places.setdefault(partition, []).append(place)
        if len(places) == 1:
            return self._table.get_many(partitions[0], keys)
        values: list[bytes | None] = [None] * len(keys)
        for partition, of_partition in places.items():
            found = self._table.get_many(partition, [keys[place] for place in of_partition])
            for place, value in zip(of_partition, found, strict=True):
                values[place] = value
        return values

    def _stamped(self, part: Sequence[StoreUpdates]) -> tuple[list[tuple[int, _Row]], dict[int, Said]]:
        """The stamps that change, as rows by store, and what of the stores' hours and zones holds."""
        stores = [store for store, each in enumerate(part) if each.updates.is_stamped]
        if not stores:
            return [], {}
        keys = [stamps_key(part[store].store_id) for store in stores]
        values = self._values([part[store].partition for store in stores], keys)
        rows: list[tuple[int, _Row]] = []
        said, today = {}, time.time_ns() // (1000 * DAY_US)
        for store, key, value in zip(stores, keys, values, strict=True):
            stamps, said[store] = part[store].updates.resolve(decode_stamps(value), today)
            rows.append((store, (key, encode_stamps(stamps))))
        return rows, said

    async def counted_high_water(self, partition: int, without: Collection[StoreId] = ()) -> HighWater:
        """How far the polls of all stores of a partition reach, `without` some of them."""
        reached, left_out = HighWater(), set(map(summary_key, without))
        summaries = (key for key in self._table.summary_keys(partition) if key not in left_out)
        for keys in batches(summaries, _COUNTED_AT_ONCE):
            reached |= decode_summaries(cast(list[bytes], self._table.get_many(partition, keys))).high_water
            await asyncio.sleep(0)
        return reached

    def _load_day_blocks(
        self, part: Sequence[StoreUpdates], stores: Int64s, days: Int64s
    ) -> tuple[Int64s, Int64s]:
        """See stream.core.merge.LoadDayBlocks."""
        keys = [key for _, key in _day_block_keys(part, stores, days)]
        values = self._values([part[store].partition for store in stores.tolist()], keys)
        return decode_day_blocks(days.tolist(), [value or EMPTY_DAY_BLOCK for value in values])


def _day_block_keys(part: Sequence[StoreUpdates], stores: Int64s, days: Int64s) -> list[tuple[int, bytes]]:
    """Each store, and the key of its day block of that day."""
    return [
        (store, day_block_key(part[store].store_id, day))
        for store, day in zip(stores.tolist(), days.tolist(), strict=True)
    ]


def _joined(one: dict[int, MergedRows], other: dict[int, MergedRows]) -> dict[int, MergedRows]:
    return {
        **one,
        **{
            partition: one[partition] | rows if partition in one else rows
            for partition, rows in other.items()
        },
    }


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """`items` in lists of `size`, the last one maybe shorter."""
    while batch := list(islice(items, size)):
        yield batch
