"""SIGTERM ends the API in seconds, whoever is still reading from it, and a second one at once."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from uuid import uuid4

import httpx
import pytest

from query_api.reports.files import ReportFiles, ReportState, ReportStatus
from schemas.settings import Settings
from schemas.topics import ALL_TOPICS
from scripts.cli import serve
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.embedded.probe import EmbeddedProbe
from tests.query_api.service import NOW_US, PATIENCE_S

pytestmark = pytest.mark.slow

SPAWN = multiprocessing.get_context("spawn")


def serve_with(settings: Settings, grace_s: int) -> None:
    serve.GRACE_SECONDS = grace_s  # type: ignore[misc]
    serve.serve_api(settings)


@contextmanager
def api_with_a_slow_reader(settings: Settings, grace_s: int) -> Iterator[BaseProcess]:
    """An API that has a report of many megabytes to send to somebody who reads none of it."""
    report_id = large_report(ReportFiles(settings.reports_dir))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = SPAWN.Process(target=serve_with, args=(settings.model_copy(update={"port": port}), grace_s))
    process.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            until_it_answers(client)
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"GET /get_report/{report_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert slow.recv(12) == b"HTTP/1.1 200"
            yield process
    finally:
        process.kill()
        process.join()


def large_report(files: ReportFiles) -> str:
    report_id = str(uuid4())
    made = ReportState(
        version=1, status=ReportStatus.COMPLETE, requested_at_us=NOW_US, maker="1-x", as_of_us=NOW_US
    )
    files.write(report_id, made)
    files.csv_path(report_id).write_bytes(b"a,b,c\n" * 5_000_000)
    return report_id


def until_it_answers(client: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.get("/health/live")
            return
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the API never answered"
            time.sleep(0.05)


def terminate(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)


def test_a_slow_reader_does_not_keep_the_api_from_ending(settings: Settings) -> None:
    with api_with_a_slow_reader(settings, grace_s=1) as process:
        terminate(process)
        process.join(PATIENCE_S)
        assert process.exitcode is not None


def test_a_second_signal_ends_the_api_at_once(settings: Settings) -> None:
    with api_with_a_slow_reader(settings, grace_s=600) as process:
        terminate(process)
        time.sleep(0.5)  # the same signal twice at once is one
        assert process.is_alive()
        terminate(process)
        process.join(PATIENCE_S)
        assert process.exitcode == 128 + signal.SIGTERM


async def test_the_ends_of_the_embedded_log_are_those_of_the_source_topics(settings: Settings) -> None:
    with EmbeddedLog(settings.log_path) as log:
        for spec in ALL_TOPICS:
            log.declare_topic(spec.name, 2, spec.cleanup)
    ends = await EmbeddedProbe(settings).end_offsets()
    assert ends == {
        (topic, partition): 0
        for topic in ("store-polls", "store-hours", "store-zones")
        for partition in (0, 1)
    }
