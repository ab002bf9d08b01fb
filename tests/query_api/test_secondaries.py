"""A set of secondaries shows each table as it was between two flushes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

import pytest
import rocksdict

from query_api.snapshots.scans import value_of
from query_api.snapshots.secondaries import Secondaries
from schemas.settings import Settings
from tests.query_api.tables import Tables

KEY = b"Mnumber"


@dataclass
class LogGoes:
    """A secondary whose worker moves a log into a file just when it has caught up."""

    secondary: rocksdict.Rdict
    tables: Tables

    def try_catch_up_with_primary(self) -> None:
        self.secondary.try_catch_up_with_primary()
        self.tables.put(KEY, b"2")
        self.tables.flush()

    def close(self) -> None:
        self.secondary.close()


@pytest.fixture
def secondaries(settings: Settings, tmp_path: Path) -> Iterator[Secondaries]:
    secondaries = Secondaries(settings.tables_dir, tmp_path / "secondary", count(), rocksdict.Cache(1 << 20))
    yield secondaries
    secondaries.close_all()


def test_a_table_that_catches_up_stays_open(tables: Tables, secondaries: Secondaries) -> None:
    secondaries.catch_up()
    before = secondaries.tables()[0]
    tables.put(KEY, b"1")
    secondaries.catch_up()
    assert secondaries.tables()[0] is before
    assert value_of(before, KEY) == b"1"


def test_a_table_that_was_not_written_is_left_as_it_is(tables: Tables, secondaries: Secondaries) -> None:
    """Catching up takes RocksDB half a millisecond a table, also where there is nothing to read."""
    for number in range(20):
        tables.put(KEY, b"%d" % number)
        if number == 10:
            tables.flush()
        secondaries.catch_up()
        view = secondaries.open[0].view
        assert value_of(view.table, KEY) == b"%d" % number
        table, view.table = view.table, cast(rocksdict.Rdict, None)
        secondaries.catch_up()
        assert secondaries.open[0].view is view
        view.table = table


def test_a_file_that_goes_while_the_folder_is_listed_stops_nobody(
    tables: Tables, secondaries: Secondaries, settings: Settings
) -> None:
    """Here it has gone already: a link that leads nowhere has a name and no size."""
    (settings.table_path(0) / "MANIFEST-999999").symlink_to("nowhere")
    secondaries.catch_up()
    view = secondaries.open[0].view
    tables.put(KEY, b"1")
    secondaries.catch_up()
    assert secondaries.open[0].view is view
    assert value_of(view.table, KEY) == b"1"


def test_a_table_whose_log_goes_while_it_catches_up_is_opened_again(
    tables: Tables, secondaries: Secondaries
) -> None:
    """Rows of that log may be missing among newer ones."""
    tables.put(KEY, b"1")
    secondaries.catch_up()
    view = secondaries.open[0].view
    view.table = cast(rocksdict.Rdict, LogGoes(view.table, tables))
    folder = view.folder
    tables.put(KEY, b"3")
    secondaries.catch_up()
    assert not folder.exists()
    assert value_of(secondaries.tables()[0], KEY) == b"2"
