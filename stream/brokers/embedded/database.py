"""The SQLite file under a log: how it is opened, what is in it, and its transactions.

Owns: the schema and its version, the pragmas, the turning of SQLite's errors into ours.
Must not know: what the records mean, nor who asks.

Durability: `synchronous = FULL` on a write-ahead log. A transaction that returned survives kill -9 and a power
cut, so a table on disk is never ahead of its changelog. Measured on a virtual disk, records of 1 KB, 5,000 to
a transaction: 278,000 records/s against 303,000 with NORMAL. Writers must group, because a transaction of one
record costs one fsync too.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from stream.brokers.embedded.errors import LogBusy, LogNotWritable, LogTooNew, NotALog, explained
from stream.brokers.embedded.rows import COLUMNS
from stream.brokers.embedded.turn import Turn

VERSION: Final = 2
"""Version of the schema below, kept in `PRAGMA user_version`. 1 had no identity."""

APPLICATION_ID: Final = 0x53504C47
"""'SPLG' in `PRAGMA application_id`: tells our file from any other SQLite database."""

PAGE_BYTES: Final = 16_384
"""Records of a kilobyte want large pages: 4 times the append rate of 4 KB pages, a third of the file."""

STATEMENTS: Final = 512
"""Prepared statements to keep: some for each partition."""

CHECKPOINT_PAGES: Final = 4_000
"""The write-ahead log goes back into the file at about 64 MiB."""

_PAGES_A_STEP: Final = 1_024

_SCHEMA: Final = (
    "CREATE TABLE topics (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, cleanup TEXT NOT NULL)"
    " WITHOUT ROWID",
    # clean_end: compaction has passed over every record below; clean_records: how many it left there.
    "CREATE TABLE partitions (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,"
    " end_offset INTEGER NOT NULL DEFAULT 0, clean_end INTEGER NOT NULL DEFAULT 0,"
    " clean_records INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition))",
    "CREATE TABLE commits (group_id TEXT NOT NULL, partition_id INTEGER NOT NULL,"
    " next_offset INTEGER NOT NULL, PRIMARY KEY (group_id, partition_id)) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_IDENTITY: Final = (
    "CREATE TABLE identity (id TEXT NOT NULL)",
    "INSERT INTO identity VALUES (lower(hex(randomblob(16))))",
    f"PRAGMA user_version = {VERSION}",
)
"""What version 2 added: a log that was made in the place of another one is told from it."""


def records_table(partition_id: int) -> str:
    """Name of the table that holds one partition's records.

    A table for each partition keeps every append at the right edge of its own B-tree, where SQLite fills
    pages whole: 278,000 records/s against 204,000 with all partitions in one table.
    """
    return f"records_{partition_id}"


def create_records_table(partition_id: int) -> str:
    """SQL that creates the table of a new partition."""
    return f"CREATE TABLE {records_table(partition_id)} ({COLUMNS})"


class Database:
    """One connection to the file of a log, made if it is not there. One thread at a time may use it.

    Waits at most `busy_timeout_s` seconds for other writers. Raises the errors of `stream.brokers.embedded.errors`.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogNotWritable(path, str(error)) from error
        with self._explaining():
            self._connection = sqlite3.connect(
                path,
                timeout=busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=STATEMENTS,
            )
        try:
            with self._explaining():
                self._prepare()
            self._turn = Turn(path, busy_timeout_s)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection. Closing twice does nothing."""
        self._connection.close()
        self._turn.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of the block is written, or nothing."""
        with self._explaining():
            with self._turn:
                self._connection.execute("BEGIN IMMEDIATE")
            with self._all_or_nothing():
                yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        with self._explaining():
            yield self._connection

    @contextmanager
    def still(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries that all see the file as it was when the block began."""
        with self._explaining():
            self._connection.execute("BEGIN")
            try:
                self._is_empty()  # it is the first query that fixes the moment
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def copy_to(self, path: Path) -> None:
        """Copy everything to a new file. Inside of `still` it is what that block sees. Raises LogError of `path`.

        A copy that is made in steps begins again where others write between two of them: with one writer that
        did not pause, it had begun 256 times after 2 s. Inside of `still` it never does (195 MB in 0.4 s).
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous = OFF")
                # Called back after each step, Python also sees signals.
                self._connection.backup(copy, pages=_PAGES_A_STEP, progress=lambda *_: None)
        except sqlite3.Error as error:
            ours = explained(error, path, self._busy_timeout_s)
            if ours is None:
                raise
            raise ours from error

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            ours = explained(error, self.path, self._busy_timeout_s)
            if ours is None:
                raise
            raise ours from error

    def _prepare(self) -> None:
        if self._is_empty():
            self._create()
        application_id = self._pragma("application_id")
        version = self._pragma("user_version")
        if application_id != APPLICATION_ID:
            raise NotALog(self.path)
        if version > VERSION:
            raise LogTooNew(self.path, version, VERSION)
        if version < VERSION:
            self._migrate()
        for setting in (
            "synchronous = FULL",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"journal_size_limit = {CHECKPOINT_PAGES * PAGE_BYTES}",
            "cache_size = -32768",
            "secure_delete = OFF",
        ):
            self._connection.execute(f"PRAGMA {setting}")

    def _is_empty(self) -> bool:
        return self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None

    def _create(self) -> None:
        """Make the schema in one transaction, so that a file is a whole log or still empty."""
        self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        self._enter_wal()
        self._connection.execute("BEGIN IMMEDIATE")
        with self._all_or_nothing():
            if self._is_empty():  # another process may have been first
                for statement in (*_SCHEMA, *_IDENTITY):
                    self._connection.execute(statement)

    def _migrate(self) -> None:
        """Bring a file of version 1 up to date, in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._all_or_nothing():
            if self._pragma("user_version") < VERSION:  # another process may have been first
                for statement in _IDENTITY:
                    self._connection.execute(statement)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Commit the transaction that has begun; if the block raises, roll it back."""
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _enter_wal(self) -> None:
        """Switch to a write-ahead log; SQLite does not wait by itself when another process does so too."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                    raise
                if time.monotonic() > deadline:
                    raise LogBusy(self.path, self._busy_timeout_s) from error
                time.sleep(0.005)
            else:
                return

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
