"""The reports folder: a state and, once complete, a CSV for each report.

Owns: the names and bytes of these files, and which may go. Must not know: how a report is made, how many are kept
(query_api.reports.room), HTTP.

    <report id>.json       the state; a report exists when this does
    <report id>.csv        the rows; there before its state says Complete, locked by whoever reads them
    .<name>.<random>.part  unfinished files
    makers/                who makes reports just now (query_api.snapshots.lease)

Several API hosts may share the folder, so a state is one small file that is only ever replaced whole. What has
ended stays as it is: should two make one report, because neither sees the other live, the first to end counts.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from query_api.snapshots.lease import locked, shared
from schemas.atomic_write import PART, atomic_write
from schemas.compatibility import NewerState

log = structlog.get_logger()

STATE_VERSION: Final = 1
KEPT_S: Final = 3600.0
"""For so long after it was made no report goes; a file that nothing names goes after so long."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class ReportStatus(Enum):
    """Where a report stands; the values are what callers see."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ReportState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one report. Instants in us; `as_of_us` is None until known.

    `maker` is the lease of the API that makes it. `position` is the offset that the log was applied up to,
    by topic and partition, and `losses` are the spans of offsets that were lost before, the last -1 where nobody
    can tell it. `current` is whether it holds all that the log held when it was asked for; None where it was made
    before that was noted.
    """

    version: int
    status: ReportStatus
    requested_at_us: int
    maker: str
    as_of_us: int | None = None
    finished_at_us: int | None = None
    stores: int | None = None
    position: dict[str, dict[int, int]] = {}
    losses: dict[str, dict[int, list[tuple[int, int]]]] = {}
    current: bool | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A report in the folder: when its state was written, and how large its rows are, None where it has none."""

    written_ns: int
    report_id: str
    csv_bytes: int | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReportState).decode


class ReportFiles:
    """The files of a reports folder, which is made when first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def makers(self) -> Path:
        """Where the leases of those stand that make reports."""
        return self.folder / "makers"

    def csv_path(self, report_id: str) -> Path:
        """Where a report's rows are."""
        return self.folder / f"{report_id}.csv"

    def read(self, report_id: str) -> ReportState | None:
        """The state of a report, None where the id is malformed or unknown. Raises NewerState."""
        if _ID.fullmatch(report_id) is None:
            return None
        try:
            written = self._state_path(report_id).read_bytes()
        except FileNotFoundError:
            return None
        try:
            state = _decode(written)
        except msgspec.DecodeError as error:
            log.warning("no state of a report", path=str(self._state_path(report_id)), error=str(error))
            return None
        if state.version > STATE_VERSION:
            raise NewerState("report", state.version, STATE_VERSION)
        return state

    def write(self, report_id: str, state: ReportState) -> None:
        """Replace the state of a report. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._state_path(report_id)) as file:
            file.write(_encode(state))

    def draft_path(self, report_id: str, maker: str) -> Path:
        """Where `maker` writes the rows of a report, before `end` makes them its own."""
        return self.folder / f".{report_id}.csv.{maker}{PART}"

    def end(self, report_id: str, state: ReportState, draft: Path | None = None) -> None:
        """Write how a report ended, and its rows, if any. One that ended before stays. Raises OSError."""
        with suppress(NewerState):  # taken up by a newer version: its affair
            before = self.read(report_id)
            if before is not None and before.status is ReportStatus.RUNNING:
                if draft is not None:
                    draft.replace(self.csv_path(report_id))
                self.write(report_id, state)
                return
        if draft is not None:
            draft.unlink(missing_ok=True)

    def open_csv(self, report_id: str) -> BinaryIO | None:
        """The rows of a report, None where there are none; while the file is open, the report does not go."""
        try:
            file = self.csv_path(report_id).open("rb")
        except FileNotFoundError:
            return None
        shared(file)
        return file

    def remove(self, report_id: str) -> None:
        """Forget a report. One that is being downloaded is still delivered whole."""
        self._state_path(report_id).unlink(missing_ok=True)
        self.csv_path(report_id).unlink(missing_ok=True)

    def let_go(self, kept: Kept) -> bool:
        """Forget a report that ended, unless it was made just now or is being downloaded; whether it is gone."""
        if kept.csv_bytes is None:
            if not self._ended(kept.report_id):
                return False
            self.remove(kept.report_id)
            return True
        if time.time_ns() - kept.written_ns < KEPT_S * 1e9 or not self._ended(kept.report_id):
            return False
        try:
            with locked(self.csv_path(kept.report_id)):
                self.remove(kept.report_id)
        except BlockingIOError:
            return False
        except FileNotFoundError:  # another host was first
            self.remove(kept.report_id)
        return True

    def running(self) -> Iterator[tuple[str, ReportState]]:
        """The reports that are being made, or were when their maker died."""
        for kept in self.by_age():
            with suppress(NewerState):  # left to an API that knows it
                state = self.read(kept.report_id)
                if state is not None and state.status is ReportStatus.RUNNING:
                    yield kept.report_id, state

    def by_age(self) -> list[Kept]:
        """Every report, the one whose state was written longest ago first."""
        written: dict[str, int] = {}
        sizes: dict[str, int] = {}
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            name, kind = os.path.splitext(entry.name)
            with suppress(FileNotFoundError):  # another host removed it
                if kind == ".json":
                    written[name] = entry.stat().st_mtime_ns
                elif kind == ".csv":
                    sizes[name] = entry.stat().st_size
        every = [Kept(written_ns, name, sizes.get(name)) for name, written_ns in written.items()]
        return sorted(every, key=lambda kept: (kept.written_ns, kept.report_id))

    def sweep(self) -> None:
        """Remove old files that nothing will ever name: unfinished ones, and rows without a state."""
        oldest = time.time() - KEPT_S
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            is_orphan = path.suffix == PART or (
                path.suffix == ".csv" and not self._state_path(path.stem).exists()
            )
            with suppress(FileNotFoundError):
                if is_orphan and path.stat().st_mtime < oldest:
                    path.unlink()

    def _ended(self, report_id: str) -> bool:
        """Whether it does not run; a state that a newer version wrote is left alone, and so counts as running."""
        try:
            state = self.read(report_id)
        except NewerState:
            return False
        return state is None or state.status is not ReportStatus.RUNNING

    def _state_path(self, report_id: str) -> Path:
        return self.folder / f"{report_id}.json"
