"""Reports that are asked for now and fetched later.

Owns: who makes which report, and what becomes of one whose maker died. Must not know: HTTP, bytes on disk
(query_api.reports.files), how a report is computed (query_api.reports.report), what one waits for
(query_api.reports.waiting).

    request ─▶ Running ─┬─▶ Complete
                  ▲     └─▶ Failed        a full disk, a broken table, waited too long, no poll at all
                  └── taken up by another API, when its maker is gone

Every API that shares the folder answers for any id. A maker holds a locked file (query_api.snapshots.lease) while
it lives; whoever finds a running report without a living maker, when it starts or when the report is asked for,
makes it again under the same id. While its maker lives a report is Running, whatever any clock says. What has ended
never changes.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from uuid import uuid4

import structlog
from msgspec.structs import replace

from query_api.errors import (
    QueryError,
    ReaderClosed,
    ReportsBusy,
    ReportsUnwritable,
    StateRestoring,
    TableUnreadable,
    UnknownReport,
    WaitedTooLong,
    system_text,
)
from query_api.ports import BrokerProbe
from query_api.reports.files import STATE_VERSION, ReportFiles, ReportState, ReportStatus
from query_api.reports.report import ReportFacts, check_as_of, write_report
from query_api.reports.room import Room
from query_api.reports.waiting import Ticket, WaitingRoom
from query_api.snapshots.lease import Lease, claimed, lives, reap_dead
from query_api.snapshots.reader import Reader
from schemas.compatibility import NewerState
from schemas.settings import Settings

log = structlog.get_logger()

_PASSING: Final = (StateRestoring, TableUnreadable)
"""What a report waits for."""

MAKERS: Final = 2
"""Reports made at once by one API; further ones wait."""
MAX_WAITING: Final = 1000
"""Reports that may wait in one API."""


class Observer(Protocol):
    """Is told of every report that ended here."""

    def report_ended(self, seconds: float, stores: int | None) -> None:
        """A report took `seconds`; `stores` is None where it failed."""


class Reports:
    """The reports of one API, and of those it shares a folder with. Any thread may ask.

    `now_us` is the wall clock. Call `start` first and `close` last; in between, `serve` must run.
    """

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        probe: BrokerProbe,
        observer: Observer,
        now_us: Callable[[], int],
    ) -> None:
        self._files = ReportFiles(settings.reports_dir)
        self._room = Room(self._files, settings.reports_kept, settings.reports_bytes)
        self._retention_days = settings.retention_days
        self._reader = reader
        self._observer = observer
        self._now_us = now_us
        self._lease: Lease | None = None
        self._makers = ThreadPoolExecutor(MAKERS, "report")
        self._lock = threading.Lock()
        self._unmade: set[str] = set()
        self._unwritten: dict[str, ReportState] = {}
        self._waiting = WaitingRoom(
            reader,
            probe,
            log_patience_s=settings.log_patience_seconds,
            patience_s=settings.report_patience_seconds,
            hand_over=lambda ticket: self._submit(self._make, ticket),
            give_up=lambda ticket, error: self._submit(self._give_up, ticket, error),
        )

    def start(self) -> None:
        """Clean up after the dead. A folder that cannot be written can wait."""
        try:
            self._me()
            reap_dead(self._files.makers)
            self._files.sweep()
            self._room.look()
        except OSError as error:
            log.warning("reports cannot be made yet", error=system_text(error))

    def take_up_left(self) -> None:
        """Take up what dead makers left; ends early when the reader is closed."""
        for report_id, state in self._files.running():
            if self._reader.closing.is_set():
                return
            self._take_up(report_id, state)

    async def serve(self) -> None:
        """Have reports made, until cancelled."""
        await self._waiting.serve()

    def close(self) -> None:
        """Stop making reports; those cut off are taken up by whoever starts next. Close the reader first."""
        self._makers.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            if self._lease is not None:
                self._lease.end()
                self._lease = None

    def request(self, as_of_us: int | None) -> str:
        """Have a report made; its id.

        Where the state is not whole yet, or a table not to be opened, a named instant is checked when the report is
        made. Raises AsOfOutside, ReaderClosed, ReportsBusy, ReportsUnwritable, other StateUnreadable.
        """
        if as_of_us is not None:
            with suppress(*_PASSING), self._reader.snapshot() as snapshot:
                check_as_of(snapshot, as_of_us, self._now_us(), self._retention_days)
        if self._reader.closing.is_set():
            raise ReaderClosed
        if len(self._unmade) >= MAX_WAITING:
            raise ReportsBusy(len(self._unmade))
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
        self._ask(report_id, state)
        return report_id

    def state(self, report_id: str) -> ReportState:
        """Where a report stands. Raises UnknownReport, NewerState."""
        report_id = report_id.lower()
        state = self._unwritten.get(report_id) or self._files.read(report_id)
        if state is None:
            raise UnknownReport(report_id)
        if state.status is ReportStatus.RUNNING:
            self._take_up(report_id, state)
        return state

    def open_csv(self, report_id: str) -> BinaryIO:
        """The rows of a complete report, which stays as long as the file is open. Raises UnknownReport."""
        file = self._files.open_csv(report_id.lower())
        if file is None:
            raise UnknownReport(report_id)
        return file

    def _me(self) -> str:
        """Our lease, made when first needed. Raises OSError."""
        with self._lock:
            if self._lease is None:
                self._lease = Lease(self._files.makers)
            return self._lease.name

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
            self._ask(report_id, taken)

    def _ask(self, report_id: str, state: ReportState) -> None:
        self._unmade.add(report_id)
        self._waiting.ask(Ticket(report_id, state))

    def _submit(self, work: Callable[..., None], *ticket: object) -> None:
        with suppress(RuntimeError):  # closed meanwhile: whoever starts next takes the report up
            self._makers.submit(work, *ticket)

    def _make(self, ticket: Ticket) -> None:
        """Make one report, and say how it ended; or let it wait. Cut off by `close`, it stays Running."""
        began = time.perf_counter()
        try:
            ended, csv_bytes = self._outcome(ticket)
        except ReaderClosed:
            return
        except _PASSING:
            self._waiting.wait(ticket)
            return
        self._end(ticket.report_id, ended, csv_bytes)
        self._observer.report_ended(time.perf_counter() - began, ended.stores)

    def _give_up(self, ticket: Ticket, error: WaitedTooLong) -> None:
        self._end(ticket.report_id, self._failed(ticket.state, str(error)), None)
        self._observer.report_ended(time.monotonic() - ticket.asked_s, None)

    def _outcome(self, ticket: Ticket) -> tuple[ReportState, int | None]:
        """How a report ends, and how many bytes its draft has, None where there is none.

        Raises StateRestoring or TableUnreadable where it cannot be made yet, ReaderClosed.
        """
        draft = self._files.draft_path(ticket.report_id, ticket.state.maker)
        try:
            self._room.check()
            facts = self._write(ticket, draft)
            csv_bytes = draft.stat().st_size
            self._room.take(csv_bytes)
            return self._complete(ticket, facts), csv_bytes
        except (ReaderClosed, *_PASSING):
            raise
        except (QueryError, NewerState) as error:
            reason = str(error)
        except OSError as error:
            reason = str(ReportsUnwritable(system_text(error)))
        except Exception:
            log.exception("a report failed by our own fault", report_id=ticket.report_id)
            reason = "an error of storepulse itself: the log of the API has it"
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        return self._failed(ticket.state, reason), None

    def _write(self, ticket: Ticket, path: Path) -> ReportFacts:
        with self._reader.snapshot() as snapshot:
            obstacle = snapshot.standing.obstacle(ticket.ends)
            if obstacle is not None:
                raise StateRestoring(obstacle)
            check_as_of(snapshot, ticket.state.as_of_us, self._now_us(), self._retention_days)
            return write_report(snapshot, ticket.state.as_of_us, path)

    def _complete(self, ticket: Ticket, facts: ReportFacts) -> ReportState:
        position: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in sorted(facts.applied.items()):
            position.setdefault(topic, {})[partition] = offset
        losses: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for (topic, partition), spans in sorted(facts.losses.items()):
            losses.setdefault(topic, {})[partition] = [(loss.from_offset, loss.to_offset) for loss in spans]
        return replace(
            ticket.state,
            status=ReportStatus.COMPLETE,
            as_of_us=facts.as_of_us,
            finished_at_us=self._now_us(),
            stores=facts.stores,
            position=position,
            losses=losses,
            current=ticket.ends is not None,
        )

    def _failed(self, state: ReportState, error: str) -> ReportState:
        return replace(state, status=ReportStatus.FAILED, finished_at_us=self._now_us(), error=error)

    def _end(self, report_id: str, state: ReportState, csv_bytes: int | None) -> None:
        """Write how a report ended. What the disk does not take, this API remembers.

        Such a report is removed, lest whoever starts next should make what was said to have failed.
        """
        draft = None if csv_bytes is None else self._files.draft_path(report_id, state.maker)
        try:
            self._files.end(report_id, state, draft)
        except OSError as error:
            cause = system_text(error)
            log.error("the state of a report cannot be written", report_id=report_id, error=cause)
            self._unwritten[report_id] = self._failed(state, str(ReportsUnwritable(cause)))
            if len(self._unwritten) > MAX_WAITING:
                del self._unwritten[next(iter(self._unwritten))]
            with suppress(OSError):
                self._files.remove(report_id)
            return
        finally:
            self._unmade.discard(report_id)
        try:
            self._room.ended(failed=csv_bytes is None)
        except OSError as error:
            log.error("the reports folder cannot be tidied up", error=system_text(error))
