"""Is this service ready, and how far does what it can read trail the log?

Owns: the parts that are looked at, and when they count as failing. Must not know: which broker it is, HTTP.
The age of the polls plays no part: a data set of last year that is wholly applied is healthy.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from query_api.ports import BrokerProbe
from query_api.snapshots.reader import Reader
from query_api.snapshots.standing import Standing, partitions_of
from schemas.positions import Positions, covers
from schemas.topics import SOURCES

PATIENCE_S: Final = 3.0
"""A part that does not answer within so long fails; an answer takes no longer than this."""
MAX_TRAILING_S: Final = 60.0
"""State that has trailed the log for longer fails: the worker is stuck, or too slow."""

_MAX_LOOKS: Final = 600
_OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class Health:
    """How things stood at one moment. Each part is "ok", or says what is wrong.

    `standing` is what the tables say, None where they could not be asked. `lag_records` is by topic, over all
    partitions; None where broker or state could not be asked. `trailing_s` is for how long some record that was
    already in the log has been waiting to be applied.
    """

    broker: str
    worker: str
    state: str
    standing: Standing | None
    replaying: bool
    lag_records: dict[str, int] | None
    trailing_s: float

    @property
    def restoring(self) -> bool:
        """True while a table is missing or not whole."""
        return self.standing is not None and not self.standing.whole

    @property
    def ready(self) -> bool:
        """True where reports can be asked for and will be up to date."""
        return not self.replaying and self.broker == self.worker == self.state == _OK

    @property
    def degraded(self) -> bool:
        """True where records were lost, and nobody has accepted that yet."""
        return self.standing is not None and bool(self.standing.losses)


@dataclass(slots=True)
class HealthWatch:
    """Looks at all parts when asked. `monotonic_s` is a clock that never goes back."""

    reader: Reader
    probe: BrokerProbe
    monotonic_s: Callable[[], float]
    _looks: deque[tuple[float, Positions]] = field(default_factory=deque)

    async def look(self) -> Health:
        """How things stand. Takes PATIENCE_S at most."""
        (ends, broker), worker, (standing, state), target = await asyncio.gather(
            self._ask_broker(),
            self._ask_worker(),
            self._ask_state(),
            asyncio.to_thread(self.probe.replay_target),
        )
        applied = None if standing is None else standing.applied
        if target is None:
            replaying = False
        else:
            replaying = target == "pending" or applied is None or not covers(applied, target)
        lag, trailing_s = None, 0.0
        if ends is not None and applied is not None:
            lag = {source.name: 0 for source in SOURCES}
            for (topic, partition), end in ends.items():
                if topic in lag:
                    lag[topic] += max(0, end - applied.get((topic, partition), 0))
            trailing_s = self._trailing_s(ends, applied)
        if state == _OK and trailing_s > MAX_TRAILING_S and not replaying:
            state = f"trails the log for {trailing_s:.0f} s: the worker is stuck, or too slow"
        return Health(broker, worker, state, standing, replaying, lag, trailing_s)

    async def _ask_broker(self) -> tuple[Positions | None, str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                ends = await self.probe.end_offsets()
        except Exception as error:  # whatever it raises is what is wrong with it
            return None, _words(error)
        self.reader.expect_partitions(partitions_of(ends))
        return ends, _OK

    async def _ask_worker(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                alive = await self.probe.worker_alive()
        except Exception as error:  # likewise
            return _words(error)
        if alive is False:
            return "no worker is running: start `storepulse worker`, or on a host without one `storepulse replica`"
        return _OK

    async def _ask_state(self) -> tuple[Standing | None, str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                standing = await asyncio.to_thread(self.reader.standing)
        except Exception as error:  # likewise: RocksDB's errors have no kind of their own
            return None, _words(error)
        obstacle = standing.obstacle()
        return standing, _OK if obstacle is None else f"not whole yet: {obstacle}"

    def _trailing_s(self, ends: Positions, applied: Positions) -> float:
        """Remember what the log held when; forget what is applied. The oldest that is left says how late we are."""
        now_s = self.monotonic_s()
        if len(self._looks) < _MAX_LOOKS and (not self._looks or self._looks[-1][1] != ends):
            self._looks.append((now_s, ends))
        while self._looks and covers(applied, self._looks[0][1]):
            self._looks.popleft()
        return now_s - self._looks[0][0] if self._looks else 0.0


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:.0f} s"
    return str(error) or type(error).__name__
