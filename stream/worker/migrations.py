"""From the tables of older versions to those of this one.

Owns: what must be done to a table of an older format, or made with another zone database, once it is restored and
ours; and the order. Must not know: how rows are written (stream.worker.write_behind), which broker this is.

    format           1 ──▶ 2 ──▶ 3          the rows of positions become one; summaries of version 2
    zone database    any ──▶ ours           all that is derived from local time is derived again (rule 2.4)

All that applies is written in one flush with the new format, so a table is of one format or of the next. A new
format is a number in schemas.rows.table_format and an entry here.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.high_water import HIGH_WATER_KEY, encode_high_water
from schemas.rows.positions import APPLIED_PREFIX
from schemas.rows.summaries import SUMMARY_PREFIX
from schemas.rows.table_format import FORMAT_KEY, TABLE_FORMAT, decode_format
from schemas.summaries import HighWater
from schemas.values import StoreId
from stream.brokers.ports import Rows
from stream.core.calendar import ZONE_DATABASE
from stream.tables.store_table import StoreRows
from stream.worker.merging import Merger, StoreUpdates, batches
from stream.worker.updates import Updates

log = structlog.get_logger(__name__)

_SLICE: Final = 512
"""Stores that are rewritten at once."""


@dataclass(frozen=True, slots=True)
class Migrating:
    """A partition whose table is migrated, and what it takes to read and derive its rows."""

    partition: int
    rows: StoreRows
    merger: Merger


class Step(Protocol):
    """Hands out the rows that a migration changes."""

    def __call__(self, at: Migrating) -> AsyncIterator[Rows]:
        """Of one table, some at a time."""


@dataclass(frozen=True, slots=True)
class Migration:
    """From one state of a table to another: `step` hands out the rows that change. `from_` None: from any other."""

    what: Literal["format", "zone database"]
    from_: int | None
    to: int | str
    step: Step


async def _one_row_of_positions(at: Migrating) -> AsyncIterator[Rows]:
    """From format 1: the rows of positions go; the one that takes their place ends the flush."""
    yield [(key, None) for key in at.rows.keys(at.partition, APPLIED_PREFIX)]


async def _current_summaries(at: Migrating) -> AsyncIterator[Rows]:
    """From format 2: summaries of version 1 are written again, and how far polls reach is counted.

    Some tables of format 1 did not say how far.
    """
    reached = HighWater()
    for keys in batches(at.rows.summary_keys(at.partition), _SLICE):
        part = at.merger.rewritten(at.partition, keys)
        reached |= part.high_water
        yield part.rows
        await asyncio.sleep(0)
    yield [(HIGH_WATER_KEY, encode_high_water(reached))]


async def _derived_again(at: Migrating) -> AsyncIterator[Rows]:
    """Another zone database: all summaries are derived again from their day blocks."""
    for keys in batches(at.rows.summary_keys(at.partition), _SLICE):
        stores = (StoreId(key.removeprefix(SUMMARY_PREFIX).decode()) for key in keys)
        part = [StoreUpdates(at.partition, store_id, Updates(derives_again=True)) for store_id in stores]
        yield at.merger.merged(part)[at.partition].rows
        await asyncio.sleep(0)
    yield [(ZONE_DATABASE_KEY, ZONE_DATABASE.encode())]


MIGRATIONS: Final = (
    Migration("format", 1, 2, _one_row_of_positions),
    Migration("format", 2, 3, _current_summaries),
    Migration("zone database", None, ZONE_DATABASE, _derived_again),
)


def migrations_of(rows: StoreRows, partition: int) -> list[Migration]:
    """What must be done to the table of a partition, in this order. Raises NewerState."""
    found = decode_format(rows.get(partition, FORMAT_KEY))
    if next(rows.all_rows(partition), None) is None:
        return []
    has_summaries = next(rows.summary_keys(partition), None) is not None
    made_with = (rows.get(partition, ZONE_DATABASE_KEY) or b"").decode()
    return [
        each
        for each in MIGRATIONS
        if (isinstance(each.from_, int) and found <= each.from_)
        or (each.from_ is None and has_summaries and made_with != each.to)
    ]


async def migrated(migrations: Sequence[Migration], at: Migrating) -> AsyncIterator[Rows]:
    """The rows that some migrations change."""
    for each in migrations:
        log.info("migrating", what=each.what, partition=at.partition, was=each.from_, now=each.to)
        async for rows in each.step(at):
            yield rows


assert MIGRATIONS[-2].to == TABLE_FORMAT
