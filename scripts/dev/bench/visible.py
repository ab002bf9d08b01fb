"""How soon a poll that was sent can be read: a GET of its store, again and again until the answer has it.

Owns: which polls are followed, how often the API is asked, and the rows on that. Must not know: which broker, how
anything is written or read.

The looking must not become what is measured: a GET on Kafka catches up with twelve tables. So one poll is followed
at a time, and after each GET there is a pause, of which chance chooses the length: at a steady beat the looks would
all meet the worker's flushes at one point of theirs, and a pause that grows with the GET would count it twice.

    sent ──▶ the latest one ──▶ GET, pause, GET, pause, … ──▶ seen: its latency ──▶ pause ──▶ the latest one …
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.settings import Settings
from schemas.values import StoreId
from scripts.dev.bench.bench import Bench
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Row, Target
from scripts.dev.bench.sender import Sender, sending
from scripts.dev.bench.service import Api, BenchFailed, serving
from scripts.dev.bench.workload import Workload

RATE: Final = 1_000
WHAT: Final = f"poll sent to visible by GET, {RATE:,} polls/s"

_PAUSES_S: Final = (0.04, 0.12)
"""The least and the most: the API works on the looks for a quarter of a core at most."""
_WARM_S: Final = 5
"""After its start a worker opens tables, fills caches and meets its broker: none of that is a live poll's wait."""
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Followed:
    """A poll, and the wall time at which it was sent."""

    at_s: float
    store: StoreId
    at_us: int


@dataclass(slots=True)
class Live:
    """A running worker and API, and how far into the workload polls were sent."""

    settings: Settings
    workload: Workload
    calls: Api
    revision: Revision = OURS
    first: int = 0

    @contextmanager
    def sending(self, rate: int, seconds: int) -> Iterator[Sender]:
        """Polls at a steady rate."""
        first, self.first = self.first, self.first + rate * seconds
        with sending(self.settings, self.workload, first, rate, seconds, revision=self.revision) as sender:
            yield sender

    def visible_ms(self, seconds: int) -> list[float]:
        """From the sending of a poll to the end of the first GET that has it, of polls at `RATE` for so long.

        Raises BenchFailed where one is not visible within a minute.
        """
        waits, chance = list[float](), random.Random(self.first)
        followed: _Followed | None = None
        with self.sending(RATE, seconds) as sender:
            while not sender.ended or followed:
                sent = sender.newly_sent()
                if followed is None and sent:
                    followed = self._poll(sent[-1].last, sent[-1].at_s)
                if followed and (wait_ms := self._look(followed)) is not None:
                    waits.append(wait_ms)
                    followed = None
                time.sleep(chance.uniform(*_PAUSES_S))
        return waits

    def _poll(self, nth: int, at_s: float) -> _Followed:
        store, _, at_us = next(self.workload.polls(nth, 1))
        return _Followed(at_s, store, at_us)

    def _look(self, poll: _Followed) -> float | None:
        """Its latency in ms; None where it is not visible yet."""
        seen, waited_s = self.calls.has_poll(poll.store, poll.at_us), time.time() - poll.at_s
        if not seen and waited_s > _PATIENCE_S:
            raise BenchFailed(f"a poll of store {poll.store} is not visible after {waited_s:.0f} s")
        return 1000 * waited_s if seen else None


@contextmanager
def live_service(bench: Bench, settings: Settings, revision: Revision = OURS) -> Iterator[Live]:
    """A worker and an API on a state in which polls are, and which have taken polls at `RATE` for a while."""
    with serving(settings, revision) as (_, calls):
        live = Live(settings, Workload(bench.stores, calls.latest_us()), calls, revision)
        live.visible_ms(_WARM_S)
        yield live


def visible_rows(bench: Bench, live: Live, part: str, targets: tuple[Target, Target]) -> Iterator[Row]:
    """The latency's p50 and p99, and their targets."""
    where = "embedded" if live.settings.is_embedded else "Kafka"
    measured = [p50_and_p99(live.visible_ms(seconds_of_live(bench))) for _ in range(bench.runs)]
    for name, target, values in zip(("p50", "p99"), targets, zip(*measured, strict=True), strict=True):
        yield Row(part, f"{WHAT}, {where}, {name}", "ms", values, target)


def seconds_of_live(bench: Bench) -> int:
    """For how long polls flow: more than 100 of them are followed, so that one is beyond the p99."""
    return bench.count(40, 10)


def p50_and_p99(waits_ms: Sequence[float]) -> tuple[float, float]:
    """Each is one of the values: the least that so large a share does not exceed."""
    p50, p99 = np.quantile(waits_ms, (0.5, 0.99), method="inverted_cdf")
    return float(p50), float(p99)
