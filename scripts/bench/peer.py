"""Running a peer that takes polls from a broker and says itself how long that took.

Owns: how such a peer is started, heard and ended. Must not know: what it does.

A peer is called as `python -m scripts.bench.peers.<name> ARGS…`. It prints `seconds X`, from the first record that
it took to the last one that it was to take, and may go on running until it is told to end.
"""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from scripts.bench.service import BenchFailed

_PATIENCE_S: Final = 120.0
_END_S: Final = 15.0
_ROOT: Final = Path(__file__).parents[2]


def peer_rate(name: str, count: int, *args: object, python: Path | str = sys.executable) -> float:
    """Records a second that a peer takes, of `count`. Raises BenchFailed."""
    command = [str(python), "-m", f"scripts.bench.peers.{name}", *map(str, args)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    listening = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    listening.start()
    impatient = threading.Timer(_PATIENCE_S, process.kill)
    impatient.start()
    try:
        for line in process.stdout:
            if line.startswith("seconds "):
                return count / float(line.split()[1])
    finally:
        impatient.cancel()
        _end(process)
    raise BenchFailed(
        f"{name} ended without a result, exit code {process.returncode}: {''.join(said)[-2000:]}"
    )


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
