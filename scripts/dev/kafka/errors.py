"""What can go wrong with a local Kafka. Every message says what to do.

LocalKafkaError
├── ToolMissing     java, mvn or openssl is not there
├── ToolTooOld      it is, in a version that cannot do it
├── CommandFailed   it was run and failed
├── AlreadyRunning  the folder has a running broker
├── PortTaken       somebody listens where it would
├── BrokerEnded     the broker ended by itself
└── NotReady        it did not answer in time
"""

from pathlib import Path


class LocalKafkaError(Exception):
    """Any of these."""


class ToolMissing(LocalKafkaError):
    """The command `tool` is not there."""

    def __init__(self, tool: str, needed: str) -> None:
        super().__init__(f"{tool} not found: install {needed}, and have it in PATH")
        self.tool = tool


class ToolTooOld(LocalKafkaError):
    """`tool` is of version `found`; `needed` names the least that will do."""

    def __init__(self, tool: str, found: str, needed: str) -> None:
        super().__init__(f"{tool} is version {found}: install {needed}, and have it first in PATH")
        self.tool = tool
        self.found = found


class CommandFailed(LocalKafkaError):
    """`what` failed with an exit code; `output` is what it printed."""

    def __init__(self, what: str, code: int, output: str) -> None:
        super().__init__(f"{what} failed with exit code {code}:\n{output.strip() or '(it printed nothing)'}")
        self.what = what
        self.code = code


class AlreadyRunning(LocalKafkaError):
    """Process `pid` is the running broker of `folder` (None: it did not say)."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        super().__init__(f"{folder} has a running broker (process {pid}): stop it, or choose another folder")
        self.folder = folder
        self.pid = pid


class PortTaken(LocalKafkaError):
    """Somebody else listens on `port`."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: stop what listens there, or choose another port")
        self.port = port


class BrokerEnded(LocalKafkaError):
    """The broker ended with `code` by itself; `tail` is the end of its log."""

    def __init__(self, code: int, tail: str) -> None:
        super().__init__(f"Kafka ended with exit code {code}. The end of its log:\n{tail}")
        self.code = code
        self.tail = tail


class NotReady(LocalKafkaError):
    """The broker at `bootstrap` did not answer within `seconds`; `tail` is the end of its log."""

    def __init__(self, bootstrap: str, seconds: float, tail: str) -> None:
        super().__init__(
            f"Kafka did not answer at {bootstrap} within {seconds:g} s. The end of its log:\n{tail}"
        )
        self.bootstrap = bootstrap
        self.tail = tail
