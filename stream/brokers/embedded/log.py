"""The embedded log: topics, partitions, records and committed offsets in one SQLite file.

Owns: what an offset is, appending, reading, committing. Several processes may use one file at once, each
through an `EmbeddedLog` of its own. Must not know: Faust, or what keys and values mean.

Offsets of a partition count from 0 and are never used twice, not even for records that are gone.
Failures are the errors of `stream.brokers.embedded.errors`; whatever raised one left the log as it was.
"""

import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from schemas.topics import CHANGELOG, MAX_RECORD_BYTES
from stream.brokers.embedded import cleaning, rows
from stream.brokers.embedded.database import Database, create_records_table, records_table
from stream.brokers.embedded.errors import PartitionCountChanged, RecordTooLarge, UnknownPartition
from stream.brokers.records import CUT_HEADER, Headers, NewRecord, Record, TopicPartition

Cleanup = Literal["delete", "compact"]
BUSY_TIMEOUT_S: Final = 30.0

_HEADER_BYTES: Final = 10
"""What Kafka puts around a header, at most."""


class TopicInfo(msgspec.Struct, frozen=True):
    """What a topic was declared with."""

    partitions: int
    cleanup: Cleanup


_COMMIT: Final = "INSERT OR REPLACE INTO commits VALUES (?, ?, ?)"

_pack_headers = msgspec.msgpack.Encoder().encode
_unpack_headers = msgspec.msgpack.Decoder(Headers).decode
_decode_ends = msgspec.json.Decoder(list[tuple[str, int, int]]).decode


class EmbeddedLog:
    """A durable log in the file `path`, which is made with its folder when missing.

    One thread at a time may use an instance. A write waits at most `busy_timeout_s` for other processes.
    Raises `LogUnusable` when the file cannot be a log, `LogFailed` when an operation fails.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._database = Database(path, busy_timeout_s)
        self._ids: dict[TopicPartition, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        self._database.close()

    def declare_topic(self, name: str, partitions: int, cleanup: Cleanup) -> None:
        """Make topic `name` with partitions 0 to `partitions` - 1 (at least 1), or find it as it should be.

        Another `cleanup` takes the place of the old one. Raises `PartitionCountChanged`.
        """
        if partitions < 1:
            raise ValueError(f"A topic needs at least one partition: {name!r} was given {partitions}")
        known = self.topics().get(name)
        if known == TopicInfo(partitions, cleanup):
            return
        with self._database.transaction() as db:
            row = db.execute("SELECT partitions FROM topics WHERE name = ?", (name,)).fetchone()
            if row is None:
                _create_partitions(db, name, partitions)
            elif row[0] != partitions:
                raise PartitionCountChanged(name, old=row[0], new=partitions)
            db.execute("INSERT OR REPLACE INTO topics VALUES (?, ?, ?)", (name, partitions, cleanup))

    def topics(self) -> dict[str, TopicInfo]:
        """Every declared topic by name."""
        with self._database.reading() as db:
            topics = db.execute("SELECT name, partitions, cleanup FROM topics ORDER BY name").fetchall()
        return {name: TopicInfo(partitions, cleanup) for name, partitions, cleanup in topics}

    def identity(self) -> str:
        """What no other log has: one that was made in its place has another."""
        with self._database.reading() as db:
            (identity,) = db.execute("SELECT id FROM identity").fetchone()
        return str(identity)

    def append(
        self,
        records: Iterable[NewRecord],
        group: str = "",
        commits: Mapping[TopicPartition, int] | None = None,
    ) -> list[int]:
        """Append all `records` in one transaction, or none; their offsets, in the order given.

        The next offsets to read of `commits` are noted for `group` in the same transaction. Other writers wait
        meanwhile: keep it to some ten thousand records. Raises `UnknownPartition`, and `RecordTooLarge` for what
        Kafka would not take either.
        """
        rows = [(group, self._id(*partition), offset) for partition, offset in (commits or {}).items()]
        tails: dict[TopicPartition, _Tail] = {}
        offsets: list[int] = []
        with self._database.transaction() as db:
            for record in records:
                partition = (record.topic, record.partition)
                tail = tails.get(partition)
                if tail is None:
                    tail = tails[partition] = self._tail(db, partition)
                offsets.append(tail.end_offset)
                tail.take(record)
            for tail in tails.values():
                tail.write(db)
            db.executemany(_COMMIT, rows)
        return offsets

    def read(
        self, topic: str, partition: int, from_offset: int, max_records: int, max_bytes: int
    ) -> list[Record]:
        """Records from `from_offset` on, in order: at most `max_records`, cut after `max_bytes`.

        Bytes are those of keys, values and headers. At least one record is read if there is any, whatever its
        size; one that would be refused today has an empty value and CUT_HEADER, and no key where that is long.
        Offsets may be missing where records were compacted or trimmed away. Empty at the end of the
        partition. Raises `UnknownPartition`.
        """
        table = self._table(topic, partition)
        with self._database.reading() as db:
            found = rows.select(db, table, from_offset, max_records, max_bytes, _max_bytes(topic))
        return [_record(topic, partition, row) for row in found]

    def begin_offset(self, topic: str, partition: int) -> int:
        """Offset of the oldest record that is left; the end offset if none is. Raises `UnknownPartition`."""
        with self._database.reading() as db:
            (oldest,) = db.execute(f"SELECT min(offset) FROM {self._table(topic, partition)}").fetchone()
        return self.end_offset(topic, partition) if oldest is None else int(oldest)

    def end_offset(self, topic: str, partition: int) -> int:
        """Offset that the next record will get; trimming and compaction do not change it."""
        with self._database.reading() as db:
            return cleaning.state_of(db, self._id(topic, partition)).end_offset

    def end_offsets(self) -> dict[TopicPartition, int]:
        """The end offset of every partition, in one short query."""
        with self._database.reading() as db:
            (listing,) = db.execute(
                "SELECT json_group_array(json_array(topic, partition, end_offset)) FROM partitions"
            ).fetchone()
        return {(topic, partition): end_offset for topic, partition, end_offset in _decode_ends(listing)}

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Note for `group` the next offset to read of each partition, all in one transaction."""
        commits = [(group, self._id(*partition), offset) for partition, offset in offsets.items()]
        with self._database.transaction() as db:
            db.executemany(_COMMIT, commits)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """The next offset to read of each partition that `group` has committed."""
        with self._database.reading() as db:
            commits = db.execute(
                "SELECT topic, partition, next_offset FROM commits JOIN partitions ON id = partition_id"
                " WHERE group_id = ?",
                (group,),
            ).fetchall()
        return {(topic, partition): offset for topic, partition, offset in commits}

    @contextmanager
    def still(self) -> Iterator[None]:
        """All that is read in the block is the log as it was when the block began; others write on meanwhile.

        It keeps the write-ahead log from being emptied: not for long. Nothing can be written in it.
        """
        with self._database.still():
            yield

    def copy_to(self, path: Path) -> None:
        """Copy the log to a new file; inside of `still` it is the log of that moment. Raises LogFailed of `path`.

        The copy is not made durable: whoever wants it so must sync it.
        """
        self._database.copy_to(path)

    def changes(self) -> int:
        """A number that differs from the last call's if another connection wrote to the log since.

        Costs microseconds: ask it as often as you like. Writes of this very instance do not count.
        """
        with self._database.reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    def dirty_ratio(self, topic: str, partition: int) -> float:
        """Share of the partition's records that compaction has not looked at: 0.0 (none) to 1.0 (all).

        Costs one look-up. Compaction is worthwhile from about 0.5, as in Kafka.
        """
        with self._database.reading() as db:
            return cleaning.state_of(db, self._id(topic, partition)).dirty_ratio

    def compact(self, topic: str, partition: int, *, tombstones_before_ms: int = 0) -> int:
        """Remove every record that a later one of its key replaces; how many were removed.

        A tombstone goes too once it is the last of its key and older than `tombstones_before_ms`
        (milliseconds since 1970; 0 keeps all). The partition's last record always stays, because whoever
        rebuilds from the log waits for it, and so do records without a key. Works in short transactions and
        bounded memory.
        """
        return cleaning.compact(self._database, self._id(topic, partition), tombstones_before_ms)

    def trim(self, topic: str, partition: int, *, before_offset: int, older_than_ms: int) -> int:
        """Remove records below `before_offset` with timestamps under `older_than_ms`; how many were removed.

        The partition's last record always stays. Looks at the oldest records only and stops where they are
        young. Works in short transactions.
        """
        return cleaning.trim(self._database, self._id(topic, partition), before_offset, older_than_ms)

    def _tail(self, db: sqlite3.Connection, partition: TopicPartition) -> "_Tail":
        partition_id = self._id(*partition)
        return _Tail(partition_id, cleaning.state_of(db, partition_id).end_offset)

    def _table(self, topic: str, partition: int) -> str:
        return records_table(self._id(topic, partition))

    def _id(self, topic: str, partition: int) -> int:
        found = self._ids.get((topic, partition))
        if found is None:
            with self._database.reading() as db:
                partitions = db.execute("SELECT topic, partition, id FROM partitions").fetchall()
            self._ids = {(name, number): partition_id for name, number, partition_id in partitions}
            found = self._ids.get((topic, partition))
        if found is None:
            count = sum(name == topic for name, _ in self._ids)
            raise UnknownPartition(topic, partition, count)
        return found


class _Tail:
    """The right edge of one partition during an append."""

    __slots__ = ("_partition_id", "_rows", "end_offset")

    def __init__(self, partition_id: int, end_offset: int) -> None:
        self._partition_id = partition_id
        self._rows: list[rows.Row] = []
        self.end_offset = end_offset

    def take(self, record: NewRecord) -> None:
        size, most = _size_of(record), _max_bytes(record.topic)
        if size > most:
            raise RecordTooLarge(record.topic, size, most)
        headers = _pack_headers(record.headers) if record.headers else None
        self._rows.append((self.end_offset, record.timestamp_ms, record.key, record.value, headers))
        self.end_offset += 1

    def write(self, db: sqlite3.Connection) -> None:
        rows.insert(db, records_table(self._partition_id), self._rows)
        db.execute("UPDATE partitions SET end_offset = ? WHERE id = ?", (self.end_offset, self._partition_id))


def _max_bytes(topic: str) -> int:
    """Bytes that a record may have. The table's own rows are what good records add up to: they must go in."""
    return sys.maxsize if topic == CHANGELOG else MAX_RECORD_BYTES


def _size_of(record: NewRecord) -> int:
    """Bytes of a record, as Kafka would count them."""
    size = len(record.key or b"") + len(record.value or b"")
    if record.headers:
        size += sum(len(name.encode()) + len(content) + _HEADER_BYTES for name, content in record.headers)
    return size


def _record(topic: str, partition: int, row: rows.Row | rows.Oversized) -> Record:
    if isinstance(row, rows.Oversized):
        sizes = b"key %d, value %d bytes" % (row.key_bytes, row.value_bytes)
        return Record(topic, partition, row.offset, row.timestamp_ms, row.key, b"", ((CUT_HEADER, sizes),))
    offset, timestamp_ms, key, value, packed = row
    return Record(
        topic, partition, offset, timestamp_ms, key, value, _unpack_headers(packed) if packed else ()
    )


def _create_partitions(db: sqlite3.Connection, topic: str, partitions: int) -> None:
    for partition in range(partitions):
        cursor = db.execute("INSERT INTO partitions (topic, partition) VALUES (?, ?)", (topic, partition))
        if cursor.lastrowid is None:
            raise AssertionError("an INSERT into a rowid table has a rowid")
        db.execute(create_records_table(cursor.lastrowid))
