"""The command `backup`: a copy of a state folder that opens, while worker, API and producers go on.

Owns: what of a state folder is kept, in which order it is copied, and what must fit together. Must not know: how
a table or a log is read while others write to it (scripts.operations.table_copies, stream.brokers.embedded.log).

    1. each table      as it was between two flushes; the positions that it names are those of the copy
    2. the log         as it is then, in one read transaction: never behind a table, as tables follow their log
    3. the reports     with their states first, for a state says Complete after its rows are there

Whoever opens the copy finds in its log all that its tables lack, provided that none of it was trimmed between 1
and 2; that is looked at, and both are copied again if need be. What a process makes for itself again is not kept:
locks, secondaries, worker.log, rejects.csv, and which replay the API waits for.

The copy is made under another name beside its own, synced, and renamed: it appears whole or not at all.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from query_api.reports.files import ReportFiles, ReportStatus
from query_api.snapshots.scans import value_of
from schemas.atomic_write import PART
from schemas.compatibility import NewerState
from schemas.distribution import running_version
from schemas.positions import Positions
from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.local import OFFSET_KEY, TARGET_KEY, WHOLE_KEY
from schemas.rows.positions import decode_positions
from schemas.settings import Settings
from schemas.table_scans import Table
from schemas.topics import CHANGELOG, SOURCES
from schemas.values import format_timestamp
from scripts.operations.errors import (
    CopyError,
    LogTrimmed,
    NoRoom,
    NothingThere,
    TableAhead,
    TableNotWhole,
    TargetUnusable,
)
from scripts.operations.table_copies import copy_rows, partitions_in, still_table
from stream.brokers.embedded.errors import LogFull
from stream.brokers.embedded.log import EmbeddedLog
from stream.core.calendar import ZONE_DATABASE

FACTS: Final = "backup.json"
FACTS_VERSION: Final = 1

_TRIES: Final = 5
"""How often tables and log are copied before it is said that trimming is too fast."""
_TRIMMED: Final = frozenset(source.name for source in SOURCES if source.cleanup == "delete")
"""Topics that lose records which nothing replaces."""
_FULL: Final = ("No space left on device", "Disk quota exceeded")
"""How RocksDB says so: with an exception of no kind."""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy says of itself, in `backup.json`.

    `positions`: by topic and partition, the offset of the first record that is not in the tables; they are exact
    as of these. `zone_database`: the release that the tables were made with.
    """

    version: int = FACTS_VERSION
    storepulse: str
    made_at: str
    zone_database: str
    positions: dict[str, dict[int, int]]


def back_up(settings: Settings, target: Path) -> Backup:
    """Copy the state folder of `settings` to the folder `target`, which must not exist, or be empty.

    On Kafka the log is the broker's: then tables and reports are copied. Only the user can read the copy. Raises
    CopyError, LogError, and OSError; then nothing is left behind.
    """
    target = target.expanduser().resolve()
    _check_target(target, settings.state.resolve())
    part = target.with_name(f".{target.name}.{uuid4().hex[:12]}{PART}")
    with _only_for_us(), _saying_no_room(target):
        try:
            part.mkdir()
            made = _fill(part, settings)
            _sync(part)
            part.rename(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _sync_one(target.parent)
    return made


def _check_target(target: Path, state: Path) -> None:
    if target.is_relative_to(state):
        raise TargetUnusable(target, f"it lies in the state folder itself. Name a folder outside of {state}")
    if target.is_mount():
        raise TargetUnusable(
            target, "a disk is mounted there, and the copy takes its place whole. Name a folder in it"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TargetUnusable(target, "something is there. Name a folder that is empty or does not exist")
    if not target.parent.is_dir():
        raise TargetUnusable(target, f"{target.parent} is no folder. Make it first")


def _fill(folder: Path, settings: Settings) -> Backup:
    copy = Settings(state=folder, broker=f"embedded://{folder / 'log.db'}")
    if settings.is_embedded:
        positions = _copy_tables_and_log(settings, copy)
    else:
        positions = _copy_tables(settings, copy)
        if not positions and not settings.reports_dir.is_dir():
            raise NothingThere("table", settings.tables_dir)
    _copy_reports(settings.reports_dir, copy.reports_dir)
    made = Backup(
        storepulse=running_version(),
        made_at=format_timestamp(time.time_ns() // 1000),
        zone_database=_zone_database(copy),
        positions=_listed(positions),
    )
    (folder / FACTS).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return made


def _copy_tables_and_log(settings: Settings, copy: Settings) -> Positions:
    if not settings.log_path.is_file():
        raise NothingThere("log", settings.log_path)
    with EmbeddedLog(settings.log_path) as log:
        attempt = 1
        while True:
            positions = _copy_tables(settings, copy)
            try:
                with log.still():
                    _check_together(log, positions, attempt)
                    log.copy_to(copy.log_path)
            except LogTrimmed:
                if attempt == _TRIES:
                    raise
                attempt += 1
                shutil.rmtree(copy.worker_dir)
            else:
                return positions


def _copy_tables(settings: Settings, copy: Settings) -> Positions:
    """Copy all tables; how far each reaches, in its sources and in the changelog. Raises TableNotWhole."""
    positions: Positions = {}
    for partition in partitions_in(settings):
        with still_table(settings.table_path(partition)) as table:
            _check_whole(table, partition)
            known = decode_positions(partial(value_of, table))
            applied = {source.name: known.get(source.name, 0) for source in SOURCES}
            last = _number(table, OFFSET_KEY)
            applied[CHANGELOG] = 0 if last is None else last + 1
            positions |= {(topic, partition): offset for topic, offset in applied.items()}
            copy_rows(table, copy.table_path(partition))
    return positions


def _check_whole(table: Table, partition: int) -> None:
    if value_of(table, WHOLE_KEY) is None:
        raise TableNotWhole(partition, has=_number(table, OFFSET_KEY), target=_number(table, TARGET_KEY))


def _number(table: Table, key: bytes) -> int | None:
    value = value_of(table, key)
    return None if value is None else int(value)


def _check_together(log: EmbeddedLog, positions: Positions, attempt: int) -> None:
    """Whether the log has all that the tables lack, and all that they have. Raises TableAhead, LogTrimmed."""
    for (topic, partition), position in positions.items():
        if position > (end := log.end_offset(topic, partition)):
            raise TableAhead(topic, partition, position, end)
        if topic in _TRIMMED and position < (begin := log.begin_offset(topic, partition)):
            raise LogTrimmed(topic, partition, position, begin, attempt)


def _copy_reports(folder: Path, copy: Path) -> None:
    """Copy the reports; what is removed meanwhile, to make room for newer ones, is left out."""
    if not folder.is_dir():
        return
    copy.mkdir()
    states = [path for path in _plain_files(folder) if path.suffix == ".json"]
    for path in states:
        _copy_file(path, copy)
    for path in _plain_files(folder):
        if path.suffix != ".json":
            _copy_file(path, copy)
    copied = ReportFiles(copy)
    for path in states:
        with suppress(NewerState):  # whoever can read it will see for itself
            state = copied.read(path.stem)
            if state and state.status is ReportStatus.COMPLETE and not copied.csv_path(path.stem).exists():
                copied.remove(path.stem)


def _plain_files(folder: Path) -> list[Path]:
    """No folders, no unfinished files, and no links: they may lead anywhere."""
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]


def _copy_file(path: Path, folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.copyfile(path, folder / path.name)


def _zone_database(copy: Settings) -> str:
    """The release that the copied tables were made with; ours where there is none yet."""
    for partition in partitions_in(copy):
        with still_table(copy.table_path(partition)) as table:
            if made_with := value_of(table, ZONE_DATABASE_KEY):
                return made_with.decode()
    return ZONE_DATABASE


def _listed(positions: Positions) -> dict[str, dict[int, int]]:
    """Positions of the topics that polls, hours and zones come from."""
    listed: dict[str, dict[int, int]] = {source.name: {} for source in SOURCES}
    for (topic, partition), offset in sorted(positions.items()):
        if topic in listed:
            listed[topic][partition] = offset
    return listed


@contextmanager
def _only_for_us() -> Iterator[None]:
    """What is made in the block, nobody else may read: folders 0700, files 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _saying_no_room(target: Path) -> Iterator[None]:
    try:
        yield
    except CopyError:
        raise
    except Exception as error:
        is_full = isinstance(error, LogFull) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if is_full or any(text in str(error) for text in _FULL):
            raise NoRoom(target) from error
        raise


def _sync(folder: Path) -> None:
    """Make a folder and all that is in it durable."""
    for path in folder.rglob("*"):
        _sync_one(path)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
