"""The reports folder: a state and, once complete, a CSV for each report.

Owns: the names and bytes of these files, and how many are kept. Must not know: how a report is made, HTTP.
Several API hosts may share the folder, so a state is one small file that is only ever replaced whole.

    <report id>.json       the state; a report exists when this does
    <report id>.csv        the rows; there before its state says Complete
    .<name>.<random>.part  unfinished files
    makers/                who makes reports just now (query_api.presence)
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from query_api.whole_file import PART, whole_file
from schemas.state import NewerState
from schemas.values import SECOND_US

log = structlog.get_logger()

STATE_VERSION: Final = 1
ABANDONED_S: Final = 3600.0
"""A report that still runs, or a file that still lies unfinished, after so long was given up by its maker."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class ReportStatus(Enum):
    """Where a report stands; the values are what callers see."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ReportState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one report. Instants in us; `as_of_us` is None until known.

    `maker` is the presence of the API that makes it. `position` is the offset that the log was applied up to,
    by topic and partition.
    """

    version: int
    status: ReportStatus
    requested_at_us: int
    maker: str
    as_of_us: int | None = None
    finished_at_us: int | None = None
    stores: int | None = None
    position: dict[str, dict[int, int]] = {}
    error: str | None = None

    def is_abandoned(self, now_us: int) -> bool:
        """True where it still runs after so long that nobody can be at it."""
        return self.status is ReportStatus.RUNNING and now_us - self.requested_at_us > ABANDONED_S * SECOND_US


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReportState).decode


class ReportFiles:
    """The files of a reports folder, which is made when first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def makers(self) -> Path:
        """Where the presences of those stand that make reports."""
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
        with whole_file(self._state_path(report_id)) as file:
            file.write(_encode(state))

    def remove(self, report_id: str) -> None:
        """Forget a report. One that is being downloaded is still delivered whole."""
        self._state_path(report_id).unlink(missing_ok=True)
        self.csv_path(report_id).unlink(missing_ok=True)

    def running(self) -> Iterator[tuple[str, ReportState]]:
        """The reports that are being made, or were when their maker died."""
        for report_id in self._ids_by_age():
            with suppress(NewerState):  # left to an API that knows it
                state = self.read(report_id)
                if state is not None and state.status is ReportStatus.RUNNING:
                    yield report_id, state

    def keep(self, most: int, now_us: int) -> None:
        """Remove the oldest reports past `most`; those that are being made stay."""
        every = self._ids_by_age()
        surplus = len(every) - most
        for report_id in every:
            if surplus <= 0:
                return
            if not self._is_running(report_id, now_us):
                self.remove(report_id)
                surplus -= 1

    def sweep(self) -> None:
        """Remove old files that nothing will ever name: unfinished ones, and rows without a state."""
        oldest = time.time() - ABANDONED_S
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            is_orphan = path.suffix == PART or (
                path.suffix == ".csv" and not self._state_path(path.stem).exists()
            )
            with suppress(FileNotFoundError):
                if is_orphan and path.stat().st_mtime < oldest:
                    path.unlink()

    def _is_running(self, report_id: str, now_us: int) -> bool:
        try:
            state = self.read(report_id)
        except NewerState:
            return True
        if state is None:
            return False
        return state.status is ReportStatus.RUNNING and not state.is_abandoned(now_us)

    def _state_path(self, report_id: str) -> Path:
        return self.folder / f"{report_id}.json"

    def _ids_by_age(self) -> list[str]:
        """Every report, the one whose state was written longest ago first."""
        aged = []
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            with suppress(FileNotFoundError):  # another host removed it
                aged.append((path.stat().st_mtime_ns, path.stem))
        return [report_id for _, report_id in sorted(aged)]
