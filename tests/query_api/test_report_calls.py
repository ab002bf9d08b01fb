"""Asking for reports and fetching them over HTTP, in both dialects."""

import re
from uuid import uuid4

import httpx
import pytest

from query_api.reports.files import ReportFiles, ReportState, ReportStatus
from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.summaries import summary_key
from schemas.settings import Settings
from schemas.topics import POLLS, ZONES
from schemas.values import StoreId
from tests.builders import poll_words, polls
from tests.core.shelf import Shelf
from tests.oracle import oracle_report
from tests.query_api.service import NOW_US, fetch, report, serving, trigger
from tests.query_api.tables import Tables

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.url.path


@pytest.mark.parametrize("post", ["/trigger_report", "/api/v1/trigger_report"])
@pytest.mark.parametrize("get", ["/get_report/{}", "/api/v1/get_report?report_id={}"])
async def test_a_report_asked_for_in_either_dialect_is_fetched_in_either(
    settings: Settings, tables: Tables, post: str, get: str
) -> None:
    some = polls("Mon 10:00 inactive", "Mon 10:30 active")
    tables.add(some)
    async with serving(settings) as client:
        started = await client.post(post)
        assert started.status_code == 200
        assert list(started.json()) == ["report_id"]
        report_id = started.json()["report_id"]
        assert UUID.fullmatch(report_id)
        await fetch(client, report_id)
        answer = await client.get(get.format(report_id))
    assert answer.status_code == 200
    assert answer.text == oracle_report(poll_words(some), {}, {})


async def test_a_finished_report_is_a_download_that_says_what_it_was_made_from(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 12)
    tables.apply(ZONES, 3)
    async with serving(settings) as client:
        report_id = await trigger(client)
        answer = await fetch(client, report_id)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{report_id}.csv"'
    assert answer.headers["x-storepulse-as-of"] == "2023-01-23T10:00:00.000000Z"
    assert answer.headers["x-storepulse-position"] == "store-polls=0:12; store-zones=0:3"
    assert not answer.history


async def test_a_report_id_may_be_written_in_capitals(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        report_id = await trigger(client)
        expected = await fetch(client, report_id)
        answer = await client.get(f"/get_report/{report_id.upper()}")
    assert answer.text == expected.text


async def test_a_report_that_is_being_made_says_running(settings: Settings, tables: Tables) -> None:
    async with serving(settings) as client, serving(settings) as other:
        makers = list((settings.reports_dir / "makers").glob("*.lock"))
        assert len(makers) == 2
        report_id = str(uuid4())
        state = ReportState(
            version=1, status=ReportStatus.RUNNING, requested_at_us=NOW_US, maker=makers[0].stem
        )
        ReportFiles(settings.reports_dir).write(report_id, state)
        for each in (client, other):
            answer = await each.get(f"/get_report/{report_id}")
            assert answer.status_code == 200
            assert answer.json() == {"status": "Running"}


@pytest.mark.parametrize("unknown", [str(uuid4()), "1", "..%2F..%2Fetc%2Fpasswd", "%00", "é", "x" * 5000])
async def test_an_unknown_or_malformed_id_is_not_found(settings: Settings, unknown: str) -> None:
    async with serving(settings) as client:
        assert_problem(await client.get(f"/get_report/{unknown}"), 404)
        assert_problem(await client.get(f"/api/v1/get_report?report_id={unknown}"), 404)


async def test_a_missing_id_is_named(settings: Settings) -> None:
    async with serving(settings) as client:
        answer = await client.get("/api/v1/get_report")
    assert_problem(answer, 422)
    assert "report_id" in answer.json()["detail"]


@pytest.mark.parametrize(
    "as_of", ["2023-01-22 12:00:00 UTC", "2023-01-22T12:00:00Z", "2023-01-22T13:00:00.000+01:00"]
)
async def test_as_of_moves_the_windows_and_is_read_as_timestamps_are(
    settings: Settings, tables: Tables, as_of: str
) -> None:
    some = polls("Sun-7 11:30 inactive", "Sun-7 12:30 active", "Sun-7 12:45 active")
    tables.add(some)
    async with serving(settings) as client:
        text = await report(client, as_of)
    assert text == oracle_report(poll_words(some), {}, {}, as_of_us=1_674_388_800_000_000)


@pytest.mark.parametrize("post", ["/trigger_report", "/api/v1/trigger_report"])
@pytest.mark.parametrize(
    "as_of", ["2023-01-16T09:59:59.999999Z", "2023-02-01T00:00:00.000001Z", "2999-01-01"]
)
async def test_an_as_of_without_an_exact_answer_is_refused_with_the_span_that_has_one(
    settings: Settings, tables: Tables, post: str, as_of: str
) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        answer = await client.post(post, params={"as_of": as_of})
    assert_problem(answer, 422)
    assert answer.json()["earliest_as_of"] == "2023-01-16T10:00:00.000000Z"
    assert answer.json()["latest_as_of"] == "2023-02-01T00:00:00.000000Z"


@pytest.mark.parametrize("as_of", ["yesterday", "", "2023-13-01", "1969-12-31"])
async def test_an_as_of_that_is_no_instant_is_refused(settings: Settings, as_of: str) -> None:
    async with serving(settings) as client:
        assert_problem(await client.post("/trigger_report", params={"as_of": as_of}), 422)


async def test_without_any_poll_a_report_fails_and_says_why(settings: Settings, tables: Tables) -> None:
    async with serving(settings) as client:
        answer = await fetch(client, await trigger(client))
    assert answer.status_code == 200
    assert answer.json()["status"] == "Failed"
    assert "polled" in answer.json()["error"]


async def test_a_report_over_state_of_another_zone_database_fails_and_says_what_to_do(
    settings: Settings, tables: Tables
) -> None:
    tables.put(ZONE_DATABASE_KEY, b"1999a")
    async with serving(settings) as client:
        answer = await fetch(client, await trigger(client))
        refused = await client.post("/trigger_report", params={"as_of": "2023-01-23"})
    assert "1999a" in answer.json()["error"]
    assert_problem(refused, 503)
    assert "restart the worker" in refused.json()["detail"]


async def test_a_report_over_a_table_that_cannot_be_read_to_its_end_fails_and_says_what_to_do(
    settings: Settings, tables: Tables
) -> None:
    """RocksDB's iterator stops at a broken block as it does at the end: it must not be Complete with the rest.

    Nor does it wait: patience, which is 300 s here, would bring no row back.
    """
    some = polls("Mon 10:00 active")
    tables.add(some)
    tables.break_rows(summary_key(StoreId("s1")), Shelf().add(some).bytes[0])
    async with serving(settings) as client:
        answer = (await fetch(client, await trigger(client))).json()
    assert answer["status"] == "Failed"
    assert "stores-0.db is broken, some of its rows cannot be read (Corruption:" in answer["error"]
    assert "move that folder away and start again" in answer["error"]


async def test_a_report_sees_what_was_applied_before_it_was_asked_for(
    settings: Settings, tables: Tables
) -> None:
    async with serving(settings) as client:
        for hour in range(10, 16):
            tables.add(polls(f"Mon {hour}:00 active"))
            answer = await fetch(client, await trigger(client))
            assert answer.headers["x-storepulse-as-of"] == f"2023-01-23T{hour}:00:00.000000Z"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/trigger_report", 405),
        ("DELETE", "/get_report/x", 405),
        ("POST", "/health", 405),
        ("GET", "/api/v1/debug/stores_with_downtime?limit=0", 422),
        ("GET", "/api/v1/debug/stores_with_downtime?limit=many", 422),
        ("GET", "/api/v1/debug/store/nobody", 404),
    ],
)
async def test_every_error_is_a_problem_document(
    settings: Settings, tables: Tables, method: str, path: str, status: int
) -> None:
    async with serving(settings) as client:
        assert_problem(await client.request(method, path), status)


@pytest.mark.slow
async def test_an_error_of_our_own_tells_nothing_of_our_insides(settings: Settings, tables: Tables) -> None:
    async with serving(settings) as client:
        tables.add(polls("Mon 10:00 active"))
        tables.put(b"Ss2", b"\1broken")
        answer = await client.get("/api/v1/debug/status_counts")
        failed = await fetch(client, await trigger(client))
    assert_problem(answer, 500)
    assert "Traceback" not in answer.text
    assert "buffer" not in answer.text
    assert failed.json()["status"] == "Failed"
    assert "buffer" not in failed.text


async def test_a_zone_that_only_a_newer_zone_database_has_is_named_with_what_to_do(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active", store_id="s2"))
    tables.name("s1", "Mars/Olympus", None)
    async with serving(settings) as client:
        answer = await fetch(client, await trigger(client))
        story = await client.get("/api/v1/debug/store/s1")
    assert (answer.json()["status"], story.status_code) == ("Failed", 503)
    for said in (answer.json()["error"], story.json()["detail"]):
        assert "'Mars/Olympus'" in said
        assert "Install the same release of storepulse" in said
