"""Numbers for Prometheus.

Owns: names, units and labels of metrics. Must not know: HTTP, or who counts.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from query_api.health import Health
from query_api.snapshots.standing import Standing, lost_records
from schemas.topics import SOURCES

FRESH_S: Final = 10.0
"""What was looked at longer ago says nothing of now."""


class Metrics:
    """The metrics of one API. `monotonic_s` is a clock that never goes back."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._looked_s = float("-inf")
        self._was_ready = False
        self._registry = CollectorRegistry()
        self._reports = Counter(
            "storepulse_reports", "Reports that ended, by outcome", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "storepulse_report_seconds", "Time to make one report, in seconds", registry=self._registry
        )
        self._stores = Gauge("storepulse_stores", "Stores in the latest report", registry=self._registry)
        self._lag = Gauge(
            "storepulse_lag_records", "Records in the log not yet applied", ["topic"], registry=self._registry
        )
        self._trailing = Gauge(
            "storepulse_trailing_seconds",
            "For how long a record in the log has been waiting to be applied",
            registry=self._registry,
        )
        self._ready = Gauge("storepulse_ready", "1 where /health says ready", registry=self._registry)
        self._ready.set_function(self._is_ready)
        self._failed_looks = Counter(
            "storepulse_failed_looks", "Looks at the health that failed themselves", registry=self._registry
        )
        self._restoring = Gauge(
            "storepulse_restoring_partitions",
            "Partitions whose table is missing or not whole",
            registry=self._registry,
        )
        self._losses = Gauge(
            "storepulse_losses",
            "Spans of the log that were lost and not accepted",
            ["topic"],
            registry=self._registry,
        )
        self._lost = Gauge(
            "storepulse_lost_records",
            "Records known to have been lost in such spans",
            ["topic"],
            registry=self._registry,
        )
        for outcome in ("complete", "failed"):
            self._reports.labels(outcome)

    def report_ended(self, seconds: float, stores: int | None) -> None:
        """A report took `seconds`; `stores` is None where it failed."""
        self._seconds.observe(seconds)
        self._reports.labels("failed" if stores is None else "complete").inc()
        if stores is not None:
            self._stores.set(stores)

    def looked(self, health: Health) -> None:
        """The parts were looked at."""
        self._looked_s, self._was_ready = self._monotonic_s(), health.ready
        self._trailing.set(health.trailing_s)
        for topic, records in (health.lag_records or {}).items():
            self._lag.labels(topic).set(records)
        if health.standing is not None:
            self._stand(health.standing)

    def look_failed(self) -> None:
        """The parts could not be looked at: nobody knows whether we are ready."""
        self._was_ready = False
        self._failed_looks.inc()

    def _stand(self, standing: Standing) -> None:
        self._restoring.set(len(standing.unfinished))
        for source in SOURCES:
            spans = [
                loss
                for (topic, _), losses in standing.losses.items()
                if topic == source.name
                for loss in losses
            ]
            self._losses.labels(source.name).set(len(spans))
            self._lost.labels(source.name).set(sum(lost_records(loss) for loss in spans))

    def _is_ready(self) -> float:
        return float(self._was_ready and self._monotonic_s() - self._looked_s < FRESH_S)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
