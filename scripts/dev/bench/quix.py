"""The environment of the Quix Streams peer, which wants an older pydantic-settings than storepulse.

Owns: `.venv/peers/quix`, made from requirements-bench-quix.lock and made again when that changes. Must not know:
what the peer does.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from scripts.dev.bench.service import BenchFailed

_ROOT: Final = Path(__file__).parents[3]
_LOCK: Final = _ROOT / "requirements-bench-quix.lock"
_VENV: Final = _ROOT / ".venv" / "peers" / "quix"
_STAMP: Final = _VENV / "installed.lock"
_PIP: Final = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes", "-r")


def quix_python() -> Path:
    """The interpreter that has Quix Streams. Raises BenchFailed where it cannot be installed."""
    python = _VENV / "bin" / "python"
    if not _STAMP.exists() or _STAMP.read_bytes() != _LOCK.read_bytes():
        _run(sys.executable, "-m", "venv", "--clear", _VENV)
        _run(python, *_PIP, _LOCK)
        _STAMP.write_bytes(_LOCK.read_bytes())
    return python


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchFailed(f"Quix Streams cannot be installed: {done.stderr[-2000:]}")
