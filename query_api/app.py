"""The HTTP API, wired.

Owns: which parts there are, their order of starting and stopping, and the OpenAPI description. Must not know:
what a call does. Every handler that touches a disk is a plain function, which runs in a thread: the event
loop waits for nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from fastapi import FastAPI

from query_api.errors import QueryError
from query_api.health import PATIENCE_S, HealthWatch
from query_api.metrics import Metrics
from query_api.ports import BrokerProbe
from query_api.problems import add_problems, documented
from query_api.reports.jobs import Reports
from query_api.reports.report import warm_up
from query_api.routes.debug import debug_routes
from query_api.routes.health import health_routes
from query_api.routes.reports import report_routes
from query_api.snapshots.reader import Reader
from schemas.api.problems import Problem
from schemas.compatibility import NewerState
from schemas.distribution import running_version
from schemas.settings import Settings

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0
"""How often lag is looked at; it also keeps the secondaries near the worker, so that reports start near."""

_TAGS: Final = [
    {"name": "reports", "description": "Reports: ask, then fetch"},
    {"name": "reports v1", "description": "The same calls under /api/v1, the id as a parameter"},
    {"name": "debug", "description": "What stands behind the numbers"},
    {"name": "health", "description": "Readiness, liveness, metrics"},
    {"name": "health v1", "description": "The same call under /api/v1"},
]


def wall_clock_us() -> int:
    """The wall clock, in us."""
    return time.time_ns() // 1000


def create_app(
    settings: Settings, reader: Reader, probe: BrokerProbe, now_us: Callable[[], int] = wall_clock_us
) -> FastAPI:
    """The API over one state folder. It takes `reader` over: closes it when the app shuts down."""
    metrics = Metrics(time.monotonic)
    reports = Reports(settings, reader, probe, metrics, now_us)
    watch = HealthWatch(reader, probe, time.monotonic)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(_warm, reader)
        await asyncio.to_thread(reports.start)
        taking_up = asyncio.create_task(asyncio.to_thread(reports.take_up_left))
        running = [asyncio.create_task(_keep_looking(watch, metrics)), asyncio.create_task(reports.serve())]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            reader.closing.set()
            await asyncio.gather(taking_up, *running, return_exceptions=True)
            with suppress(TimeoutError):  # a broker that is away holds nobody up
                async with asyncio.timeout(PATIENCE_S):
                    await probe.close()
            await asyncio.to_thread(reader.close)
            await asyncio.to_thread(reports.close)

    app = _App(
        title="storepulse",
        summary="How long was each store up and down, inside its own business hours.",
        version=running_version(),
        lifespan=lifespan,
        openapi_tags=_TAGS,
        responses=documented(500),
    )
    add_problems(app)
    app.include_router(report_routes(reports))
    app.include_router(debug_routes(reader, settings.retention_days, now_us))
    app.include_router(health_routes(watch, metrics))
    return app


class _App(FastAPI):
    """FastAPI, whose description also has the schema of errors."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, made once."""
        if self.openapi_schema is None:
            schemas = super().openapi().setdefault("components", {}).setdefault("schemas", {})
            schemas[Problem.__name__] = Problem.model_json_schema()
        return super().openapi()


def _warm(reader: Reader) -> None:
    """Open the tables for a report and for whoever asks meanwhile, and prepare the clocks of all stores."""
    try:
        with reader.snapshot(), reader.snapshot() as snapshot:
            warm_up(snapshot)
    except (QueryError, NewerState) as error:
        log.warning("no state can be read yet", error=str(error))


async def _keep_looking(watch: HealthWatch, metrics: Metrics) -> None:
    """Look again and again, whatever a look ends with. Of failures in a row the first is logged."""
    failing = False
    while True:
        try:
            metrics.looked(await watch.look())
            failing = False
        except Exception:
            metrics.look_failed()
            if not failing:
                log.exception("a look at the health failed; it is tried again every second")
            failing = True
        await asyncio.sleep(LOOK_EVERY_S)
