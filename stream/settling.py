"""From what was said of some stores to the rows of the table that change.

Owns: which rows are read, how many stores are settled at once, and the order in which rows are to be written. Must
not know: when that happens (stream.ledgers), how tables are written (stream.tables), arithmetic (stream.core).
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Final, TypeVar, cast

from schemas.state import (
    EMPTY_HEAD,
    EMPTY_PAGE,
    HEAD_PREFIX,
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
)
from schemas.values import StoreId
from stream.core.ledger import settle
from stream.news import News, columns_of
from stream.tables import StoreTable

T = TypeVar("T")

_MOST_SETTLED_POLLS: Final = 400_000
"""Polls that may be put together at once, of news and of all pages, about 100 bytes each; else fewer stores are."""
_COUNTED_AT_ONCE: Final = 4096
"""Heads looked at between two looks at the event loop."""

_Row = tuple[int, bytes, bytes | None]
"""Which store, key, value."""


@dataclass(frozen=True, slots=True)
class SettledRows:
    """Rows to write, those of a store together; how far its polls reach, and those that were forgotten did."""

    changes: dict[bytes, bytes | None]
    extent: Extent
    forgotten: Extent

    def __or__(self, other: "SettledRows") -> "SettledRows":
        return SettledRows(
            self.changes | other.changes, self.extent | other.extent, self.forgotten | other.forgotten
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
        columns = columns_of(heads, news)
        if len(part) > 1 and len(columns.codes) + int(days.rows[:, 1:].sum()) > _MOST_SETTLED_POLLS:
            half = len(part) // 2
            return self.settled(partition, part[:half]) | self.settled(partition, part[half:])
        load = partial(self._load_pages, partition, store_ids)
        settled = settle(heads, days, columns, load, self._retention_days)
        rows: list[_Row] = [
            (store, key, None if row == EMPTY_HEAD else row)
            for store, (key, row, was) in enumerate(
                zip(keys, encode_heads(settled.heads, settled.days), values, strict=True)
            )
            if row != was
        ]
        for store in columns.forgets.nonzero()[0].tolist():
            rows += [
                (store, key, None) for key in self._table.keys(partition, pages_prefix(store_ids[store]))
            ]
        gone = _page_keys(store_ids, settled.dropped_stores, settled.dropped_days)
        rows += [(store, key, None) for store, key in zip(settled.dropped_stores.tolist(), gone, strict=True)]
        pages = settled.pages
        written = encode_pages(pages.days, pages.counts, pages.codes)
        page_keys = _page_keys(store_ids, pages.stores, pages.days)
        rows += zip(pages.stores.tolist(), page_keys, written, strict=True)
        rows.sort(key=itemgetter(0))
        changes = {key: value for _, key, value in rows}
        return SettledRows(changes, settled.heads.extent, heads.extent_of(columns.forgets))

    async def counted_extent(self, partition: int) -> Extent:
        """How far the polls of all stores of a partition reach: where one forgot, it may be less than before."""
        reached = Extent()
        for keys in batches(self._table.keys(partition, HEAD_PREFIX), _COUNTED_AT_ONCE):
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
