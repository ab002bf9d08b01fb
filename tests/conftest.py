"""What holds for every test.

Owns: the marks, the number of examples, and that tests see no settings of whoever runs them. Fixtures stand
beside the tests that use them.
"""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.profiles import UnknownProfile, load_profile

MARKS: Final = (
    "long: needs minutes; `make test-long` runs it",
    "soak: rounds without end; `make soak` runs it",
    "slow: needs seconds; `make test` runs it and `make check` does not",
    "fast: what `make check` runs; no test says so itself: it is fast when it is none of the others",
)
NOT_FAST: Final = ("long", "soak", "slow")
SLOW_FOLDERS: Final = tuple(Path(__file__).parent / name for name in ("chaos", "e2e", "kafka"))
"""Their tests start processes and brokers."""

FOR_TESTS: Final = ("_KAFKA", "_SEED")
"""How those variables end that are meant for the tests themselves."""


def pytest_configure(config: pytest.Config) -> None:
    """Long tests run only when a mark asks for them: `make test-long`, `make soak`."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.option.markexpr = config.option.markexpr or "not soak and not long"
    for name in [name for name in os.environ if name.startswith("STOREPULSE_")]:
        if not name.endswith(FOR_TESTS):
            del os.environ[name]
    try:
        load_profile()
    except UnknownProfile as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)  # before pytest takes out what `-m fast` leaves out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is fast, so that a new test is, unless it says otherwise."""
    for item in items:
        if not any(map(item.get_closest_marker, NOT_FAST)) and not set(item.path.parents) & set(SLOW_FOLDERS):
            item.add_marker(pytest.mark.fast)
