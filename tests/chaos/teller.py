"""The producer of a round: what is told to it goes out in order, in a thread of its own, whatever the broker does.

Owns: sending, aborting, and what the broker has confirmed. Must not know: what the records say.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from schemas.positions import Positions
from schemas.topics import MAX_RECORD_BYTES
from tests.chaos.actions import Note

_OUTAGE_MS: Final = 300_000
_STOP_SECONDS: Final = 120.0


class Teller:
    """Sends to the broker at `bootstrap` until the block ends."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._queue: queue.SimpleQueue[tuple[Sequence[Note], bool] | None] = queue.SimpleQueue()
        self._idle = threading.Condition()
        self._waiting = 0
        self._ends: Positions = {}
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._send_all()), name="teller", daemon=True
        )
        self.failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join(_STOP_SECONDS)

    def tell(self, notes: Sequence[Note], is_aborted: bool = False) -> None:
        """Have some records sent, or sent in a transaction that is then aborted. Returns at once."""
        with self._idle:
            self._waiting += 1
        self._queue.put((notes, is_aborted))

    def drain(self, seconds: float) -> bool:
        """Wait until the broker has all of it; False where it has not in time."""
        with self._idle:
            return self._idle.wait_for(lambda: self._waiting == 0 or self.failed is not None, seconds)

    def confirmed(self) -> Positions:
        """Of each (topic, partition), the offset behind the last record that the broker confirmed."""
        with self._idle:
            return dict(self._ends)

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            request_timeout_ms=_OUTAGE_MS,
            max_request_size=MAX_RECORD_BYTES,
        )
        try:
            async with producer:
                while (told := await asyncio.to_thread(self._queue.get)) is not None:
                    notes, is_aborted = told
                    await (self._abort(notes) if is_aborted else self._send(producer, notes))
                    self._done()
        except BaseException as error:
            self.failed = error
            with self._idle:
                self._idle.notify_all()
            raise

    def _done(self) -> None:
        with self._idle:
            self._waiting -= 1
            self._idle.notify_all()

    async def _send(self, producer: Any, notes: Sequence[Note]) -> None:
        for future in [await _sent(producer, note) for note in notes]:
            found = await future
            with self._idle:
                self._ends[found.topic, found.partition] = found.offset + 1

    async def _abort(self, notes: Sequence[Note]) -> None:
        """A producer that dies half way is as good as one that aborts; then its successor is not needed."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, transactional_id="somebody-else", transaction_timeout_ms=5_000
        )
        try:
            async with asyncio.timeout(_OUTAGE_MS / 1000):
                await producer.start()
                await producer.begin_transaction()
                for future in [await _sent(producer, note) for note in notes]:
                    await future
                await producer.abort_transaction()
        except KafkaError:
            pass  # the broker went away in the middle: what is not committed is aborted when its time is over
        finally:
            await producer.stop()


async def _sent(producer: Any, note: Note) -> Any:
    now_ms = time.time_ns() // 1_000_000 + note.skew_ms
    return await producer.send(
        note.topic, note.value, note.key, partition=note.partition, timestamp_ms=now_ms
    )
