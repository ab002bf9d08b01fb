"""A TCP proxy that can fail as networks do.

Owns: lines between a process and a port, open, held or cut. Must not know: Kafka, processes.

    open   bytes pass
    held   connections stand and are accepted, and nothing passes; what was sent meanwhile arrives when the line
           opens, as after a network that came back before TCP gave up
    cut    connections end, new ones end at once
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 1 << 16
_SECONDS: Final = 10.0


class LineState(Enum):
    """What a line does with bytes."""

    OPEN = "open"
    HELD = "held"
    CUT = "cut"


class Network:
    """Some lines, served by an event loop in a thread of ours until the block ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._lines: list[_Line] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add_line(self, port: int, to_port: int) -> None:
        """Lead what connects to `port` of the loopback to `to_port`. Lines are numbered as they come."""
        line = _Line(to_port)
        self._run(line.listen(port))
        self._lines.append(line)

    def turn(self, line: int, state: LineState) -> None:
        """Open, hold or cut a line; done when it returns."""
        self._run(self._lines[line].turn(state))

    def open_all(self) -> None:
        """Open every line."""
        for line in range(len(self._lines)):
            self.turn(line, LineState.OPEN)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def _close(self) -> None:
        for line in self._lines:
            await line.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class _Line:
    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._state = LineState.OPEN
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, port)

    async def turn(self, state: LineState) -> None:
        self._state = state
        if state is LineState.OPEN:
            self._passes.set()
        else:
            self._passes.clear()
        if state is LineState.CUT:
            self._end_all()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._end_all()

    def _end_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state is LineState.CUT:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._passes.wait()
            there_reader, there_writer = await asyncio.open_connection(_HOST, self._to_port)
        except OSError:  # nobody listens there: so much for this connection
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(there_writer)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, there_writer))
                pumps.create_task(self._pump(there_reader, writer))
        finally:
            for each in (writer, there_writer):
                each.transport.abort()
                self._writers.discard(each)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until either side is gone; then both are closed."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
