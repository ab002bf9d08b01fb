"""Running storepulse on a Kafka: workers, replicas, replays and APIs as processes, each with its own state folder.

Owns: their environment, starting and ending them, reading a fleet's report through a replica, small questions to
the broker. Must not know: what a report should say (tests.oracle), who started the broker (tests.kafka.conftest).
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions  # type: ignore[import-untyped]

from schemas.positions import Positions
from schemas.topics import APP_ID, SOURCES
from tests.e2e.harness import free_port, report_of, sample_data, until, wait_until_applied
from tests.oracle import report_of_folder

T = TypeVar("T")

SESSION_SECONDS: Final = 3.0
"""How long after kill -9 a worker's partitions stay its own, here."""
_MAX_SESSION_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_ASK_SECONDS: Final = 30.0


class Sample(NamedTuple):
    """A folder of CSVs, and what the oracle says of it."""

    folder: Path
    report: str


def sample_in(base: Path, stores: int = 300) -> Sample:
    """A small sample data set under `base`, made once."""
    folder, report = base / f"sample-{stores}", base / f"sample-{stores}.csv"
    if not report.exists():
        shutil.rmtree(folder, ignore_errors=True)
        report.write_text(report_of_folder(sample_data(folder, stores=stores)), newline="")
    return Sample(folder, report.read_text())


class Process:
    """A running `storepulse <args>`; what it prints goes to a file beside its state folder."""

    def __init__(self, args: Sequence[object], state: Path, environment: Mapping[str, str]) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.name = str(args[0])
        self.state = state
        self.output = state.with_name(f"{state.name}-{self.name}.out")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STOREPULSE_")}
        with self.output.open("a") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.cli", *map(str, args)],
                env={**clean, "STOREPULSE_STATE": str(state), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def text(self) -> str:
        """All that was printed by it, and by those before it on the same folder."""
        return self.output.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Wait until it ends by itself; its exit code."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM; its exit code. Fails where it does not stop in time."""
        if self.exit_code is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {_STOP_SECONDS:g} s of SIGTERM") from None


class Api:
    """A running `storepulse api`."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self._base = f"http://127.0.0.1:{port}"

    def status(self) -> int | None:
        """The status of /health, None where nobody answers."""
        try:
            return self._get("/health").status_code
        except httpx.TransportError:
            return None

    def health(self) -> dict[str, Any]:
        """What /health says."""
        answer: dict[str, Any] = self._get("/health").json()
        return answer

    def wait_for(self, status: int, seconds: float = 60) -> None:
        """Wait until /health answers with `status`."""
        until(f"/health answers {status}: {self.process.output}", lambda: self.status() == status, seconds)

    def wait_until_current(self, seconds: float = 60) -> None:
        """Wait until /health answers 200 and all that is in the topics is readable."""

        def is_current() -> bool:
            health = self.health()
            return bool(health["ready"]) and not any(health["lag"]["records"].values())

        until(f"the API trails nothing: {self.process.output}", is_current, seconds)

    def trigger(self, **parameters: str) -> str:
        """Ask for a report; its id."""
        answer = httpx.post(f"{self._base}/trigger_report", params=parameters).raise_for_status()
        return str(answer.json()["report_id"])

    def fetch(self, report_id: str) -> str:
        """Wait for a report; its rows."""
        got: list[httpx.Response] = []

        def is_csv() -> bool:
            got.append(self._get(f"/get_report/{report_id}").raise_for_status())
            assert not got[-1].text.startswith('{"status":"Failed'), got[-1].text
            return got[-1].headers["content-type"].startswith("text/csv")

        until(f"report {report_id} is a CSV", is_csv)
        return got[-1].text

    def report(self, **parameters: str) -> str:
        """Ask for a report and wait for it."""
        return self.fetch(self.trigger(**parameters))

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(self._base + path, timeout=_ASK_SECONDS)


class Fleet:
    """Processes on one broker, each with a folder under `folder`."""

    def __init__(
        self, url: str, folder: Path, session_seconds: float = SESSION_SECONDS, **settings: object
    ) -> None:
        self.url = url
        self.folder = folder
        self._environment = {
            "BROKER_SESSION_TIMEOUT": str(session_seconds),
            "BROKER_REQUEST_TIMEOUT": str(max(90.0, session_seconds + 1)),
            "BROKER_HEARTBEAT_INTERVAL": str(session_seconds / 6),
            "CONSUMER_METADATA_MAX_AGE_MS": str(int(session_seconds * 1000)),
            **_variables({"broker": url, **_our_session(session_seconds), **settings}),
        }
        self._processes: list[Process] = []
        self._replicas = 0

    def run(self, *args: object, state: str, **settings: object) -> Process:
        """Start a command with the state folder `state` under ours."""
        process = Process(args, self.folder / state, {**self._environment, **_variables(settings)})
        self._processes.append(process)
        return process

    def worker(self, state: str = "worker", **settings: object) -> Process:
        """Start a worker."""
        return self.run("worker", state=state, **settings)

    def ready_worker(self, state: str = "worker", **settings: object) -> Process:
        """Start a worker, and wait until it takes part."""
        process = self.worker(state, **settings)
        before = process.text.count("worker ready")
        until(f"the worker is ready: {process.output}", lambda: process.text.count("worker ready") > before)
        return process

    def api(self, state: str, **settings: object) -> Api:
        """Start an API, and wait until it answers."""
        port = free_port()
        api = Api(self.run("api", "--port", port, state=state, **settings), port)
        until(f"the API answers: {api.process.output}", lambda: api.status() is not None)
        return api

    def start_replay(self, data: Path, *args: object) -> Process:
        """Start a replay."""
        return self.run("replay", data, *args, state="replay")

    def replay(self, data: Path, *args: object, seconds: float = 120) -> None:
        """Replay to the end."""
        self.done(self.start_replay(data, *args), seconds)

    def done(self, process: Process, seconds: float = 120) -> None:
        """Wait until a command has done its work."""
        assert process.wait(seconds) == 0, process.text

    def report(self, seconds: float = 60) -> str:
        """The report of all partitions when what is in the topics now is applied, read through a new replica."""
        self._replicas += 1
        replica = self.run("replica", state=f"replica-{self._replicas}")
        applied: Positions = {}
        while applied != (ends := self._ends()):  # applying strays makes more records
            wait_until_applied(replica.state, ends, seconds)
            applied = ends
        assert replica.stop() == 0, replica.text
        return report_of(replica.state, self.folder / "report.csv")

    def _ends(self) -> Positions:
        ends = {at: end for at, end in ends_of(self.url, *(spec.name for spec in SOURCES)).items() if end}
        assert ends, "nothing is in the topics"
        return ends

    def outputs(self) -> str:
        """The end of what was printed, without what was said over and over."""
        files = dict.fromkeys(each.output for each in self._processes)
        return "\n".join(f"--- {file}\n{_without_repeats(file.read_text())[-8000:]}" for file in files)

    def close(self) -> None:
        """Stop all that still runs."""
        for process in self._processes:
            if process.exit_code is None:
                process.send(signal.SIGCONT)
                process.send(signal.SIGTERM)
        for process in self._processes:
            process.stop()


@contextmanager
def fleet(url: str, folder: Path, **settings: Any) -> Iterator[Fleet]:
    """A fleet without a process yet; `settings` are those of storepulse. All of it ends with the block."""
    made = Fleet(url, folder, **settings)
    try:
        yield made
    except BaseException:
        print(made.outputs())
        raise
    finally:
        made.close()


def _our_session(seconds: float) -> dict[str, object]:
    """The session as our setting; nothing where that does not go so far, and Faust's alone counts."""
    return {"kafka_session_seconds": seconds} if seconds <= _MAX_SESSION_SECONDS else {}


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"STOREPULSE_{name.upper()}": str(value) for name, value in settings.items()}


def ends_of(url: str, *topics: str) -> Positions:
    """The next offset of each partition of some topics; of topics that are not there, nothing."""

    async def ask(consumer: Any, admin: Any) -> Positions:
        described = await admin.describe_topics(list(topics))
        partitions = [
            TopicPartition(topic["topic"], each["partition"])
            for topic in described
            for each in topic["partitions"]
        ]
        ends = await consumer.end_offsets(partitions)
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}

    return asked(url, ask)


def committed(url: str) -> Positions:
    """What the workers' group has committed."""

    async def ask(_: Any, admin: Any) -> Positions:
        offsets = await admin.list_consumer_group_offsets(APP_ID)
        return {(tp.topic, tp.partition): found.offset for tp, found in offsets.items()}

    return asked(url, ask)


def add_partitions(url: str, topic: str, total: int) -> None:
    """Give a topic more partitions, as an operator would."""

    async def ask(_: Any, admin: Any) -> None:
        await admin.create_partitions({topic: NewPartitions(total)})

    asked(url, ask)


def asked(url: str, ask: Callable[[Any, Any], Awaitable[T]]) -> T:
    """What a question to a consumer and an admin client gives."""

    async def run() -> T:
        servers = url.removeprefix("kafka://")
        consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        try:
            await consumer.start()
            await admin.start()
            return await ask(consumer, admin)
        finally:
            await admin.close()
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(run(), _ASK_SECONDS))


def produce(url: str, topic: str, records: Sequence[tuple[bytes | None, bytes | None, int]]) -> list[int]:
    """Append (key, value, partition) by hand; their offsets, when the broker has them all."""

    async def send() -> list[int]:
        async with AIOKafkaProducer(bootstrap_servers=url.removeprefix("kafka://"), acks="all") as producer:
            sent = [
                await producer.send(topic, value, key, partition=partition)
                for key, value, partition in records
            ]
            return [(await each).offset for each in sent]

    return asyncio.run(asyncio.wait_for(send(), _ASK_SECONDS))


def records_of(url: str, topic: str) -> list[Any]:
    """All records there are now in a topic, as aiokafka gives them."""

    async def ask(consumer: Any, admin: Any) -> list[Any]:
        (described,) = await admin.describe_topics([topic])
        partitions = [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found

    return asked(url, ask)


def _without_repeats(text: str) -> str:
    """The lines that differ from the one before in more than the time."""
    lines = [(line.split('"timestamp"')[0], line) for line in text.splitlines()]
    return "\n".join(
        line for number, (said, line) in enumerate(lines) if number == 0 or said != lines[number - 1][0]
    )
