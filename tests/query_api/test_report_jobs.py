"""Reports outlive restarts, are shared between APIs, are bounded, and survive a full disk."""

import asyncio
import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from query_api.reports import jobs as reports
from query_api.reports import room
from query_api.reports.files import KEPT_S, ReportFiles, ReportState, ReportStatus
from query_api.snapshots.lease import Lease
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import SECOND_US
from tests.builders import poll, poll_words, polls
from tests.oracle import oracle_report
from tests.query_api.service import NOW_US, PATIENCE_S, FakeProbe, fetch, report, serving, trigger
from tests.query_api.tables import Tables

pytestmark = pytest.mark.slow

SPAWN = multiprocessing.get_context("spawn")


def running(maker: str, requested_at_us: int = NOW_US, as_of_us: int | None = None) -> ReportState:
    return ReportState(
        version=1,
        status=ReportStatus.RUNNING,
        requested_at_us=requested_at_us,
        maker=maker,
        as_of_us=as_of_us,
    )


def ids_in(folder: Path, ending: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{ending}")}


async def test_a_finished_report_outlives_a_restart(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        report_id = await trigger(client)
        before = await fetch(client, report_id)
    tables.add(polls("Mon 11:00 inactive"))
    async with serving(settings) as client:
        after = await client.get(f"/get_report/{report_id}")
    assert after.content == before.content
    assert after.headers["x-storepulse-as-of"] == before.headers["x-storepulse-as-of"]


async def test_a_failed_report_outlives_a_restart(settings: Settings, tables: Tables) -> None:
    async with serving(settings) as client:
        report_id = await trigger(client)
        before = await fetch(client, report_id)
    async with serving(settings) as client:
        assert (await client.get(f"/get_report/{report_id}")).json() == before.json()


async def test_a_report_cut_off_by_a_crash_is_finished_under_the_same_id_by_the_next_start(
    settings: Settings, tables: Tables
) -> None:
    some = polls("Mon 09:30 inactive", "Mon 10:00 active")
    tables.add(some)
    report_id = str(uuid4())
    as_of_us = some[0].at_us
    ReportFiles(settings.reports_dir).write(report_id, running("123-dead", as_of_us=as_of_us))
    async with serving(settings) as client:
        answer = await fetch(client, report_id)
    assert answer.text == oracle_report(poll_words(some), {}, {}, as_of_us)


async def test_a_report_whose_maker_dies_is_taken_up_by_the_api_that_is_asked_for_it(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    other = Lease(settings.reports_dir / "makers")
    report_id = str(uuid4())
    async with serving(settings) as client:
        ReportFiles(settings.reports_dir).write(report_id, running(other.name))
        assert (await client.get(f"/get_report/{report_id}")).json() == {"status": "Running"}
        other.end()
        answer = await fetch(client, report_id)
    assert answer.headers["content-type"].startswith("text/csv")


async def test_any_api_that_shares_the_folder_answers_for_any_report(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as one, serving(settings) as two:
        asked = [(await trigger(client), client) for client in (one, two) for _ in range(5)]
        texts = {(await fetch(client, report_id)).text for report_id, _ in asked for client in (one, two)}
    assert texts == {oracle_report(poll_words(polls("Mon 10:00 active")), {}, {})}


async def test_many_reports_asked_for_at_once_are_all_made(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        ids = await asyncio.gather(*(trigger(client) for _ in range(50)))
        answers = await asyncio.gather(*(fetch(client, report_id) for report_id in ids))
    assert len(set(ids)) == 50
    assert len({answer.text for answer in answers}) == 1


async def test_more_reports_than_may_wait_are_refused_until_some_are_made(
    settings: Settings, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        monkeypatch.setattr(reports, "MAX_WAITING", 0)
        refused = await client.post("/trigger_report")
        monkeypatch.setattr(reports, "MAX_WAITING", 1)
        accepted = await client.post("/trigger_report")
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert accepted.status_code == 200


def age(settings: Settings, report_id: str, seconds: float = KEPT_S + 1) -> None:
    """Have a report be made so long ago."""
    made_s = time.time() - seconds
    os.utime(settings.reports_dir / f"{report_id}.json", (made_s, made_s))


async def kept_of(client: httpx.AsyncClient, ids: list[str]) -> list[str]:
    answers = [await client.get(f"/get_report/{each}") for each in ids]
    kinds = [answer.headers["content-type"] for answer in answers]
    return [each for each, kind in zip(ids, kinds, strict=True) if kind.startswith("text/csv")]


async def test_only_the_latest_reports_are_kept(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    few = settings.model_copy(update={"reports_kept": 3})
    async with serving(few) as client:
        made = []
        for nth in range(6):
            made.append(await trigger(client))
            await fetch(client, made[-1])
            age(settings, made[-1], 2 * KEPT_S - nth)
        assert await kept_of(client, made) == made[3:]
    assert ids_in(settings.reports_dir, "json") == ids_in(settings.reports_dir, "csv") == set(made[3:])


async def test_a_burst_of_questions_takes_nobodys_report_away_and_says_that_there_is_no_room(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    few = settings.model_copy(update={"reports_kept": 5})
    async with serving(few) as client:
        mine = [await trigger(client) for _ in range(5)]
        for report_id in mine:
            await fetch(client, report_id)
        burst = await asyncio.gather(*(trigger(client) for _ in range(60)))
        answers = await asyncio.gather(*(fetch(client, report_id) for report_id in burst))
        failed = [answer for answer in answers if answer.status_code == 200]
        assert {answer.json()["status"] for answer in failed} == {"Failed"}
        assert "no room for another report: 5 are kept" in failed[0].json()["error"]
        assert await kept_of(client, mine) == mine
    assert len(ids_in(settings.reports_dir, "json")) <= 10
    assert ids_in(settings.reports_dir, "csv") == set(mine)


async def test_reports_are_bounded_by_their_bytes_too(
    settings: Settings, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_STILL_FULL_S", 0.0)
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        size = len(await report(client))
    (first,) = ids_in(settings.reports_dir, "json")
    small = settings.model_copy(update={"reports_bytes": 2 * size})
    async with serving(small) as client:
        second, third = await trigger(client), await trigger(client)
        told = [(await fetch(client, each)).headers["content-type"] for each in (second, third)]
        assert sorted(told) == ["application/json", "text/csv; charset=utf-8"]
        age(settings, first)
        fourth = await trigger(client)
        assert (await fetch(client, fourth)).headers["content-type"].startswith("text/csv")
        assert await kept_of(client, [first]) == []
    assert len(ids_in(settings.reports_dir, "csv")) == 2
    assert not list(settings.reports_dir.glob(".*"))


def test_a_report_that_is_being_downloaded_does_not_go_and_one_that_is_open_is_read_whole(
    settings: Settings,
) -> None:
    files = ReportFiles(settings.reports_dir)
    report_id = str(uuid4())
    files.write(report_id, running("1-x"))
    draft = files.draft_path(report_id, "1-x")
    draft.write_bytes(b"rows")
    files.end(report_id, replace(running("1-x"), status=ReportStatus.COMPLETE), draft)
    age(settings, report_id)
    (kept,) = files.by_age()
    with files.open_csv(report_id) or pytest.fail("no rows") as file:
        assert not files.let_go(kept)
        files.remove(report_id)  # as an operator does
        assert files.open_csv(report_id) is None
        assert file.read() == b"rows"


def test_what_has_ended_never_changes(settings: Settings) -> None:
    """As when two hosts do not see each other's locks and both make one report."""
    files = ReportFiles(settings.reports_dir)
    report_id = str(uuid4())
    files.write(report_id, running("1-x"))
    ended = [
        replace(running("1-x"), status=ReportStatus.FAILED, error="waited too long"),
        replace(running("2-y"), status=ReportStatus.COMPLETE, stores=1),
    ]
    files.end(report_id, ended[0])
    draft = files.draft_path(report_id, "2-y")
    draft.write_bytes(b"rows")
    files.end(report_id, ended[1], draft)
    assert files.read(report_id) == ended[0]
    assert [path.name for path in settings.reports_dir.iterdir()] == [f"{report_id}.json"]


async def test_reports_of_a_living_maker_run_however_the_clock_jumps(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    clock_us = [NOW_US]
    probe = FakeProbe({(POLLS, 0): 1})
    async with serving(settings, probe, lambda: clock_us[0]) as client, serving(settings) as other:
        ids = [await trigger(client) for _ in range(12)]
        for hours in (3, -3000, 30_000):
            clock_us[0] = NOW_US + hours * 3600 * SECOND_US
            for each in (client, other):
                said = [(await each.get(f"/get_report/{report_id}")).json() for report_id in ids]
                assert said == [{"status": "Running"}] * 12
        tables.apply(POLLS, 1)
        for report_id in ids:
            assert (await fetch(client, report_id)).headers["content-type"].startswith("text/csv")


async def test_failed_reports_are_bounded_too(settings: Settings, tables: Tables) -> None:
    few = settings.model_copy(update={"reports_kept": 2})
    async with serving(few) as client:
        for _ in range(5):
            await fetch(client, await trigger(client))
    assert len(ids_in(settings.reports_dir, "json")) == 2


async def test_what_nobody_will_ever_name_is_swept_away_at_the_next_start(settings: Settings) -> None:
    settings.reports_dir.mkdir(parents=True)
    old = [settings.reports_dir / name for name in (f"{uuid4()}.csv", f".{uuid4()}.csv.abc.part")]
    fresh = settings.reports_dir / f".{uuid4()}.csv.abc.part"
    for path in (*old, fresh):
        path.touch()
    for path in old:
        os.utime(path, (0, 0))
    async with serving(settings):
        assert not any(path.exists() for path in old)
        assert fresh.exists()


async def test_the_state_of_a_report_that_a_newer_version_wrote_is_left_alone(settings: Settings) -> None:
    report_id = str(uuid4())
    files = ReportFiles(settings.reports_dir)
    files.write(report_id, running("1-x"))
    path = settings.reports_dir / f"{report_id}.json"
    newer = json.dumps(json.loads(path.read_text()) | {"version": 99})
    path.write_text(newer)
    async with serving(settings) as client:
        answer = await client.get(f"/get_report/{report_id}")
    assert answer.status_code == 503
    assert "newer version" in answer.json()["detail"]
    assert path.read_text() == newer


def limited(settings: Settings, max_bytes: int, told: Any) -> None:
    """Ask for a report in a process that may not write files of more than `max_bytes`."""

    async def ask() -> None:
        async with serving(settings) as client:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
            answer: httpx.Response = await client.post("/trigger_report")
            if answer.status_code == 200:
                answer = await fetch(client, answer.json()["report_id"])
            told.send((answer.status_code, answer.headers["content-type"], answer.json()))

    asyncio.run(ask())


def in_limited_process(settings: Settings, max_bytes: int) -> tuple[int, str, dict[str, Any]]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=limited, args=(settings, max_bytes, there))
    process.start()
    assert here.poll(PATIENCE_S), f"no answer within {PATIENCE_S} s"
    answer: tuple[int, str, dict[str, Any]] = here.recv()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    return answer


def test_a_report_that_the_disk_does_not_take_fails_and_leaves_nothing_half_written(
    settings: Settings, tables: Tables
) -> None:
    tables.add([poll("Mon 10:00 active", store_id=f"store-{number}") for number in range(500)])
    status, _, answer = in_limited_process(settings, max_bytes=8192)
    assert status == 200
    assert answer["status"] == "Failed"
    assert "File too large" in answer["error"]
    left = [path.name for path in settings.reports_dir.iterdir() if path.suffix != ".json"]
    assert left == ["makers"]


def test_where_not_even_the_state_can_be_written_asking_is_refused(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    status, kind, answer = in_limited_process(settings, max_bytes=0)
    assert status == 507
    assert kind == "application/problem+json"
    assert "File too large" in answer["detail"]
    assert [path.name for path in settings.reports_dir.iterdir()] == ["makers"]


def ask_and_wait(settings: Settings, told: Any) -> None:
    """Ask for many reports, tell their ids, and go on until killed."""

    async def ask() -> None:
        async with serving(settings) as client:
            told.send([await trigger(client) for _ in range(20)])
            await asyncio.Event().wait()

    asyncio.run(ask())


async def test_reports_asked_of_a_process_that_is_killed_are_all_finished_by_the_next(
    settings: Settings, tables: Tables
) -> None:
    some = [poll("Mon 10:00 active", store_id=f"store-{number}") for number in range(2000)]
    tables.add(some)
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=ask_and_wait, args=(settings, there))
    process.start()
    assert await asyncio.to_thread(here.poll, PATIENCE_S), f"no ids within {PATIENCE_S} s"
    ids = here.recv()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE_S)
    async with serving(settings) as client:
        texts = {(await fetch(client, report_id)).text for report_id in ids}
        assert texts == {await report(client)}
    assert [path.name for path in (settings.state / "secondary").iterdir()] == []


async def test_shutting_down_leaves_unmade_reports_to_the_next_start(
    settings: Settings, tables: Tables
) -> None:
    tables.add([poll("Mon 10:00 active", store_id=f"store-{number}") for number in range(1000)])
    began = time.monotonic()
    async with serving(settings) as client:
        ids = [await trigger(client) for _ in range(20)]
    assert time.monotonic() - began < PATIENCE_S
    async with serving(settings) as client:
        for report_id in ids:
            assert (await fetch(client, report_id)).headers["content-type"].startswith("text/csv")
