"""What can keep a question from being answered.

    QueryError
    ├── StateUnreadable        the tables cannot be read just now
    │   ├── TableUnreadable    RocksDB does not open one, which may pass
    │   ├── TableBroken        one is open, and some of its rows cannot be read
    │   ├── OtherZoneDatabase  one was made with another zone database
    │   ├── StateRestoring     one is missing, or not whole yet
    │   └── FolderUnwritable   we cannot write what reading takes
    ├── ReaderClosed           the API is going down
    ├── NothingPolled          no poll of any store, and no as_of was named
    ├── AsOfOutside            as_of lies where no exact answer can be given
    ├── MisspeltParameter      a query parameter that nearly is as_of, but not quite
    ├── UnknownStore           no poll, hours or zone names the store
    ├── UnknownReport          no report has this id
    ├── ReportsUnwritable      the reports folder takes no more, or nothing at all
    ├── ReportsBusy            more reports wait to be made than we let wait
    ├── ReportsFull            no report may go, and so none may come
    └── WaitedTooLong          what a report needs was not readable in time

Owns: these, with the values they carry. Must not know: HTTP (query_api.problems gives each its status).
schemas.compatibility.NewerState stands beside them: stored bytes that a newer version wrote, or one with newer
zones.
"""

from pathlib import Path

from schemas.table_scans import RowsUnreadable
from schemas.values import format_timestamp
from stream.core.windows import Window


class QueryError(Exception):
    """A question that has no answer, in words for whoever asked it."""


class StateUnreadable(QueryError):
    """The tables cannot be read just now."""


class TableUnreadable(StateUnreadable):
    """RocksDB does not open the table of `partition`, which may pass; `cause` is its text."""

    def __init__(self, partition: int, cause: str) -> None:
        super().__init__(
            f"the table of partition {partition} cannot be read ({cause}): "
            "try again; if it stays so, look whether the worker runs on the same state folder"
        )
        self.partition = partition
        self.cause = cause


class TableBroken(StateUnreadable):
    """The table at `path` has rows that RocksDB cannot read; `cause` is its text."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(str(RowsUnreadable(path, cause)))
        self.path = path
        self.cause = cause


class OtherZoneDatabase(StateUnreadable):
    """The table of `partition` was made with zone database `stored`, this program has `ours`."""

    def __init__(self, partition: int, stored: str, ours: str) -> None:
        super().__init__(
            f"the table of partition {partition} was made with zone database {stored}, this API has {ours}: "
            "give worker and API the same version of storepulse and restart the worker, which then rebuilds "
            "its tables"
        )
        self.partition = partition
        self.stored = stored
        self.ours = ours


class StateRestoring(StateUnreadable):
    """The tables hold part of a state; `obstacle` says of which one what is missing."""

    def __init__(self, obstacle: str) -> None:
        super().__init__(f"the tables are not whole yet ({obstacle}): ask again, /health tells the progress")
        self.obstacle = obstacle


class FolderUnwritable(StateUnreadable):
    """Reading takes a few files in `folder`, and they cannot be written; `cause` is the system's text."""

    def __init__(self, folder: Path, cause: str) -> None:
        super().__init__(f"reading the tables takes some files in {folder}, which cannot be written: {cause}")
        self.folder = folder
        self.cause = cause


class ReaderClosed(QueryError):
    """The reader was closed while, or before, it was asked."""

    def __init__(self) -> None:
        super().__init__("this API is shutting down")


class NothingPolled(QueryError):
    """No store has a poll, so there is no latest one to look back from."""

    def __init__(self) -> None:
        super().__init__(
            "no store has been polled yet: send polls, or name the instant to look back from as as_of"
        )


class AsOfOutside(QueryError):
    """`as_of_us` lies outside `span`, whose ends may both be asked for."""

    def __init__(self, as_of_us: int, span: Window) -> None:
        super().__init__(
            f"as_of {format_timestamp(as_of_us)} cannot be answered exactly: polls are retained for instants "
            f"from {format_timestamp(span.from_us)} to {format_timestamp(span.to_us)}"
        )
        self.as_of_us = as_of_us
        self.span = span


class MisspeltParameter(QueryError):
    """The caller named the parameter `name`, which `meant` must be; the call takes that or not."""

    def __init__(self, name: str, meant: str, *, is_taken: bool) -> None:
        quoted = repr(name[:100])
        super().__init__(
            f"there is no query parameter {quoted}: {meant} must be meant"
            if is_taken
            else f"this call takes no {meant}, which {quoted} must mean: leave it out"
        )
        self.name = name
        self.meant = meant
        self.is_taken = is_taken


class UnknownStore(QueryError):
    """No store goes by the id `text`."""

    def __init__(self, text: str) -> None:
        super().__init__(f"no poll, business hours or zone names a store {text!r}")
        self.text = text


class UnknownReport(QueryError):
    """No report goes by the id `text`: it never did, or it was removed to make room for later ones."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"no report has the id {text!r}: it is malformed, unknown, or was removed for newer ones"
        )
        self.text = text


class ReportsUnwritable(QueryError):
    """Nothing can be written to the reports folder; `cause` is the system's text."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the reports folder cannot be written: {cause}")
        self.cause = cause


class ReportsBusy(QueryError):
    """`waiting` reports are asked for and not yet made."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} reports wait to be made: ask again when some of them are")
        self.waiting = waiting


class ReportsFull(QueryError):
    """As many reports are kept as may be, or as many bytes of them, and none of them may go yet."""

    def __init__(self, kept: int, kept_bytes: int) -> None:
        super().__init__(
            f"no room for another report: {kept:,} are kept ({kept_bytes:,} bytes), and none goes within an hour "
            "after it was made, or while it is downloaded. Ask again later, or raise STOREPULSE_REPORTS_KEPT "
            "and STOREPULSE_REPORTS_BYTES"
        )
        self.kept = kept
        self.kept_bytes = kept_bytes


class WaitedTooLong(QueryError):
    """What a report needs was not readable within `patience_s`; `obstacle` is what it waited for last."""

    def __init__(self, patience_s: float, obstacle: str) -> None:
        super().__init__(f"the state was not readable within {patience_s:g} s: {obstacle}")
        self.patience_s = patience_s
        self.obstacle = obstacle


def system_text(error: OSError) -> str:
    """What the system says of an error, without the path."""
    return error.strerror or str(error)
