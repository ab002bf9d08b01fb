"""From what was said of some stores to the rows of the table that change.

Owns: which rows are read, and how many stores are settled at once. Must not know: when that happens
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

from schemas.stamps import decode_stamps, encode_stamps
from schemas.state import (
    EMPTY_HEAD,
    EMPTY_PAGE,
    Extent,
    Int64s,
    decode_days,
    decode_heads,
    decode_pages,
    encode_heads,
    encode_pages,
    head_key,
    page_key,
    pages_prefix,
    stamps_key,
)
from schemas.values import DAY_US, StoreId
from stream.core.merge import settle
from stream.tables.store_table import StoreTable
from stream.worker.updates import News, Said, columns_of

T = TypeVar("T")

_MOST_SETTLED_POLLS: Final = 400_000
"""Polls that may be put together at once, of news and of all pages, about 100 bytes each; else fewer stores are."""
_COUNTED_AT_ONCE: Final = 4096
"""Heads looked at between two looks at the event loop."""

_Row = tuple[bytes, bytes | None]
"""Key, value."""


@dataclass(frozen=True, slots=True)
class SettledRows:
    """Rows to write; how far the polls of these stores reach, and those that were forgotten did."""

    rows: list[_Row]
    extent: Extent
    forgotten: Extent

    def __or__(self, other: "SettledRows") -> "SettledRows":
        return SettledRows(
            self.rows + other.rows, self.extent | other.extent, self.forgotten | other.forgotten
        )


class StoreNews(NamedTuple):
    """What was said of one store, and the partition whose table has it."""

    partition: int
    store_id: StoreId
    news: News


class Settling:
    """Settles news of stores, of one partition or of several: a call takes two milliseconds, whatever it is of."""

    def __init__(self, table: StoreTable, retention_days: int) -> None:
        self._table = table
        self._retention_days = retention_days

    def settled(self, part: Sequence[StoreNews]) -> dict[int, SettledRows]:
        """What the news of some stores does to their rows, by partition."""
        partitions, store_ids = [each.partition for each in part], [each.store_id for each in part]
        news = [each.news for each in part]
        keys = list(map(head_key, store_ids))
        values = [value or EMPTY_HEAD for value in self._values(partitions, keys)]
        heads, days = decode_heads(values), decode_days(values)
        stamped, said = self._stamped(part)
        columns = columns_of(heads, news, said)
        if len(part) > 1 and len(columns.codes) + int(days.rows[:, 1:].sum()) > _MOST_SETTLED_POLLS:
            half = len(part) // 2
            return _joined(self.settled(part[:half]), self.settled(part[half:]))
        load = partial(self._load_pages, part)
        settled = settle(heads, days, columns, load, self._retention_days)
        rows: dict[int, list[_Row]] = {partition: [] for partition in partitions}
        written = encode_heads(settled.heads, settled.days)
        for partition, key, row, was in zip(partitions, keys, written, values, strict=True):
            if row != was:
                rows[partition].append((key, None if row == EMPTY_HEAD else row))
        for store, row_of_stamps in stamped:
            rows[partitions[store]].append(row_of_stamps)
        for store in columns.forgets.nonzero()[0].tolist():
            pages_of = self._table.keys(partitions[store], pages_prefix(store_ids[store]))
            rows[partitions[store]] += [(key, None) for key in pages_of]
        for store, key in _page_keys(part, settled.dropped_stores, settled.dropped_days):
            rows[partitions[store]].append((key, None))
        pages = settled.pages
        values = encode_pages(pages.days, pages.counts, pages.codes)
        for (store, key), value in zip(_page_keys(part, pages.stores, pages.days), values, strict=True):
            rows[partitions[store]].append((key, value))
        at = np.array(partitions)
        return {
            partition: SettledRows(
                of_partition,
                settled.heads.extent_of(at == partition),
                heads.extent_of(columns.forgets & (at == partition)),
            )
            for partition, of_partition in rows.items()
        }

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

    def _stamped(self, part: Sequence[StoreNews]) -> tuple[list[tuple[int, _Row]], dict[int, Said]]:
        """The stamps that change, as rows by store, and what of the stores' hours and zones holds."""
        stores = [store for store, each in enumerate(part) if each.news.is_stamped]
        if not stores:
            return [], {}
        keys = [stamps_key(part[store].store_id) for store in stores]
        values = self._values([part[store].partition for store in stores], keys)
        rows: list[tuple[int, _Row]] = []
        said, today = {}, time.time_ns() // (1000 * DAY_US)
        for store, key, value in zip(stores, keys, values, strict=True):
            stamps, said[store] = part[store].news.settle(decode_stamps(value), today)
            rows.append((store, (key, encode_stamps(stamps))))
        return rows, said

    async def counted_extent(self, partition: int, without: Collection[StoreId] = ()) -> Extent:
        """How far the polls of all stores of a partition reach, `without` some of them."""
        reached, left_out = Extent(), set(map(head_key, without))
        heads = (key for key in self._table.head_keys(partition) if key not in left_out)
        for keys in batches(heads, _COUNTED_AT_ONCE):
            reached |= decode_heads(cast(list[bytes], self._table.get_many(partition, keys))).extent
            await asyncio.sleep(0)
        return reached

    def _load_pages(self, part: Sequence[StoreNews], stores: Int64s, days: Int64s) -> tuple[Int64s, Int64s]:
        """See stream.core.merge.LoadPages."""
        keys = [key for _, key in _page_keys(part, stores, days)]
        values = self._values([part[store].partition for store in stores.tolist()], keys)
        return decode_pages(days.tolist(), [value or EMPTY_PAGE for value in values])


def _page_keys(part: Sequence[StoreNews], stores: Int64s, days: Int64s) -> list[tuple[int, bytes]]:
    """Each store, and the key of its page of that day."""
    return [
        (store, page_key(part[store].store_id, day))
        for store, day in zip(stores.tolist(), days.tolist(), strict=True)
    ]


def _joined(one: dict[int, SettledRows], other: dict[int, SettledRows]) -> dict[int, SettledRows]:
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
