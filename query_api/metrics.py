"""Numbers for Prometheus.

Owns: names, units and labels of metrics. Must not know: HTTP, or who counts.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from query_api.health import Health


class Metrics:
    """The metrics of one API."""

    def __init__(self) -> None:
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
        self._ready.set(health.ready)
        self._trailing.set(health.trailing_s)
        for topic, records in (health.lag_records or {}).items():
            self._lag.labels(topic).set(records)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
