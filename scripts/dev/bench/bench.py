"""What every part of the bench is given: the data, how often to measure, and a folder of its own.

Owns: choosing the data set, states that several parts share, and the Kafka broker. Must not know: the parts.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from schemas.settings import Settings
from schemas.values import StoreId
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.rows import Printed
from scripts.dev.bench.service import storepulse
from scripts.dev.kafka.broker import KafkaBroker
from scripts.sample import write_sample

KNOWN_DATA: Final = Path(__file__).parents[4] / "shared" / "data" / "full"
"""The known data set, where it lies beside the repository."""

KAFKA_PARTITIONS: Final = 12
"""Of new topics there, unless a setting says otherwise."""

_STORES: Final = 14_228
"""Stores in the known data set; sample data has as many."""
_HEAP: Final = ("-Xmx1g",)


@dataclass(slots=True)
class Bench:
    """`scratch` is a folder that goes when all is done; `quick` asks for small counts, to see that it works."""

    runs: int
    quick: bool
    scratch: Path
    say: Callable[[str], None]
    given_data: Path | None = None
    given_kafka: str | None = None
    stack: ExitStack = field(default_factory=ExitStack)
    incomplete: bool = False
    _data: Path | None = None
    _stores: list[StoreId] = field(default_factory=list)
    _replayed: dict[Revision, Path] = field(default_factory=dict)
    _kafka: str | None = None

    @property
    def data(self) -> Path:
        """The folder of CSVs to measure with."""
        if self._data is None:
            self._data = self.given_data or (KNOWN_DATA if KNOWN_DATA.exists() else self._sample())
        return self._data

    @property
    def stores(self) -> list[StoreId]:
        """The stores that are polled in the data."""
        if not self._stores:
            self._stores = stores_of(self.data)
        return self._stores

    @property
    def kafka(self) -> str:
        """`kafka://host:port` of a running broker."""
        if self._kafka is None:
            self._kafka = f"kafka://{self.given_kafka or self._started_broker()}"
        return self._kafka

    def replayed(self, name: str, revision: Revision = OURS) -> Settings:
        """Settings of a new state folder on which a revision replayed all data; nothing runs on it."""
        if revision not in self._replayed:
            state = self.scratch / f"replayed-{len(self._replayed)}"
            out = self.scratch / "replayed.csv"
            storepulse("report", "--data", self.data, "--out", out, "--state", state, revision=revision)
            self._replayed[revision] = state
        settings = self.fresh(name)
        shutil.copytree(self._replayed[revision], settings.state)
        return settings

    def fresh(self, name: str, broker: str = "") -> Settings:
        """Settings of a new, empty state folder."""
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        return Settings(state=self.scratch / name, broker=broker)

    def forget(self, settings: Settings) -> None:
        """Remove a state folder: the disk may be small."""
        shutil.rmtree(settings.state, ignore_errors=True)

    def miss(self, what: str, error: Exception) -> None:
        """Say that something cannot be measured; the rest still is."""
        self.say(f"{what} could not be measured: {error}")
        self.incomplete = True

    def count(self, full: int, quick: int) -> int:
        """How much of something: all of it, or little where things are only tried."""
        return quick if self.quick else full

    def _sample(self) -> Path:
        folder = self.scratch / "sample"
        self.say(f"{KNOWN_DATA} is not there: measuring with sample data of {_STORES:,} stores")
        write_sample(folder, stores=_STORES, days=8, seed=0)
        return folder

    def _started_broker(self) -> str:
        broker = KafkaBroker(self.scratch / "kafka", java_options=_HEAP)
        broker.start()
        self.stack.callback(broker.stop)
        return broker.bootstrap


Part = Callable[[Bench], Iterator[Printed]]
"""Measures something, and gives a row as soon as it has one."""


def partitions_of(settings: Settings) -> int:
    """How many partitions topics are given that these settings declare."""
    return settings.partitions or (1 if settings.is_embedded else KAFKA_PARTITIONS)


def stores_of(folder: Path) -> list[StoreId]:
    """The stores that are polled in a folder of CSVs."""
    polls = pl.read_csv(next(folder.glob("store_status.csv*")), columns=["store_id"], infer_schema=False)
    return [StoreId(store) for store in polls["store_id"].unique().sort()]
