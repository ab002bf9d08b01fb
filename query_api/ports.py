"""What the API must learn of broker and worker, whichever they are.

Owns: the questions. Must not know: who answers them (stream.brokers.opening), what becomes of the answers.
"""

from typing import Literal, Protocol

from schemas.positions import Positions


class BrokerProbe(Protocol):
    """Asked from the event loop of the API. An answer may take as long as the broker lets it: set a limit."""

    async def end_offsets(self) -> Positions:
        """Of each (source topic, partition), the offset that its next record will get, whoever may read it by now.

        Asked of the broker again each time. Raises when unreachable.
        """

    async def worker_alive(self) -> bool | None:
        """Whether somebody fills the tables; None where it cannot be known from here."""

    def replay_target(self) -> Positions | Literal["pending"] | None:
        """What must be applied before we are ready: positions of the replay that `up --data` made.

        "pending" while it is not yet all in the log; None where there is none.
        """

    async def close(self) -> None:
        """Let go of the broker."""
