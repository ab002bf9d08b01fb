"""What the API may ask of the embedded log and its worker (query_api.ports).

Owns: log-end positions, and whether the worker lives. Must not know: HTTP.
"""

import asyncio
from typing import Final, Literal

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import SOURCES
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.replay_target import ReplayTarget
from stream.state_lock import held

_SOURCES: Final = frozenset(spec.name for spec in SOURCES)


class EmbeddedProbe:
    """Asks the embedded log, and looks at the worker's lock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._target = ReplayTarget(settings.state)

    async def end_offsets(self) -> Positions:
        return await asyncio.to_thread(self._end_offsets)

    async def worker_alive(self) -> bool:
        return await asyncio.to_thread(held, self._settings.worker_lock)

    def replay_target(self) -> Positions | Literal["pending"] | None:
        return self._target.read()

    async def close(self) -> None:
        """There is nothing to let go of: each question opens the log again."""

    def _end_offsets(self) -> Positions:
        with EmbeddedLog(self._settings.log_path) as log:
            return {tp: offset for tp, offset in log.end_offsets().items() if tp[0] in _SOURCES}
