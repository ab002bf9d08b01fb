"""How long this worker may go without a broker, or without its place in the group, before it ends.

Owns: when that is too long, and what is said then. Must not know: how a broker is reached, Faust.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from stream.errors import BrokerLost, NotLetIn

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_SAY_SECONDS: Final = 60.0


class Outage:
    """Watches whether broker and group still serve this worker.

    `patience_s` is in seconds; `ask` asks the broker something, and raises where it does not answer.
    """

    def __init__(self, patience_s: float, ask: Callable[[], Awaitable[object]]) -> None:
        self._patience_s = patience_s
        self._ask = ask
        self._unserved_s: float | None = time.monotonic()
        self._unanswered_s: float | None = None

    def lost(self) -> None:
        """Partitions were lost or revoked; they, or others, should be ours again soon."""
        if self._unserved_s is None:
            self._unserved_s = time.monotonic()

    def served(self) -> None:
        """Our place in the group is ours again."""
        self._unserved_s = None

    async def watch(self) -> None:
        """Look for ever. Raises BrokerLost or NotLetIn after the patience that is set."""
        said_s = 0.0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            asked_s = time.monotonic()
            cause = await self._cause()
            now_s = time.monotonic()
            if not cause:
                self._unanswered_s = None
            elif self._unanswered_s is None:
                self._unanswered_s = asked_s
            if self._unanswered_s is not None and now_s - self._unanswered_s > self._patience_s:
                raise BrokerLost(f"no answer for {self._patience_s:.0f} s: {cause}")
            # While the broker is away nobody can be let in; the time counts from when it is back.
            if cause:
                self._unserved_s = self._unserved_s and now_s
                if now_s - said_s > _SAY_SECONDS:
                    said_s = now_s
                    log.warning("the broker does not answer; waiting", cause=cause)
            if self._unserved_s is not None and now_s - self._unserved_s > self._patience_s:
                raise NotLetIn(self._patience_s)

    async def _cause(self) -> str:
        """Why the broker does not answer; empty where it does."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._ask()
        except TimeoutError as error:
            return _text(_last_error(error)) or f"nothing came back within {_ANSWER_SECONDS:g} s"
        except Exception as error:  # whatever it raises is what is wrong with it
            return _text(error)
        return ""


def _last_error(given_up: BaseException) -> BaseException | None:
    """What had gone wrong when a question was given up; None where nothing had."""
    error: BaseException | None = given_up
    while isinstance(error, TimeoutError | asyncio.CancelledError):
        error = error.__cause__ or error.__context__
    return error


def _text(error: BaseException | None) -> str:
    return "" if error is None else str(error) or type(error).__name__
