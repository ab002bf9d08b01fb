"""What happens in a round, as values.

Owns: the verbs, and how an action reads in print. Must not know: how any is performed (tests.chaos.world).
"""

from dataclasses import dataclass
from enum import Enum


class Verb(Enum):
    """What is done. The subject is a worker's number where there is one."""

    SEND = "send"
    ABORT = "send and abort"
    WAIT = "wait"
    FREEZE = "SIGSTOP worker"
    WAKE = "SIGCONT worker"
    CUT = "cut the line of worker"
    HOLD = "hold the line of worker"
    OPEN = "open the line of worker"
    KILL = "kill -9 worker"
    STOP = "SIGTERM worker"
    START = "start worker"
    WIPE = "wipe the tables of worker"
    KILL_REPLICA = "kill -9 the replica"
    WIPE_REPLICA = "wipe the tables of the replica"
    START_REPLICA = "start the replica"
    BOUNCE = "kill -9 the broker, and start it"
    RESET_EARLIEST = "reset the group to earliest"
    RESET_LATEST = "reset the group to latest"
    COMPACT = "roll and compact the changelog"


@dataclass(frozen=True, slots=True)
class Note:
    """A record to be sent: to which partition, and how far its clock is off, in milliseconds."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    skew_ms: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is done, when the one before it is done; sends are queued and go out meanwhile."""

    verb: Verb
    subject: int = 0
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        match self.verb:
            case Verb.SEND | Verb.ABORT:
                return f"{self.verb.value} {len(self.notes)} records"
            case Verb.WAIT:
                return f"wait {self.seconds:.2f} s"
            case Verb.BOUNCE:
                return f"{self.verb.value} after {self.seconds:.1f} s"
            case _:
                named = self.verb.value.endswith("worker")
                return f"{self.verb.value} {self.subject}" if named else self.verb.value


@dataclass(frozen=True, slots=True)
class Story:
    """A round: its actions in order, and what the broker and the fleet are like."""

    seed: int
    partitions: int
    workers: int
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        head = f"seed {self.seed}, {self.partitions} partitions, {self.workers} workers"
        return "\n".join((head, *(f"{number:4} {action}" for number, action in enumerate(self.actions))))
