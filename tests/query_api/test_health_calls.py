"""Health says which part fails and how far the readable state trails the log; never how old polls are."""

import asyncio
from collections.abc import Mapping

import pytest

from query_api.health import MOST_TRAILING_S, HealthWatch
from query_api.reader import Reader
from schemas.settings import Settings
from schemas.state import META_ZONE_DATABASE
from schemas.topics import HOURS, POLLS, ZONES
from tests.builders import polls
from tests.query_api.service import PATIENCE_S, FakeProbe, fetch, serving, trigger
from tests.query_api.tables import Tables


class SlowMarkers(FakeProbe):
    """Says what lies in a span when it is told to."""

    def __init__(self, ends: dict[tuple[str, int], int]) -> None:
        super().__init__(ends)
        self.was_asked = asyncio.Event()
        self.told = asyncio.Event()

    async def empty_spans(self, spans: Mapping[tuple[str, int], tuple[int, int]]) -> set[tuple[str, int]]:
        self.was_asked.set()
        await self.told.wait()
        return set()


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("path", ["/health", "/api/v1/health"])
async def test_with_all_applied_the_service_is_ready_however_old_the_polls(
    settings: Settings, tables: Tables, path: str
) -> None:
    tables.add(polls("1999-01-01 10:00 active"))
    tables.apply(POLLS, 1)
    async with serving(settings, FakeProbe({(POLLS, 0): 1})) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "ready": True,
        "parts": {"process": "ok", "broker": "ok", "worker": "ok", "state": "ok"},
        "lag": {"records": {POLLS: 0, HOURS: 0, ZONES: 0}, "seconds": 0.0},
    }


async def test_a_new_service_without_any_record_is_ready(settings: Settings) -> None:
    async with serving(settings, FakeProbe({(POLLS, 0): 0})) as client:
        assert (await client.get("/health")).status_code == 200


async def test_lag_is_counted_by_topic_over_all_partitions(settings: Settings) -> None:
    tables = Tables(settings, 2)
    tables.apply(POLLS, 10, partition=0)
    tables.apply(POLLS, 20, partition=1)
    tables.apply(ZONES, 5, partition=1)
    ends = {(POLLS, 0): 13, (POLLS, 1): 24, (ZONES, 1): 5, (HOURS, 0): 2}
    async with serving(settings, FakeProbe(ends)) as client:
        answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["lag"]["records"] == {POLLS: 7, HOURS: 2, ZONES: 0}
    tables.close()


async def test_a_look_that_is_cancelled_just_as_the_broker_answers_ends(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    """asyncio.wait_for would return the answer and forget the cancellation: the API would never shut down."""
    probe = SlowMarkers({(POLLS, 0): 1})
    watch = HealthWatch(reader, probe, Clock())
    await watch.look()
    looking = asyncio.create_task(watch.look())
    async with asyncio.timeout(PATIENCE_S):
        await probe.was_asked.wait()
        probe.told.set()
        await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking


async def test_seconds_tell_how_long_the_oldest_record_has_been_waiting(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    """log   1 at 0 s, 2 at 10 s, 3 at 20 s; applied: 1 at 10 s, 3 at 30 s"""
    probe, clock = FakeProbe({(POLLS, 0): 1}), Clock()
    watch = HealthWatch(reader, probe, clock)
    seconds = [(await watch.look()).trailing_s]
    clock.now_s = 10.0
    probe.ends = {(POLLS, 0): 2}
    tables.apply(POLLS, 1)
    seconds.append((await watch.look()).trailing_s)
    clock.now_s = 20.0
    probe.ends = {(POLLS, 0): 3}
    seconds.append((await watch.look()).trailing_s)
    clock.now_s = 30.0
    tables.apply(POLLS, 3)
    seconds.append((await watch.look()).trailing_s)
    assert seconds == [0.0, 0.0, 10.0, 0.0]


async def test_records_that_keep_coming_and_keep_being_applied_do_not_count_as_trailing(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    probe, clock = FakeProbe(), Clock()
    watch = HealthWatch(reader, probe, clock)
    for second in range(1, 200):
        clock.now_s = float(second)
        probe.ends = {(POLLS, 0): 10 * second}
        tables.apply(POLLS, 10 * second - 5)
        health = await watch.look()
        assert health.trailing_s <= 1.0
        assert health.ready


async def test_state_that_stands_still_while_the_log_waits_fails(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    probe, clock = FakeProbe({(POLLS, 0): 5}), Clock()
    watch = HealthWatch(reader, probe, clock)
    assert (await watch.look()).ready
    clock.now_s = MOST_TRAILING_S + 1
    health = await watch.look()
    assert not health.ready
    assert "trails the log for 61 s" in health.state


async def test_markers_of_transactions_behind_the_last_record_are_nothing_to_apply(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    """log   records 0 to 4, marker 5 │ marker 6 │ record 7; applied: 0 to 4"""
    probe, clock = FakeProbe({(POLLS, 0): 6}, markers={(POLLS, 0)}), Clock()
    tables.apply(POLLS, 5)
    watch = HealthWatch(reader, probe, clock)
    assert (await watch.look()).lag_records == {POLLS: 1, HOURS: 0, ZONES: 0}
    for end in (6, 7):
        probe.ends = {(POLLS, 0): end}
        clock.now_s += MOST_TRAILING_S + 1
        health = await watch.look()
        assert (health.ready, health.lag_records, health.trailing_s) == (
            True,
            {POLLS: 0, HOURS: 0, ZONES: 0},
            0,
        )
    probe.ends, probe.markers = {(POLLS, 0): 8}, set()
    for _ in range(3):
        clock.now_s += MOST_TRAILING_S
        health = await watch.look()
    assert (health.ready, health.lag_records) == (False, {POLLS: 3, HOURS: 0, ZONES: 0})
    assert probe.asked == 3


@pytest.mark.parametrize(
    ("probe", "part", "says"),
    [
        (FakeProbe(error=ConnectionError("no route to kafka:9092")), "broker", "no route to kafka:9092"),
        (FakeProbe(alive=False), "worker", "storepulse worker"),
    ],
)
async def test_a_part_that_fails_is_named_with_what_is_wrong(
    settings: Settings, probe: FakeProbe, part: str, says: str
) -> None:
    async with serving(settings, probe) as client:
        answer = await client.get("/health")
        live = await client.get("/health/live")
    assert answer.status_code == 503
    health = answer.json()
    assert (health["status"], health["ready"]) == ("failing", False)
    assert says in health["parts"].pop(part)
    assert set(health["parts"].values()) == {"ok"}
    assert (live.status_code, live.json()) == (200, {"status": "alive"})


async def test_a_worker_that_cannot_be_seen_from_here_is_no_failure(settings: Settings) -> None:
    async with serving(settings, FakeProbe(alive=None)) as client:
        assert (await client.get("/health")).status_code == 200


async def test_state_that_cannot_be_read_fails(settings: Settings, tables: Tables) -> None:
    tables.put(META_ZONE_DATABASE, b"1999a")
    async with serving(settings) as client:
        answer = await client.get("/health")
    assert answer.status_code == 503
    assert "1999a" in answer.json()["parts"]["state"]
    assert answer.json()["lag"]["records"] is None


async def test_it_is_replaying_until_all_of_it_is_readable(settings: Settings, tables: Tables) -> None:
    probe = FakeProbe({(POLLS, 0): 100, (ZONES, 0): 7}, target="pending")
    async with serving(settings, probe) as client:

        async def status() -> tuple[int, str]:
            answer = await client.get("/health")
            return answer.status_code, answer.json()["status"]

        assert await status() == (503, "replaying")
        probe.target = {(POLLS, 0): 90, (ZONES, 0): 7}
        assert await status() == (503, "replaying")
        tables.apply(POLLS, 90)
        assert await status() == (503, "replaying")
        tables.apply(ZONES, 7)
        assert await status() == (200, "ok")


async def test_metrics_count_reports_and_tell_stores_and_lag(settings: Settings, tables: Tables) -> None:
    tables.add([*polls("Mon 10:00 active", store_id="a"), *polls("Mon 10:00 active", store_id="b")])
    async with serving(settings, FakeProbe({(POLLS, 0): 4})) as client:
        await fetch(client, await trigger(client))
        await client.get("/health")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert 'storepulse_reports_total{outcome="complete"} 1.0' in lines
    assert 'storepulse_reports_total{outcome="failed"} 0.0' in lines
    assert "storepulse_report_seconds_count 1.0" in lines
    assert "storepulse_stores 2.0" in lines
    assert 'storepulse_lag_records{topic="store-polls"} 4.0' in lines
    assert "storepulse_ready 1.0" in lines
