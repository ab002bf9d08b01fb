"""The ground that rounds are played on, one for all of them, and what all rounds together did and saw."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.chaos.rounds import TOTALS
from tests.chaos.world import Ground, ground
from tests.kafka.conftest import NEEDED_TO_START, _require

SEED_VARIABLE: Final = "STOREPULSE_CHAOS_SEED"


@pytest.fixture(scope="session")
def chaos_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A broker behind proxies, the same one for all rounds."""
    _require(NEEDED_TO_START)
    with ground(tmp_path_factory.mktemp("chaos-kafka")) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was done and seen, over all rounds."""
    if TOTALS:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(TOTALS.items()))
        terminalreporter.write_line(f"chaos: {counts}")
