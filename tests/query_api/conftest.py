"""One state folder a test, with a live writer and a reader on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from tests.query_api.tables import Tables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


@pytest.fixture
def tables(settings: Settings) -> Iterator[Tables]:
    tables = Tables(settings)
    yield tables
    tables.close()


@pytest.fixture
def reader(settings: Settings) -> Iterator[Reader]:
    reader = Reader(settings)
    yield reader
    reader.close()
