"""The world of a round: a broker behind proxies, workers, a replica with an API, and a producer.

Owns: performing actions, keeping count of them, and having everything alive and up to date in the end. Must not
know: what reports should say.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.errors import CommitFailedError  # type: ignore[import-untyped]

from schemas.topics import APP_ID, CHANGELOG
from scripts.dev.kafka.broker import KafkaBroker, free_ports
from scripts.dev.kafka.configuration import QUICK, Door
from tests.chaos.actions import Action, Verb
from tests.chaos.meaning import TOPICS
from tests.chaos.proxy import LineState, Network
from tests.chaos.teller import Teller
from tests.e2e.harness import free_port, until, wipe_tables
from tests.kafka.harness import Fleet, Process, asked

LINES: Final = 3
_CHAOS_BROKER: Final = {**QUICK, "log.roll.ms": str(7 * 86_400_000), "group.max.session.timeout.ms": "60000"}
"""Segments are rolled where a story says so; the source topics stay as they were written."""
_COMPACTED: Final = {
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "200",
    "delete.retention.ms": "2000",
}
_TELL_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.3
"""From one look at whether the group is empty to the next."""
_MAY_END_WITH: Final = (0, 4, 5, 143, -signal.SIGKILL)


@dataclass(slots=True)
class Ground:
    """A broker with a door for each worker, and the proxies before the doors."""

    broker: KafkaBroker
    network: Network
    lines: tuple[int, ...]

    def url_of(self, worker: int) -> str:
        """The broker, as a worker is to know it: by its own line."""
        return f"kafka://127.0.0.1:{self.lines[worker]}"

    @property
    def url(self) -> str:
        """The broker without a proxy."""
        return f"kafka://{self.broker.bootstrap}"


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Start a broker and its proxies; they end with the block."""
    ports = free_ports(2 * LINES)
    near, far = ports[:LINES], ports[LINES:]
    doors = [Door(port, advertised) for port, advertised in zip(far, near, strict=True)]
    broker = KafkaBroker(folder, doors=doors, properties=_CHAOS_BROKER)
    with Network() as network:
        for here, there in zip(near, far, strict=True):
            network.add_line(here, there)
        try:
            broker.start()
            yield Ground(broker, network, tuple(near))
        finally:
            broker.kill()


@dataclass(slots=True)
class World:
    """Everything that runs in a round. Workers are numbers; their state folders are `worker-0` and so on."""

    ground: Ground
    fleet: Fleet
    teller: Teller
    workers: dict[int, Process] = field(default_factory=dict)
    counts: "Counter[str]" = field(default_factory=Counter)
    odd_ends: list[str] = field(default_factory=list)
    _replica: Process | None = None

    def begin(self, workers: int) -> None:
        """Declare the topics, start workers and a replica."""
        self.fleet.done(self.fleet.run("topics", state="topics"))
        for worker in range(workers):
            self._start(worker)
        self.start_replica()
        until(
            "all workers are ready",
            lambda: all("worker ready" in each.text for each in self.workers.values()),
        )

    def state_of(self, worker: int) -> Path:
        """The state folder of a worker."""
        return self.fleet.folder / f"worker-{worker}"

    @property
    def host(self) -> Path:
        """The state folder of the replica and its API."""
        return self.fleet.folder / "host"

    def start_api(self) -> str:
        """Start an API beside the replica; where it answers."""
        port = free_port()
        process = self.fleet.run("api", "--port", port, state="host")
        until(f"the API listens: {process.output}", lambda: "API listening" in process.text)
        return f"http://127.0.0.1:{port}"

    def said_by_workers(self, words: str) -> int:
        """How often the workers have logged these words."""
        return sum(process.text.count(words) for process in self.workers.values())

    def perform(self, action: Action) -> None:
        """Do one thing."""
        self.counts[action.verb.name.lower()] += 1
        _PERFORM[action.verb](self, action)

    def settle(self) -> None:
        """All lines open, everyone awake and running, everything sent."""
        self.ground.network.open_all()
        for worker, process in list(self.workers.items()):
            if process.exit_code is None:
                process.send(signal.SIGCONT)
            self.keep_alive(worker)
        if self._replica is None or self._replica.exit_code is not None:
            self.start_replica()
        assert self.teller.drain(_TELL_SECONDS), f"not sent within {_TELL_SECONDS} s: {self.teller.failed!r}"

    def keep_alive(self, worker: int) -> None:
        """Start a worker again that has ended, as a supervisor would; how it ended is remembered."""
        process = self.workers[worker]
        if process.exit_code is None:
            return
        self._note_end(worker, process)
        self._start(worker)

    def rebuild(self) -> None:
        """Kill all workers, take their tables away and start them again."""
        for worker in self.workers:
            self.perform(Action(Verb.KILL, worker))
            self.perform(Action(Verb.WIPE, worker))
        for worker in self.workers:
            self.perform(Action(Verb.START, worker))

    def start_replica(self) -> None:
        """Start the replica on the tables that it has."""
        self._replica = self.fleet.run("replica", state="host")

    def _start(self, worker: int) -> None:
        self.workers[worker] = self.fleet.run(
            "worker", state=f"worker-{worker}", broker=self.ground.url_of(worker)
        )

    def _note_end(self, worker: int, process: Process) -> None:
        self.counts[f"worker ended with {process.exit_code}"] += 1
        if process.exit_code not in _MAY_END_WITH or "Traceback" in process.text:
            self.odd_ends.append(f"worker {worker} ended with {process.exit_code}: {process.text[-700:]}")

    def signal(self, worker: int, number: signal.Signals) -> None:
        """Send a worker a signal, if it still runs."""
        if self.workers[worker].exit_code is None:
            self.workers[worker].send(number)

    def kill(self, action: Action) -> None:
        """kill -9 a worker."""
        process = self.workers[action.subject]
        if process.exit_code is not None:
            self._note_end(action.subject, process)
        process.kill()

    def stop(self, action: Action) -> None:
        """Have a worker stop cleanly; one that was told in the middle of anything may be late, and is killed."""
        process = self.workers[action.subject]
        if process.exit_code is None:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        code = process.stop()
        if code:
            self._note_end(action.subject, process)

    def start(self, action: Action) -> None:
        """Start a worker that does not run."""
        if self.workers[action.subject].exit_code is not None:
            self._start(action.subject)

    def kill_replica(self, _: Action) -> None:
        """kill -9 the replica."""
        if self._replica is not None:
            self._replica.kill()

    def bounce(self, action: Action) -> None:
        """kill -9 the broker, and start it after a while."""
        self.ground.broker.kill()
        time.sleep(action.seconds)  # the outage
        self.ground.broker.start()

    def reset_group(self, to: str) -> None:
        """Set what the group has committed to the beginning or the end of everything, as an operator may."""
        url = self.fleet.url

        async def ask(consumer: Any, admin: Any) -> None:
            described = await admin.describe_topics(list(TOPICS))
            partitions = [
                TopicPartition(topic["topic"], each["partition"])
                for topic in described
                for each in topic["partitions"]
            ]
            offsets = await (
                consumer.beginning_offsets(partitions)
                if to == "earliest"
                else consumer.end_offsets(partitions)
            )
            operator = AIOKafkaConsumer(
                bootstrap_servers=url.removeprefix("kafka://"), group_id=APP_ID, enable_auto_commit=False
            )
            await operator.start()
            try:
                operator.assign(partitions)
                await _commit_when_alone(operator, offsets)
            finally:
                await operator.stop()

        assert self.teller.drain(_TELL_SECONDS)
        asked(url, ask)

    def compact(self, _: Action) -> None:
        """Have the broker roll the changelog's segments all the time, and compact them at once."""

        async def ask(_: Any, admin: Any) -> None:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, CHANGELOG, _COMPACTED)])

        asked(self.fleet.url, ask)


async def _commit_when_alone(operator: Any, offsets: Any) -> None:
    """Commit for a group without members. One that ended amid a rebalance is a member until its session ends."""
    while True:
        try:
            await operator.commit(offsets)
            return
        except CommitFailedError:
            await asyncio.sleep(_LOOK_SECONDS)


def _line(state: LineState) -> Callable[[World, Action], None]:
    return lambda world, action: world.ground.network.turn(action.subject, state)


def _signal(number: signal.Signals) -> Callable[[World, Action], None]:
    return lambda world, action: world.signal(action.subject, number)


_PERFORM: Final[dict[Verb, Callable[[World, Action], object]]] = {
    Verb.SEND: lambda world, action: world.teller.tell(action.notes),
    Verb.ABORT: lambda world, action: world.teller.tell(action.notes, is_aborted=True),
    Verb.WAIT: lambda _, action: time.sleep(action.seconds),
    Verb.FREEZE: _signal(signal.SIGSTOP),
    Verb.WAKE: _signal(signal.SIGCONT),
    Verb.CUT: _line(LineState.CUT),
    Verb.HOLD: _line(LineState.HELD),
    Verb.OPEN: _line(LineState.OPEN),
    Verb.KILL: World.kill,
    Verb.STOP: World.stop,
    Verb.START: World.start,
    Verb.WIPE: lambda world, action: wipe_tables(world.state_of(action.subject)),
    Verb.KILL_REPLICA: World.kill_replica,
    Verb.WIPE_REPLICA: lambda world, _: wipe_tables(world.host),
    Verb.START_REPLICA: lambda world, _: world.start_replica(),
    Verb.BOUNCE: World.bounce,
    Verb.RESET_EARLIEST: lambda world, _: world.reset_group("earliest"),
    Verb.RESET_LATEST: lambda world, _: world.reset_group("latest"),
    Verb.COMPACT: World.compact,
}
