"""A report that is Complete is whole and current; until it can be, it waits, and in the end it says for what."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from query_api.reports.files import ReportFiles, ReportState, ReportStatus
from schemas.rows.losses import Loss
from schemas.settings import Settings
from schemas.topics import HOURS, POLLS, ZONES
from tests.builders import poll_words, polls
from tests.oracle import oracle_report
from tests.query_api.service import NOW_US, FakeProbe, fetch, report, serving, trigger
from tests.query_api.tables import Tables

pytestmark = pytest.mark.slow

RUNNING = {"status": "Running"}
LOOKS_S = 0.3
"""Long enough for some looks at the tables."""


class SilentProbe(FakeProbe):
    """A broker that takes questions and never answers."""

    async def end_offsets(self) -> dict[tuple[str, int], int]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class HeldProbe(FakeProbe):
    """A broker that answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def end_offsets(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        await self.may_answer.wait()
        return self.ends


def impatient(settings: Settings, patience_s: float = 0.05) -> Settings:
    return settings.model_copy(update={"report_patience_seconds": patience_s})


async def still_runs(client: httpx.AsyncClient, report_id: str) -> bool:
    await asyncio.sleep(LOOKS_S)
    return bool((await client.get(f"/get_report/{report_id}")).json() == RUNNING)


async def test_a_report_of_tables_that_are_being_restored_runs_until_they_are_whole(
    settings: Settings,
) -> None:
    tables = Tables(settings, 2)
    tables.restore(1, 9, partition=0)
    tables.restore(1, 9, partition=1)
    first = polls("Mon 10:00 active", store_id="a")
    tables.add(first)
    async with serving(settings) as client:
        report_id = await trigger(client)
        assert await still_runs(client, report_id)
        tables.make_whole(0)
        assert await still_runs(client, report_id)
        every = first + polls("Mon 11:00 active", store_id="b")
        tables.add(every)
        tables.make_whole(1)
        answer = await fetch(client, report_id)
    assert answer.text == oracle_report(poll_words(every), {}, {})
    tables.close()


async def test_a_report_holds_every_poll_that_the_log_had_when_it_was_asked_for(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 10)
    async with serving(settings, FakeProbe({(POLLS, 0): 12, (ZONES, 0): 1})) as client:
        report_id = await trigger(client)
        assert await still_runs(client, report_id)
        tables.apply(ZONES, 1)
        assert await still_runs(client, report_id)
        tables.add(polls("Mon 11:00 inactive"))
        tables.apply(POLLS, 12)
        answer = await fetch(client, report_id)
    assert answer.headers["x-storepulse-as-of"] == "2023-01-23T11:00:00.000000Z"
    assert answer.headers["x-storepulse-current"] == "true"
    assert answer.headers["x-storepulse-position"] == "store-polls=0:12; store-zones=0:1"


async def test_every_partition_of_every_topic_must_reach_the_end(settings: Settings) -> None:
    tables = Tables(settings, 3)
    tables.add(polls("Mon 10:00 active"))
    ends = {(topic, partition): 5 for topic in (POLLS, HOURS, ZONES) for partition in range(3)}
    places = list(ends)
    async with serving(settings, FakeProbe(ends)) as client:
        report_id = await trigger(client)
        for topic, partition in places[:-1]:
            tables.apply(topic, 5, partition)
        assert await still_runs(client, report_id)
        tables.apply(*places[-1][:1], 5, places[-1][1])
        assert (await fetch(client, report_id)).headers["content-type"].startswith("text/csv")
    tables.close()


@pytest.mark.parametrize(
    ("alive", "says"),
    [(True, "partition 0"), (None, "partition 0"), (False, "partition 0; the worker is gone")],
)
async def test_a_report_whose_positions_never_come_fails_and_says_which(
    settings: Settings, tables: Tables, alive: bool | None, says: str
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 10)
    probe = FakeProbe({(POLLS, 0): 12}, alive=alive)
    async with serving(impatient(settings), probe) as client:
        answer = (await fetch(client, await trigger(client))).json()
    assert answer == {
        "status": "Failed",
        "error": "the state was not readable within 0.05 s: position 10 of 12 of store-polls " + says,
    }


async def test_a_report_of_tables_that_never_become_whole_fails_and_says_how_far_they_are(
    settings: Settings, tables: Tables
) -> None:
    """It must not say that no store has been polled: which may be in what is not restored yet."""
    tables.restore(123, 456)
    async with serving(impatient(settings)) as client:
        answer = (await fetch(client, await trigger(client))).json()
    assert answer["status"] == "Failed"
    assert "0 of 1 partitions are whole; partition 0 is being restored: 123 of 456" in answer["error"]


@pytest.mark.parametrize("as_of", [None, "2023-01-23"])
async def test_a_report_of_a_table_that_cannot_be_opened_just_now_runs_until_it_can(
    settings: Settings, tables: Tables, as_of: str | None
) -> None:
    tables.add(polls("Mon 10:00 active"))
    current = tables.path(0) / "CURRENT"
    good = current.read_bytes()
    current.write_bytes(b"MANIFEST-999999\n")
    async with serving(settings) as client:
        report_id = await trigger(client, as_of)
        assert await still_runs(client, report_id)
        current.write_bytes(good)
        assert (await fetch(client, report_id)).headers["content-type"].startswith("text/csv")


async def test_a_report_of_a_table_that_never_can_be_opened_fails_and_says_why(
    settings: Settings, tables: Tables
) -> None:
    (tables.path(0) / "CURRENT").write_bytes(b"MANIFEST-999999\n")
    async with serving(impatient(settings)) as client:
        answer = (await fetch(client, await trigger(client))).json()
    assert answer["status"] == "Failed"
    assert "not readable within 0.05 s: the table of partition 0 cannot be read" in answer["error"]


async def test_a_report_without_a_table_of_some_partition_fails_and_names_it(settings: Settings) -> None:
    tables = Tables(settings, 3)
    ends = {(POLLS, partition): 0 for partition in range(4)}
    async with serving(impatient(settings), FakeProbe(ends)) as client:
        answer = (await fetch(client, await trigger(client))).json()
    assert "3 of 4 partitions are whole; no table for partition 3" in answer["error"]
    tables.close()


async def test_a_report_on_a_host_without_any_table_never_becomes_complete(settings: Settings) -> None:
    async with serving(impatient(settings, 0.5), FakeProbe({(POLLS, 0): 3})) as client:
        report_id = await trigger(client)
        assert await still_runs(client, report_id)
        answer = (await fetch(client, report_id)).json()
    assert answer["status"] == "Failed"
    assert "no partition has a table here yet" in answer["error"]


@pytest.mark.parametrize("probe", [FakeProbe(error=ConnectionError("no route")), SilentProbe()])
async def test_where_the_log_cannot_be_asked_a_whole_report_says_that_it_may_not_be_current(
    settings: Settings, tables: Tables, probe: FakeProbe
) -> None:
    tables.add(polls("Mon 10:00 active"))
    hurried = settings.model_copy(update={"log_patience_seconds": 0.1})
    async with serving(hurried, probe) as client:
        report_id = await trigger(client)
        answer = await fetch(client, report_id)
    state = ReportFiles(settings.reports_dir).read(report_id)
    assert answer.headers["x-storepulse-current"] == "false"
    assert state is not None
    assert (state.status, state.current) == (ReportStatus.COMPLETE, False)


async def test_a_report_that_can_be_made_passes_those_that_wait(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 5)
    probe = FakeProbe({(POLLS, 0): 6})
    async with serving(settings, probe) as client:
        waiting = [await trigger(client) for _ in range(20)]
        assert await still_runs(client, waiting[0])
        probe.ends = {(POLLS, 0): 5}
        await report(client)
        assert await still_runs(client, waiting[0])
        tables.apply(POLLS, 6)
        for report_id in waiting:
            assert (await fetch(client, report_id)).headers["x-storepulse-position"] == "store-polls=0:6"


async def test_questions_that_come_while_the_log_is_asked_are_asked_together(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    probe = HeldProbe()
    patient = settings.model_copy(update={"log_patience_seconds": 60.0})
    async with serving(patient, probe) as client:
        ids = [await trigger(client) for _ in range(50)]
        probe.may_answer.set()
        for report_id in ids:
            assert (await fetch(client, report_id)).headers["x-storepulse-current"] == "true"
    assert probe.asked < 25  # two for the reports, and one a second for health


async def test_an_instant_named_while_tables_are_restored_is_checked_when_the_report_is_made(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.restore(1, 2)
    async with serving(settings) as client:
        good, bad = await trigger(client, "2023-01-23"), await trigger(client, "2022-01-01")
        assert await still_runs(client, bad)
        tables.make_whole()
        assert (await fetch(client, good)).headers["x-storepulse-as-of"] == "2023-01-23T00:00:00.000000Z"
        answer = (await fetch(client, bad)).json()
    assert answer["status"] == "Failed"
    assert "as_of 2022-01-01T00:00:00.000000Z cannot be answered exactly" in answer["error"]


async def test_a_report_taken_up_from_a_dead_maker_reaches_the_end_of_the_log_as_it_is_now(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 5)
    report_id = str(uuid4())
    left = ReportState(version=1, status=ReportStatus.RUNNING, requested_at_us=NOW_US, maker="123-dead")
    ReportFiles(settings.reports_dir).write(report_id, left)
    async with serving(settings, FakeProbe({(POLLS, 0): 6})) as client:
        assert await still_runs(client, report_id)
        tables.apply(POLLS, 6)
        assert (await fetch(client, report_id)).headers["x-storepulse-position"] == "store-polls=0:6"


async def test_a_report_says_what_was_lost_of_the_log_and_goes_on_saying_so(settings: Settings) -> None:
    tables = Tables(settings, 2)
    tables.add(polls("Mon 10:00 active"))
    tables.lose(POLLS, Loss(10, 20, 0, "retention"), Loss(25, -1, 0, "made again"), partition=1)
    tables.lose(HOURS, Loss(1, 2, 0, "retention"))
    async with serving(settings) as client:
        report_id = await trigger(client)
        answer = await fetch(client, report_id)
        tables.lose(POLLS, partition=1)
        tables.lose(HOURS)
        again = await client.get(f"/get_report/{report_id}")
        later = await fetch(client, await trigger(client))
    assert answer.headers["x-storepulse-loss"] == "store-hours=0:1-2; store-polls=1:10-20,1:25-"
    assert again.headers["x-storepulse-loss"] == answer.headers["x-storepulse-loss"]
    assert "x-storepulse-loss" not in later.headers
    tables.close()


async def test_of_very_many_losses_a_report_names_as_many_as_have_room(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.lose(POLLS, *(Loss(10 * each, 10 * each + 5, 0, "") for each in range(1000)))
    async with serving(settings) as client:
        answer = await fetch(client, await trigger(client))
    header = answer.headers["x-storepulse-loss"]
    assert header.startswith("store-polls=0:0-5,0:10-15,")
    assert header.endswith("5,...")
    assert len(header) <= 4100
