"""From what was said of some stores to the rows of the table that change.

Owns: which rows are read, and how many stores are settled at once. Must not know: when that happens
(stream.ledgers), how tables are written (stream.tables), arithmetic (stream.core).
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, TypeVar, cast

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
from stream.core.ledger import settle
from stream.news import News, Said, columns_of
from stream.tables import StoreTable

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


class Settling:
    """Settles news of stores of one partition at a time."""

    def __init__(self, table: StoreTable, retention_days: int) -> None:
        self._table = table
        self._retention_days = retention_days

    def settled(self, partition: int, part: Sequence[tuple[StoreId, News]]) -> SettledRows:
        """What the news of some stores does to their rows."""
        store_ids, news = [store_id for store_id, _ in part], [of_store for _, of_store in part]
        keys = list(map(head_key, store_ids))
        values = [value or EMPTY_HEAD for value in self._table.get_many(partition, keys)]
        heads, days = decode_heads(values), decode_days(values)
        stamped, said = self._stamped(partition, store_ids, news)
        columns = columns_of(heads, news, said)
        if len(part) > 1 and len(columns.codes) + int(days.rows[:, 1:].sum()) > _MOST_SETTLED_POLLS:
            half = len(part) // 2
            return self.settled(partition, part[:half]) | self.settled(partition, part[half:])
        load = partial(self._load_pages, partition, store_ids)
        settled = settle(heads, days, columns, load, self._retention_days)
        rows: list[_Row] = [
            (key, None if row == EMPTY_HEAD else row)
            for key, row, was in zip(keys, encode_heads(settled.heads, settled.days), values, strict=True)
            if row != was
        ]
        rows += stamped
        for store in columns.forgets.nonzero()[0].tolist():
            rows += [(key, None) for key in self._table.keys(partition, pages_prefix(store_ids[store]))]
        rows += [(key, None) for key in _page_keys(store_ids, settled.dropped_stores, settled.dropped_days)]
        pages = settled.pages
        written = encode_pages(pages.days, pages.counts, pages.codes)
        rows += zip(_page_keys(store_ids, pages.stores, pages.days), written, strict=True)
        return SettledRows(rows, settled.heads.extent, heads.extent_of(columns.forgets))

    def _stamped(
        self, partition: int, store_ids: Sequence[StoreId], news: Sequence[News]
    ) -> tuple[list[_Row], dict[int, Said]]:
        """The stamps that change, as rows, and what of the stores' hours and zones holds."""
        stores = [store for store, of_store in enumerate(news) if of_store.is_stamped]
        keys = [stamps_key(store_ids[store]) for store in stores]
        values = self._table.get_many(partition, keys) if keys else []
        rows: list[_Row] = []
        said, today = {}, time.time_ns() // (1000 * DAY_US)
        for store, key, value in zip(stores, keys, values, strict=True):
            stamps, said[store] = news[store].settle(decode_stamps(value), today)
            rows.append((key, encode_stamps(stamps)))
        return rows, said

    async def counted_extent(self, partition: int, without: Collection[StoreId] = ()) -> Extent:
        """How far the polls of all stores of a partition reach, `without` some of them."""
        reached, left_out = Extent(), set(map(head_key, without))
        heads = (key for key in self._table.head_keys(partition) if key not in left_out)
        for keys in batches(heads, _COUNTED_AT_ONCE):
            reached |= decode_heads(cast(list[bytes], self._table.get_many(partition, keys))).extent
            await asyncio.sleep(0)
        return reached

    def _load_pages(
        self, partition: int, store_ids: Sequence[StoreId], stores: Int64s, days: Int64s
    ) -> tuple[Int64s, Int64s]:
        """See stream.core.ledger.LoadPages."""
        values = self._table.get_many(partition, _page_keys(store_ids, stores, days))
        return decode_pages(days.tolist(), [value or EMPTY_PAGE for value in values])


def _page_keys(store_ids: Sequence[StoreId], stores: Int64s, days: Int64s) -> list[bytes]:
    return [
        page_key(store_ids[store], day) for store, day in zip(stores.tolist(), days.tolist(), strict=True)
    ]


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """`items` in lists of `size`, the last one maybe shorter."""
    while batch := list(islice(items, size)):
        yield batch
