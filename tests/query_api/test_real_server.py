"""The API behind a real socket, as users run it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from tests.builders import poll, poll_words
from tests.oracle import oracle_report
from tests.query_api.service import NOW_US, PATIENCE_S, FakeProbe
from tests.query_api.tables import Tables

pytestmark = pytest.mark.slow


@contextmanager
def listening(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server on a port of its own; when the block ends, the server has ended too."""
    app = create_app(settings, Reader(settings), FakeProbe(), lambda: NOW_US)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        port = _port(server)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), f"the server did not end within {PATIENCE_S} s"


def _port(server: uvicorn.Server) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if server.started:
            port: int = server.servers[0].sockets[0].getsockname()[1]
            return port
        time.sleep(0.005)
    raise AssertionError(f"the server did not start within {PATIENCE_S} s")


def fetch(client: httpx.Client, report_id: str) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = client.get(f"/get_report/{report_id}")
        if answer.text != '{"status":"Running"}':
            return answer
        time.sleep(0.002)
    raise AssertionError(f"report {report_id} still runs after {PATIENCE_S} s")


def test_a_report_of_many_stores_arrives_whole(settings: Settings, tables: Tables) -> None:
    some = [poll("Mon 10:00 inactive", store_id=f"store-{number}") for number in range(3000)]
    tables.add(some)
    with listening(settings) as client:
        answer = fetch(client, client.post("/trigger_report").json()["report_id"])
    assert answer.text == oracle_report(poll_words(some), {}, {})
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_report_that_is_removed_while_it_is_downloaded_arrives_whole(
    settings: Settings, tables: Tables
) -> None:
    some = [poll("Mon 10:00 active", store_id=f"{number:0>1000}") for number in range(9000)]
    tables.add(some)
    with listening(settings) as client:
        report_id = client.post("/trigger_report").json()["report_id"]
        fetch(client, report_id)
        with client.stream("GET", f"/get_report/{report_id}") as answer:
            parts = answer.iter_raw(1024)
            first = next(parts)
            for path in settings.reports_dir.glob(f"{report_id}.*"):
                path.unlink()
            assert client.get(f"/get_report/{report_id}").status_code == 404
            text = b"".join([first, *parts]).decode()
    assert text == oracle_report(poll_words(some), {}, {})


def test_a_report_can_be_fetched_in_ranges(settings: Settings, tables: Tables) -> None:
    tables.add([poll("Mon 10:00 inactive", store_id=f"store-{number}") for number in range(100)])
    with listening(settings) as client:
        report_id = client.post("/trigger_report").json()["report_id"]
        whole = fetch(client, report_id)
        part = client.get(f"/get_report/{report_id}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])


def test_the_api_answers_at_once_while_reports_are_being_made(settings: Settings, tables: Tables) -> None:
    tables.add([poll("Mon 10:00 active", store_id=f"store-{number}") for number in range(3000)])
    with listening(settings) as client:
        ids = []
        for _ in range(10):
            began = time.monotonic()
            ids.append(client.post("/trigger_report").json()["report_id"])
            assert client.get("/health/live").status_code == 200
            assert time.monotonic() - began < 2.0
        assert {fetch(client, report_id).status_code for report_id in ids} == {200}


def test_the_documentation_pages_are_served(settings: Settings) -> None:
    with listening(settings) as client:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 200
