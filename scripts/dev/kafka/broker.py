"""One broker: a folder, its ports, and the process that serves it.

Owns: starting and ending that process, and knowing whether it lives. Must not know: topics.

The process holds a lock on `broker.pid` from its first moment to its last, however it ends, so a stale number in
there is never taken for a broker. Except where it is started to outlive us, a watcher ends it when we are gone.
"""

import fcntl
import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from scripts.dev.kafka.configuration import (
    HOST,
    Door,
    Ports,
    Security,
    User,
    logging_properties,
    scram_credentials,
    server_properties,
)
from scripts.dev.kafka.errors import AlreadyRunning, BrokerEnded, NotReady, PortTaken
from scripts.dev.kafka.libs import fetch
from scripts.dev.kafka.probe import listens, serves
from scripts.dev.kafka.tls import Certificates
from scripts.dev.kafka.tools import JAVA, run
from stream.state_lock import held

QUICK_START: Final = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A small heap, and no compiler that pays off only after minutes."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_KILL_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_TAIL_BYTES: Final = 4000
_PORTS: Final = range(20_000, 32_000)
"""Below those that systems give to outgoing connections: a port stays ours while its broker is down."""
_given_out: Final[set[int]] = set()


class KafkaBroker:
    """A broker whose files are all in `folder`; made again on the same folder, it is the same broker.

    `ports` default to free ones, kept while this object lives; `doors` are listeners behind proxies.
    `properties` overrule server.properties.
    `user` may connect where `security` asks for SASL; `certificates` are there where it asks for TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        security: Security = "plaintext",
        ports: Ports | None = None,
        doors: Sequence[Door] = (),
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = QUICK_START,
    ) -> None:
        self.folder = folder.absolute()
        self.security: Security = security
        self.ports = ports or Ports(*free_ports(len(Ports._fields)))
        self.doors = tuple(doors)
        self.user = User("storepulse", secrets.token_hex(12))
        self.certificates = Certificates(self.folder / "tls")
        self._properties = dict(properties or {})
        self._java_options = tuple(java_options)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to: `127.0.0.1:port`."""
        return f"{HOST}:{self.ports.client}"

    @property
    def internal(self) -> str:
        """The same broker over a plain connection, whatever `security` is."""
        return f"{HOST}:{self.ports.internal}"

    @property
    def pid(self) -> int | None:
        """The running broker's process id, whoever started it; None where none runs."""
        return self._noted_pid() if held(self._pid_file) else None

    @property
    def log(self) -> Path:
        """What Kafka logs; beside it, with `.1` behind its name, what it logged when it ran before."""
        return self.folder / "server.log"

    def start(self, *, seconds: float = _START_SECONDS, outlives_us: bool = False) -> None:
        """Start it, on the data it had, and wait until it answers.

        Raises ToolMissing, ToolTooOld, CommandFailed, AlreadyRunning, PortTaken, BrokerEnded, NotReady; then
        this one does not run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        java = [JAVA.find(), *self._java_options, "-Xshare:auto", "-cp", f"{fetch()}/*"]
        with self._pid_file.open("a+b") as pid_file:
            self._take(pid_file.fileno())
            pid_file.truncate(0)
            self._forget()
            self._check_ports()
            self._prepare(java)
            self._process = self._spawn(java, pid_file.fileno())
            pid_file.write(f"{self._process.pid}\n".encode())
        if not outlives_us:
            self._watcher = _watcher_of(self._process.pid)
        try:
            self._wait_until_it_serves(self._process, seconds)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, seconds: float = _STOP_SECONDS) -> None:
        """Stop it cleanly; kill it after `seconds`. Does nothing where none runs."""
        self._end(signal.SIGTERM)
        if not _within(seconds, lambda: self.pid is None):
            self._end(signal.SIGKILL)
        self.wait_until_gone()

    def kill(self) -> None:
        """kill -9. Does nothing where none runs."""
        self._end(signal.SIGKILL)
        self.wait_until_gone()

    def wait(self) -> None:
        """Wait until the broker that this object started ends by itself. Raises BrokerEnded then."""
        if self._process is not None:
            raise BrokerEnded(self._process.wait(), self._tail())

    def wait_until_gone(self) -> None:
        """Wait until no broker runs on the folder, whoever ended it. Raises TimeoutError after ten seconds."""
        if not _within(_KILL_SECONDS, lambda: self.pid is None):
            raise TimeoutError(f"process {self.pid} still runs after {_KILL_SECONDS:g} s")
        self._forget()

    @property
    def _pid_file(self) -> Path:
        return self.folder / "broker.pid"

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"

    @property
    def _server_properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log_properties(self) -> Path:
        return self.folder / "log4j2.properties"

    def _take(self, descriptor: int) -> None:
        if not _within(1, lambda: _locked(descriptor)):
            raise AlreadyRunning(self.folder, self._noted_pid())

    def _check_ports(self) -> None:
        for port in (*self.ports, *(door.port for door in self.doors)):
            if not _is_free(port):
                raise PortTaken(port)

    def _prepare(self, java: Sequence[str]) -> None:
        """Write what it is told, and format its storage the first time."""
        if self.security.endswith("ssl"):
            self.certificates.make()
        data = self.folder / "data"
        text = server_properties(
            data=data,
            ports=self.ports,
            security=self.security,
            user=self.user,
            certificates=self.certificates,
            doors=self.doors,
            more=self._properties,
        )
        self._server_properties.touch(mode=0o600)
        self._server_properties.write_text(text)
        self._log_properties.write_text(logging_properties(self.log))
        if self.log.exists():
            self.log.replace(f"{self.log}.1")
        if (data / "meta.properties").exists():
            return
        cluster = ("--cluster-id", "storepulse-local-kafka", "--standalone", "--ignore-formatted")
        scram = (
            part for each in scram_credentials(self.security, self.user) for part in ("--add-scram", each)
        )
        config = ("--config", str(self._server_properties))
        run("kafka storage format", [*java, "kafka.tools.StorageTool", "format", *cluster, *config, *scram])

    def _spawn(self, java: Sequence[str], lock: int) -> "subprocess.Popen[bytes]":
        logging = f"-Dlog4j2.configurationFile={self._log_properties}"
        with self._console.open("wb") as console:
            return subprocess.Popen(
                [*java, logging, "kafka.Kafka", str(self._server_properties)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(lock,),
                start_new_session=True,
            )

    def _wait_until_it_serves(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        def served_or_ended() -> bool:
            return process.poll() is not None or (
                serves(HOST, self.ports.internal) and listens(HOST, self.ports.client)
            )

        answered = _within(seconds, served_or_ended)
        if process.returncode is not None:
            raise BrokerEnded(process.returncode, self._tail())
        if not answered:
            raise NotReady(self.bootstrap, seconds, self._tail())

    def _end(self, number: signal.Signals) -> None:
        self._dismiss_watcher()
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)

    def _forget(self) -> None:
        """Let go of a process that has ended, and of its watcher."""
        self._dismiss_watcher()
        if self._process is not None:
            self._process.wait(_KILL_SECONDS)
            self._process = None

    def _dismiss_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def _noted_pid(self) -> int | None:
        text = self._pid_file.read_text().strip()
        return int(text) if text.isdigit() else None

    def _tail(self) -> str:
        texts = (
            path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
            for path in (self.log, self._console)
            if path.exists()
        )
        return "\n".join(filter(None, texts)) or f"(nothing in {self.log})"


def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _watcher_of(pid: int) -> "subprocess.Popen[bytes]":
    """Reads a pipe that only we can write to: it ends when we do, however that happens."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill "$0"', str(pid)], stdin=subprocess.PIPE, start_new_session=True
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, that no system gives to an outgoing connection, and that nobody got before.

    Whoever got some may listen on them later than the next one asks.
    """
    candidates = random.sample([port for port in _PORTS if port not in _given_out], 200)
    ports = list(islice((port for port in candidates if _is_free(port)), count))
    _given_out.update(ports)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True
