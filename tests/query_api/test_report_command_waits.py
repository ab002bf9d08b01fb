"""`storepulse report` waits for its worker's tables, and never for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from query_api.errors import WaitedTooLong
from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from schemas.topics import POLLS
from scripts.cli.processes import Child, ChildEnded
from scripts.cli.report import wait_until_readable
from tests.query_api.service import PATIENCE_S
from tests.query_api.tables import Tables


@contextmanager
def child(settings: Settings, *args: str) -> Iterator[Child]:
    with Child(
        "worker", args, {"STOREPULSE_STATE": str(settings.state)}, settings.state / "worker.log"
    ) as running:
        yield running


def test_it_ends_when_the_worker_has_ended(settings: Settings, tables: Tables, reader: Reader) -> None:
    tables.restore(1, 2)
    with (
        child(settings, "replay", "no such folder") as ended,
        pytest.raises(ChildEnded, match="no such folder"),
    ):
        wait_until_readable(reader, {}, ended, PATIENCE_S)


def test_it_ends_when_nothing_moves_any_more(
    settings: Settings, tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    """The parts that run on here are an API's: they fill no table."""
    tables.apply(POLLS, 10)
    with (
        child(settings, "api", "--port", "0") as living,
        pytest.raises(WaitedTooLong, match="position 10 of 12 of store-polls partition 0"),
    ):
        wait_until_readable(reader, {(POLLS, 0): 12}, living, 0.2)
