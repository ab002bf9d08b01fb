"""Settling in one go what was said of stores of several partitions gives what settling each alone gives."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.stamps import LastSaid, Stamp
from schemas.values import DAY_US, StoreId, code_of
from stream.tables.rocks import RowBatch
from stream.worker import merging as settling
from stream.worker.merging import Settling, StoreNews
from stream.worker.updates import News
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


def news_of(offset: int, said: tuple[int, int | None, list[int], bool, str | None]) -> StoreNews:
    store, forgets, days, says_zone, zone = said
    active = poll("Mon 10:00 active").status
    news = News(
        forgets=None if forgets is None else Stamp(forgets, 0, offset),
        codes=array("q", [code_of(day * DAY_US + offset, active) for day in days]),
        zone=LastSaid(direct=(Stamp(5, 0, offset), zone)) if says_zone else None,
    )
    return StoreNews(store % PARTITIONS, StoreId(f"s{store}"), news)


@settings(max_examples=examples(60))
@given(
    st.lists(st.lists(SAID, max_size=8, unique_by=lambda said: said[0]), max_size=4),
    st.sampled_from((1, 4, 400_000)),
)
def test_together_as_apart(
    tmp_path_factory: pytest.TempPathFactory,
    flushes: list[list[tuple[int, int | None, list[int], bool, str | None]]],
    most_polls: int,
) -> None:
    table = Tables(tmp_path_factory.mktemp("table"))
    of_tables = Settling(table, 14)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "_MOST_SETTLED_POLLS", most_polls)
        for offset, flush in enumerate(flushes):
            news = [news_of(offset, said) for said in flush]
            together = of_tables.settled(news) if news else {}
            apart = {
                partition: of_tables.settled([each for each in news if each.partition == partition])[
                    partition
                ]
                for partition in {each.partition for each in news}
            }
            assert together.keys() == apart.keys()
            for partition, rows in together.items():
                assert dict(rows.rows) == dict(apart[partition].rows)
                assert (rows.extent, rows.forgotten) == (apart[partition].extent, apart[partition].forgotten)
                batch = RowBatch()
                batch.add(rows.rows)
                batch.write(table.rows(partition), offset)
    table.close()
