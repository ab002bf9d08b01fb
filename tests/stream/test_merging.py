"""Merger in one go what was said of stores of several partitions gives what merging each alone gives."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rows.stamps import STAMPS_PREFIX
from schemas.stamps import LastSaid, Stamp
from schemas.values import DAY_US, StoreId, pack_poll
from stream.tables.rocks import RowBatch
from stream.worker import merging
from stream.worker.merging import Merger, StoreUpdates
from stream.worker.updates import Updates
from tests.builders import poll
from tests.profiles import examples
from tests.stream.lists import Tables

PARTITIONS = 3
STORES = 12
ZONES = (None, "Asia/Tokyo", "America/Chicago")

FORGETS = st.none() | st.integers(1, 9)
POLL_DAYS = st.lists(st.integers(0, 40), max_size=5)
ZONE = st.none() | st.sampled_from(ZONES)
SAID = st.tuples(st.integers(0, STORES - 1), FORGETS, POLL_DAYS, st.booleans(), ZONE)


def updates_of(offset: int, said: tuple[int, int | None, list[int], bool, str | None]) -> StoreUpdates:
    store, forgets, days, says_zone, zone = said
    active = poll("Mon 10:00 active").status
    updates = Updates(
        forgets=None if forgets is None else Stamp(forgets, 0, offset),
        packed=array("q", [pack_poll(day * DAY_US + offset, active) for day in days]),
        zone=LastSaid(direct=(Stamp(5, 0, offset), zone)) if says_zone else None,
    )
    return StoreUpdates(store % PARTITIONS, StoreId(f"s{store}"), updates)


def by_store(rows: list[tuple[bytes, bytes | None]]) -> dict[bytes, list[tuple[bytes, bytes | None]]]:
    """The rows of each store in their order, in which a crash may cut them off; stores may stand in any order."""
    of_stores: dict[bytes, list[tuple[bytes, bytes | None]]] = {}
    for key, value in rows:
        store = key.removeprefix(STAMPS_PREFIX) if key.startswith(STAMPS_PREFIX) else key[1:].split(b"\0")[0]
        of_stores.setdefault(store, []).append((key, value))
    return of_stores


@settings(max_examples=examples(60))
@given(
    st.lists(st.lists(SAID, max_size=8, unique_by=lambda said: said[0]), max_size=4),
    st.sampled_from((1, 4, 400_000)),
)
def test_together_as_apart(
    tmp_path_factory: pytest.TempPathFactory,
    flushes: list[list[tuple[int, int | None, list[int], bool, str | None]]],
    max_polls: int,
) -> None:
    table = Tables(tmp_path_factory.mktemp("table"))
    of_tables = Merger(table, 14)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_MAX_MERGED_POLLS", max_polls)
        for offset, flush in enumerate(flushes):
            updates = [updates_of(offset, said) for said in flush]
            together = of_tables.merged(updates) if updates else {}
            apart = {
                partition: of_tables.merged([each for each in updates if each.partition == partition])[
                    partition
                ]
                for partition in {each.partition for each in updates}
            }
            assert together.keys() == apart.keys()
            for partition, rows in together.items():
                assert by_store(rows.rows) == by_store(apart[partition].rows)
                assert (rows.high_water, rows.forgotten) == (
                    apart[partition].high_water,
                    apart[partition].forgotten,
                )
                batch = RowBatch()
                batch.add(rows.rows)
                batch.write(table.rows(partition), offset)
    table.close()
