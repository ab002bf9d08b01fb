"""Reports that were asked for, until they can be made.

    asked ──▶ where does the log end? ──▶ a maker takes a snapshot ──▶ made
                                             │            ▲
                not open, not whole, or not that far      │ whole, and that far
                                             ▼            │
                                           waits ──looks at the tables──▶ waited too long

Owns: asking the log, and who waits for what and how long. Must not know: how a report is made or kept.

A report is made from a state that reflects the log up to the end it had when the report was asked for. The log is
asked a moment later, which may add a poll and leaves none out. Nothing here occupies a maker: what cannot be made
yet stands aside, and what can be made passes it by. While nothing waits, nothing runs.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from query_api.errors import WaitedTooLong
from query_api.ports import BrokerProbe
from query_api.reports.files import ReportState
from query_api.snapshots.reader import Reader
from query_api.snapshots.standing import partitions_of
from schemas.positions import Positions

log = structlog.get_logger()

LEAST_PAUSE_S: Final = 0.01
MAX_PAUSE_S: Final = 0.25
_PAUSE_SHARE: Final = 0.1
"""The tables are looked at again after a tenth of what the latest to come has waited: nobody waits much longer."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A report to be made. `asked_s`: when, on time.monotonic. `ends`: where the log ended then, None: unknown."""

    report_id: str
    state: ReportState
    asked_s: float = field(default_factory=time.monotonic)
    ends: Positions | None = None


class WaitingRoom:
    """Hands tickets over to be made, and gives up those that waited for longer than `patience_s`.

    The log is asked for at most `log_patience_s`. `hand_over` and `give_up` must return at once.
    """

    def __init__(
        self,
        reader: Reader,
        probe: BrokerProbe,
        *,
        log_patience_s: float,
        patience_s: float,
        hand_over: Callable[[Ticket], None],
        give_up: Callable[[Ticket, WaitedTooLong], None],
    ) -> None:
        self._reader = reader
        self._probe = probe
        self._log_patience_s = log_patience_s
        self._patience_s = patience_s
        self._hand_over = hand_over
        self._give_up = give_up
        self._asked: deque[Ticket] = deque()
        self._waiting: deque[Ticket] = deque()
        self._some_asked = asyncio.Event()
        self._some_waiting = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, ticket: Ticket) -> None:
        """Take in a report that was just asked for. From any thread."""
        self._asked.append(ticket)
        self._wake(self._some_asked)

    def wait(self, ticket: Ticket) -> None:
        """Take in a report that cannot be made yet, as its maker found. From any thread."""
        self._waiting.append(ticket)
        self._wake(self._some_waiting)

    async def serve(self) -> None:
        """Look after the tickets until cancelled; those that are left then stay as they are."""
        self._loop = asyncio.get_running_loop()
        self._some_asked.set()  # what came before
        self._some_waiting.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_the_log())
            tasks.create_task(self._look_at_the_tables())

    def _wake(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: whoever starts next takes the report up
                self._loop.call_soon_threadsafe(event.set)

    async def _ask_the_log(self) -> None:
        while True:
            await self._some_asked.wait()
            self._some_asked.clear()
            asked = [self._asked.popleft() for _ in range(len(self._asked))]
            if asked:
                ends = await self._ends(asked[0].asked_s + self._log_patience_s - time.monotonic())
                for ticket in asked:
                    self._hand_over(replace(ticket, ends=ends))

    async def _ends(self, patience_s: float) -> Positions | None:
        """Where the log ends, None where it does not say in time."""
        try:
            async with asyncio.timeout(patience_s):
                ends = await self._probe.end_offsets()
        except Exception as error:  # whatever it raises: there is no answer
            log.warning("the log cannot be asked where it ends", error=str(error) or type(error).__name__)
            return None
        self._reader.expect_partitions(partitions_of(ends))
        return ends

    async def _look_at_the_tables(self) -> None:
        while True:
            await self._some_waiting.wait()
            self._some_waiting.clear()
            while self._waiting:
                waited_s = time.monotonic() - self._waiting[-1].asked_s
                await asyncio.sleep(min(MAX_PAUSE_S, max(LEAST_PAUSE_S, _PAUSE_SHARE * waited_s)))
                await self._look()

    async def _look(self) -> None:
        """Hand over what can be made now, give up what waited too long, and leave the rest waiting."""
        obstacle_to = await self._obstacles()
        late: list[tuple[Ticket, str]] = []
        for _ in range(len(self._waiting)):
            ticket = self._waiting.popleft()
            obstacle = obstacle_to(ticket.ends)
            if obstacle is None:
                self._hand_over(ticket)
            elif time.monotonic() - ticket.asked_s > self._patience_s:
                late.append((ticket, obstacle))
            else:
                self._waiting.append(ticket)
        if late:
            gone = await self._worker_gone()
            for ticket, obstacle in late:
                self._give_up(ticket, WaitedTooLong(self._patience_s, obstacle + gone))

    async def _obstacles(self) -> Callable[[Positions | None], str | None]:
        """What keeps the tables, as they stand now, from being read for a report of a log that ends somewhere."""
        try:
            return (await asyncio.to_thread(self._reader.standing)).obstacle
        except Exception as error:  # it may pass: a worker that rebuilds a table deletes it first
            unreadable = str(error)
            return lambda _: unreadable

    async def _worker_gone(self) -> str:
        try:
            async with asyncio.timeout(self._log_patience_s):
                alive = await self._probe.worker_alive()
        except Exception as error:  # whatever it raises
            return f"; the broker does not say whether a worker runs ({str(error) or type(error).__name__})"
        return "; the worker is gone" if alive is False else ""
