"""Workers come, go and die in the middle of a replay: not one byte of the report changes (rule 2.7)."""

import asyncio
import logging
import random
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from schemas.rows.positions import POSITIONS_KEY
from schemas.topics import CHANGELOG, POLLS
from tests.e2e.harness import applied, until
from tests.kafka.broker import Kafka
from tests.kafka.harness import Fleet, Process, Sample, committed, fleet, sample_in

pytestmark = pytest.mark.long

log = logging.getLogger(__name__)

_SPEED: Final = 25_000
"""Eight days in about 28 s, one poll a record."""
_SEEDS: Final = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 5))]


class Watch:
    """Follows the changelog while workers write it: when the polls of each partition went on."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._applied_at: defaultdict[int, list[float]] = defaultdict(list)
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for_all(self, since_s: float, seconds: float = 60) -> None:
        """Wait until the polls of every partition have gone on since an instant."""
        until(
            "all partitions are served again",
            lambda: all(self._applied_at[partition][-1:] > [since_s] for partition in range(12)),
            seconds,
        )

    def pauses_s(self, from_s: float, to_s: float) -> dict[int, float]:
        """For each partition, the longest time without a sign of life between two instants."""
        pauses = {}
        for partition, moments in sorted(self._applied_at.items()):
            within = [from_s, *(moment for moment in moments if from_s < moment < to_s), to_s]
            pauses[partition] = round(max(after - before for before, after in pairwise(within)), 2)
        return pauses

    async def _follow(self) -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap, enable_auto_commit=False
        ) as consumer:
            partitions = [TopicPartition(CHANGELOG, partition) for partition in range(12)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            while not self._over.is_set():
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    self._applied_at[tp.partition] += [
                        record.timestamp / 1000 for record in records if record.key == POSITIONS_KEY
                    ]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("seed", _SEEDS)
def test_workers_killed_added_and_stopped_mid_replay_change_nothing(
    seed: int, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    """Three workers, twelve partitions; in random order at random moments one is killed, added, stopped."""
    chance = random.Random(seed)
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.done(ours.run("topics", state="topics"))
        workers = [ours.ready_worker(name) for name in ("a", "b", "c")]
        with Watch(clean_kafka) as watch:
            replay = ours.start_replay(sample.folder, "--speed", _SPEED)
            watch.wait_for_all(since_s=0)
            for event in chance.sample(("kill", "add", "stop"), 3):
                time.sleep(chance.uniform(0.2, 2))  # a random moment, not a wait for anything
                began_s = time.time()
                happen(event, ours, workers, chance)
                watch.wait_for_all(since_s=time.time())
                pauses = watch.pauses_s(began_s, time.time())
                log.info(
                    "%s: a partition unserved for %.2f s at most; %s", event, max(pauses.values()), pauses
                )
            assert replay.exit_code is None, "the replay was over before all had happened: lower the speed"
            ours.done(replay)
            assert ours.report() == sample.report


def happen(event: str, ours: Fleet, workers: list[Process], chance: random.Random) -> None:
    """Let one thing happen to the fleet."""
    if event == "add":
        workers.append(ours.ready_worker("added"))
        return
    worker = workers.pop(chance.randrange(len(workers)))
    if event == "stop":
        assert worker.stop() == 0
        return
    worker.kill()
    log.info("%d polls were written and not yet committed for tools", repeated(ours, worker))


def repeated(ours: Fleet, killed: Process) -> int:
    """Polls in the tables of a killed worker that the group has not committed yet."""
    done = committed(ours.url)
    return sum(
        max(0, position - done.get(at, 0)) for at, position in applied(killed.state).items() if at[0] == POLLS
    )
