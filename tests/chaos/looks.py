"""Looks at what can be read, all the time, as an API would.

Owns: asking each view for its report and its positions, over and over, in threads of its own. Must not know: what
the report should be (tests.chaos.judge).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import httpx

from query_api.errors import QueryError
from schemas.positions import Positions
from schemas.values import format_timestamp
from tests.chaos.sending import AS_OF_US
from tests.chaos.tables import Tables, report_text

_PAUSE_SECONDS: Final = 0.1
_ASK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """One report that a view gave out, and the positions that it names.

    `asked_s` is when it was asked for; `known` is what the broker had confirmed by then, None where the view
    does not promise to wait for them. `is_of_all`: the view has all partitions, as a replica has.
    """

    view: str
    asked_s: float
    positions: Positions
    text: str
    is_of_all: bool = True
    known: Positions | None = None

    def __str__(self) -> str:
        return f"{self.view} at {self.asked_s:.2f} s, {self.positions}"


class View(Protocol):
    """Something that gives out reports."""

    name: str

    def look(self, since_s: float) -> Look | None:
        """A report as it is now, None where it is refused."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(slots=True)
class TablesView:
    """The whole tables of a state folder: of all `partitions`, or of as many as a worker has."""

    name: str
    state: Path
    scratch: Path
    partitions: int
    is_of_all: bool
    _tables: Tables = field(init=False)

    def __post_init__(self) -> None:
        self._tables = Tables(self.state, self.scratch)

    def look(self, since_s: float) -> Look | None:
        asked_s, positions, rows = time.monotonic() - since_s, Positions(), dict[str, str]()
        with suppress(QueryError):
            whole = self._tables.catch_up()
            if self.is_of_all and len(whole) < self.partitions:
                return None
            for partition, table in whole.items():
                positions |= table.applied(partition)
                rows |= table.rows(AS_OF_US)
            return Look(self.name, asked_s, positions, report_text(rows), self.is_of_all)
        return None

    def close(self) -> None:
        self._tables.close()


@dataclass(slots=True)
class HttpView:
    """An API over HTTP. A report that it calls complete has all that was confirmed when it was asked for."""

    name: str
    base: str
    confirmed: Callable[[], Positions]

    def look(self, since_s: float) -> Look | None:
        known, asked_s = self.confirmed(), time.monotonic() - since_s
        with suppress(httpx.TransportError), httpx.Client(base_url=self.base, timeout=_ASK_SECONDS) as client:
            asked = client.post("/trigger_report", params={"as_of": format_timestamp(AS_OF_US)})
            answer = self._ended(client, asked.json()["report_id"]) if asked.is_success else None
            if answer is not None:
                promised = answer.headers.get("X-Storepulse-Current") != "false"
                positions = _positions(answer.headers.get("X-Storepulse-Position", ""))
                return Look(self.name, asked_s, positions, answer.text, known=known if promised else None)
        return None

    def close(self) -> None:
        """There is nothing to let go of."""

    def _ended(self, client: httpx.Client, report_id: str) -> httpx.Response | None:
        """The report; None where it failed, or is still running after a while."""
        deadline = time.monotonic() + _ASK_SECONDS
        while time.monotonic() < deadline:
            answer = client.get(f"/get_report/{report_id}")
            if not answer.is_success or answer.text.startswith('{"status":"Failed'):
                return None
            if answer.headers["content-type"].startswith("text/csv"):
                return answer
            time.sleep(_PAUSE_SECONDS / 5)
        return None


def _positions(header: str) -> Positions:
    return {
        (topic, int(partition)): int(offset)
        for part in header.split("; ")
        if part
        for topic, offsets in [part.split("=")]
        for partition, offset in [each.split(":") for each in offsets.split(",")]
    }


class Watcher:
    """Looks at some views in turn, until the block ends. One for views that answer at once, one for the others."""

    def __init__(self, since_s: float) -> None:
        self._since_s = since_s
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.looks: list[Look] = []
        self.refused = 0

    @contextmanager
    def watching(self, *groups: list[View]) -> Iterator[None]:
        """Look at the views of each group in a thread."""
        threads = [threading.Thread(target=self._watch, args=(group,)) for group in groups]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def look_at(self, view: View) -> Look | None:
        """Look at a view now, and remember what was seen."""
        look = view.look(self._since_s)
        with self._lock:
            self.refused += look is None
            self.looks += [] if look is None else [look]
        return look

    def _watch(self, views: list[View]) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            for view in views:
                self.look_at(view)
        for view in views:
            view.close()
