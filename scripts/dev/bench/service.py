"""storepulse as its users run it: commands, a worker, an API and its HTTP calls.

Owns: starting, timing and ending those, and what the system says of their memory and processor time. Must not
know: what is measured with them.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from query_api.snapshots.reader import Reader
from schemas.positions import Positions, covers
from schemas.settings import Settings
from schemas.values import StoreId, format_timestamp, parse_timestamp
from scripts.cli.processes import Child
from scripts.dev.bench.revision import OURS, Revision

_PATIENCE_S: Final = 300.0
_LOOK_S: Final = 0.005
_KEPT_S: Final = 1.0
"""A connection that rested for longer is opened again: the API may have closed it meanwhile."""
_CLI: Final = "scripts.cli"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BenchFailed(Exception):
    """Something that was to be measured did not work; the text says what."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A report over HTTP: seconds from POST to the last byte, the CSV, and the log position that it has."""

    seconds: float
    csv: bytes
    position: Positions


def seconds_of(module: str, *args: object, revision: Revision = OURS) -> float:
    """How long a program of the work tree takes, from start to end. Raises BenchFailed."""
    command = revision.command(module, *args)
    began = time.perf_counter()
    done = subprocess.run(command, cwd=revision.root, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise BenchFailed(f"{' '.join(command[1:])}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return took


def storepulse(*args: object, revision: Revision = OURS) -> float:
    """How long `storepulse <args>` takes. Raises BenchFailed."""
    return seconds_of(_CLI, *args, revision=revision)


@contextmanager
def child(
    settings: Settings, name: str, more: Mapping[str, str] | None = None, revision: Revision = OURS
) -> Iterator[Child]:
    """`storepulse <name>` until the block ends."""
    settings.state.mkdir(parents=True, exist_ok=True)
    environment = {
        "STOREPULSE_BROKER": settings.broker,
        "STOREPULSE_STATE": str(settings.state),
        **(more or {}),
    }
    log = settings.state / f"{name}.log"
    process = Child(name, [name], environment, log, command=revision.command(_CLI), folder=revision.root)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def api(settings: Settings, revision: Revision = OURS) -> Iterator["Api"]:
    """The API on a free port; it answers when the block begins."""
    port = _free_port()
    with child(settings, "api", {"STOREPULSE_PORT": str(port)}, revision) as process:
        calls = Api(process, port)
        try:
            until("the API answers", calls.is_live, process)
            yield calls
        finally:
            calls.close()


@contextmanager
def serving(settings: Settings, revision: Revision = OURS) -> Iterator[tuple[Child, "Api"]]:
    """A worker, and an API on its tables, which says that all is ready when the block begins."""
    with child(settings, "worker", revision=revision) as worker, api(settings, revision) as calls:
        until("the API is ready", calls.is_ready, worker)
        yield worker, calls


class Api:
    """Calls of a running API, over one connection."""

    def __init__(self, process: Child, port: int) -> None:
        self.process = process
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        self._called_s = time.monotonic()

    def close(self) -> None:
        """Close the connection; another call opens one."""
        self._connection.close()

    def is_live(self) -> bool:
        """Whether it answers at all."""
        with suppress(BenchFailed):
            return self._call("GET", "/health/live")[0] == 200
        return False

    def is_ready(self) -> bool:
        """Whether it says that all is well."""
        return self._call("GET", "/health")[0] == 200

    def has_poll(self, store: StoreId, at_us: int) -> bool:
        """Whether a GET of the store shows its poll of that instant."""
        status, _, body = self._call("GET", f"/api/v1/debug/store/{quote(store, safe='')}")
        at = format_timestamp(at_us)
        return status == 200 and any(poll["timestamp_utc"] == at for poll in json.loads(body)["polls"])

    def latest_us(self) -> int:
        """The latest poll of all. Raises BenchFailed where there is none."""
        status, _, body = self._call("GET", "/api/v1/debug/max_timestamp")
        latest = json.loads(body).get("max_timestamp")
        if latest is None:
            raise BenchFailed(f"max_timestamp: {status} {body[:500]!r}")
        return parse_timestamp(latest)

    def report(self, look_s: float = _LOOK_S) -> Fetched:
        """Ask for a report and fetch it, looking every `look_s` seconds. Raises BenchFailed."""
        self._connection.close()  # each report on a connection of its own; the next call opens one
        began = time.perf_counter()
        status, _, body = self._call("POST", "/trigger_report")
        if status != 200:
            raise BenchFailed(f"trigger_report: {status} {body[:500]!r}")
        path = f"/get_report/{json.loads(body)['report_id']}"
        while True:
            _, headers, body = self._call("GET", path)
            if headers.get("content-type", "").startswith("text/csv"):
                took = time.perf_counter() - began
                return Fetched(took, body, _position(headers.get("x-storepulse-position", "")))
            if json.loads(body)["status"] != "Running":
                raise BenchFailed(f"{path}: {body[:500]!r}")
            time.sleep(look_s)

    def report_in_pieces(self, look_s: float = 0.05) -> float:
        """Seconds from POST to the last byte of a report that is not kept in memory here."""
        self._connection.close()
        began = time.perf_counter()
        path = f"/get_report/{json.loads(self._call('POST', '/trigger_report')[2])['report_id']}"
        while True:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            if answer.getheader("content-type", "").startswith("text/csv"):
                while answer.read(1 << 20):
                    pass
                return time.perf_counter() - began
            body = answer.read()
            if json.loads(body)["status"] != "Running":
                raise BenchFailed(f"{path}: {body[:500]!r}")
            time.sleep(look_s)

    def _call(self, method: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        called_s = time.monotonic()
        if called_s - self._called_s > _KEPT_S:
            self._connection.close()
        self._called_s = called_s
        try:
            self._connection.request(method, path)
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise BenchFailed(f"{method} {path}: {error!r}") from error


class Watch:
    """Looks at the tables of a state folder as the API does, without the API."""

    def __init__(self, settings: Settings) -> None:
        self._reader = Reader(settings)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def applied(self) -> Positions:
        """How far the tables reflect the topics."""
        return self._reader.standing().applied

    def latest_us(self) -> int:
        """The latest poll of all. Raises BenchFailed where there is none."""
        with self._reader.snapshot() as snapshot:
            latest_us = snapshot.latest_us()
        if latest_us is None:
            raise BenchFailed("no poll in the tables")
        return latest_us

    def wait_for(self, positions: Positions, worker: Child) -> None:
        """Wait until the tables reflect the topics that far. Raises ChildEnded, BenchFailed."""
        until(f"applied up to {positions}", lambda: covers(self.applied(), positions), worker)


def until(what: str, is_so: Callable[[], bool], process: Child, look_s: float = _LOOK_S) -> None:
    """Wait until `is_so`. Raises ChildEnded where the process ends, BenchFailed after five minutes."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        process.check()
        if time.monotonic() > deadline:
            raise BenchFailed(f"not within {_PATIENCE_S:g} s: {what}")
        time.sleep(look_s)


def peak_mb(pid: int) -> float:
    """The most memory that a process had at once."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchFailed(f"the system does not tell the memory of process {pid}")


def forget_peak(pid: int) -> None:
    """From now on `peak_mb` counts again."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _position(text: str) -> Positions:
    """`topic=0:12,1:9; topic=…`"""
    found: dict[tuple[str, int], int] = {}
    for part in filter(None, text.split("; ")):
        topic, _, offsets = part.partition("=")
        for pair in offsets.split(","):
            partition, _, offset = pair.partition(":")
            found[topic, int(partition)] = int(offset)
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def as_json(path: Path, values: Any) -> None:
    """Write `values` to a file."""
    path.write_text(json.dumps(values, indent=1) + "\n")
