"""What can keep a state folder from being copied, or its tables from being read as they stand.

    CopyError
    ├── TargetUnusable      the folder named cannot take the copy
    ├── NoRoom              the disk of the copy is full
    ├── NothingThere        no log, or no table, where the settings say
    ├── TableUnreadable     no view of a table could be had that is whole
    ├── TableNotWhole       a table is being restored
    ├── LogTrimmed          the log begins behind where a table ends, each time that both were copied
    └── TableAhead          a table knows more than its log: they do not belong together

Owns: these, with the values they carry. Must not know: who copies, how.
"""

from pathlib import Path


class CopyError(Exception):
    """The state folder cannot be copied, in words for whoever wanted it."""


class TargetUnusable(CopyError):
    """The copy cannot be made as the folder `target`; `cause` says why and what to do."""

    def __init__(self, target: Path, cause: str) -> None:
        super().__init__(f"no backup can be made as {target}: {cause}")
        self.target = target


class NoRoom(CopyError):
    """The disk of `target` is full."""

    def __init__(self, target: Path) -> None:
        super().__init__(
            f"no space left on the disk for the backup {target}, and nothing of it was kept: make room, or name "
            "a folder on another disk"
        )
        self.target = target


class NothingThere(CopyError):
    """`what` is missing at `path`."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(
            f"there is no {what} at {path}: give this command the --state and --broker that the worker has"
        )
        self.path = path


class TableUnreadable(CopyError):
    """The table at `path` could not be read as it was at one moment; `cause` says why."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            f"the table {path} could not be read as it was at one moment ({cause}): try again, and if it stays "
            "so, look at the disk and at what the worker says"
        )
        self.path = path
        self.cause = cause


class TableNotWhole(CopyError):
    """The table of `partition` has the changelog up to offset `has`, and must get to `target`; None: not known."""

    def __init__(self, partition: int, has: int | None, target: int | None) -> None:
        reached = "" if target is None else f": {has or 0} of {target}"
        super().__init__(
            f"partition {partition} is being restored{reached}. Its table is no state that ever was until that is "
            "done: let the worker finish, then try again"
        )
        self.partition = partition
        self.has = has
        self.target = target


class LogTrimmed(CopyError):
    """The table of `partition` has `topic` up to `position`, its log begins at `begin`, which is later."""

    def __init__(self, topic: str, partition: int, position: int, begin: int, tries: int) -> None:
        super().__init__(
            f"the log was trimmed behind the table while both were copied, {tries} times: of {topic}, partition "
            f"{partition}, the table has the records before {position}, the log begins at {begin}. Try again with "
            "a longer STOREPULSE_LOG_RETENTION_DAYS on the worker"
        )
        self.topic = topic
        self.partition = partition
        self.position = position
        self.begin = begin


class TableAhead(CopyError):
    """The table of `partition` has `topic` up to `position`, and its log ends at `end`, which is earlier."""

    def __init__(self, topic: str, partition: int, position: int, end: int) -> None:
        super().__init__(
            f"the table of partition {partition} has the records of {topic} before {position}, but the log ends at "
            f"{end}: they do not belong together, no copy would be exact. Is it the --broker of this --state?"
        )
        self.topic = topic
        self.partition = partition
        self.position = position
        self.end = end
