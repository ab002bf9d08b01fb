"""Whether the service is well, for people, balancers and Prometheus.

Owns: /health, /health/live, /metrics. Must not know: what is looked at (query_api.health).
"""

from typing import Any, Final

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from query_api.health import HealthWatch
from query_api.metrics import Metrics
from query_api.problems import documented
from query_api.routes.answers import health_report
from query_api.routes.parameters import AS_OF_SPELT
from schemas.api.health import Alive, HealthReport

_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    503: {
        "model": HealthReport,
        "description": "Not ready: `restoring`, `replaying`, or a part fails, and says why.",
    }
}


def health_routes(watch: HealthWatch, metrics: Metrics) -> APIRouter:
    """The calls on health and metrics."""
    router = APIRouter(dependencies=AS_OF_SPELT, responses=documented(422))

    async def health(response: Response) -> HealthReport:
        """Ready or not, part by part, and how far the readable state trails the log."""
        seen = await watch.look()
        metrics.looked(seen)
        report = health_report(seen)
        response.status_code = 200 if report.ready else 503
        return report

    for path, tag in (("/health", "health"), ("/api/v1/health", "health v1")):
        router.get(path, response_model=HealthReport, tags=[tag], responses=_NOT_READY)(health)

    @router.get("/health/live", tags=["health"])
    async def live() -> Alive:
        """The process alone: for whoever would restart it."""
        return Alive()

    @router.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}},
    )
    async def prometheus() -> Response:
        """Reports made and their seconds, stores, lag, tables that are not whole, losses."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
