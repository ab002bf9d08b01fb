"""Settings: one frozen object a process, read from the environment once.

Owns: every setting with its name, default, unit and bounds. Must not know: who uses it. Command-line options
are laid over it by scripts.cli.main. No secret has a default, and none is printed.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import TABLE


def default_state() -> Path:
    """`$XDG_STATE_HOME/storepulse`, or `~/.local/state/storepulse`: the same from any folder."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "storepulse"


class Settings(BaseSettings):
    """What a process of storepulse runs with. Each field is read from STOREPULSE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="STOREPULSE_", frozen=True, extra="forbid")

    state: Annotated[Path, Field(description="Folder of tables, embedded log and reports")] = Field(
        default_factory=default_state
    )
    broker: Annotated[str, Field(description="embedded:///path/to/log.db or kafka://host:9092")] = ""
    partitions: Annotated[
        int | None, Field(ge=1, le=1024, description="Partitions of new topics: 1 embedded, 12 on Kafka")
    ] = None
    replication: Annotated[int, Field(ge=1, description="Replication factor of new topics on Kafka")] = 1
    retention_days: Annotated[int, Field(ge=8, le=366, description="Polls kept, per store, in days")] = 14
    log_retention_days: Annotated[
        float, Field(ge=0, description="Applied polls kept in the embedded log, in days")
    ] = 2.0
    flush_seconds: Annotated[float, Field(gt=0, le=60, description="How long a poll may wait in memory")] = (
        0.05
    )
    host: Annotated[str, Field(description="Address the API listens on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="Port the API listens on")] = 8000
    worker_metrics_port: Annotated[
        int,
        Field(
            ge=0, le=65_535, description="Port of a worker's Prometheus metrics, on the API's host; 0: none"
        ),
    ] = 0
    reports_kept: Annotated[
        int,
        Field(ge=1, description="Reports kept; the oldest goes first, none within an hour after it was made"),
    ] = 10_000
    reports_bytes: Annotated[int, Field(ge=1, description="Bytes of reports kept; likewise")] = 4_000_000_000
    report_patience_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="How long a report waits for tables that are being restored or trail the log, then fails",
        ),
    ] = 300.0
    log_patience_seconds: Annotated[
        float,
        Field(
            gt=0, description="How long the log is asked where it ends, before a report does without knowing"
        ),
    ] = 2.0
    confidence_gap: Annotated[
        timedelta,
        Field(
            gt=timedelta(),
            description="How far apart two polls may be to vouch for the time between; seconds, or H:MM:SS",
        ),
    ] = timedelta(hours=2)
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="Least level logged")
    ] = "INFO"

    drain: Annotated[
        Literal["batches", "messages"],
        Field(
            description="How records reach a worker's agents: many at once, or by Faust's own loop, each alone"
        ),
    ] = "batches"
    malformed_changelog: Annotated[
        Literal["stop", "skip"],
        Field(description="What a worker does with a changelog record that is no row"),
    ] = "stop"
    standby_replicas: Annotated[
        int, Field(ge=0, description="Workers that keep a copy of each partition, ready to take over")
    ] = 0
    kafka_patience_seconds: Annotated[
        float, Field(gt=0, description="How long to try to reach Kafka at start before giving up")
    ] = 60.0
    outage_seconds: Annotated[
        float,
        Field(gt=0, description="How long a worker waits for a broker that is away, or a place in its group"),
    ] = 600.0
    kafka_session_seconds: Annotated[
        float | None,
        Field(
            ge=1, le=60, description="How long Kafka waits for a silent worker; 60 s where this is not set"
        ),
    ] = None
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Field(description="As in Kafka's clients")
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, Field(description="With SASL_*")
    ] = None
    kafka_sasl_username: Annotated[str | None, Field(description="With SASL_*")] = None
    kafka_sasl_password: Annotated[SecretStr | None, Field(description="With SASL_*; never logged")] = None
    kafka_ssl_cafile: Annotated[Path | None, Field(description="CA certificates (PEM)")] = None
    kafka_ssl_certfile: Annotated[Path | None, Field(description="Client certificate (PEM)")] = None
    kafka_ssl_keyfile: Annotated[Path | None, Field(description="Client key (PEM)")] = None

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        """Paths are absolute, and the embedded log stands in the state folder unless told otherwise."""
        object.__setattr__(self, "state", self.state.expanduser().absolute())
        if not self.broker:
            object.__setattr__(self, "broker", f"embedded://{self.state / 'log.db'}")
        return self

    @property
    def is_embedded(self) -> bool:
        """True where the broker is the SQLite log."""
        return self.broker.startswith("embedded://")

    @property
    def log_path(self) -> Path:
        """The file of the embedded log."""
        return Path(self.broker.removeprefix("embedded://"))

    @property
    def worker_dir(self) -> Path:
        """Faust's data folder."""
        return self.state / "worker"

    @property
    def worker_lock(self) -> Path:
        """The file that a running worker holds."""
        return self.state / "worker.lock"

    @property
    def tables_dir(self) -> Path:
        """Where Faust keeps the tables, one RocksDB a partition."""
        return self.worker_dir / "v1" / "tables"

    @property
    def reports_dir(self) -> Path:
        """Where reports are written."""
        return self.state / "reports"

    def table_path(self, partition: int) -> Path:
        """The RocksDB of one partition of the stores."""
        return self.tables_dir / f"{TABLE}-{partition}.db"
