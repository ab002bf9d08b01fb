"""The threads that an event loop leaves the log to: one per connection, and one that watches for changes.

Must not know: Faust.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from stream.brokers.embedded.errors import LogError
from stream.brokers.embedded.log import EmbeddedLog

T = TypeVar("T")


class LogThread:
    """A connection to the log at `path` and the only thread that uses it; work is done in the order given."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-log")
        self._log: EmbeddedLog | None = None

    def submit(self, work: Callable[[EmbeddedLog], T]) -> asyncio.Future[T]:
        """Queue `work` now; its result, or the `LogError` it met, arrives in the future."""
        return asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)

    async def close(self) -> None:
        """Finish what is queued and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._close)
        self._pool.shutdown(wait=True)

    def _do(self, work: Callable[[EmbeddedLog], T]) -> T:
        if self._log is None:
            self._log = EmbeddedLog(self._path)
        return work(self._log)

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()


class Watcher:
    """Calls `notify` in the event loop soon after any process wrote to the log at `path`.

    Looks every `period_s` seconds, which costs some microseconds and leaves the event loop asleep.
    """

    def __init__(self, path: Path, period_s: float, notify: Callable[[], None]) -> None:
        self._path = path
        self._period_s = period_s
        self._notify = notify
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="embedded-log-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; within a period at most."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        # A log that cannot be read any more is reported by whoever reads it next: wake that one and end.
        with suppress(LogError), EmbeddedLog(self._path) as log:
            seen = log.changes()
            while not self._stopped.wait(self._period_s):
                latest = log.changes()
                if latest != seen:
                    seen = latest
                    self._tell()
        self._tell()

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop may be gone when a process ends without stopping us
            self._loop.call_soon_threadsafe(self._notify)
