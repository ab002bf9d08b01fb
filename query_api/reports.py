"""Reports that are asked for now and fetched later.

Owns: who makes which report, and what becomes of one whose maker died. Must not know: HTTP, bytes on disk
(query_api.report_files), how a report is computed (query_api.report).

    request ─▶ Running ─┬─▶ Complete
                  ▲     └─▶ Failed        a full disk, an unreadable table, no poll at all
                  └── taken up by another API, when its maker is gone

Every API that shares the folder answers for any id. A maker holds a locked file (query_api.presence) while it
lives; whoever finds a running report without a living maker, when it starts or when the report is asked
for, makes it anew under the same id. Where locks do not reach (another host on a file system without them),
the report reads as Failed an hour after it was asked for.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import structlog
from msgspec.structs import replace

from query_api.errors import (
    QueryError,
    ReaderClosed,
    ReportsBusy,
    ReportsUnwritable,
    UnknownReport,
    system_text,
)
from query_api.presence import Presence, bury_dead, claimed, lives
from query_api.reader import Reader
from query_api.report import ReportFacts, check_as_of, write_report
from query_api.report_files import STATE_VERSION, ReportFiles, ReportState, ReportStatus
from schemas.settings import Settings
from schemas.state import NewerState

log = structlog.get_logger()

MAKERS: Final = 2
"""Reports made at once by one API; further ones wait."""
MOST_WAITING: Final = 1000
"""Reports that may wait in one API."""

_CUT_OFF: Final = "the API that made this report is gone or stuck: ask for another one"


class Observer(Protocol):
    """Is told of every report that ended here."""

    def report_ended(self, seconds: float, stores: int | None) -> None:
        """A report took `seconds`; `stores` is None where it failed."""


class Reports:
    """The reports of one API, and of those it shares a folder with. Any thread may ask.

    `now_us` is the wall clock. Call `start` first and `close` last.
    """

    def __init__(
        self, settings: Settings, reader: Reader, observer: Observer, now_us: Callable[[], int]
    ) -> None:
        self._files = ReportFiles(settings.reports_dir)
        self._kept = settings.reports_kept
        self._retention_days = settings.retention_days
        self._reader = reader
        self._observer = observer
        self._now_us = now_us
        self._presence: Presence | None = None
        self._makers = ThreadPoolExecutor(MAKERS, "report")
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._unwritten: dict[str, ReportState] = {}

    def start(self) -> None:
        """Take up what dead makers left, and clean up after them. A folder that cannot be written can wait."""
        try:
            self._me()
            bury_dead(self._files.makers)
            self._files.sweep()
        except OSError as error:
            log.warning("reports cannot be made yet", error=system_text(error))
            return
        for report_id, state in list(self._files.running()):
            self._take_up(report_id, state)

    def close(self) -> None:
        """Stop making reports; those cut off are taken up by whoever starts next. Close the reader first."""
        self._makers.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            if self._presence is not None:
                self._presence.end()
                self._presence = None

    def request(self, as_of_us: int | None) -> str:
        """Have a report made; its id. Raises AsOfOutside, ReportsBusy, ReportsUnwritable, StateUnreadable."""
        if as_of_us is not None:
            with self._reader.snapshot() as snapshot:
                check_as_of(snapshot, as_of_us, self._now_us(), self._retention_days)
        if len(self._waiting) >= MOST_WAITING:
            raise ReportsBusy(len(self._waiting))
        report_id = str(uuid4())
        try:
            state = ReportState(
                version=STATE_VERSION,
                status=ReportStatus.RUNNING,
                requested_at_us=self._now_us(),
                maker=self._me(),
                as_of_us=as_of_us,
            )
            self._files.write(report_id, state)
        except OSError as error:
            raise ReportsUnwritable(system_text(error)) from error
        self._submit(report_id, state)
        return report_id

    def state(self, report_id: str) -> ReportState:
        """Where a report stands. Raises UnknownReport, NewerState."""
        report_id = report_id.lower()
        state = self._unwritten.get(report_id) or self._files.read(report_id)
        if state is None:
            raise UnknownReport(report_id)
        if state.is_abandoned(self._now_us()):
            return replace(state, status=ReportStatus.FAILED, error=_CUT_OFF)
        if state.status is ReportStatus.RUNNING:
            self._take_up(report_id, state)
        return state

    def csv_path(self, report_id: str) -> Path:
        """The rows of a complete report."""
        return self._files.csv_path(report_id.lower())

    def _me(self) -> str:
        """Our presence, made when first needed. Raises OSError."""
        with self._lock:
            if self._presence is None:
                self._presence = Presence(self._files.makers)
            return self._presence.name

    def _take_up(self, report_id: str, found: ReportState) -> None:
        """Make a report whose maker is gone, unless another API is about to. A full disk leaves it for later."""
        with suppress(OSError):
            if found.maker == self._me() or lives(self._files.makers, found.maker):
                return
            with claimed(self._files.makers):
                if self._files.read(report_id) != found:
                    return
                taken = replace(found, maker=self._me())
                self._files.write(report_id, taken)
            log.info("taking up a report", report_id=report_id, was=found.maker)
            self._submit(report_id, taken)

    def _submit(self, report_id: str, state: ReportState) -> None:
        self._waiting.add(report_id)
        try:
            self._makers.submit(self._make, report_id, state)
        except RuntimeError:  # closed meanwhile
            raise ReaderClosed from None

    def _make(self, report_id: str, state: ReportState) -> None:
        """Make one report, and say how it ended. Cut off by `close`, it stays Running."""
        began = time.perf_counter()
        try:
            ended = self._outcome(report_id, state)
        except ReaderClosed:
            return
        finally:
            self._waiting.discard(report_id)
        self._end(report_id, ended)
        self._observer.report_ended(time.perf_counter() - began, ended.stores)

    def _outcome(self, report_id: str, state: ReportState) -> ReportState:
        try:
            return self._complete(state, self._write(report_id, state.as_of_us))
        except ReaderClosed:
            raise
        except (QueryError, NewerState) as error:
            return self._failed(state, str(error))
        except OSError as error:
            return self._failed(state, str(ReportsUnwritable(system_text(error))))
        except Exception:
            log.exception("a report failed by our own fault", report_id=report_id)
            return self._failed(state, "an error of storepulse itself: the log of the API has it")

    def _write(self, report_id: str, as_of_us: int | None) -> ReportFacts:
        with self._reader.snapshot() as snapshot:
            check_as_of(snapshot, as_of_us, self._now_us(), self._retention_days)
            return write_report(snapshot, as_of_us, self._files.csv_path(report_id))

    def _complete(self, state: ReportState, facts: ReportFacts) -> ReportState:
        position: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in sorted(facts.applied.items()):
            position.setdefault(topic, {})[partition] = offset
        return replace(
            state,
            status=ReportStatus.COMPLETE,
            as_of_us=facts.as_of_us,
            finished_at_us=self._now_us(),
            stores=facts.stores,
            position=position,
        )

    def _failed(self, state: ReportState, error: str) -> ReportState:
        return replace(state, status=ReportStatus.FAILED, finished_at_us=self._now_us(), error=error)

    def _end(self, report_id: str, state: ReportState) -> None:
        """Write how a report ended, and make room. What the disk does not take, this API remembers."""
        try:
            self._files.write(report_id, state)
            self._files.keep(self._kept, self._now_us())
        except OSError as error:
            log.error(
                "the state of a report cannot be written", report_id=report_id, error=system_text(error)
            )
            self._unwritten[report_id] = self._failed(state, str(ReportsUnwritable(system_text(error))))
