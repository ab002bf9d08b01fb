"""What consumer and producer of one app share, as each of them sees it.

Owns: the port. Must not know: who offers it (stream.brokers.embedded.transport).
"""

from pathlib import Path
from typing import Protocol

from stream.brokers.embedded.topics import Topics


class Shared(Protocol):
    """The transport, to its consumer and its producer."""

    @property
    def path(self) -> Path:
        """The file of the log."""

    @property
    def topics(self) -> Topics:
        """What is known of the topics."""

    def wake_consumer(self) -> None:
        """Tell the consumer of this process that the log has grown."""
