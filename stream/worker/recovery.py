"""Faust's recovery, whose work is done by us: partitions are taken over, then the streams begin.

Owns: when that happens in a rebalance. Must not know: what taking over means (stream.worker.takeover).

Faust's own recovery reads the changelog through the group's consumer and waits for a record at its end, which
may be none: behind a transaction stands a marker. So nothing of it is used but its place.

    assigned ──▶ take over (fence, restore, positions) ──▶ seek, and let records flow
                 ▲ both are cancelled by the next revocation: a flow that resumed in it would fetch, that fetch
                   wait for the next assignment, and this for the fetch
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from stream.tables.store_table import StoreTable

TakeOver = Callable[[list[int], list[int]], Awaitable[None]]
"""Given the partitions that are ours, and those that we keep a copy of."""


class TableRecovery(Recovery):
    """Takes partitions over in the place of Faust's recovery."""

    def __init__(self, *args: Any, take_over: TakeOver, left: Callable[[], None], **kwargs: Any) -> None:
        """`take_over` is awaited with the partitions of each assignment before records flow; what it raises ends
        the app. `left` is called at the start of a rebalance, before anything is waited for.
        """
        super().__init__(*args, **kwargs)
        self._take_over = take_over
        self._left = left
        self._serving: asyncio.Future[None] | None = None
        self._is_assigned = False

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust calls this at the start of a rebalance: what was being taken over is not ours any more."""
        self._is_assigned = False
        if self._serving is not None:
            self._serving.cancel()
        self._left()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Faust calls this at the end of a rebalance."""
        self._is_assigned = True
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    @Service.task
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
            self.signal_recovery_start.clear()
            if (
                not self._is_assigned
            ):  # what was assigned while the one before came to its end is revoked again
                continue
            generation_id = self._generation_id
            actives = sorted({tp.partition for tp in self.active_tps})
            standbys = sorted({tp.partition for tp in self.standby_tps} - set(actives))
            self._set_recovery_started()
            self._serving = asyncio.ensure_future(self._serve(actives, standbys, generation_id))
            try:
                await asyncio.wait({self._serving})
                if not self._serving.cancelled():
                    self._serving.result()
            except Exception as error:
                await self.app.crash(error)
                raise
            finally:
                self._serving.cancel()

    async def _serve(self, actives: list[int], standbys: list[int], generation_id: int) -> None:
        await self._take_over(actives, standbys)
        self._set_recovery_ended()
        with suppress(RebalanceAgain, ServiceStopped):
            await self._resume_streams(generation_id)

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """The changelog is read by stream.tables.follower."""

    @Service.task
    async def _publish_stats(self) -> None:
        """The changelog's reader says how far it is."""


class StoreTableManager(TableManager):
    """Faust's manager of tables, without its sleep of a second at start, and with our recovery."""

    def __init__(self, *args: Any, take_over: TakeOver, left: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take_over = take_over
        self._left = left

    @property
    def recovery(self) -> TableRecovery:
        """What takes partitions over."""
        if self._recovery is None:
            self._recovery = TableRecovery(
                self.app,
                self,
                take_over=self._take_over,
                left=self._left,
                beacon=self.beacon,
                loop=self.loop,
            )
        return cast(TableRecovery, self._recovery)

    async def on_start(self) -> None:
        """Faust calls this when the app starts."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust calls this first of all in a rebalance."""
        super().on_partitions_revoked(revoked)
        for table in self.values():
            if isinstance(table, StoreTable):
                table.on_leaving()
