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

from query_api import reports
from query_api.presence import Presence
from query_api.report_files import ReportFiles, ReportState, ReportStatus
from schemas.settings import Settings
from tests.builders import poll, poll_words, polls
from tests.oracle import oracle_report
from tests.query_api.service import NOW_US, PATIENCE_S, fetch, report, serving, trigger
from tests.query_api.tables import Tables

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
    other = Presence(settings.reports_dir / "makers")
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
        monkeypatch.setattr(reports, "MOST_WAITING", 0)
        refused = await client.post("/trigger_report")
        monkeypatch.setattr(reports, "MOST_WAITING", 1)
        accepted = await client.post("/trigger_report")
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert accepted.status_code == 200


async def test_only_the_latest_reports_are_kept(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    few = settings.model_copy(update={"reports_kept": 3})
    async with serving(few) as client:
        made = []
        for _ in range(6):
            made.append(await trigger(client))
            await fetch(client, made[-1])
        assert [(await client.get(f"/get_report/{each}")).status_code for each in made] == [404] * 3 + [
            200
        ] * 3
    assert ids_in(settings.reports_dir, "json") == ids_in(settings.reports_dir, "csv") == set(made[3:])


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


def limited(settings: Settings, most_bytes: int, told: Any) -> None:
    """Ask for a report in a process that may not write files of more than `most_bytes`."""

    async def ask() -> None:
        async with serving(settings) as client:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
            answer: httpx.Response = await client.post("/trigger_report")
            if answer.status_code == 200:
                answer = await fetch(client, answer.json()["report_id"])
            told.send((answer.status_code, answer.headers["content-type"], answer.json()))

    asyncio.run(ask())


def in_limited_process(settings: Settings, most_bytes: int) -> tuple[int, str, dict[str, Any]]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=limited, args=(settings, most_bytes, there))
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
    status, _, answer = in_limited_process(settings, most_bytes=8192)
    assert status == 200
    assert answer["status"] == "Failed"
    assert "File too large" in answer["error"]
    left = [path.name for path in settings.reports_dir.iterdir() if path.suffix != ".json"]
    assert left == ["makers"]


def test_where_not_even_the_state_can_be_written_asking_is_refused(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    status, kind, answer = in_limited_process(settings, most_bytes=0)
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
