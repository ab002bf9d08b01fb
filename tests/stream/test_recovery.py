"""When a worker takes its partitions over."""

import asyncio
from typing import Any, cast

import faust

from stream.worker.recovery import TableRecovery


async def test_what_was_revoked_before_it_was_begun_is_not_taken_over() -> None:
    """The signal to begin may wait until the take-over before has come to its end."""
    app = faust.App("storepulse-test", broker="kafka://127.0.0.1:1", web_enabled=False)
    taken = list[list[int]]()

    async def take_over(actives: list[int], standbys: list[int]) -> None:
        taken.append(actives)

    recovery = TableRecovery(app, app.tables, take_over=take_over, left=lambda: None)
    recovery.signal_recovery_start.set()
    recovery.on_partitions_revoked(set())
    running = asyncio.create_task(cast(Any, TableRecovery._restart_recovery).fun(recovery))
    await asyncio.sleep(0.05)
    assert taken == []
    running.cancel()
