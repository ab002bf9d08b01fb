"""What can go wrong with an embedded log, and what to do about it.

    LogError
    ├── LogUnusable              the file cannot be opened as a log of ours
    │   ├── LogNotWritable       its folder or file cannot be written
    │   ├── NotALog              the file is something else
    │   └── LogTooNew            a newer version of the program made it
    ├── LogFailed                the log is ours, but an operation failed; nothing of it was written
    │   ├── LogFull              no room left on the disk
    │   ├── LogBusy              another process kept the log locked
    │   └── LogDamaged           the operating system or SQLite reports an I/O error or broken pages
    ├── RecordTooLarge           a record is more than Kafka would take
    ├── UnknownPartition         nobody declared that topic, or it has fewer partitions
    └── PartitionCountChanged    a topic was declared with another number of partitions

Must not know: who reads or writes the log.
"""

import sqlite3
from pathlib import Path


class LogError(Exception):
    """Any failure of an embedded log."""


class LogUnusable(LogError):
    """The file at `path` cannot be used as a log."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


class LogNotWritable(LogUnusable):
    """The folder or the file of the log cannot be written."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            path,
            f"The log {path} cannot be opened for writing ({cause}). "
            f"Give this user the right to write in {path.parent}, or choose another state folder.",
        )


class NotALog(LogUnusable):
    """The file is no SQLite database, or one that another program made."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, f"{path} exists but is not a storepulse log. Move it away or name another path for the log."
        )


class LogTooNew(LogUnusable):
    """The log has schema `found`; this program reads up to `supported`."""

    def __init__(self, path: Path, found: int, supported: int) -> None:
        super().__init__(
            path,
            f"The log {path} has version {found}; this program knows versions up to {supported}. "
            "Upgrade storepulse, or use another state folder.",
        )
        self.found = found
        self.supported = supported


class LogFailed(LogError):
    """An operation on the log at `path` failed and left the log as it was."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


class LogFull(LogFailed):
    """SQLite found no room for the write."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            f"No room left on the disk for the log {path}. Nothing was written. "
            "Free some space or shorten the retention, then start again: work goes on where it stopped.",
        )


class LogBusy(LogFailed):
    """Another process held the write lock for longer than `waited_s` seconds."""

    def __init__(self, path: Path, waited_s: float) -> None:
        super().__init__(
            path,
            f"Another process kept the log {path} locked for more than {waited_s:g} s. "
            "Look for a stopped or hanging process that has the file open, end it and try again.",
        )
        self.waited_s = waited_s


class LogDamaged(LogFailed):
    """SQLite reports an I/O error or a malformed file; `cause` is its own text."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            path,
            f"The log {path} could not be read or written ({cause}). Check the disk and its limits; "
            "if the file is broken, move it away and replay the source data into a new log.",
        )
        self.cause = cause


class RecordTooLarge(LogError):
    """A record for `topic` has `size` bytes, its headers among them, and may have `most`."""

    def __init__(self, topic: str, size: int, most: int) -> None:
        super().__init__(
            f"A record for topic {topic!r} has {size:,} bytes; {most:,} is the most that one may have. "
            "Nothing was written. Split it into several records, or leave it out."
        )
        self.topic = topic
        self.size = size
        self.most = most


class UnknownPartition(LogError):
    """`topic` has `partitions` partitions (0: it was never declared), so `partition` does not exist."""

    def __init__(self, topic: str, partition: int, partitions: int) -> None:
        found = f"it has {partitions}, numbered from 0" if partitions else "nobody declared the topic"
        super().__init__(f"No partition {partition} of topic {topic!r}: {found}. Declare the topic first.")
        self.topic = topic
        self.partition = partition
        self.partitions = partitions


class PartitionCountChanged(LogError):
    """`topic` exists with `old` partitions and was declared again with `new`."""

    def __init__(self, topic: str, old: int, new: int) -> None:
        super().__init__(
            f"Topic {topic!r} has {old} partitions; {new} were asked for. Keys would move between partitions "
            f"and state would split. Set the partition count back to {old}, or start with a new state folder "
            "and replay the source data."
        )
        self.topic = topic
        self.old = old
        self.new = new


def explained(error: sqlite3.Error, path: Path, waited_s: float) -> LogError | None:
    """The error of the tree above that says what SQLite's `error` means for the user; None: it is our bug."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return LogFull(path)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LogBusy(path, waited_s)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return LogNotWritable(path, str(error))
    if name == "SQLITE_NOTADB":
        return NotALog(path)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_PROTOCOL", "SQLITE_NOMEM")):
        return LogDamaged(path, str(error))
    return None
