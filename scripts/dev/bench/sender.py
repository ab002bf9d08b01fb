"""A process that sends polls at a steady rate, and says when it sent which.

    python -m scripts.dev.bench.sender STATE BROKER RATE SECONDS BEGIN_US FIRST < store ids

Owns: that process and hearing it. It sends a hundred times a second, what is due by then, each time durably, and
prints a line for each: wall time before sending, polls, [[topic, partition, next offset], …].
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import StoreId
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.service import BenchFailed
from scripts.dev.bench.workload import Workload
from stream.brokers.opening import open_sink

_EVERY_S: Final = 0.01
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Sent:
    """Some polls of one partition that went out together at the wall time `at_s`; `end` is the next offset.

    `last` is the workload's number of the last poll that went out then, to whichever partition.
    """

    at_s: float
    polls: float
    at: tuple[str, int]
    end: int
    last: int


class Sender:
    """A running sender, and what it has said so far."""

    def __init__(self, process: "subprocess.Popen[str]", first: int) -> None:
        self._process = process
        self._next = first
        self._heard: list[Sent] = []
        self._lock = threading.Lock()
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    @property
    def ended(self) -> bool:
        """Whether it has sent all."""
        return not self._ear.is_alive()

    def newly_sent(self) -> list[Sent]:
        """What it has sent since this was asked last."""
        with self._lock:
            heard, self._heard = self._heard, []
        return heard

    def close(self) -> None:
        """Hear it out; its process has ended."""
        self._ear.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def reached(self) -> Positions:
        """Where the topics end that it sent to, as it said since it was asked last; for when it has ended."""
        return {sent.at: sent.end for sent in self.newly_sent()}

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            at_s, polls, ends = json.loads(line)
            self._next += polls
            last = self._next - 1
            sent = [Sent(at_s, polls / len(ends), (topic, part), end, last) for topic, part, end in ends]
            with self._lock:
                self._heard += sent


@contextmanager
def sending(
    settings: Settings,
    workload: Workload,
    first: int,
    rate: int,
    seconds: float,
    *,
    revision: Revision = OURS,
) -> Iterator[Sender]:
    """Polls from the workload's `first` on, `rate` a second, for so long. Raises BenchFailed."""
    args = (settings.state, settings.broker, rate, seconds, workload.begin_us, first)
    process = subprocess.Popen(
        revision.command("scripts.dev.bench.sender", *args),
        cwd=revision.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    sender = Sender(process, first)
    try:
        assert process.stdin is not None
        process.stdin.write("\n".join(workload.stores))
        process.stdin.close()
        yield sender
        if process.wait(seconds + _PATIENCE_S):
            raise BenchFailed(f"the sender ended with exit code {process.returncode}")
    finally:
        process.kill()
        process.wait()
        sender.close()


def send_all(settings: Settings, workload: Workload, first: int, count: int, revision: Revision) -> Positions:
    """Send polls as fast as they go, by a revision's own sender; where the topics then end."""
    with sending(settings, workload, first, count, 1, revision=revision) as sender:
        pass
    return sender.reached()


def _send(settings: Settings, workload: Workload, first: int, rate: int, seconds: float) -> None:
    sent, began = 0, time.monotonic()
    with open_sink(settings) as sink:
        before = sink.flush()
        while sent < rate * seconds:
            due = int(min(time.monotonic() - began, seconds) * rate) - sent
            if due:
                at_s = time.time()
                for store, value in workload.records(first + sent, due):
                    sink.send(POLLS, store, value)
                ends = sink.flush()
                moved = [[*at, end] for at, end in ends.items() if before.get(at) != end]
                print(json.dumps([at_s, due, moved]), flush=True)
                sent, before = sent + due, ends
            time.sleep(_EVERY_S)


if __name__ == "__main__":
    stores = [StoreId(line) for line in sys.stdin.read().split("\n")]
    _send(
        Settings(state=Path(sys.argv[1]), broker=sys.argv[2]),
        Workload(stores, int(sys.argv[5])),
        int(sys.argv[6]),
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
