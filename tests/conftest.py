"""What holds for every test.

Owns: the marks, and that tests see no settings of whoever runs them. Fixtures stand beside the tests that use
them.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Long tests run only when a mark asks for them: `make test-long`, `make soak`."""
    config.addinivalue_line("markers", "long: needs minutes; `make test-long` runs it")
    config.addinivalue_line("markers", "soak: rounds without end; `make soak` runs it")
    config.option.markexpr = config.option.markexpr or "not soak and not long"
    for name in [
        name for name in os.environ if name.startswith("STOREPULSE_") and not name.endswith("_KAFKA")
    ]:
        del os.environ[name]
