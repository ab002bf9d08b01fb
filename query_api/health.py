"""Is this service ready, and how far does what it can read trail the log?

Owns: the parts that are looked at, and when they count as failing. Must not know: which broker it is, HTTP.
The age of the polls plays no part: a data set of last year that is wholly applied is healthy.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import structlog

from query_api.errors import QueryError
from query_api.reader import Applied, Reader
from schemas.state import NewerState
from schemas.topics import SOURCES

log = structlog.get_logger()

PATIENCE_S: Final = 5.0
"""A part that does not answer within so long fails."""
MOST_TRAILING_S: Final = 60.0
"""State that has trailed the log for longer fails: the worker is stuck, or too slow."""

_MOST_MARKS: Final = 600
_OK: Final = "ok"


class BrokerProbe(Protocol):
    """What the API must learn of broker and worker, whichever they are."""

    async def end_offsets(self) -> dict[tuple[str, int], int]:
        """Of each (source topic, partition), the offset that its next record will get. Raises when unreachable."""

    async def empty_spans(self, spans: Mapping[tuple[str, int], tuple[int, int]]) -> set[tuple[str, int]]:
        """Of some spans of offsets [from, to), by (source topic, partition): those in which no record stands.

        A transaction's marker takes an offset and is no record.
        """

    async def worker_alive(self) -> bool | None:
        """Whether a worker runs; None where it cannot be known from here."""

    def replay_target(self) -> dict[tuple[str, int], int] | Literal["pending"] | None:
        """What must be applied before we are ready: positions of the replay that `up --data` made.

        "pending" while it is not yet all in the log; None where there is none.
        """


@dataclass(frozen=True, slots=True)
class Health:
    """How things stood at one moment. Each part is "ok", or says what is wrong.

    `lag_records` is by topic, over all partitions; None where broker or state could not be asked.
    `trailing_s` is for how long some record that was already in the log has been waiting to be applied.
    """

    broker: str
    worker: str
    state: str
    replaying: bool
    lag_records: dict[str, int] | None
    trailing_s: float

    @property
    def ready(self) -> bool:
        """True where reports can be asked for and will be up to date."""
        return not self.replaying and self.broker == self.worker == self.state == _OK


@dataclass(slots=True)
class HealthWatch:
    """Looks at all parts when asked. `monotonic_s` is a clock that never goes back."""

    reader: Reader
    probe: BrokerProbe
    monotonic_s: Callable[[], float]
    latest: Health | None = None
    _marks: deque[tuple[float, Applied]] = field(default_factory=deque)
    _behind: Applied = field(default_factory=dict)
    _holding: Applied = field(default_factory=dict)
    _empty: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    async def look(self) -> Health:
        """How things stand. Never raises; takes PATIENCE_S at most."""
        (ends, broker), worker, (applied, state) = await asyncio.gather(
            self._ask_broker(), self._ask_worker(), self._ask_state()
        )
        if ends is not None and applied is not None:
            applied = await self._past_markers(ends, applied)
        replaying = await asyncio.to_thread(self._is_replaying, applied)
        lag, trailing_s = None, 0.0
        if ends is not None and applied is not None:
            lag = {source.name: 0 for source in SOURCES}
            for (topic, partition), end in ends.items():
                if topic in lag:
                    lag[topic] += max(0, end - applied.get((topic, partition), 0))
            trailing_s = self._trailing_s(ends, applied)
        if trailing_s > MOST_TRAILING_S and not replaying:
            state = f"trails the log for {trailing_s:.0f} s: the worker is stuck, or too slow"
        self.latest = Health(broker, worker, state, replaying, lag, trailing_s)
        return self.latest

    async def _ask_broker(self) -> tuple[Applied | None, str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.probe.end_offsets(), _OK
        except Exception as error:  # whatever it raises is what is wrong with it
            return None, _words(error)

    async def _past_markers(self, ends: Applied, applied: Applied) -> Applied:
        """`applied`, at the end of the log where nothing but markers of transactions is left to be applied.

        The broker is asked about a position that stands still; once, where records wait there.
        """
        before, self._behind = self._behind, {at: applied.get(at, 0) for at in ends}
        spans = {at: (applied.get(at, 0), end) for at, end in ends.items() if applied.get(at, 0) < end}
        still = {
            at: span
            for at, span in spans.items()
            if before.get(at) == span[0] != self._holding.get(at) and self._empty.get(at) != span
        }
        if still:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    empty = await self.probe.empty_spans(still)
            except Exception as error:  # the broker may be gone by now, or not let us read
                log.debug("cannot look for markers of transactions", error=_words(error))
                return applied
            self._empty.update({at: span for at, span in still.items() if at in empty})
            self._holding.update({at: span[0] for at, span in still.items() if at not in empty})
        return {**applied, **{at: span[1] for at, span in spans.items() if self._empty.get(at) == span}}

    async def _ask_worker(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                alive = await self.probe.worker_alive()
        except Exception as error:  # likewise
            return _words(error)
        return "no worker is running: start `storepulse worker`" if alive is False else _OK

    async def _ask_state(self) -> tuple[Applied | None, str]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.to_thread(self._applied), _OK
        except (QueryError, NewerState, OSError, TimeoutError) as error:
            return None, _words(error)

    def _applied(self) -> Applied:
        with self.reader.snapshot() as snapshot:
            return snapshot.applied()

    def _is_replaying(self, applied: Applied | None) -> bool:
        target = self.probe.replay_target()
        if target is None:
            return False
        return target == "pending" or applied is None or not _covers(applied, target)

    def _trailing_s(self, ends: Applied, applied: Applied) -> float:
        """Remember what the log held when; forget what is applied. The oldest that is left says how late we are."""
        now_s = self.monotonic_s()
        if len(self._marks) < _MOST_MARKS and (not self._marks or self._marks[-1][1] != ends):
            self._marks.append((now_s, ends))
        while self._marks and _covers(applied, self._marks[0][1]):
            self._marks.popleft()
        return now_s - self._marks[0][0] if self._marks else 0.0


def _covers(applied: Applied, ends: Applied) -> bool:
    return all(applied.get(at, 0) >= end for at, end in ends.items())


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:.0f} s"
    return str(error) or type(error).__name__
