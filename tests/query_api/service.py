"""The API as its callers meet it: an app that has started, a client, a broker that says what a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from tests.builders import utc

NOW_US = utc("2023-02-01")
PATIENCE_S = 20.0


@dataclass
class FakeProbe:
    """A broker with these ends; `error` is raised when it is asked."""

    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    alive: bool | None = True
    target: dict[tuple[str, int], int] | Literal["pending"] | None = None
    error: Exception | None = None
    asked: int = 0
    closed: bool = False

    async def end_offsets(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.ends

    async def worker_alive(self) -> bool | None:
        return self.alive

    async def close(self) -> None:
        self.closed = True

    def replay_target(self) -> dict[tuple[str, int], int] | Literal["pending"] | None:
        return self.target


@asynccontextmanager
async def serving(
    settings: Settings, probe: FakeProbe | None = None, now_us: Callable[[], int] = lambda: NOW_US
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that has started; it is shut down when the block ends."""
    app = create_app(settings, Reader(settings), probe or FakeProbe(), now_us)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield client


async def trigger(client: httpx.AsyncClient, as_of: str | None = None) -> str:
    """Ask for a report; its id."""
    answer = await client.post("/trigger_report", params={} if as_of is None else {"as_of": as_of})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["report_id"])


async def fetch(client: httpx.AsyncClient, report_id: str) -> httpx.Response:
    """Ask for a report until it does not run any more."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = await client.get(f"/get_report/{report_id}")
        if answer.headers["content-type"] != "application/json" or answer.json() != {"status": "Running"}:
            return answer
        await asyncio.sleep(0.002)
    raise AssertionError(f"report {report_id} still runs after {PATIENCE_S} s")


async def report(client: httpx.AsyncClient, as_of: str | None = None) -> str:
    """A whole report, from asking to its text."""
    answer = await fetch(client, await trigger(client, as_of))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8", answer.text
    return answer.text
