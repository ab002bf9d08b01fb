"""What holds for every test.

Owns: the marks, and that tests see no settings of whoever runs them. Fixtures stand beside the tests that use
them.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Long tests run only when a mark asks for them: `pytest -m soak`."""
    config.addinivalue_line("markers", "soak: takes long; left out unless -m names it")
    config.option.markexpr = config.option.markexpr or "not soak"
    for name in [
        name for name in os.environ if name.startswith("STOREPULSE_") and not name.endswith("_KAFKA")
    ]:
        del os.environ[name]
