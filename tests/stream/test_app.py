"""What a worker's client of Kafka is made with. Nothing is connected."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator  # type: ignore[import-untyped]

from schemas.settings import Settings
from stream.worker.app import create_worker

_MONTH_S = 30 * 86_400
_SECONDS = 10.0


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Any]:
    """The client with which a worker is a member of its group."""
    app = create_worker(Settings(state=tmp_path, broker="kafka://nowhere:9092"), 1).app
    made = cast(Any, app.consumer)._new_consumer_thread()._create_worker_consumer(app.transport)
    yield made
    await made.stop()


class Coordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """What keeps a client's place in its group: made as the client makes it, with a broker that says yes."""

    def __init__(self, client: Any) -> None:
        super().__init__(
            client._client,
            client._subscription,
            max_poll_interval_ms=client._max_poll_interval_ms,
            heartbeat_interval_ms=1,
        )
        self.member_id = "a member"
        self.has_left = asyncio.Event()
        self.heartbeats = 0

    async def ensure_coordinator_known(self) -> None:
        pass

    async def _do_heartbeat(self) -> bool:
        self.heartbeats += 1
        return True

    async def _maybe_leave_group(self) -> None:
        self.has_left.set()

    async def end(self) -> None:
        self._coordination_task.cancel()
        with suppress(asyncio.CancelledError):
            await self._coordination_task


async def test_a_worker_that_fetched_nothing_for_a_month_keeps_its_place_in_the_group(client: Any) -> None:
    """A spare one has no partition to fetch from, and one that restores its tables does not fetch yet."""
    coordinator = Coordinator(client)
    client._subscription._last_fetch_ended -= _MONTH_S
    beating = asyncio.create_task(coordinator._heartbeat_routine())
    async with asyncio.timeout(_SECONDS):
        while coordinator.heartbeats < 3 and not coordinator.has_left.is_set():  # noqa: ASYNC110  # its own pace
            await asyncio.sleep(0.001)
    beating.cancel()
    await coordinator.end()
    assert not coordinator.has_left.is_set()


async def test_kafka_waits_a_minute_at_most_for_a_member_in_a_rebalance(client: Any) -> None:
    assert client._rebalance_timeout_ms == 60_000
