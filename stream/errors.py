"""What can end a worker, or keep it from starting, and what to do about it.

    StreamError
    ├── TopicsUnusable            the broker, or the topics on it, cannot be used
    │   ├── BrokerUnreachable     no answer from Kafka within the patience configured
    │   ├── PartitionsDiffer      co-partitioned topics have different counts
    │   ├── PartitionsChanged     the topics have another count than STOREPULSE_PARTITIONS asks for
    │   └── PartitionsAdded       the topics have another count than when the state was made
    ├── BrokerLost                the broker was there, and refused or did not answer any more
    ├── DiskFull                  the tables find no room
    ├── MalformedChangelog        a changelog record is no row of ours
    ├── RowTooLarge               Kafka takes no record as large as a row has become
    ├── MetricsPortUnusable       a worker cannot serve its metrics where it was told to
    ├── LogReplaced               the tables were made from another log than the one that stands here now
    ├── ChangelogCut              the changelog was deleted or cut short while it was being followed
    └── NotLetIn                  the broker is there, but the group did not let this worker in again

Beside it stand stream.brokers.embedded.errors (the log) and schemas.state.NewerState. Must not know: who raises
them.
"""

from collections.abc import Mapping
from pathlib import Path


class StreamError(Exception):
    """Something outside of this worker must be seen to."""


class TopicsUnusable(StreamError):
    """The broker, or the topics on it, cannot be used."""


class BrokerUnreachable(TopicsUnusable):
    """None of `servers` answered within `patience_s` seconds; `cause` is the client's text."""

    def __init__(self, servers: list[str], patience_s: float, cause: str) -> None:
        super().__init__(
            f"no Kafka broker answers at {', '.join(servers)} (tried for {patience_s:g} s; {cause}): start it, or "
            "check --broker and the STOREPULSE_KAFKA_* settings"
        )
        self.servers = servers
        self.patience_s = patience_s


class PartitionsDiffer(TopicsUnusable):
    """Topics that must be co-partitioned have the partition `counts`."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        listed = ", ".join(f"{topic} {count}" for topic, count in sorted(counts.items()))
        super().__init__(
            f"these topics need one and the same number of partitions, but have: {listed}. A store's records "
            "would meet in no one place. Delete the topics that were changed, or all of them, and replay"
        )
        self.counts = dict(counts)


class PartitionsChanged(TopicsUnusable):
    """The topics have `found` partitions, the setting asks for `wanted`."""

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(
            f"the topics have {found} partitions, STOREPULSE_PARTITIONS asks for {wanted}: keys would move between "
            f"partitions. Leave the setting at {found}, or start a new state folder (embedded) or new topics "
            "(Kafka) and replay"
        )
        self.found = found
        self.wanted = wanted


class PartitionsAdded(TopicsUnusable):
    """The topics have `found` partitions, the state was made while they had `before`."""

    def __init__(self, found: int, before: int) -> None:
        super().__init__(
            f"the topics have {found} partitions, and had {before} when their polls were applied: keys have moved "
            "between partitions, so a store's records no longer meet in one place. Delete all topics and replay"
        )
        self.found = found
        self.before = before


class BrokerLost(StreamError):
    """The broker took something no more; `cause` is the client's text."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the broker was lost or refused a record ({cause}): see that it runs, then start this again; what was "
            "sent or applied twice does no harm"
        )
        self.cause = cause


class MalformedChangelog(StreamError):
    """The record at `offset` of a partition of the changelog is no row of ours."""

    def __init__(self, topic: str, partition: int, offset: int, cause: Exception) -> None:
        super().__init__(
            f"changelog {topic}, partition {partition}, offset {offset}: {cause}. Find out who wrote it. With "
            "STOREPULSE_MALFORMED_CHANGELOG=skip such records are left out"
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class RowTooLarge(StreamError):
    """Something that `partition` must send is larger than Kafka takes; `cause` is the text of the client."""

    def __init__(self, partition: int, cause: str) -> None:
        super().__init__(
            f"a row of partition {partition} is larger than Kafka takes ({cause}): raise max.message.bytes of the "
            "changelog, or look for a store with millions of polls on one day and forget it"
        )
        self.partition = partition
        self.cause = cause


class MetricsPortUnusable(StreamError):
    """A worker cannot listen on `host` and `port` for Prometheus; `cause` is the system's text."""

    def __init__(self, host: str, port: int, cause: str) -> None:
        super().__init__(
            f"the worker cannot serve its metrics on {host}:{port} ({cause}): choose another "
            "STOREPULSE_WORKER_METRICS_PORT, 0 for none, or stop what has it"
        )
        self.host = host
        self.port = port
        self.cause = cause


class LogReplaced(StreamError):
    """The log at `path` is empty, and not the one that the tables beside it were made from."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the tables in {path.parent} were made from another log than {path}, which is empty: put the log back "
            f"that belongs to them, or restore a backup; to begin with nothing, move {path.parent / 'worker'} away"
        )
        self.path = path


class ChangelogCut(StreamError):
    """The changelog of `partition` ends before `position`, up to which it was followed already."""

    def __init__(self, partition: int, position: int) -> None:
        super().__init__(
            f"the changelog of partition {partition} was deleted or cut short: it ends before offset {position}, "
            "up to which it was followed. Start this again: it then reads all of it from the beginning"
        )
        self.partition = partition
        self.position = position


class NotLetIn(StreamError):
    """The group of the workers did not let this one in again within `patience_s` seconds."""

    def __init__(self, patience_s: float) -> None:
        super().__init__(
            f"this worker lost its partitions and got none again within {patience_s:.0f} s, though the broker "
            "answers; nothing is lost: look for a worker that keeps joining and leaving, then start this one again"
        )
        self.patience_s = patience_s


class DiskFull(StreamError):
    """The tables in `state` find no room; `cause` is the system's text."""

    def __init__(self, state: Path, cause: str) -> None:
        super().__init__(
            f"no space left on the disk of {state} ({cause}): make room and start again; work goes on where it "
            "stopped"
        )
        self.state = state
